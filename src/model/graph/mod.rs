//! `graph`: filters on the graph of users and items.
//!
//! In: the interactions matrix. Out: [`Graph`], a linear filter and an ideal low-pass filter.
//! Refuses: training by gradients; both filters have a closed form.

mod config;
mod filter;
mod spectrum;

use std::{borrow::Cow, ops::Range};

pub use config::{GraphConfig, GraphFilter};

use ndarray::Array2;

use super::{
    Explanation, ItemSimilarity, Model, ModelError, TileShape, TrainEvent, UserBlock, cells,
    recency::Recency,
    sparse_items::{self, SparseItems},
};
use crate::{
    ids::ItemIdx,
    interactions::{Csr, History},
    linalg::{Groups, Isa, Panels, padded, product},
};

/// The square that stands for all directions behind the leading ones, as a share of the last leading one's.
const TAIL: f64 = 0.6;

/// Graph filter based collaborative filtering: a user's score of item j is `sum over his items i of x_ui S_ij`.
///
/// Formula: with X what cells count, D_U and D_I its sums by user and by item, a, b and g the exponents of users, items and
/// scores, and `R = D_U^-a X D_I^-b`, whose leading right singular vectors are V and the squares of its singular values x_1
/// to x_n:
///
/// - `low_pass`: `S = linear_weight R^T R + low_pass_weight D_I^-g V V^T D_I^g` (GF-CF, with all exponents one half);
/// - `ridge`: `S = D_I^-g (c R^T R + V diag(x / (x + l) - c x) V^T) D_I^g` with `l = regularization x_n` and
///   `c = 1 / (0.6 x_n + l)`: what ridge regression of R on itself keeps of each leading direction, and of those behind
///   them as if their x were 0.6 x_n, so that n need not be large.
///
/// Of each row of the linear filter the `neighbours` largest are kept, ties by item.
///
/// Determinism: see `filter` and `spectrum`; the same bits for any number of threads.
/// Cost: training one multiply-add for each pair of cells of each user, and four for each cell, direction and round; a
/// score one for each neighbour of each item of the history, and one for each direction and item.
/// Source: Shen et al. 2021, "How powerful is graph convolution for recommendation?", equation 13.
#[derive(Debug, Clone)]
pub struct Graph {
    config: GraphConfig,
    linear: Csr,
    vectors: Array2<f32>,
    totals: Vec<f32>,
    /// D_I^-g times the scaled vectors, padded rows.
    lead: Vec<f32>,
    /// The same with D_I^g and the filter's sign, and that packed.
    follow: Vec<f32>,
    panels: Panels,
    isa: Isa,
}

impl Graph {
    /// Trains on the rows whose `trains` flag is set.
    ///
    /// # Errors
    /// When a setting is out of range, a weight is not finite and above zero, or the vectors are not found.
    pub fn train(
        config: GraphConfig,
        weights: &Csr,
        trains: &[bool],
        on: &mut dyn FnMut(TrainEvent),
    ) -> Result<Self, ModelError> {
        config.check("model.graph").map_err(ModelError::Config)?;
        cells::check(weights, trains)?;
        let isa = Isa::best();
        let mut users = cells::training_rows(weights, trains, config.weights).into_owned();
        let totals = filter::normalise(&mut users, config.user_exponent, config.item_exponent);
        let items = users.transpose();
        let ridge = config.filter == GraphFilter::Ridge;
        let n_rounds = if ridge || config.low_pass_weight > 0.0 { config.iterations } else { 0 };
        let iterations = n_rounds + 1;
        let mut linear = if ridge {
            let by: Vec<f32> =
                totals.iter().map(|&total| filter::power(f64::from(total), config.score_exponent) as f32).collect();
            filter::linear(&users, &items, &by, config.neighbours)
        } else if config.linear_weight > 0.0 {
            filter::linear(&users, &items, &vec![1.0; totals.len()], config.neighbours)
        } else {
            Csr::empty(weights.n_cols, weights.n_cols)
        };
        on(TrainEvent::Iteration { iteration: 1, iterations, loss: None });
        let n_factors = config.n_factors.min(weights.n_cols);
        let (mut vectors, squares) = if n_rounds > 0 && n_factors > 0 {
            let told = |round| on(TrainEvent::Iteration { iteration: round + 1, iterations, loss: None });
            spectrum::leading(isa, &users, &items, n_factors, n_rounds, config.seed, told)
                .map_err(|source| ModelError::Axes { iteration: 0, source })?
        } else {
            (vec![0.0; weights.n_cols * n_factors], vec![0.0; n_factors])
        };
        let (linear_gain, gains) = gains(&config, &squares);
        linear.values.iter_mut().for_each(|value| *value *= linear_gain);
        for row in vectors.chunks_exact_mut(n_factors.max(1)) {
            row.iter_mut().zip(&gains).for_each(|(value, gain)| *value *= gain);
        }
        let vectors =
            Array2::from_shape_vec((weights.n_cols, n_factors), vectors).expect("a row of vectors for each item");
        Self::from_parts(config, linear, vectors, totals)
    }

