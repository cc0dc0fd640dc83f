//! Profiles against a naive recomputation from the files of events.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::Path,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Float32Type, Float64Type, Int32Type, TimestampMillisecondType, UInt32Type},
};
use nightshelf::{
    artifacts::open_run,
    synth::{self, generate},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{program::nightshelf, tables::DAY};

const WINDOWS: [(&str, i64); 5] = [("1d", 1), ("7d", 7), ("30d", 30), ("90d", 90), ("all", 100_000)];

#[derive(Debug, Clone, PartialEq)]
struct Event {
    user: String,
    item: String,
    kind: String,
    at: i64,
    id: String,
    session: String,
    quantity: Option<i32>,
    price: Option<f64>,
}

fn batches(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    reader.map(Result::unwrap).collect()
}

/// The events that count: whole ones of known types, each once.
fn events(shop: &Path) -> Vec<Event> {
    let mut events = Vec::new();
    let mut seen = BTreeSet::new();
    for day in fs::read_dir(shop.join("events")).unwrap() {
        for file in fs::read_dir(day.unwrap().path()).unwrap() {
            for batch in batches(&file.unwrap().path()) {
                let column = |name: &str| batch.column_by_name(name).unwrap();
                let text = |name: &str, row: usize| {
                    let column = column(name).as_string::<i32>();
                    column.is_valid(row).then(|| column.value(row).to_owned())
                };
                for row in 0..batch.num_rows() {
                    let (Some(user), Some(item)) = (text("user_id", row), text("item_id", row)) else { continue };
                    let (quantity, price) = (column("quantity"), column("price"));
                    let event = Event {
                        user,
                        item,
                        kind: text("event_type", row).unwrap(),
                        at: column("timestamp").as_primitive::<TimestampMillisecondType>().value(row).div_euclid(1_000),
                        id: text("event_id", row).unwrap(),
                        session: text("session_id", row).unwrap(),
                        quantity: quantity.is_valid(row).then(|| quantity.as_primitive::<Int32Type>().value(row)),
                        price: price.is_valid(row).then(|| price.as_primitive::<Float64Type>().value(row)),
                    };
                    let known = ["view", "cart", "remove_from_cart", "purchase", "refund"];
                    let key = (event.id.clone(), event.user.clone(), event.item.clone(), event.kind.clone(), event.at);
                    if known.contains(&event.kind.as_str()) && seen.insert(key) {
                        events.push(event);
                    }
                }
            }
        }
    }
    events.sort_by_key(|event| event.at);
    events
}

/// A cell as JSON: instants in Unix seconds.
fn cell(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8 => json!(column.as_string::<i32>().value(row)),
        DataType::UInt32 => json!(column.as_primitive::<UInt32Type>().value(row)),
        DataType::Float64 => json!(column.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => json!(column.as_primitive::<Float32Type>().value(row)),
        DataType::Timestamp(..) => json!(column.as_primitive::<TimestampMillisecondType>().value(row) / 1_000),
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            let entries = list.as_struct();
            let entry = |at: usize| -> Value {
                let fields = entries.fields().iter().zip(entries.columns());
                fields
                    .map(|(field, column)| (field.name().clone(), cell(column, at)))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            };
            (0..entries.len()).map(entry).collect()
        }
        other => panic!("{other}"),
    }
}

/// Profiles of a run by user and column.
fn profiles(directory: &Path, run: &str) -> BTreeMap<String, BTreeMap<String, Value>> {
    let run = open_run(&directory.join("runs"), run).unwrap();
    let mut profiles = BTreeMap::new();
    for file in run.files_in("profiles") {
        for batch in batches(&run.path().join(&file.path)) {
            for row in 0..batch.num_rows() {
                let columns = batch
                    .schema()
                    .fields()
                    .iter()
                    .zip(batch.columns())
                    .map(|(field, column)| (field.name().clone(), cell(column, row)))
                    .collect::<BTreeMap<_, _>>();
                profiles.insert(columns["user_id"].as_str().unwrap().to_owned(), columns);
            }
        }
    }
    profiles
}

/// Times of the first events later than a pause after the one before, i.e. where each group ends.
fn ends(times: &[i64], pause: i64) -> Vec<i64> {
    let mut ends = Vec::new();
    for (n, time) in times.iter().enumerate() {
        if times.get(n + 1).is_none_or(|next| next - time > pause) {
            ends.push(*time);
        }
    }
    ends
}

