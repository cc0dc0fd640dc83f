//! The part of EMR that `nightshelf emr` talks to, within the test process: real HTTP in EMR's protocol (JSON 1.1), clusters and
//! steps in memory, and faults in between.
//!
//! Covered: RunJobFlow, AddJobFlowSteps, DescribeCluster, DescribeStep, ListClusters, ListSteps, CancelSteps,
//! TerminateJobFlows, with their paging (smaller pages than EMR's), EMR's limits of 256 active steps and 10,240 characters, what
//! becomes of other steps when one fails, step concurrency, and what is submitted but not listed yet. Not covered: instances, scaling, roles, anything that checks a
//! request beyond those limits and the fields named here; EMR itself refuses more. Time does not pass by itself: a look at the
//! steps (`ListSteps`) moves them on, when `Script::runs` says so.

mod clusters;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};

use super::{dynamo::Fault, s3::Environment};
pub(crate) use clusters::Script;
use clusters::{Clusters, Refusal};

/// A running server; dropping it stops it.
pub(crate) struct EmrServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Decides about requests by operation and number of the operation, from 0; `None`: all goes well.
type Rule = Box<dyn FnMut(&str, u64) -> Option<Fault> + Send>;

#[derive(Default)]
struct Shared {
    clusters: Mutex<Clusters>,
    rule: Mutex<Option<Rule>>,
    /// Requests by operation, with their bodies.
    seen: Mutex<BTreeMap<String, Vec<Value>>>,
}

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("reset by the fault layer")]
struct Reset;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EmrServer {
    /// Starts a server on a free port, without clusters and without faults.
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || serve(listener, &shared, stopped)
        });
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Variables with which a program reaches this server, beside those of an S3 server.
    pub(crate) fn environment(&self, mut with_s3: Environment) -> Environment {
        with_s3.push(("AWS_ENDPOINT_URL_EMR", format!("http://{}", self.address)));
        with_s3
    }

    /// Makes a running cluster that others use, too.
    pub(crate) fn shared_cluster(&self, step_concurrency: u32) -> String {
        self.clusters().add(json!({
            "Name": "analytics",
            "StepConcurrencyLevel": step_concurrency,
            "Instances": {"KeepJobFlowAliveWhenNoSteps": true},
            "LogUri": "s3n://shop/emr-logs/",
        }))
    }

    /// From now on this goes wrong.
    pub(crate) fn go_wrong(&self, rule: impl FnMut(&str, u64) -> Option<Fault> + Send + 'static) {
        *lock(&self.shared.rule) = Some(Box::new(rule));
    }

    /// What steps come to, and whether they move at all.
    pub(crate) fn script(&self, script: Script) {
        self.clusters().script = script;
    }

    /// The clusters as they are.
    pub(crate) fn clusters(&self) -> MutexGuard<'_, Clusters> {
        lock(&self.shared.clusters)
    }

    /// The bodies of all requests of an operation, failed ones included.
    pub(crate) fn requests(&self, operation: &str) -> Vec<Value> {
        lock(&self.shared.seen).get(operation).cloned().unwrap_or_default()
    }
}

impl Drop for EmrServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: std::net::TcpListener, shared: &Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).unwrap();
        loop {
            let (stream, _) = tokio::select! {
                _ = &mut stopped => return,
                accepted = listener.accept() => accepted.unwrap(),
            };
            // Then a connection that is closed here is reset there.
            let _ = stream.set_zero_linger();
            let _ = stream.set_nodelay(true);
            let shared = Arc::clone(shared);
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let shared = Arc::clone(&shared);
                    async move { shared.handle(request).await }
                });
                // A connection that is reset is this server's purpose.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    runtime.shutdown_background();
}

impl Shared {
    async fn handle(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Reset> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        let target = header("x-amz-target").to_owned();
        let is_signed = header("authorization").starts_with("AWS4-HMAC-SHA256 Credential=");
        let is_json = header("content-type") == "application/x-amz-json-1.1";
        let length = header("content-length").parse::<usize>().ok();
        let body = request.into_body().collect().await.map_err(|_| Reset)?.to_bytes();
        let Some(operation) = target.strip_prefix("ElasticMapReduce.") else {
            return Ok(answered(400, &error("UnknownOperationException", &target)));
        };
        let Ok(asked) = serde_json::from_slice::<Value>(&body) else {
            return Ok(answered(400, &error("SerializationException", "no JSON")));
        };
        if !is_signed || !is_json || length != Some(body.len()) {
            return Ok(answered(400, &error("MissingAuthenticationTokenException", "unsigned, or not JSON 1.1")));
        }
        let number = {
            let mut seen = lock(&self.seen);
            let seen = seen.entry(operation.to_owned()).or_default();
            seen.push(asked.clone());
            seen.len() as u64 - 1
        };
        let fault = lock(&self.rule).as_mut().and_then(|rule| rule(operation, number));
        let apply = || match lock(&self.clusters).call(operation, &asked) {
            Ok(answer) => (200, answer),
            Err(Refusal { code, message }) => (400, error(code, &message)),
        };
        let failed = || answered(500, &error("InternalServerException", "An internal failure occurred."));
        match fault {
            None => {
                let (status, answer) = apply();
                Ok(answered(status, &answer))
            }
            Some(Fault::Throttled) => Ok(answered(400, &error("ThrottlingException", "Rate exceeded"))),
            Some(Fault::FailedBefore) => Ok(failed()),
            Some(Fault::FailedAfter) => {
                apply();
                Ok(failed())
            }
            Some(Fault::ResetAfter) => {
                apply();
                Err(Reset)
            }
            Some(Fault::Stalled(time)) => {
                let (status, answer) = apply();
                tokio::time::sleep(time).await;
                Ok(answered(status, &answer))
            }
            Some(Fault::Truncated) => {
                let (status, answer) = apply();
                let text = answer.to_string();
                Ok(sent(status, &text[..text.len() / 2]))
            }
            Some(Fault::Held(permits)) => {
                permits.acquire().await.map_err(|_| Reset)?.forget();
                let (status, answer) = apply();
                Ok(answered(status, &answer))
            }
        }
    }
}

fn error(code: &str, message: &str) -> Value {
    json!({"__type": code, "Message": message, "message": message})
}

fn answered(status: u16, answer: &Value) -> Response<Full<Bytes>> {
    sent(status, &answer.to_string())
}

fn sent(status: u16, text: &str) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amzn-requestid", "EMRFAKE")
        .body(Full::new(Bytes::from(text.to_owned())))
        .expect("a status and plain headers")
}
