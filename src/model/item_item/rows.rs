//! The users' rows as the walks over them read them.

use rayon::prelude::*;

use crate::interactions::Csr;

/// A user with more than one in so many of all items has a dense row as well: adding a vector of everything is then
/// cheaper than adding at places.
const DENSE_SHARE: usize = 10;

/// A cell of a user's row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cell {
    pub(super) item: u32,
    /// What it counts as the item that is led to.
    pub(super) follow: f32,
}

/// Rows of cells, and dense rows of the users who have a large part of all items.
pub(super) struct UserRows<'a> {
    starts: &'a [usize],
    cells: Vec<Cell>,
    /// Users ascending, each with a number for every item.
    dense: Vec<(u32, Vec<f32>)>,
    n_items: usize,
}

impl<'a> UserRows<'a> {
    /// Rows of `users`, whose cells count `follow`.
    pub(super) fn of(users: &'a Csr, follow: &[f32]) -> Self {
        let pairs = users.indices.par_iter().zip(follow).with_min_len(1 << 14);
        let cells = pairs.map(|(&item, &follow)| Cell { item, follow }).collect();
        Self { starts: &users.indptr, cells, dense: Vec::new(), n_items: users.n_cols }
    }

    /// Makes the dense rows.
    pub(super) fn add_dense(&mut self) {
        let n_users = self.starts.len().saturating_sub(1) as u32;
        let dense = (0..n_users).filter(|&user| self.n_cells(user) > self.n_items / DENSE_SHARE).map(|user| {
            let mut row = vec![0f32; self.n_items];
            self.row(user).iter().for_each(|cell| row[cell.item as usize] = cell.follow);
            (user, row)
        });
        self.dense = dense.collect();
    }

    #[inline]
    pub(super) fn n_cells(&self, user: u32) -> usize {
        self.starts[user as usize + 1] - self.starts[user as usize]
    }

    /// Where the user's cells start among [`cells`](Self::cells).
    #[inline]
    pub(super) fn start(&self, user: u32) -> usize {
        self.starts[user as usize]
    }

    /// All cells, user by user.
    #[inline]
    pub(super) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The user's cells, items ascending.
    #[inline]
    pub(super) fn row(&self, user: u32) -> &[Cell] {
        &self.cells[self.starts[user as usize]..self.starts[user as usize + 1]]
    }

    /// Which of the dense rows is the user's, if he has one.
    #[inline]
    pub(super) fn dense_of(&self, user: u32) -> Option<u32> {
        if self.n_cells(user) <= self.n_items / DENSE_SHARE {
            return None;
        }
        self.dense.binary_search_by_key(&user, |dense| dense.0).ok().map(|at| at as u32)
    }

    /// A dense row: a number for every item, zero where the user has none.
    #[inline]
    pub(super) fn dense(&self, at: u32) -> &[f32] {
        &self.dense[at as usize].1
    }
}
