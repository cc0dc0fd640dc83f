//! Orders of users: purchases that belong together.

use super::{
    profiles::{WINDOWS, count_by_window},
    rows::Says,
    time::Stamp,
};

/// Orders that a user needs for his next one to be foretold.
pub const MIN_ORDERS_TO_FORETELL: u32 = 3;

/// What is known of the orders of a bucket's users, by columns.
///
/// An order is the purchases of one order id; purchases without one belong together while each is at most the basket gap
/// later than the one before it. Its time is that of its last purchase.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Orders {
    /// n_users x `WINDOWS.len()`: orders by window.
    pub counts: Vec<u32>,
    /// Time of the first order.
    pub first: Vec<Option<Stamp>>,
    /// Time of the last order.
    pub last: Vec<Option<Stamp>>,
    /// Money of all purchases, refunds not taken off, in ten-thousandths; `None` where no purchase has a price.
    pub spent: Vec<Option<i64>>,
    /// Pieces bought, in thousandths.
    pub pieces: Vec<u64>,
    /// Median of the seconds between one order and the next; `None` with fewer than two.
    pub seconds_between: Vec<Option<f64>>,
}

/// A purchase of one user.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purchase {
    pub(super) time: Stamp,
    pub(super) says: Option<Says>,
}

impl Purchase {
    fn order(&self) -> u64 {
        self.says.map_or(0, |says| says.order)
    }
}

impl Orders {
    /// Orders of all time.
    #[must_use]
    pub fn n_orders(&self, user: usize) -> u32 {
        self.counts[(user + 1) * WINDOWS.len() - 1]
    }

    /// When the user's next order is due.
    ///
    /// Formula: last order + median time between orders; `None` with fewer than [`MIN_ORDERS_TO_FORETELL`]. It may lie in the
    /// past: then the user is overdue.
    #[must_use]
    pub fn next(&self, user: usize) -> Option<Stamp> {
        let (last, between) = (self.last[user]?, self.seconds_between[user]?);
        let seconds = between.round() as u32;
        (self.n_orders(user) >= MIN_ORDERS_TO_FORETELL).then(|| Stamp(last.0.saturating_add(seconds)))
    }

    /// Adds a user by his purchases, in any order; `timed` is false where events carry no time: then there are no orders.
    pub(super) fn add_user(
        &mut self,
        purchases: &mut [Purchase],
        gap: u32,
        as_of: Option<Stamp>,
        times: &mut Vec<Stamp>,
    ) {
        times.clear();
        if as_of.is_some() {
            purchases.sort_unstable_by_key(|purchase| (purchase.order(), purchase.time));
            let is_one =
                |a: &Purchase, b: &Purchase| a.order() == b.order() && (a.order() != 0 || b.time.0 - a.time.0 <= gap);
            times.extend(purchases.chunk_by(is_one).map(|lines| lines[lines.len() - 1].time));
            times.sort_unstable();
        }
        self.counts.extend(count_by_window(times, as_of));
        self.first.push(times.first().copied());
        self.last.push(times.last().copied());
        self.seconds_between.push(median_gap(times));
        let values = purchases.iter().filter_map(|purchase| purchase.says?.value);
        self.spent.push(values.fold(None, |sum, value| Some(sum.unwrap_or(0) + value)));
        let pieces = purchases.iter().map(|purchase| purchase.says.map_or(1_000, |says| u64::from(says.quantity)));
        self.pieces.push(pieces.sum());
    }
}

/// The median of the gaps between ascending times, in seconds; of an even number the mean of the middle two.
fn median_gap(times: &[Stamp]) -> Option<f64> {
    let mut gaps: Vec<u32> = times.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    gaps.sort_unstable();
    let middle = gaps.len() / 2;
    match gaps.len() {
        0 => None,
        n if n % 2 == 1 => Some(f64::from(gaps[middle])),
        _ => Some((f64::from(gaps[middle - 1]) + f64::from(gaps[middle])) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interactions::DAY;

    fn purchase(time: u32, order: u64, value: Option<i64>, quantity: u32) -> Purchase {
        Purchase { time: Stamp(time), says: Some(Says { value, quantity, order }) }
    }

    fn orders(purchases: &[Purchase], as_of: Option<Stamp>) -> Orders {
        let mut orders = Orders::default();
        orders.add_user(&mut purchases.to_vec(), 60, as_of, &mut Vec::new());
        orders
    }

    #[test]
    fn lines_of_an_id_are_one_order_and_purchases_close_together_are() {
        let day = DAY;
        let bought = [
            purchase(10 * day, 7, Some(100), 2_000),
            purchase(12 * day, 7, Some(50), 1_000),
            Purchase { time: Stamp(20 * day), says: None },
            Purchase { time: Stamp(20 * day + 60), says: None },
            Purchase { time: Stamp(20 * day + 121), says: None },
        ];
        let found = orders(&bought, Some(Stamp(21 * day)));
        // Windows of 1, 7, 30, 90 days and all: the last two orders are less than a day old.
        assert_eq!(found.counts, [2, 2, 3, 3, 3]);
        assert_eq!((found.first[0], found.last[0]), (Some(Stamp(12 * day)), Some(Stamp(20 * day + 121))));
        assert_eq!((found.spent[0], found.pieces[0]), (Some(150), 6_000));
        let gaps = [8 * day + 60, 61];
        assert_eq!(found.seconds_between[0], Some(f64::from(gaps[0] + gaps[1]) / 2.0));
        assert_eq!(found.next(0), Some(Stamp(20 * day + 121 + (gaps[0] + gaps[1]).div_ceil(2))));
    }

    #[test]
    fn two_orders_foretell_nothing_and_none_are_none() {
        let two = orders(&[purchase(100, 1, None, 500), purchase(500, 2, None, 500)], Some(Stamp(1_000)));
        assert_eq!((two.n_orders(0), two.seconds_between[0], two.next(0)), (2, Some(400.0), None));
        assert_eq!((two.spent[0], two.pieces[0]), (None, 1_000));
        let none = orders(&[], Some(Stamp(1_000)));
        assert_eq!((none.n_orders(0), none.first[0], none.seconds_between[0]), (0, None, None));
        let untimed = orders(&[purchase(0, 1, None, 1_000)], None);
        assert_eq!(untimed.n_orders(0), 0);
    }
}
