//! What shoppers like, and how an item is drawn to it.

use super::{
    config::Config,
    items::Items,
    random::{Name, Stream},
};

const TASTE: Name = Name::new("taste");
const HABIT: Name = Name::new("habit");

/// At most this many favourite categories.
const MAX_FAVOURITES: usize = 5;
/// Items that are on a shopper's mind: the ones he goes back to.
const ON_MIND: u64 = 6;
/// Items that a shopper buys regularly.
const STAPLES: u64 = 3;
/// Share of a session's taste-led views that stay in one category.
const FOCUS: f64 = 0.65;

/// A favourite category.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Favourite {
    pub(crate) category: u32,
    /// The brand liked best there.
    pub(crate) brand: u32,
    /// Share of the taste; all favourites have 1 together, the largest comes first.
    pub(crate) weight: f64,
}

/// One person's taste.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taste {
    user: u32,
    favourites: [Favourite; MAX_FAVOURITES],
    n: usize,
    pub(crate) style: u32,
}

impl Taste {
    pub(crate) fn favourites(&self) -> &[Favourite] {
        &self.favourites[..self.n]
    }

    /// Draws a favourite by weight.
    pub(crate) fn draw(&self, stream: &mut Stream) -> Favourite {
        let mut at = stream.unit();
        for favourite in &self.favourites[..self.n - 1] {
            if at < favourite.weight {
                return *favourite;
            }
            at -= favourite.weight;
        }
        self.favourites[self.n - 1]
    }
}

/// The laws of taste of a shop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tastes {
    seed: u64,
    n_styles: u32,
    taste_strength: f64,
    style_strength: f64,
    brand_strength: f64,
}

