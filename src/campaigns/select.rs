//! Selection: of one bucket's users the candidates of each campaign.
//!
//! Order: audience and rule, consent, something to write about, caps, priority. The size limit comes with the merge of all
//! buckets. Every candidate that falls is counted at the step where he fell.

use super::{
    Affinity, BucketUsers, CampaignConfig, CampaignError, CampaignsConfig, Condition, Expression, Funnel, Lists,
    Refusal, Rule, Schema, Shop, Step, arm_of,
    propose::{Proposal, Proposer, RuleColumns},
    words::{reason, variables},
};
use crate::recommendations::Arm;

/// A campaign, read and checked.
#[derive(Debug, Clone)]
pub struct Planned {
    /// As configured.
    pub config: CampaignConfig,
    /// Its kind with parameters.
    pub rule: Rule,
    /// Who may be in it.
    pub audience: Option<Condition>,
    /// What orders its members, instead of the rule's own score.
    pub order_by: Option<Expression>,
    /// Its place among all campaigns of the config, those that are not enabled included.
    pub place: u16,
}

impl Planned {
    /// By user: whether he is in the audience; `None` without a condition.
    fn audience(&self, users: &BucketUsers) -> Result<Option<Vec<bool>>, CampaignError> {
        let holds = |it: &Condition| it.holds(&users.table, &format!("{}.audience", self.config.path()));
        self.audience.as_ref().map(holds).transpose()
    }
}

/// The campaigns of a config, the highest priority first.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What holds for all.
    pub config: CampaignsConfig,
    /// Those that are enabled: priority descending, then as in the config.
    pub campaigns: Vec<Planned>,
}

impl Plan {
    /// Reads the campaigns.
    ///
    /// # Errors
    /// The key's full path, and what is wrong with it.
    pub fn new(config: &CampaignsConfig, campaigns: &[CampaignConfig], schema: &Schema) -> Result<Self, String> {
        let mut planned = Vec::new();
        for (place, campaign) in (0u16..).zip(campaigns).filter(|(_, campaign)| campaign.enabled) {
            let (audience, order_by) = campaign.compile(schema)?;
            planned.push(Planned { config: campaign.clone(), rule: Rule::of(campaign)?, audience, order_by, place });
        }
        planned.sort_by_key(|campaign| (std::cmp::Reverse(campaign.config.priority), campaign.place));
        Ok(Self { config: config.clone(), campaigns: planned })
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.campaigns.is_empty()
    }

    /// Whether any rule is so.
    #[must_use]
    pub fn any(&self, is: fn(&Rule) -> bool) -> bool {
        self.campaigns.iter().any(|campaign| is(&campaign.rule))
    }

    /// Refuses campaigns and caps that go by times, where events carry none.
    ///
    /// # Errors
    /// The first of them.
    pub fn check_times(&self, timed: bool) -> Result<(), CampaignError> {
        if timed {
            return Ok(());
        }
        for campaign in &self.campaigns {
            let what = if campaign.rule.needs_times() {
                "its kind"
            } else if campaign.config.cap.is_some() {
                "its cap"
            } else if self.config.max_contacts.is_some() {
                "campaigns.max_contacts"
            } else {
                continue;
            };
            return Err(CampaignError::NoTimes { name: campaign.config.name.clone(), what });
        }
        Ok(())
    }
}

/// A candidate of a campaign.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// His place in the bucket.
    pub user: u32,
    /// The more the better.
    pub score: f32,
    /// Whether he is written to.
    pub arm: Arm,
    /// Items of the shop with scores, best first.
    pub items: Vec<(u32, f32)>,
    /// Why, for people.
    pub reason: String,
    /// Template variables, a JSON object.
    pub variables: String,
}

/// What a bucket has of one campaign.
#[derive(Debug, Clone, Default)]
pub struct BucketCampaign {
    /// Counts; `size`, `holdout` and `send` come with the merge.
    pub funnel: Funnel,
    /// Score descending, then user id.
    pub candidates: Vec<Candidate>,
}

/// What a bucket has, campaigns in the order of the plan.
#[derive(Debug, Clone, Default)]
pub struct BucketSelection {
    /// By campaign.
    pub campaigns: Vec<BucketCampaign>,
    /// (user, campaign of the plan, step), users ascending: who matched, and what became of him.
    pub steps: Vec<(u32, u16, Step)>,
    /// n x n: users that both campaigns matched; on the diagonal those that one did.
    pub overlap: Vec<u64>,
}

