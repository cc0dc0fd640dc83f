//! Tables and views.

use sqlx::{AssertSqlSafe, PgConnection, Row, raw_sql};

use super::super::session::Store;
use crate::{
    publish::{PublishError, RunSequence, Section},
    recommendations::ListKind,
};

/// What each version adds to the one before it. Entries are never changed, only added.
const MIGRATIONS: [fn(&Names) -> String; 1] = [create];

/// Names of tables, with the schema in front.
#[derive(Debug, Clone)]
pub(in crate::publish::sql) struct Names {
    /// Lower-case letters, digits and `_`: needs no quotes.
    pub(in crate::publish::sql) schema: String,
}

impl Names {
    pub(super) fn pointer(&self) -> String {
        format!("{}.publish_pointer", self.schema)
    }

    pub(super) fn runs(&self) -> String {
        format!("{}.publish_runs", self.schema)
    }

    pub(super) fn heads(&self) -> String {
        format!("{}.publish_heads", self.schema)
    }

    pub(super) fn campaign_runs(&self) -> String {
        format!("{}.campaign_runs", self.schema)
    }

    /// The table of a section: of all runs.
    pub(super) fn parent(&self, section: Section) -> String {
        format!("{}.{}", self.schema, table(section))
    }

    /// A run's partition of it.
    pub(super) fn partition(&self, section: Section, sequence: RunSequence) -> String {
        format!("{}_{sequence}", self.parent(section))
    }

    /// A run's partition of the heads.
    pub(super) fn head(&self, sequence: RunSequence) -> String {
        format!("{}_{sequence}", self.heads())
    }
}

/// The table of a section.
pub(super) fn table(section: Section) -> &'static str {
    match section {
        Section::Campaigns => "campaign_members",
        section => section.name(),
    }
}

/// Every section that this store has tables for.
pub(super) const SECTIONS: [Section; 6] = [
    Section::Recommendations,
    Section::SimilarItems,
    Section::Popular,
    Section::BoughtTogether,
    Section::Trending,
    Section::Campaigns,
];

/// What a section's rows consist of, besides the sequence.
pub(super) fn columns(section: Section) -> String {
    match section.list_kind() {
        Some(kind) if kind.has_source() => format!("{}, items, source", kind.key_column()),
        Some(kind) => format!("{}, items", kind.key_column()),
        None => "campaign, user_id, rank, score, arm, reason, items, variables".into(),
    }
}

/// What tells a section's rows of one run apart.
pub(super) fn key(section: Section) -> &'static str {
    match section {
        Section::Campaigns => "campaign, user_id",
        section => section.key_column(),
    }
}

/// Brings the schema up to date, or fails when that is somebody else's to do.
pub(super) async fn migrate(
    store: &Store,
    connection: &mut PgConnection,
    names: &Names,
    role: Option<&str>,
    may: bool,
) -> Result<(), PublishError> {
    let known = MIGRATIONS.len() as i64;
    let failed = || store.failed("bring the schema up to date");
    let found = version(connection, names).await.map_err(failed())?;
    if found > known {
        return Err(PublishError::NewerSchema { store: store.name.clone(), found, known });
    }
    if found == known {
        return take_role(connection, role).await.map_err(failed());
    }
    if !may {
        return Err(PublishError::OlderSchema { store: store.name.clone(), found, known });
    }
    let mut sql = String::from("BEGIN;");
    // Two programs at once: the second waits here, and then finds everything there.
    sql.push_str(&format!("SELECT pg_advisory_xact_lock(hashtextextended('nightshelf migrate {}', 0));", names.schema));
    raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await.map_err(failed())?;
    let outcome = migrate_locked(connection, names, role).await.map_err(failed());
    let end = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
    raw_sql(end).execute(&mut *connection).await.map_err(failed())?;
    outcome?;
    take_role(connection, role).await.map_err(failed())
}

async fn migrate_locked(connection: &mut PgConnection, names: &Names, role: Option<&str>) -> sqlx::Result<()> {
    let schema = &names.schema;
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)")
        .bind(schema)
        .fetch_one(&mut *connection)
        .await?;
    if !there {
        let owner = role.map_or_else(String::new, |role| format!(" AUTHORIZATION {}", quoted(role)));
        raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}{owner}"))).execute(&mut *connection).await?;
    }
    take_role(connection, role).await?;
    let found = version(connection, names).await?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        raw_sql(AssertSqlSafe(migration(names))).execute(&mut *connection).await?;
    }
    let set = format!(
        "DELETE FROM {schema}.nightshelf_schema; INSERT INTO {schema}.nightshelf_schema (version) VALUES ({})",
        MIGRATIONS.len()
    );
    raw_sql(AssertSqlSafe(set)).execute(connection).await?;
    Ok(())
}

async fn take_role(connection: &mut PgConnection, role: Option<&str>) -> sqlx::Result<()> {
    if let Some(role) = role {
        raw_sql(AssertSqlSafe(format!("SET ROLE {}", quoted(role)))).execute(connection).await?;
    }
    Ok(())
}

