//! S1 to S4 of the reliability promises, in the size of a test suite: sessions ended mid-load, lost answers to COMMIT,
//! readers during flips, readers that hold transactions open. Each test counts its cases, and fails when there were
//! fewer than it promises.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use nightshelf::publish::{MySqlConfig, MySqlSink, PostgresConfig, PostgresSink, PublishError, RunSequence, Sink};

use crate::{
    sinks::{Data, Store, expected, header, mariadb::MariaDb, postgres::Postgres, publish, run_of, shown, write},
    support::{
        proxy::{Cut, Proxy},
        random::Random,
        servers::{PASSWORD, is_skipped, mariadb, postgres},
        sql::{self, Speaks},
    },
};

const SEED: u64 = 20_261_123;

/// Times that a session is ended mid-load.
const N_ENDED: usize = 20;

/// Times that a COMMIT gets no answer, each way.
const N_LOST: usize = 10;

/// Moves of the pointer under readers, and those who read.
const N_FLIPS: usize = 100;
const N_READERS: usize = 4;

/// Publishes in small pieces, and calls `interrupt` after so many of them.
fn publish_in_pieces(
    sink: &mut dyn Sink,
    data: &Data,
    interrupt_at: usize,
    interrupt: &mut dyn FnMut(),
) -> Result<RunSequence, PublishError> {
    let sequence = sink.begin(&header("pieces"))?.sequence;
    for (at, piece) in data.pieces().iter().enumerate() {
        if at == interrupt_at {
            interrupt();
        }
        write(sink, piece)?;
    }
    sink.verify(&expected(&*sink, data))?;
    sink.commit()?;
    Ok(sequence)
}

/// S1: whatever is loaded when a session ends is never seen, a rerun works, and nothing of it is left.
fn sessions_ended_mid_load<S: Store>(
    store: &S,
    end_sessions: &mut dyn FnMut(),
    what_is_left: &mut dyn FnMut() -> BTreeSet<i64>,
) {
    let mut random = Random::new(SEED);
    let mut served = run_of("before");
    publish(&mut *store.sink(), "before", &served).unwrap();
    let mut n_cases = 0;
    for case in 0..N_ENDED {
        let data = run_of(&format!("case {case}"));
        let mut sink = store.sink();
        let at = random.below(data.pieces().len() as u64) as usize;
        let pause = std::time::Duration::from_micros(random.below(2_000));
        let outcome = publish_in_pieces(&mut *sink, &data, at, &mut || {
            std::thread::sleep(pause);
            end_sessions();
        });
        assert!(matches!(outcome, Err(PublishError::Store { .. })), "seed {SEED} case {case}: {outcome:?}");
        assert_eq!(store.read(), shown(&served));
        // Half of the publishers clean up, the others die.
        if case % 2 == 0 {
            sink.abort().unwrap();
        }
        drop(sink);
        assert_eq!(store.read(), shown(&served));
        if case % 5 == 4 {
            let sequence = publish(&mut *store.sink(), "again", &data).unwrap();
            assert_eq!(store.read(), shown(&data));
            served = data;
            store.sink().drop_old(1).unwrap();
            assert_eq!(what_is_left(), BTreeSet::from([sequence.0]), "seed {SEED} case {case}");
        }
        n_cases += 1;
    }
    assert_eq!(n_cases, N_ENDED);
}

