//! What is in the same baskets.

use std::ops::Range;

use rayon::prelude::*;

use super::{BoughtTogetherConfig, PairMeasure, Rules, SimilarItems, top_k::TopK};
use crate::interactions::Csr;

/// Items of one unit of parallel work.
const CHUNK_ITEMS: usize = 256;

/// Baskets of the shop, by basket and by item.
#[derive(Debug, Clone)]
pub struct BoughtTogether<'a> {
    baskets: Csr,
    by_item: Csr,
    rules: &'a Rules,
}

impl<'a> BoughtTogether<'a> {
    /// Takes in the baskets: a pattern (no values), n_baskets x n_items, items ascending within a basket.
    #[must_use]
    pub fn new(baskets: Csr, rules: &'a Rules) -> Self {
        let by_item = baskets.transpose();
        Self { baskets, by_item, rules }
    }

    /// How many baskets there are.
    #[must_use]
    pub fn n_baskets(&self) -> usize {
        self.baskets.n_rows()
    }

    /// The eligible items that are bought together with each of `items`, the strongest first.
    ///
    /// Formula: with n baskets, n_i of them with item i and n_ij with both, over items j with
    /// n_ij >= `min_pair_baskets` and n_ij above n_i n_j / n (together more often than by chance):
    ///
    /// - `lift`: `n n_ij / (n_i n_j)`;
    /// - `confidence`: `n_ij / n_i`, the share of the item's baskets that hold the other, too;
    /// - `log_likelihood`: `2 (sum of o ln(o / e))` over the four counts of a 2 x 2 table, observed and expected
    ///   (Dunning 1993), which weighs strength by evidence.
    ///
    /// Determinism: counts are integers; score descending, then item; the same for any number of threads.
    /// Cost: for each basket its items squared; 4 bytes an item and thread.
    #[must_use]
    pub fn of(&self, items: Range<usize>, config: &BoughtTogetherConfig) -> SimilarItems {
        let chunks: Vec<SimilarItems> = items
            .clone()
            .step_by(CHUNK_ITEMS)
            .collect::<Vec<usize>>()
            .into_par_iter()
            .map_init(
                || (vec![0u32; self.baskets.n_cols], Vec::new(), TopK::default()),
                |(n_both, touched, top), start| {
                    let mut lists = SimilarItems::default();
                    for item in start..(start + CHUNK_ITEMS).min(items.end) {
                        self.one(item, config, n_both, touched, top, &mut lists);
                    }
                    lists
                },
            )
            .collect();
        SimilarItems::join(items, chunks)
    }

    fn one(
        &self,
        item: usize,
        config: &BoughtTogetherConfig,
        n_both: &mut [u32],
        touched: &mut Vec<u32>,
        top: &mut TopK,
        lists: &mut SimilarItems,
    ) {
        for &basket in self.by_item.columns(item) {
            for &other in self.baskets.columns(basket as usize) {
                if n_both[other as usize] == 0 {
                    touched.push(other);
                }
                n_both[other as usize] += 1;
            }
        }
        touched.sort_unstable();
        top.restart(config.k, Some(0.0));
        let n = self.n_baskets() as f64;
        let n_item = self.by_item.columns(item).len() as f64;
        for &other in touched.iter() {
            let both = std::mem::take(&mut n_both[other as usize]);
            if both < config.min_pair_baskets || other as usize == item || !self.rules.is_eligible(other) {
                continue;
            }
            lists.counts.n_pairs += 1;
            let (n_other, both) = (self.by_item.columns(other as usize).len() as f64, f64::from(both));
            if both * n > n_item * n_other {
                let score = measure(config.measure, both, n_item, n_other, n) as f32;
                top.scan(other, &[score], |_| true);
            }
        }
        touched.clear();
        lists.push(top.finish());
    }
}

