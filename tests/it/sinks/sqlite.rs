//! The contract on SQLite, and what only a file promises.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nightshelf::{
    publish::{PublishError, Rows, Section, Sink, SqliteSink},
    recommendations::{ListBatch, ListKind},
};
use rusqlite::{Connection, OpenFlags, types::ValueRef};

use super::{Snapshot, Store, header, keeps_the_contract, publish, run_of, shown};

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
    Snapshot::of(|sql| {
        let mut statement = reader.prepare(sql).unwrap();
        let n_columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            (0..n_columns)
                .map(|at| {
                    Ok(match row.get_ref(at)? {
                        ValueRef::Null => None,
                        ValueRef::Integer(number) => Some(number.to_string()),
                        ValueRef::Real(number) => Some(number.to_string()),
                        ValueRef::Text(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
                        ValueRef::Blob(_) => panic!("no column holds bytes"),
                    })
                })
                .collect()
        });
        rows.unwrap().map(Result::unwrap).collect()
    })
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
    assert_eq!(snapshot(&reader), shown(&old));
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
            .args(["--exact", "sinks::sqlite::child_publishes_until_killed", "--ignored", "--nocapture"])
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
    let mut old = run_of("old");
    old.members.clear();
    old.lists
        .retain(|list| matches!(list.kind, ListKind::Recommendations | ListKind::SimilarItems | ListKind::Popular));
    publish(&mut *store.sink(), "old", &old).unwrap();
    let served = store.read();
    // Back to what version 1 left: no tables and views of the sections that came later.
    let connection = Connection::open(store.path()).unwrap();
    connection
        .execute_batch(
            "DROP VIEW bought_together_current; DROP VIEW trending_current;
             DROP VIEW campaign_runs_current; DROP VIEW campaign_members_current;
             DROP TABLE bought_together_1; DROP TABLE trending_1; DROP TABLE campaign_runs_1;
             DROP TABLE campaign_members_1; UPDATE nightshelf_schema SET version = 1",
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
