//! Question: how long does `item_item` take to find neighbours, and to score users?
//!
//! Corpus: 1.9 million cells of 100,000 users and 20,000 items, drawn from power laws (`input::power_law`); rp3beta with 350
//! neighbours.
//! Excluded: drawing the corpus; from scoring, choosing the best items.
//! Read: "elements" are cells for training and users for scoring.
//! Command: `cargo bench --bench item_item` (all threads; scoring always uses one).

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

mod input;

use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use nightshelf::{
    interactions::History,
    model::{ItemItem, ItemItemConfig, Model},
};

/// Users that are scored against all items.
const SCORED_USERS: usize = 1000;

fn item_item(criterion: &mut Criterion) {
    let cells = input::power_law(100_000, 20_000, 2_000_000);
    let trains = vec![true; cells.n_rows()];
    let train = || ItemItem::train(ItemItemConfig::default(), &cells, &trains, &mut |_| ()).unwrap();

    let mut group = criterion.benchmark_group("item_item");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(1));
    group.throughput(Throughput::Elements(cells.n_cells() as u64));
    group.bench_function("train", |bencher| bencher.iter(train));

    let model = train();
    let tile = model.tile();
    group.throughput(Throughput::Elements(SCORED_USERS as u64));
    group.bench_function("score, 1,000 users x 20,000 items", |bencher| {
        let histories: Vec<History<'_>> = (0..SCORED_USERS).map(|user| cells.row(user)).collect();
        let mut scores = vec![0f32; tile.n_users * model.n_items()];
        bencher.iter(|| {
            for block in histories.chunks(tile.n_users) {
                model.prepare(block).score(0..model.n_items(), &mut scores[..block.len() * model.n_items()]);
            }
            scores[0]
        });
    });
    group.finish();
}

criterion_group!(benches, item_item);
criterion_main!(benches);
