//! Mock models and naive orders for the tests of this folder.

use std::{cmp::Ordering, ops::Range};

use proptest::prelude::*;

use crate::{
    ids::ItemIdx,
    interactions::{Csr, History},
    model::{Explanation, ItemSimilarity, Model, TileShape, UserBlock},
};

/// Scores that meet often, and all the odd ones.
pub(super) fn any_score() -> impl Strategy<Value = f32> {
    prop_oneof![
        6 => (-4i8..5).prop_map(f32::from),
        2 => -1.0f32..1.0,
        1 => prop::sample::select(vec![
            f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1e-45, -1e-45, 1e-40, f32::MAX, f32::MIN,
        ]),
    ]
}

/// The house order on (item, score), written down as plainly as it gets.
pub(super) fn naive_order(a: &(u32, f32), b: &(u32, f32)) -> Ordering {
    b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0))
}

/// A model that reads its scores from a table. A history's first weight is the table's row plus one.
pub(super) struct TableModel {
    pub(super) scores: Vec<Vec<f32>>,
    pub(super) n_items: usize,
    pub(super) tile: TileShape,
    pub(super) similarity: Option<TableSimilarity>,
    /// Whether its blocks can be visited.
    pub(super) visits: bool,
}

impl TableModel {
    pub(super) fn new(scores: Vec<Vec<f32>>, tile: (usize, usize)) -> Self {
        let n_items = scores.first().map_or(0, Vec::len);
        Self { scores, n_items, tile: TileShape { n_users: tile.0, n_items: tile.1 }, similarity: None, visits: false }
    }

    fn row(&self, history: History<'_>) -> Vec<f32> {
        match history.weights.first() {
            Some(weight) => self.scores[*weight as usize - 1].clone(),
            None => vec![0.0; self.n_items],
        }
    }
}

struct TableBlock {
    rows: Vec<Vec<f32>>,
    visits: bool,
}

impl Model for TableModel {
    fn n_items(&self) -> usize {
        self.n_items
    }

    fn tile(&self) -> TileShape {
        self.tile
    }

    fn prepare<'a>(&'a self, histories: &[History<'a>]) -> Box<dyn UserBlock + 'a> {
        assert!(histories.len() <= self.tile.n_users.max(1), "a block is as large as the model's tile at most");
        let rows = histories.iter().map(|history| self.row(*history)).collect();
        Box::new(TableBlock { rows, visits: self.visits })
    }

    fn similarity(&self) -> Option<&dyn ItemSimilarity> {
        self.similarity.as_ref().map(|similarity| similarity as &dyn ItemSimilarity)
    }

    fn explain(&self, history: History<'_>, item: ItemIdx) -> Explanation {
        let score = self.row(history)[item.at()];
        Explanation { score, base: score, contributions: Vec::new() }
    }
}

impl UserBlock for TableBlock {
    fn n_users(&self) -> usize {
        self.rows.len()
    }

    fn score(&mut self, items: Range<usize>, scores: &mut [f32]) {
        assert_eq!(scores.len(), self.rows.len() * items.len());
        for (row, out) in self.rows.iter().zip(scores.chunks_exact_mut(items.len())) {
            out.copy_from_slice(&row[items.clone()]);
        }
    }

    fn visit(&mut self, user: usize, mut above: f32, without: &[u32], take: &mut dyn FnMut(u32, f32) -> f32) -> bool {
        // Backwards: the order is free, and this is the worst one for ties.
        for (item, &score) in self.rows[user].iter().enumerate().rev().filter(|_| self.visits) {
            let item = item as u32;
            let passes = score.is_nan() || score > above;
            if passes && score != 0.0 && !without.contains(&item) {
                above = take(item, score);
            }
        }
        self.visits
    }
}

/// Similarities from a table.
pub(super) struct TableSimilarity(pub(super) Vec<Vec<f32>>);

impl ItemSimilarity for TableSimilarity {
    fn similarities(&self, item: ItemIdx, candidates: &[u32], out: &mut [f32]) {
        assert!(candidates.is_sorted());
        for (&candidate, out) in candidates.iter().zip(out) {
            *out = self.0[item.at()][candidate as usize];
        }
    }
}

/// A matrix from rows of (column, value), ascending.
pub(super) fn matrix(rows: &[Vec<(u32, f32)>], n_cols: usize) -> Csr {
    let mut csr = Csr { indptr: vec![0], n_cols, ..Csr::default() };
    for row in rows {
        csr.indices.extend(row.iter().map(|cell| cell.0));
        csr.values.extend(row.iter().map(|cell| cell.1));
        csr.indptr.push(csr.indices.len());
    }
    csr
}

/// A pattern from rows of ascending columns.
pub(super) fn pattern(rows: &[Vec<u32>], n_cols: usize) -> Csr {
    let cells: Vec<Vec<(u32, f32)>> = rows.iter().map(|row| row.iter().map(|&item| (item, 0.0)).collect()).collect();
    Csr { values: Vec::new(), ..matrix(&cells, n_cols) }
}
