//! Which run readers see.

use sqlx::Row;

use super::{
    super::{
        outcome::{Ended, Fate, committed},
        session::Store,
    },
    Loading,
    link::{Session, is_lost},
    load::{check_current, state},
};
use crate::publish::{PublishError, PublishedRun, RunSequence, Status, Tally};

/// Makes a loaded and verified run the one that readers see.
pub(super) async fn commit(
    store: &Store,
    session: &mut Session,
    loading: &Loading,
    total: Tally,
) -> Result<Ended, PublishError> {
    let failed = || store.failed(format!("commit run {}", loading.sequence));
    let lost_or = |error: sqlx::Error| if is_lost(&error) { Ok(Ended::Unknown(error)) } else { Err(failed()(error)) };
    if let Err(error) = session.run("START TRANSACTION").await {
        return lost_or(error);
    }
    match check_current(store, session, loading, true).await {
        Ok(()) => {}
        Err(PublishError::Store { store, doing, source }) => {
            return match source.downcast::<sqlx::Error>() {
                Ok(error) => lost_or(*error),
                Err(source) => Err(PublishError::Store { store, doing, source }),
            };
        }
        Err(error) => {
            // The transaction ends with the session, if not now.
            let _ = session.run("ROLLBACK").await;
            return Err(error);
        }
    }
    fail::fail_point!("publish-mysql-commit");
    match commit_locked(session, loading, total).await {
        Ok(previous) => Ok(Ended::Committed(committed(loading.sequence, previous, total))),
        Err(error) => {
            if !is_lost(&error) {
                let _ = session.run("ROLLBACK").await;
            }
            lost_or(error)
        }
    }
}

async fn commit_locked(session: &mut Session, loading: &Loading, total: Tally) -> sqlx::Result<Option<RunSequence>> {
    sqlx::query(
        "UPDATE publish_runs SET state = 'committed', committed_at = ?, n_lists = ?, n_entries = ? WHERE sequence = ?",
    )
    .bind(jiff::Timestamp::now().to_string())
    .bind(total.n_lists.cast_signed())
    .bind(total.n_entries.cast_signed())
    .bind(loading.sequence.0)
    .execute(&mut session.connection)
    .await?;
    let previous = move_pointer(session, loading.sequence).await?;
    session.run("COMMIT").await?;
    Ok(previous)
}

/// Returns: what readers saw before.
async fn move_pointer(session: &mut Session, to: RunSequence) -> sqlx::Result<Option<RunSequence>> {
    let previous: Option<i64> = sqlx::query_scalar("SELECT current FROM publish_pointer WHERE id = 1 FOR UPDATE")
        .fetch_one(&mut session.connection)
        .await?;
    // From left to right: `previous` becomes what `current` was.
    let sql = format!("UPDATE publish_pointer SET previous = current, current = {to}, epoch = epoch + 1 WHERE id = 1");
    session.run(sql).await?;
    Ok(previous.map(RunSequence))
}

/// Asks the ledger, once nobody else holds the pointer: a commit under way has ended by then, one way or the other.
pub(super) async fn fate(session: &mut Session, sequence: RunSequence) -> sqlx::Result<Fate> {
    session.run("START TRANSACTION").await?;
    let row = sqlx::query("SELECT current, previous FROM publish_pointer WHERE id = 1 FOR UPDATE")
        .fetch_one(&mut session.connection)
        .await?;
    let state = state(session, sequence).await?;
    session.run("ROLLBACK").await?;
    Ok(Fate::of(sequence, state.as_deref(), row.try_get(0)?, row.try_get(1)?))
}

/// Moves the pointer to a kept run.
pub(super) async fn rollback(
    store: &Store,
    session: &mut Session,
    to: Option<RunSequence>,
) -> Result<(), PublishError> {
    let failed = || store.failed("roll back");
    session.run("START TRANSACTION").await.map_err(failed())?;
    let outcome = rollback_locked(session, to).await.map_err(failed());
    let end = if matches!(outcome, Ok(true)) { "COMMIT" } else { "ROLLBACK" };
    let ended = session.run(end).await.map_err(failed());
    if !outcome? {
        let which = to.map_or_else(|| "earlier run".to_owned(), |to| format!("run {to}"));
        return Err(PublishError::NoSuchRun { store: store.name.clone(), which });
    }
    ended
}

/// Returns: whether there is a run to go to.
async fn rollback_locked(session: &mut Session, to: Option<RunSequence>) -> sqlx::Result<bool> {
    let current: Option<i64> = sqlx::query_scalar("SELECT current FROM publish_pointer WHERE id = 1 FOR UPDATE")
        .fetch_one(&mut session.connection)
        .await?;
    let sql = match to {
        Some(_) => "SELECT sequence FROM publish_runs WHERE state = 'committed' AND sequence = ?",
        None => {
            "SELECT sequence FROM publish_runs WHERE state = 'committed' AND sequence < ? ORDER BY sequence DESC LIMIT 1"
        }
    };
    let target: Option<i64> = sqlx::query_scalar(sql)
        .bind(to.map_or(current, |to| Some(to.0)))
        .fetch_optional(&mut session.connection)
        .await?;
    let Some(target) = target else { return Ok(false) };
    move_pointer(session, RunSequence(target)).await?;
    Ok(true)
}

/// Reads pointer and ledger, in one snapshot.
pub(super) async fn status(session: &mut Session) -> sqlx::Result<Status> {
    session.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
    session.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
    let outcome = read_status(session).await;
    let end = session.run("ROLLBACK").await;
    let status = outcome?;
    end.map(|()| status)
}

async fn read_status(session: &mut Session) -> sqlx::Result<Status> {
    let pointer = sqlx::query("SELECT current, previous, epoch FROM publish_pointer WHERE id = 1")
        .fetch_one(&mut session.connection)
        .await?;
    let rows = sqlx::query(
        "SELECT sequence, run, content_sha256, n_lists, n_entries, committed_at
         FROM publish_runs WHERE state = 'committed' ORDER BY sequence DESC",
    )
    .fetch_all(&mut session.connection)
    .await?;
    let runs = rows.iter().map(|row| {
        Ok(PublishedRun {
            sequence: RunSequence(row.try_get(0)?),
            run: row.try_get(1)?,
            content_sha256: row.try_get(2)?,
            n_lists: row.try_get::<i64, _>(3)?.cast_unsigned(),
            n_entries: row.try_get::<i64, _>(4)?.cast_unsigned(),
            committed_at: row.try_get(5)?,
        })
    });
    let runs = runs.collect::<sqlx::Result<_>>()?;
    Ok(Status {
        current: pointer.try_get::<Option<i64>, _>(0)?.map(RunSequence),
        previous: pointer.try_get::<Option<i64>, _>(1)?.map(RunSequence),
        epoch: pointer.try_get(2)?,
        runs,
        unfinished: in_state(session, "loading").await?,
    })
}

/// The sequences in a state, ascending.
pub(super) async fn in_state(session: &mut Session, state: &str) -> sqlx::Result<Vec<RunSequence>> {
    let found: Vec<i64> = sqlx::query_scalar("SELECT sequence FROM publish_runs WHERE state = ? ORDER BY sequence")
        .bind(state)
        .fetch_all(&mut session.connection)
        .await?;
    Ok(found.into_iter().map(RunSequence).collect())
}
