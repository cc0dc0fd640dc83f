//! One pass over gathered rows: a dot product and an update for each, the heart of conjugate gradients.

use super::{
    isa::Simd,
    lanes::{axpy, dot, lanes, lanes_mut},
};

/// What a row's dot product becomes before the row is added up.
pub trait Coefficient {
    /// The factor for row `row`, whose dot product is `product`. Called once a row, rows ascending.
    fn of(&mut self, row: usize, product: f32) -> f32;
}

/// `out += sum over rows r of coefficient(r, rows[r] . vector) * rows[r]`.
///
/// Shapes: `rows` is row-major with rows as long as `vector` and `out`, padded.
/// Determinism: rows are added in order, each product as in [`dot`].
/// Cost: each row is read once from memory and once more from the first cache.
#[inline(always)]
pub fn sweep<S: Simd, C: Coefficient>(simd: S, rows: &[f32], vector: &[f32], out: &mut [f32], coefficient: &mut C) {
    let (width, n_rows) = (vector.len(), rows.len() / vector.len());
    let whole = n_rows / 4 * 4;
    {
        let (vector, out) = (lanes(vector), lanes_mut(out));
        let n = vector.len();
        let out = &mut out[..n];
        for at in (0..whole).step_by(4) {
            let four = lanes(&rows[at * width..(at + 4) * width]);
            let (a, b, c, d) = (&four[..n], &four[n..2 * n], &four[2 * n..3 * n], &four[3 * n..4 * n]);
            // Four dot products at once: their chains of additions keep both multipliers busy.
            let mut sums = [simd.zero(); 4];
            for k in 0..n {
                let vector = simd.load(&vector[k]);
                sums[0] = simd.mul_add(vector, simd.load(&a[k]), sums[0]);
                sums[1] = simd.mul_add(vector, simd.load(&b[k]), sums[1]);
                sums[2] = simd.mul_add(vector, simd.load(&c[k]), sums[2]);
                sums[3] = simd.mul_add(vector, simd.load(&d[k]), sums[3]);
            }
            let by = [
                simd.splat(coefficient.of(at, simd.total(sums[0]))),
                simd.splat(coefficient.of(at + 1, simd.total(sums[1]))),
                simd.splat(coefficient.of(at + 2, simd.total(sums[2]))),
                simd.splat(coefficient.of(at + 3, simd.total(sums[3]))),
            ];
            for k in 0..n {
                let mut sum = simd.load(&out[k]);
                sum = simd.mul_add(by[0], simd.load(&a[k]), sum);
                sum = simd.mul_add(by[1], simd.load(&b[k]), sum);
                sum = simd.mul_add(by[2], simd.load(&c[k]), sum);
                sum = simd.mul_add(by[3], simd.load(&d[k]), sum);
                simd.store(sum, &mut out[k]);
            }
        }
    }
    for at in whole..n_rows {
        let row = &rows[at * width..(at + 1) * width];
        let by = coefficient.of(at, dot(simd, vector, row));
        axpy(simd, by, row, out);
    }
}
