//! Who is a candidate of a campaign, for which items, and why: a kind of campaign a function.
//!
//! A rule *matches* a user by what he did; the items to write about follow, and may come to none.

mod affinity;
mod behaviour;
mod catalogue;
mod orders;

pub use affinity::Affinity;
pub(super) use affinity::liked_items;

use super::{BucketUsers, PairFacts, Rule, Shop};
use crate::interactions::{DAY, Stamp};

/// A candidate: what he would be written to about.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Proposal {
    /// The more the better.
    pub(super) score: f64,
    /// Items with scores, best first; none when all of them are sold out or bought.
    pub(super) items: Vec<(u32, f32)>,
    /// What speaks for him.
    pub(super) why: Why,
}

/// What made a user a candidate.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Why {
    /// Items put into the cart, last at.
    Carted(usize, Stamp),
    /// Items looked at, last at.
    Browsed(usize, Stamp),
    /// Last order, how many there were, money in all.
    Lapsed(Stamp, u32, f64),
    /// An RFM tier.
    Tier(String),
    /// Likes what the campaign is about.
    Likes,
    /// New items of a category or brand.
    New(String),
    /// (item, days between purchases, last purchase).
    Due(u32, f32, Stamp),
    /// (item bought, when).
    Goes(u32, Stamp),
    /// (item, earlier price, price now, bought into the cart or only looked at).
    Cheaper(u32, f64, f64, bool),
    /// (item, in the cart or only looked at).
    Back(u32, bool),
    /// The first of the recommendations.
    Picks,
    /// The audience condition.
    Audience,
}

/// A rule with what it needs of the shop, ready for one user after the other.
#[derive(Debug, Clone)]
pub(super) struct Proposer<'a> {
    rule: &'a Rule,
    shop: &'a Shop,
    n_items: usize,
    /// By item: whether the rule's filter names it; `None` for all of them.
    filter: Option<Vec<bool>>,
    new_items: catalogue::NewItems,
}

/// Columns of a bucket that rules look at, out of the table once.
#[derive(Debug, Clone, Default)]
pub(super) struct RuleColumns {
    last_order: Vec<Option<i64>>,
    n_orders: Vec<Option<f64>>,
    money: Vec<Option<f64>>,
    tiers: Vec<Option<String>>,
}

impl RuleColumns {
    pub(super) fn of(users: &BucketUsers) -> Self {
        let table = &users.table;
        Self {
            last_order: table.instants("last_order_at"),
            n_orders: table.numbers("orders_all"),
            money: table.numbers("monetary_all"),
            tiers: table.texts("rfm_tier"),
        }
    }
}

impl<'a> Proposer<'a> {
    pub(super) fn new(rule: &'a Rule, shop: &'a Shop, n_items: usize) -> Self {
        let filter = match rule {
            Rule::CrossSell { of, .. } if !of.is_empty() => Some(catalogue::named_items(shop, of)),
            _ => None,
        };
        let new_items = match rule {
            Rule::NewArrivals { .. } => catalogue::NewItems::of(shop),
            _ => catalogue::NewItems::default(),
        };
        Self { rule, shop, n_items, filter, new_items }
    }

    /// The candidate that a user is, if he is one. For `item_affinity` the model is asked: see [`Affinity`].
    pub(super) fn propose(&self, users: &BucketUsers, columns: &RuleColumns, user: usize) -> Option<Proposal> {
        let mut proposal = match self.rule {
            Rule::AbandonedCart { min_hours, within_days } => {
                behaviour::abandoned_cart(self, users, user, *min_hours, *within_days)
            }
            Rule::BrowseAbandonment { min_hours, within_days, min_views } => {
                behaviour::browse_abandonment(self, users, user, (*min_hours, *within_days), *min_views)
            }
            Rule::WinBack { min_days, max_days, min_orders } => {
                orders::win_back(self, users, columns, user, (*min_days, *max_days), *min_orders)
            }
            Rule::Rfm { tiers } => orders::rfm(users, columns, user, tiers),
            Rule::ItemAffinity { .. } => None,
            Rule::NewArrivals { min_share } => catalogue::new_arrivals(self, users, user, *min_share),
            Rule::Replenishment { days_ahead, overdue_days, min_repeat_buyers } => {
                orders::replenishment(self, users, user, (*days_ahead, *overdue_days), *min_repeat_buyers)
            }
            Rule::CrossSell { within_days, .. } => orders::cross_sell(self, users, user, *within_days),
            Rule::PriceDrop { within_days, min_drop } => {
                catalogue::price_drop(self, users, user, *within_days, *min_drop)
            }
            Rule::BackInStock { within_days } => catalogue::back_in_stock(self, users, user, *within_days),
            Rule::TopPicks => {
                let items = users.recommendations.of(user);
                let first = items.first()?;
                Some(Proposal { score: f64::from(first.1), items: items.to_vec(), why: Why::Picks })
            }
            Rule::Custom => {
                let items = users.recommendations.of(user).to_vec();
                let score = items.first().map_or(0.0, |(_, score)| f64::from(*score));
                Some(Proposal { score, items, why: Why::Audience })
            }
        }?;
        proposal.items.truncate(self.n_items);
        Some(proposal)
    }

    /// Seconds between an instant and `as_of`; `None` without times.
    fn age(&self, at: Stamp) -> Option<u32> {
        self.shop.as_of.map(|as_of| at.age_at(as_of))
    }

    /// Whether an instant lies `min_hours` to `within_days` back.
    fn is_recent(&self, at: Option<Stamp>, min_hours: f64, within_days: f64) -> bool {
        at.and_then(|at| self.age(at))
            .is_some_and(|age| f64::from(age) >= min_hours * 3_600.0 && f64::from(age) <= within_days * f64::from(DAY))
    }

    fn is_sellable(&self, item: u32) -> bool {
        self.shop.sellable[item as usize]
    }
}

/// Whether the user looked at the item or put it into the cart, and has not got it.
fn is_wanted(pair: &PairFacts) -> bool {
    pair.views + pair.carts > 0 && !pair.is_owned()
}

/// Score descending, then item.
fn best_first(items: &mut [(u32, f32)]) {
    items.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
}

/// Sum of the scores of the first `n` items.
fn sum_of_best(items: &[(u32, f32)], n: usize) -> f64 {
    items.iter().take(n).map(|(_, score)| f64::from(*score)).sum()
}
