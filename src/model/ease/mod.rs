//! `ease`: what every item says of every other one, in closed form.
//!
//! In: the interactions matrix. Out: [`Ease`], a dense item by item matrix.
//! Refuses: catalogues whose matrix is beyond the memory budget.

mod config;

use std::{borrow::Cow, ops::Range};

pub use config::EaseConfig;

use super::{Explanation, ItemSimilarity, Model, ModelError, TileShape, TrainEvent, UserBlock, cells};
use crate::{
    ids::ItemIdx,
    interactions::{Csr, History},
    linalg::{Blocks, Isa, Simd, Task},
};

/// Memory that training for `n_items` items takes at its peak, and, less the panels, the finished model.
#[must_use]
pub fn memory_bytes(n_items: usize) -> u64 {
    // A thread adds up one row of the Gramian at a time.
    let rows = 12 * n_items as u64 * rayon::current_num_threads() as u64;
    Blocks::bytes(n_items) + Blocks::invert_bytes(n_items).max(rows)
}

/// The linear item model without hidden units: a user's score of item j is `sum over his items i of x_ui B_ij`.
///
/// Formula: `B = I - P diag(1 / diag P)` with `P = (X^T X + diag(lambda))^-1`, that is `B_ij = -P_ij / P_jj` and
/// `B_jj = 0`: the matrix that minimises `|X - X B|^2 + sum over i, j of lambda_i B_ij^2` among those with a diagonal of
/// zeros. X is what cells count, `lambda_i = regularization * (users of i)^regularization_exponent`.
///
/// Determinism: the Gramian sums ascending users in f64, the inverse chains of f32 in a fixed order; the same bits for
/// any number of threads and any instruction set.
/// Cost: with n items n^3 flops and 4 n^2 bytes ([`memory_bytes`]), before that one addition for each pair of cells of
/// each user; a score one multiply-add for each item of the history.
/// Source: Steck 2019, "Embarrassingly shallow autoencoders for sparse data", equation 8.
#[derive(Debug, Clone)]
pub struct Ease {
    config: EaseConfig,
    weights: Blocks,
    isa: Isa,
}

impl Ease {
    /// Trains on the rows whose `trains` flag is set.
    ///
    /// # Errors
    /// When a setting is out of range, a weight is not finite and above zero, the memory is beyond the budget, times
    /// are asked for and not there, or the regularization is too small for f32.
    pub fn train(
        config: EaseConfig,
        weights: &Csr,
        trains: &[bool],
        on: &mut dyn FnMut(TrainEvent),
    ) -> Result<Self, ModelError> {
        config.check("model.ease").map_err(ModelError::Config)?;
        cells::check(weights, trains)?;
        config.recency().check_times("model.ease", weights)?;
        let n_items = weights.n_cols;
        let (needed, budget) = (memory_bytes(n_items), config.memory_budget_mib << 20);
        tracing::info!(n_items, needed, budget, "ease: bytes of memory needed, and allowed");
        if needed > budget {
            return Err(ModelError::Memory {
                what: format!("ease for {n_items} items"),
                needed_mib: needed.div_ceil(1 << 20),
                key: "model.ease.memory_budget_mib",
                budget_mib: config.memory_budget_mib,
                instead: "or train model.kind = \"slim\", which keeps the largest weights only",
            });
        }
        let users = cells::training_rows(weights, trains, config.weights);
        let items = users.transpose();
        let ridge: Vec<f64> = (0..n_items)
            .map(|item| {
                let n_users = items.columns(item).len().max(1) as f64;
                f64::from(config.regularization) * n_users.powf(f64::from(config.regularization_exponent))
            })
            .collect();
        let mut matrix = gramian(&users, &items, &ridge);
        drop((users, items));
        on(TrainEvent::Iteration { iteration: 1, iterations: 3, loss: None });

        let isa = Isa::best();
        let least = ridge.iter().copied().fold(f64::INFINITY, f64::min) / 2.0;
        matrix
            .invert(isa, least)
            .map_err(|source| ModelError::Rounding { key: "model.ease.regularization", source })?;
        on(TrainEvent::Iteration { iteration: 2, iterations: 3, loss: None });

        let diagonal = matrix.diagonal();
        matrix.mirror();
        matrix.map(|row, column, value| if row == column { 0.0 } else { -value / diagonal[column] });
        on(TrainEvent::Iteration { iteration: 3, iterations: 3, loss: None });
        Self::from_parts(config, matrix)
    }

