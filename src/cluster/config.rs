//! The `[emr]` section.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::{machine::Machine, price::Rates};
use crate::retry::RetryPolicy;

/// Where and how a build runs on EMR. Credentials never stand here: they come from the standard AWS environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmrConfig {
    /// Place on S3 for uploads, submissions and the runs' work: `s3://bucket/prefix`.
    pub work: Option<String>,
    /// Id of a running cluster to submit to, as `--cluster` gives it.
    pub cluster: Option<String>,
    /// Region; without it AWS_REGION or the profile's.
    pub region: Option<String>,
    /// Address of something that speaks EMR's protocol; without it AWS_ENDPOINT_URL_EMR, AWS_ENDPOINT_URL or AWS itself.
    pub endpoint_url: Option<String>,
    /// The program that the cluster runs; without it the one that submits.
    pub binary: Option<String>,
    /// Directory with own versions of `steps.json` and the PySpark jobs; without it the program's own.
    pub jobs: Option<String>,
    /// Longest wait for an answer, in milliseconds.
    pub timeout_ms: u64,
    /// Time between two looks at a run that is waited for, in milliseconds.
    pub poll_ms: u64,
    /// How long to look for a submission whose answer was lost before it is sent again, in milliseconds.
    pub settle_ms: u64,
    /// How often and how patiently requests are sent again.
    pub retry: RetryPolicy,
    /// Sizes of Spark's executors and of the processes in them.
    pub spark: SparkConfig,
    /// The cluster that `--create` makes.
    pub create: CreateConfig,
    /// What instances cost, in US dollars an hour.
    pub prices: BTreeMap<String, InstancePrice>,
    /// What `--plan` reckons with.
    pub rates: Rates,
}

impl Default for EmrConfig {
    fn default() -> Self {
        Self {
            work: None,
            cluster: None,
            region: None,
            endpoint_url: None,
            binary: None,
            jobs: None,
            timeout_ms: 20_000,
            poll_ms: 30_000,
            settle_ms: 15_000,
            retry: RetryPolicy { max_attempts: 10, base_ms: 500, cap_ms: 20_000 },
            spark: SparkConfig::default(),
            create: CreateConfig::default(),
            prices: InstancePrice::listed(),
            rates: Rates::default(),
        }
    }
}

/// `[emr.spark]`: sizes of Spark's executors and of the processes in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SparkConfig {
    /// Threads of one worker process, and cores that Spark counts for it.
    pub worker_threads: u32,
    /// Memory of one worker process, in MiB.
    pub worker_memory_mb: u32,
    /// Cores of an executor, a multiple of `worker_threads`.
    pub executor_cores: u32,
    /// Heap of an executor that only starts processes, in MiB.
    pub executor_memory_mb: u32,
    /// Heap of an executor of the shuffle, in MiB.
    pub shuffle_memory_mb: u32,
    /// Executors at most; 0: as many as the cluster has room for.
    pub max_executors: u32,
    /// Whether a task that lags is started a second time elsewhere.
    pub speculation: bool,
    /// Consecutive buckets that one process surveys or aggregates.
    pub buckets_per_task: u32,
    /// Consecutive buckets that one process makes lists of; each process loads the model once.
    pub recommend_buckets_per_task: u32,
    /// Parts that pairs of items are counted in, a task each; 0: where the model is trained.
    pub item_parts: u32,
    /// More settings of spark-submit, above those of `steps.json`.
    pub conf: BTreeMap<String, String>,
}

impl Default for SparkConfig {
    fn default() -> Self {
        Self {
            worker_threads: 4,
            worker_memory_mb: 10_240,
            executor_cores: 4,
            executor_memory_mb: 1_024,
            shuffle_memory_mb: 9_216,
            max_executors: 0,
            speculation: true,
            buckets_per_task: 1,
            recommend_buckets_per_task: 4,
            item_parts: 0,
            conf: BTreeMap::new(),
        }
    }
}

