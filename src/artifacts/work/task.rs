//! An attempt at a task: files first, then the one small file that makes them count.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder},
    io::{ErrorKind, Write},
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

use serde::Serialize;

use super::{Done, Task, Work, output::FORMAT_VERSION};
use crate::{
    artifacts::{
        ArtifactError, FileEntry, HashingFile,
        remote::token,
        run_name::check_run_name,
        run_writer::{Shared, sync},
    },
    storage::{FileUpload, Permission, S3Prefix},
};

/// An attempt being written. Dropped before [`commit`](Self::commit), it removes what it wrote; what a killed one
/// leaves is seen by nobody.
#[derive(Debug)]
pub struct TaskWriter {
    work: Work,
    task: Task,
    attempt: String,
    /// Where the files are while they are written: of an attempt that goes to S3 a scratch directory.
    directory: PathBuf,
    /// Where they go on S3.
    remote: Option<S3Prefix>,
    shared: Arc<Shared>,
    begun: Instant,
    counts: bool,
}

/// What became of an attempt that was written whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Committed {
    /// It counts.
    Done,
    /// Another one was done first; this one's files are removed.
    Lost,
}

impl TaskWriter {
    pub(super) fn begin(work: Work, task: Task, attempt: Option<&str>) -> Result<Self, ArtifactError> {
        let wanted = attempt.map_or_else(|| token()[..12].to_owned(), str::to_owned);
        check_run_name(&wanted)?;
        let (attempt, directory, remote) = match &work.remote {
            None => {
                let folder = work.name_of(&task.folder());
                fs::create_dir_all(&folder).map_err(ArtifactError::io("create directory", &folder))?;
                let (attempt, directory) = new_directory(&folder, &wanted)?;
                (attempt, directory, None)
            }
            Some(prefix) => {
                // Nobody else writes under a name with a part of its own.
                let attempt = format!("{wanted}-{}", &token()[..8]);
                let scratch = work.scratch.clone().unwrap_or_else(std::env::temp_dir);
                fs::create_dir_all(&scratch).map_err(ArtifactError::io("create directory", &scratch))?;
                let (_, directory) = new_directory(&scratch, &format!("nightshelf-task-{}", token()))?;
                let remote = prefix.join(&format!("{}/{attempt}", task.folder()));
                (attempt, directory, Some(remote))
            }
        };
        let (shared, begun) = (Arc::default(), Instant::now());
        Ok(Self { work, task, attempt, directory, remote, shared, begun, counts: false })
    }

    /// The attempt's name.
    #[must_use]
    pub fn attempt(&self) -> &str {
        &self.attempt
    }

    /// Opens a new file; folders are made as needed. Any thread may call it.
    ///
    /// # Errors
    /// When the name is absolute, climbs with `..` or was given before.
    pub fn file(&self, path: &str) -> Result<HashingFile, ArtifactError> {
        self.shared.open(&self.directory, path, false)
    }

    /// Writes a whole JSON file.
    ///
    /// # Errors
    /// As [`file`](Self::file), and when the disk refuses.
    pub fn json(&self, path: &str, value: &impl Serialize) -> Result<FileEntry, ArtifactError> {
        let text =
            serde_json::to_vec(value).map_err(|error| ArtifactError::damaged(self.directory.join(path), error))?;
        let mut file = self.file(path)?;
        file.write_all(&text).map_err(ArtifactError::io("write", self.directory.join(path)))?;
        file.close()
    }

    /// Makes the attempt count, unless another one does already: syncs or uploads its files, then makes `done.json` if it
    /// is not there.
    ///
    /// # Errors
    /// When a file was not closed, the disk or S3 refuses. The attempt does not count then, except when S3 gave no answer
    /// to the last request.
    ///
    /// `peak_memory_bytes`: of this process so far.
    pub fn commit(mut self, peak_memory_bytes: u64) -> Result<Committed, ArtifactError> {
        let files = self.shared.entries(&self.task.folder())?;
        match &self.remote {
            None => {
                let mut folders = BTreeSet::from([self.directory.clone()]);
                for entry in &files {
                    let path = self.directory.join(&entry.path);
                    sync(&path)?;
                    let up = path.ancestors().skip(1).take_while(|up| *up != self.directory);
                    folders.extend(up.map(std::path::Path::to_owned));
                }
                for folder in folders.iter().rev() {
                    sync(folder)?;
                }
            }
            Some(remote) => {
                let uploads: Vec<FileUpload> = files
                    .iter()
                    .map(|entry| FileUpload {
                        from: self.directory.join(&entry.path),
                        path: entry.path.clone(),
                        bytes: entry.bytes,
                        sha256: entry.sha256.clone(),
                    })
                    .collect();
                remote.upload(&uploads, &(Arc::new(|| true) as Permission))?;
            }
        }
        fail::fail_point!("task-files-written");
        let done = Done {
            format_version: FORMAT_VERSION,
            stage: self.task.stage.to_owned(),
            number: self.task.number,
            attempt: self.attempt.clone(),
            seconds: self.begun.elapsed().as_secs_f64(),
            peak_memory_bytes,
            files,
        };
        let path = self.task.done_path();
        let text = serde_json::to_vec_pretty(&done)
            .map_err(|error| ArtifactError::damaged(self.work.name_of(&path), error))?;
        // From here on the files may count, even if no answer comes.
        self.counts = true;
        let written = self.work.put_new(&path, text)?;
        fail::fail_point!("task-done-written");
        if written {
            return Ok(Committed::Done);
        }
        self.counts = false;
        if let Some(other) = self.work.done(self.task)?
            && other.done.files != done.files
        {
            // Both read the same; a difference is a defect of the program or of the machine.
            tracing::warn!(
                task = self.task.folder(),
                first = other.done.attempt,
                "two attempts differ; the first counts"
            );
        }
        Ok(Committed::Lost)
    }
}

impl Drop for TaskWriter {
    fn drop(&mut self) {
        if self.counts && self.remote.is_none() {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            tracing::warn!(path = %self.directory.display(), %error, "what an attempt wrote stays");
        }
        if let Some(remote) = self.remote.as_ref().filter(|_| !self.counts) {
            let paths: Vec<String> =
                self.shared.entries("").unwrap_or_default().into_iter().map(|entry| entry.path).collect();
            if let Err(error) = remote.delete(&paths) {
                tracing::warn!(uri = remote.uri(""), %error, "what an attempt uploaded stays");
            }
        }
    }
}

/// A directory nobody else has, named as wanted or with something appended.
fn new_directory(folder: &std::path::Path, wanted: &str) -> Result<(String, PathBuf), ArtifactError> {
    let mut name = wanted.to_owned();
    loop {
        let path = folder.join(&name);
        match DirBuilder::new().mode(0o755).create(&path) {
            Ok(()) => return Ok((name, path)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => name = format!("{wanted}-{}", &token()[..8]),
            Err(error) => return Err(ArtifactError::io("create directory", path)(error)),
        }
    }
}
