//! One row against the fixed side: conjugate gradients or an exact solution.
//!
//! The fixed side is rotated to its principal axes, so that its Gramian is diagonal and the term of all pairs costs a
//! row f multiplications instead of f^2. The same diagonal preconditions conjugate gradients. A rotation of both sides
//! changes neither scores nor loss.

use super::config::{AlsConfig, Weighting};
use crate::{
    interactions::History,
    linalg::{
        Coefficient, Lane, add_gramian, axpy, cholesky, cholesky_solve, dot, outer_gramian, padded, prefetch, sweep,
    },
};

/// Cells ahead of the one being copied whose factors are asked for.
const PREFETCH_CELLS: usize = 24;

/// The numbers of the loss: which pull and weight a cell has, and how a row is regularized.
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
        self.scale.mul_add(cell, self.base)
    }

    /// The regularization of a row of `n_cells` against a side of `n_other` rows.
    pub(super) fn regularization(&self, n_cells: usize, n_other: usize) -> f32 {
        let count = n_cells as f64 + f64::from(self.all_pairs) * n_other as f64;
        (self.regularization * if self.exponent == 0.0 { 1.0 } else { count.powf(self.exponent) }) as f32
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

/// Memory that a thread uses again for every row.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    gathered: Vec<f32>,
    matrix: Vec<f32>,
    panel: Vec<Lane>,
    target: Vec<f32>,
    solution: Vec<f32>,
    along: Vec<f32>,
    scale: Vec<f32>,
    pub(super) conjugate: Conjugate,
}

/// Fills `vector` with `n` zeros.
#[inline(always)]
fn zeros(vector: &mut Vec<f32>, n: usize) {
    vector.clear();
    vector.resize(n, 0.0);
}

