//! SQL as readers and administrators speak it, without nightshelf.

use std::future::Future;

use nightshelf::publish::{MySqlConfig, PostgresConfig};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, MySqlConnection, PgConnection, Row,
    mysql::{MySqlConnectOptions, MySqlSslMode},
    postgres::{PgConnectOptions, PgSslMode},
    raw_sql,
};
use tokio::runtime::Runtime;

use super::servers::PASSWORD;

/// A connection that the test's own thread drives.
pub(crate) struct Client<C> {
    // Before the runtime: dropped first.
    connection: C,
    runtime: Runtime,
}

/// Rows of text.
pub(crate) type Texts = Vec<Vec<Option<String>>>;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn connect<C>(work: impl Future<Output = sqlx::Result<C>>, runtime: Runtime) -> Client<C> {
    let connection = runtime.block_on(work).unwrap();
    Client { connection, runtime }
}

/// Connects to a Postgres server over its socket.
pub(crate) fn postgres(config: &PostgresConfig) -> Client<PgConnection> {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&config.host)
        .port(config.port)
        .socket(&config.host)
        .username(&config.user)
        .password(PASSWORD)
        .database(&config.database)
        .ssl_mode(PgSslMode::Disable)
        .options([("search_path", &config.schema)])
        .disable_statement_logging();
    let runtime = runtime();
    connect(async move { PgConnection::connect_with(&options).await }, runtime)
}

/// Connects to a MariaDB server over its socket.
pub(crate) fn mysql(config: &MySqlConfig) -> Client<MySqlConnection> {
    let options = MySqlConnectOptions::new()
        .socket(&config.host)
        .username(&config.user)
        .password(PASSWORD)
        .database(&config.database)
        .ssl_mode(MySqlSslMode::Disabled)
        .disable_statement_logging();
    let runtime = runtime();
    connect(async move { MySqlConnection::connect_with(&options).await }, runtime)
}

/// What both kinds of server answer.
pub(crate) trait Speaks {
    /// Runs statements; their answers are lost.
    fn try_run(&mut self, sql: &str) -> sqlx::Result<()>;

    /// The rows of one query.
    fn try_rows(&mut self, sql: &str) -> sqlx::Result<Texts>;

    /// Runs statements that must not fail.
    #[track_caller]
    fn run(&mut self, sql: &str) {
        self.try_run(sql).unwrap();
    }

    /// The rows of a query that must not fail.
    #[track_caller]
    fn rows(&mut self, sql: &str) -> Texts {
        self.try_rows(sql).unwrap()
    }

    /// The one value of a query.
    #[track_caller]
    fn value(&mut self, sql: &str) -> String {
        self.rows(sql)[0][0].clone().unwrap()
    }
}

macro_rules! speaks {
    ($connection:ty) => {
        impl Speaks for Client<$connection> {
            fn try_run(&mut self, sql: &str) -> sqlx::Result<()> {
                let work = raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection);
                self.runtime.block_on(work).map(drop)
            }

            fn try_rows(&mut self, sql: &str) -> sqlx::Result<Texts> {
                let work = raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection);
                let rows = self.runtime.block_on(work)?;
                Ok(rows
                    .iter()
                    .map(|row| (0..row.len()).map(|at| row.try_get_unchecked(at).unwrap()).collect())
                    .collect())
            }
        }
    };
}

speaks!(PgConnection);
speaks!(MySqlConnection);
