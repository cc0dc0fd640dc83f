//! What campaigns know of the shop's items: the same for every bucket of users.

use crate::{
    ids::IdTable,
    interactions::{PairPurchases, Stamp},
    recommendations::{Catalog, Eligibility, RecommendConfig, Rules},
};

use super::CampaignError;

/// What the catalogue said at an earlier time, by item number of the shop.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EarlierCatalog {
    /// In the catalogue.
    pub listed: Vec<bool>,
    /// Could be sold.
    pub available: Vec<bool>,
    /// Price, `None` when unknown.
    pub prices: Vec<Option<f64>>,
}

/// How long it takes until an item is bought again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The median of the users' own intervals, in days.
    pub days: f32,
    /// Users who bought it on two days or more.
    pub n_users: u32,
}

/// The shop's items: those of the model and those of the catalogue, numbered by id.
#[derive(Debug, Clone)]
pub struct Shop {
    /// Ids, ascending.
    pub items: IdTable,
    /// What the catalogue says of them.
    pub catalog: Catalog,
    /// The instant that ages are counted from; `None` when events carry no times.
    pub as_of: Option<Stamp>,
    /// By item: its number in the model.
    pub model_items: Vec<Option<u32>>,
    /// By number in the model: the item.
    pub shop_items: Vec<u32>,
    /// By item: whether the rules of lists let it through.
    pub sellable: Vec<bool>,
    /// What the catalogue said earlier; `None` where nothing is there to compare with.
    pub earlier: Option<EarlierCatalog>,
    /// By item: what is bought together with it, strongest first. `len + 1` offsets, then the entries.
    pub complements: Complements,
    /// By item; empty when no campaign asks.
    pub intervals: Vec<Option<Interval>>,
}

/// Lists of items by item.
#[derive(Debug, Clone, Default)]
pub struct Complements {
    /// n_items + 1 offsets; empty when no campaign asks.
    pub offsets: Vec<usize>,
    /// Item numbers of the shop with scores, best first.
    pub entries: Vec<(u32, f32)>,
}

impl Complements {
    /// The list of an item.
    #[must_use]
    pub fn of(&self, item: u32) -> &[(u32, f32)] {
        match (self.offsets.get(item as usize), self.offsets.get(item as usize + 1)) {
            (Some(&from), Some(&to)) => &self.entries[from..to],
            _ => &[],
        }
    }
}

impl Shop {
    /// Puts the items together: `items` are those of the model and of the catalogue, `model` the ones of the model,
    /// both ascending.
    ///
    /// # Errors
    /// When the catalogue does not fit the items.
    pub fn new(
        items: IdTable,
        catalog: Catalog,
        model: &IdTable,
        rules: &RecommendConfig,
        as_of: Option<Stamp>,
    ) -> Result<Self, CampaignError> {
        let (compiled, _) = Rules::compile(rules, &catalog, &items)?;
        let sellable =
            (0..items.len() as u32).map(|item| compiled.eligibility(item) == Eligibility::Eligible).collect();
        let mut model_items = vec![None; items.len()];
        let mut shop_items = Vec::with_capacity(model.len());
        for (number, id) in (0u32..).zip(model.iter()) {
            let item = items.position(id).expect("the shop's items hold those of the model");
            model_items[item] = Some(number);
            shop_items.push(item as u32);
        }
        Ok(Self {
            items,
            catalog,
            as_of,
            model_items,
            shop_items,
            sellable,
            earlier: None,
            complements: Complements::default(),
            intervals: Vec::new(),
        })
    }

    /// The title of an item, or its id where it has none.
    #[must_use]
    pub fn title(&self, item: u32) -> &str {
        let title = &self.catalog.titles[item as usize];
        if title.is_empty() { self.items.get(item as usize) } else { title }
    }

    /// The category's name.
    #[must_use]
    pub fn category(&self, item: u32) -> Option<&str> {
        self.catalog.categories[item as usize].map(|number| self.catalog.category_names.get(number as usize))
    }

    /// The brand's name.
    #[must_use]
    pub fn brand(&self, item: u32) -> Option<&str> {
        self.catalog.brands[item as usize].map(|number| self.catalog.brand_names.get(number as usize))
    }

    /// The price now.
    #[must_use]
    pub fn price(&self, item: u32) -> Option<f64> {
        self.catalog.prices[item as usize]
    }
}

/// Collects the intervals of repurchases from buckets in any order.
#[derive(Debug, Clone, Default)]
pub struct Repurchases {
    /// (item, days) of each user who bought it on two days or more.
    found: Vec<(u32, f32)>,
}

impl Repurchases {
    /// A user's own interval of an item.
    ///
    /// Formula: (day of the last purchase - day of the first) / (days with a purchase - 1).
    #[must_use]
    pub fn interval(bought: PairPurchases) -> Option<f32> {
        (bought.days >= 2).then(|| (bought.last.day() - bought.first.day()) as f32 / (bought.days - 1) as f32)
    }

    /// Takes in a pair.
    pub fn add(&mut self, item: u32, bought: PairPurchases) {
        self.found.extend(Self::interval(bought).map(|days| (item, days)));
    }

    /// Takes in what another bucket collected.
    pub fn merge(&mut self, other: Self) {
        self.found.extend(other.found);
    }

    /// By item: the median of the users' intervals (of an even number the lower middle one).
    ///
    /// Determinism: the order of the buckets does not matter.
    #[must_use]
    pub fn finish(mut self, n_items: usize) -> Vec<Option<Interval>> {
        self.found.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut intervals = vec![None; n_items];
        for of_item in self.found.chunk_by(|a, b| a.0 == b.0) {
            let middle = of_item[(of_item.len() - 1) / 2];
            intervals[middle.0 as usize] = Some(Interval { days: middle.1, n_users: of_item.len() as u32 });
        }
        intervals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interactions::DAY;

    #[test]
    fn intervals_are_medians_of_users() {
        let bought = |first: u32, last: u32, days: u32| PairPurchases {
            first: Stamp(first * DAY + 5),
            last: Stamp(last * DAY),
            days,
        };
        let mut a = Repurchases::default();
        a.add(1, bought(0, 30, 2));
        a.add(1, bought(0, 40, 3));
        a.add(0, bought(9, 9, 1));
        let mut b = Repurchases::default();
        b.add(1, bought(10, 16, 2));
        b.merge(a);
        let intervals = b.finish(3);
        assert_eq!(intervals, [None, Some(Interval { days: 20.0, n_users: 3 }), None]);
    }
}
