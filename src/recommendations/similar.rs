//! Similar items: who was with the same users.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{ListBatch, RecommendError, Rules, Scored, SimilarConfig, pair_counts::PairCounts, top_k::TopK};
use crate::{
    ids::{IdTable, ItemIdx},
    interactions::Csr,
    model::{ItemSimilarity, Model},
};

/// Items of one unit of parallel work.
pub(super) const CHUNK_ITEMS: usize = 64;

/// What similar items are made of.
#[derive(Clone, Copy)]
pub struct Similarities<'a> {
    pairs: Pairs<'a>,
    similarity: Option<&'a dyn ItemSimilarity>,
    n_known: usize,
    rules: &'a Rules,
}

/// Where the users that items share are known from.
#[derive(Clone, Copy)]
enum Pairs<'a> {
    Matrix { by_user: &'a Csr, by_item: &'a Csr },
    Counted { counts: &'a PairCounts, n_users_of: &'a [u32] },
}

/// How a range of items was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SimilarCounts {
    /// Items with a list.
    pub n_lists: u64,
    /// Items without: nothing shares enough users with them, or nothing of it is similar and eligible.
    pub n_empty: u64,
    /// Ordered pairs that share enough users and whose second item is eligible.
    pub n_pairs: u64,
    /// Similarities that were no numbers.
    pub n_nan: u64,
}

impl SimilarCounts {
    /// Adds the counts of other items.
    pub fn add(&mut self, other: &Self) {
        self.n_lists += other.n_lists;
        self.n_empty += other.n_empty;
        self.n_pairs += other.n_pairs;
        self.n_nan += other.n_nan;
    }
}

/// The similar items of consecutive items.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SimilarItems {
    /// The items, one list each.
    pub of_items: Range<usize>,
    /// n_items + 1 ascending offsets into `items` and `scores`.
    pub offsets: Vec<usize>,
    /// `ItemIdx` numbers, most similar first within a list.
    pub items: Vec<u32>,
    /// Parallel to `items`.
    pub scores: Vec<f32>,
    /// How the items were served.
    pub counts: SimilarCounts,
}

impl<'a> Similarities<'a> {
    /// Puts the parts together: the interactions by users and the same by items, and the model for its own notion of
    /// similarity, where it has one.
    ///
    /// # Errors
    /// When the parts speak of different items or users.
    pub fn new(
        by_user: &'a Csr,
        by_item: &'a Csr,
        model: Option<&'a dyn Model>,
        rules: &'a Rules,
    ) -> Result<Self, RecommendError> {
        let n_items = rules.n_items();
        RecommendError::length("the weights matrix", "items", by_user.n_cols, n_items)?;
        RecommendError::length("the weights matrix by items", "items", by_item.n_rows(), n_items)?;
        RecommendError::length("the weights matrix by items", "users", by_item.n_cols, by_user.n_rows())?;
        Ok(Self::of_pairs(Pairs::Matrix { by_user, by_item }, model, rules))
    }

    /// The same from pairs that were counted before, those of all items, and the number of each item's users: needs no
    /// interactions.
    ///
    /// # Errors
    /// When the parts speak of different items.
    pub fn from_counts(
        counts: &'a PairCounts,
        n_users_of: &'a [u32],
        model: Option<&'a dyn Model>,
        rules: &'a Rules,
    ) -> Result<Self, RecommendError> {
        let n_items = rules.n_items();
        RecommendError::length("the counts of pairs", "items", counts.offsets.len().saturating_sub(1), n_items)?;
        RecommendError::length("the counts of users", "items", n_users_of.len(), n_items)?;
        Ok(Self::of_pairs(Pairs::Counted { counts, n_users_of }, model, rules))
    }

    fn of_pairs(pairs: Pairs<'a>, model: Option<&'a dyn Model>, rules: &'a Rules) -> Self {
        let n_items = rules.n_items();
        let similarity = model.and_then(|model| model.similarity());
        let n_known = model.filter(|_| similarity.is_some()).map_or(n_items, Model::n_items).min(n_items);
        Self { pairs, similarity, n_known, rules }
    }

