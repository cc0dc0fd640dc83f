//! Asynchronous successive halving, one trial after the other.

use rand::SeedableRng;
use serde::Serialize;
use serde_json::Value;

use super::{
    Parameter, SpaceError, TuneConfig, apply,
    sampler::{Dimension, propose},
    space::current,
};
use crate::model::ModelConfig;

/// Settings to be measured on a level of data.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Trial, from 0: the configured settings.
    pub trial: usize,
    /// Level of data, from 0; the highest is all of them.
    pub level: usize,
    /// The settings.
    pub model: ModelConfig,
}

/// A trial and what it came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// Number, from 0: the configured settings.
    pub trial: usize,
    /// The values of the space's parameters.
    pub values: Vec<Value>,
    /// The metric on each level that it reached.
    pub scores: Vec<f64>,
    #[serde(skip)]
    place: Vec<f64>,
}

/// Every trial, and the best.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ledger {
    /// In the order in which they were drawn.
    pub trials: Vec<Trial>,
    /// The best of those that saw all data; ties go to the earlier trial.
    pub best: usize,
}

impl Ledger {
    /// The best trial that saw all data so far.
    fn best_of(trials: &[Trial], levels: usize) -> Option<usize> {
        let full = |trial: &Trial| trial.scores.get(levels - 1).copied();
        (0..trials.len())
            .filter_map(|at| full(&trials[at]).map(|score| (at, score)))
            .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
            .map(|(at, _)| at)
    }
}

/// Searches: every trial is measured on the lowest level and rises while it is among the best of its level.
///
/// `measure` returns the metric (the higher, the better; NaN counts as worst). The configured settings are trial 0 and always
/// measured on all data, so the result is never worse than they are on the same tests.
///
/// Formula: after each measurement a trial rises when it is among the best `ceil(n / factor)` of the n measured on its level
/// (Li et al. 2020, ASHA, with one worker); new trials are drawn by a tree-structured Parzen estimator on the highest level
/// with enough observations (Falkner et al. 2018, BOHB). In the end the best of the level below rise until `factor` trials
/// have seen all data.
/// Determinism: by the seed and the measured values; asked again with the same answers, it asks the same questions, which
/// is how an interrupted search is resumed.
///
/// # Errors
/// A space that does not fit the model, and what `measure` returns.
pub fn search<E: From<SpaceError>>(
    model: &ModelConfig,
    space: &[Parameter],
    config: &TuneConfig,
    measure: &mut dyn FnMut(&Request) -> Result<f64, E>,
) -> Result<Ledger, E> {
    let dimensions: Vec<Dimension> =
        space.iter().map(|it| it.range.n_choices().map_or(Dimension::Ordered, Dimension::Choice)).collect();
    let mut rng = rand::rngs::ChaCha8Rng::seed_from_u64(config.seed);
    let top = config.levels - 1;
    let mut trials: Vec<Trial> = Vec::new();
    let mut run = |trials: &mut Vec<Trial>, at: usize| -> Result<(), E> {
        let level = trials[at].scores.len();
        let request = Request { trial: at, level, model: apply(model, space, &trials[at].values)? };
        let score = measure(&request)?;
        trials[at].scores.push(if score.is_nan() { f64::NEG_INFINITY } else { score });
        Ok(())
    };
    let n_trials = if space.is_empty() { 1 } else { config.trials };
    while trials.len() < n_trials {
        let at = trials.len();
        let (place, values) = if at == 0 {
            let values = current(model, space);
            (space.iter().zip(&values).map(|(it, value)| it.range.place(value)).collect(), values)
        } else {
            let place = propose(&dimensions, &observations(&trials, top), &mut rng);
            let values = space.iter().zip(&place).map(|(it, &at)| it.range.at(at)).collect();
            (place, values)
        };
        let repeats = trials.iter().any(|trial| trial.values == values);
        trials.push(Trial { trial: at, values, scores: Vec::new(), place });
        if repeats {
            continue; // Few choices: the same settings give the same score. It counts as a trial, or this might not end.
        }
        run(&mut trials, at)?;
        while trials[at].scores.len() <= top && (at == 0 || rises(&trials, at, config.factor)) {
            run(&mut trials, at)?;
        }
    }
    // Late trials push earlier ones into the best share of a level only afterwards: the final is among equals.
    for level in 0..top {
        loop {
            let above = trials.iter().filter(|trial| trial.scores.len() > level + 1).count();
            let waiting = (0..trials.len()).filter(|&at| trials[at].scores.len() == level + 1);
            let next =
                waiting.max_by(|&a, &b| trials[a].scores[level].total_cmp(&trials[b].scores[level]).then(b.cmp(&a)));
            match next {
                Some(at) if above < config.factor => run(&mut trials, at)?,
                _ => break,
            }
        }
    }
    let best = Ledger::best_of(&trials, config.levels).expect("trial 0 sees all data");
    Ok(Ledger { trials, best })
}

