//! A campaign's kind with its parameters, checked.

use super::{CampaignConfig, CampaignKind};
use crate::interactions::RfmTier;

/// Items given by id, brand or category.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemFilter {
    /// Ids.
    pub item_ids: Vec<String>,
    /// Names of brands.
    pub brands: Vec<String>,
    /// Names of categories.
    pub categories: Vec<String>,
}

impl ItemFilter {
    /// Whether it names nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.item_ids.is_empty() && self.brands.is_empty() && self.categories.is_empty()
    }
}

/// What makes a user a candidate, besides the audience. Days and hours are counted back from `as_of`.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields are the config's keys, which are documented there")]
pub enum Rule {
    /// See [`CampaignKind::AbandonedCart`].
    AbandonedCart { min_hours: f64, within_days: f64 },
    /// See [`CampaignKind::BrowseAbandonment`].
    BrowseAbandonment { min_hours: f64, within_days: f64, min_views: u32 },
    /// See [`CampaignKind::WinBack`].
    WinBack { min_days: f64, max_days: f64, min_orders: u32 },
    /// See [`CampaignKind::Rfm`].
    Rfm { tiers: Vec<String> },
    /// See [`CampaignKind::ItemAffinity`].
    ItemAffinity { of: ItemFilter },
    /// See [`CampaignKind::NewArrivals`].
    NewArrivals { min_share: f64 },
    /// See [`CampaignKind::Replenishment`].
    Replenishment { days_ahead: f64, overdue_days: f64, min_repeat_buyers: u32 },
    /// See [`CampaignKind::CrossSell`].
    CrossSell { within_days: f64, of: ItemFilter },
    /// See [`CampaignKind::PriceDrop`].
    PriceDrop { within_days: f64, min_drop: f64 },
    /// See [`CampaignKind::BackInStock`].
    BackInStock { within_days: f64 },
    /// See [`CampaignKind::TopPicks`].
    TopPicks,
    /// See [`CampaignKind::Custom`].
    Custom,
}

/// The keys of a kind.
fn keys_of(kind: CampaignKind) -> &'static [&'static str] {
    match kind {
        CampaignKind::AbandonedCart => &["min_hours", "within_days"],
        CampaignKind::BrowseAbandonment => &["min_hours", "within_days", "min_views"],
        CampaignKind::WinBack => &["min_days", "max_days", "min_orders"],
        CampaignKind::Rfm => &["tiers"],
        CampaignKind::ItemAffinity => &["item_ids", "brands", "categories"],
        CampaignKind::NewArrivals => &["min_share"],
        CampaignKind::Replenishment => &["days_ahead", "overdue_days", "min_repeat_buyers"],
        CampaignKind::CrossSell => &["within_days", "item_ids", "brands", "categories"],
        CampaignKind::PriceDrop => &["within_days", "min_drop"],
        CampaignKind::BackInStock => &["within_days"],
        CampaignKind::TopPicks | CampaignKind::Custom => &[],
    }
}

impl Rule {
    /// The rule of a campaign.
    ///
    /// # Errors
    /// The key's full path, what it must be and what it is; a key that the kind does not have.
    pub fn of(campaign: &CampaignConfig) -> Result<Self, String> {
        let path = campaign.path();
        refuse_foreign_keys(campaign, &path)?;
        let number = |key: &str, given: Option<f64>, default: f64, low: f64, high: f64| {
            let value = given.unwrap_or(default);
            if (low..=high).contains(&value) {
                Ok(value)
            } else {
                Err(format!("{path}.{key} must be {low} to {high}, is {value}"))
            }
        };
        let count = |key: &str, given: Option<u32>, default: u32| match given.unwrap_or(default) {
            0 => Err(format!("{path}.{key} must be 1 or more, is 0")),
            n => Ok(n),
        };
        let days = |key: &str, given: Option<f64>, default: f64| number(key, given, default, 0.0, 3_650.0);
        let hours = |default: f64| number("min_hours", campaign.min_hours, default, 0.0, 8_760.0);
        let within = |default: f64| days("within_days", campaign.within_days, default);
        let of = ItemFilter {
            item_ids: campaign.item_ids.clone().unwrap_or_default(),
            brands: campaign.brands.clone().unwrap_or_default(),
            categories: campaign.categories.clone().unwrap_or_default(),
        };
        Ok(match campaign.kind {
            CampaignKind::AbandonedCart => Self::AbandonedCart { min_hours: hours(1.0)?, within_days: within(7.0)? },
            CampaignKind::BrowseAbandonment => Self::BrowseAbandonment {
                min_hours: hours(12.0)?,
                within_days: within(7.0)?,
                min_views: count("min_views", campaign.min_views, 2)?,
            },
            CampaignKind::WinBack => {
                let min_days = days("min_days", campaign.min_days, 90.0)?;
                let max_days = days("max_days", campaign.max_days, 365.0_f64.max(min_days))?;
                if max_days < min_days {
                    return Err(format!("{path}.max_days must be at least min_days, {min_days}; is {max_days}"));
                }
                Self::WinBack { min_days, max_days, min_orders: count("min_orders", campaign.min_orders, 1)? }
            }
            CampaignKind::Rfm => match campaign.tiers.clone().unwrap_or_default() {
                tiers if tiers.is_empty() => {
                    return Err(format!("{path}.tiers must name at least one tier, e.g. [\"Champions\"]"));
                }
                tiers => {
                    let known = RfmTier::ALL.map(RfmTier::name);
                    if let Some(unknown) = tiers.iter().find(|tier| !known.contains(&tier.as_str())) {
                        let known = known.join(", ");
                        return Err(format!("{path}.tiers must be of {known}; one is {unknown}"));
                    }
                    Self::Rfm { tiers }
                }
            },
            CampaignKind::ItemAffinity if of.is_empty() => {
                return Err(format!("{path} must name items: item_ids, brands or categories"));
            }
            CampaignKind::ItemAffinity => Self::ItemAffinity { of },
            CampaignKind::NewArrivals => {
                Self::NewArrivals { min_share: number("min_share", campaign.min_share, 0.1, 0.0, 2.0)? }
            }
            CampaignKind::Replenishment => Self::Replenishment {
                days_ahead: days("days_ahead", campaign.days_ahead, 3.0)?,
                overdue_days: days("overdue_days", campaign.overdue_days, 14.0)?,
                min_repeat_buyers: count("min_repeat_buyers", campaign.min_repeat_buyers, 5)?,
            },
            CampaignKind::CrossSell => Self::CrossSell { within_days: within(30.0)?, of },
            CampaignKind::PriceDrop => Self::PriceDrop {
                within_days: within(60.0)?,
                min_drop: number("min_drop", campaign.min_drop, 0.05, 0.0, 1.0)?,
            },
            CampaignKind::BackInStock => Self::BackInStock { within_days: within(60.0)? },
            CampaignKind::TopPicks => Self::TopPicks,
            CampaignKind::Custom if campaign.audience.is_none() => {
                return Err(format!("{path}.audience must say who: a campaign of kind custom has no other rule"));
            }
            CampaignKind::Custom => Self::Custom,
        })
    }

