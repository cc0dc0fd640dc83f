//! Building the similarity: for each item, one walk over its users' rows.

use std::{ops::Range, sync::Mutex};

use rayon::prelude::*;

use super::{
    config::ItemItemConfig,
    facts::Facts,
    gather::Gather,
    measure::{Measure, Weighed},
    normalise,
    rows::UserRows,
    sequence::Sequence,
    sums::Sums,
};
use crate::{interactions::Csr, model::TrainEvent};

/// Progress is told so many times.
const REPORTS: usize = 20;

/// Items that a thread takes at once.
pub(super) const CHUNK_ITEMS: usize = 16;

/// Work of an item on top of its multiply-adds: choosing and ordering the largest.
const ITEM_WORK: u64 = 2000;

/// What the sums of some users, or of all, are made of.
pub(super) struct Sources<'a> {
    pub(super) measure: &'a Measure,
    pub(super) rows: UserRows<'a>,
    /// Users of each item.
    pub(super) items: Csr,
    /// By cell of `items`: what it counts as the item that leads.
    pub(super) lead: Vec<f32>,
    pub(super) sequence: Option<Sequence>,
    /// By item: cells of its users.
    pub(super) n_products: Vec<u64>,
}

impl<'a> Sources<'a> {
    /// Weighs the cells of `users`, which are rows of cells, and of `items`, the transpose.
    pub(super) fn new(measure: &'a Measure, users: &'a Csr, items: Csr) -> Self {
        let Weighed { lead, follow } = measure.weigh(users, &items);
        let sequence = Sequence::of(measure.config(), users, &items);
        let rows = UserRows::of(users, &follow);
        drop(follow);
        let n_products = (0..items.n_rows())
            .into_par_iter()
            .map(|item| items.columns(item).iter().map(|&user| rows.n_cells(user) as u64).sum())
            .collect();
        Self { measure, rows, items, lead, sequence, n_products }
    }
}

/// Rows of the similarity, one after another.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    /// Where each row ends.
    pub(super) ends: Vec<usize>,
    /// Ascending within a row.
    pub(super) items: Vec<u32>,
    pub(super) values: Vec<f32>,
}

/// Similarities of items to items: row i holds what item i leads to, columns ascending, never i itself.
///
/// Determinism: a similarity sums its users in ascending order, on one thread; the largest are kept, ties by item.
/// Cost: one multiply-add for each pair of cells of each user; a dense row of sums for each thread, and one for each user
/// with more than a tenth of all items.
///
/// Shapes: the rows of the items `wanted`, before [`finish`] has seen all of them.
pub(super) fn rows(config: &ItemItemConfig, users: &Csr, wanted: Range<usize>, on: &mut dyn FnMut(TrainEvent)) -> Csr {
    let items = users.transpose();
    let measure = Measure::new(config, Facts::of(config, users, &items));
    let mut sources = Sources::new(&measure, users, items);
    sources.rows.add_dense();
    let n_items = users.n_cols;
    let n_products = &sources.n_products[wanted.clone()];
    let steps = steps(n_products);
    let mut gather = Gather::new(n_products, config.neighbours);
    let idle: Mutex<Vec<Sums>> = Mutex::default();
    for (iteration, step) in (1..).zip(&steps) {
        let chunks: Vec<Range<usize>> =
            step.clone().step_by(CHUNK_ITEMS).map(|start| start..step.end.min(start + CHUNK_ITEMS)).collect();
        let chunks: Vec<Range<usize>> =
            chunks.into_iter().map(|chunk| wanted.start + chunk.start..wanted.start + chunk.end).collect();
        let mut blocks = gather.blocks(chunks.len());
        chunks.into_par_iter().zip(&mut blocks).with_max_len(1).for_each(|(chunk, block)| {
            let free = idle.lock().expect("no thread panics with the lock held").pop();
            let new = || Sums::new(n_items, CHUNK_ITEMS, config.neighbours, config.shrinkage > 0.0);
            let mut sums = free.unwrap_or_else(new);
            sums.neighbours(&sources, chunk, block);
            if config.normalise {
                normalise::scale_rows(block);
            }
            idle.lock().expect("no thread panics with the lock held").push(sums);
        });
        gather.append(blocks);
        on(TrainEvent::Iteration { iteration, iterations: steps.len(), loss: None });
    }
    drop((sources, idle));
    gather.matrix(n_items)
}

/// What is left to do with the rows of all items.
pub(super) fn finish(config: &ItemItemConfig, rows: Csr) -> Csr {
    if config.normalise { normalise::within_columns(rows, config.neighbours) } else { rows }
}

/// All items in at most [`REPORTS`] ranges of about equal work.
fn steps(n_products: &[u64]) -> Vec<Range<usize>> {
    let work = n_products.iter().map(|n| n + ITEM_WORK);
    let share = work.clone().sum::<u64>().div_ceil(REPORTS as u64);
    let (mut steps, mut start, mut sum) = (Vec::new(), 0, 0);
    for (item, work) in work.enumerate() {
        sum += work;
        if sum >= share * (steps.len() as u64 + 1) || item + 1 == n_products.len() {
            steps.push(start..item + 1);
            start = item + 1;
        }
    }
    steps
}
