//! Scores of few items: only what the history's items lead to is looked at.

use std::cell::Cell;

use super::prefetch::prefetch;
use crate::{
    interactions::Csr,
    linalg::{Isa, Simd, Task},
};

/// With neighbours of at least one in so many of all items, all scores are looked at, with vectors.
const SPREAD_SHARE: usize = 3;

/// Scores that are compared before the first branch.
const LANES: usize = 32;

thread_local! {
    /// The thread's row, all zero. A block has few users, and a fresh row for each would cost more than their scores.
    static ROW: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// A row with a place for every item, all zero between two users.
pub(super) struct SparseScores {
    sums: Vec<f32>,
}

impl SparseScores {
    /// The thread's row; it goes back when this is dropped.
    pub(super) fn borrow(n_items: usize) -> Self {
        let mut sums = ROW.take();
        sums.resize(n_items, 0.0);
        Self { sums }
    }

    /// [`UserBlock::visit`](super::UserBlock::visit) for the user with `history`, whose items count `counts`.
    pub(super) fn visit(
        &mut self,
        weights: &Csr,
        history: &[u32],
        counts: &[f32],
        mut above: f32,
        without: &[u32],
        take: &mut dyn FnMut(u32, f32) -> f32,
    ) {
        let sums = self.sums.as_mut_slice();
        let range = |lead: u32| weights.indptr[lead as usize]..weights.indptr[lead as usize + 1];
        let mut n_neighbours = 0;
        for (at, (&lead, &count)) in history.iter().zip(counts).enumerate() {
            if let Some(&later) = history.get(at + 1) {
                prefetch(&weights.indices[range(later)]);
                prefetch(&weights.values[range(later)]);
            }
            let cells = range(lead);
            n_neighbours += cells.len();
            for (&follow, &value) in weights.indices[cells.clone()].iter().zip(&weights.values[cells]) {
                sums[follow as usize] += count * value;
            }
        }
        for &item in without {
            if let Some(sum) = sums.get_mut(item as usize) {
                *sum = 0.0;
            }
        }
        if n_neighbours >= sums.len() / SPREAD_SHARE {
            Isa::best().run(VisitAll { sums, above, take });
            return;
        }
        for &lead in history {
            for &follow in &weights.indices[range(lead)] {
                // Zero when the item comes again.
                let sum = std::mem::take(&mut sums[follow as usize]);
                if is_above(sum, above) && sum != 0.0 {
                    above = take(follow, sum);
                }
            }
        }
    }
}

impl Drop for SparseScores {
    fn drop(&mut self) {
        // In a panic it may have been left half done.
        if !std::thread::panicking() {
            ROW.set(std::mem::take(&mut self.sums));
        }
    }
}

/// Above the bound, or NaN.
#[inline(always)]
#[allow(clippy::neg_cmp_op_on_partial_ord, reason = "NaN must come out true")]
fn is_above(sum: f32, above: f32) -> bool {
    !(sum <= above)
}

/// Tells of all sums above the bound that are not zero, and leaves zeros.
struct VisitAll<'a> {
    sums: &'a mut [f32],
    above: f32,
    take: &'a mut dyn FnMut(u32, f32) -> f32,
}

impl Task for VisitAll<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let Self { sums, mut above, take } = self;
        for (first, chunk) in (0u32..).step_by(LANES).zip(sums.chunks_mut(LANES)) {
            let mut n_above = 0u32;
            for &mut sum in &mut *chunk {
                n_above += u32::from(is_above(sum, above));
            }
            if n_above > 0 {
                for (item, &mut sum) in (first..).zip(&mut *chunk) {
                    if is_above(sum, above) && sum != 0.0 {
                        above = take(item, sum);
                    }
                }
            }
            chunk.fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        interactions::History,
        model::{CellWeight, recency::Recency, sparse_items::SparseItems},
    };

    /// Rows of cells, one place in eight taken.
    fn rows(n_rows: usize, n_items: usize, value: BoxedStrategy<f32>) -> impl Strategy<Value = Csr> {
        let cell = prop_oneof![7 => Just(None), 1 => value.prop_map(Some)];
        prop::collection::vec(prop::collection::vec(cell, n_items), n_rows).prop_map(move |rows| {
            let mut csr = Csr { indptr: vec![0], n_cols: n_items, ..Csr::default() };
            for row in rows {
                for (item, value) in (0u32..).zip(row).filter_map(|(item, value)| Some((item, value?))) {
                    csr.indices.push(item);
                    csr.values.push(value);
                }
                csr.indptr.push(csr.indices.len());
            }
            csr
        })
    }

    proptest! {
        #[test]
        fn a_visit_tells_what_the_dense_scores_hold(
            weights in rows(80, 80, prop_oneof![
                4 => (-2i8..4).prop_map(f32::from),
                1 => prop::sample::select(vec![f32::MAX, f32::MIN, 1e-45, -1e-45]),
            ].boxed()),
            users in rows(4, 80, (1u8..4).prop_map(f32::from).boxed()),
            n_known in 0usize..20,
            without in rows(4, 90, Just(1f32).boxed()),
            above in prop::sample::select(vec![0f32, f32::NEG_INFINITY, 1.5]),
        ) {
            let model = SparseItems { weights: &weights, count: CellWeight::Weight, recency: Recency::default() };
            // Short histories lead to few items, long ones to most.
            let history = |user: usize| {
                let row = users.row(user);
                let n = row.items.len().min(if user.is_multiple_of(2) { n_known } else { 2 });
                History { items: &row.items[..n], weights: &row.weights[..n], times: &[] }
            };
            let histories: Vec<History<'_>> = (0..4).map(history).collect();
            let mut block = model.block(&histories);
            let mut dense = vec![f32::NAN; 4 * 80];
            block.score(0..80, &mut dense);
            for user in [3, 0, 2, 1] {
                let told = |item: &u32, score: f32| {
                    (score > above || score.is_nan()) && score != 0.0 && !without.columns(user).contains(item)
                };
                let of_user = (0u32..).zip(&dense[user * 80..][..80]);
                let expected: Vec<(u32, u32)> =
                    of_user.filter(|(item, score)| told(item, **score)).map(|(item, score)| (item, score.to_bits())).collect();
                let mut found = Vec::new();
                let can = block.visit(user, above, without.columns(user), &mut |item, score| {
                    found.push((item, score.to_bits()));
                    above
                });
                found.sort_unstable();
                prop_assert!(can);
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn the_bound_rises_with_what_is_taken() {
        let all = (0..100u32).collect::<Vec<_>>();
        // One item that leads to a few, one that leads to everything.
        for n in [20usize, 100] {
            let mut weights = Csr { indptr: vec![0], n_cols: 100, ..Csr::default() };
            weights.indices.extend(&all[..n]);
            weights.values.extend((1..=n).map(|value| value as f32));
            weights.indptr.extend([n; 100]);
            let model = SparseItems { weights: &weights, count: CellWeight::Weight, recency: Recency::default() };
            let mut block = model.block(&[History { items: &[0], weights: &[1.0], times: &[] }]);
            let mut found = Vec::new();
            block.visit(0, 0.0, &[2], &mut |item, score| {
                found.push(item);
                score + 1.5
            });
            // Scores are 1, 2, ...: each taken lifts the bound above the next.
            let expected: Vec<u32> = [0].into_iter().chain((3..n as u32).step_by(2)).collect();
            assert_eq!(found, expected);
        }
    }
}
