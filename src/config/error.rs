//! What can be wrong with a config.

use std::path::PathBuf;

use thiserror::Error;

/// Why there is no config.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The named file cannot be read.
    #[error("reading the config file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML, or a key or type in it is wrong.
    #[error("in the config file {}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// With line and column.
        message: String,
        /// The nearest known key.
        nearest: Option<String>,
    },
    /// A variable or flag is wrong.
    #[error("{origin}: {message}")]
    Override {
        /// `--set model.kind=...` or the variable's name.
        origin: String,
        /// What is wrong.
        message: String,
        /// The nearest known key.
        nearest: Option<String>,
    },
    /// A value is out of its range, or two do not go together.
    #[error("{0}")]
    Value(String),
}

impl ConfigError {
    /// What the reader of the message can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => Some("`nightshelf config init` writes an annotated config file".into()),
            Self::Parse { nearest: Some(name), .. } | Self::Override { nearest: Some(name), .. } => {
                Some(format!("did you mean `{name}`?"))
            }
            _ => None,
        }
    }
}
