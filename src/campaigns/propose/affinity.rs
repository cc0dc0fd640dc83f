//! Who likes given items best: the model's scores of these items, for every user.

use std::ops::Range;

use rayon::prelude::*;

use super::{Proposal, Why, best_first};
use crate::{
    campaigns::{BucketUsers, Lists, Shop},
    interactions::{History, Stamp},
    recommendations::Scorer,
};

/// Items between two wanted ones that are scored along, rather than beginning another range.
const MAX_GAP: u32 = 8;

/// Scores a bucket's users for given items.
#[derive(Clone, Copy)]
pub struct Affinity<'a> {
    /// The model.
    pub scorer: Scorer<'a>,
    /// The shop.
    pub shop: &'a Shop,
}

/// Users' histories in the model's numbering.
#[derive(Default)]
struct Histories {
    indptr: Vec<usize>,
    items: Vec<u32>,
    weights: Vec<f32>,
    times: Vec<Stamp>,
}

impl Histories {
    fn of(users: &BucketUsers, wanted: &[usize], shop: &Shop) -> Self {
        let mut all = Self { indptr: vec![0], ..Self::default() };
        for &user in wanted {
            for (item, pair) in users.pairs.of(user) {
                if let Some(number) = shop.model_items[item as usize].filter(|_| pair.weight > 0.0) {
                    all.items.push(number);
                    all.weights.push(pair.weight);
                    all.times.extend(pair.last);
                }
            }
            all.indptr.push(all.items.len());
        }
        all
    }

    fn get(&self, at: usize) -> History<'_> {
        let range = self.indptr[at]..self.indptr[at + 1];
        let times = self.times.get(range.clone()).unwrap_or_default();
        History { items: &self.items[range.clone()], weights: &self.weights[range], times }
    }
}

/// Ascending numbers as ranges, with small gaps closed, none longer than `longest`.
fn ranges(numbers: &[u32], longest: usize) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for &number in numbers {
        let number = number as usize;
        match ranges.last_mut() {
            Some(last) if number < last.end + MAX_GAP as usize && number - last.start < longest => {
                last.end = number + 1;
            }
            _ => ranges.push(number..number + 1),
        }
    }
    ranges
}

impl Affinity<'_> {
    /// By user: his `n` best of `items` (of the shop, ascending) that he has not got, with the model's scores. Empty for
    /// users that are not wanted, and for those the model knows nothing of.
    ///
    /// Determinism: a score is the one a build gives; any number of threads.
    /// Cost: preparing each wanted user once and scoring the items for him.
    #[must_use]
    pub fn liked(&self, users: &BucketUsers, wanted: &[bool], items: &[u32], n: usize) -> Lists<(u32, f32)> {
        let model = self.scorer.model;
        let sellable = |item: &u32| self.shop.sellable[*item as usize];
        let numbers: Vec<u32> = items
            .iter()
            .filter(|item| sellable(item))
            .filter_map(|item| self.shop.model_items[*item as usize])
            .collect();
        let numbers: Vec<u32> = numbers.into_iter().filter(|number| (*number as usize) < model.n_items()).collect();
        let tile = model.tile();
        let ranges = ranges(&numbers, tile.n_items.clamp(1, 4_096));
        let wanted: Vec<usize> = (0..users.len()).filter(|&user| wanted[user]).collect();
        let blocks: Vec<Vec<Vec<(u32, f32)>>> = wanted
            .par_chunks(tile.n_users.clamp(1, 4_096))
            .map(|block| self.block(users, block, &numbers, &ranges, n))
            .collect();
        let mut lists = Lists::default();
        let mut found = wanted.iter().zip(blocks.into_iter().flatten()).peekable();
        for user in 0..users.len() {
            match found.next_if(|(wanted, _)| **wanted == user) {
                Some((_, list)) => lists.push(list),
                None => lists.push([]),
            }
        }
        lists
    }

    fn block(
        &self,
        users: &BucketUsers,
        block: &[usize],
        numbers: &[u32],
        ranges: &[Range<usize>],
        n: usize,
    ) -> Vec<Vec<(u32, f32)>> {
        let all = Histories::of(users, block, self.shop);
        let n_known = self.scorer.model.n_items() as u32;
        let known = |at: usize| {
            let history = all.get(at);
            let end = history.items.partition_point(|&item| item < n_known);
            History {
                items: &history.items[..end],
                weights: &history.weights[..end],
                times: history.times.get(..end).unwrap_or_default(),
            }
        };
        let scored: Vec<usize> =
            (0..block.len()).filter(|&at| self.scorer.serves_empty_histories || !known(at).items.is_empty()).collect();
        let mut lists = vec![Vec::new(); block.len()];
        if scored.is_empty() || ranges.is_empty() {
            return lists;
        }
        let histories: Vec<History<'_>> = scored.iter().map(|&at| known(at)).collect();
        let mut prepared = self.scorer.model.prepare(&histories);
        let mut scores = Vec::new();
        for range in ranges {
            scores.clear();
            scores.resize(scored.len() * range.len(), 0.0);
            prepared.score(range.clone(), &mut scores);
            let first = numbers.partition_point(|&number| (number as usize) < range.start);
            let last = numbers.partition_point(|&number| (number as usize) < range.end);
            for (row, &at) in scored.iter().enumerate() {
                for &number in &numbers[first..last] {
                    let score = scores[row * range.len() + number as usize - range.start];
                    let item = self.shop.shop_items[number as usize];
                    let owned = || users.pairs.get(block[at], item).is_some_and(|pair| pair.is_owned());
                    if score.is_finite() && self.scorer.min_score.is_none_or(|least| score > least) && !owned() {
                        lists[at].push((item, score));
                    }
                }
                // Room for two ranges: what is beyond the best cannot come back.
                if lists[at].len() > 2 * n.max(32) {
                    best_first(&mut lists[at]);
                    lists[at].truncate(n);
                }
            }
        }
        for list in &mut lists {
            best_first(list);
            list.truncate(n);
        }
        lists
    }
}

/// Score of a member: the sum over the items written about.
pub(super) fn proposal(liked: &[(u32, f32)]) -> Option<Proposal> {
    let _ = liked.first()?;
    let score = liked.iter().map(|(_, score)| f64::from(*score)).sum();
    Some(Proposal { score, items: liked.to_vec(), why: Why::Likes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_the_numbers_and_stay_short() {
        assert_eq!(ranges(&[], 100), Vec::<Range<usize>>::new());
        assert_eq!(ranges(&[3, 4, 9, 40, 41], 100), [3..10, 40..42]);
        assert_eq!(ranges(&[0, 1, 2, 3, 4], 2), [0..2, 2..4, 4..5]);
    }
}
