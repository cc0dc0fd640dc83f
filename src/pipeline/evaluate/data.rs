//! Reading the data once, and dealing it into folds.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    catalog::{CatalogError, read_catalog},
    config::Config,
    evaluation::SplitKind,
    events::{Counts, Shard, parse_instant},
    ids::IdTable,
    interactions::{DAY, Decay, HoldOut, Kind, Role, Stamp, window_start},
    pipeline::{BuildOptions, Observer, PipelineError, build::read, number_items, observer::Stages},
    recommendations::Catalog,
    report::Stage,
    storage::Storage,
};

use super::fold::{Deal, Fold, Plan};

/// What evaluation reads besides the config.
#[derive(Debug, Clone)]
pub struct EvaluationInputs {
    /// Training events instead of the configured ones; empty for those.
    pub train: Vec<String>,
    /// Test events; empty for a split of the training events.
    pub test: Vec<String>,
    /// The clock: events more than a day later are rejected.
    pub now: Timestamp,
    /// Whether the time of each training pair is kept, for writing the split and for models of recency.
    pub keep_times: bool,
}

/// Data read once and dealt into folds: any number of models and settings can be tried on it.
#[derive(Debug)]
pub struct EvaluationData {
    /// Oldest first.
    pub folds: Vec<Fold>,
    /// What was read.
    pub facts: DataFacts,
    /// Whether events carry a time.
    pub timed: bool,
    /// Stages with their times.
    pub stages: Vec<Stage>,
}

/// What was read, and how it was dealt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataFacts {
    /// How the rows were split, in words.
    pub split: String,
    /// The event types that make an item relevant.
    pub test_types: Vec<String>,
    /// Rows read, test files included.
    pub rows: u64,
    /// Of these, rejected.
    pub rejected: u64,
}

/// Rows at hand, numbered.
pub(super) struct Reading<'a> {
    pub(super) config: &'a Config,
    pub(super) kinds: Vec<Kind>,
    pub(super) test_kinds: Vec<bool>,
    /// Those of training first.
    pub(super) shards: Vec<Shard>,
    pub(super) n_train_shards: usize,
    pub(super) item_places: Vec<Vec<u32>>,
    pub(super) all_items: IdTable,
    pub(super) catalog: Catalog,
    pub(super) decay: Decay,
    pub(super) timed: bool,
}

impl EvaluationData {
    /// Reads the events once and deals them into folds as `[evaluation]` says.
    ///
    /// Training is aggregated, filtered and weighted exactly as a build with the fold's `as_of` would have done.
    ///
    /// # Errors
    /// Whatever stops reading; a split by time of events without times; a fold without users to test.
    ///
    /// Determinism: for any number of threads and any order of files.
    /// Cost: the rows stay in memory until the last fold is made; a fold keeps 12 bytes an interaction.
    pub fn prepare(config: &Config, inputs: &EvaluationInputs, on: &dyn Observer) -> Result<Self, PipelineError> {
        let mut stages = Stages::new(on);
        let kinds = config.kinds().map_err(PipelineError::Config)?;
        let test_kinds = test_kinds(config, &kinds);
        let storage = Storage::new(config.s3.clone());
        if let Some(path) = &config.catalog.path {
            storage.list(std::slice::from_ref(path), &[".parquet", ".csv"]).map_err(CatalogError::from)?;
        }
        let by_time = inputs.test.is_empty() && config.evaluation.split == SplitKind::Time;
        if !inputs.test.is_empty() {
            // Reading training takes longer; that the test is missing should not wait for it.
            storage.list(&inputs.test, &[".parquet", ".parq", ".pq"])?;
        }
        let options = BuildOptions { run: None, now: inputs.now };
        let mut of_train = config.clone();
        if !inputs.train.is_empty() {
            of_train.events.paths.clone_from(&inputs.train);
        }
        if by_time {
            // Each fold has a window of its own.
            of_train.events.window_days = None;
        }
        let scan = read(&of_train, &kinds, &storage, &options, &mut stages)?;
        let (mut shards, scan) = scan.split();
        let n_train_shards = shards.len();
        let (mut rows, mut rejected) = (scan.counts.rows, scan.counts.n_rejected());
        if !inputs.test.is_empty() {
            let (more, counts) = read_test(config, inputs, &kinds, &storage, &options, &mut stages)?;
            shards.extend(more);
            rows += counts.rows;
            rejected += counts.n_rejected();
        }
        let (all_items, item_places) = number_items(&shards);
        let (catalog, _) = stages.run("read catalogue", None, "rows", |_| {
            read_catalog(&config.catalog, &storage, &all_items).map(|(catalog, report)| {
                let n_rows = report.rows;
                ((catalog, report), n_rows)
            })
        })?;
        let plans = if inputs.test.is_empty() {
            plans(config, scan.as_of, scan.since)?
        } else {
            let name = "test files".to_owned();
            vec![Plan { name, deal: Deal::Given, as_of: scan.as_of, since: scan.since }]
        };
        let facts = DataFacts {
            split: in_words(config, inputs, &plans),
            test_types: kinds
                .iter()
                .zip(&test_kinds)
                .filter(|(_, test)| **test)
                .map(|(kind, _)| kind.name.clone())
                .collect(),
            rows,
            rejected,
        };
        let reading = Reading {
            config,
            kinds,
            test_kinds,
            shards,
            n_train_shards,
            item_places,
            all_items,
            catalog,
            decay: Decay::new(),
            timed: scan.timed,
        };
        let mut folds = Vec::with_capacity(plans.len());
        for plan in &plans {
            folds.push(stages.run("split", None, "test users", |_| {
                let fold = reading.fold(plan, inputs.keep_times)?;
                let n_users = fold.counts.test_users;
                Ok::<_, PipelineError>((fold, n_users))
            })?);
        }
        Ok(Self { folds, facts, timed: scan.timed, stages: stages.done })
    }
}

