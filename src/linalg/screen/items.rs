//! Items packed for screening.

use rayon::prelude::*;

use super::kernel::{PANEL, Pairs, place};

/// Largest integer of an item (63), a little lower so that rounding never goes beyond it: with an offset of 64 it is an unsigned 7-bit number, and the sum of two of its products
/// with 8-bit numbers fits 16 bits.
const LARGEST: f32 = 62.9;

/// Norm that an item's integers are scaled to at most. The norms of both sides share the 15 bits of a sum: 181 each.
const INTEGER_NORM: f32 = 181.0;

/// What holds for the thirty-two items of a panel.
#[derive(Debug, Clone, Copy)]
pub(super) struct PanelBounds {
    /// 1 / a
    pub(super) by_scale: f32,
    /// The largest `|y| + |e|`.
    pub(super) reach: f32,
    /// The largest `|e|`.
    pub(super) error: f32,
    /// The largest `|y|`; panels descend by it.
    pub(super) norm: f32,
}

/// Rows packed for screening.
///
/// Cost: a byte an element, 5 bytes a row beside them.
#[derive(Debug, Clone)]
pub struct Screen {
    /// `pairs_per_panel` a panel.
    pub(super) pairs: Vec<Pairs>,
    pub(super) bounds: Vec<PanelBounds>,
    /// Row numbers by descending norm.
    pub(super) order: Vec<u32>,
    pub(super) width: usize,
    /// The largest norm of a row's integers.
    pub(super) integer_norm: f32,
}

/// Scales below it count as one, and their rows as zeros with an error: quotients would overflow.
pub(super) const SMALLEST_SCALE: f32 = 1e-30;

/// What rounding in f32 may take from a norm of differences, as a share of the row's norm.
pub(super) const ROUNDING: f32 = 4.0 * f32::EPSILON;

/// A norm, rounded up. Sums of eight lanes in f64: too long a row or too small an element for f32 is neither here.
pub(super) fn norm(values: &[f32]) -> f32 {
    let (eights, rest) = values.as_chunks::<8>();
    let mut sums = [0f64; 8];
    for eight in eights {
        for lane in 0..8 {
            sums[lane] += f64::from(eight[lane]) * f64::from(eight[lane]);
        }
    }
    let rest: f64 = rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    ((sums.iter().sum::<f64>() + rest).sqrt() as f32).next_up()
}

/// The integer nearest to `value / scale`, which is at most 2^21.
#[inline(always)]
pub(super) fn nearest(value: f32, scale: f32) -> i32 {
    // Added to a small number it leaves the nearest integer in the low bits; the library's rounding is a call.
    const ROUNDER: f32 = 12_582_912.0;
    ((value / scale + ROUNDER).to_bits() as i32) - ROUNDER.to_bits() as i32
}

impl Screen {
    /// Packs row-major `rows` of `width` elements (padded), all finite.
    ///
    /// With hundreds of elements the bounds grow too loose to gain anything: at 64 it is several times as fast as
    /// computing every product, at 256 as fast, at 512 slower.
    #[must_use]
    pub fn pack(rows: &[f32], width: usize) -> Self {
        let n_rows = rows.len() / width;
        let norms: Vec<f32> = rows.par_chunks_exact(width).map(norm).collect();
        let mut order: Vec<u32> = (0..n_rows as u32).collect();
        order.par_sort_unstable_by(|&a, &b| norms[b as usize].total_cmp(&norms[a as usize]).then(a.cmp(&b)));
        let n_panels = n_rows.div_ceil(PANEL);
        let mut pairs = vec![Pairs::EMPTY; n_panels * width / 2];
        let packed: Vec<(PanelBounds, f32)> = pairs
            .par_chunks_mut(width / 2)
            .zip(order.par_chunks(PANEL))
            .map(|(pairs, numbers)| {
                let row = |number: u32| &rows[number as usize * width..][..width];
                pack_panel(numbers.iter().map(|&number| row(number)), width, pairs)
            })
            .collect();
        let integer_norm = packed.iter().fold(1f32, |most, &(_, norm)| most.max(norm));
        let bounds = packed.into_iter().map(|(bounds, _)| bounds).collect();
        Self { pairs, bounds, order, width, integer_norm }
    }

    /// The pairs of a panel.
    #[inline(always)]
    pub(super) fn panel(&self, panel: usize) -> &[Pairs] {
        &self.pairs[panel * self.width / 2..(panel + 1) * self.width / 2]
    }
}

/// Packs the rows of a panel; returns its bounds and the largest norm of its integers.
fn pack_panel<'a>(
    rows: impl Iterator<Item = &'a [f32]> + Clone,
    width: usize,
    pairs: &mut [Pairs],
) -> (PanelBounds, f32) {
    let mut scale = 0f32;
    for row in rows.clone() {
        let largest = row.iter().fold(0f32, |most, x| most.max(x.abs()));
        scale = scale.max(largest / LARGEST).max(norm(row) / INTEGER_NORM);
    }
    let scale = if scale > SMALLEST_SCALE { scale } else { 1.0 };
    let mut bounds = PanelBounds { by_scale: 1.0 / scale, reach: 0.0, error: 0.0, norm: 0.0 };
    let mut integer_norm = 0f32;
    let (mut errors, mut integers) = (Vec::with_capacity(width), Vec::with_capacity(width));
    for (lane, row) in rows.enumerate() {
        errors.clear();
        integers.clear();
        for (k, &x) in row.iter().enumerate() {
            let integer = nearest(x, scale);
            pairs[k / 2].0[place(lane) + k % 2] = (integer + 64) as u8;
            integers.push(integer as f32);
            errors.push(x - scale * integer as f32);
        }
        let error = norm(&errors) + ROUNDING * norm(row);
        bounds.error = bounds.error.max(error);
        bounds.reach = bounds.reach.max((norm(row) + error).next_up());
        bounds.norm = bounds.norm.max(norm(row));
        integer_norm = integer_norm.max(norm(&integers));
    }
    (bounds, integer_norm)
}
