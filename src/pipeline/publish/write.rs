//! Reading a run's rows and handing them to a store: all of them, or what differs from another run.

use std::collections::BTreeMap;

use crate::{
    artifacts::{ArtifactError, FileEntry, Run},
    publish::{Expected, PublishError, Rows, Section, Sink, Tally},
};

use super::{
    Observer, PipelineError,
    tables::{Table, TableReader},
};

/// Writes every section that the store takes, file by file; with a `base`, whose rows the store holds, tells it which rows
/// are new or different, which are the same, and which keys are gone.
///
/// Returns: what the store must hold now.
pub(super) fn write_all(
    run: &Run,
    base: Option<&Run>,
    sink: &mut dyn Sink,
    on: &dyn Observer,
) -> Result<Expected, PipelineError> {
    let mut expected = Expected::new();
    for section in sink.sections().to_vec() {
        // Users of a bucket lie in files of one name in both runs, and each other section is one file.
        let mut files: BTreeMap<&str, (Option<&FileEntry>, Option<&FileEntry>)> = BTreeMap::new();
        for file in run.files_in(section.name()) {
            files.entry(&file.path).or_default().0 = Some(file);
        }
        for file in base.iter().flat_map(|base| base.files_in(section.name())) {
            files.entry(&file.path).or_default().1 = Some(file);
        }
        let mut count = |tally: Tally| {
            expected.entry(section).or_default().merge(&tally);
            on.advance(tally.n_lists);
        };
        for (file, base_file) in files.into_values() {
            let mut old = Cursor::new(base, section, base_file)?;
            if let Some(file) = file {
                for_each_table(run, section, file, |table| {
                    let n = write_table(table, section, &mut old, base.is_some(), sink, &mut count)?;
                    if let Some(note) = sink.note() {
                        on.note(&note);
                    }
                    Ok(n)
                })?;
            }
            let gone = old.rest()?;
            leave(sink, section, &gone)?;
        }
    }
    Ok(expected)
}

/// What a store should hold of a run, in the store's terms.
pub(super) fn expected_of(run: &Run, sink: &dyn Sink) -> Result<Expected, PipelineError> {
    let mut expected = Expected::new();
    for &section in sink.sections() {
        for file in run.files_in(section.name()) {
            for_each_table(run, section, file, |table| {
                let tally = table.with_rows(section, 0..table.len(), |rows| sink.tally(rows));
                expected.entry(section).or_default().merge(&tally);
                Ok(tally.n_lists)
            })?;
        }
    }
    expected.retain(|_, tally| *tally != Tally::default());
    Ok(expected)
}

/// Returns: how many rows were taken.
fn write_table(
    table: &Table,
    section: Section,
    old: &mut Cursor,
    has_base: bool,
    sink: &mut dyn Sink,
    count: &mut dyn FnMut(Tally),
) -> Result<u64, PipelineError> {
    let (mut changed, mut kept, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    if has_base {
        let with_scores = sink.shows_scores();
        for row in 0..table.len() {
            let is_same =
                old.find(table.key(row), &mut gone, |base, base_row| table.is_same(row, base, base_row, with_scores))?;
            if is_same { kept.push(row) } else { changed.push(row) }
        }
    } else {
        changed.extend(0..table.len());
    }
    leave(sink, section, &gone)?;
    let no_rows = || Ok(Tally::default());
    let written: Option<Result<Tally, PublishError>> =
        table.with_rows(section, changed.into_iter(), |rows: &Rows<'_>| Some(sink.write(rows)));
    let written = written.unwrap_or_else(no_rows)?;
    let same: Option<Result<Tally, PublishError>> =
        table.with_rows(section, kept.into_iter(), |rows: &Rows<'_>| Some(sink.keep(rows)));
    let same = same.unwrap_or_else(no_rows)?;
    let n_rows = written.n_lists + same.n_lists;
    count(written);
    count(same);
    Ok(n_rows)
}

fn leave(sink: &mut dyn Sink, section: Section, gone: &[String]) -> Result<(), PipelineError> {
    if !gone.is_empty() {
        let keys: Vec<&str> = gone.iter().map(String::as_str).collect();
        sink.leave(section, &keys)?;
    }
    Ok(())
}

/// A walk through a file of the base, keys ascending.
struct Cursor {
    reader: Option<TableReader>,
    table: Option<Table>,
    row: usize,
}

impl Cursor {
    fn new(base: Option<&Run>, section: Section, file: Option<&FileEntry>) -> Result<Self, ArtifactError> {
        let reader = match (base, file) {
            (Some(base), Some(file)) => TableReader::open(base, section, file)?,
            _ => None,
        };
        let mut cursor = Self { reader, table: None, row: 0 };
        cursor.load()?;
        Ok(cursor)
    }

    /// Makes sure that `row` is a row, unless the file is over.
    fn load(&mut self) -> Result<(), ArtifactError> {
        while self.table.as_ref().is_none_or(|table| self.row >= table.len()) {
            let Some(reader) = &mut self.reader else { return Ok(()) };
            self.row = 0;
            self.table = reader.next()?;
            if self.table.is_none() {
                self.reader = None;
            }
        }
        Ok(())
    }

    fn key(&self) -> Option<&str> {
        let table = self.table.as_ref()?;
        (self.row < table.len()).then(|| table.key(self.row))
    }

    fn step(&mut self) -> Result<(), ArtifactError> {
        self.row += 1;
        self.load()
    }

    /// Goes on to `key`; the keys on the way are gone. Returns what `is_same` says of the row, `false` when there is none.
    fn find(
        &mut self,
        key: &str,
        gone: &mut Vec<String>,
        is_same: impl FnOnce(&Table, usize) -> bool,
    ) -> Result<bool, ArtifactError> {
        while let Some(old) = self.key().filter(|old| *old < key) {
            gone.push(old.to_owned());
            self.step()?;
        }
        if self.key() != Some(key) {
            return Ok(false);
        }
        let same = self.table.as_ref().is_some_and(|table| is_same(table, self.row));
        self.step()?;
        Ok(same)
    }

    /// The keys from here to the end.
    fn rest(mut self) -> Result<Vec<String>, ArtifactError> {
        let mut keys = Vec::new();
        while let Some(key) = self.key() {
            keys.push(key.to_owned());
            self.step()?;
        }
        Ok(keys)
    }
}

/// Hands a file's rows to `each`, batch by batch; `each` returns how many it took.
fn for_each_table(
    run: &Run,
    section: Section,
    file: &FileEntry,
    mut each: impl FnMut(&Table) -> Result<u64, PipelineError>,
) -> Result<(), PipelineError> {
    let mut n_rows = 0;
    let Some(mut reader) = TableReader::open(run, section, file)? else { return Ok(()) };
    while let Some(table) = reader.next()? {
        n_rows += each(&table)?;
    }
    if Some(n_rows) == file.rows {
        return Ok(());
    }
    let reason = format!("{n_rows} rows were read, the manifest says {}", file.rows.unwrap_or(0));
    Err(ArtifactError::Damaged { path: run.path().join(&file.path), reason }.into())
}
