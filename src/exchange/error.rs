//! What can go wrong with files of other programs.

use std::path::PathBuf;

use parquet::errors::ParquetError;

use crate::storage::StorageError;

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// Listing or reading bytes failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The bytes are not Parquet, or are damaged.
    #[error("reading lists from {uri}: the file is no whole Parquet file")]
    Damaged {
        /// The file.
        uri: String,
        /// The decoder's own words.
        #[source]
        source: ParquetError,
    },
    /// The decoder gave up in a way it should not have.
    #[error("reading lists from {uri}: the Parquet decoder gave up; the file is damaged or hostile")]
    Panicked {
        /// The file.
        uri: String,
    },
    /// The columns are not those of lists.
    #[error(
        "reading lists from {uri}: {what}; lists have the columns user_id and items (a list of item ids, or of structs with \
         item_id), or user_id, item_id and rank"
    )]
    Columns {
        /// The file.
        uri: String,
        /// What is wrong.
        what: String,
    },
    /// A row that no list can be made of.
    #[error("reading lists from {uri}: row {row} {what}")]
    Row {
        /// The file.
        uri: String,
        /// From 1.
        row: u64,
        /// What is wrong with it.
        what: String,
    },
    /// Two items at one place.
    #[error("reading lists from {path}: user `{user}` has two items at rank {rank}, so which comes first is not known")]
    TwoAtOnce {
        /// The location as it was named.
        path: String,
        /// The user.
        user: String,
        /// The rank.
        rank: i64,
    },
    /// A file could not be written.
    #[error("writing {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be encoded.
    #[error("writing {}", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ParquetError,
    },
}
