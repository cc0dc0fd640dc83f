//! What a task left.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Task;
use crate::{
    artifacts::{ArtifactError, FileEntry, hashing::sha256_of},
    storage::{Contents, S3Prefix},
};

/// Version of `done.json`, and of the files beside it.
pub(super) const FORMAT_VERSION: u32 = 1;

/// `done.json`: which attempt at a task counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// Version of this file and of those that it names.
    pub format_version: u32,
    /// The stage.
    pub stage: String,
    /// The bucket or part, unless the stage is one task.
    pub number: Option<usize>,
    /// The attempt: the name of the folder that holds the files.
    pub attempt: String,
    /// Seconds that the attempt took.
    pub seconds: f64,
    /// Largest resident memory of its process.
    pub peak_memory_bytes: u64,
    /// The files, by path.
    pub files: Vec<FileEntry>,
}

impl Done {
    pub(super) fn parse(bytes: &[u8], path: &Path, task: Task) -> Result<Self, ArtifactError> {
        let done: Self = serde_json::from_slice(bytes).map_err(|error| ArtifactError::damaged(path, error))?;
        if done.format_version != FORMAT_VERSION {
            let found = u64::from(done.format_version);
            return Err(ArtifactError::UnknownFormat { path: path.into(), found, known: FORMAT_VERSION });
        }
        if done.stage != task.stage || done.number != task.number || done.attempt.contains(['/', '\\']) {
            return Err(ArtifactError::damaged(path, "it is another task's"));
        }
        Ok(done)
    }
}

/// The files of a task that is done.
#[derive(Debug, Clone)]
pub struct TaskOutput {
    /// The folder, or its address in the form of a path.
    pub(super) folder: PathBuf,
    pub(super) remote: Option<S3Prefix>,
    /// What `done.json` says.
    pub done: Done,
}

impl TaskOutput {
    /// A file's full name, for messages.
    #[must_use]
    pub fn name_of(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Whether the task left a file of that name.
    #[must_use]
    pub fn holds(&self, path: &str) -> bool {
        self.done.files.iter().any(|entry| entry.path == path)
    }

    /// The bytes of a file, checked against the size and SHA-256 that the task stated.
    ///
    /// # Errors
    /// When there is no such file, or the bytes are not those that were written.
    ///
    /// Cost: the file's size in memory.
    pub fn read(&self, path: &str) -> Result<Bytes, ArtifactError> {
        let full_path = self.name_of(path);
        let entry = self.done.files.iter().find(|entry| entry.path == path);
        let entry = entry.ok_or_else(|| ArtifactError::damaged(&full_path, "done.json does not name it"))?;
        let gone = || ArtifactError::damaged(&full_path, "it is not there");
        let bytes = match &self.remote {
            None if !full_path.is_file() => return Err(gone()),
            None => Bytes::from(fs::read(&full_path).map_err(ArtifactError::io("read", &full_path))?),
            Some(prefix) => match prefix.read(path, entry.bytes)? {
                Contents::Whole(bytes) => bytes,
                Contents::OtherSize(size) => return Err(wrong_size(&full_path, size, entry)),
                Contents::Absent => return Err(gone()),
            },
        };
        if bytes.len() as u64 != entry.bytes {
            return Err(wrong_size(&full_path, bytes.len() as u64, entry));
        }
        let hash = sha256_of(&bytes);
        if hash != entry.sha256 {
            let reason = format!("its SHA-256 is {hash}, done.json says {}", entry.sha256);
            return Err(ArtifactError::damaged(full_path, reason));
        }
        Ok(bytes)
    }

    /// Reads a JSON file.
    ///
    /// # Errors
    /// As [`read`](Self::read), and when it is not of the expected form.
    pub fn json<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, ArtifactError> {
        let bytes = self.read(path)?;
        serde_json::from_slice(&bytes).map_err(|error| ArtifactError::damaged(self.name_of(path), error))
    }
}

fn wrong_size(path: &Path, size: u64, entry: &FileEntry) -> ArtifactError {
    ArtifactError::damaged(path, format!("it has {size} bytes, done.json says {}", entry.bytes))
}
