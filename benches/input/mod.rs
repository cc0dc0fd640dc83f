//! The input of the benches: power laws of users and items, the shape of the comparison with the peers.

use nightshelf::interactions::Csr;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

/// Draws `n_draws` cells; duplicates are summed, so there are a few fewer.
///
/// User weights are Pareto(1.5) + 1, item weights `rank^-0.8`.
pub(crate) fn power_law(n_users: usize, n_items: usize, n_draws: usize) -> Csr {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let users = cumulated((0..n_users).map(|_| (1.0 - random.random::<f64>()).powf(-1.0 / 1.5)).collect());
    let items = cumulated((1..=n_items).map(|rank| (rank as f64).powf(-0.8)).collect());
    let mut pairs: Vec<u64> = (0..n_draws)
        .map(|_| {
            let (u, i) = (random.random::<f64>(), random.random::<f64>());
            let user = users.partition_point(|&sum| sum < u).min(n_users - 1);
            let item = items.partition_point(|&sum| sum < i).min(n_items - 1);
            (user as u64) << 32 | item as u64
        })
        .collect();
    pairs.sort_unstable();
    let mut cells = Csr { indptr: vec![0; n_users + 1], n_cols: n_items, ..Csr::default() };
    for same in pairs.chunk_by(|a, b| a == b) {
        cells.indices.push(same[0] as u32);
        cells.values.push(same.len() as f32);
        cells.indptr[(same[0] >> 32) as usize + 1] += 1;
    }
    for user in 0..n_users {
        cells.indptr[user + 1] += cells.indptr[user];
    }
    cells
}

fn cumulated(weights: Vec<f64>) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    weights
        .into_iter()
        .scan(0.0, |sum, weight| {
            *sum += weight / total;
            Some(*sum)
        })
        .collect()
}
