//! The similarity of interactions that come in blocks of users: nobody needs all cells at once.
//!
//! An entry is an f32 sum over users in ascending order, so blocks cannot be summed apart and added: that rounds
//! differently. Instead the sums that one block leaves are where the next one goes on, and the bits are those of the whole.

use std::{borrow::Cow, ops::Range, sync::Mutex};

use rayon::prelude::*;

use super::{
    build::{CHUNK_ITEMS, Neighbours, Sources},
    config::ItemItemConfig,
    facts::Facts,
    gather::Gather,
    measure::Measure,
    normalise,
    sums::Sums,
};
use crate::{
    interactions::Csr,
    model::{ModelError, cells},
};

const HALF_LIFE: &str = "model.item_item.training_half_life_days";

/// What all users say of items before a similarity can be summed: a first reading of the blocks counts users, and for some
/// kinds a second one sums what their cells count.
#[derive(Debug, Clone)]
pub struct ItemItemFacts {
    config: ItemItemConfig,
    facts: Facts,
}

/// How two items are compared, once all users have been seen.
#[derive(Debug)]
pub struct ItemItemMeasure(Measure);

/// The training rows of a block, with what their cells count. `facts` must have seen the newest time if ages count.
fn training_users<'a>(
    config: &ItemItemConfig,
    facts: Option<&Facts>,
    weights: &'a Csr,
    trains: &[bool],
) -> Result<Cow<'a, Csr>, ModelError> {
    cells::check(weights, trains)?;
    config.check_times(weights)?;
    let users = cells::training_rows(weights, trains, config.weights);
    match facts {
        Some(facts) => cells::decayed_from(facts.newest, users, config.training_half_life_days, HALF_LIFE),
        None => Ok(users),
    }
}

impl ItemItemFacts {
    /// Nothing yet.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn new(config: &ItemItemConfig, n_items: usize) -> Result<Self, ModelError> {
        config.check("model.item_item").map_err(ModelError::Config)?;
        Ok(Self { config: config.clone(), facts: Facts::new(n_items) })
    }

    /// Counts a block of users.
    ///
    /// Shapes: as [`ItemItem::train`](super::ItemItem::train), some of the rows.
    ///
    /// # Errors
    /// As [`ItemItem::train`](super::ItemItem::train).
    pub fn count(&mut self, weights: &Csr, trains: &[bool]) -> Result<(), ModelError> {
        let users = training_users(&self.config, None, weights, trains)?;
        self.facts.count(&users, &users.transpose());
        Ok(())
    }

    /// Whether the blocks must be read again, for [`sum`](Self::sum).
    #[must_use]
    pub fn wants_sums(&self) -> bool {
        Facts::wants_sums(&self.config)
    }

    /// Sums what the cells of a block count, after all blocks were counted; blocks in the order of their users.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub fn sum(&mut self, weights: &Csr, trains: &[bool]) -> Result<(), ModelError> {
        let users = training_users(&self.config, Some(&self.facts), weights, trains)?;
        self.facts.sum(&self.config, &users, &users.transpose());
        Ok(())
    }

    /// The measure, when all blocks were read.
    #[must_use]
    pub fn measure(self) -> ItemItemMeasure {
        ItemItemMeasure(Measure::new(&self.config, self.facts))
    }
}

/// Rows of sums of products, one after another, items in any order.
#[derive(Debug, Default, Clone)]
pub(super) struct PartialRows {
    /// Where each row ends.
    pub(super) ends: Vec<usize>,
    pub(super) items: Vec<u32>,
    pub(super) sums: Vec<f32>,
    /// Users of each sum; empty where nobody asks.
    pub(super) n_users: Vec<u32>,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct PartialRow<'a> {
    pub(super) items: &'a [u32],
    pub(super) sums: &'a [f32],
    pub(super) n_users: &'a [u32],
}

impl PartialRows {
    fn row(&self, at: usize) -> PartialRow<'_> {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        let range = start..self.ends[at];
        PartialRow {
            items: &self.items[range.clone()],
            sums: &self.sums[range.clone()],
            n_users: self.n_users.get(range).unwrap_or_default(),
        }
    }

    fn shrink(&mut self) {
        self.items.shrink_to_fit();
        self.sums.shrink_to_fit();
        self.n_users.shrink_to_fit();
    }
}

