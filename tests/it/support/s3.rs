//! An S3 server within the test process: real HTTP, real signatures, faults on demand.
//!
//! `s3s-fs` keeps ROOT/bucket/key as plain files, so tests put and change objects through the file system. It knows neither ETags in
//! listings nor `If-Match` on GET; the layer here adds both (the ETag is a hash of the bytes), refuses the bucket
//! `forbidden`, counts requests and injects faults. Writing is all in `s3_writes`.

use std::{
    fs,
    future::Future,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    thread::JoinHandle,
    time::Duration,
};

use super::s3_writes::{Writes, modified};
use aws_sdk_s3::config::Credentials;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder as ConnectionBuilder,
};
use nightshelf::storage::{S3Client, S3Config, Storage};
use s3s::{
    Body, S3, S3Request, S3Response, S3Result,
    auth::SimpleAuth,
    dto::{
        AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
        CompleteMultipartUploadOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput,
        DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, ETag, ETagCondition, GetObjectInput,
        GetObjectOutput, HeadObjectInput, HeadObjectOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput,
        ListObjectsV2Input, ListObjectsV2Output, PutObjectInput, PutObjectOutput, StreamingBlob, UploadPartInput,
        UploadPartOutput,
    },
    s3_error,
    service::S3ServiceBuilder,
};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

const ACCESS_KEY: &str = "AKIDNIGHTSHELF";
const SECRET_KEY: &str = "not-a-secret";

/// A bucket that exists and that nobody may read.
pub(crate) const FORBIDDEN: &str = "forbidden";

/// Faults to inject and requests seen.
#[derive(Debug)]
pub(crate) struct Faults {
    /// So many of the next GETs are answered with 503 SlowDown.
    pub(crate) slow_downs: AtomicUsize,
    /// So many of the next GETs are answered only after a minute.
    pub(crate) stalls: AtomicUsize,
    /// Once so many bytes were sent, the connection is reset; then no more. Negative: never.
    pub(crate) reset_after_bytes: AtomicI64,
    /// GETs seen, failed ones included.
    pub(crate) n_gets: AtomicUsize,
    /// Listings seen.
    pub(crate) n_lists: AtomicUsize,
    /// GETs under way.
    in_flight: AtomicUsize,
    /// The most GETs that were under way at once.
    pub(crate) max_in_flight: AtomicUsize,
    /// What happened to writes.
    pub(crate) writes: Writes,
}

