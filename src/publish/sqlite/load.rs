//! Loading a run's rows and reading them back.

use rusqlite::{Connection, ErrorCode, Statement, Transaction, params};

use crate::recommendations::{ListBatch, MemberBatch};

use super::{
    Expected, LoadLock, Loading, PublishError, RunHeader, RunSequence, SECTIONS, Section, Store, Tally,
    schema::{count_campaigns, create_index, create_tables, drop_tables, key, table},
    writing,
};
use crate::publish::lists::{encode_list, member_head, member_key, n_entries_of};

/// Text written in one transaction: bounds how long other publishers wait for their turn.
const TRANSACTION_BYTES: usize = 16 * 1024 * 1024;

/// Removes the rows of publishers that no longer live.
pub(super) fn remove_leftovers(store: &Store, connection: &mut Connection) -> Result<(), PublishError> {
    for sequence in unfinished(connection).map_err(store.failed("list unfinished runs"))? {
        let lock = LoadLock::take(store, sequence).map_err(store.failed("lock an unfinished run"))?;
        if let Some(_lock) = lock {
            tracing::warn!(store = store.name, %sequence, "removing what a publish that did not finish had loaded");
            remove(store, connection, sequence, State::Loading)?;
        }
    }
    Ok(())
}

/// The sequences that are being loaded, or were when their publisher died; ascending.
pub(super) fn unfinished(connection: &Connection) -> rusqlite::Result<Vec<RunSequence>> {
    connection
        .prepare("SELECT sequence FROM publish_runs WHERE state = 'loading' ORDER BY sequence")?
        .query_map([], |row| row.get(0).map(RunSequence))?
        .collect()
}

/// Draws a sequence and makes its tables.
pub(super) fn begin(store: &Store, connection: &mut Connection, header: &RunHeader) -> Result<Loading, PublishError> {
    let failed = || store.failed("begin a run");
    let transaction = writing(store, connection)?;
    let (sequence, epoch) = transaction
        .query_row(
            "UPDATE publish_pointer SET last_sequence = last_sequence + 1 RETURNING last_sequence, epoch",
            [],
            |row| Ok((RunSequence(row.get(0)?), row.get(1)?)),
        )
        .map_err(failed())?;
    // Locked before the row can be seen: to others a sequence without a lock is dead.
    let lock = LoadLock::take(store, sequence).map_err(store.failed("lock the new run"))?;
    let Some(lock) = lock else {
        return Err(store.superseded(sequence, "another process holds its lock file".into()));
    };
    transaction
        .execute(
            "INSERT INTO publish_runs (sequence, run, content_sha256, state, started_at)
             VALUES (?1, ?2, ?3, 'loading', ?4)",
            params![sequence.0, header.run, header.content_sha256, jiff::Timestamp::now().to_string()],
        )
        .map_err(failed())?;
    create_tables(&transaction, sequence).map_err(failed())?;
    transaction.commit().map_err(failed())?;
    Ok(Loading { sequence, epoch, lock, verified: None })
}

