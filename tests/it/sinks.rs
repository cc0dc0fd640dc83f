//! One contract for every sink: a function a promise, run on every store there is.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking; a child tells its parent that it is ready"
)]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nightshelf::{
    publish::{Expected, PublishError, Rows, RunHeader, RunSequence, Section, Sink, SqliteSink, Tally},
    recommendations::{ListBatch, ListKind},
};
use rusqlite::{Connection, OpenFlags};

/// A store under test: a new connection for each publisher, and an oracle that reads as readers do.
pub(crate) trait Store {
    fn sink(&self) -> Box<dyn Sink>;
    fn read(&self) -> Snapshot;
}

/// What readers see: kind, key -> entries in order of rank, and the source.
pub(crate) type Snapshot = BTreeMap<(ListKind, String), (Vec<(String, f32)>, Option<String>)>;

/// One list to publish.
#[derive(Clone)]
struct List {
    kind: ListKind,
    key: String,
    entries: Vec<(String, f32)>,
    source: &'static str,
}

fn list(kind: ListKind, key: &str, entries: &[(&str, f32)]) -> List {
    let source = if kind == ListKind::Recommendations { "als+popular" } else { "" };
    List {
        kind,
        key: key.into(),
        entries: entries.iter().map(|(item, score)| ((*item).into(), *score)).collect(),
        source,
    }
}

/// A run whose every list tells which run it is of.
fn run_of(name: &str) -> Vec<List> {
    let item = format!("item of {name}");
    let users = (0..30).map(|n| list(ListKind::Recommendations, &format!("user-{n}"), &[(&item, 0.5), ("b", 0.1)]));
    let others = [
        list(ListKind::SimilarItems, "b", &[(&item, 2.0)]),
        list(ListKind::Popular, "overall", &[(&item, 3e9), ("b", 1.0)]),
    ];
    users.chain(others).collect()
}

fn header(name: &str) -> RunHeader {
    RunHeader { run: name.into(), content_sha256: format!("hash of {name}"), at_hand: Vec::new() }
}

fn batch(lists: &[List], kind: ListKind) -> ListBatch<'_> {
    let mut batch = ListBatch::default();
    for list in lists.iter().filter(|list| list.kind == kind) {
        batch.push(&list.key, list.entries.iter().map(|(item, score)| (item.as_str(), *score)), list.source);
    }
    batch
}

fn expected(lists: &[List]) -> Expected {
    ListKind::ALL
        .into_iter()
        .map(|kind| {
            let mut tally = Tally::default();
            tally.add_batch(&batch(lists, kind));
            (kind.into(), tally)
        })
        .collect()
}

/// What readers must see of these lists: an empty list shows no rows.
fn shown(lists: &[List]) -> Snapshot {
    let rows = lists.iter().filter(|list| !list.entries.is_empty());
    rows.map(|list| {
        let source = (list.kind == ListKind::Recommendations).then(|| list.source.to_owned());
        ((list.kind, list.key.clone()), (list.entries.clone(), source))
    })
    .collect()
}

fn write(sink: &mut dyn Sink, lists: &[List]) -> Result<(), PublishError> {
    for kind in ListKind::ALL {
        let batch = batch(lists, kind);
        let mut tally = Tally::default();
        tally.add_batch(&batch);
        assert_eq!(sink.write(&Rows::Lists(kind.into(), &batch))?, tally);
    }
    Ok(())
}

fn publish(sink: &mut dyn Sink, name: &str, lists: &[List]) -> Result<RunSequence, PublishError> {
    let sequence = sink.begin(&header(name))?.sequence;
    write(sink, lists)?;
    sink.verify(&expected(lists))?;
    let committed = sink.commit()?;
    assert_eq!(committed.sequence, sequence);
    assert_eq!(committed.n_lists, lists.len() as u64);
    assert_eq!(committed.n_entries, lists.iter().map(|list| list.entries.len() as u64).sum::<u64>());
    Ok(sequence)
}

