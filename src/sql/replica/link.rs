//! A connection to a replica: one read-only transaction that sees one snapshot.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Connection as _, Executor as _, MySqlConnection, PgConnection,
    Row as _, SqlSafeStr as _, Statement as _, TypeInfo as _, mysql::MySqlDatabaseError, raw_sql,
};
use tokio::time::timeout;

use super::{
    SqlError,
    batch::Cell,
    config::{ReplicaConfig, ServerKind},
    error::{ASK_LAG, no_password},
    types::Fetch,
};
use crate::sql::{Access, endpoint};

/// How long a server may take for the next row, or for an answer; sorting a large result comes before the first row.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(1_800);

/// Beginning, as it stands in messages.
const BEGIN: &str = "begin a read-only transaction";

pub(super) enum Link {
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

/// How far a replica is behind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Lag {
    /// It is no replica, or nobody asked.
    None,
    Seconds(f64),
    /// It does not replicate at all.
    Stopped,
}

/// Wraps an error of the driver.
pub(super) fn failed(place: &str, doing: &'static str) -> impl Fn(sqlx::Error) -> SqlError {
    let place = place.to_owned();
    move |source| {
        let place = place.clone();
        if is_lost(&source) {
            SqlError::Lost { place, doing, source: source.into() }
        } else {
            SqlError::Refused { place, doing, source: source.into() }
        }
    }
}

/// Whether trying again may help: the connection broke, the server shut down, or replaying got in the way of the query.
fn is_lost(error: &sqlx::Error) -> bool {
    let Some(database) = error.as_database_error() else {
        return !matches!(
            error,
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_)
        );
    };
    if let Some(mysql) = database.try_downcast_ref::<MySqlDatabaseError>() {
        // Shutdown, broken connections, killed.
        return [1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1317, 1927, 2006, 2013]
            .contains(&mysql.number());
    }
    // 40001: conflict with recovery; 57P0x: shutdown; 08: connection.
    database.code().is_some_and(|code| code == "40001" || code.starts_with("57P") || code.starts_with("08"))
}

/// Whether an error says that there is no such column.
pub(super) fn is_missing_column(error: &sqlx::Error) -> bool {
    let Some(database) = error.as_database_error() else { return false };
    match database.try_downcast_ref::<MySqlDatabaseError>() {
        // 1143: the column is not granted, which is told like one that is not there.
        Some(mysql) => mysql.number() == 1054 || mysql.number() == 1143,
        None => database.code().is_some_and(|code| code == "42703"),
    }
}

