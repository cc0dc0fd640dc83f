//! Files into new objects: small ones by one request, large ones in parts, several at once, in bounded memory.

use std::{fs::File, io::Read, path::PathBuf, sync::Arc};

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    task::{JoinError, JoinSet, spawn_blocking},
};

use super::{
    FIRST_PAUSE, Running, S3Prefix,
    checksum::{crc32, sha256},
    error::explained,
    get::head,
    prefix::Object,
    put::{SHA256_KEY, Verdict},
    remove::{abort, delete},
};
use crate::storage::StorageError;

/// The most parts that S3 takes.
const MAX_PARTS: u64 = 10_000;

/// A file to upload.
#[derive(Debug, Clone)]
pub struct FileUpload {
    /// The local file.
    pub from: PathBuf,
    /// Where it goes, below the prefix.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, lower-case hexadecimal.
    pub sha256: String,
}

/// Asked before each request of an upload; `false` ends it.
pub type Permission = Arc<dyn Fn() -> bool + Send + Sync>;

impl S3Prefix {
    /// Uploads files into objects that are not there yet. The first failure ends the others.
    ///
    /// An object that is there already with the same size and SHA-256 counts as uploaded; another one is replaced.
    /// Every byte is checked twice: S3 compares what arrives with a checksum, and a file that is not what its SHA-256
    /// says never becomes an object.
    ///
    /// # Errors
    /// A missing bucket, a refusal, a request that fails again and again, a file that cannot be read or is not what it
    /// was said to be, a permission taken back. Multipart uploads are aborted then; objects that were finished stay.
    ///
    /// Cost: memory for eight parts ([`S3Config::part_bytes`](crate::storage::S3Config::part_bytes)) at most.
    pub fn upload(&self, files: &[FileUpload], permission: &Permission) -> Result<(), StorageError> {
        let running = self.client.running(&self.uri(""))?;
        let (stop, stopped) = watch::channel(false);
        running.runtime().block_on(async {
            let mut tasks = JoinSet::new();
            for file in files {
                let upload = Upload {
                    running: Arc::clone(&running),
                    object: self.object(&file.path),
                    file: file.clone(),
                    permission: Arc::clone(permission),
                    stopped: stopped.clone(),
                };
                tasks.spawn(upload.run());
            }
            let mut first = Ok(());
            while let Some(done) = tasks.join_next().await {
                let done = settled(done);
                if first.is_ok() && done.is_err() {
                    first = done;
                    // The others abort what they have begun, and end.
                    let _ = stop.send(true);
                }
            }
            first
        })
    }
}

/// A task's result; its panic goes on here.
fn settled<T>(done: Result<T, JoinError>) -> T {
    done.unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()))
}

/// One file on its way.
struct Upload {
    running: Arc<Running>,
    object: Object,
    file: FileUpload,
    permission: Permission,
    /// Becomes true when another file has failed.
    stopped: watch::Receiver<bool>,
}

/// Parts under way.
type Parts = JoinSet<Result<CompletedPart, StorageError>>;

/// What an attempt came to.
enum Outcome {
    Done,
    /// S3 was busy with the key, or another object had to be removed from it.
    Again,
}