fn visible_only_after_commit(store: &dyn Store) {
    let mut sink = store.sink();
    assert_eq!(store.read(), Snapshot::new());
    let lists = run_of("first");
    let sequence = sink.begin(&header("first")).unwrap().sequence;
    write(&mut *sink, &lists).unwrap();
    assert_eq!(store.read(), Snapshot::new());
    assert!(matches!(sink.commit(), Err(PublishError::OutOfOrder { .. })));
    sink.verify(&expected(&lists)).unwrap();
    assert_eq!(store.read(), Snapshot::new());
    assert_eq!(sink.status().unwrap().unfinished, [sequence]);
    sink.commit().unwrap();
    assert_eq!(store.read(), shown(&lists));
    let status = sink.status().unwrap();
    assert_eq!((status.current, status.previous, status.epoch), (Some(sequence), None, 1));
    assert_eq!((status.runs[0].run.as_str(), status.runs[0].content_sha256.as_str()), ("first", "hash of first"));
    assert_eq!(status.unfinished, []);

    let second = run_of("second");
    let next = publish(&mut *sink, "second", &second).unwrap();
    assert!(next > sequence);
    assert_eq!(store.read(), shown(&second));
    assert_eq!(store.sink().status().unwrap().previous, Some(sequence));
}

fn steps_out_of_order_are_refused(store: &dyn Store) {
    let mut sink = store.sink();
    let out_of_order = |error: PublishError| assert!(matches!(error, PublishError::OutOfOrder { .. }), "{error}");
    out_of_order(sink.write(&Rows::Lists(Section::Popular, &ListBatch::default())).unwrap_err());
    out_of_order(sink.verify(&Expected::new()).unwrap_err());
    out_of_order(sink.commit().unwrap_err());
    sink.abort().unwrap();
    let lists = run_of("only");
    sink.begin(&header("only")).unwrap();
    out_of_order(sink.begin(&header("again")).unwrap_err());
    sink.verify(&Expected::new()).unwrap();
    write(&mut *sink, &lists).unwrap();
    out_of_order(sink.commit().unwrap_err());
    sink.verify(&expected(&lists)).unwrap();
    sink.commit().unwrap();
    assert_eq!(store.read(), shown(&lists));
}

fn abort_leaves_the_old(store: &dyn Store) {
    let mut sink = store.sink();
    let old = run_of("old");
    let first = publish(&mut *sink, "old", &old).unwrap();
    let second = sink.begin(&header("aborted")).unwrap().sequence;
    write(&mut *sink, &run_of("aborted")).unwrap();
    sink.abort().unwrap();
    assert_eq!(store.read(), shown(&old));
    assert_eq!(sink.status().unwrap().unfinished, []);
    let third = publish(&mut *sink, "third", &run_of("third")).unwrap();
    // A sequence is never used twice.
    assert!(first < second && second < third);
}

fn rollback_goes_back_and_forth(store: &dyn Store) {
    let mut sink = store.sink();
    assert!(matches!(sink.rollback(None), Err(PublishError::NoSuchRun { .. })));
    let names = ["a", "b", "c"];
    let sequences = names.map(|name| publish(&mut *sink, name, &run_of(name)).unwrap());
    assert_eq!(sink.rollback(None).unwrap().current, Some(sequences[1]));
    assert_eq!(store.read(), shown(&run_of("b")));
    assert_eq!(sink.rollback(None).unwrap().current, Some(sequences[0]));
    assert!(matches!(sink.rollback(None), Err(PublishError::NoSuchRun { .. })));
    assert_eq!(store.read(), shown(&run_of("a")));
    let status = sink.rollback(Some(sequences[2])).unwrap();
    assert_eq!((status.current, status.previous, status.epoch), (Some(sequences[2]), Some(sequences[0]), 6));
    assert_eq!(store.read(), shown(&run_of("c")));
    let unknown = sink.rollback(Some(RunSequence(99))).unwrap_err();
    assert!(unknown.to_string().contains("run 99"), "{unknown}");
    sink.rollback(Some(sequences[0])).unwrap();
    let newest = publish(&mut *sink, "d", &run_of("d")).unwrap();
    assert_eq!(store.read(), shown(&run_of("d")));
    assert!(newest > sequences[2]);
}

fn a_run_under_way_cannot_be_rolled_to(store: &dyn Store) {
    let mut sink = store.sink();
    publish(&mut *sink, "a", &run_of("a")).unwrap();
    let mut other = store.sink();
    let loading = other.begin(&header("half")).unwrap().sequence;
    assert!(matches!(sink.rollback(Some(loading)), Err(PublishError::NoSuchRun { .. })));
    assert_eq!(store.read(), shown(&run_of("a")));
}

