//! `blend`: several models on one scale, weighted and summed.
//!
//! In: the interactions, and a model for each part. Out: [`Blend`].
//! Refuses: blends of blends, and ranks in the place of scores.

mod config;
mod standard;

use std::{collections::BTreeMap, ops::Range, sync::Arc};

pub use config::{BlendConfig, BlendPart};

use self::standard::Standard;
use super::{
    Explanation, ItemSimilarity, Model, ModelConfig, ModelError, TileShape, TrainEvent, TrainedModel, UserBlock, train,
};
use crate::{
    ids::ItemIdx,
    interactions::{History, Interactions},
};

/// Memory that a block of users aims at, a thread.
const BLOCK_BYTES: usize = 32 << 20;

/// A sum of models: a user's score of item j is `sum over parts p of weight_p (s_pj - mean_p) / deviation_p`, mean and
/// deviation being those of the part's scores of this user over all items.
///
/// A part that gives the user one score for everything counts as zeros. Where every part is a model that says 0 or less
/// of what nothing leads to, an item of which all parts say so gets negative infinity: it is no recommendation.
///
/// Determinism: the sums over the row have fixed lanes; parts are added in their order.
/// Cost: the parts', whole rows of them: 8 bytes an item and user of a block, about 32 MB a thread (8 users at least).
#[derive(Debug, Clone)]
pub struct Blend {
    parts: Vec<(f32, Arc<TrainedModel>)>,
}

impl Blend {
    /// Trains one part after the other; each is told as one iteration.
    ///
    /// # Errors
    /// When a part fails, or there is none.
    pub fn train(
        config: &BlendConfig,
        interactions: &Interactions,
        on: &mut dyn FnMut(TrainEvent),
    ) -> Result<Self, ModelError> {
        let iterations = config.parts.len();
        Self::train_with(config, |at, part| {
            let model = train(part, interactions, &mut |_| ())?;
            on(TrainEvent::Iteration { iteration: at + 1, iterations, loss: None });
            Ok(Arc::new(model))
        })
    }

    /// The same with parts that `part` trains, or has: it is asked for each by its place, from 0, and its settings.
    ///
    /// # Errors
    /// When `part` fails, or there is none.
    pub fn train_with<F>(config: &BlendConfig, mut part: F) -> Result<Self, ModelError>
    where
        F: FnMut(usize, &ModelConfig) -> Result<Arc<TrainedModel>, ModelError>,
    {
        config.check("model.blend").map_err(ModelError::Config)?;
        let mut parts = Vec::with_capacity(config.parts.len());
        for (at, own) in config.parts.iter().enumerate() {
            let failed = |source| ModelError::Part { at, kind: own.kind.name(), source: Box::new(source) };
            parts.push((own.weight, part(at, &own.model()).map_err(failed)?));
        }
        Self::from_parts(parts)
    }

    /// A model of weights and models that were trained before.
    ///
    /// # Errors
    /// When there is none, or they know different numbers of items.
    pub fn from_parts(parts: Vec<(f32, Arc<TrainedModel>)>) -> Result<Self, ModelError> {
        let Some((_, first)) = parts.first() else {
            return Err(ModelError::Config("model.blend.parts must have at least one part".into()));
        };
        let expected = first.as_model().n_items();
        if let Some(found) =
            parts.iter().map(|(_, part)| part.as_model().n_items()).find(|&n_items| n_items != expected)
        {
            return Err(ModelError::Shape { what: "items of the parts of a blend", expected, found });
        }
        Ok(Self { parts })
    }

    /// Weights and models, in order.
    #[must_use]
    pub fn parts(&self) -> &[(f32, Arc<TrainedModel>)] {
        &self.parts
    }

    /// Whether an item of which no part says more than its bound is no recommendation.
    fn is_bounded(&self) -> bool {
        self.parts.iter().all(|(_, part)| part.min_score().is_some())
    }
}

impl Model for Blend {
    fn n_items(&self) -> usize {
        self.parts[0].1.as_model().n_items()
    }

    fn tile(&self) -> TileShape {
        TileShape { n_users: (BLOCK_BYTES / (8 * self.n_items().max(1))).clamp(8, 96), n_items: usize::MAX }
    }

