//! `[campaigns]` and the `[[campaign]]` tables.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Condition, Expression, Rule, Schema};

/// Campaigns of one config at most: a person's campaigns are kept as bits of one word.
pub const MAX_CAMPAIGNS: usize = 64;

/// `[campaigns]`: what holds for all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CampaignsConfig {
    /// A person is in at most so many campaigns of one night; the ones of higher priority win.
    pub max_campaigns_per_user: u32,
    /// A person is in at most so many campaigns within `contact_days`, tonight included; leave it out for no cap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_contacts: Option<u32>,
    /// The nights that `max_contacts` looks at, tonight included.
    pub contact_days: u32,
    /// Goes into the hash that decides who is held out. Another salt deals the arms anew.
    pub holdout_salt: String,
    /// Catalogue to compare prices and availability with; without it, that of an earlier run (see `compare_days`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier_catalog: Option<String>,
    /// Compare with the newest run that is at least so many days older than this one.
    pub compare_days: u32,
}

impl Default for CampaignsConfig {
    fn default() -> Self {
        Self {
            max_campaigns_per_user: 1,
            max_contacts: None,
            contact_days: 7,
            holdout_salt: "nightshelf".into(),
            earlier_catalog: None,
            compare_days: 1,
        }
    }
}

/// How often one campaign may reach a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// At most so many times...
    pub contacts: u32,
    /// ...within so many days, tonight included.
    pub days: u32,
}

/// What a campaign is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignKind {
    /// Put into the cart, not bought.
    AbandonedCart,
    /// Looked at, neither put into the cart nor bought.
    BrowseAbandonment,
    /// Bought once, not lately.
    WinBack,
    /// Of some RFM tiers.
    Rfm,
    /// The users who like given items, brands or categories best.
    ItemAffinity,
    /// New items in the user's favourite categories and brands.
    NewArrivals,
    /// Due to buy an item again.
    Replenishment,
    /// What goes with something bought.
    CrossSell,
    /// Looked at or in the cart, and cheaper now.
    PriceDrop,
    /// Looked at or in the cart while sold out, and there again.
    BackInStock,
    /// The user's recommendations.
    TopPicks,
    /// Whoever the audience condition says.
    Custom,
}

impl CampaignKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::AbandonedCart,
        Self::BrowseAbandonment,
        Self::WinBack,
        Self::Rfm,
        Self::ItemAffinity,
        Self::NewArrivals,
        Self::Replenishment,
        Self::CrossSell,
        Self::PriceDrop,
        Self::BackInStock,
        Self::TopPicks,
        Self::Custom,
    ];

    /// The name in the config.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AbandonedCart => "abandoned_cart",
            Self::BrowseAbandonment => "browse_abandonment",
            Self::WinBack => "win_back",
            Self::Rfm => "rfm",
            Self::ItemAffinity => "item_affinity",
            Self::NewArrivals => "new_arrivals",
            Self::Replenishment => "replenishment",
            Self::CrossSell => "cross_sell",
            Self::PriceDrop => "price_drop",
            Self::BackInStock => "back_in_stock",
            Self::TopPicks => "top_picks",
            Self::Custom => "custom",
        }
    }
}

/// One `[[campaign]]` table. The keys from `min_hours` on belong to some kinds each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignConfig {
    /// Its name: that of the folder, of the rows in stores, of the list in an export.
    pub name: String,
    /// What it is about.
    pub kind: CampaignKind,
    /// `false` leaves it out.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Condition in SQL syntax on columns of profiles and customers; without it, everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Numeric expression on the same columns: the member's score instead of the kind's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_by: Option<String>,
    /// Items a member is written to about, at most.
    #[serde(default = "three")]
    pub items: usize,
    /// People written to, at most (the best scores); those held out stand beside them. Without it, no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Where a person could be in several campaigns, the higher priority comes first; ties by the order in the config.
    #[serde(default)]
    pub priority: i32,
    /// Share of the members who are left alone, so that the effect can be measured.
    #[serde(default)]
    pub holdout: f64,
    /// How often this campaign may reach a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Cap>,
    /// The channel whose consent is asked for.
    #[serde(default = "email")]
    pub channel: String,
    /// Only actions at least so many hours old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_hours: Option<f64>,
    /// Only actions of the last so many days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_days: Option<f64>,
    /// `browse_abandonment`: only items looked at at least so often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_views: Option<u32>,
    /// `win_back`: only buyers with at least so many orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_orders: Option<u32>,
    /// `win_back`: last purchase at least so many days ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_days: Option<f64>,
    /// `win_back`: last purchase at most so many days ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_days: Option<f64>,
    /// `rfm`: the tiers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Vec<String>>,
    /// Items by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_ids: Option<Vec<String>>,
    /// Items by brand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brands: Option<Vec<String>>,
    /// Items by category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Vec<String>>,
    /// `new_arrivals`: the favourite category's and brand's shares of an item must add up to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_share: Option<f64>,
    /// `replenishment`: due within so many days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_ahead: Option<f64>,
    /// `replenishment`: overdue by at most so many days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_days: Option<f64>,
    /// `replenishment`: an item's interval needs so many users who bought it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_repeat_buyers: Option<u32>,
    /// `price_drop`: cheaper by at least this share of the earlier price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_drop: Option<f64>,
}

fn yes() -> bool {
    true
}

