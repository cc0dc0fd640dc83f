//! Pairs of items, range by range of items: the part of training whose work grows with the square of histories.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{
    bench::Bench,
    blocks::Blocks,
    learn::{Assembly, Counted},
    pairs_in_blocks::InBlocks,
    train::join,
};
use crate::{
    artifacts::{Table, TaskOutput, TaskWriter, Values, write_table},
    config::Config,
    interactions::{Csr, Interactions},
    model::{ItemItem, ModelKind, TrainEvent},
    pipeline::{PipelineError, observer::Stages},
    recommendations::{PairCounts, Rules, Similarities},
};

const FACTS: &str = "work/pairs.json";
const PARTNERS: &str = "work/partners";
const NEIGHBOURS: &str = "work/neighbours";

/// Work of an item besides its pairs, in pairs.
const ITEM_WORK: u64 = 2_000;

/// What a part holds.
#[derive(Debug, Serialize, Deserialize)]
struct PairsRecord {
    /// The items.
    first: usize,
    end: usize,
    /// Of how many.
    n_items: usize,
    /// Whether it has rows of `item_item`.
    with_neighbours: bool,
    /// In how many blocks of users it was counted, and how often all of them were read for it.
    n_blocks: usize,
    n_turns: usize,
    /// Cells that were in memory at most.
    most_cells: u64,
}

/// What is made of a part's items.
pub(super) struct Made {
    pub(super) pairs: PairCounts,
    /// Rows of `item_item`, where that is the model.
    pub(super) rows: Option<Csr>,
    pub(super) n_blocks: usize,
    pub(super) n_turns: usize,
    pub(super) most_cells: u64,
}

/// What every part is counted from.
pub(super) struct Counting {
    source: Source,
    rules: Rules,
    n_items: usize,
    parts: Vec<Range<usize>>,
}

enum Source {
    /// All cells fit at once.
    Whole(Box<Whole>),
    InBlocks(Box<InBlocks>),
}

/// All cells, by users and by items.
struct Whole {
    interactions: Interactions,
    by_item: Csr,
}

impl Counting {
    /// Reads what aggregating left.
    pub(super) fn load(bench: &Bench<'_>, stages: &mut Stages<'_>) -> Result<Self, PipelineError> {
        let config = &bench.config;
        let blocks = Blocks::open(bench)?;
        let mut work = Vec::new();
        let (source, (rules, _)) = if blocks.is_one() {
            let Assembly { interactions, catalog, .. } = join(bench, stages)?.assembly;
            let by_item = interactions.weights.transpose();
            work.resize(by_item.n_rows(), 0);
            add_work(&mut work, &interactions.weights, &by_item);
            let rules = Rules::compile(&config.recommendations, &catalog, &interactions.items)?;
            (Source::Whole(Box::new(Whole { interactions, by_item })), rules)
        } else {
            let blocks = InBlocks::load(bench, blocks, stages)?;
            work.extend_from_slice(blocks.work());
            let rules = Rules::compile(&config.recommendations, blocks.catalog(), blocks.ids())?;
            (Source::InBlocks(Box::new(blocks)), rules)
        };
        Ok(Self { source, rules, n_items: work.len(), parts: parts(&work, bench.plan.n_item_parts) })
    }

    /// Counts the pairs of a part's items; makes their rows of `item_item`, where that is the model.
    pub(super) fn part(
        &self,
        bench: &Bench<'_>,
        part: usize,
        task: &TaskWriter,
        stages: &mut Stages<'_>,
    ) -> Result<(), PipelineError> {
        let items = self.parts[part].clone();
        let Made { pairs, rows, n_blocks, n_turns, most_cells } = match &self.source {
            Source::Whole(whole) => whole.part(&bench.config, &self.rules, items.clone(), stages)?,
            Source::InBlocks(blocks) => blocks.part(&bench.config, &self.rules, items.clone(), stages)?,
        };
        save_rows(task, PARTNERS, &pairs.offsets, &pairs.partners, ("n_users", Values::U32(&pairs.n_users)))?;
        let with_neighbours = rows.is_some();
        if let Some(rows) = rows {
            save_rows(task, NEIGHBOURS, &rows.indptr, &rows.indices, ("weight", Values::F32(&rows.values)))?;
        }
        let (first, end, n_items) = (items.start, items.end, self.n_items);
        let record = PairsRecord { first, end, n_items, with_neighbours, n_blocks, n_turns, most_cells };
        task.json(FACTS, &record)?;
        Ok(())
    }
}

impl Whole {
    fn part(
        &self,
        config: &Config,
        rules: &Rules,
        items: Range<usize>,
        stages: &mut Stages<'_>,
    ) -> Result<Made, PipelineError> {
        let Self { interactions, by_item } = self;
        let weights = &interactions.weights;
        let n_items = items.len() as u64;
        let pairs = stages.run("count pairs", Some(n_items), "items", |_| {
            let similarities = Similarities::new(weights, by_item, None, rules)?;
            let pairs = similarities.count(items.clone(), &config.recommendations.similar)?;
            Ok::<_, PipelineError>((pairs, n_items))
        })?;
        let train_rows = || {
            stages.run("train rows", None, "items", |on| {
                let settings = &config.model.item_item;
                let mut listen = |TrainEvent::Iteration { iteration, iterations, .. }: TrainEvent| {
                    if iteration == 1 {
                        on.total(iterations as u64);
                    }
                    on.advance(1);
                };
                let rows = ItemItem::train_rows(settings, weights, &interactions.trains, items, &mut listen)?;
                Ok::<_, PipelineError>((rows, n_items))
            })
        };
        let rows = (config.model.kind == ModelKind::ItemItem).then(train_rows).transpose()?;
        Ok(Made { pairs, rows, n_blocks: 1, n_turns: 1, most_cells: weights.n_cells() as u64 })
    }
}

