//! The TOML table `[recommendations]`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Longest list that may be asked for.
const MAX_K: usize = 10_000;

/// What the lists look like: TOML table `[recommendations]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecommendConfig {
    /// Items in a user's list. Fewer only when fewer are eligible.
    pub k: usize,
    /// Where the rest of a list comes from when the model has too few items for it, and the whole list of a user
    /// without history; tried in this order. `[]` leaves such lists short.
    pub fallbacks: Vec<Fallback>,
    /// At most so many items of one category in a user's list. Items without a category are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_category: Option<usize>,
    /// At most so many items of one brand in a user's list. Items without a brand are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_brand: Option<usize>,
    /// Item ids that no list may contain.
    pub blocked_items: Vec<String>,
    /// Whether items that the catalogue does not list may be recommended. Without a catalogue every item may.
    pub allow_unlisted: bool,
    /// Factors on the model's scores of a category, a brand or an item; those that meet on an item are multiplied.
    pub boosts: Vec<Boost>,
    /// Similar items of each item.
    pub similar: SimilarConfig,
    /// Popular lists.
    pub popular: PopularConfig,
    /// Items bought together.
    pub bought_together: BoughtTogetherConfig,
    /// Trending items.
    pub trending: TrendingConfig,
}

/// Where items come from when the model has too few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// The popular items of the user's own categories, the one with the largest total weight in his history first.
    CategoryPopular,
    /// The popular items of the whole shop.
    Popular,
}

impl Fallback {
    /// The name in the config and in a list's source.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CategoryPopular => "category_popular",
            Self::Popular => "popular",
        }
    }
}

/// A factor on the scores of some items: exactly one of `category`, `brand` and `item` is given.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Boost {
    /// Name of the category whose items are boosted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Name of the brand whose items are boosted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Id of the item that is boosted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// Multiplies scores from zero up and divides negative ones, so that a factor above 1 always raises; 0.001 to 1000.
    pub factor: f32,
}

/// Similar items: TOML table `[recommendations.similar]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimilarConfig {
    /// Items in a list of similar items.
    pub k: usize,
    /// Two items are compared only when at least so many distinct users had to do with both. Small data may lower it.
    pub min_pair_users: u32,
}

/// Popular lists: TOML table `[recommendations.popular]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PopularConfig {
    /// Items in a popular list.
    pub k: usize,
    /// Whether each category gets a popular list beside the overall one.
    pub by_category: bool,
}

/// Items bought together: TOML table `[recommendations.bought_together]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BoughtTogetherConfig {
    /// Items in a list.
    pub k: usize,
    /// Two items go together only when at least so many baskets hold both.
    pub min_pair_baskets: u32,
    /// What ranks them.
    pub measure: PairMeasure,
}

/// How strongly two items go together; [`BoughtTogether::of`](super::BoughtTogether::of) writes the formulas out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairMeasure {
    /// How many times more often than by chance: favours rare pairs.
    Lift,
    /// The share of the item's baskets that hold the other: favours popular items.
    Confidence,
    /// Evidence against chance: between the two.
    #[default]
    LogLikelihood,
}

/// Trending items: TOML table `[recommendations.trending]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrendingConfig {
    /// Items in a list.
    pub k: usize,
    /// Days before `as_of` that count as now.
    pub days: u32,
    /// Days before those that they are compared with.
    pub baseline_days: u32,
    /// Users added to either side of the comparison: the higher, the larger the jump that an item with few users needs.
    pub smoothing: f64,
    /// Items with fewer users lately do not trend.
    pub min_users: u32,
    /// Whether each category gets a list beside the overall one.
    pub by_category: bool,
}

impl Default for BoughtTogetherConfig {
    fn default() -> Self {
        Self { k: 20, min_pair_baskets: 5, measure: PairMeasure::default() }
    }
}

impl Default for TrendingConfig {
    fn default() -> Self {
        Self { k: 100, days: 7, baseline_days: 28, smoothing: 20.0, min_users: 10, by_category: true }
    }
}

impl Default for RecommendConfig {
    fn default() -> Self {
        Self {
            k: 50,
            fallbacks: vec![Fallback::CategoryPopular, Fallback::Popular],
            max_per_category: None,
            max_per_brand: None,
            blocked_items: Vec::new(),
            allow_unlisted: false,
            boosts: Vec::new(),
            similar: SimilarConfig::default(),
            popular: PopularConfig::default(),
            bought_together: BoughtTogetherConfig::default(),
            trending: TrendingConfig::default(),
        }
    }
}

impl Default for SimilarConfig {
    fn default() -> Self {
        Self { k: 20, min_pair_users: 10 }
    }
}

impl Default for PopularConfig {
    fn default() -> Self {
        Self { k: 100, by_category: true }
    }
}

