//! What can go wrong between here and a finished build on a cluster.

use crate::storage::StorageError;

/// Failure of a submission, of a question about one, or of what was submitted.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A value of the config does not suit.
    #[error("{0}")]
    Config(String),
    /// The step definitions cannot be used.
    #[error("cannot use the step definitions of {origin}: {what}")]
    Steps {
        /// The file, or that they are the program's own.
        origin: String,
        /// What is wrong.
        what: String,
    },
    /// A file to upload cannot be read, or is not what a cluster can run.
    #[error("cannot upload {path}: {what}")]
    Asset {
        /// The file.
        path: String,
        /// Why.
        what: String,
    },
    /// Credentials, region or permission are missing, or the cluster is not there.
    #[error("EMR: {what}")]
    NotReady {
        /// What is missing.
        what: String,
        /// What helps.
        hint: String,
        /// The service's answer, where there was one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// EMR refuses a request for good.
    #[error("EMR refuses to {doing}")]
    Refused {
        /// The request, in words.
        doing: String,
        /// The service's answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// EMR did not answer, or was busy, until patience ran out.
    #[error("gave up trying to {doing}")]
    GaveUp {
        /// The request, in words.
        doing: String,
        /// The last answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The cluster has as many steps as EMR allows.
    #[error("cluster {cluster} has no room for {wanted} more steps: EMR takes 256 pending and running ones")]
    Full {
        /// The cluster.
        cluster: String,
        /// Steps of the submission.
        wanted: usize,
        /// The service's answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A step's arguments are longer than EMR takes.
    #[error("step {step} has {length} characters of arguments, EMR takes {limit}")]
    TooLong {
        /// The step.
        step: String,
        /// Its characters.
        length: usize,
        /// The most that are taken.
        limit: usize,
    },
    /// The run is submitted already, with other settings.
    #[error("run {run} is submitted already, with another config, program or place")]
    Differs {
        /// The run.
        run: String,
        /// Where it runs.
        cluster: String,
    },
    /// Another process has been submitting this run for so long that this one stops waiting.
    #[error("run {run} is being submitted by {holder}")]
    Busy {
        /// The run.
        run: String,
        /// Who.
        holder: String,
    },
    /// More than one submission of the run was found, or only parts of one.
    #[error("run {run}: {what}")]
    Muddle {
        /// The run.
        run: String,
        /// What was found.
        what: String,
    },
    /// Nothing of that name was submitted.
    #[error("no run {run} was submitted from {place}")]
    Unknown {
        /// The run.
        run: String,
        /// Where submissions are noted.
        place: String,
    },
    /// There is no log yet, or none is kept.
    #[error("there is no log of step {step}: {what}")]
    NoLog {
        /// The step.
        step: String,
        /// Why.
        what: String,
    },
    /// A step of the run failed (exit code 6).
    #[error("step {step} of run {run} failed{}", said(reason))]
    StepFailed {
        /// The run.
        run: String,
        /// The step.
        step: String,
        /// What EMR says of it.
        reason: Option<String>,
    },
    /// The run was cancelled (exit code 7).
    #[error("run {run} was cancelled")]
    Cancelled {
        /// The run.
        run: String,
    },
    /// The cluster ended before the run did (exit code 8).
    #[error("cluster {cluster} ended before run {run} was done{}", said(reason))]
    Terminated {
        /// The run.
        run: String,
        /// The cluster.
        cluster: String,
        /// What EMR says of it.
        reason: Option<String>,
    },
    /// The run was not done when the time was up; it goes on (exit code 9).
    #[error("run {run} is not done after {seconds} s; it goes on")]
    TimedOut {
        /// The run.
        run: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// S3 did not do what was asked of it.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

fn said(reason: &Option<String>) -> String {
    reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"))
}

impl ClusterError {
    /// What the reader of the message can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotReady { hint, .. } => Some(hint.clone()),
            Self::GaveUp { .. } => {
                Some("the same command again looks for what is there first, and submits only what is not".into())
            }
            Self::Differs { cluster, .. } => Some(format!(
                "wait for it, `nightshelf emr cancel` it (it runs on {cluster}), or give this one another --run"
            )),
            Self::Busy { .. } => {
                Some("the same command again, a few minutes later, takes over if that process is dead".into())
            }
            Self::Muddle { .. } => {
                Some("look at the cluster in EMR's console; steps may run twice without harm to the run".into())
            }
            Self::Unknown { .. } => {
                Some("`nightshelf emr status` lists what was submitted; emr.work names another place".into())
            }
            Self::StepFailed { run, .. } | Self::Terminated { run, .. } => Some(format!(
                "`nightshelf emr logs --run {run}` shows why; `emr submit --run {run}` goes on where it stopped"
            )),
            Self::TimedOut { run, .. } => Some(format!("`nightshelf emr status --run {run} --wait` goes on waiting")),
            Self::NoLog { .. } => {
                Some("EMR copies logs to emr.create.log_uri every five minutes, and when a cluster ends".into())
            }
            Self::Full { .. } => Some("wait for some to end, or submit with --create".into()),
            Self::Storage(error) => error.hint().map(str::to_owned),
            _ => None,
        }
    }
}
