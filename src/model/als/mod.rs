//! `als`: implicit alternating least squares.
//!
//! In: the interactions matrix. Out: [`Als`], item factors against which every user is folded in.
//! Refuses: to keep user factors; a user's factors come from his history and the final item factors, everywhere.

mod axes;
mod block;
mod config;
mod conjugate;
mod exact;
mod fixed;
mod half_step;
mod long_row;
mod objective;
mod sample;
mod train;

use ndarray::Array2;

pub use config::{AlsConfig, Solver, Weighting};
pub use objective::objective;
pub(super) use sample::training_sample;
pub use sample::{MatrixSize, TrainingSample};

use self::{
    axes::Axes,
    block::AlsBlock,
    exact::Exact,
    fixed::{Cells, Fixed, Terms},
};
use super::{Explanation, ItemSimilarity, Model, ModelError, PackedItems, TileShape, TrainEvent, UserBlock};
use crate::{
    ids::ItemIdx,
    interactions::{Csr, History},
    linalg::{Isa, Simd, Task, dot, padded},
};

/// A model of item factors: a user's score of an item is the dot product of their factors.
///
/// Formula: with s_ui the score and w_ui what the cell counts ([`CellWeight`](super::CellWeight)), training minimises
///
/// - `observed`: `sum over cells of w_ui (1 - s_ui)^2 + unobserved_weight * sum over all pairs of s_ui^2
///   + sum over rows of both sides of lambda_r |factors_r|^2`, where
///   `lambda_r = regularization * (cells of r + unobserved_weight * rows of the other side)^regularization_exponent`;
/// - `confidence`: `sum over all pairs of c_ui (p_ui - s_ui)^2 + regularization * sum over rows of |factors_r|^2`, where
///   `c_ui = 1 + alpha w_ui` and `p_ui = 1` on cells, `c_ui = 1` and `p_ui = 0` elsewhere.
///
/// Determinism: the same bits for any number of threads and any instruction set.
/// Cost: a half-step with conjugate gradients reads a cell's factors from memory once and `cg_steps + 1` times from
/// cache; 8 bytes a cell for the transposed matrix, 4 bytes a factor for both sides. The finished model holds its
/// item factors three times, as given, rotated, and packed for scoring, and for up to 256 factors a byte each for screening.
/// Source: Hu, Koren, Volinsky 2008; Takács, Pilászy, Tikk 2011 (conjugate gradients); Rendle, Krichene, Zhang, Koren
/// 2021 (`observed`).
#[derive(Debug, Clone)]
pub struct Als {
    config: AlsConfig,
    /// n_items x n_factors, as trained or loaded.
    item_factors: Array2<f32>,
    /// The same in their principal axes.
    packed: PackedItems,
    spectrum: Vec<f32>,
    isa: Isa,
}

impl Als {
    /// Trains on the rows whose `trains` flag is set.
    ///
    /// # Errors
    /// When a setting is out of range, a weight is not finite and above zero, or training diverges.
    pub fn train(
        config: AlsConfig,
        weights: &Csr,
        trains: &[bool],
        on: &mut dyn FnMut(TrainEvent),
    ) -> Result<Self, ModelError> {
        train::train(Isa::best(), config, weights, trains, on)
    }

    /// A model from factors that were trained before.
    ///
    /// Shapes: `item_factors` is n_items x n_factors.
    ///
    /// # Errors
    /// When the number of factors is not the config's or a factor is not finite.
    pub fn from_parts(config: AlsConfig, item_factors: Array2<f32>) -> Result<Self, ModelError> {
        config.check("als").map_err(ModelError::Config)?;
        Self::prepared(Isa::best(), config, item_factors)
    }

    fn prepared(isa: Isa, config: AlsConfig, item_factors: Array2<f32>) -> Result<Self, ModelError> {
        let n_factors = config.n_factors;
        if item_factors.ncols() != n_factors {
            return Err(ModelError::Shape {
                what: "factors of an item",
                expected: n_factors,
                found: item_factors.ncols(),
            });
        }
        let width = padded(n_factors);
        let mut rotated = vec![0f32; item_factors.nrows() * width];
        for (item, (place, factors)) in rotated.chunks_exact_mut(width).zip(item_factors.rows()).enumerate() {
            for (place, &factor) in place.iter_mut().zip(factors) {
                *place = factor;
            }
            if place.iter().any(|factor| !factor.is_finite()) {
                return Err(ModelError::NotFinite { what: "a factor", item });
            }
        }
        let axes = Axes::of(isa, &rotated, n_factors, width, Terms::of(&config).all_pairs)
            .map_err(|source| ModelError::Axes { iteration: 0, source })?;
        axes.rotate(isa, &mut rotated);
        Ok(Self { config, item_factors, packed: PackedItems::pack(rotated, width), spectrum: axes.spectrum, isa })
    }

