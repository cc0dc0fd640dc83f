//! Question: what does a cell cost in a half-sweep of `als`, how many multiply-adds a second does scoring do, and what does
//! an exact list of 50 cost a user when items are screened?
//!
//! Corpus: 9.6 million cells of 500,000 users and 100,000 items, drawn from power laws (`input::power_law`); 64 factors,
//! confidence weighting, 3 steps of conjugate gradients.
//! Excluded: drawing the corpus, transposing it, the first iteration (whose user factors start at zero), preparing the
//! finished model; from scoring, folding the users in and choosing the best items.
//! Read: time divided by "elements" is ns per cell and half-sweep, and per user-item-factor multiply-add.
//! "lists" is everything from histories to lists of 50 without what users have; its "elements" are users.
//! Command: `cargo bench --bench als` (all threads; `RAYON_NUM_THREADS=1` for one; scoring always uses one).

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

mod input;

use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use nightshelf::{
    ids::IdTable,
    interactions::{Csr, History},
    model::{Als, AlsConfig, Model, Weighting},
    recommendations::{Catalog, PopularLists, RecommendConfig, Recommender, Rules, Scorer},
};

/// Users that are scored against all items.
const SCORED_USERS: usize = 960;

/// Users that get lists.
const LISTED_USERS: usize = 9_600;

fn als(criterion: &mut Criterion) {
    let cells = input::power_law(500_000, 100_000, 10_000_000);
    let trains = vec![true; cells.n_rows()];
    let config = AlsConfig {
        weighting: Weighting::Confidence,
        alpha: 10.0,
        regularization: 0.05,
        iterations: 2,
        ..AlsConfig::default()
    };

    let mut group = criterion.benchmark_group("als");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(1));
    group.throughput(Throughput::Elements(2 * cells.n_cells() as u64));
    group.bench_function("train, an iteration", |bencher| {
        bencher.iter_custom(|n_times| {
            let mut total = Duration::ZERO;
            for _ in 0..n_times {
                let mut at = Vec::new();
                Als::train(config.clone(), &cells, &trains, &mut |_| at.push(Instant::now())).unwrap();
                total += at[1] - at[0];
            }
            total
        });
    });

    let model = Als::train(config.clone(), &cells, &trains, &mut |_| ()).unwrap();
    let tile = model.tile();
    group.throughput(Throughput::Elements((SCORED_USERS * model.n_items() * config.n_factors) as u64));
    group.bench_function("score, 960 users x 100,000 items", |bencher| {
        let histories: Vec<History<'_>> = (0..SCORED_USERS).map(|user| cells.row(user)).collect();
        let mut scores = vec![0f32; tile.n_users * tile.n_items];
        let mut blocks: Vec<_> = histories.chunks(tile.n_users).map(|block| model.prepare(block)).collect();
        bencher.iter(|| {
            for block in &mut blocks {
                for start in (0..model.n_items()).step_by(tile.n_items) {
                    let end = model.n_items().min(start + tile.n_items);
                    block.score(start..end, &mut scores[..tile.n_users * (end - start)]);
                }
            }
            scores[0]
        });
    });
    group.throughput(Throughput::Elements(SCORED_USERS as u64));
    group.bench_function("fold in, 960 users", |bencher| {
        let histories: Vec<History<'_>> = (0..SCORED_USERS).map(|user| cells.row(user)).collect();
        bencher.iter(|| histories.chunks(tile.n_users).map(|block| model.prepare(block).n_users()).sum::<usize>());
    });

    let ids: Vec<String> = (0..model.n_items()).map(|item| format!("{item:06}")).collect();
    let items: IdTable = ids.iter().map(String::as_str).collect();
    let catalog = Catalog::absent(model.n_items());
    let (rules, _) = Rules::compile(&RecommendConfig::default(), &catalog, &items).unwrap();
    let popular = PopularLists::new(&cells, &rules, &catalog.category_names).unwrap();
    let scorer = Scorer { model: &model, name: "als", min_score: None, serves_empty_histories: false };
    let recommender = Recommender::new(scorer, &rules, &popular, &[], 50).unwrap();
    let excluded = Csr { values: Vec::new(), ..cells.clone() };
    group.throughput(Throughput::Elements(LISTED_USERS as u64));
    group.bench_function("lists, 9,600 users x 100,000 items", |bencher| {
        bencher.iter(|| recommender.recommend_rows(&cells, &excluded, 0..LISTED_USERS).unwrap().items.len());
    });
    group.finish();
}

criterion_group!(benches, als);
criterion_main!(benches);
