//! Arguments of `nightshelf evaluate` and `nightshelf tune`.

use std::path::PathBuf;

use clap::Args;

use super::ConfigSource;

#[derive(Debug, Args)]
pub(in crate::cli) struct EvaluateArgs {
    /// Config file (repeatable: each is a candidate); without it, ./nightshelf.toml if there is one
    #[arg(short, long, value_name = "FILE", env = "NIGHTSHELF_CONFIG")]
    pub(in crate::cli) config: Vec<PathBuf>,
    /// Set one key in all configs, e.g. --set model.als.n_factors=128 (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(in crate::cli) sets: Vec<String>,
    /// Model instead of the config's (repeatable: each is a candidate); popularity is always added
    #[arg(long, value_name = "MODEL")]
    pub(in crate::cli) model: Vec<String>,
    /// List lengths to measure at; the first is the headline's, e.g. 20,10,50
    #[arg(short, long, value_name = "K", value_delimiter = ',', num_args = 1)]
    pub(in crate::cli) k: Vec<usize>,
    /// The metric that orders the table: recall, recall_capped, precision, ndcg, map, mrr, hit_rate
    #[arg(long)]
    pub(in crate::cli) metric: Option<String>,
    /// Training events: directories, files, globs, s3:// prefixes (instead of events.paths)
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(in crate::cli) train: Vec<String>,
    /// Test events, in the layout of the training events; without them, a split of the events
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with_all = ["split", "test_days", "folds", "test_start", "leave_last", "ratio"])]
    pub(in crate::cli) test: Vec<String>,
    /// How to split the events: time, leave-last, ratio
    #[arg(long)]
    pub(in crate::cli) split: Option<String>,
    /// Split by time: days of each test (this and the next two imply --split time)
    #[arg(long, value_name = "DAYS")]
    pub(in crate::cli) test_days: Option<String>,
    /// Split by time: how many tests, each before the next
    #[arg(long, value_name = "N")]
    pub(in crate::cli) folds: Option<String>,
    /// Split by time: the tests' first days, instead of counting back from the last event
    #[arg(long, value_name = "DAY", num_args = 1..)]
    pub(in crate::cli) test_start: Vec<String>,
    /// Split per user: how many of his last pairs are the test (implies --split leave-last)
    #[arg(long, value_name = "N")]
    pub(in crate::cli) leave_last: Option<String>,
    /// Split per user: which share of his pairs is the test (implies --split ratio)
    #[arg(long, value_name = "SHARE")]
    pub(in crate::cli) ratio: Option<String>,
    /// Event types that make an item relevant; default: purchases, or all where there are none
    #[arg(long, value_name = "TYPE", value_delimiter = ',', num_args = 1)]
    pub(in crate::cli) test_types: Vec<String>,
    /// May an item that the user already dealt with be relevant: rules (as a build has it), allow, new-only
    #[arg(long, value_name = "HOW")]
    pub(in crate::cli) repeats: Option<String>,
    /// Relevant items that training does not know: miss, drop
    #[arg(long, value_name = "HOW")]
    pub(in crate::cli) unknown_items: Option<String>,
    /// Draw so many of the test users
    #[arg(long, value_name = "N")]
    pub(in crate::cli) users: Option<String>,
    /// Seed of the draws
    #[arg(long)]
    pub(in crate::cli) seed: Option<String>,
    /// Measure lists of another program, too: Parquet with user_id and items, or user_id, item_id and rank (repeatable)
    #[arg(long, value_name = "NAME=PATH")]
    pub(in crate::cli) lists: Vec<String>,
    /// Write train.parquet and test.parquet of the split to this directory
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) export_split: Option<PathBuf>,
    /// Write the metrics of every user to this Parquet file
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) per_user: Option<PathBuf>,
    /// Write the comparison page to this HTML file
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) report: Option<PathBuf>,
    /// Threads; 0 takes one a core. The result does not depend on it
    #[arg(long)]
    pub(in crate::cli) threads: Option<usize>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TuneArgs {
    #[command(flatten)]
    pub(in crate::cli) source: ConfigSource,
    /// Model instead of the config's
    #[arg(long)]
    pub(in crate::cli) model: Option<String>,
    /// Config file to write
    #[arg(short, long, value_name = "FILE", default_value = "tuned.toml")]
    pub(in crate::cli) out: PathBuf,
    /// Write over --out if it is there
    #[arg(long)]
    pub(in crate::cli) force: bool,
    /// File of measurements, from which an interrupted search goes on; default: --out with the ending .jsonl
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) journal: Option<PathBuf>,
    /// Settings to try, the configured ones included
    #[arg(long, value_name = "N")]
    pub(in crate::cli) trials: Option<String>,
    /// Events to tune on: directories, files, globs, s3:// prefixes (instead of events.paths)
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(in crate::cli) train: Vec<String>,
    /// List length to measure at
    #[arg(short, long, value_name = "K", value_delimiter = ',', num_args = 1)]
    pub(in crate::cli) k: Vec<usize>,
    /// What is to be best: recall, recall_capped, precision, ndcg, map, mrr, hit_rate
    #[arg(long)]
    pub(in crate::cli) metric: Option<String>,
    /// How to split the events: time, leave-last, ratio
    #[arg(long)]
    pub(in crate::cli) split: Option<String>,
    /// Split per user: how many of his last pairs are the test (implies --split leave-last)
    #[arg(long, value_name = "N")]
    pub(in crate::cli) leave_last: Option<String>,
    /// Split per user: which share of his pairs is the test (implies --split ratio)
    #[arg(long, value_name = "SHARE")]
    pub(in crate::cli) ratio: Option<String>,
    /// Split by time: days of each test (this and the next two imply --split time)
    #[arg(long, value_name = "DAYS")]
    pub(in crate::cli) test_days: Option<String>,
    /// Split by time: how many tests each trial is measured on
    #[arg(long, value_name = "N")]
    pub(in crate::cli) folds: Option<String>,
    /// Split by time: test on the newest days, which are otherwise kept for `evaluate`
    #[arg(long)]
    pub(in crate::cli) newest: bool,
    /// May an item that the user already dealt with be relevant: rules (as a build has it), allow, new-only
    #[arg(long, value_name = "HOW")]
    pub(in crate::cli) repeats: Option<String>,
    /// Seed of the search
    #[arg(long)]
    pub(in crate::cli) seed: Option<String>,
    /// Threads; 0 takes one a core. The result does not depend on it
    #[arg(long)]
    pub(in crate::cli) threads: Option<usize>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}
