//! Removing runs, some rows at a time.

use sqlx::AssertSqlSafe;

use super::{
    super::session::Store,
    link::Session,
    pointer::{in_state, status},
    schema::{SECTIONS, table},
};
use crate::publish::{PublishError, RunSequence};

/// Rows deleted in one transaction: a fraction of a second.
const DELETE_ROWS: usize = 10_000;

/// Removes what publishers that no longer live have loaded, and what an earlier removal left.
pub(super) async fn remove_leftovers(store: &Store, session: &mut Session) -> Result<(), PublishError> {
    let failed = || store.failed("remove what earlier publishes left");
    for sequence in in_state(session, "loading").await.map_err(failed())? {
        if !session.take_run_lock(sequence).await.map_err(failed())? {
            continue;
        }
        tracing::warn!(store = store.name, %sequence, "removing what a publish that did not finish had loaded");
        let outcome = give_up(session, sequence, "loading").await.map_err(failed());
        session.release_lock(&sequence.to_string()).await.map_err(failed())?;
        outcome?;
    }
    delete_given_up(session).await.map_err(failed())
}

/// Removes a run, if it is still in `state` and readers do not see it. Others may have moved on since the caller looked.
///
/// Returns: whether it counts as removed; [`delete_given_up`] takes its rows away.
pub(super) async fn give_up(session: &mut Session, sequence: RunSequence, state: &str) -> sqlx::Result<bool> {
    session.run("START TRANSACTION").await?;
    let outcome: sqlx::Result<bool> = async {
        // The pointer's lock first, as everybody takes them.
        let current: Option<i64> = sqlx::query_scalar("SELECT current FROM publish_pointer WHERE id = 1 FOR UPDATE")
            .fetch_one(&mut session.connection)
            .await?;
        if current == Some(sequence.0) {
            return Ok(false);
        }
        let changed = sqlx::query("UPDATE publish_runs SET state = 'removing' WHERE sequence = ? AND state = ?")
            .bind(sequence.0)
            .bind(state)
            .execute(&mut session.connection)
            .await?
            .rows_affected();
        session
            .run(format!("UPDATE publish_pointer SET previous = NULL WHERE id = 1 AND previous = {sequence}"))
            .await?;
        Ok(changed > 0)
    }
    .await;
    let end = session.run(if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    fail::fail_point!("publish-mysql-removing");
    let changed = outcome?;
    end.map(|()| changed)
}

/// Deletes the rows of runs that were given up.
pub(super) async fn delete_given_up(session: &mut Session) -> sqlx::Result<()> {
    for sequence in in_state(session, "removing").await? {
        for table in SECTIONS.map(table).into_iter().chain(["campaign_runs"]) {
            let sql = format!("DELETE FROM {table} WHERE sequence = ? LIMIT {DELETE_ROWS}");
            loop {
                let query = sqlx::query(AssertSqlSafe(sql.as_str())).bind(sequence.0);
                let deleted = query.execute(&mut session.connection).await?.rows_affected();
                if deleted < DELETE_ROWS as u64 {
                    break;
                }
            }
        }
        session.run(format!("DELETE FROM publish_runs WHERE sequence = {sequence} AND state = 'removing'")).await?;
    }
    Ok(())
}

/// Removes all but the newest `keep` runs and the one that readers see.
///
/// Returns: the removed ones, ascending.
pub(super) async fn drop_old(
    store: &Store,
    session: &mut Session,
    keep: usize,
) -> Result<Vec<RunSequence>, PublishError> {
    let failed = || store.failed("remove old runs");
    let status = status(session).await.map_err(failed())?;
    let old = status.runs.iter().skip(keep).map(|run| run.sequence);
    let mut old: Vec<RunSequence> = old.filter(|&sequence| Some(sequence) != status.current).collect();
    old.sort_unstable();
    let mut removed = Vec::with_capacity(old.len());
    for sequence in old {
        if give_up(session, sequence, "committed").await.map_err(failed())? {
            removed.push(sequence);
        }
    }
    delete_given_up(session).await.map_err(failed())?;
    Ok(removed)
}
