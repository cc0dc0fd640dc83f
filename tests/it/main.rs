//! Integration tests: one binary, one module a subject.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the place")]

mod floors;
mod report;
mod run_directory;
mod s3;
mod sinks;
mod support;
mod synth;
