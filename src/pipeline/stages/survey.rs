//! The survey: what must be known of all rows before any can be weighed.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    bench::{Bench, MERGE, READ_AT_ONCE, SURVEY},
    buckets::Instants,
    learn::catalogue,
};
use crate::{
    artifacts::{
        InputContent, ItemTable, Table, Task, TaskOutput, TaskWriter, Values, read_items, write_items, write_table,
    },
    catalog::CatalogReport,
    events::{Counts, Reason, Scan, reckoning},
    ids::{IdTable, Interner},
    interactions::Stamp,
    pipeline::{PipelineError, build::refuse_dirt, inputs::checksums, number_items, observer::Stages},
};

const ITEMS: &str = "items.parquet";
const FACTS: &str = "survey.json";

/// What the shuffle deals; other inputs are read as they are.
const ROWS: [&str; 2] = ["events", "orders"];

/// Rows by fate in the form of JSON, where keys are texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct CountsRecord {
    rows: u64,
    rejected: BTreeMap<String, u64>,
    ignored: u64,
    counted_elsewhere: u64,
    cancelled: u64,
    outside_window: u64,
    accepted: u64,
    bad_amounts: u64,
    /// (day, type, rows).
    by_day: Vec<(u32, u8, u64)>,
    by_kind: Vec<(u8, u64)>,
    unknown_types: BTreeMap<String, u64>,
}

impl From<&Counts> for CountsRecord {
    fn from(counts: &Counts) -> Self {
        Self {
            rows: counts.rows,
            rejected: counts.rejected.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect(),
            ignored: counts.ignored,
            counted_elsewhere: counts.counted_elsewhere,
            cancelled: counts.cancelled,
            outside_window: counts.outside_window,
            accepted: counts.accepted,
            bad_amounts: counts.bad_amounts,
            by_day: counts.by_day.iter().map(|(&(day, kind), &n)| (day, kind, n)).collect(),
            by_kind: counts.by_kind.iter().map(|(&kind, &n)| (kind, n)).collect(),
            unknown_types: counts.unknown_types.clone(),
        }
    }
}

impl From<&CountsRecord> for Counts {
    fn from(record: &CountsRecord) -> Self {
        let rejected =
            Reason::ALL.iter().filter_map(|reason| Some((reason.name(), *record.rejected.get(reason.name())?)));
        Self {
            rows: record.rows,
            rejected: rejected.collect(),
            ignored: record.ignored,
            counted_elsewhere: record.counted_elsewhere,
            cancelled: record.cancelled,
            outside_window: record.outside_window,
            accepted: record.accepted,
            bad_amounts: record.bad_amounts,
            by_day: record.by_day.iter().map(|&(day, kind, n)| ((day, kind), n)).collect(),
            by_kind: record.by_kind.iter().copied().collect(),
            unknown_types: record.unknown_types.clone(),
        }
    }
}

/// What the rows of some buckets say before they are weighed. Surveys add up, in any order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Survey {
    counts: CountsRecord,
    /// Whether events carry a time.
    timed: bool,
    /// The newest accepted instant.
    newest: Option<Stamp>,
    /// Rows by the footers: what the shuffle wrote.
    n_rows: u64,
}

impl Survey {
    fn of(scan: &Scan) -> Self {
        Self { counts: (&scan.counts).into(), timed: scan.timed, newest: scan.newest, n_rows: scan.n_rows }
    }

    fn add(&mut self, other: &Self) {
        let mut counts = Counts::from(&self.counts);
        counts.add(&Counts::from(&other.counts));
        *self = Self {
            counts: (&counts).into(),
            timed: self.timed || other.timed,
            newest: self.newest.max(other.newest),
            n_rows: self.n_rows + other.n_rows,
        };
    }
}

/// Surveys one bucket.
pub(super) fn survey_bucket(
    bench: &Bench<'_>,
    bucket: usize,
    task: &TaskWriter,
    stages: &mut Stages<'_>,
) -> Result<(), PipelineError> {
    let (shards, scan) = bench.scan(bucket, stages)?.split();
    let (items, _) = number_items(&shards);
    write_table(task.file(ITEMS)?, &[("item_id", Values::Text(&items))])?;
    task.json(FACTS, &Survey::of(&scan))?;
    Ok(())
}

/// Refuses rows that are not those that were surveyed.
pub(super) fn check_surveyed(bench: &Bench<'_>, bucket: usize, scan: &Scan) -> Result<(), PipelineError> {
    let output = bench.work.output(Task::of_bucket(SURVEY, bucket))?;
    if output.json::<Survey>(FACTS)? == Survey::of(scan) {
        return Ok(());
    }
    let place = bench.work.name_of(&format!("events/bucket={bucket:03}"));
    Err(PipelineError::Shuffle(format!("the rows below {} are not those that were surveyed", place.display())))
}

