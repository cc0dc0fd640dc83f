//! Asking the caches ahead of use.

/// Lines of a row that are asked for; the processor's own prefetcher follows from there.
const LINES: usize = 4;

/// Asks the caches for the first lines of `row`; no effect on results.
#[inline(always)]
pub(super) fn prefetch<T>(row: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for value in row.iter().step_by((64 / size_of::<T>()).max(1)).take(LINES) {
        // SAFETY: prefetching never faults and reads nothing the program can see; the address is inside `row`.
        unsafe {
            core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(std::ptr::from_ref(value).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}
