//! Carts: what was added and neither bought since nor taken out.

use super::{config::Role, rows::Says, time::Stamp};

/// What lies in the carts of a bucket's users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carts {
    /// n_users + 1 offsets.
    pub offsets: Vec<usize>,
    /// Last added first; ties by item.
    pub entries: Vec<CartEntry>,
}

/// An item in a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CartEntry {
    /// Place in the table of all items.
    pub item: u32,
    /// When it was last added.
    pub added: Stamp,
    /// Pieces, in thousandths.
    pub quantity: u64,
}

/// What an event does to a cart; of one second the adding comes first and the buying last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Add(u32),
    /// So many pieces, or all of them.
    Remove(Option<u32>),
    Buy,
}

/// Follows the cart of one user after the other.
#[derive(Debug, Default)]
pub(super) struct CartKeeper {
    carts: Carts,
    acts: Vec<(Stamp, Act)>,
    start: usize,
}

impl CartKeeper {
    /// An event of the current item.
    pub(super) fn event(&mut self, role: Role, time: Stamp, says: Option<Says>) {
        let act = match role {
            Role::Cart => Act::Add(says.map_or(1_000, |says| says.quantity)),
            Role::RemoveFromCart => Act::Remove(says.map(|says| says.quantity)),
            Role::Purchase => Act::Buy,
            _ => return,
        };
        self.acts.push((time, act));
    }

    /// Ends an item.
    pub(super) fn end_item(&mut self, item: u32) {
        if self.acts.iter().any(|(_, act)| matches!(act, Act::Add(_))) {
            self.acts.sort_unstable();
            let mut held: Option<CartEntry> = None;
            for &(time, act) in &self.acts {
                held = match act {
                    Act::Add(pieces) => {
                        let before = held.map_or(0, |entry| entry.quantity);
                        Some(CartEntry { item, added: time, quantity: before + u64::from(pieces) })
                    }
                    Act::Remove(Some(pieces)) => held.and_then(|entry| {
                        let quantity = entry.quantity.checked_sub(u64::from(pieces)).filter(|left| *left > 0)?;
                        Some(CartEntry { quantity, ..entry })
                    }),
                    Act::Remove(None) | Act::Buy => None,
                };
            }
            self.carts.entries.extend(held.filter(|entry| entry.quantity > 0));
        }
        self.acts.clear();
    }

    /// Ends a user.
    pub(super) fn end_user(&mut self) {
        self.carts.entries[self.start..].sort_unstable_by_key(|entry| (std::cmp::Reverse(entry.added), entry.item));
        self.start = self.carts.entries.len();
        self.carts.offsets.push(self.start);
    }

    pub(super) fn finish(mut self) -> Carts {
        self.carts.offsets.insert(0, 0);
        self.carts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cart(events: &[(u32, Role, u32, Option<u32>)]) -> Vec<(u32, u32, u64)> {
        let mut keeper = CartKeeper::default();
        for item in 0..10 {
            for &(_, role, time, pieces) in events.iter().filter(|event| event.0 == item) {
                let says = pieces.map(|pieces| Says { value: None, quantity: pieces * 1_000, order: 0 });
                keeper.event(role, Stamp(time), says);
            }
            keeper.end_item(item);
        }
        keeper.end_user();
        let carts = keeper.finish();
        assert_eq!(carts.offsets, [0, carts.entries.len()]);
        carts.entries.iter().map(|entry| (entry.item, entry.added.0, entry.quantity)).collect()
    }

    #[test]
    fn what_was_bought_or_taken_out_is_gone() {
        use Role::{Cart, Purchase, RemoveFromCart, View};
        let events = [
            (0, Cart, 5, None),
            (1, Cart, 5, None),
            (1, Purchase, 6, None),
            (2, Cart, 5, None),
            (2, RemoveFromCart, 9, None),
            (3, Purchase, 2, None),
            (3, Cart, 7, Some(3)),
            (3, Cart, 8, None),
            (4, View, 9, None),
            (5, Cart, 5, Some(3)),
            (5, RemoveFromCart, 6, Some(2)),
            (6, Cart, 5, Some(2)),
            (6, RemoveFromCart, 6, Some(2)),
            // Of one second the buying counts last, whatever comes first here.
            (7, Purchase, 5, None),
            (7, Cart, 5, None),
        ];
        assert_eq!(cart(&events), [(3, 8, 4_000), (0, 5, 1_000), (5, 5, 1_000)]);
    }
}
