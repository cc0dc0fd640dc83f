//! Settings of `ease`.

use serde::{Deserialize, Serialize};

use crate::model::{CellWeight, recency::Recency};

/// Settings of the closed-form item model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EaseConfig {
    /// Added to the diagonal of the Gramian. The larger, the more popular items lead.
    pub regularization: f32,
    /// An item's regularization is `regularization` times (its users)^`regularization_exponent`.
    pub regularization_exponent: f32,
    /// What a cell's weight counts: `binary`, `weight` or `log`.
    pub weights: CellWeight,
    /// Training refuses to start when it needs more memory than this, in MiB.
    pub memory_budget_mib: u64,
    /// Half-life in items: at scoring, an item counts half when so many items of the user are newer. Needs times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recency_half_life: Option<f32>,
    /// The same in days before the user's own last action. Needs times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recency_half_life_days: Option<f32>,
}

impl Default for EaseConfig {
    fn default() -> Self {
        Self {
            regularization: 200.0,
            regularization_exponent: 0.0,
            weights: CellWeight::Binary,
            memory_budget_mib: 8192,
            recency_half_life: None,
            recency_half_life_days: None,
        }
    }
}

impl EaseConfig {
    /// Checks the ranges; `path` is where the settings stand, such as `model.ease`.
    ///
    /// # Errors
    /// Names the key with its full path and what it may be.
    pub fn check(&self, path: &str) -> Result<(), String> {
        if !(self.regularization > 0.0 && self.regularization.is_finite()) {
            return Err(format!("{path}.regularization must be above 0, is {}", self.regularization));
        }
        if !(0.0..=2.0).contains(&self.regularization_exponent) {
            let is = self.regularization_exponent;
            return Err(format!("{path}.regularization_exponent must be 0 to 2, is {is}"));
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
