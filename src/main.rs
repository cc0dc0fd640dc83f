//! The binary: parse, dispatch, print, exit code.

use std::process::ExitCode;

/// Many threads allocate lists of many sizes at once; the system's allocator keeps a lock and fragments.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // FAILPOINTS=name=action, for tests; releases are built without.
    #[cfg(feature = "failpoints")]
    let _failpoints = fail::FailScenario::setup();
    nightshelf::cli::run(std::env::args_os())
}