/// The rows of some of the items as they grow, block by block of users.
///
/// Determinism: blocks in the order of their users give the bits of [`ItemItem::train_rows`](super::ItemItem::train_rows)
/// on all of them.
/// Cost: 8 bytes for each pair of one of the items with another that shares a user with it, with `shrinkage` 12; to
/// that a block's cells.
pub struct GrowingRows<'a> {
    measure: &'a Measure,
    items: Range<usize>,
    /// Of [`CHUNK_ITEMS`] items each.
    chunks: Vec<PartialRows>,
}

impl<'a> GrowingRows<'a> {
    /// Bytes of a pair.
    #[must_use]
    pub fn pair_bytes(config: &ItemItemConfig) -> u64 {
        if config.shrinkage > 0.0 { 12 } else { 8 }
    }

    /// No users yet.
    #[must_use]
    pub fn new(ItemItemMeasure(measure): &'a ItemItemMeasure, items: Range<usize>) -> Self {
        let n_rows = |start: usize| CHUNK_ITEMS.min(items.end - start);
        let starts = items.clone().step_by(CHUNK_ITEMS);
        let chunks =
            starts.map(|start| PartialRows { ends: vec![0; n_rows(start)], ..PartialRows::default() }).collect();
        Self { measure, items, chunks }
    }

    /// Adds a block of users; blocks in the order of their users.
    ///
    /// # Errors
    /// As [`ItemItem::train`](super::ItemItem::train).
    pub fn add(&mut self, weights: &Csr, trains: &[bool]) -> Result<(), ModelError> {
        let Self { measure, items, chunks } = self;
        let users = training_users(measure.config(), Some(measure.facts()), weights, trains)?;
        let by_item = users.transpose();
        let sources = Sources::new(measure, &users, by_item);
        let buffers = Buffers::new(measure);
        chunks.par_iter_mut().enumerate().with_max_len(1).for_each(|(at, chunk)| {
            let first = items.start + at * CHUNK_ITEMS;
            let n_products = &sources.n_products[first..first + chunk.ends.len()];
            if n_products.iter().all(|&n| n == 0) {
                return;
            }
            let mut grown = PartialRows::default();
            buffers.with(|sums| {
                for row in 0..chunk.ends.len() {
                    sums.grow(&sources, first + row, chunk.row(row), &mut grown);
                }
            });
            grown.shrink();
            *chunk = grown;
        });
        Ok(())
    }

    /// The rows, when all blocks were added, for [`ItemItem::from_rows`](super::ItemItem::from_rows).
    #[must_use]
    pub fn finish(self) -> Csr {
        let Self { measure, items, chunks } = self;
        let config = measure.config();
        let buffers = Buffers::new(measure);
        let blocks: Vec<Neighbours> = chunks
            .into_par_iter()
            .enumerate()
            .with_max_len(1)
            .map(|(at, chunk)| {
                let mut block = Neighbours::default();
                buffers.with(|sums| {
                    for row in 0..chunk.ends.len() {
                        sums.finish(measure, items.start + at * CHUNK_ITEMS + row, chunk.row(row), &mut block);
                    }
                });
                if config.normalise {
                    normalise::scale_rows(&mut block);
                }
                block
            })
            .collect();
        let mut gather = Gather::new(&[], config.neighbours);
        gather.append(blocks);
        gather.matrix(measure.facts().users_of.len())
    }
}

/// Buffers of the threads.
struct Buffers<'a> {
    measure: &'a Measure,
    idle: Mutex<Vec<Sums>>,
}

impl<'a> Buffers<'a> {
    fn new(measure: &'a Measure) -> Self {
        Self { measure, idle: Mutex::default() }
    }

    fn with(&self, work: impl FnOnce(&mut Sums)) {
        let free = self.idle.lock().expect("no thread panics with the lock held").pop();
        let config = self.measure.config();
        let n_items = self.measure.facts().users_of.len();
        let mut sums = free.unwrap_or_else(|| Sums::new(n_items, 1, config.neighbours, config.shrinkage > 0.0));
        work(&mut sums);
        self.idle.lock().expect("no thread panics with the lock held").push(sums);
    }
}
