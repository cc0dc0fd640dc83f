//! Tables and views.

use sqlx::{AssertSqlSafe, Row, raw_sql};

use super::{super::session::Store, link::Session};
use crate::{
    publish::{PublishError, Section},
    recommendations::ListKind,
};

/// What each version adds to the one before it. Entries are never changed, only added. Each may be run again: making a
/// table commits at once, so a program that dies between two statements leaves the first.
const MIGRATIONS: [fn(&str) -> Vec<String>; 1] = [create];

/// Every section that this store has tables for.
pub(super) const SECTIONS: [Section; 6] = [
    Section::Recommendations,
    Section::SimilarItems,
    Section::Popular,
    Section::BoughtTogether,
    Section::Trending,
    Section::Campaigns,
];

/// Longest key in characters: an index entry has 3,072 bytes, a character up to four.
pub(super) const KEY_CHARS: usize = 512;

/// Longest name of a campaign in characters.
pub(super) const CAMPAIGN_CHARS: usize = 128;

/// The table of a section.
pub(super) fn table(section: Section) -> &'static str {
    match section {
        Section::Campaigns => "campaign_members",
        section => section.name(),
    }
}

/// What a section's rows consist of, besides the sequence. `rank` is a word of MySQL's own.
pub(super) fn columns(section: Section) -> Vec<&'static str> {
    match section.list_kind() {
        Some(kind) if kind.has_source() => vec![kind.key_column(), "items", "source"],
        Some(kind) => vec![kind.key_column(), "items"],
        None => vec!["campaign", "user_id", "`rank`", "score", "arm", "reason", "items", "variables"],
    }
}

/// Brings the schema up to date, or fails when that is somebody else's to do.
pub(super) async fn migrate(store: &Store, session: &mut Session, may: bool) -> Result<(), PublishError> {
    let known = MIGRATIONS.len() as i64;
    let failed = || store.failed("bring the schema up to date");
    let found = version(session).await.map_err(failed())?;
    if found > known {
        return Err(PublishError::NewerSchema { store: store.name.clone(), found, known });
    }
    if found == known {
        return Ok(());
    }
    if !may {
        return Err(PublishError::OlderSchema { store: store.name.clone(), found, known });
    }
    // Two programs at once: the second waits here, and then finds everything there.
    if !session.take_lock("migrate", 60).await.map_err(failed())? {
        let busy = std::io::Error::new(std::io::ErrorKind::TimedOut, "another program has been at it for a minute");
        return Err(store.failed("bring the schema up to date")(busy));
    }
    let outcome = migrate_locked(session).await.map_err(failed());
    session.release_lock("migrate").await.map_err(failed())?;
    outcome
}

async fn migrate_locked(session: &mut Session) -> sqlx::Result<()> {
    let found = usize::try_from(version(session).await?).unwrap_or(0);
    for (at, migration) in MIGRATIONS.iter().enumerate().skip(found) {
        for statement in migration(session.collation) {
            session.run(statement).await?;
        }
        let version = at + 1;
        session
            .run(format!(
                "INSERT INTO nightshelf_schema (id, version) VALUES (1, {version}) ON DUPLICATE KEY UPDATE version = {version}"
            ))
            .await?;
    }
    Ok(())
}

/// The schema's version; 0 where there is none.
async fn version(session: &mut Session) -> sqlx::Result<i64> {
    let there = raw_sql(
        "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'nightshelf_schema'",
    )
    .fetch_optional(&mut session.connection)
    .await?;
    if there.is_none() {
        return Ok(0);
    }
    let row = raw_sql("SELECT version FROM nightshelf_schema").fetch_optional(&mut session.connection).await?;
    row.map_or(Ok(0), |row| row.try_get(0))
}

impl Session {
    /// Runs one statement that gives nothing back.
    pub(super) async fn run(&mut self, sql: impl Into<String>) -> sqlx::Result<()> {
        raw_sql(AssertSqlSafe(sql.into())).execute(&mut self.connection).await.map(drop)
    }
}

