//! What the kinds of similarity must know of all users before any cell has its weight.

use rayon::prelude::*;

use super::config::{ItemItemConfig, SimilarityKind};
use crate::interactions::{Csr, Stamp};

/// Items that a thread takes at once.
const CHUNK_ITEMS: usize = 1024;

/// Numbers that all training users add to, gathered from one matrix or from blocks of its users in their order.
///
/// Determinism: an item's sum runs over its users in ascending order, in f64, so blocks give the bits of the whole.
/// Cost: 12 bytes an item.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// Training users.
    pub(super) n_users: usize,
    /// By item: its training users.
    pub(super) users_of: Vec<u32>,
    /// The newest time of their cells; ages are counted from it.
    pub(super) newest: Stamp,
    /// By item, as its kind asks for: squares of what the cells count (cosines), or their total (`bm25`).
    pub(super) sums: Vec<f64>,
}

/// What a cell counts under tf-idf.
#[inline(always)]
pub(super) fn tfidf(value: f64, idf: f64) -> f64 {
    value.sqrt() * idf
}

impl Facts {
    pub(super) fn new(n_items: usize) -> Self {
        Self { n_users: 0, users_of: vec![0; n_items], newest: Stamp::default(), sums: vec![0.0; n_items] }
    }

    /// Those of all users at once: `users` are rows of cells, `items` the transpose.
    pub(super) fn of(config: &ItemItemConfig, users: &Csr, items: &Csr) -> Self {
        let mut facts = Self::new(items.n_rows());
        facts.count(users, items);
        facts.sum(config, users, items);
        facts
    }

    /// Whether sums are asked for, which [`sum`](Self::sum) adds once all users are counted.
    pub(super) fn wants_sums(config: &ItemItemConfig) -> bool {
        !matches!(config.kind, SimilarityKind::Rp3beta | SimilarityKind::Jaccard)
    }

    /// Counts more users.
    pub(super) fn count(&mut self, users: &Csr, items: &Csr) {
        self.n_users += users.n_rows();
        for (sum, range) in self.users_of.iter_mut().zip(items.indptr.windows(2)) {
            *sum += (range[1] - range[0]) as u32;
        }
        self.newest = users.times.iter().copied().max().unwrap_or_default().max(self.newest);
    }

    /// Adds more users to the sums of items.
    pub(super) fn sum(&mut self, config: &ItemItemConfig, users: &Csr, items: &Csr) {
        match config.kind {
            SimilarityKind::Rp3beta | SimilarityKind::Jaccard => {}
            SimilarityKind::Cosine | SimilarityKind::AsymmetricCosine => self.add(items, |_, value| value * value),
            SimilarityKind::Bm25 => self.add(items, |_, value| value),
            SimilarityKind::Tfidf => {
                let idf = self.idf(users);
                self.add(items, |user, value| {
                    // As the cell has it, in f32.
                    let count = f64::from(tfidf(value, idf[user]) as f32);
                    count * count
                });
            }
        }
    }

    fn add(&mut self, items: &Csr, of: impl Fn(usize, f64) -> f64 + Sync) {
        self.sums.par_iter_mut().enumerate().with_min_len(CHUNK_ITEMS).for_each(|(item, sum)| {
            let row = items.row(item);
            for (&user, &value) in row.items.iter().zip(row.weights) {
                *sum += of(user as usize, f64::from(value));
            }
        });
    }

    /// By user of `users`: ln(number of users) - ln(1 + a user's items), implicit's idf with users in the place of terms.
    pub(super) fn idf(&self, users: &Csr) -> Vec<f64> {
        let n_users = self.n_users as f64;
        users.indptr.windows(2).map(|range| n_users.ln() - ((range[1] - range[0]) as f64).ln_1p()).collect()
    }
}