/// `[emr.create]`: the cluster that `--create` makes, and that ends when the run does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CreateConfig {
    /// EMR release; 7.x has Spark 3.5, spark-8.0 has Spark 4.0.
    pub release_label: String,
    /// Where EMR keeps logs: `s3://bucket/prefix`. Without it `emr logs` has nothing to read.
    pub log_uri: Option<String>,
    /// Role of the EMR service.
    pub service_role: String,
    /// Instance profile of the nodes.
    pub instance_profile: String,
    /// Subnets; with instance fleets EMR picks one, with groups there must be one.
    pub subnets: Vec<String>,
    /// Tags, beside those that nightshelf sets.
    pub tags: BTreeMap<String, String>,
    /// Keeps the cluster when the run is done.
    pub keep_alive: bool,
    /// Ends a kept cluster that was idle for so many seconds; 0: never.
    pub idle_timeout_s: u32,
    /// Steps at once; above 1 a run is one step.
    pub step_concurrency: u32,
    /// Scripts that run on every node before Spark starts.
    pub bootstrap: Vec<BootstrapConfig>,
    /// Instance fleets (several types, spot and on demand mixed) instead of instance groups.
    pub fleets: bool,
    /// The primary node, which plans, trains and seals: memory for the model.
    #[serde(deserialize_with = "primary_group")]
    pub primary: GroupConfig,
    /// Core nodes, which have HDFS and never leave before the cluster does.
    #[serde(deserialize_with = "core_group")]
    pub core: GroupConfig,
    /// Task nodes, which only compute; none by default.
    #[serde(deserialize_with = "task_group")]
    pub task: GroupConfig,
    /// EMR's managed scaling.
    pub managed_scaling: ScalingConfig,
    /// Anything else of RunJobFlow, as the API spells it; laid over the request.
    pub request: serde_json::Map<String, serde_json::Value>,
}

/// So many nodes of a type.
fn nodes(instance_type: &str, on_demand: u32) -> GroupConfig {
    GroupConfig { instance_types: vec![instance_type.to_owned()], on_demand, ..GroupConfig::default() }
}

/// A group of which the config names only some keys: the others stay those of `base`.
fn partial<'de, D: Deserializer<'de>>(from: D, base: GroupConfig) -> Result<GroupConfig, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Partial {
        instance_types: Option<Vec<String>>,
        on_demand: Option<u32>,
        spot: Option<u32>,
        spot_bid_percent: Option<f64>,
        spot_timeout_minutes: Option<u32>,
    }
    let given = Partial::deserialize(from)?;
    Ok(GroupConfig {
        instance_types: given.instance_types.unwrap_or(base.instance_types),
        on_demand: given.on_demand.unwrap_or(base.on_demand),
        spot: given.spot.unwrap_or(base.spot),
        spot_bid_percent: given.spot_bid_percent.unwrap_or(base.spot_bid_percent),
        spot_timeout_minutes: given.spot_timeout_minutes.unwrap_or(base.spot_timeout_minutes),
    })
}

fn primary_group<'de, D: Deserializer<'de>>(from: D) -> Result<GroupConfig, D::Error> {
    partial(from, CreateConfig::default().primary)
}

fn core_group<'de, D: Deserializer<'de>>(from: D) -> Result<GroupConfig, D::Error> {
    partial(from, CreateConfig::default().core)
}

fn task_group<'de, D: Deserializer<'de>>(from: D) -> Result<GroupConfig, D::Error> {
    partial(from, CreateConfig::default().task)
}

impl Default for CreateConfig {
    fn default() -> Self {
        Self {
            release_label: "emr-7.13.0".into(),
            log_uri: None,
            service_role: "NightshelfEmrService".into(),
            instance_profile: "NightshelfEmrNode".into(),
            subnets: Vec::new(),
            tags: BTreeMap::new(),
            keep_alive: false,
            idle_timeout_s: 3_600,
            step_concurrency: 1,
            bootstrap: Vec::new(),
            fleets: false,
            primary: nodes("r6i.4xlarge", 1),
            core: nodes("m6i.2xlarge", 4),
            task: GroupConfig::default(),
            managed_scaling: ScalingConfig::default(),
            request: serde_json::Map::new(),
        }
    }
}

