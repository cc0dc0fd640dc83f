//! A split as two files, so that other programs train and test on exactly the same pairs.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, Float32Array, RecordBatch, StringArray, TimestampMillisecondArray},
    datatypes::{DataType, Field, Schema, TimeUnit},
};

use super::{
    ExchangeError,
    files::{CHUNK_ROWS, TableFile},
};
use crate::{
    ids::IdTable,
    interactions::{Csr, Stamp},
};

/// The pairs of one side.
#[derive(Clone, Copy)]
pub struct SplitRows<'a> {
    /// Users by row.
    pub users: &'a IdTable,
    /// Items by column; those of `more_items` follow.
    pub items: &'a IdTable,
    /// Items with higher numbers.
    pub more_items: &'a IdTable,
    /// The pairs.
    pub pairs: &'a Csr,
    /// Parallel to the pairs.
    pub weights: &'a [f32],
    /// Parallel to the pairs: time of the last event; `None` when events carry no time.
    pub last: Option<&'a [Stamp]>,
}

/// Writes pairs to `path`: `user_id`, `item_id`, `weight` (f32), `last_at` (timestamp, null without times).
///
/// # Errors
/// When the disk refuses.
pub fn write_split(path: &Path, rows: &SplitRows<'_>) -> Result<(), ExchangeError> {
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let schema = Arc::new(Schema::new(vec![
        Field::new("user_id", DataType::Utf8, false),
        Field::new("item_id", DataType::Utf8, false),
        Field::new("weight", DataType::Float32, false),
        Field::new("last_at", time, true),
    ]));
    let n_items = rows.items.len();
    let item = |number: u32| match (number as usize).checked_sub(n_items) {
        None => rows.items.get(number as usize),
        Some(more) => rows.more_items.get(more),
    };
    let mut file = TableFile::create(path, Arc::clone(&schema))?;
    let mut user = 0;
    for start in (0..rows.pairs.n_cells()).step_by(CHUNK_ROWS) {
        let range = start..(start + CHUNK_ROWS).min(rows.pairs.n_cells());
        let users = range.clone().map(|at| {
            while rows.pairs.indptr[user + 1] <= at {
                user += 1;
            }
            Some(rows.users.get(user))
        });
        let users: StringArray = users.collect();
        let items: StringArray = rows.pairs.indices[range.clone()].iter().map(|&number| Some(item(number))).collect();
        let weights = Float32Array::from(rows.weights[range.clone()].to_vec());
        let last = range.clone().map(|at| rows.last.map(|last| last[at].unix() * 1_000));
        let last = TimestampMillisecondArray::from_iter(last).with_timezone("UTC");
        let columns: Vec<ArrayRef> = vec![Arc::new(users), Arc::new(items), Arc::new(weights), Arc::new(last)];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
            .map_err(|error| ExchangeError::Encode { path: path.to_owned(), source: error.into() })?;
        file.write(&batch)?;
    }
    file.finish()
}
