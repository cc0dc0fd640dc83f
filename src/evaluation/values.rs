//! The metrics of every test user.

use rayon::prelude::*;

use super::{Gains, Metric, RankedLists};
use crate::interactions::Csr;

/// Users measured by one task.
const BLOCK: usize = 1_024;

/// Metrics of all test users at all k.
///
/// Shapes: n_users x n_ks x [`Metric::ALL`], row-major; a user's row has [`width`](Self::width) numbers.
/// Cost: 56 bytes a user and k.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UserValues {
    /// The cut-offs, in the order they were asked for.
    pub ks: Vec<usize>,
    values: Vec<f64>,
}

impl UserValues {
    /// Measures every list against its row of `relevant`.
    ///
    /// Shapes: `relevant` has one ascending row a list.
    /// Determinism: users are measured alone; the number of threads does not matter.
    ///
    /// # Panics
    /// When there are not as many rows as lists.
    #[must_use]
    pub fn measure(lists: &RankedLists, relevant: &Csr, ks: &[usize]) -> Self {
        assert_eq!(lists.len(), relevant.n_rows(), "one row of relevant items a list");
        let width = ks.len() * Metric::ALL.len();
        let gains = Gains::new(ks.iter().copied().max().unwrap_or(0));
        let mut values = vec![0.0; lists.len() * width];
        if width > 0 {
            values.par_chunks_mut(BLOCK * width).enumerate().for_each(|(block, rows)| {
                for (user, row) in (block * BLOCK..).zip(rows.chunks_exact_mut(width)) {
                    gains.measure(lists.list(user), relevant.columns(user), ks, row);
                }
            });
        }
        Self { ks: ks.to_vec(), values }
    }

    /// Numbers a user: k by k, within a k metric by metric.
    #[must_use]
    pub fn width(&self) -> usize {
        self.ks.len() * Metric::ALL.len()
    }

    /// Number of users.
    #[must_use]
    pub fn n_users(&self) -> usize {
        self.values.len().checked_div(self.width()).unwrap_or(0)
    }

    /// All numbers of one user.
    #[inline]
    #[must_use]
    pub fn row(&self, user: usize) -> &[f64] {
        &self.values[user * self.width()..(user + 1) * self.width()]
    }

    /// One number: a user's `metric` at the k with number `k_at`.
    #[must_use]
    pub fn get(&self, user: usize, k_at: usize, metric: Metric) -> f64 {
        self.row(user)[k_at * Metric::ALL.len() + metric as usize]
    }

    /// The mean of `metric` at the k with number `k_at` over `users`; zero without users.
    ///
    /// Determinism: summed in the order of `users`.
    #[must_use]
    pub fn mean(&self, users: impl IntoIterator<Item = usize>, k_at: usize, metric: Metric) -> f64 {
        let (n, sum) =
            users.into_iter().fold((0u64, 0.0), |(n, sum), user| (n + 1, sum + self.get(user, k_at, metric)));
        if n == 0 { 0.0 } else { sum / n as f64 }
    }

    /// The same measures with the users in another order: `order[new]` is the old number.
    #[must_use]
    pub fn reordered(&self, order: &[u32]) -> Self {
        let values = order.iter().flat_map(|&user| self.row(user as usize)).copied().collect();
        Self { ks: self.ks.clone(), values }
    }
}