    /// A model from filters that were found before.
    ///
    /// Shapes: `linear` is n_items x n_items, its gain within; `vectors` n_items x n_factors, row-major, each column times the
    /// root of its gain's size; `totals` by item.
    ///
    /// # Errors
    /// When the shapes do not fit together or a number is not finite.
    pub fn from_parts(
        config: GraphConfig,
        linear: Csr,
        vectors: Array2<f32>,
        totals: Vec<f32>,
    ) -> Result<Self, ModelError> {
        config.check("model.graph").map_err(ModelError::Config)?;
        sparse_items::check_square(&linear)?;
        let n_items = linear.n_cols;
        for (what, found) in [("rows of the singular vectors", vectors.nrows()), ("totals of items", totals.len())] {
            if found != n_items {
                return Err(ModelError::Shape { what, expected: n_items, found });
            }
        }
        if let Some(item) = (0..n_items).find(|&item| vectors.row(item).iter().any(|value| !value.is_finite())) {
            return Err(ModelError::NotFinite { what: "a singular vector", item });
        }
        if let Some(item) = totals.iter().position(|total| !(total.is_finite() && *total >= 0.0)) {
            return Err(ModelError::NotFinite { what: "the total", item });
        }
        let width = padded(vectors.ncols().max(1));
        let (mut lead, mut follow) = (vec![0f32; n_items * width], vec![0f32; n_items * width]);
        for item in 0..n_items {
            let by = filter::power(f64::from(totals[item]), config.score_exponent);
            // What ridge keeps of a leading direction is less than what the linear filter gives it.
            let sign = if config.filter == GraphFilter::Ridge { -1.0 } else { 1.0 };
            let (left, right) = if totals[item] > 0.0 { (1.0 / by, sign * by) } else { (0.0, 0.0) };
            for (at, &value) in vectors.row(item).iter().enumerate() {
                lead[item * width + at] = (f64::from(value) * left) as f32;
                follow[item * width + at] = (f64::from(value) * right) as f32;
            }
        }
        let panels = Panels::pack(&follow, width);
        Ok(Self { config, linear, vectors, totals, lead, follow, panels, isa: Isa::best() })
    }

    /// The settings it was trained with.
    #[must_use]
    pub fn config(&self) -> &GraphConfig {
        &self.config
    }

    /// The linear filter: row i holds what item i leads to.
    #[must_use]
    pub fn linear(&self) -> &Csr {
        &self.linear
    }

    /// V, n_items x n_factors, each column times the root of its gain's size.
    #[must_use]
    pub fn vectors(&self) -> &Array2<f32> {
        &self.vectors
    }

    /// D_I: the sum of what an item's cells count. With the others all that [`from_parts`](Self::from_parts) needs.
    #[must_use]
    pub fn totals(&self) -> &[f32] {
        &self.totals
    }

    fn width(&self) -> usize {
        self.panels.width()
    }

    fn counts<'a>(&self, history: History<'a>) -> Cow<'a, [f32]> {
        Recency::default().counts(self.config.weights, history)
    }

    fn sparse(&self) -> SparseItems<'_> {
        SparseItems { weights: &self.linear, count: self.config.weights, recency: Recency::default() }
    }

    /// What the low-pass filter makes of one item for another.
    fn low_pass(&self, lead: usize, follow: usize) -> f32 {
        let width = self.width();
        let (a, b) = (&self.lead[lead * width..(lead + 1) * width], &self.follow[follow * width..(follow + 1) * width]);
        a.iter().zip(b).fold(0f32, |sum, (a, b)| a.mul_add(*b, sum))
    }
}

