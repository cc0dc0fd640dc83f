//! S3: the client, started when it is first needed; listing, reading and writing beside it.
//!
//! In: buckets, keys, prefixes, ranges, files. Out: listings, bytes, objects.
//! Refuses: to keep or log a credential; to be called from within an async runtime; to leave it open whether a write happened.

mod checksum;
mod clock;
mod error;
mod get;
mod list;
mod prefix;
mod put;
mod read;
mod remove;
mod upload;

pub use get::{Contents, Fetched};
pub use prefix::S3Prefix;
pub use put::Condition;
pub use upload::{FileUpload, Permission};

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_config::{
    BehaviorVersion, Region, retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_s3::config::{ProvideCredentials, SharedCredentialsProvider};
use tokio::{runtime::Runtime, sync::Semaphore};

use super::{S3Config, StorageError};

/// Threads that carry the connections; decrypting and copying a gigabit stream takes about one core.
const MAX_RUNTIME_THREADS: usize = 4;

/// Parts on their way up at once: with the default part size 64 MiB of memory, and enough to fill a gigabit line.
const MAX_UPLOAD_SLOTS: usize = 8;

/// A part that goes up slower than this many bytes a second is taken for stuck: eight at once on a line of 4 Mbit/s.
const MIN_UPLOAD_RATE: u64 = 64 << 10;

/// Pause before the first repetition that the SDK does not make itself; it doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A handle to S3 for synchronous callers: clones share one connection pool and one limit of requests under way.
///
/// Cost: nothing until the first request, which starts up to four threads and resolves region and credentials.
#[derive(Clone)]
pub struct S3Client {
    shared: Arc<Shared>,
}

struct Shared {
    config: S3Config,
    credentials: Option<SharedCredentialsProvider>,
    running: Mutex<Option<Arc<Running>>>,
}

/// The started client.
struct Running {
    /// `Some` until dropped.
    runtime: Option<Runtime>,
    client: aws_sdk_s3::Client,
    /// The same with more patience: its waits for an answer begin with the first byte of the request.
    uploading: aws_sdk_s3::Client,
    in_flight: Arc<Semaphore>,
    /// Buffers of files on their way up, each of one part.
    upload_slots: Arc<Semaphore>,
    max_attempts: u32,
    part_bytes: u64,
}

impl Running {
    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("the runtime is taken by drop alone")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Idle connections are all that can be left: nothing to wait for.
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for S3Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Client").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl S3Client {
    /// A client with the credentials of the standard AWS environment.
    #[must_use]
    pub fn new(config: S3Config) -> Self {
        Self::start_later(config, None)
    }

    /// A client with credentials from elsewhere.
    #[must_use]
    pub fn with_credentials(config: S3Config, credentials: impl ProvideCredentials + 'static) -> Self {
        Self::start_later(config, Some(SharedCredentialsProvider::new(credentials)))
    }

    fn start_later(config: S3Config, credentials: Option<SharedCredentialsProvider>) -> Self {
        Self { shared: Arc::new(Shared { config, credentials, running: Mutex::new(None) }) }
    }

    /// The started client; `uri` is what it is needed for. A failed start is tried again by the next caller.
    fn running(&self, uri: &str) -> Result<Arc<Running>, StorageError> {
        let mut running = self.shared.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running.as_ref() {
            return Ok(Arc::clone(running));
        }
        let started = Arc::new(self.shared.start(uri)?);
        *running = Some(Arc::clone(&started));
        Ok(started)
    }
}

impl Shared {
    fn start(&self, uri: &str) -> Result<Running, StorageError> {
        let config = &self.config;
        let n_threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_RUNTIME_THREADS);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(n_threads)
            .thread_name("s3")
            .enable_all()
            .build()
            .map_err(|source| StorageError::Runtime { source })?;
        let read_timeout = Duration::from_millis(config.read_timeout_ms);
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .retry_config(RetryConfig::standard().with_max_attempts(config.max_attempts))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
                    .read_timeout(read_timeout)
                    .build(),
            )
            .stalled_stream_protection(StalledStreamProtectionConfig::enabled().grace_period(read_timeout).build());
        if let Some(region) = &config.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &config.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(credentials) = &self.credentials {
            loader = loader.credentials_provider(credentials.clone());
        }
        let sdk = runtime.block_on(loader.load());
        if sdk.region().is_none() {
            return Err(StorageError::NoRegion { uri: uri.into() });
        }
        if let Some(provider) = sdk.credentials_provider() {
            // Asked here, so that missing credentials are told as such and not as a failed request.
            runtime
                .block_on(provider.provide_credentials())
                .map_err(|source| StorageError::NoCredentials { uri: uri.into(), source: Box::new(source) })?;
        }
        let client = aws_sdk_s3::Client::from_conf(
            aws_sdk_s3::config::Builder::from(&sdk).force_path_style(config.path_style).build(),
        );
        let patience = read_timeout + Duration::from_secs(config.part_bytes.div_ceil(MIN_UPLOAD_RATE));
        let uploading = aws_sdk_s3::Client::from_conf(
            client
                .config()
                .to_builder()
                .timeout_config(
                    TimeoutConfig::builder()
                        .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
                        .read_timeout(patience)
                        .build(),
                )
                .build(),
        );
        let in_flight = Arc::new(Semaphore::new(config.max_in_flight));
        tracing::debug!(region = ?sdk.region(), endpoint = ?sdk.endpoint_url(), n_threads, "S3 client started");
        Ok(Running {
            runtime: Some(runtime),
            client,
            uploading,
            in_flight,
            upload_slots: Arc::new(Semaphore::new(config.max_in_flight.min(MAX_UPLOAD_SLOTS))),
            max_attempts: config.max_attempts,
            part_bytes: config.part_bytes,
        })
    }
}
