//! `nightshelf runs`.

use serde_json::json as object;

use crate::{
    artifacts::{DiffOptions, Manifest, RunDiff, RunsRoot, diff, list_runs, open_run, prune, verify},
    pipeline::PipelineError,
};

use super::{
    args::{Global, RunsArgs, RunsCommand},
    ask::runs_root,
    build::compact,
    output::{bytes, grouped, json, say, table},
};

/// Movers named by a diff.
const N_MOVERS: usize = 10;

pub(super) fn run(args: &RunsArgs, _: &Global) -> anyhow::Result<()> {
    match &args.command {
        RunsCommand::List { source, json } => list(&runs_root(source)?, *json),
        RunsCommand::Show { source, run, json } => show(&runs_root(source)?, run, *json),
        RunsCommand::Diff { source, a, b, json: as_json } => {
            let root = runs_root(source)?;
            let open = |run: &str| open_run(&root, run).map_err(PipelineError::from);
            let changes =
                diff(&open(a)?, &open(b)?, DiffOptions { n_movers: N_MOVERS }).map_err(PipelineError::from)?;
            if *as_json { json(&changes) } else { say(&diff_text(&changes)) }
        }
        RunsCommand::Verify { source, run } => check(&runs_root(source)?, run),
        RunsCommand::Prune { source, keep, dry_run } => {
            let pruned = prune(&runs_root(source)?, *keep, *dry_run).map_err(PipelineError::from)?;
            let verb = if *dry_run { "would remove" } else { "removed" };
            for run in &pruned.removed {
                say(&format!("{verb} {run}"))?;
            }
            say(&format!(
                "{verb} {} runs, {}; {} stay",
                pruned.removed.len(),
                bytes(pruned.removed_bytes),
                pruned.kept.len()
            ))
        }
    }
}

fn count(manifest: &Manifest, table: &str, name: &str) -> u64 {
    manifest.content.counts.get(table).and_then(|counts| counts.get(name)).copied().unwrap_or(0)
}

fn model(manifest: &Manifest) -> String {
    manifest.content.config.pointer("/model/kind").map_or_else(String::new, compact)
}

fn list(root: &RunsRoot, as_json: bool) -> anyhow::Result<()> {
    let listing = list_runs(root).map_err(PipelineError::from)?;
    for damaged in &listing.damaged {
        tracing::warn!(run = damaged.name, error = %damaged.error, "a directory with an unusable manifest");
    }
    let seconds = |manifest: &Manifest| manifest.observed.timings_s.iter().map(|(_, s)| s).sum::<f64>();
    if as_json {
        let runs = listing.runs.iter().map(|run| {
            let manifest = run.manifest();
            object!({
                "run": run.name(),
                "path": run.path(),
                "created_at": manifest.observed.created_at,
                "as_of": manifest.content.as_of,
                "model": model(manifest),
                "users": count(manifest, "interactions", "users"),
                "items": count(manifest, "interactions", "items"),
                "interactions": count(manifest, "interactions", "cells"),
                "seconds": seconds(manifest),
                "content_sha256": manifest.content_sha256,
            })
        });
        return json(&runs.collect::<Vec<_>>());
    }
    if listing.runs.is_empty() {
        return say(&format!("no runs in {}", root.path().display()));
    }
    let rows = listing.runs.iter().map(|run| {
        let manifest = run.manifest();
        vec![
            run.name().to_owned(),
            manifest.observed.created_at.split('.').next().unwrap_or_default().to_owned(),
            model(manifest),
            grouped(count(manifest, "interactions", "users")),
            grouped(count(manifest, "interactions", "items")),
            grouped(count(manifest, "interactions", "cells")),
            format!("{:.1}", seconds(manifest)),
            manifest.content_sha256.chars().take(12).collect(),
        ]
    });
    say(&table(&["run", "created", "model", "users", "items", "interactions", "seconds", "hash"], &[3, 4, 5, 6], rows))
}

