//! Tables and views.

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::{PublishError, RunSequence, SECTIONS, Section, Store, writing};

/// What each version adds to the one before it. Entries are never changed, only added.
const MIGRATIONS: [fn(&Transaction<'_>) -> rusqlite::Result<()>; 2] = [create, add_kinds_of_lists];

/// Brings the schema up to date.
pub(super) fn migrate(store: &Store, connection: &mut Connection) -> Result<(), PublishError> {
    let known = MIGRATIONS.len() as i64;
    let failed = || store.failed("bring the schema up to date");
    // Looked at without the write lock first: an open that changes nothing waits for nobody.
    if version(connection).map_err(failed())? == known {
        return Ok(());
    }
    let transaction = writing(store, connection)?;
    let found = version(&transaction).map_err(failed())?;
    if found > known {
        return Err(PublishError::NewerSchema { store: store.name.clone(), found, known });
    }
    for migration in MIGRATIONS.iter().skip(found as usize) {
        migration(&transaction).map_err(failed())?;
    }
    transaction.execute("DELETE FROM nightshelf_schema", []).map_err(failed())?;
    transaction.execute("INSERT INTO nightshelf_schema (version) VALUES (?1)", [known]).map_err(failed())?;
    transaction.commit().map_err(failed())
}

/// The schema's version; 0 for a file that has none.
fn version(connection: &Connection) -> rusqlite::Result<i64> {
    let there = connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'nightshelf_schema'", [], |_| Ok(()))
        .optional()?;
    match there {
        Some(()) => connection.query_row("SELECT version FROM nightshelf_schema", [], |row| row.get(0)),
        None => Ok(0),
    }
}

fn create(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "CREATE TABLE nightshelf_schema (version INTEGER NOT NULL) STRICT;
         CREATE TABLE publish_pointer (
             id INTEGER PRIMARY KEY CHECK (id = 1),
             current INTEGER,
             previous INTEGER,
             epoch INTEGER NOT NULL,
             last_sequence INTEGER NOT NULL
         ) STRICT;
         INSERT INTO publish_pointer (id, epoch, last_sequence) VALUES (1, 0, 0);
         CREATE TABLE publish_runs (
             sequence INTEGER PRIMARY KEY,
             run TEXT NOT NULL,
             content_sha256 TEXT NOT NULL,
             state TEXT NOT NULL CHECK (state IN ('loading', 'committed')),
             started_at TEXT NOT NULL,
             committed_at TEXT,
             n_lists INTEGER,
             n_entries INTEGER
         ) STRICT;",
    )
}

/// Gives the runs that an earlier version published empty tables of the kinds of list that came later (`bought_together`,
/// `trending`), so that views can show them after a rollback, too.
fn add_kinds_of_lists(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let sequences: Vec<RunSequence> = transaction
        .prepare("SELECT sequence FROM publish_runs")?
        .query_map([], |row| row.get(0).map(RunSequence))?
        .collect::<rusqlite::Result<_>>()?;
    sequences.into_iter().try_for_each(|sequence| create_tables(transaction, sequence))?;
    let current: Option<i64> = transaction.query_row("SELECT current FROM publish_pointer", [], |row| row.get(0))?;
    point_views(transaction, current.map(RunSequence))
}

/// The table of one kind of lists of one run.
pub(super) fn table(section: Section, sequence: RunSequence) -> String {
    format!("{}_{sequence}", section.name())
}

/// Makes those of a run's empty tables that are not there. They have no index while they are loaded.
pub(super) fn create_tables(transaction: &Transaction<'_>, sequence: RunSequence) -> rusqlite::Result<()> {
    SECTIONS.iter().try_for_each(|&section| {
        transaction.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {} (
                 {} TEXT NOT NULL,
                 n_items INTEGER NOT NULL,
                 items TEXT NOT NULL,
                 source TEXT NOT NULL
             ) STRICT",
            table(section, sequence),
            section.key_column()
        ))
    })
}

/// Sorts the keys of a table that has been loaded, and refuses duplicates.
pub(super) fn create_index(
    transaction: &Transaction<'_>,
    section: Section,
    sequence: RunSequence,
) -> rusqlite::Result<()> {
    let (table, key) = (table(section, sequence), section.key_column());
    transaction.execute_batch(&format!("CREATE UNIQUE INDEX IF NOT EXISTS {table}_by_{key} ON {table} ({key})"))
}

/// Removes a run's tables.
pub(super) fn drop_tables(transaction: &Transaction<'_>, sequence: RunSequence) -> rusqlite::Result<()> {
    SECTIONS.iter().try_for_each(|&section| {
        transaction.execute_batch(&format!("DROP TABLE IF EXISTS {}", table(section, sequence)))
    })
}

/// Makes the views of readers show one run, or nothing.
pub(super) fn point_views(transaction: &Transaction<'_>, sequence: Option<RunSequence>) -> rusqlite::Result<()> {
    for section in SECTIONS {
        let (name, key) = (section.name(), section.key_column());
        let kind = section.list_kind().expect("the sections of this file are lists");
        let (source, source_field) = if kind.has_source() { (", source", ", l.source") } else { ("", "") };
        let columns = format!("{key}, rank, {}, score{source}", kind.entry_column());
        let select = match sequence {
            Some(sequence) => format!(
                "SELECT l.{key}, e.key + 1, e.value ->> 0, e.value ->> 1{source_field} FROM {} AS l, json_each(l.items) AS e",
                table(section, sequence)
            ),
            None => format!("SELECT {} WHERE 0", vec!["NULL"; columns.split(',').count()].join(", ")),
        };
        transaction.execute_batch(&format!(
            "DROP VIEW IF EXISTS {name}_current; CREATE VIEW {name}_current ({columns}) AS {select}"
        ))?;
    }
    Ok(())
}