#[test]
fn s1_postgres_sessions_ended_mid_load() {
    if is_skipped("postgres") {
        return;
    }
    let mut store = Postgres::new();
    let mut admin = store.reader();
    // A user of its own, by which its sessions are told from those of other tests.
    let user = format!("{}_user", store.config.schema);
    admin.run(&format!("CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{PASSWORD}'"));
    store.config.user.clone_from(&user);
    let schema = store.config.schema.clone();
    let mut other = sql::postgres(&PostgresConfig { user: "nightshelf".into(), ..store.config.clone() });
    let mut end_sessions = || {
        let ended =
            admin.rows(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{user}'"));
        assert!(!ended.is_empty());
    };
    let mut what_is_left = || {
        let rows = other.rows(&format!(
            "SELECT substring(c.relname FROM '_([0-9]+)$') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = '{schema}' AND c.relkind = 'r' AND c.relname ~ '_[0-9]+$'"
        ));
        rows.into_iter().map(|mut row| row.remove(0).unwrap().parse().unwrap()).collect()
    };
    sessions_ended_mid_load(&store, &mut end_sessions, &mut what_is_left);
}

#[test]
fn s1_mariadb_sessions_ended_mid_load() {
    if is_skipped("mariadb") {
        return;
    }
    let mut store = MariaDb::new();
    let mut admin = store.reader();
    let user = format!("{}_user", store.config.database);
    admin.run(&format!("CREATE USER {user}@'%' IDENTIFIED BY '{PASSWORD}'"));
    admin.run(&format!("GRANT ALL ON {}.* TO {user}@'%'", store.config.database));
    let mut other = store.reader();
    store.config.user.clone_from(&user);
    let mut end_sessions = || {
        let sessions = admin.rows(&format!("SELECT id FROM information_schema.processlist WHERE user = '{user}'"));
        assert!(!sessions.is_empty());
        for session in sessions {
            admin.run(&format!("KILL {}", session[0].clone().unwrap()));
        }
    };
    let mut what_is_left = || {
        let tables =
            ["recommendations", "similar_items", "popular", "campaign_members", "campaign_runs", "publish_runs"];
        let rows = tables.iter().flat_map(|table| other.rows(&format!("SELECT DISTINCT sequence FROM {table}")));
        rows.map(|mut row| row.remove(0).unwrap().parse().unwrap()).collect()
    };
    sessions_ended_mid_load(&store, &mut end_sessions, &mut what_is_left);
}

/// S2: the ledger decides, whichever way the connection breaks.
fn lost_answers(store: &dyn Store, proxy: &Proxy, sink: &mut dyn Sink, commit: &[u8]) {
    let mut n_cases = 0;
    for round in 0..N_LOST {
        for cut in [Cut::Before, Cut::After] {
            let data = run_of(&format!("{round} {cut:?}"));
            let before = sink.status().unwrap();
            let sequence = sink.begin(&header("lost")).unwrap().sequence;
            write(sink, &data).unwrap();
            sink.verify(&expected(&*sink, &data)).unwrap();
            proxy.arm(commit, cut);
            let committed = sink.commit().unwrap();
            assert!(!proxy.is_armed(), "the connection was not cut");
            assert_eq!((committed.sequence, committed.previous), (sequence, before.current));
            let after = sink.status().unwrap();
            assert_eq!((after.current, after.previous), (Some(sequence), before.current), "{cut:?}");
            assert_eq!(after.epoch, before.epoch + 1, "{cut:?}: committed once");
            assert_eq!(after.unfinished, []);
            assert_eq!(store.read(), shown(&data), "{cut:?}");
            sink.drop_old(2).unwrap();
            n_cases += 1;
        }
    }
    assert_eq!(n_cases, 2 * N_LOST);
}

#[test]
fn s2_postgres_answers_to_commit_lost() {
    if is_skipped("postgres") {
        return;
    }
    let store = Postgres::new();
    let proxy = Proxy::start(postgres().port);
    let config = PostgresConfig { host: "127.0.0.1".into(), port: proxy.port, ..store.config.clone() };
    let mut sink = PostgresSink::open(&config).unwrap();
    lost_answers(&store, &proxy, &mut sink, b"Q\0\0\0\x0bCOMMIT\0");
}

#[test]
fn s2_mariadb_answers_to_commit_lost() {
    if is_skipped("mariadb") {
        return;
    }
    let store = MariaDb::new();
    let proxy = Proxy::start(mariadb().port);
    let config = MySqlConfig { host: "127.0.0.1".into(), port: proxy.port, ..store.config.clone() };
    let mut sink = MySqlSink::open(&config).unwrap();
    lost_answers(&store, &proxy, &mut sink, b"\x07\0\0\0\x03COMMIT");
}

/// One statement over two sections: how many rows, and of which runs. The data are those of `run_of`.
const WHOLE_RUN: &str = "SELECT r.n, r.low, r.high, c.n, c.low, c.high FROM
     (SELECT count(*) AS n, min(item_id) AS low, max(item_id) AS high FROM recommendations_current WHERE rank = 1) AS r,
     (SELECT count(*) AS n, min(reason) AS low, max(reason) AS high FROM campaign_members_current) AS c";

/// Whether a row of [`WHOLE_RUN`] is of one run, all of it.
fn is_whole(row: &[Option<String>]) -> bool {
    let text = |at: usize| row[at].as_deref().unwrap_or_default();
    text(0) == "30"
        && text(3) == "20"
        && text(1) == text(2)
        && text(4) == text(5)
        && text(1).starts_with("item of")
        && text(4).contains(text(1))
}

/// How a reader reads.
#[derive(Debug, Clone, Copy)]
enum Habit {
    /// A statement at a time.
    Single,
    /// The same, prepared once.
    Prepared,
    /// Several statements a transaction.
    InTransactions,
}

/// S3: readers during flips meet no error, nothing missing and no mixture.
fn readers_during_flips<C: Speaks>(store: &(impl Store + Sync), reader: &(impl Fn() -> C + Sync)) {
    publish(&mut *store.sink(), "0", &run_of("0")).unwrap();
    let done = AtomicBool::new(false);
    let (n_reads, n_started) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let n_flips = std::thread::scope(|scope| {
        let habits = [Habit::Single, Habit::Prepared, Habit::InTransactions, Habit::Single];
        assert_eq!(habits.len(), N_READERS);
        for habit in habits {
            let (done, n_reads, n_started) = (&done, &n_reads, &n_started);
            scope.spawn(move || {
                let mut reader = reader();
                let sql = match habit {
                    Habit::Prepared => {
                        reader.prepare("whole_run", WHOLE_RUN);
                        "EXECUTE whole_run"
                    }
                    _ => WHOLE_RUN,
                };
                n_started.fetch_add(1, SeqCst);
                let mut n = 0;
                while !done.load(SeqCst) {
                    if matches!(habit, Habit::InTransactions) {
                        reader.run(if n % 4 == 0 { "COMMIT" } else { "SELECT 1" });
                        reader.run(if n % 4 == 0 { "BEGIN" } else { "SELECT 1" });
                    }
                    let rows = reader.rows(sql);
                    assert!(rows.len() == 1 && is_whole(&rows[0]), "{habit:?}: {rows:?}");
                    n += 1;
                    n_reads.fetch_add(1, SeqCst);
                }
            });
        }
        // Readers that fail end the scope with their message, so this must end, too.
        let flipping = std::panic::AssertUnwindSafe(|| {
            while n_started.load(SeqCst) < N_READERS {
                std::thread::yield_now();
            }
            let mut sink = store.sink();
            let mut n_flips = 0;
            while n_flips < N_FLIPS {
                // A new run, then back and forth between the kept ones.
                let newest = publish(&mut *sink, "next", &run_of(&n_flips.to_string())).unwrap();
                sink.drop_old(3).unwrap();
                n_flips += 1;
                for flip in 0..4.min(N_FLIPS - n_flips) {
                    sink.rollback(if flip % 2 == 0 { None } else { Some(newest) }).unwrap();
                    n_flips += 1;
                }
            }
            n_flips
        });
        let outcome = std::panic::catch_unwind(flipping);
        done.store(true, SeqCst);
        outcome.unwrap()
    });
    assert_eq!(n_flips, N_FLIPS);
    assert!(n_reads.load(SeqCst) > N_FLIPS, "{} reads only", n_reads.load(SeqCst));
}

#[test]
fn s3_postgres_readers_during_flips() {
    if !is_skipped("postgres") {
        let store = Postgres::new();
        let config = store.config.clone();
        readers_during_flips(&store, &|| sql::postgres(&config));
    }
}

#[test]
fn s3_mariadb_readers_during_flips() {
    if !is_skipped("mariadb") {
        let store = MariaDb::new();
        let config = store.config.clone();
        readers_during_flips(&store, &|| sql::mysql(&config));
    }
}

/// S4: while a reader holds a transaction open, flips and removals make no other reader wait. `patient_for` makes a
/// session fail that waits for a lock too long, so the machine's own slowness does not count.
fn readers_beside_an_open_transaction<C: Speaks>(
    store: &(impl Store + Sync),
    reader: &(impl Fn() -> C + Sync),
    patience: &str,
) {
    let mut sink = store.sink();
    publish(&mut *sink, "0", &run_of("0")).unwrap();
    publish(&mut *sink, "1", &run_of("1")).unwrap();
    let mut holder = reader();
    holder.run("BEGIN");
    assert!(is_whole(&holder.rows(WHOLE_RUN)[0]));
    let done = AtomicBool::new(false);
    let n_reads = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (done, n_reads) = (&done, &n_reads);
            scope.spawn(move || {
                while !done.load(SeqCst) {
                    // New sessions, too: they begin without locks.
                    let mut reader = reader();
                    reader.run(patience);
                    for _ in 0..20 {
                        let rows = reader.rows(WHOLE_RUN);
                        assert!(is_whole(&rows[0]), "{rows:?}");
                        n_reads.fetch_add(1, SeqCst);
                    }
                }
            });
        }
        let flipping = std::panic::AssertUnwindSafe(|| {
            for flip in 2..5 {
                publish(&mut *sink, "next", &run_of(&flip.to_string())).unwrap();
                sink.drop_old(1).unwrap();
                assert!(is_whole(&holder.rows(WHOLE_RUN)[0]));
            }
        });
        let outcome = std::panic::catch_unwind(flipping);
        done.store(true, SeqCst);
        outcome.unwrap();
    });
    assert!(n_reads.load(SeqCst) >= 40, "{} reads only", n_reads.load(SeqCst));
    holder.run("COMMIT");
    assert_eq!(store.read(), shown(&run_of("4")));
}

#[test]
fn s4_postgres_readers_beside_an_open_transaction() {
    if !is_skipped("postgres") {
        let store = Postgres::new();
        let config = store.config.clone();
        readers_beside_an_open_transaction(&store, &|| sql::postgres(&config), "SET lock_timeout = '100ms'");
    }
}

#[test]
fn s4_mariadb_readers_beside_an_open_transaction() {
    if !is_skipped("mariadb") {
        let store = MariaDb::new();
        let config = store.config.clone();
        // No wait at all, for rows or tables.
        let patience = "SET SESSION lock_wait_timeout = 0, innodb_lock_wait_timeout = 0";
        readers_beside_an_open_transaction(&store, &|| sql::mysql(&config), patience);
    }
}
