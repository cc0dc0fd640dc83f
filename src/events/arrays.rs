//! The configured columns of a record batch, lists unfolded.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array},
    compute::take,
    datatypes::DataType,
    error::ArrowError,
};

use super::columns::{Column, FileColumns};

/// Equally long arrays, one row an event.
pub(super) struct EventArrays {
    pub user_id: ArrayRef,
    pub item_id: ArrayRef,
    pub event_type: Option<ArrayRef>,
    pub timestamp: Option<ArrayRef>,
    pub event_id: Option<ArrayRef>,
    pub quantity: Option<ArrayRef>,
    pub price: Option<ArrayRef>,
    pub group: Option<ArrayRef>,
    pub latest: Option<ArrayRef>,
}

/// A leaf array, and for each of its elements the row of the batch it came from (`None`: one to one).
struct Unfolded {
    array: ArrayRef,
    rows: Option<UInt32Array>,
}

impl EventArrays {
    /// Takes the columns out of a batch. Where the item lies in a list, every element becomes an event and the other
    /// columns are repeated for it.
    ///
    /// # Errors
    /// Two columns that lie in different lists.
    pub(super) fn take(batch: &RecordBatch, columns: &FileColumns) -> Result<Self, ArrowError> {
        let item = unfold(batch, &columns.item_id)?;
        let align = |column: &Column| -> Result<ArrayRef, ArrowError> {
            let other = unfold(batch, column)?;
            match (&item.rows, other.rows) {
                (None, None) => Ok(other.array),
                (Some(rows), None) => take(&other.array, rows, None),
                (Some(rows), Some(others)) if *rows == others => Ok(other.array),
                _ => Err(ArrowError::SchemaError(format!(
                    "`{}` lies in another list than `{}`",
                    column.path.join("."),
                    columns.item_id.path.join(".")
                ))),
            }
        };
        let may = |column: &Option<Column>| column.as_ref().map(align).transpose();
        Ok(Self {
            user_id: align(&columns.user_id)?,
            event_type: may(&columns.event_type)?,
            timestamp: may(&columns.timestamp)?,
            event_id: may(&columns.event_id)?,
            quantity: may(&columns.quantity)?,
            price: may(&columns.price)?,
            group: may(&columns.group)?,
            latest: may(&columns.latest)?,
            item_id: item.array,
        })
    }
}

fn unfold(batch: &RecordBatch, column: &Column) -> Result<Unfolded, ArrowError> {
    let missing = || ArrowError::SchemaError(format!("column `{}` is gone", column.path.join(".")));
    let mut array = batch.column_by_name(&column.path[0]).ok_or_else(missing)?.clone();
    let mut rows: Option<UInt32Array> = None;
    let mut names = column.path[1..].iter();
    loop {
        match array.data_type().clone() {
            DataType::Struct(_) => {
                let name = names.next().ok_or_else(missing)?;
                array = array.as_struct().column_by_name(name).ok_or_else(missing)?.clone();
            }
            DataType::Map(_, _) => {
                let path = column.path.join(".");
                return Err(ArrowError::SchemaError(format!("`{path}` lies in a map, which holds no columns")));
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let parents = parents(list.offsets().windows(2).map(|w| (w[1] - w[0]) as usize), rows.as_ref());
                let (first, last) = (list.offsets()[0] as usize, list.offsets()[list.len()] as usize);
                let values = list.values().slice(first, last - first);
                (array, rows) = (values, Some(parents));
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                let parents = parents(list.offsets().windows(2).map(|w| (w[1] - w[0]) as usize), rows.as_ref());
                let (first, last) = (list.offsets()[0] as usize, list.offsets()[list.len()] as usize);
                let values = list.values().slice(first, last - first);
                (array, rows) = (values, Some(parents));
            }
            _ => return Ok(Unfolded { array, rows }),
        }
    }
}

/// For each element of consecutive lists, the row its list stands in.
fn parents(lengths: impl Iterator<Item = usize>, outer: Option<&UInt32Array>) -> UInt32Array {
    let row = |list: usize| outer.map_or(list as u32, |outer| outer.value(list));
    lengths.enumerate().flat_map(|(list, n)| std::iter::repeat_n(row(list), n)).collect::<Vec<u32>>().into()
}
