//! What lists are like, whoever they hit: coverage, evenness, novelty, diversity, fallbacks.

use rayon::prelude::*;
use serde::Serialize;

use super::RankedLists;

/// Lists that one task looks at; partial sums are joined in the order of blocks.
const BLOCK: usize = 1_024;

/// What is known of the items that training knows. Items with higher numbers are unknown and count for nothing here.
#[derive(Debug, Clone, Copy)]
pub struct ItemFacts<'a> {
    /// By item: whether lists may show it at all.
    pub eligible: &'a [bool],
    /// By item: users who have it in training.
    pub n_users_of: &'a [u32],
    /// Users with a training history.
    pub n_users: usize,
    /// By item: its category.
    pub categories: &'a [Option<u32>],
}

/// Properties of the lists of a group of users, cut at k.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ListQuality {
    /// The cut-off.
    pub k: usize,
    /// Formula: coverage@k = (eligible items on at least one list) / (eligible items).
    pub coverage: f64,
    /// Formula: with x_1 <= ... <= x_n the number of lists each of the n eligible items stands on,
    /// gini@k = 2 * sum(i * x_i) / (n * sum(x_i)) - (n + 1) / n. 0 = all alike, near 1 = one item takes all places.
    pub gini: f64,
    /// Formula: novelty@k = mean over lists of the mean over their items of -log2(users of the item / users), in bits.
    /// `None` when no list has an item that training knows.
    pub novelty: Option<f64>,
    /// Formula: diversity@k = mean over lists of (pairs of different categories) / (pairs), over the items that have a
    /// category; lists without such a pair are left out. `None` when there is no such list.
    pub diversity: Option<f64>,
    /// Share of the lists with at least one item from a fallback among the first k; `None` where nobody says.
    pub fallback_lists: Option<f64>,
    /// Share of the places among the first k that a fallback filled; `None` where nobody says.
    pub fallback_entries: Option<f64>,
    /// Mean number of items among the first k.
    pub length: f64,
}

/// Partial sums of one block and one k.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    novelty: f64,
    n_novelty: u64,
    diversity: f64,
    n_diversity: u64,
    n_fallback_lists: u64,
    n_fallback_entries: u64,
    n_entries: u64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.novelty += other.novelty;
        self.n_novelty += other.n_novelty;
        self.diversity += other.diversity;
        self.n_diversity += other.n_diversity;
        self.n_fallback_lists += other.n_fallback_lists;
        self.n_fallback_entries += other.n_fallback_entries;
        self.n_entries += other.n_entries;
    }
}

/// The properties of the lists of `users` at each of `ks`.
///
/// Returns: one entry a k, in the order of `ks`.
/// Determinism: blocks of a fixed size, joined in their order.
/// Cost: one pass over the lists, and one of counting and sorting the items for each k.
#[must_use]
pub fn list_quality(lists: &RankedLists, users: &[u32], facts: &ItemFacts<'_>, ks: &[usize]) -> Vec<ListQuality> {
    let information: Vec<Option<f64>> = facts
        .n_users_of
        .iter()
        .map(|&n| (n > 0).then(|| -(f64::from(n) / facts.n_users.max(1) as f64).log2()))
        .collect();
    let blocks: Vec<Vec<Sums>> =
        users.par_chunks(BLOCK).map(|users| block(lists, users, facts, &information, ks)).collect();
    let mut sums = vec![Sums::default(); ks.len()];
    for block in &blocks {
        sums.iter_mut().zip(block).for_each(|(sum, part)| sum.add(part));
    }
    let n_lists = users.len().max(1) as f64;
    let mean = |sum: f64, n: u64| (n > 0).then(|| sum / n as f64);
    let said = lists.n_from_model.is_some();
    ks.par_iter()
        .zip(sums)
        .map(|(&k, sums)| {
            let places = exposure(lists, users, facts, k);
            let n_shown = places.iter().filter(|&&n| n > 0).count();
            ListQuality {
                k,
                coverage: n_shown as f64 / places.len().max(1) as f64,
                gini: gini(places),
                novelty: mean(sums.novelty, sums.n_novelty),
                diversity: mean(sums.diversity, sums.n_diversity),
                fallback_lists: said.then(|| sums.n_fallback_lists as f64 / n_lists),
                fallback_entries: said.then(|| sums.n_fallback_entries as f64 / sums.n_entries.max(1) as f64),
                length: sums.n_entries as f64 / n_lists,
            }
        })
        .collect()
}

