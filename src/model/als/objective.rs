//! The loss, computed from both sides' factors; training reports the same number as a by-product.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::{config::AlsConfig, fixed::Terms, train::regularization};
use crate::{
    interactions::Csr,
    linalg::{Isa, gramian, padded},
    model::cells,
};

/// Rows whose loss is summed by one thread.
const BLOCK_ROWS: usize = 1024;

/// The loss that [`Als`](super::Als) minimises, for any factors (another library's, too).
///
/// Shapes: `user_factors` has a row for every row of `weights` that trains, in order; `item_factors` one for every
/// column.
/// Formula: that of [`Als`](super::Als); the sum over all pairs is `sum of (X^T X) * (Y^T Y)`, elementwise.
/// Determinism: f64 sums over blocks of 1,024 rows, in order.
/// Cost: one dot product a cell and two Gramians.
///
/// # Panics
/// When the shapes do not fit.
#[must_use]
pub fn objective(
    config: &AlsConfig,
    weights: &Csr,
    trains: &[bool],
    user_factors: ArrayView2<'_, f32>,
    item_factors: ArrayView2<'_, f32>,
) -> f64 {
    let cells = cells::training_rows(weights, trains, config.weights);
    assert_eq!(cells.n_rows(), user_factors.nrows(), "one row of factors for each training user");
    assert_eq!(cells.n_cols, item_factors.nrows(), "one row of factors for each item");
    assert_eq!(user_factors.ncols(), item_factors.ncols(), "both sides have the same factors");
    let terms = Terms::of(config);
    let width = padded(item_factors.ncols());
    let (users, items) = (padded_rows(user_factors, width), padded_rows(item_factors, width));

    let starts: Vec<usize> = (0..cells.n_rows()).step_by(BLOCK_ROWS).collect();
    let blocks: Vec<f64> = starts
        .par_iter()
        .map(|&start| {
            let mut sum = 0f64;
            for user in start..cells.n_rows().min(start + BLOCK_ROWS) {
                let x = &users[user * width..(user + 1) * width];
                let row = cells.row(user);
                for (&item, &cell) in row.items.iter().zip(row.weights) {
                    let y = &items[item as usize * width..][..width];
                    let score = x.iter().zip(y).fold(0f64, |sum, (&x, &y)| sum + f64::from(x) * f64::from(y));
                    let (weight, pull) = (f64::from(terms.weight(cell)), f64::from(terms.pull(cell)));
                    sum += pull + score * (weight * score - 2.0 * pull);
                }
            }
            sum
        })
        .collect();
    let isa = Isa::best();
    let (by_users, by_items) = (gramian(isa, &users, width), gramian(isa, &items, width));
    let all_pairs = by_users.iter().zip(&by_items).fold(0f64, |sum, (u, i)| sum + u * i);
    blocks.iter().sum::<f64>()
        + f64::from(terms.all_pairs) * all_pairs
        + regularization(&users, width, &cells, &terms)
        + regularization(&items, width, &cells.transpose(), &terms)
}

fn padded_rows(factors: ArrayView2<'_, f32>, width: usize) -> Vec<f32> {
    let mut rows = vec![0f32; factors.nrows() * width];
    for (row, factors) in rows.chunks_exact_mut(width).zip(factors.rows()) {
        for (place, &factor) in row.iter_mut().zip(factors) {
            *place = factor;
        }
    }
    rows
}
