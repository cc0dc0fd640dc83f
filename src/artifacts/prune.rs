//! Removing old runs.

use std::{fs, path::Path};

use super::{
    ArtifactError, RunsRoot, list_runs,
    remote::{clear_dead, remove_runs},
    run_writer::sync,
};

/// Folder that runs pass through on their way out.
const TRASH: &str = ".trash";

/// What pruning did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Pruned {
    /// Runs that stay, newest first.
    pub kept: Vec<String>,
    /// Runs that went (or would go), newest first.
    pub removed: Vec<String>,
    /// Bytes of the removed runs, by their manifests.
    pub removed_bytes: u64,
}

/// Keeps the newest `keep` runs and removes the others; the newest run stays whatever `keep` says.
///
/// A run leaves by one rename into `.trash`, so a crash leaves no half run; what lies in `.trash` goes with the next
/// prune or build. On S3 it leaves with its manifest, and its files go then; what killed builds have left there goes,
/// too. Directories with a damaged manifest are left for a human.
///
/// # Errors
/// When a run cannot be moved or deleted. Runs that went before it stay removed.
pub fn prune(runs_root: impl Into<RunsRoot>, keep: usize, dry_run: bool) -> Result<Pruned, ArtifactError> {
    let root = runs_root.into();
    let runs = list_runs(&root)?.runs;
    let (kept, old) = runs.split_at(keep.max(1).min(runs.len()));
    let name = |run: &super::Run| run.name().to_owned();
    let bytes = |run: &super::Run| run.manifest().files().map(|entry| entry.bytes).sum::<u64>();
    let pruned = Pruned {
        kept: kept.iter().map(name).collect(),
        removed: old.iter().map(name).collect(),
        removed_bytes: old.iter().map(bytes).sum(),
    };
    if dry_run {
        return Ok(pruned);
    }
    if let Some(prefix) = &root.remote {
        clear_dead(prefix);
        // Oldest first, as below.
        remove_runs(prefix, pruned.removed.iter().rev().map(String::as_str))?;
        return Ok(pruned);
    }
    if old.is_empty() {
        return Ok(pruned);
    }
    let runs_root = root.path();
    let trash = runs_root.join(TRASH);
    fs::create_dir_all(&trash).map_err(ArtifactError::io("create directory", &trash))?;
    empty_trash(runs_root);
    // Oldest first: an interruption then leaves the runs that were wanted most.
    for run in old.iter().rev() {
        fs::rename(run.path(), trash.join(run.name())).map_err(ArtifactError::io("move to .trash", run.path()))?;
    }
    sync(runs_root)?;
    empty_trash(runs_root);
    Ok(pruned)
}

/// Deletes what lies in `.trash`. A failure only costs disk space, so it is logged.
pub(super) fn empty_trash(runs_root: &Path) {
    let trash = runs_root.join(TRASH);
    let Ok(entries) = fs::read_dir(&trash) else { return };
    for entry in entries.flatten() {
        if let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "cannot delete a pruned run");
        }
    }
}
