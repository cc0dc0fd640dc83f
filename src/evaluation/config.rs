//! Settings of evaluation.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Metric;

/// Most list places that are measured.
const MAX_K: usize = 10_000;

/// How the configured events are split into training and test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitKind {
    /// Train up to an instant, test on the days after it.
    #[default]
    Time,
    /// Of each user, the last pairs are the test.
    LeaveLast,
    /// Of each user, a seeded share of the pairs is the test.
    Ratio,
}

/// Whether an item that the user already dealt with in training may be relevant, and stand on his list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeats {
    /// As a build would have it: what the exclusion rules take from a user's list is not relevant, either.
    #[default]
    Rules,
    /// Every item of the test counts, and no item is kept off a list for what the user did.
    Allow,
    /// Only items that the user never dealt with in training are relevant, and only such stand on lists.
    NewOnly,
}

/// What becomes of relevant items that training does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownItems {
    /// They stay relevant, so that every list misses them.
    #[default]
    Miss,
    /// They are left out of the relevant items.
    Drop,
}

/// `[evaluation]`: what `nightshelf evaluate` measures, and on what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationConfig {
    /// List lengths at which metrics are taken; the first is the headline's.
    pub ks: Vec<usize>,
    /// The metric that orders the table: recall, recall_capped, precision, ndcg, map, mrr or hit_rate.
    pub metric: Metric,
    /// How the events are split where no test files are given: time, leave_last or ratio.
    pub split: SplitKind,
    /// `time`: days of each test.
    pub test_days: u32,
    /// `time`: how many tests, each before the next; the last one ends with the events.
    pub folds: usize,
    /// `time`: the tests' first days or instants (UTC) instead of counting back from the end of the events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test_starts: Vec<String>,
    /// `leave_last`: pairs of each user that are the test.
    pub leave_last: usize,
    /// `ratio`: share of each user's pairs that is the test.
    pub ratio: f64,
    /// Event types that make an item relevant. Empty: those with role purchase, or where there are none, all with a
    /// weight above zero.
    pub test_types: Vec<String>,
    /// rules, allow or new_only: whether items that the user already dealt with may be relevant.
    pub repeats: Repeats,
    /// miss or drop: what becomes of relevant items that training does not know.
    pub unknown_items: UnknownItems,
    /// Test users to draw; 0 takes all.
    pub users: usize,
    /// Draws of users behind each interval; 0 for no intervals.
    pub resamples: usize,
    /// Draws of signs behind each p; 0 for no tests.
    pub permutations: usize,
    /// Share of the draws that an interval holds.
    pub confidence: f64,
    /// Seed of the draws and of `ratio`.
    pub seed: u64,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self {
            ks: vec![20, 10, 50],
            metric: Metric::Ndcg,
            split: SplitKind::default(),
            test_days: 28,
            folds: 1,
            test_starts: Vec::new(),
            leave_last: 1,
            ratio: 0.2,
            test_types: Vec::new(),
            repeats: Repeats::default(),
            unknown_items: UnknownItems::default(),
            users: 0,
            resamples: 1_000,
            permutations: 1_000,
            confidence: 0.95,
            seed: 42,
        }
    }
}

impl EvaluationConfig {
    /// Checks the values; `path` is where they stand, such as `evaluation`.
    ///
    /// # Errors
    /// The key's full path, what it must be and what it is.
    pub fn check(&self, path: &str) -> Result<(), String> {
        if self.ks.is_empty() || self.ks.len() > 20 {
            return Err(format!("{path}.ks must name 1 to 20 list lengths, names {}", self.ks.len()));
        }
        if let Some(k) = self.ks.iter().find(|k| !(1..=MAX_K).contains(*k)) {
            return Err(format!("{path}.ks must be 1 to {MAX_K}, one is {k}"));
        }
        let mut seen = BTreeSet::new();
        if let Some(k) = self.ks.iter().find(|k| !seen.insert(**k)) {
            return Err(format!("{path}.ks repeats {k}"));
        }
        if !(1..=3_650).contains(&self.test_days) {
            return Err(format!("{path}.test_days must be 1 to 3650, is {}", self.test_days));
        }
        if !(1..=100).contains(&self.folds) {
            return Err(format!("{path}.folds must be 1 to 100, is {}", self.folds));
        }
        if self.test_starts.len() > 100 {
            return Err(format!("{path}.test_starts must name at most 100 instants, names {}", self.test_starts.len()));
        }
        if self.leave_last == 0 {
            return Err(format!("{path}.leave_last must be 1 or more, is 0"));
        }
        for (key, share) in [("ratio", self.ratio), ("confidence", self.confidence)] {
            if !(share > 0.0 && share < 1.0) {
                return Err(format!("{path}.{key} must be above 0 and below 1, is {share}"));
            }
        }
        for (key, n) in [("resamples", self.resamples), ("permutations", self.permutations)] {
            if n > 1_000_000 {
                return Err(format!("{path}.{key} must be 0 to 1000000, is {n}"));
            }
        }
        Ok(())
    }

    /// The longest list that is measured.
    #[must_use]
    pub fn max_k(&self) -> usize {
        self.ks.iter().copied().max().unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_names_its_key() {
        for (text, start) in [
            ("ks = []", "evaluation.ks must name 1 to 20"),
            ("ks = [10, 0]", "evaluation.ks must be 1 to 10000, one is 0"),
            ("ks = [10, 5, 10]", "evaluation.ks repeats 10"),
            ("test_days = 0", "evaluation.test_days must be 1 to 3650, is 0"),
            ("folds = 0", "evaluation.folds must be 1 to 100, is 0"),
            ("leave_last = 0", "evaluation.leave_last must be"),
            ("ratio = 1.0", "evaluation.ratio must be above 0 and below 1, is 1"),
            ("confidence = nan", "evaluation.confidence must be"),
            ("resamples = 2000000", "evaluation.resamples must be"),
        ] {
            let config: EvaluationConfig = toml::from_str(text).unwrap();
            let message = config.check("evaluation").unwrap_err();
            assert!(message.starts_with(start), "{text}: {message}");
        }
        assert!(EvaluationConfig::default().check("evaluation").is_ok());
        assert!(toml::from_str::<EvaluationConfig>("repeats = 'sometimes'").is_err());
    }
}
