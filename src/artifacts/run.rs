//! Opening and listing runs.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{
    ArtifactError, FileEntry, Manifest, RunsRoot,
    hashing::sha256_of,
    run_name::{PARTIAL_SUFFIX, check_run_name},
};
use crate::storage::{Contents, S3Prefix};

/// Name of the manifest inside a run directory.
pub(super) const MANIFEST: &str = "manifest.json";

/// A whole run: its place and its checked manifest.
#[derive(Debug, Clone)]
pub struct Run {
    /// The directory, or the address in the form of a path.
    path: PathBuf,
    /// Where it is, when it is on S3.
    remote: Option<S3Prefix>,
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
    pub(super) fn new(path: PathBuf, remote: Option<S3Prefix>, manifest: Manifest) -> Self {
        Self { path, remote, manifest }
    }

    /// Opens the run at a place; `None` when there is no manifest.
    fn load(path: PathBuf, remote: Option<S3Prefix>) -> Result<Option<Self>, ArtifactError> {
        let manifest_path = path.join(MANIFEST);
        let bytes = match &remote {
            None if !manifest_path.is_file() => return Ok(None),
            None => Bytes::from(fs::read(&manifest_path).map_err(ArtifactError::io("read", &manifest_path))?),
            Some(prefix) => match prefix.get(MANIFEST)? {
                Some(fetched) => fetched.bytes,
                None => return Ok(None),
            },
        };
        let manifest = Manifest::parse(&bytes, &manifest_path)?;
        Ok(Some(Self { path, remote, manifest }))
    }

    /// The run directory, or its `s3://` address in the form of a path: for messages. Whoever opens files asks
    /// [`local_path`](Self::local_path).
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run directory, when it is on this machine.
    #[must_use]
    pub fn local_path(&self) -> Option<&Path> {
        self.remote.is_none().then_some(&self.path)
    }

    /// Where the run is on S3, when it is there.
    pub(super) fn remote(&self) -> Option<&S3Prefix> {
        self.remote.as_ref()
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
        let bytes = match &self.remote {
            None => Bytes::from(fs::read(&full_path).map_err(ArtifactError::io("read", &full_path))?),
            Some(prefix) => match prefix.read(path, entry.bytes)? {
                Contents::Whole(bytes) => bytes,
                Contents::OtherSize(size) => return Err(wrong_size(full_path, size, entry)),
                Contents::Absent => return Err(ArtifactError::damaged(full_path, "it is not there")),
            },
        };
        if bytes.len() as u64 != entry.bytes {
            return Err(wrong_size(full_path, bytes.len() as u64, entry));
        }
        let hash = sha256_of(&bytes);
        if hash != entry.sha256 {
            let reason = format!("its SHA-256 is {hash}, the manifest says {}", entry.sha256);
            return Err(ArtifactError::damaged(full_path, reason));
        }
        Ok(bytes)
    }
}

fn wrong_size(path: PathBuf, size: u64, entry: &FileEntry) -> ArtifactError {
    ArtifactError::damaged(path, format!("it has {size} bytes, the manifest says {}", entry.bytes))
}

/// Opens a run: `latest`, a name in the place of runs, or the path or `s3://` address of a run directory.
///
/// # Errors
/// When there is none, or its manifest is damaged or of a newer format; whatever S3 answers.
pub fn open_run(runs_root: impl Into<RunsRoot>, which: &str) -> Result<Run, ArtifactError> {
    let root = runs_root.into();
    let found = match which {
        "latest" => list_runs(&root)?.runs.into_iter().next(),
        _ => match root.place_of(which)? {
            Some((path, remote)) => Run::load(path, remote)?,
            None => None,
        },
    };
    found.ok_or_else(|| ArtifactError::NoSuchRun { name: which.into(), root: root.path })
}

/// Lists the runs of a place: by creation time, newest first, then by name. Unfinished ones are never listed.
///
/// An absent directory or prefix holds no runs.
///
/// # Errors
/// When the directory cannot be read; whatever S3 answers.
///
/// Cost: reading every manifest; on S3 a request each, several at once.
pub fn list_runs(runs_root: impl Into<RunsRoot>) -> Result<RunListing, ArtifactError> {
    let root = runs_root.into();
    let mut listing = match &root.remote {
        None => list_local(&root.path)?,
        Some(prefix) => list_remote(&root.path, prefix)?,
    };
    // As instants: RFC 3339 texts with different numbers of fractional digits do not sort as text.
    let created = |run: &Run| run.manifest.observed.created_at.parse::<jiff::Timestamp>().ok();
    listing.runs.sort_by(|a, b| (created(b), b.name()).cmp(&(created(a), a.name())));
    listing.damaged.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listing)
}

fn list_local(root: &Path) -> Result<RunListing, ArtifactError> {
    let mut listing = RunListing::default();
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(listing),
        Err(error) => return Err(ArtifactError::io("list", root)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(ArtifactError::io("list", root))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') || name.ends_with(PARTIAL_SUFFIX) {
            continue;
        }
        match Run::load(entry.path(), None) {
            Ok(run) => listing.runs.extend(run),
            Err(error) => listing.damaged.push(DamagedRun { name, error }),
        }
    }
    Ok(listing)
}

fn list_remote(root: &Path, prefix: &S3Prefix) -> Result<RunListing, ArtifactError> {
    let mut listing = RunListing::default();
    let mut names = prefix.folders()?;
    names.retain(|name| check_run_name(name).is_ok());
    let paths: Vec<String> = names.iter().map(|name| format!("{name}/{MANIFEST}")).collect();
    for (name, bytes) in names.into_iter().zip(prefix.get_all(&paths)?) {
        let Some(bytes) = bytes else { continue };
        let path = root.join(&name);
        match Manifest::parse(&bytes, &path.join(MANIFEST)) {
            Ok(manifest) => listing.runs.push(Run::new(path, Some(prefix.join(&name)), manifest)),
            Err(error) => listing.damaged.push(DamagedRun { name, error }),
        }
    }
    Ok(listing)
}
