//! Arguments as they are typed.

mod build;
mod campaign;
mod config;
mod emr;
mod evaluate;
mod publish;
mod runs;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(super) use self::{
    build::{BuildArgs, SynthArgs},
    campaign::{CampaignArgs, CampaignCommand, CampaignRun},
    config::{ConfigArgs, ConfigCommand},
    emr::{CancelArgs, EmrArgs, EmrCommand, LogsArgs, StatusArgs, SubmitArgs, WaitArgs},
    evaluate::{EvaluateArgs, TuneArgs},
    publish::{PublishArgs, PublishCommand, StoreArgs},
    runs::{ExplainArgs, RecommendArgs, RunsArgs, RunsCommand, SimilarArgs},
};
use super::worker::{TaskArgs, WorkerArgs};
use crate::telemetry::Verbosity;

/// Batch marketing and recommendation engine: clickstream Parquet in, per-user recommendations out.
#[derive(Debug, Parser)]
#[command(name = "nightshelf", version, max_term_width = 110, propagate_version = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// Show errors only, no progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Tell more: -v for stages, -vv for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Logs as JSON, one object a line
    #[arg(long, global = true)]
    pub(super) log_json: bool,
}

impl Global {
    pub(super) fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Verbose,
            _ => Verbosity::Debug,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a clickstream, catalogue, customers and orders of any size (seeded)
    Synth(SynthArgs),
    /// Build a run: events -> run directory -> SQLite
    Build(BuildArgs),
    /// Train the model of a distributed build, from what its workers aggregated
    Train(TaskArgs),
    /// The other stages of a distributed build, each on its own
    Worker(WorkerArgs),
    /// Measure models on held-out data, side by side
    Evaluate(Box<EvaluateArgs>),
    /// Search a model's settings on tests inside the events, and write the best as a config
    Tune(Box<TuneArgs>),
    /// Publish a run, go back to an earlier one, show what is served
    Publish(PublishArgs),
    /// List, show, compare, check and remove runs
    Runs(RunsArgs),
    /// Show a user's recommendations
    Recommend(RecommendArgs),
    /// Show the items like an item
    Similar(SimilarArgs),
    /// Show why an item is, or is not, in a user's list
    Explain(ExplainArgs),
    /// Build on an EMR cluster: submit, watch, read logs, cancel
    Emr(EmrArgs),
    /// Campaign lists of a run: who is written to, about what, and why
    Campaign(CampaignArgs),
    /// Write, check and show the config
    Config(ConfigArgs),
}

/// Where the config comes from.
#[derive(Debug, Args)]
pub(super) struct ConfigSource {
    /// Config file; without it, ./nightshelf.toml if there is one
    #[arg(short, long, value_name = "FILE", env = "NIGHTSHELF_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Set one key, e.g. --set model.als.n_factors=128 (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) sets: Vec<String>,
}

/// Which run is asked.
#[derive(Debug, Args)]
pub(super) struct RunSource {
    #[command(flatten)]
    pub(super) source: ConfigSource,
    /// Directory of run directories, or s3://bucket/prefix
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<String>,
}
