//! The contract on DynamoDB, and what only DynamoDB has.

use aws_sdk_dynamodb::config::{Credentials, Region, retry::RetryConfig};
use nightshelf::{
    publish::{
        DocumentBatch, DynamoConfig, DynamoReader, DynamoSink, Encoding, Layout, PublishError, Rows, RunHeader,
        Section, Sink,
    },
    recommendations::{ListBatch, ListKind},
};
use serde_json::json;

use super::{Data, Snapshot, Store, keeps_the_contract, shown};
use crate::support::dynamo::{DynamoServer, TABLE};

struct Dynamo {
    server: DynamoServer,
    config: DynamoConfig,
}

impl Dynamo {
    fn new(config: DynamoConfig) -> Self {
        Self { server: DynamoServer::with_table(), config }
    }

    fn client(&self) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-central-1"))
            .endpoint_url(self.server.url())
            .retry_config(RetryConfig::disabled())
            .credentials_provider(Credentials::new("AKIDNIGHTSHELF", "not-a-secret", None, None, "test"));
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    fn dynamo_sink(&self) -> DynamoSink {
        DynamoSink::with_client(&self.config, self.client()).unwrap()
    }

    /// Publishes lists of users; `at_hand` names runs that a delta may be taken from.
    fn publish(
        &self,
        sink: &mut DynamoSink,
        run: &str,
        at_hand: &[&str],
        lists: &[(&str, &[&str])],
    ) -> (i64, Option<String>) {
        let header = RunHeader {
            run: run.into(),
            content_sha256: run.into(),
            at_hand: at_hand.iter().map(|run| (*run).to_owned()).collect(),
        };
        let begun = sink.begin(&header).unwrap();
        let batch = users(lists);
        let rows = Rows::Lists(Section::Recommendations, &batch);
        let tally = if begun.base.is_some() { sink.keep(&rows) } else { sink.write(&rows) }.unwrap();
        sink.verify(&[(Section::Recommendations, tally)].into()).unwrap();
        sink.commit().unwrap();
        (begun.sequence.0, begun.base)
    }

    fn read_as_front_ends_do(&self, key: &str) -> Option<Vec<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let reader = DynamoReader::with_client(&self.config, self.client());
        let list = runtime.block_on(reader.list(Section::Recommendations, key)).unwrap()?;
        Some(list.items.into_iter().map(|(item, _)| item).collect())
    }
}

