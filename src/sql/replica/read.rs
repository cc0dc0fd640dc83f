//! Reading a table, with patience and the config's word on what becomes of a build without it.

use std::{
    future::{Future, poll_fn},
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arrow::{array::ArrayRef, datatypes::DataType};
use sha2::{Digest, Sha256};
use sqlx::AssertSqlSafe;
use tokio::{runtime::Runtime, time::timeout};

use super::{
    SqlColumn, SqlError,
    batch::{Gather, RowsDigest},
    config::{LagFrom, ReplicaConfig, WhenLagging, Without},
    error::ASK_LAG,
    link::{ANSWER_TIMEOUT, Cells, Lag, Link, failed, is_missing_column},
    types::{Fetch, fetch},
};
use crate::sql::MissingColumn;

/// Rows handed on at a time.
const BATCH_ROWS: usize = 8_192;

/// Pauses before a table that could not be had is tried again, from the beginning.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// Finding columns, as it stands in messages.
const FIND: &str = "show its columns";
const READ: &str = "read its rows";

/// What was read, for the manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRead {
    /// Which table of which server.
    pub place: String,
    /// SHA-256 of the query that was run.
    pub query_sha256: String,
    /// Rows.
    pub rows: u64,
    /// Bytes of their values, in the form that the digest is taken of.
    pub bytes: u64,
    /// Of the rows in any order: `rows:<n>:<sum of SHA-256s>`.
    pub digest: String,
    /// Seconds that the replica was behind; `None` where it is no replica or nobody asked.
    pub lag_s: Option<f64>,
    /// What to know about it.
    pub warning: Option<String>,
}

/// How reading ended.
#[derive(Debug)]
pub enum Outcome<T> {
    /// All rows are read.
    Read(T, TableRead),
    /// The table could not be had, and the config lets the build go on.
    LeftOut(String),
}

/// Reads the columns of a table or query, all rows of one snapshot, in batches.
///
/// `path`: the section's name in the config. `newest`: the column of the newest time. `start` sees the types that the columns
/// have come to, before any row; `each` sees a batch of arrays, in the order of the columns. Both are called anew when
/// reading has to begin again.
///
/// # Errors
/// What the config does not let a build go on without; a missing column, a column of the wrong type; what `start` and `each`
/// say.
///
/// Cost: one batch of rows in memory, and what the driver buffers of its connection. Nothing but the named columns leaves the
/// server.
pub fn read_table<T, E: From<SqlError>>(
    config: &ReplicaConfig,
    path: &str,
    columns: &[SqlColumn],
    newest: Option<&str>,
    start: impl Fn(&[DataType]) -> Result<T, E>,
    each: impl Fn(&mut T, &[ArrayRef]) -> Result<(), E>,
) -> Result<Outcome<T>, E> {
    let place = config.place();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| SqlError::Unreachable { place: place.clone(), source: source.into() })?;
    let reader = Reader { config, path, place: &place, columns, runtime: &runtime };
    let mut pauses = PAUSES.iter();
    let error = loop {
        let error = match reader.read(newest, &start, &each) {
            Ok(read) => return Ok(Outcome::Read(read.0, read.1)),
            Err(Failure::Theirs(error)) => return Err(error),
            Err(Failure::Ours(error)) => error,
        };
        match pauses.next().filter(|_| error.is_unavailable()) {
            Some(pause) => {
                tracing::warn!(%place, error = with_causes(&error), "a table could not be read, trying again");
                std::thread::sleep(*pause);
            }
            None => break error,
        }
    };
    let goes_on = match &error {
        SqlError::Lagging { .. } => config.when_lagging == WhenLagging::GoOnWithout,
        error => error.is_unavailable() && config.when_unavailable == Without::GoOn,
    };
    if goes_on { Ok(Outcome::LeftOut(with_causes(&error))) } else { Err(error.into()) }
}

/// An error with its causes, in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Whose error it is.
enum Failure<E> {
    Ours(SqlError),
    Theirs(E),
}

