//! Writing a run directory: everything into `<run>.partial`, then one rename, or the upload.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Write,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    ArtifactError, Content, FileEntry, HashingFile, Manifest, Observed, Run, RunsRoot,
    prune::empty_trash,
    remote::{RunUpload, Scratch, clear_dead},
    run::MANIFEST,
    run_lock::RunLock,
    run_name::{PARTIAL_SUFFIX, check_run_name},
};

/// A run being written.
///
/// Until [`commit`](Self::commit) nothing of it is listed; dropping it removes what was written, and what a killed
/// process leaves is removed by the next [`create`](Self::create). A run that goes to S3 is written to a scratch
/// directory first and uploaded by its commit.
#[derive(Debug)]
pub struct RunWriter {
    /// Of a run that goes to S3 the scratch directory.
    root: PathBuf,
    name: String,
    partial: PathBuf,
    shared: Arc<Shared>,
    lock: RunLock,
    upload: Option<RunUpload>,
    committed: bool,
}

/// What the files of one run report to.
#[derive(Debug, Default)]
pub(super) struct Shared {
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Files {
    /// Path to: its entry once closed, and whether it belongs to the observed part.
    by_path: BTreeMap<String, (Option<FileEntry>, bool)>,
}

impl Shared {
    /// Opens a new file below `directory`; folders are made as needed.
    pub(super) fn open(
        self: &Arc<Self>,
        directory: &Path,
        path: &str,
        observed: bool,
    ) -> Result<HashingFile, ArtifactError> {
        let refuse = |reason| ArtifactError::BadFileName { path: path.into(), reason };
        let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if path.is_empty() || !plain || path.contains("//") || path.ends_with('/') {
            return Err(refuse("not a relative path below the run directory"));
        }
        let full_path = directory.join(path);
        {
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            if files.by_path.insert(path.to_owned(), (None, observed)).is_some() {
                return Err(refuse("the run already has a file of that name"));
            }
        }
        if let Some(folder) = full_path.parent() {
            fs::create_dir_all(folder).map_err(ArtifactError::io("create directory", folder))?;
        }
        HashingFile::create(path.to_owned(), full_path, Arc::clone(self))
    }

    /// The files by path; all must be closed. `name`: whose they are.
    pub(super) fn entries(&self, name: &str) -> Result<Vec<FileEntry>, ArtifactError> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        refuse_open(&files, name)?;
        Ok(files.by_path.values().filter_map(|(entry, _)| entry.clone()).collect())
    }

    /// Enters the finished file.
    pub(super) fn finished(&self, entry: FileEntry) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((slot, _)) = files.by_path.get_mut(&entry.path) {
            *slot = Some(entry);
        }
    }
}

impl RunWriter {
    /// Starts a run named `name` in the place of runs, which is made when absent (a bucket is not).
    ///
    /// Removes what builds that no longer live have left there (logged).
    ///
    /// # Errors
    /// When the name is taken, cannot be a name, or another process is writing it; whatever S3 answers.
    pub fn create(runs_root: impl Into<RunsRoot>, name: &str) -> Result<Self, ArtifactError> {
        check_run_name(name)?;
        let place: RunsRoot = runs_root.into();
        let scratch = place.remote.as_ref().map(|_| Scratch::open(&place)).transpose()?;
        let root = scratch.as_ref().map_or(&place.path, |scratch| &scratch.path);
        fs::create_dir_all(root).map_err(ArtifactError::io("create directory", root))?;
        remove_stale(root)?;
        empty_trash(root);
        let lock = match RunLock::take(root, name)? {
            Some(lock) => lock,
            None => return Err(ArtifactError::RunLocked { name: name.into(), path: RunLock::path(root, name) }),
        };
        let path = root.join(name);
        if path.symlink_metadata().is_ok() {
            return Err(ArtifactError::RunExists { name: name.into(), path });
        }
        let upload = match (&place.remote, &scratch) {
            (Some(prefix), Some(scratch)) => {
                let upload = RunUpload::begin(prefix, scratch, name)?;
                clear_dead(prefix);
                Some(upload)
            }
            _ => None,
        };
        let partial = root.join(format!("{name}{PARTIAL_SUFFIX}"));
        fs::create_dir(&partial).map_err(ArtifactError::io("create directory", &partial))?;
        let (root, name) = (root.clone(), name.to_owned());
        Ok(Self { root, name, partial, shared: Arc::default(), lock, upload, committed: false })
    }

