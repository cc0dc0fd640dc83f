//! The build: events in, run directory out.

use std::path::Path;

use crate::{
    artifacts::{RunWriter, RunsRoot},
    catalog::CatalogError,
    config::Config,
    events::{Counts, Scan, ScanInput, ScanProgress, scan},
    interactions::{Interactions, Kind, Stamp},
    model::TrainedModel,
    storage::Storage,
};

use super::{
    Observer, PipelineError,
    campaigns::{CampaignInputs, make_campaigns},
    facts::{BuildOptions, Facts, Learned},
    inputs::checksums,
    lists::{ListStats, Sample, sample_every, write_recommendations},
    number_items,
    observer::Stages,
    people::{self, People},
    seal::{Built, Circumstances, seal},
    stages::{
        Assembly, Buckets, Instants, Shelf, assemble_buckets, catalogue, train_and_save, users_of, write_item_lists,
    },
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
    let scan = read(config, &kinds, &storage, options, &mut stages)?;
    let mut inputs = stages.run("checksum inputs", None, "bytes", |_| checksums(config, &storage, &scan.objects))?;
    let people = People::new(Some(&scan), customers.as_ref());
    people.add_to(&mut inputs);
    let (shards, scan) = scan.split();
    let (all_items, item_places) = number_items(&shards);
    let (all_catalog, catalog_report) = catalogue(config, &storage, &all_items, &mut stages)?;
    let instants = Instants { as_of: scan.as_of, since: scan.since };
    let buckets = Buckets::new(config, &kinds, instants, &all_items, &all_catalog, &writer);
    let (cells, left_out) = buckets.aggregate(shards, &item_places, scan.counts.accepted, &mut stages)?;
    let (examples, item_facts) = buckets.finish();
    let Assembly { interactions, catalog, gathered, assembled } =
        assemble_buckets(config, cells, &all_items, &all_catalog, item_facts, &scan.counts, &mut stages)?;
    drop((all_catalog, all_items, item_places));

    let trained = train_and_save(config, &writer, &interactions, catalog, None, &mut stages)?;
    let shelf = Shelf::new(config, &trained.items)?;
    let example_users = users_of(&examples, &interactions);
    let lists = recommend(config, &writer, &trained.model, &shelf, &interactions, &example_users, &mut stages)?;
    let item_lists = write_item_lists(config, &writer, &trained, &shelf, gathered, &mut stages)?;
    let campaigns = CampaignInputs {
        config,
        storage: &storage,
        root: &root,
        run: &writer,
        kinds: &kinds,
        as_of: scan.as_of,
        items: &trained.items,
        model: &trained.model,
        customers: customers.as_ref(),
    };
    let campaigns = make_campaigns(&campaigns, &mut stages)?;
    let facts = Facts {
        options: options.clone(),
        kinds,
        counts: scan.counts,
        inputs,
        as_of: scan.as_of,
        left_out,
        learned: Learned::new(
            &trained.totals,
            assembled,
            (trained.losses, trained.n_sampled_users),
            &shelf,
            item_lists,
        ),
        items: trained.items,
        catalog_report,
        people,
        lists,
        campaigns,
        examples,
    };
    seal(config, writer, &facts, stages, Circumstances::default())
}

/// Makes the lists of all users.
fn recommend(
    config: &Config,
    writer: &RunWriter,
    model: &TrainedModel,
    shelf: &Shelf,
    interactions: &Interactions,
    examples: &[(usize, String)],
    stages: &mut Stages<'_>,
) -> Result<ListStats, PipelineError> {
    let n_users = interactions.users.len();
    let sample = Sample { first_user: 0, every: sample_every(n_users), examples };
    let starts = interactions.bucket_starts.windows(2).enumerate();
    let buckets = starts.map(|(bucket, range)| (bucket, range[0] as usize..range[1] as usize));
    let recommender = shelf.recommender(config, model)?;
    stages.run("recommend", Some(n_users as u64), "users", |on| {
        write_recommendations(writer, &recommender, interactions, buckets, config.recommendations.k, &sample, on)
            .map(|lists| (lists, n_users as u64))
    })
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
        now: clock(options.now),
        bucket: None,
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
    refuse_dirt(config, &scan.counts)?;
    Ok(scan)
}

/// The build's clock as events count time.
pub(super) fn clock(now: jiff::Timestamp) -> Stamp {
    Stamp::from_unix(now.as_second()).unwrap_or(Stamp(u32::MAX))
}

/// The quality gate.
pub(super) fn refuse_dirt(config: &Config, counts: &Counts) -> Result<(), PipelineError> {
    let allowed = config.events.max_rejected_ratio;
    if counts.rejected_ratio() > allowed {
        return Err(PipelineError::Rejected { counts: Box::new(counts.clone()), allowed });
    }
    Ok(())
}
