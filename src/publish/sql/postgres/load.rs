//! Making a run's partitions and filling them.

use std::{collections::BTreeSet, time::Instant};

use sqlx::{AssertSqlSafe, PgConnection, Row, raw_sql};

use super::{
    super::session::Store,
    Loading,
    link::{Backend, release_lock, take_lock},
    read::tally,
    schema::{Names, columns, key},
    text::{field, key_of_duplicate},
};
use crate::{
    publish::{
        Expected, PublishError, Rows, RunHeader, RunSequence, Section, Tally,
        lists::{encode_list, member_head, member_key},
    },
    recommendations::ListKind,
};

/// Runs statements that give nothing back.
pub(super) async fn run(connection: &mut PgConnection, sql: String) -> sqlx::Result<()> {
    raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

/// Draws a sequence, shows that its publisher lives, and makes its empty tables, which nobody sees yet.
pub(super) async fn begin(
    store: &Store,
    connection: &mut PgConnection,
    names: &Names,
    sections: &[Section],
    header: &RunHeader,
    backend: Backend,
) -> Result<Loading, PublishError> {
    let failed = || store.failed("begin a run");
    run(connection, "BEGIN".into()).await.map_err(failed())?;
    let outcome = begin_locked(connection, names, sections, header).await;
    let sequence_and_epoch = match outcome {
        Ok(found) => found,
        Err(error) => {
            // The connection may be gone; the first error is the one to tell.
            let _ = run(connection, "ROLLBACK; SELECT pg_advisory_unlock_all()".into()).await;
            return Err(failed()(error));
        }
    };
    let (sequence, epoch, is_locked) = sequence_and_epoch;
    if !is_locked {
        run(connection, "ROLLBACK".into()).await.map_err(failed())?;
        return Err(store.superseded(sequence, "another session holds its lock".into()));
    }
    if let Err(error) = run(connection, "COMMIT".into()).await {
        let _ = release_lock(connection, names, sequence).await;
        return Err(failed()(error));
    }
    Ok(Loading { sequence, epoch, backend, keyed: BTreeSet::new(), attached: false, verified: None })
}

async fn begin_locked(
    connection: &mut PgConnection,
    names: &Names,
    sections: &[Section],
    header: &RunHeader,
) -> sqlx::Result<(RunSequence, i64, bool)> {
    let sql =
        format!("UPDATE {} SET last_sequence = last_sequence + 1 RETURNING last_sequence, epoch", names.pointer());
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *connection).await?;
    let (sequence, epoch) = (RunSequence(row.try_get(0)?), row.try_get(1)?);
    // Locked before the row can be seen: to others a sequence without a lock is dead.
    if !take_lock(connection, names, sequence).await? {
        return Ok((sequence, epoch, false));
    }
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO {} (sequence, run, content_sha256, state) VALUES ($1, $2, $3, 'loading')",
        names.runs()
    )))
    .bind(sequence.0)
    .bind(&header.run)
    .bind(&header.content_sha256)
    .execute(&mut *connection)
    .await?;
    let mut sql = format!("CREATE TABLE {} (LIKE {} INCLUDING ALL);", names.head(sequence), names.heads());
    for &section in sections {
        // The check spares the attaching a scan; the default spares each row a column on its way.
        sql.push_str(&format!(
            "CREATE TABLE {0} (LIKE {1} INCLUDING DEFAULTS INCLUDING STORAGE, CHECK (sequence = {sequence}));
             ALTER TABLE {0} ALTER sequence SET DEFAULT {sequence};",
            names.partition(section, sequence),
            names.parent(section)
        ));
    }
    run(connection, sql).await?;
    Ok((sequence, epoch, true))
}

/// Fails once the pointer has moved since `begin`.
pub(super) async fn check_current(
    store: &Store,
    connection: &mut PgConnection,
    names: &Names,
    loading: &Loading,
    and_lock: bool,
) -> Result<(), PublishError> {
    let failed = || store.failed("read the pointer");
    // Two statements: the second looks at the ledger after the pointer's lock was had.
    let lock = if and_lock { " FOR UPDATE" } else { "" };
    let row = sqlx::query(AssertSqlSafe(format!("SELECT epoch, current FROM {}{lock}", names.pointer())))
        .fetch_one(&mut *connection)
        .await
        .map_err(failed())?;
    let (epoch, current): (i64, Option<i64>) = (row.try_get(0).map_err(failed())?, row.try_get(1).map_err(failed())?);
    if epoch != loading.epoch {
        return Err(store.moved(loading.sequence, epoch - loading.epoch, current));
    }
    if state(connection, names, loading.sequence).await.map_err(failed())?.as_deref() != Some("loading") {
        return Err(store.superseded(loading.sequence, "its rows were removed".into()));
    }
    Ok(())
}

