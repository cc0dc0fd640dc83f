//! The catalogue: what each item is, and how items are drawn.

use super::{
    alias::Alias,
    arithmetic::{exp, power},
    calendar::{Arrivals, Day},
    config::Config,
    random::{Name, Stream},
    words::{BRAND_HEADS, BRAND_TAILS, LINES, Line, RANGES},
};

const SHUFFLE: Name = Name::new("item ranks");
const ITEM: Name = Name::new("item");
const BRANDS: Name = Name::new("brands of a category");

/// One item, as it was made.
#[derive(Debug, Clone, Copy)]
struct Item {
    category: u16,
    brand: u16,
    style: u8,
    available: bool,
    price_cents: u32,
    /// How many items of its category and brand come before it.
    serial: u32,
    popularity: f32,
}

/// All items.
///
/// Items of one category and one style form a group, number `category * n_styles + style`.
/// Cost: 40 bytes an item.
#[derive(Debug)]
pub(crate) struct Items {
    all: Vec<Item>,
    pub(crate) arrivals: Arrivals,
    n_styles: usize,
    category_names: Vec<String>,
    brand_names: Vec<String>,
    /// By category: its brands' numbers and a table to draw one of them.
    brands_of: Vec<(Vec<u16>, Alias)>,
    /// Draws a category by the popularity of what is in it.
    categories: Alias,
    /// By category: draws a style by popularity; `None` for a category without items.
    styles_of: Vec<Option<Alias>>,
    /// By group: its items and a table to draw one of them; `None` when it is empty.
    groups: Vec<Option<Group>>,
    /// By group: sum of its items' popularity, of 1 for the whole shop.
    group_mass: Vec<f64>,
}

#[derive(Debug)]
struct Group {
    members: Vec<u32>,
    draw: Alias,
}

/// The line of goods that a category belongs to.
fn line_of(category: usize) -> &'static Line {
    &LINES[category % LINES.len()]
}

fn category_name(category: usize) -> String {
    let line = line_of(category).name;
    match category / LINES.len() {
        0 => line.to_owned(),
        n if n <= RANGES.len() => format!("{line} {}", RANGES[n - 1]),
        n => format!("{line} {n}"),
    }
}

fn brand_name(brand: usize) -> String {
    let head = BRAND_HEADS[brand % BRAND_HEADS.len()];
    match brand / BRAND_HEADS.len() {
        0 => head.to_owned(),
        n if n < BRAND_TAILS.len() => format!("{head} {}", BRAND_TAILS[n]),
        n => format!("{head} No. {n}"),
    }
}

impl Items {
    pub(crate) fn new(config: &Config, days: &[Day]) -> Self {
        let (n, n_styles) = (config.items as usize, config.styles as usize);
        let n_categories = config.categories as usize;
        let popularity = popularities(config);
        // Large categories and small ones: (number + 2)^-0.5.
        let sizes: Vec<f64> = (0..n_categories).map(|category| power(category as f64 + 2.0, -0.5)).collect();
        let sizes = Alias::new(&sizes).expect("a shop has a category");
        let brands_of: Vec<_> = (0..n_categories).map(|category| brands_of_category(config, category)).collect();
        let mut serials = vec![Vec::new(); n_categories];
        let mut all = Vec::with_capacity(n);
        for (number, &popularity) in popularity.iter().enumerate() {
            let mut stream = Stream::new(config.seed, ITEM, number as u64, 0);
            let category = sizes.pick(stream.word());
            let (brands, draw) = &brands_of[category];
            let slot = draw.pick(stream.word());
            let serials: &mut Vec<u32> = &mut serials[category];
            serials.resize(brands.len(), 0);
            all.push(Item {
                category: category as u16,
                brand: brands[slot],
                style: stream.below(n_styles as u64) as u8,
                available: !stream.chance(config.unavailable_rate),
                price_cents: price_cents(line_of(category).price, &mut stream),
                serial: serials[slot],
                popularity: popularity as f32,
            });
            serials[slot] += 1;
        }
        let mut members = vec![Vec::new(); n_categories * n_styles];
        for (number, item) in all.iter().enumerate() {
            members[usize::from(item.category) * n_styles + usize::from(item.style)].push(number as u32);
        }
        let mut group_mass = Vec::with_capacity(members.len());
        let mut groups = Vec::with_capacity(members.len());
        for mut members in members {
            members.shrink_to_fit();
            let weights: Vec<f64> = members.iter().map(|&item| popularity[item as usize]).collect();
            group_mass.push(weights.iter().sum());
            groups.push(Alias::new(&weights).map(|draw| Group { members, draw }));
        }
        let category_mass: Vec<f64> = group_mass.chunks(n_styles).map(|styles| styles.iter().sum()).collect();
        Self {
            arrivals: Arrivals::new(config, days, config.items, config.new_item_rate),
            n_styles,
            category_names: (0..n_categories).map(category_name).collect(),
            brand_names: (0..config.brands as usize).map(brand_name).collect(),
            brands_of,
            categories: Alias::new(&category_mass).expect("a shop has an item"),
            styles_of: group_mass.chunks(n_styles).map(Alias::new).collect(),
            groups,
            group_mass,
            all,
        }
    }

