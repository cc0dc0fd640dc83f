//! What can go wrong with a run directory.

use std::{io, path::PathBuf};

use parquet::errors::ParquetError;

use crate::storage::StorageError;

/// Failure of writing, opening or reading a run directory.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The operating system refused.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was attempted: `create directory`, `write`, ...
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// S3 refused, or the place of runs cannot be understood.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A run name that cannot be a directory name or is reserved.
    #[error("`{name}` cannot name a run: {reason}")]
    BadRunName {
        /// The name as given.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// The run to write is already there.
    #[error("run `{name}` already exists at {path}")]
    RunExists {
        /// The run's name.
        name: String,
        /// Where it is.
        path: PathBuf,
    },
    /// Another process writes a run of this name.
    #[error("run `{name}` is being written by another process (lock {path})")]
    RunLocked {
        /// The run's name.
        name: String,
        /// The lock file, or the claim on S3.
        path: PathBuf,
    },
    /// A file name that leaves the run directory, is taken, or is reserved.
    #[error("cannot add `{path}` to the run directory: {reason}")]
    BadFileName {
        /// The name as given, relative to the run directory.
        path: String,
        /// Why not.
        reason: &'static str,
    },
    /// A commit was asked for although files were not finished.
    #[error("cannot commit run `{name}`: {} of its files were not closed, the first is {}", paths.len(), paths[0])]
    Unfinished {
        /// The run's name.
        name: String,
        /// The files, ascending; at least one.
        paths: Vec<String>,
    },
    /// There is no such run.
    #[error("no run `{name}` in {root}")]
    NoSuchRun {
        /// What was asked for.
        name: String,
        /// The directory of runs.
        root: PathBuf,
    },
    /// The run does not hold that file.
    #[error("run {run} holds no file {path}")]
    NoSuchFile {
        /// The run directory.
        run: PathBuf,
        /// Relative to it.
        path: String,
    },
    /// A file is not what it should be: tampered with, truncated, of another format.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// A stage of a distributed build was asked for before the one it needs.
    #[error("{task} is not done: there is no {path}")]
    NotDone {
        /// Stage and bucket.
        task: String,
        /// What would say that it is.
        path: PathBuf,
    },
    /// A manifest of a format this program does not know.
    #[error("{path} has format version {found}, this program reads {known}")]
    UnknownFormat {
        /// The manifest.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest version known here.
        known: u32,
    },
    /// The Parquet encoder failed, for another reason than the disk.
    #[error("cannot encode {path} as Parquet")]
    Encode {
        /// The file, relative to the run directory.
        path: String,
        /// The writer's answer.
        #[source]
        source: ParquetError,
    },
    /// Rows that must not be written.
    #[error("refused to write {path}: {reason}")]
    BadRows {
        /// The file, relative to the run directory.
        path: String,
        /// Which row and why.
        reason: String,
    },
    /// A callback of the caller failed while lists were handed to it.
    #[error("stopped reading {path}")]
    Stopped {
        /// The file being read.
        path: PathBuf,
        /// What the callback said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ArtifactError {
    /// Wraps an I/O error with what was attempted on what.
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    /// What the Parquet encoder answered: the disk's error where it was the disk.
    pub(super) fn encode(path: &str, source: ParquetError) -> Self {
        match source {
            ParquetError::External(error) => match error.downcast::<io::Error>() {
                Ok(source) => Self::Io { doing: "write", path: path.into(), source: *source },
                Err(error) => Self::Encode { path: path.to_owned(), source: ParquetError::External(error) },
            },
            source => Self::Encode { path: path.to_owned(), source },
        }
    }

    /// A damaged file.
    pub(super) fn damaged(path: impl Into<PathBuf>, reason: impl std::fmt::Display) -> Self {
        Self::Damaged { path: path.into(), reason: reason.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_failing_encoder() {
        let full = ParquetError::from(io::Error::from(io::ErrorKind::StorageFull));
        let error = ArtifactError::encode("a.parquet", full);
        assert!(matches!(error, ArtifactError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull));
        let other = ArtifactError::encode("a.parquet", ParquetError::General("no".into()));
        assert!(matches!(other, ArtifactError::Encode { .. }));
    }
}
