//! Rules: what may stand in a list, how often, and with which weight.

use super::{Catalog, RecommendConfig, RecommendError};
use crate::ids::IdTable;

/// Whether an item may be recommended at all, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eligibility {
    /// It may.
    Eligible,
    /// The config blocks it.
    Blocked,
    /// The catalogue does not list it, and unlisted items are not allowed.
    Unlisted,
    /// The catalogue says that it can't be sold now.
    Unavailable,
}

/// A name in the config that nothing in this build goes by: reported, since a catalogue changes faster than a config.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleWarning {
    /// A blocked item that is not in the item table.
    #[error("blocked item {0:?} does not occur in this build")]
    UnknownBlockedItem(String),
    /// A boost that hits nothing.
    #[error("boost of {kind} {name:?} has no effect: there is no such {kind} in this build")]
    UnknownBoost {
        /// `category`, `brand` or `item`.
        kind: &'static str,
        /// The name in the config.
        name: String,
    },
    /// A cap where the catalogue gives no names to count by.
    #[error("{key} has no effect: the catalogue names no {kind} for any item")]
    CapWithoutNames {
        /// The config key.
        key: &'static str,
        /// `category` or `brand`.
        kind: &'static str,
    },
}

/// A set of item numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct ItemSet {
    words: Vec<u64>,
}

impl ItemSet {
    fn from_flags(n: usize, mut contains: impl FnMut(usize) -> bool) -> Self {
        let mut words = vec![0u64; n.div_ceil(64)];
        (0..n).filter(|&at| contains(at)).for_each(|at| words[at / 64] |= 1 << (at % 64));
        Self { words }
    }

    #[inline]
    pub(super) fn contains(&self, item: u32) -> bool {
        self.words[item as usize / 64] >> (item % 64) & 1 != 0
    }
}

/// Groups of items of which a list may hold only so many: categories or brands.
#[derive(Debug, Clone)]
pub(super) struct Groups {
    /// By item: its group.
    pub(super) of_item: Vec<Option<u32>>,
    pub(super) n_groups: usize,
    pub(super) cap: Option<usize>,
}

impl Groups {
    /// The most eligible items that one list can hold under the cap.
    fn reach(&self, eligible: &ItemSet) -> usize {
        let mut n_in_group = vec![0usize; self.n_groups];
        let mut n_free = 0;
        for (_, group) in (0u32..).zip(&self.of_item).filter(|(item, _)| eligible.contains(*item)) {
            match group {
                Some(group) => n_in_group[*group as usize] += 1,
                None => n_free += 1,
            }
        }
        let cap = self.cap.unwrap_or(usize::MAX);
        n_free + n_in_group.into_iter().map(|n| n.min(cap)).sum::<usize>()
    }
}

/// The rules of a build, compiled to item numbers.
///
/// Cost: about 18 bytes an item, 4 more with boosts.
#[derive(Debug, Clone)]
pub struct Rules {
    eligibility: Vec<Eligibility>,
    eligible: ItemSet,
    n_eligible: usize,
    boosts: Option<Vec<f32>>,
    pub(super) categories: Groups,
    pub(super) brands: Groups,
    reach: usize,
}

impl Rules {
    /// Compiles the config's rules for the items of a build.
    ///
    /// An item is kept out as blocked, else as unlisted, else as unavailable. What the catalogue says of an item that
    /// it doesn't list counts for nothing: with `allow_unlisted` such an item is eligible.
    ///
    /// Returns the rules, and a warning for each name that nothing goes by, in the order of the config.
    ///
    /// # Errors
    /// When the catalogue's columns don't cover `items`, or carry a category or brand number without a name.
    pub fn compile(
        config: &RecommendConfig,
        catalog: &Catalog,
        items: &IdTable,
    ) -> Result<(Self, Vec<RuleWarning>), RecommendError> {
        let n = items.len();
        for (what, is) in [
            ("the catalogue's `listed` column", catalog.listed.len()),
            ("the catalogue's `available` column", catalog.available.len()),
            ("the catalogue's category column", catalog.categories.len()),
            ("the catalogue's brand column", catalog.brands.len()),
        ] {
            RecommendError::length(what, "items", is, n)?;
        }
        let mut warnings = Vec::new();
        let categories = groups("category", &catalog.categories, &catalog.category_names, config.max_per_category)?;
        let brands = groups("brand", &catalog.brands, &catalog.brand_names, config.max_per_brand)?;

        let mut eligibility: Vec<Eligibility> = (0..n)
            .map(|item| match (catalog.listed[item], catalog.available[item]) {
                _ if !catalog.present => Eligibility::Eligible,
                (false, _) if config.allow_unlisted => Eligibility::Eligible,
                (false, _) => Eligibility::Unlisted,
                (true, false) => Eligibility::Unavailable,
                (true, true) => Eligibility::Eligible,
            })
            .collect();
        for id in &config.blocked_items {
            match items.position(id) {
                Some(item) => eligibility[item] = Eligibility::Blocked,
                None => warnings.push(RuleWarning::UnknownBlockedItem(id.clone())),
            }
        }
        let boosts = compile_boosts(config, catalog, items, &mut warnings);
        for (key, kind, groups) in [("max_per_category", "category", &categories), ("max_per_brand", "brand", &brands)]
        {
            if groups.cap.is_some() && groups.of_item.iter().all(Option::is_none) {
                warnings.push(RuleWarning::CapWithoutNames { key, kind });
            }
        }

        let eligible = ItemSet::from_flags(n, |item| eligibility[item] == Eligibility::Eligible);
        let n_eligible = eligibility.iter().filter(|&&state| state == Eligibility::Eligible).count();
        let reach = categories.reach(&eligible).min(brands.reach(&eligible));
        Ok((Self { eligibility, eligible, n_eligible, boosts, categories, brands, reach }, warnings))
    }