    pub(crate) fn len(&self) -> u32 {
        self.all.len() as u32
    }

    pub(crate) fn category(&self, item: u32) -> u32 {
        self.all[item as usize].category.into()
    }

    pub(crate) fn brand(&self, item: u32) -> u32 {
        self.all[item as usize].brand.into()
    }

    pub(crate) fn style(&self, item: u32) -> u32 {
        self.all[item as usize].style.into()
    }

    pub(crate) fn price_cents(&self, item: u32) -> u32 {
        self.all[item as usize].price_cents
    }

    /// Share of the shop's popularity that is the item's.
    pub(crate) fn popularity(&self, item: u32) -> f64 {
        self.all[item as usize].popularity.into()
    }

    pub(crate) fn available(&self, item: u32) -> bool {
        self.all[item as usize].available
    }

    pub(crate) fn category_name(&self, category: u32) -> &str {
        &self.category_names[category as usize]
    }

    pub(crate) fn brand_name(&self, brand: u32) -> &str {
        &self.brand_names[brand as usize]
    }

    pub(crate) fn consumable(&self, category: u32) -> bool {
        line_of(category as usize).consumable
    }

    /// Brand, qualifier, noun and variant; no two items have the same.
    pub(crate) fn title(&self, item: u32) -> String {
        let Item { category, brand, serial, .. } = self.all[item as usize];
        let category = usize::from(category);
        let line = line_of(category);
        let (qualifiers, nouns, variants) = (line.qualifiers.len(), line.nouns.len(), line.variants.len());
        let n_titles = qualifiers * nouns * variants;
        // A stride that shares no factor with the number of titles visits each once before one comes again.
        let stride = (n_titles * 5 / 13..).find(|&stride| gcd(stride, n_titles) == 1).expect("some stride fits");
        let (round, serial) = (serial as usize / n_titles, serial as usize % n_titles);
        let at = (serial * stride + usize::from(brand) * 31) % n_titles;
        let mut title = format!(
            "{} {} {}, {}",
            self.brand_names[usize::from(brand)],
            line.qualifiers[at / variants % qualifiers],
            line.nouns[at / variants / qualifiers],
            line.variants[at % variants]
        );
        // Two ranges of one line would otherwise share titles.
        if category >= LINES.len() {
            title = format!("{title}, {}", &self.category_names[category][line.name.len() + 1..]);
        }
        if round > 0 {
            title = format!("{title}, Edition {}", round + 1);
        }
        title
    }

    /// Draws a category by its popularity.
    pub(crate) fn draw_category(&self, stream: &mut Stream) -> u32 {
        self.categories.pick(stream.word()) as u32
    }

    /// Draws a brand of `category`.
    pub(crate) fn draw_brand(&self, category: u32, stream: &mut Stream) -> u32 {
        let (brands, draw) = &self.brands_of[category as usize];
        brands[draw.pick(stream.word())].into()
    }

    /// The group of `category` and `style`, when it has an item.
    pub(crate) fn group(&self, category: u32, style: u32) -> Option<usize> {
        let group = category as usize * self.n_styles + style as usize;
        self.groups[group].is_some().then_some(group)
    }

    /// Draws a group of `category` by popularity; the category has an item.
    pub(crate) fn draw_group(&self, category: u32, stream: &mut Stream) -> usize {
        let styles = self.styles_of[category as usize].as_ref().expect("the category has an item");
        category as usize * self.n_styles + styles.pick(stream.word())
    }

    /// Draws an item of a group that has one, by popularity.
    pub(crate) fn draw_item(&self, group: usize, stream: &mut Stream) -> u32 {
        let group = self.groups[group].as_ref().expect("the group has an item");
        group.members[group.draw.pick(stream.word())]
    }

    /// Share of the shop's popularity that is in `category`.
    pub(crate) fn category_mass(&self, category: u32) -> f64 {
        let first = category as usize * self.n_styles;
        self.group_mass[first..first + self.n_styles].iter().sum()
    }

    /// Share of the shop's popularity that is in a group.
    pub(crate) fn group_mass(&self, group: usize) -> f64 {
        self.group_mass[group]
    }

