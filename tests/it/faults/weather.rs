//! D3 to D6: requests that fail, items left unprocessed, answers lost, everything down, a rate to keep.

use std::time::{Duration, Instant};

use super::{
    alone,
    bench::{Bench, Users, users},
    results::Results,
    sized,
};
use crate::support::{
    dynamo::{Chances, DEAD, Fault, Plan, TABLE, UNPROCESSED, seed},
    random::Random,
};

/// A publish that gives up must do it within this time.
const BOUNDED: Duration = Duration::from_secs(120);

#[test]
fn d3_a_third_of_everything_fails_and_nothing_is_lost() {
    let _turn = alone();
    let seed = seed("d3", 0xD3);
    let mut bench = Bench::new("");
    let mut results = Results::of("D3");
    bench.build("a", &users(sized(5_000, 200_000), 1), 1);
    let expected = bench.expected("a");

    let start = Instant::now();
    let (code, calm_peak) = bench.start("a", &[]).wait_and_weigh();
    let calm_seconds = start.elapsed().as_secs_f64();
    assert_eq!(code, Some(0));
    bench.new_server();
    const FAILING: f64 = 0.3;
    bench.server.go_wrong(Plan { seed, chances: Chances::failing(FAILING, 0.3), ..Plan::default() });
    let start = Instant::now();
    let (code, peak) = bench.start("a", &[]).wait_and_weigh();
    let seconds = start.elapsed().as_secs_f64();
    bench.server.recover();
    let seen = bench.server.take_seen();
    assert_eq!(code, Some(0), "seed {seed}: {}", bench.log("a"));
    bench.assert_served(&expected, &format!("seed {seed}"));

    let batches = expected.len() as f64 / 25.0;
    let requests = seen.requests_of("BatchWriteItem") as f64;
    // An item gets through when its request is answered and it is processed.
    let ideal = batches / ((1.0 - FAILING) * 0.7);
    let more_memory = peak.saturating_sub(calm_peak);
    for name in
        ["throttled", "500 before applying", "500 after applying", "reset after applying", "truncated", UNPROCESSED]
    {
        assert!(seen.injected_of(name) > 0, "seed {seed}: no {name} in {:?}", seen.injected);
    }
    results.figure("rows", expected.len());
    results.figure("faults", seen.n_injected());
    results.figure("requests / ideal", round(requests / ideal));
    results.figure("requests / (rows / 25)", round(requests / batches));
    let (mean, unlucky) = seen.attempts(12);
    results.figure("attempts an item", round(mean));
    results.figure("items with more than 12, %", format!("{:.3}", unlucky * 100.0));
    results.figure("most", seen.most_attempts());
    results.figure("more memory than without faults, MB", round(more_memory as f64 / 1e6));
    results.figure("seconds", round(seconds));
    results.figure("seconds without faults", round(calm_seconds));
    results.ran();
    assert!(requests <= 2.0 * ideal, "seed {seed}: {requests} requests, {ideal:.0} would do");
    // By chance 0.51^12 = 0.03 % of the items fail twelve times, whatever a publisher does.
    assert!(unlucky <= 0.001, "seed {seed}: {unlucky} of the items were sent more than 12 times");
    assert!(more_memory <= 64 << 20, "seed {seed}: {more_memory} bytes more");
    assert!(seen.largest_batch <= 25);
    results.finish(1);
}

#[test]
fn d4_when_everything_fails_it_stops_and_resumes() {
    let _turn = alone();
    let seed = seed("d4", 0xD4);
    let mut random = Random::new(seed);
    // Small ones give up sooner, so that the case ends sooner.
    let patience = ["[publish.dynamodb.retry]\nmax_attempts = 6\ncap_ms = 400", ""];
    let mut bench = Bench::new(patience[sized(0, 1)]);
    let mut results = Results::of("D4");
    let n_users = super::n_users(2_500, 200_000);
    for (edition, run) in (1..).zip(["a", "b"]) {
        bench.build(run, &users(n_users, edition), edition);
    }
    let expected = [bench.expected("a"), bench.expected("b")];
    let start = bench.server.n_requests();
    bench.publish("a").ok();
    let whole = bench.server.n_requests() - start;
    let n_cases = sized(6, 40);
    for case in 0..n_cases {
        let run = 1 - case % 2;
        let name = ["a", "b"][run];
        bench.tidy(case, Some(["a", "b"][1 - run]));
        let before = bench.server.pointer(TABLE).unwrap();
        // Somewhere within the first 90 % of its requests; at the first request of all in one case.
        let share = if case == 0 { 0.0 } else { (case as f64 - random.unit()) / n_cases as f64 * 0.9 };
        let dead_from = bench.server.n_requests() + (share * whole as f64) as u64;
        bench.server.go_wrong(Plan { seed, dead_from: Some(dead_from), ..Plan::default() });
        let start = Instant::now();
        let (code, said) = bench.start(name, &[]).wait(BOUNDED);
        let seconds = start.elapsed().as_secs();
        let when = format!("seed {seed}, everything fails from {:.0} % on", share * 100.0);
        assert_ne!(bench.server.take_seen().injected_of(DEAD), 0, "{when}");
        bench.server.recover();
        let written = bench.server.table(TABLE).n_rows_of(before.current + 1);
        // Nothing was written yet: then there is nothing to resume, and it is a plain failure.
        let wanted = if case == 0 { 1 } else { 4 };
        assert_eq!(code, Some(wanted), "{when}, {written} rows written: {said}");
        assert_eq!(bench.server.pointer(TABLE).unwrap(), before, "{when}: the pointer stays");
        bench.assert_served(&expected[1 - run], &when);
        bench.server.take_seen();
        bench.publish(name).ok();
        bench.assert_served(&expected[run], &format!("{when}: published again"));
        let again = bench.server.take_seen().items_written;
        let resent = (again + written as u64).saturating_sub(expected[run].len() as u64);
        assert!(resent <= 1_600, "{when}: {resent} rows were sent again");
        results.most("seconds until it gave up", seconds);
        results.most("most rows sent again", resent);
        results.ran();
    }
    results.figure("rows", expected[0].len());
    results.finish(n_cases);
}

