//! Vectors of sixteen f32 for each instruction set, with the same bits in all of them.

use crate::linalg::lanes::{LANES, Lane};

/// An instruction set as a type: arithmetic on vectors of sixteen f32.
///
/// A value is the proof that the machine has the set; only [`Isa::run`](super::Isa::run) hands one out.
pub trait Simd: Copy {
    /// Sixteen f32.
    type V: Copy;

    /// Whether the registers hold a tile of 6 x 32: thirty-two of sixteen lanes.
    const TWO_PANELS: bool = false;

    /// All lanes `value`.
    fn splat(self, value: f32) -> Self::V;
    /// From memory.
    fn load(self, from: &Lane) -> Self::V;
    /// To memory.
    fn store(self, value: Self::V, to: &mut Lane);
    /// `a + b`
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + sum`, rounded once.
    fn mul_add(self, a: Self::V, b: Self::V, sum: Self::V) -> Self::V;
    /// The sum of the lanes, as a fixed tree: halves are added until one is left.
    fn total(self, value: Self::V) -> f32;

    /// All lanes zero.
    #[inline(always)]
    fn zero(self) -> Self::V {
        self.splat(0.0)
    }
}

/// Plain arrays, for any machine; also the reference that the others must equal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Baseline;

impl Simd for Baseline {
    type V = Lane;

    // On x86-64 it is only the reference: so the tests see this path, too, where there is no AVX-512.
    const TWO_PANELS: bool = cfg!(target_arch = "x86_64");

    #[inline(always)]
    fn splat(self, value: f32) -> Lane {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, from: &Lane) -> Lane {
        *from
    }

    #[inline(always)]
    fn store(self, value: Lane, to: &mut Lane) {
        *to = value;
    }

    #[inline(always)]
    fn add(self, mut a: Lane, b: Lane) -> Lane {
        for l in 0..LANES {
            a[l] += b[l];
        }
        a
    }

    #[inline(always)]
    fn mul(self, mut a: Lane, b: Lane) -> Lane {
        for l in 0..LANES {
            a[l] *= b[l];
        }
        a
    }

    #[inline(always)]
    fn mul_add(self, a: Lane, b: Lane, mut sum: Lane) -> Lane {
        for l in 0..LANES {
            sum[l] = a[l].mul_add(b[l], sum[l]);
        }
        sum
    }

    #[inline(always)]
    fn total(self, v: Lane) -> f32 {
        let mut eight = [0f32; 8];
        for l in 0..8 {
            eight[l] = v[l] + v[l + 8];
        }
        let mut four = [0f32; 4];
        for l in 0..4 {
            four[l] = eight[l] + eight[l + 4];
        }
        (four[0] + four[2]) + (four[1] + four[3])
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use core::arch::x86_64::{
        __m256, __m512, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehl_ps, _mm_shuffle_ps, _mm256_add_ps,
        _mm256_castpd_ps, _mm256_castps256_ps128, _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
        _mm256_mul_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm512_add_ps, _mm512_castps_pd, _mm512_castps512_ps256,
        _mm512_extractf64x4_pd, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_storeu_ps,
    };

    use super::{Lane, Simd};

    /// Two registers of eight. Made only where AVX2 and FMA were detected.
    #[derive(Debug, Clone, Copy)]
    pub(in super::super) struct Avx2 {
        _detected: (),
    }

    /// One register of sixteen. Made only where AVX-512F, AVX2 and FMA were detected.
    #[derive(Debug, Clone, Copy)]
    pub(in super::super) struct Avx512 {
        _detected: (),
    }

    impl Avx2 {
        /// # Safety
        /// The machine has AVX2 and FMA.
        #[inline(always)]
        pub(in super::super) unsafe fn new() -> Self {
            Self { _detected: () }
        }
    }

    impl Avx512 {
        /// # Safety
        /// The machine has AVX-512F, AVX2 and FMA.
        #[inline(always)]
        pub(in super::super) unsafe fn new() -> Self {
            Self { _detected: () }
        }
    }

    /// Sums eight lanes; the tail of both trees.
    ///
    /// # Safety
    /// The machine has AVX2.
    #[inline(always)]
    unsafe fn total_of_eight(eight: __m256) -> f32 {
        // SAFETY: the caller vouches for AVX2; the rest is SSE, which x86-64 guarantees.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }

    // SAFETY, for every block below: `self` exists, so its constructor's promise holds and the instructions are there;
    // loads and stores go through references to sixteen f32 and ask for no alignment.
    impl Simd for Avx2 {
        type V = (__m256, __m256);

        #[inline(always)]
        fn splat(self, value: f32) -> Self::V {
            // SAFETY: see above.
            let half = unsafe { _mm256_set1_ps(value) };
            (half, half)
        }

        #[inline(always)]
        fn load(self, from: &Lane) -> Self::V {
            let (low, high) = from.split_at(8);
            // SAFETY: see above; both halves are eight long.
            unsafe { (_mm256_loadu_ps(low.as_ptr()), _mm256_loadu_ps(high.as_ptr())) }
        }

        #[inline(always)]
        fn store(self, value: Self::V, to: &mut Lane) {
            let (low, high) = to.split_at_mut(8);
            // SAFETY: see above; both halves are eight long.
            unsafe {
                _mm256_storeu_ps(low.as_mut_ptr(), value.0);
                _mm256_storeu_ps(high.as_mut_ptr(), value.1);
            }
        }

        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: see above.
            unsafe { (_mm256_add_ps(a.0, b.0), _mm256_add_ps(a.1, b.1)) }
        }

        #[inline(always)]
        fn mul(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: see above.
            unsafe { (_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1)) }
        }

        #[inline(always)]
        fn mul_add(self, a: Self::V, b: Self::V, sum: Self::V) -> Self::V {
            // SAFETY: see above.
            unsafe { (_mm256_fmadd_ps(a.0, b.0, sum.0), _mm256_fmadd_ps(a.1, b.1, sum.1)) }
        }

        #[inline(always)]
        fn total(self, value: Self::V) -> f32 {
            // SAFETY: see above.
            unsafe { total_of_eight(_mm256_add_ps(value.0, value.1)) }
        }
    }

    // SAFETY, for every block below: as for AVX2.
    impl Simd for Avx512 {
        const TWO_PANELS: bool = true;

        type V = __m512;

        #[inline(always)]
        fn splat(self, value: f32) -> Self::V {
            // SAFETY: see above.
            unsafe { _mm512_set1_ps(value) }
        }

        #[inline(always)]
        fn load(self, from: &Lane) -> Self::V {
            // SAFETY: see above.
            unsafe { _mm512_loadu_ps(from.as_ptr()) }
        }

        #[inline(always)]
        fn store(self, value: Self::V, to: &mut Lane) {
            // SAFETY: see above.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), value) };
        }

        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: see above.
            unsafe { _mm512_add_ps(a, b) }
        }

        #[inline(always)]
        fn mul(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: see above.
            unsafe { _mm512_mul_ps(a, b) }
        }

        #[inline(always)]
        fn mul_add(self, a: Self::V, b: Self::V, sum: Self::V) -> Self::V {
            // SAFETY: see above.
            unsafe { _mm512_fmadd_ps(a, b, sum) }
        }

        #[inline(always)]
        fn total(self, value: Self::V) -> f32 {
            // SAFETY: see above.
            unsafe {
                let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(value)));
                total_of_eight(_mm256_add_ps(_mm512_castps512_ps256(value), high))
            }
        }
    }
}
