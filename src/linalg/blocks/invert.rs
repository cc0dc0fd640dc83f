//! The inverse of a symmetric positive definite matrix, block by block, in place.

use rayon::prelude::*;

use super::{Blocks, NotPositive, pivot::InvertPivot, transpose};
use crate::linalg::{
    isa::{Isa, Simd, Task, prefetch},
    lanes::{LANES, Lane},
    panels::{GROUP, Groups, Panels, product},
    tile::{sixteen, sixteen_mut, tile, tile_of_two},
};

/// Elements of a row that a register tile works through before the next one: two packed panels of them fit the first
/// cache.
const DEPTH: usize = 192;

/// The rows of one block, of the columns that are being eliminated.
#[derive(Default)]
struct Packed {
    /// C, as it is.
    panels: Vec<Lane>,
    /// -C P^-1, packed for the other side.
    groups: Vec<[f32; GROUP]>,
    /// C P^-1, row-major `side` x `side`.
    solved: Vec<f32>,
}

impl Blocks {
    /// Replaces the lower triangle by that of the inverse; what lies above the diagonal's blocks is neither read nor
    /// written.
    ///
    /// Formula: blocked Gauss-Jordan elimination without exchange of rows, the sweep operator. For each diagonal block
    /// P, with C the columns below and beside it: `A -= C P^-1 C^T`, `C = C P^-1`, `P = -P^-1`. After the last block
    /// A is minus the inverse.
    /// Determinism: each element is a chain of fused multiply-adds over ascending columns; the same bits for any number
    /// of threads and any instruction set.
    /// Cost: n^3 flops, nearly all of them in products of 384 x 384 blocks at the speed of [`product`] (with AVX2 80
    /// GFLOP/s a thread where the whole took 63 at n = 8,000; pivots and packing fall with n);
    /// [`invert_bytes`](Self::invert_bytes) beside the matrix.
    /// Source: Goodnight 1979 (sweep operator); stable for positive definite matrices (Higham 2002, section 14.4).
    ///
    /// # Errors
    /// When a pivot falls below `least`. In exact arithmetic no pivot of `G + D`, G a Gramian and D a positive diagonal,
    /// is below the least element of D, so half of that is a bound that only rounding can break.
    pub fn invert(&mut self, isa: Isa, least: f64) -> Result<(), NotPositive> {
        let mut packed: Vec<Packed> = (0..self.n_blocks()).map(|_| Packed::default()).collect();
        if self.n == 0 {
            return Ok(());
        }
        for k in 0..self.n_blocks() {
            let inverse = self.invert_pivot(isa, k, least)?;
            self.pack(isa, k, &inverse, &mut packed);
            self.eliminate(isa, k, &inverse, &packed);
        }
        self.values.par_iter_mut().with_min_len(1 << 16).for_each(|value| *value = -*value);
        Ok(())
    }

    /// The inverse of diagonal block `k`, row-major and compact.
    fn invert_pivot(&self, isa: Isa, k: usize, least: f64) -> Result<Vec<f32>, NotPositive> {
        let (n, block) = (self.range(k).len(), self.block(k, k));
        let mut matrix = vec![0f64; n * n];
        for row in 0..n {
            for column in 0..=row {
                matrix[row * n + column] = f64::from(block[row * self.side + column]);
            }
        }
        isa.run(InvertPivot { matrix: &mut matrix, n, least }).map_err(|(row, pivot)| NotPositive {
            row: k * self.side + row,
            pivot,
            least,
        })?;
        Ok(matrix.into_iter().map(|value| value as f32).collect())
    }

    /// Packs the columns of block `k`, as they are and times the inverse of its diagonal block.
    fn pack(&self, isa: Isa, k: usize, inverse: &[f32], packed: &mut [Packed]) {
        let (side, width) = (self.side, self.range(k).len());
        let inverse = Panels::pack(inverse, width);
        let scratch = || (vec![0f32; side * side], Vec::new(), Groups::default());
        packed.par_iter_mut().enumerate().with_max_len(1).for_each_init(
            scratch,
            |(turned, rows, groups), (i, packed)| {
                if i == k {
                    return;
                }
                let n_rows = self.range(i).len();
                let block = if i > k {
                    self.block(i, k)
                } else {
                    transpose(self.block(k, i), turned, side);
                    &turned[..]
                };
                rows.clear();
                for row in 0..n_rows {
                    rows.extend_from_slice(&block[row * side..row * side + width]);
                }
                packed.panels.clear();
                packed.panels.resize(side / LANES * width, [0f32; LANES]);
                for (row, values) in rows.chunks_exact(width).enumerate() {
                    let panel = &mut packed.panels[row / LANES * width..(row / LANES + 1) * width];
                    for (vector, &value) in panel.iter_mut().zip(values) {
                        vector[row % LANES] = value;
                    }
                }
                groups.repack(rows, width);
                // The compact product goes back into `rows`, and from there to its place.
                product(isa, groups, &inverse, 0..width, rows);
                packed.solved.clear();
                packed.solved.resize(side * side, 0.0);
                packed.groups.clear();
                packed.groups.resize(n_rows.div_ceil(GROUP) * width, [0f32; GROUP]);
                for (row, values) in rows.chunks_exact(width).enumerate() {
                    packed.solved[row * side..row * side + width].copy_from_slice(values);
                    let group = &mut packed.groups[row / GROUP * width..(row / GROUP + 1) * width];
                    for (element, &value) in group.iter_mut().zip(values) {
                        element[row % GROUP] = -value;
                    }
                }
            },
        );
    }

