//! Reading one object, wherever it lies.

use std::ops::Range;

use bytes::Bytes;

use super::{
    Storage, StorageError,
    listing::{ObjectInfo, Place},
    local::LocalReader,
    s3::S3Client,
};

/// Reads byte ranges of one listed object, from any thread.
///
/// All reads see the version that was listed: S3 requests carry `If-Match` with the listed ETag, local files are
/// compared by size, time and inode at opening and after every read.
#[derive(Debug)]
pub struct ObjectReader {
    object: ObjectInfo,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Local(LocalReader),
    S3 { client: S3Client, bucket: String, key: String },
}

impl Storage {
    /// Opens a listed object. A local file is opened now, an S3 object is asked for with the first read.
    ///
    /// # Errors
    /// A local file that was changed or deleted since it was listed, or that may not be read.
    pub fn open(&self, object: &ObjectInfo) -> Result<ObjectReader, StorageError> {
        let source = match &object.place {
            Place::Local { path, stamp } => Source::Local(LocalReader::open(path, stamp, object)?),
            Place::S3 { bucket, key } => {
                Source::S3 { client: self.s3.clone(), bucket: bucket.clone(), key: key.clone() }
            }
        };
        Ok(ObjectReader { object: object.clone(), source })
    }
}

impl ObjectReader {
    /// What is read.
    #[must_use]
    pub fn object(&self) -> &ObjectInfo {
        &self.object
    }

    /// Reads the ranges, which may come in any order and overlap.
    ///
    /// Returns: the bytes of each range, in the order of the ranges.
    ///
    /// Cost: on S3, ranges less than 1 MiB apart come with one request, above 8 MiB with several; requests run at once, up to
    /// [`S3Config::max_in_flight`](super::S3Config::max_in_flight) over all readers.
    ///
    /// # Errors
    /// A range beyond the end, an object that is not the listed one any more or is gone, a failed read.
    pub fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StorageError> {
        for range in ranges {
            if range.start > range.end || range.end > self.object.size {
                return Err(StorageError::OutOfRange {
                    uri: self.object.uri.clone(),
                    range: range.clone(),
                    size: self.object.size,
                });
            }
        }
        match &self.source {
            Source::Local(file) => file.read(&self.object, ranges),
            Source::S3 { client, bucket, key } => client.read(&self.object, bucket, key, ranges),
        }
    }

    /// Reads one range.
    ///
    /// # Errors
    /// As [`read_ranges`](Self::read_ranges).
    pub fn read_range(&self, range: Range<u64>) -> Result<Bytes, StorageError> {
        let mut answers = self.read_ranges(std::slice::from_ref(&range))?;
        Ok(answers.pop().expect("one range was asked for, so there is one answer"))
    }

    /// Reads the whole object.
    ///
    /// # Errors
    /// As [`read_ranges`](Self::read_ranges).
    pub fn read_all(&self) -> Result<Bytes, StorageError> {
        self.read_range(0..self.object.size)
    }

    /// Reads the last `n` bytes, or all of a shorter object: where Parquet keeps its footer.
    ///
    /// # Errors
    /// As [`read_ranges`](Self::read_ranges).
    pub fn get_tail(&self, n: u64) -> Result<Bytes, StorageError> {
        self.read_range(self.object.size.saturating_sub(n)..self.object.size)
    }
}
