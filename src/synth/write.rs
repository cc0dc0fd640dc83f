//! Writes a shop to files. Everything that touches the disk is here and in table.rs.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use parquet::errors::ParquetError;
use rayon::prelude::*;
use serde::Serialize;

use super::{
    columns::{self, Order, Schemas},
    config::Config,
    error::SynthError,
    plan::{GroupPlan, Plan},
    planted,
    shop::{GroupLog, Shop},
    summary::{Counts, Summary},
    table::{Encoded, Schema, TableFile, failed, hidden, io},
    wanted::{N_WANTED, Wanted},
};

/// How far [`generate`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Rows of events written so far.
    pub rows: u64,
    /// Rows of events in all.
    pub total_rows: u64,
}

/// Files of events that are made between two additions to `orders.parquet`, by thread: their orders wait in memory.
const FILES_IN_FLIGHT: usize = 8;
/// Rows of a row group of the small tables.
const SMALL_GROUP: u32 = 131_072;

/// Makes the shop of `config` and writes it into the directory `out`.
///
/// Writes `events/dt=YYYY-MM-DD/part-NNNN.parquet`, `catalog.parquet`, `customers.parquet`, `orders.parquet`,
/// `truth.parquet`, `truth_items.parquet` and last `synth.json` (the config and the summary). Files of the same names are replaced.
/// With planted shoppers it writes `planted/`, too. `progress` is called after each row group of events, from any thread.
///
/// Errors: a config that cannot be; an `events/` that holds Parquet files which this shop does not replace; a file
/// that cannot be written. A file is only there under its name when it is whole.
/// Determinism: the same config gives the same bytes, on any number of threads.
/// Cost: memory for a row group a thread and the orders of a few files, and 50 bytes an item; it does not grow with
/// events or users.
pub fn generate(config: &Config, out: &Path, progress: &(dyn Fn(Progress) + Sync)) -> Result<Summary, SynthError> {
    let shop = Shop::new(config)?;
    let plan = shop.plan();
    let files = event_files(&shop, &plan, out);
    refuse_foreign(out, &files)?;
    for directory in files.iter().filter_map(|file| file.path.parent()).chain([out]) {
        fs::create_dir_all(directory).map_err(|source| io("create", directory, source))?;
    }

    let writer = Writer { schemas: Schemas::new(config.compression), shop: &shop, plan: &plan };
    let (n_items, n_users) = (shop.items.len(), shop.users.len());
    let mut bytes = writer.table(&out.join("catalog.parquet"), &writer.schemas.catalog, n_items, columns::catalog)?;
    bytes += writer.table(&out.join("customers.parquet"), &writer.schemas.customers, n_users, columns::customers)?;
    bytes += writer.table(&out.join("truth.parquet"), &writer.schemas.truth, n_users, columns::truth)?;
    bytes += writer.truth_items(&out.join("truth_items.parquet"))?;
    let (counts, event_bytes) = writer.events_and_orders(&files, &out.join("orders.parquet"), progress)?;
    if config.planted > 0 {
        planted::write(&shop, out)?;
    }
    let summary = counts.summary(&shop, files.len() as u64 + 5, bytes + event_bytes);
    write_json(&out.join("synth.json"), config, &summary)?;
    Ok(summary)
}

/// One file of events.
struct EventFile<'a> {
    path: PathBuf,
    groups: &'a [GroupPlan],
}

fn event_files<'a>(shop: &Shop, plan: &'a Plan, out: &Path) -> Vec<EventFile<'a>> {
    let groups_a_file = (shop.config.rows_per_file / shop.config.rows_per_row_group).max(1) as usize;
    let days = (0..shop.days.len()).flat_map(|day| {
        let directory = out.join("events").join(format!("dt={}", shop.days[day].date));
        let parts = plan.groups[plan.of_day(day as u32)].chunks(groups_a_file).enumerate();
        parts.map(move |(part, groups)| EventFile { path: directory.join(format!("part-{part:04}.parquet")), groups })
    });
    days.collect()
}

/// Refuses to mix with the events of another shop.
fn refuse_foreign(out: &Path, files: &[EventFile<'_>]) -> Result<(), SynthError> {
    let ours: BTreeSet<&Path> = files.iter().map(|file| file.path.as_path()).collect();
    let mut directories = vec![out.join("events")];
    while let Some(directory) = directories.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => return Err(io("list", &directory, source)),
        };
        for entry in entries {
            let path = entry.map_err(|source| io("list", &directory, source))?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") && !ours.contains(path.as_path())
            {
                return Err(SynthError::Foreign { path });
            }
        }
    }
    Ok(())
}

struct Writer<'a> {
    shop: &'a Shop,
    plan: &'a Plan,
    schemas: Schemas,
}

/// Makes the row group of rows `first` to `end` - 1.
type MakeGroup = fn(&Shop, &Schemas, u32, u32) -> Result<Encoded, ParquetError>;