/// Whether a trial is among the best of the level that it was measured on last.
fn rises(trials: &[Trial], at: usize, factor: usize) -> bool {
    let level = trials[at].scores.len() - 1;
    let own = trials[at].scores[level];
    let peers: Vec<f64> = trials.iter().filter_map(|trial| trial.scores.get(level).copied()).collect();
    let n_better = peers.iter().filter(|&&score| score > own).count();
    own > f64::NEG_INFINITY && n_better < peers.len().div_ceil(factor)
}

/// Places and scores on the highest level that has enough of them; else on the lowest.
fn observations(trials: &[Trial], top: usize) -> Vec<(Vec<f64>, f64)> {
    const ENOUGH: usize = 12;
    let on = |level: usize| -> Vec<(Vec<f64>, f64)> {
        trials.iter().filter_map(|it| it.scores.get(level).map(|&score| (it.place.clone(), score))).collect()
    };
    (0..=top).rev().map(on).find(|observed| observed.len() >= ENOUGH).unwrap_or_else(|| on(0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::tuning::default_space;

    /// Best at 100 factors and a regularization of 0.01; lower levels see it through noise.
    fn hill(request: &Request) -> f64 {
        let als = &request.model.als;
        let off =
            (f64::from(als.n_factors as u32) / 100.0).ln().powi(2) + (als.regularization / 0.01).ln().powi(2) as f64;
        let noise = (request.trial * 7919 % 13) as f64 / 13.0 - 0.5;
        -off + [0.5, 0.2, 0.0][request.level] * noise
    }

    fn searched(config: &TuneConfig) -> (Ledger, Vec<Request>) {
        let model = ModelConfig::default();
        let mut asked = Vec::new();
        let ledger = search::<SpaceError>(&model, &default_space(&model), config, &mut |request| {
            asked.push(request.clone());
            Ok(hill(request))
        });
        (ledger.unwrap(), asked)
    }

    #[test]
    fn most_trials_see_little_data_and_the_best_sees_all() {
        let config = TuneConfig { trials: 60, ..TuneConfig::default() };
        let (ledger, asked) = searched(&config);
        let on = |level: usize| asked.iter().filter(|request| request.level == level).count();
        assert!(on(0) >= 55 && on(1) < on(0) && on(2) < on(1) && on(2) >= 3, "{} {} {}", on(0), on(1), on(2));
        let best = &ledger.trials[ledger.best];
        assert_eq!(best.scores.len(), 3);
        assert!(ledger.trials.iter().all(|trial| trial.scores.get(2).is_none_or(|score| *score <= best.scores[2])));
        assert!(best.scores[2] > ledger.trials[0].scores[2], "better than what was configured");
        // Every request is for the level after the trial's last one.
        let mut levels: HashMap<usize, usize> = HashMap::new();
        for request in &asked {
            let level = levels.entry(request.trial).or_default();
            assert_eq!(request.level, *level);
            *level += 1;
        }
    }

    #[test]
    fn asked_again_with_the_same_answers_it_asks_the_same_questions() {
        let config = TuneConfig { trials: 40, ..TuneConfig::default() };
        let (first, asked) = searched(&config);
        let (second, again) = searched(&config);
        assert_eq!((first, asked), (second, again.clone()));
        let (_, other) = searched(&TuneConfig { seed: 1, ..config });
        assert_ne!(again, other);
    }

    #[test]
    fn a_model_without_settings_is_measured_once_on_each_level() {
        let model = ModelConfig { kind: crate::model::ModelKind::Popularity, ..ModelConfig::default() };
        let mut n = 0;
        let ledger = search::<SpaceError>(&model, &[], &TuneConfig::default(), &mut |_| {
            n += 1;
            Ok(f64::NAN)
        });
        assert_eq!((ledger.unwrap().best, n), (0, 3));
    }
}
