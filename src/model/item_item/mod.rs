//! `item_item`: items that the same users choose.
//!
//! In: the interactions matrix. Out: [`ItemItem`], the nearest neighbours of every item.
//! Refuses: dense item by item matrices; only each item's neighbours are kept.

mod blocks;
mod build;
mod config;
mod facts;
mod gather;
mod largest;
mod measure;
mod normalise;
mod rows;
mod sequence;
mod spread;
mod sums;

use std::ops::Range;

pub use blocks::{GrowingRows, ItemItemFacts, ItemItemMeasure};
pub use config::{ItemItemConfig, SimilarityKind};

use super::{
    Explanation, ItemSimilarity, Model, ModelError, TileShape, TrainEvent, UserBlock, cells,
    sparse_items::{self, SparseItems},
};
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
/// each times `n_ij / (n_ij + shrinkage)`. With a `sequence_weight` the products of users to whom j came after i, at most
/// `sequence_window` items later, count `1 + sequence_weight` times: what follows weighs more than what leads. Of each item the `neighbours` largest are kept, ties by item. With
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
        let rows = Self::train_rows(&config, weights, trains, 0..weights.n_cols, on)?;
        Self::from_rows(config, rows)
    }

    /// The rows of some of the items. An item's row needs all users and no other item's row, so they may be made apart.
    ///
    /// Returns: `items.len()` rows for [`from_rows`](Self::from_rows), which wants those of all items, in their order.
    ///
    /// # Errors
    /// As [`train`](Self::train).
    pub fn train_rows(
        config: &ItemItemConfig,
        weights: &Csr,
        trains: &[bool],
        items: Range<usize>,
        on: &mut dyn FnMut(TrainEvent),
    ) -> Result<Csr, ModelError> {
        config.check("model.item_item").map_err(ModelError::Config)?;
        cells::check(weights, trains)?;
        config.check_times(weights)?;
        let users = cells::training_rows(weights, trains, config.weights);
        let key = "model.item_item.training_half_life_days";
        let users = cells::decayed(users, config.training_half_life_days, key)?;
        Ok(build::rows(config, &users, items, on))
    }

    /// The model of the rows of all items; the same as [`train`](Self::train) makes.
    ///
    /// # Errors
    /// As [`from_parts`](Self::from_parts).
    pub fn from_rows(config: ItemItemConfig, rows: Csr) -> Result<Self, ModelError> {
        let similarity = build::finish(&config, rows);
        Self::from_parts(config, similarity)
    }

    /// A model from neighbours that were found before.
    ///
    /// Shapes: `similarity` is n_items x n_items; row i holds what item i leads to.
    ///
    /// # Errors
    /// When the matrix is not square or a similarity is not finite.
    pub fn from_parts(config: ItemItemConfig, similarity: Csr) -> Result<Self, ModelError> {
        config.check("model.item_item").map_err(ModelError::Config)?;
        sparse_items::check_square(&similarity)?;
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

    fn sparse(&self) -> SparseItems<'_> {
        SparseItems { weights: &self.similarity, count: self.config.weights, recency: self.config.recency() }
    }

    /// The similarity of `lead` to `follow`; zero where it was not kept.
    #[cfg(test)]
    fn between(&self, lead: u32, follow: u32) -> f32 {
        sparse_items::between(&self.similarity, lead, follow)
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
        self.sparse().block(histories)
    }

    fn similarity(&self) -> Option<&dyn ItemSimilarity> {
        Some(self)
    }

    fn explain(&self, history: History<'_>, item: ItemIdx) -> Explanation {
        self.sparse().explain(history, item)
    }
}

/// The kept similarity of the item to each candidate; zero where none was kept.
impl ItemSimilarity for ItemItem {
    fn similarities(&self, item: ItemIdx, candidates: &[u32], out: &mut [f32]) {
        sparse_items::similarities(&self.similarity, item, candidates, out);
    }
}

#[cfg(test)]
mod block_tests;
#[cfg(test)]
mod tests;
