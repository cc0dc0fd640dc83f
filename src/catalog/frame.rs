//! From a file's bytes to one table with the columns that the config names, under their keys.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use polars::prelude::*;

use super::{CatalogColumns, CatalogError, csv_file, parquet_file};

/// Reads one file. The table has `item_id` and those of title, category, brand (all text), price (number or text) and
/// available (boolean or text) that the file has.
pub(super) fn read(uri: &str, bytes: &Bytes, columns: &CatalogColumns) -> Result<DataFrame, CatalogError> {
    // Both readers panic on some damaged files; nothing they were given is used afterwards.
    catch_unwind(AssertUnwindSafe(|| decode(uri, bytes, columns))).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(CatalogError::ReaderPanicked { uri: uri.to_owned(), message: message.to_owned() })
    })
}

fn decode(uri: &str, bytes: &Bytes, columns: &CatalogColumns) -> Result<DataFrame, CatalogError> {
    let failed = |source| CatalogError::Decode { uri: uri.to_owned(), source };
    let is_parquet = bytes.starts_with(b"PAR1") || uri.to_ascii_lowercase().ends_with(".parquet");
    let (table, picks) =
        if is_parquet { parquet_file::read(uri, bytes, columns)? } else { csv_file::read(uri, bytes, columns)? };
    let mut table = table.lazy();
    let schema = table.collect_schema().map_err(failed)?;
    let expressions: Vec<Expr> = picks
        .iter()
        .map(|pick| {
            let dtype = schema.try_get(&pick.column).map_err(failed)?;
            pick.expression(dtype).ok_or_else(|| pick.wrong_type(uri, dtype))
        })
        .collect::<Result<_, CatalogError>>()?;
    table.select(expressions).collect().map_err(failed)
}
