//! What shoppers would look at most by the laws of the shop: the lists that a perfect model would give.

use super::{items::Items, shop::Shop};

/// People in `truth_items.parquet` at most, evenly spread over all numbers.
pub(crate) const MAX_PEOPLE: u32 = 4_000;
/// Looks at items for all people together: half a million items leave 200 people, and a few seconds of work.
const MAX_LOOKS: u32 = 100_000_000;
/// Items of each.
pub(crate) const N_WANTED: usize = 20;

/// Available items in the order in which anybody's list has to look at them.
#[derive(Debug)]
pub(crate) struct Wanted {
    by_popularity: Vec<u32>,
    by_category: Vec<Vec<u32>>,
}

impl Wanted {
    pub(crate) fn new(items: &Items, n_categories: u32) -> Self {
        let mut by_popularity: Vec<u32> = (0..items.len()).filter(|&item| items.available(item)).collect();
        by_popularity.sort_by(|&a, &b| items.popularity(b).total_cmp(&items.popularity(a)).then(a.cmp(&b)));
        let mut by_category = vec![Vec::new(); n_categories as usize];
        for &item in &by_popularity {
            by_category[items.category(item) as usize].push(item);
        }
        Self { by_popularity, by_category }
    }

    /// The people whose lists are written: every so many-th user, bots left out.
    pub(crate) fn people(shop: &Shop) -> Vec<u32> {
        let most = MAX_PEOPLE.min(MAX_LOOKS / shop.items.len().max(1)).max(1);
        let stride = shop.users.len().div_ceil(most) as usize;
        (0..shop.users.len()).step_by(stride).filter(|&user| !shop.is_bot(user)).collect()
    }

    /// The `n` available items that `user` is likeliest to look at next when he looks for something new.
    ///
    /// Formula: by popularity(item) * affinity(user, item), descending; ties by number.
    /// Returns: fewer where the shop has fewer.
    /// Cost: a look at every item of his favourite categories; of all others the most popular ones only, since their
    /// affinity is one number.
    pub(crate) fn of(&self, shop: &Shop, user: u32, n: usize) -> Vec<u32> {
        let taste = shop.taste(user);
        let favourites = taste.as_ref().map_or(&[][..], |taste| taste.favourites());
        let likes = |item: u32| favourites.iter().any(|favourite| favourite.category == shop.items.category(item));
        let liked = favourites.iter().flat_map(|favourite| &self.by_category[favourite.category as usize]);
        let others = self.by_popularity.iter().filter(|&&item| !likes(item)).take(n);
        let mut scored: Vec<(f64, u32)> =
            liked.chain(others).map(|&item| (shop.draw_rate(&taste, item), item)).collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        scored.into_iter().take(n).map(|(_, item)| item).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::Config;

    #[test]
    fn lists_are_those_of_a_look_at_every_item() {
        let config = Config {
            users: 9_000,
            items: 300,
            categories: 7,
            unavailable_rate: 0.2,
            bot_user_rate: 0.01,
            ..Config::default()
        };
        let shop = Shop::new(&config).unwrap();
        let wanted = Wanted::new(&shop.items, config.categories);
        let people = Wanted::people(&shop);
        assert!(people.len() > 2_900 && people.len() < 3_000, "every third, without bots: {}", people.len());
        let mut lists = std::collections::BTreeSet::new();
        for &user in people.iter().step_by(97) {
            let mut all: Vec<u32> = (0..300).filter(|&item| shop.items.available(item)).collect();
            let rate = |item: u32| shop.popularity(item) * shop.affinity(user, item);
            all.sort_by(|&a, &b| rate(b).total_cmp(&rate(a)).then(a.cmp(&b)));
            for n in [0, 1, 20, 299, 1_000] {
                assert_eq!(wanted.of(&shop, user, n), all[..n.min(all.len())]);
            }
            lists.insert(all[..20].to_vec());
        }
        assert!(lists.len() > 25, "people differ");
    }
}
