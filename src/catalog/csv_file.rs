//! The wanted columns of a CSV file, as a polars table of text.
//!
//! The `csv` crate reads: polars' own reader brings its streaming engine and its Parquet reader along, a third of the
//! time it takes to compile the program, for the one file that a build reads as CSV.

use polars::prelude::{Column, DataFrame, NamedFrom, Series};

use super::{
    CatalogColumns, CatalogError,
    columns::{Pick, pick},
};

/// Reads the columns that the config names. All values are text, empty ones null: guessed types would cut `007` to 7.
pub(super) fn read(uri: &str, bytes: &[u8], columns: &CatalogColumns) -> Result<(DataFrame, Vec<Pick>), CatalogError> {
    let damaged = |source| CatalogError::Csv { uri: uri.to_owned(), source };
    let mut reader = csv::Reader::from_reader(bytes);
    let names: Vec<String> = reader.headers().map_err(damaged)?.iter().map(str::to_owned).collect();
    let picks = pick(uri, &names.iter().map(String::as_str).collect::<Vec<_>>(), columns)?;
    let mut wanted: Vec<usize> = picks.iter().map(|pick| pick.at).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut values: Vec<Vec<Option<String>>> = vec![Vec::new(); wanted.len()];
    let mut row = csv::StringRecord::new();
    while reader.read_record(&mut row).map_err(damaged)? {
        for (&at, column) in wanted.iter().zip(&mut values) {
            column.push(row.get(at).filter(|value| !value.is_empty()).map(str::to_owned));
        }
    }
    let n_rows = values.first().map_or(0, Vec::len);
    let table: Vec<Column> = wanted
        .iter()
        .zip(&values)
        .map(|(&at, values)| Series::new(names[at].as_str().into(), values.as_slice()).into())
        .collect();
    let table = DataFrame::new(n_rows, table).map_err(|source| CatalogError::Decode { uri: uri.to_owned(), source })?;
    Ok((table, picks))
}
