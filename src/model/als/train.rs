//! Training: users and items in turn.

use ndarray::Array2;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use rayon::prelude::*;
use xxhash_rust::xxh64::xxh64;

use super::{
    Als,
    axes::Axes,
    config::AlsConfig,
    fixed::{Fixed, Terms},
    half_step::{Method, half_step},
};
use crate::{
    interactions::Csr,
    linalg::{Isa, padded},
    model::{ModelError, TrainEvent, cells},
};

/// Standard deviation of the first item factors, times sqrt(n_factors).
const FIRST_DEVIATION: f64 = 0.1;

/// Items whose first factors come from one random stream.
const STREAM_ITEMS: usize = 1024;

pub(super) fn train(
    isa: Isa,
    config: AlsConfig,
    weights: &Csr,
    trains: &[bool],
    on: &mut dyn FnMut(TrainEvent),
) -> Result<Als, ModelError> {
    config.check("als").map_err(ModelError::Config)?;
    cells::check(weights, trains)?;
    let users = cells::training_rows(weights, trains, config.weights);
    let items = users.transpose();
    let (n_users, n_items, n_factors) = (users.n_rows(), users.n_cols, config.n_factors);
    let width = padded(n_factors);
    let terms = Terms::of(&config);
    let method = Method::of(config.solver, config.cg_steps);

    let mut item_factors = first_factors(n_items, n_factors, width, config.seed);
    let mut user_factors = vec![0f32; n_users * width];
    for iteration in 1..=config.iterations {
        let axes = |rows: &[f32]| {
            Axes::of(isa, rows, n_factors, width, terms.all_pairs)
                .map_err(|source| ModelError::Axes { iteration, source })
        };
        let by_items = axes(&item_factors)?;
        by_items.rotate(isa, &mut item_factors);
        by_items.rotate(isa, &mut user_factors);
        let fixed = Fixed { rows: &item_factors, spectrum: &by_items.spectrum, terms };
        let loss = half_step(isa, &fixed, &users, method, &mut user_factors);
        if !loss.is_finite() {
            return Err(ModelError::Diverged { iteration });
        }

        let by_users = axes(&user_factors)?;
        by_users.rotate(isa, &mut user_factors);
        by_users.rotate(isa, &mut item_factors);
        let fixed = Fixed { rows: &user_factors, spectrum: &by_users.spectrum, terms };
        let loss = half_step(isa, &fixed, &items, method, &mut item_factors)
            + regularization(&user_factors, width, &users, &terms);
        if !loss.is_finite() {
            return Err(ModelError::Diverged { iteration });
        }
        on(TrainEvent::Iteration { iteration, iterations: config.iterations, loss: Some(loss) });
    }
    drop((user_factors, items, users));

    let mut kept = Vec::with_capacity(n_items * n_factors);
    for row in item_factors.chunks_exact(width) {
        kept.extend_from_slice(&row[..n_factors]);
    }
    drop(item_factors);
    let kept = Array2::from_shape_vec((n_items, n_factors), kept).expect("one row of factors an item");
    Als::prepared(isa, config, kept)
}

/// Uniform factors of standard deviation 0.1 / sqrt(n_factors), zero in the padding.
///
/// Determinism: stream `als.item_factors` of the seed, a stream of its own for every 1,024 items. Uniform numbers need no
/// logarithm, whose last bit differs between platforms.
fn first_factors(n_items: usize, n_factors: usize, width: usize, seed: u64) -> Vec<f32> {
    let mut factors = vec![0f32; n_items * width];
    // A uniform number from -r to r deviates by r / sqrt(3).
    let range = (FIRST_DEVIATION * (3.0 / n_factors as f64).sqrt()) as f32;
    let name = xxh64(b"als.item_factors", seed);
    factors.par_chunks_mut(STREAM_ITEMS * width).enumerate().for_each(|(stream, rows)| {
        let mut random = ChaCha8Rng::seed_from_u64(name);
        random.set_stream(stream as u64);
        for row in rows.chunks_exact_mut(width) {
            for factor in &mut row[..n_factors] {
                *factor = (random.random::<f32>() * 2.0 - 1.0) * range;
            }
        }
    });
    factors
}

/// The regularization of the side whose factors are `rows`, from its cells.
pub(super) fn regularization(rows: &[f32], width: usize, cells: &Csr, terms: &Terms) -> f64 {
    const BLOCK: usize = 1024;
    let blocks: Vec<f64> = rows
        .par_chunks(BLOCK * width)
        .enumerate()
        .map(|(block, rows)| {
            let mut sum = 0f64;
            for (row, factors) in (block * BLOCK..).zip(rows.chunks_exact(width)) {
                let n_cells = cells.indptr[row + 1] - cells.indptr[row];
                let squares = factors.iter().fold(0f64, |sum, &x| sum + f64::from(x) * f64::from(x));
                sum += f64::from(terms.regularization(n_cells, cells.n_cols)) * squares;
            }
            sum
        })
        .collect();
    blocks.iter().sum()
}