/// What is known of all rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct MergedRecord {
    counts: CountsRecord,
    as_of: Option<Stamp>,
    since: Option<Stamp>,
    catalog_present: bool,
    catalog_report: CatalogReport,
}

/// What is known of all rows, and the table of all items with the catalogue.
pub(super) struct Merged {
    pub(super) counts: Counts,
    pub(super) instants: Instants,
    pub(super) catalog_report: CatalogReport,
    /// Every item that any row names; users and popularity are not known yet.
    pub(super) items: ItemTable,
}

/// Adds up the surveys of all buckets, applies the quality gate, reads the catalogue.
pub(super) fn merge_surveys(
    bench: &Bench<'_>,
    task: &TaskWriter,
    stages: &mut Stages<'_>,
) -> Result<(), PipelineError> {
    let mut merged = Survey::default();
    let items = stages.run("merge surveys", Some(bench.plan.n_buckets as u64), "buckets", |on| {
        let mut items = Interner::new(1);
        for chunk in bench.of_all_buckets(SURVEY)?.chunks(READ_AT_ONCE) {
            let read = |output: &TaskOutput| -> Result<(Survey, IdTable), PipelineError> {
                Ok((output.json(FACTS)?, Table::read(output, ITEMS)?.text("item_id")?))
            };
            for (survey, own) in chunk.par_iter().map(read).collect::<Result<Vec<_>, _>>()? {
                merged.add(&survey);
                own.iter().for_each(|item| {
                    items.intern(item);
                });
            }
            on.advance(chunk.len() as u64);
        }
        Ok::<_, PipelineError>((items.into_ids().swap_remove(0), bench.plan.n_buckets as u64))
    })?;
    let planned = bench.plan.events.n_rows + bench.plan.orders.as_ref().map_or(0, |orders| orders.n_rows);
    if merged.n_rows != planned {
        let dealt = merged.n_rows;
        let text = format!(
            "the inputs have {planned} rows, the shuffle dealt {dealt}: one of them changed, or rows were lost"
        );
        return Err(PipelineError::Shuffle(text));
    }
    let counts = Counts::from(&merged.counts);
    refuse_dirt(&bench.config, &counts)?;
    let (as_of, since) = reckoning(&bench.config.events, merged.timed, merged.newest);
    let mut ascending: Vec<&str> = items.iter().collect();
    ascending.sort_unstable();
    let items: IdTable = ascending.into_iter().collect();

    check_beside(bench)?;
    let (catalog, catalog_report) = catalogue(&bench.config, &bench.storage, &items, stages)?;
    let catalog_present = catalog.present;
    let n_items = items.len();
    let table = ItemTable { ids: items, catalog, n_users: vec![0; n_items], popularity: vec![0.0; n_items] };
    write_items(task.file(ITEMS)?, &table)?;
    let record = MergedRecord { counts: merged.counts, as_of, since, catalog_present, catalog_report };
    task.json(FACTS, &record)?;
    Ok(())
}

/// Refuses files beside the rows (catalogue, customers) that are not the planned ones.
pub(super) fn check_beside(bench: &Bench<'_>) -> Result<(), PipelineError> {
    let beside = |inputs: &[InputContent]| {
        let mut beside: Vec<_> = inputs.iter().filter(|input| !ROWS.contains(&&*input.role)).cloned().collect();
        beside.sort();
        beside
    };
    let found = beside(&checksums(&bench.config, &bench.storage, &[])?.0.content);
    let planned = beside(&bench.plan.inputs.content);
    if found == planned {
        return Ok(());
    }
    let changed = found.iter().chain(&planned).find(|input| !(found.contains(input) && planned.contains(input)));
    let role = changed.map_or("inputs", |input| &input.role);
    Err(PipelineError::Shuffle(format!("the files of the {role} are not those that were planned with")))
}

/// Reads what the merge left.
pub(super) fn merged(bench: &Bench<'_>) -> Result<Merged, PipelineError> {
    let output: TaskOutput = bench.work.output(Task::whole(MERGE))?;
    let record: MergedRecord = output.json(FACTS)?;
    let mut items = read_items(&output, ITEMS)?;
    items.catalog.present = record.catalog_present;
    Ok(Merged {
        counts: (&record.counts).into(),
        instants: Instants { as_of: record.as_of, since: record.since },
        catalog_report: record.catalog_report,
        items,
    })
}
