//! One half-step: every row of one side against the other side, in parallel.

use rayon::prelude::*;

use super::{
    config::Solver,
    conjugate::{Conjugate, improve},
    exact::Exact,
    fixed::{Cells, Fixed},
    long_row::LongRow,
};
use crate::{
    interactions::Csr,
    linalg::{Isa, Simd, Task},
};

/// Cells (and a few for each row) that a thread takes at once: about half a millisecond of work.
const CHUNK_CELLS: usize = 8192;

/// What a row costs beside its cells, in cells.
const ROW_CELLS: usize = 8;

/// How rows are solved.
#[derive(Debug, Clone, Copy)]
pub(super) enum Method {
    /// Steps of conjugate gradients from the row's present factors.
    Steps(usize),
    /// Exactly.
    Exact,
}

impl Method {
    pub(super) fn of(solver: Solver, cg_steps: usize) -> Self {
        match solver {
            Solver::Cg => Self::Steps(cg_steps),
            Solver::Cholesky => Self::Exact,
        }
    }
}

/// Solves row r of `moving` for the cells of row r of `cells` against the fixed side.
///
/// Returns: the loss without the regularization of the fixed side.
/// Determinism: rows are independent; a row's sums run over blocks of a fixed size in order, the loss over chunks of
/// rows in order.
pub(super) fn half_step(isa: Isa, fixed: &Fixed<'_>, cells: &Csr, method: Method, moving: &mut [f32]) -> f64 {
    let width = fixed.width();
    let long = fixed.block_cells();
    let n_cells = |row: usize| cells.indptr[row + 1] - cells.indptr[row];

    // Long rows first, each with all threads at its blocks: what is left at the end is small.
    let mut loss = 0f64;
    let mut gathered = Vec::new();
    for row in (0..cells.n_rows()).filter(|&row| n_cells(row) > long) {
        let x = &mut moving[row * width..(row + 1) * width];
        let long_row = LongRow { isa, fixed, cells: cells.row(row) };
        loss += match method {
            Method::Steps(steps) => long_row.improve(steps, &mut gathered, x),
            Method::Exact => long_row.solve(x),
        };
    }
    drop(gathered);

    let mut chunks = Vec::new();
    let mut rest = moving;
    let mut start = 0;
    while start < cells.n_rows() {
        let (mut end, mut size) = (start, 0);
        while end < cells.n_rows() && size < CHUNK_CELLS {
            size += ROW_CELLS + if n_cells(end) > long { 0 } else { n_cells(end) };
            end += 1;
        }
        let (rows, others) = rest.split_at_mut((end - start) * width);
        chunks.push((start, rows));
        (rest, start) = (others, end);
    }
    let losses: Vec<f64> = chunks
        .into_par_iter()
        .map_init(Scratch::default, |scratch, (start, rows)| {
            isa.run(Chunk { fixed, cells, method, start, rows, scratch })
        })
        .collect();
    losses.iter().fold(loss, |sum, loss| sum + loss)
}

/// Memory that a thread uses again for every row.
#[derive(Debug, Default)]
struct Scratch {
    gathered: Vec<f32>,
    conjugate: Conjugate,
    exact: Exact,
}

/// Consecutive rows, without the long ones.
struct Chunk<'a, 'f> {
    fixed: &'a Fixed<'f>,
    cells: &'a Csr,
    method: Method,
    start: usize,
    rows: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl Task for Chunk<'_, '_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let Self { fixed, cells, method, start, rows, scratch } = self;
        let Scratch { gathered, conjugate, exact } = scratch;
        let width = fixed.width();
        let mut loss = 0f64;
        for at in 0..rows.len() / width {
            let (begin, end) = (cells.indptr[start + at], cells.indptr[start + at + 1]);
            if end - begin > fixed.block_cells() {
                continue;
            }
            let x = &mut rows[at * width..(at + 1) * width];
            let cells = Cells {
                items: &cells.indices[begin..end],
                weights: &cells.values[begin..end],
                coming: &cells.indices[begin..],
            };
            loss += match method {
                Method::Steps(steps) => improve(simd, fixed, cells, steps, gathered, conjugate, x),
                Method::Exact => exact.solve(simd, fixed, cells, x),
            };
        }
        loss
    }
}
