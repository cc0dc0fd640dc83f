//! What aggregating a bucket leaves for the stages after it.

use serde::{Deserialize, Serialize};

use crate::{
    artifacts::{Table, TaskOutput, TaskWriter, Values, write_table},
    interactions::{Baskets, BucketCells, LeftOut, Stamp},
    pipeline::{PipelineError, history::Example, item_facts::BucketFacts},
};

/// The folder of files that are not the run's.
pub(super) const OWN: &str = "work";

const FACTS: &str = "work/aggregate.json";
const USERS: &str = "work/users.parquet";
const CELLS: &str = "work/cells.parquet";
const ACTIVITY: &str = "work/activity.parquet";
const BASKETS: &str = "work/baskets.parquet";
const BASKET_ITEMS: &str = "work/basket_items.parquet";

/// What is known of a bucket besides its cells.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BucketRecord {
    pub(super) left_out: LeftOut,
    /// Whether the cells have the times of their pairs.
    with_times: bool,
    baskets_too_large: u64,
    pub(super) examples: Vec<Example>,
}

pub(super) fn save(
    task: &TaskWriter,
    cells: &BucketCells,
    facts: &BucketFacts,
    left_out: LeftOut,
    examples: Vec<Example>,
) -> Result<(), PipelineError> {
    let sizes = |ends: &mut dyn Iterator<Item = usize>| -> Vec<u32> {
        ends.scan(0, |start, end| Some((end - std::mem::replace(start, end)) as u32)).collect()
    };
    let n_pairs = sizes(&mut cells.indptr.iter().skip(1).copied());
    write_table(task.file(USERS)?, &[("user_id", Values::Text(&cells.users)), ("n_pairs", Values::U32(&n_pairs))])?;
    let times: Vec<u32> = cells.times.iter().map(|time| time.0).collect();
    let with_times = !times.is_empty();
    let mut columns = vec![
        ("item", Values::U32(&cells.items)),
        ("weight", Values::F32(&cells.weights)),
        ("excluded", Values::Bool(&cells.excluded)),
    ];
    if with_times {
        columns.push(("time", Values::U32(&times)));
    }
    write_table(task.file(CELLS)?, &columns)?;
    let BucketFacts { items, now, before, baskets } = facts;
    let activity = [("item", Values::U32(items)), ("now", Values::U32(now)), ("before", Values::U32(before))];
    write_table(task.file(ACTIVITY)?, &activity)?;
    let n_items = sizes(&mut baskets.ends.iter().copied());
    write_table(task.file(BASKETS)?, &[("n_items", Values::U32(&n_items))])?;
    write_table(task.file(BASKET_ITEMS)?, &[("item", Values::U32(&baskets.items))])?;
    let record = BucketRecord { left_out, with_times, baskets_too_large: baskets.n_too_large, examples };
    task.json(FACTS, &record)?;
    Ok(())
}

/// How many users and cells a bucket has, known before they are read.
pub(super) fn size_of(output: &TaskOutput) -> (u64, u64) {
    let rows = |path: &str| output.done.files.iter().find(|entry| entry.path == path).and_then(|entry| entry.rows);
    (rows(USERS).unwrap_or(0), rows(CELLS).unwrap_or(0))
}

pub(super) fn load_record(output: &TaskOutput) -> Result<BucketRecord, PipelineError> {
    Ok(output.json(FACTS)?)
}

pub(super) fn load_cells(output: &TaskOutput, record: &BucketRecord) -> Result<BucketCells, PipelineError> {
    let (users, cells) = (Table::read(output, USERS)?, Table::read(output, CELLS)?);
    let times = if record.with_times { cells.u32("time")? } else { Vec::new() };
    Ok(BucketCells {
        users: users.text("user_id")?,
        indptr: std::iter::once(0).chain(ends(&users.u32("n_pairs")?)).collect(),
        items: cells.u32("item")?,
        weights: cells.f32("weight")?,
        excluded: cells.bool("excluded")?,
        times: times.into_iter().map(Stamp).collect(),
    })
}

pub(super) fn load_facts(output: &TaskOutput, record: &BucketRecord) -> Result<BucketFacts, PipelineError> {
    let activity = Table::read(output, ACTIVITY)?;
    Ok(BucketFacts {
        items: activity.u32("item")?,
        now: activity.u32("now")?,
        before: activity.u32("before")?,
        baskets: Baskets {
            ends: ends(&Table::read(output, BASKETS)?.u32("n_items")?).collect(),
            items: Table::read(output, BASKET_ITEMS)?.u32("item")?,
            n_too_large: record.baskets_too_large,
        },
    })
}

/// Where runs of these sizes end.
fn ends(sizes: &[u32]) -> impl Iterator<Item = usize> + '_ {
    sizes.iter().scan(0, |end, &size| {
        *end += size as usize;
        Some(*end)
    })
}
