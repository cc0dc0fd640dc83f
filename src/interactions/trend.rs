//! Two windows to compare: now and before.

use super::time::{DAY, Stamp};

/// When an event is recent, and when it is what recent ones are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrendWindows {
    /// Recent: after this instant.
    pub now_after: Stamp,
    /// Before: after this instant, up to `now_after`.
    pub before_after: Stamp,
}

/// What an [`activity`](TrendWindows::of) says: the pair has a recent event.
pub const ACTED_NOW: u8 = 1;
/// What an [`activity`](TrendWindows::of) says: the pair has an event of the window before.
pub const ACTED_BEFORE: u8 = 2;

impl TrendWindows {
    /// The last `days` before `as_of`, and the `baseline_days` before them.
    #[must_use]
    pub fn new(as_of: Stamp, days: u32, baseline_days: u32) -> Self {
        let back = |days: u32| Stamp(as_of.0.saturating_sub(days.saturating_mul(DAY)));
        Self { now_after: back(days), before_after: back(days.saturating_add(baseline_days)) }
    }

    /// [`ACTED_NOW`], [`ACTED_BEFORE`] or 0.
    #[must_use]
    pub fn of(&self, time: Stamp) -> u8 {
        if time > self.now_after {
            ACTED_NOW
        } else if time > self.before_after {
            ACTED_BEFORE
        } else {
            0
        }
    }
}