impl Fixed<'_> {
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
    /// A block's factors take 1 MB. Part of the result, so it depends on the width alone.
    #[inline(always)]
    pub(super) fn block_cells(&self) -> usize {
        ((1 << 18) / self.width()).clamp(256, 4096)
    }

    /// Appends the rows of `items` to `gathered`. `coming` starts with `items` and goes on with what follows.
    #[inline(always)]
    pub(super) fn gather(&self, items: &[u32], coming: &[u32], gathered: &mut Vec<f32>) {
        let width = self.width();
        for (at, &item) in items.iter().enumerate() {
            if let Some(&later) = coming.get(at + PREFETCH_CELLS) {
                prefetch(&self.rows[later as usize * width..][..width]);
            }
            gathered.extend_from_slice(&self.rows[item as usize * width..][..width]);
        }
    }

    /// A few steps of conjugate gradients from `x`, in place, for a row of at most one block.
    ///
    /// Returns: the row's part of the loss.
    #[inline(always)]
    pub(super) fn improve(
        &self,
        cells: History<'_>,
        coming: &[u32],
        steps: usize,
        scratch: &mut Scratch,
        x: &mut [f32],
    ) -> f64 {
        let Scratch { gathered, conjugate, .. } = scratch;
        if cells.items.is_empty() {
            x.fill(0.0);
            return 0.0;
        }
        gathered.clear();
        self.gather(cells.items, coming, gathered);
        conjugate.prepare(self, cells.items.len());
        let mut residual = Residual { terms: self.terms, cells: cells.weights, loss: 0.0 };
        sweep(gathered, x, &mut conjugate.residual, &mut residual);
        conjugate.loss = residual.loss;
        conjugate.start(x);
        for step in 0..steps {
            let mut curvature = Curvature { terms: self.terms, cells: cells.weights };
            sweep(gathered, &conjugate.direction, &mut conjugate.curved, &mut curvature);
            if !conjugate.step(x, step + 1 == steps) {
                break;
            }
        }
        conjugate.loss
    }

    /// The exact solution for a row, by whichever system is smaller: one unknown a cell or one a factor.
    ///
    /// Formula: with D = spectrum + regularization, rows z_c = sqrt(weight_c) D^-1/2 y_c and b_c = pull_c / sqrt(weight_c),
    /// `x = D^-1/2 Z^T (I + Z Z^T)^-1 b = D^-1/2 (I + Z^T Z)^-1 Z^T b`.
    /// Returns: the row's part of the loss.
    /// Cost: n^2 f / 2 + n^3 / 6 multiply-adds for n <= f cells, otherwise n f^2 / 2 + f^3 / 6.
    #[inline(always)]
    pub(super) fn solve(&self, cells: History<'_>, coming: &[u32], scratch: &mut Scratch, x: &mut [f32]) -> f64 {
        let n = cells.items.len();
        if n == 0 {
            x.fill(0.0);
            return 0.0;
        }
        if n > self.width() {
            self.normal(cells, coming, scratch);
            return self.finish(cells, scratch, x);
        }
        self.scale(n, scratch);
        self.scaled(cells, coming, scratch);
        let Scratch { gathered, matrix, panel, target, solution, along, scale, .. } = scratch;
        let (width, stride) = (self.width(), padded(n));
        zeros(matrix, n * stride);
        outer_gramian(gathered, width, matrix, stride, panel);
        for k in 0..n {
            matrix[k * stride + k] += 1.0;
        }
        cholesky(matrix, n, stride, 1.0);
        zeros(target, stride);
        zeros(solution, stride);
        for (target, &cell) in target.iter_mut().zip(cells.weights) {
            *target = self.terms.pull(cell) / self.terms.weight(cell).sqrt();
        }
        // The right-hand side in terms of factors, for the loss, before the solver spends `target`.
        zeros(along, width);
        for (row, &by) in gathered.chunks_exact(width).zip(target.iter()) {
            axpy(by, row, along);
        }
        cholesky_solve(matrix, n, stride, target, solution);
        x.fill(0.0);
        for (row, &by) in gathered.chunks_exact(width).zip(solution.iter()) {
            axpy(by, row, x);
        }
        let quadratic = -f64::from(dot(along, x));
        for (x, scale) in x.iter_mut().zip(scale.iter()) {
            *x *= scale;
        }
        self.constant(cells) + quadratic
    }

    /// Leaves the normal equations of a row in the scratch: `I + Z^T Z` and `Z^T b` (see [`solve`](Self::solve)).
    #[inline(always)]
    pub(super) fn normal(&self, cells: History<'_>, coming: &[u32], scratch: &mut Scratch) {
        self.begin_normal(cells.items.len(), scratch);
        let (mut matrix, mut target) = (std::mem::take(&mut scratch.matrix), std::mem::take(&mut scratch.target));
        let mut part = NormalPart::default();
        let block = self.block_cells();
        for start in (0..cells.items.len()).step_by(block) {
            let end = cells.items.len().min(start + block);
            let cells = History { items: &cells.items[start..end], weights: &cells.weights[start..end] };
            self.normal_part(cells, coming.get(start..).unwrap_or(&[]), scratch, &mut part);
            part.add_to(&mut matrix, &mut target);
        }
        (scratch.matrix, scratch.target) = (matrix, target);
    }

    /// Starts normal equations: the identity, and a target of zero.
    #[inline(always)]
    pub(super) fn begin_normal(&self, n_cells: usize, scratch: &mut Scratch) {
        let width = self.width();
        self.scale(n_cells, scratch);
        zeros(&mut scratch.matrix, width * width);
        for k in 0..width {
            scratch.matrix[k * width + k] = 1.0;
        }
        zeros(&mut scratch.target, width);
    }

    /// One block's part of the normal equations, for a row whose scale is in the scratch.
    #[inline(always)]
    pub(super) fn normal_part(&self, cells: History<'_>, coming: &[u32], scratch: &mut Scratch, part: &mut NormalPart) {
        let width = self.width();
        self.scaled(cells, coming, scratch);
        zeros(&mut part.matrix, width * width);
        zeros(&mut part.target, width);
        add_gramian(&scratch.gathered, width, &mut part.matrix);
        for (row, &cell) in scratch.gathered.chunks_exact(width).zip(cells.weights) {
            axpy(self.terms.pull(cell) / self.terms.weight(cell).sqrt(), row, &mut part.target);
        }
    }

    /// Solves the normal equations in the scratch.
    #[inline(always)]
    pub(super) fn finish(&self, cells: History<'_>, scratch: &mut Scratch, x: &mut [f32]) -> f64 {
        let width = self.width();
        let Scratch { matrix, target, solution, scale, .. } = scratch;
        cholesky(matrix, width, width, 1.0);
        // The solver spends its right-hand side.
        zeros(solution, width);
        solution.copy_from_slice(target);
        cholesky_solve(matrix, width, width, solution, x);
        let quadratic = -f64::from(dot(target, x));
        for (x, scale) in x.iter_mut().zip(scale.iter()) {
            *x *= scale;
        }
        self.constant(cells) + quadratic
    }

    /// Applies the inverse of the row's matrix, whose normal equations are in the scratch, to `y`: `x = A^-1 y`.
    #[inline(always)]
    pub(super) fn invert(&self, scratch: &mut Scratch, y: &[f32], x: &mut [f32]) {
        let width = self.width();
        let Scratch { matrix, solution, scale, .. } = scratch;
        cholesky(matrix, width, width, 1.0);
        zeros(solution, width);
        for ((solution, y), scale) in solution.iter_mut().zip(y).zip(scale.iter()) {
            *solution = y * scale;
        }
        cholesky_solve(matrix, width, width, solution, x);
        for (x, scale) in x.iter_mut().zip(scale.iter()) {
            *x *= scale;
        }
    }

    /// D^-1/2 of a row.
    #[inline(always)]
    fn scale(&self, n_cells: usize, scratch: &mut Scratch) {
        let regularization = self.terms.regularization(n_cells, self.n_rows());
        scratch.scale.clear();
        scratch.scale.extend_from_slice(self.spectrum);
        for scale in &mut scratch.scale {
            *scale = 1.0 / (*scale + regularization).sqrt();
        }
    }

    /// Gathers rows z_c of the cells.
    #[inline(always)]
    fn scaled(&self, cells: History<'_>, coming: &[u32], scratch: &mut Scratch) {
        let Scratch { gathered, scale, .. } = scratch;
        gathered.clear();
        self.gather(cells.items, coming, gathered);
        for (row, &cell) in gathered.chunks_exact_mut(self.width()).zip(cells.weights) {
            let by = self.terms.weight(cell).sqrt();
            for (value, scale) in row.iter_mut().zip(scale.iter()) {
                *value *= by * scale;
            }
        }
    }

    /// The loss of scores of zero.
    #[inline(always)]
    fn constant(&self, cells: History<'_>) -> f64 {
        let mut sum = 0f64;
        for &cell in cells.weights {
            sum += f64::from(self.terms.pull(cell));
        }
        sum
    }
}

