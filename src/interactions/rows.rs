//! Decoded events, waiting in their bucket.

use super::time::Stamp;

/// One accepted event: 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// User's number within the bucket, by first appearance in its shard.
    pub user: u32,
    /// Item's number, by first appearance in its shard.
    pub item: u32,
    /// When; zero where events carry no time.
    pub time: Stamp,
    /// Place of the event type in the list of kinds.
    pub kind: u8,
}

/// What an event says besides who did what when: money, pieces, the order it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detail {
    /// The event it belongs to.
    pub row: Row,
    /// Hash of the event's id, zero for none.
    pub event_hash: u64,
    /// Money, pieces and order.
    pub says: Says,
}

/// Money, pieces and order of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Says {
    /// Price times quantity in ten-thousandths of the currency's unit; `None` without a price.
    pub value: Option<i64>,
    /// Pieces, in thousandths.
    pub quantity: u32,
    /// XXH64 of the order's id; zero for none.
    pub order: u64,
}

/// An event of a session that has an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionEvent {
    /// User's number within the bucket, by first appearance in its shard.
    pub user: u32,
    /// When.
    pub time: Stamp,
    /// XXH64 of the session's id; zero for none.
    pub session: u64,
}

/// The events of one bucket of users that one reader met, in no particular order.
#[derive(Debug, Clone, Default)]
pub struct BucketRows {
    /// The events.
    pub rows: Vec<Row>,
    /// XXH64 of each event's id, parallel to `rows` (zero for a null id); empty when events have no ids.
    pub event_hashes: Vec<u64>,
    /// Details of purchases and refunds that have any, of carts of more than one piece, of removals that say how many.
    pub details: Vec<Detail>,
    /// The events' sessions, where the clickstream names them.
    pub sessions: Vec<SessionEvent>,
}

/// What one reader found of one bucket: ids of its users and items, and the rows that speak of them by number.
#[derive(Debug)]
pub struct Part<'a> {
    /// The reader's users of this bucket, by number.
    pub users: &'a crate::ids::IdTable,
    /// From the reader's item numbers to places in the ascending table of all items.
    pub item_places: &'a [u32],
    /// The events.
    pub events: BucketRows,
}
