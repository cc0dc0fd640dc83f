//! The writing half of the S3 server: conditions and multipart uploads as real S3 has them, and faults.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use s3s::{
    Body, S3Response, S3Result,
    checksum::ChecksumHasher,
    dto::{
        AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
        CompleteMultipartUploadOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput,
        DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, ETagCondition, HeadObjectInput, HeadObjectOutput,
        ListMultipartUploadsInput, ListMultipartUploadsOutput, Metadata, MultipartUpload, PutObjectInput,
        PutObjectOutput, StreamingBlob, Timestamp, UploadPartInput, UploadPartOutput,
    },
    s3_error,
};

use super::s3::{FORBIDDEN, etag_of, taken};

/// Writes, what was seen of them, and what is to happen to them.
#[derive(Debug)]
pub(crate) struct Writes {
    root: PathBuf,
    state: Mutex<State>,
    /// So many of the next PUTs of objects and parts are answered with 503 SlowDown.
    pub(crate) slow_downs: AtomicUsize,
    /// So many objects and parts are let through, claims not counted; those that arrive later are answered after a
    /// minute and not written.
    let_through: AtomicUsize,
    /// Objects and parts that were not let through.
    pub(crate) n_stalled: AtomicUsize,
    /// So many of the next PUTs of a key with this ending are written and answered with 500.
    pub(crate) fail_written: Mutex<(String, usize)>,
    /// Objects and parts are answered after so many milliseconds; small ones (`.json`) at once.
    pub(crate) slow_ms: AtomicUsize,
    /// Parts of this number are refused.
    pub(crate) refused_part: AtomicUsize,
    /// Parts seen.
    pub(crate) n_parts: AtomicUsize,
    /// Parts and objects under way, and the most that were under way at once.
    in_flight: AtomicUsize,
    pub(crate) max_in_flight: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    /// By bucket and key.
    metadata: HashMap<(String, String), Metadata>,
    /// By id.
    uploads: BTreeMap<String, Upload>,
    n_uploads: usize,
    /// Keys in the order of their going.
    deleted: Vec<String>,
}

#[derive(Debug)]
struct Upload {
    bucket: String,
    key: String,
    metadata: Option<Metadata>,
    /// Bytes and checksum.
    parts: BTreeMap<i32, (Bytes, Option<String>)>,
}

/// When a file was written.
pub(super) fn modified(file: &Path) -> Timestamp {
    fs::metadata(file).and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH).into()
}

async fn collected(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(body) = body else { return Ok(Bytes::new()) };
    Body::from(body).store_all_limited(1 << 30).await.map_err(|_| s3_error!(IncompleteBody))
}

/// Compares what arrived with the checksums that came along; one of them must have.
fn check(bytes: &[u8], crc32: Option<&String>, sha256: Option<&String>) -> S3Result<()> {
    let mut hasher =
        ChecksumHasher { crc32: Some(Default::default()), sha256: Some(Default::default()), ..Default::default() };
    hasher.update(bytes);
    let is = hasher.finalize();
    if crc32.is_none() && sha256.is_none() {
        return Err(s3_error!(InvalidRequest, "this server wants a checksum"));
    }
    let fits = |stated: Option<&String>, is: &Option<String>| stated.is_none_or(|stated| Some(stated) == is.as_ref());
    if fits(crc32, &is.checksum_crc32) && fits(sha256, &is.checksum_sha256) {
        Ok(())
    } else {
        Err(s3_error!(BadDigest))
    }
}

