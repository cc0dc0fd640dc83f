//! Rules and selection on a shop small enough to check by hand, and laws on users made at random.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    ids::IdTable,
    interactions::{Csr, DAY, History, Interactions, PairPurchases, Stamp},
    model::{Als, AlsConfig, ItemItem, ItemItemConfig, Model},
    recommendations::{Arm, Catalog, RecommendConfig, Scorer},
};

fn select(
    plan: &Plan,
    shop: &Shop,
    users: &BucketUsers,
    affinity: Option<&Affinity<'_>>,
) -> Result<BucketSelection, CampaignError> {
    Selector::new(plan, shop, affinity).select(users)
}

/// The night of all tests: day 100 after 2000, noon.
const AS_OF: Stamp = Stamp(100 * DAY + DAY / 2);

fn days_ago(days: f64) -> Stamp {
    Stamp(AS_OF.0 - (days * f64::from(DAY)) as u32)
}

/// Eight items `i0` to `i7`: even ones are hats, odd ones shoes; `i7` is sold out; prices 10, 11, …
fn shop() -> Shop {
    let ids: IdTable = ["i0", "i1", "i2", "i3", "i4", "i5", "i6", "i7"].into_iter().collect();
    let catalog = Catalog {
        present: true,
        available: (0..8).map(|item| item != 7).collect(),
        titles: (0..8).map(|item| format!("Item {item}")).collect(),
        categories: (0..8).map(|item| Some(item % 2)).collect(),
        brands: (0..8).map(|item| (item < 4).then_some(0)).collect(),
        prices: (0..8).map(|item| Some(10.0 + f64::from(item))).collect(),
        category_names: ["hats", "shoes"].into_iter().collect(),
        brand_names: ["acme"].into_iter().collect(),
        ..Catalog::absent(8)
    };
    Shop::new(ids.clone(), catalog, &ids, &RecommendConfig::default(), Some(AS_OF)).unwrap()
}

/// Users by what they did: (id, pairs by item).
fn users(of: &[(&str, Vec<(u32, PairFacts)>)]) -> BucketUsers {
    let ids: IdTable = of.iter().map(|(id, _)| *id).collect();
    let mut pairs = Pairs { indptr: vec![0], ..Pairs::default() };
    for (_, own) in of {
        for (item, facts) in own {
            pairs.items.push(*item);
            pairs.facts.push(*facts);
        }
        pairs.indptr.push(pairs.items.len());
    }
    BucketUsers { table: UserTable::new(ids.len(), Some(AS_OF.unix())), ids, pairs, ..BucketUsers::default() }
}

fn seen(views: u32, days: f64) -> PairFacts {
    PairFacts { weight: views as f32, views, last: Some(days_ago(days)), ..PairFacts::default() }
}

fn bought(first: f64, last: f64, days: u32) -> PairFacts {
    PairFacts {
        weight: 5.0,
        purchases: days,
        last: Some(days_ago(last)),
        bought: PairPurchases { first: days_ago(first), last: days_ago(last), days },
        ..PairFacts::default()
    }
}

fn plan(text: &str) -> Plan {
    #[derive(serde::Deserialize)]
    struct Config {
        #[serde(default)]
        campaigns: CampaignsConfig,
        campaign: Vec<CampaignConfig>,
    }
    let config: Config = toml::from_str(text).unwrap();
    let mut schema = Schema::of_profiles(&["view", "purchase"]);
    schema.put("country", ColumnType::Text);
    config.campaigns.check("campaigns", &config.campaign, &schema).unwrap();
    Plan::new(&config.campaigns, &config.campaign, &schema).unwrap()
}

/// (user, items, reason) of the only campaign, best first.
fn chosen(text: &str, shop: &Shop, users: &BucketUsers) -> Vec<(String, Vec<u32>, String)> {
    let plan = plan(&format!("[[campaign]]\nname = 'x'\n{text}"));
    let selection = select(&plan, shop, users, None).unwrap();
    let candidate = |it: &Candidate| {
        let items = it.items.iter().map(|(item, _)| *item).collect();
        (users.ids.get(it.user as usize).to_owned(), items, it.reason.clone())
    };
    selection.campaigns[0].candidates.iter().map(candidate).collect()
}

