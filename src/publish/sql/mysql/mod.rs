//! Publishing to MariaDB or MySQL.
//!
//! Tables are keyed by run sequence and key; a run is loaded by prepared INSERTs of many rows, and an old one is deleted
//! some rows at a time. Views read pointer and rows in one snapshot, so readers wait for nobody.

mod link;
mod load;
mod pointer;
mod remove;
mod rows;
mod schema;

use sqlx::Connection as _;
use tokio::time::timeout;

use super::{
    config::MySqlConfig,
    outcome::{CLOSE_TIMEOUT, Ended, Fate, SETTLE_PAUSES, committed},
    session::{Driver, Store},
    storable::{Limits, check_storable},
};
use crate::publish::{
    Begun, Committed, Expected, PublishError, Rows, RunHeader, RunSequence, Section, Sink, Status, Tally,
};
use link::Session;

/// What columns and indexes hold.
const LIMITS: Limits = Limits {
    holds_nul: true,
    max_key_bytes: 4 * schema::KEY_CHARS,
    max_key_chars: schema::KEY_CHARS,
    max_campaign_chars: schema::CAMPAIGN_CHARS,
};

/// Rows written in one transaction: the server syncs its log once for so many bytes.
const TRANSACTION_BYTES: u64 = 32 * 1024 * 1024;

/// A database of a MariaDB or MySQL server as a sink.
#[derive(Debug)]
pub struct MySqlSink {
    link: Link,
    sections: Vec<Section>,
    loading: Option<Loading>,
}

/// The connection and all it takes to make it again.
#[derive(Debug)]
struct Link {
    store: Store,
    config: MySqlConfig,
    /// `None` once it broke.
    session: Option<Session>,
    // Last: the connection is dropped before what drives it.
    driver: Driver,
}

/// A publish under way.
#[derive(Debug)]
struct Loading {
    sequence: RunSequence,
    /// The pointer's epoch at `begin`: the commit demands that it still is.
    epoch: i64,
    /// The session that began it, and holds its lock.
    session: u64,
    /// Bytes of the open transaction; `None` when none is open.
    open_bytes: Option<u64>,
    /// What `verify` found, until something is written again.
    verified: Option<Tally>,
}

impl Link {
    /// Does work on the connection. One that broke is made again, but not within a publish: its lock went with it.
    fn on<T>(
        &mut self,
        is_begun: bool,
        work: impl AsyncFnOnce(&Store, &mut Session) -> Result<T, PublishError>,
    ) -> Result<T, PublishError> {
        if self.session.is_none() && is_begun {
            let lost = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the connection was lost");
            return Err(self.store.failed("go on with the publish")(lost));
        }
        let session = match &mut self.session {
            Some(session) => session,
            gone => gone.insert(self.driver.run(Session::open(&self.store, &self.config, self.config.create))?),
        };
        let outcome = self.driver.run(work(&self.store, session));
        if let Err(PublishError::Store { source, .. }) = &outcome
            && source.downcast_ref::<sqlx::Error>().is_some_and(link::is_lost)
        {
            self.session = None;
        }
        outcome
    }
}

impl MySqlSink {
    /// Connects, and brings the schema up to date where the config lets it.
    ///
    /// # Errors
    /// When the server cannot be reached or is not who it should be, the login fails, or the schema is another version's.
    pub fn open(config: &MySqlConfig) -> Result<Self, PublishError> {
        Self::open_for(config, config.create)
    }

