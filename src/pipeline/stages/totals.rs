//! What all users add up to: from one matrix, or from blocks of its users.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::{
    artifacts::ItemTable,
    ids::IdTable,
    interactions::{Csr, Interactions},
    recommendations::Catalog,
};

/// Items that a thread takes at once.
const CHUNK_ITEMS: usize = 1024;

/// Counts and sums over the users of some buckets, in their order; over those of all of them when they are complete.
///
/// Determinism: an item's popularity is a sum in f64 over its users in ascending order, whatever the blocks.
#[derive(Debug)]
pub(in crate::pipeline) struct Totals {
    /// One more than buckets, ascending: where each bucket's users start.
    pub(in crate::pipeline) bucket_starts: Vec<u32>,
    pub(in crate::pipeline) n_training_users: usize,
    pub(in crate::pipeline) n_cells: usize,
    /// Users by their number of cells.
    pub(in crate::pipeline) users_by_cells: BTreeMap<u64, u64>,
    /// By item.
    pub(in crate::pipeline) n_users_of: Vec<u32>,
    /// By item: the sum of its weights.
    popularity: Vec<f64>,
}

impl Totals {
    pub(in crate::pipeline) fn new(n_items: usize) -> Self {
        Self {
            bucket_starts: vec![0],
            n_training_users: 0,
            n_cells: 0,
            users_by_cells: BTreeMap::new(),
            n_users_of: vec![0; n_items],
            popularity: vec![0.0; n_items],
        }
    }

    /// Those of all users at once.
    pub(in crate::pipeline) fn of(interactions: &Interactions, by_item: &Csr) -> Self {
        let mut totals = Self::new(interactions.items.len());
        totals.add(interactions, by_item);
        totals
    }

    /// Adds the buckets that come next; `by_item` is the transpose of their weights.
    pub(in crate::pipeline) fn add(&mut self, interactions: &Interactions, by_item: &Csr) {
        let base = self.n_users() as u32;
        self.bucket_starts.extend(interactions.bucket_starts[1..].iter().map(|start| base + start));
        self.n_training_users += interactions.trains.iter().filter(|trains| **trains).count();
        self.n_cells += interactions.weights.n_cells();
        for row in interactions.weights.indptr.windows(2) {
            *self.users_by_cells.entry((row[1] - row[0]) as u64).or_default() += 1;
        }
        let sums = self.popularity.par_iter_mut().zip(&mut self.n_users_of).enumerate();
        sums.with_min_len(CHUNK_ITEMS).for_each(|(item, (sum, n_users))| {
            let weights = by_item.row(item).weights;
            *n_users += weights.len() as u32;
            weights.iter().for_each(|&weight| *sum += f64::from(weight));
        });
    }

    pub(in crate::pipeline) fn n_users(&self) -> usize {
        self.bucket_starts.last().map_or(0, |&end| end as usize)
    }

    /// What a run keeps of its items.
    pub(in crate::pipeline) fn item_table(&self, ids: IdTable, catalog: Catalog) -> ItemTable {
        let popularity = self.popularity.iter().map(|&sum| sum as f32).collect();
        ItemTable { ids, catalog, n_users: self.n_users_of.clone(), popularity }
    }
}
