//! Leading right singular vectors of a sparse matrix, by subspace iteration.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use rayon::prelude::*;
use xxhash_rust::xxh64::xxh64;

use crate::{
    interactions::Csr,
    linalg::{Isa, NotConverged, Panels, Simd, Task, axpy, eigen, gramian, padded},
};

/// Directions beyond those asked for: they make the last ones converge.
const OVERSAMPLING: usize = 16;

/// Items whose first numbers come from one random stream.
const STREAM_ITEMS: usize = 1024;

/// Directions with a smaller share of the largest one's square are rounding.
const NEGLIGIBLE: f64 = 1e-9;

/// The `n_factors` leading right singular vectors of `users` (row-major rows of cells), `items` being its transpose.
///
/// Returns: n_items x `n_factors`, row-major, columns in order of descending singular values; columns beyond the rank are
/// zero. And the squares of the singular values.
/// Determinism: products sum ascending cells on one thread; Gramians have a fixed order.
/// Cost: a round takes 4 multiply-adds a cell and direction, and two for each item and pair of directions.
/// Source: Halko, Martinsson, Tropp 2011, algorithm 4.4, with the Rayleigh-Ritz step at the end.
pub(super) fn leading(
    isa: Isa,
    users: &Csr,
    items: &Csr,
    n_factors: usize,
    iterations: usize,
    seed: u64,
    mut on: impl FnMut(usize),
) -> Result<(Vec<f32>, Vec<f64>), NotConverged> {
    let width = padded(n_factors + OVERSAMPLING);
    let mut basis = first(items.n_rows(), width, seed);
    orthonormalise(isa, &mut basis, width)?;
    for iteration in 1..=iterations {
        let through = multiply(isa, users, &basis, width);
        basis = multiply(isa, items, &through, width);
        orthonormalise(isa, &mut basis, width)?;
        on(iteration);
    }
    // Within the subspace the singular vectors are the eigenvectors of (R Q)^T (R Q).
    let axes = eigen(isa, gramian(isa, &multiply(isa, users, &basis, width), width), width)?;
    rotate(isa, &mut basis, width, axes.vectors.iter().map(|&value| value as f32).collect());
    let kept = |row: &[f32]| row[..n_factors].to_vec();
    Ok((basis.chunks_exact(width).flat_map(kept).collect(), axes.values[..n_factors].to_vec()))
}

/// Determinism: stream `graph.basis` of the seed, a stream of its own for every 1,024 items.
fn first(n_items: usize, width: usize, seed: u64) -> Vec<f32> {
    let mut rows = vec![0f32; n_items * width];
    let name = xxh64(b"graph.basis", seed);
    rows.par_chunks_mut(STREAM_ITEMS * width).enumerate().for_each(|(stream, rows)| {
        let mut random = ChaCha8Rng::seed_from_u64(name);
        random.set_stream(stream as u64);
        rows.iter_mut().for_each(|value| *value = random.random::<f32>() * 2.0 - 1.0);
    });
    rows
}

/// Makes the columns of `rows` orthonormal; those beyond the rank become zero.
fn orthonormalise(isa: Isa, rows: &mut [f32], width: usize) -> Result<(), NotConverged> {
    let axes = eigen(isa, gramian(isa, rows, width), width)?;
    let least = axes.values.first().copied().unwrap_or(0.0) * NEGLIGIBLE;
    let mut rotation = vec![0f32; width * width];
    for (at, &value) in axes.values.iter().enumerate().filter(|(_, value)| **value > least) {
        let by = 1.0 / value.sqrt();
        let vector = &axes.vectors[at * width..(at + 1) * width];
        for (element, &value) in rotation[at * width..(at + 1) * width].iter_mut().zip(vector) {
            *element = (value * by) as f32;
        }
    }
    rotate(isa, rows, width, rotation);
    Ok(())
}

fn rotate(isa: Isa, rows: &mut [f32], width: usize, rotation: Vec<f32>) {
    Panels::pack(&rotation, width).rotate(isa, rows);
}

/// `matrix * dense`, row-major rows of `width`.
fn multiply(isa: Isa, matrix: &Csr, dense: &[f32], width: usize) -> Vec<f32> {
    let mut out = vec![0f32; matrix.n_rows() * width];
    out.par_chunks_mut(width).enumerate().with_min_len(16).for_each(|(row, out)| {
        isa.run(AddRows { columns: matrix.columns(row), values: matrix.row(row).weights, dense, out });
    });
    out
}

struct AddRows<'a> {
    columns: &'a [u32],
    values: &'a [f32],
    dense: &'a [f32],
    out: &'a mut [f32],
}

impl Task for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { columns, values, dense, out } = self;
        let width = out.len();
        for at in 0..columns.len() {
            let from = columns[at] as usize * width;
            axpy(simd, values[at], &dense[from..from + width], out);
        }
    }
}
