//! What follows from the catalogue: new items, prices that fell, items that are there again.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::{Proposal, Proposer, Why, best_first, is_wanted, sum_of_best};
use crate::campaigns::{BucketUsers, ItemFilter, Shop};

/// By item: whether the filter names it.
pub(super) fn named_items(shop: &Shop, of: &ItemFilter) -> Vec<bool> {
    let has = |names: &[String], name: Option<&str>| name.is_some_and(|name| names.iter().any(|known| known == name));
    (0..shop.items.len() as u32)
        .map(|item| {
            has(&of.item_ids, Some(shop.items.get(item as usize)))
                || has(&of.brands, shop.brand(item))
                || has(&of.categories, shop.category(item))
        })
        .collect()
}

/// New items of one category and brand.
#[derive(Debug, Clone, PartialEq)]
struct NewGroup {
    category: Option<u32>,
    brand: Option<u32>,
    /// Ascending.
    items: Vec<u32>,
}

/// Items that can be sold now and were not in the earlier catalogue, by category and brand.
#[derive(Debug, Clone, Default)]
pub(super) struct NewItems {
    groups: Vec<NewGroup>,
    /// Places of the groups of a category, ascending.
    by_category: HashMap<u32, Vec<u32>>,
    by_brand: HashMap<u32, Vec<u32>>,
}

impl NewItems {
    pub(super) fn of(shop: &Shop) -> Self {
        let mut new = Self::default();
        let Some(earlier) = &shop.earlier else { return new };
        let mut groups: BTreeMap<(Option<u32>, Option<u32>), Vec<u32>> = BTreeMap::new();
        for item in 0..shop.items.len() {
            if shop.catalog.listed[item] && shop.sellable[item] && !earlier.listed[item] {
                groups.entry((shop.catalog.categories[item], shop.catalog.brands[item])).or_default().push(item as u32);
            }
        }
        for (place, ((category, brand), items)) in (0..).zip(groups) {
            for (number, index) in [(category, &mut new.by_category), (brand, &mut new.by_brand)] {
                if let Some(number) = number {
                    index.entry(number).or_default().push(place);
                }
            }
            new.groups.push(NewGroup { category, brand, items });
        }
        new
    }

    /// The groups of any of these categories or brands, in their order.
    fn among(&self, categories: &[(u32, f32)], brands: &[(u32, f32)]) -> impl Iterator<Item = &NewGroup> {
        let by_category = categories.iter().filter_map(|(category, _)| self.by_category.get(category));
        let by_brand = brands.iter().filter_map(|(brand, _)| self.by_brand.get(brand));
        let mut places: Vec<u32> = by_category.chain(by_brand).flatten().copied().collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|place| &self.groups[place as usize])
    }
}

/// New items of the user's favourite categories and brands, where their shares add up to `min_share`.
///
/// Score of an item: share of its category plus share of its brand; of a member: the sum over the items written about.
pub(super) fn new_arrivals(of: &Proposer<'_>, users: &BucketUsers, user: usize, min_share: f64) -> Option<Proposal> {
    let (categories, brands) = (users.favourite_categories.of(user), users.favourite_brands.of(user));
    let share = |favourites: &[(u32, f32)], number: Option<u32>| {
        let found = favourites.iter().find(|(known, _)| Some(*known) == number);
        found.map_or(0.0, |(_, share)| *share)
    };
    let mut groups: Vec<(f32, &NewGroup)> = of
        .new_items
        .among(categories, brands)
        .map(|group| (share(categories, group.category) + share(brands, group.brand), group))
        .filter(|(score, _)| *score > 0.0 && f64::from(*score) >= min_share)
        .collect();
    groups.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.items[0].cmp(&b.1.items[0])));
    let (_, first) = groups.first()?;
    let names = &of.shop.catalog;
    let name = if share(categories, first.category) > 0.0 {
        first.category.map(|number| names.category_names.get(number as usize))
    } else {
        first.brand.map(|number| names.brand_names.get(number as usize))
    };
    let why = Why::New(name.unwrap_or_default().to_owned());
    let mut items: Vec<(u32, f32)> = Vec::new();
    for (score, group) in groups {
        // Groups of one score share their place; beyond the items wanted no lower score can matter.
        if items.len() >= of.n_items && items.last().is_some_and(|(_, last)| score < *last) {
            break;
        }
        let fresh = |item: &u32| users.pairs.get(user, *item).is_none_or(|pair| !pair.is_owned());
        items.extend(group.items.iter().copied().filter(fresh).take(of.n_items).map(|item| (item, score)));
    }
    best_first(&mut items);
    Some(Proposal { score: sum_of_best(&items, of.n_items), items, why })
}

/// Items looked at or in the cart within the last days, not owned, whose price fell by `min_drop` or more.
///
/// Score of an item: by how much it fell, in the currency's unit; of a member: the sum over the items written about.
pub(super) fn price_drop(
    of: &Proposer<'_>,
    users: &BucketUsers,
    user: usize,
    within_days: f64,
    min_drop: f64,
) -> Option<Proposal> {
    let earlier = of.shop.earlier.as_ref()?;
    let mut matched = None;
    let mut items = Vec::new();
    for (item, pair) in users.pairs.of(user) {
        if !is_wanted(pair) || !of.is_recent(pair.last, 0.0, within_days) {
            continue;
        }
        let (Some(before), Some(now)) = (earlier.prices[item as usize], of.shop.price(item)) else { continue };
        // A hair's breadth of room for prices that are no exact doubles.
        if before <= 0.0 || now >= before || (before - now) / before < min_drop - 1e-9 {
            continue;
        }
        matched.get_or_insert(item);
        if of.is_sellable(item) {
            items.push((item, (before - now) as f32));
        }
    }
    best_first(&mut items);
    let item = items.first().map(|(item, _)| *item).or(matched)?;
    let (before, now) = (earlier.prices[item as usize]?, of.shop.price(item)?);
    let carted = users.pairs.get(user, item).is_some_and(|pair| pair.carts > 0);
    Some(Proposal { score: sum_of_best(&items, of.n_items), items, why: Why::Cheaper(item, before, now, carted) })
}

/// Items looked at or in the cart within the last days, not owned, that were sold out and can be sold again.
///
/// Score of an item: the weight of what the user did with it; of a member: the sum over the items written about.
pub(super) fn back_in_stock(of: &Proposer<'_>, users: &BucketUsers, user: usize, within_days: f64) -> Option<Proposal> {
    let earlier = of.shop.earlier.as_ref()?;
    let mut items: Vec<(u32, f32)> = users
        .pairs
        .of(user)
        .filter(|(item, pair)| {
            let item = *item as usize;
            is_wanted(pair)
                && of.is_recent(pair.last, 0.0, within_days)
                && earlier.listed[item]
                && !earlier.available[item]
                && of.shop.sellable[item]
        })
        .map(|(item, pair)| (item, pair.weight))
        .collect();
    best_first(&mut items);
    let &(item, _) = items.first()?;
    let carted = users.pairs.get(user, item).is_some_and(|pair| pair.carts > 0);
    Some(Proposal { score: sum_of_best(&items, of.n_items), items, why: Why::Back(item, carted) })
}