/// The columns of one user, the long way; without fifths.
fn naive(events: &[Event], as_of: i64, by_session: bool) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    let of = |kind: &str| events.iter().filter(|event| event.kind == kind).cloned().collect::<Vec<_>>();
    let times = |events: &[Event]| events.iter().map(|event| event.at).collect::<Vec<_>>();
    let orders = ends(&times(&of("purchase")), 3_600);
    let sessions = if by_session {
        let mut last = BTreeMap::new();
        for event in events {
            last.insert(&event.session, event.at);
        }
        last.into_values().collect()
    } else {
        ends(&times(events), 1_800)
    };
    for (name, days) in WINDOWS {
        let within = |times: &[i64]| times.iter().filter(|time| as_of - **time < days * DAY).count();
        out.insert(format!("orders_{name}"), json!(within(&orders)));
        if name != "1d" {
            out.insert(format!("sessions_{name}"), json!(within(&sessions)));
        }
    }
    let days_since = |time: Option<&i64>| time.map_or(Value::Null, |time| json!((as_of - time) as f64 / DAY as f64));
    out.insert("days_since_last_event".into(), days_since(times(events).last()));
    out.insert("days_since_last_order".into(), days_since(orders.last()));
    out.insert("first_order_at".into(), json!(orders.first()));
    out.insert("last_order_at".into(), json!(orders.last()));
    let bought = of("purchase");
    let n_orders = orders.len() as f64;
    let money = |event: &Event| (event.price.unwrap() * f64::from(event.quantity.unwrap_or(1)) * 1e4).round() as i64;
    let spent: i64 = bought.iter().map(money).sum();
    let pieces: i32 = bought.iter().map(|event| event.quantity.unwrap_or(1)).sum();
    let an_order = |sum: f64| if bought.is_empty() { Value::Null } else { json!(sum / n_orders) };
    out.insert("average_basket".into(), an_order(spent as f64 / 1e4));
    out.insert("items_per_order".into(), an_order(f64::from(pieces)));
    let mut gaps: Vec<i64> = orders.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    let middle = gaps.len() / 2;
    let median = match gaps.len() {
        0 => None,
        n if n % 2 == 1 => Some(gaps[middle] as f64),
        _ => Some((gaps[middle - 1] + gaps[middle]) as f64 / 2.0),
    };
    out.insert("days_between_orders".into(), json!(median.map(|seconds| seconds / DAY as f64)));
    let next = median.filter(|_| orders.len() >= 3).map(|median| orders[orders.len() - 1] + median.round() as i64);
    out.insert("next_order_at".into(), json!(next));
    let mut cart: BTreeMap<&str, (i64, i32)> = BTreeMap::new();
    let mut order: Vec<&Event> = events.iter().collect();
    let rank = |kind: &str| ["cart", "remove_from_cart", "purchase"].iter().position(|name| *name == kind);
    order.sort_by_key(|event| (event.at, rank(&event.kind)));
    for event in order {
        let entry = cart.entry(&event.item).or_default();
        match event.kind.as_str() {
            "cart" => *entry = (event.at, entry.1 + event.quantity.unwrap_or(1)),
            "remove_from_cart" => entry.1 = event.quantity.map_or(0, |pieces| (entry.1 - pieces).max(0)),
            "purchase" => entry.1 = 0,
            _ => {}
        }
    }
    let mut cart: Vec<_> = cart.into_iter().filter(|(_, entry)| entry.1 > 0).collect();
    cart.sort_by_key(|(item, entry)| (-entry.0, *item));
    let cart = cart
        .into_iter()
        .map(|(item, entry)| json!({"item_id": item, "added_at": entry.0, "quantity": f64::from(entry.1)}));
    out.insert("cart".into(), cart.collect());
    out
}

/// Fifths by the rule of the data contract: 1 + the number of thresholds below, thresholds at ranks ceil(in / 5).
fn fifth(all: &[f64], value: f64) -> usize {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    1 + (1..5).filter(|n| value > sorted[(n * sorted.len()).div_ceil(5) - 1]).count()
}