fn create(collation: &str) -> Vec<String> {
    // Bytes decide: no case, no accents, no padding with blanks.
    let options = format!("ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE {collation}");
    let mut tables = vec![
        ("nightshelf_schema", "id INT PRIMARY KEY, version BIGINT NOT NULL".to_owned()),
        (
            "publish_pointer",
            "id INT PRIMARY KEY, current BIGINT, previous BIGINT, epoch BIGINT NOT NULL, last_sequence BIGINT NOT NULL"
                .into(),
        ),
        (
            "publish_runs",
            "sequence BIGINT PRIMARY KEY,
             run VARCHAR(256) NOT NULL,
             content_sha256 VARCHAR(128) NOT NULL,
             state VARCHAR(16) NOT NULL CHECK (state IN ('loading', 'committed', 'removing')),
             started_at VARCHAR(40) NOT NULL,
             committed_at VARCHAR(40),
             n_lists BIGINT,
             n_entries BIGINT"
                .into(),
        ),
        (
            "campaign_runs",
            format!(
                "sequence BIGINT NOT NULL,
                 campaign VARCHAR({CAMPAIGN_CHARS}) NOT NULL,
                 n_members BIGINT NOT NULL,
                 n_send BIGINT NOT NULL,
                 n_holdout BIGINT NOT NULL,
                 PRIMARY KEY (sequence, campaign)"
            ),
        ),
        (
            "campaign_members",
            format!(
                "sequence BIGINT NOT NULL,
                 campaign VARCHAR({CAMPAIGN_CHARS}) NOT NULL,
                 user_id VARCHAR({KEY_CHARS}) NOT NULL,
                 `rank` INT NOT NULL,
                 score DOUBLE NOT NULL,
                 arm VARCHAR(16) NOT NULL,
                 reason LONGTEXT NOT NULL,
                 items LONGTEXT NOT NULL,
                 variables LONGTEXT NOT NULL,
                 PRIMARY KEY (sequence, campaign, user_id)"
            ),
        ),
    ];
    for kind in ListKind::ALL {
        let key = kind.key_column();
        let source = if kind.has_source() { "source VARCHAR(512) NOT NULL," } else { "" };
        tables.push((
            kind.name(),
            format!(
                "sequence BIGINT NOT NULL,
                 {key} VARCHAR({KEY_CHARS}) NOT NULL,
                 items LONGTEXT NOT NULL,
                 {source}
                 PRIMARY KEY (sequence, {key})"
            ),
        ));
    }
    let mut sql: Vec<String> = tables
        .into_iter()
        .map(|(name, columns)| format!("CREATE TABLE IF NOT EXISTS {name} ({columns}) {options}"))
        .collect();
    sql.push("INSERT IGNORE INTO publish_pointer (id, epoch, last_sequence) VALUES (1, 0, 0)".into());
    sql.extend(views(collation));
    sql
}

/// The views of readers: rows of the run that the pointer names, both read in one snapshot.
fn views(collation: &str) -> Vec<String> {
    let mut views: Vec<(&str, String)> = Vec::new();
    for kind in ListKind::ALL {
        let (name, key, item) = (kind.name(), kind.key_column(), kind.entry_column());
        let source = if kind.has_source() { ", l.source" } else { "" };
        views.push((
            name,
            format!(
                "SELECT l.{key}, e.`rank`, e.item AS {item}, e.score{source}
                 FROM publish_pointer AS p
                 JOIN {name} AS l ON l.sequence = p.current
                 JOIN JSON_TABLE(l.items, '$[*]' COLUMNS (
                     `rank` FOR ORDINALITY,
                     item LONGTEXT CHARACTER SET utf8mb4 COLLATE {collation} PATH '$[0]',
                     score DOUBLE PATH '$[1]'
                 )) AS e
                 WHERE p.id = 1"
            ),
        ));
    }
    for (name, columns) in [
        ("campaign_runs", "c.campaign, c.n_members, c.n_send, c.n_holdout"),
        ("campaign_members", "c.campaign, c.user_id, c.`rank`, c.score, c.arm, c.reason, c.items, c.variables"),
    ] {
        let from = format!("FROM publish_pointer AS p JOIN {name} AS c ON c.sequence = p.current WHERE p.id = 1");
        views.push((name, format!("SELECT {columns} {from}")));
    }
    views.into_iter().map(|(name, select)| format!("CREATE OR REPLACE VIEW {name}_current AS {select}")).collect()
}
