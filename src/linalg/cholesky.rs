//! Symmetric positive definite systems, dense, in place.

use super::{
    isa::Simd,
    lanes::{LANES, axpy, dot},
};

/// Factors `matrix = U^T U` in place, for use inside a task.
///
/// Shapes: row-major, `n` rows of `stride` elements, `stride` padded. Reads and writes the upper triangle; what lies
/// left of the diagonal is scratch, but must be finite.
/// Returns: U, with the *reciprocals* of its diagonal on the diagonal.
/// Determinism: row k is subtracted from the later ones in order of k. A pivot below `least_pivot` (a bound that holds
/// for the exact matrix: 1 for I + S) is rounding and is put there, so the factor always exists.
/// Cost: n^3 / 6 multiply-adds.
#[inline(always)]
pub fn cholesky<S: Simd>(simd: S, matrix: &mut [f32], n: usize, stride: usize, least_pivot: f32) {
    for k in 0..n {
        let (above, below) = matrix.split_at_mut((k + 1) * stride);
        let row = &mut above[k * stride..];
        // The pivot row is finished: the earlier rows have been subtracted from it. Whole vectors are subtracted below,
        // so what lies left of the diagonal must not grow.
        row[k / LANES * LANES..k].fill(0.0);
        let inverse = 1.0 / row[k].max(least_pivot).sqrt();
        for value in &mut row[k + 1..n] {
            *value *= inverse;
        }
        row[k] = inverse;
        for i in k + 1..n {
            let other = &mut below[(i - k - 1) * stride..(i - k) * stride];
            let by = -row[i];
            // From the vector that holds the diagonal on.
            let from = i / LANES * LANES;
            axpy(simd, by, &row[from..], &mut other[from..]);
        }
    }
}

/// Solves `U^T U x = b` with the factor that [`cholesky`] left, for use inside a task.
///
/// Shapes: `b` and `x` have `stride` elements; beyond `n` `b` is ignored and `x` is zero. `b` is scratch afterwards.
#[inline(always)]
pub fn cholesky_solve<S: Simd>(simd: S, factor: &[f32], n: usize, stride: usize, b: &mut [f32], x: &mut [f32]) {
    // Forwards, U^T z = b; z goes to `x`, since updates by whole vectors spoil what is already final in `b`.
    for k in 0..n {
        let row = &factor[k * stride..(k + 1) * stride];
        let z = b[k] * row[k];
        x[k] = z;
        let from = k / LANES * LANES;
        axpy(simd, -z, &row[from..], &mut b[from..]);
    }
    // Backwards, U x = z. `b` takes the solution, so that unknowns not yet solved count as zero in the dot products.
    b.fill(0.0);
    for k in (0..n).rev() {
        let row = &factor[k * stride..(k + 1) * stride];
        let from = k / LANES * LANES;
        b[k] = (x[k] - dot(simd, &row[from..], &b[from..])) * row[k];
    }
    x.copy_from_slice(b);
}
