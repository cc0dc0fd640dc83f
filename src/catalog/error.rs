//! What can be wrong with a catalogue.

use parquet::errors::ParquetError;
use polars::error::PolarsError;

use crate::storage::StorageError;

/// Why the catalogue could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The location or its bytes.
    #[error("cannot get the catalogue's bytes")]
    Storage(#[from] StorageError),
    /// Damaged Parquet: footer, page, checksum.
    #[error("the catalogue `{uri}` is not sound Parquet")]
    Parquet {
        /// The file.
        uri: String,
        /// What was met.
        #[source]
        source: ParquetError,
    },
    /// The footer points outside the file.
    #[error("the catalogue `{uri}` is damaged: column `{column}` claims bytes beyond the file's {size}")]
    Truncated {
        /// The file.
        uri: String,
        /// The column.
        column: String,
        /// The file's size.
        size: u64,
    },
    /// Damaged CSV: a row with more or fewer fields than the header, or what is no UTF-8.
    #[error("the catalogue `{uri}` is not sound CSV")]
    Csv {
        /// The file.
        uri: String,
        /// What was met, with its line.
        #[source]
        source: csv::Error,
    },
    /// The file does not decode.
    #[error("cannot read the catalogue `{uri}`")]
    Decode {
        /// The file.
        uri: String,
        /// The reader's complaint.
        #[source]
        source: PolarsError,
    },
    /// The reader panicked, as it does on some damaged files.
    #[error("cannot read the catalogue `{uri}`: the reader gave up on it ({message})")]
    ReaderPanicked {
        /// The file.
        uri: String,
        /// The panic's message.
        message: String,
    },
    /// A column that the config names, or that every catalogue needs, is not there.
    #[error(
        "the catalogue `{uri}` has no column `{column}` (catalog.columns.{key}){}; it has {}",
        nearest.as_ref().map(|name| format!(", did you mean `{name}`?")).unwrap_or_default(),
        if present.is_empty() { "none".to_owned() } else { present.join(", ") }
    )]
    MissingColumn {
        /// The file.
        uri: String,
        /// The config's key.
        key: &'static str,
        /// The column looked for.
        column: String,
        /// The columns that are there.
        present: Vec<String>,
        /// The one most like it.
        nearest: Option<String>,
    },
    /// A column holds something else than it should.
    #[error("the catalogue `{uri}`: column `{column}` (catalog.columns.{key}) must be {wanted}, is {is}")]
    WrongType {
        /// The file.
        uri: String,
        /// The config's key.
        key: &'static str,
        /// The column.
        column: String,
        /// What it may be.
        wanted: &'static str,
        /// What it is.
        is: String,
    },
    /// Not one value of a column means anything.
    #[error(
        "the catalogue `{uri}`: no value of column `{column}` (catalog.columns.available) is understood, e.g. `{example}`"
    )]
    NothingUnderstood {
        /// The file.
        uri: String,
        /// The column.
        column: String,
        /// The first value.
        example: String,
    },
}

impl CatalogError {
    /// What the reader of the message can do about it, where there is something; for a line of its own.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Storage(error) => error.hint(),
            Self::NothingUnderstood { .. } => {
                Some("write true or false, 1 or 0, yes or no, in_stock or out_of_stock; or set the key to \"\"")
            }
            Self::WrongType { key: "item_id", .. } => Some("write ids as text or integers, as the events have them"),
            _ => None,
        }
    }
}
