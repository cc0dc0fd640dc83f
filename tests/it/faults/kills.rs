//! D1 and D2: SIGKILL at random moments and at every failpoint, with readers all the while.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
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
const FAILPOINTS: [&str; 7] = [
    "dynamodb-after-draw",
    "dynamodb-after-begin",
    "dynamodb-before-checkpoint",
    "dynamodb-after-checkpoint",
    "dynamodb-before-verify",
    "dynamodb-before-commit",
    "dynamodb-after-commit",
];

/// Rows that may be written again after a kill, beyond the checkpoint.
const MAY_BE_RESENT: u64 = 1_600;

/// A server lives for so many publishes: rows of old runs stay until their time is up, and would only slow the judge down.
const PUBLISHES_A_SERVER: usize = 4;

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

/// Two runs that differ in every row, on one server after another.
struct Ground {
    seed: u64,
    random: Random,
    bench: Bench,
    expected: [Visible; 2],
    d1: Results,
    d2: Results,
    verdict: Verdict,
}

const RUNS: [&str; 2] = ["a", "b"];

#[test]
fn d1_d2_a_kill_at_any_moment_loses_nothing_and_readers_see_whole_runs() {
    let _turn = alone();
    let seed = seed("d1", 0xD1);
    let mut random = Random::new(seed);
    let n_random = sized(20, 200);
    // Small ones are killed several times in one publish.
    let kills_a_publish = sized(4, 1);
    let mut moments: Vec<Vec<Moment>> = Vec::new();
    for kill in 0..n_random {
        if kill % kills_a_publish == 0 {
            moments.push(Vec::new());
        }
        let share = random.unit() / kills_a_publish as f64;
        let moment = if kill % 2 == 0 { Moment::Requests(share) } else { Moment::Time(share) };
        moments.last_mut().unwrap().push(moment);
    }
    // A program built without failpoints passes them by.
    let failpoints: &[&str] = if cfg!(feature = "failpoints") { &FAILPOINTS } else { &[] };
    moments.extend(failpoints.iter().map(|failpoint| vec![Moment::Failpoint(failpoint)]));

    let mut bench = Bench::new("");
    let n_users = super::n_users(2_500, 200_000);
    for (edition, run) in (1..).zip(RUNS) {
        bench.build(run, &users(n_users, edition), edition);
    }
    let expected = RUNS.map(|run| bench.expected(run));
    let (d1, d2, verdict) = (Results::of("D1"), Results::of("D2"), Verdict::default());
    let mut ground = Ground { seed, random, bench, expected, d1, d2, verdict };
    for moments in moments.chunks(PUBLISHES_A_SERVER) {
        ground.on_a_server(moments);
    }
    let Ground { expected, mut d1, mut d2, verdict, .. } = ground;
    assert!(verdict.is_clean(), "seed {seed}: {verdict:?}");
    // Some moments come after the end.
    let n_expected = n_random * 3 / 5 + failpoints.len();
    d1.figure("rows", expected[0].len());
    d1.finish(n_expected);
    d2.figure("pages", verdict.n_pages);
    d2.figure("reads", verdict.n_reads);
    d2.finish(n_expected);
}

impl Ground {
    /// A new server, the first run, then a publish for each list of moments, with readers all the while.
    fn on_a_server(&mut self, publishes: &[Vec<Moment>]) {
        self.bench.new_server();
        let start = (self.bench.server.n_requests(), Instant::now());
        self.bench.publish(RUNS[0]).ok();
        let whole = (self.bench.server.n_requests() - start.0, start.1.elapsed());
        let keys = self.expected[0].keys().cloned().collect();
        let readers = Readers::start(&self.bench.server.asker(), 16, keys, self.random.word());
        let first = self.bench.server.pointer(TABLE).unwrap().current;
        let mut committed = BTreeMap::from([(first, 0)]);
        for (moments, n_before) in publishes.iter().zip(0..) {
            let run = 1 - n_before % 2;
            self.publish(run, moments, whole, &mut committed);
        }
        let committed = committed.into_iter().map(|(sequence, run)| (sequence, &self.expected[run])).collect();
        self.verdict.add(&readers.judge(&committed, &[]));
    }

    /// Publishes a run, killed at each of the moments.
    fn publish(
        &mut self,
        run: usize,
        moments: &[Moment],
        whole: (u64, Duration),
        committed: &mut BTreeMap<i64, usize>,
    ) {
        let Self { bench, random, d1, d2, .. } = self;
        let before = bench.server.pointer(TABLE).unwrap();
        let mut when = format!("seed {}, publish of {}", self.seed, RUNS[run]);
        for &moment in moments {
            bench.server.take_seen();
            let lived = kill_at(bench, RUNS[run], moment, whole, random);
            when = format!("{when}, killed ({lived}) at {moment:?}");
            let after = bench.server.pointer(TABLE).unwrap();
            if lived {
                let written = bench.server.items_written() as i64;
                let sequence = bench.server.last_sequence(TABLE);
                let acknowledged = bench.server.checkpoint(TABLE, sequence);
                let beyond = (bench.server.table(TABLE).n_rows_of(sequence) as i64 - acknowledged).max(0) as u64;
                assert!(beyond <= MAY_BE_RESENT, "{when}: {beyond} rows beyond the checkpoint, {written} written");
                d1.most("most rows beyond the checkpoint", beyond);
                d1.ran();
                d2.ran();
            }
            if after != before {
                assert_eq!(after.epoch, before.epoch + 1, "{when}");
                if lived {
                    d1.add("kills after the commit", 1);
                }
                break;
            }
        }
        let sequence = bench.server.last_sequence(TABLE);
        bench.publish(RUNS[run]).ok();
        let after = bench.server.pointer(TABLE).unwrap();
        committed.insert(after.current, run);
        assert_eq!(after.epoch, before.epoch + 1, "{when}: the pointer moves once");
        bench.assert_served(&self.expected[run], &format!("{when}: published again"));
        if after.current == sequence {
            d1.add("publishes resumed or found committed", 1);
        }
    }
}

#[test]
fn every_failpoint_is_listed() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/publish/dynamodb");
    let mut found = BTreeSet::new();
    for file in std::fs::read_dir(source).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        found.extend(text.split("fail_point!(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    assert_eq!(found, FAILPOINTS.map(str::to_owned).into());
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
            // Of those that are passed many times, not the first one.
            let skipped = if name.ends_with("checkpoint") { "2*off->" } else { "" };
            let failpoints = format!("{name}={skipped}sleep(600000)");
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