fn row(user: &str, items: &[u32], reason: &str) -> (String, Vec<u32>, String) {
    (user.to_owned(), items.to_vec(), reason.to_owned())
}

#[test]
fn carts_are_those_left_a_while_ago_and_not_long_ago() {
    let mut users = users(&[("a", vec![]), ("b", vec![]), ("c", vec![]), ("d", vec![]), ("e", vec![])]);
    let item = |item: u32, days: f64, quantity: f64| CartItem { item, added: days_ago(days), quantity };
    users.carts.push([item(1, 2.0, 1.0), item(4, 3.0, 2.0), item(7, 3.0, 9.0)]);
    users.carts.push([item(2, 0.01, 1.0), item(3, 3.0, 1.0)]); // Still shopping.
    users.carts.push([item(2, 30.0, 1.0)]); // Long ago.
    users.carts.push([]);
    users.carts.push([item(7, 1.0, 1.0)]); // Sold out.
    let text = "kind = 'abandoned_cart'";
    // Day 98 of 2000 is 8 April; the second item costs 14 twice.
    assert_eq!(chosen(text, &shop(), &users), [row("a", &[4, 1], "added 3 items on 8 Apr, not bought")]);
    let plan = plan(&format!("[[campaign]]\nname = 'x'\n{text}"));
    let funnel = &select(&plan, &shop(), &users, None).unwrap().campaigns[0].funnel;
    assert_eq!((funnel.users, funnel.matched, funnel.items, funnel.outside_rule), (5, 2, 1, 3));
}

#[test]
fn browsing_counts_when_it_led_to_nothing() {
    let carted = PairFacts { carts: 1, ..seen(5, 2.0) };
    let users = users(&[
        ("a", vec![(0, seen(2, 2.0)), (2, seen(4, 3.0)), (5, seen(1, 2.0))]),
        ("b", vec![(0, carted)]),
        ("c", vec![(0, seen(3, 0.1))]),
        ("d", vec![(0, seen(3, 20.0))]),
    ]);
    let expected = [row("a", &[2, 0], "looked at 2 items more than once, last on 8 Apr, not bought")];
    assert_eq!(chosen("kind = 'browse_abandonment'", &shop(), &users), expected);
}

#[test]
fn lapsed_buyers_and_tiers_come_by_money() {
    let mut users = users(&[("a", vec![]), ("b", vec![]), ("c", vec![]), ("d", vec![])]);
    let last = [95.0, 99.0, 10.0, 99.0].map(|days| Some(days_ago(days).unix()));
    users.table.put_instants("last_order_at", last.into_iter()).unwrap();
    users.table.put_numbers("orders_all", [2.0, 1.0, 5.0, 1.0].map(Some).into_iter()).unwrap();
    users.table.put_numbers("monetary_all", [20.0, 80.5, 300.0, 80.5].map(Some).into_iter()).unwrap();
    let tiers = [Some("At risk"), None, Some("Champions"), Some("At risk")];
    users.table.put_texts("rfm_tier", tiers.into_iter()).unwrap();
    (0..4).for_each(|_| users.recommendations.push([(3, 0.9), (1, 0.8), (0, 0.7), (2, 0.6)]));
    let lapsed = chosen("kind = 'win_back'", &shop(), &users);
    assert_eq!(lapsed[0], row("b", &[3, 1, 0], "last order on 2 Jan, 99 days ago; 1 order, 80.50 in all"));
    assert_eq!(lapsed.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ["b", "d", "a"], "ties go by id");
    let twice = chosen("kind = 'win_back'\nmin_orders = 2", &shop(), &users);
    assert_eq!(twice.len(), 1);
    let at_risk = chosen("kind = 'rfm'\ntiers = ['At risk']\nitems = 1", &shop(), &users);
    assert_eq!(at_risk, [row("d", &[3], "RFM tier At risk"), row("a", &[3], "RFM tier At risk")]);
}

