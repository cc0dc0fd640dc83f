//! Which run readers see.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{
    Committed, Loading, PublishError, RunSequence, Status, Store, Tally,
    load::{State, check_current, remove, unfinished},
    schema::point_views,
    writing,
};
use crate::publish::PublishedRun;

/// Makes a loaded and verified run the one that readers see.
pub(super) fn commit(
    store: &Store,
    connection: &mut Connection,
    loading: &Loading,
    total: Tally,
) -> Result<Committed, PublishError> {
    let sequence = loading.sequence;
    let failed = || store.failed(format!("commit run {sequence}"));
    let previous = durably(store, connection, |transaction| {
        check_current(store, transaction, loading)?;
        transaction
            .execute(
                "UPDATE publish_runs SET state = 'committed', committed_at = ?2, n_lists = ?3, n_entries = ?4
                 WHERE sequence = ?1",
                params![sequence.0, jiff::Timestamp::now().to_string(), total.n_lists, total.n_entries],
            )
            .map_err(failed())?;
        move_pointer(transaction, sequence).map_err(failed())
    })?;
    // Brings the log back into the file where no reader holds it open; otherwise a later checkpoint does.
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        tracing::debug!(store = store.name, %error, "no checkpoint after the commit");
    }
    Ok(Committed { sequence, previous, n_lists: total.n_lists, n_entries: total.n_entries })
}

/// Moves the pointer to a kept run.
pub(super) fn rollback(
    store: &Store,
    connection: &mut Connection,
    to: Option<RunSequence>,
) -> Result<(), PublishError> {
    let failed = || store.failed("roll back");
    durably(store, connection, |transaction| {
        let sql = match to {
            Some(_) => "SELECT sequence FROM publish_runs WHERE state = 'committed' AND sequence = ?1",
            None => {
                "SELECT sequence FROM publish_runs WHERE state = 'committed' AND ?1 IS NULL
                 AND sequence < (SELECT current FROM publish_pointer) ORDER BY sequence DESC LIMIT 1"
            }
        };
        let target = transaction
            .query_row(sql, [to.map(|to| to.0)], |row| row.get(0).map(RunSequence))
            .optional()
            .map_err(failed())?;
        let Some(target) = target else {
            let which = to.map_or_else(|| "earlier run".to_owned(), |to| format!("run {to}"));
            return Err(PublishError::NoSuchRun { store: store.name.clone(), which });
        };
        move_pointer(transaction, target).map_err(failed())
    })?;
    Ok(())
}

/// Runs a transaction whose effect survives a power cut.
fn durably<T>(
    store: &Store,
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, PublishError>,
) -> Result<T, PublishError> {
    let set = |connection: &Connection, level: &str| {
        connection.pragma_update(None, "synchronous", level).map_err(store.failed("choose when to sync"))
    };
    set(connection, "full")?;
    let outcome = writing(store, connection).and_then(|transaction| {
        let value = work(&transaction)?;
        transaction.commit().map_err(store.failed("move the pointer"))?;
        Ok(value)
    });
    // Staying at full only costs time, and the outcome stands.
    if let Err(error) = set(connection, "normal") {
        tracing::debug!(store = store.name, %error, "every transaction is synced from now on");
    }
    outcome
}

/// Returns: what readers saw before.
fn move_pointer(transaction: &Transaction<'_>, to: RunSequence) -> rusqlite::Result<Option<RunSequence>> {
    point_views(transaction, Some(to))?;
    transaction.query_row(
        "UPDATE publish_pointer SET previous = current, current = ?1, epoch = epoch + 1 RETURNING previous",
        [to.0],
        |row| Ok(row.get::<_, Option<i64>>(0)?.map(RunSequence)),
    )
}

/// Reads pointer and ledger.
pub(super) fn status(connection: &Connection) -> rusqlite::Result<Status> {
    let (current, previous, epoch) =
        connection.query_row("SELECT current, previous, epoch FROM publish_pointer", [], |row| {
            Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?, row.get(2)?))
        })?;
    let runs = connection
        .prepare(
            "SELECT sequence, run, content_sha256, committed_at, n_lists, n_entries
             FROM publish_runs WHERE state = 'committed' ORDER BY sequence DESC",
        )?
        .query_map([], |row| {
            Ok(PublishedRun {
                sequence: RunSequence(row.get(0)?),
                run: row.get(1)?,
                content_sha256: row.get(2)?,
                committed_at: row.get(3)?,
                n_lists: row.get(4)?,
                n_entries: row.get(5)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Status {
        current: current.map(RunSequence),
        previous: previous.map(RunSequence),
        epoch,
        runs,
        unfinished: unfinished(connection)?,
    })
}

/// Removes old runs, one transaction each.
pub(super) fn drop_old(
    store: &Store,
    connection: &mut Connection,
    keep: usize,
) -> Result<Vec<RunSequence>, PublishError> {
    let old: Vec<RunSequence> = connection
        .prepare(
            "SELECT sequence FROM publish_runs WHERE state = 'committed'
             AND sequence IS NOT (SELECT current FROM publish_pointer)
             AND sequence NOT IN (SELECT sequence FROM publish_runs WHERE state = 'committed'
                                  ORDER BY sequence DESC LIMIT ?1)
             ORDER BY sequence",
        )
        .and_then(|mut statement| statement.query_map([keep], |row| row.get(0).map(RunSequence))?.collect())
        .map_err(store.failed("list old runs"))?;
    let mut removed = Vec::with_capacity(old.len());
    for sequence in old {
        if remove(store, connection, sequence, State::Committed)? {
            removed.push(sequence);
        }
    }
    Ok(removed)
}
