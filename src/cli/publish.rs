//! `nightshelf publish`.

use std::path::Path;

use crate::{
    artifacts::{Run, open_run},
    config::Config,
    pipeline::{self, Audit, PipelineError, Store},
    publish::{DynamoConfig, EstimateSummary, Expected, RunSequence, Status, Target},
};

use super::{
    args::{Global, PublishArgs, PublishCommand, StoreArgs},
    build,
    output::{bytes, grouped, json, say, table},
    progress,
};

pub(super) fn run(args: &PublishArgs, global: &Global) -> anyhow::Result<()> {
    match &args.command {
        None => publish(args, global),
        Some(PublishCommand::Status { store, json }) => status(store, *json),
        Some(PublishCommand::Verify { run, store, json }) => verify(run, store, *json),
        Some(PublishCommand::Migrate { store }) => migrate(store),
        Some(PublishCommand::Rollback { store, to, json }) => rollback(store, *to, *json),
    }
}

fn config(args: &StoreArgs) -> anyhow::Result<Config> {
    let sets = [
        build::set("build.runs", args.source.runs.as_deref()),
        build::set("publish.sqlite.path", args.sqlite.as_deref()),
        build::targets(&args.target),
    ];
    Ok(build::config(&args.source.source, sets.into_iter().flatten().collect())?.config)
}

fn open(config: &Config, run: &str) -> Result<Run, PipelineError> {
    Ok(open_run(config.build.runs.as_ref(), run)?)
}

fn publish(args: &PublishArgs, global: &Global) -> anyhow::Result<()> {
    let config = config(&args.store)?;
    if args.create_tables {
        pipeline::create_tables(&config.publish, args.point_in_time_recovery)?;
    }
    let run = open(&config, &args.run)?;
    let observer = progress::observer(global);
    let to_dynamodb = config.publish.targets.contains(&Target::DynamoDb);
    if args.plan || (args.max_cost.is_some() && to_dynamodb) {
        anyhow::ensure!(to_dynamodb, "--plan is about DynamoDB, which publish.targets (--target) does not name");
        let estimate = pipeline::plan(&run, Path::new(&config.build.runs), &config.publish, observer.as_ref())?;
        let allowed = args.max_cost.unwrap_or(f64::INFINITY);
        if args.plan {
            return if args.json { json(&estimate) } else { say(&plan_text(&estimate, &config.publish.dynamodb)) };
        }
        if estimate.dollars > allowed {
            let EstimateSummary { dollars, write_units, .. } = estimate;
            return Err(PipelineError::TooDear { run: run.name().to_owned(), dollars, write_units, allowed }.into());
        }
    }
    let (done, outcome) = pipeline::publish(&run, Path::new(&config.build.runs), &config.publish, observer.as_ref());
    drop(observer);
    if args.json {
        json(&done)?;
    } else {
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
    }
    Ok(outcome?)
}

/// Opens a store that must be there: for questions none is made, so that a mistyped path does not look like a store that
/// nobody has published to.
fn existing(target: Target, config: &Config) -> anyhow::Result<Store> {
    let path = &config.publish.sqlite.path;
    anyhow::ensure!(
        target != Target::Sqlite || Path::new(path).exists(),
        "there is no SQLite file {path}: nothing has been published there, or publish.sqlite.path (--sqlite) is another"
    );
    Ok(pipeline::open_store(target, &config.publish).map_err(PipelineError::from)?)
}

/// Asks every configured store and prints the answers.
fn ask_all(
    args: &StoreArgs,
    as_json: bool,
    mut ask: impl FnMut(&mut Store) -> anyhow::Result<Status>,
) -> anyhow::Result<()> {
    let config = config(args)?;
    let mut answers = serde_json::Map::new();
    let several = config.publish.targets.len() > 1;
    for &target in &config.publish.targets {
        let mut store = existing(target, &config)?;
        let status = ask(&mut store)?;
        if as_json {
            answers.insert(target.name().to_owned(), serde_json::to_value(&status)?);
            continue;
        }
        if several {
            say(&format!("{} {}", target.name(), store.place))?;
        }
        say(&status_text(&status))?;
    }
    if as_json { json(&answers) } else { Ok(()) }
}

