//! Arguments of `nightshelf campaign`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::RunSource;

#[derive(Debug, Args)]
pub(in crate::cli) struct CampaignArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: CampaignCommand,
}

/// Which run a question is about.
#[derive(Debug, Args)]
pub(in crate::cli) struct CampaignRun {
    #[command(flatten)]
    pub(in crate::cli) source: RunSource,
    /// The run: a name, a path, or `latest`
    #[arg(long, value_name = "RUN", default_value = "latest")]
    pub(in crate::cli) run: String,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CampaignCommand {
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
