//! D1 to D11 of docs/reliability.md: publishing to DynamoDB while everything goes wrong.
//!
//! The program is the real binary, the network real HTTP; faults come from `support::dynamo`, from SIGKILL, SIGSTOP and failpoints.
//! `NIGHTSHELF_FAULTS=full` runs the sizes of docs/reliability.md instead of small ones.

pub(crate) mod bench;
mod harness;
mod kills;
mod nights;
mod readers;
mod results;
mod rivals;
mod rows;
mod weather;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whether the full sizes are asked for.
fn is_full() -> bool {
    std::env::var("NIGHTSHELF_FAULTS").is_ok_and(|size| size == "full")
}

/// One size in CI, another in full.
fn sized(in_ci: usize, in_full: usize) -> usize {
    if is_full() { in_full } else { in_ci }
}

/// Users of a run, which `NIGHTSHELF_FAULTS_ROWS` lessens in the full size, whose hours not everybody has.
fn n_users(in_ci: usize, in_full: usize) -> usize {
    match std::env::var("NIGHTSHELF_FAULTS_ROWS") {
        Ok(limit) if is_full() => in_full.min(limit.parse().expect("NIGHTSHELF_FAULTS_ROWS is a number")),
        _ => sized(in_ci, in_full),
    }
}

/// One case at a time: they measure rates, times and memory on the same few cores.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
