//! Events -> interactions: scan, aggregate bucket by bucket, assemble.

use rayon::prelude::*;

use crate::{
    events::Shard,
    ids::IdTable,
    interactions::{Aggregation, BucketCells, BucketPairs, BucketRows, LeftOut, Part, aggregate},
};

/// The ascending table of all items that any shard met, and for each shard the way from its numbers into it.
#[must_use]
pub fn number_items(shards: &[Shard]) -> (IdTable, Vec<Vec<u32>>) {
    let mut all: Vec<(&str, u32, u32)> = Vec::with_capacity(shards.iter().map(|shard| shard.items.len()).sum());
    for (shard, it) in shards.iter().enumerate() {
        all.extend(it.items.iter().enumerate().map(|(item, id)| (id, shard as u32, item as u32)));
    }
    all.par_sort_unstable();
    let mut items = IdTable::new();
    let mut places: Vec<Vec<u32>> = shards.iter().map(|shard| vec![0; shard.items.len()]).collect();
    let mut previous = None;
    for (id, shard, item) in all {
        if previous != Some(id) {
            items.push(id);
            previous = Some(id);
        }
        places[shard as usize][item as usize] = items.len() as u32 - 1;
    }
    (items, places)
}

/// Aggregates every bucket, in parallel; `on_bucket` sees its pairs before all but the cells is dropped. `keep_times`:
/// the cells keep the last times of their pairs, where events carry times.
///
/// # Errors
/// The first error of `on_bucket`.
///
/// Cost: a shard's rows are freed bucket by bucket as they are used up.
pub fn aggregate_buckets<E: Send>(
    shards: Vec<Shard>,
    item_places: &[Vec<u32>],
    ctx: &Aggregation<'_>,
    keep_times: bool,
    on_bucket: &(dyn Fn(usize, &BucketPairs) -> Result<(), E> + Sync),
) -> Result<(Vec<BucketCells>, LeftOut), E> {
    let n_buckets = ctx.config.n_buckets;
    let mut rows: Vec<Vec<BucketRows>> = (0..n_buckets).map(|_| Vec::with_capacity(shards.len())).collect();
    let mut users = Vec::with_capacity(shards.len());
    for shard in shards {
        users.push(shard.users);
        for (bucket, events) in shard.buckets.into_iter().enumerate() {
            rows[bucket].push(events);
        }
    }
    let done: Vec<(BucketCells, LeftOut)> = rows
        .into_par_iter()
        .enumerate()
        .with_max_len(1)
        .map(|(bucket, rows)| {
            let parts = rows
                .into_iter()
                .enumerate()
                .map(|(shard, events)| Part { users: &users[shard][bucket], item_places: &item_places[shard], events })
                .collect();
            let pairs = aggregate(parts, ctx);
            on_bucket(bucket, &pairs)?;
            let left_out = pairs.left_out;
            let keep = if keep_times && ctx.as_of.is_some() { BucketCells::with_times } else { BucketCells::from };
            Ok((keep(pairs), left_out))
        })
        .collect::<Result<_, E>>()?;
    let mut left_out = LeftOut::default();
    let mut cells = Vec::with_capacity(n_buckets);
    for (bucket, out) in done {
        left_out.add(out);
        cells.push(bucket);
    }
    Ok((cells, left_out))
}
