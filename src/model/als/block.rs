//! Blocks of folded-in users.

use std::ops::Range;

use super::{
    Als,
    exact::Exact,
    fixed::{Cells, Fixed},
};
use crate::{
    interactions::History,
    linalg::{Groups, Isa, Simd, Task},
    model::{CellWeight, PackedItems, UserBlock},
};

/// Users whose factors were solved from their histories.
pub(super) struct AlsBlock<'a> {
    model: &'a Als,
    /// Row-major, in the principal axes.
    factors: Vec<f32>,
    groups: Groups,
}

impl<'a> AlsBlock<'a> {
    /// Folds the users in, exactly: a user's factors depend on his history and the model alone.
    pub(super) fn new(model: &'a Als, histories: &[History<'_>]) -> Self {
        let width = model.spectrum.len();
        let factors = fold_in(model.isa, &model.fixed(), model.config.weights, histories);
        let groups = Groups::pack(&factors, width);
        Self { model, factors, groups }
    }
}

impl UserBlock for AlsBlock<'_> {
    fn n_users(&self) -> usize {
        self.groups.n_rows()
    }

    fn score(&mut self, items: Range<usize>, scores: &mut [f32]) {
        self.model.packed.score(self.model.isa, &self.groups, items, scores);
    }

    fn search(&mut self, bounds: &mut [f32], take: &mut dyn FnMut(usize, u32, f32) -> f32) -> bool {
        self.model.packed.screen(self.model.isa, &self.factors, bounds, take)
    }

    fn search_among(
        &mut self,
        items: &PackedItems,
        bounds: &mut [f32],
        take: &mut dyn FnMut(usize, u32, f32) -> f32,
    ) -> bool {
        if !items.screen(self.model.isa, &self.factors, bounds, take) {
            items.compute(self.model.isa, &self.groups, bounds, take);
        }
        true
    }
}

/// Factors of users against the fixed item factors, row-major in the principal axes; zeros for an empty history.
pub(super) fn fold_in(isa: Isa, fixed: &Fixed<'_>, count: CellWeight, histories: &[History<'_>]) -> Vec<f32> {
    let mut factors = vec![0f32; histories.len() * fixed.width()];
    isa.run(FoldIn { fixed, count, histories, factors: &mut factors });
    factors
}

struct FoldIn<'a, 'f> {
    fixed: &'a Fixed<'f>,
    count: CellWeight,
    histories: &'a [History<'a>],
    factors: &'a mut [f32],
}

impl Task for FoldIn<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut exact = Exact::default();
        let mut counts = Vec::new();
        for (history, x) in self.histories.iter().zip(self.factors.chunks_exact_mut(self.fixed.width())) {
            counts.clear();
            for &weight in history.weights {
                counts.push(self.count.of(weight));
            }
            let cells = Cells::alone(History { weights: &counts, ..*history });
            exact.solve(simd, self.fixed, cells, x);
        }
    }
}