fn measure(measure: PairMeasure, both: f64, n_item: f64, n_other: f64, n: f64) -> f64 {
    match measure {
        PairMeasure::Lift => n * both / (n_item * n_other),
        PairMeasure::Confidence => both / n_item,
        PairMeasure::LogLikelihood => {
            let cell = |observed: f64, row: f64, column: f64| {
                if observed > 0.0 { observed * (observed * n / (row * column)).ln() } else { 0.0 }
            };
            let (not_item, not_other) = (n - n_item, n - n_other);
            2.0 * (cell(both, n_item, n_other)
                + cell(n_item - both, n_item, not_other)
                + cell(n_other - both, not_item, n_other)
                + cell(n - n_item - n_other + both, not_item, not_other))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        ids::IdTable,
        recommendations::{Catalog, RecommendConfig},
    };

    fn pattern(baskets: &[Vec<u32>], n_cols: usize) -> Csr {
        let mut csr = Csr { indptr: vec![0], n_cols, ..Csr::default() };
        for basket in baskets {
            csr.indices.extend(basket);
            csr.indptr.push(csr.indices.len());
        }
        csr
    }

    fn ids(n: usize) -> IdTable {
        let names: Vec<String> = (0..n).map(|item| format!("{item:02}")).collect();
        names.iter().map(String::as_str).collect()
    }

    #[test]
    fn measures_are_those_of_the_formulas() {
        // 100 baskets, 20 with i, 10 with j, 8 with both. Log-likelihood by hand:
        // 2 (8 ln 4 + 12 ln(12/18) + 2 ln(2/8) + 78 ln(78/72)) = 2 (11.0904 - 4.8656 - 2.7726 + 6.2433).
        assert_eq!(measure(PairMeasure::Lift, 8.0, 20.0, 10.0, 100.0), 4.0);
        assert_eq!(measure(PairMeasure::Confidence, 8.0, 20.0, 10.0, 100.0), 0.4);
        assert!((measure(PairMeasure::LogLikelihood, 8.0, 20.0, 10.0, 100.0) - 19.3910).abs() < 1e-3);
        assert!(measure(PairMeasure::LogLikelihood, 2.0, 20.0, 10.0, 100.0).abs() < 1e-9, "independent");
        assert!(measure(PairMeasure::LogLikelihood, 10.0, 10.0, 10.0, 100.0).is_finite(), "empty cells");
    }

    proptest! {
        #[test]
        fn lists_are_those_of_counting_every_pair(
            baskets in proptest::collection::vec(proptest::collection::btree_set(0u32..12, 1..6), 1..60),
            min_pair_baskets in 1u32..4,
            k in 1usize..5,
            measure_at in 0usize..3,
        ) {
            let baskets: Vec<Vec<u32>> = baskets.into_iter().map(|basket| basket.into_iter().collect()).collect();
            let items = ids(12);
            let config = RecommendConfig { blocked_items: vec!["03".into()], ..Default::default() };
            let (rules, _) = Rules::compile(&config, &Catalog::absent(12), &items).unwrap();
            let measure_of = [PairMeasure::Lift, PairMeasure::Confidence, PairMeasure::LogLikelihood][measure_at];
            let config = BoughtTogetherConfig { k, min_pair_baskets, measure: measure_of };
            let lists = BoughtTogether::new(pattern(&baskets, 12), &rules).of(0..12, &config);
            let n = baskets.len() as f64;
            let count = |items: &[u32]| baskets.iter().filter(|basket| items.iter().all(|i| basket.contains(i))).count() as f64;
            for item in 0..12u32 {
                let mut expected: Vec<(f32, u32)> = (0..12)
                    .filter(|&other| other != item && other != 3)
                    .filter(|&other| {
                        let both = count(&[item, other]);
                        both >= f64::from(min_pair_baskets) && both * n > count(&[item]) * count(&[other])
                    })
                    .map(|other| (measure(measure_of, count(&[item, other]), count(&[item]), count(&[other]), n) as f32, other))
                    .collect();
                expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                expected.truncate(k);
                let range = lists.offsets[item as usize]..lists.offsets[item as usize + 1];
                let found: Vec<(f32, u32)> = lists.scores[range.clone()].iter().copied().zip(lists.items[range].iter().copied()).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
