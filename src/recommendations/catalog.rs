//! What the catalogue says of each item, by `ItemIdx`.

use crate::ids::IdTable;

/// The catalogue, aligned with the numbering of items.
///
/// Items of the interactions that the catalogue does not list have `listed = false`; with no catalogue at all
/// (`present = false`) every item counts as listed and available.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Whether the shop gave a catalogue.
    pub present: bool,
    /// By `ItemIdx`: in the catalogue.
    pub listed: Vec<bool>,
    /// By `ItemIdx`: may be sold now.
    pub available: Vec<bool>,
    /// By `ItemIdx`: title, empty when unknown.
    pub titles: Vec<String>,
    /// By `ItemIdx`: category number into `category_names`, `None` when unknown.
    pub categories: Vec<Option<u32>>,
    /// By `ItemIdx`: brand number into `brand_names`, `None` when unknown.
    pub brands: Vec<Option<u32>>,
    /// By `ItemIdx`: price in the shop's currency, `None` when unknown.
    pub prices: Vec<Option<f64>>,
    /// Ascending.
    pub category_names: IdTable,
    /// Ascending.
    pub brand_names: IdTable,
}

impl Catalog {
    /// The catalogue of a shop that gave none: every one of `n_items` items is listed, available and nameless.
    #[must_use]
    pub fn absent(n_items: usize) -> Self {
        Self {
            present: false,
            listed: vec![true; n_items],
            available: vec![true; n_items],
            titles: vec![String::new(); n_items],
            categories: vec![None; n_items],
            brands: vec![None; n_items],
            prices: vec![None; n_items],
            category_names: IdTable::new(),
            brand_names: IdTable::new(),
        }
    }

    /// The catalogue of some of the items: `kept` are their numbers, ascending.
    #[must_use]
    pub fn select(&self, kept: &[u32]) -> Self {
        fn pick<T: Clone>(column: &[T], kept: &[u32]) -> Vec<T> {
            kept.iter().map(|&item| column[item as usize].clone()).collect()
        }
        Self {
            present: self.present,
            listed: pick(&self.listed, kept),
            available: pick(&self.available, kept),
            titles: pick(&self.titles, kept),
            categories: pick(&self.categories, kept),
            brands: pick(&self.brands, kept),
            prices: pick(&self.prices, kept),
            category_names: self.category_names.clone(),
            brand_names: self.brand_names.clone(),
        }
    }
}
