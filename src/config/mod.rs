//! Config: defaults < TOML file < environment < flags, then frozen.
//!
//! In: a file's text, variables, `--set` flags. Out: one checked [`Config`].
//! Refuses: keys it does not know, secrets, and values that a stage would trip over later.

mod error;
mod load;
mod template;

use serde::{Deserialize, Serialize};

pub use error::ConfigError;
pub use load::{Loaded, Overrides, load};
pub use template::TEMPLATE;

use crate::{
    artifacts::RunsRoot,
    campaigns::{CampaignConfig, CampaignsConfig, ColumnType, Schema},
    catalog::CatalogConfig,
    cluster::EmrConfig,
    customers::CustomersConfig,
    evaluation::EvaluationConfig,
    events::{EventsConfig, OrdersConfig, PurchaseSource, parse_instant},
    interactions::{EventTypes, InteractionsConfig, Kind, Role, kinds},
    model::ModelConfig,
    publish::PublishConfig,
    recommendations::RecommendConfig,
    storage::{S3Config, Storage},
    tuning::TuneConfig,
};

/// Everything that a build depends on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the work happens.
    pub build: BuildConfig,
    /// The clickstream.
    pub events: EventsConfig,
    /// Order lines, where they count as purchases.
    pub orders: OrdersConfig,
    /// Who may be written to, and what the shop knows of them.
    pub customers: CustomersConfig,
    /// What events weigh; empty for the preset's table.
    pub event_types: EventTypes,
    /// How events become interactions.
    pub interactions: InteractionsConfig,
    /// The catalogue.
    pub catalog: CatalogConfig,
    /// Which model, and its parameters.
    pub model: ModelConfig,
    /// Lists and rules.
    pub recommendations: RecommendConfig,
    /// What holds for all campaigns.
    pub campaigns: CampaignsConfig,
    /// The campaigns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub campaign: Vec<CampaignConfig>,
    /// What `evaluate` measures, and on what.
    pub evaluation: EvaluationConfig,
    /// Where runs go.
    pub publish: PublishConfig,
    /// How settings are searched.
    pub tune: TuneConfig,
    /// How S3 is reached.
    pub s3: S3Config,
    /// How builds run on EMR.
    pub emr: EmrConfig,
}

/// `[build]`: where the work happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BuildConfig {
    /// Directory of run directories, or `s3://bucket/prefix`.
    pub runs: String,
    /// Directory where runs on their way to S3 are written first; without it the system's for temporary files.
    pub scratch: Option<String>,
    /// Threads; 0 takes one a core. The result does not depend on it.
    pub threads: usize,
    /// Memory, in MiB, for the interactions that a task of `worker pairs` or `train` has at once, where pairs of items are
    /// counted apart; without it all of them. The result does not depend on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_budget_mib: Option<u64>,
    /// Number of example users shown in the report.
    pub example_users: usize,
}

impl Default for BuildConfig {
    fn default() -> Self {
        Self { runs: "runs".into(), scratch: None, threads: 0, memory_budget_mib: None, example_users: 5 }
    }
}

