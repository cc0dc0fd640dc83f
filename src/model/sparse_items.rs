//! Scoring with sparse weights of items for items, shared by the models that have such.

use std::{borrow::Cow, ops::Range};

use super::{CellWeight, Explanation, ModelError, UserBlock, recency::Recency, sparse_scores::SparseScores};
use crate::{
    ids::ItemIdx,
    interactions::{Csr, History},
};

/// Weights of items for items and how a history enters: a user's score of item j is `sum over his items i of x_ui s_ij`.
#[derive(Clone, Copy)]
pub(super) struct SparseItems<'a> {
    /// n_items x n_items; row i holds what item i leads to.
    pub(super) weights: &'a Csr,
    pub(super) count: CellWeight,
    pub(super) recency: Recency,
}

/// Refuses a matrix that is no n_items x n_items of finite numbers.
pub(super) fn check_square(weights: &Csr) -> Result<(), ModelError> {
    if weights.n_rows() != weights.n_cols {
        let (expected, found) = (weights.n_cols, weights.n_rows());
        return Err(ModelError::Shape { what: "rows of the neighbours", expected, found });
    }
    if weights.values.len() != weights.n_cells() {
        let (expected, found) = (weights.n_cells(), weights.values.len());
        return Err(ModelError::Shape { what: "similarities of the neighbours", expected, found });
    }
    if let Some(at) = weights.values.iter().position(|value| !value.is_finite()) {
        let item = weights.indptr.partition_point(|&start| start <= at) - 1;
        return Err(ModelError::NotFinite { what: "a similarity", item });
    }
    Ok(())
}

/// The weight of `lead` for `follow`; zero where there is none.
pub(super) fn between(weights: &Csr, lead: u32, follow: u32) -> f32 {
    let row = weights.row(lead as usize);
    row.items.binary_search(&follow).map_or(0.0, |at| row.weights[at])
}

impl<'a> SparseItems<'a> {
    pub(super) fn block(self, histories: &[History<'a>]) -> Box<dyn UserBlock + 'a> {
        let histories =
            histories.iter().map(|&history| (history.items, self.recency.counts(self.count, history))).collect();
        Box::new(Block { weights: self.weights, histories, sums: None })
    }

    /// Parts in the order of the sum add up to the score exactly.
    pub(super) fn explain(self, history: History<'_>, item: ItemIdx) -> Explanation {
        let mut score = 0f32;
        let mut contributions = Vec::new();
        let counts = self.recency.counts(self.count, history);
        for (&lead, &count) in history.items.iter().zip(counts.iter()) {
            let weight = between(self.weights, lead, item.0);
            if weight != 0.0 {
                let part = count * weight;
                score += part;
                contributions.push((ItemIdx(lead), part));
            }
        }
        contributions.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Explanation { score, base: 0.0, contributions }
    }
}

struct Block<'a> {
    weights: &'a Csr,
    /// Items and what they count, by user.
    histories: Vec<(&'a [u32], Cow<'a, [f32]>)>,
    /// Borrowed when first asked for.
    sums: Option<SparseScores>,
}

impl UserBlock for Block<'_> {
    fn n_users(&self) -> usize {
        self.histories.len()
    }

    fn score(&mut self, items: Range<usize>, scores: &mut [f32]) {
        let whole = items.start == 0 && items.end >= self.weights.n_cols;
        for ((history, counts), scores) in self.histories.iter().zip(scores.chunks_exact_mut(items.len().max(1))) {
            scores.fill(0.0);
            for (&lead, &count) in history.iter().zip(counts.iter()) {
                let row = self.weights.row(lead as usize);
                let (first, last) = if whole {
                    (0, row.items.len())
                } else {
                    let before = |end: usize| row.items.partition_point(|&follow| (follow as usize) < end);
                    (before(items.start), before(items.end))
                };
                for (&follow, &value) in row.items[first..last].iter().zip(&row.weights[first..last]) {
                    scores[follow as usize - items.start] += count * value;
                }
            }
        }
    }

    fn visit(&mut self, user: usize, above: f32, without: &[u32], take: &mut dyn FnMut(u32, f32) -> f32) -> bool {
        let (history, counts) = &self.histories[user];
        let scores = self.sums.get_or_insert_with(|| SparseScores::borrow(self.weights.n_cols));
        scores.visit(self.weights, history, counts, above, without, take);
        true
    }
}

/// The weight of `item` for each candidate (ascending); zero where there is none.
pub(super) fn similarities(weights: &Csr, item: ItemIdx, candidates: &[u32], out: &mut [f32]) {
    let row = weights.row(item.at());
    let mut at = 0;
    for (&candidate, out) in candidates.iter().zip(out) {
        at += row.items[at..].partition_point(|&other| other < candidate);
        *out = if row.items.get(at) == Some(&candidate) { row.weights[at] } else { 0.0 };
    }
}

/// Keeps the `most` largest by the first of a pair, ties by item; the order of what is kept is free.
pub(super) fn keep_largest(found: &mut Vec<(f32, u32)>, most: usize) {
    if found.len() > most {
        found.select_nth_unstable_by(most, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        found.truncate(most);
    }
}
