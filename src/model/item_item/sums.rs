//! Sums of products of one item with all others, and the largest similarities among them.

use super::{
    build::{Neighbours, Sources},
    largest::Largest,
    measure::Similarities,
    rows::Cell,
    spread::{self, Walk},
};
use crate::model::prefetch::prefetch;

/// Items whose products are at least one in so many of all items have sums nearly everywhere: see [`spread`].
const SPREAD_SHARE: usize = 8;

/// Users whose rows are asked for ahead of their turn.
const AHEAD: usize = 6;

/// A thread's buffers.
pub(super) struct Sums {
    /// By item; all zero between two items.
    sums: Vec<f32>,
    /// Users of each sum; empty where nobody asks.
    counts: Vec<u32>,
    /// Items with a sum, some of them perhaps twice; the first `n_touched` count.
    touched: Vec<u32>,
    n_touched: usize,
    /// One for each item of a chunk.
    largest: Vec<Largest>,
    walks: Vec<Vec<Walk>>,
    spread: Vec<usize>,
    /// For putting rows in order.
    order: super::largest::Order,
}

impl Sums {
    pub(super) fn new(n_items: usize, n_rows: usize, most: usize, counts: bool) -> Self {
        Self {
            sums: vec![0.0; n_items],
            counts: if counts { vec![0; n_items] } else { Vec::new() },
            touched: Vec::new(),
            n_touched: 0,
            // More than all items are never offered.
            largest: vec![Largest::new(most.min(n_items.max(1))); n_rows],
            walks: vec![Vec::new(); n_rows],
            spread: Vec::new(),
            order: super::largest::Order::new(n_items),
        }
    }

    /// Appends the largest similarities of the items `first`, `first + 1`, ..., a row each.
    pub(super) fn neighbours(&mut self, sources: &Sources<'_>, chunk: std::ops::Range<usize>, into: &mut Neighbours) {
        self.spread.clear();
        for (at, item) in chunk.clone().enumerate() {
            self.largest[at].clear();
            let n_products = sources.n_products[item];
            let noted = !self.counts.is_empty() || sources.sequence.is_some();
            if noted || n_products < (self.sums.len() / SPREAD_SHARE) as u64 {
                if self.touched.len() < n_products as usize {
                    self.touched.resize((n_products as usize).next_power_of_two(), 0);
                }
                self.add_noting(sources, item);
                self.sums[item] = 0.0;
                match sources.measure.similarities(item) {
                    Similarities::Product(of) => self.offer_touched(&of, at),
                    Similarities::Union(of) => self.offer_touched(&of, at),
                }
            } else {
                spread::start(sources, item, &mut self.walks[at]);
                self.spread.push(at);
            }
        }
        spread::run(sources, chunk.start, &self.spread, &mut self.walks, &mut self.sums, &mut self.largest);
        for largest in &mut self.largest[..chunk.len()] {
            self.order.append(largest.kept(), &mut self.sums, into);
        }
    }

    /// Adds the products of `item` with the items of its users, user by user, and notes the items.
    fn add_noting(&mut self, sources: &Sources<'_>, item: usize) {
        let Sources { rows, items, measure, sequence, .. } = sources;
        let cells = items.indptr[item]..items.indptr[item + 1];
        let users = &items.indices[cells.clone()];
        self.n_touched = 0;
        for ((at, &user), &lead) in cells.clone().zip(users).zip(&measure.lead[cells.clone()]) {
            if let Some(&later) = users.get(at - cells.start + AHEAD) {
                prefetch(rows.row(later));
            }
            let row = rows.row(user);
            match sequence {
                Some(sequence) => {
                    for (cell, place) in row.iter().zip(rows.start(user)..) {
                        self.add(*cell, lead * cell.follow * sequence.factor(at, place));
                    }
                }
                None => row.iter().for_each(|cell| self.add(*cell, lead * cell.follow)),
            }
        }
    }

    #[inline(always)]
    fn add(&mut self, cell: Cell, product: f32) {
        let sum = &mut self.sums[cell.item as usize];
        // Written always and counted if new: no branch to guess. There is room for every product.
        self.touched[self.n_touched] = cell.item;
        self.n_touched += usize::from(*sum == 0.0);
        *sum += product;
        if let Some(count) = self.counts.get_mut(cell.item as usize) {
            *count += 1;
        }
    }

    /// Offers what was noted to the row `at` of the chunk and leaves zeros.
    fn offer_touched<S: Similarity>(&mut self, of: &S, at: usize) {
        let largest = &mut self.largest[at];
        for &other in &self.touched[..self.n_touched] {
            let at = other as usize;
            let n_users = self.counts.get_mut(at).map_or(0, std::mem::take);
            // A sum that went back to zero was noted twice; it is found once.
            let sum = std::mem::take(&mut self.sums[at]);
            largest.offer(other, of.shrunk(at, sum, n_users));
        }
    }
}

/// How many sums are looked at together.
pub(super) const LANES: usize = 16;

/// What a sum of products of one item with another makes of them.
pub(super) trait Similarity {
    /// The similarities to [`LANES`] items from `first`, without shrinkage.
    fn lanes(&self, first: usize, sums: &[f32; LANES]) -> [f32; LANES];

    /// The similarity to item `at`, whose products `n_users` users have.
    fn shrunk(&self, at: usize, sum: f32, n_users: u32) -> f32;
}
