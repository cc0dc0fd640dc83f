//! A work location, local or on S3, and the small files in it.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{Done, TaskOutput, TaskWriter};
use crate::{
    artifacts::{ArtifactError, remote::token, run_writer::sync},
    storage::{Condition, S3Prefix, Storage},
};

/// One task: a stage, or a stage's work on one bucket of users or one part of something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// The stage's name.
    pub stage: &'static str,
    /// The bucket or part; `None` for a stage that is one task.
    pub number: Option<usize>,
    /// What the number counts: `bucket` or `part`.
    noun: &'static str,
}

impl Task {
    /// A stage that is one task.
    #[must_use]
    pub fn whole(stage: &'static str) -> Self {
        Self { stage, number: None, noun: "" }
    }

    /// A stage's work on one bucket.
    #[must_use]
    pub fn of_bucket(stage: &'static str, bucket: usize) -> Self {
        Self { stage, number: Some(bucket), noun: "bucket" }
    }

    /// A stage's work on one part.
    #[must_use]
    pub fn of_part(stage: &'static str, part: usize) -> Self {
        Self { stage, number: Some(part), noun: "part" }
    }

    /// The task's folder below the work location.
    #[must_use]
    pub fn folder(&self) -> String {
        match self.number {
            Some(number) => format!("{}/{}-{number:03}", self.stage, self.noun),
            None => self.stage.to_owned(),
        }
    }

    pub(super) fn done_path(&self) -> String {
        format!("{}/done.json", self.folder())
    }
}

/// The place where the tasks of one distributed build leave their results. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Work {
    /// The directory, or the address in the form of a path, as messages show it.
    path: PathBuf,
    pub(super) remote: Option<S3Prefix>,
    /// Where files on their way to S3 are written first; `None` takes the system's directory for temporary files.
    pub(super) scratch: Option<PathBuf>,
}

impl Work {
    /// Understands a directory or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// Another scheme, an address without a bucket or with wildcards, an empty text.
    pub fn parse(text: &str, storage: &Storage) -> Result<Self, ArtifactError> {
        let remote = storage.s3_prefix(text)?;
        let text = if text.is_empty() { "." } else { text };
        let path = remote.as_ref().map_or_else(|| PathBuf::from(text), |prefix| prefix.uri("").into());
        Ok(Self { path, remote, scratch: None })
    }

    /// The same place, with another directory for what is on its way to S3.
    #[must_use]
    pub fn with_scratch(mut self, directory: Option<&Path>) -> Self {
        self.scratch = directory.map(Path::to_owned);
        self
    }

    /// The full name of what lies at a path: for messages, and for listing what others put there.
    #[must_use]
    pub fn name_of(&self, path: &str) -> PathBuf {
        match &self.remote {
            Some(prefix) => prefix.uri(path).into(),
            None => self.path.join(path),
        }
    }

    /// Reads a small file; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get(&self, path: &str) -> Result<Option<Bytes>, ArtifactError> {
        if let Some(prefix) = &self.remote {
            return Ok(prefix.get(path)?.map(|fetched| fetched.bytes));
        }
        let full_path = self.path.join(path);
        match fs::read(&full_path) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ArtifactError::io("read", full_path)(error)),
        }
    }

    /// Writes a small file if there is none; of several writers at once one succeeds. What is there is there whole, and
    /// survives a power cut.
    ///
    /// Returns: whether it was written.
    ///
    /// # Errors
    /// When the disk or S3 refuses; on S3 it may have been written then, if no answer came.
    pub fn put_new(&self, path: &str, bytes: Vec<u8>) -> Result<bool, ArtifactError> {
        if let Some(prefix) = &self.remote {
            return Ok(prefix.put_if(path, bytes.into(), &token(), Condition::New)?.is_some());
        }
        let full_path = self.path.join(path);
        let folder = full_path.parent().unwrap_or(&self.path);
        fs::create_dir_all(folder).map_err(ArtifactError::io("create directory", folder))?;
        // Under another name first: a link appears with its contents or not at all, and only once.
        let new = folder.join(format!(".new-{}", token()));
        let write = || -> std::io::Result<bool> {
            let mut file = File::create_new(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            match fs::hard_link(&new, &full_path) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            }
        };
        let written = write().map_err(ArtifactError::io("write", &full_path));
        if let Err(error) = fs::remove_file(&new) {
            tracing::debug!(path = %new.display(), %error, "a temporary file stays");
        }
        let written = written?;
        sync(folder)?;
        Ok(written)
    }

    /// The output of a task that is done.
    ///
    /// # Errors
    /// When it cannot be read, or what says so is damaged.
    pub fn done(&self, task: Task) -> Result<Option<TaskOutput>, ArtifactError> {
        self.get(&task.done_path())?.map(|bytes| self.open(task, &bytes)).transpose()
    }

    fn open(&self, task: Task, done: &Bytes) -> Result<TaskOutput, ArtifactError> {
        let done = Done::parse(done, &self.name_of(&task.done_path()), task)?;
        let folder = format!("{}/{}", task.folder(), done.attempt);
        let remote = self.remote.as_ref().map(|prefix| prefix.join(&folder));
        Ok(TaskOutput { folder: self.name_of(&folder), remote, done })
    }

    /// The output of a task that must be done.
    ///
    /// # Errors
    /// As [`done`](Self::done), and when it is not.
    pub fn output(&self, task: Task) -> Result<TaskOutput, ArtifactError> {
        self.done(task)?.ok_or_else(|| self.not_done(task))
    }

    fn not_done(&self, task: Task) -> ArtifactError {
        ArtifactError::NotDone { task: task.folder(), path: self.name_of(&task.done_path()) }
    }

    /// The outputs of tasks that must all be done, in their order.
    ///
    /// # Errors
    /// As [`output`](Self::output); the first task that is not done is named.
    ///
    /// Cost: on S3 several requests at once.
    pub fn outputs(&self, tasks: impl IntoIterator<Item = Task>) -> Result<Vec<TaskOutput>, ArtifactError> {
        let Some(prefix) = &self.remote else { return tasks.into_iter().map(|task| self.output(task)).collect() };
        let tasks: Vec<Task> = tasks.into_iter().collect();
        let paths: Vec<String> = tasks.iter().map(Task::done_path).collect();
        let all = tasks.into_iter().zip(prefix.get_all(&paths)?);
        all.map(|(task, bytes)| self.open(task, &bytes.ok_or_else(|| self.not_done(task))?)).collect()
    }

    /// Begins an attempt at a task. Its name is made up unless given; of two attempts of one name the second gets another.
    ///
    /// # Errors
    /// A name that cannot name a directory; a disk that refuses.
    pub fn begin(&self, task: Task, attempt: Option<&str>) -> Result<TaskWriter, ArtifactError> {
        TaskWriter::begin(self.clone(), task, attempt)
    }
}
