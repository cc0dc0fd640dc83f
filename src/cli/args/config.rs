//! Arguments of `nightshelf config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ConfigSource;

#[derive(Debug, Args)]
pub(in crate::cli) struct ConfigArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ConfigCommand {
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
