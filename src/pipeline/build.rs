//! The build: events in, run directory out.

use std::{path::Path, sync::Mutex};

use crate::{
    artifacts::{ItemTable, RunWriter, RunsRoot, write_items},
    catalog::{CatalogError, read_catalog},
    config::Config,
    events::{Counts, Scan, ScanInput, ScanProgress, scan},
    interactions::{Aggregation, Csr, Decay, Interactions, Kind, Stamp, TrendWindows, assemble},
    recommendations::{BoughtTogether, Catalog, ListKind, PopularLists, Recommender, Rules, Similarities, Trending},
    storage::Storage,
};

use super::{
    Observer, PipelineError, aggregate_buckets,
    facts::{Baskets, BuildOptions, Facts},
    history::{BucketWriter, Example},
    inputs::checksums,
    item_facts::ItemFacts,
    lists::{write_lists, write_popular, write_recommendations, write_similar},
    model_files::{save_model, scorer},
    number_items,
    observer::Stages,
    people,
    seal::{Built, seal},
    training::train_observed,
};

/// Builds a run: read, aggregate, train, recommend, write.
///
/// # Errors
/// Whatever stops a stage; then there is no run, and what was half-written is removed.
///
/// Determinism: the run's content hash depends on the input, the config and the program's version alone.
pub fn build(config: &Config, options: &BuildOptions, on: &dyn Observer) -> Result<Built, PipelineError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(config.build.threads)
        .build()
        .map_err(|error| PipelineError::Config(format!("build.threads: {error}")))?;
    pool.install(|| build_here(config, options, on))
}

fn build_here(config: &Config, options: &BuildOptions, on: &dyn Observer) -> Result<Built, PipelineError> {
    let mut stages = Stages::new(on);
    let kinds = config.kinds().map_err(PipelineError::Config)?;
    let storage = Storage::new(config.s3.clone());
    let root = runs_root(config, &storage)?;
    let writer = RunWriter::create(&root, &run_name(&root, options)?)?;

    if let Some(path) = &config.catalog.path {
        // It is read after the events; that it is missing should not wait so long.
        storage.list(std::slice::from_ref(path), &[".parquet", ".csv"]).map_err(CatalogError::from)?;
    }
    let customers = people::read(config, &storage, &mut stages)?;
    let mut scan = read(config, &kinds, &storage, options, &mut stages)?;
    scan.objects.extend(people::objects(customers.as_ref()));
    let mut inputs = stages.run("checksum inputs", None, "bytes", |_| checksums(config, &storage, &scan.objects))?;
    let tables = people::tables(&scan, customers.as_ref());
    people::add_tables(&mut inputs, &tables);
    let source_warnings = people::source_warnings(&scan, customers.as_ref());
    let (shards, scan) = scan.split();
    let (all_items, item_places) = number_items(&shards);
    let (all_catalog, catalog_report) = stages.run("read catalogue", None, "rows", |_| {
        read_catalog(&config.catalog, &storage, &all_items).map(|(catalog, report)| {
            let n_rows = report.rows;
            ((catalog, report), n_rows)
        })
    })?;

    let decay = Decay::new();
    let trending = &config.recommendations.trending;
    let aggregation = Aggregation {
        kinds: &kinds,
        config: &config.interactions,
        as_of: scan.as_of,
        since: scan.since,
        decay: &decay,
        trend: scan.as_of.map(|as_of| TrendWindows::new(as_of, trending.days, trending.baseline_days)),
        sessions_by_id: config.events.has_session_column(),
    };
    let item_facts = ItemFacts::new(all_items.len());
    let buckets = BucketWriter {
        run: &writer,
        items: &all_items,
        catalog: &all_catalog,
        kinds: &kinds,
        as_of: scan.as_of,
        n_examples: config.build.example_users,
        examples: Mutex::default(),
        buyers: Mutex::default(),
    };
    let n_accepted = scan.counts.accepted;
    let (cells, left_out) = stages.run("aggregate", Some(n_accepted), "events", |_| {
        let on_bucket = |bucket, pairs: &_| {
            item_facts.add(bucket, pairs);
            buckets.write(bucket, pairs)
        };
        let keep_times = config.model.needs_times();
        let done = aggregate_buckets(shards, &item_places, &aggregation, keep_times, &on_bucket)?;
        buckets.complete_profiles()?;
        Ok::<_, PipelineError>((done, n_accepted))
    })?;
    let examples = buckets.examples.into_inner().expect("no writer panics while it holds the lock");
    let (interactions, assembled) = stages.run("assemble", None, "interactions", |_| {
        let (interactions, assembled) = assemble(cells, &all_items, &config.interactions);
        let n_cells = interactions.weights.n_cells() as u64;
        nothing_left(&interactions, &scan.counts).map_or(Ok(((interactions, assembled), n_cells)), Err)
    })?;
    let catalog = all_catalog.select(&assembled.kept_items);
    let gathered = item_facts.finish(&assembled.kept_items);
    drop((all_catalog, all_items, item_places));

    let (model, losses) = stages.run("train", None, "interactions", |on| {
        let n_cells = interactions.weights.n_cells() as u64;
        train_observed(&config.model, &interactions, None, on).map(|trained| (trained, n_cells))
    })?;
    let by_item = interactions.weights.transpose();
    let items = item_table(&interactions, &by_item, catalog);
    stages.run("save model", None, "items", |_| -> Result<_, PipelineError> {
        save_model(&writer, &model, &interactions.items)?;
        write_items(writer.file(crate::artifacts::ITEMS)?, &items)?;
        Ok(((), items.ids.len() as u64))
    })?;

    let (rules, warnings) = Rules::compile(&config.recommendations, &items.catalog, &interactions.items)?;
    let popular = PopularLists::new(&interactions.weights, &rules, &items.catalog.category_names)?;
    let (k, fallbacks) = (config.recommendations.k, &config.recommendations.fallbacks);
    let recommender = Recommender::new(scorer(&model), &rules, &popular, fallbacks, k)?;
    let examples: Vec<(Example, Option<usize>)> = examples
        .into_iter()
        .map(|example| {
            let user = find_user(&interactions, &example.user);
            (example, user)
        })
        .collect();
    let example_users: Vec<usize> = examples.iter().filter_map(|(_, user)| *user).collect();
    let n_users = interactions.users.len() as u64;
    let lists = stages.run("recommend", Some(n_users), "users", |on| {
        write_recommendations(&writer, &recommender, &interactions, k, &example_users, on).map(|lists| (lists, n_users))
    })?;
    let n_items = interactions.items.len() as u64;
    let shown: Vec<u32> = popular.overall().iter().copied().take(3).collect();
    let (similar_counts, similar_examples) = stages.run("similar items", Some(n_items), "items", |on| {
        let similarities = Similarities::new(&interactions.weights, &by_item, Some(model.as_model()), &rules)?;
        write_similar(&writer, &interactions.items, &similarities, &config.recommendations.similar, &shown, on)
            .map(|done| (done, n_items))
    })?;
    let n_popular = write_popular(&writer, &popular, &interactions, &config.recommendations.popular)?;
    let baskets = Baskets { n_baskets: gathered.baskets.n_rows() as u64, n_too_large: gathered.n_too_large };
    let (bought_together_counts, bought_together_examples) =
        stages.run("bought together", Some(n_items), "items", |on| {
            let together = BoughtTogether::new(gathered.baskets, &rules);
            let lists = together.of(0..interactions.items.len(), &config.recommendations.bought_together);
            write_lists(&writer, ListKind::BoughtTogether, &lists.batch(&interactions.items))?;
            on.advance(n_items);
            let with_list = popular.overall().iter().map(|&item| (item, lists.list(item as usize)));
            let examples = with_list.filter(|(_, entries)| !entries.is_empty()).take(3).collect::<Vec<_>>();
            Ok::<_, PipelineError>(((lists.counts, examples), n_items))
        })?;
    let trends = Trending::new(&gathered.activity, &rules, trending);
    let trend_lists = trends.batch(&interactions.items, &popular, &rules, trending);
    let n_trending = write_lists(&writer, ListKind::Trending, &trend_lists.sorted_by_key())?;

    let facts = Facts {
        options: options.clone(),
        kinds,
        counts: scan.counts,
        inputs,
        as_of: scan.as_of,
        left_out,
        assembled,
        n_users: interactions.users.len(),
        n_training_users: interactions.trains.iter().filter(|trains| **trains).count(),
        n_cells: interactions.weights.n_cells(),
        cells_by_user: interactions.weights.indptr.windows(2).map(|row| (row[1] - row[0]) as u64).collect(),
        items,
        catalog_report,
        customers: customers.map(|customers| customers.report),
        tables,
        source_warnings,
        n_eligible: rules.n_eligible(),
        warnings,
        losses,
        lists,
        n_popular,
        popular: popular.overall().iter().copied().take(20).collect(),
        similar_counts,
        baskets,
        bought_together_counts,
        n_trending,
        trending: trends.items.iter().copied().zip(trends.scores.iter().copied()).take(trending.k.min(20)).collect(),
        similar_examples,
        bought_together_examples,
        examples,
    };
    seal(config, writer, &facts, stages)
}

