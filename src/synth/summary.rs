//! What was made, in numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    dirt::Dirt,
    plan::GroupPlan,
    sessions::Kind,
    shop::{GroupLog, Shop},
};

/// What [`generate`](super::generate) made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Rows of `events/`: all that follows is part of them.
    pub rows: u64,
    /// Rows with nothing wrong, the repeats of them left out.
    pub clean_rows: u64,
    /// Rows by the word in `event_type`, dirty ones included; unknown words are in `dirty`.
    pub rows_by_type: BTreeMap<String, u64>,
    /// Rows with something wrong; no row is counted twice.
    pub dirty: DirtyRows,
    /// Rows made by bots.
    pub bot_rows: u64,
    /// Sessions, those of bots included.
    pub sessions: u64,
    /// Shoppers, bots included.
    pub users: u32,
    /// Items.
    pub items: u32,
    /// Rows of `orders.parquet`.
    pub orders: u64,
    /// Of these, the refunded ones; each has its refund among the events.
    pub refunded_orders: u64,
    /// Of the orders, those whose purchase event is dirty.
    pub orders_with_dirty_event: u64,
    /// Parquet files.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// What is behind the events.
    pub truth: TruthSummary,
}

/// Dirty rows by what is wrong with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirtyRows {
    /// The user is null.
    pub null_user: u64,
    /// The item is null.
    pub null_item: u64,
    /// The event type is a word that nobody announced.
    pub unknown_type: u64,
    /// The row repeats a clean one, event id and all.
    pub duplicate: u64,
    /// The time is after the log's last day.
    pub future: u64,
}

impl DirtyRows {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.null_user + self.null_item + self.unknown_type + self.duplicate + self.future
    }
}

/// What is behind the events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TruthSummary {
    /// Bots among the shoppers.
    pub bots: u32,
    /// Views by people (bots left out).
    pub person_views: u64,
    /// Of these, views of items of the person's favourite categories.
    pub favourite_views: u64,
    /// Share of people's views that would be of favourite categories if popularity alone decided; from 1,000 people.
    pub favourite_share_by_chance: f64,
}

/// What one row group adds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    kinds: [u64; 5],
    dirty: DirtyRows,
    clean_rows: u64,
    bot_rows: u64,
    sessions: u64,
    orders: u64,
    refunded_orders: u64,
    orders_with_dirty_event: u64,
    person_views: u64,
    favourite_views: u64,
}

impl Counts {
    pub(crate) fn of(group: &GroupPlan, log: &GroupLog) -> Self {
        let mut counts = Self { bot_rows: group.n_bot_rows.into(), sessions: log.n_sessions.into(), ..Self::default() };
        for (row, dirt) in log.rows.iter().zip(&log.dirt) {
            let (kind, clean) = (row.kind as usize, *dirt == Dirt::Clean);
            match dirt {
                Dirt::Clean => counts.clean_rows += 1,
                Dirt::NullUser => counts.dirty.null_user += 1,
                Dirt::NullItem => counts.dirty.null_item += 1,
                Dirt::UnknownType(_) => counts.dirty.unknown_type += 1,
                Dirt::Future(_) => counts.dirty.future += 1,
            }
            counts.kinds[kind] += u64::from(!matches!(dirt, Dirt::UnknownType(_)));
            match row.kind {
                Kind::Purchase => {
                    counts.orders += 1;
                    counts.refunded_orders += u64::from(row.refunded);
                    counts.orders_with_dirty_event += u64::from(!clean);
                }
                Kind::View if !row.by_bot => {
                    counts.person_views += 1;
                    counts.favourite_views += u64::from(row.favourite);
                }
                _ => {}
            }
        }
        // Every row stands once in `rows`; what is written beyond that is a repeat.
        counts.dirty.duplicate = (log.written.len() - log.rows.len()) as u64;
        let mut seen = vec![false; if counts.dirty.duplicate > 0 { log.rows.len() } else { 0 }];
        if counts.dirty.duplicate > 0 {
            for &row in &log.written {
                if std::mem::replace(&mut seen[row as usize], true) {
                    counts.kinds[log.rows[row as usize].kind as usize] += 1;
                }
            }
        }
        counts
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (kind, more) in self.kinds.iter_mut().zip(other.kinds) {
            *kind += more;
        }
        self.dirty.null_user += other.dirty.null_user;
        self.dirty.null_item += other.dirty.null_item;
        self.dirty.unknown_type += other.dirty.unknown_type;
        self.dirty.duplicate += other.dirty.duplicate;
        self.dirty.future += other.dirty.future;
        self.clean_rows += other.clean_rows;
        self.bot_rows += other.bot_rows;
        self.sessions += other.sessions;
        self.orders += other.orders;
        self.refunded_orders += other.refunded_orders;
        self.orders_with_dirty_event += other.orders_with_dirty_event;
        self.person_views += other.person_views;
        self.favourite_views += other.favourite_views;
    }

    pub(crate) fn summary(&self, shop: &Shop, files: u64, bytes: u64) -> Summary {
        Summary {
            rows: self.clean_rows + self.dirty.total(),
            clean_rows: self.clean_rows,
            rows_by_type: Kind::ALL.map(|kind| (kind.name().to_owned(), self.kinds[kind as usize])).into(),
            dirty: self.dirty,
            bot_rows: self.bot_rows,
            sessions: self.sessions,
            users: shop.users.len(),
            items: shop.items.len(),
            orders: self.orders,
            refunded_orders: self.refunded_orders,
            orders_with_dirty_event: self.orders_with_dirty_event,
            files,
            bytes,
            truth: TruthSummary {
                bots: shop.users.n_bots(),
                person_views: self.person_views,
                favourite_views: self.favourite_views,
                favourite_share_by_chance: shop.favourite_share_by_chance(),
            },
        }
    }
}
