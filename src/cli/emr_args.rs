//! Arguments of `nightshelf emr`, as they are typed.

use clap::{Args, Subcommand};

use super::args::ConfigSource;

#[derive(Debug, Args)]
pub(super) struct EmrArgs {
    #[command(subcommand)]
    pub(super) command: EmrCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum EmrCommand {
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
pub(super) struct WaitArgs {
    /// Wait until the run is done, and tell of every step that begins or ends
    #[arg(long)]
    pub(super) wait: bool,
    /// Wait no longer than this, e.g. 90m or 6h (exit code 9; the run goes on)
    #[arg(long, value_name = "TIME", requires = "wait")]
    pub(super) timeout: Option<jiff::SignedDuration>,
}

#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    #[command(flatten)]
    pub(super) source: ConfigSource,
    /// Name of the run; by default the time. A cron job gives one, so that it may be repeated: --run "$(date +%F)"
    #[arg(long, value_name = "NAME")]
    pub(super) run: Option<String>,
    /// Instant that ages are counted from, as `build --as-of` has it
    #[arg(long, value_name = "INSTANT")]
    pub(super) as_of: Option<String>,
    /// Running cluster to submit to (instead of emr.cluster)
    #[arg(long, value_name = "ID", conflicts_with = "create")]
    pub(super) cluster: Option<String>,
    /// Make a cluster for the run, as emr.create says; it ends with the run
    #[arg(long)]
    pub(super) create: bool,
    /// Print the request that would be sent, and send nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print what the run would take on a cluster of its own (hours, dollars), and send nothing
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) plan: bool,
    /// With --plan: events; by default those of the newest run, like users and items
    #[arg(long, requires = "plan")]
    pub(super) events: Option<u64>,
    /// With --plan: users
    #[arg(long, requires = "plan")]
    pub(super) users: Option<u64>,
    /// With --plan: items
    #[arg(long, requires = "plan")]
    pub(super) items: Option<u64>,
    #[command(flatten)]
    pub(super) wait: WaitArgs,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub(super) source: ConfigSource,
    /// Run to ask about; without it, all that were submitted are listed
    #[arg(long, value_name = "NAME", required_if_eq("wait", "true"))]
    pub(super) run: Option<String>,
    #[command(flatten)]
    pub(super) wait: WaitArgs,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    #[command(flatten)]
    pub(super) source: ConfigSource,
    /// Run to ask about
    #[arg(long, value_name = "NAME")]
    pub(super) run: String,
    /// Step, e.g. aggregate; by default the one that failed
    #[arg(long, value_name = "STEP")]
    pub(super) step: Option<String>,
    /// Last lines to show where the log names no error
    #[arg(short, long, default_value_t = 40)]
    pub(super) n: usize,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    #[command(flatten)]
    pub(super) source: ConfigSource,
    /// Run to end
    #[arg(long, value_name = "NAME")]
    pub(super) run: String,
}
