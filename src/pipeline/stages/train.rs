//! Training as a task of its own: everything that needs all buckets at once.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    bench::{AGGREGATE, Bench, TRAIN},
    cells::{BucketRecord, load_cells, load_facts, load_record},
    learn::{Assembly, Shelf, assemble_buckets, train_and_save, write_item_lists},
    pairs::load_pairs,
    survey::merged,
};
use crate::{
    artifacts::{Table, Task, TaskOutput, TaskWriter, Values, write_table},
    interactions::{BucketCells, LeftOut},
    pipeline::{
        PipelineError,
        facts::Learned,
        history::{Example, merge_examples},
        item_facts::ItemFacts,
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
    let config = &bench.config;
    let Joined { assembly, left_out, examples } = join(bench, stages)?;
    let Assembly { interactions, catalog, gathered, assembled } = assembly;
    let counted = load_pairs(bench, interactions.items.len(), stages)?;
    write_table(task.file(KEPT)?, &[("place", Values::U32(&assembled.kept_items))])?;
    let trained = train_and_save(config, task, &interactions, catalog, counted, stages)?;
    let shelf = Shelf::new(config, &trained.items)?;
    let lists = write_item_lists(config, task, &trained, &shelf, &interactions, gathered, stages)?;
    let learned = Learned::new(&interactions, assembled, (trained.losses, trained.n_sampled_users), &shelf, lists);
    let bucket_starts = interactions.bucket_starts;
    task.json(FACTS, &TrainRecord { learned, left_out, examples, bucket_starts })?;
    Ok(())
}

/// What training left, and where its files are.
pub(super) fn trained(bench: &Bench<'_>) -> Result<(TaskOutput, TrainRecord), PipelineError> {
    let output = bench.work.output(Task::whole(TRAIN))?;
    let mut record: TrainRecord = output.json(FACTS)?;
    record.learned.assembled.kept_items = Table::read(&output, KEPT)?.u32("place")?;
    Ok((output, record))
}