/// By kind: whether its events make an item relevant.
fn test_kinds(config: &Config, kinds: &[Kind]) -> Vec<bool> {
    let named = &config.evaluation.test_types;
    if !named.is_empty() {
        return kinds.iter().map(|kind| named.contains(&kind.name)).collect();
    }
    if kinds.iter().any(|kind| kind.role == Role::Purchase) {
        return kinds.iter().map(|kind| kind.role == Role::Purchase).collect();
    }
    kinds.iter().map(|kind| kind.weight > 0.0).collect()
}

/// Reads test files: all of their rows, whatever window training has.
fn read_test(
    config: &Config,
    inputs: &EvaluationInputs,
    kinds: &[Kind],
    storage: &Storage,
    options: &BuildOptions,
    stages: &mut Stages<'_>,
) -> Result<(Vec<Shard>, Counts), PipelineError> {
    let mut of_test = config.clone();
    of_test.events.paths.clone_from(&inputs.test);
    of_test.events.since = None;
    of_test.events.until = None;
    of_test.events.as_of = None;
    of_test.events.window_days = None;
    of_test.orders.purchases_from = crate::events::PurchaseSource::Events;
    let (shards, scan) = read(&of_test, kinds, storage, options, stages)?.split();
    Ok((shards, scan.counts))
}

/// The folds of a split of the training events.
fn plans(config: &Config, as_of: Option<Stamp>, since: Option<Stamp>) -> Result<Vec<Plan>, PipelineError> {
    let settings = &config.evaluation;
    let untimed = |split: &str| {
        PipelineError::Config(format!(
            "evaluation.split \"{split}\" needs to know when events happened, and they carry no time: name the column in \
             events.columns.timestamp, take evaluation.split \"ratio\", or give test files with --test"
        ))
    };
    match settings.split {
        SplitKind::Time => time_plans(config, as_of.ok_or_else(|| untimed("time"))?),
        SplitKind::LeaveLast => {
            as_of.ok_or_else(|| untimed("leave_last"))?;
            let deal = Deal::HoldOut(HoldOut::Last(settings.leave_last));
            Ok(vec![Plan { name: format!("last {} of each user", settings.leave_last), deal, as_of, since }])
        }
        SplitKind::Ratio => {
            let how = HoldOut::Ratio { ratio: settings.ratio, seed: settings.seed };
            let name = format!("{} of each user's pairs", settings.ratio);
            Ok(vec![Plan { name, deal: Deal::HoldOut(how), as_of, since }])
        }
    }
}

fn time_plans(config: &Config, end: Stamp) -> Result<Vec<Plan>, PipelineError> {
    let settings = &config.evaluation;
    let length = settings.test_days.saturating_mul(DAY);
    let mut starts: Vec<Stamp> = Vec::new();
    for text in &settings.test_starts {
        let start = parse_instant(text, false)
            .map_err(|why| PipelineError::Config(format!("evaluation.test_starts: {why}")))?;
        starts.push(start);
    }
    if starts.is_empty() {
        // Whole days; the last one is that of the newest event.
        for back in (1..=settings.folds as u64).rev() {
            let days = u64::from(settings.test_days) * back;
            let day = u64::from(end.day() + 1).checked_sub(days).filter(|day| *day > 0).ok_or_else(|| {
                PipelineError::NoTest(format!(
                    "{} tests of {} days reach back before all events",
                    settings.folds, settings.test_days
                ))
            })?;
            starts.push(Stamp(day as u32 * DAY));
        }
    }
    starts.sort_unstable();
    starts.dedup();
    let plan = |from: Stamp| {
        if from > end || from.0 == 0 {
            let (from, end) = (day(from), day(end));
            return Err(PipelineError::NoTest(format!("the test from {from} begins after the last event, of {end}")));
        }
        let until = Stamp(from.0.saturating_add(length - 1).min(end.0));
        // The last instant of training: `build --as-of` of it gives the same weights.
        let as_of = Stamp(from.0 - 1);
        let since = config.events.window_days.map(|days| window_start(as_of, days));
        // The last test ends with the newest event: its day says enough.
        let last_day = Stamp(until.0 / DAY * DAY);
        let name = format!("{} to {}", day(from), day(if from.0.is_multiple_of(DAY) { last_day } else { until }));
        Ok(Plan { name, deal: Deal::Time { from, until }, as_of: Some(as_of), since })
    };
    starts.into_iter().map(plan).collect()
}

/// The day of an instant; its time, too, where it is not midnight or the last second.
fn day(at: Stamp) -> String {
    let format = if matches!(at.0 % DAY, 0) || at.0 % DAY == DAY - 1 { "%Y-%m-%d" } else { "%Y-%m-%dT%H:%M:%SZ" };
    Timestamp::from_second(at.unix()).map_or_else(|_| at.unix().to_string(), |at| at.strftime(format).to_string())
}

fn in_words(config: &Config, inputs: &EvaluationInputs, plans: &[Plan]) -> String {
    let settings = &config.evaluation;
    if !inputs.test.is_empty() {
        return format!("test files {}", inputs.test.join(", "));
    }
    match settings.split {
        SplitKind::Time => {
            let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
            format!("by time, tested on {}", names.join("; "))
        }
        SplitKind::LeaveLast => format!("the last {} of each user's pairs held out", settings.leave_last),
        SplitKind::Ratio => format!("{} of each user's pairs held out, seed {}", settings.ratio, settings.seed),
    }
}
