//! Conditional PutObject of small objects, whose outcome is always known.

use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
};
use bytes::Bytes;

use super::{
    FIRST_PAUSE, Running, S3Prefix,
    checksum::crc32,
    error::explained,
    get::{Got, get_whole},
    prefix::Object,
};
use crate::storage::StorageError;

/// Metadata that names the writer of an object, so that he knows his own again.
pub(super) const TAG_KEY: &str = "nightshelf-tag";
/// Metadata that holds the SHA-256 of an uploaded file.
pub(super) const SHA256_KEY: &str = "nightshelf-sha256";

/// What must lie at a path for a write to happen.
#[derive(Debug, Clone, Copy)]
pub enum Condition<'a> {
    /// Nothing.
    New,
    /// The object with this ETag.
    Replaces(&'a str),
}

impl S3Prefix {
    /// Writes a small object if `condition` holds; of several writers at once one succeeds.
    ///
    /// An answer that does not say whether the object was written (a timeout, a failure after the fact, a refusal of our own
    /// repetition) is settled by reading it back: it is ours when its bytes and its tag are.
    ///
    /// Returns: the new ETag, or `None` when the condition does not hold.
    ///
    /// # Errors
    /// A missing bucket, a refusal, or a failure that reading back cannot settle: then the object may have been written.
    pub fn put_if(
        &self,
        path: &str,
        bytes: Bytes,
        tag: &str,
        condition: Condition<'_>,
    ) -> Result<Option<String>, StorageError> {
        let object = self.object(path);
        let running = self.client.running(&object.uri)?;
        running.runtime().block_on(put_if(&running, &object, bytes, tag, condition))
    }
}

async fn put_if(
    running: &Running,
    object: &Object,
    bytes: Bytes,
    tag: &str,
    condition: Condition<'_>,
) -> Result<Option<String>, StorageError> {
    let mut pause = FIRST_PAUSE;
    let mut attempt = 1;
    loop {
        let request = running
            .client
            .put_object()
            .bucket(&object.bucket)
            .key(&object.key)
            .metadata(TAG_KEY, tag)
            .content_type("application/json")
            .checksum_crc32(crc32(&bytes))
            .body(ByteStream::from(bytes.clone()));
        let request = match condition {
            Condition::New => request.if_none_match("*"),
            Condition::Replaces(etag) => request.if_match(format!("\"{etag}\"")),
        };
        let error = match request.send().await {
            Ok(answer) => return Ok(Some(answer.e_tag().unwrap_or("").trim_matches('"').to_owned())),
            Err(error) => error,
        };
        let verdict = Verdict::of(&error);
        let error = explained(object.request("write"), error);
        if verdict == Verdict::Final || matches!(error, StorageError::NoSuchBucket { .. }) {
            return Err(error);
        }
        match get_whole(running, object, None).await {
            Ok(Some(Got::Whole(there))) if there.tag.as_deref() == Some(tag) && there.bytes == bytes => {
                return Ok(Some(there.etag));
            }
            // What cannot be read back stays unknown; the first error is the one to tell.
            Err(_) => return Err(error),
            Ok(_) => {}
        }
        match verdict {
            Verdict::Refused => return Ok(None),
            Verdict::Again if attempt < running.max_attempts => {
                tokio::time::sleep(pause).await;
                pause *= 2;
                attempt += 1;
            }
            _ => return Err(error),
        }
    }
}

/// What a failed write says about whether it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It did not, and never will.
    Final,
    /// Another object was there, unless our own repetition met our own write.
    Refused,
    /// S3 was busy with another write to the same key.
    Again,
    /// Nobody knows.
    Unknown,
}

impl Verdict {
    pub(super) fn of<E>(error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or("");
        match (code, status) {
            ("PreconditionFailed", _) | (_, Some(412)) => Self::Refused,
            ("ConditionalRequestConflict" | "OperationAborted", _) | (_, Some(409)) => Self::Again,
            // Of a conditional overwrite: what was to be replaced is gone. Of a completed upload: it was completed or aborted.
            (_, Some(404)) => Self::Refused,
            (_, Some(400..=499)) => Self::Final,
            _ => Self::Unknown,
        }
    }
}
