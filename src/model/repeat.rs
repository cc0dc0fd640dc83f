//! `repeat`: what the user has, he wants again.
//!
//! In: nothing but the number of items. Out: [`Repeat`], a score for each item of the history.
//! Refuses: to say anything of items that the user does not have.

use std::{borrow::Cow, ops::Range};

use serde::{Deserialize, Serialize};

use super::{
    CellWeight, Explanation, ItemSimilarity, Model, ModelError, TileShape, TrainEvent, UserBlock, cells,
    recency::Recency,
};
use crate::{
    ids::ItemIdx,
    interactions::{Csr, History},
};

/// Settings of the model of repeated choices.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepeatConfig {
    /// What a cell's weight counts: `binary`, `weight` or `log`.
    pub weights: CellWeight,
    /// Half-life in items: an item counts half when so many items of the user are newer. Needs times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recency_half_life: Option<f32>,
    /// The same in days before the user's own last action. Needs times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recency_half_life_days: Option<f32>,
}

impl RepeatConfig {
    pub(super) fn recency(&self) -> Recency {
        Recency { items: self.recency_half_life, days: self.recency_half_life_days }
    }

    /// Checks the ranges; `path` is where the settings stand, such as `model.repeat`.
    ///
    /// # Errors
    /// Names the key with its full path and what it may be.
    pub fn check(&self, path: &str) -> Result<(), String> {
        self.recency().check(path)
    }
}

/// A model of repeated choices: a user's score of an item of his history is what the cell counts; of any other, zero.
///
/// It makes sense where exclusion rules let such items stand, above all as a part of a blend: groceries, consumables.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeat {
    config: RepeatConfig,
    n_items: usize,
}

impl Repeat {
    /// Notes the number of items: there is nothing to learn.
    ///
    /// # Errors
    /// When a setting is out of range, a weight is not finite and above zero, or a half-life lacks times.
    pub fn train(
        config: RepeatConfig,
        weights: &Csr,
        trains: &[bool],
        on: &mut dyn FnMut(TrainEvent),
    ) -> Result<Self, ModelError> {
        cells::check(weights, trains)?;
        config.recency().check_times("model.repeat", weights)?;
        on(TrainEvent::Iteration { iteration: 1, iterations: 1, loss: None });
        Self::from_parts(config, weights.n_cols)
    }

    /// A model for so many items.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn from_parts(config: RepeatConfig, n_items: usize) -> Result<Self, ModelError> {
        config.check("model.repeat").map_err(ModelError::Config)?;
        Ok(Self { config, n_items })
    }

    fn counts<'a>(&self, history: History<'a>) -> Cow<'a, [f32]> {
        self.config.recency().counts(self.config.weights, history)
    }
}

impl Model for Repeat {
    fn n_items(&self) -> usize {
        self.n_items
    }

    fn tile(&self) -> TileShape {
        TileShape { n_users: 32, n_items: 4096 }
    }

    fn prepare<'a>(&'a self, histories: &[History<'a>]) -> Box<dyn UserBlock + 'a> {
        let users = histories.iter().map(|history| (history.items, self.counts(*history))).collect();
        Box::new(RepeatBlock { users })
    }

    fn similarity(&self) -> Option<&dyn ItemSimilarity> {
        None
    }

    fn explain(&self, history: History<'_>, item: ItemIdx) -> Explanation {
        match history.items.binary_search(&item.0) {
            Ok(at) => {
                let score = self.counts(history)[at];
                Explanation { score, base: 0.0, contributions: vec![(item, score)] }
            }
            Err(_) => Explanation::default(),
        }
    }
}

/// By user: his items, and what they count.
struct RepeatBlock<'a> {
    users: Vec<(&'a [u32], Cow<'a, [f32]>)>,
}

impl UserBlock for RepeatBlock<'_> {
    fn n_users(&self) -> usize {
        self.users.len()
    }

    fn score(&mut self, items: Range<usize>, scores: &mut [f32]) {
        for ((own, counts), scores) in self.users.iter().zip(scores.chunks_exact_mut(items.len().max(1))) {
            scores.fill(0.0);
            let first = own.partition_point(|&item| (item as usize) < items.start);
            let last = own.partition_point(|&item| (item as usize) < items.end);
            for (&item, &count) in own[first..last].iter().zip(&counts[first..last]) {
                scores[item as usize - items.start] = count;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interactions::{DAY, Stamp};

    #[test]
    fn what_the_user_has_scores_by_weight_and_recency() {
        let weights = Csr::empty(1, 6);
        let config = RepeatConfig { recency_half_life_days: Some(2.0), ..RepeatConfig::default() };
        let model = Repeat::train(config, &weights, &[true], &mut |_| ()).unwrap();
        let times = [Stamp(10 * DAY), Stamp(8 * DAY), Stamp(6 * DAY)];
        let history = History { items: &[1, 3, 5], weights: &[1.0, 4.0, 4.0], times: &times };
        let mut block = model.prepare(&[history, History::default()]);
        let mut scores = [f32::NAN; 12];
        block.score(0..6, &mut scores);
        assert_eq!(scores, [0.0, 1.0, 0.0, 2.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let mut part = [f32::NAN; 4];
        block.score(3..5, &mut part);
        assert_eq!(part, [2.0, 0.0, 0.0, 0.0]);
        assert_eq!(model.explain(history, ItemIdx(3)).contributions, [(ItemIdx(3), 2.0)]);
        assert_eq!(model.explain(history, ItemIdx(2)), Explanation::default());
    }
}
