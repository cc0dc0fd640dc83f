//! Customers from Parquet files: the wanted columns alone, batch by batch.

use std::{
    collections::BTreeMap,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use arrow::array::ArrayRef;
use bytes::{Buf, Bytes};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    },
    errors::{ParquetError, Result as ParquetResult},
    file::{
        metadata::ParquetMetaData,
        reader::{ChunkReader, Length},
    },
};

use crate::storage::{ObjectInfo, ObjectReader, Storage};

use super::{
    CustomersError,
    collect::{Collector, places},
};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 8_192;

/// Batches that wait to be collected.
const DECODED_AHEAD: usize = 4;

/// An object as the Parquet reader asks for it: a header or a page at a time, which are given out of whole column chunks, each
/// fetched once, the wanted columns' only.
struct Chunks {
    reader: Arc<ObjectReader>,
    /// (range, row group) of all column chunks, ascending; none before the footer is read.
    known: Vec<(Range<u64>, usize)>,
    /// Chunks in memory, by place in `known`.
    held: Mutex<BTreeMap<usize, Bytes>>,
}

impl Chunks {
    fn new(reader: Arc<ObjectReader>, metadata: Option<&ParquetMetaData>) -> Self {
        let groups = metadata.iter().flat_map(|metadata| metadata.row_groups()).enumerate();
        let mut known: Vec<(Range<u64>, usize)> = groups
            .flat_map(|(group, of)| of.columns().iter().map(move |column| (column.byte_range(), group)))
            .map(|((start, length), group)| (start..start.saturating_add(length), group))
            .collect();
        known.sort_unstable_by_key(|(range, _)| range.start);
        Self { reader, known, held: Mutex::default() }
    }

    fn fetch(&self, range: Range<u64>) -> ParquetResult<Bytes> {
        self.reader.read_range(range).map_err(|error| ParquetError::External(Box::new(error)))
    }

    /// The bytes from `start` to the end of its column chunk; `None` where no chunk is.
    fn rest_of_chunk(&self, start: u64) -> ParquetResult<Option<Bytes>> {
        let Some(at) = self.known.partition_point(|(range, _)| range.start <= start).checked_sub(1) else {
            return Ok(None);
        };
        let (range, group) = &self.known[at];
        if !range.contains(&start) || range.end > self.len() {
            return Ok(None);
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = match held.get(&at) {
            Some(bytes) => bytes.clone(),
            None => {
                // A batch may begin in one row group and end in the next one; those before are done with.
                held.retain(|&other, _| self.known[other].1 + 1 >= *group);
                let bytes = self.fetch(range.clone())?;
                held.insert(at, bytes.clone());
                bytes
            }
        };
        Ok(Some(bytes.slice((start - range.start) as usize..)))
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.reader.object().size
    }
}

impl ChunkReader for Chunks {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let rest = self.rest_of_chunk(start)?;
        Ok(rest.map_or_else(|| self.fetch(start..self.len()), Ok)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let rest = self.rest_of_chunk(start)?.filter(|rest| rest.len() >= length);
        rest.map_or_else(|| self.fetch(start..start.saturating_add(length as u64)), |rest| Ok(rest.slice(..length)))
    }
}

/// Reads one file into the collector.
pub(super) fn read(storage: &Storage, object: &ObjectInfo, into: &mut Collector) -> Result<(), CustomersError> {
    let uri = &object.uri;
    let reader = Arc::new(storage.open(object)?);
    // The decoder panics on some damaged files; the collector is not used after an error.
    catch_unwind(AssertUnwindSafe(|| decode(uri, reader, into))).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(CustomersError::ReaderPanicked { uri: uri.clone(), message: message.to_owned() })
    })
}

fn decode(uri: &str, reader: Arc<ObjectReader>, into: &mut Collector) -> Result<(), CustomersError> {
    let damaged = |source: ParquetError| CustomersError::Parquet { uri: uri.to_owned(), source };
    let footer = Chunks::new(Arc::clone(&reader), None);
    let metadata = ArrowReaderMetadata::load(&footer, ArrowReaderOptions::default()).map_err(damaged)?;
    let chunks = Chunks::new(reader, Some(metadata.metadata()));
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, metadata);
    let schema = builder.schema().clone();
    let present: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let places = places(uri, into.wanted(), &present)?;
    let types: Vec<_> = places.iter().map(|&place| schema.field(place).data_type().clone()).collect();
    into.check_types(uri, &types)?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), places.iter().copied());
    let mut batches = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(damaged)?;
    // One thread decodes, the other collects: each takes about half of the time.
    let (sender, receiver) = mpsc::sync_channel(DECODED_AHEAD);
    thread::scope(|scope| {
        let decoder = scope.spawn(move || {
            for batch in &mut batches {
                if sender.send(batch).is_err() {
                    break;
                }
            }
        });
        let collected = receiver.into_iter().try_for_each(|batch| {
            let batch = batch.map_err(|error| damaged(error.into()))?;
            let arrays: Vec<ArrayRef> = places
                .iter()
                .map(|&place| {
                    let name = schema.field(place).name();
                    batch.column_by_name(name).cloned().expect("the projection takes every wanted column")
                })
                .collect();
            into.add(uri, &arrays).map_err(|error| damaged(error.into()))?
        });
        decoder.join().unwrap_or_else(|panic| resume_unwind(panic));
        collected
    })
}
