//! Popular items, of the shop and of each category.

use super::{ListBatch, PopularConfig, RecommendError, Rules, top_k};
use crate::{ids::IdTable, interactions::Csr};

/// Key of the overall list.
const OVERALL: &str = "overall";

/// All eligible items by popularity: the published lists are their beginnings, fallbacks read on as far as they must.
///
/// Cost: 12 bytes an item.
#[derive(Debug, Clone)]
pub struct PopularLists {
    scores: Vec<f32>,
    overall: Vec<u32>,
    /// Category `c` holds `by_category[category_starts[c]..category_starts[c + 1]]`.
    by_category: Vec<u32>,
    category_starts: Vec<usize>,
    /// `overall`, then `category:<name>` by category number.
    keys: Vec<String>,
}

impl PopularLists {
    /// Orders the eligible items by their total weight over all users.
    ///
    /// Formula: popularity of an item = sum of its column of `weights`, which carry the half-life of each event type.
    /// Caps and boosts do not apply.
    /// Determinism: summed in f64 in user order; ordered by the f32 that is published, ties by `ItemIdx`.
    ///
    /// # Errors
    /// When `weights` and `rules` speak of different items, or `category_names` is not the table of the rules.
    pub fn new(weights: &Csr, rules: &Rules, category_names: &IdTable) -> Result<Self, RecommendError> {
        RecommendError::length("the weights matrix", "items", weights.n_cols, rules.n_items())?;
        let mut sums = vec![0f64; weights.n_cols];
        for (&item, &weight) in weights.indices.iter().zip(&weights.values) {
            sums[item as usize] += f64::from(weight);
        }
        Self::from_scores(sums.into_iter().map(|sum| sum as f32).collect(), rules, category_names)
    }

    /// The same from sums that were taken before, by `ItemIdx`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_scores(scores: Vec<f32>, rules: &Rules, category_names: &IdTable) -> Result<Self, RecommendError> {
        RecommendError::length("the popularities", "items", scores.len(), rules.n_items())?;
        RecommendError::length("the category names", "categories", category_names.len(), rules.categories.n_groups)?;
        let mut keys: Vec<u64> = (0u32..)
            .zip(&scores)
            .filter(|(item, _)| rules.is_eligible(*item))
            .map(|(item, &score)| top_k::key(score, item))
            .collect();
        keys.sort_unstable();
        let overall: Vec<u32> = keys.into_iter().map(|key| top_k::from_key(key).item).collect();