impl Writer<'_> {
    /// Writes a table of `n_rows` rows, some row groups at a time.
    fn table(&self, path: &Path, schema: &Schema, n_rows: u32, make: MakeGroup) -> Result<u64, SynthError> {
        let mut file = TableFile::create(path, schema)?;
        let firsts: Vec<u32> = (0..n_rows).step_by(SMALL_GROUP as usize).collect();
        for firsts in firsts.chunks(rayon::current_num_threads()) {
            let group =
                |&first: &u32| make(self.shop, &self.schemas, first, n_rows.min(first.saturating_add(SMALL_GROUP)));
            let groups: Vec<_> = firsts.par_iter().with_max_len(1).map(group).collect();
            for group in groups {
                file.append(group.map_err(|source| failed(path, source))?)?;
            }
        }
        file.finish()
    }

    /// Writes what some people want most; 20 items of at most 4,000 people are one row group.
    fn truth_items(&self, path: &Path) -> Result<u64, SynthError> {
        let wanted = Wanted::new(&self.shop.items, self.shop.config.categories);
        let pairs: Vec<(u32, u32)> = Wanted::people(self.shop)
            .into_par_iter()
            .flat_map_iter(|user| wanted.of(self.shop, user, N_WANTED).into_iter().map(move |item| (user, item)))
            .collect();
        let mut file = TableFile::create(path, &self.schemas.truth_items)?;
        let group = columns::truth_items(self.shop, &self.schemas, &pairs).map_err(|source| failed(path, source))?;
        file.append(group)?;
        file.finish()
    }

    fn events_and_orders(
        &self,
        files: &[EventFile<'_>],
        orders_path: &Path,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(Counts, u64), SynthError> {
        let rows_done = AtomicU64::new(0);
        let mut orders_file = TableFile::create(orders_path, &self.schemas.orders)?;
        let mut orders: Vec<Order> = Vec::new();
        let (mut counts, mut bytes) = (Counts::default(), 0);
        for window in files.chunks(FILES_IN_FLIGHT * rayon::current_num_threads()) {
            let report = |group: &GroupPlan| {
                let more = u64::from(group.n_rows);
                let rows = rows_done.fetch_add(more, Ordering::Relaxed) + more;
                progress(Progress { rows, total_rows: self.shop.config.events });
            };
            let made: Vec<Result<_, SynthError>> = window
                .par_iter()
                .with_max_len(1)
                .map_init(GroupLog::default, |log, file| self.event_file(file, log, &report))
                .collect();
            for made in made {
                let made = made?;
                counts.add(&made.counts);
                bytes += made.bytes;
                orders.extend(made.orders);
                // Row groups of orders end at fixed numbers of rows, whatever the window.
                while orders.len() >= SMALL_GROUP as usize {
                    let rest = orders.split_off(SMALL_GROUP as usize);
                    self.append_orders(&mut orders_file, orders_path, &orders)?;
                    orders = rest;
                }
            }
        }
        if !orders.is_empty() {
            self.append_orders(&mut orders_file, orders_path, &orders)?;
        }
        Ok((counts, bytes + orders_file.finish()?))
    }

    fn append_orders(&self, file: &mut TableFile, path: &Path, orders: &[Order]) -> Result<(), SynthError> {
        let group = columns::orders(self.shop, &self.schemas, orders).map_err(|source| failed(path, source))?;
        file.append(group)
    }

    fn event_file(
        &self,
        file: &EventFile<'_>,
        log: &mut GroupLog,
        report: &(dyn Fn(&GroupPlan) + Sync),
    ) -> Result<Made, SynthError> {
        let mut table = TableFile::create(&file.path, &self.schemas.events)?;
        let mut made = Made::default();
        for group in file.groups {
            self.shop.fill(self.plan, group, log);
            made.counts.add(&Counts::of(group, log));
            made.orders.extend(columns::orders_of(self.shop, group, log));
            let encoded = columns::events(self.shop, &self.schemas, group, log);
            table.append(encoded.map_err(|source| failed(&file.path, source))?)?;
            report(group);
        }
        made.bytes = table.finish()?;
        Ok(made)
    }
}

/// What a file of events leaves behind.
#[derive(Default)]
struct Made {
    counts: Counts,
    orders: Vec<Order>,
    bytes: u64,
}

#[derive(Serialize)]
struct Record<'a> {
    config: &'a Config,
    summary: &'a Summary,
}

fn write_json(path: &Path, config: &Config, summary: &Summary) -> Result<(), SynthError> {
    let mut text = serde_json::to_string_pretty(&Record { config, summary }).expect("numbers and texts become JSON");
    text.push('\n');
    let hidden = hidden(path);
    fs::write(&hidden, text).map_err(|source| io("write", &hidden, source))?;
    fs::rename(&hidden, path).map_err(|source| io("name", path, source))
}
