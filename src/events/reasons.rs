//! Why rows are not used, and how many.

use std::collections::BTreeMap;

use serde::Serialize;

/// Why a row is rejected: it is dirty. Rejected rows count towards `max_rejected_ratio`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No user id.
    NullUser,
    /// The user id is empty text.
    EmptyUser,
    /// The user id is longer than `max_id_bytes`.
    OverlongUser,
    /// No item id.
    NullItem,
    /// The item id is empty text.
    EmptyItem,
    /// The item id is longer than `max_id_bytes`.
    OverlongItem,
    /// No event type.
    NullEventType,
    /// An event type that the config does not know.
    UnknownEventType,
    /// No timestamp.
    NullTimestamp,
    /// Text that is no timestamp.
    UnreadableTimestamp,
    /// Before the year 2000: often a wrong unit.
    TimestampBefore2000,
    /// Later than the day its partition says, or than now.
    TimestampInFuture,
}

impl Reason {
    /// All of them, in the order of checking: a row counts under the first that applies.
    pub const ALL: [Self; 12] = [
        Self::NullUser,
        Self::EmptyUser,
        Self::OverlongUser,
        Self::NullItem,
        Self::EmptyItem,
        Self::OverlongItem,
        Self::NullEventType,
        Self::UnknownEventType,
        Self::NullTimestamp,
        Self::UnreadableTimestamp,
        Self::TimestampBefore2000,
        Self::TimestampInFuture,
    ];

    /// The name used in manifests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NullUser => "null_user",
            Self::EmptyUser => "empty_user",
            Self::OverlongUser => "overlong_user",
            Self::NullItem => "null_item",
            Self::EmptyItem => "empty_item",
            Self::OverlongItem => "overlong_item",
            Self::NullEventType => "null_event_type",
            Self::UnknownEventType => "unknown_event_type",
            Self::NullTimestamp => "null_timestamp",
            Self::UnreadableTimestamp => "unreadable_timestamp",
            Self::TimestampBefore2000 => "timestamp_before_2000",
            Self::TimestampInFuture => "timestamp_in_future",
        }
    }

    /// What to do about such rows.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::NullUser | Self::EmptyUser => "anonymous visits; raise events.max_rejected_ratio if that is expected",
            Self::OverlongUser | Self::OverlongItem => "raise events.max_id_bytes if such ids are real",
            Self::NullItem | Self::EmptyItem => "events without an item; filter them when writing",
            Self::NullEventType => "rows without an event type",
            Self::UnknownEventType => "add the name to event_types.*.names or to events.ignored_types",
            Self::NullTimestamp => "rows without a time",
            Self::UnreadableTimestamp => "text timestamps must look like 2026-11-21 20:15:00",
            Self::TimestampBefore2000 => "is events.timestamp_unit right?",
            Self::TimestampInFuture => "clocks of clients; is events.timestamp_unit right?",
        }
    }
}

/// Rows by fate. Sums of counts do not depend on the order of reading.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rows read.
    pub rows: u64,
    /// Rows rejected, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Rows of types that `ignored_types` names.
    pub ignored: u64,
    /// Purchases or refunds that another source counts.
    pub counted_elsewhere: u64,
    /// Order lines whose status says that they do not count.
    pub cancelled: u64,
    /// Rows outside `since`..`until`.
    pub outside_window: u64,
    /// Rows accepted.
    pub accepted: u64,
    /// Amounts that were negative, NaN or too large, and taken as none.
    pub bad_amounts: u64,
    /// Accepted rows by day since 2000-01-01 and number of the type.
    #[serde(skip)]
    pub by_day: BTreeMap<(u32, u8), u64>,
    /// Accepted rows by number of the type.
    #[serde(skip)]
    pub by_kind: BTreeMap<u8, u64>,
    /// Values of unknown event types, the first hundred of each reader.
    pub unknown_types: BTreeMap<String, u64>,
}

impl Counts {
    /// Rejected rows altogether.
    #[must_use]
    pub fn n_rejected(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Rejected rows as a share of the rows read; zero when none was read.
    #[must_use]
    pub fn rejected_ratio(&self) -> f64 {
        if self.rows == 0 { 0.0 } else { self.n_rejected() as f64 / self.rows as f64 }
    }

    /// Adds another reader's counts.
    pub fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.ignored += other.ignored;
        self.counted_elsewhere += other.counted_elsewhere;
        self.cancelled += other.cancelled;
        self.outside_window += other.outside_window;
        self.accepted += other.accepted;
        self.bad_amounts += other.bad_amounts;
        for (reason, n) in &other.rejected {
            *self.rejected.entry(reason).or_default() += n;
        }
        for (key, n) in &other.by_day {
            *self.by_day.entry(*key).or_default() += n;
        }
        for (key, n) in &other.by_kind {
            *self.by_kind.entry(*key).or_default() += n;
        }
        for (name, n) in &other.unknown_types {
            *self.unknown_types.entry(name.clone()).or_default() += n;
        }
    }
}
