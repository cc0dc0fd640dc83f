//! `plan.json`: what a distributed build builds, from what. All its tasks go by it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::bench::{TaskOutcome, TaskReport, WorkOptions};
use crate::{
    artifacts::{Work, canonical_sha256, split_config},
    catalog::CatalogError,
    config::Config,
    events::{LATEST, PurchaseSource, ScanInput, ShuffleSource, shuffle_input},
    pipeline::{
        Observer, PipelineError,
        build::clock,
        inputs::{Inputs, checksums},
        observer::Stages,
        seal::OBSERVED_KEYS,
    },
    storage::Storage,
};

/// The plan's place below the work location.
pub(super) const PLAN: &str = "plan.json";

/// Version of `plan.json`.
const FORMAT_VERSION: u32 = 1;

/// What a distributed build builds, from what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of this file.
    pub format_version: u32,
    /// Version of the program; all tasks must be of one.
    pub program_version: String,
    /// The run's name.
    pub run: String,
    /// The build's clock.
    pub now: Timestamp,
    /// The instant that ages are counted from, if it was given with the plan.
    pub as_of: Option<String>,
    /// SHA-256 of the config, as far as it determines the result.
    pub config_sha256: String,
    /// Buckets to deal users into.
    pub n_buckets: usize,
    /// Ranges of items whose pairs are counted apart; 0: training counts them.
    pub n_item_parts: usize,
    /// The column that the shuffle puts beside each row.
    pub latest_column: String,
    /// The clickstream.
    pub events: ShuffleSource,
    /// The order lines, where they count.
    pub orders: Option<ShuffleSource>,
    /// The inputs with their checksums, for the manifest.
    pub(super) inputs: Inputs,
}

/// What is to be planned.
#[derive(Debug, Clone, Default)]
pub struct PlanOrder {
    /// The run's name.
    pub run: String,
    /// The instant that ages are counted from; the config's, or the newest event, unless it is given.
    pub as_of: Option<String>,
    /// Ranges of items whose pairs are counted apart; 0: training counts them.
    pub n_item_parts: usize,
}

/// SHA-256 of the part of a config that determines the result.
pub(super) fn config_sha256(config: &Config) -> String {
    let whole = serde_json::to_value(config).expect("a config is plain data");
    canonical_sha256(split_config(whole, &OBSERVED_KEYS).0)
}

/// The config with the plan's own instant.
pub(super) fn with_as_of(config: &Config, as_of: Option<&str>) -> Result<Config, PipelineError> {
    let mut config = config.clone();
    if let Some(as_of) = as_of {
        config.events.as_of = Some(as_of.to_owned());
        config.check().map_err(PipelineError::Config)?;
    }
    Ok(config)
}

/// Lists the inputs, takes their checksums and writes the plan, unless the work location has it already.
///
/// # Errors
/// Inputs that cannot be read; a work location that has the plan of another run, or of this one with another config.
pub fn plan_work(
    config: &Config,
    options: &WorkOptions,
    order: &PlanOrder,
    now: Timestamp,
    on: &dyn Observer,
) -> Result<TaskReport, PipelineError> {
    let config = with_as_of(config, order.as_of.as_deref())?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(config.build.threads)
        .build()
        .map_err(|error| PipelineError::Config(format!("build.threads: {error}")))?;
    pool.install(|| plan_here(&config, options, order, now, on))
}

