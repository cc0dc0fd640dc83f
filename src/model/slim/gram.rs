//! Inner products of items, those that are not zero.

use rayon::prelude::*;

use super::config::SlimConfig;
use crate::{interactions::Csr, model::ModelError};

/// Items that a thread takes at once.
const CHUNK_ITEMS: usize = 16;

/// The memory is looked at so many times.
const CHECKS: usize = 64;

/// `X^T X`: the diagonal, and the rest as sparse rows.
pub(super) struct Gram {
    pub(super) diagonal: Vec<f32>,
    pub(super) rows: Csr,
}

impl Gram {
    /// Inner products over `users` (rows of cells).
    ///
    /// Determinism: each sums its users in ascending order, on one thread.
    /// Cost: one multiply-add for each pair of cells of each user; 8 bytes a pair of items, both ways.
    pub(super) fn of(config: &SlimConfig, users: &Csr) -> Result<Self, ModelError> {
        let items = users.transpose();
        let n_items = items.n_rows();
        let mut gram = Self {
            diagonal: Vec::with_capacity(n_items),
            rows: Csr { indptr: vec![0], n_cols: n_items, ..Csr::default() },
        };
        let step = n_items.div_ceil(CHECKS).next_multiple_of(CHUNK_ITEMS).max(CHUNK_ITEMS);
        for start in (0..n_items).step_by(step) {
            let end = n_items.min(start + step);
            let rows: Vec<(f32, Vec<(u32, f32)>)> = (start..end)
                .into_par_iter()
                .with_max_len(CHUNK_ITEMS)
                .map_init(|| Sums::new(n_items), |sums, item| sums.row(users, &items, item, config.min_pair_users))
                .collect();
            for (diagonal, row) in rows {
                gram.diagonal.push(diagonal);
                gram.rows.indices.extend(row.iter().map(|cell| cell.0));
                gram.rows.values.extend(row.iter().map(|cell| cell.1));
                gram.rows.indptr.push(gram.rows.indices.len());
            }
            let bytes = 8 * gram.rows.n_cells() as u64;
            if bytes > config.memory_budget_mib << 20 {
                return Err(ModelError::Memory {
                    what: format!("slim for {n_items} items ({end} of them took {} MiB)", bytes >> 20),
                    needed_mib: ((bytes as f64 * n_items as f64 / end as f64) as u64).div_ceil(1 << 20),
                    key: "model.slim.memory_budget_mib",
                    budget_mib: config.memory_budget_mib,
                    instead: "or raise model.slim.min_pair_users or interactions.min_users_per_item",
                });
            }
        }
        Ok(gram)
    }
}

/// A thread's dense row of sums.
struct Sums {
    sums: Vec<(f32, u32)>,
    touched: Vec<u32>,
}

impl Sums {
    fn new(n_items: usize) -> Self {
        Self { sums: vec![(0.0, 0); n_items], touched: Vec::new() }
    }

    /// An item's own product, and those with others in ascending order.
    fn row(&mut self, users: &Csr, items: &Csr, item: usize, min_pair_users: u32) -> (f32, Vec<(u32, f32)>) {
        let own = items.row(item);
        for (&user, &weight) in own.items.iter().zip(own.weights) {
            let row = users.row(user as usize);
            for (&other, &value) in row.items.iter().zip(row.weights) {
                let (sum, n_users) = &mut self.sums[other as usize];
                if *n_users == 0 {
                    self.touched.push(other);
                }
                *sum += weight * value;
                *n_users += 1;
            }
        }
        self.touched.sort_unstable();
        let mut diagonal = 0.0;
        let mut row = Vec::with_capacity(self.touched.len());
        for other in self.touched.drain(..) {
            let (sum, n_users) = std::mem::take(&mut self.sums[other as usize]);
            if other as usize == item {
                diagonal = sum;
            } else if n_users >= min_pair_users {
                row.push((other, sum));
            }
        }
        (diagonal, row)
    }
}
