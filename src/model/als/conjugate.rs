//! A row by conjugate gradients, preconditioned with the diagonal of the fixed side.

use super::fixed::{Cells, Fixed, Terms};
use crate::linalg::{Coefficient, Simd, axpy, clear, copy, dot, multiply, room, sweep};

/// Steps end when residual . inclined has fallen to this share of what it was at the start: the rest is rounding (the
/// square of 2^-22), and its quotients may be 0 / 0. A row of one or two cells is there before its third step.
const ROUNDING: f32 = 1.0 / (1u64 << 44) as f32;

/// The state for one row, and memory that is used again for the next.
#[derive(Debug, Default)]
pub(super) struct Conjugate {
    diagonal: Vec<f32>,
    inverse: Vec<f32>,
    /// The residual; before [`start`](Self::start) the cells' part of it.
    pub(super) residual: Vec<f32>,
    /// The residual, preconditioned.
    inclined: Vec<f32>,
    /// The direction of the next step.
    pub(super) direction: Vec<f32>,
    /// The cells' part of A times the direction; zero between steps.
    pub(super) curved: Vec<f32>,
    /// residual . inclined
    rho: f32,
    /// Where steps end.
    least_rho: f32,
    /// The row's part of the loss.
    pub(super) loss: f64,
}

/// A few steps from `x`, in place, for a row of at most one block.
///
/// Returns: the row's part of the loss.
/// Cost: `steps` + 1 sweeps over the row's cells.
#[inline(always)]
pub(super) fn improve<S: Simd>(
    simd: S,
    fixed: &Fixed<'_>,
    cells: Cells<'_>,
    steps: usize,
    gathered: &mut Vec<f32>,
    conjugate: &mut Conjugate,
    x: &mut [f32],
) -> f64 {
    if cells.len() == 0 {
        clear(simd, x);
        return 0.0;
    }
    let rows = &*fixed.gather(simd, cells, gathered);
    conjugate.prepare(simd, fixed, cells.len());
    let mut residual = Residual { terms: fixed.terms, cells: cells.weights, loss: 0.0 };
    sweep(simd, rows, x, &mut conjugate.residual, &mut residual);
    conjugate.loss = residual.loss;
    conjugate.start(simd, x);
    for step in 0..steps {
        let mut curvature = Curvature { terms: fixed.terms, cells: cells.weights };
        sweep(simd, rows, &conjugate.direction, &mut conjugate.curved, &mut curvature);
        if !conjugate.step(simd, x, step + 1 == steps) {
            break;
        }
    }
    conjugate.loss
}

impl Conjugate {
    /// Sets out for a row of `n_cells`.
    #[inline(always)]
    pub(super) fn prepare<S: Simd>(&mut self, simd: S, fixed: &Fixed<'_>, n_cells: usize) {
        let width = fixed.width();
        let regularization = fixed.terms.regularization(n_cells, fixed.n_rows());
        let (diagonal, inverse) = (room(&mut self.diagonal, width), room(&mut self.inverse, width));
        for k in 0..width {
            diagonal[k] = fixed.spectrum[k] + regularization;
            inverse[k] = 1.0 / diagonal[k];
        }
        room(&mut self.inclined, width);
        room(&mut self.direction, width);
        clear(simd, room(&mut self.residual, width));
        clear(simd, room(&mut self.curved, width));
        self.loss = 0.0;
    }

    /// Completes the residual at `x` and takes the first direction.
    #[inline(always)]
    pub(super) fn start<S: Simd>(&mut self, simd: S, x: &[f32]) {
        // `curved` is free until the first step.
        multiply(simd, &self.diagonal, x, &mut self.curved);
        self.loss += f64::from(dot(simd, &self.curved, x));
        axpy(simd, -1.0, &self.curved, &mut self.residual);
        clear(simd, &mut self.curved);
        self.rho = self.incline(simd);
        self.least_rho = self.rho * ROUNDING;
        copy(simd, &self.inclined, &mut self.direction);
    }

    /// Steps along the direction and, unless it was the last step, turns to the next; says whether there is more to gain.
    #[inline(always)]
    pub(super) fn step<S: Simd>(&mut self, simd: S, x: &mut [f32], last: bool) -> bool {
        // Here and below a NaN is not stopped: it goes on to the loss, where it is noticed.
        if self.rho <= self.least_rho {
            return false;
        }
        // `inclined` is free until the next turn.
        multiply(simd, &self.diagonal, &self.direction, &mut self.inclined);
        axpy(simd, 1.0, &self.inclined, &mut self.curved);
        let curvature = dot(simd, &self.direction, &self.curved);
        if curvature <= 0.0 {
            return false;
        }
        let by = self.rho / curvature;
        axpy(simd, by, &self.direction, x);
        self.loss -= f64::from(by) * f64::from(self.rho);
        if last {
            return false;
        }
        axpy(simd, -by, &self.curved, &mut self.residual);
        clear(simd, &mut self.curved);
        let rho = self.incline(simd);
        // direction = inclined + turn * direction, with `inclined` as the place of the sum.
        axpy(simd, rho / self.rho, &self.direction, &mut self.inclined);
        std::mem::swap(&mut self.direction, &mut self.inclined);
        self.rho = rho;
        true
    }

    /// Preconditions the residual; returns its product with the result.
    #[inline(always)]
    fn incline<S: Simd>(&mut self, simd: S) -> f32 {
        multiply(simd, &self.inverse, &self.residual, &mut self.inclined);
        dot(simd, &self.residual, &self.inclined)
    }
}

/// The cells' part of the residual, and of the loss.
#[derive(Debug)]
pub(super) struct Residual<'a> {
    pub(super) terms: Terms,
    pub(super) cells: &'a [f32],
    pub(super) loss: f64,
}

impl Coefficient for Residual<'_> {
    #[inline(always)]
    fn of(&mut self, row: usize, product: f32) -> f32 {
        let (weight, pull) = (self.terms.weight(self.cells[row]), self.terms.pull(self.cells[row]));
        let (w, b, s) = (f64::from(weight), f64::from(pull), f64::from(product));
        self.loss += b + s * (w * s - 2.0 * b);
        pull - weight * product
    }
}

/// The cells' part of A times a direction.
#[derive(Debug)]
pub(super) struct Curvature<'a> {
    pub(super) terms: Terms,
    pub(super) cells: &'a [f32],
}

impl Coefficient for Curvature<'_> {
    #[inline(always)]
    fn of(&mut self, row: usize, product: f32) -> f32 {
        self.terms.weight(self.cells[row]) * product
    }
}
