//! Tuning: data read once, many settings measured on more and more of it, the best written as a config.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    artifacts::TrialJournal,
    config::Config,
    evaluation::SplitKind,
    model::ModelConfig,
    tuning::{Ledger, Parameter, Request, SpaceError, apply, default_space, overridden, search},
};

use super::{
    Observer, PipelineError, Silent,
    evaluate::{DataFacts, EvaluationData, EvaluationInputs, Fold, FoldFacts, fold_facts, score_with},
    training::TrainedParts,
};

/// What tuning needs besides its config.
#[derive(Debug, Clone)]
pub struct TuneOptions {
    /// Events to tune on instead of the configured ones; empty for those.
    pub train: Vec<String>,
    /// Where measurements are kept, so that an interrupted search goes on where it was.
    pub journal: PathBuf,
    /// The clock.
    pub now: Timestamp,
}

/// One measurement, as it is heard of while the search runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Trial, from 0.
    pub trial: usize,
    /// Level of data, from 0.
    pub level: usize,
    /// The metric.
    pub score: f64,
    /// Seconds; `None` where it was taken from the journal.
    pub seconds: Option<f64>,
    /// The best metric on all data so far.
    pub best: Option<f64>,
}

/// A finished search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tuned {
    /// What was read, and how it was dealt.
    pub data: DataFacts,
    /// The tests of every trial.
    pub folds: Vec<FoldFacts>,
    /// The metric, such as `ndcg@20`.
    pub metric: String,
    /// The settings that varied.
    pub space: Vec<Parameter>,
    /// Every trial.
    #[serde(flatten)]
    pub ledger: Ledger,
    /// The best settings.
    pub model: ModelConfig,
    /// The best metric on all data.
    pub score: f64,
    /// The configured settings' metric on the same data.
    pub start_score: f64,
    /// Measurements made, and those taken from the journal.
    pub n_measured: usize,
    /// See there.
    pub n_remembered: usize,
    /// Seconds altogether.
    pub seconds: f64,
}

/// A level of data: the folds with the share of users that it sees.
struct Level {
    folds: Vec<Fold>,
}

