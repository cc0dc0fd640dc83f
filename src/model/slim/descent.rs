//! One item's weights, by coordinate descent.

use super::{config::SlimConfig, gram::Gram};
use crate::model::sparse_items::keep_largest;

/// What a thread needs to work on one item after the other.
pub(super) struct Descent<'a> {
    config: &'a SlimConfig,
    gram: &'a Gram,
    /// By item: its place among the candidates and one, zero for others.
    places: Vec<u32>,
    found: Vec<(f32, u32)>,
    candidates: Vec<u32>,
    /// By candidate: the weight, its inner product with the item, and what the weights account for of that.
    weights: Vec<f32>,
    targets: Vec<f32>,
    explained: Vec<f32>,
    /// By candidate: where its inner products with all candidates start in `products`.
    rows: Vec<Option<usize>>,
    products: Vec<f32>,
}

impl<'a> Descent<'a> {
    pub(super) fn new(config: &'a SlimConfig, gram: &'a Gram) -> Self {
        Self {
            config,
            gram,
            places: vec![0; gram.diagonal.len()],
            found: Vec::new(),
            candidates: Vec::new(),
            weights: Vec::new(),
            targets: Vec::new(),
            explained: Vec::new(),
            rows: Vec::new(),
            products: Vec::new(),
        }
    }

    /// The items that lead to `item`, ascending, with their weights; none is zero.
    ///
    /// Formula: minimises `|x_j - X w|^2 / 2 + regularization |w|^2 / 2 + l1_regularization |w|_1` over the candidates,
    /// one weight at a time: `w_k = shrink(G_kj - sum over l != k of G_kl w_l) / (G_kk + regularization)`.
    /// Determinism: candidates in ascending order, always from zero.
    pub(super) fn solve(&mut self, item: usize) -> Vec<(u32, f32)> {
        self.choose(item);
        for _ in 0..self.config.iterations {
            if self.round() <= self.config.tolerance {
                break;
            }
        }
        for &candidate in &self.candidates {
            self.places[candidate as usize] = 0;
        }
        self.found.clear();
        let sized = self.candidates.iter().zip(&self.weights).filter(|(_, weight)| **weight != 0.0);
        self.found.extend(sized.map(|(&candidate, weight)| (weight.abs(), candidate)));
        keep_largest(&mut self.found, self.config.neighbours);
        self.found.sort_unstable_by_key(|&(_, candidate)| candidate);
        let weight_of = |candidate: u32| {
            let at = self.candidates.binary_search(&candidate).expect("taken from the candidates");
            (candidate, self.weights[at])
        };
        self.found.iter().map(|&(_, candidate)| weight_of(candidate)).collect()
    }

    /// Takes the candidates that alone would explain most of the item: the largest G_kj^2 / (G_kk + regularization).
    fn choose(&mut self, item: usize) {
        let row = self.gram.rows.row(item);
        self.found.clear();
        for (&other, &product) in row.items.iter().zip(row.weights) {
            let gain = product * product / (self.gram.diagonal[other as usize] + self.config.regularization);
            self.found.push((gain, other));
        }
        keep_largest(&mut self.found, self.config.candidates);
        self.candidates.clear();
        self.candidates.extend(self.found.iter().map(|&(_, other)| other));
        self.candidates.sort_unstable();
        self.targets.clear();
        let mut at = 0;
        for (place, &candidate) in self.candidates.iter().enumerate() {
            at += row.items[at..].partition_point(|&other| other < candidate);
            self.targets.push(row.weights[at]);
            self.places[candidate as usize] = place as u32 + 1;
        }
        let n = self.candidates.len();
        for values in [&mut self.weights, &mut self.explained] {
            values.clear();
            values.resize(n, 0.0);
        }
        self.rows.clear();
        self.rows.resize(n, None);
        self.products.clear();
    }

    /// Moves each weight to its best value; returns the largest move.
    fn round(&mut self) -> f32 {
        let mut largest = 0f32;
        for k in 0..self.candidates.len() {
            let square = self.gram.diagonal[self.candidates[k] as usize];
            let pull = self.targets[k] - self.explained[k] + square * self.weights[k];
            let shrunk = if pull > self.config.l1_regularization {
                pull - self.config.l1_regularization
            } else if pull < -self.config.l1_regularization && !self.config.non_negative {
                pull + self.config.l1_regularization
            } else {
                0.0
            };
            let weight = shrunk / (square + self.config.regularization);
            let change = weight - self.weights[k];
            if change == 0.0 {
                continue;
            }
            self.weights[k] = weight;
            largest = largest.max(change.abs());
            let start = self.products_of(k);
            let products = &self.products[start..start + self.explained.len()];
            for (explained, &product) in self.explained.iter_mut().zip(products) {
                *explained += change * product;
            }
        }
        largest
    }

    /// Where the inner products of candidate `k` with all candidates start. They are gathered when first asked for: most
    /// candidates never get a weight.
    fn products_of(&mut self, k: usize) -> usize {
        if let Some(start) = self.rows[k] {
            return start;
        }
        let start = self.products.len();
        self.products.resize(start + self.candidates.len(), 0.0);
        let products = &mut self.products[start..];
        let row = self.gram.rows.row(self.candidates[k] as usize);
        for (&other, &product) in row.items.iter().zip(row.weights) {
            if let Some(place) = self.places[other as usize].checked_sub(1) {
                products[place as usize] = product;
            }
        }
        products[k] = self.gram.diagonal[self.candidates[k] as usize];
        self.rows[k] = Some(start);
        start
    }
}
