//! D7, D8 and D10: writers that sleep, race, or are overruled.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use super::{
    alone,
    bench::{Bench, Signal, Writer, users},
    results::Results,
    sized,
};
use crate::support::{
    dynamo::{Call, Fault, Plan, TABLE, seed},
    random::Random,
};

const SOON: Duration = Duration::from_secs(120);

/// Waits until the publisher has got so far.
#[track_caller]
fn wait_for(writer: &mut Writer, what: &str, mut reached: impl FnMut() -> bool) {
    let start = Instant::now();
    while !reached() {
        assert!(writer.lives(), "it ended before {what}: {}", writer.said());
        assert!(start.elapsed() < SOON, "no {what}: {}", writer.said());
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn d7_a_writer_that_slept_changes_nothing() {
    let _turn = alone();
    let seed = seed("d7", 0xD7);
    let mut random = Random::new(seed);
    let mut bench = Bench::new("");
    let mut results = Results::of("D7");
    let n_users = super::n_users(1_500, 200_000);
    for (edition, run) in (1..).zip(["late", "new-0", "new-1"]) {
        bench.build(run, &users(n_users, edition), edition);
    }
    let news = ["new-0", "new-1"];
    let expected = news.map(|run| bench.expected(run));
    bench.publish(news[1]).ok();
    let n_cases = sized(4, 20);
    for case in 0..n_cases {
        let new = &expected[case % 2];
        bench.tidy(case, Some(news[(case + 1) % 2]));
        bench.server.take_seen();
        // While it writes, at different points; in the last case when its update of the pointer is on the way.
        let permits = Arc::new(Semaphore::new(0));
        let in_commit = case + 1 == n_cases;
        let arrived = Arc::new(AtomicU64::new(0));
        if in_commit {
            let (permits, arrived) = (Arc::clone(&permits), Arc::clone(&arrived));
            let rule = move |call: &Call<'_>| {
                (call.moves_pointer() && arrived.fetch_add(1, SeqCst) == 0).then(|| Fault::Held(Arc::clone(&permits)))
            };
            bench.server.go_wrong(Plan { rule: Some(Box::new(rule)), ..Plan::default() });
        }
        let share = (case as f64 + random.unit()) / n_cases as f64;
        let until = (share * n_users as f64) as u64;
        let mut late = bench.start("late", &[]);
        wait_for(&mut late, "the moment to sleep", || {
            if in_commit { arrived.load(SeqCst) > 0 } else { bench.server.items_written() >= until }
        });
        late.signal(Signal::Stop);
        bench.publish(news[case % 2]).ok();
        let before = bench.server.pointer(TABLE).unwrap();
        let when = format!("seed {seed}, asleep at {:.0} % (commit: {in_commit})", share * 100.0);
        bench.assert_served(new, &when);
        late.signal(Signal::Continue);
        permits.add_permits(1_000);
        let (code, said) = late.wait(SOON);
        bench.server.recover();
        assert_eq!(code, Some(5), "{when}: {said}");
        assert_eq!(bench.server.pointer(TABLE).unwrap(), before, "{when}");
        bench.assert_served(new, &format!("{when}: awake"));
        results.ran();
    }
    results.figure("rows", expected[0].len());
    results.figure("visible rows changed", 0);
    results.finish(n_cases);
}

#[test]
fn d8_of_two_publishers_exactly_one_commits() {
    let _turn = alone();
    let seed = seed("d8", 0xD8);
    let mut bench = Bench::new("");
    let mut results = Results::of("D8");
    let n_users = sized(100, 2_000);
    let names = ["a", "b", "c"];
    for (edition, run) in (1..).zip(names) {
        bench.build(run, &users(n_users, edition), edition);
    }
    let expected = names.map(|name| bench.expected(name));
    let n_cases = sized(20, 100);
    let mut served = 2;
    for case in 0..n_cases {
        bench.tidy(case, None);
        // The two runs that readers do not see yet.
        let rivals = [(served + 1) % 3, (served + 2) % 3];
        let before = bench.server.pointer(TABLE).map_or(0, |pointer| pointer.epoch);
        let drawn = bench.server.last_sequence(TABLE);
        // Nobody writes a row before both have begun.
        let permits = Arc::new(Semaphore::new(0));
        let rule = {
            let permits = Arc::clone(&permits);
            move |call: &Call<'_>| (call.operation == "BatchWriteItem").then(|| Fault::Held(Arc::clone(&permits)))
        };
        bench.server.go_wrong(Plan { rule: Some(Box::new(rule)), ..Plan::default() });
        let writers = rivals.map(|run| bench.start(names[run], &[]));
        let start = Instant::now();
        while bench.server.last_sequence(TABLE) < drawn + 2 {
            assert!(start.elapsed() < SOON, "seed {seed}, case {case}: they did not begin");
            std::thread::sleep(Duration::from_millis(1));
        }
        bench.server.recover();
        permits.add_permits(1_000_000);
        let ends = writers.map(|writer| writer.wait(SOON));
        let when = format!("seed {seed}, case {case}");
        let mut codes: Vec<_> = ends.iter().map(|(code, _)| *code).collect();
        codes.sort();
        assert_eq!(codes, [Some(0), Some(5)], "{when}: {ends:?}");
        assert_eq!(bench.server.pointer(TABLE).unwrap().epoch, before + 1, "{when}");
        let winner = ends.iter().position(|(code, _)| *code == Some(0)).unwrap();
        served = rivals[winner];
        bench.assert_served(&expected[served], &when);
        results.add(["first started won", "second started won"][winner], 1);
        results.ran();
    }
    results.finish(n_cases);
}

#[test]
fn d10_a_rollback_stands_when_an_older_writer_wakes_up() {
    let _turn = alone();
    let seed = seed("d10", 0xD10);
    let mut random = Random::new(seed);
    let mut bench = Bench::new("");
    let mut results = Results::of("D10");
    let n_users = super::n_users(800, 50_000);
    for (edition, run) in (1..).zip(["a", "b", "late"]) {
        bench.build(run, &users(n_users, edition), edition);
    }
    let expected = [bench.expected("a"), bench.expected("b")];
    let n_cases = sized(3, 20);
    for case in 0..n_cases {
        bench.new_server();
        bench.publish("a").ok();
        bench.publish("b").ok();
        bench.server.take_seen();
        let until = random.below(n_users as u64);
        let mut late = bench.start("late", &[]);
        wait_for(&mut late, "the moment to sleep", || bench.server.items_written() >= until);
        late.signal(Signal::Stop);
        let before = bench.server.pointer(TABLE).unwrap();
        bench.nightshelf(&["publish", "rollback"]).ok();
        let back = bench.server.pointer(TABLE).unwrap();
        let when = format!("seed {seed}, case {case}");
        assert_eq!((back.current, back.epoch), (before.previous.unwrap(), before.epoch + 1), "{when}");
        bench.assert_served(&expected[0], &when);
        late.signal(Signal::Continue);
        let (code, said) = late.wait(SOON);
        assert_eq!(code, Some(5), "{when}: {said}");
        assert_eq!(bench.server.pointer(TABLE).unwrap(), back, "{when}");
        bench.assert_served(&expected[0], &format!("{when}: awake"));
        results.ran();
    }
    results.figure("rows", expected[0].len());
    results.finish(n_cases);
}
