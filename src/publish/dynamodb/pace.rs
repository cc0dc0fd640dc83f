//! A rate that is kept: write units a second.

/// A bucket that fills with `rate` units a second up to `burst`.
///
/// Whatever second one looks at, at most `rate + burst` units leave it; with a burst of 3 % of the cap and a rate of 99 %,
/// 102 %. Time is given, so that tests need no clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    rate: f64,
    burst: f64,
    level: f64,
    /// Seconds, of whatever clock.
    at: f64,
}

impl Pace {
    /// For a cap in units a second; `None` for 0, no cap.
    pub(super) fn new(cap: u32, now: f64) -> Option<Self> {
        let cap = f64::from(cap);
        let burst = (cap * 0.03).max(1.0);
        (cap > 0.0).then_some(Self { rate: cap * 0.99, burst, level: burst, at: now })
    }

    /// The most units that may be asked for at once.
    pub(super) fn burst(&self) -> f64 {
        self.burst
    }

    /// Takes units, or says how many seconds to wait before asking again. A row larger than the burst is let through
    /// when the bucket is full, and paid off afterwards.
    pub(super) fn take(&mut self, units: f64, now: f64) -> Result<(), f64> {
        self.level = (self.level + (now - self.at).max(0.0) * self.rate).min(self.burst);
        self.at = now.max(self.at);
        let wanted = units.min(self.burst);
        // Sums of waits round; a millionth of a unit is none.
        if self.level + 1e-6 >= wanted {
            self.level -= units;
            return Ok(());
        }
        Err((wanted - self.level) / self.rate)
    }

    /// Corrects for what was really consumed: `more` units than were taken, or fewer.
    pub(super) fn correct(&mut self, more: f64) {
        self.level = (self.level - more).min(self.burst);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_second_sees_more_than_the_cap_allows(
            cap in 20_u32..5_000,
            sizes in proptest::collection::vec(1_u32..30, 50..300),
        ) {
            let mut pace = Pace::new(cap, 0.0).unwrap();
            let mut now = 0.0;
            let mut taken: Vec<(f64, f64)> = Vec::new();
            for size in sizes {
                let units = f64::from(size).min(pace.burst().floor());
                while let Err(wait) = pace.take(units, now) {
                    prop_assert!(wait > 0.0);
                    now += wait;
                }
                taken.push((now, units));
            }
            let total: f64 = taken.iter().map(|(_, units)| units).sum();
            for &(from, _) in &taken {
                let within: f64 = taken.iter().filter(|(at, _)| (from..from + 1.0).contains(at)).map(|(_, units)| units).sum();
                prop_assert!(within <= f64::from(cap) * 1.05 + 1.0, "{within} of {cap}");
            }
            // Nor does it idle: what was asked for is through in hardly more than the time the cap gives.
            prop_assert!(now <= total / (f64::from(cap) * 0.95) + 1.0);
        }
    }

    #[test]
    fn what_was_not_consumed_comes_back() {
        let mut pace = Pace::new(100, 0.0).unwrap();
        pace.take(3.0, 0.0).unwrap();
        assert!(pace.take(1.0, 0.0).is_err());
        pace.correct(-2.0);
        pace.take(2.0, 0.0).unwrap();
        assert!(Pace::new(0, 0.0).is_none());
    }
}
