//! Reading all files at once: footers first, then row groups by as many readers as there are threads.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
};

use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    errors::ParquetError,
    file::metadata::{PageIndexPolicy, ParquetMetaData},
};
use rayon::prelude::*;

use super::{
    EventsConfig, EventsError, OrdersConfig, PurchaseSource,
    arrays::EventArrays,
    chunks::{RowGroupBytes, read_footer},
    columns::FileColumns,
    config::{ResolvedNames, TimestampUnit},
    decode::{Fate, FileReader, Harvest, RowRules},
    guard::guarded,
    instants, partitions,
    reasons::Counts,
    replica_orders::{self, OrderTable},
};
use crate::{
    interactions::{DAY, Kind, Role, Stamp, window_start},
    sql::{Outcome, TableRead},
    storage::{ObjectInfo, ObjectReader, Storage, StorageError},
};

pub use super::decode::Shard;

/// Rows of a batch: the decoded columns of one batch stay in the second-level cache.
const BATCH_ROWS: usize = 8_192;

/// Row groups that are fetched ahead from remote storage, for each reader.
const FETCH_AHEAD: usize = 2;

/// What to read, and how.
pub struct ScanInput<'a> {
    /// Where bytes come from.
    pub storage: &'a Storage,
    /// `[events]`.
    pub events: &'a EventsConfig,
    /// `[orders]`.
    pub orders: &'a OrdersConfig,
    /// Event types by number.
    pub kinds: &'a [Kind],
    /// Buckets to deal users into.
    pub n_buckets: usize,
    /// The build's own clock: events more than a day later are rejected.
    pub now: Stamp,
    /// The paths hold the rows of this one bucket, as a shuffle dealt them: another bucket's are refused, partitions in
    /// paths mean nothing, and where there is no file there is no row.
    pub bucket: Option<usize>,
}

/// How far reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanProgress {
    /// Footers are read: so many files with so many rows.
    Found {
        /// Files.
        files: usize,
        /// Rows.
        rows: u64,
    },
    /// So many more rows are read.
    Rows(u64),
}