fn a_superseded_writer_changes_nothing(store: &dyn Store) {
    let (mut slow, mut fast) = (store.sink(), store.sink());
    let (old, new) = (run_of("slow"), run_of("fast"));
    slow.begin(&header("slow")).unwrap();
    write(&mut *slow, &old).unwrap();
    slow.verify(&expected(&old)).unwrap();
    publish(&mut *fast, "fast", &new).unwrap();
    let superseded = |error: PublishError| assert!(matches!(error, PublishError::Superseded { .. }), "{error}");
    superseded(slow.commit().unwrap_err());
    superseded(write(&mut *slow, &old).unwrap_err());
    superseded(slow.verify(&expected(&old)).unwrap_err());
    assert_eq!(store.read(), shown(&new));
    slow.abort().unwrap();
    assert_eq!(store.read(), shown(&new));
    assert_eq!(fast.status().unwrap().unfinished, []);
}

fn a_rollback_stands_against_a_writer_that_wakes_up(store: &dyn Store) {
    let mut sink = store.sink();
    publish(&mut *sink, "a", &run_of("a")).unwrap();
    publish(&mut *sink, "b", &run_of("b")).unwrap();
    let mut late = store.sink();
    let lists = run_of("late");
    late.begin(&header("late")).unwrap();
    write(&mut *late, &lists).unwrap();
    late.verify(&expected(&lists)).unwrap();
    sink.rollback(None).unwrap();
    assert!(matches!(late.commit(), Err(PublishError::Superseded { .. })));
    assert_eq!(store.read(), shown(&run_of("a")));
}

fn of_two_publishers_exactly_one_wins(store: &(dyn Store + Sync)) {
    for round in 0..5 {
        let barrier = std::sync::Barrier::new(2);
        let outcomes = std::thread::scope(|scope| {
            let started = [0, 1].map(|publisher| {
                let (store, barrier) = (&store, &barrier);
                scope.spawn(move || {
                    let mut sink = store.sink();
                    let name = format!("{round}-{publisher}");
                    let lists = run_of(&name);
                    sink.begin(&header(&name)).unwrap();
                    barrier.wait();
                    let outcome = write(&mut *sink, &lists)
                        .and_then(|()| sink.verify(&expected(&lists)))
                        .and_then(|()| sink.commit());
                    (name, outcome)
                })
            });
            started.map(|thread| thread.join().unwrap())
        });
        let winners: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        for (_, outcome) in &outcomes {
            assert!(matches!(outcome, Ok(_) | Err(PublishError::Superseded { .. })), "{outcome:?}");
        }
        assert_eq!(store.read(), shown(&run_of(&winners[0].0)));
    }
}

fn odd_ids_and_empty_lists_arrive(store: &dyn Store) {
    let odd = [
        "",
        " ",
        "\u{0}",
        "a\u{0}b",
        "'; DROP TABLE x; --",
        "\"\\/",
        "漢字🛒",
        "e\u{301}",
        "\u{feff}",
        "\n\t\r",
        "1",
        "null",
        "[]",
    ];
    let mut lists: Vec<List> =
        odd.iter().map(|id| list(ListKind::Recommendations, id, &[(id, 0.1), ("x", -0.0)])).collect();
    lists.extend(odd.iter().map(|id| list(ListKind::SimilarItems, id, &[(id, f32::MIN_POSITIVE)])));
    lists
        .extend(odd.iter().map(|id| list(ListKind::Popular, id, &[(id, f32::MAX), ("y", 1.0 / 3.0), ("z", f32::MIN)])));
    lists.push(list(ListKind::Recommendations, "nobody", &[]));
    publish(&mut *store.sink(), "odd", &lists).unwrap();
    assert_eq!(store.read(), shown(&lists));
    publish(&mut *store.sink(), "empty", &[]).unwrap();
    assert_eq!(store.read(), Snapshot::new());
}

fn duplicate_keys_and_bad_scores_are_named(store: &dyn Store) {
    let mut sink = store.sink();
    let old = run_of("old");
    publish(&mut *sink, "old", &old).unwrap();
    let twice = list(ListKind::Recommendations, "user-7", &[("x", 1.0)]);
    for split in [false, true] {
        sink.begin(&header("twice")).unwrap();
        let mut lists = run_of("twice");
        let outcome = if split {
            // The second one comes after a verification, when the key is known to the store.
            write(&mut *sink, &lists).unwrap();
            sink.verify(&expected(&lists)).unwrap();
            lists.push(twice.clone());
            write(&mut *sink, &lists[lists.len() - 1..])
        } else {
            lists.push(twice.clone());
            write(&mut *sink, &lists)
        };
        let error = outcome.and_then(|()| sink.verify(&expected(&lists))).unwrap_err();
        assert!(
            matches!(&error, PublishError::DuplicateKey { section: Section::Recommendations, key } if key == "user-7"),
            "{error}"
        );
        sink.abort().unwrap();
    }
    sink.begin(&header("scores")).unwrap();
    for score in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let lists = [
            list(ListKind::Popular, "empty", &[]),
            list(ListKind::Popular, "home", &[("fine", 1.0), ("wrong", score)]),
        ];
        let error = sink.write(&Rows::Lists(Section::Popular, &batch(&lists, ListKind::Popular))).unwrap_err();
        assert!(
            matches!(&error, PublishError::BadScore { key, item, .. } if key == "home" && item == "wrong"),
            "{error}"
        );
    }
    // Nothing of the refused batches was kept.
    sink.verify(&Expected::new()).unwrap();
    sink.abort().unwrap();
    assert_eq!(store.read(), shown(&old));
}