#[test]
fn purchases_come_round() {
    let mut shop = shop();
    shop.intervals = vec![None; 8];
    shop.intervals[2] = Some(Interval { days: 30.0, n_users: 9 });
    shop.intervals[4] = Some(Interval { days: 30.0, n_users: 2 });
    let users = users(&[
        ("a", vec![(2, bought(29.0, 29.0, 1))]),
        // Four buyers' rhythm is no evidence, his own is.
        ("b", vec![(4, bought(80.0, 20.0, 4))]),
        ("c", vec![(4, bought(30.0, 30.0, 1))]),
        ("d", vec![(2, bought(10.0, 10.0, 1))]),
        ("e", vec![(2, bought(60.0, 60.0, 1))]),
        ("f", vec![(2, PairFacts { refunds: 1, ..bought(30.0, 30.0, 1) })]),
    ]);
    let due = chosen("kind = 'replenishment'", &shop, &users);
    assert_eq!(
        due,
        [
            row("b", &[4], "buys Item 4 about every 20 days, last on 21 Mar"),
            row("a", &[2], "buys Item 2 about every 30 days, last on 12 Mar"),
        ]
    );
}

#[test]
fn complements_are_what_is_not_owned() {
    let mut shop = shop();
    let lists = [vec![(1, 9.0), (2, 5.0), (7, 99.0)], vec![(2, 6.0), (0, 4.0)]];
    shop.complements.offsets = vec![0, 3, 5, 5, 5, 5, 5, 5, 5];
    shop.complements.entries = lists.concat();
    let users = users(&[
        ("a", vec![(0, bought(5.0, 5.0, 1))]),
        ("b", vec![(0, bought(5.0, 5.0, 1)), (1, bought(6.0, 6.0, 1))]),
        ("c", vec![(0, bought(50.0, 50.0, 1))]),
    ]);
    let expected = [
        row("a", &[1, 2], "bought Item 0 on 5 Apr; these go with it"),
        row("b", &[2], "bought Item 1 on 4 Apr; these go with it"),
    ];
    assert_eq!(chosen("kind = 'cross_sell'", &shop, &users), expected);
    let of_shoes = chosen("kind = 'cross_sell'\ncategories = ['shoes']", &shop, &users);
    assert_eq!(of_shoes, [row("b", &[2], "bought Item 1 on 4 Apr; these go with it")]);
}

#[test]
fn catalogues_are_compared() {
    let mut shop = shop();
    shop.earlier = Some(EarlierCatalog {
        listed: vec![true, true, true, true, true, false, false, false],
        available: vec![true, true, true, false, true, false, false, false],
        prices: vec![Some(10.2), Some(22.0), Some(12.0), None, Some(16.0), None, None, None],
    });
    let mut users = users(&[
        (
            "a",
            vec![(0, seen(1, 5.0)), (1, seen(1, 5.0)), (3, seen(1, 5.0)), (4, PairFacts { carts: 1, ..seen(0, 5.0) })],
        ),
        ("b", vec![(1, bought(5.0, 5.0, 1)), (2, seen(3, 5.0))]),
        ("c", vec![(1, seen(1, 90.0))]),
    ]);
    // 10.2 to 10 is less than 5 %.
    let expected = [row("a", &[1, 4], "looked at Item 1, now 11.00 instead of 22.00")];
    assert_eq!(chosen("kind = 'price_drop'", &shop, &users), expected);
    let plan = plan("[[campaign]]\nname = 'x'\nkind = 'price_drop'");
    let selection = select(&plan, &shop, &users, None).unwrap();
    let variables: serde_json::Value = serde_json::from_str(&selection.campaigns[0].candidates[0].variables).unwrap();
    assert_eq!(variables["items"][1]["earlier_price"], 16.0);
    assert_eq!((&variables["items"][1]["price"], &variables["items"][1]["title"]), (&14.0.into(), &"Item 4".into()));
    let back = chosen("kind = 'back_in_stock'", &shop, &users);
    assert_eq!(back, [row("a", &[3], "looked at Item 3, which is there again")]);
    // New: i5 (shoes) and i6 (hats, no brand); i7 is sold out.
    users.favourite_categories.push([(0, 0.5)]);
    users.favourite_categories.push([(1, 0.05)]);
    users.favourite_categories.push([(1, 0.4), (0, 0.2)]);
    let expected = [row("c", &[5, 6], "likes shoes; these are new"), row("a", &[6], "likes hats; these are new")];
    assert_eq!(chosen("kind = 'new_arrivals'", &shop, &users), expected);
    shop.earlier = None;
    assert_eq!(chosen("kind = 'new_arrivals'", &shop, &users), []);
}