/// Everything that was read.
#[derive(Debug)]
pub struct Scan {
    /// One shard a reader. How rows are dealt to shards differs from run to run; what they hold together does not.
    pub shards: Vec<Shard>,
    /// Rows by fate, all readers and sources together.
    pub counts: Counts,
    /// Files read, each with what it was read as: `events` or `orders`.
    pub objects: Vec<(&'static str, ObjectInfo)>,
    /// Files that the window pruned.
    pub n_pruned: usize,
    /// Rows by the footers.
    pub n_rows: u64,
    /// Whether events carry a time.
    pub timed: bool,
    /// The newest accepted instant; `None` without times.
    pub newest: Option<Stamp>,
    /// The instant that ages are counted from: configured, or the newest accepted event; `None` without times.
    pub as_of: Option<Stamp>,
    /// Where the window starts.
    pub since: Option<Stamp>,
    /// The table of a read replica that order lines came from.
    pub order_table: Option<TableRead>,
    /// Why order lines were left out, where they were: then the clickstream's purchases count.
    pub orders_left_out: Option<String>,
}

impl Scan {
    /// Takes the shards out, so that they can be used up.
    #[must_use]
    pub fn split(mut self) -> (Vec<Shard>, Self) {
        (std::mem::take(&mut self.shards), self)
    }
}

/// A source of rows: the clickstream or the orders.
pub(super) struct Source {
    pub(super) table: &'static str,
    paths: Vec<String>,
    names: ResolvedNames,
    unit: Option<TimestampUnit>,
    rules: RowRules,
}

pub(super) struct File {
    pub(super) reader: ObjectReader,
    pub(super) metadata: Arc<ParquetMetaData>,
    pub(super) columns: FileColumns,
    pub(super) source: usize,
    latest: Stamp,
    /// Whether `latest` is by the day of its partition, and not by the clock.
    by_partition: bool,
}

impl File {
    /// The last instant (Unix seconds) that its rows can have by the partition it lies in.
    pub(super) fn partition_latest(&self) -> Option<i64> {
        self.by_partition.then(|| self.latest.unix())
    }
}

/// Reads the clickstream, and the orders where they count.
///
/// # Errors
/// Whatever makes a file unreadable: nothing is skipped. Dirty rows are no error, they are counted.
///
/// Determinism: the set of rows and all counts are the same for any number of threads and any order of files.
/// Cost: 16 bytes a row (24 with event ids), plus one copy of the ids a reader.
pub fn scan(input: &ScanInput<'_>, on: &(dyn Fn(ScanProgress) + Sync)) -> Result<Scan, EventsError> {
    let mut sources = sources(input, input.orders.purchases_from == PurchaseSource::Orders);
    // A server that is not there is found out before anything that takes long.
    let (mut order_shard, mut order_table, mut orders_left_out) = (None, None, None);
    match read_replica(input, &mut sources)? {
        Some(Outcome::Read(shard, table)) => (order_shard, order_table) = (Some(shard), Some(table)),
        Some(Outcome::LeftOut(why)) => {
            sources = self::sources(input, false);
            orders_left_out = Some(why);
        }
        None => {}
    }
    let (files, n_pruned) = open_all(input, &sources)?;
    let n_rows = claimed_rows(&files);
    on(ScanProgress::Found { files: files.len(), rows: n_rows });

    let timed = order_shard.is_some() || files.iter().any(|file| file.columns.timestamp.is_some());
    let mut shards = read_all(input, &sources, &files, on)?;
    shards.extend(order_shard);
    if shards.iter().map(|shard| shard.items.len()).max().unwrap_or(0) >= u32::MAX as usize {
        return Err(EventsError::TooManyIds { what: "items" });
    }
    let mut counts = Counts::default();
    for shard in &shards {
        counts.add(&shard.counts);
    }
    let newest = shards.iter().filter_map(|shard| shard.newest).max();
    let (as_of, since) = reckoning(input.events, timed, newest);
    let objects = files.iter().map(|file| (sources[file.source].table, file.reader.object().clone())).collect();
    Ok(Scan { shards, counts, objects, n_pruned, n_rows, timed, newest, as_of, since, order_table, orders_left_out })
}

/// The instant that ages are counted from (configured, or the newest accepted event), and where the window starts.
///
/// Returns: nothing of either when events carry no time.
#[must_use]
pub fn reckoning(events: &EventsConfig, timed: bool, newest: Option<Stamp>) -> (Option<Stamp>, Option<Stamp>) {
    let as_of = if timed { configured(events.as_of.as_deref(), true).or(newest) } else { None };
    (as_of, as_of.zip(events.window_days).map(|(as_of, days)| window_start(as_of, days)))
}

/// Finds the files of all sources, prunes partitions outside the window, reads and checks the footers.
pub(super) fn open_all(input: &ScanInput<'_>, sources: &[Source]) -> Result<(Vec<File>, usize), EventsError> {
    let mut objects = Vec::new();
    let mut n_pruned = 0;
    for (number, source) in sources.iter().enumerate() {
        let found = input.storage.list(&source.paths, &[".parquet", ".parq", ".pq"]);
        if input.bucket.is_some() {
            let found = match found {
                Err(StorageError::NotFound { .. } | StorageError::Empty { .. }) => Vec::new(),
                found => found?,
            };
            objects.extend(found.into_iter().map(|object| (number, object)));
            continue;
        }
        let found = found?;
        let n_found = found.len();
        let kept: Vec<ObjectInfo> = found
            .into_iter()
            .filter(|object| {
                partitions::day(&object.hive)
                    .is_none_or(|day| partitions::may_hold(day, source.rules.since, source.rules.until))
            })
            .collect();
        if kept.is_empty() {
            return Err(EventsError::AllPruned {
                paths: source.paths.join(", "),
                n_files: n_found,
                window: format!(
                    "{} to {}",
                    input.events.since.as_deref().unwrap_or("the beginning"),
                    input.events.until.as_deref().unwrap_or("the end")
                ),
            });
        }
        n_pruned += n_found - kept.len();
        objects.extend(kept.into_iter().map(|object| (number, object)));
    }
    let files =
        objects.par_iter().map(|(source, object)| open(input, sources, *source, object)).collect::<Result<_, _>>()?;
    Ok((files, n_pruned))
}

fn configured(text: Option<&str>, end_of_day: bool) -> Option<Stamp> {
    text.and_then(|text| instants::parse(text, end_of_day).ok())
}

/// Reads order lines from a read replica, where the config names one, and takes their source out of the list.
fn read_replica(input: &ScanInput<'_>, sources: &mut Vec<Source>) -> Result<Option<Outcome<Shard>>, EventsError> {
    let Some(replica) = &input.orders.replica else { return Ok(None) };
    let Some(at) = sources.iter().position(|source| source.table == "orders") else { return Ok(None) };
    let source = sources.remove(at);
    replica_orders::read(&OrderTable {
        replica,
        names: &source.names,
        unit: source.unit,
        rules: &source.rules,
        latest: Stamp(input.now.0.saturating_add(DAY)),
        n_buckets: input.n_buckets,
        n_kinds: input.kinds.len(),
    })
    .map(Some)
}

/// The sources of rows; `from_orders`: order lines are one of them.
pub(super) fn sources(input: &ScanInput<'_>, from_orders: bool) -> Vec<Source> {
    let as_of = configured(input.events.as_of.as_deref(), true);
    let (events, orders) = (input.events, input.orders);
    let window = as_of.zip(events.window_days).map(|(as_of, days)| window_start(as_of, days));
    let since = configured(events.since.as_deref(), false).max(window);
    let rules = |fates: HashMap<String, Fate>, other: Option<Fate>| RowRules {
        fates,
        other,
        roles: input.kinds.iter().map(|kind| kind.role).collect(),
        groups_are_orders: false,
        returns: None,
        since,
        until: configured(events.until.as_deref(), true),
        max_id_bytes: events.max_id_bytes,
    };
    let is_order = |kind: &Kind| matches!(kind.role, Role::Purchase | Role::Refund);
    let mut fates: HashMap<String, Fate> = HashMap::new();
    for (number, kind) in input.kinds.iter().enumerate() {
        let fate = if from_orders && is_order(kind) { Fate::Elsewhere } else { Fate::Kind(number as u8) };
        fates.extend(kind.names.iter().map(|name| (name.clone(), fate)));
    }
    fates.extend(events.ignored_types.iter().map(|name| (name.clone(), Fate::Ignored)));
    let names = events.names();
    // Without a column for it, every row is of the only type there is.
    let only = names.event_type.is_none().then_some(Fate::Kind(0));
    let mut sources = vec![Source {
        table: "events",
        paths: events.paths.clone(),
        names,
        unit: events.unit(),
        rules: rules(fates, only),
    }];
    if from_orders {
        let kind = input
            .kinds
            .iter()
            .position(|kind| orders.event_type.as_ref().map_or(kind.role == Role::Purchase, |name| kind.name == *name))
            .expect("checked with the config: orders count as a known event type");
        let refund = input.kinds.iter().position(|kind| kind.role == Role::Refund).map(|kind| kind as u8);
        let excluded = orders.excluded_statuses().into_iter().map(|status| (status, Fate::Cancelled));
        let refunds = orders.refund_statuses.iter().cloned();
        let fates = excluded.chain(refunds.zip(refund.map(Fate::Kind).into_iter().cycle())).collect();
        let rules = RowRules { groups_are_orders: true, returns: refund, ..rules(fates, Some(Fate::Kind(kind as u8))) };
        sources.push(Source {
            table: "orders",
            paths: orders.paths.clone(),
            names: orders.names(),
            unit: orders.timestamp_unit,
            rules,
        });
    }
    sources
}

fn open(input: &ScanInput<'_>, sources: &[Source], source: usize, object: &ObjectInfo) -> Result<File, EventsError> {
    let reader = input.storage.open(object)?;
    let metadata = read_footer(&reader)?;
    let spec = &sources[source];
    let columns = FileColumns::find(&object.uri, &metadata, &spec.names, spec.unit, spec.table)?;
    let clock = Stamp(input.now.0.saturating_add(DAY));
    let day = partitions::day(&object.hive).filter(|_| input.bucket.is_none());
    let by_day = day.map(partitions::last_instant).filter(|last| *last < clock);
    let latest = by_day.unwrap_or(clock);
    Ok(File { reader, metadata, columns, source, latest, by_partition: by_day.is_some() })
}

/// Row groups in the order of reading, shared by all readers.
struct Queue<'a> {
    files: &'a [File],
    units: Vec<(usize, usize)>,
    next: AtomicUsize,
    failed: AtomicBool,
}

