//! Writing what a model needs to come back: factors, neighbours, scores, id tables.
//!
//! Each file is one table keyed by id, so a notebook reads it as it is.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{ArrayRef, FixedSizeListArray, Float32Array, ListArray, RecordBatch, StructArray},
    buffer::{OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, Field, FieldRef, Fields, Schema},
    error::ArrowError,
};
use ndarray::ArrayView2;

use crate::{ids::IdTable, interactions::Csr};

use super::{
    ArtifactError, FileEntry, HashingFile,
    list_writer::{offset_of, strings},
    parquet_io::RowFile,
};

/// Rows handed to the encoder at once.
const CHUNK_ROWS: usize = 8_192;

pub(super) const ID: &str = "item_id";
pub(super) const FACTORS: &str = "factors";
pub(super) const NEIGHBOURS: &str = "neighbours";
pub(super) const WEIGHT: &str = "weight";
pub(super) const SCORE: &str = "score";

/// The columns of each kind of file, with text of type `text`.
pub(super) fn ids_schema(text: &DataType) -> Schema {
    Schema::new(vec![Field::new(ID, text.clone(), false)])
}

pub(super) fn scores_schema(text: &DataType) -> Schema {
    Schema::new(vec![Field::new(ID, text.clone(), false), Field::new(SCORE, DataType::Float32, false)])
}

fn factor_field() -> FieldRef {
    Arc::new(Field::new("item", DataType::Float32, false))
}

pub(super) fn dense_schema(text: &DataType, n_columns: i32) -> Schema {
    let factors = DataType::FixedSizeList(factor_field(), n_columns);
    Schema::new(vec![Field::new(ID, text.clone(), false), Field::new(FACTORS, factors, false)])
}

fn neighbour_fields(text: &DataType) -> Fields {
    Fields::from(vec![Field::new(ID, text.clone(), false), Field::new(WEIGHT, DataType::Float32, false)])
}

fn neighbour_field(text: &DataType) -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(neighbour_fields(text)), false))
}

pub(super) fn sparse_schema(key: &DataType, text: &DataType) -> Schema {
    let neighbours = DataType::List(neighbour_field(text));
    Schema::new(vec![Field::new(ID, key.clone(), false), Field::new(NEIGHBOURS, neighbours, false)])
}

/// Writes a table of ids in the order of their numbers: column `item_id`.
///
/// # Errors
/// When the disk refuses.
pub fn write_ids(file: HashingFile, ids: &IdTable) -> Result<FileEntry, ArtifactError> {
    write_rows(file, ids_schema(&DataType::Utf8), &[], ids, |_| Ok(None))
}

/// Writes one number an id: columns `item_id`, `score`.
///
/// # Errors
/// When the two are of different lengths, a score is NaN, or the disk refuses.
pub fn write_scores(file: HashingFile, ids: &IdTable, scores: &[f32]) -> Result<FileEntry, ArtifactError> {
    check_rows(file.path(), ids, scores.len())?;
    check_numbers(file.path(), ids, scores, |at| at)?;
    write_rows(file, scores_schema(&DataType::Utf8), &[], ids, |rows| {
        Ok(Some(Arc::new(Float32Array::from(scores[rows].to_vec()))))
    })
}

/// Writes a dense matrix: columns `item_id`, `factors` (fixed-size list of f32).
///
/// Shapes: `matrix` is n_ids x n_factors.
///
/// # Errors
/// When the row numbers differ, a number is NaN or infinite (the id is named), or the disk refuses.
pub fn write_dense(file: HashingFile, ids: &IdTable, matrix: ArrayView2<'_, f32>) -> Result<FileEntry, ArtifactError> {
    check_rows(file.path(), ids, matrix.nrows())?;
    let matrix = matrix.as_standard_layout();
    let n_columns = matrix.ncols();
    let numbers = matrix.as_slice().unwrap_or_default();
    check_numbers(file.path(), ids, numbers, |at| at / n_columns)?;
    let width = i32::try_from(n_columns).map_err(|_| bad_rows(file.path(), format!("{n_columns} columns")))?;
    write_rows(file, dense_schema(&DataType::Utf8, width), &[], ids, |rows| {
        let n_rows = rows.len();
        let part = Float32Array::from(numbers[rows.start * n_columns..rows.end * n_columns].to_vec());
        let list = FixedSizeListArray::try_new_with_length(factor_field(), width, Arc::new(part), None, n_rows)?;
        Ok(Some(Arc::new(list)))
    })
}

