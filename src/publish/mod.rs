//! Publishing: a run's lists in a store that others read, all of them or none.
//!
//! In: batches of lists of one run. Out: a store whose readers see one whole run, and can be sent back to the last.
//! Refuses: to show a run before it has been counted and checked, and to overrule a newer one.

mod config;
mod dynamodb;
mod error;
mod lists;
mod rows;
mod section;
mod sink;
mod sql;
mod sqlite;

pub use config::{PublishConfig, SqliteConfig, Target};
pub use dynamodb::{
    Attributes, DynamoConfig, DynamoReader, DynamoSink, Encoding, Estimate, EstimateSummary, Layout, Prices, ServedList,
};
pub use error::PublishError;
pub use lists::{Expected, Tally, encode_list};
pub use rows::{DocumentBatch, Rows};
pub use section::Section;
pub use sink::{Begun, Committed, PublishedRun, RunHeader, RunSequence, Sink, Status};
pub use sql::{MySqlConfig, MySqlSink, PostgresConfig, PostgresSink, Tls};
pub use sqlite::SqliteSink;
