//! Items bought together and trending items, through the program, on a shop whose answers are known.

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    program::nightshelf,
    tables::{DAY, NEW_YEAR, canonical, write},
};

/// Rows (user, item, type, time) of a shop of 40 days: bread and butter are bought together, with jam now and then;
/// tea is bought alone; lamps draw few people at first and many in the last week.
fn shop() -> Vec<(String, &'static str, &'static str, i64)> {
    let mut rows = Vec::new();
    for user in 0..60i64 {
        let name = format!("u{user:02}");
        let start = NEW_YEAR + (user % 30) * DAY;
        let mut buy = |item, at| rows.push((name.clone(), item, "purchase", at));
        if user < 30 {
            buy("bread", start);
            buy("butter", start + 600);
            if user % 3 == 0 {
                buy("jam", start + 1_200);
            }
            // Two days later: another basket.
            buy("tea", start + 2 * DAY);
        } else {
            buy("tea", start);
        }
        // Everybody looks at tea in the baseline and in the last week; at lamps three before and forty now.
        rows.push((name.clone(), "tea", "view", NEW_YEAR + 20 * DAY));
        rows.push((name.clone(), "tea", "view", NEW_YEAR + 38 * DAY));
        if user < 3 {
            rows.push((name.clone(), "lamp", "view", NEW_YEAR + 21 * DAY));
        }
        if user < 40 {
            rows.push((name.clone(), "lamp", "view", NEW_YEAR + 39 * DAY));
        }
    }
    rows
}

fn built(flags: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let rows = shop();
    let rows: Vec<_> = rows.iter().map(|(user, item, kind, at)| (user.as_str(), *item, *kind, *at)).collect();
    write(&folder.path().join("events.parquet"), canonical(&rows));
    let build = ["build", "--events", "events.parquet", "--model", "popularity", "--publish", "none", "--run", "one"];
    nightshelf(folder.path(), &[&build[..], flags].concat()).ok();
    folder
}

fn items(answer: &Value) -> Vec<(String, f64)> {
    let entry = |item: &Value| (item["item_id"].as_str().unwrap().to_owned(), item["score"].as_f64().unwrap());
    answer.as_array().unwrap().iter().map(entry).collect()
}

fn bought_with(folder: &TempDir, item: &str) -> Vec<(String, f64)> {
    let answer = nightshelf(folder.path(), &["similar", item, "--bought-together", "--json"]).ok().json();
    items(&answer["items"])
}

#[test]
fn what_is_in_the_same_baskets_is_bought_together() {
    let folder = built(&["--set", "recommendations.bought_together.measure=\"lift\""]);
    // 90 baskets: 30 with bread and butter, 10 of them with jam, 60 of tea alone.
    assert_eq!(bought_with(&folder, "bread"), [("butter".to_owned(), 3.0), ("jam".to_owned(), 3.0)]);
    assert_eq!(bought_with(&folder, "jam"), [("bread".to_owned(), 3.0), ("butter".to_owned(), 3.0)]);
    assert_eq!(bought_with(&folder, "tea"), []);

    let folder = built(&["--set", "recommendations.bought_together.measure=\"confidence\""]);
    let third = f64::from(1.0f32 / 3.0);
    let found = bought_with(&folder, "bread");
    assert_eq!(found[0], ("butter".to_owned(), 1.0));
    assert!(found[1].0 == "jam" && (found[1].1 - third).abs() < 1e-6, "{found:?}");

    let folder = built(&["--set", "recommendations.bought_together.min_pair_baskets=11"]);
    assert_eq!(bought_with(&folder, "jam"), [], "ten baskets are too few");
    let folder = built(&["--set", "interactions.basket_gap_minutes=9"]);
    assert_eq!(bought_with(&folder, "bread"), [], "ten minutes later is another basket");
    let folder = built(&["--set", "interactions.basket_gap_minutes=2880"]);
    let with_bread: Vec<String> = bought_with(&folder, "bread").into_iter().map(|(item, _)| item).collect();
    assert!(with_bread.contains(&"butter".to_owned()), "{with_bread:?}");
    let tea = bought_with(&folder, "tea");
    assert_eq!(tea, [], "tea is in every basket, with bread no more often than by chance");
}

#[test]
fn the_report_shows_both() {
    let folder = built(&["--set", "recommendations.bought_together.measure=\"lift\""]);
    let page = std::fs::read_to_string(folder.path().join("runs/one/report.html")).unwrap();
    let part = |id: &str| {
        let from = page.find(&format!("id=\"{id}")).unwrap_or_else(|| panic!("no part {id}"));
        page[from..].split("</section>").next().unwrap().to_owned()
    };
    assert!(part("trending").contains("lamp"));
    let together = part("together");
    assert!(together.contains("bread") && together.contains("butter"), "{together}");

    let folder =
        built(&["--set", "recommendations.trending.min_users=1000", "--set", "interactions.basket_gap_minutes=9"]);
    let page = std::fs::read_to_string(folder.path().join("runs/one/report.html")).unwrap();
    assert!(!page.contains("Trending") && !page.contains("Bought together"));
}

#[test]
fn what_draws_more_users_than_it_did_trends() {
    let folder = built(&["--set", "recommendations.trending.smoothing=10"]);
    let answer = nightshelf(folder.path(), &["recommend", "--trending", "--json"]).ok().json();
    // The windows end with the newest event, at day 39: now is after day 32, before is after day 4. Now: 60 users of
    // tea, 40 of lamps. Before: by hand from the rows.
    let rows = shop();
    let users = |item: &str, from: i64, to: i64| {
        let inside = |at: i64| at > NEW_YEAR + from * DAY && at <= NEW_YEAR + to * DAY;
        let mut users: Vec<&str> =
            rows.iter().filter(|row| row.1 == item && inside(row.3)).map(|row| row.0.as_str()).collect();
        users.sort_unstable();
        users.dedup();
        users.len() as f64
    };
    let all = ["bread", "butter", "jam", "lamp", "tea"];
    let growth = all.iter().map(|item| users(item, 32, 39)).sum::<f64>()
        / all.iter().map(|item| users(item, 4, 32)).sum::<f64>();
    let lamp = (users("lamp", 32, 39) + 10.0) / (users("lamp", 4, 32) * growth + 10.0);
    assert_eq!(users("lamp", 32, 39), 40.0);
    let found = items(&answer);
    assert!(found[0].0 == "lamp" && (found[0].1 - lamp).abs() < 1e-5, "{found:?}, expected {lamp}");
    assert!(found.iter().all(|(_, score)| *score > 1.0));

    let folder = built(&["--set", "recommendations.trending.min_users=41"]);
    let answer = nightshelf(folder.path(), &["recommend", "--trending", "--json"]).ok().json();
    assert!(items(&answer).iter().all(|(item, _)| item != "lamp"), "forty users are too few");
}
