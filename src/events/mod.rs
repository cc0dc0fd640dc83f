//! Events: clickstream and order Parquet, read fast and checked.
//!
//! In: Parquet files (local, s3://), order lines of a read replica, and the config's names for their columns. Out: accepted rows by bucket of users, and a
//! count of every row that was not accepted, by reason.
//! Refuses: to weigh or sum anything; to drop a row without counting it.

mod arrays;
mod chunks;
mod columns;
mod config;
mod decode;
mod error;
mod guard;
mod ids;
mod instants;
mod orders;
mod partitions;
mod reasons;
mod replica_orders;
mod scan;
mod shuffle;

pub use config::{ColumnNames, EventsConfig, Preset, TimestampUnit};
pub use error::EventsError;
pub(crate) use instants::parse as parse_instant;
pub use orders::{OrderColumns, OrdersConfig, PurchaseSource};
pub use reasons::{Counts, Reason};
pub use scan::{Scan, ScanInput, ScanProgress, Shard, reckoning, scan};
pub use shuffle::{LATEST, ShuffleGroup, ShuffleInput, ShuffleSource, shuffle_input};
