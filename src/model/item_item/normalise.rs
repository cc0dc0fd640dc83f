//! Rows that sum to one, and no more than so many cells a column.

use std::ops::Range;

use rayon::prelude::*;

use super::{build::Neighbours, largest::key};
use crate::interactions::Csr;

/// Scales each row to sum to one.
pub(super) fn scale_rows(block: &mut Neighbours) {
    let mut left = block.values.as_mut_slice();
    let mut start = 0;
    for &end in &block.ends {
        let values;
        (values, left) = left.split_at_mut(end - start);
        start = end;
        let total = values.iter().fold(0f64, |sum, &value| sum + f64::from(value));
        if total > 0.0 {
            for value in values {
                *value = (f64::from(*value) / total) as f32;
            }
        }
    }
}

/// Keeps the `most` largest cells of each column, ties by row.
///
/// Cost: 8 bytes more for each cell of a column with more than `most`.
pub(super) fn within_columns(mut matrix: Csr, most: usize) -> Csr {
    let limits = column_limits(&matrix, most);
    let Csr { indptr, indices, values, .. } = &mut matrix;
    let mut kept = 0;
    let mut start = 0;
    for (row, end) in (0u32..).zip(&mut indptr[1..]) {
        for at in start..*end {
            let (item, value) = (indices[at], values[at]);
            indices[kept] = item;
            values[kept] = value;
            kept += usize::from(key(value, row) <= limits[item as usize]);
        }
        start = std::mem::replace(end, kept);
    }
    indices.truncate(kept);
    values.truncate(kept);
    indices.shrink_to_fit();
    values.shrink_to_fit();
    matrix
}

/// By column: the key (with the row in the place of the item) of the last cell that is among its `most` largest.
///
/// Each thread has its own columns, so the limits are the same for any number of threads.
fn column_limits(matrix: &Csr, most: usize) -> Vec<u64> {
    let n_stripes = 2 * rayon::current_num_threads();
    let stripe = matrix.n_cols.div_ceil(n_stripes).max(1);
    let mut limits = vec![u64::MAX; matrix.n_cols];
    limits.par_chunks_mut(stripe).enumerate().for_each(|(at, limits)| {
        let columns = at * stripe..at * stripe + limits.len();
        stripe_limits(matrix, &columns, most, limits);
    });
    limits
}

fn stripe_limits(matrix: &Csr, columns: &Range<usize>, most: usize, limits: &mut [u64]) {
    // Where each row's part of the columns is.
    let parts: Vec<Range<usize>> = (0..matrix.n_rows())
        .map(|row| {
            let items = matrix.columns(row);
            let before = |end: usize| matrix.indptr[row] + items.partition_point(|&item| (item as usize) < end);
            before(columns.start)..before(columns.end)
        })
        .collect();
    let mut n_cells = vec![0usize; columns.len()];
    for part in &parts {
        matrix.indices[part.clone()].iter().for_each(|&item| n_cells[item as usize - columns.start] += 1);
    }
    let mut next = Vec::with_capacity(columns.len());
    let mut n_keys = 0;
    for &n in &n_cells {
        next.push(n_keys);
        n_keys += if n > most { n } else { 0 };
    }
    let mut keys = vec![0u64; n_keys];
    for (row, part) in (0u32..).zip(&parts) {
        for (&item, &value) in matrix.indices[part.clone()].iter().zip(&matrix.values[part.clone()]) {
            let column = item as usize - columns.start;
            if n_cells[column] > most {
                keys[next[column]] = key(value, row);
                next[column] += 1;
            }
        }
    }
    for ((limit, &n), &end) in limits.iter_mut().zip(&n_cells).zip(&next) {
        if n > most {
            *limit = *keys[end - n..end].select_nth_unstable(most - 1).1;
        }
    }
}
