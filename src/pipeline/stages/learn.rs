//! What needs all buckets at once: assembling, training, lists of items.

use std::collections::BTreeMap;

use crate::{
    artifacts::{ITEMS, ItemTable, WriteFiles, write_items},
    catalog::{CatalogReport, read_catalog},
    config::Config,
    events::Counts,
    ids::IdTable,
    interactions::{Assembled, BucketCells, Csr, Interactions, assemble},
    model::{ItemItem, ModelError, TrainedModel, training_users},
    pipeline::{
        PipelineError,
        facts::{Baskets, ItemLists, Learned},
        history::Example,
        item_facts::{Gathered, ItemFacts},
        lists::{write_lists, write_popular, write_similar},
        model_files::{save_model, scorer},
        observer::Stages,
        training::train_observed,
    },
    recommendations::{
        BoughtTogether, Catalog, ListKind, PairCounts, PopularLists, Recommender, Rules, Similarities, Trending,
    },
    storage::Storage,
};

/// Reads the catalogue, aligned with the table of all items.
pub(in crate::pipeline) fn catalogue(
    config: &Config,
    storage: &Storage,
    all_items: &IdTable,
    stages: &mut Stages<'_>,
) -> Result<(Catalog, CatalogReport), PipelineError> {
    Ok(stages.run("read catalogue", None, "rows", |_| {
        read_catalog(&config.catalog, storage, all_items).map(|(catalog, report)| {
            let n_rows = report.rows;
            ((catalog, report), n_rows)
        })
    })?)
}

/// All buckets joined, numbered by the items that were kept.
pub(in crate::pipeline) struct Assembly {
    pub(in crate::pipeline) interactions: Interactions,
    pub(in crate::pipeline) catalog: Catalog,
    pub(in crate::pipeline) gathered: Gathered,
    pub(in crate::pipeline) assembled: Assembled,
}

/// Joins the buckets.
///
/// # Errors
/// Nothing is left to train on.
pub(in crate::pipeline) fn assemble_buckets(
    config: &Config,
    cells: Vec<BucketCells>,
    all_items: &IdTable,
    all_catalog: &Catalog,
    item_facts: ItemFacts,
    counts: &Counts,
    stages: &mut Stages<'_>,
) -> Result<Assembly, PipelineError> {
    let (interactions, assembled) = stages.run("assemble", None, "interactions", |_| {
        let (interactions, assembled) = assemble(cells, all_items, &config.interactions);
        let n_cells = interactions.weights.n_cells() as u64;
        nothing_left(&interactions, counts).map_or(Ok(((interactions, assembled), n_cells)), Err)
    })?;
    let catalog = all_catalog.select(&assembled.kept_items);
    let gathered = item_facts.finish(&assembled.kept_items);
    Ok(Assembly { interactions, catalog, gathered, assembled })
}

/// A trained model, and what the run knows of its items.
pub(in crate::pipeline) struct Trained {
    pub(in crate::pipeline) model: TrainedModel,
    pub(in crate::pipeline) items: ItemTable,
    pub(in crate::pipeline) losses: Vec<(usize, f64)>,
    pub(in crate::pipeline) n_sampled_users: Option<usize>,
    by_item: Csr,
    pairs: Option<PairCounts>,
}

/// What was found out of pairs of items before training, range by range.
#[derive(Debug)]
pub(in crate::pipeline) struct Counted {
    /// Rows of `item_item`, for a run of that model.
    pub(in crate::pipeline) neighbours: Option<Csr>,
    /// For similar items.
    pub(in crate::pipeline) pairs: PairCounts,
}

