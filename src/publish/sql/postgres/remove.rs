//! Removing runs without making a reader wait.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};

use super::{
    super::session::Store,
    link::{is_lock_timeout, release_lock, take_lock_soon},
    load::run,
    pointer::in_state,
    schema::{Names, SECTIONS},
};
use crate::publish::{PublishError, RunSequence};

/// How long dropping a table may wait for its readers. Readers that come meanwhile wait behind it, so this is what a
/// reader waits at worst: two locks, of the table and of its partition.
const LOCK_TIMEOUT_MS: u32 = 25;

/// How often dropping after a publish tries, and the pause between. Short statements are over by the first try; readers
/// that hold a transaction open keep the tables until a later publish.
pub(super) const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// Removes what publishers that no longer live have loaded, and what an earlier removal left.
pub(super) async fn remove_leftovers(
    store: &Store,
    connection: &mut PgConnection,
    names: &Names,
) -> Result<(), PublishError> {
    let failed = || store.failed("remove what earlier publishes left");
    for sequence in in_state(connection, names, "loading").await.map_err(failed())? {
        if !take_lock_soon(connection, names, sequence).await.map_err(failed())? {
            continue;
        }
        tracing::warn!(store = store.name, %sequence, "removing what a publish that did not finish had loaded");
        let outcome = give_up(connection, names, sequence, "loading").await.map_err(failed());
        release_lock(connection, names, sequence).await.map_err(failed())?;
        outcome?;
    }
    // Once: what did not go last time is probably still held, and the publish need not wait for it.
    drop_given_up(store, connection, names, 1).await
}

/// Removes a run, if it is still in `state` and readers do not see it. Others may have moved on since the caller looked.
///
/// Returns: whether it counts as removed; its tables go as soon as no reader holds them.
pub(super) async fn give_up(
    connection: &mut PgConnection,
    names: &Names,
    sequence: RunSequence,
    state: &str,
) -> sqlx::Result<bool> {
    let (pointer, runs) = (names.pointer(), names.runs());
    run(connection, "BEGIN".into()).await?;
    let outcome: sqlx::Result<_> = async {
        // The pointer's lock first, as everybody takes them.
        let current: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(format!("SELECT current FROM {pointer} FOR UPDATE")))
                .fetch_one(&mut *connection)
                .await?;
        if current == Some(sequence.0) {
            return Ok(false);
        }
        let changed = sqlx::query(AssertSqlSafe(format!(
            "UPDATE {runs} SET state = 'removing' WHERE sequence = $1 AND state = $2"
        )))
        .bind(sequence.0)
        .bind(state)
        .execute(&mut *connection)
        .await?
        .rows_affected();
        let sql = format!("UPDATE {pointer} SET previous = NULL WHERE previous = $1");
        sqlx::query(AssertSqlSafe(sql)).bind(sequence.0).execute(&mut *connection).await?;
        Ok(changed > 0)
    }
    .await;
    let end = run(connection, if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" }.into()).await;
    fail::fail_point!("publish-postgres-removing");
    let changed = outcome?;
    end.map(|()| changed)
}

/// Drops the tables of runs that were given up, as far as readers let it.
pub(super) async fn drop_given_up(
    store: &Store,
    connection: &mut PgConnection,
    names: &Names,
    max_tries: u32,
) -> Result<(), PublishError> {
    let failed = || store.failed("drop the tables of a removed run");
    for sequence in in_state(connection, names, "removing").await.map_err(failed())? {
        if drop_tables(connection, names, sequence, max_tries).await.map_err(failed())? {
            continue;
        }
        tracing::warn!(store = store.name, %sequence,
            "the tables of a removed run stay until the next publish: a reader holds them in an open transaction");
    }
    Ok(())
}

/// Returns: whether all of them are gone.
async fn drop_tables(
    connection: &mut PgConnection,
    names: &Names,
    sequence: RunSequence,
    max_tries: u32,
) -> sqlx::Result<bool> {
    // The head first: without rows, it must not be found.
    let partitions = SECTIONS.iter().map(|&section| names.partition(section, sequence));
    let tables: Vec<String> = std::iter::once(names.head(sequence)).chain(partitions).collect();
    let mut tries = 0;
    for table in &tables {
        // A transaction a table: nobody waits behind the locks of the others.
        let sql = format!("BEGIN; SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; DROP TABLE IF EXISTS {table}; COMMIT");
        while let Err(error) = run(connection, sql.clone()).await {
            if super::link::is_lost(&error) {
                return Err(error);
            }
            run(connection, "ROLLBACK".into()).await?;
            if !is_lock_timeout(&error) {
                return Err(error);
            }
            tries += 1;
            if tries >= max_tries {
                return Ok(false);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    let sql = format!(
        "BEGIN; DELETE FROM {} WHERE sequence = {sequence};
         DELETE FROM {} WHERE sequence = {sequence} AND state = 'removing'; COMMIT",
        names.campaign_runs(),
        names.runs()
    );
    run(connection, sql).await?;
    Ok(true)
}

/// Removes all but the newest `keep` runs and the one that readers see.
///
/// Returns: the removed ones, ascending.
pub(super) async fn drop_old(
    store: &Store,
    connection: &mut PgConnection,
    names: &Names,
    keep: usize,
) -> Result<Vec<RunSequence>, PublishError> {
    let failed = || store.failed("remove old runs");
    let runs = names.runs();
    let old: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT sequence FROM {runs} WHERE state = 'committed'
         AND sequence IS DISTINCT FROM (SELECT current FROM {})
         AND sequence NOT IN (SELECT sequence FROM {runs} WHERE state = 'committed' ORDER BY sequence DESC LIMIT $1)
         ORDER BY sequence",
        names.pointer()
    )))
    .bind(i64::try_from(keep).unwrap_or(i64::MAX))
    .fetch_all(&mut *connection)
    .await
    .map_err(failed())?;
    let mut removed = Vec::with_capacity(old.len());
    for sequence in old.into_iter().map(RunSequence) {
        if give_up(connection, names, sequence, "committed").await.map_err(failed())? {
            removed.push(sequence);
        }
    }
    drop_given_up(store, connection, names, TRIES).await?;
    Ok(removed)
}
