//! A build for a cluster: what is uploaded, with which config, as which steps.

use std::{fs, path::Path};

use jiff::Timestamp;

use crate::{
    artifacts::{RunsRoot, check_run_name, open_run},
    cluster::{
        Asset, Catalogue, ClusterError, Emr, EmrConfig, Estimate, JOB_FILES, Machine, Order, PlannedStep, Sizes,
        Target, Values, estimate,
    },
    config::Config,
    publish,
    storage::{S3Prefix, Storage},
};

use super::PipelineError;

/// What a submission is about, beside the config.
#[derive(Debug, Clone)]
pub struct NightOptions {
    /// The run's name; by default the time.
    pub run: Option<String>,
    /// The instant that ages are counted from, as typed.
    pub as_of: Option<String>,
    /// A cluster made for the run instead of `emr.cluster`.
    pub create: bool,
    /// The submission's clock.
    pub now: Timestamp,
}

/// A submission, ready to be sent.
#[derive(Debug)]
pub struct Night {
    /// What is sent.
    pub order: Order,
    /// Stores of `publish.targets` that a cluster cannot publish to.
    pub left_out: Vec<&'static str>,
}

/// The place of `emr.work`.
///
/// # Errors
/// It is not set, or no address on S3.
pub fn emr_root(config: &Config) -> Result<S3Prefix, PipelineError> {
    let missing = || ClusterError::Config("emr.work must name a place on S3, such as s3://bucket/nightshelf".into());
    let text = config.emr.work.as_deref().ok_or_else(missing)?;
    let prefix = Storage::new(config.s3.clone()).s3_prefix(text)?;
    Ok(prefix.ok_or_else(missing)?)
}

/// Puts a submission together. `emr` is asked how many steps a named cluster runs at once; nothing else is asked of anyone.
///
/// # Errors
/// A config that a cluster cannot build from: local paths, passwords in files; a program for other processors; a cluster that
/// is not there.
pub fn night(
    config: &Config,
    options: &NightOptions,
    root: &S3Prefix,
    emr: impl FnOnce() -> Result<Emr, ClusterError>,
) -> Result<Night, PipelineError> {
    let (target, concurrency) = match (&config.emr.cluster, options.create) {
        (_, true) => (Target::Create(Box::new(config.emr.create.clone())), config.emr.create.step_concurrency),
        (Some(cluster), false) => (Target::Existing { cluster: cluster.clone() }, emr()?.step_concurrency(cluster)?),
        (None, false) => {
            let what = "name a cluster with --cluster or emr.cluster, or make one with --create";
            return Err(ClusterError::Config(what.into()).into());
        }
    };
    let run = options.run.clone().unwrap_or_else(|| options.now.strftime("%Y%m%dT%H%M%SZ").to_string());
    check_run_name(&run)?;
    let (uploaded, left_out) = for_cluster(config).map_err(ClusterError::Config)?;
    let text = toml::to_string_pretty(&uploaded).map_err(|error| ClusterError::Config(error.to_string()))?;
    let binary = program(&config.emr, &target)?;
    let config_file = Asset::bytes("nightshelf.toml", text);
    let (catalogue, origin, scripts) = jobs(&config.emr)?;
    let work = root.join("work").uri(&run);
    let spark = &config.emr.spark;
    let mut values: Values = [
        ("run", run.clone()),
        ("work", work.clone()),
        ("binary", binary.uri(root)),
        ("config", config_file.uri(root)),
        ("worker_threads", spark.worker_threads.to_string()),
        ("executor_cores", spark.executor_cores.to_string()),
        ("executor_memory_mb", spark.executor_memory_mb.to_string()),
        ("shuffle_memory_mb", spark.shuffle_memory_mb.to_string()),
        ("overhead_mb", spark.overhead_mb().to_string()),
        ("speculation", spark.speculation.to_string()),
        ("buckets_per_task", spark.buckets_per_task.to_string()),
        ("recommend_buckets_per_task", spark.recommend_buckets_per_task.to_string()),
    ]
    .into();
    if spark.max_executors > 0 {
        values.insert("max_executors", spark.max_executors.to_string());
    }
    if spark.item_parts > 0 {
        values.insert("item_parts", spark.item_parts.to_string());
    }
    if let Some(as_of) = &options.as_of {
        values.insert("as_of", as_of.clone());
    }
    if !uploaded.publish.targets.is_empty() {
        values.insert("publish", String::new());
    }
    let mut steps = catalogue.plan(&values, &spark.conf, &origin)?;
    place_scripts(&mut steps, &scripts, root);
    let n_buckets = config.interactions.n_buckets as u64;
    let assets = [vec![binary, config_file], scripts].concat();
    let order = Order::new(&run, &work, n_buckets, target, concurrency, steps, assets, root);
    Ok(Night { order, left_out })
}

