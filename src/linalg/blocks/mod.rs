//! Square matrices in blocks, and their inverse in place: what a dense item by item matrix needs.

mod invert;
mod pivot;

use std::ops::Range;

use rayon::prelude::*;

use super::lanes::padded;

/// Longest side of a block: half of a block packed for a product (288 KB) and a strip of the result stay in the second
/// cache, and the matrix itself passes through memory once for each 384 columns.
const MAX_SIDE: usize = 384;

/// The inverse does not exist as far as f32 can tell.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("the pivot of row {row} is {pivot:e}, below {least:e}: rounding has eaten it up")]
pub struct NotPositive {
    /// Row of the matrix.
    pub row: usize,
    /// What is left of its diagonal.
    pub pivot: f64,
    /// What there has to be.
    pub least: f64,
}

/// A dense square matrix of f32 in square blocks.
///
/// Shapes: block (I, J) is row-major, `side` x `side`; blocks follow each other row-major. What lies beyond the n-th row
/// or column of the last blocks is zero. A row is contiguous within a block only: see [`pieces`](Self::pieces).
/// Cost: about 4 n^2 bytes, see [`bytes`](Self::bytes); pages that were never written take no memory.
#[derive(Debug, Clone)]
pub struct Blocks {
    n: usize,
    side: usize,
    values: Vec<f32>,
}

/// Blocks in a row of blocks, and their side.
fn shape(n: usize, most: usize) -> (usize, usize) {
    let n_blocks = n.div_ceil(most).max(1);
    (n_blocks, padded(n.div_ceil(n_blocks)))
}

impl Blocks {
    /// A matrix of zeros.
    #[must_use]
    pub fn zeros(n: usize) -> Self {
        Self::with_side(n, MAX_SIDE)
    }

    /// A matrix of zeros whose blocks have sides of at most `most` (a multiple of sixteen).
    pub(super) fn with_side(n: usize, most: usize) -> Self {
        let (n_blocks, side) = shape(n, most);
        Self { n, side, values: vec![0.0; n_blocks * n_blocks * side * side] }
    }

    /// Memory of an `n` x `n` matrix, without what [`invert`](Self::invert) takes beside it.
    #[must_use]
    pub fn bytes(n: usize) -> u64 {
        let (n_blocks, side) = shape(n, MAX_SIDE);
        4 * (n_blocks * side) as u64 * (n_blocks * side) as u64
    }

    /// Memory that [`invert`](Self::invert) takes beside the matrix: three panels of n x 384 and four blocks a thread.
    #[must_use]
    pub fn invert_bytes(n: usize) -> u64 {
        let (n_blocks, side) = shape(n, MAX_SIDE);
        let block = 4 * (side * side) as u64;
        3 * n_blocks as u64 * block + 4 * rayon::current_num_threads() as u64 * block
    }

