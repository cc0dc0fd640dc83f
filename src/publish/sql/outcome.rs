//! A commit whose answer may be lost.

use std::time::Duration;

use crate::publish::{Committed, RunSequence, Tally};

/// How often the ledger is asked after a commit whose answer was lost, and the pause before each.
pub(super) const SETTLE_PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
];

/// How long the end of a program waits for a server to take leave.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How a commit ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The server said so.
    Committed(Committed),
    /// The connection broke: the ledger knows.
    Unknown(sqlx::Error),
}

/// What became of a run whose commit got no answer.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is committed.
    Committed {
        /// What readers saw before, if they see this run now.
        previous: Option<RunSequence>,
    },
    /// It is not, and no other session is about to.
    Loading,
    /// The ledger does not know it any more.
    Gone,
}

impl Fate {
    /// Reads the ledger's state, and the pointer beside it.
    pub(super) fn of(sequence: RunSequence, state: Option<&str>, current: Option<i64>, previous: Option<i64>) -> Self {
        match state {
            Some("committed") => {
                let previous = previous.filter(|_| current == Some(sequence.0)).map(RunSequence);
                Self::Committed { previous }
            }
            Some("loading") => Self::Loading,
            _ => Self::Gone,
        }
    }
}

/// What a commit gave.
pub(super) fn committed(sequence: RunSequence, previous: Option<RunSequence>, total: Tally) -> Committed {
    Committed { sequence, previous, n_lists: total.n_lists, n_entries: total.n_entries }
}
