//! Removing runs from S3, and what dead uploads have left there.

use super::claim::{CLAIMS, Claim, SUFFIX};
use crate::{
    artifacts::{ArtifactError, run::MANIFEST, run_name::check_run_name},
    storage::{S3Prefix, StorageError},
};

/// Removes runs, in this order. Each vanishes with its manifest, then its files go.
///
/// # Errors
/// When a run is being written or removed by another process, or S3 refuses. Runs before it stay removed; what is left of
/// one without a manifest goes with the next prune or build.
pub(in crate::artifacts) fn remove_runs<'a>(
    root: &S3Prefix,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), ArtifactError> {
    for name in names {
        let claim = Claim::take(root, name, None)?;
        // On failure the claim is left to die, so that the files are found again.
        clear(&root.join(name))?;
        claim.release();
    }
    Ok(())
}

/// Removes everything below a run's prefix. Its manifest goes first: without it nobody takes the rest for a run.
pub(super) fn clear(place: &S3Prefix) -> Result<(), StorageError> {
    let paths: Vec<String> = place.objects()?.into_iter().map(|(path, _)| path).collect();
    if paths.iter().any(|path| path == MANIFEST) {
        place.delete(&[MANIFEST.to_owned()])?;
    }
    place.delete(&paths)?;
    match place.abort_uploads() {
        Ok(0) => {}
        Ok(n) => tracing::info!(n, place = place.uri(""), "aborted the multipart uploads that were left"),
        // A right that nothing else needs, and that not every store knows.
        Err(error) => tracing::warn!(%error, "multipart uploads that were left, if any, could not be aborted"),
    }
    Ok(())
}

/// Removes what processes have left that are dead for sure. A failure costs space alone, so it is logged.
pub(in crate::artifacts) fn clear_dead(root: &S3Prefix) {
    let claims = match root.join(CLAIMS).objects() {
        Ok(claims) => claims,
        Err(error) => return tracing::warn!(%error, "what earlier builds may have left could not be looked for"),
    };
    for (path, _) in claims {
        let Some(name) = path.strip_suffix(SUFFIX).filter(|name| check_run_name(name).is_ok()) else { continue };
        match clear_dead_run(root, name) {
            Ok(true) => tracing::warn!(run = name, "removed what a build that did not finish had left"),
            Ok(false) => {}
            Err(error) => tracing::warn!(run = name, %error, "what a dead build has left could not be removed"),
        }
    }
}

fn clear_dead_run(root: &S3Prefix, name: &str) -> Result<bool, StorageError> {
    let Some(claim) = Claim::take_dead(root, name)? else { return Ok(false) };
    let place = root.join(name);
    let is_run = place.get(MANIFEST)?.is_some();
    if !is_run {
        clear(&place)?;
    }
    claim.release();
    Ok(!is_run)
}