fn status(args: &StoreArgs, as_json: bool) -> anyhow::Result<()> {
    ask_all(args, as_json, |store| Ok(store.sink.status().map_err(PipelineError::from)?))
}

fn rollback(args: &StoreArgs, to: Option<i64>, as_json: bool) -> anyhow::Result<()> {
    ask_all(args, as_json, |store| Ok(store.sink.rollback(to.map(RunSequence)).map_err(PipelineError::from)?))
}

fn migrate(args: &StoreArgs) -> anyhow::Result<()> {
    let config = config(args)?;
    for &target in &config.publish.targets {
        let place = pipeline::migrate_store(target, &config.publish).map_err(PipelineError::from)?;
        say(&format!("{} {place} is up to date", target.name()))?;
    }
    Ok(())
}

fn verify(run: &str, args: &StoreArgs, as_json: bool) -> anyhow::Result<()> {
    let config = config(args)?;
    let run = open(&config, run)?;
    let mut audits = Vec::new();
    for &target in &config.publish.targets {
        existing(target, &config)?;
        audits.push(pipeline::audit(&run, target, &config.publish)?);
    }
    if as_json {
        json(&audits)?;
    } else {
        for audit in &audits {
            say(&audit_text(audit))?;
        }
    }
    let wrong: Vec<&str> = audits.iter().filter(|audit| !audit.is_right()).map(|audit| audit.place.as_str()).collect();
    anyhow::ensure!(wrong.is_empty(), "{} does not serve run {} as it was built", wrong.join(", "), run.name());
    Ok(())
}

fn audit_text(audit: &Audit) -> String {
    let sections = audit.expected.keys().chain(audit.found.keys()).collect::<std::collections::BTreeSet<_>>();
    let rows = sections.into_iter().map(|section| {
        let count = |side: &Expected| side.get(section).copied().unwrap_or_default();
        let (expected, found) = (count(&audit.expected), count(&audit.found));
        let verdict = if expected == found { "as built" } else { "DIFFERS" };
        vec![section.name().to_owned(), grouped(expected.n_lists), grouped(found.n_lists), verdict.to_owned()]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    format!("{} {}\n{}", audit.target, audit.place, table(&["section", "in the run", "served", ""], &[1, 2], rows))
}

fn plan_text(estimate: &EstimateSummary, config: &DynamoConfig) -> String {
    let rate = match config.max_write_units {
        0 => "at the 4,000 write units a second of a new table on demand".to_owned(),
        cap => format!("at publish.dynamodb.max_write_units = {cap}"),
    };
    let rows = [
        ("table", config.table.clone()),
        ("rows to write", grouped(estimate.rows)),
        ("  of them tombstones", grouped(estimate.gone)),
        ("rows that stay", grouped(estimate.kept)),
        (
            "bytes",
            format!(
                "{} (a row: p50 {}, p99 {})",
                bytes(estimate.bytes),
                grouped(estimate.bytes_p50.into()),
                grouped(estimate.bytes_p99.into())
            ),
        ),
        ("write units", grouped(estimate.write_units)),
        ("time", format!("{:.1} min {rate}", estimate.minutes)),
        (
            "cost",
            format!("${:.4}, and ${:.4} a month while these rows stay", estimate.dollars, estimate.dollars_a_month),
        ),
    ];
    let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]);
    table(&["", ""], &[], rows).trim_start_matches('\n').to_owned()
}

fn status_text(status: &Status) -> String {
    let rows = status.runs.iter().map(|run| {
        let mark = if Some(run.sequence) == status.current { "current" } else { "" };
        vec![run.sequence.to_string(), run.run.clone(), grouped(run.n_lists), run.committed_at.clone(), mark.to_owned()]
    });
    if status.runs.is_empty() {
        return "nothing is published yet".to_owned();
    }
    table(&["sequence", "run", "lists", "committed", ""], &[0, 2], rows)
}
