//! The side that a half-step holds fixed, and the numbers of the loss.
//!
//! The fixed side is rotated to its principal axes, so that its Gramian is diagonal and the term of all pairs costs a
//! row f multiplications instead of f^2. The same diagonal preconditions conjugate gradients and scales the exact
//! systems. A rotation of both sides changes neither scores nor loss.

use super::config::{AlsConfig, Weighting};
use crate::{
    interactions::History,
    linalg::{Simd, copy, prefetch, room},
};

/// Cells ahead of the one being copied whose factors are asked for.
const PREFETCH_CELLS: usize = 24;

/// A block's factors take so many elements: 1 MB.
const BLOCK_ELEMENTS: usize = 1 << 18;

/// The numbers of the loss: which pull and weight a cell has, and how a row is regularized.
///
/// A row's part of the loss is `sum over its cells of (weight s^2 - 2 pull s + pull) + all_pairs * sum over the other
/// side of s^2 + regularization |x|^2`, s being the score.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Pull of a cell of weight zero.
    base: f32,
    /// Multiplies a cell's weight.
    scale: f32,
    /// Weight of the squared score of every pair.
    pub(super) all_pairs: f32,
    regularization: f64,
    exponent: f64,
}

impl Terms {
    pub(super) fn of(config: &AlsConfig) -> Self {
        let regularization = f64::from(config.regularization);
        match config.weighting {
            Weighting::Observed => Self {
                base: 0.0,
                scale: 1.0,
                all_pairs: config.unobserved_weight,
                regularization,
                exponent: f64::from(config.regularization_exponent),
            },
            Weighting::Confidence => {
                Self { base: 1.0, scale: config.alpha, all_pairs: 1.0, regularization, exponent: 0.0 }
            }
        }
    }

    /// What multiplies the squared score of a cell, beyond the term of all pairs.
    #[inline(always)]
    pub(super) fn weight(&self, cell: f32) -> f32 {
        self.scale * cell
    }

    /// What multiplies the score of a cell (twice, in the loss), and the loss of a score of zero.
    #[inline(always)]
    pub(super) fn pull(&self, cell: f32) -> f32 {
        self.scale * cell + self.base
    }

    /// The regularization of a row of `n_cells` against a side of `n_other` rows.
    pub(super) fn regularization(&self, n_cells: usize, n_other: usize) -> f32 {
        let count = n_cells as f64 + f64::from(self.all_pairs) * n_other as f64;
        // The usual exponents need no logarithm.
        let power = match self.exponent {
            0.0 => 1.0,
            1.0 => count,
            exponent => count.powf(exponent),
        };
        (self.regularization * power) as f32
    }
}

/// The side that a half-step holds fixed, in its principal axes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fixed<'a> {
    /// Row-major, rows of `width` elements, padded with zeros.
    pub(super) rows: &'a [f32],
    /// The diagonal of `all_pairs` times the Gramian of `rows`.
    pub(super) spectrum: &'a [f32],
    pub(super) terms: Terms,
}

/// One row's cells, and where to look ahead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cells<'a> {
    /// Rows of the fixed side, ascending.
    pub(super) items: &'a [u32],
    /// What the cells count, parallel.
    pub(super) weights: &'a [f32],
    /// Starts with `items` and goes on with the rows that will be needed next; for prefetching only.
    pub(super) coming: &'a [u32],
}

impl<'a> Cells<'a> {
    /// A row with nothing to come after it.
    pub(super) fn alone(history: History<'a>) -> Self {
        Self { items: history.items, weights: history.weights, coming: history.items }
    }

    /// Number of cells.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Cells `start..end`.
    #[inline(always)]
    pub(super) fn part(&self, start: usize, end: usize) -> Self {
        Self { items: &self.items[start..end], weights: &self.weights[start..end], coming: &self.coming[start..] }
    }
}

impl Fixed<'_> {
    /// Elements of a row.
    #[inline(always)]
    pub(super) fn width(&self) -> usize {
        self.spectrum.len()
    }

    #[inline(always)]
    pub(super) fn n_rows(&self) -> usize {
        self.rows.len() / self.width()
    }

    /// Cells that are summed as one; longer rows are cut into blocks that several threads may take.
    ///
    /// Part of the result, so it depends on the width alone.
    #[inline(always)]
    pub(super) fn block_cells(&self) -> usize {
        (BLOCK_ELEMENTS / self.width()).clamp(256, 4096)
    }

    /// Copies the cells' rows into scratch and returns them: random access to memory happens once a half-step.
    #[inline(always)]
    pub(super) fn gather<'g, S: Simd>(&self, simd: S, cells: Cells<'_>, scratch: &'g mut Vec<f32>) -> &'g mut [f32] {
        let gathered = room(scratch, cells.len() * self.width());
        self.gather_to(simd, cells, gathered);
        gathered
    }

    /// Copies the cells' rows to `gathered`, which has their size.
    #[inline(always)]
    pub(super) fn gather_to<S: Simd>(&self, simd: S, cells: Cells<'_>, gathered: &mut [f32]) {
        let width = self.width();
        for at in 0..cells.len() {
            if at + PREFETCH_CELLS < cells.coming.len() {
                prefetch(&self.rows[cells.coming[at + PREFETCH_CELLS] as usize * width..][..width]);
            }
            let row = &self.rows[cells.items[at] as usize * width..][..width];
            copy(simd, row, &mut gathered[at * width..(at + 1) * width]);
        }
    }
}
