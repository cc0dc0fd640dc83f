//! The TOML table `[tune]`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Range;

/// `[tune.space]`: ranges by the setting's path below `model`, such as `"als.n_factors"`.
pub type SpaceConfig = BTreeMap<String, Range>;

/// `[tune]`: how `nightshelf tune` searches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TuneConfig {
    /// Settings to try, the configured ones included.
    pub trials: usize,
    /// Levels of data: every trial starts on the lowest and rises while it is among the best of its level.
    pub levels: usize,
    /// Each level has so many times the users of the one below; the highest has all. Of a level's trials, the best of
    /// so many rise.
    pub factor: usize,
    /// Whether lower levels train on fewer users, too, instead of only testing on fewer.
    pub sample_training: bool,
    /// Tests by time that each trial is measured on.
    pub folds: usize,
    /// Whether the tests lie before those of `[evaluation]`, so that a later evaluation is on days that tuning never
    /// saw. `false` tunes on the newest days.
    pub before_evaluation: bool,
    /// Seed of the search.
    pub seed: u64,
    /// Ranges that replace the default ones; a setting that the default space lacks is added.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub space: SpaceConfig,
}

impl Default for TuneConfig {
    fn default() -> Self {
        Self {
            trials: 40,
            levels: 3,
            factor: 3,
            sample_training: true,
            folds: 1,
            before_evaluation: true,
            seed: 42,
            space: SpaceConfig::new(),
        }
    }
}

impl TuneConfig {
    /// Checks the values; `path` is where they stand, such as `tune`.
    ///
    /// # Errors
    /// Names the key with its full path and what it may be.
    pub fn check(&self, path: &str) -> Result<(), String> {
        for (key, value, most) in
            [("trials", self.trials, 100_000), ("levels", self.levels, 8), ("folds", self.folds, 100)]
        {
            if !(1..=most).contains(&value) {
                return Err(format!("{path}.{key} must be 1 to {most}, is {value}"));
            }
        }
        if !(2..=100).contains(&self.factor) {
            return Err(format!("{path}.factor must be 2 to 100, is {}", self.factor));
        }
        self.space.iter().try_for_each(|(key, range)| range.check(&format!("{path}.space.\"{key}\"")))
    }

    /// The share of users on a level; 1 on the highest.
    #[must_use]
    pub fn share(&self, level: usize) -> f64 {
        (self.factor as f64).powi(level as i32 - (self.levels as i32 - 1))
    }
}