fn plan_here(
    config: &Config,
    options: &WorkOptions,
    order: &PlanOrder,
    now: Timestamp,
    on: &dyn Observer,
) -> Result<TaskReport, PipelineError> {
    let run = order.run.as_str();
    let mut stages = Stages::new(on);
    let storage = Storage::new(config.s3.clone());
    let work = Work::parse(&options.work, &storage)?;
    let report = |outcome| TaskReport { stage: "plan", bucket: None, attempt: run.to_owned(), outcome, sealed: None };
    if let Some(there) = read(&work)? {
        agrees(&there, &work, config, run)?;
        if there.n_item_parts != order.n_item_parts {
            let reason = format!("it has {} item parts", there.n_item_parts);
            return Err(PipelineError::Plan { path: work.name_of(PLAN), reason });
        }
        return Ok(report(TaskOutcome::AlreadyDone));
    }
    crate::artifacts::check_run_name(run)?;
    if config.orders.replica.is_some() && config.orders.purchases_from == PurchaseSource::Orders {
        let text = "orders.replica cannot be shuffled: a distributed build reads order lines from orders.paths";
        return Err(PipelineError::Config(text.to_owned()));
    }
    let kinds = config.kinds().map_err(PipelineError::Config)?;
    let input = ScanInput {
        storage: &storage,
        events: &config.events,
        orders: &config.orders,
        kinds: &kinds,
        n_buckets: config.interactions.n_buckets,
        now: clock(now),
        bucket: None,
    };
    if let Some(path) = &config.catalog.path {
        storage.list(std::slice::from_ref(path), &[".parquet", ".csv"]).map_err(CatalogError::from)?;
    }
    let mut found = stages.run("list inputs", None, "files", |_| {
        shuffle_input(&input).map(|found| {
            let n = found.objects.len() as u64;
            (found, n)
        })
    })?;
    let inputs = stages.run("checksum inputs", None, "bytes", |_| checksums(config, &storage, &found.objects))?;
    for source in [Some(&mut found.events), found.orders.as_mut()].into_iter().flatten() {
        for path in source.groups.iter_mut().flat_map(|group| &mut group.paths) {
            // Another process may have another working directory.
            if !path.starts_with("s3://") {
                let absolute = std::path::absolute(&*path);
                *path = absolute.map_or_else(|_| path.clone(), |absolute| absolute.display().to_string());
            }
        }
    }
    let plan = Plan {
        format_version: FORMAT_VERSION,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        run: run.to_owned(),
        now,
        as_of: order.as_of.clone(),
        config_sha256: config_sha256(config),
        n_buckets: config.interactions.n_buckets,
        n_item_parts: order.n_item_parts,
        latest_column: LATEST.to_owned(),
        events: found.events,
        orders: found.orders,
        inputs,
    };
    let text = serde_json::to_vec_pretty(&plan).expect("a plan is plain data");
    if work.put_new(PLAN, text)? {
        return Ok(report(TaskOutcome::Done));
    }
    agrees(&open(&work)?, &work, config, run)?;
    Ok(report(TaskOutcome::Lost))
}

fn read(work: &Work) -> Result<Option<Plan>, PipelineError> {
    let Some(bytes) = work.get(PLAN)? else { return Ok(None) };
    let damaged = |reason: String| PipelineError::Plan { path: work.name_of(PLAN), reason };
    let found: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    let version = found["format_version"].as_u64();
    if version != Some(u64::from(FORMAT_VERSION)) {
        let version = version.map_or_else(|| "none".to_owned(), |version| version.to_string());
        return Err(damaged(format!("its format version is {version}, this program knows {FORMAT_VERSION}")));
    }
    Ok(Some(serde_json::from_value(found).map_err(|error| damaged(error.to_string()))?))
}

/// Reads the plan.
///
/// # Errors
/// When there is none, or it is another program's.
pub(super) fn open(work: &Work) -> Result<Plan, PipelineError> {
    let missing = || PipelineError::Plan { path: work.name_of(PLAN), reason: "there is none".to_owned() };
    read(work)?.ok_or_else(missing)
}

/// Refuses to work by a plan that was made for something else; `config` has the plan's instant.
pub(super) fn agrees(plan: &Plan, work: &Work, config: &Config, run: &str) -> Result<(), PipelineError> {
    let refuse = |reason: String| Err(PipelineError::Plan { path: work.name_of(PLAN), reason });
    if plan.program_version != env!("CARGO_PKG_VERSION") {
        let (planned, own) = (&plan.program_version, env!("CARGO_PKG_VERSION"));
        return refuse(format!("version {planned} of the program made it, this is {own}"));
    }
    if plan.run != run {
        return refuse(format!("it is that of run `{}`", plan.run));
    }
    if plan.config_sha256 != config_sha256(config) {
        return refuse("it was made with another config".to_owned());
    }
    Ok(())
}
