//! The connection to EMR: client, runtime, and what its errors mean.

use std::{future::Future, time::Duration};

use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_emr::{
    Client,
    config::{ProvideCredentials, http::HttpRequest},
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
    primitives::DateTime,
    types::{JobFlowInstancesConfig, StepCancellationOption},
};
use aws_sdk_s3::primitives::SdkBody;
use rand::Rng as _;
use tokio::runtime::Runtime;

use super::{ClusterError, ClusterState, EmrConfig, StepState, request::Request};
use crate::retry::{Failure, RetryPolicy};

/// A connection to EMR. One retry layer, ours: it knows which requests may be applied twice.
pub struct Emr {
    client: Client,
    runtime: Runtime,
    retry: RetryPolicy,
    pub(super) settle: Duration,
    pub(super) timeout: Duration,
}

impl std::fmt::Debug for Emr {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Emr").finish_non_exhaustive()
    }
}

/// Why a request did not succeed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) failure: Failure,
    code: String,
    message: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// A cluster, as EMR describes it.
#[derive(Debug, Clone)]
pub(super) struct ClusterInfo {
    pub(super) state: ClusterState,
    pub(super) reason: Option<String>,
    pub(super) log_uri: Option<String>,
    pub(super) step_concurrency: u32,
}

/// A step, as EMR lists it.
#[derive(Debug, Clone)]
pub(super) struct StepInfo {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) state: StepState,
    pub(super) reason: Option<String>,
    pub(super) started: Option<f64>,
    pub(super) ended: Option<f64>,
}

/// What EMR made of a submission.
#[derive(Debug, Clone)]
pub(super) enum Taken {
    /// A new cluster.
    Cluster(String),
    /// Steps, in the order of the request.
    Steps(Vec<String>),
}

