//! The local directory where runs on their way to S3 are written first.

use std::{
    fs::{self, DirBuilder, File},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::claim::token;
use crate::{
    artifacts::{ArtifactError, RunsRoot, hashing::sha256_of},
    ids::id_hash,
};

/// The file that tells one scratch directory from every other one.
const ID: &str = ".id";

/// A directory of this user for the runs of one place on S3; builds of one machine that share it see each other's locks.
#[derive(Debug)]
pub(in crate::artifacts) struct Scratch {
    pub(in crate::artifacts) path: PathBuf,
    /// Equal for processes that share the directory's locks and this machine's start, and for no others; `None` where
    /// the system does not tell its starts apart.
    pub(in crate::artifacts) id: Option<String>,
}

impl Scratch {
    /// The scratch directory for a place, made when absent.
    ///
    /// # Errors
    /// When it cannot be made or belongs to another user.
    pub(in crate::artifacts) fn open(root: &RunsRoot) -> Result<Self, ArtifactError> {
        let parent = root.scratch.clone().unwrap_or_else(std::env::temp_dir);
        fs::create_dir_all(&parent).map_err(ArtifactError::io("create directory", &parent))?;
        let user = user_of_new_files(&parent)?;
        let place = id_hash(root.path.as_os_str().as_encoded_bytes());
        let path = parent.join(format!("nightshelf-{user}-{place:016x}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(ArtifactError::io("create directory", &path)(error));
            }
            _ => {}
        }
        let found = path.symlink_metadata().map_err(ArtifactError::io("look at", &path))?;
        if !found.is_dir() || found.uid() != user {
            let reason = "it is not a directory of this user; name another one with build.scratch";
            return Err(ArtifactError::damaged(path, reason));
        }
        let id = identity(&path)?;
        Ok(Self { path, id })
    }
}

/// The user to whom the system gives a new file here.
fn user_of_new_files(directory: &Path) -> Result<u32, ArtifactError> {
    let path = directory.join(format!(".nightshelf-{}", token()));
    let file = File::create_new(&path).map_err(ArtifactError::io("create", &path))?;
    let user = file.metadata().map(|metadata| metadata.uid());
    fs::remove_file(&path).map_err(ArtifactError::io("remove", &path))?;
    user.map_err(ArtifactError::io("look at", &path))
}

fn identity(directory: &Path) -> Result<Option<String>, ArtifactError> {
    let path = directory.join(ID);
    if !path.exists() {
        // Under another name first: a link appears with its contents or not at all, and only once.
        let new = directory.join(format!("{ID}-{}", token()));
        let write = || -> std::io::Result<()> {
            File::create_new(&new)?.write_all(token().as_bytes())?;
            match fs::hard_link(&new, &path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
                _ => fs::remove_file(&new),
            }
        };
        write().map_err(ArtifactError::io("write", &path))?;
    }
    let text = fs::read_to_string(&path).map_err(ArtifactError::io("read", &path))?;
    let file = fs::metadata(&path).map_err(ArtifactError::io("look at", &path))?;
    let Ok(start) = fs::read_to_string("/proc/sys/kernel/random/boot_id") else { return Ok(None) };
    // A copied directory has another inode or lies on another device or machine.
    Ok(Some(sha256_of(format!("{text} {} {} {start}", file.dev(), file.ino()).as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Storage;

    #[test]
    fn one_place_has_one_directory_and_one_identity() {
        let parent = tempfile::tempdir().unwrap();
        let open = |text: &str| {
            let root = RunsRoot::parse(text, &Storage::default()).unwrap().with_scratch(Some(parent.path()));
            Scratch::open(&root).unwrap()
        };
        let (a, again, b) = (open("s3://shop/runs"), open("s3://shop/runs/"), open("s3://shop/other"));
        assert_eq!((&a.path, &a.id), (&again.path, &again.id));
        assert!(a.path != b.path && a.id != b.id);
        assert_eq!(a.id.is_some(), cfg!(target_os = "linux"));
        assert_eq!(fs::metadata(&a.path).unwrap().mode() & 0o777, 0o700);
        let names: Vec<_> = fs::read_dir(&a.path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [ID]);
    }

    #[test]
    fn a_link_that_somebody_put_there_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let root = RunsRoot::parse("s3://shop/runs", &Storage::default()).unwrap().with_scratch(Some(parent.path()));
        let path = Scratch::open(&root).unwrap().path;
        fs::remove_dir_all(&path).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), &path).unwrap();
        let error = Scratch::open(&root).unwrap_err().to_string();
        assert!(error.contains("build.scratch"), "{error}");
    }
}
