//! Interactions: what is known of each (user, item) pair.
//!
//! In: events of one bucket of users, already numbered. Out: [`Interactions`], weights summed in fixed point.
//! Refuses: floating-point sums whose result would depend on the order of the events.

mod aggregate;
mod assemble;
mod baskets;
mod cart;
mod config;
mod csr;
mod decay;
mod orders;
mod profiles;
mod rfm;
mod rows;
mod sessions;
mod split;
mod time;
mod trend;

pub use aggregate::{Aggregation, BucketPairs, LeftOut, PairPurchases, aggregate, window_start};
pub use assemble::{Assembled, BucketCells, add_support, assemble, assemble_kept};
pub use baskets::{Baskets, MAX_BASKET_ITEMS};
pub use cart::{CartEntry, Carts};
pub use config::{EventType, EventTypes, Exclude, InteractionsConfig, Kind, Role, kinds};
pub use csr::Csr;
pub use decay::{Decay, from_fixed};
pub use orders::{MIN_ORDERS_TO_FORETELL, Orders};
pub use profiles::{Favourites, Profiles, WINDOWS, favourites};
pub use rfm::{Buyers, RfmScores, RfmThresholds, RfmTier};
pub use rows::{BucketRows, Detail, Part, Row, Says, SessionEvent};
pub use split::{Dealt, HoldOut, PartRef, SplitContext, TestPairs, split_by_time, split_given, split_hold_out};
pub use time::{DAY, Stamp};
pub use trend::{ACTED_BEFORE, ACTED_NOW, TrendWindows};

use crate::ids::IdTable;

/// Everything a model trains on and a rule asks about.
#[derive(Debug, Clone)]
pub struct Interactions {
    /// User ids by `UserIdx`: ordered by (bucket, id).
    pub users: IdTable,
    /// Item ids by `ItemIdx`: ascending.
    pub items: IdTable,
    /// Where each bucket's users start: `n_buckets + 1` ascending user numbers.
    pub bucket_starts: Vec<u32>,
    /// n_users x n_items, positive weights, items ascending within a row. Users that were kept out of training (below
    /// the minimum of items per user) still have their row: they are folded in or fall back.
    pub weights: Csr,
    /// n_users x n_items pattern (no values): items the exclusion rules take from a user's list, ascending.
    pub excluded: Csr,
    /// By `UserIdx`: whether the row takes part in training.
    pub trains: Vec<bool>,
}

/// One user's positive weights: items ascending, the others parallel to them.
#[derive(Debug, Clone, Copy, Default)]
pub struct History<'a> {
    /// `ItemIdx` numbers, ascending.
    pub items: &'a [u32],
    /// Weights, all above zero.
    pub weights: &'a [f32],
    /// Last times of the pairs; empty where times are not known, or not kept because no model asks.
    pub times: &'a [Stamp],
}