    /// Brings the schema up to date, whatever the config says of it.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn migrate(config: &MySqlConfig) -> Result<(), PublishError> {
        Self::open_for(config, true).map(drop)
    }

    fn open_for(config: &MySqlConfig, may_migrate: bool) -> Result<Self, PublishError> {
        let store = Store { name: format!("mysql {}", config.place()) };
        let driver = Driver::start().map_err(store.failed("start the runtime"))?;
        let session = driver.run(Session::open(&store, config, may_migrate))?;
        let sections = schema::SECTIONS.into_iter().filter(|section| config.sections.contains(section)).collect();
        let link = Link { store, config: config.clone(), session: Some(session), driver };
        Ok(Self { link, sections, loading: None })
    }

    /// Does work outside of a publish, or beside one.
    fn on<T>(
        &mut self,
        work: impl AsyncFnOnce(&Store, &mut Session) -> Result<T, PublishError>,
    ) -> Result<T, PublishError> {
        if let Some(loading) = &mut self.loading {
            end_transaction(&mut self.link, loading)?;
        }
        self.link.on(self.loading.is_some(), work)
    }

    /// The ledger's answer to a commit that got none.
    fn settle(&mut self, total: Tally, lost: sqlx::Error) -> Result<Committed, PublishError> {
        let link = &mut self.link;
        tracing::warn!(store = link.store.name, error = %lost, "the connection broke during the commit; asking the ledger");
        link.session = None;
        let loading = begun(self.loading.as_mut(), "commit")?;
        let unknown = |error| link.store.failed(format!("learn whether run {} was committed", loading.sequence))(error);
        let mut last = unknown(lost);
        for pause in SETTLE_PAUSES {
            std::thread::sleep(pause);
            match link.driver.run(settle_once(&link.store, &link.config, loading, total)) {
                Ok((session, Ended::Committed(committed))) => {
                    link.session = Some(session);
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

fn begun<'l>(loading: Option<&'l mut Loading>, doing: &'static str) -> Result<&'l mut Loading, PublishError> {
    loading.ok_or(PublishError::OutOfOrder { doing, reason: "no publish has begun" })
}

/// Ends the open transaction, if there is one.
fn end_transaction(link: &mut Link, loading: &mut Loading) -> Result<(), PublishError> {
    if loading.open_bytes.take().is_none() {
        return Ok(());
    }
    link.on(true, async |store, session| session.run("COMMIT").await.map_err(store.failed("write rows")))
}

/// Ends the session that had the commit, so that it can change nothing any more, and then believes the ledger: a run that
/// is not committed by then is committed again.
async fn settle_once(
    store: &Store,
    config: &MySqlConfig,
    loading: &Loading,
    total: Tally,
) -> Result<(Session, Ended), PublishError> {
    let mut session = Session::open(store, config, config.create).await?;
    let failed = || store.failed("ask the ledger");
    session.end(loading.session).await.map_err(failed())?;
    match pointer::fate(&mut session, loading.sequence).await.map_err(failed())? {
        Fate::Committed { previous } => Ok((session, Ended::Committed(committed(loading.sequence, previous, total)))),
        Fate::Loading => {
            if !session.take_run_lock(loading.sequence).await.map_err(failed())? {
                return Err(store.superseded(loading.sequence, "another session holds its lock".into()));
            }
            let ended = pointer::commit(store, &mut session, loading, total).await?;
            Ok((session, ended))
        }
        Fate::Gone => Err(store.superseded(loading.sequence, "its rows were removed".into())),
    }
}

impl Sink for MySqlSink {
    fn sections(&self) -> &[Section] {
        &self.sections
    }

    fn begin(&mut self, header: &RunHeader) -> Result<Begun, PublishError> {
        if self.loading.is_some() {
            return Err(PublishError::OutOfOrder { doing: "begin a publish", reason: "another one has begun" });
        }
        let loading = self.link.on(false, async |store, session| {
            remove::remove_leftovers(store, session).await?;
            load::begin(store, session, header).await
        })?;
        fail::fail_point!("publish-mysql-begun");
        let sequence = loading.sequence;
        self.loading = Some(loading);
        Ok(Begun { sequence, base: None })
    }

    fn write(&mut self, rows: &Rows<'_>) -> Result<Tally, PublishError> {
        let (link, section) = (&mut self.link, rows.section());
        let loading = begun(self.loading.as_mut(), "write rows")?;
        loading.verified = None;
        if !self.sections.contains(&section) {
            return Err(PublishError::NotTaken { store: link.store.name.clone(), section });
        }
        rows.check_scores()?;
        check_storable(&link.store.name, rows, &LIMITS)?;
        if loading.open_bytes.is_none() {
            link.on(true, async |store, session| {
                session.run("START TRANSACTION").await.map_err(store.failed("write rows"))?;
                load::check_current(store, session, loading, false).await
            })?;
        }
        let mut open_bytes = loading.open_bytes.unwrap_or(0);
        let sequence = loading.sequence;
        let (tally, n_bytes) =
            link.on(true, async |store, session| load::write(store, session, sequence, rows).await)?;
        open_bytes += n_bytes;
        loading.open_bytes = Some(open_bytes);
        if open_bytes >= TRANSACTION_BYTES {
            end_transaction(link, loading)?;
        }
        fail::fail_point!("publish-mysql-written");
        Ok(tally)
    }

    fn verify(&mut self, expected: &Expected) -> Result<(), PublishError> {
        let link = &mut self.link;
        let loading = begun(self.loading.as_mut(), "verify")?;
        end_transaction(link, loading)?;
        let sections = &self.sections;
        let total =
            link.on(true, async |store, session| load::verify(store, session, sections, loading, expected).await)?;
        loading.verified = Some(total);
        fail::fail_point!("publish-mysql-verified");
        Ok(())
    }

    fn commit(&mut self) -> Result<Committed, PublishError> {
        let loading = begun(self.loading.as_mut(), "commit")?;
        let Some(total) = loading.verified else {
            return Err(PublishError::OutOfOrder { doing: "commit", reason: "what was written has not been verified" });
        };
        let ended = self.link.on(true, async |store, session| pointer::commit(store, session, loading, total).await)?;
        let committed = match ended {
            Ended::Committed(committed) => committed,
            Ended::Unknown(error) => self.settle(total, error)?,
        };
        fail::fail_point!("publish-mysql-committed");
        self.loading = None;
        let sequence = committed.sequence.to_string();
        let unlocked = self.link.on(false, async |store, session| {
            session.release_lock(&sequence).await.map_err(store.failed("release the lock"))
        });
        if let Err(error) = unlocked {
            // It goes with the session, and nobody asks for a committed run's.
            tracing::debug!(store = self.link.store.name, %error, "the lock of the committed run stays until the end");
        }
        Ok(committed)
    }

    fn abort(&mut self) -> Result<(), PublishError> {
        let Some(loading) = self.loading.take() else { return Ok(()) };
        // What broke the connection may be why the publish is given up.
        let rolled_back = self.link.on(true, async |store, session| {
            session.run("ROLLBACK").await.map_err(store.failed("give up what was written"))
        });
        if rolled_back.is_err() {
            self.link.session = None;
        }
        self.link.on(false, async |store, session| {
            let failed = || store.failed(format!("remove run {}", loading.sequence));
            if session.id != loading.session {
                session.end(loading.session).await.map_err(failed())?;
            }
            remove::give_up(session, loading.sequence, "loading").await.map_err(failed())?;
            remove::delete_given_up(session).await.map_err(failed())?;
            session.release_lock(&loading.sequence.to_string()).await.map_err(failed())
        })
    }

    fn audit(&mut self) -> Result<Expected, PublishError> {
        let sections = self.sections.clone();
        self.on(async |store, session| {
            load::audit(session, &sections).await.map_err(store.failed("read what is served"))
        })
    }

    fn status(&mut self) -> Result<Status, PublishError> {
        self.on(async |store, session| pointer::status(session).await.map_err(store.failed("read the pointer")))
    }

    fn rollback(&mut self, to: Option<RunSequence>) -> Result<Status, PublishError> {
        self.on(async |store, session| pointer::rollback(store, session, to).await)?;
        self.status()
    }

    fn drop_old(&mut self, keep: usize) -> Result<Vec<RunSequence>, PublishError> {
        self.on(async |store, session| remove::drop_old(store, session, keep).await)
    }
}

impl Drop for MySqlSink {
    fn drop(&mut self) {
        let Some(mut session) = self.link.session.take() else { return };
        let leave = async {
            // The server takes its time to notice that a session has gone; the next publisher should not wait for it.
            session.run("ROLLBACK").await?;
            if let Some(loading) = &self.loading {
                session.release_lock(&loading.sequence.to_string()).await?;
            }
            session.connection.close().await
        };
        // Whatever happens here, the session ends with the socket.
        let _ = self.link.driver.run(async { timeout(CLOSE_TIMEOUT, leave).await });
    }
}