impl Model for Graph {
    fn n_items(&self) -> usize {
        self.linear.n_cols
    }

    fn tile(&self) -> TileShape {
        TileShape { n_users: 24, n_items: usize::MAX }
    }

    fn prepare<'a>(&'a self, histories: &[History<'a>]) -> Box<dyn UserBlock + 'a> {
        let width = self.width();
        let mut folded = vec![0f32; histories.len() * width];
        for (history, folded) in histories.iter().zip(folded.chunks_exact_mut(width)) {
            for (&item, &count) in history.items.iter().zip(self.counts(*history).iter()) {
                let lead = &self.lead[item as usize * width..(item as usize + 1) * width];
                for (sum, &value) in folded.iter_mut().zip(lead) {
                    *sum += count * value;
                }
            }
        }
        Box::new(GraphBlock {
            model: self,
            linear: self.sparse().block(histories),
            folded: Groups::pack(&folded, width),
            scores: Vec::new(),
        })
    }

    fn similarity(&self) -> Option<&dyn ItemSimilarity> {
        Some(self)
    }

    fn explain(&self, history: History<'_>, item: ItemIdx) -> Explanation {
        let mut score = [0f32];
        self.prepare(&[history]).score(item.at()..item.at() + 1, &mut score);
        let mut contributions: Vec<(ItemIdx, f32)> = history
            .items
            .iter()
            .zip(self.counts(history).iter())
            .map(|(&lead, &count)| {
                let linear = sparse_items::between(&self.linear, lead, item.0);
                (ItemIdx(lead), count * (linear + self.low_pass(lead as usize, item.at())))
            })
            .collect();
        contributions.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Explanation { score: score[0], base: 0.0, contributions }
    }
}

/// What the linear filter is multiplied by, and for each direction the root of the size of its gain.
fn gains(config: &GraphConfig, squares: &[f64]) -> (f32, Vec<f32>) {
    match config.filter {
        GraphFilter::LowPass => (config.linear_weight, vec![config.low_pass_weight.sqrt(); squares.len()]),
        GraphFilter::Ridge => {
            // Directions beyond the rank have no square; the last that has one stands for the tail.
            let last = squares.iter().rev().find(|square| **square > 0.0).copied().unwrap_or(1.0);
            let regularization = f64::from(config.regularization) * last;
            let linear = 1.0 / (TAIL * last + regularization);
            let gain = |square: f64| (linear * square - square / (square + regularization)).max(0.0).sqrt() as f32;
            (linear as f32, squares.iter().map(|&square| gain(square)).collect())
        }
    }
}

struct GraphBlock<'a> {
    model: &'a Graph,
    linear: Box<dyn UserBlock + 'a>,
    folded: Groups,
    scores: Vec<f32>,
}

impl UserBlock for GraphBlock<'_> {
    fn n_users(&self) -> usize {
        self.folded.n_rows()
    }

    fn score(&mut self, items: Range<usize>, scores: &mut [f32]) {
        let n = self.n_users() * items.len();
        self.linear.score(items.clone(), scores);
        if self.model.config.filter == GraphFilter::LowPass && self.model.config.low_pass_weight == 0.0 {
            return;
        }
        self.scores.clear();
        self.scores.resize(n, 0.0);
        product(self.model.isa, &self.folded, &self.model.panels, items, &mut self.scores);
        for (score, &more) in scores.iter_mut().zip(&self.scores) {
            *score += more;
        }
    }
}

/// S: what having the item adds to the candidate's score.
impl ItemSimilarity for Graph {
    fn similarities(&self, item: ItemIdx, candidates: &[u32], out: &mut [f32]) {
        sparse_items::similarities(&self.linear, item, candidates, out);
        for (&candidate, out) in candidates.iter().zip(out) {
            *out += self.low_pass(item.at(), candidate as usize);
        }
    }
}

#[cfg(test)]
mod tests;