/// Fails once the pointer has moved since `begin`.
pub(super) fn check_current(
    store: &Store,
    transaction: &Transaction<'_>,
    loading: &Loading,
) -> Result<(), PublishError> {
    let (epoch, current, present): (i64, Option<i64>, bool) = transaction
        .prepare_cached(
            "SELECT epoch, current, EXISTS (SELECT 1 FROM publish_runs WHERE sequence = ?1 AND state = 'loading')
             FROM publish_pointer",
        )
        .and_then(|mut statement| {
            statement.query_row([loading.sequence.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        })
        .map_err(store.failed("read the pointer"))?;
    if epoch != loading.epoch {
        let current = current.map_or_else(|| "nothing".to_owned(), |current| format!("run {current}"));
        let moves = epoch - loading.epoch;
        return Err(store.superseded(
            loading.sequence,
            format!("the pointer moved {moves} time(s) since it began and shows {current}"),
        ));
    }
    if !present {
        return Err(store.superseded(loading.sequence, "its rows were removed".into()));
    }
    Ok(())
}

/// Appends lists in transactions of bounded size.
pub(super) fn write_lists(
    store: &Store,
    connection: &mut Connection,
    loading: &Loading,
    section: Section,
    lists: &ListBatch<'_>,
) -> Result<Tally, PublishError> {
    let (table, key) = (table(section, loading.sequence), section.key_column());
    let insert = format!("INSERT INTO {table} ({key}, n_items, items, source) VALUES (?1, ?2, ?3, ?4)");
    let mut text = String::new();
    write(store, connection, loading, &insert, lists.rows(), |statement, list, tally| {
        text.clear();
        encode_list(&list, &mut text);
        let n_items = list.items.len();
        statement
            .execute(params![list.key, n_items, text, list.source])
            .map_err(|error| duplicate_or(store, section, &table, error, || list.key.to_owned()))?;
        tally.add(list.key, list.source, n_items as u64, &text);
        Ok(text.len() + list.key.len())
    })
}

/// Appends members in transactions of bounded size.
pub(super) fn write_members(
    store: &Store,
    connection: &mut Connection,
    loading: &Loading,
    members: &MemberBatch<'_>,
) -> Result<Tally, PublishError> {
    let (section, campaign) = (Section::Campaigns, members.campaign);
    let table = table(section, loading.sequence);
    let insert = format!(
        "INSERT INTO {table} (campaign, user_id, rank, score, arm, reason, items, variables)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
    );
    let mut text = String::new();
    write(store, connection, loading, &insert, members.rows(), |statement, member, tally| {
        let user = member.list.key;
        text.clear();
        member_head(member.rank, member.score, member.arm.name(), member.reason, member.variables, &mut text);
        let head = text.len();
        encode_list(&member.list, &mut text);
        let values = params![
            campaign,
            user,
            member.rank,
            f64::from(member.score),
            member.arm.name(),
            member.reason,
            &text[head..],
            member.variables
        ];
        statement
            .execute(values)
            .map_err(|error| duplicate_or(store, section, &table, error, || member_key(campaign, user)))?;
        tally.add(user, campaign, member.list.items.len() as u64, &text);
        Ok(text.len() + user.len() + member.variables.len())
    })
}

/// Inserts rows with `insert_one`, which returns how many bytes it took.
fn write<R>(
    store: &Store,
    connection: &mut Connection,
    loading: &Loading,
    insert: &str,
    rows: impl Iterator<Item = R>,
    mut insert_one: impl FnMut(&mut Statement<'_>, R, &mut Tally) -> Result<usize, PublishError>,
) -> Result<Tally, PublishError> {
    let mut tally = Tally::default();
    let mut rows = rows.peekable();
    while rows.peek().is_some() {
        let transaction = writing(store, connection)?;
        check_current(store, &transaction, loading)?;
        {
            let mut statement = transaction.prepare_cached(insert).map_err(store.failed("prepare to write"))?;
            let mut n_bytes = 0;
            while n_bytes < TRANSACTION_BYTES
                && let Some(row) = rows.next()
            {
                n_bytes += insert_one(&mut statement, row, &mut tally)?;
            }
        }
        transaction.commit().map_err(store.failed("write rows"))?;
    }
    Ok(tally)
}

/// Duplicates are found here only after a `verify`: before it there is no index.
fn duplicate_or(
    store: &Store,
    section: Section,
    table: &str,
    error: rusqlite::Error,
    key: impl FnOnce() -> String,
) -> PublishError {
    if is_duplicate(&error) {
        return PublishError::DuplicateKey { section, key: key() };
    }
    store.failed(format!("write rows into {table}"))(error)
}

fn is_duplicate(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

/// Makes the indexes and compares what lies in the tables with `expected`.
///
/// Returns: the sums over all kinds.
pub(super) fn verify(
    store: &Store,
    connection: &mut Connection,
    loading: &Loading,
    expected: &Expected,
) -> Result<Tally, PublishError> {
    let mut total = Tally::default();
    for section in SECTIONS {
        let transaction = writing(store, connection)?;
        check_current(store, &transaction, loading)?;
        if let Err(error) = create_index(&transaction, section, loading.sequence) {
            let doing = format!("index {}", table(section, loading.sequence));
            if !is_duplicate(&error) {
                return Err(store.failed(doing)(error));
            }
            let key = first_duplicate(&transaction, section, loading.sequence).map_err(store.failed(doing))?;
            return Err(PublishError::DuplicateKey { section, key });
        }
        transaction.commit().map_err(store.failed("make an index"))?;

        let found = tally(connection, section, loading.sequence).map_err(store.failed("read back what was written"))?;
        let wanted = expected.get(&section).copied().unwrap_or_default();
        if let Some((what, expected, found)) = wanted.first_difference(&found) {
            return Err(PublishError::Mismatch { store: store.name.clone(), section, what, expected, found });
        }
        total.merge(&found);
    }
    let transaction = writing(store, connection)?;
    count_campaigns(&transaction, loading.sequence).map_err(store.failed("count the campaigns"))?;
    transaction.commit().map_err(store.failed("count the campaigns"))?;
    Ok(total)
}

fn first_duplicate(transaction: &Transaction<'_>, section: Section, sequence: RunSequence) -> rusqlite::Result<String> {
    let (table, key) = (table(section, sequence), key(section));
    transaction.query_row(
        &format!("SELECT {key} FROM {table} GROUP BY {key} HAVING count(*) > 1 ORDER BY {key} LIMIT 1"),
        [],
        |row| match section {
            Section::Campaigns => Ok(member_key(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?)),
            _ => row.get(0),
        },
    )
}

/// What readers see adds up to, in one snapshot.
pub(super) fn audit(store: &Store, connection: &mut Connection) -> Result<Expected, PublishError> {
    let failed = || store.failed("read what is served");
    let transaction = connection.transaction().map_err(failed())?;
    let current: Option<i64> =
        transaction.query_row("SELECT current FROM publish_pointer", [], |row| row.get(0)).map_err(failed())?;
    let Some(current) = current.map(RunSequence) else { return Ok(Expected::new()) };
    let tallies = SECTIONS.iter().map(|&section| Ok((section, tally(&transaction, section, current)?)));
    tallies.collect::<rusqlite::Result<_>>().map_err(failed())
}

/// What a table adds up to.
fn tally(connection: &Connection, section: Section, sequence: RunSequence) -> rusqlite::Result<Tally> {
    let table = table(section, sequence);
    let mut tally = Tally::default();
    if section == Section::Campaigns {
        let mut statement = connection
            .prepare(&format!("SELECT campaign, user_id, rank, score, arm, reason, items, variables FROM {table}"))?;
        let mut rows = statement.query([])?;
        let mut line = String::new();
        while let Some(row) = rows.next()? {
            let text = |at| row.get_ref(at).and_then(|value| value.as_str().map_err(Into::into));
            let items = text(6)?;
            line.clear();
            let score: f64 = row.get(3)?;
            member_head(row.get(2)?, score as f32, text(4)?, text(5)?, text(7)?, &mut line);
            line.push_str(items);
            tally.add(text(1)?, text(0)?, n_entries_of(items), &line);
        }
        return Ok(tally);
    }
    let mut statement =
        connection.prepare(&format!("SELECT {}, source, n_items, items FROM {table}", section.key_column()))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let text = |at| row.get_ref(at).and_then(|value| value.as_str().map_err(Into::into));
        tally.add(text(0)?, text(1)?, row.get(2)?, text(3)?);
    }
    Ok(tally)
}

/// What a run must be for [`remove`] to touch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Loading,
    Committed,
}

/// Removes a run, if it is still in `state` and readers do not see it. Others may have moved on since the caller looked:
/// a publisher taken for dead may have committed and gone, the pointer may have come back to an old run.
///
/// Returns: whether it was removed.
pub(super) fn remove(
    store: &Store,
    connection: &mut Connection,
    sequence: RunSequence,
    state: State,
) -> Result<bool, PublishError> {
    let failed = || store.failed(format!("remove run {sequence}"));
    let transaction = writing(store, connection)?;
    let state = if state == State::Loading { "loading" } else { "committed" };
    let removable: bool = transaction
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM publish_runs WHERE sequence = ?1 AND state = ?2)
             AND ?1 IS NOT (SELECT current FROM publish_pointer)",
            params![sequence.0, state],
            |row| row.get(0),
        )
        .map_err(failed())?;
    if !removable {
        return Ok(false);
    }
    drop_tables(&transaction, sequence).map_err(failed())?;
    transaction.execute("DELETE FROM publish_runs WHERE sequence = ?1", [sequence.0]).map_err(failed())?;
    transaction
        .execute("UPDATE publish_pointer SET previous = NULL WHERE previous = ?1", [sequence.0])
        .map_err(failed())?;
    transaction.commit().map_err(failed())?;
    Ok(true)
}