fn tier(recency: usize, value: usize) -> &'static str {
    match (recency >= 4, recency == 3, value >= 4, value >= 3) {
        (true, _, true, _) => "Champions",
        (true, _, _, true) | (_, true, _, true) => "Loyal",
        (true, _, _, false) => "Recent",
        (_, true, _, false) => "Needs attention",
        (false, false, _, true) => "At risk",
        (false, false, _, false) => "Inactive",
    }
}

#[test]
fn every_figure_is_that_of_a_naive_recomputation() {
    let directory = TempDir::new().unwrap();
    let shop = directory.path().join("shop");
    let config = synth::Config {
        users: 400,
        items: 120,
        events: 24_000,
        categories: 8,
        brands: 12,
        days: 60,
        start: jiff::civil::date(2024, 6, 1),
        bot_user_rate: 0.0,
        future_rate: 0.0,
        duplicate_rate: 0.02,
        ..synth::Config::default()
    };
    generate(&config, &shop, &|_| ()).unwrap();
    let events = events(&shop);
    let as_of = events.last().unwrap().at;
    let mut by_user: BTreeMap<&str, Vec<Event>> = BTreeMap::new();
    for event in &events {
        by_user.entry(&event.user).or_default().push(event.clone());
    }
    let common = "[events]\npaths = [\"shop/events/\"]\nCOLUMNS[catalog]\npath = \"shop/catalog.parquet\"\n[interactions]\nn_buckets = 8\n\
                  max_events_per_active_day = 0.0\n[model.als]\nn_factors = 4\niterations = 1\n[publish]\ntargets = []\n";
    for (run, columns) in [("pauses", ""), ("sessions", "[events.columns]\nsession_id = \"session_id\"\n")] {
        fs::write(directory.path().join("c.toml"), common.replace("COLUMNS", columns)).unwrap();
        nightshelf(directory.path(), &["build", "--config", "c.toml", "--run", run, "--quiet"]).ok();
        let profiles = profiles(directory.path(), run);
        assert_eq!(profiles.len(), by_user.len());
        let mut n_carts = 0;
        for (user, events) in &by_user {
            for (name, wanted) in naive(events, as_of, run == "sessions") {
                assert_eq!(profiles[*user][&name], wanted, "{user} {name}");
                n_carts += usize::from(name == "cart" && wanted != json!([]));
            }
        }
        assert!((40..=400).contains(&n_carts), "{n_carts}");
    }

    let profiles = profiles(directory.path(), "pauses");
    let buyers: Vec<_> = profiles.values().filter(|profile| profile["orders_all"] != json!(0)).collect();
    assert!((80..=400).contains(&buyers.len()), "{}", buyers.len());
    let all = |name: &str| buyers.iter().map(|profile| profile[name].as_f64().unwrap()).collect::<Vec<_>>();
    let (last, orders, money) = (all("last_order_at"), all("orders_all"), all("monetary_all"));
    let mut tiers = BTreeMap::new();
    for (at, profile) in buyers.iter().enumerate() {
        let (r, f, m) = (fifth(&last, last[at]), fifth(&orders, orders[at]), fifth(&money, money[at]));
        assert_eq!(profile["rfm_recency"], json!(r));
        assert_eq!(profile["rfm_frequency"], json!(f));
        assert_eq!(profile["rfm_monetary"], json!(m));
        let tier = tier(r, (f + m).div_ceil(2));
        assert_eq!(profile["rfm_tier"], json!(tier));
        *tiers.entry(tier).or_insert(0) += 1;
    }
    assert!(tiers.len() >= 4, "{tiers:?}");
    for profile in profiles.values().filter(|profile| profile["orders_all"] == json!(0)) {
        let names = ["rfm_recency", "rfm_frequency", "rfm_monetary", "rfm_tier"];
        assert!(names.iter().all(|name| profile[*name].is_null()), "{profile:?}");
    }
    let favourites = |name: &str| profiles.values().filter(|profile| profile[name] != json!([])).count();
    assert!(favourites("favourite_brands") > 200 && favourites("favourite_categories") > 200);
    let first = profiles.values().find(|profile| profile["favourite_brands"] != json!([])).unwrap();
    let shares = first["favourite_brands"].as_array().unwrap().iter().map(|entry| entry["share"].as_f64().unwrap());
    assert!(shares.sum::<f64>() <= 1.000_001);
}