impl Upload {
    async fn run(self) -> Result<(), StorageError> {
        let mut pause = FIRST_PAUSE;
        for _ in 0..self.running.max_attempts {
            let outcome = match self.file.bytes <= self.running.part_bytes {
                true => self.whole().await?,
                false => self.in_parts().await?,
            };
            match outcome {
                Outcome::Done => return Ok(()),
                Outcome::Again => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
        Err(self.failed("S3 was busy with other writes to the same key every time".into()))
    }

    fn failed(&self, source: Box<dyn std::error::Error + Send + Sync>) -> StorageError {
        StorageError::S3 { action: "write", uri: self.object.uri.clone(), source }
    }

    fn interrupted(&self) -> StorageError {
        StorageError::Interrupted { uri: self.object.uri.clone() }
    }

    /// Waits for a buffer, and for leave to go on. A request under way is never given up: what is written afterwards could
    /// be found by nobody.
    async fn slot(&self) -> Result<OwnedSemaphorePermit, StorageError> {
        let mut stopped = self.stopped.clone();
        let permit = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return Err(self.interrupted()),
            permit = Arc::clone(&self.running.upload_slots).acquire_owned() => permit,
        };
        if !(self.permission)() {
            return Err(self.interrupted());
        }
        Ok(permit.expect("the semaphore is never closed"))
    }

    async fn whole(&self) -> Result<Outcome, StorageError> {
        let permit = self.slot().await?;
        let (_, part) = self.read(Source::open(&self.file, None)?, self.file.bytes).await?;
        let request = self
            .running
            .uploading
            .put_object()
            .bucket(&self.object.bucket)
            .key(&self.object.key)
            .if_none_match("*")
            // S3 itself refuses bytes that are not those of the manifest.
            .set_checksum_sha256(sha256(&self.file.sha256))
            .metadata(SHA256_KEY, &self.file.sha256)
            .body(ByteStream::from(part));
        let sent = request.send().await;
        drop(permit);
        match sent {
            Ok(_) => Ok(Outcome::Done),
            Err(error) => {
                let verdict = Verdict::of(&error);
                self.judge(verdict, explained(self.object.request("write"), error)).await
            }
        }
    }

    /// What a failed write means, by what lies there now.
    async fn judge(&self, verdict: Verdict, error: StorageError) -> Result<Outcome, StorageError> {
        if verdict == Verdict::Final || matches!(error, StorageError::NoSuchBucket { .. }) {
            return Err(error);
        }
        let there = match head(&self.running, &self.object).await {
            Ok(there) => there,
            Err(_) => return Err(error),
        };
        let Some(there) = there else {
            return match verdict {
                Verdict::Again | Verdict::Refused => Ok(Outcome::Again),
                Verdict::Final | Verdict::Unknown => Err(error),
            };
        };
        if there.bytes == self.file.bytes && there.sha256.as_deref() == Some(self.file.sha256.as_str()) {
            return Ok(Outcome::Done);
        }
        // Left by a writer that lost its right to this place.
        if !(self.permission)() {
            return Err(self.interrupted());
        }
        tracing::warn!(uri = self.object.uri, "replacing an object that another writer left");
        delete(&self.running, &self.object).await?;
        Ok(Outcome::Again)
    }

    async fn in_parts(&self) -> Result<Outcome, StorageError> {
        let started = self
            .running
            .client
            .create_multipart_upload()
            .bucket(&self.object.bucket)
            .key(&self.object.key)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .metadata(SHA256_KEY, &self.file.sha256)
            .send()
            .await
            .map_err(|error| explained(self.object.request("write"), error))?;
        let Some(id) = started.upload_id() else {
            return Err(self.failed("the answer names no upload".into()));
        };
        let mut tasks = JoinSet::new();
        let outcome = match self.parts(id, &mut tasks).await {
            Ok(parts) => self.complete(id, parts).await,
            Err(error) => Err(error),
        };
        // A part that arrives after the upload was aborted would stay, and cost.
        while tasks.join_next().await.is_some() {}
        if !matches!(outcome, Ok(Outcome::Done))
            && let Err(error) = abort(&self.running, &self.object, id).await
        {
            tracing::warn!(uri = self.object.uri, %error, "a multipart upload was left; the next build or prune aborts it");
        }
        outcome
    }

    /// Sends the parts, as many at once as there are buffers.
    async fn parts(&self, id: &str, tasks: &mut Parts) -> Result<Vec<CompletedPart>, StorageError> {
        let part_bytes = self.running.part_bytes.max(self.file.bytes.div_ceil(MAX_PARTS));
        let mut source = Source::open(&self.file, Some(Sha256::new()))?;
        let mut parts = Vec::new();
        let mut left = self.file.bytes;
        let mut number = 0;
        while left > 0 {
            let permit = self.slot().await?;
            // A part that failed ends the file before the next one is read.
            while let Some(done) = tasks.try_join_next() {
                parts.push(settled(done)?);
            }
            let bytes;
            (source, bytes) = self.read(source, left.min(part_bytes)).await?;
            left -= bytes.len() as u64;
            number += 1;
            let checksum = crc32(&bytes);
            let request = self
                .running
                .uploading
                .upload_part()
                .bucket(&self.object.bucket)
                .key(&self.object.key)
                .upload_id(id)
                .part_number(number)
                .checksum_crc32(&checksum)
                .body(ByteStream::from(bytes));
            let object = self.object.clone();
            tasks.spawn(async move {
                let sent = request.send().await.map_err(|error| explained(object.request("write"), error))?;
                drop(permit);
                let part = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).checksum_crc32(checksum);
                Ok(part.build())
            });
        }
        while let Some(done) = tasks.join_next().await {
            parts.push(settled(done)?);
        }
        let found = source.finish();
        if found != self.file.sha256 {
            let change = format!("its SHA-256 was {} and is {found}", self.file.sha256);
            return Err(StorageError::ObjectChanged { uri: self.file.from.display().to_string(), change });
        }
        parts.sort_by_key(CompletedPart::part_number);
        Ok(parts)
    }

    async fn complete(&self, id: &str, parts: Vec<CompletedPart>) -> Result<Outcome, StorageError> {
        if !(self.permission)() {
            return Err(self.interrupted());
        }
        let sent = self
            .running
            .uploading
            .complete_multipart_upload()
            .bucket(&self.object.bucket)
            .key(&self.object.key)
            .upload_id(id)
            .if_none_match("*")
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .send()
            .await;
        match sent {
            Ok(_) => Ok(Outcome::Done),
            Err(error) => {
                let verdict = Verdict::of(&error);
                self.judge(verdict, explained(self.object.request("write"), error)).await
            }
        }
    }

    /// Reads the next `n` bytes, away from the threads that carry the connections.
    async fn read(&self, mut source: Source, n: u64) -> Result<(Source, Bytes), StorageError> {
        let path = self.file.from.clone();
        let read = spawn_blocking(move || {
            let mut bytes = vec![0; n as usize];
            source.file.read_exact(&mut bytes)?;
            if let Some(hasher) = &mut source.hasher {
                hasher.update(&bytes);
            }
            Ok((source, Bytes::from(bytes)))
        });
        settled(read.await).map_err(|source| StorageError::Io { action: "read", path, source })
    }
}

/// A file being read.
struct Source {
    file: File,
    /// For files in parts: of others S3 checks the hash of the whole.
    hasher: Option<Sha256>,
}

impl Source {
    fn open(upload: &FileUpload, hasher: Option<Sha256>) -> Result<Self, StorageError> {
        let failed = |action| move |source| StorageError::Io { action, path: upload.from.clone(), source };
        let file = File::open(&upload.from).map_err(failed("open"))?;
        let size = file.metadata().map_err(failed("look at"))?.len();
        if size != upload.bytes {
            let change = format!("it had {} bytes and has {size}", upload.bytes);
            return Err(StorageError::ObjectChanged { uri: upload.from.display().to_string(), change });
        }
        Ok(Self { file, hasher })
    }

    /// SHA-256 of what was read, lower-case hexadecimal.
    fn finish(self) -> String {
        let digest = self.hasher.unwrap_or_default().finalize();
        digest.iter().fold(String::with_capacity(64), |text, byte| format!("{text}{byte:02x}"))
    }
}
