//! From the pairs of all buckets to the matrix that models train on.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{BucketPairs, Csr, Interactions, Stamp, config::InteractionsConfig, decay::from_fixed};
use crate::ids::IdTable;

/// What is kept of a bucket's pairs in memory: 9 bytes a pair, 4 more with times.
#[derive(Debug, Default)]
pub struct BucketCells {
    /// Users, ascending by id.
    pub users: IdTable,
    /// n_users + 1 offsets into the arrays below.
    pub indptr: Vec<usize>,
    /// Places in the table of all items, ascending within a user.
    pub items: Vec<u32>,
    /// Zero or less: no interaction, refunds ate it up.
    pub weights: Vec<f32>,
    /// Whether the user's own actions take the item from his list.
    pub excluded: Vec<bool>,
    /// Last times of the pairs; empty where times are not kept.
    pub times: Vec<Stamp>,
}

impl BucketCells {
    /// Keeps the last times of the pairs, too: for events that carry times and a model that asks for them.
    #[must_use]
    pub fn with_times(mut pairs: BucketPairs) -> Self {
        let times = std::mem::take(&mut pairs.last);
        Self { times, ..Self::from(pairs) }
    }
}

impl From<BucketPairs> for BucketCells {
    fn from(pairs: BucketPairs) -> Self {
        Self {
            times: Vec::new(),
            users: pairs.users,
            indptr: pairs.indptr,
            items: pairs.items,
            weights: pairs.weights.iter().map(|&weight| from_fixed(weight)).collect(),
            excluded: pairs.excluded,
        }
    }
}

/// What the filters took, and how the items were renumbered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assembled {
    /// New `ItemIdx` to place in the table of all items, ascending.
    #[serde(skip)]
    pub kept_items: Vec<u32>,
    /// Items below `min_users_per_item`.
    pub items_below_minimum: u64,
    /// Cells that went with them.
    pub cells_of_rare_items: u64,
    /// Pairs at or below zero after refunds.
    pub pairs_eaten_up: u64,
    /// Users below `min_items_per_user`: they get a list, and do not train.
    pub users_below_minimum: u64,
}

impl Assembled {
    /// The items to keep, by how many users each has (see [`add_support`]); users are not counted yet.
    #[must_use]
    pub fn keeping(support: &[u32], config: &InteractionsConfig) -> Self {
        let mut done = Self::default();
        for (place, &users) in support.iter().enumerate() {
            if users >= config.min_users_per_item.max(1) {
                done.kept_items.push(place as u32);
            } else if users > 0 {
                done.items_below_minimum += 1;
                done.cells_of_rare_items += u64::from(users);
            }
        }
        done
    }
}

/// Joins the buckets (in their order) into one matrix, and applies the minimum of users per item and items per user.
///
/// Cost: parallel over buckets; 9 bytes a pair in, 12 bytes a cell out; with times 4 more each.
#[must_use]
pub fn assemble(
    buckets: Vec<BucketCells>,
    all_items: &IdTable,
    config: &InteractionsConfig,
) -> (Interactions, Assembled) {
    let mut support = vec![0; all_items.len()];
    add_support(&mut support, &buckets);
    let mut done = Assembled::keeping(&support, config);
    let items = done.kept_items.iter().map(|&place| all_items.get(place as usize)).collect();
    let interactions = assemble_kept(buckets, items, all_items.len(), config, &mut done);
    (interactions, done)
}

/// [`assemble`] with the items that it kept: of some of the buckets, the same rows.
///
/// `items`: the ids of `done.kept_items`, of `n_all_items`. Counts of users and pairs are added to those of `done`.
#[must_use]
pub fn assemble_kept(
    buckets: Vec<BucketCells>,
    items: IdTable,
    n_all_items: usize,
    config: &InteractionsConfig,
    done: &mut Assembled,
) -> Interactions {
    let mut renumbered: Vec<Option<u32>> = vec![None; n_all_items];
    for (item, &place) in (0u32..).zip(&done.kept_items) {
        renumbered[place as usize] = Some(item);
    }
    let filtered: Vec<Filtered> = buckets.into_par_iter().map(|bucket| filter(bucket, &renumbered, config)).collect();
    done.users_below_minimum += filtered.iter().map(|bucket| bucket.users_below_minimum).sum::<u64>();
    done.pairs_eaten_up += filtered.iter().map(|bucket| bucket.pairs_eaten_up).sum::<u64>();
    join(filtered, items)
}

/// Adds the distinct users of each item with a weight above zero; `support` has a number for each of all items.
///
/// Cost: parallel over buckets, 4 bytes an item and thread.
pub fn add_support(support: &mut Vec<u32>, buckets: &[BucketCells]) {
    let n_items = support.len();
    let sum = |mut a: Vec<u32>, b: &[u32]| {
        for (sum, more) in a.iter_mut().zip(b) {
            *sum += more;
        }
        a
    };
    let count = |buckets: &[BucketCells]| {
        let mut support = vec![0u32; n_items];
        for bucket in buckets {
            for (&item, &weight) in bucket.items.iter().zip(&bucket.weights) {
                support[item as usize] += u32::from(weight > 0.0);
            }
        }
        support
    };
    let share = buckets.len().div_ceil(rayon::current_num_threads()).max(1);
    let counted = buckets.par_chunks(share).map(count).reduce(|| vec![0; n_items], |a, b| sum(a, &b));
    *support = sum(std::mem::take(support), &counted);
}