/// Trains the model, unless its rows were `counted` before; writes `model/` and `items/`.
pub(in crate::pipeline) fn train_and_save(
    config: &Config,
    files: &dyn WriteFiles,
    interactions: &Interactions,
    catalog: Catalog,
    counted: Option<Counted>,
    stages: &mut Stages<'_>,
) -> Result<Trained, PipelineError> {
    let (made, pairs) = counted.map_or((None, None), |counted| (counted.neighbours, Some(counted.pairs)));
    let (model, losses) = stages.run("train", None, "interactions", |on| {
        let n_cells = interactions.weights.n_cells() as u64;
        if let Some(rows) = made {
            let model = ItemItem::from_rows(config.model.item_item.clone(), rows)?;
            return Ok::<_, ModelError>(((TrainedModel::ItemItem(model), Vec::new()), n_cells));
        }
        train_observed(&config.model, interactions, None, on).map(|trained| (trained, n_cells))
    })?;
    let n_sampled_users = training_users(&config.model, interactions)?;
    let by_item = interactions.weights.transpose();
    let items = item_table(interactions, &by_item, catalog);
    stages.run("save model", None, "items", |_| -> Result<_, PipelineError> {
        save_model(files, &model, &interactions.items)?;
        write_items(files.file(ITEMS)?, &items)?;
        Ok(((), items.ids.len() as u64))
    })?;
    Ok(Trained { model, items, losses, n_sampled_users, by_item, pairs })
}

/// What lists are made by, besides the model.
pub(in crate::pipeline) struct Shelf {
    pub(in crate::pipeline) rules: Rules,
    pub(in crate::pipeline) popular: PopularLists,
    pub(in crate::pipeline) warnings: Vec<String>,
}

impl Shelf {
    /// Rules and popular items of a table of items, just made or read back.
    pub(in crate::pipeline) fn new(config: &Config, items: &ItemTable) -> Result<Self, PipelineError> {
        let (rules, warnings) = Rules::compile(&config.recommendations, &items.catalog, &items.ids)?;
        let popular = PopularLists::from_scores(items.popularity.clone(), &rules, &items.catalog.category_names)?;
        Ok(Self { rules, popular, warnings: warnings.iter().map(ToString::to_string).collect() })
    }

    /// What makes the lists of users.
    pub(in crate::pipeline) fn recommender<'a>(
        &'a self,
        config: &'a Config,
        model: &'a TrainedModel,
    ) -> Result<Recommender<'a>, PipelineError> {
        let (k, fallbacks) = (config.recommendations.k, &config.recommendations.fallbacks);
        Ok(Recommender::new(scorer(model), &self.rules, &self.popular, fallbacks, k)?)
    }
}

/// Writes `similar_items/`, `popular/`, `bought_together/` and `trending/`.
pub(in crate::pipeline) fn write_item_lists(
    config: &Config,
    files: &dyn WriteFiles,
    trained: &Trained,
    shelf: &Shelf,
    interactions: &Interactions,
    gathered: Gathered,
    stages: &mut Stages<'_>,
) -> Result<ItemLists, PipelineError> {
    let Shelf { rules, popular, .. } = shelf;
    let n_items = interactions.items.len() as u64;
    let shown: Vec<u32> = popular.overall().iter().copied().take(3).collect();
    let (similar_counts, similar_examples) = stages.run("similar items", Some(n_items), "items", |on| {
        let model = trained.model.as_model();
        let mut similarities = Similarities::new(&interactions.weights, &trained.by_item, Some(model), rules)?;
        if let Some(counted) = &trained.pairs {
            similarities = similarities.with_counts(counted)?;
        }
        write_similar(files, &interactions.items, &similarities, &config.recommendations.similar, &shown, on)
            .map(|done| (done, n_items))
    })?;
    let n_popular = write_popular(files, popular, interactions, &config.recommendations.popular)?;
    let baskets = Baskets { n_baskets: gathered.baskets.n_rows() as u64, n_too_large: gathered.n_too_large };
    let (bought_together_counts, bought_together_examples) =
        stages.run("bought together", Some(n_items), "items", |on| {
            let together = BoughtTogether::new(gathered.baskets, rules);
            let lists = together.of(0..interactions.items.len(), &config.recommendations.bought_together);
            write_lists(files, ListKind::BoughtTogether, &lists.batch(&interactions.items))?;
            on.advance(n_items);
            let with_list = popular.overall().iter().map(|&item| (item, lists.list(item as usize)));
            let examples = with_list.filter(|(_, entries)| !entries.is_empty()).take(3).collect::<Vec<_>>();
            Ok::<_, PipelineError>(((lists.counts, examples), n_items))
        })?;
    let trending = &config.recommendations.trending;
    let trends = Trending::new(&gathered.activity, rules, trending);
    let trend_lists = trends.batch(&interactions.items, popular, rules, trending);
    let n_trending = write_lists(files, ListKind::Trending, &trend_lists.sorted_by_key())?;
    Ok(ItemLists {
        n_popular,
        popular: popular.overall().iter().copied().take(20).collect(),
        similar_counts,
        baskets,
        bought_together_counts,
        n_trending,
        trending: trends.items.iter().copied().zip(trends.scores.iter().copied()).take(trending.k.min(20)).collect(),
        similar_examples,
        bought_together_examples,
    })
}

