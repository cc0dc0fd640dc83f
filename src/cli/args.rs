//! Arguments as they are typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
    Emr(super::emr_args::EmrArgs),
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

#[derive(Debug, Args)]
pub(super) struct SynthArgs {
    /// Config file of the shop (TOML)
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Directory to write to; made if absent
    #[arg(short, long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// Events to make
    #[arg(long)]
    pub(super) events: Option<u64>,
    /// Shoppers
    #[arg(long)]
    pub(super) users: Option<u32>,
    /// Items
    #[arg(long)]
    pub(super) items: Option<u32>,
    /// Seed
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// Set any key of the shop's config, e.g. --set days=90 (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) sets: Vec<String>,
    /// Threads; 0 takes one a core
    #[arg(long, default_value_t = 0)]
    pub(super) threads: usize,
    /// Print the summary as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    #[command(flatten)]
    pub(super) source: ConfigSource,
    /// Events: directories, files, globs, s3:// prefixes (instead of events.paths)
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(super) events: Vec<String>,
    /// Layout of the events: canonical, personalize, retailrocket, rees46, pairs
    #[arg(long)]
    pub(super) preset: Option<String>,
    /// Catalogue (instead of catalog.path)
    #[arg(long, value_name = "PATH")]
    pub(super) catalog: Option<String>,
    /// Model: als, item_item, ease, slim, graph, blend, popularity
    #[arg(long)]
    pub(super) model: Option<String>,
    /// Length of a list
    #[arg(short)]
    pub(super) k: Option<usize>,
    /// The instant that ages are counted from, e.g. 2026-11-21
    #[arg(long, value_name = "INSTANT")]
    pub(super) as_of: Option<String>,
    /// Directory of run directories, or s3://bucket/prefix
    #[arg(long, value_name = "DIR")]
    pub(super) runs: Option<String>,
    /// Name of the run; by default the time it starts
    #[arg(long, value_name = "NAME")]
    pub(super) run: Option<String>,
    /// Where to publish: sqlite, dynamodb, postgres, or none (repeatable)
    #[arg(long, value_name = "TARGET")]
    pub(super) publish: Vec<String>,
    /// Make the DynamoDB table first, if it is not there: on demand, with time to live
    #[arg(long)]
    pub(super) create_tables: bool,
    /// The SQLite file
    #[arg(long, value_name = "FILE")]
    pub(super) sqlite: Option<String>,
    /// Threads; 0 takes one a core. The result does not depend on it
    #[arg(long)]
    pub(super) threads: Option<usize>,
    /// Print the summary as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct EvaluateArgs {
    /// Config file (repeatable: each is a candidate); without it, ./nightshelf.toml if there is one
    #[arg(short, long, value_name = "FILE", env = "NIGHTSHELF_CONFIG")]
    pub(super) config: Vec<PathBuf>,
    /// Set one key in all configs, e.g. --set model.als.n_factors=128 (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) sets: Vec<String>,
    /// Model instead of the config's (repeatable: each is a candidate); popularity is always added
    #[arg(long, value_name = "MODEL")]
    pub(super) model: Vec<String>,
    /// List lengths to measure at; the first is the headline's, e.g. 20,10,50
    #[arg(short, long, value_name = "K", value_delimiter = ',', num_args = 1)]
    pub(super) k: Vec<usize>,
    /// The metric that orders the table: recall, recall_capped, precision, ndcg, map, mrr, hit_rate
    #[arg(long)]
    pub(super) metric: Option<String>,
    /// Training events: directories, files, globs, s3:// prefixes (instead of events.paths)
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(super) train: Vec<String>,
    /// Test events, in the layout of the training events; without them, a split of the events
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with_all = ["split", "test_days", "folds", "test_start", "leave_last", "ratio"])]
    pub(super) test: Vec<String>,
    /// How to split the events: time, leave-last, ratio
    #[arg(long)]
    pub(super) split: Option<String>,
    /// Split by time: days of each test (this and the next two imply --split time)
    #[arg(long, value_name = "DAYS")]
    pub(super) test_days: Option<String>,
    /// Split by time: how many tests, each before the next
    #[arg(long, value_name = "N")]
    pub(super) folds: Option<String>,
    /// Split by time: the tests' first days, instead of counting back from the last event
    #[arg(long, value_name = "DAY", num_args = 1..)]
    pub(super) test_start: Vec<String>,
    /// Split per user: how many of his last pairs are the test (implies --split leave-last)
    #[arg(long, value_name = "N")]
    pub(super) leave_last: Option<String>,
    /// Split per user: which share of his pairs is the test (implies --split ratio)
    #[arg(long, value_name = "SHARE")]
    pub(super) ratio: Option<String>,
    /// Event types that make an item relevant; default: purchases, or all where there are none
    #[arg(long, value_name = "TYPE", value_delimiter = ',', num_args = 1)]
    pub(super) test_types: Vec<String>,
    /// May an item that the user already dealt with be relevant: rules (as a build has it), allow, new-only
    #[arg(long, value_name = "HOW")]
    pub(super) repeats: Option<String>,
    /// Relevant items that training does not know: miss, drop
    #[arg(long, value_name = "HOW")]
    pub(super) unknown_items: Option<String>,
    /// Draw so many of the test users
    #[arg(long, value_name = "N")]
    pub(super) users: Option<String>,
    /// Seed of the draws
    #[arg(long)]
    pub(super) seed: Option<String>,
    /// Measure lists of another program, too: Parquet with user_id and items, or user_id, item_id and rank (repeatable)
    #[arg(long, value_name = "NAME=PATH")]
    pub(super) lists: Vec<String>,
    /// Write train.parquet and test.parquet of the split to this directory
    #[arg(long, value_name = "DIR")]
    pub(super) export_split: Option<PathBuf>,
    /// Write the metrics of every user to this Parquet file
    #[arg(long, value_name = "FILE")]
    pub(super) per_user: Option<PathBuf>,
    /// Write the comparison page to this HTML file
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Threads; 0 takes one a core. The result does not depend on it
    #[arg(long)]
    pub(super) threads: Option<usize>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct TuneArgs {
    #[command(flatten)]
    pub(super) source: ConfigSource,
    /// Model instead of the config's
    #[arg(long)]
    pub(super) model: Option<String>,
    /// Config file to write
    #[arg(short, long, value_name = "FILE", default_value = "tuned.toml")]
    pub(super) out: PathBuf,
    /// Write over --out if it is there
    #[arg(long)]
    pub(super) force: bool,
    /// File of measurements, from which an interrupted search goes on; default: --out with the ending .jsonl
    #[arg(long, value_name = "FILE")]
    pub(super) journal: Option<PathBuf>,
    /// Settings to try, the configured ones included
    #[arg(long, value_name = "N")]
    pub(super) trials: Option<String>,
    /// Events to tune on: directories, files, globs, s3:// prefixes (instead of events.paths)
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(super) train: Vec<String>,
    /// List length to measure at
    #[arg(short, long, value_name = "K", value_delimiter = ',', num_args = 1)]
    pub(super) k: Vec<usize>,
    /// What is to be best: recall, recall_capped, precision, ndcg, map, mrr, hit_rate
    #[arg(long)]
    pub(super) metric: Option<String>,
    /// How to split the events: time, leave-last, ratio
    #[arg(long)]
    pub(super) split: Option<String>,
    /// Split per user: how many of his last pairs are the test (implies --split leave-last)
    #[arg(long, value_name = "N")]
    pub(super) leave_last: Option<String>,
    /// Split per user: which share of his pairs is the test (implies --split ratio)
    #[arg(long, value_name = "SHARE")]
    pub(super) ratio: Option<String>,
    /// Split by time: days of each test (this and the next two imply --split time)
    #[arg(long, value_name = "DAYS")]
    pub(super) test_days: Option<String>,
    /// Split by time: how many tests each trial is measured on
    #[arg(long, value_name = "N")]
    pub(super) folds: Option<String>,
    /// Split by time: test on the newest days, which are otherwise kept for `evaluate`
    #[arg(long)]
    pub(super) newest: bool,
    /// May an item that the user already dealt with be relevant: rules (as a build has it), allow, new-only
    #[arg(long, value_name = "HOW")]
    pub(super) repeats: Option<String>,
    /// Seed of the search
    #[arg(long)]
    pub(super) seed: Option<String>,
    /// Threads; 0 takes one a core. The result does not depend on it
    #[arg(long)]
    pub(super) threads: Option<usize>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
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

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct PublishArgs {
    #[command(subcommand)]
    pub(super) command: Option<PublishCommand>,
    /// Run to publish: a name, a path, or `latest`
    #[arg(default_value = "latest")]
    pub(super) run: String,
    #[command(flatten)]
    pub(super) store: StoreArgs,
    /// Show rows, bytes, write units, minutes and dollars of a publish to DynamoDB, and publish nothing
    #[arg(long)]
    pub(super) plan: bool,
    /// Refuse a publish to DynamoDB that would cost more, in US dollars
    #[arg(long, value_name = "DOLLARS")]
    pub(super) max_cost: Option<f64>,
    /// How rows get into DynamoDB: writes (the default), or import (files on S3, of which DynamoDB makes a new table)
    #[arg(long, value_name = "WAY", value_parser = ["writes", "import"])]
    pub(super) via: Option<String>,
    /// Make the DynamoDB table first, if it is not there: on demand, with time to live
    #[arg(long)]
    pub(super) create_tables: bool,
    /// With --create-tables: turn point-in-time recovery on
    #[arg(long, requires = "create_tables")]
    pub(super) point_in_time_recovery: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Which stores.
#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    #[command(flatten)]
    pub(super) source: RunSource,
    /// Store instead of publish.targets (repeatable)
    #[arg(long, value_name = "TARGET")]
    pub(super) target: Vec<String>,
    /// The SQLite file
    #[arg(long, value_name = "FILE")]
    pub(super) sqlite: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum PublishCommand {
    /// Show what each store serves and keeps
    Status {
        #[command(flatten)]
        store: StoreArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Read all that readers see and compare it with a run
    Verify {
        /// Run that should be served: a name, a path, or `latest`
        #[arg(default_value = "latest")]
        run: String,
        #[command(flatten)]
        store: StoreArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Bring the tables of each store up to date
    Migrate {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Send readers back to the run before the current one, or to the one of a sequence
    Rollback {
        #[command(flatten)]
        store: StoreArgs,
        /// Sequence of the run to serve, as `publish status` shows it
        #[arg(long, value_name = "SEQUENCE")]
        to: Option<i64>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct RunsArgs {
    #[command(subcommand)]
    pub(super) command: RunsCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum RunsCommand {
    /// List runs, newest first
    List {
        #[command(flatten)]
        source: RunSource,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one run
    Show {
        #[command(flatten)]
        source: RunSource,
        /// A name, a path, or `latest`
        #[arg(default_value = "latest")]
        run: String,
        /// Print the manifest
        #[arg(long)]
        json: bool,
    },
    /// Compare two runs: counts, config, users whose lists changed
    Diff {
        #[command(flatten)]
        source: RunSource,
        /// The earlier run
        a: String,
        /// The later run
        #[arg(default_value = "latest")]
        b: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Hash every file of a run again
    Verify {
        #[command(flatten)]
        source: RunSource,
        /// A name, a path, or `latest`
        #[arg(default_value = "latest")]
        run: String,
    },
    /// Remove all but the newest runs
    Prune {
        #[command(flatten)]
        source: RunSource,
        /// How many runs stay
        #[arg(long)]
        keep: usize,
        /// Show what would go
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct RecommendArgs {
    #[command(flatten)]
    pub(super) source: RunSource,
    /// User id
    #[arg(required_unless_present_any = ["popular", "trending"])]
    pub(super) user: Option<String>,
    /// Show the popular list: what an unknown user sees
    #[arg(long, conflicts_with_all = ["user", "trending"])]
    pub(super) popular: bool,
    /// Show what draws more users than it did
    #[arg(long, conflicts_with = "user")]
    pub(super) trending: bool,
    /// Of this category, with --popular or --trending; without it of the whole shop
    #[arg(long, conflicts_with = "user")]
    pub(super) category: Option<String>,
    /// Run to ask: a name, a path, or `latest`
    #[arg(long, default_value = "latest")]
    pub(super) run: String,
    /// Items to show
    #[arg(short, default_value_t = 20)]
    pub(super) n: usize,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct SimilarArgs {
    #[command(flatten)]
    pub(super) source: RunSource,
    /// Item id
    pub(super) item: String,
    /// Show what is in the same baskets instead
    #[arg(long)]
    pub(super) bought_together: bool,
    /// Run to ask: a name, a path, or `latest`
    #[arg(long, default_value = "latest")]
    pub(super) run: String,
    /// Items to show
    #[arg(short, default_value_t = 20)]
    pub(super) n: usize,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    pub(super) source: RunSource,
    /// User id
    pub(super) user: String,
    /// Item id
    pub(super) item: String,
    /// Run to ask: a name, a path, or `latest`
    #[arg(long, default_value = "latest")]
    pub(super) run: String,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    pub(super) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Write an annotated config file
    Init {
        /// Where to; never overwrites
        #[arg(default_value = "nightshelf.toml")]
        path: PathBuf,
    },
    /// Check a config without reading data
    Check {
        #[command(flatten)]
        source: ConfigSource,
    },
    /// Show the effective config: defaults < file < environment < flags
    Show {
        #[command(flatten)]
        source: ConfigSource,
        /// Print JSON instead of TOML
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct CampaignArgs {
    #[command(subcommand)]
    pub(super) command: CampaignCommand,
}

/// Which run a question is about.
#[derive(Debug, Args)]
pub(super) struct CampaignRun {
    #[command(flatten)]
    pub(super) source: RunSource,
    /// The run: a name, a path, or `latest`
    #[arg(long, value_name = "RUN", default_value = "latest")]
    pub(super) run: String,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum CampaignCommand {
    /// List the campaigns of a run, with what became of their candidates
    List {
        #[command(flatten)]
        source: RunSource,
        /// A name, a path, or `latest`
        #[arg(default_value = "latest")]
        run: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show members with their items, titles and prices
    Preview {
        /// The campaign
        name: String,
        #[command(flatten)]
        of: CampaignRun,
        /// One member
        #[arg(long, value_name = "USER", conflicts_with = "sample")]
        user: Option<String>,
        /// So many members, the same ones every time
        #[arg(long, value_name = "N", default_value_t = 3)]
        sample: usize,
    },
    /// Say of each campaign whether a user is in it, and if not, at which step he fell
    Why {
        /// The user
        user: String,
        #[command(flatten)]
        of: CampaignRun,
    },
    /// Write a list for other programs; by default only those to write to
    Export {
        /// The campaign
        name: String,
        #[command(flatten)]
        of: CampaignRun,
        /// csv, jsonl or parquet
        #[arg(long, default_value = "csv")]
        format: String,
        /// send, holdout or all
        #[arg(long, default_value = "send")]
        arm: String,
        /// File to write; by default stdout (not for parquet)
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show how many people each two campaigns share
    Overlap {
        #[command(flatten)]
        of: CampaignRun,
        /// Count members of the lists, instead of those who matched
        #[arg(long)]
        lists: bool,
    },
    /// Compare what members bought after the list: those written to against those held out
    Measure {
        /// The campaign; by default all of them
        name: Option<String>,
        #[command(flatten)]
        of: CampaignRun,
        /// Days after the list
        #[arg(long, default_value_t = 7.0)]
        days: f64,
        /// Level of the confidence intervals
        #[arg(long, default_value_t = 0.95)]
        level: f64,
    },
}
