//! What every Parquet file of a run shares: how it is written, and how decoding is kept from taking the program down.
//!
//! `parquet` 60.1 cannot write page checksums (its page writer leaves the field empty), so a flipped bit would decode
//! to a wrong value without a word. Readers therefore hash the whole file against the manifest first.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use bytes::Bytes;
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader},
    },
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::PageIndexPolicy,
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};

use super::{ArtifactError, FileEntry, HashingFile};

/// Rows a row group: with 50 entries a row about 20 MB of encoded pages in memory while it is written.
const ROW_GROUP_ROWS: usize = 65_536;
/// Rows a page: what finding one key decodes.
const PAGE_ROWS: usize = 2_048;
/// Ids stay dictionary-encoded up to this size of dictionary: a million ids of 12 bytes.
const DICTIONARY_BYTES: usize = 16 * 1024 * 1024;

/// How a file of a run is laid out: `key` has the page statistics that finding one row needs; `dictionary` names the
/// columns of repeated text.
pub(super) fn properties(key: &str, dictionary: &[&[&str]]) -> Result<WriterProperties, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("nightshelf version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(ColumnPath::from(key), EnabledStatistics::Page);
    for parts in dictionary {
        let path = ColumnPath::new(parts.iter().map(|&part| part.to_owned()).collect());
        builder = builder
            .set_column_dictionary_enabled(path.clone(), true)
            .set_column_dictionary_page_size_limit(path, DICTIONARY_BYTES);
    }
    Ok(builder.build())
}

/// A Parquet file of a run being written.
#[derive(Debug)]
pub(super) struct RowFile {
    path: String,
    writer: ArrowWriter<HashingFile>,
    n_rows: u64,
}

impl RowFile {
    pub(super) fn create(
        file: HashingFile,
        schema: SchemaRef,
        key: &str,
        dictionary: &[&[&str]],
    ) -> Result<Self, ArtifactError> {
        let path = file.path().to_owned();
        let writer = properties(key, dictionary)
            .and_then(|properties| ArrowWriter::try_new(file, schema, Some(properties)))
            .map_err(|error| ArtifactError::encode(&path, error))?;
        Ok(Self { path, writer, n_rows: 0 })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ArtifactError> {
        self.n_rows += batch.num_rows() as u64;
        self.writer.write(batch).map_err(|error| ArtifactError::encode(&self.path, error))
    }

    pub(super) fn finish(self) -> Result<FileEntry, ArtifactError> {
        let mut file = self.writer.into_inner().map_err(|error| ArtifactError::encode(&self.path, error))?;
        file.set_rows(self.n_rows);
        file.close()
    }
}

/// Runs a piece of decoding; an error or a panic of the decoder becomes [`ArtifactError::Damaged`] with the file's name.
pub(super) fn decode<T>(path: &Path, work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ArtifactError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(ArtifactError::damaged(path, error)),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(ArtifactError::damaged(path, format!("the Parquet decoder gave up: {text}")))
        }
    }
}

/// Reads the footer and fixes the column types to `schema`.
///
/// # Errors
/// When the bytes are not Parquet, or a column is absent or of another type (the message names it).
pub(super) fn metadata(path: &Path, bytes: &Bytes, schema: &Schema) -> Result<ArrowReaderMetadata, ArtifactError> {
    let options = || ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let found = decode(path, || ArrowReaderMetadata::load(bytes, options()))?;
    for field in schema.fields() {
        if found.schema().field_with_name(field.name()).is_err() {
            let there: Vec<_> = found.schema().fields().iter().map(|field| field.name().as_str()).collect();
            let reason = format!("it has no column `{}`, only {}", field.name(), there.join(", "));
            return Err(ArtifactError::damaged(path, reason));
        }
    }
    decode(path, || {
        ArrowReaderMetadata::try_new(Arc::clone(found.metadata()), options().with_schema(Arc::new(schema.clone())))
    })
}

/// The next batch of rows, `None` at the end.
pub(super) fn next_batch(
    path: &Path,
    reader: &mut ParquetRecordBatchReader,
) -> Result<Option<RecordBatch>, ArtifactError> {
    decode(path, || reader.next().transpose().map_err(ParquetError::from))
}