    /// The run's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the commit uploads the run to S3.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.upload.is_some()
    }

    /// Where the files are while the run is written: scratch files may lie there too, if they are removed before the
    /// commit.
    #[must_use]
    pub fn partial_dir(&self) -> &Path {
        &self.partial
    }

    /// Opens a new file whose bytes the input determines; folders are made as needed. Any thread may call it.
    ///
    /// # Errors
    /// When the name is absolute, climbs with `..`, is `manifest.json` or was given before.
    pub fn file(&self, path: &str) -> Result<HashingFile, ArtifactError> {
        self.open(path, false)
    }

    /// Opens a new file that carries times or names (`report.html`): listed and hashed, but apart from the content.
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub fn observed_file(&self, path: &str) -> Result<HashingFile, ArtifactError> {
        self.open(path, true)
    }

    /// Writes a whole text file that carries times or names.
    ///
    /// # Errors
    /// As [`file`](Self::file), and when the disk refuses.
    pub fn observed_text(&self, path: &str, text: &str) -> Result<FileEntry, ArtifactError> {
        let mut file = self.observed_file(path)?;
        file.write_all(text.as_bytes()).map_err(ArtifactError::io("write", self.partial.join(path)))?;
        file.close()
    }

    fn open(&self, path: &str, observed: bool) -> Result<HashingFile, ArtifactError> {
        if path == MANIFEST {
            let reason = "the manifest is written by the commit";
            return Err(ArtifactError::BadFileName { path: path.into(), reason });
        }
        self.shared.open(&self.partial, path, observed)
    }

    /// Makes the run appear. Locally: syncs every file and folder, writes the manifest last, renames the directory. On S3:
    /// uploads every file, then the manifest, if no other builder has put one there.
    ///
    /// `content.files`, `content.rows`, `content.format_version`, `observed.files` and `observed.run` are filled in.
    ///
    /// # Errors
    /// When a file was not closed, the disk or S3 refuses, or the name has been taken meanwhile. Nothing is visible then,
    /// except that a run of which the very last step fails may be there, whole: locally it may not survive a power
    /// cut, on S3 the manifest may have been written although no answer came.
    pub fn commit(mut self, content: Content, observed: Observed) -> Result<Run, ArtifactError> {
        let manifest = self.manifest(content, observed)?;
        let path = self.partial.join(MANIFEST);
        let text = serde_json::to_vec_pretty(&manifest).map_err(|error| ArtifactError::damaged(&path, error))?;
        if let Some(upload) = self.upload.take() {
            let place = upload.place.clone();
            upload.upload(&self.partial, &manifest, text)?;
            return Ok(Run::new(place.uri("").into(), Some(place), manifest));
        }
        let mut folders = BTreeSet::from([self.partial.clone()]);
        for entry in manifest.files() {
            let path = self.partial.join(&entry.path);
            sync(&path)?;
            folders.extend(path.ancestors().skip(1).take_while(|up| *up != self.partial).map(Path::to_owned));
        }
        let mut file = File::create_new(&path).map_err(ArtifactError::io("create", &path))?;
        file.write_all(&text).map_err(ArtifactError::io("write", &path))?;
        file.sync_all().map_err(ArtifactError::io("sync", &path))?;
        for folder in folders.iter().rev() {
            sync(folder)?;
        }
        let whole = self.root.join(&self.name);
        if whole.symlink_metadata().is_ok() {
            return Err(ArtifactError::RunExists { name: self.name.clone(), path: whole });
        }
        fs::rename(&self.partial, &whole).map_err(ArtifactError::io("rename to its final name", &self.partial))?;
        self.committed = true;
        sync(&self.root)?;
        Ok(Run::new(whole, None, manifest))
    }

    fn manifest(&self, mut content: Content, mut observed: Observed) -> Result<Manifest, ArtifactError> {
        let files = self.shared.files.lock().unwrap_or_else(PoisonError::into_inner);
        refuse_open(&files, &self.name)?;
        content.files.clear();
        observed.files.clear();
        for (entry, is_observed) in files.by_path.values() {
            let list = if *is_observed { &mut observed.files } else { &mut content.files };
            list.extend(entry.clone());
        }
        observed.run.clone_from(&self.name);
        Manifest::seal(content, observed).map_err(|error| ArtifactError::damaged(self.partial.join(MANIFEST), error))
    }
}

impl Drop for RunWriter {
    fn drop(&mut self) {
        if !self.committed
            && let Err(error) = fs::remove_dir_all(&self.partial)
        {
            tracing::warn!(path = %self.partial.display(), %error, "cannot remove the unfinished run");
        }
        // Before the lock: whoever has it takes a claim of this machine for a dead process's.
        drop(self.upload.take());
        self.lock.release();
    }
}

fn refuse_open(files: &Files, name: &str) -> Result<(), ArtifactError> {
    let open: Vec<String> =
        files.by_path.iter().filter(|(_, (entry, _))| entry.is_none()).map(|(path, _)| path.clone()).collect();
    if open.is_empty() { Ok(()) } else { Err(ArtifactError::Unfinished { name: name.to_owned(), paths: open }) }
}

/// Makes a file or folder durable.
pub(super) fn sync(path: &Path) -> Result<(), ArtifactError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(ArtifactError::io("sync", path))
}

/// Removes the `.partial` directories whose writers are gone.
fn remove_stale(root: &Path) -> Result<(), ArtifactError> {
    let entries = fs::read_dir(root).map_err(ArtifactError::io("list", root))?;
    for entry in entries {
        let entry = entry.map_err(ArtifactError::io("list", root))?;
        let file_name = entry.file_name();
        let Some(name) = file_name.to_str().and_then(|name| name.strip_suffix(PARTIAL_SUFFIX)) else { continue };
        if check_run_name(name).is_err() {
            continue;
        }
        let Some(_lock) = RunLock::take(root, name)? else { continue };
        let path = entry.path();
        // Its writer may have committed between the listing and the lock.
        if path.is_dir() {
            fs::remove_dir_all(&path).map_err(ArtifactError::io("remove the unfinished run", &path))?;
            tracing::warn!(path = %path.display(), "removed what a build that did not finish had left");
        }
    }
    Ok(())
}
