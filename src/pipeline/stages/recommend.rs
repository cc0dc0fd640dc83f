//! The lists of one bucket as a task of its own.

use rayon::prelude::*;

use super::{
    bench::{AGGREGATE, Bench, READ_AT_ONCE},
    cells::{load_cells, load_record},
    learn::{Shelf, users_of},
    train::{TrainRecord, trained},
};
use crate::{
    artifacts::{ITEMS, ItemTable, Table, Task, TaskOutput, TaskWriter, Values, read_items, write_table},
    ids::{bucket_of, id_hash},
    interactions::assemble_kept,
    model::TrainedModel,
    pipeline::{
        PipelineError,
        lists::{ListStats, Sample, sample_every, write_recommendations},
        model_files::load_model,
        observer::Stages,
    },
};

const FACTS: &str = "work/recommend.json";
const PLACES: &str = "work/places.parquet";

/// What the lists of every bucket are made by.
pub(super) struct Recommending {
    record: TrainRecord,
    items: ItemTable,
    model: TrainedModel,
    shelf: Shelf,
}

impl Recommending {
    /// Reads what training left.
    pub(super) fn load(bench: &Bench<'_>) -> Result<Self, PipelineError> {
        let (output, record) = trained(bench)?;
        let items = read_items(&output, ITEMS)?;
        let model = load_model(&output, &bench.config, &items.ids)?;
        let shelf = Shelf::new(&bench.config, &items)?;
        Ok(Self { record, items, model, shelf })
    }

    /// Makes the lists of a bucket.
    pub(super) fn bucket(
        &self,
        bench: &Bench<'_>,
        bucket: usize,
        task: &TaskWriter,
        stages: &mut Stages<'_>,
    ) -> Result<(), PipelineError> {
        let config = &bench.config;
        let output = bench.work.output(Task::of_bucket(AGGREGATE, bucket))?;
        let cells = load_cells(&output, &load_record(&output)?)?;
        // Places of items that were not kept lie beyond the last one that was, too.
        let n_all_items =
            cells.items.iter().chain(&self.record.learned.assembled.kept_items).max().map_or(0, |&last| last + 1);
        let mut assembled = self.record.learned.assembled.clone();
        let interactions = assemble_kept(
            vec![cells],
            self.items.ids.clone(),
            n_all_items as usize,
            &config.interactions,
            &mut assembled,
        );
        let starts = &self.record.bucket_starts;
        let n_users = interactions.users.len();
        if starts.get(bucket + 1).is_none_or(|&end| (end - starts[bucket]) as usize != n_users) {
            let text =
                format!("bucket {bucket} has {n_users} users, and had another number when the model was trained");
            return Err(PipelineError::Shuffle(text));
        }
        let n_buckets = bench.plan.n_buckets;
        let here = |user: &str| bucket_of(id_hash(user.as_bytes()), n_buckets) == bucket;
        let examples: Vec<_> = self.record.examples.iter().filter(|example| here(&example.user)).cloned().collect();
        let examples = users_of(&examples, &interactions);
        let first_user = starts[bucket] as usize;
        let sample = Sample { first_user, every: sample_every(self.record.learned.n_users), examples: &examples };
        let recommender = self.shelf.recommender(config, &self.model)?;
        let k = config.recommendations.k;
        let lists = stages.run("recommend", Some(n_users as u64), "users", |on| {
            write_recommendations(task, &recommender, &interactions, [(bucket, 0..n_users)], k, &sample, on)
                .map(|lists| (lists, n_users as u64))
        })?;
        let listed: Vec<u32> = (0u32..).zip(&lists.places).filter(|(_, n)| **n > 0).map(|(item, _)| item).collect();
        let places: Vec<i64> = listed.iter().map(|&item| lists.places[item as usize] as i64).collect();
        write_table(task.file(PLACES)?, &[("item", Values::U32(&listed)), ("n_lists", Values::I64(&places))])?;
        task.json(FACTS, &lists)?;
        Ok(())
    }
}

/// What the lists of some buckets show, given in their order.
pub(super) fn list_stats(outputs: &[TaskOutput], n_items: usize) -> Result<ListStats, PipelineError> {
    let mut all = ListStats { places: vec![0; n_items], ..ListStats::default() };
    for chunk in outputs.chunks(READ_AT_ONCE) {
        let read = |output: &TaskOutput| -> Result<_, PipelineError> {
            let places = Table::read(output, PLACES)?;
            Ok((output.json::<ListStats>(FACTS)?, places.u32("item")?, places.i64("n_lists")?))
        };
        for (stats, items, n_lists) in chunk.par_iter().map(read).collect::<Result<Vec<_>, _>>()? {
            all.add(stats);
            for (item, n) in items.into_iter().zip(n_lists) {
                if let Some(sum) = all.places.get_mut(item as usize) {
                    *sum += n as u64;
                }
            }
        }
    }
    Ok(all)
}
