//! Pairs of items where all cells do not fit into memory at once: counts and sums grow block by block of users.

use std::ops::Range;

use super::{
    bench::Bench,
    blocks::{Blocks, Overview},
    pairs::{Made, add_work},
    survey::merged,
};
use crate::{
    config::Config,
    ids::IdTable,
    interactions::Csr,
    model::{GrowingRows, ItemItemFacts, ItemItemMeasure, ModelKind},
    pipeline::{PipelineError, observer::Stages},
    recommendations::{Catalog, GrowingPairs, PairCounts, Rules},
};

/// What all blocks tell before pairs are counted.
pub(super) struct InBlocks {
    blocks: Blocks,
    overview: Overview,
    /// How items are compared, where the model does that.
    measure: Option<ItemItemMeasure>,
    /// By item: cells of its users.
    work: Vec<u64>,
}

impl InBlocks {
    /// Reads all blocks twice, for some kinds of similarity three times.
    pub(super) fn load(bench: &Bench<'_>, blocks: Blocks, stages: &mut Stages<'_>) -> Result<Self, PipelineError> {
        let config = &bench.config;
        let settings = &config.model.item_item;
        let (mut work, mut facts) = (Vec::new(), None);
        let overview = Overview::of(
            bench,
            &merged(bench)?,
            &blocks,
            stages,
            |_| Ok(()),
            |interactions, by_item| {
                work.resize(by_item.n_rows(), 0);
                add_work(&mut work, &interactions.weights, by_item);
                if config.model.kind == ModelKind::ItemItem {
                    let facts = match &mut facts {
                        Some(facts) => facts,
                        None => facts.insert(ItemItemFacts::new(settings, by_item.n_rows())?),
                    };
                    facts.count(&interactions.weights, &interactions.trains)?;
                }
                Ok(())
            },
        )?;
        if let Some(facts) = facts.as_mut().filter(|facts| facts.wants_sums()) {
            overview.each(config, &blocks, "add up weights", stages, |interactions| {
                Ok(facts.sum(&interactions.weights, &interactions.trains)?)
            })?;
        }
        Ok(Self { blocks, overview, measure: facts.map(ItemItemFacts::measure), work })
    }

    pub(super) fn work(&self) -> &[u64] {
        &self.work
    }

    pub(super) fn catalog(&self) -> &Catalog {
        &self.overview.catalog
    }

    pub(super) fn ids(&self) -> &IdTable {
        &self.overview.ids
    }

    /// Counts the pairs of the items, and makes their rows where the model has them. Items whose sums would take more
    /// memory than there is are done in turns, each of which reads all blocks.
    pub(super) fn part(
        &self,
        config: &Config,
        rules: &Rules,
        items: Range<usize>,
        stages: &mut Stages<'_>,
    ) -> Result<Made, PipelineError> {
        let similar = &config.recommendations.similar;
        let n_users_of = &self.overview.totals.n_users_of;
        let turns = self.turns(config, items);
        let mut pairs = PairCounts::empty();
        let mut rows =
            self.measure.as_ref().map(|_| Csr { indptr: vec![0], n_cols: n_users_of.len(), ..Csr::default() });
        for items in turns.clone() {
            let mut counts = GrowingPairs::new(rules, n_users_of, similar, items.clone())?;
            let mut sums = self.measure.as_ref().map(|measure| GrowingRows::new(measure, items));
            self.overview.each(config, &self.blocks, "count pairs", stages, |interactions| {
                let weights = &interactions.weights;
                counts.add(weights, &weights.transpose())?;
                sums.iter_mut().try_for_each(|sums| sums.add(weights, &interactions.trains))?;
                Ok(())
            })?;
            pairs.append(counts.finish());
            if let (Some(rows), Some(sums)) = (&mut rows, sums) {
                rows.append_rows(&sums.finish());
            }
        }
        let (n_blocks, most_cells) = (self.blocks.len(), self.blocks.most_cells());
        Ok(Made { pairs, rows, n_blocks, n_turns: turns.len(), most_cells })
    }

    /// The items in ranges whose counts and sums take at most half the budget, and of one item where that takes more.
    ///
    /// An item has at most as many partners as its users have cells, and as there are items.
    fn turns(&self, config: &Config, items: Range<usize>) -> Vec<Range<usize>> {
        let Some(mib) = config.build.memory_budget_mib else { return vec![items] };
        let (budget, n_items) = ((mib << 20) / 2, self.work.len() as u64);
        let row_bytes = self.measure.as_ref().map_or(0, |_| GrowingRows::pair_bytes(&config.model.item_item));
        let bytes = |item: usize| {
            let enough = self.overview.totals.n_users_of[item] >= config.recommendations.similar.min_pair_users;
            let pair_bytes = row_bytes + if enough { GrowingPairs::PAIR_BYTES } else { 0 };
            self.work[item].min(n_items) * pair_bytes
        };
        let turns = super::blocks::cut(items.clone().map(bytes), Some(budget));
        turns.into_iter().map(|turn| items.start + turn.start..items.start + turn.end).collect()
    }
}
