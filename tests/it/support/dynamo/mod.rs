//! A DynamoDB within the test process: real HTTP before an emulator in memory, and faults in between.
//!
//! No emulator throttles, loses an answer or leaves items unprocessed by itself; this layer does, from a seed, counts what it
//! did, and leaves a way round itself for whoever judges.

mod emulator;
mod faults;
mod imports;
mod meter;
mod oracle;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::Instant,
};

use bytes::Bytes;
use dynoxide::Database;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};

use super::{random::Random, s3::Environment};
use emulator::{Answer, call, error};
pub(crate) use faults::{Call, Chances, DEAD, Fault, OVER_RATE, Plan, UNPROCESSED, seed};
use imports::Imports;
pub(crate) use meter::Seen;
use meter::{Bucket, write_units};
pub(crate) use oracle::{Pointer, Table, Visible, expected};

/// The table that tests publish to.
pub(crate) const TABLE: &str = "nightshelf";

/// A running server; dropping it stops it.
pub(crate) struct DynamoServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    database: Database,
    n_requests: AtomicU64,
    plan: Mutex<(Plan, Option<Bucket>)>,
    seen: Mutex<Seen>,
    imports: Imports,
}

/// A way round all faults and counts, for readers and judges.
#[derive(Clone)]
pub(crate) struct Asker(Database);

impl Asker {
    /// Asks the emulator; it must not refuse.
    #[track_caller]
    pub(crate) fn ask(&self, operation: &str, request: &Value) -> Value {
        let answer = call(&self.0, operation, request.to_string().as_bytes());
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer.status, 200, "{operation} {request}: {body}");
        body
    }
}

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("reset by the fault layer")]
struct Reset;

impl DynamoServer {
    /// Starts a server on a free port, without tables and without faults.
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared {
            database: Database::memory().unwrap(),
            n_requests: AtomicU64::new(0),
            plan: Mutex::default(),
            seen: Mutex::default(),
            imports: Imports::default(),
        });
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

    /// Starts a server that has the table already.
    pub(crate) fn with_table() -> Self {
        let server = Self::start();
        server.create_table(TABLE);
        server
    }

    /// Makes a table of the layout.
    pub(crate) fn create_table(&self, name: &str) {
        self.asker().ask(
            "CreateTable",
            &json!({
                "TableName": name,
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
                "AttributeDefinitions": [
                    {"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "N"},
                ],
                "BillingMode": "PAY_PER_REQUEST",
            }),
        );
        self.asker().ask(
            "UpdateTimeToLive",
            &json!({"TableName": name, "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": true}}),
        );
    }

    /// Where ImportTable finds buckets.
    pub(crate) fn import_from(&self, buckets: std::path::PathBuf) {
        *lock(&self.shared.imports.buckets) = Some(buckets);
    }

    /// The endpoint's address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The environment with which a program reaches this server and nothing else.
    pub(crate) fn environment(&self) -> Environment {
        vec![
            ("AWS_ENDPOINT_URL_DYNAMODB", self.url()),
            ("AWS_REGION", "eu-central-1".into()),
            ("AWS_ACCESS_KEY_ID", "AKIDNIGHTSHELF".into()),
            ("AWS_SECRET_ACCESS_KEY", "not-a-secret".into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ]
    }

    /// From now on this goes wrong, and nothing else. The numbers of requests count on.
    pub(crate) fn go_wrong(&self, plan: Plan) {
        let bucket = plan.units_per_second.map(Bucket::new);
        *lock(&self.shared.plan) = (plan, bucket);
    }

    /// From now on nothing goes wrong.
    pub(crate) fn recover(&self) {
        self.go_wrong(Plan::default());
    }

    /// Requests so far.
    pub(crate) fn n_requests(&self) -> u64 {
        self.shared.n_requests.load(SeqCst)
    }

    /// Items written so far, or since the counts were last taken.
    pub(crate) fn items_written(&self) -> u64 {
        lock(&self.shared.seen).items_written
    }

    /// The counts, which start again at zero.
    pub(crate) fn take_seen(&self) -> Seen {
        std::mem::take(&mut *lock(&self.shared.seen))
    }

    /// A way round all faults and counts.
    pub(crate) fn asker(&self) -> Asker {
        Asker(self.shared.database.clone())
    }

    /// The pointer, by a consistent read round all faults.
    pub(crate) fn pointer(&self, table: &str) -> Option<Pointer> {
        self.asker().pointer(table)
    }

    /// The newest sequence that a publisher has drawn, round all faults.
    pub(crate) fn last_sequence(&self, table: &str) -> i64 {
        self.asker().last_sequence(table)
    }

    /// Rows from the start that a publish says are surely in the table, round all faults.
    pub(crate) fn checkpoint(&self, table: &str, sequence: i64) -> i64 {
        self.asker().checkpoint(table, sequence)
    }

    /// A whole table, round all faults.
    pub(crate) fn table(&self, table: &str) -> Table {
        self.asker().table(table)
    }
}

