//! Storage: bytes in local files and S3 objects.
//!
//! In: locations (paths, globs, `s3://` addresses), byte ranges, files to upload. Out: lists of objects, bytes of exactly the listed
//! versions, objects. Refuses: to know formats, to guess at a missing input, to mix two versions of one object, to overwrite an object
//! unasked; no request before an `s3://` location is used.

mod config;
mod error;
mod listing;
mod local;
mod location;
mod plan;
mod reader;
mod s3;

pub use config::S3Config;
pub use error::StorageError;
pub use listing::ObjectInfo;
pub use location::Location;
pub use reader::ObjectReader;
pub use s3::{Condition, Contents, Fetched, FileUpload, Permission, S3Client, S3Prefix};

/// Every place bytes are read from. Cheap to clone; clones share one S3 client.
#[derive(Debug, Clone)]
pub struct Storage {
    s3: S3Client,
}

impl Storage {
    /// Storage that reaches S3 as `config` and the standard AWS environment say. Touches neither network nor
    /// environment until an `s3://` location is used.
    #[must_use]
    pub fn new(config: S3Config) -> Self {
        Self::with_s3(S3Client::new(config))
    }

    /// Storage over an S3 client made elsewhere.
    #[must_use]
    pub fn with_s3(s3: S3Client) -> Self {
        Self { s3 }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self::new(S3Config::default())
    }
}

#[cfg(test)]
mod tests;