/// Writes sparse rows: columns `item_id`, `neighbours` (list<struct<item_id, weight>>).
///
/// Shapes: `matrix` is n_rows x n_columns, its values may not be left out.
///
/// # Errors
/// When ids and matrix do not fit together, a weight is NaN or infinite, or the disk refuses.
pub fn write_sparse(
    file: HashingFile,
    rows: &IdTable,
    columns: &IdTable,
    matrix: &Csr,
) -> Result<FileEntry, ArtifactError> {
    check_rows(file.path(), rows, matrix.n_rows())?;
    if matrix.values.len() != matrix.n_cells() || matrix.n_cols != columns.len() {
        let (n_values, n_cells, n_columns) = (matrix.values.len(), matrix.n_cells(), matrix.n_cols);
        let reason = format!("{n_values} values for {n_cells} cells, {n_columns} columns for {} ids", columns.len());
        return Err(bad_rows(file.path(), reason));
    }
    check_numbers(file.path(), rows, &matrix.values, |at| matrix.indptr.partition_point(|&end| end <= at) - 1)?;
    let dictionary: &[&[&str]] = &[&[NEIGHBOURS, "list", "item", ID]];
    write_rows(file, sparse_schema(&DataType::Utf8, &DataType::Utf8), dictionary, rows, |rows| {
        let cells = matrix.indptr[rows.start]..matrix.indptr[rows.end];
        let mut ends = Vec::with_capacity(rows.len() + 1);
        for &end in &matrix.indptr[rows.start..=rows.end] {
            ends.push(offset_of(end - cells.start)?);
        }
        let ids: Vec<&str> = matrix.indices[cells.clone()].iter().map(|&column| columns.get(column as usize)).collect();
        let weights: ArrayRef = Arc::new(Float32Array::from(matrix.values[cells].to_vec()));
        let text = DataType::Utf8;
        let structs = StructArray::try_new(neighbour_fields(&text), vec![strings(&ids)?, weights], None)?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        Ok(Some(Arc::new(ListArray::try_new(neighbour_field(&text), offsets, Arc::new(structs), None)?)))
    })
}

/// Writes ids and, beside them, the column that `column` makes for a range of rows.
fn write_rows(
    file: HashingFile,
    schema: Schema,
    dictionary: &[&[&str]],
    ids: &IdTable,
    column: impl Fn(Range<usize>) -> Result<Option<ArrayRef>, ArrowError>,
) -> Result<FileEntry, ArtifactError> {
    let schema = Arc::new(schema);
    let mut rows = RowFile::create(file, Arc::clone(&schema), ID, dictionary)?;
    for start in (0..ids.len()).step_by(CHUNK_ROWS) {
        let range = start..(start + CHUNK_ROWS).min(ids.len());
        let keys: Vec<&str> = range.clone().map(|at| ids.get(at)).collect();
        let batch = strings(&keys)
            .and_then(|keys| {
                let mut columns = vec![keys];
                columns.extend(column(range)?);
                RecordBatch::try_new(Arc::clone(&schema), columns)
            })
            .map_err(|error| ArtifactError::Encode { path: rows.path().to_owned(), source: error.into() })?;
        rows.write(&batch)?;
    }
    rows.finish()
}

fn bad_rows(path: &str, reason: String) -> ArtifactError {
    ArtifactError::BadRows { path: path.to_owned(), reason }
}

fn check_rows(path: &str, ids: &IdTable, n_rows: usize) -> Result<(), ArtifactError> {
    if ids.len() == n_rows {
        return Ok(());
    }
    Err(bad_rows(path, format!("{n_rows} rows for {} ids", ids.len())))
}

fn check_numbers(
    path: &str,
    ids: &IdTable,
    numbers: &[f32],
    row_of: impl Fn(usize) -> usize,
) -> Result<(), ArtifactError> {
    match numbers.iter().position(|number| !number.is_finite()) {
        None => Ok(()),
        Some(at) => Err(bad_rows(path, format!("`{}` has the number {}", ids.get(row_of(at)), numbers[at]))),
    }
}