/// Every file below a directory, with its bytes.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
                    found.insert(name, fs::read(&path).unwrap());
                }
            }
        }
    }
    found
}

#[test]
fn planted_shoppers_stand_beside_the_shop_and_do_what_the_truth_says() {
    let directory = TempDir::new().unwrap();
    let config = synth::Config {
        users: 200,
        items: 60,
        events: 6_000,
        categories: 5,
        brands: 8,
        days: 60,
        future_rate: 0.0,
        start: jiff::civil::date(2024, 6, 1),
        ..synth::Config::default()
    };
    generate(&config, &directory.path().join("plain"), &|_| ()).unwrap();
    let shop = directory.path().join("shop");
    generate(&synth::Config { planted: 3, ..config.clone() }, &shop, &|_| ()).unwrap();
    let (mut with, plain) = (files(&shop), files(&directory.path().join("plain")));
    let planted: Vec<String> = with.keys().filter(|name| name.starts_with("planted/")).cloned().collect();
    let tables = ["catalog.parquet", "catalog_before.parquet", "customers.parquet", "events.parquet", "orders.parquet"];
    let wanted: Vec<String> = tables.iter().chain(&["truth.json"]).map(|name| format!("planted/{name}")).collect();
    assert_eq!(planted, wanted);
    let truth: Value = serde_json::from_slice(&with["planted/truth.json"]).unwrap();
    with.retain(|name, _| !name.starts_with("planted/") && name != "synth.json");
    assert!(plain.iter().filter(|(name, _)| *name != "synth.json").eq(&with), "the shop's own files are as they were");
    assert!(!String::from_utf8_lossy(&plain["synth.json"]).contains("planted"));
    let too_short = synth::Config { planted: 1, days: 59, ..config };
    let error = generate(&too_short, &directory.path().join("none"), &|_| ()).unwrap_err().to_string();
    assert!(error.contains("planted needs"), "{error}");

    let text = "[events]\npaths = [\"shop/events/\", \"shop/planted/events.parquet\"]\n[catalog]\npath = \"shop/**/catalog.parquet\"\n\
                [interactions]\nn_buckets = 4\n[model.als]\nn_factors = 4\niterations = 1\n[publish]\ntargets = []\n\
                [customers]\npaths = [\"shop/customers.parquet\", \"shop/planted/customers.parquet\"]\n\
                [customers.consent]\nemail = \"marketing_consent\"\n[customers.attributes]\ncountry = \"country\"\n";
    fs::write(directory.path().join("c.toml"), text).unwrap();
    nightshelf(directory.path(), &["build", "--config", "c.toml", "--run", "r", "--quiet"]).ok();
    let run = open_run(&directory.path().join("runs"), "r").unwrap();
    assert_eq!(run.manifest().content.as_of.as_deref(), truth["as_of"].as_str());
    assert_eq!(run.manifest().content.counts["customers"]["customers"], 200 + 16 * 3 + 1);
    let profiles = profiles(directory.path(), "r");
    let of = |scenario: &str| {
        let entry = truth["campaigns"].as_array().unwrap().iter().find(|entry| entry["scenario"] == scenario).unwrap();
        let users = entry["users"].as_array().unwrap().iter().map(|user| &profiles[user.as_str().unwrap()]);
        (entry.clone(), users.collect::<Vec<_>>())
    };
    let (entry, carts) = of("cart");
    assert_eq!(carts.len(), 3);
    for profile in carts {
        assert_eq!(profile["cart"], json!([{"item_id": entry["item_id"], "added_at": entry["at"], "quantity": 1.0}]));
    }
    for decoy in ["cartbought", "cartremoved"] {
        assert!(of(decoy).1.iter().all(|profile| profile["cart"] == json!([])), "{decoy}");
    }
    let due = |scenario: &str| {
        of(scenario).1.iter().map(|profile| profile["next_order_at"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    let end: jiff::Timestamp = truth["as_of"].as_str().unwrap().parse().unwrap();
    assert_eq!(due("refill"), [end.as_second(); 3]);
    assert_eq!(due("refilllater"), [end.as_second() + 8 * DAY; 3]);
    for profile in of("lapsed").1 {
        assert_eq!((&profile["orders_all"], &profile["days_since_last_order"]), (&json!(3), &json!(45.0)));
    }
}