/// Selects one bucket's candidates.
///
/// A user is in at most `max_campaigns_per_user` campaigns tonight, the ones of highest priority that he got through to.
/// Whoever is held out takes his place and counts as contacted like everybody else, so that both arms live under the same
/// rules and differ in the mail alone.
///
/// Determinism: a user's outcome depends on himself, the shop and the plan alone.
///
/// # Errors
/// A column that a condition names and the users do not have, columns of unlike length.
pub fn select(
    plan: &Plan,
    shop: &Shop,
    users: &BucketUsers,
    affinity: Option<&Affinity<'_>>,
) -> Result<BucketSelection, CampaignError> {
    users.check()?;
    let n = plan.campaigns.len();
    let audiences = plan.campaigns.iter().map(|campaign| campaign.audience(users)).collect::<Result<Vec<_>, _>>()?;
    let mut liked = affinity.map(|affinity| affinity.liked(users, &audiences)).unwrap_or_default();
    liked.resize_with(n, Lists::default);
    let prepared = plan
        .campaigns
        .iter()
        .zip(audiences.into_iter().zip(liked))
        .map(|(campaign, (audience, liked))| Prepared::new(campaign, shop, users, audience, liked))
        .collect::<Result<Vec<_>, _>>()?;
    let columns = RuleColumns::of(users);
    let tonight = shop.as_of.map(|as_of| as_of.day());
    let mut out =
        BucketSelection { campaigns: vec![BucketCampaign::default(); n], steps: Vec::new(), overlap: vec![0; n * n] };
    let mut matched = Vec::new();
    for user in 0..users.len() {
        let past = Past::of(plan, users, user, tonight);
        let mut n_tonight = 0;
        matched.clear();
        for (at, campaign) in prepared.iter().enumerate() {
            let funnel = &mut out.campaigns[at].funnel;
            funnel.users += 1;
            if !campaign.audience.as_ref().is_none_or(|holds| holds[user]) {
                funnel.outside_audience += 1;
                continue;
            }
            let liked = campaign.liked.of(user);
            let Some(proposal) = campaign.proposer.propose(users, &columns, user, liked) else {
                funnel.outside_rule += 1;
                continue;
            };
            funnel.matched += 1;
            matched.push(at);
            let step = campaign.step(users, user, &proposal, &past, n_tonight, &plan.config);
            funnel.count(step);
            out.steps.push((user as u32, at as u16, step));
            if step == Step::Candidate {
                n_tonight += 1;
                let candidate = campaign.candidate(users, user, proposal, shop, &plan.config);
                out.campaigns[at].candidates.push(candidate);
            }
        }
        for &a in &matched {
            for &b in &matched {
                out.overlap[a * n + b] += 1;
            }
        }
    }
    for campaign in &mut out.campaigns {
        // Users come in the order of their ids, and the sort keeps it among equal scores.
        campaign.candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    }
    Ok(out)
}

/// A campaign with what was computed for the whole bucket.
struct Prepared<'a> {
    campaign: &'a Planned,
    proposer: Proposer<'a>,
    audience: Option<Vec<bool>>,
    order_by: Option<Vec<Option<f64>>>,
    liked: Lists<(u32, f32)>,
    refusals: Option<&'a Vec<Option<Refusal>>>,
    has_customers: bool,
}

impl<'a> Prepared<'a> {
    fn new(
        campaign: &'a Planned,
        shop: &'a Shop,
        users: &'a BucketUsers,
        audience: Option<Vec<bool>>,
        liked: Lists<(u32, f32)>,
    ) -> Result<Self, CampaignError> {
        let path = campaign.config.path();
        let order_by =
            campaign.order_by.as_ref().map(|it| it.numbers(&users.table, &format!("{path}.order_by"))).transpose()?;
        let proposer = Proposer::new(&campaign.rule, shop, campaign.config.items);
        let refusals = users.refusals.as_ref();
        Ok(Self {
            campaign,
            proposer,
            audience,
            order_by,
            liked,
            refusals: refusals.and_then(|by_channel| by_channel.get(&campaign.config.channel)),
            has_customers: refusals.is_some(),
        })
    }

    /// Where the candidate falls.
    fn step(
        &self,
        users: &BucketUsers,
        user: usize,
        proposal: &Proposal,
        past: &Past,
        n_tonight: u32,
        config: &CampaignsConfig,
    ) -> Step {
        let refusal = match self.refusals {
            Some(refusals) => refusals[user],
            // Customers are known, and nobody ever agreed to this channel.
            None => self.has_customers.then_some(Refusal::NoConsent),
        };
        if let Some(refusal) = refusal {
            return Step::Consent(refusal);
        }
        if proposal.items.is_empty() {
            return Step::Items;
        }
        let own = self.campaign.config.cap;
        if own.is_some_and(|cap| past.times(users, user, Some(self.campaign.place), cap.days) >= cap.contacts) {
            return Step::Cap;
        }
        if config.max_contacts.is_some_and(|most| past.in_all + n_tonight >= most) {
            return Step::Cap;
        }
        if n_tonight >= config.max_campaigns_per_user {
            return Step::Priority;
        }
        Step::Candidate
    }

    fn candidate(
        &self,
        users: &BucketUsers,
        user: usize,
        proposal: Proposal,
        shop: &Shop,
        config: &CampaignsConfig,
    ) -> Candidate {
        let own = &self.campaign.config;
        let score = match &self.order_by {
            // Unknown is nothing.
            Some(values) => values[user].unwrap_or(0.0),
            None => proposal.score,
        };
        let score = (score as f32).clamp(f32::MIN, f32::MAX);
        Candidate {
            user: user as u32,
            // One zero: -0 would come after it.
            score: if score == 0.0 || score.is_nan() { 0.0 } else { score },
            arm: arm_of(users.ids.get(user), &own.name, &config.holdout_salt, own.holdout),
            reason: reason(&proposal.why, shop, own.audience.as_deref()),
            variables: variables(&proposal.why, &proposal.items, shop),
            items: proposal.items,
        }
    }
}

/// A user's campaigns of earlier nights.
struct Past {
    tonight: Option<u32>,
    /// Campaigns within `contact_days`.
    in_all: u32,
}

impl Past {
    fn of(plan: &Plan, users: &BucketUsers, user: usize, tonight: Option<u32>) -> Self {
        let mut past = Self { tonight, in_all: 0 };
        past.in_all = past.times(users, user, None, plan.config.contact_days);
        past
    }

    /// How often within `days`, tonight's not counted, by one campaign or by any.
    fn times(&self, users: &BucketUsers, user: usize, campaign: Option<u16>, days: u32) -> u32 {
        let Some(tonight) = self.tonight else { return 0 };
        let contacts = users.contacts.of(user).iter();
        let counts = contacts.filter(|contact| {
            contact.night < tonight
                && contact.night + days > tonight
                && (campaign.is_none() || contact.campaign == campaign)
        });
        counts.count() as u32
    }
}
