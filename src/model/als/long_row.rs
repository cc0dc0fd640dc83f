//! A row of more than one block: all threads work at its blocks, whose sums are added in order.

use rayon::prelude::*;

use super::{
    conjugate::{Conjugate, Curvature, Residual},
    exact::{Exact, Normal, block_equations},
    fixed::{Cells, Fixed},
};
use crate::{
    interactions::History,
    linalg::{Coefficient, Isa, Simd, Task, room, sweep},
};

/// A row's factors are gathered once up to this size; beyond it, again in each pass.
const GATHERED_BYTES: usize = 256 << 20;

/// Blocks whose normal equations are held at once.
const WAVE: usize = 16;

pub(super) struct LongRow<'a, 'f> {
    pub(super) isa: Isa,
    pub(super) fixed: &'a Fixed<'f>,
    pub(super) cells: History<'a>,
}

impl<'a> LongRow<'a, '_> {
    fn blocks(&self) -> impl IndexedParallelIterator<Item = History<'a>> {
        let size = self.fixed.block_cells();
        let weights = self.cells.weights.par_chunks(size);
        self.cells.items.par_chunks(size).zip(weights).map(|(items, weights)| History { items, weights, times: &[] })
    }

    /// A few steps of conjugate gradients from `x`, in place; `gathered` is scratch. Returns the row's part of the loss.
    pub(super) fn improve(&self, steps: usize, gathered: &mut Vec<f32>, x: &mut [f32]) -> f64 {
        let (isa, fixed, terms) = (self.isa, self.fixed, self.fixed.terms);
        let (width, n_cells) = (fixed.width(), self.cells.items.len());
        let once = n_cells * width * size_of::<f32>() <= GATHERED_BYTES;
        let gathered = if once { room(gathered, n_cells * width) } else { &mut [] };
        gathered
            .par_chunks_mut(fixed.block_cells() * width)
            .zip(self.blocks())
            .for_each(|(rows, cells)| isa.run(Gather { fixed, cells, rows }));
        let gathered = &*gathered;
        let mut conjugate = Conjugate::default();
        isa.run(Prepare { conjugate: &mut conjugate, fixed, n_cells });
        for (part, residual) in self.pass(gathered, x, |cells| Residual { terms, cells, loss: 0.0 }) {
            add(&mut conjugate.residual, &part);
            conjugate.loss += residual.loss;
        }
        isa.run(Start { conjugate: &mut conjugate, x });
        for step in 0..steps {
            for (part, _) in self.pass(gathered, &conjugate.direction, |cells| Curvature { terms, cells }) {
                add(&mut conjugate.curved, &part);
            }
            if !isa.run(Step { conjugate: &mut conjugate, x, last: step + 1 == steps }) {
                break;
            }
        }
        conjugate.loss
    }

    /// One sweep over all blocks: each block's sum and the state of its coefficients, in the order of the blocks.
    fn pass<C: Coefficient + Send>(
        &self,
        gathered: &[f32],
        vector: &[f32],
        coefficient: impl Fn(&'a [f32]) -> C + Sync,
    ) -> Vec<(Vec<f32>, C)> {
        let width = self.fixed.width();
        let block = self.fixed.block_cells() * width;
        self.blocks()
            .enumerate()
            .map_init(Vec::new, |scratch, (at, cells)| {
                let size = cells.items.len() * width;
                let rows = if gathered.is_empty() {
                    let rows = room(scratch, size);
                    self.isa.run(Gather { fixed: self.fixed, cells, rows });
                    &*rows
                } else {
                    &gathered[at * block..][..size]
                };
                let mut out = vec![0f32; width];
                let mut coefficient = coefficient(cells.weights);
                self.isa.run(Sweep { rows, vector, out: &mut out, coefficient: &mut coefficient });
                (out, coefficient)
            })
            .collect()
    }

    /// The exact solution, into `x`. Returns the row's part of the loss.
    pub(super) fn solve(&self, x: &mut [f32]) -> f64 {
        let (isa, fixed) = (self.isa, self.fixed);
        if self.cells.items.len() <= fixed.width() {
            return isa.run(Solve { fixed, cells: self.cells, x });
        }
        let mut exact = Exact::default();
        exact.prepare(fixed, self.cells.items.len());
        exact.normal_mut().reset(fixed.width());
        let n_blocks = self.cells.items.len().div_ceil(fixed.block_cells());
        for wave in (0..n_blocks).step_by(WAVE) {
            let root = &exact.root;
            let parts: Vec<Normal> = self
                .blocks()
                .skip(wave)
                .take(WAVE)
                .map_init(Vec::new, |scratch, cells| isa.run(Block { fixed, cells, root, scratch }))
                .collect();
            for part in &parts {
                exact.normal_mut().add(part);
            }
        }
        isa.run(Finish { exact: &mut exact, x })
    }
}

fn add(sum: &mut [f32], part: &[f32]) {
    for (sum, part) in sum.iter_mut().zip(part) {
        *sum += part;
    }
}

struct Gather<'a, 'f> {
    fixed: &'a Fixed<'f>,
    cells: History<'a>,
    rows: &'a mut [f32],
}

impl Task for Gather<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.fixed.gather_to(simd, Cells::alone(self.cells), self.rows);
    }
}

struct Sweep<'a, C> {
    rows: &'a [f32],
    vector: &'a [f32],
    out: &'a mut [f32],
    coefficient: &'a mut C,
}

impl<C: Coefficient> Task for Sweep<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        sweep(simd, self.rows, self.vector, self.out, self.coefficient);
    }
}

struct Prepare<'a, 'f> {
    conjugate: &'a mut Conjugate,
    fixed: &'a Fixed<'f>,
    n_cells: usize,
}

impl Task for Prepare<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.conjugate.prepare(simd, self.fixed, self.n_cells);
    }
}

struct Start<'a> {
    conjugate: &'a mut Conjugate,
    x: &'a [f32],
}

impl Task for Start<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.conjugate.start(simd, self.x);
    }
}

struct Step<'a> {
    conjugate: &'a mut Conjugate,
    x: &'a mut [f32],
    last: bool,
}

impl Task for Step<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        self.conjugate.step(simd, self.x, self.last)
    }
}

struct Solve<'a, 'f> {
    fixed: &'a Fixed<'f>,
    cells: History<'a>,
    x: &'a mut [f32],
}

impl Task for Solve<'_, '_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        Exact::default().solve(simd, self.fixed, Cells::alone(self.cells), self.x)
    }
}

struct Block<'a, 'f> {
    fixed: &'a Fixed<'f>,
    cells: History<'a>,
    root: &'a [f32],
    scratch: &'a mut Vec<f32>,
}

impl Task for Block<'_, '_> {
    type Output = Normal;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Normal {
        let mut part = Normal::default();
        block_equations(simd, self.fixed, Cells::alone(self.cells), self.root, self.scratch, &mut part);
        part
    }
}

struct Finish<'a> {
    exact: &'a mut Exact,
    x: &'a mut [f32],
}

impl Task for Finish<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        self.exact.solve_normal(simd, self.x)
    }
}
