//! How a publisher shows that it lives.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::PathBuf,
};

use super::{RunSequence, Store};

/// A locked file beside the database, one a publish under way. The lock dies with the process, so what its sequence
/// has loaded can be told from what a living publisher loads.
#[derive(Debug)]
pub(super) struct LoadLock {
    path: PathBuf,
    /// Held for its lock.
    _file: File,
}

impl LoadLock {
    /// Returns: `None` when its publisher lives.
    pub(super) fn take(store: &Store, sequence: RunSequence) -> io::Result<Option<Self>> {
        let mut path = store.path.clone().into_os_string();
        path.push(format!("-publish-{sequence}.lock"));
        let path = PathBuf::from(path);
        let file = File::options().create(true).append(true).open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { path, _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for LoadLock {
    fn drop(&mut self) {
        // A file left behind is harmless: sequences are never used twice.
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "cannot remove a lock file");
        }
    }
}
