//! Blocked products: rows packed once into panels of sixteen, multiplied by groups of six.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    isa::{Isa, Simd, Task},
    lanes::{LANES, Lane},
    tile::{sixteen_mut, tile},
};

/// Rows of the other side in a register tile.
pub(crate) const GROUP: usize = 6;

/// Rows that are rotated at once: 16 groups.
const ROTATED_ROWS: usize = 96;

/// Rows packed for products: panel `p` holds rows `16 p .. 16 p + 16`, element-major.
///
/// Shapes: `width` vectors a panel; vector `k` holds element `k` of the panel's rows, zero for rows beyond the last.
#[derive(Debug, Clone)]
pub struct Panels {
    vectors: Vec<Lane>,
    width: usize,
    n_rows: usize,
}

impl Panels {
    /// Packs row-major `rows` of `width` elements.
    ///
    /// Cost: a copy of the rows.
    #[must_use]
    pub fn pack(rows: &[f32], width: usize) -> Self {
        let n_rows = rows.len() / width;
        let mut vectors = vec![[0f32; LANES]; n_rows.div_ceil(LANES) * width];
        vectors.par_chunks_mut(width).zip(rows.par_chunks(LANES * width)).for_each(|(panel, rows)| {
            for (lane, row) in rows.chunks_exact(width).enumerate() {
                for (vector, &value) in panel.iter_mut().zip(row) {
                    vector[lane] = value;
                }
            }
        });
        Self { vectors, width, n_rows }
    }

    /// Number of rows packed.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Elements of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }
}

/// Rows packed for the other side of a product: group `g` holds rows `6 g .. 6 g + 6`, element-major.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    elements: Vec<[f32; GROUP]>,
    width: usize,
    n_rows: usize,
}

impl Groups {
    /// Packs row-major `rows` of `width` elements.
    #[must_use]
    pub fn pack(rows: &[f32], width: usize) -> Self {
        let mut groups = Self::default();
        groups.repack(rows, width);
        groups
    }

    /// Packs other rows into the same memory.
    pub fn repack(&mut self, rows: &[f32], width: usize) {
        self.width = width;
        self.n_rows = rows.len() / width;
        self.elements.clear();
        self.elements.resize(self.n_rows.div_ceil(GROUP) * width, [0f32; GROUP]);
        for (group, rows) in self.elements.chunks_exact_mut(width).zip(rows.chunks(GROUP * width)) {
            for (place, row) in rows.chunks_exact(width).enumerate() {
                for (element, &value) in group.iter_mut().zip(row) {
                    element[place] = value;
                }
            }
        }
    }

    /// Number of rows packed.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }
}

/// Writes the dot products of every row of `left` with rows `columns` of `right`.
///
/// Formula: `out[r][c] = sum over k of left[r][k] * right[columns.start + c][k]`.
/// Shapes: `out` is row-major, `left.n_rows()` x `columns.len()`.
/// Determinism: each element is one chain of fused multiply-adds over ascending k, starting from zero, whatever the
/// instruction set and the cut into tiles.
///
/// # Panics
/// When the widths differ, `columns` goes beyond the rows of `right`, or `out` is too short.
pub fn product(isa: Isa, left: &Groups, right: &Panels, columns: Range<usize>, out: &mut [f32]) {
    assert_eq!(left.width, right.width, "both sides have rows of one width");
    assert!(columns.end <= right.n_rows && out.len() >= left.n_rows * columns.len(), "the product has its place");
    if !columns.is_empty() && left.n_rows > 0 {
        isa.run(Product { left, right, columns, out });
    }
}

struct Product<'a> {
    left: &'a Groups,
    right: &'a Panels,
    columns: Range<usize>,
    out: &'a mut [f32],
}