impl Queue<'_> {
    fn take(&self) -> Option<(usize, usize)> {
        if self.failed.load(Ordering::Relaxed) {
            return None;
        }
        self.units.get(self.next.fetch_add(1, Ordering::Relaxed)).copied()
    }

    fn fetch(&self, (file, group): (usize, usize)) -> Result<RowGroupBytes, EventsError> {
        let file = &self.files[file];
        RowGroupBytes::read(&file.reader, &file.metadata, group, &file.columns.projection)
    }
}

type Fetched = ((usize, usize), Result<RowGroupBytes, EventsError>);

fn read_all(
    input: &ScanInput<'_>,
    sources: &[Source],
    files: &[File],
    on: &(dyn Fn(ScanProgress) + Sync),
) -> Result<Vec<Shard>, EventsError> {
    let units: Vec<(usize, usize)> = files
        .iter()
        .enumerate()
        .flat_map(|(file, it)| (0..it.metadata.num_row_groups()).map(move |group| (file, group)))
        .collect();
    let n_bytes = files.iter().map(|file| file.reader.object().size).sum();
    let n_rows = plausible_rows(claimed_rows(files), n_bytes);
    let n_readers = rayon::current_num_threads().min(units.len()).max(1);
    let queue = Queue { files, units, next: AtomicUsize::new(0), failed: AtomicBool::new(false) };
    let work = |next: &(dyn Fn() -> Option<Fetched> + Sync)| -> Result<Vec<Shard>, EventsError> {
        (0..n_readers)
            .into_par_iter()
            .with_max_len(1)
            .map(|_| {
                let mut harvest =
                    Harvest::new(input.n_buckets, input.kinds.len(), n_rows / n_readers as u64, input.bucket);
                while let Some(((file, group), bytes)) = next() {
                    let read = bytes.and_then(|bytes| {
                        read_group(&files[file], sources, group, bytes, &mut harvest, on)?;
                        refuse_strays(&files[file], input.bucket, &harvest)
                    });
                    if let Err(error) = read {
                        queue.failed.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                }
                Ok(harvest.finish())
            })
            .collect()
    };
    if files.iter().all(|file| !file.reader.object().uri.starts_with("s3://")) {
        return work(&|| queue.take().map(|unit| (unit, queue.fetch(unit))));
    }
    // Remote bytes are fetched ahead by threads of their own, so that decoding never waits for one answer at a time.
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel::<Fetched>(n_readers * FETCH_AHEAD);
        for _ in 0..n_readers * FETCH_AHEAD {
            let (sender, queue) = (sender.clone(), &queue);
            scope.spawn(move || {
                while let Some(unit) = queue.take() {
                    if sender.send((unit, queue.fetch(unit))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let receiver = Mutex::new(receiver);
        let done = work(&|| receiver.lock().expect("no reader panics while it holds the lock").recv().ok());
        drop(receiver);
        done
    })
}

/// A bucket that a shuffle dealt wrongly would be lost where it is, and missing where it belongs.
fn refuse_strays(file: &File, bucket: Option<usize>, harvest: &Harvest) -> Result<(), EventsError> {
    match bucket.and_then(|bucket| Some((bucket, harvest.stray(bucket)?))) {
        None => Ok(()),
        Some((bucket, found)) => Err(EventsError::WrongBucket { uri: file.reader.object().uri.clone(), bucket, found }),
    }
}

fn read_group(
    file: &File,
    sources: &[Source],
    group: usize,
    bytes: RowGroupBytes,
    harvest: &mut Harvest,
    on: &(dyn Fn(ScanProgress) + Sync),
) -> Result<(), EventsError> {
    let uri = &file.reader.object().uri;
    guarded(uri, || {
        let damaged = |source: ParquetError| EventsError::Damaged {
            uri: uri.clone(),
            what: format!("decoding row group {group}"),
            source,
        };
        let options = ArrowReaderOptions::new()
            .with_page_index_policy(PageIndexPolicy::Skip)
            .with_schema(file.columns.schema_of(file.metadata.row_group(group)));
        let metadata = ArrowReaderMetadata::try_new(file.metadata.clone(), options).map_err(damaged)?;
        let batches = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata)
            .with_projection(file.columns.projection.clone())
            .with_row_groups(vec![group])
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(damaged)?;
        let mut reader = FileReader::new(&sources[file.source].rules, file.columns.unit, file.latest);
        for batch in batches {
            let batch = batch.map_err(|error| damaged(ParquetError::from(error)))?;
            let arrays = EventArrays::take(&batch, &file.columns).map_err(|error| damaged(error.into()))?;
            reader.read(&arrays, harvest).map_err(|error| damaged(error.into()))?;
            on(ScanProgress::Rows(batch.num_rows() as u64));
        }
        Ok(())
    })
}

/// Rows by the footers.
pub(super) fn claimed_rows<'a>(files: impl IntoIterator<Item = &'a File>) -> u64 {
    let claims = files.into_iter().map(|file| file.metadata.file_metadata().num_rows().max(0) as u64);
    claims.fold(0, u64::saturating_add)
}

/// Rows to set room aside for. A footer may claim any number and carries no checksum; real rows take a byte or more, and those
/// that take less find their room as they come.
fn plausible_rows(claimed: u64, n_bytes: u64) -> u64 {
    claimed.min(n_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_that_claims_too_much_takes_no_room() {
        assert_eq!(plausible_rows(20_000_000, 500_000_000), 20_000_000);
        assert_eq!(plausible_rows(i64::MAX as u64, 6_800), 6_800);
    }
}
