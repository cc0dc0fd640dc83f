//! Settings of `graph`.

use serde::{Deserialize, Serialize};

use crate::model::CellWeight;

/// Settings of the graph filter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GraphConfig {
    /// What becomes of the graph's directions.
    pub filter: GraphFilter,
    /// Leading singular vectors of the normalised matrix.
    pub n_factors: usize,
    /// `low_pass`: what the ideal low-pass filter counts beside the linear one; 0 leaves it out.
    pub low_pass_weight: f32,
    /// `low_pass`: what the linear filter counts; 0 leaves it out.
    pub linear_weight: f32,
    /// `ridge`: regularization as a multiple of the last singular value's square.
    pub regularization: f32,
    /// Exponent of a user's sum that his cells are divided by.
    pub user_exponent: f32,
    /// Exponent of an item's sum that its cells are divided by.
    pub item_exponent: f32,
    /// Exponent of an item's sum that scores are multiplied by, and what leads to them divided: the higher, the more
    /// popular items gain.
    pub score_exponent: f32,
    /// Largest elements of the linear filter kept of each item.
    pub neighbours: usize,
    /// What a cell's weight counts: `binary`, `weight` or `log`.
    pub weights: CellWeight,
    /// Rounds of subspace iteration.
    pub iterations: usize,
    /// Root of the random directions that the iteration starts from.
    pub seed: u64,
}

/// What becomes of the graph's directions; [`Graph`](super::Graph) writes the formulas out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GraphFilter {
    /// The linear filter and the leading directions as they are.
    #[default]
    LowPass,
    /// Every direction by the share that ridge regression keeps of it.
    Ridge,
}

impl Default for GraphConfig {
    fn default() -> Self {
        Self {
            filter: GraphFilter::LowPass,
            n_factors: 256,
            low_pass_weight: 0.3,
            linear_weight: 1.0,
            regularization: 2.0,
            user_exponent: 0.5,
            item_exponent: 0.5,
            score_exponent: 0.5,
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
        for (key, value, most) in [
            ("low_pass_weight", self.low_pass_weight, 1000.0),
            ("linear_weight", self.linear_weight, 1000.0),
            ("user_exponent", self.user_exponent, 2.0),
            ("item_exponent", self.item_exponent, 2.0),
            ("score_exponent", self.score_exponent, 2.0),
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(format!("{path}.{key} must be 0 to {most}, is {value}"));
            }
        }
        if !(self.regularization > 0.0 && self.regularization <= 1e6) {
            return Err(format!("{path}.regularization must be above 0, up to 1000000, is {}", self.regularization));
        }
        if self.filter == GraphFilter::LowPass && self.low_pass_weight == 0.0 && self.linear_weight == 0.0 {
            return Err(format!("{path}.low_pass_weight and {path}.linear_weight must not both be 0"));
        }
        Ok(())
    }
}
