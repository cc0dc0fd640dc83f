//! The one trait of all stores.

use serde::Serialize;

use super::{Expected, PublishError, Rows, Section, Tally};

/// Number of a publish in one store: from the store's own counter, ascending, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RunSequence(pub i64);

impl std::fmt::Display for RunSequence {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}

/// What a store remembers of a run besides its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunHeader {
    /// The run's name.
    pub run: String,
    /// Its manifest hash.
    pub content_sha256: String,
    /// Manifest hashes of the runs that can be compared with this one, so that a store may ask for the differences only.
    pub at_hand: Vec<String>,
}

/// A publish that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Its number.
    pub sequence: RunSequence,
    /// The manifest hash of the run whose rows the store holds already; then only differences are written, with
    /// [`keep`](Sink::keep) and [`leave`](Sink::leave) for the rest. `None`: everything is written.
    pub base: Option<String>,
}

/// A publish that readers see from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Committed {
    /// Its number.
    pub sequence: RunSequence,
    /// What readers saw before.
    pub previous: Option<RunSequence>,
    /// Rows now visible, of all sections.
    pub n_lists: u64,
    /// Entries of those lists.
    pub n_entries: u64,
}

/// A run that a store keeps whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublishedRun {
    /// Its number.
    pub sequence: RunSequence,
    /// The run's name.
    pub run: String,
    /// Its manifest hash.
    pub content_sha256: String,
    /// When it was committed (RFC 3339, UTC).
    pub committed_at: String,
    /// Its lists.
    pub n_lists: u64,
    /// Entries of those lists.
    pub n_entries: u64,
}

/// The state of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// What readers see; `None` before the first publish.
    pub current: Option<RunSequence>,
    /// What they saw before.
    pub previous: Option<RunSequence>,
    /// Moves of the pointer so far: publishes and rollbacks.
    pub epoch: i64,
    /// Runs kept, newest first.
    pub runs: Vec<PublishedRun>,
    /// Publishes under way or broken off.
    pub unfinished: Vec<RunSequence>,
}

/// A store that lists are published to.
///
/// The order is `begin`, any number of `write`s, `verify`, `commit`; `abort` at any point after `begin`. Readers see
/// the old run, whole, until `commit` returns, and the new one, whole, afterwards. A publisher that is killed leaves
/// the old run served; the next `begin` removes what it left.
pub trait Sink {
    /// What the store takes of a run, in the order of [`Section::ALL`].
    fn sections(&self) -> &[Section];

    /// Starts a publish: prepares the store, removes leftovers of dead publishers, draws the run's sequence.
    ///
    /// # Errors
    /// When the store cannot be reached or prepared.
    fn begin(&mut self, header: &RunHeader) -> Result<Begun, PublishError>;

    /// Writes rows under the begun sequence.
    ///
    /// Returns: what the batch adds up to, for `verify`; the caller compares its counts with those of the run.
    ///
    /// # Errors
    /// [`BadScore`](PublishError::BadScore) before anything of the batch is written; [`DuplicateKey`](PublishError::DuplicateKey)
    /// here or in `verify`; [`Superseded`](PublishError::Superseded) as soon as it is known.
    fn write(&mut self, rows: &Rows<'_>) -> Result<Tally, PublishError>;

    /// Tells of rows that are the same in the base; the store may leave them as they lie. Counted like written ones.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    fn keep(&mut self, rows: &Rows<'_>) -> Result<Tally, PublishError> {
        self.write(rows)
    }

    /// Tells of keys that the base has and this run has not.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    fn leave(&mut self, _section: Section, _keys: &[&str]) -> Result<(), PublishError> {
        Ok(())
    }

    /// Whether readers see scores: where they do not, lists that differ in scores alone are the same.
    fn shows_scores(&self) -> bool {
        true
    }

    /// How the writing goes, for the progress line: rate, retries, cost. `None`: nothing to tell.
    fn note(&self) -> Option<String> {
        None
    }

    /// Reads back what was written and compares it with what should be there.
    ///
    /// # Errors
    /// [`DuplicateKey`](PublishError::DuplicateKey) or [`Mismatch`](PublishError::Mismatch).
    fn verify(&mut self, expected: &Expected) -> Result<(), PublishError>;

    /// Moves the pointer, once, if nobody has moved it since `begin`.
    ///
    /// # Errors
    /// [`Superseded`](PublishError::Superseded) when somebody has; then nothing visible has changed.
    fn commit(&mut self) -> Result<Committed, PublishError>;

    /// Gives the begun publish up and removes its rows. Does nothing when none is begun.
    ///
    /// # Errors
    /// When the rows cannot be removed; the next `begin` tries again.
    fn abort(&mut self) -> Result<(), PublishError>;

    /// What rows add up to in this store's terms, as [`write`](Self::write) returns it and [`audit`](Self::audit) finds it.
    fn tally(&self, rows: &Rows<'_>) -> Tally {
        let mut tally = Tally::default();
        tally.add_rows(rows);
        tally
    }

    /// Reads all that readers see now, and adds it up. Nothing before the first publish.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn audit(&mut self) -> Result<Expected, PublishError>;

    /// What the store serves and keeps.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn status(&mut self) -> Result<Status, PublishError>;

    /// Sends readers back to an earlier run, or forth to a kept later one: to `to`, or else to the newest kept run
    /// before the current one. Publishes under way are superseded.
    ///
    /// # Errors
    /// [`NoSuchRun`](PublishError::NoSuchRun).
    fn rollback(&mut self, to: Option<RunSequence>) -> Result<Status, PublishError>;

    /// Removes all but the newest `keep` runs; what readers see always stays.
    ///
    /// Returns: the removed ones, ascending.
    ///
    /// # Errors
    /// When rows cannot be removed.
    fn drop_old(&mut self, keep: usize) -> Result<Vec<RunSequence>, PublishError>;
}
