//! From tables of rows to columns by `ItemIdx`.

use std::collections::{BTreeMap, HashSet};

use polars::prelude::*;

use super::{CatalogError, CatalogReport, values};
use crate::{ids::IdTable, recommendations::Catalog};

/// The ids that a file's table lists.
pub(super) fn ids(uri: &str, table: &DataFrame) -> Result<Vec<String>, CatalogError> {
    let failed = |source| CatalogError::Decode { uri: uri.to_owned(), source };
    let ids = table.column("item_id").and_then(|column| column.str()).map_err(failed)?;
    Ok(ids.iter().flatten().filter(|id| !id.is_empty()).map(str::to_owned).collect())
}

/// Gathers rows; the first of an item counts.
pub(super) struct Aligner<'a> {
    items: &'a IdTable,
    catalog: Catalog,
    report: CatalogReport,
    /// Listed items that no event names.
    without_events: HashSet<String>,
    categories: Names,
    brands: Names,
}

impl<'a> Aligner<'a> {
    pub(super) fn new(items: &'a IdTable) -> Self {
        // An item that the catalogue does not list is not known to be sold out either: `listed` alone speaks.
        let catalog = Catalog { present: true, listed: vec![false; items.len()], ..Catalog::absent(items.len()) };
        Self {
            items,
            catalog,
            report: CatalogReport::default(),
            without_events: HashSet::new(),
            categories: Names::default(),
            brands: Names::default(),
        }
    }

    /// Adds the rows of one file's table.
    pub(super) fn add(&mut self, uri: &str, table: &DataFrame) -> Result<(), CatalogError> {
        let failed = |source| CatalogError::Decode { uri: uri.to_owned(), source };
        let ids = table.column("item_id").and_then(|column| column.str()).map_err(failed)?;
        let titles = Texts::of(table, "title").map_err(failed)?;
        let categories = Texts::of(table, "category").map_err(failed)?;
        let brands = Texts::of(table, "brand").map_err(failed)?;
        let prices = Prices::of(table).map_err(failed)?;
        let flags = Flags::of(table).map_err(failed)?;
        flags.check(uri)?;
        for (row, id) in ids.iter().enumerate() {
            self.report.rows += 1;
            let Some(id) = id.filter(|id| !id.is_empty()) else {
                self.report.null_ids += 1;
                continue;
            };
            let Some(item) = self.items.position(id) else {
                if !self.without_events.insert(id.to_owned()) {
                    self.report.duplicates += 1;
                }
                continue;
            };
            if std::mem::replace(&mut self.catalog.listed[item], true) {
                self.report.duplicates += 1;
                continue;
            }
            if let Some(title) = titles.get(row) {
                self.catalog.titles[item] = title.to_owned();
            }
            self.catalog.categories[item] = categories.get(row).map(|name| self.categories.number(name));
            self.catalog.brands[item] = brands.get(row).map(|name| self.brands.number(name));
            self.catalog.prices[item] = prices.get(row).unwrap_or_else(|Unreadable| {
                self.report.unreadable_prices += 1;
                None
            });
            self.catalog.available[item] = flags.get(row).unwrap_or_else(|Unreadable| {
                self.report.unreadable_available += 1;
                false
            });
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> (Catalog, CatalogReport) {
        self.catalog.category_names = self.categories.finish(&mut self.catalog.categories);
        self.catalog.brand_names = self.brands.finish(&mut self.catalog.brands);
        self.report.listed_items_without_events = self.without_events.len() as u64;
        self.report.items_without_listing = self.catalog.listed.iter().filter(|listed| !**listed).count() as u64;
        (self.catalog, self.report)
    }
}

/// Names numbered as they come, and in the end in ascending order.
#[derive(Default)]
struct Names {
    numbers: BTreeMap<String, u32>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(name.to_owned(), number);
        number
    }

    /// The names ascending; renumbers `uses` to match.
    fn finish(self, uses: &mut [Option<u32>]) -> IdTable {
        let mut ascending = vec![0u32; self.numbers.len()];
        for (after, &before) in self.numbers.values().enumerate() {
            ascending[before as usize] = after as u32;
        }
        for number in uses.iter_mut().flatten() {
            *number = ascending[*number as usize];
        }
        self.numbers.keys().map(String::as_str).collect()
    }
}

/// A value that is there and means nothing.
struct Unreadable;

/// A text column that may not exist; empty text is unknown.
struct Texts<'t>(Option<&'t StringChunked>);

impl<'t> Texts<'t> {
    fn of(table: &'t DataFrame, key: &str) -> PolarsResult<Self> {
        table.column(key).ok().map(|column| column.str()).transpose().map(Self)
    }

    fn get(&self, row: usize) -> Option<&'t str> {
        self.0.and_then(|column| column.get(row)).filter(|text| !text.is_empty())
    }
}

enum Prices<'t> {
    Numbers(&'t Float64Chunked),
    Texts(Texts<'t>),
}

impl<'t> Prices<'t> {
    fn of(table: &'t DataFrame) -> PolarsResult<Self> {
        match table.column("price").ok().map(|column| column.f64()) {
            Some(Ok(numbers)) => Ok(Self::Numbers(numbers)),
            _ => Texts::of(table, "price").map(Self::Texts),
        }
    }

    fn get(&self, row: usize) -> Result<Option<f64>, Unreadable> {
        let (given, price) = match self {
            Self::Numbers(column) => (column.get(row).is_some(), column.get(row).and_then(values::sound_price)),
            Self::Texts(column) => (column.get(row).is_some(), column.get(row).and_then(values::price)),
        };
        if given && price.is_none() { Err(Unreadable) } else { Ok(price) }
    }
}

enum Flags<'t> {
    Booleans(&'t BooleanChunked),
    Texts(Texts<'t>),
}

impl<'t> Flags<'t> {
    fn of(table: &'t DataFrame) -> PolarsResult<Self> {
        match table.column("available").ok().map(|column| column.bool()) {
            Some(Ok(booleans)) => Ok(Self::Booleans(booleans)),
            _ => Texts::of(table, "available").map(Self::Texts),
        }
    }

    /// Null is available: the shop says nothing against it.
    fn get(&self, row: usize) -> Result<bool, Unreadable> {
        match self {
            Self::Booleans(column) => Ok(column.get(row).unwrap_or(true)),
            Self::Texts(column) => match column.get(row) {
                None => Ok(true),
                Some(text) => values::available(text).ok_or(Unreadable),
            },
        }
    }

    /// Refuses a column that is about something else: taken at its word it would make the whole shop unavailable.
    fn check(&self, uri: &str) -> Result<(), CatalogError> {
        let Self::Texts(Texts(Some(column))) = self else {
            return Ok(());
        };
        let mut given = column.iter().flatten().filter(|text| !text.is_empty());
        let Some(first) = given.next() else {
            return Ok(());
        };
        if values::available(first).is_some() || given.any(|text| values::available(text).is_some()) {
            return Ok(());
        }
        let (uri, column, example) = (uri.to_owned(), "available".to_owned(), first.to_owned());
        Err(CatalogError::NothingUnderstood { uri, column, example })
    }
}
