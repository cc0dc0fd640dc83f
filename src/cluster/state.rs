//! How a run on a cluster is: the states of its steps and of the cluster, and what they come to.

use serde::Serialize;

/// State of a step, as EMR names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StepState {
    /// Not begun.
    Pending,
    /// To be cancelled.
    CancelPending,
    /// Under way.
    Running,
    /// Done.
    Completed,
    /// Cancelled before it was done.
    Cancelled,
    /// Ended with an error.
    Failed,
    /// Ended because the cluster did.
    Interrupted,
    /// A state that this program does not know.
    Unknown,
}

/// State of a cluster, as EMR names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClusterState {
    /// Instances are being started.
    Starting,
    /// Bootstrap scripts run.
    Bootstrapping,
    /// A step runs.
    Running,
    /// Idle.
    Waiting,
    /// Being shut down.
    Terminating,
    /// Shut down.
    Terminated,
    /// Shut down because something failed.
    TerminatedWithErrors,
    /// A state that this program does not know.
    Unknown,
}

impl StepState {
    /// From EMR's name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "PENDING" => Self::Pending,
            "CANCEL_PENDING" => Self::CancelPending,
            "RUNNING" => Self::Running,
            "COMPLETED" => Self::Completed,
            "CANCELLED" => Self::Cancelled,
            "FAILED" => Self::Failed,
            "INTERRUPTED" => Self::Interrupted,
            _ => Self::Unknown,
        }
    }

    /// EMR's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::CancelPending => "CANCEL_PENDING",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Cancelled => "CANCELLED",
            Self::Failed => "FAILED",
            Self::Interrupted => "INTERRUPTED",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// Whether it will change no more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Failed | Self::Interrupted)
    }
}

impl ClusterState {
    /// From EMR's name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "STARTING" => Self::Starting,
            "BOOTSTRAPPING" => Self::Bootstrapping,
            "RUNNING" => Self::Running,
            "WAITING" => Self::Waiting,
            "TERMINATING" => Self::Terminating,
            "TERMINATED" => Self::Terminated,
            "TERMINATED_WITH_ERRORS" => Self::TerminatedWithErrors,
            _ => Self::Unknown,
        }
    }

    /// EMR's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "STARTING",
            Self::Bootstrapping => "BOOTSTRAPPING",
            Self::Running => "RUNNING",
            Self::Waiting => "WAITING",
            Self::Terminating => "TERMINATING",
            Self::Terminated => "TERMINATED",
            Self::TerminatedWithErrors => "TERMINATED_WITH_ERRORS",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// Whether it runs no step any more.
    #[must_use]
    pub fn is_ending(self) -> bool {
        matches!(self, Self::Terminating | Self::Terminated | Self::TerminatedWithErrors)
    }
}

/// A step of a run, as it is now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// `aggregate`, ...
    pub name: String,
    /// EMR's id.
    pub id: String,
    /// State.
    pub state: StepState,
    /// Why it is in that state, where EMR says so.
    pub reason: Option<String>,
    /// Seconds that it took, or has taken.
    pub seconds: Option<f64>,
    /// Buckets done and buckets in all, where the step works on buckets and has begun.
    pub buckets: Option<(u64, u64)>,
}

/// A run, as it is now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The run.
    pub run: String,
    /// The cluster's id.
    pub cluster: String,
    /// State of the cluster.
    pub cluster_state: ClusterState,
    /// Why it is in that state, where EMR says so.
    pub cluster_reason: Option<String>,
    /// Where its logs go.
    pub log_uri: Option<String>,
    /// The steps in order.
    pub steps: Vec<StepReport>,
    /// What that comes to.
    pub verdict: Verdict,
}

/// What the states come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Verdict {
    /// Under way, or about to be.
    Running,
    /// All steps are done.
    Done,
    /// A step failed.
    Failed {
        /// The first that did.
        step: String,
        /// What EMR says of it.
        reason: Option<String>,
    },
    /// It was cancelled.
    Cancelled,
    /// The cluster ended first.
    Terminated {
        /// What EMR says of it.
        reason: Option<String>,
    },
}

impl Verdict {
    /// Whether nothing will change any more.
    #[must_use]
    pub fn is_final(&self) -> bool {
        *self != Self::Running
    }
}

