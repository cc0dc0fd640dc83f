//! The register tile that the dense products here are made of.

use super::{
    isa::Simd,
    lanes::{LANES, Lane},
};

/// Adds `sum over k of left[k] (outer) right[k]` to a tile of M x 16.
///
/// Each element is one chain of fused multiply-adds over ascending k, so the result does not depend on how a product
/// is cut into tiles.
///
/// Cost: with M = 6 and AVX2 it needs 12 sums, 2 vectors and 1 broadcast: 15 of 16 registers.
#[inline(always)]
pub(crate) fn tile<S: Simd, const M: usize>(simd: S, sums: &mut [S::V; M], left: &[[f32; M]], right: &[Lane]) {
    // A copy that nobody else can see stays in registers.
    let mut own = *sums;
    let n = left.len();
    let right = &right[..n];
    for k in 0..n {
        let vector = simd.load(&right[k]);
        for m in 0..M {
            own[m] = simd.mul_add(simd.splat(left[k][m]), vector, own[m]);
        }
    }
    *sums = own;
}

/// [`tile`] with two panels at once, M x 32, for registers that hold sixteen lanes each.
///
/// Cost: with M = 6 twelve chains of additions, enough to keep two multipliers of four cycles busy; six are not.
#[inline(always)]
pub(crate) fn tile_of_two<S: Simd, const M: usize>(
    simd: S,
    sums: &mut [[S::V; 2]; M],
    left: &[[f32; M]],
    first: &[Lane],
    second: &[Lane],
) {
    let mut own = *sums;
    let n = left.len();
    let (first, second) = (&first[..n], &second[..n]);
    for k in 0..n {
        let (a, b) = (simd.load(&first[k]), simd.load(&second[k]));
        for m in 0..M {
            let by = simd.splat(left[k][m]);
            own[m][0] = simd.mul_add(by, a, own[m][0]);
            own[m][1] = simd.mul_add(by, b, own[m][1]);
        }
    }
    *sums = own;
}

/// Sixteen elements of `row` from `at`.
#[inline(always)]
pub(crate) fn sixteen(row: &[f32], at: usize) -> &Lane {
    row[at..].first_chunk::<LANES>().expect("rows are padded to whole vectors")
}

/// Sixteen elements of `row` from `at`, to be written.
#[inline(always)]
pub(crate) fn sixteen_mut(row: &mut [f32], at: usize) -> &mut Lane {
    row[at..].first_chunk_mut::<LANES>().expect("rows are padded to whole vectors")
}
