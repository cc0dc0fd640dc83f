//! Instants of events, to the second.

use serde::{Deserialize, Serialize};

/// 2000-01-01T00:00:00Z in Unix seconds.
const EPOCH: i64 = 946_684_800;

/// Seconds in a day.
pub const DAY: u32 = 86_400;

/// Seconds since 2000-01-01T00:00:00Z: 4 bytes an event reach to the year 2136.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Stamp(pub u32);

impl Stamp {
    /// The instant of a Unix time in seconds; `None` before 2000 and after 2136.
    #[inline]
    #[must_use]
    pub fn from_unix(seconds: i64) -> Option<Self> {
        u32::try_from(seconds.wrapping_sub(EPOCH)).ok().map(Self)
    }

    /// Unix time in seconds.
    #[inline]
    #[must_use]
    pub fn unix(self) -> i64 {
        i64::from(self.0) + EPOCH
    }

    /// Days since 2000-01-01 (UTC).
    #[inline]
    #[must_use]
    pub fn day(self) -> u32 {
        self.0 / DAY
    }

    /// Seconds from this instant to `later`; zero when `later` is not later.
    #[inline]
    #[must_use]
    pub fn age_at(self, later: Self) -> u32 {
        later.0.saturating_sub(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_2000_to_2136() {
        assert_eq!(Stamp::from_unix(EPOCH), Some(Stamp(0)));
        assert_eq!(Stamp::from_unix(EPOCH - 1), None);
        assert_eq!(Stamp::from_unix(EPOCH + i64::from(u32::MAX)), Some(Stamp(u32::MAX)));
        assert_eq!(Stamp::from_unix(EPOCH + i64::from(u32::MAX) + 1), None);
        assert_eq!(Stamp::from_unix(i64::MIN), None);
        assert_eq!(Stamp(86_399).day(), 0);
        assert_eq!(Stamp(86_400).day(), 1);
    }
}
