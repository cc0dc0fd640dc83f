//! Gramians: X^T X of many rows, in blocks whose sums are added in a fixed order.

use rayon::prelude::*;

use super::{
    isa::{Isa, Simd, Task},
    lanes::LANES,
    tile::{sixteen, sixteen_mut},
};

/// Rows summed in f32 before the sum goes to f64.
const BLOCK_ROWS: usize = 128;

/// Memory of the partial sums of a parallel Gramian.
const PARTIAL_BYTES: usize = 64 << 20;

/// Adds the upper triangle of `rows^T rows` to `matrix`, for use inside a task.
///
/// Shapes: `rows` is row-major, n x `width`; `matrix` row-major, `width` x `width`. What lies left of the diagonal's
/// tile is not written. `width` is padded.
/// Determinism: each element is one chain of fused multiply-adds over ascending rows.
#[inline(always)]
pub fn add_gramian<S: Simd>(simd: S, rows: &[f32], width: usize, matrix: &mut [f32]) {
    let n_rows = rows.len() / width;
    for i in (0..width).step_by(4) {
        for j in (i / LANES * LANES..width).step_by(LANES) {
            let mut sums = [simd.zero(); 4];
            for (m, sum) in sums.iter_mut().enumerate() {
                *sum = simd.load(sixteen(matrix, (i + m) * width + j));
            }
            for row in 0..n_rows {
                let row = &rows[row * width..(row + 1) * width];
                let left = row[i..].first_chunk::<4>().expect("rows are padded to whole vectors");
                let right = simd.load(sixteen(row, j));
                for m in 0..4 {
                    sums[m] = simd.mul_add(simd.splat(left[m]), right, sums[m]);
                }
            }
            for (m, &sum) in sums.iter().enumerate() {
                simd.store(sum, sixteen_mut(matrix, (i + m) * width + j));
            }
        }
    }
}

/// `X^T X` of row-major `rows`, n x `width`, in parallel.
///
/// Returns: the full symmetric matrix, row-major `width` x `width`, in f64.
/// Determinism: blocks of 128 rows are summed in f32, runs of blocks in f64, and the runs in order; how many runs there
/// are depends on the shape alone.
/// Cost: n * width^2 / 2 multiply-adds; at most 64 MB of partial sums (or four of them).
#[must_use]
pub fn gramian(isa: Isa, rows: &[f32], width: usize) -> Vec<f64> {
    let n_blocks = (rows.len() / width).div_ceil(BLOCK_ROWS);
    let n_runs = (PARTIAL_BYTES / (8 * width * width)).clamp(4, 64).min(n_blocks.max(1));
    let run_rows = n_blocks.div_ceil(n_runs).max(1) * BLOCK_ROWS;
    let partials: Vec<Vec<f64>> = rows.par_chunks(run_rows * width).map(|rows| isa.run(Run { rows, width })).collect();
    let mut sum = vec![0f64; width * width];
    for partial in &partials {
        for (sum, part) in sum.iter_mut().zip(partial) {
            *sum += part;
        }
    }
    for i in 0..width {
        for j in 0..i {
            sum[i * width + j] = sum[j * width + i];
        }
    }
    sum
}

struct Run<'a> {
    rows: &'a [f32],
    width: usize,
}

impl Task for Run<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<f64> {
        let Self { rows, width } = self;
        let mut sum = vec![0f64; width * width];
        let mut block = vec![0f32; width * width];
        for rows in rows.chunks(BLOCK_ROWS * width) {
            block.fill(0.0);
            add_gramian(simd, rows, width, &mut block);
            for (sum, &part) in sum.iter_mut().zip(&block) {
                *sum += f64::from(part);
            }
        }
        sum
    }
}
