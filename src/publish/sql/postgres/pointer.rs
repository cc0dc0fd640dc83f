//! Which run readers see.

use sqlx::{AssertSqlSafe, PgConnection, Row, raw_sql};

use super::{
    super::session::Store,
    Loading,
    load::{check_current, run, state},
    schema::Names,
};
use crate::publish::{Committed, PublishError, PublishedRun, RunSequence, Status, Tally};

/// How a commit ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The server said so.
    Committed(Committed),
    /// The connection broke: the ledger knows.
    Unknown(sqlx::Error),
}

/// What became of a run whose commit got no answer.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is committed.
    Committed {
        /// What readers saw before, if they see this run now.
        previous: Option<RunSequence>,
    },
    /// It is not, and no other session is about to.
    Loading,
    /// The ledger does not know it any more.
    Gone,
}

/// Asks the ledger, once nobody else holds the pointer: a commit under way has ended by then, one way or the other.
pub(super) async fn fate(connection: &mut PgConnection, names: &Names, sequence: RunSequence) -> sqlx::Result<Fate> {
    run(connection, "BEGIN".into()).await?;
    let row = sqlx::query(AssertSqlSafe(format!("SELECT current, previous FROM {} FOR UPDATE", names.pointer())))
        .fetch_one(&mut *connection)
        .await?;
    let (current, previous): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    let state = state(connection, names, sequence).await?;
    run(connection, "ROLLBACK".into()).await?;
    Ok(match state.as_deref() {
        Some("committed") => {
            let previous = previous.filter(|_| current == Some(sequence.0)).map(RunSequence);
            Fate::Committed { previous }
        }
        Some("loading") => Fate::Loading,
        _ => Fate::Gone,
    })
}

/// Makes a loaded and verified run the one that readers see.
pub(super) async fn commit(
    store: &Store,
    connection: &mut PgConnection,
    names: &Names,
    loading: &Loading,
    total: Tally,
) -> Result<Ended, PublishError> {
    if let Err(error) = run(connection, "BEGIN; SET LOCAL synchronous_commit = on".into()).await {
        return lost_or(store, loading, error);
    }
    match check_current(store, connection, names, loading, true).await {
        Ok(()) => {}
        Err(PublishError::Store { source, doing, store }) => {
            return match source.downcast::<sqlx::Error>() {
                Ok(error) if super::link::is_lost(&error) => Ok(Ended::Unknown(*error)),
                Ok(error) => Err(PublishError::Store { store, doing, source: error }),
                Err(source) => Err(PublishError::Store { store, doing, source }),
            };
        }
        Err(error) => {
            let _ = run(connection, "ROLLBACK".into()).await;
            return Err(error);
        }
    }
    fail::fail_point!("publish-postgres-commit");
    match commit_locked(connection, names, loading, total).await {
        Ok(previous) => Ok(Ended::Committed(committed(loading.sequence, previous, total))),
        Err(error) => {
            if !super::link::is_lost(&error) {
                let _ = run(connection, "ROLLBACK".into()).await;
            }
            lost_or(store, loading, error)
        }
    }
}

fn lost_or(store: &Store, loading: &Loading, error: sqlx::Error) -> Result<Ended, PublishError> {
    if super::link::is_lost(&error) {
        return Ok(Ended::Unknown(error));
    }
    Err(store.failed(format!("commit run {}", loading.sequence))(error))
}

/// What a commit gave.
pub(super) fn committed(sequence: RunSequence, previous: Option<RunSequence>, total: Tally) -> Committed {
    Committed { sequence, previous, n_lists: total.n_lists, n_entries: total.n_entries }
}

async fn commit_locked(
    connection: &mut PgConnection,
    names: &Names,
    loading: &Loading,
    total: Tally,
) -> sqlx::Result<Option<RunSequence>> {
    sqlx::query(AssertSqlSafe(format!(
        "UPDATE {} SET state = 'committed', committed_at = now(), n_lists = $2, n_entries = $3 WHERE sequence = $1",
        names.runs()
    )))
    .bind(loading.sequence.0)
    .bind(total.n_lists as i64)
    .bind(total.n_entries as i64)
    .execute(&mut *connection)
    .await?;
    let previous = move_pointer(connection, names, loading.sequence).await?;
    run(connection, "COMMIT".into()).await?;
    Ok(previous)
}

