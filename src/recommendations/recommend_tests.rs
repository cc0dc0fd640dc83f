//! Lists against naive ones: everything sorted, every rule looked up in a map.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::LazyLock,
};

use proptest::prelude::*;
use rayon::ThreadPool;

use super::{
    Boost, Catalog, Fallback, KeptOut, Placement, PopularLists, RecommendConfig, RecommendError, Recommended,
    Recommender, Rules, Scorer,
    testing::{TableModel, any_score, matrix, naive_order, pattern},
};
use crate::{
    ids::{IdTable, ItemIdx},
    interactions::Csr,
};

static ONE_THREAD: LazyLock<ThreadPool> = LazyLock::new(|| pool(1));
static THREE_THREADS: LazyLock<ThreadPool> = LazyLock::new(|| pool(3));

fn pool(n_threads: usize) -> ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap()
}

/// A small shop, its users, a model's scores for them, and what the config says.
#[derive(Debug, Clone)]
struct Shop {
    scores: Vec<Vec<f32>>,
    /// One a user; the first weight leads the table model to the user's scores.
    histories: Vec<Vec<(u32, f32)>>,
    excluded: Vec<Vec<u32>>,
    catalog: Catalog,
    items: IdTable,
    config: RecommendConfig,
    min_score: Option<f32>,
    /// Whether the model can be visited.
    visits: bool,
}

impl Shop {
    fn of(scores: Vec<Vec<f32>>, categories: Vec<Option<u32>>) -> Self {
        let n_items = categories.len();
        let items: Vec<String> = (0..n_items).map(|item| format!("i{item:03}")).collect();
        Self {
            histories: (0..scores.len()).map(|user| vec![(0, user as f32 + 1.0)]).collect(),
            excluded: vec![Vec::new(); scores.len()],
            catalog: Catalog {
                present: true,
                categories,
                category_names: ["bags", "hats", "shoes", "ties"].into_iter().collect(),
                brand_names: ["acme", "best", "core"].into_iter().collect(),
                ..Catalog::absent(n_items)
            },
            items: items.iter().map(String::as_str).collect(),
            scores,
            config: RecommendConfig::default(),
            min_score: None,
            visits: false,
        }
    }

    fn weights(&self) -> Csr {
        matrix(&self.histories, self.items.len())
    }

    fn excluded(&self) -> Csr {
        pattern(&self.excluded, self.items.len())
    }

    fn rules(&self) -> Rules {
        Rules::compile(&self.config, &self.catalog, &self.items).unwrap().0
    }

