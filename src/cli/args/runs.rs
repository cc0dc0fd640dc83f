//! Arguments of `nightshelf runs` and of the commands that ask a run: `recommend`, `similar`, `explain`.

use clap::{Args, Subcommand};

use super::RunSource;

#[derive(Debug, Args)]
pub(in crate::cli) struct RunsArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: RunsCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RunsCommand {
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
pub(in crate::cli) struct RecommendArgs {
    #[command(flatten)]
    pub(in crate::cli) source: RunSource,
    /// User id
    #[arg(required_unless_present_any = ["popular", "trending"])]
    pub(in crate::cli) user: Option<String>,
    /// Show the popular list: what an unknown user sees
    #[arg(long, conflicts_with_all = ["user", "trending"])]
    pub(in crate::cli) popular: bool,
    /// Show what draws more users than it did
    #[arg(long, conflicts_with = "user")]
    pub(in crate::cli) trending: bool,
    /// Of this category, with --popular or --trending; without it of the whole shop
    #[arg(long, conflicts_with = "user")]
    pub(in crate::cli) category: Option<String>,
    /// Run to ask: a name, a path, or `latest`
    #[arg(long, default_value = "latest")]
    pub(in crate::cli) run: String,
    /// Items to show
    #[arg(short, default_value_t = 20)]
    pub(in crate::cli) n: usize,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SimilarArgs {
    #[command(flatten)]
    pub(in crate::cli) source: RunSource,
    /// Item id
    pub(in crate::cli) item: String,
    /// Show what is in the same baskets instead
    #[arg(long)]
    pub(in crate::cli) bought_together: bool,
    /// Run to ask: a name, a path, or `latest`
    #[arg(long, default_value = "latest")]
    pub(in crate::cli) run: String,
    /// Items to show
    #[arg(short, default_value_t = 20)]
    pub(in crate::cli) n: usize,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArgs {
    #[command(flatten)]
    pub(in crate::cli) source: RunSource,
    /// User id
    pub(in crate::cli) user: String,
    /// Item id
    pub(in crate::cli) item: String,
    /// Run to ask: a name, a path, or `latest`
    #[arg(long, default_value = "latest")]
    pub(in crate::cli) run: String,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}
