//! Errors as people and cron jobs see them.

use std::{io, process::ExitCode};

use crate::{
    cluster::ClusterError, config::ConfigError, pipeline::PipelineError, publish::PublishError, synth::SynthError,
};

/// Failed.
const FAILED: u8 = 1;
/// Usage or config.
pub(super) const USAGE: u8 = 2;
/// Refused by a quality gate, or too dear.
const REFUSED: u8 = 3;
/// Partly published; a rerun resumes.
const PARTLY: u8 = 4;
/// Superseded by a newer run.
const SUPERSEDED: u8 = 5;
/// A step of a run on a cluster failed.
const STEP_FAILED: u8 = 6;
/// A run on a cluster was cancelled.
const CANCELLED: u8 = 7;
/// A cluster ended before the run was done.
const TERMINATED: u8 = 8;
/// The wait for a run on a cluster was too long; it goes on.
const TIMED_OUT: u8 = 9;

/// Prints an error with its causes and a hint, and picks the exit code.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    // A reader that closed the pipe (`| head`) has what it wanted.
    let broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(broken_pipe) {
        return ExitCode::SUCCESS;
    }
    let mut said = error.to_string();
    let mut text = format!("error: {said}");
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Transparent errors repeat themselves.
        if !said.contains(&cause) {
            text.push_str("\n  because: ");
            text.push_str(&cause);
            said = cause;
        }
    }
    if let Some(hint) = hint(error) {
        text.push_str("\n  hint: ");
        text.push_str(&hint);
    }
    eprintln!("{text}");
    ExitCode::from(code(error))
}

fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(error) = error.downcast_ref::<PipelineError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<ClusterError>() {
        return error.hint();
    }
    error.downcast_ref::<ConfigError>().and_then(ConfigError::hint)
}

fn cluster(error: &anyhow::Error) -> Option<&ClusterError> {
    error.downcast_ref::<ClusterError>().or(match error.downcast_ref::<PipelineError>() {
        Some(PipelineError::Cluster(error)) => Some(error),
        _ => None,
    })
}

fn code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<ConfigError>().is_some() || matches!(error.downcast_ref(), Some(SynthError::Config(_))) {
        return USAGE;
    }
    let publish = error.downcast_ref::<PublishError>().or(match error.downcast_ref::<PipelineError>() {
        Some(PipelineError::Publish(error)) => Some(error),
        _ => None,
    });
    if let Some(error) = cluster(error) {
        return match error {
            ClusterError::Config(_) | ClusterError::Steps { .. } => USAGE,
            ClusterError::StepFailed { .. } => STEP_FAILED,
            ClusterError::Cancelled { .. } => CANCELLED,
            ClusterError::Terminated { .. } => TERMINATED,
            ClusterError::TimedOut { .. } => TIMED_OUT,
            _ => FAILED,
        };
    }
    match (error.downcast_ref::<PipelineError>(), publish) {
        (Some(PipelineError::Config(_) | PipelineError::Space(_)), _) => USAGE,
        (Some(PipelineError::Rejected { .. } | PipelineError::TooDear { .. }), _) => REFUSED,
        (_, Some(PublishError::Superseded { .. })) => SUPERSEDED,
        (_, Some(PublishError::PartlyPublished { .. })) => PARTLY,
        _ => FAILED,
    }
}
