//! Tables of read replicas: one read-only transaction, one snapshot, rows as they come.

mod batch;
mod config;
mod error;
mod link;
mod read;
mod types;

pub use config::{LagFrom, ReplicaConfig, ServerKind, WhenLagging, Without};
pub use error::SqlError;
pub use read::{Outcome, TableRead, read_table};
pub use types::{Holds, SqlColumn};
