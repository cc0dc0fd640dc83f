//! What can go wrong in a build or a question, with what to do about it.

use std::fmt::Write as _;

use thiserror::Error;

use crate::{
    artifacts::ArtifactError,
    campaigns::CampaignError,
    catalog::CatalogError,
    cluster::ClusterError,
    customers::CustomersError,
    events::{Counts, EventsError, Reason},
    exchange::ExchangeError,
    model::ModelError,
    publish::PublishError,
    recommendations::RecommendError,
    report::ReportError,
    storage::StorageError,
    tuning::SpaceError,
};

/// Why a pipeline stopped.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// The config.
    #[error("{0}")]
    Config(String),
    /// Reading events or orders.
    #[error(transparent)]
    Events(#[from] EventsError),
    /// Reading the catalogue.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Reading customers.
    #[error(transparent)]
    Customers(#[from] CustomersError),
    /// Reading bytes.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Training.
    #[error("training the model: {0}")]
    Model(#[from] ModelError),
    /// Recommending.
    #[error("making lists: {0}")]
    Recommend(#[from] RecommendError),
    /// Campaigns.
    #[error(transparent)]
    Campaign(#[from] CampaignError),
    /// The run directory.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A store.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The report page.
    #[error("drawing the report: {0}")]
    Report(#[from] ReportError),
    /// More rows were rejected than the config allows.
    #[error("{}", rejected_message(counts, *allowed))]
    Rejected {
        /// Rows by fate.
        counts: Box<Counts>,
        /// `events.max_rejected_ratio`.
        allowed: f64,
    },
    /// A build on a cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Files of other programs.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// A file that is no part of a run could not be written.
    #[error("writing {}", path.display())]
    Write {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Settings to search that the model does not have.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// A publish that would cost more than allowed.
    #[error("publishing {run} would cost ${dollars:.2} ({write_units} write units), --max-cost allows ${allowed:.2}")]
    TooDear {
        /// The run.
        run: String,
        /// US dollars.
        dollars: f64,
        /// Write units.
        write_units: u64,
        /// US dollars.
        allowed: f64,
    },
    /// Nobody can be tested.
    #[error("there is nothing to evaluate on: {0}")]
    NoTest(String),
    /// A work location whose plan cannot be worked by.
    #[error("cannot work by the plan {}: {reason}", path.display())]
    Plan {
        /// The plan.
        path: std::path::PathBuf,
        /// Why not.
        reason: String,
    },
    /// The rows or files of a distributed build are not those that it was planned with.
    #[error("{0}")]
    Shuffle(String),
    /// Nothing is left to learn from.
    #[error("nothing is left to build from: {0}")]
    Empty(String),
    /// The question names something that the run does not know.
    #[error("{what} `{id}` is unknown to run {run}")]
    Unknown {
        /// `user` or `item`.
        what: &'static str,
        /// The id asked for.
        id: String,
        /// The run asked.
        run: String,
        /// What to do.
        hint: String,
    },
}

impl PipelineError {
    /// What the reader of the message can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Events(error) => error.hint(),
            Self::Catalog(error) => error.hint().map(str::to_owned),
            Self::Customers(error) => error.hint(),
            Self::Storage(error) => error.hint().map(str::to_owned),
            Self::Cluster(error) => error.hint(),
            Self::Artifact(ArtifactError::RunExists { path, .. }) if path.starts_with("s3:") => {
                Some("give another name with --run, or remove what lies under that address, its manifest.json first".into())
            }
            Self::Artifact(ArtifactError::RunExists { .. }) => {
                Some("give another name with --run, or remove that directory".into())
            }
            Self::Artifact(ArtifactError::RunLocked { path, .. }) if path.starts_with("s3:") => Some(
                "that process gave a sign of life less than ten minutes ago; should it be dead, a build after that takes \
                 over"
                    .into(),
            ),
            Self::Artifact(ArtifactError::NotDone { .. }) => {
                Some("the stages go plan, shuffle, survey, merge survey, aggregate, train, recommend, seal".into())
            }
            Self::Plan { reason, .. } if reason == "there is none" => {
                Some("`nightshelf worker plan` makes it, before any other stage".into())
            }
            Self::Plan { .. } | Self::Shuffle(_) => Some(
                "every run needs a work location of its own, one config (files, variables and --set) in all stages, and \
                 inputs that stay as they are until it is sealed"
                    .into(),
            ),
            Self::Artifact(ArtifactError::Storage(error)) => error.hint().map(str::to_owned),
            Self::Artifact(ArtifactError::NoSuchRun { name, .. }) => Some(match name.as_str() {
                "latest" => "`nightshelf build` makes one; --runs names another directory of runs".into(),
                _ => "`nightshelf runs list` shows what is there; --runs names another directory of runs".into(),
            }),
            Self::Publish(PublishError::NotReady { hint, .. }) => Some(hint.clone()),
            Self::Publish(PublishError::PartlyPublished { .. }) => {
                Some("the same command again goes on where this one stopped; readers see the run before until then".into())
            }
            Self::TooDear { .. } => Some("`nightshelf publish --plan` shows what it is made of".into()),
            Self::Rejected { .. } => {
                Some("mend the input, or raise events.max_rejected_ratio if these rows are expected".into())
            }
            Self::Empty(_) => Some(
                "look at interactions.min_users_per_item, interactions.max_events_per_active_day, events.since, \
                 events.until and events.window_days"
                    .into(),
            ),
            Self::NoTest(_) => Some(
                "look at --test-types, --test-days, --folds and --repeats; users without a training history only: are the \
                 test's ids those of training?"
                    .into(),
            ),
            Self::Exchange(ExchangeError::Storage(error)) => error.hint().map(str::to_owned),
            Self::Unknown { hint, .. } => Some(hint.clone()),
            _ => None,
        }
    }
}

fn rejected_message(counts: &Counts, allowed: f64) -> String {
    let mut text = format!(
        "{} of {} rows are rejected ({:.2} %), events.max_rejected_ratio allows {:.2} %:",
        counts.n_rejected(),
        counts.rows,
        counts.rejected_ratio() * 100.0,
        allowed * 100.0
    );
    for reason in Reason::ALL {
        if let Some(n) = counts.rejected.get(reason.name()) {
            let _ = write!(text, "\n  {:<22} {n:>12}  {}", reason.name(), reason.advice());
        }
    }
    if !counts.unknown_types.is_empty() {
        let mut names: Vec<_> = counts.unknown_types.iter().collect();
        names.sort_by_key(|(name, n)| (std::cmp::Reverse(**n), (*name).clone()));
        let names: Vec<String> = names.iter().take(10).map(|(name, n)| format!("`{name}` ({n})")).collect();
        let _ = write!(text, "\n  unknown event types: {}", names.join(", "));
    }
    text
}
