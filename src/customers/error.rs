//! What can be wrong with customers.

use crate::{
    sql::{MissingColumn, SqlError},
    storage::StorageError,
};

/// Why the customers could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CustomersError {
    /// The location or its bytes.
    #[error("cannot get the customers' bytes")]
    Storage(#[from] StorageError),
    /// A table of a read replica.
    #[error("cannot read the customers")]
    Sql(#[source] Box<SqlError>),
    /// Values that do not become what they are wanted for.
    #[error("cannot read the customers in `{place}`")]
    Values {
        /// File or table.
        place: String,
        /// What was met.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// Not Parquet, or damaged.
    #[error("the customers' file `{uri}` is not sound Parquet")]
    Parquet {
        /// The file.
        uri: String,
        /// What was met.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// The reader panicked, as it does on some damaged files.
    #[error("cannot read the customers' file `{uri}`: the reader gave up on it ({message})")]
    ReaderPanicked {
        /// The file.
        uri: String,
        /// The panic's message.
        message: String,
    },
    /// A column that the config names is not there.
    #[error("the customers' file {0}")]
    MissingColumn(Box<MissingColumn>),
    /// A column holds something else than it should.
    #[error("the customers in `{place}`: column `{column}` ({key}) must be {wanted}, is {is}")]
    WrongType {
        /// File or table.
        place: String,
        /// The config's key.
        key: String,
        /// The column.
        column: String,
        /// What it may be.
        wanted: &'static str,
        /// What it is.
        is: String,
    },
    /// A column holds something else than in another file.
    #[error("the customers in `{place}`: column `{column}` ({key}) is {is}, and {before} in the files before it")]
    OtherType {
        /// The file.
        place: String,
        /// The config's key.
        key: String,
        /// The column.
        column: String,
        /// What it is here.
        is: String,
        /// What it is there.
        before: &'static str,
    },
    /// An attribute that holds contact addresses.
    #[error("the customers in `{place}`: column `{column}` ({key}) holds contact addresses, which a build never reads")]
    Address {
        /// File or table.
        place: String,
        /// The config's key.
        key: String,
        /// The column.
        column: String,
    },
    /// Too many rows without a usable user id.
    #[error(
        "{rejected} of {rows} customers have no usable user id, customers.max_rejected_ratio allows {:.2} %: {reasons}",
        allowed * 100.0
    )]
    Rejected {
        /// Rows without.
        rejected: u64,
        /// Rows read.
        rows: u64,
        /// `customers.max_rejected_ratio`.
        allowed: f64,
        /// Counts by reason.
        reasons: String,
    },
}

impl CustomersError {
    /// What the reader of the message can do about it, where there is something; for a line of its own.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Storage(error) => error.hint().map(str::to_owned),
            Self::Sql(error) => error.hint(),
            Self::MissingColumn(missing) => Some(missing.hint()),
            Self::Address { key, .. } => {
                Some(format!("take {key} out of the config, and the right to read that column away"))
            }
            _ => None,
        }
    }
}

impl From<SqlError> for CustomersError {
    fn from(error: SqlError) -> Self {
        Self::Sql(Box::new(error))
    }
}
