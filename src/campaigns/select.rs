//! Selection: of one bucket's users the candidates of each campaign.
//!
//! Order: audience and rule, consent, something to write about, caps, priority; where the model is asked what to write about,
//! that comes last. The size limit comes with the merge of all buckets. Every candidate that falls is counted at the step where he fell.

use super::{
    Affinity, BucketUsers, CampaignError, CampaignsConfig, Funnel, Plan, Planned, Refusal, Rule, Shop, Step, arm_of,
    propose::{Proposal, Proposer, RuleColumns, liked_items},
    words::{reason, variables},
};
use crate::recommendations::Arm;

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

/// Selects candidates, bucket by bucket. Made once for all buckets.
pub struct Selector<'a> {
    plan: &'a Plan,
    shop: &'a Shop,
    /// By campaign of the plan.
    proposers: Vec<Proposer<'a>>,
    affinity: Option<&'a Affinity<'a>>,
}

impl<'a> Selector<'a> {
    /// Takes out of the shop what the rules look at. `affinity`: for campaigns of kind `item_affinity`, which match nobody
    /// without it.
    #[must_use]
    pub fn new(plan: &'a Plan, shop: &'a Shop, affinity: Option<&'a Affinity<'a>>) -> Self {
        let proposer = |campaign: &'a Planned| Proposer::new(&campaign.rule, shop, campaign.config.items);
        Self { plan, shop, proposers: plan.campaigns.iter().map(proposer).collect(), affinity }
    }

    /// Selects one bucket's candidates.
    ///
    /// A user is in at most `max_campaigns_per_user` campaigns tonight, the ones of highest priority that he got through to.
    /// Whoever is held out takes his place and counts as contacted like everybody else, so that both arms live under the same
    /// rules and differ in the mail alone.
    ///
    /// Determinism: a user's outcome depends on himself, the shop and the plan alone.
    /// Cost: one pass over the users a campaign, highest priority first, so that the model is asked for those alone who came
    /// through the campaigns before.
    ///
    /// # Errors
    /// A column that a condition names and the users do not have, columns of unlike length.
    pub fn select(&self, users: &BucketUsers) -> Result<BucketSelection, CampaignError> {
        users.check()?;
        let columns = RuleColumns::of(users);
        let mut contacts = Contacts::of(self.shop, users);
        let mut out = BucketSelection::default();
        for at in 0..self.plan.campaigns.len() {
            let campaign = self.campaign(at, users, &columns, &mut contacts, &mut out.steps)?;
            out.campaigns.push(campaign);
        }
        out.steps.sort_unstable_by_key(|&(user, campaign, _)| (user, campaign));
        out.overlap = overlap(&out.steps, self.plan.campaigns.len());
        Ok(out)
    }

    /// Selects for one campaign, whose users' steps are appended in no order.
    fn campaign(
        &self,
        at: usize,
        users: &BucketUsers,
        columns: &RuleColumns,
        contacts: &mut Contacts<'_>,
        steps: &mut Vec<(u32, u16, Step)>,
    ) -> Result<BucketCampaign, CampaignError> {
        let planned = &self.plan.campaigns[at];
        let campaign = Prepared::new(planned, self.shop, users)?;
        let affinity = self.affinity.filter(|_| matches!(planned.rule, Rule::ItemAffinity { .. }));
        let mut out = BucketCampaign::default();
        // Those for whom the model is still to be asked.
        let mut asking = Vec::new();
        for user in 0..users.len() {
            out.funnel.users += 1;
            if !campaign.audience.as_ref().is_none_or(|holds| holds[user]) {
                out.funnel.outside_audience += 1;
                continue;
            }
            // A user that the model knows is matched; which items he likes is asked last, as it costs the most.
            let matched = match affinity {
                Some(affinity) => affinity.knows(users, user).then_some(None),
                None => self.proposers[at].propose(users, columns, user).map(Some),
            };
            let Some(proposal) = matched else {
                out.funnel.outside_rule += 1;
                continue;
            };
            out.funnel.matched += 1;
            let without_items = proposal.as_ref().is_some_and(|proposal| proposal.items.is_empty());
            let step = campaign.step(user, without_items, contacts, &self.plan.config);
            match proposal {
                Some(proposal) if step == Step::Candidate => {
                    contacts.n_tonight[user] += 1;
                    out.candidates.push(campaign.candidate(users, user, proposal, &self.plan.config));
                }
                None if step == Step::Candidate => {
                    asking.push(user);
                    continue;
                }
                _ => {}
            }
            out.funnel.count(step);
            steps.push((user as u32, at as u16, step));
        }
        if let Some(affinity) = affinity {
            let liked = affinity.liked(at, users, &asking);
            for (place, user) in asking.into_iter().enumerate() {
                let step = match liked_items(liked.of(place)) {
                    Some(proposal) => {
                        contacts.n_tonight[user] += 1;
                        out.candidates.push(campaign.candidate(users, user, proposal, &self.plan.config));
                        Step::Candidate
                    }
                    None => Step::Items,
                };
                out.funnel.count(step);
                steps.push((user as u32, at as u16, step));
            }
        }
        // Users come in the order of their ids, and the sort keeps it among equal scores.
        out.candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(out)
    }
}