/// What the ledger says of a sequence; `None` when it knows none.
pub(super) async fn state(
    connection: &mut PgConnection,
    names: &Names,
    sequence: RunSequence,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar(AssertSqlSafe(format!("SELECT state FROM {} WHERE sequence = $1", names.runs())))
        .bind(sequence.0)
        .fetch_optional(connection)
        .await
}

/// The statement that fills a section's partition.
pub(super) fn copy_statement(names: &Names, section: Section, sequence: RunSequence) -> String {
    format!("COPY {} ({}) FROM STDIN", names.partition(section, sequence), columns(section))
}

/// Hands rows to `send` as COPY's text, in chunks.
///
/// Returns: what they add up to.
pub(super) fn encode(
    rows: &Rows<'_>,
    chunk_bytes: usize,
    mut send: impl FnMut(Vec<u8>) -> Result<(), PublishError>,
) -> Result<Tally, PublishError> {
    let mut tally = Tally::default();
    let mut text = String::new();
    let mut out = Vec::with_capacity(chunk_bytes + chunk_bytes / 4);
    let mut flush = |out: &mut Vec<u8>| {
        let chunk = std::mem::replace(out, Vec::with_capacity(chunk_bytes + chunk_bytes / 4));
        send(chunk)
    };
    match rows {
        Rows::Lists(section, lists) => {
            let has_source = section.list_kind().is_some_and(ListKind::has_source);
            for list in lists.rows() {
                text.clear();
                encode_list(&list, &mut text);
                field(list.key, &mut out);
                out.push(b'\t');
                field(&text, &mut out);
                if has_source {
                    out.push(b'\t');
                    field(list.source, &mut out);
                }
                out.push(b'\n');
                let source = if has_source { list.source } else { "" };
                tally.add(list.key, source, list.items.len() as u64, &text);
                if out.len() >= chunk_bytes {
                    flush(&mut out)?;
                }
            }
        }
        Rows::Members(members) => {
            for member in members.rows() {
                text.clear();
                member_head(member.rank, member.score, member.arm.name(), member.reason, member.variables, &mut text);
                let head = text.len();
                encode_list(&member.list, &mut text);
                field(members.campaign, &mut out);
                out.push(b'\t');
                field(member.list.key, &mut out);
                out.push(b'\t');
                // As the head has them: numbers first, a line each.
                let mut numbers = text.split('\n');
                for number in [numbers.next(), numbers.next()].into_iter().flatten() {
                    out.extend_from_slice(number.as_bytes());
                    out.push(b'\t');
                }
                out.extend_from_slice(member.arm.name().as_bytes());
                out.push(b'\t');
                field(member.reason, &mut out);
                out.push(b'\t');
                field(&text[head..], &mut out);
                out.push(b'\t');
                field(member.variables, &mut out);
                out.push(b'\n');
                tally.add(member.list.key, members.campaign, member.list.items.len() as u64, &text);
                if out.len() >= chunk_bytes {
                    flush(&mut out)?;
                }
            }
        }
        Rows::Profiles(_) => {}
    }
    if !out.is_empty() {
        flush(&mut out)?;
    }
    Ok(tally)
}

/// A duplicate that the server found, or its error as it is.
pub(super) fn duplicate_or(
    store: &Store,
    section: Section,
    doing: impl Into<String>,
    error: sqlx::Error,
) -> PublishError {
    let detail = error.as_database_error().filter(|database| database.is_unique_violation()).and_then(|database| {
        database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?.detail().map(str::to_owned)
    });
    match detail.and_then(|detail| key_of_duplicate(&detail, section)) {
        Some(key) => PublishError::DuplicateKey { section, key },
        None => store.failed(doing)(error),
    }
}

