//! Local files: the walk, and reads that notice a file changing under them.

use std::{
    collections::HashSet,
    fs::{self, File, Metadata},
    io,
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;

use super::{
    StorageError,
    listing::{Found, ObjectInfo, Place},
    location::{Location, hive_columns, is_hidden},
};

/// What tells one version of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The path without links.
    pub(super) real_path: PathBuf,
    modified: Option<SystemTime>,
    device: u64,
    inode: u64,
}

impl Stamp {
    fn new(path: &Path, metadata: &Metadata) -> Result<Self, StorageError> {
        let real_path = fs::canonicalize(path).map_err(|source| failed("resolve", path, source))?;
        Ok(Self { real_path, modified: metadata.modified().ok(), device: metadata.dev(), inode: metadata.ino() })
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> StorageError {
    StorageError::Io { action, path: path.to_owned(), source }
}

/// Lists what a local location takes.
pub(super) fn list(location: &Location, suffixes: &[&str]) -> Result<Found, StorageError> {
    let mut found = Found::default();
    // A file whose very name looks like a glob is meant itself.
    let literal = Path::new(location.path());
    match fs::metadata(literal) {
        Ok(metadata) if metadata.is_dir() => {
            let location = location.taken_literally();
            Walk { location: &location, suffixes, found: &mut found, seen: HashSet::new() }.directory(literal)?;
            return Ok(found);
        }
        Ok(metadata) => {
            found.taken.push(object(literal, location.path(), &metadata)?);
            return Ok(found);
        }
        Err(source) if source.kind() != io::ErrorKind::NotFound && !location.is_glob() => {
            return Err(failed("look at", literal, source));
        }
        Err(_) if !location.is_glob() => return Err(StorageError::NotFound { location: location.text().into() }),
        Err(_) => {}
    }
    let base = Path::new(if location.base().is_empty() { "." } else { location.base() });
    match fs::metadata(base) {
        Ok(_) => Walk { location, suffixes, found: &mut found, seen: HashSet::new() }.directory(base)?,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            return Err(StorageError::NotFound { location: base.display().to_string() });
        }
        Err(source) => return Err(failed("look at", base, source)),
    }
    Ok(found)
}

fn object(path: &Path, uri: &str, metadata: &Metadata) -> Result<ObjectInfo, StorageError> {
    Ok(ObjectInfo {
        uri: uri.to_owned(),
        size: metadata.len(),
        etag: None,
        hive: hive_columns(uri),
        place: Place::Local { path: path.to_owned(), stamp: Stamp::new(path, metadata)? },
    })
}

struct Walk<'a> {
    location: &'a Location,
    suffixes: &'a [&'a str],
    found: &'a mut Found,
    /// Directories already walked, so that a link to a parent ends.
    seen: HashSet<PathBuf>,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Path) -> Result<(), StorageError> {
        let real = fs::canonicalize(directory).map_err(|source| failed("resolve", directory, source))?;
        if !self.seen.insert(real) {
            return Ok(());
        }
        let list = |source| failed("list", directory, source);
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory).map_err(list)? {
            paths.push(entry.map_err(list)?.path());
        }
        paths.sort();
        for path in paths {
            let path = path.strip_prefix(".").unwrap_or(&path);
            let Some((uri, name)) = path.to_str().zip(path.file_name().and_then(|name| name.to_str())) else {
                return Err(StorageError::BadLocation {
                    location: path.display().to_string(),
                    reason: "the file's name is not UTF-8".into(),
                });
            };
            if is_hidden(name) {
                self.found.passed.add(name);
                continue;
            }
            let metadata = fs::metadata(path).map_err(|source| failed("look at", path, source))?;
            if metadata.is_dir() {
                self.directory(path)?;
            } else if metadata.is_file() && self.location.takes(uri, metadata.len(), self.suffixes) {
                self.found.taken.push(object(path, uri, &metadata)?);
            } else {
                self.found.passed.add(name);
            }
        }
        Ok(())
    }
}

/// An open local file, pinned to the version that was listed.
#[derive(Debug)]
pub(super) struct LocalReader {
    file: File,
    path: PathBuf,
    stamp: Stamp,
    size: u64,
}

impl LocalReader {
    pub(super) fn open(path: &Path, stamp: &Stamp, object: &ObjectInfo) -> Result<Self, StorageError> {
        let file = File::open(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StorageError::ObjectGone { uri: object.uri.clone() },
            _ => failed("open", path, source),
        })?;
        let reader = Self { file, path: path.to_owned(), stamp: stamp.clone(), size: object.size };
        reader.check(object)?;
        Ok(reader)
    }

    /// Reads the ranges; they lie within the file.
    pub(super) fn read(&self, object: &ObjectInfo, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StorageError> {
        let mut answers = Vec::with_capacity(ranges.len());
        for range in ranges {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            match self.file.read_exact_at(&mut bytes, range.start) {
                Ok(()) => answers.push(Bytes::from(bytes)),
                // The file is shorter than it was: the check says so in better words.
                Err(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
                    self.check(object)?;
                    return Err(failed("read", &self.path, source));
                }
                Err(source) => return Err(failed("read", &self.path, source)),
            }
        }
        // Afterwards: a file that was written to during the read gave rows of two versions.
        self.check(object)?;
        Ok(answers)
    }

    fn check(&self, object: &ObjectInfo) -> Result<(), StorageError> {
        let now = self.file.metadata().map_err(|source| failed("look at", &self.path, source))?;
        let change = if now.len() != self.size {
            format!("it had {} bytes and has {}", self.size, now.len())
        } else if (now.dev(), now.ino()) != (self.stamp.device, self.stamp.inode) {
            "another file was put in its place".to_owned()
        } else if now.modified().ok() != self.stamp.modified {
            "it was written to".to_owned()
        } else {
            return Ok(());
        };
        Err(StorageError::ObjectChanged { uri: object.uri.clone(), change })
    }
}