    /// Number of items the rules speak of.
    #[must_use]
    pub fn n_items(&self) -> usize {
        self.eligibility.len()
    }

    /// Number of items that may be recommended.
    #[must_use]
    pub fn n_eligible(&self) -> usize {
        self.n_eligible
    }

    /// Whether `item` may be recommended, and if not, why.
    #[must_use]
    pub fn eligibility(&self, item: u32) -> Eligibility {
        self.eligibility[item as usize]
    }

    /// The category number of `item`.
    #[must_use]
    pub fn category(&self, item: u32) -> Option<u32> {
        self.categories.of_item[item as usize]
    }

    /// The factor on the scores of `item`; 1 without a boost.
    #[must_use]
    pub fn boost(&self, item: u32) -> f32 {
        self.boosts.as_ref().map_or(1.0, |boosts| boosts[item as usize])
    }

    #[inline]
    pub(super) fn is_eligible(&self, item: u32) -> bool {
        self.eligible.contains(item)
    }

    pub(super) fn boosts(&self) -> Option<&[f32]> {
        self.boosts.as_deref()
    }

    /// Whether a list may hold only so many of a category or brand.
    pub(super) fn has_caps(&self) -> bool {
        self.categories.cap.is_some() || self.brands.cap.is_some()
    }

    /// An upper bound of a list's length: no list can be longer under the caps.
    pub(super) fn reach(&self) -> usize {
        self.reach
    }
}

/// Formula: `score * boost` from zero up, `score / boost` below, so that a boost above 1 raises every score. Strong
/// boosts can carry a score to an infinity; negative infinity is never selected.
#[inline(always)]
pub(super) fn boosted(score: f32, boost: f32) -> f32 {
    if score >= 0.0 { score * boost } else { score / boost }
}

fn groups(
    kind: &'static str,
    of_item: &[Option<u32>],
    names: &IdTable,
    cap: Option<usize>,
) -> Result<Groups, RecommendError> {
    let n = names.len();
    for (item, group) in of_item.iter().enumerate() {
        if let Some(number) = group.filter(|&number| number as usize >= n) {
            return Err(RecommendError::NamelessGroup { kind, item, number, n });
        }
    }
    Ok(Groups { of_item: of_item.to_vec(), n_groups: n, cap })
}

