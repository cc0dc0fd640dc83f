//! `nightshelf publish`.

use crate::{
    artifacts::open_run,
    pipeline::{self, PipelineError},
    publish::{RunSequence, Sink, Status},
};

use super::{
    args::{Global, PublishArgs},
    build,
    output::{grouped, json, say, table},
    progress,
};

pub(super) fn run(args: &PublishArgs, global: &Global) -> anyhow::Result<()> {
    let sets = [
        build::set("build.runs", args.source.runs.as_deref()),
        build::set("publish.sqlite.path", args.sqlite.as_deref()),
    ];
    let config = build::config(&args.source.source, sets.into_iter().flatten().collect())?.config;
    if args.status || args.rollback.is_some() {
        let path = &config.publish.sqlite.path;
        // Opening it would make it: a mistyped path must not look like a store that nobody has published to.
        anyhow::ensure!(
            std::path::Path::new(path).exists(),
            "there is no SQLite file {path}: nothing has been published there, or publish.sqlite.path (--sqlite) is another"
        );
        let mut sink = pipeline::sqlite_sink(&config.publish).map_err(PipelineError::from)?;
        let status = match args.rollback {
            Some(to) => sink.rollback(to.map(RunSequence)).map_err(PipelineError::from)?,
            None => sink.status().map_err(PipelineError::from)?,
        };
        return if args.json { json(&status) } else { say(&text(&status)) };
    }
    let run = open_run(config.build.runs.as_ref(), &args.run).map_err(PipelineError::from)?;
    let done = pipeline::publish(&run, &config.publish, progress::observer(global).as_ref())?;
    if args.json {
        return json(&done);
    }
    for published in &done {
        let committed = &published.committed;
        say(&format!(
            "published {} to {} {}: sequence {}, {} lists in {:.1} s",
            run.name(),
            published.target,
            published.place,
            committed.sequence,
            grouped(committed.n_lists),
            published.seconds
        ))?;
    }
    Ok(())
}

fn text(status: &Status) -> String {
    let rows = status.runs.iter().map(|run| {
        let mark = if Some(run.sequence) == status.current { "current" } else { "" };
        vec![run.sequence.to_string(), run.run.clone(), grouped(run.n_lists), run.committed_at.clone(), mark.to_owned()]
    });
    if status.runs.is_empty() {
        return "nothing is published yet".to_owned();
    }
    table(&["sequence", "run", "lists", "committed", ""], &[0, 2], rows)
}