impl Drop for DynamoServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(listener: std::net::TcpListener, shared: &Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
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
        let operation = header("x-amz-target").rsplit('.').next().unwrap_or("").to_owned();
        let is_signed = header("authorization").starts_with("AWS4-HMAC-SHA256 Credential=");
        let body = request.into_body().collect().await.map_err(|_| Reset)?.to_bytes();
        let number = self.n_requests.fetch_add(1, SeqCst);
        *lock(&self.seen).requests.entry(operation.clone()).or_default() += 1;
        if !is_signed {
            return Ok(answered(error(400, "MissingAuthenticationTokenException", "the request is not signed")));
        }
        let batch = if operation == "BatchWriteItem" { serde_json::from_slice(&body).ok() } else { None };
        if let Some(batch) = &batch {
            self.attempted(batch);
        }
        let (fault, mut random) = self.fate(number, &operation, &body);
        if let Some(name) = fault.as_ref().map(Fate::name) {
            *lock(&self.seen).injected.entry(name).or_default() += 1;
        }
        let applied = |random: &mut Random| self.apply(&operation, &body, batch.clone(), random);
        match fault {
            None => Ok(answered(applied(&mut random))),
            Some(Fate::Dead | Fate::Fault(Fault::FailedBefore)) => Ok(answered(failed())),
            Some(Fate::Fault(Fault::Throttled)) => Ok(answered(throttled(random.below(3)))),
            Some(Fate::Fault(Fault::FailedAfter)) => {
                applied(&mut random);
                Ok(answered(failed()))
            }
            Some(Fate::Fault(Fault::ResetAfter)) => {
                applied(&mut random);
                Err(Reset)
            }
            Some(Fate::Fault(Fault::Stalled(time))) => {
                let answer = applied(&mut random);
                tokio::time::sleep(time).await;
                Ok(answered(answer))
            }
            Some(Fate::Fault(Fault::Truncated)) => {
                let mut answer = applied(&mut random);
                answer.body.truncate(answer.body.len() / 2);
                Ok(answered(answer))
            }
            Some(Fate::Fault(Fault::Held(permits))) => {
                permits.acquire().await.map_err(|_| Reset)?.forget();
                Ok(answered(applied(&mut random)))
            }
        }
    }

    /// Counts a batch that came, whatever becomes of it.
    fn attempted(&self, batch: &Value) {
        let mut seen = lock(&self.seen);
        for writes in
            batch["RequestItems"].as_object().into_iter().flatten().filter_map(|(_, writes)| writes.as_array())
        {
            seen.largest_batch = seen.largest_batch.max(writes.len());
            for item in writes.iter().map(item_of) {
                let text = |path: &str| item.pointer(path).and_then(Value::as_str).unwrap_or("").to_owned();
                *seen.attempts.entry((text("/pk/S"), text("/sk/N"))).or_default() += 1;
            }
        }
    }

    fn fate(&self, number: u64, operation: &str, body: &[u8]) -> (Option<Fate>, Random) {
        let (plan, _) = &mut *lock(&self.plan);
        let mut random = Random::new(plan.seed ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        if plan.dead_from.is_some_and(|from| number >= from) {
            return (Some(Fate::Dead), random);
        }
        let ruled = plan.rule.as_mut().and_then(|rule| rule(&Call::new(operation, body)));
        let fault = ruled.or_else(|| plan.chances.draw(&mut random));
        (fault.map(Fate::Fault), random)
    }

    /// Carries a request out; of a batch, what is not withheld.
    fn apply(&self, operation: &str, body: &[u8], batch: Option<Value>, random: &mut Random) -> Answer {
        if let Some(answer) = self.imports.call(&self.database, operation, body) {
            return answer;
        }
        let Some(mut request) = batch else { return call(&self.database, operation, body) };
        let now = Instant::now();
        let (mut withheld, mut n_applied, mut units) = (serde_json::Map::new(), 0, 0);
        {
            let (plan, bucket) = &mut *lock(&self.plan);
            let mut seen = lock(&self.seen);
            for (table, writes) in request["RequestItems"].as_object_mut().into_iter().flatten() {
                let Some(writes) = writes.as_array_mut() else { continue };
                let mut left_out = Vec::new();
                writes.retain(|write| {
                    let cost = write_units(item_of(write));
                    let reason = if plan.chances.unprocessed > 0.0 && random.unit() < plan.chances.unprocessed {
                        Some(UNPROCESSED)
                    } else if bucket.as_mut().is_some_and(|bucket| !bucket.take(cost)) {
                        Some(OVER_RATE)
                    } else {
                        None
                    };
                    match reason {
                        None => {
                            n_applied += 1;
                            units += cost;
                        }
                        Some(reason) => {
                            *seen.injected.entry(reason).or_default() += 1;
                            left_out.push(write.clone());
                        }
                    }
                    reason.is_none()
                });
                if !left_out.is_empty() {
                    withheld.insert(table.clone(), Value::Array(left_out));
                }
            }
        }
        if withheld.is_empty() {
            return self.written(call(&self.database, operation, body), now, n_applied, units);
        }
        if n_applied == 0 {
            return throttled(0);
        }
        let answer = call(&self.database, operation, request.to_string().as_bytes());
        let answer = self.written(answer, now, n_applied, units);
        if answer.status != 200 {
            return answer;
        }
        let mut response: Value = serde_json::from_slice(&answer.body).expect("the emulator answers in JSON");
        response["UnprocessedItems"] = Value::Object(withheld);
        Answer { status: 200, body: response.to_string().into_bytes() }
    }

    /// Counts a batch that was carried out.
    fn written(&self, answer: Answer, at: Instant, n_items: u64, units: u64) -> Answer {
        if answer.status == 200 {
            let mut seen = lock(&self.seen);
            seen.items_written += n_items;
            seen.units.push((at, units));
        }
        answer
    }
}

/// What a request meets.
enum Fate {
    Fault(Fault),
    Dead,
}

impl Fate {
    fn name(&self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.name(),
            Self::Dead => DEAD,
        }
    }
}

fn item_of(write: &Value) -> &Value {
    write.pointer("/PutRequest/Item").or_else(|| write.pointer("/DeleteRequest/Key")).unwrap_or(&Value::Null)
}

fn throttled(which: u64) -> Answer {
    let name = ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"];
    error(400, name[which as usize], "The level of configured provisioned throughput for the table was exceeded.")
}

fn failed() -> Answer {
    error(500, "InternalServerError", "Internal server error")
}

fn answered(answer: Answer) -> Response<Full<Bytes>> {
    let checksum = crc32fast::hash(&answer.body);
    Response::builder()
        .status(answer.status)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amzn-requestid", "FAULTLAYER")
        .header("x-amz-crc32", checksum.to_string())
        .body(Full::new(Bytes::from(answer.body)))
        .expect("a status and plain headers")
}