struct Filtered {
    users: IdTable,
    weights: Csr,
    excluded: Csr,
    trains: Vec<bool>,
    users_below_minimum: u64,
    pairs_eaten_up: u64,
}

fn filter(bucket: BucketCells, renumbered: &[Option<u32>], config: &InteractionsConfig) -> Filtered {
    let n_users = bucket.users.len();
    let mut weights = Csr { indptr: Vec::with_capacity(n_users + 1), ..Csr::default() };
    let mut excluded = Csr { indptr: Vec::with_capacity(n_users + 1), ..Csr::default() };
    weights.indptr.push(0);
    excluded.indptr.push(0);
    weights.indices.reserve(bucket.items.len());
    weights.values.reserve(bucket.items.len());
    weights.times.reserve(bucket.times.len());
    let mut trains = Vec::with_capacity(n_users);
    let mut users_below_minimum = 0;
    let mut pairs_eaten_up = 0;
    for user in 0..n_users {
        for at in bucket.indptr[user]..bucket.indptr[user + 1] {
            pairs_eaten_up += u64::from(bucket.weights[at] <= 0.0);
            let Some(item) = renumbered[bucket.items[at] as usize] else { continue };
            if bucket.weights[at] > 0.0 {
                weights.indices.push(item);
                weights.values.push(bucket.weights[at]);
                weights.times.extend(bucket.times.get(at));
            }
            if bucket.excluded[at] {
                excluded.indices.push(item);
            }
        }
        let n_items = weights.indices.len() - weights.indptr[user];
        let enough = n_items >= config.min_items_per_user.max(1) as usize;
        users_below_minimum += u64::from(!enough);
        trains.push(enough);
        weights.indptr.push(weights.indices.len());
        excluded.indptr.push(excluded.indices.len());
    }
    Filtered { users: bucket.users, weights, excluded, trains, users_below_minimum, pairs_eaten_up }
}

fn join(filtered: Vec<Filtered>, items: IdTable) -> Interactions {
    let n_users: usize = filtered.iter().map(|bucket| bucket.users.len()).sum();
    let mut users = IdTable::with_capacity(n_users, n_users * 12);
    let mut bucket_starts = vec![0u32];
    let mut trains = Vec::with_capacity(n_users);
    let with_room = |cells: usize, values: usize| Csr {
        indptr: {
            let mut indptr = Vec::with_capacity(n_users + 1);
            indptr.push(0);
            indptr
        },
        indices: Vec::with_capacity(cells),
        values: Vec::with_capacity(values),
        n_cols: items.len(),
        ..Csr::default()
    };
    let n_cells = filtered.iter().map(|bucket| bucket.weights.n_cells()).sum();
    let mut weights = with_room(n_cells, n_cells);
    let mut excluded = with_room(filtered.iter().map(|bucket| bucket.excluded.n_cells()).sum(), 0);
    for bucket in filtered {
        for id in bucket.users.iter() {
            users.push(id);
        }
        bucket_starts.push(users.len() as u32);
        trains.extend_from_slice(&bucket.trains);
        weights.append_rows(&bucket.weights);
        excluded.append_rows(&bucket.excluded);
    }
    Interactions { users, items, bucket_starts, weights, excluded, trains }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(user: &str, items: &[u32], weights: &[i64]) -> BucketPairs {
        BucketPairs {
            users: [user].into_iter().collect(),
            indptr: vec![0, items.len()],
            items: items.to_vec(),
            weights: weights.to_vec(),
            last: items.iter().map(|&item| Stamp(100 * weights.len() as u32 + item)).collect(),
            excluded: vec![false; items.len()],
            ..BucketPairs::default()
        }
    }

    #[test]
    fn times_stay_with_their_cells() {
        let items: IdTable = ["a", "b", "c", "d"].into_iter().collect();
        let config = InteractionsConfig { min_users_per_item: 2, ..InteractionsConfig::default() };
        // Item 1 is rare, the first user's pair with item 3 was eaten up.
        let buckets = || [pairs("u", &[0, 1, 3], &[1 << 24, 1 << 24, -5]), pairs("v", &[0, 2, 3], &[1 << 24; 3])];
        let third = || pairs("w", &[2, 3], &[1 << 24; 2]);
        let with: Vec<BucketCells> = buckets().into_iter().chain([third()]).map(BucketCells::with_times).collect();
        let without: Vec<BucketCells> = buckets().into_iter().chain([third()]).map(BucketCells::from).collect();
        let (with, _) = assemble(with, &items, &config);
        let (without, _) = assemble(without, &items, &config);
        assert_eq!(with.weights.indices, [0, 0, 1, 2, 1, 2]);
        assert_eq!(with.weights.times, [300, 300, 302, 303, 202, 203].map(Stamp));
        assert_eq!(with.weights.row(2).times, [202, 203].map(Stamp));
        assert!(without.weights.times.is_empty() && with.excluded.times.is_empty());
        assert_eq!(without.weights, Csr { times: Vec::new(), ..with.weights });
    }
}