/// A script that runs on every node of a new cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootstrapConfig {
    /// Name, for people.
    pub name: String,
    /// The script: `s3://bucket/key`.
    pub path: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
}

/// Nodes of one role.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupConfig {
    /// Instance types; one for a group, up to five or more for a fleet.
    pub instance_types: Vec<String>,
    /// Nodes on demand.
    pub on_demand: u32,
    /// Nodes on the spot market.
    pub spot: u32,
    /// Most to pay for a spot node, in percent of its price on demand; 0: that price.
    pub spot_bid_percent: f64,
    /// Fleets: minutes to wait for spot nodes before on-demand ones are taken.
    pub spot_timeout_minutes: u32,
}

/// A group's nodes, by market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capacity {
    /// None.
    Empty,
    /// On demand only.
    OnDemand(u32),
    /// Spot only.
    Spot(u32),
    /// Both.
    Mixed {
        /// On demand.
        on_demand: u32,
        /// Spot.
        spot: u32,
    },
}

impl GroupConfig {
    /// How many nodes of which market.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        match (self.on_demand, self.spot) {
            (0, 0) => Capacity::Empty,
            (on_demand, 0) => Capacity::OnDemand(on_demand),
            (0, spot) => Capacity::Spot(spot),
            (on_demand, spot) => Capacity::Mixed { on_demand, spot },
        }
    }
}

/// EMR's managed scaling: nodes, over core and task together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScalingConfig {
    /// Fewest nodes; 0 turns managed scaling off.
    pub min: u32,
    /// Most nodes.
    pub max: u32,
    /// Most nodes on demand; 0: all of them.
    pub max_on_demand: u32,
    /// Most core nodes; 0: all of them.
    pub max_core: u32,
}

/// What an instance costs, in US dollars an hour on demand.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstancePrice {
    /// EC2's price.
    pub ec2: f64,
    /// EMR's charge on top.
    pub emr: f64,
    /// Virtual CPUs.
    pub vcpus: u32,
}

impl InstancePrice {
    /// List prices of us-east-1 in November 2026, from secondary sources; look them up before a decision hangs on them.
    fn listed() -> BTreeMap<String, Self> {
        [
            ("m5.xlarge", 0.192, 0.048, 4),
            ("m6g.2xlarge", 0.308, 0.077, 8),
            ("m6i.2xlarge", 0.384, 0.096, 8),
            ("m6i.4xlarge", 0.768, 0.192, 16),
            ("r6i.4xlarge", 1.008, 0.252, 16),
            ("r6i.16xlarge", 4.032, 1.008, 64),
        ]
        .into_iter()
        .map(|(name, ec2, emr, vcpus)| (name.to_owned(), Self { ec2, emr, vcpus }))
        .collect()
    }
}

fn within(path: &str, key: &str, value: u64, low: u64, high: u64) -> Result<(), String> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(format!("{path}.{key} must be {low} to {high}, is {value}"))
}

fn on_s3(path: &str, key: &str, value: Option<&str>) -> Result<(), String> {
    match value {
        Some(value) if !value.starts_with("s3://") || value.len() < 6 => {
            Err(format!("{path}.{key} must be s3://bucket/prefix, is {value}"))
        }
        _ => Ok(()),
    }
}

