//! The one place with `unsafe`: code compiled for instructions that this machine was found to have.

mod simd;

use simd::Baseline;
pub use simd::Simd;
#[cfg(target_arch = "x86_64")]
use simd::{Avx2, Avx512};

/// An instruction set that was found on this machine; no other value can exist.
///
/// Determinism: kernels fix their lanes and use fused multiply-add everywhere, so every set gives the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    /// What the target guarantees. On aarch64 that includes FMA; on x86-64 `mul_add` is then a call of `fmaf`, slow and
    /// exact.
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// Work that is compiled once for each instruction set.
///
/// `run` and everything hot that it calls must be `#[inline(always)]` (and no closures): what is not inlined is compiled
/// for the baseline, and each operation on vectors becomes a call.
pub trait Task {
    /// What the work gives back.
    type Output;

    /// Does the work with the vectors of one instruction set.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

impl Isa {
    /// The widest set of this machine.
    #[inline]
    #[must_use]
    pub fn best() -> Self {
        // The standard library caches the CPUID answers: this is a load and a branch or two.
        #[cfg(target_arch = "x86_64")]
        {
            if has_avx512() {
                return Self(Set::Avx512);
            }
            if has_avx2() {
                return Self(Set::Avx2);
            }
        }
        Self(Set::Baseline)
    }

    /// Every set that this machine can run, the baseline first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        #[allow(unused_mut, reason = "other architectures have the baseline alone")]
        let mut sets = vec![Self(Set::Baseline)];
        #[cfg(target_arch = "x86_64")]
        {
            if has_avx2() {
                sets.push(Self(Set::Avx2));
            }
            if has_avx512() {
                sets.push(Self(Set::Avx512));
            }
        }
        sets
    }

    /// Runs `task` compiled for this set.
    #[inline]
    pub fn run<T: Task>(self, task: T) -> T::Output {
        match self.0 {
            Set::Baseline => task.run(Baseline),
            // SAFETY: an `Isa` of this set is made only after the features were detected.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { run_avx2(task) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { run_avx512(task) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f") && has_avx2()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<T: Task>(task: T) -> T::Output {
    // SAFETY: this function's features are those that the proof asks for.
    task.run(unsafe { Avx2::new() })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn run_avx512<T: Task>(task: T) -> T::Output {
    // SAFETY: this function's features are those that the proof asks for.
    task.run(unsafe { Avx512::new() })
}

/// Asks the caches for the whole of `row`; no effect on results.
#[inline(always)]
pub fn prefetch(row: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in row.chunks(16) {
        // SAFETY: prefetching never faults and reads nothing the program can see; the address is inside `row`.
        unsafe { core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}