    /// Users of an item.
    fn n_users(&self, item: usize) -> usize {
        match self.pairs {
            Pairs::Matrix { by_item, .. } => by_item.columns(item).len(),
            Pairs::Counted { n_users_of, .. } => n_users_of[item] as usize,
        }
    }

    /// Counts the pairs of `items` with all items. Needs no model.
    ///
    /// Determinism: integers, so the pairs of some items may be counted apart from those of others.
    ///
    /// # Errors
    /// When there are not all of `items`.
    pub fn count(&self, items: Range<usize>, config: &SimilarConfig) -> Result<PairCounts, RecommendError> {
        RecommendError::range("items", &items, self.rules.n_items())?;
        let chunks: Vec<PairCounts> = items
            .clone()
            .step_by(CHUNK_ITEMS)
            .collect::<Vec<usize>>()
            .into_par_iter()
            .map_init(
                || Scratch::new(self.rules.n_items()),
                |scratch, start| {
                    let mut counts = PairCounts::empty();
                    for item in start..(start + CHUNK_ITEMS).min(items.end) {
                        scratch.find_candidates(item, config, self);
                        counts.push(&scratch.candidates, &scratch.candidate_counts);
                    }
                    counts
                },
            )
            .collect();
        Ok(PairCounts::join(chunks))
    }

    /// The most similar eligible items of each of `items`; an item that is not eligible itself has its list, too.
    ///
    /// Formula: over items that share at least `min_pair_users` distinct users with the item (counted exactly): the
    /// model's similarity, or without one the cosine of the users, n_both / sqrt(n_item * n_other). Only similarities
    /// above zero count.
    /// Determinism: similarity descending, then `ItemIdx`; the same for any number of threads and any range.
    /// Cost: for each user of each item his row; 4 bytes an item and thread.
    ///
    /// # Errors
    /// When there are fewer items.
    pub fn of(&self, items: Range<usize>, config: &SimilarConfig) -> Result<SimilarItems, RecommendError> {
        RecommendError::range("items", &items, self.rules.n_items())?;
        let chunks: Vec<SimilarItems> = items
            .clone()
            .step_by(CHUNK_ITEMS)
            .collect::<Vec<usize>>()
            .into_par_iter()
            .map_init(
                || Scratch::new(self.rules.n_items()),
                |scratch, start| self.chunk(start..(start + CHUNK_ITEMS).min(items.end), config, scratch),
            )
            .collect();
        Ok(SimilarItems::join(items, chunks))
    }

    /// The lists of a few items; `offsets` holds their ends only.
    fn chunk(&self, items: Range<usize>, config: &SimilarConfig, scratch: &mut Scratch) -> SimilarItems {
        let mut lists = SimilarItems { of_items: items.clone(), ..SimilarItems::default() };
        for item in items {
            scratch.find_candidates(item, config, self);
            lists.counts.n_pairs += scratch.candidates.len() as u64;
            scratch.score(item, self);
            scratch.top.restart(config.k, Some(0.0));
            for at in 0..scratch.candidates.len() {
                scratch.top.scan(scratch.candidates[at], &scratch.scores[at..=at], |_| true);
            }
            lists.push(scratch.top.finish());
            lists.counts.n_nan += scratch.top.n_nan();
        }
        lists
    }
}

/// Buffers of one thread.
pub(super) struct Scratch {
    /// By item: users shared with the item at hand; all zero between items.
    n_shared: Vec<u32>,
    /// Items with a count.
    touched: Vec<u32>,
    pub(super) candidates: Vec<u32>,
    pub(super) candidate_counts: Vec<u32>,
    scores: Vec<f32>,
    top: TopK,
}

impl Scratch {
    pub(super) fn new(n_items: usize) -> Self {
        Self {
            n_shared: vec![0; n_items],
            touched: Vec::new(),
            candidates: Vec::new(),
            candidate_counts: Vec::new(),
            scores: Vec::new(),
            top: TopK::default(),
        }
    }