fn compile_boosts(
    config: &RecommendConfig,
    catalog: &Catalog,
    items: &IdTable,
    warnings: &mut Vec<RuleWarning>,
) -> Option<Vec<f32>> {
    let mut factors = vec![1.0f32; items.len()];
    let mut any = false;
    for boost in &config.boosts {
        let targets = [
            ("category", &boost.category, &catalog.category_names, Some(&catalog.categories)),
            ("brand", &boost.brand, &catalog.brand_names, Some(&catalog.brands)),
            ("item", &boost.item, items, None),
        ];
        for (kind, name, names, of_item) in targets {
            let Some(name) = name else { continue };
            let mut hit = false;
            if let Some(number) = names.position(name) {
                match of_item {
                    None => {
                        factors[number] *= boost.factor;
                        hit = true;
                    }
                    Some(of_item) => {
                        let members = of_item.iter().zip(&mut factors);
                        for (_, factor) in members.filter(|(group, _)| **group == Some(number as u32)) {
                            *factor *= boost.factor;
                            hit = true;
                        }
                    }
                }
            }
            any |= hit;
            if !hit {
                warnings.push(RuleWarning::UnknownBoost { kind, name: name.clone() });
            }
        }
    }
    any.then_some(factors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommendations::Boost;

    fn shop() -> (Catalog, IdTable) {
        let items: IdTable = ["a", "b", "c", "d", "e"].into_iter().collect();
        let catalog = Catalog {
            present: true,
            listed: vec![true, true, false, true, true],
            available: vec![true, false, false, true, true],
            categories: vec![Some(0), Some(0), None, Some(1), Some(1)],
            brands: vec![Some(0), None, None, Some(0), None],
            category_names: ["hats", "shoes"].into_iter().collect(),
            brand_names: ["acme"].into_iter().collect(),
            ..Catalog::absent(5)
        };
        (catalog, items)
    }

    fn boost(category: Option<&str>, brand: Option<&str>, item: Option<&str>, factor: f32) -> Boost {
        let owned = |name: Option<&str>| name.map(str::to_owned);
        Boost { category: owned(category), brand: owned(brand), item: owned(item), factor }
    }

    #[test]
    fn each_item_has_one_reason_and_blocking_comes_first() {
        let (catalog, items) = shop();
        let config = RecommendConfig { blocked_items: vec!["b".into(), "zz".into()], ..Default::default() };
        let (rules, warnings) = Rules::compile(&config, &catalog, &items).unwrap();
        let reasons: Vec<Eligibility> = (0..5).map(|item| rules.eligibility(item)).collect();
        use Eligibility::{Blocked, Eligible, Unlisted};
        assert_eq!(reasons, [Eligible, Blocked, Unlisted, Eligible, Eligible]);
        assert_eq!((0..5).filter(|&item| rules.is_eligible(item)).collect::<Vec<_>>(), [0, 3, 4]);
        assert_eq!(rules.n_eligible(), 3);
        assert_eq!(warnings, [RuleWarning::UnknownBlockedItem("zz".into())]);

        let (rules, _) = Rules::compile(&RecommendConfig::default(), &catalog, &items).unwrap();
        assert_eq!(rules.eligibility(1), Eligibility::Unavailable);
        let open = RecommendConfig { allow_unlisted: true, ..Default::default() };
        let (rules, _) = Rules::compile(&open, &catalog, &items).unwrap();
        assert_eq!(rules.eligibility(2), Eligibility::Eligible);
        let (rules, _) = Rules::compile(&open, &Catalog::absent(5), &items).unwrap();
        assert_eq!(rules.n_eligible(), 5);
    }

    #[test]
    fn boosts_that_meet_are_multiplied_and_unknown_ones_reported() {
        let (catalog, items) = shop();
        let config = RecommendConfig {
            boosts: vec![
                boost(Some("shoes"), None, None, 2.0),
                boost(None, Some("acme"), None, 3.0),
                boost(None, None, Some("e"), 0.5),
                boost(Some("gloves"), None, None, 2.0),
                boost(None, Some("none"), None, 2.0),
                boost(None, None, Some("q"), 2.0),
            ],
            ..Default::default()
        };
        let (rules, warnings) = Rules::compile(&config, &catalog, &items).unwrap();
        assert_eq!(rules.boosts(), Some(&[3.0, 1.0, 1.0, 6.0, 1.0][..]));
        let names: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 3);
        assert_eq!(names[0], "boost of category \"gloves\" has no effect: there is no such category in this build");
        let (rules, _) = Rules::compile(&RecommendConfig::default(), &catalog, &items).unwrap();
        assert_eq!(rules.boosts(), None);
        assert_eq!(rules.boost(3), 1.0);
    }

    #[test]
    fn caps_bound_the_reach_of_a_list() {
        let (catalog, items) = shop();
        let reach = |max_per_category, max_per_brand| {
            let config =
                RecommendConfig { max_per_category, max_per_brand, allow_unlisted: true, ..Default::default() };
            Rules::compile(&config, &catalog, &items).unwrap().0.reach()
        };
        // Eligible: a (hats, acme), c (no names), d (shoes, acme), e (shoes, no brand).
        assert_eq!(reach(None, None), 4);
        assert_eq!(reach(Some(1), None), 3);
        assert_eq!(reach(None, Some(1)), 3);
        let config = RecommendConfig { max_per_brand: Some(2), ..Default::default() };
        let (_, warnings) = Rules::compile(&config, &Catalog::absent(5), &items).unwrap();
        assert_eq!(warnings, [RuleWarning::CapWithoutNames { key: "max_per_brand", kind: "brand" }]);
    }

    #[test]
    fn a_catalogue_of_another_size_is_refused() {
        let (mut catalog, items) = shop();
        catalog.brands[0] = Some(7);
        let config = RecommendConfig::default();
        assert!(matches!(Rules::compile(&config, &catalog, &items), Err(RecommendError::NamelessGroup { .. })));
        let error = Rules::compile(&config, &Catalog::absent(4), &items).unwrap_err();
        assert_eq!(error.to_string(), "the catalogue's `listed` column covers 4 items, expected 5");
    }
}
