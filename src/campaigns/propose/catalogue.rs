//! What follows from the catalogue: new items, prices that fell, items that are there again.

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

/// Items that can be sold now and were not in the earlier catalogue, ascending.
#[derive(Debug, Clone, Default)]
pub(super) struct NewItems {
    /// By category: (item, its brand).
    by_category: HashMap<u32, Vec<(u32, Option<u32>)>>,
    /// By brand: (item, its category).
    by_brand: HashMap<u32, Vec<(u32, Option<u32>)>>,
    /// By category and brand.
    by_both: HashMap<(u32, u32), Vec<u32>>,
}

/// A category or a brand that a user likes.
#[derive(Clone, Copy)]
enum Favourite {
    Category(u32),
    Brand(u32),
}

impl NewItems {
    pub(super) fn of(shop: &Shop) -> Self {
        let mut new = Self::default();
        let Some(earlier) = &shop.earlier else { return new };
        let is_new = |item: &usize| shop.catalog.listed[*item] && shop.sellable[*item] && !earlier.listed[*item];
        for item in (0..shop.items.len()).filter(is_new) {
            let (category, brand) = (shop.catalog.categories[item], shop.catalog.brands[item]);
            if let Some(category) = category {
                new.by_category.entry(category).or_default().push((item as u32, brand));
            }
            if let Some(brand) = brand {
                new.by_brand.entry(brand).or_default().push((item as u32, category));
            }
            if let Some(both) = category.zip(brand) {
                new.by_both.entry(both).or_default().push(item as u32);
            }
        }
        new
    }
}

/// The items of a category whose brand is none of the favourites, or of a brand whose category is none.
fn without<'a>(
    items: Option<&'a Vec<(u32, Option<u32>)>>,
    favourites: &'a [(u32, f32)],
) -> impl Iterator<Item = u32> + 'a {
    let is_favourite = |other: Option<u32>| favourites.iter().any(|(known, _)| Some(*known) == other);
    items.into_iter().flatten().filter(move |(_, other)| !is_favourite(*other)).map(|(item, _)| *item)
}

/// New items of the user's favourite categories and brands, where their shares add up to `min_share`.
///
/// Score of an item: share of its category plus share of its brand; of a member: the sum over the items written about.
/// Cost: the first few items of each favourite category, of each brand and of each pair of them, however many brands a
/// category has.
pub(super) fn new_arrivals(of: &Proposer<'_>, users: &BucketUsers, user: usize, min_share: f64) -> Option<Proposal> {
    let (categories, brands) = (users.favourite_categories.of(user), users.favourite_brands.of(user));
    let fresh = |item: &u32| users.pairs.get(user, *item).is_none_or(|pair| !pair.is_owned());
    let mut items: Vec<(u32, f32)> = Vec::new();
    // The favourite of the best item, owned or not: (its score, the item, the favourite).
    let mut first: Option<(f32, u32, Favourite)> = None;
    let mut add = |score: f32, favourite: Favourite, new: &mut dyn Iterator<Item = u32>| {
        if score <= 0.0 || f64::from(score) < min_share {
            return;
        }
        let mut new = new.peekable();
        let Some(&item) = new.peek() else { return };
        if first.is_none_or(|(best, at, _)| score > best || (score == best && item < at)) {
            first = Some((score, item, favourite));
        }
        items.extend(new.filter(fresh).take(of.n_items).map(|item| (item, score)));
    };
    let new = &of.new_items;
    for &(category, share) in categories {
        add(share, Favourite::Category(category), &mut without(new.by_category.get(&category), brands));
        for &(brand, more) in brands {
            let favourite = if share > 0.0 { Favourite::Category(category) } else { Favourite::Brand(brand) };
            add(share + more, favourite, &mut new.by_both.get(&(category, brand)).into_iter().flatten().copied());
        }
    }
    for &(brand, share) in brands {
        add(share, Favourite::Brand(brand), &mut without(new.by_brand.get(&brand), categories));
    }
    let names = &of.shop.catalog;
    let name = match first?.2 {
        Favourite::Category(number) => names.category_names.get(number as usize),
        Favourite::Brand(number) => names.brand_names.get(number as usize),
    };
    best_first(&mut items);
    Some(Proposal { score: sum_of_best(&items, of.n_items), items, why: Why::New(name.to_owned()) })
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
