//! The connection: client, runtime, and what DynamoDB's errors mean.

use std::{fmt, future::Future, time::Duration};

use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::{
    Client,
    config::ProvideCredentials,
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
};
use rand::Rng as _;
use tokio::runtime::Runtime;

use super::DynamoConfig;
use crate::{publish::PublishError, retry::Failure};

/// Threads that sign, send and receive; one core makes some tens of thousands of rows a second.
const MAX_RUNTIME_THREADS: usize = 4;

/// A client and the threads it runs on. Cheap to clone, except that the first clone dropped last ends the threads.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) config: DynamoConfig,
    /// For messages.
    pub(super) store: String,
}

impl fmt::Debug for Link {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Link").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Why a request did not succeed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) failure: Failure,
    /// DynamoDB's name of the error, e.g. `ResourceNotFoundException`; empty without an answer.
    pub(super) code: String,
    pub(super) source: Box<dyn std::error::Error + Send + Sync>,
}

/// The threads of a sink.
pub(super) fn runtime() -> std::io::Result<Runtime> {
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_RUNTIME_THREADS);
    tokio::runtime::Builder::new_multi_thread().worker_threads(n_threads).thread_name("dynamodb").enable_all().build()
}

impl Link {
    /// Finds region, credentials and endpoint. Asks DynamoDB nothing yet.
    pub(super) async fn open(config: &DynamoConfig) -> Result<Self, PublishError> {
        let store = format!("DynamoDB table {}", config.table);
        let timeout = Duration::from_millis(config.timeout_ms);
        // One retry layer, ours: it knows which rows were taken and may be sent again.
        let mut loader =
            aws_config::defaults(BehaviorVersion::v2026_01_12()).retry_config(RetryConfig::disabled()).timeout_config(
                TimeoutConfig::builder().connect_timeout(timeout).operation_attempt_timeout(timeout).build(),
            );
        if let Some(region) = &config.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &config.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let sdk = loader.load().await;
        let not_ready = |what: &str, hint: &str| PublishError::NotReady {
            store: store.clone(),
            what: what.to_owned(),
            hint: hint.to_owned(),
            source: None,
        };
        if sdk.region().is_none() {
            return Err(not_ready("no AWS region is set", "set AWS_REGION, or publish.dynamodb.region"));
        }
        if let Some(provider) = sdk.credentials_provider() {
            // Asked here, so that missing credentials are told as such and not as a failed request.
            provider.provide_credentials().await.map_err(|source| PublishError::NotReady {
                store: store.clone(),
                what: "no AWS credentials were found".into(),
                hint: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or run where a role is attached"
                    .into(),
                source: Some(Box::new(source)),
            })?;
        }
        Ok(Self { client: Client::new(&sdk), config: config.clone(), store })
    }

    /// Over a client made elsewhere.
    pub(super) fn with_client(config: &DynamoConfig, client: Client) -> Self {
        Self { client, config: config.clone(), store: format!("DynamoDB table {}", config.table) }
    }

    pub(super) fn failed(&self, doing: impl Into<String>, fault: Fault) -> PublishError {
        let source = fault.source;
        let store = self.store.clone();
        match fault.code.as_str() {
            "ResourceNotFoundException" => PublishError::NotReady {
                store,
                what: "the table does not exist".into(),
                hint: "`nightshelf publish --create-tables` makes it; publish.dynamodb.table names another".into(),
                source: Some(source),
            },
            "AccessDeniedException" | "UnrecognizedClientException" | "ExpiredTokenException" => {
                PublishError::NotReady {
                    store,
                    what: format!("AWS refuses to {}", doing.into()),
                    hint: "look at the credentials and at the actions that docs/publish-dynamodb.md lists".into(),
                    source: Some(source),
                }
            }
            // Another time the answer may be another one.
            _ if matches!(fault.failure, Failure::Throttled | Failure::Unclear) => {
                PublishError::GaveUp { store, doing: doing.into(), source }
            }
            _ => PublishError::Store { store, doing: doing.into(), source },
        }
    }

    /// Sends a request that may be applied twice until it is answered.
    pub(super) async fn patiently<T, E, F>(&self, doing: &str, mut send: impl FnMut() -> F) -> Result<T, PublishError>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let mut attempt = 1;
        loop {
            let fault = match send().await {
                Ok(answer) => return Ok(answer),
                Err(error) => fault(error),
            };
            match self.config.retry.wait(fault.failure, attempt, draw()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(self.failed(doing, fault)),
            }
            attempt += 1;
        }
    }
}

/// A number from 0 to 1 for the jitter of waits; nothing that is published depends on it.
pub(super) fn draw() -> f64 {
    f64::from(rand::rng().next_u32()) / f64::from(u32::MAX)
}

/// What an error means.
pub(super) fn fault<E>(error: SdkError<E>) -> Fault
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.code().unwrap_or("").to_owned();
    let status = error.raw_response().map(|response| response.status().as_u16());
    let failure = match &error {
        SdkError::ConstructionFailure(_) => Failure::Refused,
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => Failure::Unclear,
        _ => of_code(&code, status),
    };
    let id = error.request_id().map(str::to_owned);
    tracing::debug!(?failure, code, ?status, ?id, "a request to DynamoDB failed");
    Fault { failure, code, source: Box::new(error) }
}

fn of_code(code: &str, status: Option<u16>) -> Failure {
    match code {
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "Throttling"
        | "TransactionInProgressException"
        | "LimitExceededException" => Failure::Throttled,
        "ConditionalCheckFailedException" | "TransactionCanceledException" => Failure::Condition,
        "InternalServerError" | "ServiceUnavailable" | "RequestTimeout" | "RequestTimeoutException" => Failure::Unclear,
        _ => match status {
            Some(500..) | None => Failure::Unclear,
            // An answer cut short carries no code.
            Some(200..300) => Failure::Unclear,
            Some(429) => Failure::Throttled,
            // DynamoDB's errors have names: this one was cut short, or is not DynamoDB's.
            Some(_) if code.is_empty() => Failure::Unclear,
            Some(_) => Failure::Refused,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_been_applied_is_told_from_what_was_not() {
        assert_eq!(of_code("ThrottlingException", Some(400)), Failure::Throttled);
        assert_eq!(of_code("InternalServerError", Some(500)), Failure::Unclear);
        assert_eq!(of_code("", Some(503)), Failure::Unclear);
        assert_eq!(of_code("", Some(200)), Failure::Unclear);
        assert_eq!(of_code("", Some(400)), Failure::Unclear);
        assert_eq!(of_code("ValidationException", Some(400)), Failure::Refused);
        assert_eq!(of_code("ConditionalCheckFailedException", Some(400)), Failure::Condition);
    }
}