fn users<'a>(lists: &[(&'a str, &[&'a str])]) -> ListBatch<'a> {
    let mut batch = ListBatch::default();
    for (user, items) in lists {
        batch.push(user, items.iter().map(|item| (*item, 0.5)), "als");
    }
    batch
}

impl Store for Dynamo {
    fn sink(&self) -> Box<dyn Sink> {
        Box::new(self.dynamo_sink())
    }

    /// The whole table, as the contract for readers says; scores need `encoding = "map"`.
    fn read(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let asker = self.server.asker();
        let Some(pointer) = asker.pointer(TABLE) else { return snapshot };
        let table = asker.ask("Scan", &json!({"TableName": TABLE, "ConsistentRead": true}));
        assert!(table["LastEvaluatedKey"].is_null(), "more than a page");
        let mut newest = std::collections::BTreeMap::new();
        for item in table["Items"].as_array().unwrap() {
            let sequence: i64 = item["sk"]["N"].as_str().unwrap().parse().unwrap();
            if (pointer.floor..=pointer.current).contains(&sequence) {
                newest.insert((item["pk"]["S"].as_str().unwrap(), sequence), item);
            }
        }
        // Ascending, so that the newest of a key comes last and stays.
        for ((key, _), item) in newest {
            let kinds = [("u#", 0), ("i#", 1), ("p#", 2), ("b#", 3), ("t#", 4)];
            let Some((prefix, kind)) = kinds.into_iter().find(|(prefix, _)| key.starts_with(prefix)) else { continue };
            let key = (ListKind::ALL[kind], key[prefix.len()..].to_owned());
            let entries = item["l"]["L"].as_array().unwrap().iter().map(|entry| {
                let score: f32 = entry["M"]["s"]["N"].as_str().unwrap().parse().unwrap();
                (entry["M"]["i"]["S"].as_str().unwrap().to_owned(), score)
            });
            let entries: Vec<_> = entries.collect();
            snapshot.lists.remove(&key);
            if !entries.is_empty() {
                snapshot.lists.insert(key, (entries, item["s"]["S"].as_str().map(str::to_owned)));
            }
        }
        snapshot
    }

    /// Campaigns go to SQL stores.
    fn shown(&self, data: &Data) -> Snapshot {
        Snapshot { lists: shown(data).lists, ..Snapshot::default() }
    }
}

fn with_scores() -> DynamoConfig {
    DynamoConfig { encoding: Encoding::Map, ..DynamoConfig::default() }
}

#[test]
fn dynamodb_keeps_the_contract() {
    keeps_the_contract(|| Dynamo::new(with_scores()));
}

#[test]
fn front_ends_read_one_run_and_a_rollback_takes_it_back() {
    let store = Dynamo::new(DynamoConfig::default());
    let mut sink = store.dynamo_sink();
    assert_eq!(store.read_as_front_ends_do("ann"), None);
    store.publish(&mut sink, "one", &[], &[("ann", &["a", "b"]), ("bob", &["c"])]);
    assert_eq!(store.read_as_front_ends_do("ann").unwrap(), ["a", "b"]);
    store.publish(&mut sink, "two", &[], &[("ann", &["z"])]);
    assert_eq!(store.read_as_front_ends_do("ann").unwrap(), ["z"]);
    assert_eq!(store.read_as_front_ends_do("bob"), None, "a full publish leaves nothing of the run before");
    sink.rollback(None).unwrap();
    assert_eq!(store.read_as_front_ends_do("bob").unwrap(), ["c"]);
}

#[test]
fn differences_are_taken_from_the_run_before_and_from_no_other() {
    let store = Dynamo::new(DynamoConfig::default());
    let mut sink = store.dynamo_sink();
    let lists: &[(&str, &[&str])] = &[("ann", &["a"]), ("bob", &["b"])];
    assert_eq!(store.publish(&mut sink, "one", &[], lists), (1, None));
    assert_eq!(store.publish(&mut sink, "two", &["one"], lists), (2, Some("one".into())));
    assert_eq!(store.publish(&mut sink, "three", &["one"], lists), (3, None), "what readers see is not at hand");
    // After a rollback the run before is not what readers see.
    sink.rollback(None).unwrap();
    assert_eq!(store.publish(&mut sink, "four", &["two", "three"], lists), (4, None));
    // After a publish that came to nothing, rows of it may lie in between.
    let header = RunHeader { run: "half".into(), content_sha256: "half".into(), at_hand: vec![] };
    sink.begin(&header).unwrap();
    sink.abort().unwrap();
    assert_eq!(store.publish(&mut sink, "five", &["four"], lists), (6, None));
    // Rows of another shape would be mixed with these.
    let config = DynamoConfig { encoding: Encoding::Map, ..store.config.clone() };
    let other = Dynamo { server: store.server, config };
    assert_eq!(other.publish(&mut other.dynamo_sink(), "six", &["five"], lists), (7, None));
}

#[test]
fn unchanged_rows_are_written_again_before_readers_stop_looking() {
    let store = Dynamo::new(DynamoConfig { refresh_after: 3, ..DynamoConfig::default() });
    let mut sink = store.dynamo_sink();
    let names: Vec<String> = (0..40).map(|n| format!("user {n}")).collect();
    let lists: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), ["a"].as_slice())).collect();
    let mut last = String::new();
    for night in 0..8 {
        let run = format!("night {night}");
        store.publish(&mut sink, &run, &[&last], &lists);
        let written = store.server.take_seen().items_written;
        if night > 0 {
            assert!((1..=30).contains(&written), "{written} of 40 rows in night {night}");
        }
        assert!(names.iter().all(|name| store.read_as_front_ends_do(name).is_some()), "night {night}");
        last = run;
    }
    let pointer = store.server.pointer(TABLE).unwrap();
    assert_eq!((pointer.current, pointer.floor), (8, 6));
}