/// Gives a run's head the highest epoch, and the pointer with it.
///
/// Returns: what readers saw before.
async fn move_pointer(
    connection: &mut PgConnection,
    names: &Names,
    to: RunSequence,
) -> sqlx::Result<Option<RunSequence>> {
    let row = sqlx::query(AssertSqlSafe(format!(
        "UPDATE {} SET previous = current, current = $1, epoch = epoch + 1 RETURNING previous, epoch",
        names.pointer()
    )))
    .bind(to.0)
    .fetch_one(&mut *connection)
    .await?;
    let (previous, epoch): (Option<i64>, i64) = (row.try_get(0)?, row.try_get(1)?);
    let head = names.head(to);
    run(connection, format!("DELETE FROM {head}; INSERT INTO {head} (sequence, epoch) VALUES ({to}, {epoch})")).await?;
    Ok(previous.map(RunSequence))
}

/// Moves the pointer to a kept run.
pub(super) async fn rollback(
    store: &Store,
    connection: &mut PgConnection,
    names: &Names,
    to: Option<RunSequence>,
) -> Result<(), PublishError> {
    let failed = || store.failed("roll back");
    run(connection, "BEGIN; SET LOCAL synchronous_commit = on".into()).await.map_err(failed())?;
    let outcome = rollback_locked(connection, names, to).await.map_err(failed());
    let end = if matches!(outcome, Ok(true)) { "COMMIT" } else { "ROLLBACK" };
    let ended = run(connection, end.into()).await.map_err(failed());
    if !outcome? {
        let which = to.map_or_else(|| "earlier run".to_owned(), |to| format!("run {to}"));
        return Err(PublishError::NoSuchRun { store: store.name.clone(), which });
    }
    ended
}

/// Returns: whether there is a run to go to.
async fn rollback_locked(connection: &mut PgConnection, names: &Names, to: Option<RunSequence>) -> sqlx::Result<bool> {
    let (pointer, runs) = (names.pointer(), names.runs());
    let current: Option<i64> = sqlx::query_scalar(AssertSqlSafe(format!("SELECT current FROM {pointer} FOR UPDATE")))
        .fetch_one(&mut *connection)
        .await?;
    let sql = match to {
        Some(_) => format!("SELECT sequence FROM {runs} WHERE state = 'committed' AND sequence = $1"),
        None => format!(
            "SELECT sequence FROM {runs} WHERE state = 'committed' AND sequence < $1 ORDER BY sequence DESC LIMIT 1"
        ),
    };
    let target: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(to.map_or(current, |to| Some(to.0)))
        .fetch_optional(&mut *connection)
        .await?;
    let Some(target) = target else { return Ok(false) };
    move_pointer(connection, names, RunSequence(target)).await?;
    Ok(true)
}

/// Reads pointer and ledger, in one snapshot.
pub(super) async fn status(connection: &mut PgConnection, names: &Names) -> sqlx::Result<Status> {
    run(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".into()).await?;
    let outcome = read_status(connection, names).await;
    let end = run(connection, "ROLLBACK".into()).await;
    let status = outcome?;
    end.map(|()| status)
}

async fn read_status(connection: &mut PgConnection, names: &Names) -> sqlx::Result<Status> {
    let sql = format!("SELECT current, previous, epoch FROM {}", names.pointer());
    let pointer = raw_sql(AssertSqlSafe(sql)).fetch_one(&mut *connection).await?;
    let sql = format!(
        "SELECT sequence, run, content_sha256, n_lists, n_entries,
                to_char(committed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')
         FROM {} WHERE state = 'committed' ORDER BY sequence DESC",
        names.runs()
    );
    let rows = raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *connection).await?;
    let runs = rows.iter().map(|row| {
        Ok(PublishedRun {
            sequence: RunSequence(row.try_get(0)?),
            run: row.try_get(1)?,
            content_sha256: row.try_get(2)?,
            n_lists: row.try_get::<i64, _>(3)? as u64,
            n_entries: row.try_get::<i64, _>(4)? as u64,
            committed_at: row.try_get(5)?,
        })
    });
    let runs = runs.collect::<sqlx::Result<_>>()?;
    Ok(Status {
        current: pointer.try_get::<Option<i64>, _>(0)?.map(RunSequence),
        previous: pointer.try_get::<Option<i64>, _>(1)?.map(RunSequence),
        epoch: pointer.try_get(2)?,
        runs,
        unfinished: in_state(connection, names, "loading").await?,
    })
}

/// The sequences in a state, ascending.
pub(super) async fn in_state(
    connection: &mut PgConnection,
    names: &Names,
    state: &str,
) -> sqlx::Result<Vec<RunSequence>> {
    let sql = format!("SELECT sequence FROM {} WHERE state = $1 ORDER BY sequence", names.runs());
    let found: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql)).bind(state).fetch_all(connection).await?;
    Ok(found.into_iter().map(RunSequence).collect())
}