    /// Puts back what other users were counted to.
    pub(super) fn resume(&mut self, partners: &[u32], n_users: &[u32]) {
        self.touched.extend_from_slice(partners);
        for (&other, &n) in partners.iter().zip(n_users) {
            self.n_shared[other as usize] = n;
        }
    }

    /// Counts the users that `item` shares with each other item.
    pub(super) fn count_partners(&mut self, item: usize, by_user: &Csr, by_item: &Csr) {
        for &user in by_item.columns(item) {
            for &other in by_user.columns(user as usize) {
                let count = &mut self.n_shared[other as usize];
                if *count == 0 {
                    self.touched.push(other);
                }
                *count += 1;
            }
        }
    }

    /// The items that are compared with `item`, and how many users they share.
    fn find_candidates(&mut self, item: usize, config: &SimilarConfig, of: &Similarities<'_>) {
        match of.pairs {
            Pairs::Matrix { by_user, by_item } => {
                // An item with too few users of its own shares enough with nobody: most of a long tail ends here.
                if of.n_users(item) >= config.min_pair_users as usize {
                    self.count_partners(item, by_user, by_item);
                }
                self.keep_candidates(item, config.min_pair_users, of.n_known, of.rules);
            }
            Pairs::Counted { counts, .. } => self.take_candidates(item, counts, of),
        }
    }

    /// The same from what was counted before.
    fn take_candidates(&mut self, item: usize, counted: &PairCounts, of: &Similarities<'_>) {
        self.candidates.clear();
        self.candidate_counts.clear();
        if item < of.n_known {
            let range = counted.offsets[item]..counted.offsets[item + 1];
            let known = counted.partners[range.clone()].partition_point(|&other| (other as usize) < of.n_known);
            self.candidates.extend_from_slice(&counted.partners[range.start..range.start + known]);
            self.candidate_counts.extend_from_slice(&counted.n_users[range.start..range.start + known]);
        }
    }

    /// Leaves the candidates, ascending, and their counts; clears what was counted.
    pub(super) fn keep_candidates(&mut self, item: usize, min_pair_users: u32, n_known: usize, rules: &Rules) {
        let n_shared = &mut self.n_shared;
        self.candidates.clear();
        if item < n_known {
            self.candidates.extend(self.touched.iter().copied().filter(|&other| {
                n_shared[other as usize] >= min_pair_users
                    && other as usize != item
                    && (other as usize) < n_known
                    && rules.is_eligible(other)
            }));
        }
        self.candidates.sort_unstable();
        self.candidate_counts.clear();
        self.candidate_counts.extend(self.candidates.iter().map(|&other| n_shared[other as usize]));
        self.touched.drain(..).for_each(|other| n_shared[other as usize] = 0);
    }

    fn score(&mut self, item: usize, of: &Similarities<'_>) {
        self.scores.clear();
        if let Some(similarity) = of.similarity {
            self.scores.resize(self.candidates.len(), 0.0);
            if !self.candidates.is_empty() {
                similarity.similarities(ItemIdx(item as u32), &self.candidates, &mut self.scores);
            }
            return;
        }
        let n_users = |item: usize| of.n_users(item) as f64;
        let n_own = n_users(item);
        let shared = self.candidates.iter().zip(&self.candidate_counts);
        self.scores.extend(
            shared.map(|(&other, &n_both)| (f64::from(n_both) / (n_own * n_users(other as usize)).sqrt()) as f32),
        );
    }
}

impl SimilarItems {
    /// Appends the list of the next item of a chunk; `offsets` of a chunk holds the ends only.
    pub(super) fn push(&mut self, entries: impl IntoIterator<Item = Scored>) {
        let before = self.items.len();
        for Scored { item, score } in entries {
            self.items.push(item);
            self.scores.push(score);
        }
        if self.items.len() > before {
            self.counts.n_lists += 1;
        } else {
            self.counts.n_empty += 1;
        }
        self.offsets.push(self.items.len());
    }

