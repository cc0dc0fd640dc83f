//! What follows from orders: lapsed buyers, tiers, purchases that come round, complements.

use super::{Proposal, Proposer, RuleColumns, Why, best_first, sum_of_best};
use crate::{
    campaigns::{BucketUsers, Repurchases},
    interactions::{DAY, Stamp},
};

/// Buyers with `min_orders` or more whose last order lies `min_days` to `max_days` back.
///
/// Score: money spent in all.
pub(super) fn win_back(
    of: &Proposer<'_>,
    users: &BucketUsers,
    columns: &RuleColumns,
    user: usize,
    (min_days, max_days): (f64, f64),
    min_orders: u32,
) -> Option<Proposal> {
    let last = Stamp::from_unix(columns.last_order[user]?)?;
    let days = f64::from(of.age(last)?) / f64::from(DAY);
    let n_orders = columns.n_orders[user].unwrap_or(0.0);
    if days < min_days || days > max_days || n_orders < f64::from(min_orders) {
        return None;
    }
    let money = columns.money[user].unwrap_or(0.0);
    let items = users.recommendations.of(user).to_vec();
    Some(Proposal { score: money, items, why: Why::Lapsed(last, n_orders as u32, money) })
}

/// Members of a tier. Score: money spent in all.
pub(super) fn rfm(users: &BucketUsers, columns: &RuleColumns, user: usize, tiers: &[String]) -> Option<Proposal> {
    let tier = columns.tiers[user].as_ref().filter(|tier| tiers.contains(tier))?;
    let items = users.recommendations.of(user).to_vec();
    Some(Proposal { score: columns.money[user].unwrap_or(0.0), items, why: Why::Tier(tier.clone()) })
}

/// Days from which on a user's own interval counts, instead of the item's.
const OWN_INTERVAL_DAYS: u32 = 3;

/// Items that are due: the last purchase plus the interval lies at most `days_ahead` ahead and `overdue_days` back.
///
/// The interval is the user's own where he bought the item on three days or more, else the item's median over all users
/// who bought it again, where there are `min_repeat_buyers` of them.
///
/// Score of an item: 1 on the due day, falling with the distance as a share of the interval; of a member: the best one's.
pub(super) fn replenishment(
    of: &Proposer<'_>,
    users: &BucketUsers,
    user: usize,
    (days_ahead, overdue_days): (f64, f64),
    min_repeat_buyers: u32,
) -> Option<Proposal> {
    let mut due: Vec<(u32, f32)> = Vec::new();
    let mut items = Vec::new();
    for (item, pair) in users.pairs.of(user) {
        if pair.bought.days == 0 || !pair.is_owned() {
            continue;
        }
        let own = Repurchases::interval(pair.bought).filter(|_| pair.bought.days >= OWN_INTERVAL_DAYS);
        let of_all = of.shop.intervals.get(item as usize).copied().flatten();
        let of_all = of_all.filter(|interval| interval.n_users >= min_repeat_buyers).map(|interval| interval.days);
        let Some(interval) = own.or(of_all) else { continue };
        let since = f64::from(of.age(pair.bought.last)?) / f64::from(DAY);
        let ahead = f64::from(interval) - since;
        if ahead > days_ahead || -ahead > overdue_days {
            continue;
        }
        let score = (1.0 - ahead.abs() / f64::from(interval).max(1.0)).max(0.0) as f32;
        due.push((item, score));
        if of.is_sellable(item) {
            items.push((item, score));
        }
    }
    best_first(&mut due);
    best_first(&mut items);
    // The reason speaks of an item that is written about, where there is one.
    let &(item, score) = items.first().or(due.first())?;
    let pair = users.pairs.get(user, item)?;
    let own = Repurchases::interval(pair.bought).filter(|_| pair.bought.days >= OWN_INTERVAL_DAYS);
    let interval = own.or(of.shop.intervals.get(item as usize).copied().flatten().map(|interval| interval.days))?;
    Some(Proposal { score: f64::from(score), items, why: Why::Due(item, interval, pair.bought.last) })
}

/// What goes with the items bought in the last `within_days` and is not owned.
///
/// Score of an item: how strongly it goes with one of them, at most; of a member: the sum over the items written about.
pub(super) fn cross_sell(of: &Proposer<'_>, users: &BucketUsers, user: usize, within_days: f64) -> Option<Proposal> {
    let mut newest: Option<(Stamp, u32)> = None;
    // (item, score, the purchase it goes with).
    let mut found: Vec<(u32, f32, Stamp, u32)> = Vec::new();
    for (item, pair) in users.pairs.of(user) {
        let named = of.filter.as_ref().is_none_or(|filter| filter[item as usize]);
        if !named
            || pair.bought.days == 0
            || !pair.is_owned()
            || !of.is_recent(Some(pair.bought.last), 0.0, within_days)
        {
            continue;
        }
        if newest.is_none_or(|(at, _)| pair.bought.last > at) {
            newest = Some((pair.bought.last, item));
        }
        for &(other, score) in of.shop.complements.of(item) {
            let owned = users.pairs.get(user, other).is_some_and(|pair| pair.is_owned());
            if !owned && of.is_sellable(other) {
                found.push((other, score, pair.bought.last, item));
            }
        }
    }
    let (newest_at, newest_item) = newest?;
    // Of each item the strongest tie.
    found.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.3.cmp(&b.3)));
    found.dedup_by_key(|entry| entry.0);
    let mut items: Vec<(u32, f32)> = found.iter().map(|&(item, score, ..)| (item, score)).collect();
    best_first(&mut items);
    let best = items.first().and_then(|(item, _)| found.iter().find(|entry| entry.0 == *item));
    let why = best.map_or(Why::Goes(newest_item, newest_at), |&(.., at, bought)| Why::Goes(bought, at));
    Some(Proposal { score: sum_of_best(&items, of.n_items), items, why })
}
