//! Question: how long from Parquet files to the matrix that models train on?
//!
//! Corpus: `nightshelf synth` with string ids, made once under the target directory: 2 million events of 100,000 users and 10,000
//! items; `NIGHTSHELF_BENCH_EVENTS=20000000` makes the size of docs/benchmarks.md (users a twentieth, items a two-hundredth).
//! Excluded: making the corpus. Included: footers, decoding with page checksums, numbering of ids, rejecting, weights with decay,
//! duplicates by event id, bots, profiles, minimum of users per item; everything of a build up to training, except the files that
//! it writes of users and pairs.
//! Command: `cargo bench --bench ingest`
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench that unwraps fails with the place")]

use std::{hint::black_box, path::PathBuf};

use criterion::{Criterion, Throughput};
use nightshelf::{
    config::Config,
    events::{ScanInput, scan},
    interactions::{Aggregation, Decay, Interactions, Stamp, assemble},
    pipeline::{aggregate_buckets, number_items},
    storage::Storage,
    synth,
};

fn corpus(n_events: u64) -> PathBuf {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("ingest-{n_events}"));
    if !out.join("synth.json").exists() {
        let shop = synth::Config {
            events: n_events,
            users: (n_events / 20) as u32,
            items: (n_events / 200) as u32,
            ..synth::Config::default()
        };
        synth::generate(&shop, &out, &|_| {}).unwrap();
    }
    out.join("events")
}

fn ingest(config: &Config) -> Interactions {
    let kinds = config.kinds().unwrap();
    let input = ScanInput {
        storage: &Storage::default(),
        events: &config.events,
        orders: &config.orders,
        kinds: &kinds,
        n_buckets: config.interactions.n_buckets,
        now: Stamp(u32::MAX),
        bucket: None,
    };
    let (shards, scan) = scan(&input, &|_| {}).unwrap().split();
    let (items, places) = number_items(&shards);
    let decay = Decay::new();
    let ctx = Aggregation {
        kinds: &kinds,
        config: &config.interactions,
        as_of: scan.as_of,
        since: scan.since,
        decay: &decay,
        trend: None,
        sessions_by_id: false,
    };
    let (cells, _) = aggregate_buckets(shards, &places, &ctx, false, &|_, _| Ok::<(), ()>(())).unwrap();
    assemble(cells, &items, &config.interactions).0
}

fn main() {
    let n_events = std::env::var("NIGHTSHELF_BENCH_EVENTS").map_or(2_000_000, |n| n.parse().unwrap());
    let mut config = Config::default();
    config.events.paths = vec![corpus(n_events).display().to_string()];
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group("ingest");
    group.throughput(Throughput::Elements(n_events));
    for n_threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        group.bench_function(format!("{n_events} events, {n_threads} threads"), |bench| {
            bench.iter(|| black_box(pool.install(|| ingest(&config))));
        });
    }
    group.finish();
    criterion.final_summary();
}
