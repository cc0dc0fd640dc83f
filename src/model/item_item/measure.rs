//! What the kinds of similarity have of their own: how cells are weighted, and how a sum of products becomes a
//! similarity.
//!
//! Every kind is `s_ij = (sum over users u of lead_ui * follow_uj) * scale(i, j)`: one builder serves all.

use std::cell::Cell;

use rayon::prelude::*;

use super::{
    config::{ItemItemConfig, SimilarityKind},
    facts::{Facts, tfidf},
    sums::{LANES, Similarity},
};
use crate::interactions::Csr;

/// Rows that a thread takes at once.
const CHUNK_ROWS: usize = 1024;

/// One kind of similarity, among items of which all is known that users add to.
#[derive(Debug)]
pub(super) struct Measure {
    config: ItemItemConfig,
    facts: Facts,
    scale: Scale,
}

/// What the cells of some users count.
pub(super) struct Weighed {
    /// By cell of the users' rows: what it counts as the item that is led to.
    pub(super) follow: Vec<f32>,
    /// By cell of the items' rows (the transpose): what it counts as the item that leads.
    pub(super) lead: Vec<f32>,
}

#[derive(Debug)]
enum Scale {
    /// Multiplied by a number of the item that leads and one of the item that is led to.
    Product { lead: Vec<f32>, follow: Vec<f32> },
    /// Users in common over users of either.
    Union { users: Vec<f32> },
}

/// `x^-exponent`, and zero for zero: an item nobody touched is similar to none.
fn inverse_power(x: f64, exponent: f64) -> f32 {
    if x > 0.0 { x.powf(-exponent) as f32 } else { 0.0 }
}

/// Sum over the values of each row, in order.
fn row_sums(rows: &Csr) -> Vec<f64> {
    let ranges = rows.indptr.par_windows(2).with_min_len(CHUNK_ROWS);
    let sum = |range: &[usize]| rows.values[range[0]..range[1]].iter().fold(0f64, |sum, &value| sum + f64::from(value));
    ranges.map(sum).collect()
}

/// Each cell's value as a function of its row, its column and the value.
fn mapped<F: Fn(usize, f64) -> f64>(rows: &Csr, of_row: impl Fn(usize) -> F + Sync) -> Vec<f32> {
    let mut values = vec![0f32; rows.n_cells()];
    let mut left = values.as_mut_slice();
    let mut chunks = Vec::with_capacity(rows.n_rows().div_ceil(CHUNK_ROWS));
    for first in (0..rows.n_rows()).step_by(CHUNK_ROWS) {
        let last = rows.n_rows().min(first + CHUNK_ROWS);
        let (own, later) = left.split_at_mut(rows.indptr[last] - rows.indptr[first]);
        left = later;
        chunks.push((first..last, own));
    }
    chunks.into_par_iter().for_each(|(range, mut values)| {
        for row in range {
            let cells = rows.row(row);
            let (own, later) = values.split_at_mut(cells.items.len());
            values = later;
            let of = of_row(row);
            for ((out, &column), &value) in own.iter_mut().zip(cells.items).zip(cells.weights) {
                *out = of(column as usize, f64::from(value)) as f32;
            }
        }
    });
    values
}

/// `of`, which remembers its last answer: powers take long, and the weights of a row are often alike.
fn remembering(of: impl Fn(f64) -> f64) -> impl Fn(usize, f64) -> f64 {
    let last = Cell::new((f64::NAN, f64::NAN));
    move |_, value| {
        if last.get().0 != value {
            last.set((value, of(value)));
        }
        last.get().1
    }
}

impl Measure {
    /// `facts`: of all training users.
    pub(super) fn new(config: &ItemItemConfig, facts: Facts) -> Self {
        let n_items = facts.users_of.len();
        let ones = || vec![1f32; n_items];
        let product = |lead, follow| Scale::Product { lead, follow };
        let norms =
            |exponent: f64| -> Vec<f32> { facts.sums.iter().map(|&square| inverse_power(square, exponent)).collect() };
        let scale = match config.kind {
            SimilarityKind::Rp3beta => {
                let beta = f64::from(config.beta);
                product(ones(), facts.users_of.iter().map(|&n| inverse_power(f64::from(n), beta)).collect())
            }
            SimilarityKind::Cosine | SimilarityKind::Tfidf => {
                let norms = norms(0.5);
                product(norms.clone(), norms)
            }
            SimilarityKind::AsymmetricCosine => {
                let asymmetry = f64::from(config.asymmetry);
                product(norms(asymmetry), norms(1.0 - asymmetry))
            }
            SimilarityKind::Jaccard => Scale::Union { users: facts.users_of.iter().map(|&n| n as f32).collect() },
            SimilarityKind::Bm25 => product(ones(), ones()),
        };
        Self { config: config.clone(), facts, scale }
    }

