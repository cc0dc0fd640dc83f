//! Settings of `graph`.

use serde::{Deserialize, Serialize};

use crate::model::CellWeight;

/// Settings of the graph filter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GraphConfig {
    /// Directions of the ideal low-pass filter: leading singular vectors of the normalised matrix.
    pub n_factors: usize,
    /// What the ideal low-pass filter counts beside the linear one; 0 leaves it out.
    pub low_pass_weight: f32,
    /// Largest elements of the linear filter kept of each item.
    pub neighbours: usize,
    /// What a cell's weight counts: `binary`, `weight` or `log`.
    pub weights: CellWeight,
    /// Rounds of subspace iteration.
    pub iterations: usize,
    /// Root of the random directions that the iteration starts from.
    pub seed: u64,
}

impl Default for GraphConfig {
    fn default() -> Self {
        Self {
            n_factors: 256,
            low_pass_weight: 0.3,
            neighbours: 1000,
            weights: CellWeight::Binary,
            iterations: 8,
            seed: 42,
        }
    }
}

impl GraphConfig {
    /// Checks the ranges; `path` is where the settings stand, such as `model.graph`.
    ///
    /// # Errors
    /// Names the key with its full path and what it may be.
    pub fn check(&self, path: &str) -> Result<(), String> {
        for (key, value, most) in [
            ("n_factors", self.n_factors, 4_096),
            ("neighbours", self.neighbours, 1_000_000),
            ("iterations", self.iterations, 1_000),
        ] {
            if !(1..=most).contains(&value) {
                return Err(format!("{path}.{key} must be 1 to {most}, is {value}"));
            }
        }
        if !(0.0..=1000.0).contains(&self.low_pass_weight) {
            return Err(format!("{path}.low_pass_weight must be 0 to 1000, is {}", self.low_pass_weight));
        }
        Ok(())
    }
}