    /// Whether it looks at times of actions.
    #[must_use]
    pub fn needs_times(&self) -> bool {
        !matches!(
            self,
            Self::ItemAffinity { .. } | Self::NewArrivals { .. } | Self::TopPicks | Self::Custom | Self::Rfm { .. }
        )
    }

    /// Whether it looks at single (user, item) pairs.
    #[must_use]
    pub fn needs_pairs(&self) -> bool {
        !matches!(self, Self::WinBack { .. } | Self::Rfm { .. } | Self::TopPicks | Self::Custom)
    }

    /// Whether it writes about the user's recommendations.
    #[must_use]
    pub fn needs_recommendations(&self) -> bool {
        matches!(self, Self::WinBack { .. } | Self::Rfm { .. } | Self::TopPicks | Self::Custom)
    }

    /// Whether it asks what a catalogue said earlier.
    #[must_use]
    pub fn compares_catalogs(&self) -> bool {
        matches!(self, Self::NewArrivals { .. } | Self::PriceDrop { .. } | Self::BackInStock { .. })
    }
}

fn refuse_foreign_keys(campaign: &CampaignConfig, path: &str) -> Result<(), String> {
    let given = [
        ("min_hours", campaign.min_hours.is_some()),
        ("within_days", campaign.within_days.is_some()),
        ("min_views", campaign.min_views.is_some()),
        ("min_orders", campaign.min_orders.is_some()),
        ("min_days", campaign.min_days.is_some()),
        ("max_days", campaign.max_days.is_some()),
        ("tiers", campaign.tiers.is_some()),
        ("item_ids", campaign.item_ids.is_some()),
        ("brands", campaign.brands.is_some()),
        ("categories", campaign.categories.is_some()),
        ("min_share", campaign.min_share.is_some()),
        ("days_ahead", campaign.days_ahead.is_some()),
        ("overdue_days", campaign.overdue_days.is_some()),
        ("min_repeat_buyers", campaign.min_repeat_buyers.is_some()),
        ("min_drop", campaign.min_drop.is_some()),
    ];
    let keys = keys_of(campaign.kind);
    match given.iter().find(|(key, is_given)| *is_given && !keys.contains(key)) {
        None => Ok(()),
        Some((key, _)) => {
            let known = if keys.is_empty() { "none of its own".to_owned() } else { keys.join(", ") };
            Err(format!("{path}.{key} is no key of kind {}, which has {known}", campaign.kind.name()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign(text: &str) -> CampaignConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn keys_of_another_kind_are_refused() {
        let fault = Rule::of(&campaign("name = 'x'\nkind = 'rfm'\nmin_drop = 0.1")).unwrap_err();
        assert_eq!(fault, "campaign.x.min_drop is no key of kind rfm, which has tiers");
        let fault = Rule::of(&campaign("name = 'x'\nkind = 'top_picks'\ntiers = []")).unwrap_err();
        assert_eq!(fault, "campaign.x.tiers is no key of kind top_picks, which has none of its own");
    }

    #[test]
    fn what_a_kind_cannot_do_without_is_asked_for() {
        for (text, expected) in [
            ("kind = 'custom'", "campaign.x.audience must say who"),
            ("kind = 'rfm'", "campaign.x.tiers must name at least one tier"),
            ("kind = 'rfm'\ntiers = ['Gold']", "campaign.x.tiers must be of Champions, "),
            ("kind = 'item_affinity'", "campaign.x must name items"),
            ("kind = 'win_back'\nmin_days = 30\nmax_days = 20", "campaign.x.max_days must be at least min_days, 30"),
            ("kind = 'abandoned_cart'\nwithin_days = nan", "campaign.x.within_days must be 0 to 3650, is NaN"),
            ("kind = 'browse_abandonment'\nmin_views = 0", "campaign.x.min_views must be 1 or more, is 0"),
        ] {
            let fault = Rule::of(&campaign(&format!("name = 'x'\n{text}"))).unwrap_err();
            assert!(fault.starts_with(expected), "{fault}");
        }
        let rule = Rule::of(&campaign("name = 'x'\nkind = 'win_back'\nmin_days = 400")).unwrap();
        assert_eq!(rule, Rule::WinBack { min_days: 400.0, max_days: 400.0, min_orders: 1 });
    }
}