/// What the states of a cluster and of a run's steps, in order, come to. `cancelled`: somebody asked for its end.
///
/// The first failed step counts, whatever came after it: on a cluster that goes on after a failure the later steps fail for
/// want of its results.
#[must_use]
pub(super) fn verdict(
    cluster: ClusterState,
    cluster_reason: Option<&str>,
    steps: &[StepReport],
    cancelled: bool,
) -> Verdict {
    let is_in = |state: StepState| steps.iter().any(|step| step.state == state);
    if !steps.is_empty() && steps.iter().all(|step| step.state == StepState::Completed) {
        return Verdict::Done;
    }
    let is_over = cluster.is_ending() || steps.iter().all(|step| step.state.is_final());
    if cancelled {
        return if is_over { Verdict::Cancelled } else { Verdict::Running };
    }
    if let Some(failed) = steps.iter().find(|step| step.state == StepState::Failed) {
        return Verdict::Failed { step: failed.name.clone(), reason: failed.reason.clone() };
    }
    if cluster.is_ending() {
        return Verdict::Terminated { reason: cluster_reason.map(str::to_owned) };
    }
    if is_over && !steps.is_empty() {
        if is_in(StepState::Interrupted) {
            return Verdict::Terminated { reason: Some("a step was interrupted".into()) };
        }
        return Verdict::Cancelled;
    }
    Verdict::Running
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(states: &[StepState]) -> Vec<StepReport> {
        let step = |(at, &state): (usize, &StepState)| StepReport {
            name: format!("step-{at}"),
            id: format!("s-{at}"),
            state,
            reason: (state == StepState::Failed).then(|| "why".to_owned()),
            seconds: None,
            buckets: None,
        };
        states.iter().enumerate().map(step).collect()
    }

    #[test]
    fn states_come_to_a_verdict() {
        use ClusterState as C;
        use StepState as S;
        let of = |cluster, states: &[S]| verdict(cluster, Some("because"), &steps(states), false);
        assert_eq!(of(C::Starting, &[S::Pending, S::Pending]), Verdict::Running);
        assert_eq!(of(C::Running, &[S::Completed, S::Running]), Verdict::Running);
        assert_eq!(of(C::Terminating, &[S::Completed, S::Completed]), Verdict::Done);
        assert_eq!(of(C::TerminatedWithErrors, &[S::Completed, S::Completed]), Verdict::Done);
        let failed = |step: &str| Verdict::Failed { step: step.into(), reason: Some("why".into()) };
        assert_eq!(of(C::Running, &[S::Completed, S::Failed, S::Pending]), failed("step-1"));
        assert_eq!(of(C::TerminatedWithErrors, &[S::Failed, S::Cancelled]), failed("step-0"));
        assert_eq!(of(C::Waiting, &[S::Completed, S::Failed, S::Failed]), failed("step-1"));
        let ended = Verdict::Terminated { reason: Some("because".into()) };
        assert_eq!(of(C::Terminated, &[S::Completed, S::Cancelled]), ended);
        assert_eq!(of(C::Terminating, &[S::Interrupted, S::Pending]), ended);
        assert_eq!(of(C::Waiting, &[S::Completed, S::Cancelled]), Verdict::Cancelled);
        assert_eq!(of(C::Waiting, &[S::CancelPending, S::Cancelled]), Verdict::Running);
        assert_eq!(of(C::Running, &[]), Verdict::Running);
    }

    #[test]
    fn what_somebody_cancelled_is_cancelled_once_it_is_over() {
        use ClusterState as C;
        use StepState as S;
        let of = |cluster, states: &[S]| verdict(cluster, None, &steps(states), true);
        assert_eq!(of(C::Running, &[S::Running, S::Cancelled]), Verdict::Running);
        assert_eq!(of(C::Running, &[S::Failed, S::Cancelled]), Verdict::Cancelled);
        assert_eq!(of(C::Terminating, &[S::Running, S::Pending]), Verdict::Cancelled);
        assert_eq!(of(C::Terminated, &[S::Completed, S::Completed]), Verdict::Done);
    }

    #[test]
    fn names_come_back() {
        for name in ["PENDING", "CANCEL_PENDING", "RUNNING", "COMPLETED", "CANCELLED", "FAILED", "INTERRUPTED"] {
            assert_eq!(StepState::named(name).name(), name);
        }
        for name in
            ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS"]
        {
            assert_eq!(ClusterState::named(name).name(), name);
        }
        assert_eq!(StepState::named("PAUSED"), StepState::Unknown);
    }
}
