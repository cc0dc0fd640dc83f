//! `item_item`: items that the same users choose.
//!
//! In: the interactions matrix. Out: [`ItemItem`], the nearest neighbours of every item.
//! Refuses: dense item by item matrices; only each item's neighbours are kept.

mod build;
mod config;
mod measure;

use std::ops::Range;

pub use config::{ItemItemConfig, SimilarityKind};

use super::{Explanation, ItemSimilarity, Model, ModelError, TileShape, TrainEvent, UserBlock, cells};
use crate::{
    ids::ItemIdx,
    interactions::{Csr, History},
};

/// A model of item neighbourhoods: a user's score of item j is `sum over his items i of w_ui * s_ij`.
///
/// Formula: with w_ui what a cell counts ([`CellWeight`](super::CellWeight)), n_i the users of item i and |i| the norm of
/// its column, `s_ij` is
///
/// - `rp3beta`: `sum over u of (1 / n_i)^alpha * (w_uj / sum over items of w_u)^alpha / n_j^beta` (Paudel et al. 2016);
/// - `cosine`: `sum over u of w_ui w_uj / (|i| |j|)`;
/// - `asymmetric_cosine`: `sum over u of w_ui w_uj / (|i|^(2 asymmetry) |j|^(2 - 2 asymmetry))` (Aiolli 2013);
/// - `jaccard`: `n_ij / (n_i + n_j - n_ij)`, n_ij being the users who have both;
/// - `bm25`: `sum over u of v_ui v_uj` with `v_ui = w_ui (k1 + 1) / (k1 (1 - b + b W_i / mean W) + w_ui) * idf_u`, W_i being
///   the item's total weight and `idf_u = ln(users) - ln(1 + items of u)`;
/// - `tfidf`: cosine of `sqrt(w_ui) idf_u`;
///
/// each times `n_ij / (n_ij + shrinkage)`. Of each item the `neighbours` largest are kept, ties by item. With
/// `normalise` the rows are then scaled to sum to one, and of what leads to each item the `neighbours` largest are kept.
///
/// Determinism: every sum runs over ascending users or items; the same bits for any number of threads.
/// Cost: training one multiply-add for each pair of cells of each user; a score one for each neighbour of each item of
/// the history.
#[derive(Debug, Clone)]
pub struct ItemItem {
    config: ItemItemConfig,
    similarity: Csr,
}

impl ItemItem {
    /// Trains on the rows whose `trains` flag is set.
    ///
    /// # Errors
    /// When a setting is out of range or a weight is not finite and above zero.
    pub fn train(
        config: ItemItemConfig,
        weights: &Csr,
        trains: &[bool],
        on: &mut dyn FnMut(TrainEvent),
    ) -> Result<Self, ModelError> {
        config.check("item_item").map_err(ModelError::Config)?;
        cells::check(weights, trains)?;
        let users = cells::training_rows(weights, trains, config.weights);
        let similarity = build::build(&config, &users, on);
        Self::from_parts(config, similarity)
    }

    /// A model from neighbours that were found before.
    ///
    /// Shapes: `similarity` is n_items x n_items; row i holds what item i leads to.
    ///
    /// # Errors
    /// When the matrix is not square or a similarity is not finite.
    pub fn from_parts(config: ItemItemConfig, similarity: Csr) -> Result<Self, ModelError> {
        config.check("item_item").map_err(ModelError::Config)?;
        if similarity.n_rows() != similarity.n_cols {
            let (expected, found) = (similarity.n_cols, similarity.n_rows());
            return Err(ModelError::Shape { what: "rows of the neighbours", expected, found });
        }
        if similarity.values.len() != similarity.n_cells() {
            let (expected, found) = (similarity.n_cells(), similarity.values.len());
            return Err(ModelError::Shape { what: "similarities of the neighbours", expected, found });
        }
        if let Some(at) = similarity.values.iter().position(|value| !value.is_finite()) {
            let item = similarity.indptr.partition_point(|&start| start <= at) - 1;
            return Err(ModelError::NotFinite { what: "a similarity", item });
        }
        Ok(Self { config, similarity })
    }

    /// The settings it was trained with.
    #[must_use]
    pub fn config(&self) -> &ItemItemConfig {
        &self.config
    }

    /// Row i holds what item i leads to: with the config all that [`from_parts`](Self::from_parts) needs.
    #[must_use]
    pub fn neighbours(&self) -> &Csr {
        &self.similarity
    }

    /// The similarity of `lead` to `follow`; zero where it was not kept.
    fn between(&self, lead: u32, follow: u32) -> f32 {
        let row = self.similarity.row(lead as usize);
        row.items.binary_search(&follow).map_or(0.0, |at| row.weights[at])
    }
}

impl Model for ItemItem {
    fn n_items(&self) -> usize {
        self.similarity.n_cols
    }

    fn tile(&self) -> TileShape {
        TileShape { n_users: 8, n_items: usize::MAX }
    }

    fn prepare<'a>(&'a self, histories: &[History<'a>]) -> Box<dyn UserBlock + 'a> {
        Box::new(ItemItemBlock { model: self, histories: histories.to_vec() })
    }

    fn similarity(&self) -> Option<&dyn ItemSimilarity> {
        Some(self)
    }

    fn explain(&self, history: History<'_>, item: ItemIdx) -> Explanation {
        let mut score = 0f32;
        let mut contributions = Vec::new();
        for (&lead, &weight) in history.items.iter().zip(history.weights) {
            let similarity = self.between(lead, item.0);
            if similarity != 0.0 {
                let part = self.config.weights.of(weight) * similarity;
                score += part;
                contributions.push((ItemIdx(lead), part));
            }
        }
        contributions.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Explanation { score, base: 0.0, contributions }
    }
}

struct ItemItemBlock<'a> {
    model: &'a ItemItem,
    histories: Vec<History<'a>>,
}

impl UserBlock for ItemItemBlock<'_> {
    fn n_users(&self) -> usize {
        self.histories.len()
    }

    fn score(&mut self, items: Range<usize>, scores: &mut [f32]) {
        let similarity = &self.model.similarity;
        let whole = items.start == 0 && items.end >= similarity.n_cols;
        let count = self.model.config.weights;
        for (history, scores) in self.histories.iter().zip(scores.chunks_exact_mut(items.len().max(1))) {
            scores.fill(0.0);
            for (&lead, &weight) in history.items.iter().zip(history.weights) {
                let weight = count.of(weight);
                let row = similarity.row(lead as usize);
                let (first, last) = if whole {
                    (0, row.items.len())
                } else {
                    let before = |end: usize| row.items.partition_point(|&follow| (follow as usize) < end);
                    (before(items.start), before(items.end))
                };
                for (&follow, &value) in row.items[first..last].iter().zip(&row.weights[first..last]) {
                    scores[follow as usize - items.start] += weight * value;
                }
            }
        }
    }
}

/// The kept similarity of the item to each candidate; zero where none was kept.
impl ItemSimilarity for ItemItem {
    fn similarities(&self, item: ItemIdx, candidates: &[u32], out: &mut [f32]) {
        let row = self.similarity.row(item.at());
        let mut at = 0;
        for (&candidate, out) in candidates.iter().zip(out) {
            at += row.items[at..].partition_point(|&other| other < candidate);
            *out = if row.items.get(at) == Some(&candidate) { row.weights[at] } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests;