/// Searches the settings of `config.model` that do best on tests inside the configured events.
///
/// # Errors
/// Whatever stops reading, splitting or training; a space that does not fit the model; a journal of another search.
///
/// Determinism: all but the seconds is the same for any number of threads, and for a search that was interrupted.
/// Cost: data are read once; up to 2 GiB of trained parts of a blend are kept, so that trials which differ in weights only
/// train nothing; a level below the highest keeps the training flags of its users and its test users' rows.
pub fn tune(
    config: &Config,
    options: &TuneOptions,
    on: &dyn Observer,
    heard: &mut dyn FnMut(&Measured),
) -> Result<Tuned, PipelineError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(config.build.threads)
        .build()
        .map_err(|error| PipelineError::Config(format!("build.threads: {error}")))?;
    let start = std::time::Instant::now();
    let space = overridden(default_space(&config.model), &config.tune.space);
    check_space(&config.model, &space)?;
    let (data, levels) = pool.install(|| prepare(config, options, on))?;
    let folds: Vec<FoldFacts> = data.folds.iter().map(fold_facts).collect();
    let metric = config.evaluation.metric;
    let k = config.evaluation.ks[0];

    let fingerprint = serde_json::json!({
        "program": env!("CARGO_PKG_VERSION"),
        "tune": config.tune, "model": config.model, "recommendations": config.recommendations,
        "metric": metric.name(), "k": k, "seed": config.evaluation.seed, "data": data.facts, "folds": folds,
    });
    let mut journal = TrialJournal::open(&options.journal, &fingerprint)?;
    let (mut n_measured, mut n_remembered, mut best) = (0, 0, None::<f64>);
    let mut parts = TrainedParts::of(&config.model);
    let mut measure = |request: &Request| -> Result<f64, PipelineError> {
        let key = serde_json::json!({ "level": request.level, "model": request.model });
        let (score, seconds) = match journal.find(&key) {
            Some(score) => {
                n_remembered += 1;
                (score, None)
            }
            None => {
                let start = std::time::Instant::now();
                let measured = pool.install(|| value(&levels[request.level], config, &request.model, &mut parts))?;
                journal.add(&key, measured)?;
                n_measured += 1;
                (measured, Some(start.elapsed().as_secs_f64()))
            }
        };
        if request.level + 1 == levels.len() {
            best = Some(best.map_or(score, |best| best.max(score)));
        }
        heard(&Measured { trial: request.trial, level: request.level, score, seconds, best });
        Ok(score)
    };
    let ledger = search(&config.model, &space, &config.tune, &mut measure)?;
    let (won, first) = (&ledger.trials[ledger.best], &ledger.trials[0]);
    let model = apply(&config.model, &space, &won.values)?;
    let last = levels.len() - 1;
    Ok(Tuned {
        data: data.facts,
        folds,
        metric: format!("{}@{k}", metric.name()),
        space,
        model,
        score: won.scores[last],
        start_score: first.scores[last],
        ledger,
        n_measured,
        n_remembered,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// Both ends of every range must be settings that the model takes: better now than after an hour.
fn check_space(model: &ModelConfig, space: &[Parameter]) -> Result<(), SpaceError> {
    for place in [0.0, 1.0] {
        let values: Vec<_> = space.iter().map(|parameter| parameter.range.at(place)).collect();
        apply(model, space, &values)?;
    }
    Ok(())
}

fn prepare(
    config: &Config,
    options: &TuneOptions,
    on: &dyn Observer,
) -> Result<(EvaluationData, Vec<Level>), PipelineError> {
    let mut own = config.clone();
    let evaluation = &mut own.evaluation;
    let by_time = evaluation.split == SplitKind::Time;
    let n_folds = if by_time { config.tune.folds } else { 1 };
    if by_time {
        let later = if config.tune.before_evaluation && options.train.is_empty() { evaluation.folds } else { 0 };
        if !evaluation.test_starts.is_empty() {
            return Err(PipelineError::Config(
                "tuning counts its tests back from the newest event: leave evaluation.test_starts out, and end the events \
                 before the first of them (events.until)"
                    .into(),
            ));
        }
        evaluation.folds = n_folds + later;
    }
    // Times are kept even where the configured model needs none: the search space may have a half-life or another setting
    // of recency, and a trial with it would find no times in data that are read only once.
    let inputs =
        EvaluationInputs { train: options.train.clone(), test: Vec::new(), now: options.now, keep_times: true };
    let mut data = EvaluationData::prepare(&own, &inputs, on)?;
    data.folds.truncate(n_folds);
    if by_time {
        // Not the later ones, which are kept for `evaluate`.
        let names: Vec<&str> = data.folds.iter().map(|fold| fold.name.as_str()).collect();
        data.facts.split = format!("by time, tested on {}", names.join("; "));
    }
    let levels = (0..config.tune.levels)
        .map(|level| {
            let share = config.tune.share(level);
            let folds = data.folds.iter().map(|fold| {
                let n_users = (fold.test.len() as f64 * share).ceil() as usize;
                let sampled = fold.sampled(n_users.max(1), config.tune.seed);
                if config.tune.sample_training { sampled.trained_on(share, config.tune.seed) } else { sampled }
            });
            Level { folds: if share >= 1.0 { data.folds.clone() } else { folds.collect() } }
        })
        .collect();
    Ok((data, levels))
}

/// The mean of the metric over the level's known test users, over all folds.
fn value(level: &Level, config: &Config, model: &ModelConfig, parts: &mut TrainedParts) -> Result<f64, PipelineError> {
    let (ks, metric) = ([config.evaluation.ks[0]], config.evaluation.metric);
    let mut sum = 0.0;
    for fold in &level.folds {
        let scores = score_with(fold, model, &config.recommendations, &ks, Some(parts), &Silent)?;
        let known = (0..fold.test.len()).filter(|&user| fold.test.known[user]);
        sum += scores.values.mean(known, 0, metric);
    }
    Ok(sum / level.folds.len() as f64)
}
