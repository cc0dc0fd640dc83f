//! Profiles: one row a user, out of the same pass over the events.

use super::{
    cart::{CartKeeper, Carts},
    config::Role,
    orders::Orders,
    time::{DAY, Stamp},
};

/// The windows that events are counted over, in days before `as_of`; the last one is all time.
pub const WINDOWS: [Option<u32>; 5] = [Some(1), Some(7), Some(30), Some(90), None];

/// Profiles of the users of a bucket, by columns, in the order of its users.
#[derive(Debug, Clone, Default)]
pub struct Profiles {
    /// Event types.
    pub n_kinds: usize,
    /// n_users x `WINDOWS.len()` x n_kinds: events by window and type.
    pub counts: Vec<u32>,
    /// n_users x n_kinds: time of the first event of a type.
    pub first: Vec<Option<Stamp>>,
    /// n_users x n_kinds: time of the last event of a type.
    pub last: Vec<Option<Stamp>>,
    /// Distinct days (UTC) with an event.
    pub active_days: Vec<u32>,
    /// Purchases less refunds, in ten-thousandths of the currency's unit; n_users x `WINDOWS.len()`.
    pub money: Vec<i64>,
    /// Orders.
    pub orders: Orders,
    /// n_users x `WINDOWS.len()`: sessions by window.
    pub sessions: Vec<u32>,
    /// What lies in the carts.
    pub carts: Carts,
}

impl Profiles {
    /// How many users there are.
    #[must_use]
    pub fn n_users(&self) -> usize {
        self.active_days.len()
    }

    /// Events of a type in a window.
    #[must_use]
    pub fn count(&self, user: usize, window: usize, kind: usize) -> u32 {
        self.counts[(user * WINDOWS.len() + window) * self.n_kinds + kind]
    }

    /// Purchases less refunds of all time, in ten-thousandths.
    #[must_use]
    pub fn money_of_all_time(&self, user: usize) -> i64 {
        self.money[(user + 1) * WINDOWS.len() - 1]
    }
}

/// How many of some ascending instants lie in each window.
pub(super) fn count_by_window(times: &[Stamp], as_of: Option<Stamp>) -> [u32; WINDOWS.len()] {
    WINDOWS.map(|window| match (window, as_of) {
        (Some(days), Some(as_of)) => {
            (times.len() - times.partition_point(|time| time.age_at(as_of) >= days * DAY)) as u32
        }
        (Some(_), None) => 0,
        (None, _) => times.len() as u32,
    })
}

/// Collects profiles user by user.
pub(super) struct ProfileBuilder {
    pub(super) profiles: Profiles,
    pub(super) cart: CartKeeper,
    as_of: Option<Stamp>,
}

impl ProfileBuilder {
    pub(super) fn new(n_kinds: usize, as_of: Option<Stamp>) -> Self {
        Self { profiles: Profiles { n_kinds, ..Default::default() }, cart: CartKeeper::default(), as_of }
    }

    pub(super) fn start_user(&mut self, active_days: u32) {
        let p = &mut self.profiles;
        p.active_days.push(active_days);
        let n_users = p.active_days.len();
        p.counts.resize(n_users * WINDOWS.len() * p.n_kinds, 0);
        p.money.resize(n_users * WINDOWS.len(), 0);
        p.first.resize(n_users * p.n_kinds, None);
        p.last.resize(n_users * p.n_kinds, None);
    }

    /// The windows an event of `time` falls into: from the returned one to the last.
    fn first_window(&self, time: Stamp) -> usize {
        let all = WINDOWS.len() - 1;
        let Some(as_of) = self.as_of else { return all };
        let age = time.age_at(as_of);
        WINDOWS.iter().position(|window| window.is_none_or(|days| age < days * DAY)).unwrap_or(all)
    }

    pub(super) fn event(&mut self, kind: u8, time: Stamp) {
        let from = self.first_window(time);
        let timed = self.as_of.is_some();
        let p = &mut self.profiles;
        let user = p.active_days.len() - 1;
        for window in from..WINDOWS.len() {
            p.counts[(user * WINDOWS.len() + window) * p.n_kinds + kind as usize] += 1;
        }
        if timed {
            let at = user * p.n_kinds + kind as usize;
            p.first[at] = Some(p.first[at].map_or(time, |first| first.min(time)));
            p.last[at] = p.last[at].max(Some(time));
        }
    }

    pub(super) fn amount(&mut self, role: Role, time: Stamp, value: i64) {
        let from = self.first_window(time);
        let user = self.profiles.active_days.len() - 1;
        for window in from..WINDOWS.len() {
            self.profiles.money[user * WINDOWS.len() + window] += role.money_sign() * value;
        }
    }

    pub(super) fn finish(self) -> Profiles {
        Profiles { carts: self.cart.finish(), ..self.profiles }
    }
}

/// The categories (or brands) that the users of a bucket like most, by their share of the user's positive weight.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Favourites {
    /// n_users + 1 offsets.
    pub offsets: Vec<usize>,
    /// Category (or brand) numbers, largest share first; ties by number.
    pub groups: Vec<u32>,
    /// Shares, 0 to 1, parallel to `groups`.
    pub shares: Vec<f32>,
}

/// The `n` favourite categories of each user; brands likewise.
///
/// Formula: share of a category = sum of the user's positive weights on its items / sum over all his items.
/// Shapes: `group_of`, category or brand, by place in the table of all items.
#[must_use]
pub fn favourites(pairs: &super::BucketPairs, group_of: &[Option<u32>], n: usize) -> Favourites {
    let mut out = Favourites { offsets: vec![0], ..Favourites::default() };
    let mut sums: Vec<(u32, i64)> = Vec::new();
    for user in 0..pairs.users.len() {
        sums.clear();
        let mut total = 0i64;
        for at in pairs.indptr[user]..pairs.indptr[user + 1] {
            let weight = pairs.weights[at].max(0);
            total += weight;
            if let Some(category) = group_of[pairs.items[at] as usize]
                && weight > 0
            {
                match sums.iter_mut().find(|(known, _)| *known == category) {
                    Some((_, sum)) => *sum += weight,
                    None => sums.push((category, weight)),
                }
            }
        }
        sums.sort_unstable_by_key(|&(category, sum)| (std::cmp::Reverse(sum), category));
        for &(category, sum) in sums.iter().take(n) {
            out.groups.push(category);
            out.shares.push((sum as f64 / total as f64) as f32);
        }
        out.offsets.push(out.groups.len());
    }
    out
}
