//! Integration tests: one binary, one module a stage.

mod run_directory;
mod sinks;
