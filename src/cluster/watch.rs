//! How a submission is doing, and its end on request.

use super::{
    ClusterError, Report, StepReport, StepState,
    link::Emr,
    note::{Note, Submissions},
    state::verdict,
};
use crate::storage::S3Prefix;

/// Asks how a submission is. With its `work` location also how many buckets a running step has done.
///
/// # Errors
/// EMR or S3 do not answer; the cluster is forgotten.
pub fn report(emr: &Emr, note: &Note, work: Option<&S3Prefix>) -> Result<Report, ClusterError> {
    let cluster = note.cluster.as_deref().unwrap_or_default();
    let mut listed = emr.steps(cluster)?;
    let info = emr.describe(cluster)?;
    let is_step = |id: &str| note.steps.iter().any(|step| step.id == id);
    if info.state.is_ending() && listed.iter().any(|step| is_step(&step.id) && !step.state.is_final()) {
        // It ended between the two answers, perhaps because the last step was done.
        listed = emr.steps(cluster)?;
    }
    let now = jiff::Timestamp::now().as_millisecond() as f64 / 1e3;
    let mut steps = Vec::with_capacity(note.steps.len());
    for planned in &note.steps {
        let found = listed.iter().find(|step| step.id == planned.id);
        let state = found.map_or(StepState::Unknown, |step| step.state);
        let started = found.and_then(|step| step.started);
        let ended = found.and_then(|step| step.ended).or((state == StepState::Running).then_some(now));
        let buckets = match (work, &planned.counts, state) {
            (Some(work), Some(stage), StepState::Running | StepState::Completed | StepState::Failed) => {
                Some((done_tasks(work, stage)?, planned.n_tasks.unwrap_or(note.n_buckets)))
            }
            _ => None,
        };
        steps.push(StepReport {
            name: planned.name.clone(),
            id: planned.id.clone(),
            state,
            reason: found.and_then(|step| step.reason.clone()),
            seconds: started.zip(ended).map(|(started, ended)| (ended - started).max(0.0)),
            buckets,
        });
    }
    let verdict = verdict(info.state, info.reason.as_deref(), &steps, note.cancelled);
    Ok(Report {
        run: note.run.clone(),
        cluster: cluster.to_owned(),
        cluster_state: info.state,
        cluster_reason: info.reason,
        log_uri: info.log_uri,
        steps,
        verdict,
    })
}

/// Tasks of a stage, a bucket or a part each, whose result is complete.
fn done_tasks(work: &S3Prefix, stage: &str) -> Result<u64, ClusterError> {
    let objects = work.join(stage).objects()?;
    let is_task = |path: &str| path.starts_with("bucket-") || path.starts_with("part-");
    let is_done = |path: &str| is_task(path) && path.ends_with("/done.json");
    Ok(objects.iter().filter(|(path, _)| is_done(path)).count() as u64)
}

/// What a cancellation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelled {
    /// The run had ended before.
    TooLate,
    /// Its cluster ends.
    Cluster(String),
    /// So many steps end.
    Steps(usize),
}

/// Ends a run: its own cluster, or its steps on a shared one. May be repeated.
///
/// # Errors
/// EMR or S3 refuse or do not answer; a step that EMR will not cancel.
pub fn cancel(emr: &Emr, notes: &Submissions, run: &str) -> Result<Cancelled, ClusterError> {
    let now = report(emr, &notes.find(run)?, None)?;
    if now.verdict.is_final() {
        return Ok(Cancelled::TooLate);
    }
    // Noted first, so that what follows is not taken for a failure.
    loop {
        let Some(read) = notes.read(run)? else { break };
        let mut note = read.note;
        note.cancelled = true;
        if notes.replace(&mut note, &read.etag)?.is_some() {
            break;
        }
    }
    let note = notes.find(run)?;
    if note.own_cluster {
        emr.terminate(&now.cluster)?;
        return Ok(Cancelled::Cluster(now.cluster));
    }
    let ids: Vec<String> = now.steps.iter().filter(|step| !step.state.is_final()).map(|step| step.id.clone()).collect();
    let refused = emr.cancel_steps(&now.cluster, &ids)?;
    if let Some(reason) = refused.first() {
        // A step that ended meanwhile is not worth an error.
        let later = report(emr, &note, None)?;
        if !later.verdict.is_final() && later.steps.iter().any(|step| step.state == StepState::Running) {
            return Err(ClusterError::Muddle {
                run: run.to_owned(),
                what: format!("EMR cancels not all steps: {reason}"),
            });
        }
    }
    Ok(Cancelled::Steps(ids.len() - refused.len()))
}
