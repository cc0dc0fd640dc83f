//! Publishing to Postgres.
//!
//! Each section is one table, LIST-partitioned by run sequence: a run is loaded by COPY into partitions that nobody
//! sees, its keys are sorted once, the partitions are attached, and one small transaction moves the pointer. An old run
//! goes by DROP TABLE. Views show the newest head that a statement's own plan knows (see `schema::views`).

mod copy;
mod link;
mod load;
mod pointer;
mod read;
mod remove;
mod schema;
mod text;

use std::collections::BTreeSet;

use sqlx::Connection as _;
use tokio::time::timeout;

use super::{
    config::PostgresConfig,
    outcome::{CLOSE_TIMEOUT, Ended, Fate, SETTLE_PAUSES, committed},
    session::{Driver, Store},
    storable::{Limits, check_storable},
};
use crate::publish::{
    Begun, Committed, Expected, PublishError, Rows, RunHeader, RunSequence, Section, Sink, Status, Tally,
};
use copy::Copy;
use link::{Backend, Session};
use schema::Names;

/// What Postgres text and B-trees hold: an index entry is at most a third of a page.
const LIMITS: Limits =
    Limits { holds_nul: false, max_key_bytes: 2_000, max_key_chars: usize::MAX, max_campaign_chars: 200 };

/// A COPY is ended after so much text, and the pointer looked at again.
const COPY_BYTES: u64 = 256 * 1024 * 1024;

/// A Postgres schema as a sink.
#[derive(Debug)]
pub struct PostgresSink {
    store: Store,
    config: PostgresConfig,
    names: Names,
    sections: Vec<Section>,
    link: Link,
    loading: Option<Loading>,
    // Last: connections are dropped before what drives them.
    driver: Driver,
}

/// The connection, wherever it is.
#[derive(Debug)]
enum Link {
    Idle(Session),
    /// A task sends rows over it.
    Copying(Copy, Backend, u64),
    /// It broke.
    Gone,
}

/// A publish under way.
#[derive(Debug)]
struct Loading {
    sequence: RunSequence,
    /// The pointer's epoch at `begin`: the commit demands that it still is.
    epoch: i64,
    /// The session that began it, and holds its lock.
    backend: Backend,
    /// Sections whose partition has its primary key.
    keyed: BTreeSet<Section>,
    /// Whether the partitions belong to their tables.
    attached: bool,
    /// What `verify` found, until something is written again.
    verified: Option<Tally>,
}

impl PostgresSink {
    /// Connects, and brings the schema up to date where the config lets it.
    ///
    /// # Errors
    /// When the server cannot be reached or is not who it should be, the login fails, or the schema is another version's.
    pub fn open(config: &PostgresConfig) -> Result<Self, PublishError> {
        Self::open_for(config, config.create)
    }

