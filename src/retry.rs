//! When to ask again, and when not to.
//!
//! Pure: no clock, no randomness of its own, no transport. Whoever sends says what came back, how often it was tried, and a
//! number drawn from 0 to 1; the answer is how long to wait.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a request that did not succeed means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The store is busy: nothing was applied, and asking more slowly helps.
    Throttled,
    /// No answer, or one that says nothing: it may have been applied, so only what may be applied twice is sent again.
    Unclear,
    /// A condition did not hold: somebody else was there.
    Condition,
    /// The answer stays the same however often one asks.
    Refused,
}

/// How patiently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Attempts of one request, the first included; of a row, those in a row that got no row of its batch through.
    pub max_attempts: u32,
    /// Longest wait after the first attempt, in milliseconds; it doubles with each further one.
    pub base_ms: u64,
    /// Longest wait of all, in milliseconds.
    pub cap_ms: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_attempts: 16, base_ms: 50, cap_ms: 5_000 }
    }
}

impl RetryPolicy {
    /// How long to wait after attempt number `attempt` (from 1) failed; `None`: give up.
    ///
    /// Formula: `draw * min(cap, base * 2^(attempt - 1))`, "full jitter": all the waiters' times are spread evenly, so those
    /// who were turned away together do not come back together.
    ///
    /// Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    #[must_use]
    pub fn wait(&self, failure: Failure, attempt: u32, draw: f64) -> Option<Duration> {
        match failure {
            Failure::Condition | Failure::Refused => return None,
            Failure::Throttled | Failure::Unclear => {}
        }
        if attempt >= self.max_attempts {
            return None;
        }
        let doubled = self.base_ms.saturating_mul(1 << attempt.saturating_sub(1).min(32));
        Some(Duration::from_secs_f64(draw.clamp(0.0, 1.0) * doubled.min(self.cap_ms) as f64 / 1e3))
    }

    /// Checks the values.
    ///
    /// # Errors
    /// The key's full path, what it must be and what it is.
    pub fn check(&self, path: &str) -> Result<(), String> {
        if !(1..=100).contains(&self.max_attempts) {
            return Err(format!("{path}.max_attempts must be 1 to 100, is {}", self.max_attempts));
        }
        if self.base_ms > self.cap_ms || self.cap_ms > 600_000 {
            return Err(format!(
                "{path}.base_ms must be at most cap_ms, and that at most 600000; they are {} and {}",
                self.base_ms, self.cap_ms
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_end() {
        let policy = RetryPolicy { max_attempts: 9, base_ms: 50, cap_ms: 5_000 };
        let longest: Vec<u128> = (1..=9)
            .map_while(|attempt| policy.wait(Failure::Throttled, attempt, 1.0))
            .map(|wait| wait.as_millis())
            .collect();
        assert_eq!(longest, [50, 100, 200, 400, 800, 1_600, 3_200, 5_000]);
        assert_eq!(policy.wait(Failure::Unclear, 3, 0.5), Some(Duration::from_millis(100)));
        assert_eq!(policy.wait(Failure::Unclear, 3, 0.0), Some(Duration::ZERO));
    }

    #[test]
    fn what_stays_the_same_is_not_asked_again() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.wait(Failure::Refused, 1, 0.5), None);
        assert_eq!(policy.wait(Failure::Condition, 1, 0.5), None);
    }

    #[test]
    fn no_attempt_overflows() {
        let policy = RetryPolicy { max_attempts: 100, base_ms: 600_000, cap_ms: 600_000 };
        assert_eq!(policy.wait(Failure::Throttled, 99, 1.0), Some(Duration::from_secs(600)));
    }
}