fn block(
    lists: &RankedLists,
    users: &[u32],
    facts: &ItemFacts<'_>,
    information: &[Option<f64>],
    ks: &[usize],
) -> Vec<Sums> {
    let mut sums = vec![Sums::default(); ks.len()];
    let mut order: Vec<usize> = (0..ks.len()).collect();
    order.sort_by_key(|&at| ks[at]);
    let mut categories: Vec<u32> = Vec::new();
    for &user in users {
        let list = lists.list(user as usize);
        let n_from_model = lists.n_from_model.as_ref().map_or(list.len(), |ends| ends[user as usize] as usize);
        categories.clear();
        let (mut bits, mut n_bits, mut same) = (0.0, 0u64, 0u64);
        let mut at = 0;
        for &number in &order {
            let end = ks[number].min(list.len());
            for &item in &list[at..end] {
                if let Some(information) = information.get(item as usize).copied().flatten() {
                    bits += information;
                    n_bits += 1;
                }
                if let Some(category) = facts.categories.get(item as usize).copied().flatten() {
                    // Lists are short, so counting the equals so far beats a table of all categories.
                    same += categories.iter().filter(|&&other| other == category).count() as u64;
                    categories.push(category);
                }
            }
            at = end;
            let sum = &mut sums[number];
            if n_bits > 0 {
                sum.novelty += bits / n_bits as f64;
                sum.n_novelty += 1;
            }
            let n_categories = categories.len() as u64;
            if n_categories > 1 {
                let n_pairs = n_categories * (n_categories - 1) / 2;
                sum.diversity += (n_pairs - same) as f64 / n_pairs as f64;
                sum.n_diversity += 1;
            }
            let n_filled = end.saturating_sub(n_from_model) as u64;
            sum.n_fallback_lists += u64::from(n_filled > 0);
            sum.n_fallback_entries += n_filled;
            sum.n_entries += end as u64;
        }
    }
    sums
}

/// On how many of the lists each eligible item stands among the first k.
fn exposure(lists: &RankedLists, users: &[u32], facts: &ItemFacts<'_>, k: usize) -> Vec<u64> {
    let mut places = vec![0u64; facts.eligible.len()];
    for &user in users {
        let list = lists.list(user as usize);
        for &item in &list[..k.min(list.len())] {
            if let Some(place) = places.get_mut(item as usize) {
                *place += 1;
            }
        }
    }
    places.into_iter().zip(facts.eligible).filter(|(_, eligible)| **eligible).map(|(n, _)| n).collect()
}