/// Of 30 items in 3 categories of 4 brands: (in a category, of a brand, new).
type MadeItem = (Option<u32>, Option<u32>, bool);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn new_arrivals_are_the_best_of_all_new_items(
        made in prop::collection::vec((prop::option::of(0u32..3), prop::option::of(0u32..4), any::<bool>()), 30),
        // Eighths: sums are exact, and ties are many.
        category_eighths in prop::collection::vec(0u8..4, 3),
        brand_eighths in prop::collection::vec(0u8..4, 4),
        owned in prop::collection::btree_set(0u32..30, 0..12),
        min_eighths in 0u8..4,
    ) {
        let ids: Vec<String> = (0..30).map(|item| format!("i{item:02}")).collect();
        let ids: IdTable = ids.iter().map(String::as_str).collect();
        let made: Vec<MadeItem> = made;
        let catalog = Catalog {
            present: true,
            categories: made.iter().map(|it| it.0).collect(),
            brands: made.iter().map(|it| it.1).collect(),
            category_names: ["c0", "c1", "c2"].into_iter().collect(),
            brand_names: ["b0", "b1", "b2", "b3"].into_iter().collect(),
            ..Catalog::absent(30)
        };
        let catalog = Catalog { listed: vec![true; 30], ..catalog };
        let mut shop = Shop::new(ids.clone(), catalog, &ids, &RecommendConfig::default(), Some(AS_OF)).unwrap();
        shop.earlier = Some(EarlierCatalog {
            listed: made.iter().map(|it| !it.2).collect(),
            available: vec![true; 30],
            prices: vec![None; 30],
        });
        let own: Vec<(u32, PairFacts)> = owned.iter().map(|&item| (item, bought(9.0, 9.0, 1))).collect();
        let mut users = users(&[("u", own)]);
        let favourites = |eighths: &[u8]| -> Vec<(u32, f32)> {
            (0..).zip(eighths).filter(|it| *it.1 > 0).map(|(number, n)| (number, f32::from(*n) / 8.0)).collect()
        };
        let (categories, brands) = (favourites(&category_eighths), favourites(&brand_eighths));
        users.favourite_categories.push(categories.clone());
        users.favourite_brands.push(brands.clone());

        // Naively: every new item's shares.
        let share = |of: &[(u32, f32)], number: Option<u32>| {
            of.iter().find(|it| Some(it.0) == number).map_or(0.0, |it| it.1)
        };
        let least = f32::from(min_eighths) / 8.0;
        let mut all: Vec<(u32, f32)> = (0u32..).zip(&made)
            .filter(|(_, it)| it.2)
            .map(|(item, it)| (item, share(&categories, it.0) + share(&brands, it.1)))
            .filter(|(_, score)| *score > 0.0 && *score >= least)
            .collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let likes = all.first().map(|&(item, _)| {
            let (category, brand, _) = made[item as usize];
            match category.filter(|_| share(&categories, category) > 0.0) {
                Some(category) => format!("likes c{category}; these are new"),
                None => format!("likes b{}; these are new", brand.unwrap()),
            }
        });
        let fresh: Vec<u32> = all.iter().map(|it| it.0).filter(|item| !owned.contains(item)).take(3).collect();
        let expected: Vec<_> = likes.filter(|_| !fresh.is_empty()).map(|why| row("u", &fresh, &why)).into_iter().collect();
        prop_assert_eq!(chosen(&format!("kind = 'new_arrivals'\nitems = 3\nmin_share = {least:?}"), &shop, &users), expected);
    }
}

