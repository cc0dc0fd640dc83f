//! Settings of `slim`.

use serde::{Deserialize, Serialize};

use crate::model::{CellWeight, recency::Recency};

/// Settings of the sparse linear item model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlimConfig {
    /// Weight of the sum of the weights' squares.
    pub regularization: f32,
    /// Weight of the sum of the weights' sizes: what makes most of them zero.
    pub l1_regularization: f32,
    /// Whether weights below zero are left out, too.
    pub non_negative: bool,
    /// What a cell's weight counts: `binary`, `weight` or `log`.
    pub weights: CellWeight,
    /// Items that may lead to an item: those that go with it best.
    pub candidates: usize,
    /// Of those, weights that are kept: the largest.
    pub neighbours: usize,
    /// Rounds of coordinate descent at most.
    pub iterations: usize,
    /// A round that changes no weight by more ends the descent.
    pub tolerance: f32,
    /// Pairs of items with fewer users in common count as having none.
    pub min_pair_users: u32,
    /// Training stops when the pairs of items take more memory than this, in MiB.
    pub memory_budget_mib: u64,
    /// Half-life in items: at scoring, an item counts half when so many items of the user are newer. Needs times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recency_half_life: Option<f32>,
    /// The same in days before the user's own last action. Needs times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recency_half_life_days: Option<f32>,
}

impl Default for SlimConfig {
    fn default() -> Self {
        Self {
            regularization: 50.0,
            l1_regularization: 0.5,
            non_negative: true,
            weights: CellWeight::Binary,
            candidates: 500,
            neighbours: 200,
            iterations: 30,
            tolerance: 1e-4,
            min_pair_users: 1,
            memory_budget_mib: 8192,
            recency_half_life: None,
            recency_half_life_days: None,
        }
    }
}

impl SlimConfig {
    /// Checks the ranges; `path` is where the settings stand, such as `model.slim`.
    ///
    /// # Errors
    /// Names the key with its full path and what it may be.
    pub fn check(&self, path: &str) -> Result<(), String> {
        if !(self.regularization > 0.0 && self.regularization.is_finite()) {
            return Err(format!("{path}.regularization must be above 0, is {}", self.regularization));
        }
        for (key, value) in [("l1_regularization", self.l1_regularization), ("tolerance", self.tolerance)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(format!("{path}.{key} must be 0 or more, is {value}"));
            }
        }
        for (key, value, most) in [
            ("candidates", self.candidates, 100_000),
            ("neighbours", self.neighbours, 100_000),
            ("iterations", self.iterations, 10_000),
        ] {
            if !(1..=most).contains(&value) {
                return Err(format!("{path}.{key} must be 1 to {most}, is {value}"));
            }
        }
        if self.min_pair_users == 0 {
            return Err(format!("{path}.min_pair_users must be at least 1, is 0"));
        }
        if self.memory_budget_mib == 0 {
            return Err(format!("{path}.memory_budget_mib must be at least 1, is 0"));
        }
        self.recency().check(path)
    }

    pub(in crate::model) fn recency(&self) -> Recency {
        Recency { items: self.recency_half_life, days: self.recency_half_life_days }
    }
}
