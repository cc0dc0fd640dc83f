//! Tables and views.

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::{PublishError, RunSequence, SECTIONS, Section, Store, writing};

/// What each version adds to the one before it. Entries are never changed, only added.
const MIGRATIONS: [fn(&Transaction<'_>) -> rusqlite::Result<()>; 3] = [create, add_sections, add_sections];

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

/// Gives the runs that an earlier version published empty tables of the sections that came later (version 2:
/// `bought_together`, `trending`; 3: `campaigns`), so that views can show them after a rollback, too.
fn add_sections(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let sequences: Vec<RunSequence> = transaction
        .prepare("SELECT sequence FROM publish_runs")?
        .query_map([], |row| row.get(0).map(RunSequence))?
        .collect::<rusqlite::Result<_>>()?;
    sequences.into_iter().try_for_each(|sequence| create_tables(transaction, sequence))?;
    let current: Option<i64> = transaction.query_row("SELECT current FROM publish_pointer", [], |row| row.get(0))?;
    point_views(transaction, current.map(RunSequence))
}

/// The table of one section of one run.
pub(super) fn table(section: Section, sequence: RunSequence) -> String {
    match section {
        Section::Campaigns => format!("campaign_members_{sequence}"),
        section => format!("{}_{sequence}", section.name()),
    }
}

/// What tells a section's rows of one run apart.
pub(super) fn key(section: Section) -> &'static str {
    match section {
        Section::Campaigns => "campaign, user_id",
        section => section.key_column(),
    }
}

/// Makes those of a run's empty tables that are not there. They have no index while they are loaded.
pub(super) fn create_tables(transaction: &Transaction<'_>, sequence: RunSequence) -> rusqlite::Result<()> {
    transaction.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS campaign_runs_{sequence} (
             campaign TEXT PRIMARY KEY,
             n_members INTEGER NOT NULL,
             n_send INTEGER NOT NULL,
             n_holdout INTEGER NOT NULL
         ) STRICT, WITHOUT ROWID"
    ))?;
    SECTIONS.iter().try_for_each(|&section| {
        let columns = match section {
            Section::Campaigns => "campaign TEXT NOT NULL,
                 user_id TEXT NOT NULL,
                 rank INTEGER NOT NULL,
                 score REAL NOT NULL,
                 arm TEXT NOT NULL,
                 reason TEXT NOT NULL,
                 items TEXT NOT NULL,
                 variables TEXT NOT NULL"
                .to_owned(),
            section => format!(
                "{} TEXT NOT NULL,
                 n_items INTEGER NOT NULL,
                 items TEXT NOT NULL,
                 source TEXT NOT NULL",
                section.key_column()
            ),
        };
        let table = table(section, sequence);
        transaction.execute_batch(&format!("CREATE TABLE IF NOT EXISTS {table} ({columns}) STRICT"))
    })
}

/// Sorts the keys of a table that has been loaded, and refuses duplicates.
pub(super) fn create_index(
    transaction: &Transaction<'_>,
    section: Section,
    sequence: RunSequence,
) -> rusqlite::Result<()> {
    let (table, key) = (table(section, sequence), key(section));
    let name = section.key_column();
    transaction.execute_batch(&format!("CREATE UNIQUE INDEX IF NOT EXISTS {table}_by_{name} ON {table} ({key})"))
}

/// Counts the members of a run's campaigns.
pub(super) fn count_campaigns(transaction: &Transaction<'_>, sequence: RunSequence) -> rusqlite::Result<()> {
    transaction.execute_batch(&format!(
        "DELETE FROM campaign_runs_{sequence};
         INSERT INTO campaign_runs_{sequence} (campaign, n_members, n_send, n_holdout)
         SELECT campaign, count(*), sum(arm = 'send'), sum(arm = 'holdout') FROM campaign_members_{sequence}
         GROUP BY campaign"
    ))
}

/// Removes a run's tables.
pub(super) fn drop_tables(transaction: &Transaction<'_>, sequence: RunSequence) -> rusqlite::Result<()> {
    let tables = SECTIONS.iter().map(|&section| table(section, sequence));
    tables
        .chain([format!("campaign_runs_{sequence}")])
        .try_for_each(|table| transaction.execute_batch(&format!("DROP TABLE IF EXISTS {table}")))
}

/// Makes the views of readers show one run, or nothing.
pub(super) fn point_views(transaction: &Transaction<'_>, sequence: Option<RunSequence>) -> rusqlite::Result<()> {
    let point = |name: &str, columns: &str, select: Option<String>| {
        let none = || format!("SELECT {} WHERE 0", vec!["NULL"; columns.split(',').count()].join(", "));
        let select = select.unwrap_or_else(none);
        transaction.execute_batch(&format!(
            "DROP VIEW IF EXISTS {name}_current; CREATE VIEW {name}_current ({columns}) AS {select}"
        ))
    };
    for section in SECTIONS {
        let Some(kind) = section.list_kind() else { continue };
        let key = section.key_column();
        let (source, source_field) = if kind.has_source() { (", source", ", l.source") } else { ("", "") };
        let columns = format!("{key}, rank, {}, score{source}", kind.entry_column());
        let select = sequence.map(|sequence| {
            format!(
                "SELECT l.{key}, e.key + 1, e.value ->> 0, e.value ->> 1{source_field} FROM {} AS l, json_each(l.items) AS e",
                table(section, sequence)
            )
        });
        point(section.name(), &columns, select)?;
    }
    for (name, columns) in [
        ("campaign_runs", "campaign, n_members, n_send, n_holdout"),
        ("campaign_members", "campaign, user_id, rank, score, arm, reason, items, variables"),
    ] {
        point(name, columns, sequence.map(|sequence| format!("SELECT {columns} FROM {name}_{sequence}")))?;
    }
    Ok(())
}