    /// Joins chunks that were filled with [`push`](Self::push), in their order.
    pub(super) fn join(of_items: Range<usize>, chunks: Vec<Self>) -> Self {
        let mut all = Self { of_items, offsets: vec![0], ..Self::default() };
        for chunk in chunks {
            let base = all.items.len();
            all.offsets.extend(chunk.offsets.iter().map(|end| base + end));
            all.items.extend(chunk.items);
            all.scores.extend(chunk.scores);
            all.counts.add(&chunk.counts);
        }
        all
    }

    /// The list of `item`, best first; empty for an item that is not among `of_items`.
    #[must_use]
    pub fn list(&self, item: usize) -> Vec<(u32, f32)> {
        let Some(at) = item.checked_sub(self.of_items.start).filter(|_| self.of_items.contains(&item)) else {
            return Vec::new();
        };
        let range = self.offsets[at]..self.offsets[at + 1];
        self.items[range.clone()].iter().copied().zip(self.scores[range].iter().copied()).collect()
    }

    /// The lists under their ids; items without a list are left out.
    ///
    /// # Panics
    /// When an item has no id in the table.
    #[must_use]
    pub fn batch<'a>(&self, items: &'a IdTable) -> ListBatch<'a> {
        let mut batch = ListBatch { offsets: vec![0], ..ListBatch::default() };
        for (at, item) in self.of_items.clone().enumerate() {
            let range = self.offsets[at]..self.offsets[at + 1];
            if range.is_empty() {
                continue;
            }
            let ids = self.items[range.clone()].iter().map(|&other| items.get(other as usize));
            batch.push(items.get(item), ids.zip(self.scores[range].iter().copied()), "");
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recommendations::{
        Catalog, RecommendConfig,
        testing::{TableModel, TableSimilarity, any_score, matrix, naive_order},
    };

    fn rules(n_items: usize, blocked: &[usize]) -> (Rules, IdTable) {
        let ids: Vec<String> = (0..n_items).map(|item| format!("{item:03}")).collect();
        let items: IdTable = ids.iter().map(String::as_str).collect();
        let blocked_items = blocked.iter().map(|&item| ids[item].clone()).collect();
        let config = RecommendConfig { blocked_items, ..RecommendConfig::default() };
        (Rules::compile(&config, &Catalog::absent(n_items), &items).unwrap().0, items)
    }

    fn naive(
        rows: &[Vec<u32>],
        item: u32,
        n_items: u32,
        min: usize,
        score: impl Fn(u32, f32) -> f32,
    ) -> Vec<(u32, f32)> {
        let with = |item: u32| rows.iter().filter(|row| row.contains(&item)).count() as f64;
        let mut all: Vec<(u32, f32)> = (0..n_items)
            .filter(|&other| other != item && other != 2)
            .map(|other| (other, rows.iter().filter(|row| row.contains(&item) && row.contains(&other)).count()))
            .filter(|&(_, n_both)| n_both >= min)
            .map(|(other, n_both)| (other, score(other, (n_both as f64 / (with(item) * with(other)).sqrt()) as f32)))
            .filter(|&(_, score)| score > 0.0)
            .collect();
        all.sort_by(naive_order);
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn lists_are_the_naive_ones_with_the_models_similarity_and_without(
            flags in prop::collection::vec(prop::collection::vec(prop::bool::weighted(0.3), 90), 0..12),
            table in prop::collection::vec(any_score(), 90),
            min in 1u32..4,
            k in 1usize..12,
        ) {
            let rows: Vec<Vec<u32>> =
                flags.iter().map(|row| (0u32..).zip(row).filter(|flag| *flag.1).map(|flag| flag.0).collect()).collect();
            let cells: Vec<Vec<(u32, f32)>> =
                rows.iter().map(|row| row.iter().map(|&item| (item, 1.0)).collect()).collect();
            let by_user = matrix(&cells, 90);
            let by_item = by_user.transpose();
            let (rules, _) = rules(90, &[2]);
            let config = SimilarConfig { k, min_pair_users: min };
            let similarities: Vec<Vec<f32>> =
                (0..90).map(|item| (0..90).map(|other| table[(item * 7 + other * 3) % 90]).collect()).collect();
            let mut model = TableModel::new(vec![vec![0.0; 90]], (1, 1));
            model.similarity = Some(TableSimilarity(similarities.clone()));
            let plain = TableModel::new(vec![vec![0.0; 90]], (1, 1));

            let plain: Option<&dyn Model> = Some(&plain);
            for (model, has_own) in [(plain, false), (None, false), (Some(&model as &dyn Model), true)] {
                let similar = Similarities::new(&by_user, &by_item, model, &rules).unwrap();
                let lists = similar.of(0..90, &config).unwrap();
                for (item, own) in similarities.iter().enumerate() {
                    let score =
                        |other: u32, cosine| if has_own { own[other as usize] } else { cosine };
                    let mut expected = naive(&rows, item as u32, 90, min as usize, score);
                    expected.truncate(k);
                    let range = lists.offsets[item]..lists.offsets[item + 1];
                    let list: Vec<(u32, f32)> = range.map(|at| (lists.items[at], lists.scores[at])).collect();
                    prop_assert_eq!(list, expected, "item {}", item);
                }
                prop_assert_eq!(lists.counts.n_lists + lists.counts.n_empty, 90);
                let none: Option<&dyn Model> = None;
                let blind = Similarities::new(&by_user, &by_item, none, &rules).unwrap();
                let mut counted = blind.count(0..37, &config).unwrap();
                counted.append(blind.count(37..90, &config).unwrap());
                let n_users_of: Vec<u32> = (0..90).map(|item| by_item.columns(item).len() as u32).collect();
                let again = Similarities::from_counts(&counted, &n_users_of, model, &rules).unwrap();
                prop_assert_eq!(&again.of(0..90, &config).unwrap(), &lists);
                let part = similar.of(30..50, &config).unwrap();
                prop_assert_eq!(&part.items[..], &lists.items[lists.offsets[30]..lists.offsets[50]]);
            }
        }
    }

    #[test]
    fn a_batch_leaves_out_items_without_a_list() {
        let by_user = matrix(&[vec![(0, 1.0), (1, 1.0)], vec![(0, 1.0), (1, 1.0)], vec![(2, 1.0)]], 3);
        let by_item = by_user.transpose();
        let (rules, items) = rules(3, &[1]);
        let similar = Similarities::new(&by_user, &by_item, None, &rules).unwrap();
        let lists = similar.of(0..3, &SimilarConfig { k: 5, min_pair_users: 2 }).unwrap();
        let batch = lists.batch(&items);
        // Item 1 is blocked: no list offers it, but its own page has one.
        assert_eq!((batch.keys, batch.items, batch.scores), (vec!["001"], vec!["000"], vec![1.0]));
        assert_eq!(lists.counts, SimilarCounts { n_lists: 1, n_empty: 2, n_pairs: 1, n_nan: 0 });
        let strict = similar.of(0..3, &SimilarConfig { k: 5, min_pair_users: 3 }).unwrap();
        assert!(strict.items.is_empty() && strict.offsets == [0, 0, 0, 0]);
        assert_eq!(
            similar.of(2..4, &SimilarConfig::default()).unwrap_err().to_string(),
            "asked for items 2 to 4, there are 3"
        );
        assert!(Similarities::new(&by_user, &by_user, None, &rules).is_ok(), "square by chance");
        assert!(Similarities::new(&by_user, &Csr::empty(3, 4), None, &rules).is_err());
        let counts = similar.count(0..3, &SimilarConfig::default()).unwrap();
        assert!(Similarities::from_counts(&counts, &[2, 2], None, &rules).is_err());
    }
}