impl Emr {
    /// Finds region, credentials and endpoint. Asks EMR nothing yet.
    ///
    /// # Errors
    /// No region, no credentials.
    pub fn open(config: &EmrConfig) -> Result<Self, ClusterError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("emr")
            .enable_all()
            .build()
            .map_err(|source| not_ready("the threads for EMR cannot be started", "", Some(Box::new(source))))?;
        let timeout = Duration::from_millis(config.timeout_ms);
        let client = runtime.block_on(async {
            let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
                .retry_config(RetryConfig::disabled())
                .timeout_config(
                    TimeoutConfig::builder().connect_timeout(timeout).operation_attempt_timeout(timeout).build(),
                );
            if let Some(region) = &config.region {
                loader = loader.region(Region::new(region.clone()));
            }
            if let Some(url) = &config.endpoint_url {
                loader = loader.endpoint_url(url);
            }
            let sdk = loader.load().await;
            if sdk.region().is_none() {
                return Err(not_ready("no AWS region is set", "set AWS_REGION, or emr.region", None));
            }
            if let Some(provider) = sdk.credentials_provider() {
                let hint =
                    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or run where a role is attached";
                provider
                    .provide_credentials()
                    .await
                    .map_err(|source| not_ready("no AWS credentials were found", hint, Some(Box::new(source))))?;
            }
            Ok(Client::new(&sdk))
        })?;
        Ok(Self { client, runtime, retry: config.retry, settle: Duration::from_millis(config.settle_ms), timeout })
    }

    /// Sends a submission once. What may have been applied is never sent again here.
    pub(super) fn submit(&self, request: &Request) -> Result<Taken, Fault> {
        let body = request.body.to_string();
        // The request as it was printed, not as a second program would spell it.
        let put = move |sent: &mut HttpRequest| {
            sent.headers_mut().insert("content-length", body.len().to_string());
            *sent.body_mut() = SdkBody::from(body.as_str());
        };
        self.runtime.block_on(async {
            match request.operation {
                "RunJobFlow" => {
                    let call = self.client.run_job_flow().name("").instances(JobFlowInstancesConfig::builder().build());
                    let answer = call.customize().mutate_request(put).send().await.map_err(fault)?;
                    let id = answer.job_flow_id().map(str::to_owned).ok_or_else(cut_short)?;
                    Ok(Taken::Cluster(id))
                }
                _ => {
                    let call = self.client.add_job_flow_steps().job_flow_id("").set_steps(Some(Vec::new()));
                    let answer = call.customize().mutate_request(put).send().await.map_err(fault)?;
                    Ok(Taken::Steps(answer.step_ids().to_vec()))
                }
            }
        })
    }

    /// How long to wait after attempt number `attempt` of a submission failed; `None`: give up.
    pub(super) fn pause(&self, failure: Failure, attempt: u32) -> Option<Duration> {
        self.retry.wait(failure, attempt, draw())
    }

    pub(super) fn describe(&self, cluster: &str) -> Result<ClusterInfo, ClusterError> {
        let doing = format!("describe cluster {cluster}");
        let answer = self.patiently(&doing, || self.client.describe_cluster().cluster_id(cluster).send())?;
        let found = answer.cluster().ok_or_else(|| failed(&doing, cut_short()))?;
        let status = found.status();
        Ok(ClusterInfo {
            state: ClusterState::named(status.and_then(|status| status.state()).map_or("", |state| state.as_str())),
            reason: status
                .and_then(|status| status.state_change_reason())
                .and_then(|reason| reason.message())
                .filter(|message| !message.is_empty())
                .map(str::to_owned),
            log_uri: found.log_uri().map(str::to_owned),
            step_concurrency: found.step_concurrency_level().and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1),
        })
    }

    /// All steps that a cluster remembers (the last thousand).
    pub(super) fn steps(&self, cluster: &str) -> Result<Vec<StepInfo>, ClusterError> {
        let doing = format!("list the steps of cluster {cluster}");
        let (mut found, mut marker) = (Vec::new(), None::<String>);
        loop {
            let answer = self
                .patiently(&doing, || self.client.list_steps().cluster_id(cluster).set_marker(marker.clone()).send())?;
            for step in answer.steps() {
                let status = step.status();
                let failure = status.and_then(|status| status.failure_details());
                let reason = failure
                    .and_then(|failure| failure.message().or(failure.reason()))
                    .or(status.and_then(|status| status.state_change_reason()).and_then(|reason| reason.message()));
                let timeline = status.and_then(|status| status.timeline());
                found.push(StepInfo {
                    id: step.id().unwrap_or("").to_owned(),
                    name: step.name().unwrap_or("").to_owned(),
                    state: StepState::named(
                        status.and_then(|status| status.state()).map_or("", |state| state.as_str()),
                    ),
                    reason: reason.filter(|reason| !reason.is_empty()).map(str::to_owned),
                    started: timeline.and_then(|timeline| timeline.start_date_time()).map(DateTime::as_secs_f64),
                    ended: timeline.and_then(|timeline| timeline.end_date_time()).map(DateTime::as_secs_f64),
                });
            }
            match answer.marker() {
                Some(next) if Some(next) != marker.as_deref() => marker = Some(next.to_owned()),
                _ => return Ok(found),
            }
        }
    }

    /// Clusters that were made in the last `days`, as (name, id).
    pub(super) fn clusters(&self, days: i64) -> Result<Vec<(String, String)>, ClusterError> {
        let since = DateTime::from_secs(jiff::Timestamp::now().as_second() - days * 86_400);
        let (mut found, mut marker) = (Vec::new(), None::<String>);
        loop {
            let answer = self.patiently("list the clusters", || {
                self.client.list_clusters().created_after(since).set_marker(marker.clone()).send()
            })?;
            let names = answer.clusters().iter();
            found.extend(
                names.map(|cluster| (cluster.name().unwrap_or("").to_owned(), cluster.id().unwrap_or("").to_owned())),
            );
            match answer.marker() {
                Some(next) if Some(next) != marker.as_deref() => marker = Some(next.to_owned()),
                _ => return Ok(found),
            }
        }
    }

    /// Cancels steps, the running one included. May be sent twice: a step that has ended stays as it is.
    ///
    /// Returns: the reasons of those that EMR would not cancel.
    pub(super) fn cancel_steps(&self, cluster: &str, ids: &[String]) -> Result<Vec<String>, ClusterError> {
        let doing = format!("cancel steps of cluster {cluster}");
        let answer = self.patiently(&doing, || {
            self.client
                .cancel_steps()
                .cluster_id(cluster)
                .set_step_ids(Some(ids.to_vec()))
                .step_cancellation_option(StepCancellationOption::TerminateProcess)
                .send()
        })?;
        let refused =
            answer.cancel_steps_info_list().iter().filter(|info| info.status().is_some_and(|s| s.as_str() == "FAILED"));
        Ok(refused.map(|info| info.reason().unwrap_or("no reason is given").to_owned()).collect())
    }

    /// Ends a cluster. May be sent twice.
    pub(super) fn terminate(&self, cluster: &str) -> Result<(), ClusterError> {
        let doing = format!("terminate cluster {cluster}");
        self.patiently(&doing, || self.client.terminate_job_flows().job_flow_ids(cluster).send())?;
        Ok(())
    }

    /// The number of steps that a cluster runs at once.
    ///
    /// # Errors
    /// A cluster that is not there or has ended.
    pub fn step_concurrency(&self, cluster: &str) -> Result<u32, ClusterError> {
        let info = self.describe(cluster)?;
        if info.state.is_ending() {
            let what = format!("cluster {cluster} is {}", info.state.name());
            return Err(not_ready(&what, "name a running one, or use --create", None));
        }
        Ok(info.step_concurrency)
    }

    /// Sends a request that may be applied twice until it is answered.
    fn patiently<T, E, F>(&self, doing: &str, mut send: impl FnMut() -> F) -> Result<T, ClusterError>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        self.runtime.block_on(async {
            let mut attempt = 1;
            loop {
                let fault = match send().await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => fault(error),
                };
                match self.pause(fault.failure, attempt) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(failed(doing, fault)),
                }
                attempt += 1;
            }
        })
    }
}