/// Some users and items with a model trained on them.
fn trained() -> (Shop, BucketUsers, Interactions) {
    let names: Vec<String> = (0..40).map(|user| format!("u{user:02}")).collect();
    let mut of: Vec<(&str, Vec<(u32, PairFacts)>)> = Vec::new();
    let mut weights = Csr { indptr: vec![0], n_cols: 8, ..Csr::default() };
    for (user, name) in names.iter().enumerate() {
        let items: Vec<u32> = (0..8u32).filter(|item| (user * 7 + *item as usize * 5) % 11 < 3).collect();
        let facts = items.iter().map(|&item| {
            let pair = if (user + item as usize).is_multiple_of(4) { bought(9.0, 9.0, 1) } else { seen(2, 9.0) };
            (item, pair)
        });
        let facts: Vec<(u32, PairFacts)> = facts.collect();
        weights.indices.extend(&items);
        weights.values.extend(facts.iter().map(|(_, pair)| pair.weight));
        weights.indptr.push(weights.indices.len());
        of.push((name, facts));
    }
    let shop = shop();
    let interactions = Interactions {
        users: names.iter().map(String::as_str).collect(),
        items: shop.items.clone(),
        bucket_starts: vec![0, 40],
        excluded: Csr::empty(40, 8),
        trains: vec![true; 40],
        weights,
    };
    (shop, users(&of), interactions)
}

/// (user, score, items with scores)
type Found = (u32, f32, Vec<(u32, f32)>);

#[test]
fn affinity_is_the_models_score_of_everybody() {
    let (shop, mut users, interactions) = trained();
    users.table.put_numbers("n_view_7d", (0..users.len()).map(|_| Some(3.0))).unwrap();
    let (weights, trains) = (&interactions.weights, &interactions.trains);
    let config = AlsConfig { n_factors: 4, iterations: 3, ..AlsConfig::default() };
    let als = Als::train(config, weights, trains, &mut |_| {}).unwrap();
    let item_item = ItemItem::train(ItemItemConfig::default(), weights, trains, &mut |_| {}).unwrap();
    let models: [(&dyn Model, Option<f32>); 2] = [(&als, None), (&item_item, Some(0.0))];
    for (model, min_score) in models {
        let scorer = Scorer { model, name: "m", min_score, serves_empty_histories: false };
        let plan = plan(
            "[[campaign]]\nname = 'x'\nkind = 'item_affinity'\ncategories = ['shoes']\nitem_ids = ['i2']\nitems = 2
             [[campaign]]\nname = 'y'\nkind = 'top_picks'
             [[campaign]]\nname = 'z'\nkind = 'item_affinity'\ncategories = ['shoes']\nitem_ids = ['i2']\nitems = 2\naudience = 'n_view_7d > 100'
             [[campaign]]\nname = 'none'\nkind = 'item_affinity'\nitem_ids = ['i7']",
        );
        let affinity = Affinity::new(scorer, &shop, &plan);
        let selection = select(&plan, &shop, &users, Some(&affinity)).unwrap();
        let mut expected: Vec<Found> = Vec::new();
        for user in 0..users.len() {
            let row = interactions.weights.row(user);
            let history = History { times: &[], ..row };
            let mut scores = vec![0.0; 8];
            model.prepare(&[history]).score(0..8, &mut scores);
            let owned = |item: u32| users.pairs.get(user, item).is_some_and(|pair| pair.purchases > 0);
            // i7 is sold out.
            let mut liked: Vec<(u32, f32)> = [1, 2, 3, 5]
                .into_iter()
                .filter(|&item| !owned(item))
                .map(|item| (item, scores[item as usize]))
                .filter(|(_, score)| min_score.is_none_or(|least| *score > least))
                .collect();
            liked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            liked.truncate(2);
            if !liked.is_empty() && !history.items.is_empty() {
                let sum: f64 = liked.iter().map(|(_, score)| f64::from(*score)).sum();
                expected.push((user as u32, sum as f32, liked));
            }
        }
        expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let found: Vec<Found> = selection.campaigns[0]
            .candidates
            .iter()
            .map(|candidate| (candidate.user, candidate.score, candidate.items.clone()))
            .collect();
        assert!(!expected.is_empty());
        assert_eq!(found, expected);
        let candidates: Vec<usize> = selection.campaigns.iter().map(|campaign| campaign.candidates.len()).collect();
        assert_eq!(candidates, [expected.len(), 0, 0, 0], "nobody looked so often, and i7 is sold out");
    }
}

/// A user made at random.
#[derive(Debug, Clone)]
struct Made {
    number: f64,
    country: Option<&'static str>,
    refusal: Option<Refusal>,
    n_recommended: usize,
    contacts: Vec<(u32, u16)>,
}

