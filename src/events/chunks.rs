//! Parquet bytes: footers, and the column chunks of one row group held in memory.

use std::{ops::Range, sync::Arc};

use bytes::{Buf, Bytes};
use parquet::{
    arrow::ProjectionMask,
    errors::{ParquetError, Result as ParquetResult},
    file::{
        metadata::{ParquetMetaData, ParquetMetaDataReader},
        reader::{ChunkReader, Length},
    },
};

use super::{EventsError, guard::guarded};
use crate::storage::ObjectReader;

/// Read with the first request: enough for the footer of nearly every file.
const TAIL: u64 = 64 << 10;

/// A footer larger than this is taken for damage.
const MAX_FOOTER: u64 = 256 << 20;

/// Reads and checks a file's footer.
///
/// # Errors
/// Not Parquet, cut off, encrypted, or column chunks that point outside the file.
pub(super) fn read_footer(reader: &ObjectReader) -> Result<Arc<ParquetMetaData>, EventsError> {
    let uri = &reader.object().uri;
    let size = reader.object().size;
    let damaged = |what: &str, why: String| EventsError::Damaged {
        uri: uri.clone(),
        what: what.to_owned(),
        source: ParquetError::General(why),
    };
    if size < 12 {
        return Err(damaged("this is not a Parquet file", format!("it has {size} bytes; the smallest has 12")));
    }
    let mut tail = reader.get_tail(TAIL.min(size))?;
    let magic = &tail[tail.len() - 4..];
    if magic != b"PAR1" {
        let why = match magic {
            b"PARE" => "its footer is encrypted, which nightshelf does not read".to_owned(),
            _ => "it does not end with PAR1: another format, or cut off while it was written or copied".to_owned(),
        };
        return Err(damaged("this is not a whole Parquet file", why));
    }
    let length = u64::from(u32::from_le_bytes(tail[tail.len() - 8..tail.len() - 4].try_into().expect("four bytes")));
    if length > MAX_FOOTER || length + 12 > size {
        return Err(damaged("reading the footer", format!("it claims {length} bytes of a file of {size}")));
    }
    if length + 8 > tail.len() as u64 {
        tail = reader.get_tail(length + 8)?;
    }
    let end = tail.len() - 8;
    let metadata = guarded(uri, || {
        ParquetMetaDataReader::decode_metadata(&tail[end - length as usize..end])
            .map_err(|source| EventsError::Damaged { uri: uri.clone(), what: "reading the footer".to_owned(), source })
    })?;
    for group in metadata.row_groups() {
        for column in group.columns() {
            let range = chunk_range(column);
            if range.as_ref().is_none_or(|range| range.end > size - 8) {
                return Err(damaged(
                    "reading the footer",
                    format!("column `{}` lies outside the file of {size} bytes", column.column_path().string()),
                ));
            }
        }
    }
    Ok(Arc::new(metadata))
}

/// Where a column chunk lies; `None` when its numbers make no sense.
fn chunk_range(column: &parquet::file::metadata::ColumnChunkMetaData) -> Option<Range<u64>> {
    let first = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
    let start = u64::try_from(first.min(column.data_page_offset())).ok()?;
    let length = u64::try_from(column.compressed_size()).ok()?;
    Some(start..start.checked_add(length)?)
}

/// The projected column chunks of a row group, read into memory: what the decoder sees of the file.
pub(super) struct RowGroupBytes {
    size: u64,
    chunks: Vec<(u64, Bytes)>,
}

impl RowGroupBytes {
    /// Reads the chunks of the columns that `projection` takes.
    ///
    /// # Errors
    /// Reading fails, or the object is not the one that was listed.
    pub(super) fn read(
        reader: &ObjectReader,
        metadata: &ParquetMetaData,
        row_group: usize,
        projection: &ProjectionMask,
    ) -> Result<Self, EventsError> {
        let ranges: Vec<Range<u64>> = metadata
            .row_group(row_group)
            .columns()
            .iter()
            .enumerate()
            .filter(|(leaf, _)| projection.leaf_included(*leaf))
            .map(|(_, column)| chunk_range(column).expect("checked with the footer"))
            .collect();
        let bytes = reader.read_ranges(&ranges)?;
        let mut chunks: Vec<(u64, Bytes)> = ranges.iter().map(|range| range.start).zip(bytes).collect();
        chunks.sort_by_key(|(start, _)| *start);
        Ok(Self { size: reader.object().size, chunks })
    }

    fn slice(&self, start: u64) -> ParquetResult<Bytes> {
        let at = self.chunks.partition_point(|(from, _)| *from <= start);
        let outside =
            || ParquetError::General(format!("byte {start} lies outside the column chunks that the footer names"));
        let (from, bytes) = at.checked_sub(1).map(|at| &self.chunks[at]).ok_or_else(outside)?;
        let skip = (start - from) as usize;
        if skip > bytes.len() { Err(outside()) } else { Ok(bytes.slice(skip..)) }
    }
}

impl Length for RowGroupBytes {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for RowGroupBytes {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(self.slice(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let bytes = self.slice(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF(format!(
                "a page at byte {start} claims {length} bytes, {} are there",
                bytes.len()
            )));
        }
        Ok(bytes.slice(..length))
    }
}
