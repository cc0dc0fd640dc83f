//! Reading lists: all of a file in batches, or one by its key.

use std::{ops::Range, path::PathBuf};

use arrow::{
    array::{Array, AsArray, Float32Array, RecordBatch, StringViewArray},
    buffer::OffsetBuffer,
    datatypes::{DataType, Float32Type},
};
use bytes::Bytes;
use parquet::{
    arrow::arrow_reader::{
        ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
    },
    file::page_index::column_index::ColumnIndexMetaData,
};

use crate::{
    ids::{bucket_of, id_hash},
    recommendations::{ListBatch, ListKind},
};

use super::{
    ArtifactError, Run, bucket_path,
    list_format::schema,
    parquet_io::{metadata, next_batch},
};

/// Lists a batch holds.
const BATCH_LISTS: usize = 4_096;

/// Reads one file of lists in batches.
#[derive(Debug)]
pub struct ListReader {
    path: PathBuf,
    kind: ListKind,
    reader: ParquetRecordBatchReader,
}

/// A batch of lists that owns its text; [`batch`](Self::batch) borrows from it.
#[derive(Debug)]
pub struct ListTable {
    keys: StringViewArray,
    offsets: OffsetBuffer<i32>,
    items: StringViewArray,
    scores: Float32Array,
    sources: Option<StringViewArray>,
}

/// One list, found by its key.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundList {
    /// Item ids and scores, best first.
    pub entries: Vec<(String, f32)>,
    /// Where the list comes from; empty for kinds of list that have no source.
    pub source: String,
}

impl Run {
    /// Opens a file of lists, checked against the manifest.
    ///
    /// # Errors
    /// When the file is absent, damaged, or holds another kind of list.
    pub fn list_reader(&self, kind: ListKind, path: &str) -> Result<ListReader, ArtifactError> {
        ListReader::open(self.path().join(path), kind, self.read(path)?)
    }

    /// Hands all lists of a file to `each`, batch by batch, in the order of the file.
    ///
    /// # Errors
    /// When the file is absent or damaged, or `each` fails ([`ArtifactError::Stopped`]).
    ///
    /// Cost: the file in memory, plus a batch.
    pub fn for_each_batch<E>(
        &self,
        kind: ListKind,
        path: &str,
        mut each: impl FnMut(&ListBatch<'_>) -> Result<(), E>,
    ) -> Result<(), ArtifactError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut reader = self.list_reader(kind, path)?;
        while let Some(table) = reader.next()? {
            each(&table.batch())
                .map_err(|error| ArtifactError::Stopped { path: reader.path.clone(), source: error.into() })?;
        }
        Ok(())
    }

