//! What can go wrong while reading events.

use thiserror::Error;

use crate::{sql::SqlError, storage::StorageError};

/// Why the events could not be read.
#[derive(Debug, Error)]
pub enum EventsError {
    /// Listing or reading bytes failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Order lines of a read replica.
    #[error("cannot read the orders")]
    Sql(#[source] Box<SqlError>),
    /// Every file was pruned by the window, so there is nothing to read.
    #[error("reading events from {paths}: all {n_files} files lie in date partitions outside the window {window}")]
    AllPruned {
        /// Configured paths.
        paths: String,
        /// Files that were found.
        n_files: usize,
        /// The window that pruned them.
        window: String,
    },
    /// A row that the shuffle should have put elsewhere.
    #[error("reading {uri}: it holds rows of bucket {found}, and belongs to bucket {bucket}")]
    WrongBucket {
        /// The file.
        uri: String,
        /// The bucket that was read.
        bucket: usize,
        /// The bucket of one of its users.
        found: usize,
    },
    /// The user's id lies in a list: a row would have to go to several buckets.
    #[error("{uri}: user ids lie in a list (`{column}`), so rows cannot be dealt by user")]
    UserInList {
        /// The file.
        uri: String,
        /// The column.
        column: String,
    },
    /// Files that call the user's id differently.
    #[error("{uri}: user ids lie in `{found}`, in other files in `{expected}`")]
    UserElsewhere {
        /// The file.
        uri: String,
        /// Where they lie here.
        found: String,
        /// Where they lie in the files before.
        expected: String,
    },
    /// The bytes are not Parquet, or are damaged.
    #[error("reading {uri}: {what}")]
    Damaged {
        /// The file.
        uri: String,
        /// What was being done.
        what: String,
        /// The decoder's own words.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// The decoder gave up in a way it should not have.
    #[error("reading {uri}: the Parquet decoder panicked ({message}); the file is damaged or hostile")]
    Panicked {
        /// The file.
        uri: String,
        /// The panic's message.
        message: String,
    },
    /// A column is missing.
    #[error("reading {uri}: there is no column `{column}` (config key {key}); the file has: {available}")]
    NoColumn {
        /// The file.
        uri: String,
        /// The config key that names the column.
        key: String,
        /// The name that was looked for.
        column: String,
        /// The columns that are there.
        available: String,
        /// The column with the most similar name.
        nearest: Option<String>,
    },
    /// A column has a type that cannot hold what it should.
    #[error("reading {uri}: column `{column}` (config key {key}) has type {found}; {wanted} is needed")]
    WrongType {
        /// The file.
        uri: String,
        /// The config key that names the column.
        key: String,
        /// The column.
        column: String,
        /// The type it has.
        found: String,
        /// The types it may have.
        wanted: &'static str,
    },
    /// An integer timestamp without a unit.
    #[error("reading {uri}: column `{column}` holds integers, so {key} must say their unit: s, ms, us or ns")]
    NoUnit {
        /// The file.
        uri: String,
        /// The column.
        column: String,
        /// The config key to set.
        key: String,
    },
    /// More than 2^32 distinct ids.
    #[error("reading events: more than 4,294,967,295 distinct {what}; one build holds no more")]
    TooManyIds {
        /// Users or items.
        what: &'static str,
    },
}

impl EventsError {
    /// What the reader of the message can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Storage(error) => error.hint().map(str::to_owned),
            Self::Sql(error) => error.hint(),
            Self::AllPruned { .. } => Some("widen events.since, events.until or events.window_days".into()),
            Self::Damaged { .. } | Self::Panicked { .. } => {
                Some("write the file again, or take it out of events.paths; no row of it was used".into())
            }
            Self::NoColumn { nearest, key, .. } => Some(match nearest {
                Some(name) => format!("did you mean `{name}`? Set {key} = \"{name}\""),
                None => format!("set {key} to one of them, or to \"\" when the file has no such column"),
            }),
            Self::WrongType { key, .. } => Some(format!("point {key} at another column, or cast it when writing")),
            Self::WrongBucket { .. } => Some(
                "bucket = pmod(xxhash64(cast(user as string)), n_buckets); is interactions.n_buckets the plan's?"
                    .into(),
            ),
            Self::NoUnit { .. } | Self::TooManyIds { .. } | Self::UserInList { .. } | Self::UserElsewhere { .. } => {
                None
            }
        }
    }
}

impl From<SqlError> for EventsError {
    fn from(error: SqlError) -> Self {
        Self::Sql(Box::new(error))
    }
}
