//! Command line: parse, dispatch, print, exit code.
//!
//! In: arguments and environment. Out: data on stdout, logs and progress on stderr, an exit code.
//! Refuses: to compute; every command calls the pipeline and prints what comes back.

mod args;
mod ask;
mod build;
mod campaign;
mod config;
mod emr;
mod evaluate;
mod evaluation_flags;
mod exit;
mod output;
mod progress;
mod publish;
mod runs;
mod synth;
mod tune;
mod worker;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

use args::{Cli, Command};

use crate::telemetry;

/// Runs the program with `arguments` (the program's name first).
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { 0 });
        }
    };
    telemetry::init(cli.global.verbosity(), cli.global.log_json);
    let result = match cli.command {
        Command::Synth(args) => synth::run(&args, &cli.global),
        Command::Build(args) => build::run(&args, &cli.global),
        Command::Evaluate(args) => evaluate::run(&args, &cli.global),
        Command::Train(args) => worker::train(&args, &cli.global),
        Command::Worker(args) => worker::run(&args, &cli.global),
        Command::Tune(args) => tune::run(&args, &cli.global),
        Command::Publish(args) => publish::run(&args, &cli.global),
        Command::Runs(args) => runs::run(&args, &cli.global),
        Command::Recommend(args) => ask::recommend(&args, &cli.global),
        Command::Similar(args) => ask::similar(&args, &cli.global),
        Command::Explain(args) => ask::explain(&args, &cli.global),
        Command::Emr(args) => emr::run(&args, &cli.global),
        Command::Campaign(args) => campaign::run(&args, &cli.global),
        Command::Config(args) => config::run(&args, &cli.global),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}
