//! Who may write the run of a name: one process of this machine.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use super::ArtifactError;

/// Folder of the lock files, beside the runs.
const LOCKS: &str = ".locks";

/// Exclusive right to write the run of one name. The lock dies with the process that holds it.
///
/// The file lies beside the run directory, not in it: whoever holds the name's lock may judge and remove
/// `<name>.partial` without a race against the rename of a commit.
#[derive(Debug)]
pub(super) struct RunLock {
    path: PathBuf,
    file: Option<File>,
}

impl RunLock {
    pub(super) fn path(root: &Path, name: &str) -> PathBuf {
        root.join(LOCKS).join(format!("{name}.lock"))
    }

    /// Returns: `None` when another process holds it.
    pub(super) fn take(root: &Path, name: &str) -> Result<Option<Self>, ArtifactError> {
        let path = Self::path(root, name);
        let folder = root.join(LOCKS);
        fs::create_dir_all(&folder).map_err(ArtifactError::io("create directory", &folder))?;
        loop {
            let file = File::options()
                .create(true)
                .append(true)
                .open(&path)
                .map_err(ArtifactError::io("open the lock file", &path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(ArtifactError::io("lock", &path)(error)),
            }
            // Its last holder may have removed the file between our open and our lock.
            if is_same_file(&file, &path) {
                return Ok(Some(Self { path, file: Some(file) }));
            }
        }
    }

    /// Removes the lock file, then lets go: in this order nobody can lock a name that is being given up.
    pub(super) fn release(&mut self) {
        if let Some(file) = self.file.take() {
            if let Err(error) = fs::remove_file(&self.path) {
                tracing::debug!(path = %self.path.display(), %error, "cannot remove the lock file");
            }
            drop(file);
        }
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Elsewhere an open file cannot be removed, so what was locked is what lies there.
#[cfg(not(unix))]
fn is_same_file(_file: &File, _path: &Path) -> bool {
    true
}
