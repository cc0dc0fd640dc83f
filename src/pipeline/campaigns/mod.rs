//! Campaign lists: after the lists of a build, from its own files, bucket by bucket; then one merge a campaign.

mod ask;
mod buckets;
mod crew;
mod customers;
mod lists;
mod measure;
mod past;
mod shop;

use std::collections::BTreeMap;

use serde::Serialize;

pub use ask::{
    CampaignLine, Exported, Member, MemberItem, Overlap, WhyCampaign, export, list, members, overlap, preview, why,
};
pub use measure::{Measurement, measure_campaigns};

use crate::{
    artifacts::{InputContent, InputObserved, ItemTable, RunWriter, RunsRoot},
    campaigns::{Affinity, Funnel, Plan, Rule},
    config::Config,
    customers::CustomersRead,
    interactions::{Kind, Stamp},
    model::TrainedModel,
    storage::Storage,
};

use super::{PipelineError, model_files::scorer, observer::Stages};

/// What campaigns are made from, besides the run's files.
pub(super) struct CampaignInputs<'a> {
    pub(super) config: &'a Config,
    pub(super) storage: &'a Storage,
    pub(super) root: &'a RunsRoot,
    pub(super) run: &'a RunWriter,
    pub(super) kinds: &'a [Kind],
    pub(super) as_of: Option<Stamp>,
    pub(super) items: &'a ItemTable,
    pub(super) model: &'a TrainedModel,
    /// `None` when the config names no customers.
    pub(super) customers: Option<&'a CustomersRead>,
}

/// One campaign of a run.
#[derive(Debug, Clone, Serialize)]
pub struct CampaignFacts {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Who fell where.
    #[serde(flatten)]
    pub funnel: Funnel,
}

/// What came out.
#[derive(Debug, Clone, Default)]
pub(super) struct CampaignsDone {
    /// The highest priority first.
    pub(super) campaigns: Vec<CampaignFacts>,
    /// n x n: users that both campaigns matched.
    pub(super) overlap: Vec<u64>,
    pub(super) warnings: Vec<String>,
    pub(super) inputs: Vec<InputContent>,
    pub(super) inputs_observed: Vec<InputObserved>,
    /// (run, as of, people to write to by campaign) of earlier runs, oldest first.
    pub(super) earlier_sizes: Vec<EarlierSizes>,
}

/// How many people the campaigns of an earlier run were to write to.
#[derive(Debug, Clone, Default)]
pub(super) struct EarlierSizes {
    pub(super) as_of: String,
    pub(super) send: BTreeMap<String, u64>,
}

/// Makes the campaign lists of a build; nothing without campaigns.
pub(super) fn make_campaigns(
    inputs: &CampaignInputs<'_>,
    stages: &mut Stages<'_>,
) -> Result<CampaignsDone, PipelineError> {
    let (config, kinds) = (inputs.config, inputs.kinds);
    if !config.campaign.iter().any(|campaign| campaign.enabled) {
        return Ok(CampaignsDone::default());
    }
    let mut done = CampaignsDone::default();
    let mut schema = config.campaign_schema(kinds);
    match inputs.customers {
        None => done.warnings.push("no customers are configured: nobody was asked for consent to campaigns".into()),
        Some(CustomersRead { table: Some(table), .. }) => customers::add_types(table, &mut schema)?,
        Some(_) => {
            // Whoever has unsubscribed is not known tonight.
            done.warnings
                .push("customers could not be read, so nobody's consent is known: no campaign lists were made".into());
            return Ok(done);
        }
    }
    let plan = Plan::new(&config.campaigns, &config.campaign, &schema).map_err(PipelineError::Config)?;
    plan.check_times(inputs.as_of.is_some())?;
    let past = past::find(inputs, &plan, &mut done)?;
    let shop = shop::open(inputs, &plan, &past, &mut done)?;
    let n_buckets = config.interactions.n_buckets as u64;
    let selected = stages.run("campaigns", Some(n_buckets), "buckets", |on| {
        let affinity = plan
            .any(|rule| matches!(rule, Rule::ItemAffinity { .. }))
            .then(|| Affinity::new(scorer(inputs.model), &shop, &plan));
        buckets::select_all(inputs, &plan, &shop, &past, affinity.as_ref(), on).map(|selected| (selected, n_buckets))
    })?;
    done.overlap.clone_from(&selected.overlap);
    let funnels = stages.run("campaign lists", None, "members", |_| {
        lists::write_all(inputs, &plan, &past, selected).map(|funnels| {
            let n_members = funnels.iter().map(|funnel| funnel.send + funnel.holdout).sum();
            (funnels, n_members)
        })
    })?;
    for (campaign, funnel) in plan.campaigns.iter().zip(funnels) {
        let (name, kind) = (campaign.config.name.clone(), campaign.config.kind.name().to_owned());
        if funnel.matched == 0 {
            done.warnings.push(format!("campaign {name} matches nobody: {}", funnel.words()));
        } else if funnel.send == 0 {
            done.warnings.push(format!("campaign {name} has nobody to write to: {}", funnel.words()));
        }
        done.campaigns.push(CampaignFacts { name, kind, funnel });
    }
    Ok(done)
}