/// Variables and their values.
pub(crate) type Environment = Vec<(&'static str, String)>;

/// A running server; dropping it stops it and deletes its buckets.
pub(crate) struct S3Server {
    address: SocketAddr,
    root: TempDir,
    pub(crate) faults: Arc<Faults>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl S3Server {
    /// Starts a server on a free port, with an empty bucket `shop`.
    pub(crate) fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        for bucket in ["shop", FORBIDDEN] {
            fs::create_dir(root.path().join(bucket)).unwrap();
        }
        let faults = Arc::new(Faults {
            slow_downs: AtomicUsize::new(0),
            stalls: AtomicUsize::new(0),
            reset_after_bytes: AtomicI64::new(-1),
            n_gets: AtomicUsize::new(0),
            n_lists: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            max_in_flight: AtomicUsize::new(0),
            writes: Writes::new(root.path()),
        });
        let layer = Layer {
            inner: FileSystem::new(root.path()).unwrap(),
            root: root.path().to_owned(),
            faults: Arc::clone(&faults),
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn({
            let faults = Arc::clone(&faults);
            move || serve(listener, layer, &faults, stopped)
        });
        Self { address, root, faults, stop: Some(stop), thread: Some(thread) }
    }

    /// The endpoint's address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The file that holds an object.
    pub(crate) fn file(&self, bucket: &str, key: &str) -> PathBuf {
        self.root.path().join(bucket).join(key)
    }

    /// Puts an object, the bucket included.
    pub(crate) fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let file = self.file(bucket, key);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }

    /// The environment with which a program (or a child test) reaches this server and nothing else.
    pub(crate) fn environment(&self) -> Environment {
        vec![
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_REGION", "eu-central-1".into()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ]
    }

    /// Settings that reach this server, with short waits.
    pub(crate) fn config(&self) -> S3Config {
        S3Config {
            region: Some("eu-central-1".into()),
            endpoint_url: Some(self.url()),
            read_timeout_ms: 1_000,
            ..S3Config::default()
        }
    }

    /// Storage with the right credentials.
    pub(crate) fn storage(&self) -> Storage {
        self.storage_as(self.config(), ACCESS_KEY, SECRET_KEY)
    }

    /// Storage with these settings and credentials.
    pub(crate) fn storage_as(&self, config: S3Config, access_key: &str, secret_key: &str) -> Storage {
        let credentials = Credentials::new(access_key, secret_key, None, None, "test");
        Storage::with_s3(S3Client::with_credentials(config, credentials))
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: std::net::TcpListener, layer: Layer, faults: &Arc<Faults>, mut stopped: oneshot::Receiver<()>) {
    let mut builder = S3ServiceBuilder::new(layer);
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    let service = builder.build();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).unwrap();
        loop {
            let (stream, _) = tokio::select! {
                _ = &mut stopped => return,
                accepted = listener.accept() => accepted.unwrap(),
            };
            let stream = TokioIo::new(Cut { stream, faults: Arc::clone(faults) });
            let service = service.clone();
            tokio::spawn(async move {
                // A connection that is reset is this server's purpose.
                let _ = ConnectionBuilder::new(TokioExecutor::new()).serve_connection(stream, service).await;
            });
        }
    });
    runtime.shutdown_background();
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = S3Result<S3Response<T>>> + Send + 'a>>;

/// `s3s-fs` with the conditions of real S3. The trait's methods are written as `async_trait` would.
struct Layer {
    inner: FileSystem,
    root: PathBuf,
    faults: Arc<Faults>,
}

/// The trait's methods, each passed on to an `async fn`.
macro_rules! answered {
    ($($method:ident($input:ty) -> $output:ty: $answer:expr;)*) => {
        impl S3 for Layer {
            $(
                fn $method<'a, 'b>(&'a self, request: S3Request<$input>) -> Answer<'b, $output>
                where
                    'a: 'b,
                    Self: 'b,
                {
                    Box::pin(async move { $answer(self, request).await })
                }
            )*
        }
    };
}

answered! {
    get_object(GetObjectInput) -> GetObjectOutput: Layer::counted_get;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output: Layer::list;
    head_object(HeadObjectInput) -> HeadObjectOutput: async |layer: &Layer, r: S3Request<_>| layer.writes().head(&r.input);
    put_object(PutObjectInput) -> PutObjectOutput: async |layer: &Layer, r: S3Request<_>| layer.writes().put(r.input).await;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput:
        async |layer: &Layer, r: S3Request<_>| layer.writes().delete(&r.input);
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput:
        async |layer: &Layer, r: S3Request<_>| layer.writes().delete_all(&r.input);
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput:
        async |layer: &Layer, r: S3Request<_>| layer.writes().create(r.input);
    upload_part(UploadPartInput) -> UploadPartOutput: async |layer: &Layer, r: S3Request<_>| layer.writes().part(r.input).await;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput:
        async |layer: &Layer, r: S3Request<_>| layer.writes().complete(r.input);
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput:
        async |layer: &Layer, r: S3Request<_>| layer.writes().abort(&r.input);
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput:
        async |layer: &Layer, r: S3Request<_>| layer.writes().uploads(r.input);
}

impl Layer {
    fn writes(&self) -> &Writes {
        &self.faults.writes
    }

    async fn counted_get(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        self.faults.n_gets.fetch_add(1, SeqCst);
        let now = self.faults.in_flight.fetch_add(1, SeqCst) + 1;
        self.faults.max_in_flight.fetch_max(now, SeqCst);
        let answer = self.get(&request.input).await;
        self.faults.in_flight.fetch_sub(1, SeqCst);
        answer
    }

    async fn list(&self, request: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.faults.n_lists.fetch_add(1, SeqCst);
        let bucket = request.input.bucket.clone();
        if bucket == FORBIDDEN {
            return Err(s3_error!(AccessDenied));
        }
        let mut answer = self.inner.list_objects_v2(request).await?;
        for object in answer.output.contents.iter_mut().flatten() {
            let key = object.key.as_deref().unwrap_or("");
            object.e_tag = Some(etag_of(&fs::read(self.root.join(&bucket).join(key)).unwrap_or_default()));
        }
        Ok(answer)
    }

    async fn get(&self, input: &GetObjectInput) -> S3Result<S3Response<GetObjectOutput>> {
        if taken(&self.faults.stalls) {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        if taken(&self.faults.slow_downs) {
            return Err(s3_error!(SlowDown));
        }
        if input.bucket == FORBIDDEN {
            return Err(s3_error!(AccessDenied));
        }
        let bucket = self.root.join(&input.bucket);
        if !bucket.is_dir() {
            return Err(s3_error!(NoSuchBucket));
        }
        let bytes = fs::read(bucket.join(Path::new(&input.key))).map_err(|_| s3_error!(NoSuchKey))?;
        let etag = etag_of(&bytes);
        match &input.if_match {
            Some(ETagCondition::ETag(wanted)) if !wanted.strong_cmp(&etag) => {
                return Err(s3_error!(PreconditionFailed));
            }
            _ => {}
        }
        let size = bytes.len() as u64;
        let range = match &input.range {
            Some(range) => range.check(size)?,
            None => 0..size,
        };
        // Long enough that requests under way overlap.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let part = bytes[range.start as usize..range.end as usize].to_vec();
        Ok(S3Response::new(GetObjectOutput {
            content_length: Some(part.len() as i64),
            content_range: input.range.as_ref().map(|_| format!("bytes {}-{}/{size}", range.start, range.end - 1)),
            body: Some(StreamingBlob::from(Body::from(part))),
            e_tag: Some(etag),
            metadata: self.writes().metadata(&input.bucket, &input.key),
            last_modified: Some(modified(&bucket.join(Path::new(&input.key)))),
            ..GetObjectOutput::default()
        }))
    }
}

pub(super) fn etag_of(bytes: &[u8]) -> ETag {
    ETag::Strong(format!("{:016x}", xxhash_rust::xxh64::xxh64(bytes, 0)))
}

/// Takes one from the counter, when there is one.
pub(super) fn taken(counter: &AtomicUsize) -> bool {
    counter.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok()
}

/// A connection that can be reset in the middle of an answer.
struct Cut {
    stream: TcpStream,
    faults: Arc<Faults>,
}

impl AsyncRead for Cut {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Cut {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let left = self.faults.reset_after_bytes.load(SeqCst);
        if left == 0 {
            self.faults.reset_after_bytes.store(-1, SeqCst);
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let allowed = if left < 0 { bytes.len() } else { bytes.len().min(left as usize) };
        let written = Pin::new(&mut self.stream).poll_write(cx, &bytes[..allowed]);
        if let (Poll::Ready(Ok(n)), true) = (&written, left > 0) {
            self.faults.reset_after_bytes.fetch_sub(*n as i64, SeqCst);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
