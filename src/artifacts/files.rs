//! Where files go and come from: a run directory, or the output of one task of a distributed build.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{ArtifactError, HashingFile, Run, RunWriter, TaskOutput, TaskWriter};

/// Takes new files. Any thread may write.
pub trait WriteFiles: Sync {
    /// Opens a new file by its relative path; folders are made as needed.
    ///
    /// # Errors
    /// When the path is absolute, climbs with `..`, is reserved or was given before.
    fn file(&self, path: &str) -> Result<HashingFile, ArtifactError>;

    /// A directory for files that are removed before the last file is closed, where whoever writes the first sees the last, too.
    fn scratch(&self) -> Option<&Path> {
        None
    }
}

/// Gives files whose bytes are what their writer wrote.
pub trait ReadFiles: Sync {
    /// The bytes of a file, checked against its size and SHA-256.
    ///
    /// # Errors
    /// When there is no such file, or the bytes are not those that were written.
    fn read(&self, path: &str) -> Result<Bytes, ArtifactError>;

    /// A file's full name, for messages.
    fn name_of(&self, path: &str) -> PathBuf;
}

impl WriteFiles for RunWriter {
    fn file(&self, path: &str) -> Result<HashingFile, ArtifactError> {
        Self::file(self, path)
    }

    fn scratch(&self) -> Option<&Path> {
        Some(self.partial_dir())
    }
}

impl WriteFiles for TaskWriter {
    fn file(&self, path: &str) -> Result<HashingFile, ArtifactError> {
        Self::file(self, path)
    }
}

impl ReadFiles for Run {
    fn read(&self, path: &str) -> Result<Bytes, ArtifactError> {
        Self::read(self, path)
    }

    fn name_of(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }
}

impl ReadFiles for TaskOutput {
    fn read(&self, path: &str) -> Result<Bytes, ArtifactError> {
        Self::read(self, path)
    }

    fn name_of(&self, path: &str) -> PathBuf {
        Self::name_of(self, path)
    }
}
