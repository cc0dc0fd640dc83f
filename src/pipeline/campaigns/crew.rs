//! Tasks on threads of their own.

use std::{
    panic::resume_unwind,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

/// Does tasks 0 to `n_tasks` on as many threads as rayon would, each thread one after the other; results in their order.
///
/// Not with rayon itself: a thread of its pool that waits for polars, which has a pool of its own, takes up the next task
/// meanwhile, and then the next, so that all of them lie in memory at once (8 GB and more where this takes 0.5).
///
/// # Errors
/// That of the first task that failed; no others are begun after it.
pub(super) fn in_threads<T: Send, E: Send>(
    n_tasks: usize,
    task: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done = Mutex::new(Vec::with_capacity(n_tasks));
    let work = || {
        while !failed.load(Relaxed) {
            let at = next.fetch_add(1, Relaxed);
            if at >= n_tasks {
                break;
            }
            let result = task(at);
            failed.fetch_or(result.is_err(), Relaxed);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..rayon::current_num_threads().min(n_tasks)).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_no_more_tasks_run_at_once_than_threads() {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let squares = in_threads(50, |at| {
            most.fetch_max(running.fetch_add(1, Relaxed) + 1, Relaxed);
            // Other work for rayon's pool and a wait for it, as polars has.
            let sum: usize = rayon::join(|| at * at, || 0).0;
            running.fetch_sub(1, Relaxed);
            Ok::<_, ()>(sum)
        });
        assert_eq!(squares.unwrap(), (0..50).map(|at| at * at).collect::<Vec<_>>());
        assert!(most.into_inner() <= rayon::current_num_threads());
        assert_eq!(in_threads(0, |_| Ok::<(), ()>(())), Ok(vec![]));
    }

    #[test]
    fn after_an_error_nothing_more_is_begun() {
        let begun = AtomicUsize::new(0);
        let result: Result<Vec<()>, usize> = in_threads(1_000_000, |at| {
            begun.fetch_add(1, Relaxed);
            if at >= 3 { Err(at) } else { Ok(()) }
        });
        assert_eq!(result, Err(3));
        assert!(begun.into_inner() <= 4 + rayon::current_num_threads());
    }
}