fn made() -> impl Strategy<Value = Made> {
    let country = prop::sample::select(vec![Some("DE"), Some("FR"), None]);
    let refusal = prop::sample::select(vec![None, None, None, Some(Refusal::Suppressed), Some(Refusal::NoConsent)]);
    let contacts = prop::collection::vec((90u32..103, 0u16..4), 0..5);
    (0u8..6, country, refusal, 0usize..3, contacts).prop_map(|(number, country, refusal, n_recommended, contacts)| {
        Made { number: f64::from(number), country, refusal, n_recommended, contacts }
    })
}

const LAWS: &str = r#"
[campaigns]
max_campaigns_per_user = 2
max_contacts = 3
contact_days = 7
[[campaign]]
name = "low"
kind = "custom"
audience = "recency_days >= 1"
priority = -1
[[campaign]]
name = "germans"
kind = "custom"
audience = "country = 'DE'"
order_by = "recency_days * 2"
holdout = 0.5
cap = { contacts = 1, days = 3 }
[[campaign]]
name = "off"
enabled = false
kind = "top_picks"
[[campaign]]
name = "all"
kind = "top_picks"
channel = "sms"
"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn everybody_is_counted_where_the_naive_selection_drops_him(people in prop::collection::vec(made(), 0..30)) {
        let names: Vec<String> = (0..people.len()).map(|n| format!("u{n:02}")).collect();
        let mut users = users(&names.iter().map(|name| (name.as_str(), vec![])).collect::<Vec<_>>());
        users.table.put_numbers("recency_days", people.iter().map(|it| Some(it.number))).unwrap();
        users.table.put_texts("country", people.iter().map(|it| it.country)).unwrap();
        for it in &people {
            users.recommendations.push((0..it.n_recommended as u32).map(|item| (item, 1.0 - item as f32 / 10.0)));
            let contact = |&(night, campaign): &(u32, u16)| Contact { night, campaign: Some(campaign) };
            users.contacts.push(it.contacts.iter().map(contact));
        }
        let refusals: Vec<Option<Refusal>> = people.iter().map(|it| it.refusal).collect();
        users.refusals = Some(BTreeMap::from([("email".to_owned(), refusals)]));
        let plan = plan(LAWS);
        let order: Vec<&str> = plan.campaigns.iter().map(|it| it.config.name.as_str()).collect();
        prop_assert_eq!(&order, &["germans", "all", "low"]);
        let selection = select(&plan, &shop(), &users, None).unwrap();

        // Naively: one person after the other, one campaign after the other, by the words of the documentation.
        let mut expected: BTreeMap<&str, Vec<(String, Arm)>> = BTreeMap::new();
        let mut steps: Vec<(u32, u16, Step)> = Vec::new();
        for (n, it) in people.iter().enumerate() {
            let within = |days: u32, campaign: Option<u16>| it.contacts.iter().filter(|(night, of)| {
                *night < 100 && 100 - night < days && campaign.is_none_or(|campaign| campaign == *of)
            }).count() as u32;
            let mut tonight = 0;
            for (at, name) in order.iter().enumerate() {
                let matches = match *name {
                    "germans" => it.country == Some("DE"),
                    "all" => it.n_recommended > 0,
                    _ => it.number >= 1.0,
                };
                if !matches {
                    continue;
                }
                let refusal = if *name == "all" { Some(Refusal::NoConsent) } else { it.refusal };
                let step = match refusal {
                    Some(refusal) => Step::Consent(refusal),
                    None if it.n_recommended == 0 => Step::Items,
                    None if *name == "germans" && within(3, Some(1)) >= 1 => Step::Cap,
                    None if within(7, None) + tonight >= 3 => Step::Cap,
                    None if tonight >= 2 => Step::Priority,
                    None => Step::Candidate,
                };
                steps.push((n as u32, at as u16, step));
                if step == Step::Candidate {
                    tonight += 1;
                    let holdout = if *name == "germans" { 0.5 } else { 0.0 };
                    let arm = arm_of(&names[n], name, "nightshelf", holdout);
                    expected.entry(name).or_default().push((names[n].clone(), arm));
                }
            }
        }
        prop_assert_eq!(&selection.steps, &steps);
        for (campaign, name) in selection.campaigns.iter().zip(&order) {
            let mut found: Vec<(String, Arm)> = campaign.candidates.iter()
                .map(|it| (users.ids.get(it.user as usize).to_owned(), it.arm)).collect();
            prop_assert!(campaign.candidates.is_sorted_by(|a, b| (b.score, a.user) <= (a.score, b.user)));
            found.sort();
            prop_assert_eq!(found, expected.remove(name).unwrap_or_default());
            let funnel = &campaign.funnel;
            prop_assert_eq!(funnel.users, people.len() as u64);
            prop_assert_eq!(funnel.users, funnel.outside_audience + funnel.outside_rule + funnel.matched);
            prop_assert_eq!(funnel.n_candidates(), campaign.candidates.len() as u64);
        }
        for (at, campaign) in selection.campaigns.iter().enumerate() {
            prop_assert_eq!(selection.overlap[at * 3 + at], campaign.funnel.matched);
        }
    }
}