/// n x n: users that both of two campaigns matched, out of steps in the order of users.
fn overlap(steps: &[(u32, u16, Step)], n: usize) -> Vec<u64> {
    let mut overlap = vec![0; n * n];
    for of_user in steps.chunk_by(|a, b| a.0 == b.0) {
        for &(_, a, _) in of_user {
            for &(_, b, _) in of_user {
                overlap[a as usize * n + b as usize] += 1;
            }
        }
    }
    overlap
}

/// A campaign with what was computed for the whole bucket.
struct Prepared<'a> {
    campaign: &'a Planned,
    shop: &'a Shop,
    audience: Option<Vec<bool>>,
    order_by: Option<Vec<Option<f64>>>,
    refusals: Option<&'a Vec<Option<Refusal>>>,
    has_customers: bool,
}

impl<'a> Prepared<'a> {
    fn new(campaign: &'a Planned, shop: &'a Shop, users: &'a BucketUsers) -> Result<Self, CampaignError> {
        let path = campaign.config.path();
        let order_by =
            campaign.order_by.as_ref().map(|it| it.numbers(&users.table, &format!("{path}.order_by"))).transpose()?;
        let refusals = users.refusals.as_ref();
        Ok(Self {
            campaign,
            shop,
            audience: campaign.audience(users)?,
            order_by,
            refusals: refusals.and_then(|by_channel| by_channel.get(&campaign.config.channel)),
            has_customers: refusals.is_some(),
        })
    }

    /// Where the candidate falls.
    fn step(&self, user: usize, without_items: bool, contacts: &Contacts<'_>, config: &CampaignsConfig) -> Step {
        let refusal = match self.refusals {
            Some(refusals) => refusals[user],
            // Customers are known, and nobody ever agreed to this channel.
            None => self.has_customers.then_some(Refusal::NoConsent),
        };
        if let Some(refusal) = refusal {
            return Step::Consent(refusal);
        }
        if without_items {
            return Step::Items;
        }
        let own = self.campaign.config.cap;
        if own.is_some_and(|cap| contacts.times(user, Some(self.campaign.place), cap.days) >= cap.contacts) {
            return Step::Cap;
        }
        let n_tonight = contacts.n_tonight[user];
        let within = |most| contacts.times(user, None, config.contact_days) + n_tonight >= most;
        if config.max_contacts.is_some_and(within) {
            return Step::Cap;
        }
        if n_tonight >= config.max_campaigns_per_user {
            return Step::Priority;
        }
        Step::Candidate
    }

    fn candidate(&self, users: &BucketUsers, user: usize, proposal: Proposal, config: &CampaignsConfig) -> Candidate {
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
            reason: reason(&proposal.why, self.shop, own.audience.as_deref()),
            variables: variables(&proposal.why, &proposal.items, self.shop),
            items: proposal.items,
        }
    }
}

/// The users' campaigns of earlier nights and of this one.
struct Contacts<'a> {
    users: &'a BucketUsers,
    tonight: Option<u32>,
    /// By user: campaigns that he is in tonight.
    n_tonight: Vec<u32>,
}

impl<'a> Contacts<'a> {
    fn of(shop: &Shop, users: &'a BucketUsers) -> Self {
        Self { users, tonight: shop.as_of.map(|as_of| as_of.day()), n_tonight: vec![0; users.len()] }
    }

    /// How often within `days`, tonight's not counted, by one campaign or by any.
    fn times(&self, user: usize, campaign: Option<u16>, days: u32) -> u32 {
        let Some(tonight) = self.tonight else { return 0 };
        let contacts = self.users.contacts.of(user).iter();
        let counts = contacts.filter(|contact| {
            contact.night < tonight
                && contact.night + days > tonight
                && (campaign.is_none() || contact.campaign == campaign)
        });
        counts.count() as u32
    }
}
