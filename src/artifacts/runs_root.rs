//! Where runs are kept: a local directory, or a prefix of a bucket.

use std::path::{Path, PathBuf};

use super::{
    ArtifactError,
    run::MANIFEST,
    run_name::{PARTIAL_SUFFIX, check_run_name},
};
use crate::storage::{S3Prefix, Storage};

/// The place that holds runs. Whatever takes one takes a local path, too.
#[derive(Debug, Clone)]
pub struct RunsRoot {
    /// The directory, or the address in the form of a path, as messages show it.
    pub(super) path: PathBuf,
    /// The prefix, when it is on S3.
    pub(super) remote: Option<S3Prefix>,
    /// How a run is reached that is named by its own address.
    pub(super) storage: Storage,
    /// Where runs on their way to S3 are written first; `None` takes the system's directory for temporary files.
    pub(super) scratch: Option<PathBuf>,
}

impl RunsRoot {
    /// Understands a directory or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// Another scheme, an address without a bucket or with wildcards.
    pub fn parse(text: &str, storage: &Storage) -> Result<Self, ArtifactError> {
        let remote = storage.s3_prefix(text)?;
        let path = remote.as_ref().map_or_else(|| PathBuf::from(text), |prefix| prefix.uri("").into());
        Ok(Self { path, remote, storage: storage.clone(), scratch: None })
    }

    /// The same place, with another directory for what is on its way to S3.
    #[must_use]
    pub fn with_scratch(mut self, directory: Option<&Path>) -> Self {
        self.scratch = directory.map(Path::to_owned);
        self
    }

    /// The directory, or the `s3://` address in the form of a path: for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether runs are kept on S3.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.remote.is_some()
    }

    /// Whether something goes by the name of a run.
    ///
    /// # Errors
    /// When S3 refuses the question.
    pub fn holds(&self, name: &str) -> Result<bool, ArtifactError> {
        match &self.remote {
            None => Ok(self.path.join(name).exists()),
            Some(prefix) if check_run_name(name).is_ok() => Ok(prefix.join(name).get(MANIFEST)?.is_some()),
            Some(_) => Ok(false),
        }
    }

    /// The place of the run that `which` names, if it can name one: a name here, or a path or address of its own.
    pub(super) fn place_of(&self, which: &str) -> Result<Option<(PathBuf, Option<S3Prefix>)>, ArtifactError> {
        if !which.contains(['/', '\\']) {
            let can_be_run =
                !which.ends_with(PARTIAL_SUFFIX) && (self.remote.is_none() || check_run_name(which).is_ok());
            let remote = self.remote.as_ref().map(|prefix| prefix.join(which));
            return Ok(can_be_run.then(|| (self.path.join(which), remote)));
        }
        if let Some(prefix) = self.storage.s3_prefix(which)? {
            return Ok(Some((prefix.uri("").into(), Some(prefix))));
        }
        let path = PathBuf::from(which);
        let is_partial =
            path.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.ends_with(PARTIAL_SUFFIX));
        Ok((!is_partial).then_some((path, None)))
    }
}

impl From<&Path> for RunsRoot {
    fn from(path: &Path) -> Self {
        Self { path: path.to_owned(), remote: None, storage: Storage::default(), scratch: None }
    }
}

impl From<&PathBuf> for RunsRoot {
    fn from(path: &PathBuf) -> Self {
        Self::from(path.as_path())
    }
}

impl From<&Self> for RunsRoot {
    fn from(root: &Self) -> Self {
        root.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_paths_and_addresses_lead_to_their_places() {
        let storage = Storage::default();
        let local = RunsRoot::parse("data/runs", &storage).unwrap();
        let remote = RunsRoot::parse("s3://shop/runs/", &storage).unwrap();
        let place = |root: &RunsRoot, which: &str| {
            let place = root.place_of(which).unwrap();
            place.map(|(path, remote)| (path.display().to_string(), remote.map(|prefix| prefix.uri(""))))
        };
        assert_eq!(place(&local, "a"), Some(("data/runs/a".into(), None)));
        assert_eq!(place(&local, "other/a"), Some(("other/a".into(), None)));
        assert_eq!(place(&local, "other/a.partial"), None);
        let address = || "s3://shop/runs/a".to_owned();
        for root in [&local, &remote] {
            assert_eq!(place(root, "s3://shop/runs/a/"), Some((address(), Some(address()))));
        }
        assert_eq!(place(&remote, "a"), Some((address(), Some(address()))));
        assert_eq!(place(&remote, ".claims"), None);
        assert_eq!(place(&remote, "./a"), Some(("./a".into(), None)));
        assert!(remote.is_remote() && !local.is_remote());
        assert!(remote.place_of("gs://shop/a").is_err());
        assert!(RunsRoot::parse("gs://shop/runs", &storage).is_err());
    }
}