impl<E> From<SqlError> for Failure<E> {
    fn from(error: SqlError) -> Self {
        Self::Ours(error)
    }
}

struct Reader<'a> {
    config: &'a ReplicaConfig,
    path: &'a str,
    place: &'a str,
    columns: &'a [SqlColumn],
    runtime: &'a Runtime,
}

impl Reader<'_> {
    /// Waits for an answer, but not for ever.
    fn wait<T>(&self, doing: &'static str, work: impl Future<Output = Result<T, SqlError>>) -> Result<T, SqlError> {
        let silent = |source: tokio::time::error::Elapsed| SqlError::Lost {
            place: self.place.to_owned(),
            doing,
            source: source.into(),
        };
        self.runtime.block_on(async { timeout(ANSWER_TIMEOUT, work).await }).map_err(silent)?
    }

    fn read<T, E>(
        &self,
        newest: Option<&str>,
        start: &impl Fn(&[DataType]) -> Result<T, E>,
        each: &impl Fn(&mut T, &[ArrayRef]) -> Result<(), E>,
    ) -> Result<(T, TableRead), Failure<E>> {
        let mut link = self.wait("connect", Link::open(self.config, self.place))?;
        let fetched = self.pick(&mut link)?;
        let (lag_s, warning) = self.check_lag(&mut link, newest, &fetched)?;
        let types: Vec<DataType> = fetched.iter().map(|fetch| fetch.data_type()).collect();
        let mut out = start(&types).map_err(Failure::Theirs)?;
        let selected = fetched
            .iter()
            .zip(self.columns)
            .map(|(fetch, column)| fetch.expression(self.config.kind, &self.config.quoted(&column.name)));
        let sql = format!("SELECT {} FROM {}", selected.collect::<Vec<_>>().join(", "), self.config.source());
        let query_sha256 =
            Sha256::digest(sql.as_bytes()).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let digest = match &mut link {
            Link::Postgres(link) => {
                let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(link);
                self.rows(|context| rows.as_mut().poll_next(context), &fetched, &mut |batch| each(&mut out, batch))?
            }
            Link::MySql(link) => {
                let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(link);
                self.rows(|context| rows.as_mut().poll_next(context), &fetched, &mut |batch| each(&mut out, batch))?
            }
        };
        // Reading changed nothing: the transaction ends with the connection.
        let (place, rows, bytes) = (self.place.to_owned(), digest.n_rows, digest.n_bytes);
        Ok((out, TableRead { place, query_sha256, rows, bytes, digest: digest.text(), lag_s, warning }))
    }

    /// Gathers the rows that `poll` gives, one after the other.
    fn rows<E, R: Cells>(
        &self,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<Option<sqlx::Result<R>>>,
        fetched: &[Fetch],
        each: &mut dyn FnMut(&[ArrayRef]) -> Result<(), E>,
    ) -> Result<RowsDigest, Failure<E>> {
        let failed = failed(self.place, READ);
        let mut digest = RowsDigest::default();
        let mut columns: Vec<Gather> = fetched.iter().map(|&fetch| Gather::new(fetch)).collect();
        let mut waiting = 0;
        loop {
            let row = self.wait(READ, async { Ok(poll_fn(&mut poll).await) })?;
            if let Some(row) = row {
                let row = row.map_err(&failed)?;
                for (at, (column, fetch)) in columns.iter_mut().zip(fetched).enumerate() {
                    let cell = row.cell(at, *fetch).map_err(&failed)?;
                    digest.cell(&cell);
                    column.push(cell);
                }
                digest.end_row();
                waiting += 1;
                if waiting < BATCH_ROWS {
                    continue;
                }
            } else if waiting == 0 {
                return Ok(digest);
            }
            let batch: Vec<ArrayRef> = columns.iter_mut().map(Gather::take).collect();
            each(&batch).map_err(Failure::Theirs)?;
            waiting = 0;
        }
    }

    /// Finds the columns and decides how they are fetched.
    fn pick(&self, link: &mut Link) -> Result<Vec<Fetch>, SqlError> {
        let source = self.config.source();
        let names: Vec<String> = self.columns.iter().map(|column| self.config.quoted(&column.name)).collect();
        let sql = format!("SELECT {} FROM {source}", names.join(", "));
        let found = self.wait(FIND, async { Ok(link.columns(&sql).await) })?;
        let found = match found {
            Err(error) if is_missing_column(&error) => return Err(self.missing(error)),
            found => found.map_err(failed(self.place, FIND))?,
        };
        let picked = self.columns.iter().zip(&found);
        picked.map(|(column, (_, type_name))| fetch(self.config.kind, self.place, column, type_name)).collect()
    }

    /// The error for a column that is not there: names those that are.
    fn missing(&self, error: sqlx::Error) -> SqlError {
        // A transaction of Postgres is over after an error.
        let refused = failed(self.place, FIND);
        let found = self.wait("connect", Link::open(self.config, self.place)).and_then(|mut link| {
            let is_table = self.config.table.is_some();
            self.wait(FIND, async { link.present(&self.config.source(), is_table).await.map_err(&refused) })
        });
        let Ok(present) = found else { return refused(error) };
        let Some(column) = self.columns.iter().find(|column| !present.contains(&column.name)) else {
            return refused(error);
        };
        SqlError::MissingColumn(Box::new(MissingColumn::new(self.place, &column.key, &column.name, &present)))
    }

    /// Seconds behind, and what to say of it.
    fn check_lag(
        &self,
        link: &mut Link,
        newest: Option<&str>,
        fetched: &[Fetch],
    ) -> Result<(Option<f64>, Option<String>), SqlError> {
        let allowed_minutes = self.config.max_lag_minutes;
        if allowed_minutes == 0.0 {
            return Ok((None, None));
        }
        let lag = match (self.config.lag_from, newest) {
            (LagFrom::Server, _) => self.wait(ASK_LAG, link.lag(self.place))?,
            (LagFrom::NewestRow, None) => Lag::None,
            (LagFrom::NewestRow, Some(newest)) => self.lag_of_rows(link, newest, fetched)?,
        };
        let seconds = match lag {
            Lag::None => return Ok((None, None)),
            Lag::Seconds(seconds) => Some(seconds),
            Lag::Stopped => None,
        };
        tracing::info!(place = self.place, lag_s = seconds, "replica");
        if seconds.is_some_and(|seconds| seconds <= allowed_minutes * 60.0) {
            return Ok((seconds, None));
        }
        let error = SqlError::Lagging {
            place: self.place.to_owned(),
            key: format!("{}.max_lag_minutes", self.path),
            lag_minutes: seconds.map(|seconds| seconds / 60.0),
            allowed_minutes,
        };
        match self.config.when_lagging {
            WhenLagging::ReadAnyway => Ok((seconds, Some(error.to_string()))),
            WhenLagging::Fail | WhenLagging::GoOnWithout => Err(error),
        }
    }

    fn lag_of_rows(&self, link: &mut Link, newest: &str, fetched: &[Fetch]) -> Result<Lag, SqlError> {
        let is_time = |(column, fetch): (&SqlColumn, &Fetch)| column.name == newest && *fetch == Fetch::Time;
        if !self.columns.iter().zip(fetched).any(is_time) {
            return Ok(Lag::None);
        }
        let column = format!("max({})", self.config.quoted(newest));
        let time = Fetch::Time.expression(self.config.kind, &column);
        let sql = format!("SELECT {time} FROM {}", self.config.source());
        let micros =
            self.wait(ASK_LAG, async { link.integer(sql).await.map_err(failed(self.place, "find its newest row")) })?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        Ok(micros.map_or(Lag::None, |micros| Lag::Seconds((now - micros as f64 / 1e6).max(0.0))))
    }
}
