//! Settings of `als`.

use serde::{Deserialize, Serialize};

use crate::model::CellWeight;

/// Settings of implicit alternating least squares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlsConfig {
    /// Factors of a user and of an item, 1 to 4096. More cost time in proportion and find finer tastes.
    pub n_factors: usize,
    /// Iterations, each a half-step for users and one for items.
    pub iterations: usize,
    /// The loss that is minimised: `observed` (Rendle et al. 2021) or `confidence` (Hu, Koren, Volinsky 2008).
    pub weighting: Weighting,
    /// What a cell's weight counts: `binary`, `weight` or `log`.
    pub weights: CellWeight,
    /// Weight of the squared score of every pair, observed or not. Only for `observed`.
    pub unobserved_weight: f32,
    /// Confidence of an observed cell is 1 + alpha * weight. Only for `confidence`.
    pub alpha: f32,
    /// Weight of the squared factors, above zero.
    pub regularization: f32,
    /// Exponent with which a row's regularization grows with its cells: 0 not at all, 1 in proportion. Only for `observed`.
    pub regularization_exponent: f32,
    /// How a half-step solves a row: `cg` (a few steps of conjugate gradients) or `cholesky` (exactly).
    pub solver: Solver,
    /// Steps of conjugate gradients in a half-step. Only for `cg`.
    pub cg_steps: usize,
    /// Seed of the first item factors, and of the sample of users.
    pub seed: u64,
    /// When training would take more memory than this, in MiB, a sample of the users trains and everybody is folded in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_budget_mib: Option<u64>,
}

/// Which loss is minimised; [`Als`](super::Als) writes both out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// Observed cells by their weight, and every pair by `unobserved_weight`.
    #[default]
    Observed,
    /// Observed cells by 1 + alpha * weight, the others by 1.
    Confidence,
}

/// How a half-step solves a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Solver {
    /// Preconditioned conjugate gradients, from the row's last factors.
    #[default]
    Cg,
    /// Exactly, by a Cholesky factor.
    Cholesky,
}

impl Default for AlsConfig {
    fn default() -> Self {
        Self {
            n_factors: 64,
            iterations: 10,
            weighting: Weighting::default(),
            weights: CellWeight::default(),
            unobserved_weight: 0.01,
            alpha: 10.0,
            regularization: 0.005,
            regularization_exponent: 1.0,
            solver: Solver::default(),
            cg_steps: 3,
            seed: 42,
            memory_budget_mib: None,
        }
    }
}

impl AlsConfig {
    /// Checks the ranges; `path` is where the settings stand, such as `model.als`.
    ///
    /// # Errors
    /// Names the key with its full path and what it may be.
    pub fn check(&self, path: &str) -> Result<(), String> {
        let count = |key: &str, value: usize, most: usize| {
            if (1..=most).contains(&value) {
                Ok(())
            } else {
                Err(format!("{path}.{key} must be 1 to {most}, is {value}"))
            }
        };
        count("n_factors", self.n_factors, 4096)?;
        count("iterations", self.iterations, 10_000)?;
        count("cg_steps", self.cg_steps, 1_000)?;
        for (key, value) in [("regularization", self.regularization), ("alpha", self.alpha)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(format!("{path}.{key} must be above 0, is {value}"));
            }
        }
        if !(self.unobserved_weight.is_finite() && self.unobserved_weight >= 0.0) {
            return Err(format!("{path}.unobserved_weight must be 0 or more, is {}", self.unobserved_weight));
        }
        if self.memory_budget_mib.is_some_and(|mib| !(1..=1 << 40).contains(&mib)) {
            return Err(format!("{path}.memory_budget_mib must be at least 1; leave it out for no limit"));
        }
        if !(0.0..=2.0).contains(&self.regularization_exponent) {
            return Err(format!("{path}.regularization_exponent must be 0 to 2, is {}", self.regularization_exponent));
        }
        Ok(())
    }
}
