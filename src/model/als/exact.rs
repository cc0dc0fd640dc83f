//! A row solved exactly, by whichever system is smaller: one unknown a cell or one a factor.
//!
//! Formula: with D = spectrum + regularization, rows `z_c = sqrt(weight_c) D^-1/2 y_c` and `b_c = pull_c / sqrt(weight_c)`,
//! `x = D^-1/2 Z^T (I + Z Z^T)^-1 b = D^-1/2 (I + Z^T Z)^-1 Z^T b`. Every pivot of either matrix is at least one.

use super::fixed::{Cells, Fixed};
use crate::linalg::{
    Lane, Simd, add_gramian, axpy, cholesky, cholesky_solve, clear, dot, multiply, outer_gramian, padded, room, scale,
};

/// Memory that is used again for the next row.
#[derive(Debug, Default)]
pub(super) struct Exact {
    gathered: Vec<f32>,
    panel: Vec<Lane>,
    /// `I + Z Z^T`
    dual: Vec<f32>,
    target: Vec<f32>,
    solution: Vec<f32>,
    along: Vec<f32>,
    /// D^-1/2
    pub(super) root: Vec<f32>,
    normal: Normal,
}

/// Normal equations of a row, or one block's part of them.
#[derive(Debug, Default)]
pub(super) struct Normal {
    /// `Z^T Z`
    matrix: Vec<f32>,
    /// `Z^T b`
    target: Vec<f32>,
    /// The loss of scores of zero.
    constant: f64,
}

impl Normal {
    /// Zero equations of `width` unknowns.
    #[inline(always)]
    pub(super) fn reset(&mut self, width: usize) {
        room(&mut self.matrix, width * width).fill(0.0);
        room(&mut self.target, width).fill(0.0);
        self.constant = 0.0;
    }

    /// Adds another block's part.
    #[inline(always)]
    pub(super) fn add(&mut self, part: &Self) {
        for (sum, part) in self.matrix.iter_mut().zip(&part.matrix) {
            *sum += part;
        }
        for (sum, part) in self.target.iter_mut().zip(&part.target) {
            *sum += part;
        }
        self.constant += part.constant;
    }
}

impl Exact {
    /// Solves a row into `x`.
    ///
    /// Returns: the row's part of the loss.
    /// Cost: n^2 f / 2 + n^3 / 6 multiply-adds for n <= f cells, otherwise n f^2 / 2 + f^3 / 6.
    #[inline(always)]
    pub(super) fn solve<S: Simd>(&mut self, simd: S, fixed: &Fixed<'_>, cells: Cells<'_>, x: &mut [f32]) -> f64 {
        if cells.len() == 0 {
            clear(simd, x);
            return 0.0;
        }
        self.prepare(fixed, cells.len());
        if cells.len() <= fixed.width() {
            return self.solve_dual(simd, fixed, cells, x);
        }
        self.equations(simd, fixed, cells);
        self.solve_normal(simd, x)
    }

    /// Takes D^-1/2 of a row of `n_cells`.
    #[inline(always)]
    pub(super) fn prepare(&mut self, fixed: &Fixed<'_>, n_cells: usize) {
        let width = fixed.width();
        let regularization = fixed.terms.regularization(n_cells, fixed.n_rows());
        for (root, &spectrum) in room(&mut self.root, width).iter_mut().zip(fixed.spectrum) {
            *root = 1.0 / (spectrum + regularization).sqrt();
        }
    }

    /// One unknown a cell.
    #[inline(always)]
    fn solve_dual<S: Simd>(&mut self, simd: S, fixed: &Fixed<'_>, cells: Cells<'_>, x: &mut [f32]) -> f64 {
        let (n, width, stride) = (cells.len(), fixed.width(), padded(cells.len()));
        let rows = scaled(simd, fixed, cells, &self.root, &mut self.gathered);
        let matrix = room(&mut self.dual, n * stride);
        clear(simd, matrix);
        outer_gramian(simd, rows, width, matrix, stride, &mut self.panel);
        for k in 0..n {
            matrix[k * stride + k] += 1.0;
        }
        cholesky(simd, matrix, n, stride, 1.0);

        let (target, solution) = (room(&mut self.target, stride), room(&mut self.solution, stride));
        clear(simd, target);
        clear(simd, solution);
        // The right-hand side in terms of factors is for the loss.
        let along = room(&mut self.along, width);
        clear(simd, along);
        let mut loss = 0f64;
        for at in 0..n {
            let pull = fixed.terms.pull(cells.weights[at]);
            loss += f64::from(pull);
            target[at] = pull / fixed.terms.weight(cells.weights[at]).sqrt();
            axpy(simd, target[at], &rows[at * width..(at + 1) * width], along);
        }
        cholesky_solve(simd, matrix, n, stride, target, solution);
        clear(simd, x);
        for at in 0..n {
            axpy(simd, solution[at], &rows[at * width..(at + 1) * width], x);
        }
        loss -= f64::from(dot(simd, along, x));
        scale(simd, &self.root, x);
        loss
    }

