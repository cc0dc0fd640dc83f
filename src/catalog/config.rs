//! The `[catalog]` section.

use serde::{Deserialize, Serialize};

/// Where the catalogue lies and how its columns are called.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogConfig {
    /// File, directory, glob or `s3://` location of Parquet or CSV. Without it every item counts as listed and available.
    pub path: Option<String>,
    /// Names of the columns.
    pub columns: CatalogColumns,
}

/// The catalogue's column names.
///
/// A column that is named here must exist. Of those left out, the column of the key's own name is taken if it
/// exists; `""` says that there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogColumns {
    /// The item's id: text or integer, written as in the events.
    pub item_id: String,
    /// Title: text.
    pub title: Option<String>,
    /// Category: text or integer.
    pub category: Option<String>,
    /// Brand: text or integer.
    pub brand: Option<String>,
    /// Price in the shop's currency: a number, or text that is one.
    pub price: Option<String>,
    /// Whether the item may be sold now: true or false, 1 or 0, `in_stock` or `out_of_stock`; null counts as true.
    pub available: Option<String>,
}

impl Default for CatalogColumns {
    fn default() -> Self {
        Self { item_id: "item_id".into(), title: None, category: None, brand: None, price: None, available: None }
    }
}

impl CatalogConfig {
    /// Checks the values; `path` is the section's name in the config.
    ///
    /// # Errors
    /// The first key that cannot be right, with its full path.
    pub fn check(&self, path: &str) -> Result<(), String> {
        if self.path.as_deref() == Some("") {
            return Err(format!("{path}.path must not be empty; leave it out when there is no catalogue"));
        }
        if self.columns.item_id.is_empty() {
            return Err(format!("{path}.columns.item_id must name a column"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_cannot_be_right_is_named() {
        assert_eq!(CatalogConfig::default().check("catalog"), Ok(()));
        let columns = CatalogColumns { item_id: String::new(), ..CatalogColumns::default() };
        let config = CatalogConfig { path: None, columns };
        assert_eq!(config.check("catalog").unwrap_err(), "catalog.columns.item_id must name a column");
        assert!(toml::from_str::<CatalogConfig>("[columns]\ntitel = 'x'").is_err());
    }
}