    fn prepare<'a>(&'a self, histories: &[History<'a>]) -> Box<dyn UserBlock + 'a> {
        Box::new(BlendBlock::new(self, histories))
    }

    /// That of the part with the largest weight that has one.
    fn similarity(&self) -> Option<&dyn ItemSimilarity> {
        let mut best: Option<(f32, &dyn ItemSimilarity)> = None;
        for (weight, part) in &self.parts {
            if let Some(similarity) = part.as_model().similarity()
                && best.is_none_or(|(largest, _)| *weight > largest)
            {
                best = Some((*weight, similarity));
            }
        }
        best.map(|(_, similarity)| similarity)
    }

    /// A part's contributions count times its weight over its deviation; what its mean and its own base account for is in
    /// `base`.
    fn explain(&self, history: History<'_>, item: ItemIdx) -> Explanation {
        let n_items = self.n_items();
        let mut block = BlendBlock::new(self, &[history]);
        let (mut blended, mut scores) = (vec![0f32; n_items], vec![0f32; n_items]);
        block.whole(&mut blended);
        let score = blended[item.at()];
        if score == f32::NEG_INFINITY {
            return Explanation { score, base: score, contributions: Vec::new() };
        }
        let mut sums: BTreeMap<u32, f32> = BTreeMap::new();
        for (at, (weight, part)) in self.parts.iter().enumerate() {
            block.part(at, &mut scores);
            let scale = Standard::of(&scores, *weight).scale;
            for (cause, contribution) in part.as_model().explain(history, item).contributions {
                *sums.entry(cause.0).or_default() += scale * contribution;
            }
        }
        let mut contributions: Vec<(ItemIdx, f32)> =
            sums.into_iter().map(|(item, part)| (ItemIdx(item), part)).collect();
        contributions.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let explained = contributions.iter().fold(0f64, |sum, &(_, part)| sum + f64::from(part));
        Explanation { score, base: (f64::from(score) - explained) as f32, contributions }
    }
}

struct BlendBlock<'a> {
    model: &'a Blend,
    n_users: usize,
    parts: Vec<Box<dyn UserBlock + 'a>>,
    /// Whole rows, kept once a part of them was asked for.
    rows: Option<Vec<f32>>,
    /// One part's scores: whole rows, and a tile of them.
    scores: Vec<f32>,
    tile: Vec<f32>,
}

impl<'a> BlendBlock<'a> {
    fn new(model: &'a Blend, histories: &[History<'a>]) -> Self {
        let parts = model.parts.iter().map(|(_, part)| part.as_model().prepare(histories)).collect();
        Self { model, n_users: histories.len(), parts, rows: None, scores: Vec::new(), tile: Vec::new() }
    }

    /// Writes whole rows of one part's scores, tile by tile as the part likes it.
    fn part(&mut self, at: usize, scores: &mut [f32]) {
        let n_items = self.model.n_items();
        let width = self.model.parts[at].1.as_model().tile().n_items.clamp(1, n_items.max(1));
        if width == n_items {
            self.parts[at].score(0..n_items, scores);
            return;
        }
        for start in (0..n_items).step_by(width) {
            let range = start..n_items.min(start + width);
            self.tile.clear();
            self.tile.resize(self.n_users * range.len(), 0.0);
            self.parts[at].score(range.clone(), &mut self.tile);
            for (row, tile) in scores.chunks_exact_mut(n_items).zip(self.tile.chunks_exact(range.len())) {
                row[range.clone()].copy_from_slice(tile);
            }
        }
    }

    /// Writes whole rows of blended scores.
    fn whole(&mut self, blended: &mut [f32]) {
        let n_items = self.model.n_items();
        blended.fill(0.0);
        let mut scores = std::mem::take(&mut self.scores);
        scores.clear();
        scores.resize(blended.len(), 0.0);
        let bounded = self.model.is_bounded();
        let mut leads = vec![false; if bounded { blended.len() } else { 0 }];
        for (at, (weight, part)) in self.model.parts.iter().enumerate() {
            self.part(at, &mut scores);
            for (blended, scores) in blended.chunks_exact_mut(n_items.max(1)).zip(scores.chunks_exact(n_items.max(1))) {
                let standard = Standard::of(scores, *weight);
                for (blended, &score) in blended.iter_mut().zip(scores) {
                    *blended += standard.of_score(score);
                }
            }
            if let Some(bound) = part.min_score() {
                for (leads, &score) in leads.iter_mut().zip(&scores) {
                    *leads |= score > bound || score.is_nan();
                }
            }
        }
        for (blended, _) in blended.iter_mut().zip(&leads).filter(|(_, leads)| !**leads) {
            *blended = f32::NEG_INFINITY;
        }
        self.scores = scores;
    }
}

impl UserBlock for BlendBlock<'_> {
    fn n_users(&self) -> usize {
        self.n_users
    }

    fn score(&mut self, items: Range<usize>, scores: &mut [f32]) {
        let n_items = self.model.n_items();
        if items == (0..n_items) {
            self.whole(&mut scores[..self.n_users * n_items]);
            return;
        }
        let rows = match self.rows.take() {
            Some(rows) => rows,
            None => {
                let mut rows = vec![0f32; self.n_users * n_items];
                self.whole(&mut rows);
                rows
            }
        };
        for (out, row) in scores.chunks_exact_mut(items.len().max(1)).zip(rows.chunks_exact(n_items.max(1))) {
            out.copy_from_slice(&row[items.clone()]);
        }
        self.rows = Some(rows);
    }
}

#[cfg(test)]
mod tests;
