//! Arguments of `nightshelf emr`, as they are typed.

use clap::{Args, Subcommand};

use super::ConfigSource;

#[derive(Debug, Args)]
pub(in crate::cli) struct EmrArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: EmrCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum EmrCommand {
    /// Submit a build as steps of a cluster; the same run again finds what is there
    Submit(Box<SubmitArgs>),
    /// Show how a run is doing, or list what was submitted
    Status(StatusArgs),
    /// Show why a run failed: the lines that matter of the failed step's log
    Logs(LogsArgs),
    /// End a run: its own cluster, or its steps on a shared one
    Cancel(CancelArgs),
}

/// How long to wait.
#[derive(Debug, Args)]
pub(in crate::cli) struct WaitArgs {
    /// Wait until the run is done, and tell of every step that begins or ends
    #[arg(long)]
    pub(in crate::cli) wait: bool,
    /// Wait no longer than this, e.g. 90m or 6h (exit code 9; the run goes on)
    #[arg(long, value_name = "TIME", requires = "wait")]
    pub(in crate::cli) timeout: Option<jiff::SignedDuration>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SubmitArgs {
    #[command(flatten)]
    pub(in crate::cli) source: ConfigSource,
    /// Name of the run; by default the time. A cron job gives one, so that it may be repeated: --run "$(date +%F)"
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) run: Option<String>,
    /// Instant that ages are counted from, as `build --as-of` has it
    #[arg(long, value_name = "INSTANT")]
    pub(in crate::cli) as_of: Option<String>,
    /// Running cluster to submit to (instead of emr.cluster)
    #[arg(long, value_name = "ID", conflicts_with = "create")]
    pub(in crate::cli) cluster: Option<String>,
    /// Make a cluster for the run, as emr.create says; it ends with the run
    #[arg(long)]
    pub(in crate::cli) create: bool,
    /// Print the request that would be sent, and send nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Print what the run would take on a cluster of its own (hours, dollars), and send nothing
    #[arg(long, conflicts_with = "dry_run")]
    pub(in crate::cli) plan: bool,
    /// With --plan: events; by default those of the newest run, like users and items
    #[arg(long, requires = "plan")]
    pub(in crate::cli) events: Option<u64>,
    /// With --plan: users
    #[arg(long, requires = "plan")]
    pub(in crate::cli) users: Option<u64>,
    /// With --plan: items
    #[arg(long, requires = "plan")]
    pub(in crate::cli) items: Option<u64>,
    #[command(flatten)]
    pub(in crate::cli) wait: WaitArgs,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct StatusArgs {
    #[command(flatten)]
    pub(in crate::cli) source: ConfigSource,
    /// Run to ask about; without it, all that were submitted are listed
    #[arg(long, value_name = "NAME", required_if_eq("wait", "true"))]
    pub(in crate::cli) run: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) wait: WaitArgs,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct LogsArgs {
    #[command(flatten)]
    pub(in crate::cli) source: ConfigSource,
    /// Run to ask about
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) run: String,
    /// Step, e.g. aggregate; by default the one that failed
    #[arg(long, value_name = "STEP")]
    pub(in crate::cli) step: Option<String>,
    /// Last lines to show where the log names no error
    #[arg(short, long, default_value_t = 40)]
    pub(in crate::cli) n: usize,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CancelArgs {
    #[command(flatten)]
    pub(in crate::cli) source: ConfigSource,
    /// Run to end
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) run: String,
}