    /// Brings the schema up to date, whatever the config says of it.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn migrate(config: &PostgresConfig) -> Result<(), PublishError> {
        Self::open_for(config, true).map(drop)
    }

    fn open_for(config: &PostgresConfig, may_migrate: bool) -> Result<Self, PublishError> {
        let store = Store { name: format!("postgres {}", config.place()) };
        let driver = Driver::start().map_err(store.failed("start the runtime"))?;
        let names = Names { schema: config.schema.clone() };
        let session = driver.run(Session::open_for(&store, config, &names, may_migrate))?;
        let sections = schema::SECTIONS.into_iter().filter(|section| config.sections.contains(section)).collect();
        let config = config.clone();
        Ok(Self { store, config, names, sections, link: Link::Idle(session), loading: None, driver })
    }

    /// Sees to it that there is an idle connection: it is made again when it broke while nothing was under way.
    fn session(&mut self) -> Result<(), PublishError> {
        self.end_copy()?;
        if matches!(self.link, Link::Gone) {
            if self.loading.is_some() {
                let lost = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the connection was lost");
                return Err(self.store.failed("go on with the publish")(lost));
            }
            self.link = Link::Idle(self.driver.run(Session::open(&self.store, &self.config, &self.names))?);
        }
        Ok(())
    }

    fn begun(&self, doing: &'static str) -> Result<&Loading, PublishError> {
        self.loading.as_ref().ok_or(PublishError::OutOfOrder { doing, reason: "no publish has begun" })
    }

    /// Ends a COPY under way: its rows are in the table afterwards, or none of them.
    fn end_copy(&mut self) -> Result<(), PublishError> {
        let (copy, backend) = match std::mem::replace(&mut self.link, Link::Gone) {
            Link::Copying(copy, backend, _) => (copy, backend),
            other => {
                self.link = other;
                return Ok(());
            }
        };
        let section = copy.section;
        let (connection, outcome) = self.driver.run(copy.end());
        let is_lost = outcome.as_ref().is_err_and(link::is_lost);
        if let Some(connection) = connection.filter(|_| !is_lost) {
            self.link = Link::Idle(Session { connection, backend });
        }
        outcome
            .map(drop)
            .map_err(|error| load::duplicate_or(&self.store, section, format!("write {}", section.name()), error))
    }

    /// Sees to it that a COPY into a section's partition is under way.
    fn copying_into(&mut self, section: Section) -> Result<(), PublishError> {
        if let Link::Copying(copy, _, sent) = &self.link
            && copy.section == section
            && *sent < COPY_BYTES
        {
            return Ok(());
        }
        self.session()?;
        let (Link::Idle(session), Some(loading)) = (&mut self.link, &self.loading) else { return Ok(()) };
        self.driver.run(load::check_current(&self.store, &mut session.connection, &self.names, loading, false))?;
        let statement = load::copy_statement(&self.names, section, loading.sequence);
        if let Link::Idle(Session { connection, backend }) = std::mem::replace(&mut self.link, Link::Gone) {
            let _inside = self.driver.runtime().enter();
            self.link = Link::Copying(Copy::start(section, connection, statement), backend, 0);
        }
        Ok(())
    }

    /// The ledger's answer to a commit that got none.
    fn settle(&mut self, total: Tally, lost: sqlx::Error) -> Result<Committed, PublishError> {
        tracing::warn!(store = self.store.name, error = %lost, "the connection broke during the commit; asking the ledger");
        self.link = Link::Gone;
        let loading = self.begun("commit")?;
        let unknown = |error| self.store.failed(format!("learn whether run {} was committed", loading.sequence))(error);
        let mut last = unknown(lost);
        for pause in SETTLE_PAUSES {
            std::thread::sleep(pause);
            match self.driver.run(settle_once(&self.store, &self.config, &self.names, loading, total)) {
                Ok((session, Ended::Committed(committed))) => {
                    self.link = Link::Idle(session);
                    return Ok(committed);
                }
                Ok((_, Ended::Unknown(error))) => last = unknown(error),
                Err(error @ PublishError::Superseded { .. }) => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// Ends the session that had the commit, so that it can change nothing any more, and then believes the ledger: a run that
/// is not committed by then is committed again.
async fn settle_once(
    store: &Store,
    config: &PostgresConfig,
    names: &Names,
    loading: &Loading,
    total: Tally,
) -> Result<(Session, Ended), PublishError> {
    let mut session = Session::open(store, config, names).await?;
    let failed = || store.failed("ask the ledger");
    session.end(&loading.backend).await.map_err(failed())?;
    match pointer::fate(&mut session.connection, names, loading.sequence).await.map_err(failed())? {
        Fate::Committed { previous } => Ok((session, Ended::Committed(committed(loading.sequence, previous, total)))),
        Fate::Loading => {
            let connection = &mut session.connection;
            if !link::take_lock_soon(connection, names, loading.sequence).await.map_err(failed())? {
                return Err(store.superseded(loading.sequence, "another session holds its lock".into()));
            }
            let ended = pointer::commit(store, connection, names, loading, total).await?;
            Ok((session, ended))
        }
        Fate::Gone => Err(store.superseded(loading.sequence, "its rows were removed".into())),
    }
}

impl Sink for PostgresSink {
    fn sections(&self) -> &[Section] {
        &self.sections
    }

    fn begin(&mut self, header: &RunHeader) -> Result<Begun, PublishError> {
        if self.loading.is_some() {
            return Err(PublishError::OutOfOrder { doing: "begin a publish", reason: "another one has begun" });
        }
        self.session()?;
        let Link::Idle(session) = &mut self.link else {
            return Err(PublishError::OutOfOrder { doing: "begin a publish", reason: "the connection is in use" });
        };
        let backend = session.backend();
        let connection = &mut session.connection;
        let loading = self.driver.run(async {
            remove::remove_leftovers(&self.store, connection, &self.names).await?;
            load::begin(&self.store, connection, &self.names, &self.sections, header, backend).await
        })?;
        fail::fail_point!("publish-postgres-begun");
        let sequence = loading.sequence;
        self.loading = Some(loading);
        Ok(Begun { sequence, base: None })
    }

    fn write(&mut self, rows: &Rows<'_>) -> Result<Tally, PublishError> {
        let section = rows.section();
        match &mut self.loading {
            Some(loading) => loading.verified = None,
            None => return self.begun("write rows").map(|_| Tally::default()),
        }
        if !self.sections.contains(&section) {
            return Err(PublishError::NotTaken { store: self.store.name.clone(), section });
        }
        rows.check_scores()?;
        check_storable(&self.store.name, rows, &LIMITS)?;
        self.copying_into(section)?;
        let Link::Copying(copy, _, sent) = &mut self.link else { return Ok(Tally::default()) };
        let mut is_taken = true;
        let driver = &self.driver;
        let tally = load::encode(rows, copy::CHUNK_BYTES, |chunk| {
            *sent += chunk.len() as u64;
            is_taken &= driver.run(copy.send(chunk));
            Ok(())
        })?;
        if !is_taken {
            self.end_copy()?;
            return Err(self.store.failed(format!("write {}", section.name()))(sqlx::Error::WorkerCrashed));
        }
        fail::fail_point!("publish-postgres-written");
        Ok(tally)
    }

    fn verify(&mut self, expected: &Expected) -> Result<(), PublishError> {
        self.begun("verify")?;
        self.session()?;
        let (Link::Idle(session), Some(loading)) = (&mut self.link, &mut self.loading) else { return Ok(()) };
        let connection = &mut session.connection;
        let work = load::verify(&self.store, connection, &self.names, &self.sections, loading, expected);
        let total = self.driver.run(work)?;
        loading.verified = Some(total);
        fail::fail_point!("publish-postgres-verified");
        Ok(())
    }

    fn commit(&mut self) -> Result<Committed, PublishError> {
        let Some(total) = self.begun("commit")?.verified else {
            return Err(PublishError::OutOfOrder { doing: "commit", reason: "what was written has not been verified" });
        };
        self.session()?;
        let (Link::Idle(session), Some(loading)) = (&mut self.link, &self.loading) else {
            return Err(PublishError::OutOfOrder { doing: "commit", reason: "the connection is in use" });
        };
        let work = pointer::commit(&self.store, &mut session.connection, &self.names, loading, total);
        let committed = match self.driver.run(work)? {
            Ended::Committed(committed) => committed,
            Ended::Unknown(error) => self.settle(total, error)?,
        };
        fail::fail_point!("publish-postgres-committed");
        self.loading = None;
        if let Link::Idle(session) = &mut self.link {
            let unlock = link::release_lock(&mut session.connection, &self.names, committed.sequence);
            if let Err(error) = self.driver.run(unlock) {
                // It goes with the session, and nobody asks for a committed run's.
                tracing::debug!(store = self.store.name, %error, "the lock of the committed run stays until the end");
            }
        }
        Ok(committed)
    }

    fn abort(&mut self) -> Result<(), PublishError> {
        let Some(loading) = self.loading.take() else { return Ok(()) };
        match std::mem::replace(&mut self.link, Link::Gone) {
            Link::Copying(copy, backend, _) => {
                if let Some(connection) = self.driver.run(copy.break_off()) {
                    self.link = Link::Idle(Session { connection, backend });
                }
            }
            other => self.link = other,
        }
        // What broke the connection may be why the publish is given up.
        let is_alive = match &mut self.link {
            Link::Idle(session) => self.driver.run(session.connection.ping()).is_ok(),
            _ => false,
        };
        if !is_alive {
            self.link = Link::Gone;
        }
        self.session()?;
        let Link::Idle(session) = &mut self.link else { return Ok(()) };
        let (store, names) = (&self.store, &self.names);
        let failed = || store.failed(format!("remove run {}", loading.sequence));
        self.driver.run(async {
            if !is_alive {
                session.end(&loading.backend).await.map_err(failed())?;
            }
            remove::give_up(&mut session.connection, names, loading.sequence, "loading").await.map_err(failed())?;
            remove::drop_given_up(store, &mut session.connection, names, remove::TRIES).await?;
            link::release_lock(&mut session.connection, names, loading.sequence).await.map_err(failed())
        })
    }

    fn audit(&mut self) -> Result<Expected, PublishError> {
        self.session()?;
        let Link::Idle(session) = &mut self.link else { return Ok(Expected::new()) };
        let work = read::audit(&mut session.connection, &self.names, &self.sections);
        self.driver.run(work).map_err(self.store.failed("read what is served"))
    }

    fn status(&mut self) -> Result<Status, PublishError> {
        self.session()?;
        let Link::Idle(session) = &mut self.link else { return Ok(Status::default()) };
        let work = pointer::status(&mut session.connection, &self.names);
        self.driver.run(work).map_err(self.store.failed("read the pointer"))
    }

    fn rollback(&mut self, to: Option<RunSequence>) -> Result<Status, PublishError> {
        self.session()?;
        if let Link::Idle(session) = &mut self.link {
            self.driver.run(pointer::rollback(&self.store, &mut session.connection, &self.names, to))?;
        }
        self.status()
    }

    fn drop_old(&mut self, keep: usize) -> Result<Vec<RunSequence>, PublishError> {
        self.session()?;
        let Link::Idle(session) = &mut self.link else { return Ok(Vec::new()) };
        self.driver.run(remove::drop_old(&self.store, &mut session.connection, &self.names, keep))
    }
}

impl Drop for PostgresSink {
    fn drop(&mut self) {
        let connection = match std::mem::replace(&mut self.link, Link::Gone) {
            Link::Idle(session) => Some(session.connection),
            Link::Copying(copy, _, _) => {
                self.driver.run(async { timeout(CLOSE_TIMEOUT, copy.break_off()).await }).ok().flatten()
            }
            Link::Gone => None,
        };
        let Some(mut connection) = connection else { return };
        let leave = async {
            // The server takes its time to notice that a session has gone; the next publisher should not wait for it.
            load::run(&mut connection, "SELECT pg_advisory_unlock_all()".into()).await?;
            connection.close().await
        };
        // Whatever happens here, the session ends with the socket.
        let _ = self.driver.run(async { timeout(CLOSE_TIMEOUT, leave).await });
    }
}
