//! The wanted columns of a Parquet file, as a polars table.
//!
//! The `parquet` crate reads and polars gets only what was asked for, because polars ignores page checksums (a flipped
//! bit becomes a wrong title in two cases of three) and, as it is built here, gives up on a file that has any decimal or
//! small-integer column, wanted or not; databases export such columns all the time.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, new_empty_array},
    compute::{CastOptions, cast_with_options, concat},
    datatypes::{DataType, Float64Type, Int64Type, UInt64Type},
    error::ArrowError,
};
use bytes::Bytes;
use parquet::{
    arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::metadata::ParquetMetaData,
};
use polars::prelude::{Column, DataFrame, NamedFrom, Series};

use super::{
    CatalogColumns, CatalogError,
    columns::{Pick, pick},
};

/// Reads the columns that the config names, under the names they have in the file.
pub(super) fn read(uri: &str, bytes: &Bytes, columns: &CatalogColumns) -> Result<(DataFrame, Vec<Pick>), CatalogError> {
    let damaged = |source| CatalogError::Parquet { uri: uri.to_owned(), source };
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).map_err(damaged)?;
    let schema = Arc::clone(builder.schema());
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let picks = pick(uri, &names, columns)?;

    let mut wanted: Vec<usize> = picks.iter().map(|pick| pick.at).collect();
    wanted.sort_unstable();
    wanted.dedup();
    for &at in &wanted {
        widened_type(schema.field(at).data_type()).ok_or_else(|| wrong_type(uri, &picks, at, &schema))?;
    }
    check_offsets(uri, builder.metadata(), bytes.len() as u64, &wanted)?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.iter().copied());
    let batches: Vec<RecordBatch> = builder
        .with_projection(mask)
        .build()
        .map_err(damaged)?
        .collect::<Result<_, ArrowError>>()
        .map_err(|source| damaged(source.into()))?;

    let mut table = Vec::with_capacity(wanted.len());
    for (number, &at) in wanted.iter().enumerate() {
        let field = schema.field(at);
        let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(number).as_ref()).collect();
        let whole = if parts.is_empty() { Ok(new_empty_array(field.data_type())) } else { concat(&parts) };
        let column = whole.and_then(|whole| widened(&whole)).map_err(|source| damaged(source.into()))?;
        table.push(polars_column(field.name(), &column));
    }
    let table =
        DataFrame::new_infer_height(table).map_err(|source| CatalogError::Decode { uri: uri.to_owned(), source })?;
    Ok((table, picks))
}

fn wrong_type(uri: &str, picks: &[Pick], at: usize, schema: &arrow::datatypes::Schema) -> CatalogError {
    let pick = picks.iter().find(|pick| pick.at == at).expect("wanted columns come from the picks");
    pick.wrong_type(uri, schema.field(at).data_type())
}

/// Page readers slice without asking, so the footer's claims are compared first.
fn check_offsets(uri: &str, metadata: &ParquetMetaData, size: u64, wanted: &[usize]) -> Result<(), CatalogError> {
    let schema = metadata.file_metadata().schema_descr();
    for group in metadata.row_groups() {
        for (leaf, column) in group.columns().iter().enumerate() {
            if !wanted.contains(&schema.get_column_root_idx(leaf)) {
                continue;
            }
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let end = start.checked_add(column.compressed_size());
            if start < 0 || column.compressed_size() < 0 || end.is_none_or(|end| end as u64 > size) {
                let column = column.column_path().string();
                return Err(CatalogError::Truncated { uri: uri.to_owned(), column, size });
            }
        }
    }
    Ok(())
}

/// The one of five types that holds all values of `dtype`; `None` for what is neither text nor number nor flag.
fn widened_type(dtype: &DataType) -> Option<DataType> {
    Some(match dtype {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => DataType::LargeUtf8,
        // Writers that forget to say that their bytes are text.
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => DataType::LargeUtf8,
        DataType::Dictionary(_, values) => widened_type(values)?,
        DataType::Boolean => DataType::Boolean,
        DataType::UInt64 => DataType::UInt64,
        _ if dtype.is_integer() => DataType::Int64,
        DataType::Decimal32(_, 0) | DataType::Decimal64(_, 0) => DataType::Int64,
        DataType::Decimal128(digits, 0) | DataType::Decimal256(digits, 0) if *digits <= 18 => DataType::Int64,
        _ if dtype.is_numeric() => DataType::Float64,
        _ => return None,
    })
}

fn widened(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let Some(to) = widened_type(column.data_type()) else {
        return Err(ArrowError::CastError(format!("cannot widen {}", column.data_type())));
    };
    // Not `safe`: that would turn what does not fit into nulls.
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let by_way_of = match column.data_type() {
        DataType::Dictionary(_, values) if **values != to => cast_with_options(column, values, &options)?,
        DataType::BinaryView => cast_with_options(column, &DataType::LargeBinary, &options)?,
        _ => Arc::clone(column),
    };
    cast_with_options(&by_way_of, &to, &options)
}

/// The column for polars, which shares no types with the `parquet` crate: values cross one by one.
fn polars_column(name: &str, column: &ArrayRef) -> Column {
    let name = name.into();
    match column.data_type() {
        DataType::Boolean => Series::new(name, column.as_boolean().iter().collect::<Vec<_>>()),
        DataType::Int64 => Series::new(name, column.as_primitive::<Int64Type>().iter().collect::<Vec<_>>()),
        DataType::UInt64 => Series::new(name, column.as_primitive::<UInt64Type>().iter().collect::<Vec<_>>()),
        DataType::Float64 => Series::new(name, column.as_primitive::<Float64Type>().iter().collect::<Vec<_>>()),
        _ => Series::new(name, column.as_string::<i64>().iter().collect::<Vec<_>>()),
    }
    .into()
}
