//! Integration tests: one binary, one module a subject.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::result_large_err,
    reason = "a test that unwraps fails with the place, and tells its seed; errors of the SDK are large"
)]

mod bad_input;
mod build;
mod campaigns;
mod customers;
mod emr;
mod evaluate;
mod faults;
mod floors;
mod ingest;
mod item_lists;
mod kill;
mod mutated_input;
mod profiles;
mod publish_sql;
mod readers;
mod report;
mod run_directory;
mod s3;
mod s3_runs;
mod sinks;
mod spark;
mod sql_faults;
mod sql_login;
mod sql_secret;
mod stages;
mod support;
mod synth;
mod tune;