impl Tastes {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            seed: config.seed,
            n_styles: config.styles,
            taste_strength: config.taste_strength,
            style_strength: config.style_strength,
            brand_strength: config.brand_strength,
        }
    }

    /// The taste of `user`: 2 to 5 favourite categories (fewer where the shop has fewer), weights falling by about
    /// half from one to the next.
    pub(crate) fn of(&self, items: &Items, user: u32) -> Taste {
        let mut stream = Stream::new(self.seed, TASTE, user.into(), 0);
        let wanted = 2 + stream.below(MAX_FAVOURITES as u64 - 1) as usize;
        let nothing = Favourite { category: 0, brand: 0, weight: 0.0 };
        let mut taste = Taste { user, favourites: [nothing; MAX_FAVOURITES], n: 0, style: 0 };
        taste.style = stream.below(self.n_styles.into()) as u32;
        let (mut weight, mut total) = (1.0, 0.0);
        for _ in 0..4 * wanted {
            if taste.n == wanted {
                break;
            }
            let category = items.draw_category(&mut stream);
            let brand = items.draw_brand(category, &mut stream);
            if taste.favourites().iter().all(|favourite| favourite.category != category) {
                taste.favourites[taste.n] = Favourite { category, brand, weight };
                taste.n += 1;
                total += weight;
                weight *= 0.4 + 0.4 * stream.unit();
            }
        }
        taste.favourites[..taste.n].iter_mut().for_each(|favourite| favourite.weight /= total);
        taste
    }

    /// Draws an item for a view of a person with `taste`, in a session about the category `focus`.
    pub(crate) fn draw_item(&self, items: &Items, taste: &Taste, focus: Favourite, stream: &mut Stream) -> u32 {
        if !stream.chance(self.taste_strength) {
            let category = items.draw_category(stream);
            let group = items.draw_group(category, stream);
            return items.draw_item(group, stream);
        }
        let favourite = if stream.chance(FOCUS) { focus } else { taste.draw(stream) };
        self.draw_favourite(items, taste, favourite, stream)
    }

    /// Draws an item of a favourite category.
    fn draw_favourite(&self, items: &Items, taste: &Taste, favourite: Favourite, stream: &mut Stream) -> u32 {
        let own = if stream.chance(self.style_strength) { items.group(favourite.category, taste.style) } else { None };
        let group = own.unwrap_or_else(|| items.draw_group(favourite.category, stream));
        let item = items.draw_item(group, stream);
        if items.brand(item) != favourite.brand && stream.chance(self.brand_strength) {
            return items.draw_item(group, stream);
        }
        item
    }

    /// One of the items on the person's mind: the same few whenever it is asked.
    pub(crate) fn on_mind(&self, items: &Items, taste: &Taste, stream: &mut Stream) -> u32 {
        let mut habit = Stream::new(self.seed, HABIT, taste.user.into(), stream.below(ON_MIND));
        let focus = taste.draw(&mut habit);
        self.draw_item(items, taste, focus, &mut habit)
    }

    /// One of the items that the person buys regularly: of his favourite consumable category, or of his favourite one.
    pub(crate) fn staple(&self, items: &Items, taste: &Taste, stream: &mut Stream) -> u32 {
        let mut habit = Stream::new(self.seed, HABIT, taste.user.into(), ON_MIND + stream.below(STAPLES));
        let favourites = taste.favourites();
        let consumable = favourites.iter().find(|favourite| items.consumable(favourite.category));
        self.draw_favourite(items, taste, *consumable.unwrap_or(&favourites[0]), &mut habit)
    }

    /// How much likelier a person with `taste` is to be drawn to `item` than the item's popularity alone would say.
    ///
    /// Formula: with t, s, b the strengths of taste, style and brand, w the weight of the item's category in the taste,
    /// P the popularity, p the favourite brand's share of the item's group (category and style):
    /// lift = (1 - t) + t * w / P(category) * style * brand, where
    /// style = (1 - s) + s / P(style | category) for the person's style and 1 - s for others (1 where the category
    /// has nothing of his style), and brand = 1 + b (1 - p) for the favourite brand and 1 - b p for others.
    pub(crate) fn lift(&self, items: &Items, taste: &Taste, item: u32) -> f64 {
        let category = items.category(item);
        let popularity_led = 1.0 - self.taste_strength;
        let Some(favourite) = taste.favourites().iter().find(|favourite| favourite.category == category) else {
            return popularity_led;
        };
        let mass = items.category_mass(category);
        let group = items.group(category, items.style(item)).expect("an item is in its group");
        let style = match items.group(category, taste.style) {
            None => 1.0,
            Some(own) if own == group => 1.0 - self.style_strength + self.style_strength * mass / items.group_mass(own),
            Some(_) => 1.0 - self.style_strength,
        };
        let share = items.brand_share(group, favourite.brand);
        let brand = if items.brand(item) == favourite.brand {
            1.0 + self.brand_strength * (1.0 - share)
        } else {
            1.0 - self.brand_strength * share
        };
        popularity_led + self.taste_strength * favourite.weight / mass * style * brand
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::calendar::days;

    fn shop(config: &Config) -> (Items, Tastes) {
        (Items::new(config, &days(config)), Tastes::new(config))
    }

    #[test]
    fn tastes_are_distinct_categories_whose_weights_fall_and_add_up() {
        let (items, tastes) = shop(&Config::default());
        let mut counts = [0; MAX_FAVOURITES + 1];
        for user in 0..500 {
            let taste = tastes.of(&items, user);
            let favourites = taste.favourites();
            counts[favourites.len()] += 1;
            assert!((favourites.iter().map(|f| f.weight).sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(favourites.windows(2).all(|pair| pair[0].weight > pair[1].weight));
            for (at, favourite) in favourites.iter().enumerate() {
                assert!(favourites[..at].iter().all(|other| other.category != favourite.category));
            }
        }
        assert!(counts[2..].iter().all(|&count| count > 50), "{counts:?}");
        let (items, tastes) = shop(&Config { categories: 1, ..Config::default() });
        assert_eq!(tastes.of(&items, 7).favourites().len(), 1);
    }

    /// The lift is a formula, the draw is code: over many draws they must agree.
    #[test]
    fn draws_follow_the_planted_lift() {
        let config = Config { items: 60, categories: 4, styles: 2, brands: 6, ..Config::default() };
        let (items, tastes) = shop(&config);
        let n = 400_000;
        for user in [0, 1, 2] {
            let taste = tastes.of(&items, user);
            let mut stream = Stream::new(8, TASTE, 0, 0);
            let mut counts = vec![0_u32; 60];
            for _ in 0..n {
                let focus = taste.draw(&mut stream);
                counts[tastes.draw_item(&items, &taste, focus, &mut stream) as usize] += 1;
            }
            let group_of = |item| items.group(items.category(item), items.style(item)).unwrap();
            for item in 0..60 {
                // The item's popularity from its group's mass and its share there.
                let popularity = items.popularity(item);
                assert!(popularity <= items.group_mass(group_of(item)) * 1.000_001);
                let expected = popularity * tastes.lift(&items, &taste, item) * f64::from(n);
                let count = f64::from(counts[item as usize]);
                assert!((count - expected).abs() < 6.0 * expected.sqrt() + 1.0, "{item}: {count}, not {expected}");
            }
        }
    }

    #[test]
    fn what_is_on_the_mind_stays_there() {
        let (items, tastes) = shop(&Config::default());
        let taste = tastes.of(&items, 11);
        let mut stream = Stream::new(8, TASTE, 0, 0);
        let distinct = |items: Vec<u32>| items.into_iter().collect::<std::collections::BTreeSet<_>>().len() as u64;
        let mind = (0..200).map(|_| tastes.on_mind(&items, &taste, &mut stream)).collect();
        assert!((2..=ON_MIND).contains(&distinct(mind)));
        let staples = (0..200).map(|_| tastes.staple(&items, &taste, &mut stream)).collect();
        assert!((1..=STAPLES).contains(&distinct(staples)));
    }
}
