//! Models: from interactions to scores.
//!
//! In: the interactions matrix. Out: a [`Model`] that scores items for any history, known or unseen.
//! Refuses: rules, ids, files; a model knows numbers only.

mod als;
mod blend;
mod cells;
mod ease;
mod error;
mod graph;
mod item_item;
mod packed;
mod popularity;
mod prefetch;
mod recency;
mod repeat;
mod slim;
mod sparse_items;
mod sparse_scores;
mod trained;

use std::ops::Range;

pub use als::{Als, AlsConfig, MatrixSize, Solver, TrainingSample, Weighting, objective};
pub use blend::{Blend, BlendConfig, BlendPart};
pub use cells::CellWeight;
pub use ease::{Ease, EaseConfig, memory_bytes as ease_memory_bytes};
pub use error::ModelError;
pub use graph::{Graph, GraphConfig, GraphFilter};
pub use item_item::{GrowingRows, ItemItem, ItemItemConfig, ItemItemFacts, ItemItemMeasure, SimilarityKind};
pub use packed::PackedItems;
pub use popularity::{Popularity, PopularityConfig};
pub use repeat::{Repeat, RepeatConfig};
pub use slim::{Slim, SlimConfig};
pub use trained::{ModelConfig, ModelKind, TrainedModel, train, training_users};

use crate::{ids::ItemIdx, interactions::History};

/// A trained model: it scores every item for a user given by a history.
///
/// Every user is scored through his history (folded in), whether he was in the training data or not, so a build, a
/// partition on Spark and a question on the command line give the same numbers.
pub trait Model: Send + Sync {
    /// Number of items it knows; scores are indexed by `ItemIdx`.
    fn n_items(&self) -> usize;

    /// The tile that it scores fastest: so many users times so many items at once.
    fn tile(&self) -> TileShape;

    /// Prepares scoring for a block of users, e.g. solves their factors.
    ///
    /// A user with an empty history gets a row of zeros from factor and neighbour models: the caller sends him to the fallbacks.
    fn prepare<'a>(&'a self, histories: &[History<'a>]) -> Box<dyn UserBlock + 'a>;

    /// Some items (ascending `ItemIdx` numbers) packed for [`UserBlock::search_among`], where the model can score them without
    /// looking at the others.
    fn pack(&self, _items: &[u32]) -> Option<PackedItems> {
        None
    }

    /// Similarities of items to items, where the model has its own notion of them.
    fn similarity(&self) -> Option<&dyn ItemSimilarity>;

    /// Which of the history's items lead to `item`, and by how much; contributions and `base` add up to the score.
    fn explain(&self, history: History<'_>, item: ItemIdx) -> Explanation;
}

/// A block of prepared users.
pub trait UserBlock {
    /// Number of users in the block.
    fn n_users(&self) -> usize;

    /// Writes the scores of items `items` for every user of the block.
    ///
    /// Shapes: `scores` is row-major, n_users x `items.len()`.
    /// Determinism: a score does not depend on the tile it was computed in.
    fn score(&mut self, items: Range<usize>, scores: &mut [f32]);

    /// Tells `take` of the items whose score for `user` is neither zero nor at or below a bound: each once, in any order,
    /// the scores as [`score`](Self::score) gives them, NaN too. The bound is `above` at first, then what `take` returned
    /// last; items of `without` (ascending) are left out.
    ///
    /// For models with few scores other than zero: whoever has no use for zeros need not look at every item.
    /// Returns whether the model can do this; if not, `take` was not called.
    fn visit(&mut self, _user: usize, _above: f32, _without: &[u32], _take: &mut dyn FnMut(u32, f32) -> f32) -> bool {
        false
    }

    /// Tells `take` of every item whose score for a user is above that user's bound: `bounds` at first, then what `take`
    /// returned last. `take` gets user, item and the score as [`score`](Self::score) gives it; items in any order, each
    /// once, possibly some that are not above the bound.
    ///
    /// For models that can prove most items to be below a bound without computing their scores.
    /// Returns whether the model can do this; if not, `take` was not called.
    fn search(&mut self, _bounds: &mut [f32], _take: &mut dyn FnMut(usize, u32, f32) -> f32) -> bool {
        false
    }

    /// As [`search`](Self::search), but among items that [`Model::pack`] packed: `take` gets their places. A bound of
    /// `f32::MAX` leaves a user out.
    ///
    /// Returns whether the model can do this; if not, `take` was not called.
    fn search_among(
        &mut self,
        _items: &PackedItems,
        _bounds: &mut [f32],
        _take: &mut dyn FnMut(usize, u32, f32) -> f32,
    ) -> bool {
        false
    }
}

/// How many users and items a model likes to score at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileShape {
    /// Users in a block.
    pub n_users: usize,
    /// Items in a tile; `usize::MAX` for all of them.
    pub n_items: usize,
}

/// Item-to-item similarity in a model's own terms (cosine of factors, neighbour weights).
pub trait ItemSimilarity: Send + Sync {
    /// Writes the similarity of `item` to each of `candidates` (ascending `ItemIdx` numbers) into `out`.
    fn similarities(&self, item: ItemIdx, candidates: &[u32], out: &mut [f32]);
}

/// Why a score is what it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Explanation {
    /// The score, as the model gives it.
    pub score: f32,
    /// The part that no action of the user accounts for (popularity).
    pub base: f32,
    /// The history's items with their parts, largest first; ties by item.
    pub contributions: Vec<(ItemIdx, f32)>,
}

/// What training tells while it runs. Models read no clock: whoever listens takes the time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TrainEvent {
    /// One iteration is done.
    Iteration {
        /// From 1.
        iteration: usize,
        /// Of how many.
        iterations: usize,
        /// The objective after it, where the model has one and computes it.
        loss: Option<f64>,
    },
}