impl EmrConfig {
    /// Checks the values; `path` is the section's name in the config.
    ///
    /// # Errors
    /// The key's full path, what it must be and what it is.
    pub fn check(&self, path: &str) -> Result<(), String> {
        on_s3(path, "work", self.work.as_deref())?;
        // It stands in commands of a shell.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=+".contains(&byte);
        if let Some(work) = self.work.as_deref().filter(|work| !work.bytes().all(plain)) {
            return Err(format!("{path}.work must hold only letters, digits and -_./=+, is {work}"));
        }
        if let Some(cluster) = &self.cluster
            && !cluster.starts_with("j-")
        {
            return Err(format!("{path}.cluster must be a cluster's id such as j-2AXXXXXXGAPLF, is {cluster}"));
        }
        within(path, "timeout_ms", self.timeout_ms, 10, 600_000)?;
        within(path, "poll_ms", self.poll_ms, 10, 3_600_000)?;
        within(path, "settle_ms", self.settle_ms, 0, 600_000)?;
        if let Some(url) = &self.endpoint_url
            && !url.starts_with("http://")
            && !url.starts_with("https://")
        {
            return Err(format!("{path}.endpoint_url must start with http:// or https://, is `{url}`"));
        }
        self.retry.check(&format!("{path}.retry"))?;
        self.spark.check(&format!("{path}.spark"))?;
        self.create.check(&format!("{path}.create"))?;
        for (name, price) in &self.prices {
            if !(0.0..1e4).contains(&price.ec2) || !(0.0..1e4).contains(&price.emr) || price.vcpus == 0 {
                return Err(format!("{path}.prices.{name} must be dollars an hour, 0 or more, and vcpus above 0"));
            }
        }
        self.rates.check(&format!("{path}.rates"))
    }
}

impl SparkConfig {
    fn check(&self, path: &str) -> Result<(), String> {
        within(path, "worker_threads", self.worker_threads.into(), 1, 256)?;
        within(path, "worker_memory_mb", self.worker_memory_mb.into(), 128, 4 << 20)?;
        within(path, "executor_cores", self.executor_cores.into(), 1, 256)?;
        within(path, "executor_memory_mb", self.executor_memory_mb.into(), 480, 1 << 20)?;
        within(path, "shuffle_memory_mb", self.shuffle_memory_mb.into(), 480, 1 << 20)?;
        within(path, "buckets_per_task", self.buckets_per_task.into(), 1, 65_536)?;
        within(path, "recommend_buckets_per_task", self.recommend_buckets_per_task.into(), 1, 65_536)?;
        within(path, "item_parts", self.item_parts.into(), 0, 65_535)?;
        if !self.executor_cores.is_multiple_of(self.worker_threads) {
            return Err(format!(
                "{path}.executor_cores must be a multiple of worker_threads, they are {} and {}",
                self.executor_cores, self.worker_threads
            ));
        }
        match self.conf.keys().find(|key| key.is_empty() || key.contains(['=', ' '])) {
            Some(key) => Err(format!("{path}.conf: `{key}` is no name of a setting")),
            None => Ok(()),
        }
    }

    /// Memory beside the heap of an executor that runs worker processes, in MiB.
    #[must_use]
    pub fn overhead_mb(&self) -> u64 {
        // What Python and the JVM themselves take outside the heap.
        const BASE_MB: u64 = 512;
        u64::from(self.executor_cores / self.worker_threads) * u64::from(self.worker_memory_mb) + BASE_MB
    }
}