fn show(root: &RunsRoot, which: &str, as_json: bool) -> anyhow::Result<()> {
    let run = open_run(root, which).map_err(PipelineError::from)?;
    let manifest = run.manifest();
    if as_json {
        return json(manifest);
    }
    let mut rows = vec![
        vec!["run".into(), run.name().to_owned()],
        vec!["directory".into(), run.path().display().to_string()],
        vec!["created".into(), manifest.observed.created_at.clone()],
        vec!["as of".into(), manifest.content.as_of.clone().unwrap_or_else(|| "no times".into())],
        vec!["program".into(), manifest.content.program_version.clone()],
        vec!["model".into(), model(manifest)],
        vec!["content hash".into(), manifest.content_sha256.clone()],
        vec![
            "files".into(),
            format!("{}, {}", manifest.files().count(), bytes(manifest.files().map(|f| f.bytes).sum())),
        ],
        vec!["peak memory".into(), bytes(manifest.observed.peak_memory_bytes)],
    ];
    for (stage, seconds) in &manifest.observed.timings_s {
        rows.push(vec![format!("  {stage}"), format!("{seconds:.2} s")]);
    }
    for (table, counts) in &manifest.content.counts {
        for (name, n) in counts {
            rows.push(vec![format!("{table}.{name}"), grouped(*n)]);
        }
    }
    for (folder, n) in &manifest.content.rows {
        rows.push(vec![format!("rows of {folder}"), grouped(*n)]);
    }
    say(table(&["", ""], &[], rows).trim_start_matches('\n'))
}

fn check(root: &RunsRoot, which: &str) -> anyhow::Result<()> {
    let run = open_run(root, which).map_err(PipelineError::from)?;
    let checked = verify(&run).map_err(PipelineError::from)?;
    if checked.problems.is_empty() {
        return say(&format!(
            "{}: {} files, {}, all as the manifest says",
            run.name(),
            checked.n_files,
            bytes(checked.bytes)
        ));
    }
    for problem in &checked.problems {
        say(&format!("{}: {}", problem.path, problem.what))?;
    }
    anyhow::bail!(
        "run {} is damaged: {} of {} files are not what its manifest says",
        run.name(),
        checked.problems.len(),
        checked.n_files
    )
}

fn diff_text(changes: &RunDiff) -> String {
    let mut text = format!("{} -> {}", changes.a, changes.b);
    if changes.same_content {
        text.push_str("\nthe same content, byte for byte");
        return text;
    }
    let show = |value: &Option<serde_json::Value>| value.as_ref().map_or_else(|| "-".to_owned(), compact);
    let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), grouped);
    let mut rows: Vec<Vec<String>> = Vec::new();
    for change in &changes.config {
        rows.push(vec![format!("config {}", change.key), show(&change.a), show(&change.b)]);
    }
    for change in &changes.counts {
        rows.push(vec![change.key.clone(), number(change.a), number(change.b)]);
    }
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table(&["", &changes.a, &changes.b], &[1, 2], rows));
    }
    let lists = &changes.recommendations;
    let overlap = lists.mean_overlap_at_k.map_or_else(|| "-".to_owned(), |overlap| format!("{:.1} %", overlap * 100.0));
    text.push_str(&format!(
        "\nlists: {} added, {} removed, {} changed, {} rescored, {} the same; mean overlap {overlap}",
        grouped(lists.users_added),
        grouped(lists.users_removed),
        grouped(lists.users_changed),
        grouped(lists.users_rescored),
        grouped(lists.users_same),
    ));
    if !lists.user_movers.is_empty() {
        let movers = lists
            .user_movers
            .iter()
            .map(|user| vec![user.user_id.clone(), format!("{:.0} %", user.overlap_at_k * 100.0)]);
        text.push_str("\nleast alike:\n");
        text.push_str(&table(&["user", "overlap"], &[1], movers));
    }
    if !lists.item_movers.is_empty() {
        let movers = lists.item_movers.iter().map(|item| vec![item.item_id.clone(), grouped(item.a), grouped(item.b)]);
        text.push_str("\non more or fewer lists:\n");
        text.push_str(&table(&["item", "before", "after"], &[1, 2], movers));
    }
    text
}