fn three() -> usize {
    3
}

fn email() -> String {
    "email".into()
}

impl CampaignConfig {
    /// A campaign with nothing but a name and a kind.
    #[must_use]
    pub fn new(name: &str, kind: CampaignKind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            enabled: true,
            audience: None,
            order_by: None,
            items: three(),
            size: None,
            priority: 0,
            holdout: 0.0,
            cap: None,
            channel: email(),
            min_hours: None,
            within_days: None,
            min_views: None,
            min_orders: None,
            min_days: None,
            max_days: None,
            tiers: None,
            item_ids: None,
            brands: None,
            categories: None,
            min_share: None,
            days_ahead: None,
            overdue_days: None,
            min_repeat_buyers: None,
            min_drop: None,
        }
    }

    /// The key's path in messages.
    pub(super) fn path(&self) -> String {
        format!("campaign.{}", self.name)
    }

    /// Checks the values.
    ///
    /// # Errors
    /// The key's full path, what it must be and what it is.
    pub fn check(&self, schema: &Schema) -> Result<(), String> {
        let path = self.path();
        check_name(&self.name)?;
        if !(1..=100).contains(&self.items) {
            return Err(format!("{path}.items must be 1 to 100, is {}", self.items));
        }
        if self.size == Some(0) {
            return Err(format!("{path}.size must be 1 or more, is 0; leave it out for no limit"));
        }
        if !(0.0..=0.9).contains(&self.holdout) {
            return Err(format!("{path}.holdout must be 0 to 0.9, is {}", self.holdout));
        }
        if let Some(cap) = self.cap {
            check_cap(&format!("{path}.cap"), cap)?;
        }
        if self.channel.is_empty() {
            return Err(format!("{path}.channel must name a channel, e.g. email"));
        }
        Rule::of(self)?;
        self.compile(schema).map(|_| ())
    }

    /// The audience and the expression to order by, ready for use.
    ///
    /// # Errors
    /// The key's full path, and what is wrong where in the text.
    pub fn compile(&self, schema: &Schema) -> Result<(Option<Condition>, Option<Expression>), String> {
        let path = self.path();
        let audience = self.audience.as_deref().map(|text| Condition::parse(text, schema)).transpose();
        let audience = audience.map_err(|fault| format!("{path}.audience: {fault}"))?;
        let order_by = self.order_by.as_deref().map(|text| Expression::parse(text, schema)).transpose();
        let order_by = order_by.map_err(|fault| format!("{path}.order_by: {fault}"))?;
        Ok((audience, order_by))
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let n_chars = name.chars().count();
    if !(1..=128).contains(&n_chars) {
        return Err(format!("campaign.name must have 1 to 128 characters, `{name}` has {n_chars}"));
    }
    if name.starts_with('.') || name.contains(|c: char| c.is_control() || c == '/' || c == '\\') {
        return Err(format!(
            "campaign.name must be a folder's: without `/`, `\\`, control characters, and no `.` in front; is `{name}`"
        ));
    }
    Ok(())
}

fn check_cap(path: &str, cap: Cap) -> Result<(), String> {
    if cap.contacts == 0 {
        return Err(format!("{path}.contacts must be 1 or more, is 0; enabled = false leaves a campaign out"));
    }
    if !(1..=730).contains(&cap.days) {
        return Err(format!("{path}.days must be 1 to 730, is {}", cap.days));
    }
    Ok(())
}

impl CampaignsConfig {
    /// Checks the values, and those of the campaigns.
    ///
    /// # Errors
    /// The key's full path, what it must be and what it is.
    pub fn check(&self, path: &str, campaigns: &[CampaignConfig], schema: &Schema) -> Result<(), String> {
        if self.max_campaigns_per_user == 0 {
            return Err(format!("{path}.max_campaigns_per_user must be 1 or more, is 0"));
        }
        if !(1..=730).contains(&self.contact_days) {
            return Err(format!("{path}.contact_days must be 1 to 730, is {}", self.contact_days));
        }
        if self.max_contacts == Some(0) {
            return Err(format!("{path}.max_contacts must be 1 or more, is 0"));
        }
        if self.compare_days > 3_650 {
            return Err(format!("{path}.compare_days must be 0 to 3650, is {}", self.compare_days));
        }
        if self.earlier_catalog.as_deref() == Some("") {
            return Err(format!("{path}.earlier_catalog must not be empty; leave it out to compare with earlier runs"));
        }
        if campaigns.len() > MAX_CAMPAIGNS {
            return Err(format!("campaign must have at most {MAX_CAMPAIGNS} tables, has {}", campaigns.len()));
        }
        let mut names = BTreeSet::new();
        for campaign in campaigns {
            campaign.check(schema)?;
            // Some stores and file systems take names that differ in case alone for one.
            if !names.insert(campaign.name.to_lowercase()) {
                return Err(format!("two [[campaign]] tables have the name `{}`; names must differ", campaign.name));
            }
        }
        Ok(())
    }

    /// How many days back any cap looks, tonight included; 0 without caps.
    #[must_use]
    pub fn longest_cap_days(&self, campaigns: &[CampaignConfig]) -> u32 {
        let own = campaigns.iter().filter_map(|campaign| campaign.cap).map(|cap| cap.days).max().unwrap_or(0);
        own.max(self.max_contacts.map_or(0, |_| self.contact_days))
    }
}