impl Config {
    /// Checks every value that can be checked without reading data.
    ///
    /// # Errors
    /// The key's full path, what it must be and what it is.
    pub fn check(&self) -> Result<(), String> {
        if self.build.runs.is_empty() {
            return Err("build.runs must name a directory".into());
        }
        // Nothing is asked of S3 for this.
        RunsRoot::parse(&self.build.runs, &Storage::default()).map_err(|error| format!("build.runs: {error}"))?;
        if self.build.scratch.as_deref().is_some_and(|path| path.is_empty() || path.contains("://")) {
            return Err("build.scratch must name a local directory".into());
        }
        if self.build.threads > 1_024 {
            return Err(format!("build.threads must be 0 (one a core) to 1024, is {}", self.build.threads));
        }
        if self.build.memory_budget_mib.is_some_and(|mib| !(1..=1 << 40).contains(&mib)) {
            return Err("build.memory_budget_mib must be at least 1; leave it out for no limit".into());
        }
        self.events.check("events")?;
        self.orders.check("orders")?;
        self.customers.check("customers")?;
        self.interactions.check("interactions")?;
        let kinds = self.kinds()?;
        self.check_types(&kinds)?;
        self.catalog.check("catalog")?;
        self.model.check("model")?;
        self.recommendations.check("recommendations")?;
        self.check_campaigns(&kinds)?;
        self.evaluation.check("evaluation")?;
        for text in &self.evaluation.test_starts {
            parse_instant(text, false).map_err(|why| format!("evaluation.test_starts: {why}"))?;
        }
        if let Some(name) = self.evaluation.test_types.iter().find(|name| !kinds.iter().any(|kind| kind.name == **name))
        {
            let known = kinds.iter().map(|kind| kind.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(format!("evaluation.test_types must be of {known}, one is {name}"));
        }
        self.publish.check("publish")?;
        self.tune.check("tune")?;
        self.s3.check("s3")?;
        self.emr.check("emr")
    }

    /// The event types in the order of their names: the preset's where the config has none.
    ///
    /// # Errors
    /// The key's full path, what it must be and what it is.
    pub fn kinds(&self) -> Result<Vec<Kind>, String> {
        if self.event_types.is_empty() {
            kinds(&self.events.preset.event_types(), &self.interactions)
        } else {
            kinds(&self.event_types, &self.interactions)
        }
    }

    /// The columns that conditions of campaigns may name: those of profiles, and of customers. Types of attributes are those
    /// of the data.
    #[must_use]
    pub fn campaign_schema(&self, kinds: &[Kind]) -> Schema {
        let mut schema = Schema::of_profiles(&kinds.iter().map(|kind| kind.name.as_str()).collect::<Vec<_>>());
        if self.customers.is_set() {
            for name in self.customers.column_names() {
                let column_type = match name.as_str() {
                    _ if self.customers.attributes.contains_key(&name) => ColumnType::Any,
                    "user_id" | "locale" => ColumnType::Text,
                    "created_at" => ColumnType::Instant,
                    _ => ColumnType::Boolean,
                };
                schema.put(&name, column_type);
            }
        }
        schema
    }

    fn check_campaigns(&self, kinds: &[Kind]) -> Result<(), String> {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name.as_str()).collect();
        let profiles = Schema::of_profiles(&names);
        self.campaigns.check("campaigns", &self.campaign, &self.campaign_schema(kinds))?;
        if self.campaign.is_empty() || !self.customers.is_set() {
            return Ok(());
        }
        if let Some(name) = self.customers.attributes.keys().find(|name| profiles.get(name).is_some()) {
            return Err(format!(
                "customers.attributes.{name}: profiles have a column of that name, and conditions of campaigns see both; give it \
                 another name"
            ));
        }
        let channels = &self.customers.consent;
        match self.campaign.iter().find(|campaign| !channels.contains_key(&campaign.channel)) {
            None => Ok(()),
            Some(campaign) => {
                let known: Vec<&str> = channels.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                Err(format!(
                    "campaign.{}.channel is {}, and customers.consent has {known}: nobody could have agreed to it",
                    campaign.name, campaign.channel
                ))
            }
        }
    }

    fn check_types(&self, kinds: &[Kind]) -> Result<(), String> {
        let names = || kinds.iter().map(|kind| kind.name.as_str()).collect::<Vec<_>>().join(", ");
        if !self.events.has_event_type_column() && kinds.len() != 1 {
            return Err(format!(
                "events.columns.event_type is \"\", so event_types must have one entry; it has {}",
                names()
            ));
        }
        if self.orders.purchases_from == PurchaseSource::Orders {
            match &self.orders.event_type {
                Some(name) if !kinds.iter().any(|kind| kind.name == *name) => {
                    return Err(format!("orders.event_type must be one of {}, is {name}", names()));
                }
                None if !kinds.iter().any(|kind| kind.role == Role::Purchase) => {
                    return Err(format!(
                        "orders.event_type must say what an order line counts as: none of {} has role purchase",
                        names()
                    ));
                }
                _ => {}
            }
            if !self.orders.refund_statuses.is_empty() && !kinds.iter().any(|kind| kind.role == Role::Refund) {
                return Err(format!(
                    "orders.refund_statuses needs an event type with role refund; there are {}",
                    names()
                ));
            }
        }
        if let Some(name) =
            self.events.ignored_types.iter().find(|name| kinds.iter().any(|kind| kind.names.contains(name)))
        {
            return Err(format!("events.ignored_types names `{name}`, which event_types counts"));
        }
        Ok(())
    }
}
