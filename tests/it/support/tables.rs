//! Small Parquet files.

use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};

/// Seconds from 1970 to 2024-01-01T00:00:00Z: long ago, so that no clock takes it for the future.
pub(crate) const NEW_YEAR: i64 = 1_704_067_200;

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

/// Columns and their names.
pub(crate) type Columns = Vec<(&'static str, ArrayRef)>;

/// A column of text.
pub(crate) fn texts<'a, T: Into<Option<&'a str>>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<StringArray>())
}

/// A column of integers.
pub(crate) fn integers<T: Into<Option<i64>>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<Int64Array>())
}

/// A column of numbers.
pub(crate) fn numbers<T: Into<Option<f64>>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<Float64Array>())
}

/// A column of instants, given in Unix seconds.
pub(crate) fn instants<T: Into<Option<i64>>>(seconds: impl IntoIterator<Item = T>) -> ArrayRef {
    let millis = seconds.into_iter().map(|at| at.into().map(|at| at * 1_000));
    Arc::new(millis.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
}

/// Writes a file; its folders are made.
pub(crate) fn write(path: &Path, columns: Columns) {
    write_groups(path, columns, 1 << 20);
}

/// Writes a file whose row groups have so many rows.
pub(crate) fn write_groups(path: &Path, columns: Columns, rows_per_group: usize) {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)));
    let batch = batch.unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows_per_group)).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Views of a small shop, laid out as nightshelf's own: user, item, type, Unix seconds.
pub(crate) fn canonical(rows: &[(&str, &str, &str, i64)]) -> Columns {
    vec![
        ("user_id", texts(rows.iter().map(|row| row.0))),
        ("item_id", texts(rows.iter().map(|row| row.1))),
        ("event_type", texts(rows.iter().map(|row| row.2))),
        ("timestamp", instants(rows.iter().map(|row| row.3))),
    ]
}
