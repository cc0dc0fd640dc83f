//! A run's way from the scratch directory to S3.

use std::path::Path;

use super::{Scratch, claim::Claim, clear::clear};
use crate::{
    artifacts::{ArtifactError, Manifest, run::MANIFEST},
    storage::{Condition, FileUpload, S3Prefix, StorageError},
};

/// The right to upload the run of one name. Dropped before [`upload`](Self::upload) succeeded, it removes what it wrote.
#[derive(Debug)]
pub(in crate::artifacts) struct RunUpload {
    /// Where the run goes.
    pub(in crate::artifacts) place: S3Prefix,
    name: String,
    /// `None` once it is given up.
    claim: Option<Claim>,
    /// Whether objects of this upload, and no whole run, may lie there.
    begun: bool,
    /// Whether nobody knows if the manifest was written.
    in_doubt: bool,
}

impl RunUpload {
    /// Claims the name; the caller holds the scratch directory's lock on it.
    ///
    /// # Errors
    /// When the name is taken or another process is writing it, or S3 refuses.
    pub(in crate::artifacts) fn begin(root: &S3Prefix, scratch: &Scratch, name: &str) -> Result<Self, ArtifactError> {
        let claim = Claim::take(root, name, scratch.id.as_deref())?;
        let upload =
            Self { place: root.join(name), name: name.to_owned(), claim: Some(claim), begun: false, in_doubt: false };
        upload.refuse_taken()?;
        fail::fail_point!("run-claimed");
        Ok(upload)
    }

    fn refuse_taken(&self) -> Result<(), ArtifactError> {
        match self.place.get(MANIFEST)? {
            Some(_) => Err(self.exists()),
            None => Ok(()),
        }
    }

    fn exists(&self) -> ArtifactError {
        ArtifactError::RunExists { name: self.name.clone(), path: self.place.uri("").into() }
    }

    /// Uploads the files of a sealed manifest from `directory`, and the manifest last: with it the run is there.
    ///
    /// # Errors
    /// When the name was taken meanwhile, the claim was lost (to [`ArtifactError::RunLocked`]), or S3 refuses. No run is
    /// there then, except when not even S3's answer to the manifest came through: then it may be there, whole.
    pub(in crate::artifacts) fn upload(
        mut self,
        directory: &Path,
        manifest: &Manifest,
        text: Vec<u8>,
    ) -> Result<(), ArtifactError> {
        let claim = self.claim.as_ref().expect("taken by this function and by drop alone");
        claim.confirm()?;
        self.refuse_taken()?;
        let left = self.place.objects()?;
        if claim.taken_over() || !left.is_empty() {
            clear(&self.place)?;
        }
        let files: Vec<FileUpload> = manifest
            .files()
            .map(|entry| FileUpload {
                from: directory.join(&entry.path),
                path: entry.path.clone(),
                bytes: entry.bytes,
                sha256: entry.sha256.clone(),
            })
            .collect();
        self.begun = true;
        let uploaded = self.place.upload(&files, &claim.permission());
        if claim.is_lost() || matches!(uploaded, Err(StorageError::Interrupted { .. })) {
            return Err(claim.locked_out());
        }
        uploaded?;
        fail::fail_point!("run-files-uploaded");
        claim.confirm()?;
        // From here on what lies there may be a run: nothing of it is removed any more.
        (self.begun, self.in_doubt) = (false, true);
        let etag = self.place.put_if(MANIFEST, text.into(), claim.token(), Condition::New)?;
        self.in_doubt = false;
        let Some(etag) = etag else { return Err(self.exists()) };
        fail::fail_point!("run-manifest-written");
        // A process that was suspended for minutes just then may have written it over the head of its successor.
        if let Err(error @ ArtifactError::RunLocked { .. }) = claim.confirm() {
            let there = self.place.get(MANIFEST)?;
            if there.is_some_and(|there| there.etag == etag) {
                self.place.delete(&[MANIFEST.to_owned()])?;
            }
            return Err(error);
        }
        if let Some(claim) = self.claim.take() {
            claim.release();
        }
        Ok(())
    }
}

impl Drop for RunUpload {
    fn drop(&mut self) {
        let Some(claim) = self.claim.take() else { return };
        if self.in_doubt {
            // The claim dies with time; then it is seen whether there is a run.
            return tracing::warn!(run = self.name, "it is not known whether the run's manifest was written");
        }
        if self.begun {
            let cleared = claim.confirm().and_then(|()| Ok(clear(&self.place)?));
            if let Err(error) = cleared {
                // Without a release the claim dies, and the next build or prune finds what it stands for.
                return tracing::warn!(run = self.name, %error, "what was uploaded stays until the next build or prune");
            }
        }
        claim.release();
    }
}
