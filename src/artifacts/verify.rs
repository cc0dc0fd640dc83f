//! Checking a run against its manifest.

use std::{collections::BTreeSet, fs, path::Path};

use rayon::prelude::*;

use super::{
    ArtifactError, FileEntry, Run,
    hashing::{hash_file, sha256_of},
    run::MANIFEST,
};
use crate::storage::{Contents, S3Prefix};

/// What a check of a run found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verification {
    /// Files the manifest names.
    pub n_files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What does not fit, by path; empty for a sound run.
    pub problems: Vec<Problem>,
}

/// One file that is not what the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Relative to the run directory.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
}

/// Hashes every file of a run anew, on all threads.
///
/// # Errors
/// When the directory cannot be listed; files that cannot be read are problems, not errors.
///
/// Cost: local files pass through a small buffer, those on S3 are read whole, one a thread.
pub fn verify(run: &Run) -> Result<Verification, ArtifactError> {
    let entries: Vec<_> = run.manifest().files().collect();
    let mut present = BTreeSet::new();
    match run.remote() {
        None => list_files(run.path(), "", &mut present)?,
        Some(prefix) => present.extend(prefix.objects()?.into_iter().map(|(path, _)| path)),
    }
    let mut problems: Vec<Problem> = entries
        .par_iter()
        .filter_map(|entry| {
            let what = match run.remote() {
                None => local_problem(&run.path().join(&entry.path), entry),
                Some(prefix) => remote_problem(prefix, entry),
            };
            what.map(|what| Problem { path: entry.path.clone(), what })
        })
        .collect();
    for entry in &entries {
        present.remove(&entry.path);
    }
    present.remove(MANIFEST);
    problems.extend(present.into_iter().map(|path| Problem { path, what: "is not in the manifest".into() }));
    problems.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Verification { n_files: entries.len(), bytes: entries.iter().map(|entry| entry.bytes).sum(), problems })
}

fn local_problem(path: &Path, entry: &FileEntry) -> Option<String> {
    match hash_file(path) {
        Ok((bytes, sha256)) => difference(bytes, &sha256, entry),
        Err(ArtifactError::Io { doing, source, .. }) => Some(format!("cannot {doing} it: {source}")),
        Err(error) => Some(error.to_string()),
    }
}

fn remote_problem(prefix: &S3Prefix, entry: &FileEntry) -> Option<String> {
    match prefix.read(&entry.path, entry.bytes) {
        Ok(Contents::Whole(bytes)) => difference(bytes.len() as u64, &sha256_of(&bytes), entry),
        Ok(Contents::OtherSize(bytes)) => difference(bytes, &entry.sha256, entry),
        Ok(Contents::Absent) => Some("is not there".into()),
        Err(error) => Some(error.to_string()),
    }
}

fn difference(bytes: u64, sha256: &str, entry: &FileEntry) -> Option<String> {
    if bytes != entry.bytes {
        return Some(format!("has {bytes} bytes instead of {}", entry.bytes));
    }
    (sha256 != entry.sha256).then(|| format!("has SHA-256 {sha256} instead of {}", entry.sha256))
}

fn list_files(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) -> Result<(), ArtifactError> {
    for entry in fs::read_dir(folder).map_err(ArtifactError::io("list", folder))? {
        let entry = entry.map_err(ArtifactError::io("list", folder))?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().map_err(ArtifactError::io("inspect", entry.path()))?;
        if kind.is_dir() {
            list_files(&entry.path(), &format!("{path}/"), found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}
