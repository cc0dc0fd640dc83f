//! `popularity`: what everybody chooses.
//!
//! In: the interactions matrix. Out: [`Popularity`], one score an item, the same for every user.
//! Refuses: to look at the history.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{CellWeight, Explanation, ItemSimilarity, Model, ModelError, TileShape, TrainEvent, UserBlock, cells};
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
        let rows = cells::training_rows(weights, trains, CellWeight::Weight);
        let rows = cells::decayed(rows, config.half_life_days, "model.popularity.half_life_days")?;
        let mut sums = vec![0f64; rows.n_cols];
        for (&item, &weight) in rows.indices.iter().zip(&rows.values) {
            sums[item as usize] += f64::from(weight);
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
    use super::*;

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

    #[test]
    fn a_sum_beyond_f32_is_an_error() {
        let mut huge = weights();
        huge.values = vec![f32::MAX; 5];
        let error = Popularity::train(&PopularityConfig::default(), &huge, &[true; 3], &mut |_| ()).unwrap_err();
        assert_eq!(error, ModelError::NotFinite { what: "the popularity", item: 0 });
    }
}
