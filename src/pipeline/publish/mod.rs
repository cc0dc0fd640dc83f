//! A run directory into the stores that others read.

mod stores;
mod tables;
mod write;

use std::path::Path;

use serde::Serialize;

use crate::{
    artifacts::{Run, list_runs},
    publish::{
        Committed, DynamoSink, EstimateSummary, Expected, PublishConfig, PublishError, RunHeader, Sink, Tally, Target,
    },
};

use super::{Observer, PipelineError};
pub use stores::{Store, migrate_store, open_store};
use write::{expected_of, write_all};

/// A run that a store serves now.
#[derive(Debug, Clone, Serialize)]
pub struct Published {
    /// `sqlite`, `dynamodb`, ...
    pub target: &'static str,
    /// The store's place.
    pub place: String,
    /// What readers see.
    #[serde(flatten)]
    pub committed: Committed,
    /// Seconds it took.
    pub seconds: f64,
}

/// Publishes a run to every configured store, in their order; `runs_root` holds earlier runs, whose differences from this
/// one a store may ask for.
///
/// Returns: the stores that serve the run now, and the failure of the first that does not; its readers still see what
/// they saw before, and the stores after it were not tried.
pub fn publish(
    run: &Run,
    runs_root: &Path,
    config: &PublishConfig,
    on: &dyn Observer,
) -> (Vec<Published>, Result<(), PipelineError>) {
    let mut done = Vec::new();
    // Without earlier runs everything is written: no reason to fail.
    let others = list_runs(runs_root).map(|listing| listing.runs).unwrap_or_default();
    for target in &config.targets {
        match publish_to(run, &others, *target, config, on) {
            Ok(published) => done.push(published),
            Err(error) => return (done, Err(error)),
        }
    }
    (done, Ok(()))
}

fn publish_to(
    run: &Run,
    others: &[Run],
    target: Target,
    config: &PublishConfig,
    on: &dyn Observer,
) -> Result<Published, PipelineError> {
    let start = std::time::Instant::now();
    let Store { mut sink, place, keep } = open_store(target, config)?;
    let n_rows = sink.sections().iter().flat_map(|section| run.files_in(section.name())).filter_map(|file| file.rows);
    on.begin(&format!("publish to {}", target.name()), Some(n_rows.sum()), "rows");
    let committed = publish_into(run, others, sink.as_mut(), on)?;
    if let Err(error) = sink.drop_old(keep) {
        tracing::warn!(%error, "old runs could not be removed; the next publish tries again");
    }
    on.end();
    Ok(Published { target: target.name(), place, committed, seconds: start.elapsed().as_secs_f64() })
}

/// The protocol: begin, write, verify, commit.
///
/// # Errors
/// What the first failing step says; then readers see what they saw before.
pub fn publish_into(
    run: &Run,
    others: &[Run],
    sink: &mut dyn Sink,
    on: &dyn Observer,
) -> Result<Committed, PipelineError> {
    let base = begin(run, others, sink)?;
    let written = write_all(run, base, sink, on).and_then(|expected| {
        sink.verify(&expected)?;
        Ok(sink.commit()?)
    });
    written.inspect_err(|error| {
        // What a rerun resumes stays.
        if matches!(error, PipelineError::Publish(PublishError::PartlyPublished { .. })) {
            return;
        }
        // The first error is the one to tell; what an abort cannot remove, the next publish will.
        if let Err(abort) = sink.abort() {
            tracing::warn!(%abort, "rows of the failed publish stay until the next one");
        }
    })
}

/// Returns: the run whose rows the store has, when it wants to hear of differences only.
fn begin<'r>(run: &Run, others: &'r [Run], sink: &mut dyn Sink) -> Result<Option<&'r Run>, PipelineError> {
    let n_buckets = run.manifest().content.n_buckets;
    // Lists of users lie in one file a bucket: runs with other buckets are not compared.
    let comparable = others.iter().filter(|other| other.manifest().content.n_buckets == n_buckets);
    let header = RunHeader {
        run: run.name().to_owned(),
        content_sha256: run.manifest().content_sha256.clone(),
        at_hand: comparable.map(|other| other.manifest().content_sha256.clone()).collect(),
    };
    let begun = sink.begin(&header)?;
    Ok(begun.base.and_then(|hash| others.iter().find(|other| other.manifest().content_sha256 == hash)))
}

/// What publishing a run to DynamoDB would write and cost; writes nothing.
///
/// # Errors
/// When the run or the ledger cannot be read.
///
/// Cost: reading and encoding the run, and the run that differences are taken from.
pub fn plan(
    run: &Run,
    runs_root: &Path,
    config: &PublishConfig,
    on: &dyn Observer,
) -> Result<EstimateSummary, PipelineError> {
    let mut sink = DynamoSink::dry(&config.dynamodb)?;
    let others = list_runs(runs_root).map(|listing| listing.runs).unwrap_or_default();
    on.begin("plan", None, "rows");
    let base = begin(run, &others, &mut sink)?;
    write_all(run, base, &mut sink, on)?;
    on.end();
    Ok(sink.estimate().map(|estimate| estimate.summary(&config.dynamodb)).expect("a dry sink that has begun estimates"))
}

/// Makes the DynamoDB table where it is not there, and turns on what an existing one lacks.
///
/// # Errors
/// When AWS refuses, or a table of the name has other keys.
pub fn create_tables(config: &PublishConfig, point_in_time_recovery: bool) -> Result<(), PipelineError> {
    Ok(DynamoSink::create(&config.dynamodb, point_in_time_recovery).map(drop)?)
}

/// What a store shows, against what it should show.
#[derive(Debug, Clone, Serialize)]
pub struct Audit {
    /// `sqlite`, `dynamodb`, ...
    pub target: &'static str,
    /// The store's place.
    pub place: String,
    /// By section: what the run holds.
    pub expected: Expected,
    /// By section: what readers see.
    pub found: Expected,
}

impl Audit {
    /// Whether readers see the run, all of it and nothing else.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.expected == self.found
    }
}

/// Reads everything that a store shows, and compares it with a run.
///
/// # Errors
/// When the store or the run cannot be read.
pub fn audit(run: &Run, target: Target, config: &PublishConfig) -> Result<Audit, PipelineError> {
    let Store { mut sink, place, .. } = open_store(target, config)?;
    let expected = expected_of(run, sink.as_ref())?;
    let mut found = sink.audit()?;
    found.retain(|_, tally| *tally != Tally::default());
    Ok(Audit { target: target.name(), place, expected, found })
}
