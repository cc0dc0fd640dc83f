//! What draws more users than it did.

use super::{ListBatch, PopularLists, Rules, TrendingConfig};
use crate::ids::IdTable;

/// Users of each item in two windows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    /// By `ItemIdx`: distinct users with an event in the recent window.
    pub now: Vec<u32>,
    /// By `ItemIdx`: distinct users with an event in the window before.
    pub before: Vec<u32>,
}

/// Items by how much their share of the shop's traffic has grown.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trending {
    /// `ItemIdx` numbers, the steepest first.
    pub items: Vec<u32>,
    /// Parallel to `items`.
    pub scores: Vec<f32>,
}

impl Trending {
    /// Ranks the eligible items that drew at least `min_users` users lately and more than was to be expected.
    ///
    /// Formula: `score = (now + s) / (expected + s)` with `expected = before * sum of now / sum of before`, so that a season
    /// which lifts the whole shop is no trend; s is `smoothing`, in users: an item with few users needs a larger jump.
    /// Returns: nothing when the window before is empty: then there is nothing to compare with.
    /// Determinism: counts are integers; ties by item.
    #[must_use]
    pub fn new(activity: &Activity, rules: &Rules, config: &TrendingConfig) -> Self {
        let sum = |counts: &[u32]| counts.iter().map(|&n| f64::from(n)).sum::<f64>();
        let (now, before) = (sum(&activity.now), sum(&activity.before));
        if before == 0.0 {
            return Self::default();
        }
        let growth = now / before;
        let mut ranked: Vec<(f32, u32)> = (0..activity.now.len() as u32)
            .filter(|&item| activity.now[item as usize] >= config.min_users.max(1) && rules.is_eligible(item))
            .map(|item| {
                let (now, before) = (activity.now[item as usize], activity.before[item as usize]);
                let score = (f64::from(now) + config.smoothing) / (f64::from(before) * growth + config.smoothing);
                (score as f32, item)
            })
            .filter(|&(score, _)| score > 1.0)
            .collect();
        ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let (scores, items) = ranked.into_iter().unzip();
        Self { items, scores }
    }

    /// The lists under their placements: `overall`, and each category's where anything trends in it.
    ///
    /// # Panics
    /// When an item has no id in the table.
    #[must_use]
    pub fn batch<'a>(
        &self,
        items: &'a IdTable,
        popular: &'a PopularLists,
        rules: &Rules,
        config: &TrendingConfig,
    ) -> ListBatch<'a> {
        let mut by_category: Vec<Vec<(&str, f32)>> = vec![Vec::new(); popular.n_categories()];
        let mut overall = Vec::new();
        for (&item, &score) in self.items.iter().zip(&self.scores) {
            let entry = (items.get(item as usize), score);
            if overall.len() < config.k {
                overall.push(entry);
            }
            if config.by_category
                && let Some(category) = rules.category(item)
                && by_category[category as usize].len() < config.k
            {
                by_category[category as usize].push(entry);
            }
        }
        let mut batch = ListBatch::default();
        batch.push(popular.overall_placement(), overall, "");
        for (category, entries) in by_category.into_iter().enumerate().filter(|(_, entries)| !entries.is_empty()) {
            batch.push(popular.placement(category as u32), entries, "");
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        interactions::Csr,
        recommendations::{Catalog, RecommendConfig},
    };

    fn shop() -> (Catalog, IdTable) {
        let catalog = Catalog {
            categories: vec![Some(0), Some(1), None, Some(1), Some(0)],
            category_names: ["hats", "shoes"].into_iter().collect(),
            ..Catalog::absent(5)
        };
        (catalog, ["a", "b", "c", "d", "e"].into_iter().collect())
    }

    #[test]
    fn growth_of_the_whole_shop_is_no_trend() {
        let (catalog, items) = shop();
        let config = RecommendConfig { blocked_items: vec!["e".into()], ..Default::default() };
        let (rules, _) = Rules::compile(&config, &catalog, &items).unwrap();
        let config = TrendingConfig { smoothing: 10.0, min_users: 5, ..Default::default() };
        // Twice the users everywhere, except that b gets more and a less; e would be first and is blocked.
        let activity = Activity { now: vec![10, 100, 40, 4, 46], before: vec![40, 20, 20, 0, 20] };
        let trending = Trending::new(&activity, &rules, &config);
        // b: (100 + 10) / (40 + 10); c is as expected; d has too few users.
        assert_eq!((trending.items.as_slice(), trending.scores.as_slice()), (&[1][..], &[2.2f32][..]));

        let weights =
            Csr { indptr: vec![0, 5], indices: (0..5).collect(), values: vec![1.0; 5], n_cols: 5, ..Csr::default() };
        let popular = PopularLists::new(&weights, &rules, &catalog.category_names).unwrap();
        let batch = trending.batch(&items, &popular, &rules, &config);
        assert_eq!((batch.keys, batch.items), (vec!["overall", "category:shoes"], vec!["b", "b"]));
    }

    #[test]
    fn without_a_past_there_is_no_trend() {
        let (catalog, items) = shop();
        let (rules, _) = Rules::compile(&RecommendConfig::default(), &catalog, &items).unwrap();
        let activity = Activity { now: vec![100; 5], before: vec![0; 5] };
        assert_eq!(Trending::new(&activity, &rules, &TrendingConfig::default()), Trending::default());
    }
}
