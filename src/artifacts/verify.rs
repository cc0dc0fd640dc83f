//! Checking a run against its manifest.

use std::{collections::BTreeSet, fs, path::Path};

use rayon::prelude::*;

use super::{ArtifactError, Run, hashing::hash_file, run::MANIFEST};

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
pub fn verify(run: &Run) -> Result<Verification, ArtifactError> {
    let entries: Vec<_> = run.manifest().files().collect();
    let mut problems: Vec<Problem> = entries
        .par_iter()
        .filter_map(|entry| {
            let what = match hash_file(&run.path().join(&entry.path)) {
                Ok((bytes, _)) if bytes != entry.bytes => format!("has {bytes} bytes instead of {}", entry.bytes),
                Ok((_, sha256)) if sha256 != entry.sha256 => {
                    format!("has SHA-256 {sha256} instead of {}", entry.sha256)
                }
                Ok(_) => return None,
                Err(ArtifactError::Io { doing, source, .. }) => format!("cannot {doing} it: {source}"),
                Err(error) => error.to_string(),
            };
            Some(Problem { path: entry.path.clone(), what })
        })
        .collect();
    let mut present = BTreeSet::new();
    list_files(run.path(), "", &mut present)?;
    for entry in &entries {
        present.remove(&entry.path);
    }
    present.remove(MANIFEST);
    problems.extend(present.into_iter().map(|path| Problem { path, what: "is not in the manifest".into() }));
    problems.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Verification { n_files: entries.len(), bytes: entries.iter().map(|entry| entry.bytes).sum(), problems })
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
