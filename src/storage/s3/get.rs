//! GetObject and HeadObject by path, of objects that nobody has listed before.

use std::{sync::Arc, time::Duration};

use aws_sdk_s3::primitives::ByteStreamError;
use bytes::Bytes;
use tokio::task::JoinSet;

use super::{
    FIRST_PAUSE, Running, S3Prefix,
    clock::ServerClock,
    error::explained,
    prefix::Object,
    put::{SHA256_KEY, TAG_KEY},
    read::{Target, fetch_all},
};
use crate::storage::{
    StorageError,
    plan::{PART_BYTES, Plan},
};

/// A whole object, and what S3 says of it.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The bytes.
    pub bytes: Bytes,
    /// ETag without its quotes.
    pub etag: String,
    /// The writer's tag, when [`S3Prefix::put_if`] wrote it.
    pub tag: Option<String>,
    /// How long ago it was written, by S3's own clock; `None` when S3 does not say.
    pub age: Option<Duration>,
}

/// What lies where an object of a known size should lie.
#[derive(Debug, Clone)]
pub enum Contents {
    /// An object of that size.
    Whole(Bytes),
    /// An object of so many bytes.
    OtherSize(u64),
    /// Nothing.
    Absent,
}

/// What S3 says of an object without sending it.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub(super) bytes: u64,
    pub(super) etag: Option<String>,
    /// The SHA-256 that its upload stated.
    pub(super) sha256: Option<String>,
}

impl S3Prefix {
    /// Reads a whole object; `None` when there is none.
    ///
    /// # Errors
    /// A missing bucket, a refusal, a read that fails again and again.
    pub fn get(&self, path: &str) -> Result<Option<Fetched>, StorageError> {
        let running = self.client.running(&self.uri(path))?;
        let got = running.runtime().block_on(get_whole(&running, &self.object(path), None))?;
        Ok(match got {
            Some(Got::Whole(fetched)) => Some(fetched),
            Some(Got::OtherSize(_)) | None => None,
        })
    }

    /// Reads several whole objects at once, in the order of the paths; `None` for those that are not there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_all(&self, paths: &[String]) -> Result<Vec<Option<Bytes>>, StorageError> {
        let running = self.client.running(&self.uri(""))?;
        running.runtime().block_on(async {
            let mut tasks = JoinSet::new();
            for (number, path) in paths.iter().enumerate() {
                let (running, object) = (Arc::clone(&running), self.object(path));
                tasks.spawn(async move { (number, get_whole(&running, &object, None).await) });
            }
            let mut answers = vec![None; paths.len()];
            while let Some(done) = tasks.join_next().await {
                let (number, got) = done.unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()));
                if let Some(Got::Whole(fetched)) = got? {
                    answers[number] = Some(fetched.bytes);
                }
            }
            Ok(answers)
        })
    }

    /// Reads an object that should have `bytes` bytes.
    ///
    /// # Errors
    /// As [`get`](Self::get); also when a large object changes while it is read.
    ///
    /// Cost: one request up to 8 MiB; above, a request for the size and one for each 8 MiB, several at once.
    pub fn read(&self, path: &str, bytes: u64) -> Result<Contents, StorageError> {
        let object = self.object(path);
        let running = self.client.running(&object.uri)?;
        running.runtime().block_on(async {
            if bytes <= PART_BYTES {
                return Ok(match get_whole(&running, &object, Some(bytes)).await? {
                    Some(Got::Whole(fetched)) => Contents::Whole(fetched.bytes),
                    Some(Got::OtherSize(size)) => Contents::OtherSize(size),
                    None => Contents::Absent,
                });
            }
            let Some(head) = head(&running, &object).await? else { return Ok(Contents::Absent) };
            if head.bytes != bytes {
                return Ok(Contents::OtherSize(head.bytes));
            }
            let target = Arc::new(Target { uri: object.uri, bucket: object.bucket, key: object.key, etag: head.etag });
            let whole = 0..bytes;
            let plan = Plan::new(std::slice::from_ref(&whole));
            let answers = fetch_all(&running, &target, &plan.parts).await?;
            Ok(Contents::Whole(plan.slice(&answers, &whole)))
        })
    }
}

pub(super) enum Got {
    Whole(Fetched),
    OtherSize(u64),
}

/// Why a body was not whole.
#[derive(Debug, thiserror::Error)]
enum BrokenBody {
    #[error("the answer's body broke off")]
    Stream(#[source] ByteStreamError),
    #[error("the answer has {is} bytes where {wanted} were announced")]
    Length { is: usize, wanted: u64 },
}

/// Fetches an object within the limit of requests under way; a body that breaks off is asked for again.
pub(super) async fn get_whole(
    running: &Running,
    object: &Object,
    expected: Option<u64>,
) -> Result<Option<Got>, StorageError> {
    let _permit = running.in_flight.acquire().await.expect("the semaphore is never closed");
    let mut pause = FIRST_PAUSE;
    let mut attempt = 1;
    loop {
        let clock = ServerClock::default();
        let request = running.client.get_object().bucket(&object.bucket).key(&object.key);
        let answer = match request.customize().interceptor(clock.clone()).send().await {
            Ok(answer) => answer,
            Err(error) => {
                return match explained(object.request("read"), error) {
                    StorageError::ObjectGone { .. } => Ok(None),
                    error => Err(error),
                };
            }
        };
        let size = answer.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        if expected.is_some_and(|expected| expected != size) {
            return Ok(Some(Got::OtherSize(size)));
        }
        let etag = answer.e_tag().unwrap_or("").trim_matches('"').to_owned();
        let tag = answer.metadata().and_then(|metadata| metadata.get(TAG_KEY)).cloned();
        let age = answer.last_modified().and_then(|then| clock.since(then));
        let broken = match answer.body.collect().await {
            Ok(body) => {
                let bytes = body.into_bytes();
                if bytes.len() as u64 == size {
                    return Ok(Some(Got::Whole(Fetched { bytes, etag, tag, age })));
                }
                BrokenBody::Length { is: bytes.len(), wanted: size }
            }
            Err(source) => BrokenBody::Stream(source),
        };
        if attempt >= running.max_attempts {
            return Err(StorageError::S3 { action: "read", uri: object.uri.clone(), source: broken.into() });
        }
        tracing::debug!(uri = object.uri, attempt, error = %broken, "a body broke off, repeating");
        tokio::time::sleep(pause).await;
        pause *= 2;
        attempt += 1;
    }
}

/// Asks for an object's size and checksums; `None` when there is none.
pub(super) async fn head(running: &Running, object: &Object) -> Result<Option<Head>, StorageError> {
    let sent = running.client.head_object().bucket(&object.bucket).key(&object.key).send().await;
    match sent.map_err(|error| explained(object.request("look at"), error)) {
        Ok(answer) => Ok(Some(Head {
            bytes: answer.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
            etag: answer.e_tag().map(|etag| etag.trim_matches('"').to_owned()),
            sha256: answer.metadata().and_then(|metadata| metadata.get(SHA256_KEY)).cloned(),
        })),
        Err(StorageError::ObjectGone { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
