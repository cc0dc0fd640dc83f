//! Closing a run: report, manifest, commit.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    artifacts::{Content, Observed, Run, RunWriter, split_config},
    config::Config,
    events::Reason,
    report::{Stage, render},
};

use super::{
    PipelineError,
    facts::Facts,
    observer::Stages,
    report_data::report_data,
    summary::{Summary, left_aside, summary},
};

/// Config keys that do not determine the result.
pub(super) const OBSERVED_KEYS: [&str; 13] = [
    "build",
    "events.paths",
    "orders.paths",
    "orders.replica",
    "customers.paths",
    "customers.replica",
    "catalog.path",
    "campaigns.earlier_catalog",
    "evaluation",
    "publish",
    "s3",
    "tune",
    "emr",
];

/// A finished build.
#[derive(Debug)]
pub struct Built {
    /// The run, whole and listed.
    pub run: Run,
    /// What happened, in numbers.
    pub summary: Summary,
}

/// What is to be said of a build that other processes did a part of.
#[derive(Debug, Default)]
pub(super) struct Circumstances {
    /// For the manifest, beside what determines its hash.
    pub(super) notes: BTreeMap<String, Value>,
    /// The largest memory of the others.
    pub(super) peak_memory_bytes: u64,
}

/// Writes the report and the manifest, and commits the run.
pub(super) fn seal(
    config: &Config,
    writer: RunWriter,
    facts: &Facts,
    mut stages: Stages<'_>,
    circumstances: Circumstances,
) -> Result<Built, PipelineError> {
    let mut summary = summary(config, facts, &stages.done);
    summary.run = writer.name().to_owned();
    summary.peak_memory_bytes = summary.peak_memory_bytes.max(circumstances.peak_memory_bytes);
    let (content, mut observed) = manifest(config, facts);
    let data = report_data(config, facts, &summary, &stages.done);
    stages.run("write report", None, "bytes", |_| -> Result<_, PipelineError> {
        let page = render(&data)?;
        writer.observed_text("report.html", &page)?;
        Ok(((), page.len() as u64))
    })?;
    take_times(&mut summary, &stages);
    observed.timings_s.clone_from(&summary.timings_s);
    observed.peak_memory_bytes = summary.peak_memory_bytes;
    observed.notes.extend(circumstances.notes);
    observed.created_at = facts.options.now.to_string();
    let run = if writer.is_remote() {
        // Its time stands in the summary alone: the manifest is part of what is uploaded.
        let run = stages.run("upload run", None, "bytes", |_| {
            let run = writer.commit(content, observed)?;
            let n_bytes = run.manifest().files().map(|entry| entry.bytes).sum();
            Ok::<_, PipelineError>((run, n_bytes))
        })?;
        take_times(&mut summary, &stages);
        run
    } else {
        writer.commit(content, observed)?
    };
    summary.path = run.path().display().to_string();
    summary.content_sha256.clone_from(&run.manifest().content_sha256);
    Ok(Built { run, summary })
}

fn take_times(summary: &mut Summary, stages: &Stages<'_>) {
    summary.timings_s = stages.done.iter().map(|Stage { name, seconds, .. }| (name.clone(), *seconds)).collect();
    summary.seconds = summary.timings_s.iter().map(|(_, seconds)| seconds).sum();
}

fn manifest(config: &Config, facts: &Facts) -> (Content, Observed) {
    let whole = serde_json::to_value(config).expect("a config is plain data");
    let (config_content, config_observed) = split_config(whole, &OBSERVED_KEYS);
    let mut counts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    let mut put = |table: &str, entries: Vec<(&str, u64)>| {
        counts.insert(table.to_owned(), entries.into_iter().map(|(name, n)| (name.to_owned(), n)).collect());
    };
    let rejected =
        Reason::ALL.iter().filter_map(|reason| Some((reason.name(), *facts.counts.rejected.get(reason.name())?)));
    put("events.rejected", rejected.collect());
    put("events", vec![("rows", facts.counts.rows), ("accepted", facts.counts.accepted)]);
    put(
        "events.by_type",
        facts.counts.by_kind.iter().map(|(kind, n)| (facts.kinds[*kind as usize].name.as_str(), *n)).collect(),
    );
    let aside = left_aside(facts);
    put("left_aside", aside.iter().map(|(name, n)| (name.as_str(), *n)).collect());
    put(
        "interactions",
        vec![
            ("users", facts.learned.n_users as u64),
            ("training_users", facts.learned.n_training_users as u64),
            ("users_below_minimum", facts.learned.assembled.users_below_minimum),
            ("bots", facts.left_out.bots),
            ("items", facts.items.ids.len() as u64),
            ("items_below_minimum", facts.learned.assembled.items_below_minimum),
            ("eligible_items", facts.learned.n_eligible as u64),
            ("cells", facts.learned.n_cells as u64),
        ],
    );
    if let Some(n) = facts.learned.n_sampled_users {
        put("training_sample", vec![("users", n as u64)]);
    }
    put("lists.by_source", facts.lists.by_source.iter().map(|(name, n)| (name.as_str(), *n)).collect());
    put(
        "lists",
        vec![
            ("entries", facts.lists.n_entries),
            ("short", facts.lists.counts.n_short),
            ("similar", facts.learned.lists.similar_counts.n_lists),
            ("popular", facts.learned.lists.n_popular),
            ("bought_together", facts.learned.lists.bought_together_counts.n_lists),
            ("trending", facts.learned.lists.n_trending),
        ],
    );
    for (table, entries) in facts.people.counts() {
        put(table, entries);
    }
    for campaign in &facts.campaigns.campaigns {
        counts.insert(format!("campaign.{}", campaign.name), campaign.funnel.counts());
    }
    let losses: Vec<Value> = facts.learned.losses.iter().map(|(_, loss)| json!(loss)).collect();
    let model = config.model.kind.name();
    let mut metrics = BTreeMap::new();
    if !losses.is_empty() {
        metrics.insert(format!("{model}.loss"), json!(losses));
    }
    let n_campaigns = facts.campaigns.campaigns.len();
    if n_campaigns > 0 {
        let rows: Vec<&[u64]> = facts.campaigns.overlap.chunks(n_campaigns).collect();
        metrics.insert("campaigns.overlap".to_owned(), json!(rows));
    }
    let content = Content {
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        seed: config.model.als.seed,
        as_of: facts.as_of.and_then(|at| jiff::Timestamp::from_second(at.unix()).ok()).map(|at| at.to_string()),
        n_buckets: config.interactions.n_buckets,
        config: config_content,
        inputs: facts.inputs.content.iter().chain(&facts.campaigns.inputs).cloned().collect(),
        counts,
        metrics,
        ..Content::default()
    };
    let observed = Observed {
        n_threads: rayon::current_num_threads(),
        config: config_observed,
        inputs: facts.inputs.observed.iter().chain(&facts.campaigns.inputs_observed).cloned().collect(),
        notes: facts.people.notes(),
        ..Observed::default()
    };
    (content, observed)
}