/// Where the config keeps its runs.
///
/// # Errors
/// An address that cannot be understood.
pub fn runs_root(config: &Config, storage: &Storage) -> Result<RunsRoot, PipelineError> {
    let root = RunsRoot::parse(&config.build.runs, storage)?;
    Ok(root.with_scratch(config.build.scratch.as_deref().map(Path::new)))
}

/// The run's name: as asked for, or the time, numbered when a run has it.
fn run_name(root: &RunsRoot, options: &BuildOptions) -> Result<String, PipelineError> {
    if let Some(name) = &options.run {
        return Ok(name.clone());
    }
    let name = options.now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut candidate = name.clone();
    let mut n = 1;
    while root.holds(&candidate)? {
        n += 1;
        candidate = format!("{name}-{n}");
    }
    Ok(candidate)
}

/// Reads events and orders, and fails when too many rows are dirty.
pub(super) fn read(
    config: &Config,
    kinds: &[Kind],
    storage: &Storage,
    options: &BuildOptions,
    stages: &mut Stages<'_>,
) -> Result<Scan, PipelineError> {
    let input = ScanInput {
        storage,
        events: &config.events,
        orders: &config.orders,
        kinds,
        n_buckets: config.interactions.n_buckets,
        now: Stamp::from_unix(options.now.as_second()).unwrap_or(Stamp(u32::MAX)),
    };
    let scan = stages.run("read events", None, "rows", |on| {
        scan(&input, &|progress| match progress {
            ScanProgress::Found { rows, .. } => on.total(rows),
            ScanProgress::Rows(n) => on.advance(n),
        })
        .map(|scan| {
            let n_rows = scan.counts.rows;
            (scan, n_rows)
        })
    })?;
    let allowed = config.events.max_rejected_ratio;
    if scan.counts.rejected_ratio() > allowed {
        return Err(PipelineError::Rejected { counts: Box::new(scan.counts), allowed });
    }
    Ok(scan)
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
