//! The log of the step that failed, as EMR copied it to S3.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use serde::Serialize;

use super::{ClusterError, Report, StepReport, StepState, log_lines};
use crate::storage::Storage;

/// What a step left in its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepLog {
    /// The step.
    pub step: String,
    /// The object that was read.
    pub uri: String,
    /// The lines that matter.
    pub lines: Vec<String>,
    /// Spark applications that the log names; their containers' logs lie below `containers/`.
    pub applications: Vec<String>,
}

/// Reads the log of `step`, or of the first step that failed, or else of the last that began. `n_lines`: so many last lines
/// where the log names no error.
///
/// # Errors
/// No such step, no log place, no log yet; S3.
pub fn failed_step_log(
    report: &Report,
    step: Option<&str>,
    n_lines: usize,
    storage: &Storage,
) -> Result<StepLog, ClusterError> {
    let chosen = chosen(&report.steps, step).ok_or_else(|| {
        let names: Vec<&str> = report.steps.iter().map(|step| step.name.as_str()).collect();
        ClusterError::NoLog {
            step: step.unwrap_or("any").to_owned(),
            what: format!("the run's steps are {}", names.join(", ")),
        }
    })?;
    let no_log = |what: String| ClusterError::NoLog { step: chosen.name.clone(), what };
    let place = report.log_uri.as_deref().ok_or_else(|| no_log(format!("cluster {} keeps none", report.cluster)))?;
    // EMR says s3n:// of what was given as s3://.
    let place = place.replacen("s3n://", "s3://", 1);
    let folder = format!("{}/{}/steps/{}", place.trim_end_matches('/'), report.cluster, chosen.id);
    let prefix = storage.s3_prefix(&folder)?.ok_or_else(|| no_log(format!("{folder} is not on S3")))?;
    let mut found = Vec::new();
    // spark-submit passes its driver's last words on to stdout, other steps write theirs to stderr.
    for stream in ["stdout", "stderr", "controller"] {
        for (name, is_packed) in [(format!("{stream}.gz"), true), (stream.to_owned(), false)] {
            if let Some(there) = prefix.get(&name)? {
                let text = if is_packed { unpacked(&there.bytes) } else { there.bytes.to_vec() };
                found.push((prefix.uri(&name), String::from_utf8_lossy(&text).into_owned()));
                break;
            }
        }
    }
    let named = found.iter().find(|(_, text)| log_lines::names_an_error(text));
    let by_stream = |end: &str| found.iter().find(|(uri, text)| uri.contains(end) && !text.is_empty());
    let best = named.or_else(|| by_stream("/stderr")).or_else(|| by_stream("/stdout")).or_else(|| found.first());
    let (uri, text) = best.ok_or_else(|| no_log(format!("there is nothing in {folder}")))?;
    let all: Vec<&str> = found.iter().map(|(_, text)| text.as_str()).collect();
    Ok(StepLog {
        step: chosen.name.clone(),
        uri: uri.clone(),
        lines: log_lines::relevant(text, n_lines),
        applications: log_lines::applications(&all.join("\n")),
    })
}

fn chosen<'a>(steps: &'a [StepReport], name: Option<&str>) -> Option<&'a StepReport> {
    if let Some(name) = name {
        return steps.iter().find(|step| step.name == name || step.id == name);
    }
    let failed = steps.iter().find(|step| step.state == StepState::Failed);
    failed.or_else(|| steps.iter().rev().find(|step| !matches!(step.state, StepState::Pending | StepState::Cancelled)))
}

/// What can be unpacked: a log that is still being copied may end early.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    if let Err(error) = MultiGzDecoder::new(bytes).read_to_end(&mut text) {
        tracing::warn!(%error, "the log is not whole");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn step(name: &str, state: StepState) -> StepReport {
        StepReport { name: name.into(), id: format!("s-{name}"), state, reason: None, seconds: None, buckets: None }
    }

    #[test]
    fn the_step_that_failed_is_chosen() {
        use StepState as S;
        let steps = [
            step("plan", S::Completed),
            step("shuffle", S::Failed),
            step("survey", S::Failed),
            step("seal", S::Pending),
        ];
        assert_eq!(chosen(&steps, None).unwrap().name, "shuffle");
        assert_eq!(chosen(&steps, Some("s-seal")).unwrap().name, "seal");
        assert_eq!(chosen(&steps, Some("nothing")), None);
        assert_eq!(chosen(&[step("plan", S::Running), step("shuffle", S::Pending)], None).unwrap().name, "plan");
    }

    #[test]
    fn a_log_that_breaks_off_is_read_as_far_as_it_goes() {
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        let text: String = (0..5_000).map(|n| format!("line {n} {}\n", n * 7_919 % 1_000)).collect();
        packer.write_all(text.as_bytes()).unwrap();
        let bytes = packer.finish().unwrap();
        assert_eq!(unpacked(&bytes), text.as_bytes());
        let part = unpacked(&bytes[..bytes.len() / 2]);
        assert!(!part.is_empty() && text.as_bytes().starts_with(&part));
    }
}
