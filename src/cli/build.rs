//! `nightshelf build`.

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use crate::{
    config::{Loaded, Overrides, load},
    pipeline::{BuildOptions, Published, Summary, build, create_tables, publish, runs_root},
    storage::Storage,
};

use super::{
    args::{BuildArgs, ConfigSource, Global},
    output::{bytes, grouped, json, say, table},
    progress,
};

/// Loads the config of a command; `sets` of flags stand above those of `--set`.
pub(super) fn config(source: &ConfigSource, sets: Vec<String>) -> anyhow::Result<Loaded> {
    let here = std::path::Path::new("nightshelf.toml");
    let path = source.config.as_deref().or_else(|| here.is_file().then_some(here));
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let sets = source.sets.iter().cloned().chain(sets).collect();
    Ok(load(path, &Overrides { variables, sets })?)
}

/// `key = value` for a flag's text.
pub(super) fn set(key: &str, value: Option<&str>) -> Option<String> {
    value.map(|value| format!("{key}={}", toml::Value::String(value.to_owned())))
}

/// `publish.targets` as flags name them: `none` for no store at all.
pub(super) fn targets(names: &[String]) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let names = names.iter().filter(|name| *name != "none").cloned().map(toml::Value::String).collect();
    Some(format!("publish.targets={}", toml::Value::Array(names)))
}

fn sets(args: &BuildArgs) -> Vec<String> {
    let list = |paths: &[String]| toml::Value::Array(paths.iter().cloned().map(toml::Value::String).collect());
    let events = (!args.events.is_empty()).then(|| format!("events.paths={}", list(&args.events)));
    let targets = targets(&args.publish);
    [
        events,
        targets,
        set("events.preset", args.preset.as_deref()),
        set("catalog.path", args.catalog.as_deref()),
        set("model.kind", args.model.as_deref()),
        set("events.as_of", args.as_of.as_deref()),
        set("build.runs", args.runs.as_deref()),
        set("publish.sqlite.path", args.sqlite.as_deref()),
        args.k.map(|k| format!("recommendations.k={k}")),
        args.threads.map(|threads| format!("build.threads={threads}")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    published: &'a [Published],
}

pub(super) fn run(args: &BuildArgs, global: &Global) -> anyhow::Result<()> {
    let config = config(&args.source, sets(args))?.config;
    if config.events.paths.is_empty() {
        let message = "events.paths is empty: name the events in the config file or with --events".to_owned();
        return Err(crate::config::ConfigError::Value(message).into());
    }
    if args.create_tables {
        create_tables(&config.publish, false)?;
    }
    let observer = progress::observer(global);
    let options = BuildOptions { run: args.run.clone(), now: jiff::Timestamp::now() };
    let built = build(&config, &options, observer.as_ref())?;
    let root = runs_root(&config, &Storage::new(config.s3.clone()))?;
    let (published, outcome) = publish(&built.run, &root, &config.publish, None, observer.as_ref());
    drop(observer);
    if args.json {
        json(&Outcome { summary: &built.summary, published: &published })?;
    } else {
        say(&text(&built.summary, &published))?;
    }
    // The run is whole and listed; only its publishing is left to do.
    let again =
        || format!("run {} is built; `nightshelf publish {0}` publishes it once this is mended", built.summary.run);
    outcome.with_context(again)
}

/// The summary as a table.
fn text(summary: &Summary, published: &[Published]) -> String {
    let n = grouped;
    let parts = |counts: &std::collections::BTreeMap<String, u64>| {
        let mut counts: Vec<_> = counts.iter().collect();
        counts.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
        counts.iter().map(|(name, count)| format!("{name} {}", n(**count))).collect::<Vec<_>>().join(", ")
    };
    let n_rejected: u64 = summary.rejected.values().sum();
    let share = 100.0 * n_rejected as f64 / summary.rows.max(1) as f64;
    let mut rows: Vec<(&str, String)> = vec![("run", summary.run.clone())];
    if let Some(as_of) = &summary.as_of {
        rows.push(("as of", as_of.clone()));
    }
    rows.push(("rows read", n(summary.rows)));
    let rejected = if n_rejected == 0 { "0".into() } else { format!("{} ({share:.2} %)", n(n_rejected)) };
    rows.push(("  rejected", join(&rejected, &parts(&summary.rejected))));
    rows.push(("  left aside", parts(&summary.left_aside)));
    rows.push(("  events", parts(&summary.events)));
    rows.push((
        "interactions",
        format!("{} of {} users and {} items", n(summary.interactions), n(summary.users), n(summary.items)),
    ));
    let loss = summary.loss.map_or_else(String::new, |loss| format!(", loss {loss:.6e}"));
    let sampled = summary.sampled_users.map_or_else(String::new, |sampled| {
        format!(", trained on {} of {} users", n(sampled), n(summary.training_users))
    });
    rows.push(("model", format!("{}{loss}{sampled}", summary.model)));
    let n_lists: u64 = summary.lists.values().sum();
    let lists = format!("{} of up to {} items", n(n_lists), summary.k);
    rows.push(("lists", join(&lists, &parts(&summary.lists))));
    let covered =
        format!("{:.1} % of {} eligible items are on some list", 100.0 * summary.coverage, n(summary.eligible_items));
    rows.push(("  coverage", covered));
    rows.push(("similar items", format!("{} lists", n(summary.similar_lists))));
    rows.push(("popular", format!("{} lists", n(summary.popular_lists))));
    let (lists, baskets) = (n(summary.bought_together_lists), n(summary.baskets));
    let too_large = match summary.baskets_too_large {
        0 => String::new(),
        many => format!(", {} too large to say what goes together", n(many)),
    };
    rows.push(("together", format!("{lists} lists, from {baskets} baskets{too_large}")));
    rows.push(("trending", format!("{} lists", n(summary.trending_lists))));
    for campaign in &summary.campaigns {
        let funnel = &campaign.funnel;
        let held = if funnel.holdout == 0 { String::new() } else { format!(", {} held out", n(funnel.holdout)) };
        let text = format!("{}: {} to write to{held}, of {} matched", campaign.name, n(funnel.send), n(funnel.matched));
        rows.push(("campaign", text));
    }
    for warning in &summary.warnings {
        rows.push(("warning", warning.clone()));
    }
    let stages = summary.timings_s.iter().map(|(stage, seconds)| format!("{stage} {seconds:.1}"));
    let memory = bytes(summary.peak_memory_bytes);
    rows.push((
        "time",
        format!("{:.1} s ({}); peak memory {memory}", summary.seconds, stages.collect::<Vec<_>>().join(", ")),
    ));
    rows.push(("directory", summary.path.clone()));
    rows.push(("report", format!("{}/report.html", summary.path)));
    rows.push(("content hash", summary.content_sha256.clone()));
    for done in published {
        let committed = &done.committed;
        rows.push((
            "published",
            format!(
                "{} {}: sequence {}, {} lists in {:.1} s",
                done.target,
                done.place,
                committed.sequence,
                n(committed.n_lists),
                done.seconds
            ),
        ));
    }
    let rows = rows.into_iter().filter(|(_, value)| !value.is_empty());
    let rows: Vec<Vec<String>> = rows.map(|(name, value)| vec![name.to_owned(), value]).collect();
    table(&["", ""], &[], rows).trim_start_matches('\n').to_owned()
}

fn join(total: &str, parts: &str) -> String {
    if parts.is_empty() { total.to_owned() } else { format!("{total}: {parts}") }
}

/// A value as compact text for tables.
pub(super) fn compact(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