#[test]
fn d5_what_was_applied_but_failed_is_judged_right() {
    let _turn = alone();
    let seed = seed("d5", 0xD5);
    let mut random = Random::new(seed);
    let patience = ["[publish.dynamodb.retry]\ncap_ms = 400", ""];
    let mut bench = Bench::new(patience[sized(0, 1)]);
    let mut results = Results::of("D5");
    let few: Users = users(sized(200, 5_000), 1);
    let many: Users = users(few.len(), 2);
    for (edition, (run, users)) in (1..).zip([("a", &few), ("b", &many)]) {
        bench.build(run, users, edition);
    }
    let expected = [bench.expected("a"), bench.expected("b")];
    bench.publish("a").ok();
    let n_cases = sized(20, 200);
    let answers = [Fault::FailedAfter, Fault::ResetAfter, Fault::Truncated, Fault::FailedBefore, Fault::Throttled];
    for case in 0..n_cases {
        let run = 1 - case % 2;
        bench.tidy(case, Some(["a", "b"][1 - run]));
        let before = bench.server.pointer(TABLE).unwrap();
        // The pointer's update itself meets a fault of every kind, once to three times; in some cases for ever.
        let fault = answers[case % answers.len()].clone();
        let mut left = if case % 7 == 6 { u64::MAX } else { 1 + random.below(3) };
        let hits = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counted = std::sync::Arc::clone(&hits);
        bench.server.go_wrong(Plan {
            seed: random.word(),
            chances: Chances::applied_but_failed(0.1),
            rule: Some(Box::new(move |call| {
                if !call.moves_pointer() || left == 0 {
                    return None;
                }
                left -= 1;
                counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                Some(fault.clone())
            })),
            ..Plan::default()
        });
        let name = ["a", "b"][run];
        let (code, said) = bench.start(name, &[]).wait(BOUNDED);
        bench.server.recover();
        let hits = hits.load(std::sync::atomic::Ordering::SeqCst);
        let when =
            format!("seed {seed}, case {case}, {:?} for the pointer {hits} times", answers[case % answers.len()]);
        assert_ne!(hits, 0, "{when}: the pointer's update met no fault: {said}");
        let after = bench.server.pointer(TABLE).unwrap();
        let moved = after != before;
        assert_eq!(code == Some(0), moved, "{when}: exit {code:?}, moved {moved}: {said}");
        assert!(moved || code == Some(4), "{when}: exit {code:?}: {said}");
        let served = if moved { run } else { 1 - run };
        bench.assert_served(&expected[served], &when);
        results.add(if moved { "committed" } else { "not committed" }, 1);
        results.add("faults", bench.server.take_seen().n_injected());
        results.ran();
        if !moved {
            bench.publish(name).ok();
            bench.assert_served(&expected[run], &format!("{when}: published again"));
        }
    }
    results.figure("wrong verdicts", 0);
    results.finish(n_cases);
}

#[test]
fn d6_the_rate_is_kept() {
    let _turn = alone();
    let rate = sized(500, 2_000);
    let mut bench = Bench::new(&format!("max_write_units = {rate}"));
    let mut results = Results::of("D6");
    bench.build("a", &users(rate * sized(8, 100), 1), 1);
    // The server counts what arrives; requests that other work holds up arrive bunched, which says nothing of the publisher.
    let mut tries = 0;
    let (most, mean) = loop {
        bench.publish("a").ok();
        let (most, mean) = bench.server.take_seen().rate();
        bench.assert_served(&bench.expected("a"), "at a capped rate");
        tries += 1;
        if tries == 3 || (most <= 1.05 * rate as f64 && mean >= 0.9 * rate as f64) {
            break (most, mean);
        }
        bench.new_server();
    };
    results.figure("cap, write units a second", rate);
    results.figure("tries", tries);
    results.figure("most in a second, % of the cap", round(most / rate as f64 * 100.0));
    results.figure("mean, % of the cap", round(mean / rate as f64 * 100.0));
    results.ran();
    assert!(most <= 1.05 * rate as f64, "{most} in one second, {rate} allowed");
    assert!(mean >= 0.9 * rate as f64, "{mean} on average, {rate} allowed");
    results.finish(1);
}

fn round(value: f64) -> String {
    format!("{value:.2}")
}