/// The Gini coefficient of some counts; see [`ListQuality::gini`] for the formula. Zero when all are zero.
#[must_use]
pub fn gini(mut counts: Vec<u64>) -> f64 {
    counts.sort_unstable();
    let n = counts.len() as f64;
    let total: u128 = counts.iter().map(|&x| u128::from(x)).sum();
    if total == 0 {
        return 0.0;
    }
    let weighted: u128 = (1u128..).zip(&counts).map(|(rank, &x)| rank * u128::from(x)).sum();
    2.0 * weighted as f64 / (n * total as f64) - (n + 1.0) / n
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(rows: &[&[u32]], n_from_model: Option<Vec<u32>>) -> RankedLists {
        let mut lists = RankedLists { offsets: vec![0], items: Vec::new(), n_from_model };
        for row in rows {
            lists.items.extend_from_slice(row);
            lists.offsets.push(lists.items.len());
        }
        lists
    }

    #[test]
    fn a_small_shop_worked_by_hand() {
        // Item 3 may not be shown, item 4 has no category, item 9 is unknown to training.
        let facts = ItemFacts {
            eligible: &[true, true, true, false, true],
            n_users_of: &[4, 2, 1, 1, 1],
            n_users: 8,
            categories: &[Some(0), Some(0), Some(1), Some(1), None],
        };
        let lists = lists(&[&[0, 1, 2], &[1, 4], &[9, 2]], Some(vec![1, 2, 0]));
        let found = list_quality(&lists, &[0, 1, 2], &facts, &[3, 1]);
        let at3 = found[0];
        assert_eq!(at3.k, 3);
        assert_eq!(at3.coverage, 1.0);
        // Places of the eligible items 0, 1, 2, 4: 1, 2, 2, 1. Ascending 1 1 2 2: 2 * (1 + 2 + 6 + 8) / (4 * 6) - 5/4.
        assert!((at3.gini - (34.0 / 24.0 - 1.25)).abs() < 1e-12);
        // Bits: item 0: 1, 1: 2, 2: 3, 4: 3. Lists: (1+2+3)/3, (2+3)/2, 3.
        assert!((at3.novelty.unwrap() - (2.0 + 2.5 + 3.0) / 3.0).abs() < 1e-12);
        // Only the first list has pairs: 0-1 the same, 0-2 and 1-2 different.
        assert!((at3.diversity.unwrap() - 2.0 / 3.0).abs() < 1e-12);
        assert!((at3.fallback_lists.unwrap() - 2.0 / 3.0).abs() < 1e-12);
        assert!((at3.fallback_entries.unwrap() - 4.0 / 7.0).abs() < 1e-12);
        assert!((at3.length - 7.0 / 3.0).abs() < 1e-12);
        let at1 = found[1];
        assert_eq!((at1.coverage, at1.diversity), (0.5, None));
        assert!((at1.novelty.unwrap() - 1.5).abs() < 1e-12, "the third list opens with an unknown item");
        assert!((at1.fallback_lists.unwrap() - 1.0 / 3.0).abs() < 1e-12);

        let some = list_quality(&lists, &[1], &facts, &[3]);
        assert_eq!(some[0].coverage, 0.5);
        assert_eq!(some[0].fallback_lists, Some(0.0));
    }

    #[test]
    fn the_ends_of_gini() {
        assert_eq!(gini(vec![3, 3, 3]), 0.0);
        assert!((gini(vec![0, 0, 0, 5]) - 0.75).abs() < 1e-12, "(n - 1) / n for one that takes all");
        assert_eq!(gini(vec![0, 0]), 0.0);
        assert_eq!(gini(Vec::new()), 0.0);
    }

    #[test]
    fn no_lists_give_numbers_all_the_same() {
        let facts = ItemFacts { eligible: &[true], n_users_of: &[1], n_users: 1, categories: &[None] };
        let found = list_quality(&lists(&[&[]], None), &[0], &facts, &[5])[0];
        assert_eq!((found.coverage, found.gini, found.novelty, found.diversity), (0.0, 0.0, None, None));
        assert_eq!((found.fallback_lists, found.length), (None, 0.0));
        assert_eq!(list_quality(&lists(&[], None), &[], &facts, &[5])[0].length, 0.0);
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let rows: Vec<Vec<u32>> =
            (0..5_000u32).map(|user| (0..7).map(|at| (user * 31 + at * 17) % 97).collect()).collect();
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let lists = lists(&rows, None);
        let users: Vec<u32> = (0..5_000).collect();
        let n_users_of: Vec<u32> = (1..=97).collect();
        let categories: Vec<Option<u32>> = (0..97).map(|item| (item % 5 > 0).then_some(item % 7)).collect();
        let facts = ItemFacts { eligible: &[true; 97], n_users_of: &n_users_of, n_users: 100, categories: &categories };
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| list_quality(&lists, &users, &facts, &[5, 2]))
        };
        assert_eq!(on(1), on(4));
    }
}
