//! Reading a run's rows and handing them to a store.

use crate::{
    artifacts::{ArtifactError, FileEntry, Run},
    publish::{Expected, Rows, Section, Sink, Tally},
};

use super::{Observer, PipelineError};

/// Writes every section that the store takes, file by file.
///
/// Returns: what the store must hold now.
pub(super) fn write_all(
    run: &Run,
    _base: Option<&Run>,
    sink: &mut dyn Sink,
    on: &dyn Observer,
) -> Result<Expected, PipelineError> {
    let mut expected = Expected::new();
    for section in sink.sections().to_vec() {
        for file in run.files_in(section.name()) {
            for_each(run, section, file, |rows| {
                let tally = sink.write(rows)?;
                expected.entry(section).or_default().merge(&tally);
                on.advance(tally.n_lists);
                if let Some(note) = sink.note() {
                    on.note(&note);
                }
                Ok(tally.n_lists)
            })?;
        }
    }
    Ok(expected)
}

/// What a store should hold of a run, in the store's terms.
pub(super) fn expected_of(run: &Run, sink: &dyn Sink) -> Result<Expected, PipelineError> {
    let mut expected = Expected::new();
    for &section in sink.sections() {
        for file in run.files_in(section.name()) {
            for_each(run, section, file, |rows| {
                let tally = sink.tally(rows);
                expected.entry(section).or_default().merge(&tally);
                Ok(tally.n_lists)
            })?;
        }
    }
    expected.retain(|_, tally| *tally != Tally::default());
    Ok(expected)
}

/// Hands a file's rows to `each`, batch by batch; `each` returns how many it took.
fn for_each(
    run: &Run,
    section: Section,
    file: &FileEntry,
    mut each: impl FnMut(&Rows<'_>) -> Result<u64, PipelineError>,
) -> Result<(), PipelineError> {
    let mut n_rows = 0;
    match section.list_kind() {
        Some(kind) => {
            let mut reader = run.list_reader(kind, &file.path)?;
            while let Some(table) = reader.next()? {
                n_rows += each(&Rows::Lists(section, &table.batch()))?;
            }
        }
        None if section == Section::Campaigns => {
            let mut reader = run.member_reader(&file.path)?;
            while let Some(table) = reader.next()? {
                n_rows += each(&Rows::Members(&table.batch()))?;
            }
        }
        None => return Ok(()),
    }
    if Some(n_rows) == file.rows {
        return Ok(());
    }
    let reason = format!("{n_rows} rows were read, the manifest says {}", file.rows.unwrap_or(0));
    Err(ArtifactError::Damaged { path: run.path().join(&file.path), reason }.into())
}
