//! The campaigns of a config, read, checked and in the order in which they choose.

use super::{BucketUsers, CampaignConfig, CampaignError, CampaignsConfig, Condition, Expression, Rule, Schema};

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
    pub(super) fn audience(&self, users: &BucketUsers) -> Result<Option<Vec<bool>>, CampaignError> {
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