    /// Share of a group's popularity that `brand` has.
    pub(crate) fn brand_share(&self, group: usize, brand: u32) -> f64 {
        let Some(members) = &self.groups[group] else { return 0.0 };
        let of_brand = members.members.iter().filter(|&&item| self.brand(item) == brand);
        of_brand.map(|&item| self.popularity(item)).sum::<f64>() / self.group_mass[group]
    }
}

/// Popularity by item, 1 in total: (rank + 1)^-x with the ranks shuffled.
fn popularities(config: &Config) -> Vec<f64> {
    let n = config.items as usize;
    let mut weights: Vec<f64> = (0..n).map(|rank| power(rank as f64 + 1.0, -config.item_popularity_exponent)).collect();
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= total);
    let mut stream = Stream::new(config.seed, SHUFFLE, 0, 0);
    for at in (1..n).rev() {
        weights.swap(at, stream.below(at as u64 + 1) as usize);
    }
    weights
}

/// Which brands a category carries, 3 to 12 of them, some larger than others.
fn brands_of_category(config: &Config, category: usize) -> (Vec<u16>, Alias) {
    let mut stream = Stream::new(config.seed, BRANDS, category as u64, 0);
    let wanted = (3 + stream.below(10)).min(config.brands.into()) as usize;
    let mut brands: Vec<u16> = Vec::with_capacity(wanted);
    while brands.len() < wanted {
        let mut brand = stream.below(config.brands.into()) as u16;
        while brands.contains(&brand) {
            brand = ((u32::from(brand) + 1) % config.brands) as u16;
        }
        brands.push(brand);
    }
    let weights: Vec<f64> = (0..wanted).map(|slot| 1.0 / (slot as f64 + 2.0)).collect();
    (brands, Alias::new(&weights).expect("a category has a brand"))
}

/// A shop's price about `typical`, in cents: two thirds lie within a factor of 1.6, and it ends as prices end.
fn price_cents(typical: f64, stream: &mut Stream) -> u32 {
    // The sum of four uniforms less two has a standard deviation of 0.577; a bell is all it needs to be.
    let bell: f64 = (0..4).map(|_| stream.unit()).sum::<f64>() - 2.0;
    let whole = (typical * exp(0.8 * bell)).floor().max(1.0) as u32;
    whole * 100 + [90, 95, 99, 50, 0][stream.below(5) as usize]
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::calendar::days;
    use std::collections::BTreeSet;

    fn items(config: &Config) -> Items {
        Items::new(config, &days(config))
    }

    #[test]
    fn titles_and_names_are_unique() {
        // Two categories of one brand, so that the titles run out and editions begin; 45, so that ranges begin.
        for config in [
            Config { items: 20_000, ..Config::default() },
            Config { items: 3_000, categories: 2, brands: 1, ..Config::default() },
            Config { items: 5_000, categories: 450, brands: 1_000, ..Config::default() },
        ] {
            let items = items(&config);
            let titles: BTreeSet<String> = (0..config.items).map(|item| items.title(item)).collect();
            assert_eq!(titles.len(), config.items as usize);
            assert_eq!(items.category_names.iter().collect::<BTreeSet<_>>().len(), config.categories as usize);
            assert_eq!(items.brand_names.iter().collect::<BTreeSet<_>>().len(), config.brands as usize);
        }
    }

    #[test]
    fn every_item_is_in_its_group_and_masses_add_up() {
        let config = Config::default();
        let items = items(&config);
        let mut seen = 0;
        for category in 0..config.categories {
            for style in 0..config.styles {
                let Some(group) = items.group(category, style) else { continue };
                for &item in &items.groups[group].as_ref().unwrap().members {
                    assert_eq!((items.category(item), items.style(item)), (category, style));
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, config.items);
        let total: f64 = (0..config.categories).map(|category| items.category_mass(category)).sum();
        assert!((total - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_shop_of_one_item_works() {
        let items = items(&Config { items: 1, categories: 5, brands: 1, styles: 3, ..Config::default() });
        let mut stream = Stream::new(1, ITEM, 0, 0);
        for _ in 0..20 {
            let category = items.draw_category(&mut stream);
            let group = items.draw_group(category, &mut stream);
            assert_eq!(items.draw_item(group, &mut stream), 0);
        }
    }

    #[test]
    fn prices_are_near_the_typical_one() {
        let mut stream = Stream::new(1, ITEM, 0, 0);
        let prices: Vec<u32> = (0..1_000).map(|_| price_cents(50.0, &mut stream)).collect();
        let near = prices.iter().filter(|&&cents| (3_125..8_000).contains(&cents)).count();
        assert!((580..780).contains(&near), "{near}");
        assert!(prices.iter().all(|&cents| cents >= 100));
    }
}
