//! D1 and D2: SIGKILL at random moments and at every failpoint, with readers all the while.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    alone,
    bench::{Bench, Writer, users},
    readers::{Readers, Verdict},
    results::Results,
    sized,
};
use crate::support::{
    dynamo::{TABLE, Visible, seed},
    random::Random,
};

/// Every failpoint of a publish to DynamoDB.
const FAILPOINTS: [&str; 0] = [];

/// Rows that may be written again after a kill, beyond the checkpoint.
const MAY_BE_RESENT: u64 = 1_600;

/// A server lives for so many kills: rows of old runs stay until their time is up, and would only slow the judge down.
const KILLS_A_SERVER: usize = 5;

/// Where a publisher is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// When it has sent this share of a publish's requests.
    Requests(f64),
    /// After this share of a publish's time.
    Time(f64),
    /// At a failpoint.
    Failpoint(&'static str),
}

#[test]
fn d1_d2_a_kill_at_any_moment_loses_nothing_and_readers_see_whole_runs() {
    let _turn = alone();
    let seed = seed("d1", 0xD1);
    let mut random = Random::new(seed);
    let mut bench = Bench::new("");
    let n_users = sized(20_000, 200_000);
    let runs = ["a", "b"];
    let mut expected: Vec<Visible> = Vec::new();
    for (edition, run) in (1..).zip(runs) {
        bench.build(run, &users(n_users, edition), edition);
        expected.push(bench.expected(run));
    }
    let keys: Vec<String> = expected[0].keys().cloned().collect();
    let n_random = sized(20, 200);
    let mut moments: Vec<Moment> = (0..n_random)
        .map(|kill| if kill % 2 == 0 { Moment::Requests(random.unit()) } else { Moment::Time(random.unit()) })
        .collect();
    moments.extend(FAILPOINTS.map(Moment::Failpoint));

    let (mut d1, mut d2, mut verdict) = (Results::of("D1"), Results::of("D2"), Verdict::default());
    for moments in moments.chunks(KILLS_A_SERVER) {
        bench.new_server();
        let start = (bench.server.n_requests(), Instant::now());
        bench.publish(runs[0]).ok();
        let whole = (bench.server.n_requests() - start.0, start.1.elapsed());
        let readers = Readers::start(&bench.server.asker(), 16, keys.clone(), random.word());
        let mut committed = BTreeMap::from([(bench.server.pointer(TABLE).unwrap().current, &expected[0])]);
        for (&moment, publish) in moments.iter().zip(1..) {
            let run = publish % 2;
            let before = bench.server.pointer(TABLE).unwrap();
            bench.server.take_seen();
            let lived = kill_at(&bench, runs[run], moment, whole, &mut random);
            let when = format!("seed {seed}, {moment:?} of the publish of {}", runs[run]);
            let after = bench.server.pointer(TABLE).unwrap();
            let was_committed = after != before;
            if was_committed {
                assert_eq!(after.epoch, before.epoch + 1, "{when}");
                committed.insert(after.current, &expected[run]);
                d1.add("killed after the commit", 1);
            } else {
                bench.assert_served(&expected[1 - run], &format!("{when}: killed"));
            }
            bench.publish(runs[run]).ok();
            let last = bench.server.pointer(TABLE).unwrap();
            assert_eq!(last.epoch, after.epoch + 1, "{when}: the pointer moves once");
            committed.insert(last.current, &expected[run]);
            bench.assert_served(&expected[run], &format!("{when}: published again"));
            let written = bench.server.take_seen().items_written;
            if lived && !was_committed {
                let resent = written.saturating_sub(expected[run].len() as u64);
                assert!(resent <= MAY_BE_RESENT, "{when}: {resent} rows were sent again");
                d1.most("most rows sent again after a kill", resent);
                d1.ran();
                d2.ran();
            }
        }
        verdict.add(&readers.judge(&committed, &[]));
    }
    assert!(verdict.is_clean(), "seed {seed}: {verdict:?}");
    d1.figure("rows", expected[0].len());
    d1.finish(n_random * 3 / 5 + FAILPOINTS.len());
    d2.figure("pages", verdict.n_pages);
    d2.figure("reads", verdict.n_reads);
    d2.finish(n_random * 3 / 5 + FAILPOINTS.len());
}

/// Starts a publish and kills it. Returns: whether it lived until then.
fn kill_at(bench: &Bench, run: &str, moment: Moment, whole: (u64, Duration), random: &mut Random) -> bool {
    let start = (bench.server.n_requests(), Instant::now());
    match moment {
        Moment::Requests(share) => {
            let writer = bench.start(run, &[]);
            let until = start.0 + (share * whole.0 as f64) as u64;
            wait(writer, Duration::from_micros(random.below(2_000)), || bench.server.n_requests() >= until)
        }
        Moment::Time(share) => {
            let writer = bench.start(run, &[]);
            let until = start.1 + whole.1.mul_f64(share);
            wait(writer, Duration::ZERO, || Instant::now() >= until)
        }
        Moment::Failpoint(name) => {
            let failpoints = format!("{name}=sleep(600000)");
            let writer = bench.start(run, &[("FAILPOINTS", failpoints.as_str())]);
            // It is there when it has gone quiet.
            let mut last = (start.0, Instant::now());
            wait(writer, Duration::ZERO, || {
                let now = bench.server.n_requests();
                if now != last.0 {
                    last = (now, Instant::now());
                }
                now > start.0 && last.1.elapsed() > Duration::from_millis(400)
            })
        }
    }
}

fn wait(mut writer: Writer, more: Duration, mut is_time: impl FnMut() -> bool) -> bool {
    while !is_time() {
        if !writer.lives() {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    std::thread::sleep(more);
    writer.kill()
}
