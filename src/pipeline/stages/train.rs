//! Training as a task of its own: everything that needs all buckets at once.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    bench::{AGGREGATE, Bench, TRAIN},
    blocks::Blocks,
    cells::{BucketRecord, load_cells, load_facts, load_record},
    learn::{Assembly, Shelf, Trained, assemble_buckets, train_and_save, write_item_lists},
    pairs::load_pairs,
    survey::merged,
    train_in_blocks::{goes_by_blocks, train_in_blocks},
};
use crate::{
    artifacts::{Table, Task, TaskOutput, TaskWriter, Values, write_table},
    interactions::{Assembled, BucketCells, LeftOut},
    pipeline::{
        PipelineError,
        facts::Learned,
        history::{Example, merge_examples},
        item_facts::{Gathered, ItemFacts},
        observer::Stages,
    },
};

const FACTS: &str = "work/train.json";
const KEPT: &str = "work/kept_items.parquet";

/// What training found out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TrainRecord {
    pub(super) learned: Learned,
    pub(super) left_out: LeftOut,
    pub(super) examples: Vec<Example>,
    /// n_buckets + 1 ascending user numbers.
    pub(super) bucket_starts: Vec<u32>,
    /// Cells that were in memory at most, besides those that a model trained on.
    most_cells: u64,
}

/// All buckets joined, and what else aggregating left.
pub(super) struct Joined {
    pub(super) assembly: Assembly,
    left_out: LeftOut,
    examples: Vec<Example>,
}

/// Reads what aggregating left of all buckets.
pub(super) fn join(bench: &Bench<'_>, stages: &mut Stages<'_>) -> Result<Joined, PipelineError> {
    let config = &bench.config;
    let all = merged(bench)?;
    let n_buckets = bench.plan.n_buckets as u64;
    let (cells, item_facts, left_out, examples) = stages.run("read cells", Some(n_buckets), "buckets", |on| {
        let outputs = bench.of_all_buckets(AGGREGATE)?;
        let facts = ItemFacts::new(all.items.ids.len());
        let read = outputs
            .par_iter()
            .enumerate()
            .with_max_len(1)
            .map(|(bucket, output)| {
                let record = load_record(output)?;
                facts.add_saved(bucket, load_facts(output, &record)?);
                let cells = load_cells(output, &record)?;
                on.advance(1);
                Ok((cells, record))
            })
            .collect::<Result<Vec<(BucketCells, BucketRecord)>, PipelineError>>()?;
        let (mut cells, mut left_out, mut examples) = (Vec::with_capacity(read.len()), LeftOut::default(), Vec::new());
        for (own, record) in read {
            cells.push(own);
            left_out.add(record.left_out);
            merge_examples(&mut examples, record.examples, config.build.example_users);
        }
        Ok::<_, PipelineError>(((cells, facts, left_out, examples), n_buckets))
    })?;
    let assembly =
        assemble_buckets(config, cells, &all.items.ids, &all.items.catalog, item_facts, &all.counts, stages)?;
    Ok(Joined { assembly, left_out, examples })
}

/// Joins the buckets, trains, and makes the lists of items.
pub(super) fn train_all(bench: &Bench<'_>, task: &TaskWriter, stages: &mut Stages<'_>) -> Result<(), PipelineError> {
    let blocks = Blocks::open(bench)?;
    if !blocks.is_one() && goes_by_blocks(bench) {
        return train_in_blocks(bench, &blocks, task, stages);
    }
    let Joined { assembly, left_out, examples } = join(bench, stages)?;
    let Assembly { interactions, catalog, gathered, assembled } = assembly;
    let counted = load_pairs(bench, interactions.items.len(), stages)?;
    let trained = train_and_save(&bench.config, task, &interactions, catalog, counted, stages)?;
    let most_cells = interactions.weights.n_cells() as u64;
    finish(bench, task, trained, Gathering { gathered, assembled, left_out, examples }, most_cells, stages)
}

/// What is known besides the model and its items.
pub(super) struct Gathering {
    pub(super) gathered: Gathered,
    pub(super) assembled: Assembled,
    pub(super) left_out: LeftOut,
    pub(super) examples: Vec<Example>,
}

/// Makes the lists of items, and says what was found out.
pub(super) fn finish(
    bench: &Bench<'_>,
    task: &TaskWriter,
    trained: Trained<'_>,
    gathering: Gathering,
    most_cells: u64,
    stages: &mut Stages<'_>,
) -> Result<(), PipelineError> {
    let Gathering { gathered, assembled, left_out, examples } = gathering;
    write_table(task.file(KEPT)?, &[("place", Values::U32(&assembled.kept_items))])?;
    let shelf = Shelf::new(&bench.config, &trained.items)?;
    let lists = write_item_lists(&bench.config, task, &trained, &shelf, gathered, stages)?;
    let Trained { totals, losses, n_sampled_users, .. } = trained;
    let learned = Learned::new(&totals, assembled, (losses, n_sampled_users), &shelf, lists);
    let bucket_starts = totals.bucket_starts;
    task.json(FACTS, &TrainRecord { learned, left_out, examples, bucket_starts, most_cells })?;
    Ok(())
}

/// What training left, and where its files are.
pub(super) fn trained(bench: &Bench<'_>) -> Result<(TaskOutput, TrainRecord), PipelineError> {
    let output = bench.work.output(Task::whole(TRAIN))?;
    let mut record: TrainRecord = output.json(FACTS)?;
    record.learned.assembled.kept_items = Table::read(&output, KEPT)?.u32("place")?;
    Ok((output, record))
}