    /// Number of rows, and of columns.
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }

    /// Longest run of a row that is contiguous.
    #[must_use]
    pub fn side(&self) -> usize {
        self.side
    }

    fn n_blocks(&self) -> usize {
        self.n.div_ceil(self.side.max(1)).max(1)
    }

    /// Rows (or columns) of block row (or column) `block`.
    fn range(&self, block: usize) -> Range<usize> {
        block * self.side..self.n.min((block + 1) * self.side)
    }

    /// Elements of a block.
    fn area(&self) -> usize {
        self.side * self.side
    }

    fn block(&self, row: usize, column: usize) -> &[f32] {
        let at = (row * self.n_blocks() + column) * self.area();
        &self.values[at..at + self.area()]
    }

    /// One element.
    ///
    /// # Panics
    /// When it lies outside.
    #[must_use]
    pub fn at(&self, row: usize, column: usize) -> f32 {
        self.pieces(row, column..column + 1)[0]
    }

    /// The longest contiguous part of row `row` that starts at `columns.start` and goes no further than `columns`.
    ///
    /// # Panics
    /// When it lies outside.
    #[inline]
    #[must_use]
    pub fn pieces(&self, row: usize, columns: Range<usize>) -> &[f32] {
        assert!(row < self.n && columns.end <= self.n, "the piece lies in the matrix");
        let (block, first) = (columns.start / self.side, columns.start % self.side);
        let last = self.side.min(first + columns.len());
        let row_at = row % self.side * self.side;
        &self.block(row / self.side, block)[row_at + first..row_at + last]
    }

    /// Copies row `row`, n elements, into `out`.
    pub fn read_row(&self, row: usize, out: &mut [f32]) {
        for (column, out) in out[..self.n].chunks_mut(self.side).enumerate() {
            let start = column * self.side;
            out.copy_from_slice(self.pieces(row, start..start + out.len()));
        }
    }

    /// Replaces row `row` by n elements.
    pub fn write_row(&mut self, row: usize, values: &[f32]) {
        let (n_blocks, area, side) = (self.n_blocks(), self.area(), self.side);
        for (column, part) in values[..self.n].chunks(side).enumerate() {
            let at = (row / side * n_blocks + column) * area + row % side * side;
            self.values[at..at + part.len()].copy_from_slice(part);
        }
    }

    /// Fills the lower triangle (diagonal included), in parallel over rows of blocks: `fill(state, row, out)` gets zeros
    /// for columns 0 to `row`. `state` is scratch of a thread.
    pub fn fill_lower<T>(
        &mut self,
        state: impl Fn() -> T + Sync + Send,
        fill: impl Fn(&mut T, usize, &mut [f32]) + Sync + Send,
    ) {
        let (n, n_blocks, area, side) = (self.n, self.n_blocks(), self.area(), self.side);
        self.values.par_chunks_mut((n_blocks * area).max(1)).enumerate().with_max_len(1).for_each_init(
            || (state(), vec![0f32; n]),
            |(state, line), (band, blocks)| {
                for row in band * side..n.min((band + 1) * side) {
                    let line = &mut line[..=row];
                    line.fill(0.0);
                    fill(state, row, line);
                    for (column, part) in line.chunks(side).enumerate() {
                        let at = column * area + row % side * side;
                        blocks[at..at + part.len()].copy_from_slice(part);
                    }
                }
            },
        );
    }

    /// Copies the lower triangle onto the upper one.
    pub fn mirror(&mut self) {
        let (n_blocks, area, side) = (self.n_blocks(), self.area(), self.side);
        let band = n_blocks * area;
        if area == 0 {
            return;
        }
        for row in 0..n_blocks {
            let (above, below) = self.values.split_at_mut((row + 1) * band);
            let own = &mut above[row * band..];
            let diagonal = &mut own[row * area..(row + 1) * area];
            for r in 0..side {
                for c in r + 1..side {
                    diagonal[r * side + c] = diagonal[c * side + r];
                }
            }
            own[(row + 1) * area..].par_chunks_mut(area).zip(below.par_chunks(band)).for_each(|(to, from)| {
                transpose(&from[row * area..(row + 1) * area], to, side);
            });
        }
    }

    /// Changes every element within the n x n: `change(row, column, value)`, in parallel.
    pub fn map(&mut self, change: impl Fn(usize, usize, f32) -> f32 + Sync + Send) {
        let (n, n_blocks, side) = (self.n, self.n_blocks(), self.side);
        let area = self.area().max(1);
        self.values.par_chunks_mut(area).enumerate().for_each(|(at, block)| {
            let (top, left) = (at / n_blocks * side, at % n_blocks * side);
            for (row, line) in (top..n).zip(block.chunks_exact_mut(side)) {
                for (column, value) in (left..n).zip(line) {
                    *value = change(row, column, *value);
                }
            }
        });
    }

    /// The first row with a value that `is_wanted`.
    #[must_use]
    pub fn find_row(&self, is_wanted: impl Fn(f32) -> bool + Sync + Send) -> Option<usize> {
        let found = |row: &usize| {
            let starts = (0..self.n).step_by(self.side.max(1));
            starts.into_iter().any(|start| self.pieces(*row, start..self.n).iter().any(|&value| is_wanted(value)))
        };
        (0..self.n).into_par_iter().find_first(found)
    }

    /// The diagonal.
    #[must_use]
    pub fn diagonal(&self) -> Vec<f32> {
        (0..self.n).map(|at| self.at(at, at)).collect()
    }
}

/// `to = from^T`, both `side` x `side`, in squares of sixteen.
fn transpose(from: &[f32], to: &mut [f32], side: usize) {
    for i in (0..side).step_by(16) {
        for j in (0..side).step_by(16) {
            for r in i..i + 16 {
                for c in j..j + 16 {
                    to[r * side + c] = from[c * side + r];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
