//! From blocks of rows to one matrix.

use rayon::prelude::*;

use super::build::Neighbours;
use crate::interactions::Csr;

/// Cells that are reserved at most before any are known; memory that is never written costs nothing.
const MAX_RESERVED: u64 = 1 << 27;

/// The matrix as it grows.
pub(super) struct Gather {
    /// The first `indptr.last()` cells of the next two count.
    indices: Vec<u32>,
    values: Vec<f32>,
    indptr: Vec<usize>,
    /// Blocks for the next rows: fresh memory costs more than what is done with it.
    used: Vec<Neighbours>,
}

impl Gather {
    /// For rows of at most `most` cells, and no more than each one's number of products.
    pub(super) fn new(n_products: &[u64], most: usize) -> Self {
        let n_cells = n_products.iter().map(|&n| n.min(most as u64)).sum::<u64>().min(MAX_RESERVED) as usize;
        Self { indices: vec![0; n_cells], values: vec![0.0; n_cells], indptr: vec![0], used: Vec::new() }
    }

    /// So many empty blocks.
    pub(super) fn blocks(&mut self, n: usize) -> Vec<Neighbours> {
        let mut blocks = std::mem::take(&mut self.used);
        blocks.resize_with(n, Neighbours::default);
        for block in &mut blocks {
            block.ends.clear();
            block.items.clear();
            block.values.clear();
        }
        blocks
    }

    /// Appends the blocks' rows, in order.
    pub(super) fn append(&mut self, blocks: Vec<Neighbours>) {
        let mut start = self.indptr.last().copied().unwrap_or_default();
        let end = start + blocks.iter().map(|block| block.items.len()).sum::<usize>();
        if end > self.indices.len() {
            self.indices.resize(end.max(self.indices.len() / 2 * 3), 0);
            self.values.resize(self.indices.len(), 0.0);
        }
        let (mut indices, mut values) = (&mut self.indices[start..end], &mut self.values[start..end]);
        let mut parts = Vec::with_capacity(blocks.len());
        for block in &blocks {
            self.indptr.extend(block.ends.iter().map(|&end| start + end));
            start += block.items.len();
            let (own_indices, own_values);
            (own_indices, indices) = indices.split_at_mut(block.items.len());
            (own_values, values) = values.split_at_mut(block.items.len());
            parts.push((block, own_indices, own_values));
        }
        parts.into_par_iter().for_each(|(block, indices, values)| {
            indices.copy_from_slice(&block.items);
            values.copy_from_slice(&block.values);
        });
        self.used = blocks;
    }

    /// All rows.
    pub(super) fn matrix(self, n_cols: usize) -> Csr {
        let Self { mut indices, mut values, indptr, .. } = self;
        let n_cells = indptr.last().copied().unwrap_or_default();
        indices.truncate(n_cells);
        values.truncate(n_cells);
        indices.shrink_to_fit();
        values.shrink_to_fit();
        Csr { indptr, indices, values, n_cols, ..Csr::default() }
    }
}
