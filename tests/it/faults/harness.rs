//! The fault layer itself: each fault does what its name says, and chance comes from the seed.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig},
    error::SdkError,
    types::{AttributeValue, PutRequest, ReturnConsumedCapacity, WriteRequest},
};

use super::alone;
use crate::support::dynamo::{Chances, DEAD, DynamoServer, Fault, OVER_RATE, Plan, TABLE, UNPROCESSED};

fn client(server: &DynamoServer) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(server.url())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("AKIDNIGHTSHELF", "not-a-secret", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(500)).build());
    Client::from_conf(config.build())
}

type Item = HashMap<String, AttributeValue>;

fn item(number: usize, items: &str) -> Item {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(format!("u#{number}"))),
        ("sk".to_owned(), AttributeValue::N("1".into())),
        ("l".to_owned(), AttributeValue::L(vec![AttributeValue::S(items.to_owned()); 3])),
        ("ttl".to_owned(), AttributeValue::N("1795000000".into())),
    ])
}

fn put(item: Item) -> WriteRequest {
    WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(item)).build().unwrap()).build()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// One item, written while this goes wrong. Returns: the error's name, and whether the item is there.
fn put_under(fault: Fault) -> (Option<String>, bool) {
    let server = DynamoServer::with_table();
    let client = client(&server);
    let mut fault = Some(fault);
    server.go_wrong(Plan { rule: Some(Box::new(move |_| fault.take())), ..Plan::default() });
    let outcome = block_on(client.put_item().table_name(TABLE).set_item(Some(item(1, "a"))).send());
    let error = outcome.err().map(|error| match &error {
        SdkError::ServiceError(service) => {
            service.err().meta().code().map_or_else(|| "unnamed".to_owned(), str::to_owned)
        }
        SdkError::DispatchFailure(_) => "no answer".to_owned(),
        SdkError::ResponseError(_) => "unreadable".to_owned(),
        SdkError::TimeoutError(_) => "too late".to_owned(),
        _ => format!("{error:?}"),
    });
    assert_eq!(server.take_seen().n_injected(), 1);
    (error, server.table(TABLE).n_rows() == 1)
}

#[test]
fn each_fault_does_what_it_says() {
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(put_under(Fault::FailedBefore), (named("InternalServerError"), false));
    assert_eq!(put_under(Fault::FailedAfter), (named("InternalServerError"), true));
    assert_eq!(put_under(Fault::ResetAfter), (named("no answer"), true));
    assert_eq!(put_under(Fault::Stalled(Duration::from_secs(3))), (named("too late"), true));
    let (throttled, is_there) = put_under(Fault::Throttled);
    let names = ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"];
    assert!(names.contains(&throttled.unwrap().as_str()) && !is_there);
    let (cut, is_there) = put_under(Fault::Truncated);
    assert!(is_there, "{cut:?}");
}

#[test]
fn of_a_batch_some_items_come_back_and_the_rest_is_there() {
    let server = DynamoServer::with_table();
    let client = client(&server);
    let batch: Vec<_> = (0..25).map(|number| put(item(number, "a"))).collect();
    let send = || block_on(client.batch_write_item().request_items(TABLE, batch.clone()).send()).unwrap();
    let chances = Chances { unprocessed: 0.3, ..Chances::default() };
    server.go_wrong(Plan { seed: 7, chances, ..Plan::default() });
    let back = send().unprocessed_items.unwrap_or_default().remove(TABLE).unwrap_or_default();
    assert!((1..20).contains(&back.len()), "{} came back", back.len());
    let seen = server.take_seen();
    assert_eq!((seen.items_written, seen.injected_of(UNPROCESSED)), (25 - back.len() as u64, back.len() as u64));
    assert_eq!((seen.largest_batch, seen.most_attempts()), (25, 1));
    assert_eq!(server.table(TABLE).n_rows(), 25 - back.len());
    server.recover();
    assert!(send().unprocessed_items.unwrap_or_default().is_empty());
    assert_eq!(server.table(TABLE).n_rows(), 25);
}

