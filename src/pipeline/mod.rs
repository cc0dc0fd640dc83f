//! Pipeline: the order of the work.
//!
//! In: a checked config. Out: a run directory, and what the commands print.
//! Refuses: arithmetic and formats; a stage does its own.

mod ingest;

pub use ingest::{aggregate_buckets, number_items};
