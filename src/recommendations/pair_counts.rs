//! Counts of the users that two items share.

use std::{ops::Range, sync::Mutex};

use rayon::prelude::*;

use super::{
    RecommendError, Rules, SimilarConfig,
    similar::{CHUNK_ITEMS, Scratch},
};
use crate::interactions::Csr;

/// How many users share the items of each pair that may be similar: rows of the partners of each item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairCounts {
    /// One more than items, ascending: where the partners of each item start.
    pub offsets: Vec<usize>,
    /// Partners, ascending: eligible items with enough users in common.
    pub partners: Vec<u32>,
    /// Users in common, parallel to `partners`.
    pub n_users: Vec<u32>,
}

impl PairCounts {
    /// Of no items.
    #[must_use]
    pub fn empty() -> Self {
        Self { offsets: vec![0], ..Self::default() }
    }

    /// Appends the counts of the items that follow.
    pub fn append(&mut self, more: Self) {
        let base = self.partners.len();
        self.offsets.extend(more.offsets.iter().skip(1).map(|end| base + end));
        self.partners.extend(more.partners);
        self.n_users.extend(more.n_users);
    }

    /// Joins the counts of items that follow one another.
    pub(super) fn join(chunks: impl IntoIterator<Item = Self>) -> Self {
        chunks.into_iter().fold(Self::empty(), |mut all, chunk| {
            all.append(chunk);
            all
        })
    }

    /// Appends the partners of the next item.
    pub(super) fn push(&mut self, partners: &[u32], n_users: &[u32]) {
        self.partners.extend_from_slice(partners);
        self.n_users.extend_from_slice(n_users);
        self.offsets.push(self.partners.len());
    }

    fn n_items(&self) -> usize {
        self.offsets.len() - 1
    }

    fn row(&self, at: usize) -> (&[u32], &[u32]) {
        let range = self.offsets[at]..self.offsets[at + 1];
        (&self.partners[range.clone()], &self.n_users[range])
    }
}

/// The pairs of some of the items, counted block by block of users.
///
/// Determinism: integers; any blocks in any order give the counts of
/// [`Similarities::count`](super::Similarities::count) on all users.
/// Cost: 8 bytes for each pair of one of the items with an eligible one that shares a user with it, unless too few users
/// have the item; to that the block.
pub struct GrowingPairs<'a> {
    rules: &'a Rules,
    /// By item, of all users.
    n_users_of: &'a [u32],
    min_pair_users: u32,
    items: Range<usize>,
    /// Of [`CHUNK_ITEMS`] items each.
    chunks: Vec<PairCounts>,
}

impl<'a> GrowingPairs<'a> {
    /// Bytes of a pair.
    pub const PAIR_BYTES: u64 = 8;

    /// No users yet. `n_users_of`: of each item, in all blocks together.
    ///
    /// # Errors
    /// When there are not all of `items`, or counts of another number of items.
    pub fn new(
        rules: &'a Rules,
        n_users_of: &'a [u32],
        config: &SimilarConfig,
        items: Range<usize>,
    ) -> Result<Self, RecommendError> {
        RecommendError::range("items", &items, rules.n_items())?;
        RecommendError::length("the counts of users", "items", n_users_of.len(), rules.n_items())?;
        let n_rows = |start: usize| CHUNK_ITEMS.min(items.end - start);
        let starts = items.clone().step_by(CHUNK_ITEMS);
        let chunks =
            starts.map(|start| PairCounts { offsets: vec![0; n_rows(start) + 1], ..PairCounts::default() }).collect();
        Ok(Self { rules, n_users_of, min_pair_users: config.min_pair_users, items, chunks })
    }

