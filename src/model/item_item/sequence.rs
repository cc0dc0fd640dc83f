//! Which item came after which.

use super::config::ItemItemConfig;
use crate::interactions::Csr;

/// Places of cells in their user's order of time, and what a pair in order counts more.
pub(super) struct Sequence {
    /// By cell of the users' rows: how many of the user's items are older.
    follow: Vec<u32>,
    /// The same by cell of the items' rows (the transpose).
    lead: Vec<u32>,
    window: u32,
    factor: f32,
}

impl Sequence {
    /// Places of `users` (rows of cells with times) and `items` (its transpose); `None` where nobody asks.
    pub(super) fn of(config: &ItemItemConfig, users: &Csr, items: &Csr) -> Option<Self> {
        if config.sequence_weight == 0.0 {
            return None;
        }
        let mut follow = Vec::with_capacity(users.n_cells());
        let mut lead = vec![0u32; items.n_cells()];
        let mut next = items.indptr.clone();
        let mut order = Vec::new();
        for user in 0..users.n_rows() {
            let row = users.row(user);
            order.clear();
            order.extend_from_slice(row.times);
            order.sort_unstable();
            for (&item, time) in row.items.iter().zip(row.times) {
                let place = order.partition_point(|other| other < time) as u32;
                follow.push(place);
                // Users ascend within an item's row, as they do here.
                let at = &mut next[item as usize];
                lead[*at] = place;
                *at += 1;
            }
        }
        Some(Self { follow, lead, window: config.sequence_window, factor: 1.0 + config.sequence_weight })
    }

    /// What the product of a cell of an item's row and one of the same user's row counts.
    #[inline]
    pub(super) fn factor(&self, lead: usize, follow: usize) -> f32 {
        let later = self.follow[follow].wrapping_sub(self.lead[lead]);
        if (1..=self.window).contains(&later) { self.factor } else { 1.0 }
    }
}
