//! Errors as people and cron jobs see them.

use std::{io, process::ExitCode};

use crate::{config::ConfigError, pipeline::PipelineError, publish::PublishError, synth::SynthError};

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
    error.downcast_ref::<ConfigError>().and_then(ConfigError::hint)
}

fn code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<ConfigError>().is_some() || matches!(error.downcast_ref(), Some(SynthError::Config(_))) {
        return USAGE;
    }
    let publish = error.downcast_ref::<PublishError>().or(match error.downcast_ref::<PipelineError>() {
        Some(PipelineError::Publish(error)) => Some(error),
        _ => None,
    });
    match (error.downcast_ref::<PipelineError>(), publish) {
        (Some(PipelineError::Config(_) | PipelineError::Space(_)), _) => USAGE,
        (Some(PipelineError::Rejected { .. } | PipelineError::TooDear { .. }), _) => REFUSED,
        (_, Some(PublishError::Superseded { .. })) => SUPERSEDED,
        (_, Some(PublishError::PartlyPublished { .. })) => PARTLY,
        _ => FAILED,
    }
}