    /// Counts a block of users: their interactions, and the same by items.
    ///
    /// # Errors
    /// When they are of other items.
    pub fn add(&mut self, by_user: &Csr, by_item: &Csr) -> Result<(), RecommendError> {
        let Self { rules, n_users_of, min_pair_users, items, chunks } = self;
        let n_items = rules.n_items();
        RecommendError::length("the weights matrix", "items", by_user.n_cols, n_items)?;
        RecommendError::length("the weights matrix by items", "items", by_item.n_rows(), n_items)?;
        let idle: Mutex<Vec<Scratch>> = Mutex::default();
        chunks.par_iter_mut().enumerate().with_max_len(1).for_each(|(at, chunk)| {
            let first = items.start + at * CHUNK_ITEMS;
            let enough = |item: usize| n_users_of[item] >= *min_pair_users && !by_item.columns(item).is_empty();
            if !(first..first + chunk.n_items()).any(enough) {
                return;
            }
            let free = idle.lock().expect("no thread panics with the lock held").pop();
            let mut scratch = free.unwrap_or_else(|| Scratch::new(n_items));
            let mut grown = PairCounts::empty();
            for row in 0..chunk.n_items() {
                let (item, (partners, n_users)) = (first + row, chunk.row(row));
                if !enough(item) {
                    grown.push(partners, n_users);
                    continue;
                }
                scratch.resume(partners, n_users);
                scratch.count_partners(item, by_user, by_item);
                scratch.keep_candidates(item, 1, n_items, rules);
                grown.push(&scratch.candidates, &scratch.candidate_counts);
            }
            grown.partners.shrink_to_fit();
            grown.n_users.shrink_to_fit();
            *chunk = grown;
            idle.lock().expect("no thread panics with the lock held").push(scratch);
        });
        Ok(())
    }

    /// The counts, when all blocks were added.
    #[must_use]
    pub fn finish(self) -> PairCounts {
        let least = self.min_pair_users;
        let enough = |chunk: PairCounts| {
            let mut kept = PairCounts::empty();
            for row in 0..chunk.n_items() {
                let (partners, n_users) = chunk.row(row);
                let pairs = partners.iter().zip(n_users).filter(|&(_, &n)| n >= least);
                let (partners, n_users): (Vec<u32>, Vec<u32>) = pairs.unzip();
                kept.push(&partners, &n_users);
            }
            kept
        };
        PairCounts::join(self.chunks.into_iter().map(enough))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        ids::IdTable,
        recommendations::{Catalog, RecommendConfig, Similarities, testing::matrix},
    };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn blocks_of_users_give_the_counts_of_the_whole(
            flags in prop::collection::vec(prop::collection::vec(prop::bool::weighted(0.3), 150), 0..14),
            cuts in prop::collection::vec(0usize..14, 0..5),
            min_pair_users in 1u32..4,
            range in (0usize..=150, 0usize..=150),
        ) {
            let cells: Vec<Vec<(u32, f32)>> = flags
                .iter()
                .map(|row| (0u32..).zip(row).filter(|flag| *flag.1).map(|flag| (flag.0, 1.0)).collect())
                .collect();
            let ids: Vec<String> = (0..150).map(|item| format!("{item:03}")).collect();
            let table: IdTable = ids.iter().map(String::as_str).collect();
            let config = RecommendConfig { blocked_items: vec![ids[2].clone()], ..RecommendConfig::default() };
            let (rules, _) = Rules::compile(&config, &Catalog::absent(150), &table).unwrap();
            let similar = SimilarConfig { k: 3, min_pair_users };
            let items = range.0.min(range.1)..range.0.max(range.1);

            let by_user = matrix(&cells, 150);
            let by_item = by_user.transpose();
            let whole = Similarities::new(&by_user, &by_item, None, &rules).unwrap();
            let expected = whole.count(items.clone(), &similar).unwrap();
            let n_users_of: Vec<u32> = (0..150).map(|item| by_item.columns(item).len() as u32).collect();
            let mut counts = GrowingPairs::new(&rules, &n_users_of, &similar, items).unwrap();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(cells.len())).collect();
            cuts.sort_unstable();
            let mut start = 0;
            for end in cuts.into_iter().chain([cells.len()]) {
                let block = matrix(&cells[start..end], 150);
                counts.add(&block, &block.transpose()).unwrap();
                start = end;
            }
            prop_assert_eq!(counts.finish(), expected);
        }
    }
}
