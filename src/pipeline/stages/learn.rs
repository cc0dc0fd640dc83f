//! What needs all buckets at once: assembling, training, lists of items.

use super::totals::Totals;
use crate::{
    artifacts::{ITEMS, ItemTable, WriteFiles, write_items},
    catalog::{CatalogReport, read_catalog},
    config::Config,
    events::Counts,
    ids::IdTable,
    interactions::{Assembled, BucketCells, Csr, Interactions, assemble},
    model::{Als, ItemItem, ModelError, TrainedModel, training_users},
    pipeline::{
        PipelineError,
        facts::{Baskets, ItemLists, Learned},
        history::Example,
        item_facts::{Gathered, ItemFacts},
        lists::{write_lists, write_popular, write_similar},
        model_files::{save_model, scorer},
        observer::Stages,
        training::{observed, train_observed},
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
        nothing_left(interactions.weights.n_cells(), counts)?;
        Ok::<_, PipelineError>(((interactions, assembled), n_cells))
    })?;
    let catalog = all_catalog.select(&assembled.kept_items);
    let gathered = item_facts.finish(&assembled.kept_items);
    Ok(Assembly { interactions, catalog, gathered, assembled })
}

/// A trained model, and what the run knows of its items.
pub(in crate::pipeline) struct Trained<'a> {
    pub(in crate::pipeline) model: TrainedModel,
    pub(in crate::pipeline) items: ItemTable,
    pub(in crate::pipeline) totals: Totals,
    pub(in crate::pipeline) losses: Vec<(usize, f64)>,
    pub(in crate::pipeline) n_sampled_users: Option<usize>,
    shared: SharedUsers<'a>,
}

/// Where the users that two items share are counted.
pub(super) enum SharedUsers<'a> {
    Matrix { by_user: &'a Csr, by_item: Csr },
    Counted(PairCounts),
}

/// What was found out of pairs of items before training, range by range.
#[derive(Debug)]
pub(in crate::pipeline) struct Counted {
    /// Rows of `item_item`, for a run of that model.
    pub(in crate::pipeline) neighbours: Option<Csr>,
    /// For similar items.
    pub(in crate::pipeline) pairs: PairCounts,
}

/// What training comes to.
pub(super) struct Outcome {
    model: TrainedModel,
    losses: Vec<(usize, f64)>,
    /// How many users trained, where memory did not allow all.
    n_sampled_users: Option<usize>,
}

/// Trains the model, unless its rows were `counted` before; writes `model/` and `items/`.
pub(in crate::pipeline) fn train_and_save<'a>(
    config: &Config,
    files: &dyn WriteFiles,
    interactions: &'a Interactions,
    catalog: Catalog,
    counted: Option<Counted>,
    stages: &mut Stages<'_>,
) -> Result<Trained<'a>, PipelineError> {
    let (made, pairs) = counted.map_or((None, None), |counted| (counted.neighbours, Some(counted.pairs)));
    let outcome = match made {
        Some(rows) => from_rows(config, rows, interactions.weights.n_cells(), stages)?,
        None => train(config, interactions, stages)?,
    };
    let by_item = interactions.weights.transpose();
    let totals = Totals::of(interactions, &by_item);
    let matrix = || SharedUsers::Matrix { by_user: &interactions.weights, by_item };
    let shared = pairs.map_or_else(matrix, SharedUsers::Counted);
    save(files, outcome, totals, (interactions.items.clone(), catalog), shared, stages)
}

fn train(config: &Config, interactions: &Interactions, stages: &mut Stages<'_>) -> Result<Outcome, PipelineError> {
    let (model, losses) = stages.run("train", None, "interactions", |on| {
        let n_cells = interactions.weights.n_cells() as u64;
        train_observed(&config.model, interactions, None, on).map(|trained| (trained, n_cells))
    })?;
    let n_sampled_users = training_users(&config.model, interactions)?;
    Ok(Outcome { model, losses, n_sampled_users })
}

/// `item_item` of rows that were made before, from `n_cells` cells.
pub(super) fn from_rows(
    config: &Config,
    rows: Csr,
    n_cells: usize,
    stages: &mut Stages<'_>,
) -> Result<Outcome, PipelineError> {
    let model = stages.run("train", None, "interactions", |_| {
        let model = ItemItem::from_rows(config.model.item_item.clone(), rows)?;
        Ok::<_, ModelError>((TrainedModel::ItemItem(model), n_cells as u64))
    })?;
    Ok(Outcome { model, losses: Vec::new(), n_sampled_users: None })
}

