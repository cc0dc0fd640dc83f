//! What a publish starts from: the decision to resume, to write differences, or to write everything; and the ways back.

use super::{
    Layout, Link,
    import::table_of,
    ledger::{Entry, Ledger, Mine, Pointer, State, now},
    tables,
};
use crate::publish::{PublishError, RunHeader, RunSequence};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// What a publish does with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Writes them.
    Write,
    /// Writes all of them into files, of which DynamoDB makes a new table.
    Import,
    /// Adds them up; nothing is changed.
    Dry,
}

/// How a publish goes on.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) entry: Entry,
    pub(super) before: Pointer,
    /// The manifest hash of the run whose rows are in the table.
    pub(super) base: Option<String>,
    /// `None`: the run is served already.
    pub(super) mine: Option<Mine>,
}

/// Decides, and enters the run into the ledger; a dry one changes nothing.
pub(super) async fn begin(link: &Link, ledger: &Ledger, header: &RunHeader, way: Way) -> Result<Plan, PublishError> {
    let is_dry = way == Way::Dry;
    let owner = format!("{:032x}", rand::random::<u128>());
    let seen = async { Ok::<_, PublishError>((ledger.pointer().await?, ledger.entries().await?)) }.await;
    let (before, entries) = match seen {
        // A plan may come before the table.
        Err(PublishError::NotReady { .. }) if is_dry => (Pointer::default(), Vec::new()),
        seen => seen?,
    };
    let shape = link.config.shape();
    let current = entries.iter().find(|entry| Some(entry.sequence) == before.current);
    if let Some(current) = current.filter(|current| is_served(current, header, &shape, link)) {
        tracing::info!(sequence = current.sequence, "readers see this run already");
        let base = header.at_hand.contains(&header.content_sha256).then(|| header.content_sha256.clone());
        return Ok(Plan { entry: current.clone(), base, before, mine: None });
    }
    let base_of = |entry: &Entry| {
        let base = entries.iter().find(|base| Some(base.sequence) == entry.base)?;
        Some(base.content.clone())
    };
    let mut broken_off: Vec<&Entry> = entries.iter().filter(|entry| entry.state == State::Loading).collect();
    let resumable = broken_off.iter().rposition(|entry| {
        let base = base_of(entry);
        // An import has no checkpoints: it begins anew.
        way != Way::Import
            && !is_import(entry)
            && entry.content == header.content_sha256
            && entry.shape == shape
            && entry.epoch == before.epoch
            && entry.base.is_some() == base.is_some()
            && base.is_none_or(|base| header.at_hand.contains(&base))
    });
    let mut resumed = None;
    if let Some(at) = resumable {
        let entry = broken_off.remove(at);
        if is_dry || ledger.take_over(entry, &owner).await? {
            resumed = Some(Entry { owner: owner.clone(), ..entry.clone() });
        }
    }
    if !is_dry {
        // Whatever else is under way is older than this publish, and ends here.
        for entry in broken_off {
            tracing::warn!(sequence = entry.sequence, run = entry.run, "ending a publish that did not finish");
            ledger.abort(entry.sequence).await?;
        }
    }
    let entry = match resumed {
        Some(entry) => {
            tracing::info!(sequence = entry.sequence, rows = entry.done, "going on with a publish that did not finish");
            entry
        }
        None => {
            let newest = entries.iter().map(|entry| entry.sequence).max().unwrap_or(0);
            let sequence = if is_dry { newest + 1 } else { ledger.draw_sequence(&owner).await? };
            fail::fail_point!("dynamodb-after-draw");
            let entry = next(link, header, &before, current, sequence, owner, shape, way);
            if !is_dry {
                ledger.begin(&entry).await?;
            }
            entry
        }
    };
    fail::fail_point!("dynamodb-after-begin");
    let base = base_of(&entry);
    let mine =
        Mine { sequence: entry.sequence, owner: entry.owner.clone(), table: entry.table.clone(), done: entry.done };
    Ok(Plan { entry, before, base, mine: Some(mine) })
}

/// Whether a run was to become a table of its own.
fn is_import(entry: &Entry) -> bool {
    entry.table.ends_with(&format!("-{}", entry.sequence))
}

/// Whether readers see exactly this, and its rows are young enough to stay.
fn is_served(current: &Entry, header: &RunHeader, shape: &str, link: &Link) -> bool {
    current.content == header.content_sha256 && current.shape == shape && is_young(&current.begun_at, link)
}

/// Whether the oldest row that counts has at least half of its time left.
fn is_young(begun_at: &[i64], link: &Link) -> bool {
    let ttl = i64::from(link.config.ttl_days) * DAY;
    ttl == 0 || begun_at.first().is_some_and(|oldest| now() - oldest < ttl / 2)
}

