//! Opening and listing runs.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{ArtifactError, FileEntry, Manifest, hashing::sha256_of};

/// Name of the manifest inside a run directory.
pub(super) const MANIFEST: &str = "manifest.json";
/// Ending of the directory of a run being written.
pub(super) const PARTIAL_SUFFIX: &str = ".partial";

/// A whole run: its directory and its checked manifest.
#[derive(Debug, Clone)]
pub struct Run {
    path: PathBuf,
    manifest: Manifest,
}

/// A directory that has a manifest which cannot be used.
#[derive(Debug)]
pub struct DamagedRun {
    /// Name of the directory.
    pub name: String,
    /// What is wrong with it.
    pub error: ArtifactError,
}

/// What a directory of runs holds.
#[derive(Debug, Default)]
pub struct RunListing {
    /// The whole runs, newest first.
    pub runs: Vec<Run>,
    /// Directories with an unusable manifest, by name.
    pub damaged: Vec<DamagedRun>,
}

impl Run {
    pub(super) fn new(path: PathBuf, manifest: Manifest) -> Self {
        Self { path, manifest }
    }

    /// Opens the run in directory `path`.
    fn load(path: PathBuf) -> Result<Self, ArtifactError> {
        let manifest_path = path.join(MANIFEST);
        let bytes = fs::read(&manifest_path).map_err(ArtifactError::io("read", &manifest_path))?;
        let manifest = Manifest::parse(&bytes, &manifest_path)?;
        Ok(Self { path, manifest })
    }

    /// The run directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's name: that of its directory, which may have been renamed or copied.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or(&self.manifest.observed.run)
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The files below `folder`, by path.
    pub fn files_in<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a FileEntry> + 'a {
        self.manifest
            .files()
            .filter(move |entry| entry.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
    }

    /// The bytes of a file, checked against the manifest's size and SHA-256.
    ///
    /// # Errors
    /// When the manifest has no such file, or the bytes are not those that were written.
    ///
    /// Cost: the file's size in memory; reading and hashing took 1 ms a MB on a busy core.
    pub fn read(&self, path: &str) -> Result<Bytes, ArtifactError> {
        let entry = self
            .manifest
            .file(path)
            .ok_or_else(|| ArtifactError::NoSuchFile { run: self.path.clone(), path: path.into() })?;
        let full_path = self.path.join(path);
        let bytes = fs::read(&full_path).map_err(ArtifactError::io("read", &full_path))?;
        if bytes.len() as u64 != entry.bytes {
            let reason = format!("it has {} bytes, the manifest says {}", bytes.len(), entry.bytes);
            return Err(ArtifactError::damaged(full_path, reason));
        }
        let hash = sha256_of(&bytes);
        if hash != entry.sha256 {
            let reason = format!("its SHA-256 is {hash}, the manifest says {}", entry.sha256);
            return Err(ArtifactError::damaged(full_path, reason));
        }
        Ok(Bytes::from(bytes))
    }
}

/// Opens a run: `latest`, a name in the directory of runs, or the path of a run directory.
///
/// # Errors
/// When there is none, or its manifest is damaged or of a newer format.
pub fn open_run(runs_root: &Path, which: &str) -> Result<Run, ArtifactError> {
    let no_such_run = || ArtifactError::NoSuchRun { name: which.into(), root: runs_root.into() };
    if which == "latest" {
        return list_runs(runs_root)?.runs.into_iter().next().ok_or_else(no_such_run);
    }
    let path = if which.contains(['/', '\\']) { PathBuf::from(which) } else { runs_root.join(which) };
    let is_partial = path.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.ends_with(PARTIAL_SUFFIX));
    if is_partial || !path.join(MANIFEST).is_file() {
        return Err(no_such_run());
    }
    Run::load(path)
}

/// Lists the runs of a directory: by creation time, newest first, then by name. Unfinished ones are never listed.
///
/// An absent directory holds no runs.
///
/// # Errors
/// When the directory cannot be read.
pub fn list_runs(runs_root: &Path) -> Result<RunListing, ArtifactError> {
    let mut listing = RunListing::default();
    let entries = match fs::read_dir(runs_root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(listing),
        Err(error) => return Err(ArtifactError::io("list", runs_root)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(ArtifactError::io("list", runs_root))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') || name.ends_with(PARTIAL_SUFFIX) || !entry.path().join(MANIFEST).is_file() {
            continue;
        }
        match Run::load(entry.path()) {
            Ok(run) => listing.runs.push(run),
            Err(error) => listing.damaged.push(DamagedRun { name, error }),
        }
    }
    // As instants: RFC 3339 texts with different numbers of fractional digits do not sort as text.
    let created = |run: &Run| run.manifest.observed.created_at.parse::<jiff::Timestamp>().ok();
    listing.runs.sort_by(|a, b| (created(b), b.name()).cmp(&(created(a), a.name())));
    listing.damaged.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listing)
}