#[test]
fn what_orders_the_members_replaces_the_score() {
    let mut users = users(&[("a", vec![]), ("b", vec![]), ("c", vec![])]);
    (0..3).for_each(|_| users.recommendations.push([(0, 0.5)]));
    users.table.put_numbers("recency_days", [Some(3.0), None, Some(9.0)].into_iter()).unwrap();
    let text = "kind = 'top_picks'\norder_by = '10 - recency_days'";
    let order: Vec<String> = chosen(text, &shop(), &users).into_iter().map(|it| it.0).collect();
    assert_eq!(order, ["a", "c", "b"], "unknown is 0");
}

#[test]
fn columns_of_unlike_length_are_refused() {
    let mut users = users(&[("a", vec![]), ("b", vec![])]);
    users.recommendations.push([(0, 0.5)]);
    let plan = plan("[[campaign]]\nname = 'x'\nkind = 'top_picks'");
    let fault = select(&plan, &shop(), &users, None).unwrap_err();
    assert_eq!(fault.to_string(), "recommendations has 1 rows for 2 users");
}

#[test]
fn configs_are_checked_by_name() {
    let schema = Schema::of_profiles(&["view"]);
    let check = |text: &str| {
        #[derive(serde::Deserialize)]
        struct Config {
            campaign: Vec<CampaignConfig>,
        }
        let config: Config = toml::from_str(text).unwrap();
        CampaignsConfig::default().check("campaigns", &config.campaign, &schema).unwrap_err()
    };
    let one = |text: &str| check(&format!("[[campaign]]\nname = 'carts'\nkind = 'top_picks'\n{text}"));
    assert_eq!(
        check("[[campaign]]\nname = 'A'\nkind = 'top_picks'\n[[campaign]]\nname = 'a'\nkind = 'top_picks'"),
        "two [[campaign]] tables have the name `a`; names must differ"
    );
    assert!(check("[[campaign]]\nname = 'a/b'\nkind = 'top_picks'").contains("a folder's"));
    assert_eq!(
        one("audience = 'n_veiw_7d > 2'"),
        "campaign.carts.audience: there is no column `n_veiw_7d`; the nearest is `n_view_7d` (at column 1)"
    );
    assert!(one("order_by = \"rfm_tier\"").starts_with("campaign.carts.order_by: a number is wanted"));
    assert_eq!(one("holdout = 1.0"), "campaign.carts.holdout must be 0 to 0.9, is 1");
    assert_eq!(one("size = 0"), "campaign.carts.size must be 1 or more, is 0; leave it out for no limit");
    assert_eq!(one("items = 0"), "campaign.carts.items must be 1 to 100, is 0");
    assert!(one("cap = { contacts = 0, days = 3 }").starts_with("campaign.carts.cap.contacts must be 1 or more"));
}

#[test]
fn what_goes_by_times_is_refused_without_them() {
    let timeless = plan("[[campaign]]\nname = 'x'\nkind = 'abandoned_cart'").check_times(false).unwrap_err();
    assert_eq!(timeless.to_string(), "campaign.x: its kind goes by times, and the events carry none");
    plan("[[campaign]]\nname = 'x'\nkind = 'top_picks'").check_times(false).unwrap();
}