/// One block's part of a row's normal equations.
#[derive(Debug, Default)]
pub(super) struct NormalPart {
    matrix: Vec<f32>,
    target: Vec<f32>,
}

impl NormalPart {
    #[inline(always)]
    pub(super) fn add_to(&self, matrix: &mut [f32], target: &mut [f32]) {
        for (sum, part) in matrix.iter_mut().zip(&self.matrix) {
            *sum += part;
        }
        for (sum, part) in target.iter_mut().zip(&self.target) {
            *sum += part;
        }
    }
}

impl Scratch {
    /// The normal equations' matrix and target, for adding blocks computed elsewhere.
    pub(super) fn normal_mut(&mut self) -> (&mut [f32], &mut [f32]) {
        (&mut self.matrix, &mut self.target)
    }

    /// Takes over the scale of another thread's row.
    pub(super) fn scale_as(&mut self, other: &[f32]) {
        self.scale.clear();
        self.scale.extend_from_slice(other);
    }

    /// D^-1/2 of the row.
    pub(super) fn scale_of_row(&self) -> &[f32] {
        &self.scale
    }

    /// Gathers a block and returns it.
    #[inline(always)]
    pub(super) fn block(&mut self, fixed: &Fixed<'_>, items: &[u32]) -> &[f32] {
        self.gathered.clear();
        fixed.gather(items, items, &mut self.gathered);
        &self.gathered
    }
}

/// The state of preconditioned conjugate gradients for one row.
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
    /// The row's part of the loss.
    pub(super) loss: f64,
}

impl Conjugate {
    #[inline(always)]
    pub(super) fn prepare(&mut self, fixed: &Fixed<'_>, n_cells: usize) {
        let width = fixed.width();
        let regularization = fixed.terms.regularization(n_cells, fixed.n_rows());
        zeros(&mut self.diagonal, width);
        zeros(&mut self.inverse, width);
        for k in 0..width {
            let value = fixed.spectrum[k] + regularization;
            self.diagonal[k] = value;
            self.inverse[k] = 1.0 / value;
        }
        zeros(&mut self.residual, width);
        zeros(&mut self.inclined, width);
        zeros(&mut self.direction, width);
        zeros(&mut self.curved, width);
    }

    /// Completes the residual at `x` and takes the first direction.
    #[inline(always)]
    pub(super) fn start(&mut self, x: &[f32]) {
        let mut of_rows = 0f64;
        for ((residual, &diagonal), &x) in self.residual.iter_mut().zip(&self.diagonal).zip(x) {
            let along = diagonal * x;
            of_rows += f64::from(along) * f64::from(x);
            *residual -= along;
        }
        self.loss += of_rows;
        self.rho = self.incline();
        self.direction.copy_from_slice(&self.inclined);
    }

    /// Steps along the direction and, unless it was the last step, turns to the next; says whether there is more to gain.
    #[inline(always)]
    pub(super) fn step(&mut self, x: &mut [f32], last: bool) -> bool {
        for ((curved, &diagonal), &direction) in self.curved.iter_mut().zip(&self.diagonal).zip(&self.direction) {
            *curved = diagonal.mul_add(direction, *curved);
        }
        let curvature = dot(&self.direction, &self.curved);
        // A NaN is not stopped here: it goes on to the loss, where it is noticed.
        if curvature <= 0.0 {
            return false;
        }
        let by = self.rho / curvature;
        axpy(by, &self.direction, x);
        self.loss -= f64::from(by) * f64::from(self.rho);
        if last {
            return false;
        }
        axpy(-by, &self.curved, &mut self.residual);
        self.curved.fill(0.0);
        let rho = self.incline();
        let turn = rho / self.rho;
        self.rho = rho;
        for (direction, &inclined) in self.direction.iter_mut().zip(&self.inclined) {
            *direction = turn.mul_add(*direction, inclined);
        }
        true
    }

    /// Preconditions the residual; returns its product with the result.
    #[inline(always)]
    fn incline(&mut self) -> f32 {
        for ((inclined, &inverse), &residual) in self.inclined.iter_mut().zip(&self.inverse).zip(&self.residual) {
            *inclined = inverse * residual;
        }
        dot(&self.residual, &self.inclined)
    }
}

/// The residual's part from the cells, and their loss.
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
