//! Arguments of `nightshelf publish`.

use clap::{Args, Subcommand};

use super::RunSource;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct PublishArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<PublishCommand>,
    /// Run to publish: a name, a path, or `latest`
    #[arg(default_value = "latest")]
    pub(in crate::cli) run: String,
    #[command(flatten)]
    pub(in crate::cli) store: StoreArgs,
    /// Show rows, bytes, write units, minutes and dollars of a publish to DynamoDB, and publish nothing
    #[arg(long)]
    pub(in crate::cli) plan: bool,
    /// Refuse a publish to DynamoDB that would cost more, in US dollars
    #[arg(long, value_name = "DOLLARS")]
    pub(in crate::cli) max_cost: Option<f64>,
    /// How rows get into DynamoDB: writes (the default), or import (files on S3, of which DynamoDB makes a new table)
    #[arg(long, value_name = "WAY", value_parser = ["writes", "import"])]
    pub(in crate::cli) via: Option<String>,
    /// Make the DynamoDB table first, if it is not there: on demand, with time to live
    #[arg(long)]
    pub(in crate::cli) create_tables: bool,
    /// With --create-tables: turn point-in-time recovery on
    #[arg(long, requires = "create_tables")]
    pub(in crate::cli) point_in_time_recovery: bool,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Which stores.
#[derive(Debug, Args)]
pub(in crate::cli) struct StoreArgs {
    #[command(flatten)]
    pub(in crate::cli) source: RunSource,
    /// Store instead of publish.targets (repeatable)
    #[arg(long, value_name = "TARGET")]
    pub(in crate::cli) target: Vec<String>,
    /// The SQLite file
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) sqlite: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PublishCommand {
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
