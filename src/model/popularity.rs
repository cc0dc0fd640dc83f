//! `popularity`: what everybody chooses.
//!
//! In: the interactions matrix. Out: [`Popularity`], one score an item, the same for every user.
//! Refuses: to look at the history.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Explanation, ItemSimilarity, Model, ModelError, TileShape, TrainEvent, UserBlock, cells, recency};
use crate::{
    ids::ItemIdx,
    interactions::{Csr, History},
};

/// Settings of popularity.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PopularityConfig {
    /// Days before the newest action after which a pair counts half, by its last time; beside the half-lives of event
    /// types, which its weight already carries. Needs times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_life_days: Option<f32>,
}

impl PopularityConfig {
    /// Checks the ranges; `path` is where the settings stand, such as `model.popularity`.
    ///
    /// # Errors
    /// Names the key with its full path and what it may be.
    pub fn check(&self, path: &str) -> Result<(), String> {
        cells::check_half_life(&format!("{path}.half_life_days"), self.half_life_days)
    }
}

/// A model of popularity: an item's score is the sum of its weights, which the interactions have already decayed.
///
/// Determinism: f64 sums over ascending users, rounded to f32 at the end.
/// Cost: one pass over the training rows where they stand (two with a half-life), and 8 bytes an item.
#[derive(Debug, Clone, PartialEq)]
pub struct Popularity {
    scores: Vec<f32>,
}

impl Popularity {
    /// Sums the rows whose `trains` flag is set.
    ///
    /// # Errors
    /// When a weight is not finite and above zero, or a sum is beyond f32.
    pub fn train(
        config: &PopularityConfig,
        weights: &Csr,
        trains: &[bool],
        on: &mut dyn FnMut(TrainEvent),
    ) -> Result<Self, ModelError> {
        config.check("model.popularity").map_err(ModelError::Config)?;
        cells::check(weights, trains)?;
        let rows = || (0..weights.n_rows()).filter(|&row| trains[row]).map(|row| weights.row(row));
        let mut sums = vec![0f64; weights.n_cols];
        match config.half_life_days {
            None => {
                for row in rows() {
                    for (&item, &weight) in row.items.iter().zip(row.weights) {
                        sums[item as usize] += f64::from(weight);
                    }
                }
            }
            Some(days) => {
                recency::needs_times("model.popularity.half_life_days", weights)?;
                let newest = rows().flat_map(|row| row.times).copied().max().unwrap_or_default();
                for row in rows() {
                    for ((&item, &weight), &time) in row.items.iter().zip(row.weights).zip(row.times) {
                        sums[item as usize] += f64::from(cells::halved(weight, time, newest, days));
                    }
                }
            }
        }
        on(TrainEvent::Iteration { iteration: 1, iterations: 1, loss: None });
        Self::from_parts(sums.into_iter().map(|sum| sum as f32).collect())
    }

    /// A model from scores that were summed before.
    ///
    /// # Errors
    /// When a score is not finite.
    pub fn from_parts(scores: Vec<f32>) -> Result<Self, ModelError> {
        match scores.iter().position(|score| !score.is_finite()) {
            Some(item) => Err(ModelError::NotFinite { what: "the popularity", item }),
            None => Ok(Self { scores }),
        }
    }

    /// By item: all that [`from_parts`](Self::from_parts) needs.
    #[must_use]
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }
}

impl Model for Popularity {
    fn n_items(&self) -> usize {
        self.scores.len()
    }

    fn tile(&self) -> TileShape {
        TileShape { n_users: 32, n_items: 4096 }
    }

    fn prepare<'a>(&'a self, histories: &[History<'a>]) -> Box<dyn UserBlock + 'a> {
        Box::new(PopularityBlock { scores: &self.scores, n_users: histories.len() })
    }

    fn similarity(&self) -> Option<&dyn ItemSimilarity> {
        None
    }

    fn explain(&self, _history: History<'_>, item: ItemIdx) -> Explanation {
        let score = self.scores[item.at()];
        Explanation { score, base: score, contributions: Vec::new() }
    }
}

struct PopularityBlock<'a> {
    scores: &'a [f32],
    n_users: usize,
}

impl UserBlock for PopularityBlock<'_> {
    fn n_users(&self) -> usize {
        self.n_users
    }

    fn score(&mut self, items: Range<usize>, scores: &mut [f32]) {
        for row in scores.chunks_exact_mut(items.len().max(1)).take(self.n_users) {
            row.copy_from_slice(&self.scores[items.clone()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::{
        interactions::{DAY, Stamp},
        model::CellWeight,
    };

    fn weights() -> Csr {
        Csr {
            indptr: vec![0, 2, 3, 5],
            indices: vec![0, 2, 2, 0, 1],
            values: vec![1.0, 2.0, 0.5, 4.0, 8.0],
            n_cols: 4,
            ..Csr::default()
        }
    }

    #[test]
    fn sums_training_rows_only() {
        let model =
            Popularity::train(&PopularityConfig::default(), &weights(), &[true, true, false], &mut |_| ()).unwrap();
        assert_eq!(model.scores(), &[1.0, 0.0, 2.5, 0.0]);
        let history = History::default();
        let mut block = model.prepare(&[history, history]);
        let mut scores = [9.0; 4];
        block.score(1..3, &mut scores);
        assert_eq!(scores, [0.0, 2.5, 0.0, 2.5]);
        assert_eq!(model.explain(history, ItemIdx(2)).base, 2.5);
    }

    /// Rows that do not train, the newest among them, leave no trace: as if they had been cut out of the matrix.
    #[test]
    fn what_does_not_train_does_not_age_the_rest() {
        let day = |n: u32| Stamp(1_000 * DAY + n * DAY);
        let mut timed = weights();
        timed.times = [10, 20, 15, 90, 80].map(day).to_vec();
        let config = PopularityConfig { half_life_days: Some(5.0) };
        let model = Popularity::train(&config, &timed, &[true, true, false], &mut |_| ()).unwrap();
        assert_eq!(model.scores(), &[0.25, 0.0, 2.25, 0.0]);

        let rows = cells::training_rows(&timed, &[true, true, false], CellWeight::Weight).into_owned();
        let cut = Popularity::train(&config, &rows, &[true, true], &mut |_| ()).unwrap();
        assert_eq!(model, cut);
        let decayed = cells::decayed(Cow::Owned(rows), config.half_life_days, "half_life_days").unwrap();
        let summed = Popularity::train(&PopularityConfig::default(), &decayed, &[true, true], &mut |_| ()).unwrap();
        assert_eq!(model, summed);

        let error = Popularity::train(&config, &weights(), &[true; 3], &mut |_| ()).unwrap_err();
        assert!(error.to_string().contains("model.popularity.half_life_days"), "{error}");
        let nobody = Popularity::train(&config, &timed, &[false; 3], &mut |_| ()).unwrap();
        assert_eq!(nobody.scores(), &[0.0; 4]);
    }

    #[test]
    fn a_sum_beyond_f32_is_an_error() {
        let mut huge = weights();
        huge.values = vec![f32::MAX; 5];
        let error = Popularity::train(&PopularityConfig::default(), &huge, &[true; 3], &mut |_| ()).unwrap_err();
        assert_eq!(error, ModelError::NotFinite { what: "the popularity", item: 0 });
    }
}