        // A stable deal of the ordered items to their categories keeps each category ordered.
        let mut category_starts = vec![0usize; category_names.len() + 1];
        for category in overall.iter().filter_map(|&item| rules.category(item)) {
            category_starts[category as usize + 1] += 1;
        }
        for category in 0..category_names.len() {
            category_starts[category + 1] += category_starts[category];
        }
        let mut next = category_starts.clone();
        let mut by_category = vec![0u32; next.last().copied().unwrap_or(0)];
        for &item in &overall {
            if let Some(category) = rules.category(item) {
                by_category[next[category as usize]] = item;
                next[category as usize] += 1;
            }
        }
        let keys = std::iter::once(OVERALL.to_owned())
            .chain(category_names.iter().map(|name| format!("category:{name}")))
            .collect();
        Ok(Self { scores, overall, by_category, category_starts, keys })
    }

    /// How many categories there are.
    #[must_use]
    pub fn n_categories(&self) -> usize {
        self.keys.len() - 1
    }

    /// The key of the overall list.
    #[must_use]
    pub fn overall_placement(&self) -> &str {
        &self.keys[0]
    }

    /// The key of a category's list.
    ///
    /// # Panics
    /// When there is no such category.
    #[must_use]
    pub fn placement(&self, category: u32) -> &str {
        &self.keys[category as usize + 1]
    }

    /// Every eligible item, most popular first, those that nobody touched included.
    #[must_use]
    pub fn overall(&self) -> &[u32] {
        &self.overall
    }

    /// Every eligible item of a category, most popular first.
    #[must_use]
    pub fn category(&self, category: u32) -> &[u32] {
        let category = category as usize;
        &self.by_category[self.category_starts[category]..self.category_starts[category + 1]]
    }

    /// An item's popularity.
    #[inline]
    #[must_use]
    pub fn score(&self, item: u32) -> f32 {
        self.scores[item as usize]
    }

    /// Number of items, eligible or not.
    #[must_use]
    pub fn n_items(&self) -> usize {
        self.scores.len()
    }

    /// The lists to publish: key `overall`, then `category:<name>` by name.
    ///
    /// An item that nobody touched (popularity 0) is not popular and left out; so is a list without items, except the
    /// overall one.
    #[must_use]
    pub fn batch<'a>(&'a self, items: &'a IdTable, config: &PopularConfig) -> ListBatch<'a> {
        let mut batch = ListBatch::default();
        let n_categories = if config.by_category { self.n_categories() } else { 0 };
        let categories = (0..n_categories as u32).map(|category| self.category(category));
        for (at, list) in std::iter::once(self.overall()).chain(categories).enumerate() {
            let touched = list.iter().take(config.k).take_while(|&&item| self.score(item) > 0.0);
            let entries: Vec<(&str, f32)> = touched.map(|&item| (items.get(item as usize), self.score(item))).collect();
            if at == 0 || !entries.is_empty() {
                batch.push(&self.keys[at], entries, "");
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommendations::{Catalog, RecommendConfig};

    fn shop() -> (Csr, Catalog, IdTable) {
        // Totals: a 3, b 3, c 9, d 0, e 4.
        let weights = Csr {
            indptr: vec![0, 3, 3, 5, 7],
            indices: vec![0, 1, 2, 1, 4, 2, 4],
            values: vec![3.0, 1.0, 4.0, 2.0, 1.0, 5.0, 3.0],
            n_cols: 5,
            ..Csr::default()
        };
        let catalog = Catalog {
            categories: vec![Some(1), Some(1), Some(2), Some(1), None],
            category_names: ["empty", "hats", "shoes"].into_iter().collect(),
            ..Catalog::absent(5)
        };
        (weights, catalog, ["a", "b", "c", "d", "e"].into_iter().collect())
    }

    #[test]
    fn lists_are_ordered_by_total_weight_then_item_and_hold_eligible_items_only() {
        let (weights, catalog, items) = shop();
        let config = RecommendConfig { blocked_items: vec!["c".into()], ..Default::default() };
        let (rules, _) = Rules::compile(&config, &catalog, &items).unwrap();
        let popular = PopularLists::new(&weights, &rules, &catalog.category_names).unwrap();
        assert_eq!(popular.overall(), [4, 0, 1, 3]);
        assert_eq!(popular.category(1), [0, 1, 3]);
        assert!(popular.category(0).is_empty() && popular.category(2).is_empty());
        assert_eq!(popular.score(2), 9.0);

        let batch = popular.batch(&items, &PopularConfig::default());
        assert_eq!(batch.keys, ["overall", "category:hats"]);
        assert_eq!(batch.items, ["e", "a", "b", "a", "b"], "an untouched item is not popular");
        assert_eq!(batch.offsets, [0, 3, 5]);
        let batch = popular.batch(&items, &PopularConfig { k: 1, by_category: false });
        assert_eq!((batch.keys, batch.items, batch.scores), (vec!["overall"], vec!["e"], vec![4.0]));
    }

    #[test]
    fn a_shop_without_anything_has_an_empty_overall_list() {
        let catalog = Catalog::absent(0);
        let items = IdTable::new();
        let (rules, _) = Rules::compile(&RecommendConfig::default(), &catalog, &items).unwrap();
        let popular = PopularLists::new(&Csr::empty(3, 0), &rules, &catalog.category_names).unwrap();
        let batch = popular.batch(&items, &PopularConfig::default());
        assert_eq!((batch.keys, batch.offsets), (vec!["overall"], vec![0, 0]));
        assert!(PopularLists::new(&Csr::empty(3, 2), &rules, &catalog.category_names).is_err());
    }
}
