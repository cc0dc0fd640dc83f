//! Writing a run's rows and reading them back.

use std::{collections::BTreeSet, ops::Range, time::Instant};

use sqlx::{AssertSqlSafe, Row, mysql::MySqlRow};

use super::{
    super::session::Store,
    Loading,
    link::{Session, is_duplicate},
    rows::{Encoded, has_source, insert},
    schema::{columns, table},
};
use crate::publish::{
    Expected, PublishError, Rows, RunHeader, RunSequence, Section, Tally,
    lists::{member_head, member_key, n_entries_of},
};

/// Bytes of a statement, if the server takes so many.
const STATEMENT_BYTES: usize = 4 * 1024 * 1024;

/// Rows fetched at once when they are read back.
const FETCH_ROWS: usize = 2_000;

/// Draws a sequence and shows that its publisher lives.
pub(super) async fn begin(store: &Store, session: &mut Session, header: &RunHeader) -> Result<Loading, PublishError> {
    let failed = || store.failed("begin a run");
    session.run("START TRANSACTION").await.map_err(failed())?;
    let outcome = begin_locked(session, header).await;
    let end = if matches!(outcome, Ok((_, _, true))) { "COMMIT" } else { "ROLLBACK" };
    let ended = session.run(end).await;
    let (sequence, epoch, is_locked) = outcome.map_err(failed())?;
    if !is_locked {
        return Err(store.superseded(sequence, "another session holds its lock".into()));
    }
    if let Err(error) = ended {
        // The connection may be gone, and the lock with it.
        let _ = session.release_lock(&sequence.to_string()).await;
        return Err(failed()(error));
    }
    Ok(Loading { sequence, epoch, session: session.id, open_bytes: None, verified: None })
}

async fn begin_locked(session: &mut Session, header: &RunHeader) -> sqlx::Result<(RunSequence, i64, bool)> {
    session.run("UPDATE publish_pointer SET last_sequence = last_sequence + 1 WHERE id = 1").await?;
    let row = sqlx::query("SELECT last_sequence, epoch FROM publish_pointer WHERE id = 1")
        .fetch_one(&mut session.connection)
        .await?;
    let (sequence, epoch) = (RunSequence(row.try_get(0)?), row.try_get(1)?);
    // Locked before the row can be seen: to others a sequence without a lock is dead.
    if !session.take_lock(&sequence.to_string(), 0).await? {
        return Ok((sequence, epoch, false));
    }
    sqlx::query(
        "INSERT INTO publish_runs (sequence, run, content_sha256, state, started_at) VALUES (?, ?, ?, 'loading', ?)",
    )
    .bind(sequence.0)
    .bind(&header.run)
    .bind(&header.content_sha256)
    .bind(jiff::Timestamp::now().to_string())
    .execute(&mut session.connection)
    .await?;
    Ok((sequence, epoch, true))
}

/// Fails once the pointer has moved since `begin`.
pub(super) async fn check_current(
    store: &Store,
    session: &mut Session,
    loading: &Loading,
    and_lock: bool,
) -> Result<(), PublishError> {
    let failed = || store.failed("read the pointer");
    let lock = if and_lock { " FOR UPDATE" } else { "" };
    let sql = format!("SELECT epoch, current FROM publish_pointer WHERE id = 1{lock}");
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut session.connection).await.map_err(failed())?;
    let (epoch, current): (i64, Option<i64>) = (row.try_get(0).map_err(failed())?, row.try_get(1).map_err(failed())?);
    if epoch != loading.epoch {
        return Err(store.moved(loading.sequence, epoch - loading.epoch, current));
    }
    if state(session, loading.sequence).await.map_err(failed())?.as_deref() != Some("loading") {
        return Err(store.superseded(loading.sequence, "its rows were removed".into()));
    }
    Ok(())
}

/// What the ledger says of a sequence; `None` when it knows none.
pub(super) async fn state(session: &mut Session, sequence: RunSequence) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT state FROM publish_runs WHERE sequence = ?")
        .bind(sequence.0)
        .fetch_optional(&mut session.connection)
        .await
}

