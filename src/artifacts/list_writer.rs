//! Writing lists.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float32Array, ListArray, RecordBatch, StringArray, StructArray},
    buffer::{Buffer, OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, SchemaRef},
    error::ArrowError,
};

use crate::recommendations::ListBatch;

use super::{
    ArtifactError, FileEntry, HashingFile, ListKind,
    list_format::{entry_field, entry_fields},
    parquet_io::RowFile,
};

/// Lists handed to the Parquet encoder at once: bounds the copy that is made of the ids.
const CHUNK_LISTS: usize = 4_096;

/// Writes one file of lists whose keys ascend.
///
/// Determinism: the bytes depend on the lists alone, not on how they were dealt into batches.
/// Cost: about 40 ns an entry; 20 MB of memory a file.
#[derive(Debug)]
pub struct ListWriter {
    kind: ListKind,
    schema: SchemaRef,
    rows: RowFile,
    last_key: Option<String>,
}

impl ListWriter {
    /// Starts a file of lists.
    ///
    /// # Errors
    /// When the Parquet header cannot be written.
    pub fn create(file: HashingFile, kind: ListKind) -> Result<Self, ArtifactError> {
        let schema = Arc::new(kind.schema(&DataType::Utf8));
        let rows = RowFile::create(
            file,
            Arc::clone(&schema),
            kind.key_column(),
            &[&["items", "list", "item", "item_id"], &["source"]],
        )?;
        Ok(Self { kind, schema, rows, last_key: None })
    }

    /// Appends lists.
    ///
    /// # Errors
    /// When a key does not follow the one before it, a score is not a finite number (the key is named), or the disk
    /// refuses. The file cannot be used after an error.
    pub fn write(&mut self, lists: &ListBatch<'_>) -> Result<(), ArtifactError> {
        self.check(lists)?;
        for start in (0..lists.len()).step_by(CHUNK_LISTS) {
            let end = (start + CHUNK_LISTS).min(lists.len());
            let batch = self
                .encode(lists, start, end)
                .map_err(|error| ArtifactError::Encode { path: self.rows.path().to_owned(), source: error.into() })?;
            self.rows.write(&batch)?;
        }
        if let Some(&last) = lists.keys.last() {
            self.last_key = Some(last.to_owned());
        }
        Ok(())
    }

    /// Writes the footer and enters the file into its run.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(self) -> Result<FileEntry, ArtifactError> {
        self.rows.finish()
    }

    fn check(&self, lists: &ListBatch<'_>) -> Result<(), ArtifactError> {
        let refuse = |reason| Err(ArtifactError::BadRows { path: self.rows.path().to_owned(), reason });
        let column = self.kind.key_column();
        let mut last = self.last_key.as_deref();
        for list in lists.rows() {
            if last.is_some_and(|last| last >= list.key) {
                let last = last.unwrap_or_default();
                return refuse(format!("{column} `{}` does not come after `{last}`", list.key));
            }
            last = Some(list.key);
            if let Some(at) = list.scores.iter().position(|score| !score.is_finite()) {
                let (item, score) = (list.items[at], list.scores[at]);
                return refuse(format!("{column} `{}`: item `{item}` has the score {score}", list.key));
            }
        }
        Ok(())
    }

    fn encode(&self, lists: &ListBatch<'_>, start: usize, end: usize) -> Result<RecordBatch, ArrowError> {
        let entries = lists.offsets[start]..lists.offsets[end];
        let mut ends = Vec::with_capacity(end - start + 1);
        for &offset in &lists.offsets[start..=end] {
            ends.push(offset_of(offset - entries.start)?);
        }
        let item_ids = strings(&lists.items[entries.clone()])?;
        let scores: ArrayRef = Arc::new(Float32Array::from_iter_values(lists.scores[entries].iter().copied()));
        let structs = StructArray::try_new(entry_fields(&DataType::Utf8), vec![item_ids, scores], None)?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        let items = ListArray::try_new(entry_field(&DataType::Utf8), offsets, Arc::new(structs), None)?;
        let mut columns: Vec<ArrayRef> = vec![strings(&lists.keys[start..end])?, Arc::new(items)];
        if self.kind.has_source() {
            columns.push(if lists.sources.is_empty() {
                strings(&vec![""; end - start])?
            } else {
                strings(&lists.sources[start..end])?
            });
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

/// A string column. Built by hand: the builder of arrow takes twice as long.
pub(super) fn strings(values: &[&str]) -> Result<ArrayRef, ArrowError> {
    let mut text = Vec::with_capacity(values.iter().map(|value| value.len()).sum());
    let mut ends = Vec::with_capacity(values.len() + 1);
    ends.push(0i32);
    for value in values {
        text.extend_from_slice(value.as_bytes());
        ends.push(offset_of(text.len())?);
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
    Ok(Arc::new(StringArray::try_new(offsets, Buffer::from_vec(text), None)?))
}

/// An offset of Arrow's 32-bit arrays.
pub(super) fn offset_of(offset: usize) -> Result<i32, ArrowError> {
    i32::try_from(offset).map_err(|_| ArrowError::OffsetOverflowError(offset))
}