/// The config as the cluster gets it, and the stores that it cannot reach.
fn for_cluster(config: &Config) -> Result<(Config, Vec<&'static str>), String> {
    let mut local: Vec<String> = Vec::new();
    let mut on_s3 = |key: &str, path: &str| {
        if !path.starts_with("s3://") {
            local.push(format!("{key} = {path:?}"));
        }
    };
    config.events.paths.iter().for_each(|path| on_s3("events.paths", path));
    config.orders.paths.iter().for_each(|path| on_s3("orders.paths", path));
    config.catalog.path.iter().for_each(|path| on_s3("catalog.path", path));
    on_s3("build.runs", &config.build.runs);
    if config.events.paths.is_empty() {
        return Err("events.paths is empty: name the events in the config file".into());
    }
    if !local.is_empty() {
        return Err(format!("a cluster reads and writes s3:// only, but {}", local.join(", ")));
    }
    let mut config = config.clone();
    let is_local = |target: &publish::Target| *target == publish::Target::Sqlite;
    let left_out =
        config.publish.targets.iter().filter(|target| is_local(target)).map(|target| target.name()).collect();
    config.publish.targets.retain(|target| !is_local(target));
    for (target, name, file, env) in [
        (
            publish::Target::Postgres,
            "postgres",
            &config.publish.postgres.password_file,
            &config.publish.postgres.password_env,
        ),
        (publish::Target::Mysql, "mysql", &config.publish.mysql.password_file, &config.publish.mysql.password_env),
    ] {
        if config.publish.targets.contains(&target) && (file.is_some() || env.is_some()) {
            return Err(format!(
                "publish.{name}: a password in a file or variable of this machine does not reach a cluster; set secret_arn or iam"
            ));
        }
    }
    // How the run was submitted is no part of the build.
    config.emr = EmrConfig::default();
    config.build.scratch = None;
    Ok((config, left_out))
}

/// The program to upload.
fn program(config: &EmrConfig, target: &Target) -> Result<Asset, PipelineError> {
    let path = match &config.binary {
        Some(path) => Path::new(path).to_owned(),
        None => std::env::current_exe()
            .map_err(|error| ClusterError::Asset { path: "this program".into(), what: error.to_string() })?,
    };
    let refuse = |what: String| ClusterError::Asset { path: path.display().to_string(), what };
    let asset = Asset::file("nightshelf", path.clone()).map_err(|error| refuse(error.to_string()))?;
    let mut head = vec![0; 64];
    let n_read = fs::File::open(&path)
        .and_then(|mut file| std::io::Read::read(&mut file, &mut head))
        .map_err(|error| refuse(error.to_string()))?;
    let machine = Machine::of_program(&head[..n_read]).ok_or_else(|| {
        refuse(
            "it is no program for Linux on x86_64 or arm64; docs/emr.md says how one is built, emr.binary names it"
                .into(),
        )
    })?;
    if let Target::Create(create) = target
        && let Some(other) = create.instance_types().find(|name| Machine::of_instance(name) != machine)
    {
        return Err(refuse(format!("it is for {}, and {other} has other processors", machine.name())).into());
    }
    Ok(asset)
}

/// Step definitions, their origin for messages, and the scripts.
fn jobs(config: &EmrConfig) -> Result<(Catalogue, String, Vec<Asset>), PipelineError> {
    let read = |name: &str, own: &'static str| -> Result<(String, String), ClusterError> {
        let Some(directory) = &config.jobs else { return Ok((own.to_owned(), format!("jobs/{name} of the program"))) };
        let path = Path::new(directory).join(name);
        let text = fs::read_to_string(&path)
            .map_err(|error| ClusterError::Asset { path: path.display().to_string(), what: error.to_string() })?;
        Ok((text, path.display().to_string()))
    };
    let [steps, scripts @ ..] = JOB_FILES;
    let (text, origin) = read(steps.0, steps.1)?;
    let catalogue = Catalogue::parse(&text, &origin)?;
    let scripts = scripts.iter().map(|(name, own)| Ok(Asset::bytes(name, read(name, own)?.0)));
    Ok((catalogue, origin, scripts.collect::<Result<_, ClusterError>>()?))
}

/// Puts the scripts' addresses where the steps name them.
fn place_scripts(steps: &mut [PlannedStep], scripts: &[Asset], root: &S3Prefix) {
    for word in steps.iter_mut().flat_map(|step| &mut step.args) {
        if let Some(script) = scripts.iter().find(|script| script.name() == word) {
            *word = script.uri(root);
        }
    }
}

/// Sizes of a build: as given, or those of the newest run.
///
/// # Errors
/// No run to take them from.
pub fn sizes(config: &Config, given: [Option<u64>; 3]) -> Result<Sizes, PipelineError> {
    let model = &config.model.als;
    let mut sizes =
        Sizes { events: 0, users: 0, items: 0, n_factors: model.n_factors as u64, iterations: model.iterations as u64 };
    let [events, users, items] = if given.iter().all(Option::is_some) {
        given.map(|n| n.unwrap_or(0))
    } else {
        let root = RunsRoot::parse(&config.build.runs, &Storage::new(config.s3.clone()))?;
        let run = open_run(&root, "latest")?;
        let counts = &run.manifest().content.counts;
        let count = |table: &str, name: &str| counts.get(table).and_then(|of| of.get(name)).copied().unwrap_or(0);
        let of_run = [count("events", "rows"), count("interactions", "users"), count("interactions", "items")];
        std::array::from_fn(|at| given[at].unwrap_or(of_run[at]))
    };
    (sizes.events, sizes.users, sizes.items) = (events, users, items);
    Ok(sizes)
}

/// What a run on a cluster of its own would take.
///
/// # Errors
/// An instance type without a price.
pub fn emr_plan(config: &Config, sizes: Sizes) -> Result<Estimate, PipelineError> {
    let emr = &config.emr;
    Ok(estimate(sizes, &emr.create, &emr.rates, &emr.prices).map_err(ClusterError::Config)?)
}