/// Inserts rows, many a statement.
///
/// Returns: what they add up to, and about how many bytes were sent.
pub(super) async fn write(
    store: &Store,
    session: &mut Session,
    sequence: RunSequence,
    rows: &Rows<'_>,
) -> Result<(Tally, u64), PublishError> {
    let section = rows.section();
    let doing = || format!("write {}", section.name());
    let encoded = Encoded::new(rows);
    // Half of what the server takes, so that nothing is near it.
    let budget = STATEMENT_BYTES.min(session.max_packet_bytes / 2);
    let (mut at, mut n_bytes) = (0, 0);
    loop {
        let chunk = encoded.next_chunk(at, budget);
        if chunk.is_empty() {
            return Ok((encoded.tally, n_bytes));
        }
        at = chunk.end;
        n_bytes += encoded.bytes(chunk.clone()) as u64;
        let arguments = encoded.arguments(chunk.clone()).map_err(store.failed(doing()))?;
        let sql = insert(section, sequence, chunk.len());
        match sqlx::query_with(AssertSqlSafe(sql), arguments).execute(&mut session.connection).await {
            Ok(_) => {}
            Err(error) if is_duplicate(&error) => {
                let key = duplicate_of(session, sequence, section, &encoded, chunk).await;
                let key = key.map_err(store.failed(doing()))?;
                return Err(PublishError::DuplicateKey { section, key });
            }
            Err(error) => return Err(store.failed(doing())(error)),
        }
    }
}

/// The first row of a chunk that is there already, in the chunk or in the table: the server's message cuts keys.
async fn duplicate_of(
    session: &mut Session,
    sequence: RunSequence,
    section: Section,
    encoded: &Encoded<'_, '_>,
    chunk: Range<usize>,
) -> sqlx::Result<String> {
    let (campaign, keys) = encoded.keys(chunk);
    let of_campaign = if campaign.is_some() { " AND campaign = ?" } else { "" };
    let sql =
        format!("SELECT 1 FROM {} WHERE sequence = ? AND {} = ?{of_campaign}", table(section), section.key_column());
    let mut seen = BTreeSet::new();
    for key in keys {
        let mut query = sqlx::query(AssertSqlSafe(sql.as_str())).bind(sequence.0).bind((*key).to_owned());
        if let Some(campaign) = campaign {
            query = query.bind(campaign.to_owned());
        }
        let is_there = query.fetch_optional(&mut session.connection).await?.is_some();
        if is_there || !seen.insert(key) {
            return Ok(campaign.map_or_else(|| (*key).to_owned(), |campaign| member_key(campaign, key)));
        }
    }
    Err(sqlx::Error::RowNotFound)
}

/// Compares what lies under the sequence with `expected`.
///
/// Returns: the sums over all sections.
pub(super) async fn verify(
    store: &Store,
    session: &mut Session,
    sections: &[Section],
    loading: &Loading,
    expected: &Expected,
) -> Result<Tally, PublishError> {
    let sequence = loading.sequence;
    let mut total = Tally::default();
    check_current(store, session, loading, false).await?;
    for &section in sections {
        let start = Instant::now();
        let found = tally(session, section, sequence).await.map_err(store.failed("read back what was written"))?;
        tracing::debug!(section = section.name(), ms = start.elapsed().as_millis(), "rows read back");
        let wanted = expected.get(&section).copied().unwrap_or_default();
        if let Some((what, expected, found)) = wanted.first_difference(&found) {
            return Err(PublishError::Mismatch { store: store.name.clone(), section, what, expected, found });
        }
        total.merge(&found);
    }
    count_campaigns(session, sequence).await.map_err(store.failed("count the campaigns"))?;
    check_current(store, session, loading, false).await?;
    Ok(total)
}