/// The schema's version; 0 where there is none.
async fn version(connection: &mut PgConnection, names: &Names) -> sqlx::Result<i64> {
    let there: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                        WHERE n.nspname = $1 AND c.relname = 'nightshelf_schema')",
    )
    .bind(&names.schema)
    .fetch_one(&mut *connection)
    .await?;
    if !there {
        return Ok(0);
    }
    let sql = format!("SELECT version FROM {}.nightshelf_schema", names.schema);
    raw_sql(AssertSqlSafe(sql)).fetch_one(connection).await?.try_get(0)
}

/// A name with quotes around it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn create(names: &Names) -> String {
    let schema = &names.schema;
    let mut sql = format!(
        "CREATE TABLE {schema}.nightshelf_schema (version bigint NOT NULL);
         CREATE TABLE {schema}.publish_pointer (
             id integer PRIMARY KEY CHECK (id = 1),
             current bigint,
             previous bigint,
             epoch bigint NOT NULL,
             last_sequence bigint NOT NULL
         );
         INSERT INTO {schema}.publish_pointer (id, epoch, last_sequence) VALUES (1, 0, 0);
         CREATE TABLE {schema}.publish_runs (
             sequence bigint PRIMARY KEY,
             run text NOT NULL,
             content_sha256 text NOT NULL,
             state text NOT NULL CHECK (state IN ('loading', 'committed', 'removing')),
             started_at timestamptz NOT NULL DEFAULT now(),
             committed_at timestamptz,
             n_lists bigint,
             n_entries bigint
         );
         CREATE TABLE {schema}.publish_heads (
             sequence bigint NOT NULL,
             epoch bigint NOT NULL
         ) PARTITION BY LIST (sequence);
         CREATE TABLE {schema}.campaign_runs (
             sequence bigint NOT NULL,
             campaign text COLLATE \"C\" NOT NULL,
             n_members bigint NOT NULL,
             n_send bigint NOT NULL,
             n_holdout bigint NOT NULL,
             PRIMARY KEY (sequence, campaign)
         );
         CREATE TABLE {schema}.campaign_members (
             sequence bigint NOT NULL,
             campaign text COLLATE \"C\" NOT NULL,
             user_id text COLLATE \"C\" NOT NULL,
             rank integer NOT NULL,
             score real NOT NULL,
             arm text NOT NULL,
             reason text NOT NULL,
             items json NOT NULL,
             variables json NOT NULL,
             PRIMARY KEY (sequence, campaign, user_id)
         ) PARTITION BY LIST (sequence);"
    );
    for kind in ListKind::ALL {
        let (name, key) = (kind.name(), kind.key_column());
        let source = if kind.has_source() { "source text NOT NULL," } else { "" };
        sql.push_str(&format!(
            "CREATE TABLE {schema}.{name} (
                 sequence bigint NOT NULL,
                 {key} text COLLATE \"C\" NOT NULL,
                 items json NOT NULL,
                 {source}
                 PRIMARY KEY (sequence, {key})
             ) PARTITION BY LIST (sequence);"
        ));
    }
    sql.push_str(&views(names));
    sql
}

/// The views of readers.
///
/// A statement shows the run whose head has the highest epoch, not the one that the pointer names: a session in a
/// transaction that used the tables before may plan with the partitions that it knew then, and would look for a run it
/// knows in no partition. Heads are partitioned as the rows are and attached after them, so a plan that knows a run's
/// head knows its rows, and one that does not shows the run before, whole.
fn views(names: &Names) -> String {
    let schema = &names.schema;
    let current = format!("(SELECT h.sequence FROM {schema}.publish_heads AS h ORDER BY h.epoch DESC LIMIT 1)");
    let mut sql = String::new();
    for kind in ListKind::ALL {
        let (name, key, item) = (kind.name(), kind.key_column(), kind.entry_column());
        let source = if kind.has_source() { ", l.source" } else { "" };
        sql.push_str(&format!(
            "CREATE VIEW {schema}.{name}_current AS
             SELECT l.{key}, e.rank::integer AS rank, e.entry ->> 0 AS {item}, (e.entry ->> 1)::real AS score{source}
             FROM {schema}.{name} AS l
             CROSS JOIN LATERAL json_array_elements(l.items) WITH ORDINALITY AS e (entry, rank)
             WHERE l.sequence = {current};"
        ));
    }
    sql.push_str(&format!(
        "CREATE VIEW {schema}.campaign_runs_current AS
         SELECT c.campaign, c.n_members, c.n_send, c.n_holdout FROM {schema}.campaign_runs AS c
         WHERE c.sequence = {current};
         CREATE VIEW {schema}.campaign_members_current AS
         SELECT m.campaign, m.user_id, m.rank, m.score, m.arm, m.reason, m.items, m.variables
         FROM {schema}.campaign_members AS m
         WHERE m.sequence = {current};"
    ));
    sql
}