    /// The settings it was trained with.
    #[must_use]
    pub fn config(&self) -> &AlsConfig {
        &self.config
    }

    /// Item factors, n_items x n_factors: with the config all that [`from_parts`](Self::from_parts) needs.
    #[must_use]
    pub fn item_factors(&self) -> &Array2<f32> {
        &self.item_factors
    }

    fn fixed(&self) -> Fixed<'_> {
        Fixed { rows: &self.packed.rows, spectrum: &self.spectrum, terms: Terms::of(&self.config) }
    }

    /// An item's factors in the principal axes, padded.
    fn axes_of(&self, item: usize) -> &[f32] {
        let width = self.spectrum.len();
        &self.packed.rows[item * width..(item + 1) * width]
    }
}

impl Model for Als {
    fn n_items(&self) -> usize {
        self.item_factors.nrows()
    }

    fn tile(&self) -> TileShape {
        // 96 users are 16 groups; their scores of 1,024 items take 384 KB and stay in the second cache.
        TileShape { n_users: 96, n_items: 1024 }
    }

    fn prepare<'a>(&'a self, histories: &[History<'a>]) -> Box<dyn UserBlock + 'a> {
        Box::new(AlsBlock::new(self, histories))
    }

    fn pack(&self, items: &[u32]) -> Option<PackedItems> {
        let rows = items.iter().flat_map(|&item| self.axes_of(item as usize)).copied().collect();
        Some(PackedItems::pack(rows, self.spectrum.len()))
    }

    fn similarity(&self) -> Option<&dyn ItemSimilarity> {
        Some(self)
    }

    /// Formula: with A the history's system matrix, `score = sum over its items j of pull_j y_i^T A^-1 y_j`.
    ///
    /// Source: Hu, Koren, Volinsky 2008, section 5.
    fn explain(&self, history: History<'_>, item: ItemIdx) -> Explanation {
        let mut score = [0f32];
        AlsBlock::new(self, &[history]).score(item.at()..item.at() + 1, &mut score);
        let counts: Vec<f32> = history.weights.iter().map(|&weight| self.config.weights.of(weight)).collect();
        let cells = History { weights: &counts, ..history };
        let mut contributions = self.isa.run(Explain { model: self, cells, item: item.at() });
        contributions.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Explanation { score: score[0], base: 0.0, contributions }
    }
}

struct Explain<'a> {
    model: &'a Als,
    cells: History<'a>,
    item: usize,
}

impl Task for Explain<'_> {
    type Output = Vec<(ItemIdx, f32)>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let Self { model, cells, item } = self;
        let fixed = model.fixed();
        let mut exact = Exact::default();
        exact.prepare(&fixed, cells.items.len());
        exact.equations(simd, &fixed, Cells::alone(cells));
        let mut explained = vec![0f32; fixed.width()];
        exact.invert(simd, model.axes_of(item), &mut explained);
        let mut contributions = Vec::with_capacity(cells.items.len());
        for (&cause, &cell) in cells.items.iter().zip(cells.weights) {
            let part = fixed.terms.pull(cell) * dot(simd, &explained, model.axes_of(cause as usize));
            contributions.push((ItemIdx(cause), part));
        }
        contributions
    }
}

/// Cosine of item factors; zero where an item has none.
impl ItemSimilarity for Als {
    fn similarities(&self, item: ItemIdx, candidates: &[u32], out: &mut [f32]) {
        self.isa.run(Cosines { model: self, item: item.at(), candidates, out });
    }
}

struct Cosines<'a> {
    model: &'a Als,
    item: usize,
    candidates: &'a [u32],
    out: &'a mut [f32],
}

impl Task for Cosines<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let item = self.model.axes_of(self.item);
        let square = dot(simd, item, item);
        for (&candidate, out) in self.candidates.iter().zip(self.out) {
            let other = self.model.axes_of(candidate as usize);
            let squares = square.sqrt() * dot(simd, other, other).sqrt();
            *out = if squares > 0.0 { dot(simd, item, other) / squares } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests;