/// A new line of the ledger.
///
/// Differences are enough only when the run they are taken from is what readers see, lies directly before, and was written
/// in the same shape: then no row of a run that came to nothing, or of a writer that wakes up late, lies between the two.
/// Every unchanged row is written again within `refresh_after` publishes, so readers need not look further back.
#[expect(clippy::too_many_arguments, reason = "what the decision hangs on, each once")]
fn next(
    link: &Link,
    header: &RunHeader,
    before: &Pointer,
    current: Option<&Entry>,
    sequence: i64,
    owner: String,
    shape: String,
    way: Way,
) -> Entry {
    let config = &link.config;
    let base = current.filter(|current| {
        config.delta
            && way != Way::Import
            && current.sequence == sequence - 1
            && current.shape == shape
            && header.at_hand.contains(&current.content)
    });
    let full = base.map_or(sequence, |base| base.full);
    let floor = full.max(sequence - i64::from(config.refresh_after) + 1);
    let mut begun_at = base.map_or_else(Vec::new, |base| base.begun_at.clone());
    begun_at.push(now());
    let n_counting = usize::try_from(sequence - floor + 1).unwrap_or(1);
    begun_at.drain(..begun_at.len().saturating_sub(n_counting));
    let mut entry = Entry {
        sequence,
        run: header.run.clone(),
        content: header.content_sha256.clone(),
        shape,
        state: State::Loading,
        owner,
        epoch: before.epoch,
        floor,
        full,
        table: match (way, &before.table) {
            (Way::Import, _) => table_of(&config.table, sequence),
            (_, Some(table)) => table.clone(),
            (_, None) => config.table.clone(),
        },
        base: base.map(|base| base.sequence),
        begun_at,
        committed_at: None,
        done: 0,
        n_lists: 0,
        n_entries: 0,
    };
    if !is_young(&entry.begun_at, link) {
        (entry.base, entry.full, entry.floor, entry.begun_at) = (None, sequence, sequence, vec![now()]);
    }
    if config.layout == Layout::Latest {
        entry.floor = 0;
    }
    entry
}

/// Sends readers to an earlier run, or to a later one that is kept.
pub(super) async fn rollback(link: &Link, ledger: &Ledger, to: Option<i64>) -> Result<(), PublishError> {
    let store = || link.store.clone();
    if link.config.layout == Layout::Latest {
        return Err(PublishError::NoSuchRun {
            store: store(),
            which: "run but the newest (layout = \"latest\" overwrites), so there is none".into(),
        });
    }
    loop {
        let pointer = ledger.pointer().await?;
        let entries = ledger.entries().await?;
        let mut kept = entries.iter().rev().filter(|entry| entry.state == State::Committed);
        let target = match to {
            Some(to) => kept.find(|entry| entry.sequence == to),
            None => kept.find(|entry| Some(entry.sequence) < pointer.current),
        };
        let Some(target) = target else {
            let which = to.map_or_else(|| "earlier run".to_owned(), |to| format!("run {to}"));
            return Err(PublishError::NoSuchRun { store: store(), which });
        };
        let ttl = i64::from(link.config.ttl_days) * DAY;
        if ttl > 0 && target.begun_at.first().is_none_or(|oldest| now() - oldest >= ttl) {
            let which =
                format!("run {} with all of its rows (they are older than publish.dynamodb.ttl_days)", target.sequence);
            return Err(PublishError::NoSuchRun { store: store(), which });
        }
        if ledger.rollback(target, &pointer).await? {
            return Ok(());
        }
        // Somebody moved it in between: look again.
    }
}

/// Forgets all but the newest committed runs and the one that readers see; and what was aborted before them.
pub(super) async fn drop_old(link: &Link, ledger: &Ledger, keep: usize) -> Result<Vec<RunSequence>, PublishError> {
    let pointer = ledger.pointer().await?;
    let entries = ledger.entries().await?;
    let committed: Vec<&Entry> = entries.iter().filter(|entry| entry.state == State::Committed).collect();
    let n_old = committed.len().saturating_sub(keep);
    let mut removed = Vec::new();
    for entry in committed.into_iter().take(n_old).filter(|entry| Some(entry.sequence) != pointer.current) {
        ledger.forget(entry.sequence).await?;
        removed.push(RunSequence(entry.sequence));
    }
    for entry in entries.iter().filter(|entry| entry.state == State::Aborted) {
        ledger.forget(entry.sequence).await?;
    }
    // Tables of imports go when no run that is left lies in them.
    let is_left = |entry: &&Entry| entry.state != State::Aborted && !removed.contains(&RunSequence(entry.sequence));
    let in_use: Vec<&str> = entries.iter().filter(is_left).map(|entry| entry.table.as_str()).collect();
    let mut named: Vec<&str> = entries.iter().map(|entry| entry.table.as_str()).collect();
    named.sort_unstable();
    named.dedup();
    let served = pointer.table.as_deref();
    for table in named.into_iter().filter(|table| !in_use.contains(table) && Some(*table) != served) {
        // Pointer and ledger lie in the first one.
        if table != link.config.table {
            tables::delete(link, table).await?;
        }
    }
    Ok(removed)
}