impl Learned {
    /// Puts together what is known when all buckets have been seen.
    pub(in crate::pipeline) fn new(
        interactions: &Interactions,
        assembled: Assembled,
        (losses, n_sampled_users): (Vec<(usize, f64)>, Option<usize>),
        shelf: &Shelf,
        lists: ItemLists,
    ) -> Self {
        let mut users_by_cells = BTreeMap::new();
        for row in interactions.weights.indptr.windows(2) {
            *users_by_cells.entry((row[1] - row[0]) as u64).or_default() += 1;
        }
        Self {
            assembled,
            n_users: interactions.users.len(),
            n_training_users: interactions.trains.iter().filter(|trains| **trains).count(),
            n_sampled_users,
            n_cells: interactions.weights.n_cells(),
            users_by_cells,
            n_eligible: shelf.rules.n_eligible(),
            warnings: shelf.warnings.clone(),
            losses,
            lists,
        }
    }
}

/// The rows of the example users that the matrix has.
pub(in crate::pipeline) fn users_of(examples: &[Example], interactions: &Interactions) -> Vec<(usize, String)> {
    let found =
        examples.iter().filter_map(|example| Some((find_user(interactions, &example.user)?, example.user.clone())));
    found.collect()
}

/// Why there is nothing to train on, if there is nothing.
fn nothing_left(interactions: &Interactions, counts: &Counts) -> Option<PipelineError> {
    if interactions.weights.n_cells() > 0 {
        return None;
    }
    let fates = [
        (counts.n_rejected(), "rejected"),
        (counts.ignored, "of ignored types"),
        (counts.counted_elsewhere, "counted from orders"),
        (counts.cancelled, "of cancelled orders"),
        (counts.outside_window, "outside the time window"),
        (counts.accepted, "accepted as events"),
    ];
    let fates: Vec<String> = fates.iter().filter(|(n, _)| *n > 0).map(|(n, fate)| format!("{n} {fate}")).collect();
    let fates = if fates.is_empty() { String::new() } else { format!(": {}", fates.join(", ")) };
    let rows = counts.rows;
    Some(PipelineError::Empty(match counts.accepted {
        0 => format!("{rows} rows were read{fates}"),
        _ => format!("{rows} rows were read{fates}; no (user, item) pair with a weight above zero came out of them"),
    }))
}

fn item_table(interactions: &Interactions, by_item: &Csr, catalog: Catalog) -> ItemTable {
    let n_items = interactions.items.len();
    let sum = |item: usize| by_item.row(item).weights.iter().map(|&weight| f64::from(weight)).sum::<f64>() as f32;
    ItemTable {
        ids: interactions.items.clone(),
        catalog,
        n_users: (0..n_items).map(|item| by_item.columns(item).len() as u32).collect(),
        popularity: (0..n_items).map(sum).collect(),
    }
}

/// A user's number by his id.
fn find_user(interactions: &Interactions, user: &str) -> Option<usize> {
    let n_buckets = interactions.bucket_starts.len() - 1;
    let bucket = crate::ids::bucket_of(crate::ids::id_hash(user.as_bytes()), n_buckets);
    let range = interactions.bucket_starts[bucket] as usize..interactions.bucket_starts[bucket + 1] as usize;
    interactions.users.position_in(range, user)
}
