//! Logs on stderr, and what the process used.

use tracing_subscriber::EnvFilter;

/// How much to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Warnings.
    Normal,
    /// Stages with counts and times.
    Verbose,
    /// Everything.
    Debug,
}

/// Sends logs to stderr; `RUST_LOG` overrides the level. `json` makes one object a line.
pub fn init(verbosity: Verbosity, json: bool) {
    let level = match verbosity {
        Verbosity::Quiet => "error",
        // Without a region the AWS SDK asks an address of EC2 and warns at length; what it means is said by us.
        Verbosity::Normal => "warn,aws_config=error",
        Verbosity::Verbose => "warn,aws_config=error,nightshelf=info",
        Verbosity::Debug => "info,nightshelf=debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).with_target(false);
    // A second call (tests in one process) keeps the first subscriber.
    let _ = if json { builder.json().try_init() } else { builder.try_init() };
}

/// The most memory that the process ever held, in bytes; `None` where the system does not tell.
#[must_use]
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