/// Makes the primary keys, compares what lies in the partitions with `expected`, and attaches them.
///
/// Returns: the sums over all sections.
pub(super) async fn verify(
    store: &Store,
    connection: &mut PgConnection,
    names: &Names,
    sections: &[Section],
    loading: &mut Loading,
    expected: &Expected,
) -> Result<Tally, PublishError> {
    let sequence = loading.sequence;
    let mut total = Tally::default();
    check_current(store, connection, names, loading, false).await?;
    for &section in sections {
        let partition = names.partition(section, sequence);
        let start = Instant::now();
        if !loading.keyed.contains(&section) {
            let doing = format!("sort the keys of {partition}");
            let sql = format!("ALTER TABLE {partition} ADD PRIMARY KEY (sequence, {})", key(section));
            if let Err(error) = run(connection, sql).await {
                if error.as_database_error().is_some_and(|database| database.is_unique_violation()) {
                    let found = first_duplicate(connection, &partition, section).await.map_err(store.failed(doing))?;
                    return Err(PublishError::DuplicateKey { section, key: found });
                }
                return Err(store.failed(doing)(error));
            }
            loading.keyed.insert(section);
            tracing::debug!(section = section.name(), ms = start.elapsed().as_millis(), "keys sorted");
        }
        let start = Instant::now();
        let found = tally(connection, section, &partition).await.map_err(store.failed("read back what was written"))?;
        tracing::debug!(section = section.name(), ms = start.elapsed().as_millis(), "rows read back");
        let wanted = expected.get(&section).copied().unwrap_or_default();
        if let Some((what, expected, found)) = wanted.first_difference(&found) {
            return Err(PublishError::Mismatch { store: store.name.clone(), section, what, expected, found });
        }
        total.merge(&found);
    }
    count_campaigns(connection, names, sections, sequence).await.map_err(store.failed("count the campaigns"))?;
    check_current(store, connection, names, loading, false).await?;
    if !loading.attached {
        attach(connection, names, sections, sequence).await.map_err(store.failed("attach the run's partitions"))?;
        loading.attached = true;
    }
    Ok(total)
}

/// One transaction for the rows, then one for the head: see [`views`](super::schema).
async fn attach(
    connection: &mut PgConnection,
    names: &Names,
    sections: &[Section],
    sequence: RunSequence,
) -> sqlx::Result<()> {
    let mut sql = String::from("BEGIN;");
    for &section in sections {
        let (parent, partition) = (names.parent(section), names.partition(section, sequence));
        sql.push_str(&format!("ALTER TABLE {parent} ATTACH PARTITION {partition} FOR VALUES IN ({sequence});"));
    }
    sql.push_str("COMMIT;");
    transaction(connection, sql).await?;
    for &section in sections {
        run(connection, format!("ANALYZE {}", names.partition(section, sequence))).await?;
    }
    let sql = format!(
        "BEGIN; ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({sequence}); COMMIT;",
        names.heads(),
        names.head(sequence)
    );
    transaction(connection, sql).await
}

/// Runs `BEGIN; …; COMMIT`, and ends the transaction when it fails.
async fn transaction(connection: &mut PgConnection, sql: String) -> sqlx::Result<()> {
    let outcome = run(connection, sql).await;
    if outcome.is_err() {
        // The connection may be gone; the first error is the one to tell.
        let _ = run(connection, "ROLLBACK".into()).await;
    }
    outcome
}

async fn count_campaigns(
    connection: &mut PgConnection,
    names: &Names,
    sections: &[Section],
    sequence: RunSequence,
) -> sqlx::Result<()> {
    if !sections.contains(&Section::Campaigns) {
        return Ok(());
    }
    let (runs, members) = (names.campaign_runs(), names.partition(Section::Campaigns, sequence));
    let sql = format!(
        "BEGIN; DELETE FROM {runs} WHERE sequence = {sequence};
         INSERT INTO {runs} (sequence, campaign, n_members, n_send, n_holdout)
         SELECT {sequence}, campaign, count(*), count(*) FILTER (WHERE arm = 'send'),
                count(*) FILTER (WHERE arm = 'holdout')
         FROM {members} GROUP BY campaign; COMMIT;"
    );
    transaction(connection, sql).await
}

async fn first_duplicate(connection: &mut PgConnection, partition: &str, section: Section) -> sqlx::Result<String> {
    let key = key(section);
    let sql = format!("SELECT {key} FROM {partition} GROUP BY {key} HAVING count(*) > 1 ORDER BY {key} LIMIT 1");
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(connection).await?;
    match section {
        Section::Campaigns => Ok(member_key(row.try_get(0)?, row.try_get(1)?)),
        _ => row.try_get(0),
    }
}
