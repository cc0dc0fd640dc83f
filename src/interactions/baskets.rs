//! Baskets: what a user bought at one go.

use super::time::Stamp;

/// Baskets with more distinct items than this say nothing about which items go together (a reseller's order), and their
/// pairs would cost more than all others; they are counted and left out.
pub const MAX_BASKET_ITEMS: usize = 1_000;

/// The baskets of a bucket of users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Baskets {
    /// End of each basket in `items`.
    pub ends: Vec<usize>,
    /// Places in the table of all items, ascending and distinct within a basket.
    pub items: Vec<u32>,
    /// Baskets left out because they had more than [`MAX_BASKET_ITEMS`] items.
    pub n_too_large: u64,
}

impl Baskets {
    /// The baskets, each with its distinct items.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> + '_ {
        self.ends.iter().scan(0, |start, &end| Some(&self.items[std::mem::replace(start, end)..end]))
    }

    /// Splits one user's purchases (taken out, in any order) into baskets: a purchase belongs to the basket of the one
    /// before it when it is at most `gap` seconds later.
    pub(super) fn add_user(&mut self, purchases: &mut Vec<(Stamp, u32)>, gap: u32) {
        purchases.sort_unstable();
        for basket in purchases.chunk_by(|a, b| b.0.0 - a.0.0 <= gap) {
            let start = self.items.len();
            self.items.extend(basket.iter().map(|&(_, item)| item));
            self.items[start..].sort_unstable();
            let mut kept = start;
            for at in start..self.items.len() {
                if kept == start || self.items[kept - 1] != self.items[at] {
                    self.items[kept] = self.items[at];
                    kept += 1;
                }
            }
            if kept - start > MAX_BASKET_ITEMS {
                self.n_too_large += 1;
                kept = start;
            } else {
                self.ends.push(kept);
            }
            self.items.truncate(kept);
        }
        purchases.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basket_ends_where_the_next_purchase_is_later_than_the_gap() {
        let mut baskets = Baskets::default();
        let mut purchases = vec![(Stamp(100), 7), (Stamp(10), 3), (Stamp(160), 3), (Stamp(10), 3), (Stamp(221), 1)];
        baskets.add_user(&mut purchases, 60);
        assert!(purchases.is_empty());
        baskets.add_user(&mut vec![(Stamp(5), 9)], 60);
        assert_eq!(baskets.iter().collect::<Vec<_>>(), [&[3][..], &[3, 7], &[1], &[9]]);
    }

    #[test]
    fn a_resellers_order_is_counted_and_left_out() {
        let mut baskets = Baskets::default();
        let mut purchases: Vec<_> = (0..=MAX_BASKET_ITEMS as u32).map(|item| (Stamp(1), item)).collect();
        purchases.push((Stamp(500), 4));
        baskets.add_user(&mut purchases, 60);
        assert_eq!(baskets, Baskets { ends: vec![1], items: vec![4], n_too_large: 1 });
    }
}
