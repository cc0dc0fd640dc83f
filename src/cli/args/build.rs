//! Arguments of `nightshelf synth` and `nightshelf build`.

use std::path::PathBuf;

use clap::Args;

use super::ConfigSource;

#[derive(Debug, Args)]
pub(in crate::cli) struct SynthArgs {
    /// Config file of the shop (TOML)
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// Directory to write to; made if absent
    #[arg(short, long, value_name = "DIR")]
    pub(in crate::cli) out: PathBuf,
    /// Events to make
    #[arg(long)]
    pub(in crate::cli) events: Option<u64>,
    /// Shoppers
    #[arg(long)]
    pub(in crate::cli) users: Option<u32>,
    /// Items
    #[arg(long)]
    pub(in crate::cli) items: Option<u32>,
    /// Seed
    #[arg(long)]
    pub(in crate::cli) seed: Option<u64>,
    /// Set any key of the shop's config, e.g. --set days=90 (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(in crate::cli) sets: Vec<String>,
    /// Threads; 0 takes one a core
    #[arg(long, default_value_t = 0)]
    pub(in crate::cli) threads: usize,
    /// Print the summary as JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct BuildArgs {
    #[command(flatten)]
    pub(in crate::cli) source: ConfigSource,
    /// Events: directories, files, globs, s3:// prefixes (instead of events.paths)
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(in crate::cli) events: Vec<String>,
    /// Layout of the events: canonical, personalize, retailrocket, rees46, pairs
    #[arg(long)]
    pub(in crate::cli) preset: Option<String>,
    /// Catalogue (instead of catalog.path)
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) catalog: Option<String>,
    /// Model: als, item_item, ease, slim, graph, blend, popularity
    #[arg(long)]
    pub(in crate::cli) model: Option<String>,
    /// Length of a list
    #[arg(short)]
    pub(in crate::cli) k: Option<usize>,
    /// The instant that ages are counted from, e.g. 2026-11-21
    #[arg(long, value_name = "INSTANT")]
    pub(in crate::cli) as_of: Option<String>,
    /// Directory of run directories, or s3://bucket/prefix
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) runs: Option<String>,
    /// Name of the run; by default the time it starts
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) run: Option<String>,
    /// Where to publish: sqlite, dynamodb, postgres, or none (repeatable)
    #[arg(long, value_name = "TARGET")]
    pub(in crate::cli) publish: Vec<String>,
    /// Make the DynamoDB table first, if it is not there: on demand, with time to live
    #[arg(long)]
    pub(in crate::cli) create_tables: bool,
    /// The SQLite file
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) sqlite: Option<String>,
    /// Threads; 0 takes one a core. The result does not depend on it
    #[arg(long)]
    pub(in crate::cli) threads: Option<usize>,
    /// Print the summary as JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}