    fn with<T>(&self, tile: (usize, usize), ask: impl FnOnce(&Recommender<'_>) -> T) -> T {
        let mut model = TableModel::new(self.scores.clone(), tile);
        model.n_items = self.scores.first().map_or(self.items.len(), Vec::len);
        model.visits = self.visits;
        let rules = self.rules();
        let popular = PopularLists::new(&self.weights(), &rules, &self.catalog.category_names).unwrap();
        let scorer = Scorer { model: &model, name: "table", min_score: self.min_score, serves_empty_histories: false };
        ask(&Recommender::new(scorer, &rules, &popular, &self.config.fallbacks, self.config.k).unwrap())
    }

    fn lists(&self, tile: (usize, usize)) -> Recommended {
        self.with(tile, |recommender| {
            recommender.recommend_rows(&self.weights(), &self.excluded(), 0..self.histories.len()).unwrap()
        })
    }

    fn naive_eligible(&self, item: usize) -> bool {
        let allowed = if self.catalog.listed[item] { self.catalog.available[item] } else { self.config.allow_unlisted };
        allowed && !self.config.blocked_items.iter().any(|id| id == self.items.get(item))
    }

    fn naive_score(&self, item: usize, score: f32) -> f32 {
        let mut factor = 1.0;
        for boost in &self.config.boosts {
            let category = self.catalog.categories[item].map(|at| self.catalog.category_names.get(at as usize));
            if boost.item.as_deref() == Some(self.items.get(item))
                || boost.category.is_some() && boost.category.as_deref() == category
            {
                factor *= boost.factor;
            }
        }
        if score < 0.0 { score / factor } else { score * factor }
    }

    /// The list of a user and its source.
    fn naive(&self, user: usize) -> (Vec<(u32, f32)>, String) {
        let mut list: Vec<(u32, f32)> = Vec::new();
        let mut n_in: HashMap<(&str, u32), usize> = HashMap::new();
        let excluded: HashSet<u32> = self.excluded[user].iter().copied().collect();
        let mut walk = |entries: &[(u32, f32)], list: &mut Vec<(u32, f32)>| {
            for &(item, score) in entries {
                let groups = [
                    ("category", self.catalog.categories[item as usize], self.config.max_per_category),
                    ("brand", self.catalog.brands[item as usize], self.config.max_per_brand),
                ];
                let full = groups.iter().any(|(kind, group, cap)| {
                    group.is_some_and(|group| {
                        cap.is_some_and(|cap| n_in.get(&(*kind, group)).is_some_and(|n| *n >= cap))
                    })
                });
                let taken = list.iter().any(|entry| entry.0 == item);
                if list.len() < self.config.k && !full && !taken {
                    list.push((item, score));
                    for (kind, group, _) in groups {
                        group.into_iter().for_each(|group| *n_in.entry((kind, group)).or_default() += 1);
                    }
                }
            }
        };
        let may = |item: u32| self.naive_eligible(item as usize) && !excluded.contains(&item);
        let mut source = Vec::new();
        let n_known = self.scores.first().map_or(0, Vec::len) as u32;
        if self.histories[user].iter().any(|cell| cell.0 < n_known) {
            let bound = self.min_score.unwrap_or(f32::NEG_INFINITY);
            let mut order: Vec<(u32, f32)> = (0..n_known)
                .map(|item| (item, self.naive_score(item as usize, self.scores[user][item as usize])))
                .filter(|&(item, score)| may(item) && score > bound)
                .collect();
            order.sort_by(naive_order);
            walk(&order, &mut list);
        }
        if !list.is_empty() {
            source.push("table");
        }

        let mut totals = vec![0f32; self.items.len()];
        self.histories.iter().flatten().for_each(|&(item, weight)| totals[item as usize] += weight);
        let mut popular: Vec<(u32, f32)> = (0..).zip(totals).filter(|(item, _)| may(*item)).collect();
        popular.sort_by(naive_order);
        for fallback in &self.config.fallbacks {
            let before = list.len();
            match fallback {
                Fallback::Popular => walk(&popular, &mut list),
                Fallback::CategoryPopular => {
                    let mut taste: BTreeMap<u32, f32> = BTreeMap::new();
                    for &(item, weight) in &self.histories[user] {
                        let category = self.catalog.categories[item as usize];
                        category.into_iter().for_each(|category| *taste.entry(category).or_default() += weight);
                    }
                    let mut taste: Vec<(u32, f32)> = taste.into_iter().collect();
                    taste.sort_by(naive_order);
                    for (category, _) in taste {
                        let of_category = popular.iter().copied();
                        let of_category: Vec<(u32, f32)> = of_category
                            .filter(|(item, _)| self.catalog.categories[*item as usize] == Some(category))
                            .collect();
                        walk(&of_category, &mut list);
                    }
                }
            }
            if list.len() > before {
                source.push(fallback.name());
            }
        }
        (list, source.join("+"))
    }
}

fn row_of(lists: &Recommended, user: usize) -> (Vec<(u32, f32)>, String) {
    let (at, items, scores, source) = lists.rows().nth(user).unwrap();
    assert_eq!(at, user);
    (items.iter().copied().zip(scores.iter().copied()).collect(), source.to_owned())
}

fn any_shop() -> impl Strategy<Value = Shop> {
    (0usize..9, 1usize..70, 0usize..4).prop_flat_map(|(n_users, n_items, n_unknown)| {
        let group = |n: u32| {
            // With one group that has nearly everything, a capped list needs a long walk.
            let skewed = prop_oneof![12 => Just(Some(0)), 1 => (0..n).prop_map(Some)];
            prop_oneof![
                prop::collection::vec(prop::option::weighted(0.8, 0..n), n_items),
                prop::collection::vec(skewed, n_items),
            ]
        };
        let flags = || prop::collection::vec(prop::bool::weighted(0.9), n_items);
        let columns = move |share: f64| {
            prop::collection::vec(prop::bool::weighted(share), n_items)
                .prop_map(|flags| (0u32..).zip(flags).filter(|flag| flag.1).map(|flag| flag.0).collect::<Vec<_>>())
        };
        let boosted = (prop::sample::select(vec!["hats", "i002", "i005"]), prop::sample::select(vec![0.5f32, 4.0]));
        (
            (
                prop::collection::vec(prop::collection::vec(any_score(), n_items.saturating_sub(n_unknown)), n_users),
                prop::collection::vec(prop_oneof![columns(0.1), columns(0.0)], n_users),
                prop::collection::vec(prop_oneof![columns(0.0), columns(0.2), columns(1.0)], n_users),
            ),
            (group(4), group(3), flags(), flags()),
            (prop::option::of(1usize..4), prop::option::of(1usize..4)),
            prop::collection::vec(boosted, 0..3),
            (
                prop_oneof![1usize..80, 1usize..5],
                prop::sample::subsequence(vec![Fallback::CategoryPopular, Fallback::Popular], 0..=2).prop_shuffle(),
                prop::bool::ANY,
                (prop::option::of(prop::sample::select(vec![0.0f32, 0.5, -1.0])), prop::bool::ANY),
            ),
        )
            .prop_map(|((scores, histories, excluded), groups, caps, boosts, rest)| {
                let mut shop = Shop::of(scores, groups.0);
                shop.histories = histories
                    .into_iter()
                    .enumerate()
                    .map(|(user, items): (usize, Vec<u32>)| {
                        let weight = |at: usize| if at == 0 { user as f32 + 1.0 } else { (at % 3) as f32 + 1.0 };
                        items.into_iter().enumerate().map(|(at, item)| (item, weight(at))).collect()
                    })
                    .collect();
                shop.excluded = excluded;
                shop.catalog.brands = groups.1;
                shop.catalog.listed = groups.2;
                shop.catalog.available = groups.3;
                let (k, fallbacks, allow_unlisted, (min_score, visits)) = rest;
                shop.config = RecommendConfig {
                    k,
                    fallbacks,
                    allow_unlisted,
                    max_per_category: caps.0,
                    max_per_brand: caps.1,
                    blocked_items: vec!["i003".into()],
                    boosts: boosts
                        .into_iter()
                        .map(|(name, factor)| match name {
                            "hats" => Boost { category: Some(name.into()), factor, ..Boost::default() },
                            _ => Boost { item: Some(name.into()), factor, ..Boost::default() },
                        })
                        .collect(),
                    ..RecommendConfig::default()
                };
                shop.min_score = min_score;
                shop.visits = visits;
                shop
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn lists_are_the_naive_ones_for_any_tile_and_thread_count(
        shop in any_shop(),
        tile_users in 1usize..6,
        tile_items in prop_oneof![1usize..80, Just(usize::MAX)],
    ) {
        let lists = ONE_THREAD.install(|| shop.lists((tile_users, tile_items)));
        prop_assert_eq!(lists.sources.len(), shop.histories.len());
        for user in 0..shop.histories.len() {
            prop_assert_eq!(row_of(&lists, user), shop.naive(user), "user {}", user);
        }
        let n_short = shop.histories.iter().enumerate().filter(|(user, _)| shop.naive(*user).0.len() < shop.config.k);
        prop_assert_eq!(lists.counts.n_short, n_short.count() as u64);
        prop_assert_eq!(lists.counts.n_users(), shop.histories.len() as u64);

        let others = THREE_THREADS.install(|| shop.lists((3, 7)));
        // Bits and not values: a list must not differ by the sign of a zero either.
        let bits = |lists: &Recommended| lists.scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&others), bits(&lists));
        prop_assert_eq!(others, lists);
    }

    #[test]
    fn one_user_and_any_split_of_the_users_give_the_same_lists(shop in any_shop(), cut in 0usize..9) {
        let whole = shop.lists((4, 16));
        let n_users = shop.histories.len();
        let cut = cut.min(n_users);
        let (weights, excluded) = (shop.weights(), shop.excluded());
        shop.with((4, 16), |recommender| {
            let mut both = recommender.recommend_rows(&weights, &excluded, 0..cut).unwrap();
            both.append(&recommender.recommend_rows(&weights, &excluded, cut..n_users).unwrap());
            prop_assert_eq!(&both, &whole);
            for user in 0..n_users {
                let one = recommender.recommend_one(weights.row(user), excluded.columns(user));
                let entries: Vec<(u32, f32)> = one.entries.iter().map(|entry| (entry.item, entry.score)).collect();
                prop_assert_eq!((entries, one.source), row_of(&whole, user));
            }
            Ok(())
        })?;
    }

    #[test]
    fn explanations_agree_with_the_lists(shop in any_shop(), item in 0u32..70) {
        let item = item % shop.items.len() as u32;
        let lists = shop.lists((4, 16));
        let (weights, excluded) = (shop.weights(), shop.excluded());
        shop.with((4, 16), |recommender| {
            for user in 0..shop.histories.len() {
                let (list, source) = row_of(&lists, user);
                let verdict =
                    recommender.explain(weights.row(user), excluded.columns(user), ItemIdx(item)).unwrap();
                let place = list.iter().position(|entry| entry.0 == item).map(|at| at + 1);
                match verdict.placement {
                    Placement::Listed { place: told, part } => {
                        prop_assert_eq!(Some(told), place);
                        prop_assert!(source.split('+').any(|name| name == part), "{part} of {source}");
                    }
                    Placement::KeptOut(reason) => {
                        prop_assert_eq!(place, None);
                        let capped = shop.config.max_per_category.or(shop.config.max_per_brand).is_some();
                        let holds = match reason {
                            KeptOut::OwnActions => shop.excluded[user].contains(&item),
                            KeptOut::Blocked => item == 3,
                            KeptOut::Unlisted => !shop.catalog.listed[item as usize],
                            KeptOut::Unavailable => !shop.catalog.available[item as usize],
                            KeptOut::NoHistory => verdict.score.is_none() && !source.contains("table"),
                            KeptOut::UnknownToModel => item as usize >= shop.scores[user].len(),
                            KeptOut::NotANumber => shop.scores[user][item as usize].is_nan(),
                            KeptOut::NoLink => verdict.rank.is_none(),
                            KeptOut::CategoryCap => shop.config.max_per_category.is_some(),
                            KeptOut::BrandCap => shop.config.max_per_brand.is_some(),
                            KeptOut::Rank { rank, of, k } => {
                                verdict.rank == Some(rank) && rank > k && rank <= of && (capped || list.len() == k)
                            }
                        };
                        prop_assert!(holds, "{reason:?} for {list:?}");
                    }
                }
            }
            Ok(())
        })?;
    }
}

#[test]
fn a_long_walk_under_caps_is_finished_with_a_longer_prefix() {
    // 600 items; the 590 best are all bags, so a cap of 2 fills the list of 4 only from the last ten.
    let n = 600usize;
    let scores: Vec<f32> = (0..n).map(|item| -(item as f32)).collect();
    let categories = (0..n).map(|item| Some(u32::from(item >= 590))).collect();
    let mut shop = Shop::of(vec![scores; 5], categories);
    shop.config = RecommendConfig { k: 4, max_per_category: Some(2), fallbacks: vec![], ..RecommendConfig::default() };
    let lists = shop.lists((3, 64));
    for user in 0..5 {
        let items: Vec<u32> = row_of(&lists, user).0.iter().map(|entry| entry.0).collect();
        assert_eq!(items, [0, 1, 590, 591]);
    }
    assert_eq!((lists.counts.n_model, lists.counts.n_short), (5, 0));

    let verdict = |item: u32| {
        let weights = shop.weights();
        shop.with((3, 64), |recommender| recommender.explain(weights.row(0), &[], ItemIdx(item)).unwrap())
    };
    assert_eq!(verdict(2).placement, Placement::KeptOut(KeptOut::CategoryCap));
    assert_eq!(verdict(590).placement, Placement::Listed { place: 3, part: "table".into() });
    assert_eq!((verdict(590).rank, verdict(590).n_ranked), (Some(591), 600));
    let past_the_end = verdict(592).placement;
    assert_eq!(past_the_end, Placement::KeptOut(KeptOut::Rank { rank: 593, of: 600, k: 4 }));
}

#[test]
fn nan_is_counted_once_even_when_a_user_is_scored_again() {
    let n = 300usize;
    let mut scores: Vec<f32> = (0..n).map(|item| -(item as f32)).collect();
    scores[7] = f32::NAN;
    scores[299] = f32::NAN;
    let mut shop = Shop::of(vec![scores], (0..n).map(|item| Some(u32::from(item >= 200))).collect());
    shop.excluded[0] = vec![299];
    shop.config = RecommendConfig { k: 3, max_per_category: Some(2), ..RecommendConfig::default() };
    let lists = shop.lists((1, 50));
    assert_eq!(lists.items, [0, 1, 200]);
    assert_eq!(lists.counts.n_nan, 1, "the excluded one doesn't count");
}

#[test]
fn who_has_nothing_gets_what_is_popular_and_the_source_says_so() {
    let mut shop = Shop::of(vec![vec![0.0, 0.0, 2.0, 0.0]; 3], vec![Some(0), Some(0), Some(1), None]);
    shop.min_score = Some(0.0);
    shop.histories = vec![vec![(1, 1.0), (2, 1.0)], vec![], vec![(0, 3.0)]];
    shop.excluded[1] = vec![0];
    shop.config.k = 3;
    let lists = shop.lists((8, 2));
    // Totals: item 0 has 3, items 1 and 2 have 1, item 3 has 0.
    let rows: Vec<(&[u32], &str)> = lists.rows().map(|(_, items, _, source)| (items, source)).collect();
    assert_eq!(rows[0], (&[2, 0, 1][..], "table+category_popular"));
    assert_eq!(rows[1], (&[1, 2, 3][..], "popular"));
    assert_eq!(rows[2], (&[2, 0, 1][..], "table+category_popular"));
    assert_eq!(row_of(&lists, 0).0, [(2, 2.0), (0, 3.0), (1, 1.0)]);
    let counts = lists.counts;
    assert_eq!((counts.n_model, counts.n_filled, counts.n_fallback, counts.n_empty, counts.n_short), (0, 2, 1, 0, 0));

    shop.config.fallbacks.clear();
    let counts = shop.lists((8, 2)).counts;
    assert_eq!((counts.n_model, counts.n_fallback, counts.n_empty, counts.n_short), (2, 0, 1, 3));
}

#[test]
fn a_model_that_serves_everybody_is_asked_for_everybody() {
    let shop = Shop { histories: vec![vec![]], ..Shop::of(vec![vec![1.0, 2.0]], vec![None, None]) };
    let model = TableModel::new(vec![vec![1.0, 2.0]], (4, 4));
    let rules = shop.rules();
    let popular = PopularLists::new(&shop.weights(), &rules, &shop.catalog.category_names).unwrap();
    for (serves_empty_histories, source) in [(true, "popularity"), (false, "popular")] {
        let scorer = Scorer { model: &model, name: "popularity", min_score: None, serves_empty_histories };
        let recommender = Recommender::new(scorer, &rules, &popular, &[Fallback::Popular], 2).unwrap();
        let lists = recommender.recommend_rows(&shop.weights(), &shop.excluded(), 0..1).unwrap();
        assert_eq!(row_of(&lists, 0), (vec![(0, 0.0), (1, 0.0)], source.to_owned()));
    }
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let shop = Shop::of(vec![vec![1.0, 2.0]], vec![None, None]);
    shop.with((1, 1), |recommender| {
        let (weights, excluded) = (shop.weights(), shop.excluded());
        let error = recommender.recommend_rows(&weights, &excluded, 0..2).unwrap_err();
        assert_eq!(error.to_string(), "asked for users 0 to 2, there are 1");
        assert!(recommender.recommend_rows(&weights, &Csr::empty(2, 2), 0..1).is_err());
        assert!(recommender.recommend_rows(&Csr::empty(1, 3), &excluded, 0..1).is_err());
        assert!(recommender.explain(weights.row(0), &[], ItemIdx(2)).is_err());
    });
    let rules = shop.rules();
    let popular = PopularLists::new(&shop.weights(), &rules, &shop.catalog.category_names).unwrap();
    let model = TableModel::new(vec![vec![0.0; 3]], (1, 1));
    let scorer = Scorer { model: &model, name: "als", min_score: None, serves_empty_histories: false };
    let Err(error) = Recommender::new(scorer, &rules, &popular, &[], 2) else { panic!("3 items of 2") };
    assert!(matches!(error, RecommendError::ModelItems { .. }));
    assert_eq!(error.to_string(), "model als scores 3 items, the item table has only 2");
}

#[test]
fn reasons_read_as_documented() {
    let rank = KeptOut::Rank { rank: 312, of: 1_204_070, k: 50 };
    assert_eq!(rank.to_string(), "rank 312 of 1,204,070, k is 50");
    for (reason, text) in [
        (KeptOut::OwnActions, "excluded by the user's own actions"),
        (KeptOut::Unavailable, "unavailable"),
        (KeptOut::Blocked, "blocked"),
        (KeptOut::Unlisted, "not in the catalogue"),
        (KeptOut::CategoryCap, "category cap"),
        (KeptOut::BrandCap, "brand cap"),
        (KeptOut::UnknownToModel, "unknown to the model"),
    ] {
        assert_eq!(reason.to_string(), text);
    }
}