/// `als` of the rows of its training users; `sampled` when those are not all who might train.
pub(super) fn train_on(
    config: &Config,
    rows: Csr,
    sampled: bool,
    stages: &mut Stages<'_>,
) -> Result<Outcome, PipelineError> {
    let n_users = rows.n_rows();
    let (model, losses) = stages.run("train", None, "interactions", |on| {
        let als = config.model.als.clone();
        let train = |listen: &mut dyn FnMut(_)| Als::train(als, &rows, &vec![true; n_users], listen);
        observed(on, |listen| train(listen).map(TrainedModel::Als)).map(|trained| (trained, rows.n_cells() as u64))
    })?;
    Ok(Outcome { model, losses, n_sampled_users: sampled.then_some(n_users) })
}

/// Writes `model/` and `items/`.
pub(super) fn save<'a>(
    files: &dyn WriteFiles,
    Outcome { model, losses, n_sampled_users }: Outcome,
    totals: Totals,
    (ids, catalog): (IdTable, Catalog),
    shared: SharedUsers<'a>,
    stages: &mut Stages<'_>,
) -> Result<Trained<'a>, PipelineError> {
    let items = totals.item_table(ids, catalog);
    stages.run("save model", None, "items", |_| -> Result<_, PipelineError> {
        save_model(files, &model, &items.ids)?;
        write_items(files.file(ITEMS)?, &items)?;
        Ok(((), items.ids.len() as u64))
    })?;
    Ok(Trained { model, items, totals, losses, n_sampled_users, shared })
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
    trained: &Trained<'_>,
    shelf: &Shelf,
    gathered: Gathered,
    stages: &mut Stages<'_>,
) -> Result<ItemLists, PipelineError> {
    let Shelf { rules, popular, .. } = shelf;
    let items = &trained.items.ids;
    let n_items = items.len() as u64;
    let shown: Vec<u32> = popular.overall().iter().copied().take(3).collect();
    let (similar_counts, similar_examples) = stages.run("similar items", Some(n_items), "items", |on| {
        let model = Some(trained.model.as_model());
        let similarities = match &trained.shared {
            SharedUsers::Matrix { by_user, by_item } => Similarities::new(by_user, by_item, model, rules)?,
            SharedUsers::Counted(pairs) => Similarities::from_counts(pairs, &trained.totals.n_users_of, model, rules)?,
        };
        write_similar(files, items, &similarities, &config.recommendations.similar, &shown, on)
            .map(|done| (done, n_items))
    })?;
    let n_popular = write_popular(files, popular, items, &config.recommendations.popular)?;
    let baskets = Baskets { n_baskets: gathered.baskets.n_rows() as u64, n_too_large: gathered.n_too_large };
    let (bought_together_counts, bought_together_examples) =
        stages.run("bought together", Some(n_items), "items", |on| {
            let together = BoughtTogether::new(gathered.baskets, rules);
            let lists = together.of(0..items.len(), &config.recommendations.bought_together);
            write_lists(files, ListKind::BoughtTogether, &lists.batch(items))?;
            on.advance(n_items);
            let with_list = popular.overall().iter().map(|&item| (item, lists.list(item as usize)));
            let examples = with_list.filter(|(_, entries)| !entries.is_empty()).take(3).collect::<Vec<_>>();
            Ok::<_, PipelineError>(((lists.counts, examples), n_items))
        })?;
    let trending = &config.recommendations.trending;
    let trends = Trending::new(&gathered.activity, rules, trending);
    let trend_lists = trends.batch(items, popular, rules, trending);
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
        totals: &Totals,
        assembled: Assembled,
        (losses, n_sampled_users): (Vec<(usize, f64)>, Option<usize>),
        shelf: &Shelf,
        lists: ItemLists,
    ) -> Self {
        Self {
            assembled,
            n_users: totals.n_users(),
            n_training_users: totals.n_training_users,
            n_sampled_users,
            n_cells: totals.n_cells,
            users_by_cells: totals.users_by_cells.clone(),
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

/// Refuses to go on without a cell, and says what became of the rows.
pub(super) fn nothing_left(n_cells: usize, counts: &Counts) -> Result<(), PipelineError> {
    if n_cells > 0 {
        return Ok(());
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
    Err(PipelineError::Empty(match counts.accepted {
        0 => format!("{rows} rows were read{fates}"),
        _ => format!("{rows} rows were read{fates}; no (user, item) pair with a weight above zero came out of them"),
    }))
}

/// A user's number by his id.
fn find_user(interactions: &Interactions, user: &str) -> Option<usize> {
    let n_buckets = interactions.bucket_starts.len() - 1;
    let bucket = crate::ids::bucket_of(crate::ids::id_hash(user.as_bytes()), n_buckets);
    let range = interactions.bucket_starts[bucket] as usize..interactions.bucket_starts[bucket + 1] as usize;
    interactions.users.position_in(range, user)
}