impl RecommendConfig {
    /// Checks every value; `path` is the table's own path, e.g. `recommendations`.
    ///
    /// # Errors
    /// A message that starts with the full path of the key at fault.
    pub fn check(&self, path: &str) -> Result<(), String> {
        check_k(path, "k", self.k)?;
        check_k(path, "similar.k", self.similar.k)?;
        check_k(path, "popular.k", self.popular.k)?;
        if self.similar.min_pair_users == 0 {
            return Err(format!("{path}.similar.min_pair_users must be at least 1, is 0"));
        }
        check_k(path, "bought_together.k", self.bought_together.k)?;
        if self.bought_together.min_pair_baskets == 0 {
            return Err(format!("{path}.bought_together.min_pair_baskets must be at least 1, is 0"));
        }
        self.trending.check(&format!("{path}.trending"))?;
        for (key, cap) in [("max_per_category", self.max_per_category), ("max_per_brand", self.max_per_brand)] {
            if cap == Some(0) {
                return Err(format!("{path}.{key} must be at least 1, is 0 (leave it out for no limit)"));
            }
        }
        let mut seen = BTreeSet::new();
        for (at, fallback) in self.fallbacks.iter().enumerate() {
            if !seen.insert(fallback) {
                return Err(format!("{path}.fallbacks[{at}] repeats {}", fallback.name()));
            }
        }
        self.boosts.iter().enumerate().try_for_each(|(at, boost)| boost.check(&format!("{path}.boosts[{at}]")))
    }
}

impl TrendingConfig {
    fn check(&self, path: &str) -> Result<(), String> {
        check_k(path, "k", self.k)?;
        for (key, days) in [("days", self.days), ("baseline_days", self.baseline_days)] {
            if !(1..=3_650).contains(&days) {
                return Err(format!("{path}.{key} must be 1 to 3650, is {days}"));
            }
        }
        if !(self.smoothing > 0.0 && self.smoothing <= 1e9) {
            return Err(format!("{path}.smoothing must be above 0 and at most 1e9, is {}", self.smoothing));
        }
        Ok(())
    }
}

impl Boost {
    fn check(&self, path: &str) -> Result<(), String> {
        let n_targets = [&self.category, &self.brand, &self.item].into_iter().filter(|target| target.is_some()).count();
        if n_targets != 1 {
            return Err(format!("{path} must name exactly one of category, brand and item, names {n_targets}"));
        }
        if !(0.001..=1000.0).contains(&self.factor) {
            return Err(format!("{path}.factor must be 0.001 to 1000, is {}", self.factor));
        }
        Ok(())
    }
}

fn check_k(path: &str, key: &str, k: usize) -> Result<(), String> {
    if (1..=MAX_K).contains(&k) { Ok(()) } else { Err(format!("{path}.{key} must be 1 to {MAX_K}, is {k}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> RecommendConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn an_empty_table_is_the_default_and_valid() {
        let config = parse("");
        assert_eq!(config, RecommendConfig::default());
        assert_eq!(config.check("recommendations"), Ok(()));
    }

    #[test]
    fn a_full_table_is_read_and_written_back() {
        let config = parse(
            r#"
            k = 24
            fallbacks = ["popular"]
            max_per_category = 5
            blocked_items = ["a"]
            allow_unlisted = true
            boosts = [{ category = "shoes", factor = 1.5 }, { item = "x", factor = 0.5 }]
            similar = { k = 5, min_pair_users = 2 }
            popular = { k = 10, by_category = false }
            "#,
        );
        assert_eq!(config.check("recommendations"), Ok(()));
        assert_eq!(config.fallbacks, [Fallback::Popular]);
        assert_eq!(config.boosts[0].category.as_deref(), Some("shoes"));
        assert_eq!(parse(&toml::to_string(&config).unwrap()), config);
    }

    #[test]
    fn each_fault_names_its_key() {
        for (text, start) in [
            ("k = 0", "recommendations.k must be 1 to 10000, is 0"),
            ("similar = { k = 20000 }", "recommendations.similar.k must be"),
            ("similar = { min_pair_users = 0 }", "recommendations.similar.min_pair_users must be"),
            ("popular = { k = 0 }", "recommendations.popular.k must be"),
            ("max_per_category = 0", "recommendations.max_per_category must be"),
            ("max_per_brand = 0", "recommendations.max_per_brand must be"),
            ("fallbacks = ['popular', 'popular']", "recommendations.fallbacks[1] repeats popular"),
            ("boosts = [{ factor = 2.0 }]", "recommendations.boosts[0] must name exactly one"),
            ("boosts = [{ item = 'a', brand = 'b', factor = 2.0 }]", "recommendations.boosts[0] must name exactly one"),
            ("boosts = [{ item = 'a', factor = nan }]", "recommendations.boosts[0].factor must be"),
            ("boosts = [{ item = 'a' }]", "recommendations.boosts[0].factor must be"),
        ] {
            let message = parse(text).check("recommendations").unwrap_err();
            assert!(message.starts_with(start), "{text}: {message}");
        }
        assert!(toml::from_str::<RecommendConfig>("kk = 3").is_err());
        assert!(toml::from_str::<RecommendConfig>("fallbacks = ['random']").is_err());
    }
}
