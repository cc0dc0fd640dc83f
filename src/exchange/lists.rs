//! Lists that another program made.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray},
    compute::cast,
    datatypes::{DataType, Int64Type},
};
use bytes::Bytes;
use parquet::{arrow::arrow_reader::ParquetRecordBatchReaderBuilder, errors::ParquetError};

use super::ExchangeError;
use crate::{ids::IdTable, storage::Storage};

/// Lists under their ids.
///
/// Shapes: list i is that of `users.get(i)`, its items are `entries[offsets[i]..offsets[i + 1]]`, best first, numbers
/// into `items`.
#[derive(Debug, Clone, Default)]
pub struct NamedLists {
    /// Users in the order they first come.
    pub users: IdTable,
    /// Items in the order they first come.
    pub items: IdTable,
    /// n_users + 1 ascending offsets.
    pub offsets: Vec<usize>,
    /// Item numbers.
    pub entries: Vec<u32>,
}

/// Numbers of ids, by first appearance.
#[derive(Default)]
struct Numbers {
    of: HashMap<String, u32>,
    ids: IdTable,
}

impl Numbers {
    fn get(&mut self, id: &str) -> u32 {
        if let Some(&number) = self.of.get(id) {
            return number;
        }
        let number = self.ids.len() as u32;
        self.of.insert(id.to_owned(), number);
        self.ids.push(id);
        number
    }
}

#[derive(Default)]
struct Rows {
    users: Numbers,
    items: Numbers,
    /// (user, rank, item).
    entries: Vec<(u32, i64, u32)>,
}

/// Reads lists: `user_id` with `items` (a list of ids, or of structs with `item_id`, as in `recommendations/` of a run), or
/// flat rows of `user_id`, `item_id`, `rank`. Ids are text or integers.
///
/// # Errors
/// A location that cannot be read, damaged files, other columns, a null id or rank, two items of a user at one rank.
///
/// Cost: 16 bytes an entry, and each distinct id twice.
pub fn read_lists(storage: &Storage, path: &str) -> Result<NamedLists, ExchangeError> {
    let mut rows = Rows::default();
    for object in storage.list(&[path.to_owned()], &[".parquet", ".parq", ".pq"])? {
        let bytes = storage.open(&object)?.read_all()?;
        let uri = &object.uri;
        catch_unwind(AssertUnwindSafe(|| read_file(uri, bytes, &mut rows)))
            .unwrap_or_else(|_| Err(ExchangeError::Panicked { uri: uri.clone() }))?;
    }
    rows.entries.sort_unstable();
    if let Some(pair) = rows.entries.windows(2).find(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1)) {
        let user = rows.users.ids.get(pair[0].0 as usize).to_owned();
        return Err(ExchangeError::TwoAtOnce { path: path.to_owned(), user, rank: pair[0].1 });
    }
    let mut offsets = vec![0usize; rows.users.ids.len() + 1];
    for entry in &rows.entries {
        offsets[entry.0 as usize + 1] += 1;
    }
    for user in 0..rows.users.ids.len() {
        offsets[user + 1] += offsets[user];
    }
    let entries = rows.entries.iter().map(|entry| entry.2).collect();
    Ok(NamedLists { users: rows.users.ids, items: rows.items.ids, offsets, entries })
}

fn read_file(uri: &str, bytes: Bytes, rows: &mut Rows) -> Result<(), ExchangeError> {
    let damaged = |source: ParquetError| ExchangeError::Damaged { uri: uri.to_owned(), source };
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|builder| builder.build()).map_err(damaged)?;
    let mut first = 1;
    for batch in reader {
        let batch = batch.map_err(|error| damaged(error.into()))?;
        read_batch(uri, &batch, first, rows)?;
        first += batch.num_rows() as u64;
    }
    Ok(())
}

fn read_batch(uri: &str, batch: &RecordBatch, first: u64, rows: &mut Rows) -> Result<(), ExchangeError> {
    let columns = |what: String| ExchangeError::Columns { uri: uri.to_owned(), what };
    let null = |row: usize, what: &str| ExchangeError::Row {
        uri: uri.to_owned(),
        row: first + row as u64,
        what: format!("has no {what}"),
    };
    let column = |name: &str| batch.column_by_name(name);
    let users = ids(column("user_id").ok_or_else(|| columns("there is no column user_id".into()))?)
        .ok_or_else(|| columns("user_id is neither text nor integers".into()))?;
    let user = |row: usize| if users.is_valid(row) { Ok(users.value(row)) } else { Err(null(row, "user_id")) };

    if let Some(items) = column("items") {
        let (starts, values): (Vec<usize>, ArrayRef) = match items.data_type() {
            DataType::List(_) => {
                let list = items.as_list::<i32>();
                (list.offsets().iter().map(|&at| at as usize).collect(), list.values().clone())
            }
            DataType::LargeList(_) => {
                let list = items.as_list::<i64>();
                (list.offsets().iter().map(|&at| at as usize).collect(), list.values().clone())
            }
            _ => return Err(columns("items is no list".into())),
        };
        let values = match values.data_type() {
            DataType::Struct(_) => values.as_struct().column_by_name("item_id").cloned(),
            _ => Some(values),
        };
        let values = values.ok_or_else(|| columns("the structs in items have no item_id".into()))?;
        let values = ids(&values).ok_or_else(|| columns("the ids in items are neither text nor integers".into()))?;
        for row in 0..batch.num_rows() {
            let user = rows.users.get(user(row)?);
            let list = if items.is_valid(row) { starts[row]..starts[row + 1] } else { 0..0 };
            for (rank, at) in (1i64..).zip(list) {
                if values.is_null(at) {
                    return Err(null(row, &format!("item_id at rank {rank}")));
                }
                let item = rows.items.get(values.value(at));
                rows.entries.push((user, rank, item));
            }
        }
        return Ok(());
    }
    let (Some(items), Some(ranks)) = (column("item_id"), column("rank")) else {
        return Err(columns("there is neither a column items nor the columns item_id and rank".into()));
    };
    let items = ids(items).ok_or_else(|| columns("item_id is neither text nor integers".into()))?;
    if !ranks.data_type().is_integer() {
        return Err(columns("rank holds no integers".into()));
    }
    let ranks = cast(ranks, &DataType::Int64).map_err(|error| columns(error.to_string()))?;
    let ranks = ranks.as_primitive::<Int64Type>();
    for row in 0..batch.num_rows() {
        if items.is_null(row) || ranks.is_null(row) {
            return Err(null(row, if items.is_null(row) { "item_id" } else { "rank" }));
        }
        let entry = (rows.users.get(user(row)?), ranks.value(row), rows.items.get(items.value(row)));
        rows.entries.push(entry);
    }
    Ok(())
}

/// A column of ids as text; `None` for other types.
fn ids(column: &ArrayRef) -> Option<StringArray> {
    let plain = match column.data_type() {
        DataType::Dictionary(_, values) => values.as_ref(),
        other => other,
    };
    let known = plain.is_integer() || matches!(plain, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let text = if known { cast(column, &DataType::Utf8).ok()? } else { return None };
    text.as_string_opt::<i32>().cloned()
}
