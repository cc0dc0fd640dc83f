//! What can go wrong while a shop is made.

use std::path::PathBuf;

/// Why a shop could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SynthError {
    /// The config asks for what cannot be.
    #[error("{0}")]
    Config(String),

    /// All shoppers that are there on the first day are bots.
    #[error(
        "none of the {users} shoppers is a person who is there on the first day: \
         raise synth.users, or lower synth.bot_user_rate or synth.new_user_rate"
    )]
    NobodyThere {
        /// How many were asked for.
        users: u32,
    },

    /// The output directory holds events that this shop would not replace.
    #[error("{} belongs to another shop: remove it, or choose another output directory", path.display())]
    Foreign {
        /// The first such file.
        path: PathBuf,
    },

    /// A file or directory could not be written or read.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was attempted: `create`, `write` and so on.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },

    /// Rows could not be encoded.
    #[error("could not encode rows of {}", path.display())]
    Parquet {
        /// The file they were for.
        path: PathBuf,
        /// Why not.
        #[source]
        source: parquet::errors::ParquetError,
    },
}
