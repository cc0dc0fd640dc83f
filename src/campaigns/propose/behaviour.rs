//! Carts and visits that led to nothing.

use super::{Proposal, Proposer, Why, best_first, sum_of_best};
use crate::campaigns::BucketUsers;

/// Items in the cart whose last addition lies `min_hours` to `within_days` back; most value first.
///
/// Score: price times quantity of the items, summed over those written about; items without a price count 0.
pub(super) fn abandoned_cart(
    of: &Proposer<'_>,
    users: &BucketUsers,
    user: usize,
    min_hours: f64,
    within_days: f64,
) -> Option<Proposal> {
    let cart = users.carts.of(user);
    // Somebody who put something in a minute ago is still shopping.
    let newest = cart.iter().map(|entry| entry.added).max()?;
    if !of.is_recent(Some(newest), min_hours, within_days) {
        return None;
    }
    let recent = || cart.iter().filter(|entry| of.is_recent(Some(entry.added), min_hours, within_days));
    let mut items: Vec<(u32, f32)> = recent()
        .filter(|entry| of.is_sellable(entry.item))
        .map(|entry| {
            let price = of.shop.price(entry.item).unwrap_or(0.0);
            (entry.item, (price * entry.quantity) as f32)
        })
        .collect();
    best_first(&mut items);
    Some(Proposal { score: sum_of_best(&items, of.n_items), items, why: Why::Carted(recent().count(), newest) })
}

/// Items looked at `min_views` times or more, last `min_hours` to `within_days` ago, never put into the cart nor bought.
///
/// Score: how often the items written about were looked at.
pub(super) fn browse_abandonment(
    of: &Proposer<'_>,
    users: &BucketUsers,
    user: usize,
    (min_hours, within_days): (f64, f64),
    min_views: u32,
) -> Option<Proposal> {
    let mut newest = None;
    let mut n_items = 0;
    let mut items = Vec::new();
    for (item, pair) in users.pairs.of(user) {
        if pair.views < min_views || pair.carts + pair.purchases > 0 || !of.is_recent(pair.last, min_hours, within_days)
        {
            continue;
        }
        n_items += 1;
        newest = newest.max(pair.last);
        if of.is_sellable(item) {
            items.push((item, pair.views as f32));
        }
    }
    best_first(&mut items);
    Some(Proposal { score: sum_of_best(&items, of.n_items), items, why: Why::Browsed(n_items, newest?) })
}
