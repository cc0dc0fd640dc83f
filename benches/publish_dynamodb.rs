//! Question: how much CPU of ours does a row to DynamoDB cost: encoding, signing, sending, keeping count, with the network removed?
//!
//! Corpus: 100,000 users with 50 items of 15 characters each (one write unit a row), compact and with scores. The HTTP client
//! answers every request at once with `{}`, which means "all taken".
//! Excluded: TLS, sockets, DynamoDB, reading the run directory. Threads: as many as the sink takes; CPU seconds are the whole process's.
//! Command: `cargo bench --bench publish_dynamodb`. Prints rows a second and rows a CPU second.

#![allow(clippy::print_stdout, reason = "a bench tells what it measured")]

use std::time::Instant;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use nightshelf::{
    publish::{DynamoConfig, DynamoSink, Encoding, Rows, RunHeader, Section, Sink},
    recommendations::ListBatch,
};

const N_USERS: usize = 100_000;
const N_ROUNDS: usize = 5;

/// Takes everything, says nothing.
#[derive(Debug, Clone)]
struct Void;

impl HttpConnector for Void {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let mut answer = HttpResponse::new(200.try_into().expect("a status"), SdkBody::from("{}"));
        answer.headers_mut().insert("content-type", "application/x-amz-json-1.0");
        HttpConnectorFuture::ready(Ok(answer))
    }
}

impl HttpClient for Void {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Void)
    }
}

fn main() -> anyhow::Result<()> {
    let items: Vec<String> = (0..5_000).map(|n| format!("item-{n:010}")).collect();
    let users: Vec<String> = (0..N_USERS).map(|n| format!("user-{n:010}")).collect();
    let mut lists = ListBatch::default();
    for (at, user) in users.iter().enumerate() {
        let entries =
            (0..50).map(|rank| (items[(at * 7 + rank * 31) % items.len()].as_str(), 1.0 / (rank + at + 1) as f32));
        lists.push(user, entries, "als");
    }
    let client = aws_sdk_dynamodb::Client::from_conf(
        aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-central-1"))
            .retry_config(RetryConfig::disabled())
            .credentials_provider(Credentials::new("AKIDNIGHTSHELF", "not-a-secret", None, None, "bench"))
            .http_client(Void)
            .build(),
    );
    println!("encoding  rows/s   rows/CPU second   (median of {N_ROUNDS} rounds of {N_USERS} rows)");
    for encoding in [Encoding::Compact, Encoding::Map] {
        let mut rounds: Vec<(f64, f64)> = Vec::new();
        for round in 0..N_ROUNDS {
            // Nothing was kept, so nothing reads back.
            let config = DynamoConfig { encoding, verify_sample: 0, ..DynamoConfig::default() };
            let mut sink = DynamoSink::with_client(&config, client.clone())?;
            let run = format!("round {round}");
            sink.begin(&RunHeader { content_sha256: run.clone(), run, at_hand: Vec::new() })?;
            let (start, cpu) = (Instant::now(), cpu_seconds()?);
            let tally = sink.write(&Rows::Lists(Section::Recommendations, &lists))?;
            sink.verify(&[(Section::Recommendations, tally)].into())?;
            sink.commit()?;
            let n = N_USERS as f64;
            rounds.push((n / start.elapsed().as_secs_f64(), n / (cpu_seconds()? - cpu)));
        }
        rounds.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (wall, cpu) = rounds[N_ROUNDS / 2];
        println!("{encoding:<8?}  {wall:>7.0}  {cpu:>7.0}");
    }
    Ok(())
}

/// User and system time of this process.
fn cpu_seconds() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold spaces; user and system ticks are the 12th and 13th after it.
    let after_name = text.rsplit(')').next().unwrap_or("");
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / 100.0)
}
