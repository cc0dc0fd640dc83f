//! Training where all cells do not fit into memory at once: what it needs is added up block by block of users.

use super::{
    bench::Bench,
    blocks::{Blocks, Bucket, Overview},
    cells::load_facts,
    learn::{Counted, SharedUsers, from_rows, save, train_on},
    pairs::load_pairs,
    survey::merged,
    train::{Gathering, finish},
};
use crate::{
    artifacts::TaskWriter,
    config::Config,
    interactions::{Csr, LeftOut},
    model::{MatrixSize, ModelKind, TrainingSample},
    pipeline::{PipelineError, history::merge_examples, item_facts::ItemFacts, observer::Stages},
};

/// Whether training needs no matrix of all cells: the pairs of items were counted before, and the model is made of rows
/// that were made then, or trains on a sample that fits into memory.
pub(super) fn goes_by_blocks(bench: &Bench<'_>) -> bool {
    let model = &bench.config.model;
    let fits =
        model.kind == ModelKind::ItemItem || (model.kind == ModelKind::Als && model.als.memory_budget_mib.is_some());
    bench.plan.n_item_parts > 0 && fits
}

/// [`train_all`](super::train::train_all) of blocks. Baskets and the activity of items stay whole: they are few beside
/// the cells.
pub(super) fn train_in_blocks(
    bench: &Bench<'_>,
    blocks: &Blocks,
    task: &TaskWriter,
    stages: &mut Stages<'_>,
) -> Result<(), PipelineError> {
    let config = &bench.config;
    let all = merged(bench)?;
    let facts = ItemFacts::new(all.items.ids.len());
    let (mut left_out, mut examples) = (LeftOut::default(), Vec::new());
    let on_bucket = |bucket: Bucket<'_>| {
        facts.add_saved(bucket.number, load_facts(bucket.output, &bucket.record)?);
        left_out.add(bucket.record.left_out);
        merge_examples(&mut examples, bucket.record.examples, config.build.example_users);
        Ok(())
    };
    let overview = Overview::of(bench, &all, blocks, stages, on_bucket, |_, _| Ok(()))?;
    drop(all);
    let gathered = facts.finish(&overview.assembled.kept_items);
    let Some(Counted { neighbours, pairs }) = load_pairs(bench, overview.ids.len(), stages)? else {
        return Err(PipelineError::Shuffle("the plan has no item parts".to_owned()));
    };
    let outcome = match neighbours {
        Some(rows) => from_rows(config, rows, overview.totals.n_cells, stages)?,
        None => {
            let (rows, sampled) = training_rows(config, blocks, &overview, stages)?;
            train_on(config, rows, sampled, stages)?
        }
    };
    let Overview { ids, catalog, assembled, totals, .. } = overview;
    let trained = save(task, outcome, totals, (ids, catalog), SharedUsers::Counted(pairs), stages)?;
    let gathering = Gathering { gathered, assembled, left_out, examples };
    finish(bench, task, trained, gathering, blocks.most_cells(), stages)
}

/// The rows that `als` trains on, and whether they are a sample of those that could.
fn training_rows(
    config: &Config,
    blocks: &Blocks,
    overview: &Overview,
    stages: &mut Stages<'_>,
) -> Result<(Csr, bool), PipelineError> {
    let totals = &overview.totals;
    let size = MatrixSize { n_users: totals.n_users(), n_items: overview.ids.len(), n_cells: totals.n_cells };
    let sample = TrainingSample::of(&config.model.als, size)?;
    let mut rows = Csr { indptr: vec![0], n_cols: overview.ids.len(), ..Csr::default() };
    overview.each(config, blocks, "take training users", stages, |interactions| {
        let users = interactions.users.iter().zip(&interactions.trains).enumerate();
        let takes = |user: &str| sample.is_none_or(|sample| sample.takes(user));
        for (at, _) in users.filter(|(_, (user, trains))| **trains && takes(user)) {
            let row = interactions.weights.row(at);
            rows.indices.extend_from_slice(row.items);
            rows.values.extend_from_slice(row.weights);
            rows.times.extend_from_slice(row.times);
            rows.indptr.push(rows.indices.len());
        }
        Ok(())
    })?;
    rows.indices.shrink_to_fit();
    rows.values.shrink_to_fit();
    Ok((rows, sample.is_some()))
}