    /// The list of one key: of a user, an item or a placement. `None` when the run has none.
    ///
    /// # Errors
    /// When the file that could hold it is damaged.
    ///
    /// Cost: hashing that file (a bucket: tens of milliseconds at most), then decoding one page of rows.
    pub fn find_list(&self, kind: ListKind, key: &str) -> Result<Option<FoundList>, ArtifactError> {
        if kind == ListKind::Recommendations {
            let n_buckets = self.manifest().content.n_buckets;
            if !n_buckets.is_power_of_two() {
                return Ok(None);
            }
            let path = bucket_path(kind.name(), bucket_of(id_hash(key.as_bytes()), n_buckets));
            // A bucket without users may have no file.
            return if self.manifest().file(&path).is_some() { self.find_list_in(kind, &path, key) } else { Ok(None) };
        }
        for entry in self.files_in(kind.name()) {
            if let Some(found) = self.find_list_in(kind, &entry.path, key)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The list of one key in one file.
    ///
    /// # Errors
    /// When the file is absent or damaged.
    pub fn find_list_in(&self, kind: ListKind, path: &str, key: &str) -> Result<Option<FoundList>, ArtifactError> {
        let bytes = self.read(path)?;
        let path = self.path().join(path);
        let footer = footer(&path, &bytes, kind)?;
        for row_group in 0..footer.metadata().num_row_groups() {
            let pages = candidate_rows(&footer, row_group, key.as_bytes());
            if pages.as_ref().is_some_and(Vec::is_empty) {
                continue;
            }
            let reader = builder(&path, bytes.clone(), &footer, |builder| {
                let builder = builder.with_row_groups(vec![row_group]);
                match pages {
                    Some(pages) => builder.with_row_selection(selection(&pages)),
                    None => builder,
                }
            })?;
            let mut reader = ListReader { path: path.clone(), kind, reader };
            while let Some(table) = reader.next()? {
                if let Some(row) = (0..table.len()).find(|&row| table.key(row) == key) {
                    return Ok(Some(table.found(row)));
                }
            }
        }
        Ok(None)
    }
}

impl ListReader {
    /// Reads lists from the bytes of a file; `path` is its name in messages.
    ///
    /// # Errors
    /// When the bytes are damaged, or hold another kind of list.
    pub fn open(path: PathBuf, kind: ListKind, bytes: Bytes) -> Result<Self, ArtifactError> {
        let footer = footer(&path, &bytes, kind)?;
        let reader = builder(&path, bytes, &footer, |builder| builder)?;
        Ok(Self { path, kind, reader })
    }

    /// The next batch, `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged.
    #[expect(clippy::should_implement_trait, reason = "it fails once and must not be asked again")]
    pub fn next(&mut self) -> Result<Option<ListTable>, ArtifactError> {
        let Some(batch) = next_batch(&self.path, &mut self.reader)? else { return Ok(None) };
        match ListTable::new(&batch, self.kind) {
            Some(table) => Ok(Some(table)),
            None => Err(ArtifactError::damaged(&self.path, "a column has empty cells or another type than it should")),
        }
    }
}

impl ListTable {
    /// `None` when the batch is not of the kind, or has null cells.
    fn new(batch: &RecordBatch, kind: ListKind) -> Option<Self> {
        let text = |name| batch.column_by_name(name).and_then(|column| column.as_string_view_opt()).cloned();
        let lists = batch.column_by_name("items")?.as_list_opt::<i32>()?;
        let entries = lists.values().as_struct_opt()?;
        let table = Self {
            keys: text(kind.key_column())?,
            offsets: lists.offsets().clone(),
            items: entries.column_by_name("item_id")?.as_string_view_opt()?.clone(),
            scores: entries.column_by_name("score")?.as_primitive_opt::<Float32Type>()?.clone(),
            sources: if kind.has_source() { Some(text("source")?) } else { None },
        };
        let nulls = lists.null_count()
            + entries.null_count()
            + table.keys.null_count()
            + table.items.null_count()
            + table.scores.null_count()
            + table.sources.as_ref().map_or(0, Array::null_count);
        (nulls == 0).then_some(table)
    }

    /// How many lists there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key of list `row`.
    #[must_use]
    pub fn key(&self, row: usize) -> &str {
        self.keys.value(row)
    }

    /// The item ids of list `row`, best first.
    pub fn items(&self, row: usize) -> impl ExactSizeIterator<Item = &str> + '_ {
        self.range(row).map(|at| self.items.value(at))
    }

    /// The scores of list `row`.
    #[must_use]
    pub fn scores(&self, row: usize) -> &[f32] {
        &self.scores.values()[self.range(row)]
    }

    /// Where list `row` comes from; empty for kinds of list that have no source.
    #[must_use]
    pub fn source(&self, row: usize) -> &str {
        self.sources.as_ref().map_or("", |sources| sources.value(row))
    }

    fn range(&self, row: usize) -> Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    /// The lists as the batch that recommending and publishing speak of.
    #[must_use]
    pub fn batch(&self) -> ListBatch<'_> {
        let entries = self.offsets[0] as usize..self.offsets[self.len()] as usize;
        ListBatch {
            keys: (0..self.len()).map(|row| self.keys.value(row)).collect(),
            offsets: self.offsets.iter().map(|&end| end as usize - entries.start).collect(),
            items: entries.clone().map(|at| self.items.value(at)).collect(),
            scores: self.scores.values()[entries].to_vec(),
            sources: self.sources.iter().flat_map(|sources| (0..self.len()).map(|row| sources.value(row))).collect(),
        }
    }

    fn found(&self, row: usize) -> FoundList {
        FoundList {
            entries: self.items(row).map(str::to_owned).zip(self.scores(row).iter().copied()).collect(),
            source: self.source(row).to_owned(),
        }
    }
}

fn footer(path: &std::path::Path, bytes: &Bytes, kind: ListKind) -> Result<ArrowReaderMetadata, ArtifactError> {
    metadata(path, bytes, &schema(kind, &DataType::Utf8View))
}

fn builder(
    path: &std::path::Path,
    bytes: Bytes,
    footer: &ArrowReaderMetadata,
    adjust: impl FnOnce(ParquetRecordBatchReaderBuilder<Bytes>) -> ParquetRecordBatchReaderBuilder<Bytes>,
) -> Result<ParquetRecordBatchReader, ArtifactError> {
    super::parquet_io::decode(path, || {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, footer.clone());
        adjust(builder.with_batch_size(BATCH_LISTS)).build()
    })
}

/// The rows of a row group whose page may hold `key`; `None` when the file has no page statistics to tell by.
///
/// The key is the first column. Statistics may be cut short, but then the lowest is lower and the highest higher.
fn candidate_rows(footer: &ArrowReaderMetadata, row_group: usize, key: &[u8]) -> Option<Vec<Range<usize>>> {
    let index = footer.metadata().page_index_for_row_group(row_group);
    let (Some(ColumnIndexMetaData::BYTE_ARRAY(pages)), Some(offsets)) = (index.column_index(0), index.offset_index(0))
    else {
        return None;
    };
    let n_rows = usize::try_from(footer.metadata().row_group(row_group).num_rows()).ok()?;
    let starts: Vec<usize> =
        offsets.page_locations().iter().filter_map(|page| usize::try_from(page.first_row_index).ok()).collect();
    let mut rows = Vec::new();
    for (page, &start) in starts.iter().enumerate() {
        let end = starts.get(page + 1).copied().unwrap_or(n_rows);
        let (lowest, highest) = (pages.min_value(page)?, pages.max_value(page)?);
        if lowest <= key && key <= highest && start < end {
            rows.push(start..end);
        }
    }
    Some(rows)
}

fn selection(ranges: &[Range<usize>]) -> RowSelection {
    let mut selectors = Vec::with_capacity(2 * ranges.len());
    let mut at = 0;
    for range in ranges {
        selectors.push(RowSelector::skip(range.start - at));
        selectors.push(RowSelector::select(range.len()));
        at = range.end;
    }
    selectors.into()
}
