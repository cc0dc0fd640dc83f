//! Evaluation: data read once, models trained and measured on each fold, put side by side.

mod data;
mod fold;
mod foreign;
mod page;
mod score;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Serialize;

pub use data::{DataFacts, EvaluationData, EvaluationInputs};
pub use fold::{Fold, FoldCounts, Training};
pub use foreign::ForeignFacts;
pub use score::score;
pub(super) use score::score_with;

use crate::{
    config::Config,
    evaluation::{Comparison, FoldScores, Interval, Metric, ModelRuns, TestSet, compare, segments},
    exchange::{SplitRows, UserRows, UserTable, read_lists, write_split},
    model::ModelKind,
    report::Stage,
    storage::Storage,
};

use super::{Observer, PipelineError, observer::Stages};

/// A model to evaluate: a whole config and a name for it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its name in tables.
    pub name: String,
    /// The config: its data, model and rules. `[evaluation]` of the first candidate holds for all.
    pub config: Config,
}

/// What an evaluation needs besides its candidates.
#[derive(Debug, Clone, Default)]
pub struct EvaluationOptions {
    /// Training events instead of the configured ones; empty for those.
    pub train: Vec<String>,
    /// Test events; empty for a split.
    pub test: Vec<String>,
    /// Lists of other programs: (name, location).
    pub lists: Vec<(String, String)>,
    /// Where to write `train.parquet` and `test.parquet` of each fold.
    pub export: Option<PathBuf>,
    /// Where to write the metrics of every user.
    pub per_user: Option<PathBuf>,
    /// Where to write the page.
    pub report: Option<PathBuf>,
    /// The clock.
    pub now: Timestamp,
}

/// A finished evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// What was read, and how it was dealt.
    pub data: DataFacts,
    /// The folds, oldest first.
    pub folds: Vec<FoldFacts>,
    /// How lists of other programs fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ForeignFacts>,
    /// Models side by side, best first.
    pub comparison: Comparison,
    /// What the reader should know before trusting the numbers.
    pub warnings: Vec<String>,
    /// Seconds by stage.
    pub timings_s: Vec<(String, f64)>,
    /// Seconds altogether.
    pub seconds: f64,
    /// Largest resident memory.
    pub peak_memory_bytes: u64,
}

/// A fold, in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoldFacts {
    /// Its name.
    pub name: String,
    /// The last instant of training, where the split is by time.
    pub as_of: Option<String>,
    /// What went into it.
    #[serde(flatten)]
    pub counts: FoldCounts,
}