impl CreateConfig {
    fn check(&self, path: &str) -> Result<(), String> {
        if !self.release_label.starts_with("emr-") {
            return Err(format!("{path}.release_label must look like emr-7.13.0, is {}", self.release_label));
        }
        on_s3(path, "log_uri", self.log_uri.as_deref())?;
        within(path, "step_concurrency", self.step_concurrency.into(), 1, 256)?;
        if self.idle_timeout_s != 0 {
            within(path, "idle_timeout_s", self.idle_timeout_s.into(), 60, 604_800)?;
        }
        for script in &self.bootstrap {
            on_s3(path, "bootstrap.path", Some(&script.path))?;
        }
        for (name, group, may_be_empty) in
            [("primary", &self.primary, false), ("core", &self.core, true), ("task", &self.task, true)]
        {
            let path = format!("{path}.{name}");
            let n_nodes = group.on_demand + group.spot;
            if name == "primary" {
                within(&path, "on_demand + spot", n_nodes.into(), 1, 1)?;
            }
            if n_nodes == 0 && may_be_empty {
                continue;
            }
            if group.instance_types.is_empty() {
                return Err(format!("{path}.instance_types must name an instance type"));
            }
            if !self.fleets && group.instance_types.len() > 1 {
                return Err(format!("{path}.instance_types must be one type, or emr.create.fleets true"));
            }
            if !self.fleets && matches!(group.capacity(), Capacity::Mixed { .. }) {
                return Err(format!("{path}: on_demand and spot in one group need emr.create.fleets = true"));
            }
            if !(0.0..=1_000.0).contains(&group.spot_bid_percent) {
                return Err(format!("{path}.spot_bid_percent must be 0 to 1000, is {}", group.spot_bid_percent));
            }
            if group.spot_timeout_minutes != 0 {
                within(&path, "spot_timeout_minutes", group.spot_timeout_minutes.into(), 5, 1_440)?;
            }
        }
        let scaling = &self.managed_scaling;
        if scaling.min > 0 && scaling.max < scaling.min {
            return Err(format!(
                "{path}.managed_scaling.max must be at least min, they are {} and {}",
                scaling.max, scaling.min
            ));
        }
        if !self.fleets && self.subnets.len() > 1 {
            return Err(format!("{path}.subnets must be one, or emr.create.fleets true"));
        }
        let machines: Vec<Machine> = self.instance_types().map(Machine::of_instance).collect();
        if machines.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(format!("{path}: instance types of both x86_64 and arm64, where one program is to run on all"));
        }
        Ok(())
    }

    /// All instance types of the cluster.
    pub fn instance_types(&self) -> impl Iterator<Item = &str> {
        let groups = [&self.primary, &self.core, &self.task];
        let used = groups.into_iter().filter(|group| group.capacity() != Capacity::Empty);
        used.flat_map(|group| group.instance_types.iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_pass_and_bad_values_are_named_with_their_full_path() {
        assert_eq!(EmrConfig::default().check("emr"), Ok(()));
        let wrong = |change: fn(&mut EmrConfig)| {
            let mut config = EmrConfig::default();
            change(&mut config);
            config.check("emr").unwrap_err()
        };
        assert!(wrong(|c| c.work = Some("/tmp".into())).starts_with("emr.work must be s3://"));
        assert!(wrong(|c| c.work = Some("s3://shop/a b".into())).starts_with("emr.work must hold only"));
        assert!(wrong(|c| c.cluster = Some("night".into())).starts_with("emr.cluster must be"));
        assert!(wrong(|c| c.spark.executor_cores = 6).starts_with("emr.spark.executor_cores must be a multiple"));
        assert!(wrong(|c| c.create.core.spot = 2).starts_with("emr.create.core: on_demand and spot"));
        assert!(wrong(|c| c.create.primary.on_demand = 2).starts_with("emr.create.primary.on_demand"));
        assert!(wrong(|c| c.create.core.instance_types.clear()).starts_with("emr.create.core.instance_types"));
        let mixed = wrong(|c| c.create.core.instance_types = vec!["m7g.2xlarge".into()]);
        assert!(mixed.contains("both x86_64 and arm64"), "{mixed}");
        assert!(wrong(|c| c.retry.max_attempts = 0).starts_with("emr.retry.max_attempts"));
    }

    #[test]
    fn a_group_that_is_named_in_part_keeps_the_rest() {
        let config: EmrConfig =
            toml::from_str("[create.core]\non_demand = 9\n[create.primary]\ninstance_types = ['r6i.16xlarge']")
                .unwrap();
        assert_eq!(config.create.core, nodes("m6i.2xlarge", 9));
        assert_eq!(config.create.primary, nodes("r6i.16xlarge", 1));
        assert!(toml::from_str::<EmrConfig>("[create.core]\nnodes = 9").is_err());
    }

    #[test]
    fn processes_have_their_memory_beside_the_heap() {
        let config =
            SparkConfig { executor_cores: 8, worker_threads: 4, worker_memory_mb: 1_000, ..SparkConfig::default() };
        assert_eq!(config.overhead_mb(), 2_512);
    }
}
