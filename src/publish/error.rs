//! What can go wrong with publishing.

use super::{RunSequence, Section};

/// Failure of a publish. Unless it says otherwise, readers still see what they saw before.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A newer publish, or a rollback, came first: what was written stays invisible (exit code 5).
    #[error("run {sequence} was superseded while it was being published to {store}: {by}")]
    Superseded {
        /// The store.
        store: String,
        /// The sequence that lost.
        sequence: RunSequence,
        /// What came first.
        by: String,
    },
    /// Some rows are in the store and some are not; the same command again resumes (exit code 4).
    #[error("{store} took {written} rows of run {sequence} and refused {failed}")]
    PartlyPublished {
        /// The store.
        store: String,
        /// The sequence under which they lie.
        sequence: RunSequence,
        /// Rows acknowledged.
        written: u64,
        /// Rows not acknowledged.
        failed: u64,
        /// The last refusal.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A key came twice.
    #[error("{} `{key}` has more than one list in {}", section.key_column(), section.name())]
    DuplicateKey {
        /// The section.
        section: Section,
        /// The key.
        key: String,
    },
    /// A score is not a finite number.
    #[error("{} `{key}`: item `{item}` has the score {score}", section.key_column())]
    BadScore {
        /// The section.
        section: Section,
        /// The list's key.
        key: String,
        /// The item.
        item: String,
        /// NaN or infinite.
        score: f32,
    },
    /// A member's score is not a finite number.
    #[error("campaign `{campaign}`: user `{user}` has the score {score}")]
    BadMemberScore {
        /// The campaign.
        campaign: String,
        /// The member.
        user: String,
        /// NaN or infinite.
        score: f32,
    },
    /// A row that the store cannot hold.
    #[error("{} `{key}` cannot be published: {reason}", section.key_column())]
    Unfit {
        /// The section.
        section: Section,
        /// The row's key.
        key: String,
        /// Why.
        reason: String,
    },
    /// The store is not there, or not as it must be.
    #[error("{store} cannot be used: {what}")]
    NotReady {
        /// The store.
        store: String,
        /// What is missing or wrong.
        what: String,
        /// What to do.
        hint: String,
        /// The store's answer, where it gave one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A store was handed rows that it does not take.
    #[error("{store} takes no {}", section.name())]
    NotTaken {
        /// The store.
        store: String,
        /// The section.
        section: Section,
    },
    /// The store holds something else than what was sent.
    #[error("{store} holds other {} than were sent: {what} should be {expected}, is {found}", section.name())]
    Mismatch {
        /// The store.
        store: String,
        /// The section.
        section: Section,
        /// `lists`, `entries` or `checksum`.
        what: &'static str,
        /// As announced.
        expected: String,
        /// As found.
        found: String,
    },
    /// A row that was written is not what a reader would get.
    #[error("{store}: key {key:?} reads back as {}", if *found { "something else than was written" } else { "nothing" })]
    ReadBack {
        /// The store.
        store: String,
        /// The row's key.
        key: String,
        /// Whether there was a row at all.
        found: bool,
    },
    /// A rollback to a run that the store does not keep.
    #[error("{store} keeps no {which} to go back to")]
    NoSuchRun {
        /// The store.
        store: String,
        /// `earlier run`, or which one.
        which: String,
    },
    /// The steps of a publish were called out of order.
    #[error("cannot {doing}: {reason}")]
    OutOfOrder {
        /// What was attempted.
        doing: &'static str,
        /// What is missing before it.
        reason: &'static str,
    },
    /// The store was set up by a newer program.
    #[error("{store} has schema version {found}, this program knows up to {known}")]
    NewerSchema {
        /// The store.
        store: String,
        /// The version found.
        found: i64,
        /// The newest known here.
        known: i64,
    },
    /// The store was set up by an older program, and this one may not change it.
    #[error(
        "{store} has schema version {found}, this program needs {known}; `nightshelf publish migrate` brings it there"
    )]
    OlderSchema {
        /// The store.
        store: String,
        /// The version found; 0 where there is none.
        found: i64,
        /// The version needed.
        known: i64,
    },
    /// A text that the store cannot hold.
    #[error("{store} cannot hold {} `{}` of {}: {why}", section.key_column(), key.escape_debug(), section.name())]
    Unstorable {
        /// The store.
        store: String,
        /// The section.
        section: Section,
        /// The row's key.
        key: String,
        /// What of it, and why not.
        why: String,
    },
    /// The store failed.
    #[error("cannot {doing} in {store}")]
    Store {
        /// The store.
        store: String,
        /// What was attempted.
        doing: String,
        /// Its answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