impl Task for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { left, right, columns, out } = self;
        let (width, stride) = (left.width, columns.len());
        for panel in columns.start / LANES..columns.end.div_ceil(LANES) {
            let vectors = &right.vectors[panel * width..(panel + 1) * width];
            // The panel's rows that are asked for, as lanes and as places in a row of the result.
            let first = columns.start.max(panel * LANES);
            let lanes = first - panel * LANES..columns.end.min((panel + 1) * LANES) - panel * LANES;
            let at = first - columns.start;
            let whole = lanes.len() == LANES;
            for group in 0..left.n_rows.div_ceil(GROUP) {
                let mut sums = [simd.zero(); GROUP];
                tile(simd, &mut sums, &left.elements[group * width..(group + 1) * width], vectors);
                for m in 0..GROUP {
                    let row = group * GROUP + m;
                    if row == left.n_rows {
                        break;
                    }
                    if whole {
                        simd.store(sums[m], sixteen_mut(out, row * stride + at));
                    } else {
                        let mut kept = [0f32; LANES];
                        simd.store(sums[m], &mut kept);
                        let place = row * stride + at;
                        out[place..place + lanes.len()].copy_from_slice(&kept[lanes.clone()]);
                    }
                }
            }
        }
    }
}

impl Panels {
    /// `rows = rows * self^T` in place, in parallel over blocks of rows: element `c` of a row becomes the dot product of
    /// the row with packed row `c`.
    ///
    /// Shapes: `rows` is row-major; as many rows are packed as a row has elements.
    ///
    /// # Panics
    /// When the packed rows are not square.
    pub fn rotate(&self, isa: Isa, rows: &mut [f32]) {
        assert_eq!(self.n_rows, self.width, "a rotation is square");
        rows.par_chunks_mut(ROTATED_ROWS * self.width).for_each_init(Groups::default, |groups, rows| {
            groups.repack(rows, self.width);
            product(isa, groups, self, 0..self.n_rows, rows);
        });
    }
}

/// `matrix = upper triangle of rows * rows^T`, for use inside a task; what lies left of the diagonal's tile is not
/// written.
///
/// Shapes: `rows` is row-major, n x `width` with n <= `stride`; `matrix` row-major, n x `stride`, `stride` padded.
/// `panel` is scratch.
#[inline(always)]
pub(crate) fn outer_gramian<S: Simd>(
    simd: S,
    rows: &[f32],
    width: usize,
    matrix: &mut [f32],
    stride: usize,
    panel: &mut Vec<Lane>,
) {
    panel.clear();
    panel.resize(width, [0f32; LANES]);
    let n_rows = rows.len() / width;
    for start in (0..n_rows).step_by(LANES) {
        for lane in 0..LANES.min(n_rows - start) {
            let row = &rows[(start + lane) * width..][..width];
            let vectors = &mut panel[..width];
            for k in 0..width {
                vectors[k][lane] = row[k];
            }
        }
        for lane in LANES.min(n_rows - start)..LANES {
            for vector in panel.iter_mut() {
                vector[lane] = 0.0;
            }
        }
        // Four rows at a time against the panel; rows below the panel's own are the other triangle.
        let last = n_rows.min(start + LANES);
        for above in (0..last).step_by(4) {
            // Beyond the last row the last one stands in; its sums are not kept.
            let at = |m: usize| (above + m).min(n_rows - 1) * width;
            let (a, b) = (&rows[at(0)..][..width], &rows[at(1)..][..width]);
            let (c, d) = (&rows[at(2)..][..width], &rows[at(3)..][..width]);
            let mut sums = [simd.zero(); 4];
            let vectors = &panel[..width];
            for k in 0..width {
                let vector = simd.load(&vectors[k]);
                sums[0] = simd.mul_add(simd.splat(a[k]), vector, sums[0]);
                sums[1] = simd.mul_add(simd.splat(b[k]), vector, sums[1]);
                sums[2] = simd.mul_add(simd.splat(c[k]), vector, sums[2]);
                sums[3] = simd.mul_add(simd.splat(d[k]), vector, sums[3]);
            }
            for (m, &sums) in sums.iter().enumerate().take(n_rows - above) {
                simd.store(sums, sixteen_mut(matrix, (above + m) * stride + start));
            }
        }
    }
}
