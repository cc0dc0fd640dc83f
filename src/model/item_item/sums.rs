//! Sums of products of one item with all others, and the largest similarities among them.

use super::{
    blocks::{PartialRow, PartialRows},
    build::{Neighbours, Sources},
    largest::Largest,
    measure::{Measure, Similarities},
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
                self.n_touched = 0;
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

    /// Goes on with the sums of a row that other users began: adds the products of `item` with the items of more users,
    /// and appends the row to `into`, without the item itself.
    pub(super) fn grow(&mut self, sources: &Sources<'_>, item: usize, begun: PartialRow<'_>, into: &mut PartialRows) {
        self.n_touched = begun.items.len();
        if self.touched.len() < self.n_touched {
            self.touched.resize(self.n_touched.next_power_of_two(), 0);
        }
        self.touched[..self.n_touched].copy_from_slice(begun.items);
        for (&other, &sum) in begun.items.iter().zip(begun.sums) {
            self.sums[other as usize] = sum;
        }
        for (&other, &n_users) in begun.items.iter().zip(begun.n_users) {
            self.counts[other as usize] = n_users;
        }
        self.add_noting(sources, item);
        self.sums[item] = 0.0;
        if let Some(count) = self.counts.get_mut(item) {
            *count = 0;
        }
        for &other in &self.touched[..self.n_touched] {
            let at = other as usize;
            // What was noted twice is taken once. Users may be without a sum: their products may be zero.
            let n_users = self.counts.get_mut(at).map_or(0, std::mem::take);
            let sum = std::mem::take(&mut self.sums[at]);
            if n_users > 0 || sum != 0.0 {
                into.items.push(other);
                into.sums.push(sum);
                if !self.counts.is_empty() {
                    into.n_users.push(n_users);
                }
            }
        }
        into.ends.push(into.items.len());
    }

    /// Appends the largest similarities of `item`, whose row of sums is whole.
    pub(super) fn finish(&mut self, measure: &Measure, item: usize, row: PartialRow<'_>, into: &mut Neighbours) {
        let largest = &mut self.largest[0];
        largest.clear();
        match measure.similarities(item) {
            Similarities::Product(of) => offer_row(&of, row, largest),
            Similarities::Union(of) => offer_row(&of, row, largest),
        }
        self.order.append(largest.kept(), &mut self.sums, into);
    }

    /// Adds the products of `item` with the items of its users, user by user, and notes the items after those that are
    /// noted.
    fn add_noting(&mut self, sources: &Sources<'_>, item: usize) {
        let Sources { rows, items, lead, sequence, .. } = sources;
        let n_noted = self.n_touched + sources.n_products[item] as usize;
        if self.touched.len() < n_noted {
            self.touched.resize(n_noted.next_power_of_two(), 0);
        }
        let cells = items.indptr[item]..items.indptr[item + 1];
        let users = &items.indices[cells.clone()];
        for ((at, &user), &lead) in cells.clone().zip(users).zip(&lead[cells.clone()]) {
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

/// Offers the similarities of a row of sums.
fn offer_row<S: Similarity>(of: &S, row: PartialRow<'_>, largest: &mut Largest) {
    for (at, (&other, &sum)) in row.items.iter().zip(row.sums).enumerate() {
        let n_users = row.n_users.get(at).copied().unwrap_or_default();
        largest.offer(other, of.shrunk(other as usize, sum, n_users));
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
