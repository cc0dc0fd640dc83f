//! What can go wrong between a location in the config and bytes in memory, either way.

use std::{error::Error, ops::Range, path::PathBuf};

/// Why a location could not be listed, or an object not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The location is not a path, a glob or an `s3://` address.
    #[error("cannot understand the location `{location}`: {reason}")]
    BadLocation {
        /// As the config has it.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The glob does not parse.
    #[error("cannot understand the glob `{location}`")]
    BadGlob {
        /// As the config has it.
        location: String,
        /// The parser's complaint.
        #[source]
        source: globset::Error,
    },
    /// Nothing lies at the location.
    #[error("`{location}` does not exist")]
    NotFound {
        /// As the config has it.
        location: String,
    },
    /// The location exists, but holds nothing of the wanted kind.
    #[error("no {wanted} under `{location}`: {found}")]
    Empty {
        /// As the config has it.
        location: String,
        /// What was looked for.
        wanted: String,
        /// What lies there instead.
        found: String,
    },
    /// A file system call failed.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The object is not the one that was listed: another size, time or ETag.
    #[error("`{uri}` changed while it was being read: {change}")]
    ObjectChanged {
        /// The object.
        uri: String,
        /// What differs.
        change: String,
    },
    /// The object was listed and is no longer there.
    #[error("`{uri}` was deleted after it was listed")]
    ObjectGone {
        /// The object.
        uri: String,
    },
    /// A read beyond the object's end, as a damaged footer asks for.
    #[error("cannot read bytes {}..{} of `{uri}`: it has {size}", range.start, range.end)]
    OutOfRange {
        /// The object.
        uri: String,
        /// The bytes asked for.
        range: Range<u64>,
        /// The object's size.
        size: u64,
    },
    /// The bucket does not exist.
    #[error("cannot {action} `{uri}`: there is no bucket `{bucket}`")]
    NoSuchBucket {
        /// What was attempted.
        action: &'static str,
        /// On what.
        uri: String,
        /// The bucket.
        bucket: String,
    },
    /// S3 knows the request and refuses it: no permission, wrong key, expired token.
    #[error("cannot {action} `{uri}`: S3 refuses with {code}")]
    AccessDenied {
        /// What was attempted.
        action: &'static str,
        /// On what.
        uri: String,
        /// S3's error code.
        code: String,
        /// The whole answer.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The bucket lies in another region than the one asked.
    #[error("cannot {action} `{uri}`: the bucket lies in {}", region.as_deref().unwrap_or("another region"))]
    WrongRegion {
        /// What was attempted.
        action: &'static str,
        /// On what.
        uri: String,
        /// Where the bucket lies, when S3 says so.
        region: Option<String>,
    },
    /// No credentials in the environment, the profile or the machine's role.
    #[error("no AWS credentials were found for `{uri}`")]
    NoCredentials {
        /// The location that needs them.
        uri: String,
        /// Why the last provider had none.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// No region in the config, the environment or the profile.
    #[error("no AWS region is set for `{uri}`")]
    NoRegion {
        /// The location that needs it.
        uri: String,
    },
    /// Any other failure of a request, after its retries.
    #[error("cannot {action} `{uri}`")]
    S3 {
        /// What was attempted.
        action: &'static str,
        /// On what.
        uri: String,
        /// The SDK's error.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The right to write was taken back, or another part of the same upload had failed.
    #[error("stopped before `{uri}` was written")]
    Interrupted {
        /// The object.
        uri: String,
    },
    /// The threads that talk to S3 could not be started.
    #[error("cannot start the threads for S3")]
    Runtime {
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

impl StorageError {
    /// What the reader of the message can do about it, where there is something; for a line of its own.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotFound { .. } => Some(
                "relative paths of a config file start at its own directory, those of flags and variables at the working \
                 directory",
            ),
            Self::NoRegion { .. } => Some("set AWS_REGION, or `s3.region` in the config"),
            Self::NoCredentials { .. } => Some(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where a role gives credentials",
            ),
            Self::AccessDenied { action: "write" | "delete" | "abort" | "list the uploads of", .. } => Some(
                "writing runs needs s3:ListBucket and s3:ListBucketMultipartUploads on the bucket, and s3:GetObject, \
                 s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on its objects",
            ),
            Self::AccessDenied { .. } => {
                Some("reading needs s3:ListBucket on the bucket and s3:GetObject on its objects")
            }
            Self::NoSuchBucket { action: "write", .. } => {
                Some("make the bucket first, or mend its name; nightshelf makes none")
            }
            Self::WrongRegion { .. } => Some("set AWS_REGION or `s3.region` to the bucket's region"),
            Self::ObjectChanged { .. } | Self::ObjectGone { .. } => {
                Some("run again when whoever writes there is done: rows of two versions are never mixed")
            }
            _ => None,
        }
    }
}