fn what_is_missing_or_different_is_noticed(store: &dyn Store) {
    let mut sink = store.sink();
    let lists = run_of("one");
    sink.begin(&header("one")).unwrap();
    write(&mut *sink, &lists[1..]).unwrap();
    let mismatch = |sink: &mut dyn Sink, lists: &[List]| match sink.verify(&expected(lists)) {
        Err(PublishError::Mismatch { section: Section::Recommendations, what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(mismatch(&mut *sink, &lists), "lists");
    let mut longer = lists[1..].to_vec();
    longer[0].entries.push(("more".into(), 0.0));
    assert_eq!(mismatch(&mut *sink, &longer), "entries");
    let mut other = lists[1..].to_vec();
    other[0].entries[0].1 = 0.75;
    assert_eq!(mismatch(&mut *sink, &other), "checksum");
    assert!(matches!(sink.commit(), Err(PublishError::OutOfOrder { .. })));
    write(&mut *sink, &lists[..1]).unwrap();
    sink.verify(&expected(&lists)).unwrap();
    sink.commit().unwrap();
    assert_eq!(store.read(), shown(&lists));
}

fn a_lost_connection_leaves_the_old_run_and_no_litter(store: &dyn Store) {
    let old = run_of("old");
    publish(&mut *store.sink(), "old", &old).unwrap();
    for verified in [false, true] {
        let mut sink = store.sink();
        let lists = run_of("lost");
        sink.begin(&header("lost")).unwrap();
        write(&mut *sink, &lists).unwrap();
        if verified {
            sink.verify(&expected(&lists)).unwrap();
        }
        drop(sink);
        assert_eq!(store.read(), shown(&old));
    }
    let mut sink = store.sink();
    assert!(!sink.status().unwrap().unfinished.is_empty());
    let sequence = sink.begin(&header("next")).unwrap().sequence;
    assert_eq!(sink.status().unwrap().unfinished, [sequence]);
    sink.abort().unwrap();
    publish(&mut *sink, "new", &run_of("new")).unwrap();
    assert_eq!(store.read(), shown(&run_of("new")));
}

fn old_runs_go_and_the_visible_one_stays(store: &dyn Store) {
    let mut sink = store.sink();
    let sequences = ["a", "b", "c", "d"].map(|name| publish(&mut *sink, name, &run_of(name)).unwrap());
    sink.rollback(Some(sequences[1])).unwrap();
    assert_eq!(sink.drop_old(2).unwrap(), [sequences[0]]);
    assert_eq!(store.read(), shown(&run_of("b")));
    assert_eq!(sink.drop_old(0).unwrap(), [sequences[2], sequences[3]]);
    assert_eq!(store.read(), shown(&run_of("b")));
    let status = sink.status().unwrap();
    assert_eq!((status.runs.len(), status.current, status.previous), (1, Some(sequences[1]), None));
    assert!(matches!(sink.rollback(Some(sequences[3])), Err(PublishError::NoSuchRun { .. })));
    publish(&mut *sink, "e", &run_of("e")).unwrap();
    assert_eq!(store.read(), shown(&run_of("e")));
}

/// The whole contract on stores that `new` makes, a fresh one a promise.
pub(crate) fn keeps_the_contract<S: Store + Sync>(new: impl Fn() -> S) {
    visible_only_after_commit(&new());
    steps_out_of_order_are_refused(&new());
    abort_leaves_the_old(&new());
    rollback_goes_back_and_forth(&new());
    a_run_under_way_cannot_be_rolled_to(&new());
    a_superseded_writer_changes_nothing(&new());
    a_rollback_stands_against_a_writer_that_wakes_up(&new());
    of_two_publishers_exactly_one_wins(&new());
    odd_ids_and_empty_lists_arrive(&new());
    duplicate_keys_and_bad_scores_are_named(&new());
    what_is_missing_or_different_is_noticed(&new());
    a_lost_connection_leaves_the_old_run_and_no_litter(&new());
    old_runs_go_and_the_visible_one_stays(&new());
}

struct Sqlite {
    folder: tempfile::TempDir,
}

impl Sqlite {
    fn new() -> Self {
        let store = Self { folder: tempfile::tempdir().unwrap() };
        drop(store.sink());
        store
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("nightshelf.db")
    }

    fn reader(&self) -> Connection {
        Connection::open_with_flags(self.path(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
    }
}

impl Store for Sqlite {
    fn sink(&self) -> Box<dyn Sink> {
        Box::new(SqliteSink::open(&self.path()).unwrap())
    }

    fn read(&self) -> Snapshot {
        snapshot(&self.reader())
    }
}

fn snapshot(reader: &Connection) -> Snapshot {
    let mut lists = Snapshot::new();
    for (kind, sql) in [
        (
            ListKind::Recommendations,
            "SELECT user_id, rank, item_id, score, source FROM recommendations_current ORDER BY user_id, rank",
        ),
        (
            ListKind::SimilarItems,
            "SELECT item_id, rank, similar_item_id, score, NULL FROM similar_items_current ORDER BY item_id, rank",
        ),
        (
            ListKind::Popular,
            "SELECT placement, rank, item_id, score, NULL FROM popular_current ORDER BY placement, rank",
        ),
        (
            ListKind::BoughtTogether,
            "SELECT item_id, rank, other_item_id, score, NULL FROM bought_together_current ORDER BY item_id, rank",
        ),
        (
            ListKind::Trending,
            "SELECT placement, rank, item_id, score, NULL FROM trending_current ORDER BY placement, rank",
        ),
    ] {
        let mut statement = reader.prepare(sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let (entries, source) = lists.entry((kind, row.get(0).unwrap())).or_default();
            entries.push((row.get(2).unwrap(), row.get::<_, f64>(3).unwrap() as f32));
            assert_eq!(row.get::<_, usize>(1).unwrap(), entries.len());
            *source = row.get(4).unwrap();
        }
    }
    lists
}

#[test]
fn sqlite_keeps_the_contract() {
    keeps_the_contract(Sqlite::new);
}

#[test]
fn a_lookup_uses_the_index() {
    let store = Sqlite::new();
    publish(&mut *store.sink(), "one", &run_of("one")).unwrap();
    let reader = store.reader();
    for (view, key) in
        [("recommendations_current", "user_id"), ("similar_items_current", "item_id"), ("popular_current", "placement")]
    {
        let plan: Vec<String> = reader
            .prepare(&format!("EXPLAIN QUERY PLAN SELECT * FROM {view} WHERE {key} = 'x' ORDER BY rank"))
            .unwrap()
            .query_map([], |row| row.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let plan = plan.join("\n");
        assert!(plan.contains(&format!("USING INDEX {}", view.replace("current", "1"))), "{plan}");
        assert!(!plan.contains("SCAN l"), "{plan}");
    }
}

#[test]
fn a_reader_inside_a_transaction_keeps_its_run_and_blocks_nobody() {
    let store = Sqlite::new();
    let mut sink = store.sink();
    let (old, new) = (run_of("old"), run_of("new"));
    publish(&mut *sink, "old", &old).unwrap();
    let reader = store.reader();
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(snapshot(&reader).len(), shown(&old).len());
    publish(&mut *sink, "new", &new).unwrap();
    sink.drop_old(1).unwrap();
    assert_eq!(snapshot(&reader), shown(&old));
    assert_eq!(store.read(), shown(&new));
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(snapshot(&reader), shown(&new));
}

#[test]
fn readers_during_many_flips_never_see_a_mixture() {
    let store = Sqlite::new();
    publish(&mut *store.sink(), "0", &run_of("0")).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let n_reads = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let reader = store.reader();
            // Prepared once, as a server does: a flip must not break it.
            let mut statement = reader.prepare("SELECT user_id, rank, item_id FROM recommendations_current").unwrap();
            let mut n_reads = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) || n_reads == 0 {
                let rows: Vec<(String, i64, String)> = statement
                    .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                    .unwrap()
                    .map(Result::unwrap)
                    .collect();
                assert_eq!(rows.len(), 60);
                let firsts: std::collections::BTreeSet<_> =
                    rows.iter().filter(|row| row.1 == 1).map(|row| &row.2).collect();
                assert_eq!(firsts.len(), 1, "{firsts:?}");
                n_reads += 1;
            }
            n_reads
        });
        let mut sink = store.sink();
        for flip in 1..=20 {
            let name = flip.to_string();
            publish(&mut *sink, &name, &run_of(&name)).unwrap();
            sink.drop_old(2).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        reading.join().unwrap()
    });
    assert!(n_reads > 0);
}

/// Runs in a process of its own, which is then killed.
#[test]
#[ignore = "the other half of `a_killed_publisher_leaves_the_old_run_served`"]
fn child_publishes_until_killed() {
    let Ok(path) = std::env::var("NIGHTSHELF_TEST_DATABASE") else { return };
    let mut sink = SqliteSink::open(Path::new(&path)).unwrap();
    let lists = run_of("killed");
    sink.begin(&header("killed")).unwrap();
    for round in 0.. {
        let keys: Vec<String> = (0..500).map(|n| format!("user {round} {n}")).collect();
        let mut batch = ListBatch::default();
        keys.iter().for_each(|key| batch.push(key, [("x", 1.0)], "als"));
        sink.write(&Rows::Lists(Section::Recommendations, &batch)).unwrap();
        if round == 0 {
            println!("ready");
        }
    }
    drop(lists);
}

#[test]
fn a_killed_publisher_leaves_the_old_run_served() {
    let store = Sqlite::new();
    let old = run_of("old");
    publish(&mut *store.sink(), "old", &old).unwrap();
    for pause_ms in [0, 7, 40] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sinks::child_publishes_until_killed", "--ignored", "--nocapture"])
            .env("NIGHTSHELF_TEST_DATABASE", store.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map(Result::unwrap).any(|line| line.ends_with("ready")));
        std::thread::sleep(std::time::Duration::from_millis(pause_ms));
        assert_eq!(store.read(), shown(&old));
        // While it lives its rows are left alone, and it holds nobody up.
        let mut sink = store.sink();
        let own = sink.begin(&header("meanwhile")).unwrap().sequence;
        assert_eq!(sink.status().unwrap().unfinished.len(), 2);
        sink.abort().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(store.read(), shown(&old));
        let next = sink.begin(&header("next")).unwrap().sequence;
        assert!(next > own);
        assert_eq!(sink.status().unwrap().unfinished, [next]);
        sink.abort().unwrap();
    }
    publish(&mut *store.sink(), "new", &run_of("new")).unwrap();
    assert_eq!(store.read(), shown(&run_of("new")));
    let reader = store.reader();
    let tables: i64 = reader
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name LIKE 'recommendations%'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(tables, 2);
    assert_eq!(reader.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    let left: Vec<_> =
        std::fs::read_dir(store.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".lock")), "{left:?}");
}

