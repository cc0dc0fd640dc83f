//! How lists lie in Parquet: one row a list, entries nested.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};

use crate::recommendations::ListKind;

/// The columns of a file of lists, with text as `text`: plain strings to write, string views to read.
///
/// | kind | columns | files |
/// |---|---|---|
/// | recommendations | user_id, items, source | one a bucket, ascending by user_id |
/// | similar_items, bought_together | item_id, items | ascending by item_id |
/// | popular, trending | placement, items | ascending by placement |
pub(super) fn schema(kind: ListKind, text: &DataType) -> Schema {
    let mut fields = vec![
        Field::new(kind.key_column(), text.clone(), false),
        Field::new("items", DataType::List(entry_field(text)), false),
    ];
    if kind.has_source() {
        fields.push(Field::new("source", text.clone(), false));
    }
    Schema::new(fields)
}

/// One entry of a list: struct<item_id, score>.
pub(super) fn entry_field(text: &DataType) -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(entry_fields(text)), false))
}

pub(super) fn entry_fields(text: &DataType) -> Fields {
    Fields::from(vec![Field::new("item_id", text.clone(), false), Field::new("score", DataType::Float32, false)])
}

/// The file of one bucket of users: `recommendations/bucket-003.parquet`.
#[must_use]
pub fn bucket_path(folder: &str, bucket: usize) -> String {
    format!("{folder}/bucket-{bucket:03}.parquet")
}