/// A number from 0 to 1 for the jitter of waits.
fn draw() -> f64 {
    f64::from(rand::rng().next_u32()) / f64::from(u32::MAX)
}

fn not_ready(what: &str, hint: &str, source: Option<Box<dyn std::error::Error + Send + Sync>>) -> ClusterError {
    ClusterError::NotReady { what: what.to_owned(), hint: hint.to_owned(), source }
}

/// The error for a request that did not succeed.
pub(super) fn failed(doing: &str, fault: Fault) -> ClusterError {
    let Fault { failure, code, message, source } = fault;
    match code.as_str() {
        "AccessDeniedException"
        | "AccessDenied"
        | "UnrecognizedClientException"
        | "ExpiredTokenException"
        | "InvalidClientTokenId" => ClusterError::NotReady {
            what: format!("AWS refuses to {doing}"),
            hint: "look at the credentials, and at the caller's policy in docs/emr.md".into(),
            source: Some(source),
        },
        "InvalidRequestException" if message.contains("is not valid") => ClusterError::NotReady {
            what: format!("cannot {doing}: it is not there"),
            hint: "EMR forgets clusters two months after their end; the region may be another".into(),
            source: Some(source),
        },
        _ if matches!(failure, Failure::Throttled | Failure::Unclear) => {
            ClusterError::GaveUp { doing: doing.to_owned(), source }
        }
        _ => ClusterError::Refused { doing: doing.to_owned(), source },
    }
}

impl Fault {
    /// Whether EMR's limit of pending and running steps is reached.
    pub(super) fn is_full(&self) -> bool {
        self.message.contains("Maximum number of active steps")
    }

    pub(super) fn into_source(self) -> Box<dyn std::error::Error + Send + Sync> {
        self.source
    }
}

/// An answer that does not say what it should.
fn cut_short() -> Fault {
    Fault {
        failure: Failure::Unclear,
        code: String::new(),
        message: String::new(),
        source: "the answer holds no id".into(),
    }
}

/// What an error means.
fn fault<E>(error: SdkError<E>) -> Fault
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.code().unwrap_or("").to_owned();
    let message = error.message().unwrap_or("").to_owned();
    let status = error.raw_response().map(|response| response.status().as_u16());
    let failure = match &error {
        SdkError::ConstructionFailure(_) => Failure::Refused,
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => Failure::Unclear,
        _ => of_code(&code, status),
    };
    let id = error.request_id().map(str::to_owned);
    tracing::debug!(?failure, code, ?status, ?id, "a request to EMR failed");
    Fault { failure, code, message, source: Box::new(error) }
}

fn of_code(code: &str, status: Option<u16>) -> Failure {
    match code {
        "ThrottlingException" | "Throttling" | "RequestLimitExceeded" | "TooManyRequestsException" => {
            Failure::Throttled
        }
        "InternalServerException" | "InternalServerError" | "InternalFailure" | "ServiceUnavailable" => {
            Failure::Unclear
        }
        _ => match status {
            Some(500..) | None => Failure::Unclear,
            // An answer cut short carries no code.
            Some(200..300) => Failure::Unclear,
            Some(429) => Failure::Throttled,
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
        assert_eq!(of_code("InternalServerException", Some(500)), Failure::Unclear);
        assert_eq!(of_code("", Some(503)), Failure::Unclear);
        assert_eq!(of_code("", Some(200)), Failure::Unclear);
        assert_eq!(of_code("", None), Failure::Unclear);
        assert_eq!(of_code("ValidationException", Some(400)), Failure::Refused);
        assert_eq!(of_code("InvalidRequestException", Some(400)), Failure::Refused);
    }
}
