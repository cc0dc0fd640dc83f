//! Writing lists.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float32Array, ListArray, RecordBatch, StringArray, StructArray},
    buffer::{Buffer, OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, SchemaRef},
    error::ArrowError,
};

use crate::recommendations::{ListBatch, ListKind, ListRow};

use super::{
    ArtifactError, FileEntry, HashingFile,
    list_format::{entry_field, entry_fields, schema},
    parquet_io::RowFile,
};

/// Lists handed to the Parquet encoder at once. Always so many: where pages end depends on it, and with the pages the
/// file's bytes.
const CHUNK_LISTS: usize = 4_096;

/// Writes one file of lists whose keys ascend.
///
/// Determinism: the bytes depend on the lists alone, not on how they were dealt into batches.
/// Cost: the encoder looks every item id up in its dictionary, which is most of 380 ns an entry measured on a busy core
/// (10 million entries, 100,000 items); some 20 MB of memory a file. Files may be written on several threads.
#[derive(Debug)]
pub struct ListWriter {
    kind: ListKind,
    schema: SchemaRef,
    rows: RowFile,
    pending: Pending,
    last_key: Option<String>,
}

/// Lists collected for the encoder, by columns.
#[derive(Debug, Default)]
struct Pending {
    keys: TextColumn,
    offsets: Vec<i32>,
    items: TextColumn,
    scores: Vec<f32>,
    sources: TextColumn,
}

/// Strings in Arrow's layout.
#[derive(Debug, Default)]
struct TextColumn {
    text: Vec<u8>,
    ends: Vec<i32>,
}

impl TextColumn {
    fn push(&mut self, value: &str) -> Result<(), ArrowError> {
        self.text.extend_from_slice(value.as_bytes());
        self.ends.push(offset_of(self.text.len())?);
        Ok(())
    }

    fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        let (text, ends) = (std::mem::take(&mut self.text), std::mem::take(&mut self.ends));
        Ok(Arc::new(StringArray::try_new(offsets(&ends), Buffer::from_vec(text), None)?))
    }
}

/// Arrow's offsets: the ends with a zero in front.
fn offsets(ends: &[i32]) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from_iter(std::iter::once(0).chain(ends.iter().copied())))
}

impl ListWriter {
    /// Starts a file of lists.
    ///
    /// # Errors
    /// When the Parquet header cannot be written.
    pub fn create(file: HashingFile, kind: ListKind) -> Result<Self, ArtifactError> {
        let schema = Arc::new(schema(kind, &DataType::Utf8));
        let rows = RowFile::create(
            file,
            Arc::clone(&schema),
            kind.key_column(),
            &[&["items", "list", "item", "item_id"], &["source"]],
        )?;
        Ok(Self { kind, schema, rows, pending: Pending::default(), last_key: None })
    }

    /// Appends lists.
    ///
    /// # Errors
    /// When a key does not follow the one before it, a score is not a finite number (the key is named), or the disk
    /// refuses. The file cannot be used after an error.
    pub fn write(&mut self, lists: &ListBatch<'_>) -> Result<(), ArtifactError> {
        self.check(lists)?;
        for list in lists.rows() {
            self.collect(&list).map_err(|error| self.failed(error))?;
            if self.pending.offsets.len() == CHUNK_LISTS {
                self.flush()?;
            }
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
    pub fn finish(mut self) -> Result<FileEntry, ArtifactError> {
        if !self.pending.offsets.is_empty() {
            self.flush()?;
        }
        self.rows.finish()
    }

    fn failed(&self, error: ArrowError) -> ArtifactError {
        ArtifactError::Encode { path: self.rows.path().to_owned(), source: error.into() }
    }

    fn collect(&mut self, list: &ListRow<'_, '_>) -> Result<(), ArrowError> {
        let pending = &mut self.pending;
        pending.keys.push(list.key)?;
        for item in list.items {
            pending.items.push(item)?;
        }
        pending.scores.extend_from_slice(list.scores);
        pending.offsets.push(offset_of(pending.scores.len())?);
        if self.kind.has_source() { pending.sources.push(list.source) } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ArtifactError> {
        let batch = self.encode().map_err(|error| self.failed(error))?;
        self.rows.write(&batch)
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

    fn encode(&mut self) -> Result<RecordBatch, ArrowError> {
        let pending = &mut self.pending;
        let text = DataType::Utf8;
        let scores: ArrayRef = Arc::new(Float32Array::from(std::mem::take(&mut pending.scores)));
        let structs = StructArray::try_new(entry_fields(&text), vec![pending.items.take()?, scores], None)?;
        let ends = std::mem::take(&mut pending.offsets);
        let items = ListArray::try_new(entry_field(&text), offsets(&ends), Arc::new(structs), None)?;
        let mut columns: Vec<ArrayRef> = vec![pending.keys.take()?, Arc::new(items)];
        if self.kind.has_source() {
            columns.push(pending.sources.take()?);
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

/// A string column.
pub(super) fn strings(values: &[&str]) -> Result<ArrayRef, ArrowError> {
    let mut column = TextColumn::default();
    values.iter().try_for_each(|value| column.push(value))?;
    column.take()
}

/// An offset of Arrow's 32-bit arrays.
pub(super) fn offset_of(offset: usize) -> Result<i32, ArrowError> {
    i32::try_from(offset).map_err(|_| ArrowError::OffsetOverflowError(offset))
}