/// Each statement is a transaction of its own: nobody sees these rows yet.
async fn count_campaigns(session: &mut Session, sequence: RunSequence) -> sqlx::Result<()> {
    session.run(format!("DELETE FROM campaign_runs WHERE sequence = {sequence}")).await?;
    session
        .run(format!(
            "INSERT INTO campaign_runs (sequence, campaign, n_members, n_send, n_holdout)
             SELECT sequence, campaign, COUNT(*), SUM(arm = 'send'), SUM(arm = 'holdout')
             FROM campaign_members WHERE sequence = {sequence} GROUP BY sequence, campaign"
        ))
        .await
}

/// What readers see adds up to, in one snapshot.
pub(super) async fn audit(session: &mut Session, sections: &[Section]) -> sqlx::Result<Expected> {
    session.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
    session.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
    let outcome: sqlx::Result<Expected> = async {
        let current: Option<i64> = sqlx::query_scalar("SELECT current FROM publish_pointer WHERE id = 1")
            .fetch_one(&mut session.connection)
            .await?;
        let mut expected = Expected::new();
        for &section in sections {
            if let Some(current) = current {
                expected.insert(section, tally(session, section, RunSequence(current)).await?);
            }
        }
        Ok(expected)
    }
    .await;
    let end = session.run("ROLLBACK").await;
    let expected = outcome?;
    end.map(|()| expected)
}

/// What a section's rows of one run add up to.
async fn tally(session: &mut Session, section: Section, sequence: RunSequence) -> sqlx::Result<Tally> {
    let mut tally = Tally::default();
    if section != Section::Campaigns {
        add_rows(session, section, sequence, None, &mut tally).await?;
        return Ok(tally);
    }
    let campaigns: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT campaign FROM campaign_members WHERE sequence = ? ORDER BY campaign")
            .bind(sequence.0)
            .fetch_all(&mut session.connection)
            .await?;
    for campaign in campaigns {
        add_rows(session, section, sequence, Some(&campaign), &mut tally).await?;
    }
    Ok(tally)
}

/// Reads rows in the order of their keys, so many at a time: each fetch begins where the last one ended.
async fn add_rows(
    session: &mut Session,
    section: Section,
    sequence: RunSequence,
    campaign: Option<&str>,
    tally: &mut Tally,
) -> sqlx::Result<()> {
    let (columns, table, key) = (columns(section).join(", "), table(section), section.key_column());
    let of_campaign = if campaign.is_some() { " AND campaign = ?" } else { "" };
    let mut text = String::new();
    let mut last: Option<String> = None;
    loop {
        let after = if last.is_some() { format!(" AND {key} > ?") } else { String::new() };
        let sql = format!(
            "SELECT {columns} FROM {table} WHERE sequence = ?{of_campaign}{after} ORDER BY {key} LIMIT {FETCH_ROWS}"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(sequence.0);
        for value in [campaign, last.as_deref()].into_iter().flatten() {
            query = query.bind(value.to_owned());
        }
        let rows = query.fetch_all(&mut session.connection).await?;
        for row in &rows {
            add_row(section, row, &mut text, tally)?;
        }
        match rows.last() {
            Some(row) if rows.len() == FETCH_ROWS => last = Some(row.try_get(usize::from(campaign.is_some()))?),
            _ => return Ok(()),
        }
    }
}

fn add_row(section: Section, row: &MySqlRow, text: &mut String, tally: &mut Tally) -> sqlx::Result<()> {
    let column = |at: usize| row.try_get::<&str, _>(at);
    if section != Section::Campaigns {
        let (key, items) = (column(0)?, column(1)?);
        let source = if has_source(section) { column(2)? } else { "" };
        tally.add(key, source, n_entries_of(items), items);
        return Ok(());
    }
    let (rank, score, items): (i32, f64, &str) = (row.try_get(2)?, row.try_get(3)?, column(6)?);
    text.clear();
    member_head(rank.cast_unsigned(), score as f32, column(4)?, column(5)?, column(7)?, text);
    text.push_str(items);
    tally.add(column(1)?, column(0)?, n_entries_of(items), text);
    Ok(())
}
