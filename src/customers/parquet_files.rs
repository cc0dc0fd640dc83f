//! Customers from Parquet files: the wanted columns alone, batch by batch.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, mpsc},
    thread,
};

use arrow::array::ArrayRef;
use bytes::{Buf, Bytes};
use parquet::{
    arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder},
    errors::{ParquetError, Result as ParquetResult},
    file::reader::{ChunkReader, Length},
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

/// An object as the Parquet reader asks for it: only the chunks of wanted columns are fetched.
struct Chunks(Arc<ObjectReader>);

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.object().size
    }
}

impl ChunkReader for Chunks {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let length = self.len().saturating_sub(start);
        Ok(self.get_bytes(start, length as usize)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        self.0.read_range(start..start + length as u64).map_err(|error| ParquetError::External(Box::new(error)))
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
    let builder = ParquetRecordBatchReaderBuilder::try_new(Chunks(reader)).map_err(damaged)?;
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
