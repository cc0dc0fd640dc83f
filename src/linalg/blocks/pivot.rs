//! The inverse of one diagonal block, in f64.

use crate::linalg::isa::{Simd, Task};

/// Inverts a symmetric positive definite matrix in place.
///
/// Shapes: row-major `n` x `n`; reads the lower triangle, leaves the full inverse.
/// Returns: the row and its pivot where one falls below `least`.
/// Determinism: plain f64 in a fixed order.
/// Cost: n^3 / 2 multiplications and subtractions.
pub(super) struct InvertPivot<'a> {
    pub(super) matrix: &'a mut [f64],
    pub(super) n: usize,
    pub(super) least: f64,
}

impl Task for InvertPivot<'_> {
    type Output = Result<(), (usize, f64)>;

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> Self::Output {
        let Self { matrix, n, least } = self;
        let mut column = vec![0f64; n];
        for k in 0..n {
            let pivot = matrix[k * n + k];
            if !(pivot.is_finite() && pivot >= least) {
                return Err((k, pivot));
            }
            column[..k].copy_from_slice(&matrix[k * n..k * n + k]);
            for i in k + 1..n {
                column[i] = matrix[i * n + k];
            }
            // Row and column k take no part in the update: they are replaced.
            column[k] = 0.0;
            let inverse = 1.0 / pivot;
            for i in 0..n {
                let by = column[i] * inverse;
                let row = &mut matrix[i * n..i * n + i + 1];
                let column = &column[..row.len()];
                for j in 0..row.len() {
                    row[j] -= by * column[j];
                }
            }
            for j in 0..k {
                matrix[k * n + j] = column[j] * inverse;
            }
            for i in k + 1..n {
                matrix[i * n + k] = column[i] * inverse;
            }
            matrix[k * n + k] = -inverse;
        }
        for i in 0..n {
            for j in 0..=i {
                let value = -matrix[i * n + j];
                matrix[i * n + j] = value;
                matrix[j * n + i] = value;
            }
        }
        Ok(())
    }
}
