//! The normalised matrix and its linear filter.

use rayon::prelude::*;

use crate::{interactions::Csr, model::sparse_items::keep_largest};

/// Items that a thread takes at once.
const CHUNK_ITEMS: usize = 16;

/// Replaces what cells count by `x / (sum of the user's^user_exponent * sum of the item's^item_exponent)`; returns the sums by
/// item.
pub(super) fn normalise(users: &mut Csr, user_exponent: f32, item_exponent: f32) -> Vec<f32> {
    let mut totals = vec![0f64; users.n_cols];
    for (&item, &value) in users.indices.iter().zip(&users.values) {
        totals[item as usize] += f64::from(value);
    }
    let by: Vec<f64> = totals.iter().map(|total| power(*total, item_exponent)).collect();
    for user in 0..users.n_rows() {
        let cells = users.indptr[user]..users.indptr[user + 1];
        let own = users.values[cells.clone()].iter().fold(0f64, |sum, &value| sum + f64::from(value));
        let own = power(own, user_exponent);
        for at in cells {
            users.values[at] = (f64::from(users.values[at]) / (own * by[users.indices[at] as usize])) as f32;
        }
    }
    totals.into_iter().map(|total| total as f32).collect()
}

/// A sum to an exponent; the usual one without the system's `pow`, which differs from one C library to the next.
pub(super) fn power(sum: f64, exponent: f32) -> f64 {
    if exponent == 0.5 { sum.sqrt() } else { sum.powf(f64::from(exponent)) }
}

/// `R^T R` with each element times `by` of its column over `by` of its row, the `neighbours` largest of each row.
///
/// Determinism: each element sums its users in ascending order, on one thread.
pub(super) fn linear(users: &Csr, items: &Csr, by: &[f32], neighbours: usize) -> Csr {
    let n_items = items.n_rows();
    let rows: Vec<Vec<(f32, u32)>> = (0..n_items)
        .into_par_iter()
        .with_max_len(CHUNK_ITEMS)
        .map_init(
            || (vec![0f32; n_items], Vec::new()),
            |(sums, touched): &mut (Vec<f32>, Vec<u32>), item| {
                let own = items.row(item);
                for (&user, &weight) in own.items.iter().zip(own.weights) {
                    let row = users.row(user as usize);
                    for (&other, &value) in row.items.iter().zip(row.weights) {
                        let sum = &mut sums[other as usize];
                        if *sum == 0.0 {
                            touched.push(other);
                        }
                        *sum += weight * value;
                    }
                }
                // A product below the range of f32 leaves zero: such an item may be touched twice.
                touched.sort_unstable();
                touched.dedup();
                let scaled = |other: u32, sum: f32| sum * (by[other as usize] / by[item]);
                let mut found: Vec<(f32, u32)> = touched
                    .drain(..)
                    .map(|other| (scaled(other, std::mem::take(&mut sums[other as usize])), other))
                    .collect();
                keep_largest(&mut found, neighbours);
                found.sort_unstable_by_key(|&(_, other)| other);
                found
            },
        )
        .collect();
    let mut matrix = Csr { indptr: vec![0], n_cols: n_items, ..Csr::default() };
    for row in rows {
        matrix.indices.extend(row.iter().map(|cell| cell.1));
        matrix.values.extend(row.iter().map(|cell| cell.0));
        matrix.indptr.push(matrix.indices.len());
    }
    matrix
}