#[test]
fn leavers_get_a_tombstone() {
    let store = Dynamo::new(DynamoConfig::default());
    let mut sink = store.dynamo_sink();
    store.publish(&mut sink, "one", &[], &[("ann", &["a"]), ("bob", &["b"])]);
    let header = RunHeader { run: "two".into(), content_sha256: "two".into(), at_hand: vec!["one".into()] };
    sink.begin(&header).unwrap();
    let batch = users(&[("ann", &["a"])]);
    let tally = sink.keep(&Rows::Lists(Section::Recommendations, &batch)).unwrap();
    sink.leave(Section::Recommendations, &["bob"]).unwrap();
    let expected = [(Section::Recommendations, tally)].into();
    sink.verify(&expected).unwrap();
    sink.commit().unwrap();
    assert_eq!(store.read_as_front_ends_do("bob"), None);
    assert_eq!(store.read_as_front_ends_do("ann").unwrap(), ["a"]);
    assert_eq!(sink.audit().unwrap(), expected);
}

#[test]
fn a_run_that_readers_see_already_is_not_written_again() {
    let store = Dynamo::new(DynamoConfig::default());
    let mut sink = store.dynamo_sink();
    let lists: &[(&str, &[&str])] = &[("ann", &["a"])];
    store.publish(&mut sink, "one", &[], lists);
    store.server.take_seen();
    assert_eq!(store.publish(&mut sink, "one", &[], lists).0, 1);
    assert_eq!(store.server.take_seen().items_written, 0);
    assert_eq!(sink.status().unwrap().epoch, 1);
}

#[test]
fn the_latest_layout_overwrites_what_is_older_and_is_not_taken_back() {
    let store = Dynamo::new(DynamoConfig { layout: Layout::Latest, ..DynamoConfig::default() });
    let (mut slow, mut sink) = (store.dynamo_sink(), store.dynamo_sink());
    let header = |run: &str| RunHeader { run: run.into(), content_sha256: run.into(), at_hand: vec![] };
    slow.begin(&header("slow")).unwrap();
    store.publish(&mut sink, "fast", &[], &[("ann", &["new"])]);
    let batch = users(&[("ann", &["old"])]);
    let written = slow.write(&Rows::Lists(Section::Recommendations, &batch));
    let outcome = written.and_then(|tally| slow.verify(&[(Section::Recommendations, tally)].into()));
    assert!(matches!(outcome, Err(PublishError::Superseded { .. })), "{outcome:?}");
    assert_eq!(store.read_as_front_ends_do("ann").unwrap(), ["new"]);
    let key = json!({"pk": {"S": "u#ann"}, "sk": {"N": "0"}});
    let plain = store.server.asker().ask("GetItem", &json!({"TableName": TABLE, "Key": key}));
    assert_eq!(plain["Item"]["l"]["L"][0]["S"], "new");
    assert!(matches!(sink.rollback(None), Err(PublishError::NoSuchRun { .. })));
}

#[test]
fn profiles_are_served_and_campaigns_are_not_taken() {
    let store = Dynamo::new(DynamoConfig::default());
    let mut sink = store.dynamo_sink();
    sink.begin(&RunHeader { run: "one".into(), content_sha256: "one".into(), at_hand: vec![] }).unwrap();
    let batch = DocumentBatch { keys: vec!["ann"], documents: vec![r#"{"n_view_7d":3,"last_at":1800000000}"#] };
    let tally = sink.write(&Rows::Profiles(&batch)).unwrap();
    let members = nightshelf::recommendations::MemberBatch::default();
    assert!(matches!(sink.write(&Rows::Members(&members)), Err(PublishError::NotTaken { .. })));
    let expected = [(Section::Profiles, tally)].into();
    sink.verify(&expected).unwrap();
    sink.commit().unwrap();
    assert_eq!(sink.audit().unwrap(), expected);
}