impl Writes {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            state: Mutex::default(),
            slow_downs: AtomicUsize::new(0),
            let_through: AtomicUsize::new(usize::MAX),
            n_stalled: AtomicUsize::new(0),
            fail_written: Mutex::new((String::new(), 0)),
            slow_ms: AtomicUsize::new(2),
            refused_part: AtomicUsize::new(0),
            n_parts: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            max_in_flight: AtomicUsize::new(0),
        }
    }

    /// Lets so many objects and parts through from now on, then no more; `usize::MAX` ends it.
    pub(crate) fn let_through(&self, n_objects: usize) {
        self.n_stalled.store(0, SeqCst);
        self.let_through.store(n_objects, SeqCst);
    }

    /// Keys of the multipart uploads that were neither completed nor aborted.
    pub(crate) fn open_uploads(&self) -> Vec<String> {
        self.state.lock().unwrap().uploads.values().map(|upload| upload.key.clone()).collect()
    }

    /// Keys that were deleted, in order.
    pub(crate) fn deleted(&self) -> Vec<String> {
        self.state.lock().unwrap().deleted.clone()
    }

    /// Starts an upload that nobody will complete.
    pub(crate) fn leave_upload(&self, bucket: &str, key: &str) {
        let mut state = self.state.lock().unwrap();
        state.start(bucket, key, None);
    }

    fn bucket(&self, bucket: &str) -> S3Result<PathBuf> {
        if bucket == FORBIDDEN {
            return Err(s3_error!(AccessDenied));
        }
        let path = self.root.join(bucket);
        if path.is_dir() { Ok(path) } else { Err(s3_error!(NoSuchBucket)) }
    }

    pub(super) fn metadata(&self, bucket: &str, key: &str) -> Option<Metadata> {
        self.state.lock().unwrap().metadata.get(&(bucket.to_owned(), key.to_owned())).cloned()
    }

    /// What befalls a PUT before it is looked at.
    async fn befall(&self, key: &str) -> S3Result<()> {
        // Decided on arrival: a request that waits below while the fault is taken away is not let through after all.
        let stalled = !key.contains("/.claims/")
            && self.let_through.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_err();
        self.n_stalled.fetch_add(usize::from(stalled), SeqCst);
        let now = self.in_flight.fetch_add(1, SeqCst) + 1;
        self.max_in_flight.fetch_max(now, SeqCst);
        let slow_ms = if key.ends_with(".json") { 2 } else { self.slow_ms.load(SeqCst) };
        tokio::time::sleep(Duration::from_millis(slow_ms as u64)).await;
        self.in_flight.fetch_sub(1, SeqCst);
        if stalled {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return Err(s3_error!(InternalError));
        }
        if taken(&self.slow_downs) { Err(s3_error!(SlowDown)) } else { Ok(()) }
    }

    pub(super) async fn put(&self, input: PutObjectInput) -> S3Result<S3Response<PutObjectOutput>> {
        let bucket = self.bucket(&input.bucket)?;
        self.befall(&input.key).await?;
        let bytes = collected(input.body).await?;
        check(&bytes, input.checksum_crc32.as_ref(), input.checksum_sha256.as_ref())?;
        let conditions = (input.if_none_match.as_ref(), input.if_match.as_ref());
        self.write(&bucket, &input.bucket, &input.key, &bytes, input.metadata, conditions)?;
        {
            let mut fault = self.fail_written.lock().unwrap();
            if fault.1 > 0 && input.key.ends_with(&fault.0) {
                fault.1 -= 1;
                return Err(s3_error!(InternalError));
            }
        }
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(etag_of(&bytes)), ..PutObjectOutput::default() }))
    }

    /// Writes an object if its conditions hold: nothing happens between the look and the write.
    fn write(
        &self,
        directory: &Path,
        bucket: &str,
        key: &str,
        bytes: &[u8],
        metadata: Option<Metadata>,
        (none_match, must_match): (Option<&ETagCondition>, Option<&ETagCondition>),
    ) -> S3Result<()> {
        let mut state = self.state.lock().unwrap();
        let path = directory.join(key);
        let there = fs::read(&path).ok();
        if none_match.is_some() && there.is_some() {
            return Err(s3_error!(PreconditionFailed));
        }
        match (must_match, there) {
            (Some(_), None) => return Err(s3_error!(NoSuchKey)),
            (Some(ETagCondition::ETag(etag)), Some(there)) if !etag.strong_cmp(&etag_of(&there)) => {
                return Err(s3_error!(PreconditionFailed));
            }
            _ => {}
        }
        let write = || -> io::Result<()> {
            fs::create_dir_all(path.parent().unwrap())?;
            let new = self.root.join(".new");
            fs::write(&new, bytes)?;
            fs::rename(new, &path)
        };
        write().map_err(|_| s3_error!(InternalError))?;
        let place = (bucket.to_owned(), key.to_owned());
        match metadata {
            Some(metadata) => state.metadata.insert(place, metadata),
            None => state.metadata.remove(&place),
        };
        Ok(())
    }

    pub(super) fn head(&self, input: &HeadObjectInput) -> S3Result<S3Response<HeadObjectOutput>> {
        let path = self.bucket(&input.bucket)?.join(&input.key);
        let bytes = fs::read(&path).map_err(|_| s3_error!(NoSuchKey))?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(bytes.len() as i64),
            e_tag: Some(etag_of(&bytes)),
            last_modified: Some(modified(&path)),
            metadata: self.metadata(&input.bucket, &input.key),
            ..HeadObjectOutput::default()
        }))
    }

    fn remove(&self, directory: &Path, key: &str) {
        let mut state = self.state.lock().unwrap();
        let path = directory.join(key);
        if fs::remove_file(&path).is_ok() {
            state.deleted.push(key.to_owned());
        }
        // S3 has no directories: one without objects is not there.
        for parent in path.ancestors().skip(1).take_while(|parent| *parent != directory) {
            if fs::remove_dir(parent).is_err() {
                break;
            }
        }
    }

    pub(super) fn delete(&self, input: &DeleteObjectInput) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.remove(&self.bucket(&input.bucket)?, &input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    pub(super) fn delete_all(&self, input: &DeleteObjectsInput) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let directory = self.bucket(&input.bucket)?;
        if input.delete.objects.len() > 1_000 {
            return Err(s3_error!(MalformedXML));
        }
        input.delete.objects.iter().for_each(|object| self.remove(&directory, &object.key));
        Ok(S3Response::new(DeleteObjectsOutput::default()))
    }

    pub(super) fn create(
        &self,
        input: CreateMultipartUploadInput,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.bucket(&input.bucket)?;
        let id = self.state.lock().unwrap().start(&input.bucket, &input.key, input.metadata);
        Ok(S3Response::new(CreateMultipartUploadOutput {
            upload_id: Some(id),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    pub(super) async fn part(&self, input: UploadPartInput) -> S3Result<S3Response<UploadPartOutput>> {
        self.bucket(&input.bucket)?;
        self.n_parts.fetch_add(1, SeqCst);
        self.befall(&input.key).await?;
        if self.refused_part.load(SeqCst) == input.part_number as usize {
            return Err(s3_error!(AccessDenied));
        }
        let bytes = collected(input.body).await?;
        check(&bytes, input.checksum_crc32.as_ref(), input.checksum_sha256.as_ref())?;
        let etag = etag_of(&bytes);
        let mut state = self.state.lock().unwrap();
        let upload = state.uploads.get_mut(&input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        upload.parts.insert(input.part_number, (bytes, input.checksum_crc32));
        Ok(S3Response::new(UploadPartOutput { e_tag: Some(etag), ..UploadPartOutput::default() }))
    }

    pub(super) fn complete(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let directory = self.bucket(&input.bucket)?;
        let (bytes, metadata) = {
            let mut state = self.state.lock().unwrap();
            let upload = state.uploads.get_mut(&input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
            let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
            let mut bytes = Vec::new();
            for (at, part) in named.iter().enumerate() {
                let number = part.part_number.unwrap_or(0);
                let (there, crc32) = upload.parts.get(&number).ok_or_else(|| s3_error!(InvalidPart))?;
                let fits = part.e_tag.as_ref().is_some_and(|etag| etag.strong_cmp(&etag_of(there)));
                if number != at as i32 + 1 || !fits || part.checksum_crc32 != *crc32 {
                    return Err(s3_error!(InvalidPart));
                }
                bytes.extend_from_slice(there);
            }
            (bytes, upload.metadata.clone())
        };
        let conditions = (input.if_none_match.as_ref(), input.if_match.as_ref());
        self.write(&directory, &input.bucket, &input.key, &bytes, metadata, conditions)?;
        self.state.lock().unwrap().uploads.remove(&input.upload_id);
        let mut fault = self.fail_written.lock().unwrap();
        if fault.1 > 0 && input.key.ends_with(&fault.0) {
            fault.1 -= 1;
            return Err(s3_error!(InternalError));
        }
        let etag = Some(etag_of(&bytes));
        Ok(S3Response::new(CompleteMultipartUploadOutput { e_tag: etag, ..CompleteMultipartUploadOutput::default() }))
    }

    pub(super) fn abort(&self, input: &AbortMultipartUploadInput) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.bucket(&input.bucket)?;
        let gone = self.state.lock().unwrap().uploads.remove(&input.upload_id);
        gone.ok_or_else(|| s3_error!(NoSuchUpload))?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    pub(super) fn uploads(&self, input: ListMultipartUploadsInput) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.bucket(&input.bucket)?;
        let state = self.state.lock().unwrap();
        let prefix = input.prefix.unwrap_or_default();
        let uploads =
            state.uploads.iter().filter(|(_, upload)| upload.bucket == input.bucket && upload.key.starts_with(&prefix));
        let uploads = uploads.map(|(id, upload)| MultipartUpload {
            key: Some(upload.key.clone()),
            upload_id: Some(id.clone()),
            ..MultipartUpload::default()
        });
        Ok(S3Response::new(ListMultipartUploadsOutput {
            uploads: Some(uploads.collect()),
            is_truncated: Some(false),
            ..ListMultipartUploadsOutput::default()
        }))
    }
}

impl State {
    fn start(&mut self, bucket: &str, key: &str, metadata: Option<Metadata>) -> String {
        self.n_uploads += 1;
        let id = format!("upload-{:04}", self.n_uploads);
        let upload = Upload { bucket: bucket.to_owned(), key: key.to_owned(), metadata, parts: BTreeMap::new() };
        self.uploads.insert(id.clone(), upload);
        id
    }
}