    pub(super) fn config(&self) -> &ItemItemConfig {
        &self.config
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Weighs the cells of `users` (rows of cells; all of them or some) and `items` (its transpose).
    pub(super) fn weigh(&self, users: &Csr, items: &Csr) -> Weighed {
        let config = &self.config;
        let (lead, follow) = match config.kind {
            SimilarityKind::Rp3beta => {
                let alpha = f64::from(config.alpha);
                let totals = row_sums(users);
                let lead = mapped(items, |item| {
                    let step = f64::from(self.facts.users_of[item]).powf(-alpha);
                    move |_, _| step
                });
                let follow = mapped(users, |user| {
                    let total = totals[user];
                    remembering(move |value| (value / total).powf(alpha))
                });
                (lead, follow)
            }
            SimilarityKind::Cosine | SimilarityKind::AsymmetricCosine => (items.values.clone(), users.values.clone()),
            SimilarityKind::Jaccard => (vec![1f32; items.n_cells()], vec![1f32; users.n_cells()]),
            SimilarityKind::Bm25 => {
                let (totals, idf) = (&self.facts.sums, self.facts.idf(users));
                let mean = totals.iter().sum::<f64>() / totals.len().max(1) as f64;
                let (k1, b) = (f64::from(config.k1), f64::from(config.b));
                let weight = &|item: usize, user: usize, value: f64| {
                    value * (k1 + 1.0) / (k1 * (1.0 - b + b * totals[item] / mean) + value) * idf[user]
                };
                let lead = mapped(items, |item| move |user, value| weight(item, user, value));
                let follow = mapped(users, |user| move |item, value| weight(item, user, value));
                (lead, follow)
            }
            SimilarityKind::Tfidf => {
                let idf = &self.facts.idf(users);
                let lead = mapped(items, |_| |user, value| tfidf(value, idf[user]));
                let follow = mapped(users, |user| move |_, value| tfidf(value, idf[user]));
                (lead, follow)
            }
        };
        Weighed { follow, lead }
    }

    /// The similarity of item `lead` to item `follow`, whose products sum to `sum`, without shrinkage.
    #[cfg(test)]
    pub(super) fn similarity(&self, lead: usize, follow: usize, sum: f32) -> f32 {
        match &self.scale {
            Scale::Product { lead: of_lead, follow: of_follow } => sum * of_lead[lead] * of_follow[follow],
            Scale::Union { users } => sum / (users[lead] + users[follow] - sum),
        }
    }

    /// What the similarities of item `lead` to others are made by.
    pub(super) fn similarities(&self, lead: usize) -> Similarities<'_> {
        let shrinkage = self.config.shrinkage;
        match &self.scale {
            Scale::Product { lead: of_lead, follow } => {
                Similarities::Product(Product { lead: of_lead[lead], follow, shrinkage })
            }
            Scale::Union { users } => Similarities::Union(Union { lead: users[lead], users, shrinkage }),
        }
    }
}

/// The similarities of one item to others, by kind.
pub(super) enum Similarities<'a> {
    Product(Product<'a>),
    Union(Union<'a>),
}

/// A sum multiplied by a number of the item that leads and one of the item that is led to.
pub(super) struct Product<'a> {
    lead: f32,
    follow: &'a [f32],
    shrinkage: f32,
}

/// Users in common over users of either.
pub(super) struct Union<'a> {
    lead: f32,
    users: &'a [f32],
    shrinkage: f32,
}

impl Similarity for Product<'_> {
    #[inline(always)]
    fn lanes(&self, first: usize, sums: &[f32; LANES]) -> [f32; LANES] {
        let follow: &[f32; LANES] = lanes_at(self.follow, first);
        let mut similarities = [0f32; LANES];
        for lane in 0..LANES {
            similarities[lane] = sums[lane] * self.lead * follow[lane];
        }
        similarities
    }

    #[inline(always)]
    fn shrunk(&self, at: usize, sum: f32, n_users: u32) -> f32 {
        shrunk(sum * self.lead * self.follow[at], n_users, self.shrinkage)
    }
}

impl Similarity for Union<'_> {
    #[inline(always)]
    fn lanes(&self, first: usize, sums: &[f32; LANES]) -> [f32; LANES] {
        let users: &[f32; LANES] = lanes_at(self.users, first);
        let mut similarities = [0f32; LANES];
        for lane in 0..LANES {
            similarities[lane] = sums[lane] / (self.lead + users[lane] - sums[lane]);
        }
        similarities
    }

    #[inline(always)]
    fn shrunk(&self, at: usize, sum: f32, n_users: u32) -> f32 {
        shrunk(sum / (self.lead + self.users[at] - sum), n_users, self.shrinkage)
    }
}

#[inline(always)]
fn lanes_at(values: &[f32], first: usize) -> &[f32; LANES] {
    values[first..].first_chunk().expect("sums and what scales them are as many")
}

#[inline(always)]
fn shrunk(plain: f32, n_users: u32, shrinkage: f32) -> f32 {
    if shrinkage == 0.0 {
        return plain;
    }
    let n = n_users as f32;
    plain * (n / (n + shrinkage))
}
