//! Question: what does exact selection cost per score, compared with producing the score?
//!
//! Corpus: standard normal factors, 64 of them, 100,000 items, 512 users, one history item each; seed 7. Tiles of
//! 64 users x 1,024 items (256 KiB of scores, so that they stay in the L2 cache). k = 50 and 200.
//! Excluded: solving the users' factors (they are looked up), reading, writing. One thread.
//! Command: `cargo bench --bench select`. A time divided by the elements shown is the cost per score.
//!
//! - `scan/warm`: the threshold scan alone, no score beats the threshold
//! - `scan/from nothing`: the scan of whole lists from an empty buffer, scores in memory
//! - `produce`: the matrix product alone, tile by tile
//! - `recommend/*`: product, masks, boosts, scan, caps, fallbacks, flat result: less `produce`, the price of selection

use std::{hint::black_box, ops::Range, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use nightshelf::{
    ids::{IdTable, ItemIdx},
    interactions::{Csr, History},
    model::{Explanation, ItemSimilarity, Model, TileShape, UserBlock},
    recommendations::{Boost, Catalog, PopularLists, RecommendConfig, Recommender, Rules, Scorer, TopK},
};
use rand::{SeedableRng, rngs::ChaCha8Rng};
use rand_distr::{Distribution, StandardNormal};

const N_FACTORS: usize = 64;
const N_ITEMS: usize = 100_000;
const N_USERS: usize = 512;
const TILE: TileShape = TileShape { n_users: 64, n_items: 1024 };

/// User factors looked up by the history's first item, scores by a matrix product.
struct Factors {
    users: Vec<f32>,
    items: Vec<f32>,
}

struct Block<'a> {
    users: Vec<f32>,
    items: &'a [f32],
}

impl Model for Factors {
    fn n_items(&self) -> usize {
        N_ITEMS
    }

    fn tile(&self) -> TileShape {
        TILE
    }

    fn prepare<'a>(&'a self, histories: &[History<'a>]) -> Box<dyn UserBlock + 'a> {
        let rows = histories.iter().map(|history| history.items[0] as usize * N_FACTORS);
        let users = rows.flat_map(|row| self.users[row..row + N_FACTORS].iter().copied()).collect();
        Box::new(Block { users, items: &self.items })
    }

    fn similarity(&self) -> Option<&dyn ItemSimilarity> {
        None
    }

    fn explain(&self, _: History<'_>, _: ItemIdx) -> Explanation {
        Explanation::default()
    }
}

impl UserBlock for Block<'_> {
    fn n_users(&self) -> usize {
        self.users.len() / N_FACTORS
    }

    fn score(&mut self, items: Range<usize>, scores: &mut [f32]) {
        let (m, n, k) = (self.n_users(), items.len(), N_FACTORS);
        assert_eq!(scores.len(), m * n);
        let right = &self.items[items.start * k..items.end * k];
        // SAFETY: the three matrices have the shapes m x n, m x k and n x k (read transposed), row-major.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                scores.as_mut_ptr(),
                1,
                n as isize,
                false,
                self.users.as_ptr(),
                1,
                k as isize,
                right.as_ptr(),
                k as isize,
                1,
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
}

fn normal(n: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    StandardNormal.sample_iter(rng).take(n).collect()
}

fn scan(c: &mut Criterion) {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut group = c.benchmark_group("scan");
    let tile = normal(TILE.n_users * TILE.n_items, &mut rng);
    group.throughput(Throughput::Elements(tile.len() as u64));
    group.bench_function("warm", |b| {
        let mut top = TopK::new(50, Some(8.0));
        b.iter(|| tile.chunks(TILE.n_items).for_each(|row| top.scan(0, black_box(row), |_| true)));
    });
    let lists = normal(16 * N_ITEMS, &mut rng);
    group.throughput(Throughput::Elements(lists.len() as u64));
    for k in [50, 200] {
        group.bench_with_input(BenchmarkId::new("from nothing", k), &k, |b, &k| {
            let mut top = TopK::default();
            b.iter(|| {
                for list in lists.chunks(N_ITEMS) {
                    top.restart(k, None);
                    let tiles = list.chunks(TILE.n_items).enumerate();
                    tiles.for_each(|(at, tile)| top.scan((at * TILE.n_items) as u32, tile, |_| true));
                    black_box(top.finish().len());
                }
            });
        });
    }
    group.finish();
}

fn recommend(c: &mut Criterion) {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let model = Factors { users: normal(N_USERS * N_FACTORS, &mut rng), items: normal(N_ITEMS * N_FACTORS, &mut rng) };
    let histories = Csr {
        indptr: (0..=N_USERS).collect(),
        indices: (0..N_USERS as u32).collect(),
        values: vec![1.0; N_USERS],
        n_cols: N_ITEMS,
        ..Csr::default()
    };
    let excluded = Csr { values: Vec::new(), ..histories.clone() };
    let ids: Vec<String> = (0..N_ITEMS).map(|item| format!("{item:06}")).collect();
    let items: IdTable = ids.iter().map(String::as_str).collect();
    let names: Vec<String> = (0..100).map(|category| format!("{category:03}")).collect();
    let catalog = Catalog {
        categories: (0..N_ITEMS as u32).map(|item| Some(item % 100)).collect(),
        category_names: names.iter().map(String::as_str).collect(),
        ..Catalog::absent(N_ITEMS)
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread can be had");

    let mut group = c.benchmark_group("recommend");
    group.throughput(Throughput::Elements((N_USERS * N_ITEMS) as u64)).sample_size(10);
    group.measurement_time(Duration::from_secs(4));
    group.bench_function("produce", |b| {
        let mut tile = vec![0f32; TILE.n_users * TILE.n_items];
        b.iter(|| {
            for users in (0..N_USERS).step_by(TILE.n_users) {
                let some: Vec<History<'_>> = (users..users + TILE.n_users).map(|user| histories.row(user)).collect();
                let mut block = model.prepare(&some);
                for start in (0..N_ITEMS).step_by(TILE.n_items) {
                    let end = (start + TILE.n_items).min(N_ITEMS);
                    block.score(start..end, &mut tile[..TILE.n_users * (end - start)]);
                    black_box(&tile);
                }
            }
        });
    });
    let boost = Boost { category: Some("007".into()), factor: 1.5, ..Boost::default() };
    let plain = RecommendConfig::default();
    for (name, config) in [
        ("k 50", plain.clone()),
        ("k 200", RecommendConfig { k: 200, ..plain.clone() }),
        ("k 50, max 3 per category", RecommendConfig { max_per_category: Some(3), ..plain.clone() }),
        ("k 50, a boost", RecommendConfig { boosts: vec![boost], ..plain.clone() }),
    ] {
        let (rules, _) = Rules::compile(&config, &catalog, &items).expect("the catalogue fits");
        let popular = PopularLists::new(&histories, &rules, &catalog.category_names).expect("the weights fit");
        let scorer = Scorer { model: &model, name: "factors", min_score: None, serves_empty_histories: false };
        let recommender =
            Recommender::new(scorer, &rules, &popular, &config.fallbacks, config.k).expect("the parts fit");
        group.bench_function(name, |b| {
            b.iter(|| {
                pool.install(|| recommender.recommend_rows(&histories, &excluded, 0..N_USERS)).expect("the rows fit")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, scan, recommend);
criterion_main!(benches);
