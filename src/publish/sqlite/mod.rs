//! Publishing to one SQLite file.
//!
//! Each run has its own tables, `recommendations_17` and so on, one row a list: loading only appends, the index is
//! sorted once, and an old run goes by DROP TABLE. The transaction that moves the pointer also points the views
//! `…_current` at the new tables; a reader's snapshot holds both or neither.

mod load;
mod lock;
mod pointer;
mod schema;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{Begun, Committed, Expected, PublishError, Rows, RunHeader, RunSequence, Section, Sink, Status, Tally};
use lock::LoadLock;

/// How long a writer waits for another one's transaction; those take a fraction of a second.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// A SQLite file as a sink.
///
/// One writer's transaction at a time is SQLite's own rule; publishers take turns batch by batch, readers never wait.
#[derive(Debug)]
pub struct SqliteSink {
    store: Store,
    connection: Connection,
    loading: Option<Loading>,
}

/// The file, and how it is called in messages.
#[derive(Debug, Clone)]
struct Store {
    path: PathBuf,
    name: String,
}

/// A publish under way.
#[derive(Debug)]
struct Loading {
    sequence: RunSequence,
    /// The pointer's epoch at `begin`: the commit demands that it still is.
    epoch: i64,
    lock: LoadLock,
    /// What `verify` found, until something is written again.
    verified: Option<Tally>,
}

impl Store {
    /// Wraps an error of SQLite with what was attempted.
    fn failed<E>(&self, doing: impl Into<String>) -> impl FnOnce(E) -> PublishError
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (store, doing) = (self.name.clone(), doing.into());
        move |source| PublishError::Store { store, doing, source: source.into() }
    }

    fn superseded(&self, sequence: RunSequence, by: String) -> PublishError {
        PublishError::Superseded { store: self.name.clone(), sequence, by }
    }
}

impl SqliteSink {
    /// Opens the file, or makes it, and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, is no database, or was set up by a newer program.
    pub fn open(path: &Path) -> Result<Self, PublishError> {
        let store = Store { path: path.to_owned(), name: path.display().to_string() };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(store.failed("create the folder of the file"))?;
        }
        let mut connection = Connection::open(path).map_err(store.failed("open the file"))?;
        configure(&connection).map_err(store.failed("configure the connection"))?;
        schema::migrate(&store, &mut connection)?;
        Ok(Self { store, connection, loading: None })
    }

    fn begun(&mut self, doing: &'static str) -> Result<(&Store, &mut Connection, &mut Loading), PublishError> {
        match &mut self.loading {
            Some(loading) => Ok((&self.store, &mut self.connection, loading)),
            None => Err(PublishError::OutOfOrder { doing, reason: "no publish has begun" }),
        }
    }
}

/// What the file holds.
const SECTIONS: [Section; 6] = [
    Section::Recommendations,
    Section::SimilarItems,
    Section::Popular,
    Section::BoughtTogether,
    Section::Trending,
    Section::Campaigns,
];

impl Sink for SqliteSink {
    fn sections(&self) -> &[Section] {
        &SECTIONS
    }

    fn begin(&mut self, header: &RunHeader) -> Result<Begun, PublishError> {
        if self.loading.is_some() {
            return Err(PublishError::OutOfOrder { doing: "begin a publish", reason: "another one has begun" });
        }
        load::remove_leftovers(&self.store, &mut self.connection)?;
        let loading = load::begin(&self.store, &mut self.connection, header)?;
        let sequence = loading.sequence;
        self.loading = Some(loading);
        Ok(Begun { sequence, base: None })
    }

    fn write(&mut self, rows: &Rows<'_>) -> Result<Tally, PublishError> {
        let (store, connection, loading) = self.begun("write lists")?;
        loading.verified = None;
        rows.check_scores()?;
        match rows {
            Rows::Lists(section, lists) => load::write_lists(store, connection, loading, *section, lists),
            Rows::Members(members) => load::write_members(store, connection, loading, members),
            Rows::Profiles(_) => Err(PublishError::NotTaken { store: store.name.clone(), section: Section::Profiles }),
        }
    }

    fn verify(&mut self, expected: &Expected) -> Result<(), PublishError> {
        let (store, connection, loading) = self.begun("verify")?;
        loading.verified = Some(load::verify(store, connection, loading, expected)?);
        Ok(())
    }

    fn commit(&mut self) -> Result<Committed, PublishError> {
        let (store, connection, loading) = self.begun("commit")?;
        let Some(total) = loading.verified else {
            return Err(PublishError::OutOfOrder { doing: "commit", reason: "what was written has not been verified" });
        };
        let committed = pointer::commit(store, connection, loading, total)?;
        self.loading = None;
        Ok(committed)
    }

    fn abort(&mut self) -> Result<(), PublishError> {
        let Some(loading) = self.loading.take() else { return Ok(()) };
        load::remove(&self.store, &mut self.connection, loading.sequence, load::State::Loading)?;
        drop(loading.lock);
        Ok(())
    }

    fn audit(&mut self) -> Result<Expected, PublishError> {
        load::audit(&self.store, &mut self.connection)
    }

    fn status(&mut self) -> Result<Status, PublishError> {
        let transaction = self.connection.transaction().map_err(self.store.failed("begin reading"))?;
        pointer::status(&transaction).map_err(self.store.failed("read the pointer"))
    }

    fn rollback(&mut self, to: Option<RunSequence>) -> Result<Status, PublishError> {
        pointer::rollback(&self.store, &mut self.connection, to)?;
        self.status()
    }

    fn drop_old(&mut self, keep: usize) -> Result<Vec<RunSequence>, PublishError> {
        pointer::drop_old(&self.store, &mut self.connection, keep)
    }
}

/// Settings of a writing connection.
///
/// Pages of 16 KiB hold a dozen lists of 50. NORMAL syncs the log before each checkpoint, so a power cut cannot tear the
/// file; it may lose a run being loaded, which nobody sees. Moving the pointer is done with FULL.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "page_size", 16_384)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 4_096, |_| Ok(()))?;
    connection.pragma_update_and_check(None, "journal_size_limit", 64 * 1024 * 1024, |_| Ok(()))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// A transaction that takes the write lock at once, so that what it reads first still holds when it writes.
fn writing<'c>(store: &Store, connection: &'c mut Connection) -> Result<Transaction<'c>, PublishError> {
    connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(store.failed("take the write lock (another publisher may hold it)"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn publish(sink: &mut SqliteSink) -> RunSequence {
        let sequence = sink
            .begin(&RunHeader { run: "r".into(), content_sha256: String::new(), at_hand: Vec::new() })
            .unwrap()
            .sequence;
        sink.verify(&Expected::new()).unwrap();
        sink.commit().unwrap();
        sequence
    }

    #[test]
    fn a_run_that_was_committed_since_somebody_looked_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = SqliteSink::open(&folder.path().join("n.db")).unwrap();
        let first = publish(&mut sink);
        let second = publish(&mut sink);
        let before = sink.status().unwrap();
        for (sequence, state) in
            [(first, load::State::Loading), (second, load::State::Loading), (second, load::State::Committed)]
        {
            assert!(!load::remove(&sink.store, &mut sink.connection, sequence, state).unwrap());
        }
        assert_eq!(sink.status().unwrap(), before);
        assert!(load::remove(&sink.store, &mut sink.connection, first, load::State::Committed).unwrap());
    }
}