#[test]
fn a_database_of_the_first_schema_is_brought_up_to_date() {
    let store = Sqlite::new();
    publish(&mut *store.sink(), "old", &run_of("old")).unwrap();
    let served = store.read();
    // Back to what version 1 left: no tables and views of the kinds of list that came later.
    let connection = Connection::open(store.path()).unwrap();
    connection
        .execute_batch(
            "DROP VIEW bought_together_current; DROP VIEW trending_current;
             DROP TABLE bought_together_1; DROP TABLE trending_1; UPDATE nightshelf_schema SET version = 1",
        )
        .unwrap();
    drop(connection);
    let mut sink = SqliteSink::open(&store.path()).unwrap();
    assert_eq!(store.read(), served);
    publish(&mut sink, "new", &run_of("new")).unwrap();
    sink.rollback(None).unwrap();
    assert_eq!(store.read(), served);
}

#[test]
fn a_database_of_a_newer_program_is_refused() {
    let store = Sqlite::new();
    Connection::open(store.path()).unwrap().execute_batch("UPDATE nightshelf_schema SET version = 99").unwrap();
    assert!(matches!(SqliteSink::open(&store.path()), Err(PublishError::NewerSchema { found: 99, .. })));
    let text = store.folder.path().join("text.db");
    std::fs::write(&text, "this is no database, it only lies where one should be, and it is long enough to be read")
        .unwrap();
    let error = SqliteSink::open(&text).err().unwrap();
    assert!(matches!(&error, PublishError::Store { .. }) && error.to_string().contains("text.db"), "{error}");
}
