//! Question: how many campaign rows a second does each SQL store take, key and check included?
//!
//! Corpus: members of one campaign with 16-byte user ids, a short reason, `{}` as variables, and as many items as asked for.
//! Excluded: reading them from Parquet. The server and its settings are yours; a build's numbers come out of
//! `cargo bench`, not of a test build.
//!
//! ```text
//! cargo bench --bench publish_sql -- CONFIG.toml postgres|mysql|sqlite [ROWS] [ITEMS]
//! ```

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and fails by panicking")]

use std::time::Instant;

use nightshelf::{
    config::{Overrides, load},
    pipeline::open_store,
    publish::{Expected, Rows, RunHeader, Section, Tally, Target},
    recommendations::{Arm, ListRow, MemberBatch, MemberRow},
};

/// Members handed over at once, as the reader of run directories does.
const BATCH: usize = 4_096;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [config, store, rest @ ..] = arguments.as_slice() else {
        println!("skipped: needs CONFIG.toml and a store");
        return;
    };
    let number = |at: usize, default: usize| rest.get(at).map_or(default, |text| text.parse().unwrap());
    let (n_rows, n_items) = (number(0, 1_000_000), number(1, 0));
    let target = match store.as_str() {
        "postgres" => Target::Postgres,
        "mysql" => Target::Mysql,
        _ => Target::Sqlite,
    };
    let config = load(Some(config.as_ref()), &Overrides::default()).unwrap().config;
    tracing_subscriber::fmt().with_env_filter("nightshelf=debug").with_writer(std::io::stderr).init();
    let mut store = open_store(target, &config.publish).unwrap();
    let sink = store.sink.as_mut();

    let items: Vec<String> = (0..n_items).map(|n| format!("item-{n:06}")).collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    let scores: Vec<f32> = (0..n_items).map(|n| 1.0 / (n + 1) as f32).collect();
    let users: Vec<String> = (0..n_rows).map(|n| format!("user-{n:011}")).collect();
    let batches: Vec<MemberBatch<'_>> = users
        .chunks(BATCH)
        .enumerate()
        .map(|(chunk, users)| {
            let mut batch = MemberBatch { campaign: "bench", ..Default::default() };
            for (at, user) in users.iter().enumerate() {
                let rank = u32::try_from(chunk * BATCH + at + 1).unwrap();
                batch.push(&MemberRow {
                    list: ListRow { key: user, items: &items, scores: &scores, source: "" },
                    rank,
                    score: 1.0 / rank as f32,
                    arm: if rank.is_multiple_of(10) { Arm::Holdout } else { Arm::Send },
                    reason: "no order for 60 days",
                    variables: "{}",
                });
            }
            batch
        })
        .collect();

    for round in 0..3 {
        let header = RunHeader { run: format!("bench {round}"), content_sha256: String::new(), at_hand: Vec::new() };
        sink.begin(&header).unwrap();
        let start = Instant::now();
        let mut tally = Tally::default();
        for batch in &batches {
            tally.merge(&sink.write(&Rows::Members(batch)).unwrap());
        }
        let written = start.elapsed();
        sink.verify(&Expected::from([(Section::Campaigns, tally)])).unwrap();
        sink.commit().unwrap();
        let committed = start.elapsed();
        sink.drop_old(1).unwrap();
        let rate = |seconds: f64| n_rows as f64 / seconds;
        println!(
            "{} round {round}: {n_rows} rows x {n_items} items: handed over at {:.0} rows/s; with key, check and commit {:.0} rows/s; removing the old run {:.2} s",
            target.name(),
            rate(written.as_secs_f64()),
            rate(committed.as_secs_f64()),
            (start.elapsed() - committed).as_secs_f64()
        );
    }
}
