//! What goes wrong, and when: by chance from a seed, or by a rule that sees the request.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use crate::support::random::Random;

/// How one request fares.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// One of DynamoDB's three throttling errors; nothing is applied.
    Throttled,
    /// 500, nothing is applied.
    FailedBefore,
    /// 500 although everything is applied.
    FailedAfter,
    /// The connection is reset although everything is applied.
    ResetAfter,
    /// Applied; the answer comes too late.
    Stalled(Duration),
    /// Applied; the answer is cut in half.
    Truncated,
    /// Applied and answered once the test gives a permit.
    Held(Arc<Semaphore>),
}

impl Fault {
    /// The name under which it is counted.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::FailedBefore => "500 before applying",
            Self::FailedAfter => "500 after applying",
            Self::ResetAfter => "reset after applying",
            Self::Stalled(_) => "stalled",
            Self::Truncated => "truncated",
            Self::Held(_) => "held",
        }
    }
}

/// Some items of a batch were not processed.
pub(crate) const UNPROCESSED: &str = "unprocessed";
/// The table's write units were used up.
pub(crate) const OVER_RATE: &str = "over the rate";
/// Everything fails.
pub(crate) const DEAD: &str = "dead";

/// Chances, by request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chances {
    pub(crate) throttled: f64,
    pub(crate) failed_before: f64,
    pub(crate) failed_after: f64,
    pub(crate) reset_after: f64,
    pub(crate) stalled: f64,
    /// How long a stalled answer takes.
    pub(crate) stall: Duration,
    pub(crate) truncated: f64,
    /// Of each item of a batch.
    pub(crate) unprocessed: f64,
}

impl Chances {
    /// So many requests fail, all kinds of failure alike but the stall; so many items of a batch are not processed.
    pub(crate) fn failing(requests: f64, unprocessed: f64) -> Self {
        let each = requests / 5.0;
        Self {
            throttled: each,
            failed_before: each,
            failed_after: each,
            reset_after: each,
            truncated: each,
            unprocessed,
            ..Self::default()
        }
    }

    /// Of the requests, so many are applied, but the client is not told.
    pub(crate) fn applied_but_failed(requests: f64) -> Self {
        let each = requests / 3.0;
        Self { failed_after: each, reset_after: each, truncated: each, ..Self::default() }
    }

    /// What happens to a request.
    pub(super) fn draw(&self, random: &mut Random) -> Option<Fault> {
        let mut left = random.unit();
        let kinds = [
            (self.throttled, Fault::Throttled),
            (self.failed_before, Fault::FailedBefore),
            (self.failed_after, Fault::FailedAfter),
            (self.reset_after, Fault::ResetAfter),
            (self.stalled, Fault::Stalled(self.stall)),
            (self.truncated, Fault::Truncated),
        ];
        for (chance, fault) in kinds {
            if left < chance {
                return Some(fault);
            }
            left -= chance;
        }
        None
    }
}

/// A request, as rules see it.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// `BatchWriteItem`, ...
    pub(crate) operation: &'a str,
    body: &'a [u8],
}

impl<'a> Call<'a> {
    pub(super) fn new(operation: &'a str, body: &'a [u8]) -> Self {
        Self { operation, body }
    }

    /// Whether the body holds a text.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        self.body.windows(text.len()).any(|part| part == text.as_bytes())
    }

    /// Whether it would move the pointer.
    pub(crate) fn moves_pointer(&self) -> bool {
        matches!(self.operation, "UpdateItem" | "PutItem" | "TransactWriteItems") && self.mentions("\"!pointer\"")
    }
}

/// Decides about requests; `None` leaves a request to chance.
pub(crate) type Rule = Box<dyn FnMut(&Call<'_>) -> Option<Fault> + Send>;

/// Everything that is to go wrong.
#[derive(Default)]
pub(crate) struct Plan {
    /// Where chance starts from.
    pub(crate) seed: u64,
    pub(crate) chances: Chances,
    /// Asked before chance is.
    pub(crate) rule: Option<Rule>,
    /// From this request on nothing is answered but errors.
    pub(crate) dead_from: Option<u64>,
    /// Write units a second that a table has; twice as many when it was idle.
    pub(crate) units_per_second: Option<f64>,
}

/// The variable with which a failed test is run again.
const REPLAY: &str = "NIGHTSHELF_FAULT_SEED";

/// The test's seed; printed, so that a failed test shows it.
pub(crate) fn seed(test: &str, usual: u64) -> u64 {
    let seed = match std::env::var(REPLAY) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{REPLAY} must be a whole number, is {text}")),
        Err(_) => usual,
    };
    println!("{test}: seed {seed}; {REPLAY}={seed} replays it");
    seed
}