    /// Subtracts what the packed columns account for from the rest, and puts them in their place.
    fn eliminate(&mut self, isa: Isa, k: usize, inverse: &[f32], packed: &[Packed]) {
        let (n, n_blocks, side, area) = (self.n, self.n_blocks(), self.side, self.area());
        let width = self.range(k).len();
        self.values.par_chunks_mut(area).enumerate().for_each(|(at, block)| {
            let (i, j) = (at / n_blocks, at % n_blocks);
            if j > i {
                return;
            }
            match (i == k, j == k) {
                (true, true) => {
                    for (row, values) in inverse.chunks_exact(width).enumerate() {
                        for (to, &value) in block[row * side..].iter_mut().zip(values) {
                            *to = -value;
                        }
                    }
                }
                (false, true) => block.copy_from_slice(&packed[i].solved),
                (true, false) => transpose(&packed[j].solved, block, side),
                (false, false) => isa.run(Update {
                    left: &packed[i].groups,
                    right: &packed[j].panels,
                    width,
                    n_rows: side.min(n - i * side),
                    side,
                    out: block,
                }),
            }
        });
    }
}

/// `out += left * right^T`, one block.
struct Update<'a> {
    left: &'a [[f32; GROUP]],
    right: &'a [Lane],
    width: usize,
    n_rows: usize,
    side: usize,
    out: &'a mut [f32],
}

impl Task for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { left, right, width, n_rows, side, out } = self;
        let n_panels = side / LANES;
        let n_groups = n_rows.div_ceil(GROUP);
        for panel in (0..n_panels).step_by(2) {
            let pair = panel + 1 < n_panels;
            for from in (0..width).step_by(DEPTH) {
                let to = width.min(from + DEPTH);
                let first = &right[panel * width + from..panel * width + to];
                for group in 0..n_groups {
                    let left = &left[group * width + from..group * width + to];
                    let (top, at) = (group * GROUP, panel * LANES);
                    // The next tile of the result is on its way while this one is worked on.
                    for row in top + GROUP..n_rows.min(top + 2 * GROUP) {
                        prefetch(sixteen(out, row * side + at));
                        if pair {
                            prefetch(sixteen(out, row * side + at + LANES));
                        }
                    }
                    let n = GROUP.min(n_rows - top);
                    if pair && S::TWO_PANELS {
                        let second = &right[(panel + 1) * width + from..(panel + 1) * width + to];
                        let mut sums = [[simd.zero(); 2]; GROUP];
                        for m in 0..n {
                            sums[m][0] = simd.load(sixteen(out, (top + m) * side + at));
                            sums[m][1] = simd.load(sixteen(out, (top + m) * side + at + LANES));
                        }
                        tile_of_two(simd, &mut sums, left, first, second);
                        for m in 0..n {
                            simd.store(sums[m][0], sixteen_mut(out, (top + m) * side + at));
                            simd.store(sums[m][1], sixteen_mut(out, (top + m) * side + at + LANES));
                        }
                    } else {
                        one(simd, left, first, out, n, top * side + at, side);
                        if pair {
                            let second = &right[(panel + 1) * width + from..(panel + 1) * width + to];
                            one(simd, left, second, out, n, top * side + at + LANES, side);
                        }
                    }
                }
            }
        }
    }
}

/// A tile of up to 6 x 16 of the result.
#[inline(always)]
fn one<S: Simd>(simd: S, left: &[[f32; GROUP]], right: &[Lane], out: &mut [f32], n: usize, at: usize, side: usize) {
    let mut sums = [simd.zero(); GROUP];
    for m in 0..n {
        sums[m] = simd.load(sixteen(out, at + m * side));
    }
    tile(simd, &mut sums, left, right);
    for m in 0..n {
        simd.store(sums[m], sixteen_mut(out, at + m * side));
    }
}