/// Adds to the work of each item the cells of its users.
pub(super) fn add_work(work: &mut [u64], weights: &Csr, by_item: &Csr) {
    let n_cells = |user: &u32| (weights.indptr[*user as usize + 1] - weights.indptr[*user as usize]) as u64;
    for (item, work) in work.iter_mut().enumerate() {
        *work += by_item.columns(item).iter().map(n_cells).sum::<u64>();
    }
}

/// All items in `n` ranges of about equal work.
fn parts(work: &[u64], n: usize) -> Vec<Range<usize>> {
    let n_items = work.len();
    let mut total = 0u64;
    let sums = work.iter().map(|work| {
        total += ITEM_WORK + work;
        total
    });
    let ends: Vec<u64> = sums.collect();
    let bound = |part: usize| match part {
        0 => 0,
        part if part == n => n_items,
        part => ends.partition_point(|&end| end <= (u128::from(total) * part as u128 / n as u128) as u64),
    };
    (0..n).map(|part| bound(part)..bound(part + 1)).collect()
}

fn save_rows(
    task: &TaskWriter,
    name: &str,
    offsets: &[usize],
    items: &[u32],
    values: (&str, Values<'_>),
) -> Result<(), PipelineError> {
    let sizes: Vec<u32> = offsets.windows(2).map(|row| (row[1] - row[0]) as u32).collect();
    write_table(task.file(&format!("{name}_of_item.parquet"))?, &[("n", Values::U32(&sizes))])?;
    write_table(task.file(&format!("{name}.parquet"))?, &[("item", Values::U32(items)), values])?;
    Ok(())
}

/// Appends a part's offsets to those of the parts before it, whose last one is given, too.
fn add_offsets(output: &TaskOutput, name: &str, offsets: &mut Vec<usize>) -> Result<(), PipelineError> {
    let mut end = offsets.last().copied().unwrap_or_default();
    for size in Table::read(output, &format!("{name}_of_item.parquet"))?.u32("n")? {
        end += size as usize;
        offsets.push(end);
    }
    Ok(())
}

/// What all parts hold; nothing when the plan has none.
pub(super) fn load_pairs(
    bench: &Bench<'_>,
    n_items: usize,
    stages: &mut Stages<'_>,
) -> Result<Option<Counted>, PipelineError> {
    let n_parts = bench.plan.n_item_parts;
    if n_parts == 0 {
        return Ok(None);
    }
    stages.run("read pairs", Some(n_parts as u64), "parts", |on| {
        let mut pairs = PairCounts::empty();
        let mut rows = Csr { indptr: vec![0], n_cols: n_items, ..Csr::default() };
        let mut next = 0;
        for (part, output) in bench.of_all_parts()?.into_iter().enumerate() {
            let record: PairsRecord = output.json(FACTS)?;
            let with_neighbours = bench.config.model.kind == ModelKind::ItemItem;
            if record.first != next || record.n_items != n_items || record.with_neighbours != with_neighbours {
                return Err(PipelineError::Shuffle(format!(
                    "part {part} of the pairs is of other items or another model"
                )));
            }
            next = record.end;
            add_offsets(&output, PARTNERS, &mut pairs.offsets)?;
            let table = Table::read(&output, &format!("{PARTNERS}.parquet"))?;
            pairs.partners.extend(table.u32("item")?);
            pairs.n_users.extend(table.u32("n_users")?);
            if with_neighbours {
                add_offsets(&output, NEIGHBOURS, &mut rows.indptr)?;
                let table = Table::read(&output, &format!("{NEIGHBOURS}.parquet"))?;
                rows.indices.extend(table.u32("item")?);
                rows.values.extend(table.f32("weight")?);
            }
            on.advance(1);
        }
        if next != n_items {
            return Err(PipelineError::Shuffle(format!("the parts of the pairs end at item {next} of {n_items}")));
        }
        let neighbours = (bench.config.model.kind == ModelKind::ItemItem).then_some(rows);
        Ok((Some(Counted { neighbours, pairs }), n_parts as u64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_items_and_share_the_work() {
        let mut weights = Csr { indptr: vec![0], n_cols: 1_000, ..Csr::default() };
        for user in 0..400u32 {
            // The first items are the popular ones.
            weights.indices.extend((0..1_000).filter(|item| (user + item) % (1 + item) == 0));
            weights.values.resize(weights.indices.len(), 1.0);
            weights.indptr.push(weights.indices.len());
        }
        let mut work = vec![0; 1_000];
        add_work(&mut work, &weights, &weights.transpose());
        for n in [1, 2, 7, 64, 2_000] {
            let parts = parts(&work, n);
            assert_eq!((parts.len(), parts[0].start, parts[n - 1].end), (n, 0, 1_000));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
        let halves = parts(&work, 2);
        assert!(halves[0].len() < halves[1].len(), "popular items are more work: {halves:?}");
        assert_eq!(parts(&[], 3), [0..0, 0..0, 0..0]);
    }
}
