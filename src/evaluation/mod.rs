//! Evaluation: how good lists are, and how sure one can be of it.
//!
//! In: ranked lists by number, and the items that turned out to be relevant. Out: metrics a user, means with intervals,
//! differences with p-values, properties of the lists. Refuses: files, ids, clocks, sampled negatives; a user without
//! relevant items.

mod bootstrap;
mod comparison;
mod config;
#[cfg(test)]
mod library_tests;
mod lists;
mod metrics;
mod quality;
mod segments;
mod significance;
mod test_set;
mod values;

pub use bootstrap::{Interval, Sample, bootstrap, percentile_interval};
pub use comparison::{
    Against, Comparison, Estimate, FoldScores, FoldValue, ModelRuns, ModelScores, SegmentScores, compare,
};
pub use config::{EvaluationConfig, Repeats, SplitKind, UnknownItems};
pub use lists::RankedLists;
pub use metrics::{Gains, Metric};
pub use quality::{ItemFacts, ListQuality, gini, list_quality};
pub use segments::{Segment, segments};
pub use significance::permutation_test;
pub use test_set::{TestSet, select_rows};
pub use values::UserValues;
