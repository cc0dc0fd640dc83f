//! Vectors of sixteen lanes: one AVX-512 register, two of AVX2, four of NEON, or an array.
//!
//! Slices are padded with zeros to a multiple of [`LANES`], so no kernel has a tail. Kernels run over indices of slices cut
//! to one length: in a large task the compiler leaves chains of iterators as calls.

use super::isa::Simd;

/// Lanes of every kernel. Sixteen, whatever the machine: the order of additions is part of the result.
pub const LANES: usize = 16;

/// One vector.
pub type Lane = [f32; LANES];

/// `n` rounded up to whole vectors.
#[inline]
#[must_use]
pub const fn padded(n: usize) -> usize {
    n.next_multiple_of(LANES)
}

/// The whole vectors of a padded slice.
#[inline(always)]
pub(crate) fn lanes(values: &[f32]) -> &[Lane] {
    debug_assert_eq!(values.len() % LANES, 0);
    values.as_chunks().0
}

/// The whole vectors of a padded slice, to be written.
#[inline(always)]
pub(crate) fn lanes_mut(values: &mut [f32]) -> &mut [Lane] {
    debug_assert_eq!(values.len() % LANES, 0);
    values.as_chunks_mut().0
}

/// The dot product of two padded slices of one length.
///
/// Determinism: lane `l` sums elements `l, l + 16, ...` in order; the lanes are added as a fixed tree.
#[inline(always)]
#[must_use]
pub fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (lanes(a), lanes(b));
    let n = a.len();
    let b = &b[..n];
    let mut sum = simd.zero();
    for k in 0..n {
        sum = simd.mul_add(simd.load(&a[k]), simd.load(&b[k]), sum);
    }
    simd.total(sum)
}

/// `y += a * x` on padded slices of one length.
#[inline(always)]
pub fn axpy<S: Simd>(simd: S, a: f32, x: &[f32], y: &mut [f32]) {
    let a = simd.splat(a);
    let (x, y) = (lanes(x), lanes_mut(y));
    let n = y.len();
    let x = &x[..n];
    for k in 0..n {
        simd.store(simd.mul_add(a, simd.load(&x[k]), simd.load(&y[k])), &mut y[k]);
    }
}

/// `to = from`, padded slices of one length. For a row of factors quicker than a call of `memcpy`.
#[inline(always)]
pub fn copy<S: Simd>(simd: S, from: &[f32], to: &mut [f32]) {
    let (from, to) = (lanes(from), lanes_mut(to));
    let n = to.len();
    let from = &from[..n];
    for k in 0..n {
        simd.store(simd.load(&from[k]), &mut to[k]);
    }
}

/// `to = a * b`, element by element, padded slices of one length.
#[inline(always)]
pub fn multiply<S: Simd>(simd: S, a: &[f32], b: &[f32], to: &mut [f32]) {
    let (a, b, to) = (lanes(a), lanes(b), lanes_mut(to));
    let n = to.len();
    let (a, b) = (&a[..n], &b[..n]);
    for k in 0..n {
        simd.store(simd.mul(simd.load(&a[k]), simd.load(&b[k])), &mut to[k]);
    }
}

/// `x *= by`, element by element, padded slices of one length.
#[inline(always)]
pub fn scale<S: Simd>(simd: S, by: &[f32], x: &mut [f32]) {
    let (by, x) = (lanes(by), lanes_mut(x));
    let n = x.len();
    let by = &by[..n];
    for k in 0..n {
        simd.store(simd.mul(simd.load(&by[k]), simd.load(&x[k])), &mut x[k]);
    }
}

/// Zeros a padded slice.
#[inline(always)]
pub fn clear<S: Simd>(simd: S, x: &mut [f32]) {
    for x in lanes_mut(x) {
        simd.store(simd.zero(), x);
    }
}

/// The first `n` elements of scratch that grows as needed; what they hold is left over.
#[inline(always)]
pub(crate) fn room(scratch: &mut Vec<f32>, n: usize) -> &mut [f32] {
    if scratch.len() < n {
        scratch.resize(n, 0.0);
    }
    &mut scratch[..n]
}
