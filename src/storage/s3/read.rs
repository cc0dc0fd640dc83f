//! Ranged GetObject, pinned to the listed ETag, several at once.

use std::{ops::Range, sync::Arc};

use aws_sdk_s3::primitives::ByteStreamError;
use bytes::Bytes;
use tokio::task::JoinSet;

use super::{
    FIRST_PAUSE, Running, S3Client,
    error::{Request, explained},
};
use crate::storage::{StorageError, listing::ObjectInfo, plan::Plan};

impl S3Client {
    /// Reads ranges of a listed object; they lie within it.
    pub(in crate::storage) fn read(
        &self,
        object: &ObjectInfo,
        bucket: &str,
        key: &str,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, StorageError> {
        let plan = Plan::new(ranges);
        let running = self.running(&object.uri)?;
        let target = Arc::new(Target {
            uri: object.uri.clone(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            etag: object.etag.clone(),
        });
        let answers = match plan.parts.as_slice() {
            [] => Vec::new(),
            [part] => vec![running.runtime().block_on(fetch(&running, &target, part.clone()))?],
            parts => running.runtime().block_on(fetch_all(&running, &target, parts))?,
        };
        Ok(ranges.iter().map(|range| plan.slice(&answers, range)).collect())
    }
}

/// The object that a request is about.
pub(super) struct Target {
    pub(super) uri: String,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) etag: Option<String>,
}

/// Fetches the parts at once; the first failure ends the others.
pub(super) async fn fetch_all(
    running: &Arc<Running>,
    target: &Arc<Target>,
    parts: &[Range<u64>],
) -> Result<Vec<Bytes>, StorageError> {
    let mut tasks = JoinSet::new();
    for (number, part) in parts.iter().cloned().enumerate() {
        let (client, target) = (Arc::clone(running), Arc::clone(target));
        tasks.spawn(async move { (number, fetch(&client, &target, part).await) });
    }
    let mut answers = vec![Bytes::new(); parts.len()];
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok((number, answer)) => answers[number] = answer?,
            Err(failure) => std::panic::resume_unwind(failure.into_panic()),
        }
    }
    Ok(answers)
}

/// Fetches one part within the limit of requests under way.
///
/// The SDK repeats requests that fail before the first byte of the body; a body that breaks off or stalls is repeated here.
async fn fetch(running: &Running, target: &Target, part: Range<u64>) -> Result<Bytes, StorageError> {
    let _permit = running.in_flight.acquire().await.expect("the semaphore is never closed");
    let mut pause = FIRST_PAUSE;
    let mut attempt = 1;
    loop {
        match fetch_once(running, target, &part).await? {
            Ok(bytes) => return Ok(bytes),
            Err(broken) if attempt < running.max_attempts => {
                tracing::debug!(uri = target.uri, attempt, error = %broken, "a body broke off, repeating");
                tokio::time::sleep(pause).await;
                pause *= 2;
                attempt += 1;
            }
            Err(broken) => {
                return Err(StorageError::S3 { action: "read", uri: target.uri.clone(), source: broken.into() });
            }
        }
    }
}

/// Why a body was not whole.
#[derive(Debug, thiserror::Error)]
enum BrokenBody {
    #[error("the answer's body broke off")]
    Stream(#[source] ByteStreamError),
    #[error("the answer has {is} bytes where {wanted} were asked for")]
    Length { is: usize, wanted: u64 },
}

async fn fetch_once(
    running: &Running,
    target: &Target,
    part: &Range<u64>,
) -> Result<Result<Bytes, BrokenBody>, StorageError> {
    let request = Request { action: "read", uri: &target.uri, bucket: &target.bucket };
    let answer = running
        .client
        .get_object()
        .bucket(&target.bucket)
        .key(&target.key)
        .range(format!("bytes={}-{}", part.start, part.end - 1))
        .set_if_match(target.etag.as_ref().map(|etag| format!("\"{etag}\"")))
        .send()
        .await
        .map_err(|error| explained(request, error))?;
    // A store that does not know If-Match would give the new version without a word.
    if let (Some(listed), Some(now)) = (&target.etag, answer.e_tag())
        && now.trim_matches('"') != listed
    {
        return Err(StorageError::ObjectChanged {
            uri: target.uri.clone(),
            change: format!("its ETag was {listed} and is {}", now.trim_matches('"')),
        });
    }
    let wanted = part.end - part.start;
    Ok(match answer.body.collect().await {
        Ok(body) => {
            let bytes = body.into_bytes();
            if bytes.len() as u64 == wanted { Ok(bytes) } else { Err(BrokenBody::Length { is: bytes.len(), wanted }) }
        }
        Err(source) => Err(BrokenBody::Stream(source)),
    })
}
