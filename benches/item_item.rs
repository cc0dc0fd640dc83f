//! Question: how long does `item_item` take to find neighbours, and to make the lists of users from them?
//!
//! Corpus: 1.9 million cells of 100,000 users and 20,000 items, drawn from power laws (`input::power_law`); 350
//! neighbours, `rp3beta` normalised and `cosine` as it is (what implicit's `CosineRecommender(K=350)` and irspack's
//! `CosineKNNRecommender(top_k=350)` compute).
//! Excluded: drawing the corpus; compiling rules and popular lists.
//! Read: "elements" are cells for training and users for the rest. "score" writes all scores of 1,000 users and chooses
//! nothing; "recommend" makes everybody's top 50, seen items filtered, by looking at no more than what is not zero.
//! Command: `cargo bench --bench item_item` (all threads but for "score"; `RAYON_NUM_THREADS=1` for one).

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

mod input;

use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use nightshelf::{
    ids::IdTable,
    interactions::{Csr, History},
    model::{ItemItem, ItemItemConfig, Model, SimilarityKind},
    recommendations::{Catalog, PopularLists, RecommendConfig, Recommender, Rules, Scorer},
};

/// Users that are scored against all items.
const SCORED_USERS: usize = 1000;

/// Length of the lists.
const K: usize = 50;

fn item_item(criterion: &mut Criterion) {
    let cells = input::power_law(100_000, 20_000, 2_000_000);
    let trains = vec![true; cells.n_rows()];
    let rp3beta = ItemItemConfig::default();
    let cosine = ItemItemConfig { kind: SimilarityKind::Cosine, normalise: false, ..ItemItemConfig::default() };
    let train = |config: &ItemItemConfig| ItemItem::train(config.clone(), &cells, &trains, &mut |_| ()).unwrap();

    let mut group = criterion.benchmark_group("item_item");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(1));
    group.throughput(Throughput::Elements(cells.n_cells() as u64));
    group.bench_function("train, rp3beta", |bencher| bencher.iter(|| train(&rp3beta)));
    group.bench_function("train, cosine", |bencher| bencher.iter(|| train(&cosine)));

    let model = train(&rp3beta);
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

    let names: Vec<String> = (0..model.n_items()).map(|item| format!("{item:05}")).collect();
    let items: IdTable = names.iter().map(String::as_str).collect();
    let rules = Rules::compile(&RecommendConfig::default(), &Catalog::absent(items.len()), &items).unwrap().0;
    let popular = PopularLists::new(&cells, &rules, &IdTable::new()).unwrap();
    let seen = Csr { values: Vec::new(), ..cells.clone() };
    let scorer = Scorer { model: &model, name: "item_item", min_score: Some(0.0), serves_empty_histories: false };
    let recommender = Recommender::new(scorer, &rules, &popular, &[], K).unwrap();
    group.throughput(Throughput::Elements(cells.n_rows() as u64));
    group.bench_function("recommend, 100,000 users x 20,000 items, top 50", |bencher| {
        bencher.iter(|| recommender.recommend_rows(&cells, &seen, 0..cells.n_rows()).unwrap().items.len());
    });
    group.finish();
}

criterion_group!(benches, item_item);
criterion_main!(benches);