    /// Gathers the normal equations of a prepared row, block by block.
    #[inline(always)]
    pub(super) fn equations<S: Simd>(&mut self, simd: S, fixed: &Fixed<'_>, cells: Cells<'_>) {
        self.normal.reset(fixed.width());
        let mut part = Normal::default();
        let block = fixed.block_cells();
        for start in (0..cells.len()).step_by(block) {
            let cells = cells.part(start, cells.len().min(start + block));
            block_equations(simd, fixed, cells, &self.root, &mut self.gathered, &mut part);
            self.normal.add(&part);
        }
    }

    /// The normal equations, for adding blocks that other threads computed.
    pub(super) fn normal_mut(&mut self) -> &mut Normal {
        &mut self.normal
    }

    /// Solves the normal equations into `x`; they are spent.
    ///
    /// Returns: the row's part of the loss.
    #[inline(always)]
    pub(super) fn solve_normal<S: Simd>(&mut self, simd: S, x: &mut [f32]) -> f64 {
        let width = x.len();
        self.factor(simd, width);
        let target = room(&mut self.target, width);
        target.copy_from_slice(&self.normal.target);
        cholesky_solve(simd, &self.normal.matrix, width, width, target, x);
        let loss = self.normal.constant - f64::from(dot(simd, &self.normal.target, x));
        scale(simd, &self.root, x);
        loss
    }

    /// `x = A^-1 y`, A being the matrix of the row whose equations were gathered; they are spent.
    #[inline(always)]
    pub(super) fn invert<S: Simd>(&mut self, simd: S, y: &[f32], x: &mut [f32]) {
        let width = x.len();
        self.factor(simd, width);
        let target = room(&mut self.target, width);
        multiply(simd, y, &self.root, target);
        cholesky_solve(simd, &self.normal.matrix, width, width, target, x);
        scale(simd, &self.root, x);
    }

    #[inline(always)]
    fn factor<S: Simd>(&mut self, simd: S, width: usize) {
        for k in 0..width {
            self.normal.matrix[k * width + k] += 1.0;
        }
        cholesky(simd, &mut self.normal.matrix, width, width, 1.0);
    }
}

/// One block's part of the normal equations of the row with D^-1/2 `root`.
#[inline(always)]
pub(super) fn block_equations<S: Simd>(
    simd: S,
    fixed: &Fixed<'_>,
    cells: Cells<'_>,
    root: &[f32],
    gathered: &mut Vec<f32>,
    part: &mut Normal,
) {
    let width = fixed.width();
    let rows = scaled(simd, fixed, cells, root, gathered);
    part.reset(width);
    add_gramian(simd, rows, width, &mut part.matrix);
    for at in 0..cells.len() {
        let pull = fixed.terms.pull(cells.weights[at]);
        part.constant += f64::from(pull);
        let by = pull / fixed.terms.weight(cells.weights[at]).sqrt();
        axpy(simd, by, &rows[at * width..(at + 1) * width], &mut part.target);
    }
}

/// Gathers the rows z_c.
#[inline(always)]
fn scaled<'g, S: Simd>(
    simd: S,
    fixed: &Fixed<'_>,
    cells: Cells<'_>,
    root: &[f32],
    gathered: &'g mut Vec<f32>,
) -> &'g [f32] {
    let width = fixed.width();
    let rows = fixed.gather(simd, cells, gathered);
    for at in 0..cells.len() {
        let row = &mut rows[at * width..(at + 1) * width];
        let by = fixed.terms.weight(cells.weights[at]).sqrt();
        for k in 0..width {
            row[k] *= by * root[k];
        }
    }
    rows
}
