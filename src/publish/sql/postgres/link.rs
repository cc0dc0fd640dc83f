//! The one connection of a sink, and who it is to the server.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row, raw_sql};
use tokio::time::timeout;
use xxhash_rust::xxh64::xxh64;

use super::{
    super::{config::PostgresConfig, session::Store},
    schema::{Names, migrate},
};
use crate::{
    publish::{PublishError, RunSequence},
    sql::{Access, endpoint},
};

/// How long a writer waits for another one's transaction; those take a fraction of a second.
const LOCK_TIMEOUT: &str = "60s";

/// How long a session that ended may take to let go of its locks.
const LET_GO: [Duration; 3] = [Duration::from_millis(20), Duration::from_millis(60), Duration::from_millis(120)];

/// A session of the server.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: PgConnection,
    /// What tells it from every other session: process and start.
    pub(super) backend: Backend,
}

/// A server process, by id and start: ids are used again.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    pid: i32,
    started: String,
}

impl Session {
    /// Connects, logs in, and brings the schema up to date.
    pub(super) async fn open(store: &Store, config: &PostgresConfig, names: &Names) -> Result<Self, PublishError> {
        Self::open_for(store, config, names, config.create).await
    }

    pub(super) async fn open_for(
        store: &Store,
        config: &PostgresConfig,
        names: &Names,
        may_migrate: bool,
    ) -> Result<Self, PublishError> {
        let login = config.login();
        let access = Access::obtain(&login).await.map_err(store.failed("find the password"))?;
        let options = endpoint::postgres(&login, &access);
        let mut connection = timeout(endpoint::CONNECT_TIMEOUT, PgConnection::connect_with(&options))
            .await
            .map_err(store.failed("connect"))?
            .map_err(store.failed("connect"))?;
        let failed = || store.failed("set up the session");
        // What is loaded is made durable by the commit, which waits for everything before it.
        raw_sql(AssertSqlSafe(format!(
            "SET synchronous_commit = off; SET lock_timeout = '{LOCK_TIMEOUT}'; SET idle_in_transaction_session_timeout = 0;
             SET statement_timeout = 0; SET client_min_messages = warning; SET datestyle = 'ISO'; SET search_path = ''"
        )))
        .execute(&mut connection)
        .await
        .map_err(failed())?;
        let row = sqlx::query("SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()")
            .fetch_one(&mut connection)
            .await
            .map_err(failed())?;
        let backend = Backend { pid: row.try_get(0).map_err(failed())?, started: row.try_get(1).map_err(failed())? };
        migrate(store, &mut connection, names, config.role.as_deref(), may_migrate).await?;
        Ok(Self { connection, backend })
    }

    pub(super) fn backend(&self) -> Backend {
        self.backend.clone()
    }

    /// Ends another session of the same user, if it still lives.
    pub(super) async fn end(&mut self, other: &Backend) -> sqlx::Result<()> {
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start::text = $2",
        )
        .bind(other.pid)
        .bind(&other.started)
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }
}

/// The number of a sequence's lock: the first half names the schema, so that several share a database.
fn lock_number(names: &Names, sequence: RunSequence) -> i64 {
    let schema = xxh64(format!("nightshelf publish {}", names.schema).as_bytes(), 0) >> 32;
    // The low half of the sequence: two billion publishes later it would come round again.
    ((schema << 32) | (sequence.0 as u64 & 0xffff_ffff)) as i64
}

/// Takes the lock that shows that a sequence's publisher lives. It goes with the session.
///
/// Returns: whether it was free.
pub(super) async fn take_lock(
    connection: &mut PgConnection,
    names: &Names,
    sequence: RunSequence,
) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(lock_number(names, sequence)).fetch_one(connection).await
}

/// The same, with patience for a session that has just ended.
pub(super) async fn take_lock_soon(
    connection: &mut PgConnection,
    names: &Names,
    sequence: RunSequence,
) -> sqlx::Result<bool> {
    for pause in LET_GO {
        if take_lock(connection, names, sequence).await? {
            return Ok(true);
        }
        tokio::time::sleep(pause).await;
    }
    take_lock(connection, names, sequence).await
}

/// Lets go of a lock.
pub(super) async fn release_lock(
    connection: &mut PgConnection,
    names: &Names,
    sequence: RunSequence,
) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(lock_number(names, sequence)).execute(connection).await?;
    Ok(())
}

/// Whether an error leaves open what the server did: the connection broke, or the server ended the session.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match error.as_database_error() {
        // 57P01 admin shutdown, 57P02 crash, 57P03 cannot connect now, 08… connection.
        Some(database) => database.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08")),
        None => true,
    }
}

/// Whether a lock could not be had in time.
pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    // 55P03 lock not available, 40P01 deadlock.
    let code = error.as_database_error().and_then(|database| database.code());
    code.is_some_and(|code| code == "55P03" || code == "40P01")
}
