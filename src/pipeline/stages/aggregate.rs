//! Aggregating one bucket as a task of its own.

use super::{
    bench::Bench,
    buckets::Buckets,
    cells,
    survey::{Merged, check_surveyed},
};
use crate::{
    artifacts::TaskWriter,
    pipeline::{PipelineError, number_items, observer::Stages},
};

/// Writes the bucket's `interactions/` and `profiles/`, and what training and recommending need of it.
pub(super) fn aggregate_bucket(
    bench: &Bench<'_>,
    all: &Merged,
    bucket: usize,
    task: &TaskWriter,
    stages: &mut Stages<'_>,
) -> Result<(), PipelineError> {
    let (shards, scan) = bench.scan(bucket, stages)?.split();
    check_surveyed(bench, bucket, &scan)?;
    let (items, mut places) = number_items(&shards);
    let global: Vec<u32> = items
        .iter()
        .map(|item| all.items.ids.position(item).map(|place| place as u32))
        .collect::<Option<_>>()
        .ok_or_else(|| PipelineError::Shuffle(format!("bucket {bucket} has items that no survey has met")))?;
    for place in places.iter_mut().flatten() {
        *place = global[*place as usize];
    }
    let buckets = Buckets::new(&bench.config, &bench.kinds, all.instants, &all.items.ids, &all.items.catalog, task);
    let (mut cells, left_out) = buckets.aggregate_only(Some(bucket), shards, &places, scan.counts.accepted, stages)?;
    let (examples, facts) = buckets.finish();
    cells::save(task, &cells.swap_remove(bucket), &facts.into_saved(bucket), left_out, examples)
}
