//! The one connection of a sink, and who it is to the server.

use std::time::Duration;

use sqlx::{ConnectOptions as _, MySqlConnection, Row, mysql::MySqlDatabaseError, raw_sql};
use tokio::time::timeout;
use xxhash_rust::xxh64::xxh64;

use super::{
    super::{config::MySqlConfig, session::Store},
    schema::migrate,
};
use crate::{
    publish::{PublishError, RunSequence},
    sql::{Access, endpoint},
};

/// How long a session that ended may take to let go of its locks.
const LET_GO: [Duration; 3] = [Duration::from_millis(20), Duration::from_millis(60), Duration::from_millis(120)];

/// A session of the server.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: MySqlConnection,
    /// The server's number of it.
    pub(super) id: u64,
    /// Largest statement that the server takes.
    pub(super) max_packet_bytes: usize,
    /// What orders text by its bytes, without padding: each kind of server has its own name for it.
    pub(super) collation: &'static str,
    /// What locks of this database are called.
    lock_prefix: String,
}

impl Session {
    /// Connects, logs in, and brings the schema up to date.
    pub(super) async fn open(store: &Store, config: &MySqlConfig, may_migrate: bool) -> Result<Self, PublishError> {
        let login = config.login();
        let access = Access::obtain(&login).await.map_err(store.failed("find the password"))?;
        let options = endpoint::mysql(&login, &access);
        let mut connection = timeout(endpoint::CONNECT_TIMEOUT, options.connect())
            .await
            .map_err(store.failed("connect"))?
            .map_err(store.failed("connect"))?;
        let failed = || store.failed("set up the session");
        for sql in [
            // What does not fit is an error, never cut.
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = 60",
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        ] {
            raw_sql(sql).execute(&mut connection).await.map_err(failed())?;
        }
        // Text, whatever types this server and version give.
        let row = raw_sql("SELECT CONCAT_WS('\\n', CONNECTION_ID(), @@max_allowed_packet, VERSION(), DATABASE())")
            .fetch_one(&mut connection)
            .await
            .map_err(failed())?;
        let text: String = row.try_get_unchecked(0).map_err(failed())?;
        let mut fields = text.splitn(4, '\n');
        let mut field = || fields.next().unwrap_or_default();
        let (id, packet, version, database) = (field(), field(), field(), field());
        let mut session = Self {
            connection,
            id: id.parse().map_err(store.failed("read the session's number"))?,
            max_packet_bytes: packet.parse().map_err(store.failed("read max_allowed_packet"))?,
            collation: if version.contains("MariaDB") { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" },
            // Names of locks have at most 64 characters, and all databases of a server share them.
            lock_prefix: format!("nightshelf {:016x}", xxh64(database.as_bytes(), 0)),
        };
        migrate(store, &mut session, may_migrate).await?;
        Ok(session)
    }

    /// Takes a named lock, which goes with the session.
    ///
    /// Returns: whether it was free.
    pub(super) async fn take_lock(&mut self, name: &str, wait_s: u32) -> sqlx::Result<bool> {
        let taken: Option<i64> = sqlx::query_scalar("SELECT CAST(GET_LOCK(?, ?) AS SIGNED)")
            .bind(format!("{} {name}", self.lock_prefix))
            .bind(wait_s)
            .fetch_one(&mut self.connection)
            .await?;
        Ok(taken == Some(1))
    }

    /// Lets go of a lock.
    pub(super) async fn release_lock(&mut self, name: &str) -> sqlx::Result<()> {
        let name = format!("{} {name}", self.lock_prefix);
        sqlx::query("DO RELEASE_LOCK(?)").bind(name).execute(&mut self.connection).await.map(drop)
    }

    /// Takes the lock that shows that a sequence's publisher lives, with patience for a session that has just ended.
    ///
    /// Returns: whether it was free.
    pub(super) async fn take_run_lock(&mut self, sequence: RunSequence) -> sqlx::Result<bool> {
        let name = sequence.to_string();
        for pause in LET_GO {
            if self.take_lock(&name, 0).await? {
                return Ok(true);
            }
            tokio::time::sleep(pause).await;
        }
        self.take_lock(&name, 0).await
    }

    /// Ends another session of the same user, if it still lives.
    pub(super) async fn end(&mut self, other: u64) -> sqlx::Result<()> {
        let sql =
            "SELECT 1 FROM information_schema.processlist WHERE id = ? AND user = SUBSTRING_INDEX(USER(), '@', 1)";
        if sqlx::query(sql).bind(other).fetch_optional(&mut self.connection).await?.is_none() {
            return Ok(());
        }
        match self.run(format!("KILL {other}")).await {
            // No such thread: it ended by itself meanwhile.
            Err(error) if number(&error) == Some(1094) => Ok(()),
            outcome => outcome,
        }
    }
}

/// The server's number of an error.
fn number(error: &sqlx::Error) -> Option<u16> {
    Some(error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?.number())
}

/// Whether an error leaves open what the server did: the connection broke, or the server ended the session.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    // Shutdown, broken connections, killed.
    const LOST: [u16; 13] = [1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1317, 1927, 2006, 2013];
    number(error).is_none_or(|number| LOST.contains(&number))
}

/// Whether a key was there already.
pub(super) fn is_duplicate(error: &sqlx::Error) -> bool {
    number(error) == Some(1062)
}
