//! The cells of all buckets, a block of buckets at a time: what a task has at once keeps within `build.memory_budget_mib`.
//!
//! Buckets follow one another in every block and blocks in every reading, so whoever adds up users in their order gets
//! the bits of one matrix of all of them.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    bench::{AGGREGATE, Bench},
    cells::{BucketRecord, load_cells, load_record, size_of},
    learn::nothing_left,
    survey::Merged,
    totals::Totals,
};
use crate::{
    artifacts::TaskOutput,
    config::Config,
    ids::IdTable,
    interactions::{Assembled, BucketCells, Csr, Interactions, add_support, assemble_kept},
    pipeline::{PipelineError, observer::Stages},
    recommendations::Catalog,
};

/// Bytes of a cell of the block that is at work: in its user's row (14), in a training user's (12), in its item's (8),
/// weighted both ways (16) and in its order of time (8). While it is read and decoded it takes less.
const CELL_BYTES: u64 = 64;

/// Bytes of a user of the block, with his id.
const USER_BYTES: u64 = 64;

/// All buckets, cut into blocks.
pub(super) struct Blocks {
    outputs: Vec<TaskOutput>,
    /// Buckets of each block.
    blocks: Vec<Range<usize>>,
    /// Cells of the largest block.
    most_cells: u64,
}

/// A bucket that was read.
pub(super) struct Bucket<'a> {
    pub(super) number: usize,
    pub(super) output: &'a TaskOutput,
    pub(super) record: BucketRecord,
}

impl Blocks {
    /// Finds out how large the buckets are; reads none.
    pub(super) fn open(bench: &Bench<'_>) -> Result<Self, PipelineError> {
        let outputs = bench.of_all_buckets(AGGREGATE)?;
        let sizes: Vec<(u64, u64)> = outputs.iter().map(size_of).collect();
        // The other half is for what is added up.
        let budget = bench.config.build.memory_budget_mib.map(|mib| (mib << 20) / 2);
        let bytes = sizes.iter().map(|(n_users, n_cells)| n_users * USER_BYTES + n_cells * CELL_BYTES);
        let blocks = cut(bytes, budget);
        let n_cells = |block: &Range<usize>| sizes[block.clone()].iter().map(|size| size.1).sum();
        let most_cells = blocks.iter().map(n_cells).max().unwrap_or(0);
        Ok(Self { outputs, blocks, most_cells })
    }

    /// Whether all buckets fit at once.
    pub(super) fn is_one(&self) -> bool {
        self.blocks.len() <= 1
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Cells of the largest block, those included that the filters take: so many are in memory at once.
    pub(super) fn most_cells(&self) -> u64 {
        self.most_cells
    }

    /// Reads block after block.
    fn each(
        &self,
        name: &str,
        stages: &mut Stages<'_>,
        mut visit: impl FnMut(Vec<Bucket<'_>>, Vec<BucketCells>) -> Result<(), PipelineError>,
    ) -> Result<(), PipelineError> {
        let n_buckets = self.outputs.len() as u64;
        stages.run(name, Some(n_buckets), "buckets", |on| {
            for block in &self.blocks {
                let read = self.outputs[block.clone()]
                    .par_iter()
                    .zip(block.clone())
                    .with_max_len(1)
                    .map(|(output, number)| {
                        let record = load_record(output)?;
                        let cells = load_cells(output, &record)?;
                        on.advance(1);
                        Ok((Bucket { number, output, record }, cells))
                    })
                    .collect::<Result<Vec<_>, PipelineError>>()?;
                let (buckets, cells) = read.into_iter().unzip();
                visit(buckets, cells)?;
            }
            Ok(((), n_buckets))
        })
    }
}

/// Ranges of consecutive things that take at most `budget`, or of one each where that alone takes more.
pub(super) fn cut(bytes: impl IntoIterator<Item = u64>, budget: Option<u64>) -> Vec<Range<usize>> {
    let mut blocks: Vec<Range<usize>> = Vec::new();
    let mut sum = 0u64;
    for (at, bytes) in bytes.into_iter().enumerate() {
        match blocks.last_mut().filter(|_| budget.is_none_or(|budget| sum + bytes <= budget)) {
            Some(block) => block.end = at + 1,
            None => {
                blocks.push(at..at + 1);
                sum = 0;
            }
        }
        sum += bytes;
    }
    blocks
}

/// What two readings of all blocks tell: the items that are kept, and what all users add up to.
pub(super) struct Overview {
    /// Of the items that are kept.
    pub(super) ids: IdTable,
    pub(super) catalog: Catalog,
    pub(super) assembled: Assembled,
    pub(super) totals: Totals,
    n_all_items: usize,
}

impl Overview {
    /// Reads all blocks twice; tells `on_bucket` of each bucket once, and `on_block` of each block, by users and by items.
    ///
    /// # Errors
    /// Nothing is left to train on.
    pub(super) fn of(
        bench: &Bench<'_>,
        Merged { items, counts, .. }: &Merged,
        blocks: &Blocks,
        stages: &mut Stages<'_>,
        mut on_bucket: impl FnMut(Bucket<'_>) -> Result<(), PipelineError>,
        mut on_block: impl FnMut(&Interactions, &Csr) -> Result<(), PipelineError>,
    ) -> Result<Self, PipelineError> {
        let n_all_items = items.ids.len();
        let mut support = vec![0; n_all_items];
        blocks.each("count items", stages, |buckets, cells| {
            add_support(&mut support, &cells);
            drop(cells);
            buckets.into_iter().try_for_each(&mut on_bucket)
        })?;
        let assembled = Assembled::keeping(&support, &bench.config.interactions);
        let kept = &assembled.kept_items;
        let ids: IdTable = kept.iter().map(|&place| items.ids.get(place as usize)).collect();
        let (catalog, totals) = (items.catalog.select(kept), Totals::new(ids.len()));
        let mut overview = Self { ids, catalog, assembled, totals, n_all_items };
        blocks.each("add up", stages, |_, cells| {
            let interactions = overview.join(&bench.config, cells);
            let by_item = interactions.weights.transpose();
            overview.totals.add(&interactions, &by_item);
            on_block(&interactions, &by_item)
        })?;
        nothing_left(overview.totals.n_cells, counts)?;
        Ok(overview)
    }

    /// The interactions of a block; what became of its users and pairs is counted.
    fn join(&mut self, config: &Config, cells: Vec<BucketCells>) -> Interactions {
        assemble_kept(cells, self.ids.clone(), self.n_all_items, &config.interactions, &mut self.assembled)
    }

    /// Reads all blocks once more.
    pub(super) fn each(
        &self,
        config: &Config,
        blocks: &Blocks,
        name: &str,
        stages: &mut Stages<'_>,
        mut visit: impl FnMut(Interactions) -> Result<(), PipelineError>,
    ) -> Result<(), PipelineError> {
        // What it counts was counted before.
        let mut again = self.assembled.clone();
        blocks.each(name, stages, |_, cells| {
            visit(assemble_kept(cells, self.ids.clone(), self.n_all_items, &config.interactions, &mut again))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_all_buckets_and_keep_within_the_budget() {
        assert_eq!(cut([5, 5, 5], None).first(), Some(&(0..3)));
        assert_eq!(cut([5, 5, 5], Some(10)), [0..2, 2..3]);
        assert_eq!(cut([5, 50, 5, 0, 5], Some(10)), [0..1, 1..2, 2..5], "one bucket at least");
        assert!(cut([], Some(10)).is_empty());
        assert_eq!(cut([0, 0], Some(0)).first(), Some(&(0..2)));
    }
}