/// Evaluates candidates side by side; a `popularity` run is added unless there is one.
///
/// # Errors
/// Whatever stops reading, splitting, training or writing; candidates whose configs lead to different tests.
///
/// Determinism: all numbers but seconds and memory are the same for any number of threads.
/// Cost: data are read once for each distinct set of `[events]`, `[orders]`, `[event_types]`, `[interactions]` and
/// `[catalog]` among the candidates.
pub fn evaluate(
    candidates: &[Candidate],
    options: &EvaluationOptions,
    on: &dyn Observer,
) -> Result<Evaluation, PipelineError> {
    let Some(first) = candidates.first() else {
        return Err(PipelineError::Config("there is no model to evaluate".into()));
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(first.config.build.threads)
        .build()
        .map_err(|error| PipelineError::Config(format!("build.threads: {error}")))?;
    pool.install(|| evaluate_here(candidates, &first.config, options, on))
}

fn evaluate_here(
    candidates: &[Candidate],
    reference: &Config,
    options: &EvaluationOptions,
    on: &dyn Observer,
) -> Result<Evaluation, PipelineError> {
    let settings = &reference.evaluation;
    let candidates = with_popularity(candidates, reference);
    let inputs = EvaluationInputs {
        train: options.train.clone(),
        test: options.test.clone(),
        now: options.now,
        keep_times: options.export.is_some() || candidates.iter().any(|candidate| candidate.config.model.needs_times()),
    };
    let data = EvaluationData::prepare(reference, &inputs, on)?;
    if !options.lists.is_empty() && data.folds.len() > 1 {
        return Err(PipelineError::Config(format!(
            "lists of other programs are made for one split, and this one has {} folds; set evaluation.folds to 1",
            data.folds.len()
        )));
    }
    let mut stages = Stages { on, done: data.stages.clone() };
    if let Some(folder) = &options.export {
        stages.run("export split", None, "folds", |_| export(folder, &data).map(|()| ((), data.folds.len() as u64)))?;
    }

    let mut runs: Vec<Option<ModelRuns>> = vec![None; candidates.len()];
    for group in groups(&candidates, reference) {
        let other = if group.own_data {
            let mut config = candidates[group.members[0]].config.clone();
            config.evaluation = settings.clone();
            config.interactions.n_buckets = reference.interactions.n_buckets;
            let other = EvaluationData::prepare(&config, &inputs, on)?;
            stages.done.extend(other.stages.iter().cloned());
            same_tests(&data, &other, &candidates[0].name, &candidates[group.members[0]].name)?;
            Some(other)
        } else {
            None
        };
        for &member in &group.members {
            runs[member] = Some(run(&candidates[member], other.as_ref().unwrap_or(&data), reference, on, &mut stages)?);
        }
    }
    let mut runs: Vec<ModelRuns> = runs.into_iter().flatten().collect();
    let mut foreign = Vec::new();
    let storage = Storage::new(reference.s3.clone());
    for (name, path) in &options.lists {
        let (scores, facts) = stages.run("read lists", None, "lists", |_| -> Result<_, PipelineError> {
            let lists = read_lists(&storage, path)?;
            let n_lists = lists.users.len() as u64;
            let (ranked, facts) = foreign::align(name, &lists, &data.folds[0]);
            let eligible = score::eligible_items(&data.folds[0], &reference.recommendations)?;
            Ok(((score::measure(&data.folds[0], &ranked, &eligible, &settings.ks), facts), n_lists))
        })?;
        runs.push(ModelRuns { name: name.clone(), kind: "lists".to_owned(), folds: vec![scores] });
        foreign.push(facts);
    }
    names_differ(&runs)?;

    if let Some(path) = &options.per_user {
        stages.run("write users", None, "rows", |_| write_users(path, &data.folds, &runs))?;
    }
    let names: Vec<String> = data.folds.iter().map(|fold| fold.name.clone()).collect();
    let tests: Vec<&TestSet> = data.folds.iter().map(|fold| &fold.test).collect();
    let comparison = stages.run("compare", None, "models", |_| -> Result<_, PipelineError> {
        let found = compare(&runs, &names, &people(&tests), &segments(&tests), settings);
        Ok((found, runs.len() as u64))
    })?;
    let mut done = Evaluation {
        folds: data.folds.iter().map(fold_facts).collect(),
        warnings: warnings(&data, &foreign, &comparison),
        data: data.facts,
        lists: foreign,
        comparison,
        timings_s: Vec::new(),
        seconds: 0.0,
        peak_memory_bytes: crate::telemetry::peak_memory_bytes().unwrap_or(0),
    };
    if let Some(path) = &options.report {
        page::write(path, &done, reference, options.now)?;
    }
    done.timings_s = merged(&stages.done);
    done.seconds = done.timings_s.iter().map(|(_, seconds)| seconds).sum();
    Ok(done)
}

/// Adds the run that validates the evaluator: anybody can count popularity by hand.
fn with_popularity(candidates: &[Candidate], reference: &Config) -> Vec<Candidate> {
    let mut all = candidates.to_vec();
    if !all.iter().any(|candidate| candidate.config.model.kind == ModelKind::Popularity) {
        let mut config = reference.clone();
        config.model.kind = ModelKind::Popularity;
        all.push(Candidate { name: ModelKind::Popularity.name().to_owned(), config });
    }
    all
}

/// Candidates that train on the same data.
struct Group {
    members: Vec<usize>,
    /// Whether these are other data than the first candidate's.
    own_data: bool,
}

fn groups(candidates: &[Candidate], reference: &Config) -> Vec<Group> {
    let same = |a: &Config, b: &Config| {
        let buckets = |config: &Config| {
            let mut interactions = config.interactions.clone();
            interactions.n_buckets = reference.interactions.n_buckets;
            interactions
        };
        a.events == b.events
            && a.orders == b.orders
            && a.event_types == b.event_types
            && a.catalog == b.catalog
            && buckets(a) == buckets(b)
    };
    let mut groups: Vec<Group> = Vec::new();
    for (member, candidate) in candidates.iter().enumerate() {
        match groups.iter_mut().find(|group| same(&candidates[group.members[0]].config, &candidate.config)) {
            Some(group) => group.members.push(member),
            None => groups.push(Group { members: vec![member], own_data: !same(reference, &candidate.config) }),
        }
    }
    groups
}

/// Refuses to compare what was tested on different people or items.
fn same_tests(a: &EvaluationData, b: &EvaluationData, first: &str, second: &str) -> Result<(), PipelineError> {
    let n_relevant = |fold: &Fold| fold.test.relevant.indptr.clone();
    let same = a.folds.len() == b.folds.len()
        && a.folds.iter().zip(&b.folds).all(|(a, b)| a.test.users == b.test.users && n_relevant(a) == n_relevant(b));
    if same {
        return Ok(());
    }
    let total = |data: &EvaluationData| {
        let (users, pairs) =
            data.folds.iter().fold((0, 0), |sum, fold| (sum.0 + fold.counts.test_users, sum.1 + fold.counts.relevant));
        format!("{users} users with {pairs} relevant items")
    };
    Err(PipelineError::Config(format!(
        "`{first}` and `{second}` are not tested on the same: {} and {}; their events, bot limits or exclusion rules differ. \
         evaluation.repeats = \"allow\" takes the exclusion rules out",
        total(a),
        total(b)
    )))
}

fn run(
    candidate: &Candidate,
    data: &EvaluationData,
    reference: &Config,
    on: &dyn Observer,
    stages: &mut Stages<'_>,
) -> Result<ModelRuns, PipelineError> {
    let mut folds: Vec<FoldScores> = Vec::with_capacity(data.folds.len());
    let config = &candidate.config;
    for fold in &data.folds {
        let scores = score(fold, &config.model, &config.recommendations, &reference.evaluation.ks, on)?;
        for (stage, seconds) in [("train", scores.train_seconds), ("score", scores.score_seconds)] {
            let name = format!("{stage} {}", candidate.name);
            stages.done.push(Stage { name, seconds: seconds.unwrap_or(0.0), rows: None, unit: String::new() });
        }
        folds.push(scores);
    }
    Ok(ModelRuns { name: candidate.name.clone(), kind: config.model.kind.name().to_owned(), folds })
}

fn names_differ(runs: &[ModelRuns]) -> Result<(), PipelineError> {
    for (at, run) in runs.iter().enumerate() {
        if runs[..at].iter().any(|other| other.name == run.name) {
            return Err(PipelineError::Config(format!("two models have the name `{}`", run.name)));
        }
    }
    Ok(())
}

/// By fold and user: the person's number, the same in every fold.
fn people(tests: &[&TestSet]) -> Vec<Vec<u32>> {
    if let [only] = tests {
        return vec![(0..only.len() as u32).collect()];
    }
    let mut numbers: BTreeMap<&str, u32> = tests.iter().flat_map(|test| test.users.iter()).map(|id| (id, 0)).collect();
    numbers.values_mut().zip(0..).for_each(|(number, next)| *number = next);
    tests.iter().map(|test| test.users.iter().map(|id| numbers[id]).collect()).collect()
}

fn write_users(path: &Path, folds: &[Fold], runs: &[ModelRuns]) -> Result<((), u64), PipelineError> {
    let mut table = UserTable::create(path)?;
    let mut n_rows = 0;
    for run in runs {
        for (fold, scores) in folds.iter().zip(&run.folds) {
            table.write(&UserRows { fold: &fold.name, model: &run.name, test: &fold.test, values: &scores.values })?;
            n_rows += (scores.values.n_users() * scores.values.ks.len()) as u64;
        }
    }
    table.finish()?;
    Ok(((), n_rows))
}

/// Writes each fold's split; with several folds each into a folder of its own.
fn export(folder: &Path, data: &EvaluationData) -> Result<(), PipelineError> {
    for (at, fold) in data.folds.iter().enumerate() {
        let folder = if data.folds.len() == 1 { folder.to_owned() } else { folder.join(format!("fold-{}", at + 1)) };
        let interactions = &fold.training.interactions;
        let train = SplitRows {
            users: &interactions.users,
            items: &interactions.items,
            more_items: &fold.test.unknown_items,
            pairs: &interactions.weights,
            weights: &interactions.weights.values,
            last: data.timed.then_some(&interactions.weights.times[..]),
        };
        write_split(&folder.join("train.parquet"), &train)?;
        let weights: Vec<f32> = fold.test_events.iter().map(|(n, _)| *n as f32).collect();
        let last: Vec<_> = fold.test_events.iter().map(|(_, last)| *last).collect();
        let test = SplitRows {
            users: &fold.test.users,
            pairs: &fold.test.relevant,
            weights: &weights,
            last: data.timed.then_some(&last),
            ..train
        };
        write_split(&folder.join("test.parquet"), &test)?;
    }
    Ok(())
}

pub(super) fn fold_facts(fold: &Fold) -> FoldFacts {
    let as_of = fold.as_of.and_then(|at| Timestamp::from_second(at.unix()).ok()).map(|at| at.to_string());
    FoldFacts { name: fold.name.clone(), as_of, counts: fold.counts }
}

fn warnings(data: &EvaluationData, foreign: &[ForeignFacts], comparison: &Comparison) -> Vec<String> {
    let mut warnings = Vec::new();
    let sum = |of: &dyn Fn(&FoldCounts) -> u64| data.folds.iter().map(|fold| of(&fold.counts)).sum::<u64>();
    let (known, new) = (sum(&|counts| counts.known_users), sum(&|counts| counts.new_users));
    if new > known {
        warnings.push(format!("more test users are new ({new}) than known to training ({known})"));
    }
    if known < 100 {
        warnings.push(format!("only {known} known users are tested: differences between models are hardly to be told"));
    }
    for facts in foreign {
        let name = &facts.name;
        let mut say = |n: u64, what: &str| {
            if n > 0 {
                warnings.push(format!("{name}: {n} {what}"));
            }
        };
        say(facts.users_without_list, "test users have no list and count as missed");
        say(facts.lists_of_others, "lists are of users who are not tested");
        say(facts.unknown_items, "items are known neither to training nor to the test");
        say(facts.repeated_entries, "entries repeat an item of their list and were taken out");
    }
    let k = comparison.ks.iter().copied().max().unwrap_or(0);
    for model in &comparison.models {
        let length = model.quality.iter().find(|quality| quality.k == k).map_or(k as f64, |quality| quality.length);
        if length < 0.99 * k as f64 {
            warnings.push(format!("{}: lists have {length:.1} of {k} items on average", model.name));
        }
    }
    warnings
}

/// Stages of one name together, in the order they first ran.
fn merged(stages: &[Stage]) -> Vec<(String, f64)> {
    let mut merged: Vec<(String, f64)> = Vec::new();
    for stage in stages {
        match merged.iter_mut().find(|(name, _)| *name == stage.name) {
            Some((_, seconds)) => *seconds += stage.seconds,
            None => merged.push((stage.name.clone(), stage.seconds)),
        }
    }
    merged
}

impl Evaluation {
    /// A model's estimate of `metric` at k on a segment.
    #[must_use]
    pub fn value(&self, model: &str, segment: &str, metric: Metric, k: usize) -> Option<(f64, Option<Interval>)> {
        let model = self.comparison.models.iter().find(|it| it.name == model)?;
        let estimate = model.segment(segment)?.estimate(metric, k)?;
        Some((estimate.value, estimate.interval))
    }
}
