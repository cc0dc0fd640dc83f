//! A run directory into the stores that others read.

use serde::Serialize;

use crate::{
    artifacts::{ArtifactError, Run},
    publish::{Committed, Expected, PublishConfig, PublishError, RunHeader, Sink, SqliteSink, Target},
    recommendations::ListKind,
};

use super::{Observer, PipelineError};

/// A run that a store serves now.
#[derive(Debug, Clone, Serialize)]
pub struct Published {
    /// `sqlite`.
    pub target: &'static str,
    /// The store's place.
    pub place: String,
    /// What readers see.
    #[serde(flatten)]
    pub committed: Committed,
    /// Seconds it took.
    pub seconds: f64,
}

/// Publishes a run to every configured store, in their order.
///
/// # Errors
/// The first store that fails; its readers still see what they saw before, and the stores before it serve the run.
pub fn publish(run: &Run, config: &PublishConfig, on: &dyn Observer) -> Result<Vec<Published>, PipelineError> {
    config.targets.iter().map(|target| publish_to(run, *target, config, on)).collect()
}

fn publish_to(
    run: &Run,
    target: Target,
    config: &PublishConfig,
    on: &dyn Observer,
) -> Result<Published, PipelineError> {
    let start = std::time::Instant::now();
    let (mut sink, target, place, keep) = match target {
        Target::Sqlite => {
            let path = &config.sqlite.path;
            (SqliteSink::open(path.as_ref())?, "sqlite", path.clone(), config.sqlite.keep)
        }
    };
    let n_lists = ListKind::ALL.iter().flat_map(|kind| run.files_in(kind.name())).filter_map(|file| file.rows).sum();
    on.begin(&format!("publish to {target}"), Some(n_lists), "lists");
    let header = RunHeader { run: run.name().to_owned(), content_sha256: run.manifest().content_sha256.clone() };
    sink.begin(&header)?;
    let written = write_all(run, &mut sink, on).and_then(|expected| {
        sink.verify(&expected)?;
        Ok(sink.commit()?)
    });
    let committed = match written {
        Ok(committed) => committed,
        Err(error) => {
            // The first error is the one to tell; what an abort cannot remove, the next publish will.
            if let Err(abort) = sink.abort() {
                tracing::warn!(%abort, "rows of the failed publish stay until the next one");
            }
            return Err(error);
        }
    };
    if let Err(error) = sink.drop_old(keep) {
        tracing::warn!(%error, "old runs could not be removed; the next publish tries again");
    }
    on.end();
    Ok(Published { target, place, committed, seconds: start.elapsed().as_secs_f64() })
}

/// Reads the run's lists file by file and writes them.
fn write_all(run: &Run, sink: &mut dyn Sink, on: &dyn Observer) -> Result<Expected, PipelineError> {
    let mut expected = Expected::new();
    for kind in ListKind::ALL {
        for file in run.files_in(kind.name()) {
            let mut n_lists = 0;
            let mut reader = run.list_reader(kind, &file.path)?;
            while let Some(table) = reader.next()? {
                let tally = sink.write(kind, &table.batch())?;
                n_lists += tally.n_lists;
                expected.entry(kind).or_default().merge(&tally);
                on.advance(tally.n_lists);
            }
            if Some(n_lists) != file.rows {
                let reason = format!("{n_lists} lists were read, the manifest says {}", file.rows.unwrap_or(0));
                return Err(ArtifactError::Damaged { path: run.path().join(&file.path), reason }.into());
            }
        }
    }
    Ok(expected)
}

/// The store that a config's target names, for questions about it.
///
/// # Errors
/// When it cannot be opened.
pub fn sqlite_sink(config: &PublishConfig) -> Result<SqliteSink, PublishError> {
    SqliteSink::open(config.sqlite.path.as_ref())
}
