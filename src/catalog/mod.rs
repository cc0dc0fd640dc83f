//! Catalogue: what the shop says of its items.
//!
//! In: Parquet or CSV, local or on S3, and the items that events know. Out: a [`Catalog`] in the items' own
//! numbering, and a report of what did not fit.
//! Refuses: to drop a row in silence, to guess a column, to guess types of ids (`007` stays `007`).

mod align;
mod columns;
mod config;
mod csv_file;
mod error;
mod frame;
mod parquet_file;
mod values;

pub use config::{CatalogColumns, CatalogConfig};
pub use error::CatalogError;

use serde::{Deserialize, Serialize};

use crate::{ids::IdTable, recommendations::Catalog, storage::Storage};

/// Suffixes of catalogue files in a directory.
const SUFFIXES: &[&str] = &[".parquet", ".csv"];

/// How catalogue and events fit together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CatalogReport {
    /// Rows read.
    pub rows: u64,
    /// Rows whose item came in an earlier row; the first one counts.
    pub duplicates: u64,
    /// Rows whose item id is null or empty.
    pub null_ids: u64,
    /// Items of the catalogue that no event names.
    pub listed_items_without_events: u64,
    /// Items of the events that the catalogue does not list.
    pub items_without_listing: u64,
    /// Prices that are no number, or not finite, or negative; they count as unknown.
    pub unreadable_prices: u64,
    /// Availabilities that are none of the known words; such items count as not available.
    pub unreadable_available: u64,
}

/// Reads the catalogue and aligns it with the numbering of `items`.
///
/// Of several files (a directory, a glob) the rows count in the order of the files' names. An item whose
/// availability is null counts as available.
///
/// Returns: [`Catalog::absent`] and an empty report when the config names no catalogue.
///
/// # Errors
/// A location that cannot be read, a damaged file, a missing column, a column of the wrong type, a column of
/// availabilities of which not one is understood.
///
/// Cost: the files' bytes and their decoded columns in memory, one file at a time.
pub fn read_catalog(
    config: &CatalogConfig,
    storage: &Storage,
    items: &IdTable,
) -> Result<(Catalog, CatalogReport), CatalogError> {
    let Some(path) = &config.path else {
        return Ok((Catalog::absent(items.len()), CatalogReport::default()));
    };
    let mut aligned = align::Aligner::new(items);
    for object in storage.list(std::slice::from_ref(path), SUFFIXES)? {
        let bytes = storage.open(&object)?.read_all()?;
        let table = frame::read(&object.uri, &bytes, &config.columns)?;
        aligned.add(&object.uri, &table)?;
    }
    let (catalog, report) = aligned.finish();
    if report.items_without_listing == items.len() as u64 && !items.is_empty() {
        tracing::warn!(
            path,
            rows = report.rows,
            n_items = items.len(),
            "the catalogue lists none of the events' items"
        );
    }
    tracing::info!(
        rows = report.rows,
        duplicates = report.duplicates,
        null_ids = report.null_ids,
        listed_items_without_events = report.listed_items_without_events,
        items_without_listing = report.items_without_listing,
        "catalogue read"
    );
    Ok((catalog, report))
}

/// Reads the whole catalogue: its items and those of `more`, ascending, with what the catalogue says of them.
///
/// Returns: `more` alone, with [`Catalog::absent`], when the config names no catalogue.
///
/// # Errors
/// As [`read_catalog`].
pub fn read_listing(
    config: &CatalogConfig,
    storage: &Storage,
    more: &IdTable,
) -> Result<(IdTable, Catalog), CatalogError> {
    let Some(path) = &config.path else {
        return Ok((more.clone(), Catalog::absent(more.len())));
    };
    let mut tables = Vec::new();
    let mut ids: Vec<String> = more.iter().map(str::to_owned).collect();
    for object in storage.list(std::slice::from_ref(path), SUFFIXES)? {
        let bytes = storage.open(&object)?.read_all()?;
        let table = frame::read(&object.uri, &bytes, &config.columns)?;
        ids.extend(align::ids(&object.uri, &table)?);
        tables.push((object.uri, table));
    }
    ids.sort_unstable();
    ids.dedup();
    let items: IdTable = ids.iter().map(String::as_str).collect();
    let mut aligned = align::Aligner::new(&items);
    for (uri, table) in &tables {
        aligned.add(uri, table)?;
    }
    let (catalog, _) = aligned.finish();
    Ok((items, catalog))
}

#[cfg(test)]
mod tests;
