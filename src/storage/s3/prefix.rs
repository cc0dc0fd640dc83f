//! A prefix of a bucket, whose objects go by relative paths.

use std::fmt;

use super::{S3Client, error::Request};
use crate::storage::{Storage, StorageError};

/// A prefix of a bucket that the program reads and writes, as `s3://bucket/prefix` names it. Cheap to clone.
///
/// Paths are relative to it, with `/` between their parts. No request is made before one is needed.
#[derive(Clone)]
pub struct S3Prefix {
    pub(super) client: S3Client,
    bucket: String,
    /// Empty, or with a `/` at its end.
    prefix: String,
}

impl fmt::Debug for S3Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3Prefix").field(&self.uri("")).finish()
    }
}

impl Storage {
    /// Understands `s3://bucket/prefix`; `None` for a local path.
    ///
    /// # Errors
    /// Another scheme, no bucket, wildcards, or a prefix with empty, `.` or `..` parts.
    pub fn s3_prefix(&self, text: &str) -> Result<Option<S3Prefix>, StorageError> {
        let bad = |reason: &str| StorageError::BadLocation { location: text.into(), reason: reason.into() };
        let rest = match text.split_once("://") {
            None => return Ok(None),
            Some(("s3", rest)) => rest,
            Some((scheme, _)) if scheme.contains('/') => return Ok(None),
            Some((scheme, _)) => return Err(bad(&format!("only local paths and s3:// are known, not {scheme}://"))),
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(bad("a bucket's name comes after s3://"));
        }
        if rest.contains(['*', '?', '[', '{']) {
            return Err(bad("it must not hold wildcards"));
        }
        let prefix = prefix.trim_end_matches('/');
        if !prefix.is_empty() && prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(bad("the prefix must not have empty, `.` or `..` parts"));
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Some(S3Prefix { client: self.s3.clone(), bucket: bucket.to_owned(), prefix }))
    }
}

impl S3Prefix {
    /// The prefix `path` below this one.
    #[must_use]
    pub fn join(&self, path: &str) -> Self {
        Self { prefix: format!("{}{path}/", self.prefix), ..self.clone() }
    }

    /// The full address of a path; of the empty path the prefix's own, without a slash at its end.
    #[must_use]
    pub fn uri(&self, path: &str) -> String {
        format!("s3://{}/{}{path}", self.bucket, self.prefix).trim_end_matches('/').to_owned()
    }

    /// The bucket, and what its keys begin with: empty, or with a `/` at its end.
    #[must_use]
    pub fn bucket_and_key(&self) -> (&str, &str) {
        (&self.bucket, &self.prefix)
    }

    pub(super) fn object(&self, path: &str) -> Object {
        Object { uri: self.uri(path), bucket: self.bucket.clone(), key: format!("{}{path}", self.prefix) }
    }

    /// The path of a key below this prefix.
    pub(super) fn path_of<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&self.prefix)
    }
}

/// One object, or the keys that start alike, as requests and their messages name them.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) uri: String,
    pub(super) bucket: String,
    pub(super) key: String,
}

impl Object {
    pub(super) fn request(&self, action: &'static str) -> Request<'_> {
        Request { action, uri: &self.uri, bucket: &self.bucket }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_and_put_together() {
        let storage = Storage::default();
        let prefix = |text: &str| storage.s3_prefix(text).unwrap().unwrap();
        for text in ["s3://shop/runs", "s3://shop/runs/"] {
            assert_eq!(prefix(text).uri(""), "s3://shop/runs");
            assert_eq!(prefix(text).join("r1").object("a/b.parquet").key, "runs/r1/a/b.parquet");
            assert_eq!(prefix(text).join("r1").uri("manifest.json"), "s3://shop/runs/r1/manifest.json");
            assert_eq!(prefix(text).path_of("runs/r1/x"), Some("r1/x"));
        }
        assert_eq!(prefix("s3://shop").uri(""), "s3://shop");
        assert_eq!(prefix("s3://shop").object("a").key, "a");
        assert!(storage.s3_prefix("runs").unwrap().is_none());
        for bad in ["gs://shop/runs", "s3://", "s3:///runs", "s3://shop/a//b", "s3://shop/../b", "s3://shop/r*"] {
            assert!(matches!(storage.s3_prefix(bad), Err(StorageError::BadLocation { .. })), "{bad}");
        }
    }
}