    /// A model from weights that were found before: row i holds what item i says of the others.
    ///
    /// # Errors
    /// When a weight is not finite.
    pub fn from_parts(config: EaseConfig, weights: Blocks) -> Result<Self, ModelError> {
        config.check("model.ease").map_err(ModelError::Config)?;
        if let Some(item) = weights.find_row(|value| !value.is_finite()) {
            return Err(ModelError::NotFinite { what: "a weight", item });
        }
        Ok(Self { config, weights, isa: Isa::best() })
    }

    /// The settings it was trained with.
    #[must_use]
    pub fn config(&self) -> &EaseConfig {
        &self.config
    }

    /// B: with the config all that [`from_parts`](Self::from_parts) needs.
    #[must_use]
    pub fn weights(&self) -> &Blocks {
        &self.weights
    }
}

/// The lower triangle of `X^T X` plus the diagonal `ridge`.
fn gramian(users: &Csr, items: &Csr, ridge: &[f64]) -> Blocks {
    let n_items = users.n_cols;
    let mut matrix = Blocks::zeros(n_items);
    matrix.fill_lower(
        || vec![0f64; n_items],
        |sums, item, out| {
            let own = items.row(item);
            for (&user, &weight) in own.items.iter().zip(own.weights) {
                let row = users.row(user as usize);
                let until = row.items.partition_point(|&other| other as usize <= item);
                for (&other, &value) in row.items[..until].iter().zip(&row.weights[..until]) {
                    sums[other as usize] += f64::from(weight) * f64::from(value);
                }
            }
            sums[item] += ridge[item];
            for (out, sum) in out.iter_mut().zip(sums.iter_mut()) {
                *out = std::mem::take(sum) as f32;
            }
        },
    );
    matrix
}

impl Model for Ease {
    fn n_items(&self) -> usize {
        self.weights.n()
    }

    fn tile(&self) -> TileShape {
        // One column of blocks: 1.5 KB of a row at a time, and the rows of popular items stay in the cache from user to
        // user.
        TileShape { n_users: 64, n_items: self.weights.side().max(1) }
    }

    fn prepare<'a>(&'a self, histories: &[History<'a>]) -> Box<dyn UserBlock + 'a> {
        let recency = self.config.recency();
        let histories =
            histories.iter().map(|&history| (history.items, recency.counts(self.config.weights, history))).collect();
        Box::new(EaseBlock { model: self, histories })
    }

    fn similarity(&self) -> Option<&dyn ItemSimilarity> {
        Some(self)
    }

    fn explain(&self, history: History<'_>, item: ItemIdx) -> Explanation {
        let counts = self.config.recency().counts(self.config.weights, history);
        let mut score = 0f32;
        let mut contributions = Vec::with_capacity(history.items.len());
        for (&lead, &count) in history.items.iter().zip(counts.iter()) {
            let part = count * self.weights.at(lead as usize, item.at());
            score += part;
            if part != 0.0 {
                contributions.push((ItemIdx(lead), part));
            }
        }
        contributions.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Explanation { score, base: 0.0, contributions }
    }
}

struct EaseBlock<'a> {
    model: &'a Ease,
    /// Items and what they count, by user.
    histories: Vec<(&'a [u32], Cow<'a, [f32]>)>,
}

impl UserBlock for EaseBlock<'_> {
    fn n_users(&self) -> usize {
        self.histories.len()
    }

    fn score(&mut self, items: Range<usize>, scores: &mut [f32]) {
        let rows = scores.chunks_exact_mut(items.len().max(1));
        for ((history, counts), scores) in self.histories.iter().zip(rows) {
            self.model.isa.run(AddRows { weights: &self.model.weights, history, counts, items: items.clone(), scores });
        }
    }
}

/// `scores = sum over the history of count * row`, ascending.
struct AddRows<'a> {
    weights: &'a Blocks,
    history: &'a [u32],
    counts: &'a [f32],
    items: Range<usize>,
    scores: &'a mut [f32],
}

impl Task for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let Self { weights, history, counts, items, scores } = self;
        scores.fill(0.0);
        let mut start = items.start;
        while start < items.end {
            // The longest part that is contiguous in every row.
            let end = items.end.min((start / weights.side() + 1) * weights.side());
            let out = &mut scores[start - items.start..end - items.start];
            for at in 0..history.len() {
                let row = weights.pieces(history[at] as usize, start..end);
                let (count, row) = (counts[at], &row[..out.len()]);
                for k in 0..out.len() {
                    out[k] += count * row[k];
                }
            }
            start = end;
        }
    }
}

/// The weight of the item for each candidate: what having the item adds to the candidate's score.
impl ItemSimilarity for Ease {
    fn similarities(&self, item: ItemIdx, candidates: &[u32], out: &mut [f32]) {
        for (&candidate, out) in candidates.iter().zip(out) {
            *out = self.weights.at(item.at(), candidate as usize);
        }
    }
}

#[cfg(test)]
mod tests;
