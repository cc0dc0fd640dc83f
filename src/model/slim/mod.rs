//! `slim`: sparse linear weights of items for items.
//!
//! In: the interactions matrix. Out: [`Slim`], a few weights for each item.
//! Refuses: dense item by item matrices.

mod config;
mod descent;
mod gram;

pub use config::SlimConfig;

use rayon::prelude::*;

use self::{descent::Descent, gram::Gram};
use super::{
    Explanation, ItemSimilarity, Model, ModelError, TileShape, TrainEvent, UserBlock, cells,
    sparse_items::{self, SparseItems},
};
use crate::{
    ids::ItemIdx,
    interactions::{Csr, History},
};

/// Progress is told so many times.
const REPORTS: usize = 20;

/// Items that a thread takes at once.
const CHUNK_ITEMS: usize = 4;

/// The sparse linear item model: a user's score of item j is `sum over his items i of x_ui W_ij`.
///
/// Formula: column j of W minimises `|x_j - X w|^2 / 2 + regularization |w|^2 / 2 + l1_regularization |w|_1` with `w_j = 0`
/// (and `w >= 0` where `non_negative`), over the `candidates` items with the largest `G_kj^2 / (G_kk + regularization)` above zero,
/// `G = X^T X`; X is what cells count. Of each column the `neighbours` largest weights are kept, ties by item. `ease` is
/// the same without the last term, candidates and signs.
///
/// Determinism: a column is solved on one thread, from zero, in a fixed order.
/// Cost: G takes one multiply-add for each pair of cells of each user and 8 bytes a pair of items; a column a gathered
/// row of G for each weight that leaves zero, and `candidates` multiply-adds for each change of one.
/// Source: Ning, Karypis 2011 (SLIM) and 2012 (fsSLIM, the choice of candidates); coordinate descent on the Gramian:
/// Friedman, Hastie, Tibshirani 2010, section 2.2.
#[derive(Debug, Clone)]
pub struct Slim {
    config: SlimConfig,
    weights: Csr,
}

impl Slim {
    /// Trains on the rows whose `trains` flag is set.
    ///
    /// # Errors
    /// When a setting is out of range, a weight is not finite and above zero, the memory is beyond the budget, times
    /// are asked for and not there, or the weights left the range of f32.
    pub fn train(
        config: SlimConfig,
        weights: &Csr,
        trains: &[bool],
        on: &mut dyn FnMut(TrainEvent),
    ) -> Result<Self, ModelError> {
        config.check("model.slim").map_err(ModelError::Config)?;
        cells::check(weights, trains)?;
        config.recency().check_times("model.slim", weights)?;
        let gram = {
            let users = cells::training_rows(weights, trains, config.weights);
            Gram::of(&config, &users)?
        };
        let n_items = gram.diagonal.len();
        let bytes = 8 * gram.rows.n_cells() as u64;
        tracing::info!(n_items, pairs = gram.rows.n_cells(), bytes, "slim: pairs of items in memory");
        let mut columns = Csr { indptr: vec![0], n_cols: n_items, ..Csr::default() };
        let step = n_items.div_ceil(REPORTS).next_multiple_of(CHUNK_ITEMS).max(CHUNK_ITEMS);
        let iterations = n_items.div_ceil(step);
        for iteration in 1..=iterations {
            let range = (iteration - 1) * step..n_items.min(iteration * step);
            let solved: Vec<Vec<(u32, f32)>> = range
                .into_par_iter()
                .with_max_len(CHUNK_ITEMS)
                .map_init(|| Descent::new(&config, &gram), |descent, item| descent.solve(item))
                .collect();
            for column in solved {
                columns.indices.extend(column.iter().map(|cell| cell.0));
                columns.values.extend(column.iter().map(|cell| cell.1));
                columns.indptr.push(columns.indices.len());
            }
            on(TrainEvent::Iteration { iteration, iterations, loss: None });
        }
        Self::from_parts(config, columns.transpose())
    }

    /// A model from weights that were found before: row i holds what item i leads to.
    ///
    /// # Errors
    /// When the matrix is not square or a weight is not finite.
    pub fn from_parts(config: SlimConfig, weights: Csr) -> Result<Self, ModelError> {
        config.check("model.slim").map_err(ModelError::Config)?;
        sparse_items::check_square(&weights)?;
        Ok(Self { config, weights })
    }

    /// The settings it was trained with.
    #[must_use]
    pub fn config(&self) -> &SlimConfig {
        &self.config
    }

    /// Row i holds what item i leads to: with the config all that [`from_parts`](Self::from_parts) needs.
    #[must_use]
    pub fn neighbours(&self) -> &Csr {
        &self.weights
    }

    fn sparse(&self) -> SparseItems<'_> {
        SparseItems { weights: &self.weights, count: self.config.weights, recency: self.config.recency() }
    }
}

impl Model for Slim {
    fn n_items(&self) -> usize {
        self.weights.n_cols
    }

    fn tile(&self) -> TileShape {
        TileShape { n_users: 8, n_items: usize::MAX }
    }

    fn prepare<'a>(&'a self, histories: &[History<'a>]) -> Box<dyn UserBlock + 'a> {
        self.sparse().block(histories)
    }

    fn similarity(&self) -> Option<&dyn ItemSimilarity> {
        Some(self)
    }

    fn explain(&self, history: History<'_>, item: ItemIdx) -> Explanation {
        self.sparse().explain(history, item)
    }
}

/// The weight of the item for each candidate; zero where there is none.
impl ItemSimilarity for Slim {
    fn similarities(&self, item: ItemIdx, candidates: &[u32], out: &mut [f32]) {
        sparse_items::similarities(&self.weights, item, candidates, out);
    }
}

#[cfg(test)]
mod tests;