impl Link {
    /// Connects, and begins the transaction.
    pub(super) async fn open(config: &ReplicaConfig, place: &str) -> Result<Self, SqlError> {
        let login = config.login();
        let access = Access::obtain(&login).await.map_err(no_password(place))?;
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| SqlError::Unreachable {
            place: place.to_owned(),
            source,
        };
        let wait = endpoint::CONNECT_TIMEOUT;
        let begin = failed(place, BEGIN);
        match config.kind {
            ServerKind::Postgres => {
                let options = endpoint::postgres(&login, &access);
                let connecting = timeout(wait, PgConnection::connect_with(&options)).await;
                let mut link = connecting
                    .map_err(|error| unreachable(error.into()))?
                    .map_err(|error| unreachable(error.into()))?;
                raw_sql(
                    "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET TimeZone = 'UTC'; \
                     SET extra_float_digits = 1; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                )
                .execute(&mut link)
                .await
                .map_err(&begin)?;
                Ok(Self::Postgres(link))
            }
            ServerKind::Mysql => {
                let options = endpoint::mysql(&login, &access);
                let connecting = timeout(wait, options.connect()).await;
                let mut link = connecting
                    .map_err(|error| unreachable(error.into()))?
                    .map_err(|error| unreachable(error.into()))?;
                for sql in [
                    "SET time_zone = '+00:00'",
                    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
                ] {
                    raw_sql(sql).execute(&mut link).await.map_err(&begin)?;
                }
                Ok(Self::MySql(link))
            }
        }
    }

    /// Names and types of a query's columns; nothing is run.
    pub(super) async fn columns(&mut self, sql: &str) -> sqlx::Result<Vec<(String, String)>> {
        let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
        Ok(match self {
            Self::Postgres(link) => {
                let statement = link.prepare(sql).await?;
                let named =
                    |column: &sqlx::postgres::PgColumn| (column.name().into(), column.type_info().name().into());
                statement.columns().iter().map(named).collect()
            }
            Self::MySql(link) => {
                let statement = link.prepare(sql).await?;
                let named =
                    |column: &sqlx::mysql::MySqlColumn| (column.name().into(), column.type_info().name().into());
                statement.columns().iter().map(named).collect()
            }
        })
    }

    /// The columns that are there, as far as the reader may know of them.
    pub(super) async fn present(&mut self, source: &str, is_table: bool) -> sqlx::Result<Vec<String>> {
        if let Self::MySql(link) = self
            && is_table
        {
            // `SELECT *` is refused where not all columns are granted.
            let rows = raw_sql(AssertSqlSafe(format!("SHOW COLUMNS FROM {source}"))).fetch_all(link).await?;
            return rows.iter().map(|row| row.try_get_unchecked(0)).collect();
        }
        let columns = self.columns(&format!("SELECT * FROM {source}")).await?;
        Ok(columns.into_iter().map(|(name, _)| name).collect())
    }

    /// How far the server says that it is behind.
    pub(super) async fn lag(&mut self, place: &str) -> Result<Lag, SqlError> {
        let ask = failed(place, ASK_LAG);
        match self {
            Self::Postgres(link) => {
                // A replica that has replayed all it has received is not behind, however long nothing has happened.
                let (replica, current, seconds): (bool, bool, Option<f64>) = sqlx::query_as(
                    "SELECT pg_is_in_recovery(), \
                     coalesce(pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn(), false) \
                       AND EXISTS (SELECT FROM pg_stat_wal_receiver), \
                     extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8",
                )
                .fetch_one(link)
                .await
                .map_err(ask)?;
                Ok(match (replica, current, seconds) {
                    (false, _, _) => Lag::None,
                    (true, true, _) => Lag::Seconds(0.0),
                    (true, false, Some(seconds)) => Lag::Seconds(seconds.max(0.0)),
                    (true, false, None) => Lag::Stopped,
                })
            }
            Self::MySql(link) => {
                let rows = raw_sql("SHOW REPLICA STATUS").fetch_all(link).await.map_err(&ask)?;
                let Some(row) = rows.first() else { return Ok(Lag::None) };
                let columns = ["Seconds_Behind_Source", "Seconds_Behind_Master"];
                let at = row.columns().iter().position(|column| columns.contains(&column.name()));
                let text: Option<String> = match at {
                    Some(at) => row.try_get_unchecked(at).map_err(ask)?,
                    None => None,
                };
                Ok(text.and_then(|text| text.parse().ok()).map_or(Lag::Stopped, Lag::Seconds))
            }
        }
    }

    /// The one integer of a query.
    pub(super) async fn integer(&mut self, sql: String) -> sqlx::Result<Option<i64>> {
        match self {
            Self::Postgres(link) => sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(link).await,
            Self::MySql(link) => sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(link).await,
        }
    }
}

/// A cell of a row.
pub(super) trait Cells {
    /// The cell of a column that was fetched in a way.
    fn cell(&self, at: usize, fetch: Fetch) -> sqlx::Result<Cell>;
}

impl Cells for sqlx::postgres::PgRow {
    fn cell(&self, at: usize, fetch: Fetch) -> sqlx::Result<Cell> {
        Ok(match fetch {
            Fetch::Text => Cell::Text(self.try_get(at)?),
            Fetch::Int | Fetch::Time => Cell::Int(self.try_get(at)?),
            Fetch::Float => Cell::Float(self.try_get(at)?),
            Fetch::Bool => Cell::Bool(self.try_get(at)?),
        })
    }
}

impl Cells for sqlx::mysql::MySqlRow {
    fn cell(&self, at: usize, fetch: Fetch) -> sqlx::Result<Cell> {
        Ok(match fetch {
            Fetch::Text => Cell::Text(self.try_get_unchecked(at)?),
            Fetch::Int | Fetch::Time => Cell::Int(self.try_get_unchecked(at)?),
            Fetch::Float => Cell::Float(self.try_get_unchecked(at)?),
            Fetch::Bool => Cell::Bool(self.try_get_unchecked::<Option<i64>, _>(at)?.map(|number| number != 0)),
        })
    }
}