#[test]
fn a_table_without_units_left_takes_nothing_until_they_are_back() {
    let _turn = alone();
    let server = DynamoServer::with_table();
    let client = client(&server);
    server.go_wrong(Plan { units_per_second: Some(20.0), ..Plan::default() });
    let batch = |from| (from..from + 25).map(|number| put(item(number, "a"))).collect::<Vec<_>>();
    let send = |from| block_on(client.batch_write_item().request_items(TABLE, batch(from)).send());
    // Forty units are there at the start, and twenty a second come.
    let start = std::time::Instant::now();
    send(0).unwrap();
    let back = send(25).unwrap().unprocessed_items.unwrap_or_default().remove(TABLE).unwrap_or_default();
    assert!((1..=10).contains(&back.len()), "{} came back", back.len());
    for from in [50, 75, 100] {
        match send(from) {
            Ok(answer) => assert!(!answer.unprocessed_items.unwrap_or_default().is_empty()),
            Err(error) => {
                let error = error.into_service_error();
                assert!(error.is_provisioned_throughput_exceeded_exception(), "{error:?}");
            }
        }
    }
    let seen = server.take_seen();
    let allowed = 40.0 + 20.0 * start.elapsed().as_secs_f64() + 1.0;
    assert!(
        (40.0..=allowed).contains(&(seen.items_written as f64)),
        "{} written, {allowed} allowed",
        seen.items_written
    );
    assert!(seen.injected_of(OVER_RATE) > 0);
}

#[test]
fn units_are_counted_as_the_emulator_counts_them() {
    let server = DynamoServer::with_table();
    let client = client(&server);
    for (number, length) in [1, 300, 334, 335, 1_000, 3_000].into_iter().enumerate() {
        let text = "x".repeat(length);
        let request = client.batch_write_item().request_items(TABLE, vec![put(item(number, &text))]);
        let answer = block_on(request.return_consumed_capacity(ReturnConsumedCapacity::Total).send()).unwrap();
        let theirs = answer.consumed_capacity()[0].capacity_units().unwrap();
        let ours = server.take_seen().units[0].1;
        assert_eq!(ours as f64, theirs, "three times {length} bytes");
    }
}

#[test]
fn from_some_request_on_everything_fails_and_unsigned_requests_always_do() {
    let server = DynamoServer::with_table();
    let client = client(&server);
    server.go_wrong(Plan { dead_from: Some(server.n_requests() + 2), ..Plan::default() });
    let outcomes: Vec<bool> = (0..5)
        .map(|number| block_on(client.put_item().table_name(TABLE).set_item(Some(item(number, "a"))).send()).is_ok())
        .collect();
    assert_eq!(outcomes, [true, true, false, false, false]);
    assert_eq!(server.take_seen().injected_of(DEAD), 3);
    server.recover();
    let address = server.url();
    let mut stream = std::net::TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    let request = "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: DynamoDB_20120810.ListTables\r\ncontent-length: 2\r\n\
                   connection: close\r\n\r\n{}";
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut answer = String::new();
    // The server closes with a reset, after the answer.
    let _ = std::io::Read::read_to_string(&mut stream, &mut answer);
    assert!(answer.contains("400") && answer.contains("MissingAuthenticationToken"), "{answer}");
}

#[test]
fn one_seed_one_fate() {
    let fates = |seed| {
        let server = DynamoServer::with_table();
        let client = client(&server);
        server.go_wrong(Plan { seed, chances: Chances::failing(0.5, 0.0), ..Plan::default() });
        let outcomes: Vec<bool> = (0..40)
            .map(|number| {
                block_on(client.put_item().table_name(TABLE).set_item(Some(item(number, "a"))).send()).is_ok()
            })
            .collect();
        (outcomes, server.take_seen().injected)
    };
    assert_eq!(fates(1), fates(1));
    assert_ne!(fates(1), fates(2));
}
