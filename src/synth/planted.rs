//! Planted shoppers: people who do exactly one thing that a campaign looks for, decoys who nearly do, and the truth of it.
//!
//! They stand beside the shop, in files of their own under `planted/`, with items of their own; the shop's files stay as
//! they are. All of them are customers with country `ZZ`, so that a condition picks them out of the crowd.

use std::{fs, fs::File, path::Path, sync::Arc};

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use parquet::{arrow::ArrowWriter, errors::ParquetError};
use serde::Serialize;

use super::{
    config::Config,
    error::SynthError,
    random::{Name, Stream},
    shop::Shop,
    table::{failed, hidden, io},
};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// What a planted item was and is, in cents.
struct PlantedItem {
    id: &'static str,
    before: (u32, bool),
    now: (u32, bool),
}

/// Items of the planted shoppers: each is there to be told from the others.
const ITEMS: [PlantedItem; 9] = [
    PlantedItem { id: "p-cart", before: (2_000, true), now: (2_000, true) },
    PlantedItem { id: "p-browse", before: (3_000, true), now: (3_000, true) },
    PlantedItem { id: "p-old", before: (1_500, true), now: (1_500, true) },
    PlantedItem { id: "p-refill", before: (900, true), now: (900, true) },
    PlantedItem { id: "p-cheaper", before: (5_000, true), now: (4_000, true) },
    PlantedItem { id: "p-dearer", before: (4_000, true), now: (5_000, true) },
    PlantedItem { id: "p-back", before: (7_000, false), now: (7_000, true) },
    PlantedItem { id: "p-stayed", before: (7_000, true), now: (7_000, true) },
    PlantedItem { id: "p-gone", before: (7_000, true), now: (7_000, false) },
];

/// One action of a scenario: what, on which item, so many seconds before the end of the log.
type Act = (&'static str, &'static str, i64);

/// A scenario: its name, what each of its people does, and whether a campaign of that name must find them.
struct Scenario {
    name: &'static str,
    campaign: &'static str,
    wanted: bool,
    acts: &'static [Act],
}

/// Days between two purchases of what runs out.
const REFILL_DAYS: i64 = 10;

#[rustfmt::skip]
const SCENARIOS: [Scenario; 16] = [
    Scenario { name: "cart", campaign: "abandoned_cart", wanted: true, acts: &[("view", "p-cart", 26 * HOUR), ("cart", "p-cart", 25 * HOUR)] },
    Scenario { name: "cartbought", campaign: "abandoned_cart", wanted: false, acts: &[("cart", "p-cart", 25 * HOUR), ("purchase", "p-cart", 24 * HOUR)] },
    Scenario { name: "cartremoved", campaign: "abandoned_cart", wanted: false, acts: &[("cart", "p-cart", 25 * HOUR), ("remove_from_cart", "p-cart", 24 * HOUR)] },
    Scenario { name: "cartold", campaign: "abandoned_cart", wanted: false, acts: &[("cart", "p-cart", 20 * DAY)] },
    Scenario { name: "browse", campaign: "browse_abandonment", wanted: true, acts: &[("view", "p-browse", 30 * HOUR), ("view", "p-browse", 29 * HOUR), ("view", "p-browse", 28 * HOUR)] },
    Scenario { name: "browsebought", campaign: "browse_abandonment", wanted: false, acts: &[("view", "p-browse", 30 * HOUR), ("view", "p-browse", 29 * HOUR), ("view", "p-browse", 28 * HOUR), ("purchase", "p-browse", 27 * HOUR)] },
    Scenario { name: "lapsed", campaign: "win_back", wanted: true, acts: &[("purchase", "p-old", 55 * DAY), ("purchase", "p-old", 50 * DAY), ("purchase", "p-old", 45 * DAY)] },
    Scenario { name: "notlapsed", campaign: "win_back", wanted: false, acts: &[("purchase", "p-old", 55 * DAY), ("purchase", "p-old", 50 * DAY), ("purchase", "p-old", 2 * DAY)] },
    Scenario { name: "once", campaign: "win_back", wanted: false, acts: &[("purchase", "p-old", 45 * DAY)] },
    Scenario { name: "refill", campaign: "replenishment", wanted: true, acts: &[("purchase", "p-refill", 4 * REFILL_DAYS * DAY), ("purchase", "p-refill", 3 * REFILL_DAYS * DAY), ("purchase", "p-refill", 2 * REFILL_DAYS * DAY), ("purchase", "p-refill", REFILL_DAYS * DAY)] },
    Scenario { name: "refilllater", campaign: "replenishment", wanted: false, acts: &[("purchase", "p-refill", 32 * DAY), ("purchase", "p-refill", 22 * DAY), ("purchase", "p-refill", 12 * DAY), ("purchase", "p-refill", 2 * DAY)] },
    Scenario { name: "drop", campaign: "price_drop", wanted: true, acts: &[("view", "p-cheaper", 6 * DAY)] },
    Scenario { name: "rise", campaign: "price_drop", wanted: false, acts: &[("view", "p-dearer", 6 * DAY)] },
    Scenario { name: "dropbought", campaign: "price_drop", wanted: false, acts: &[("view", "p-cheaper", 6 * DAY), ("purchase", "p-cheaper", 5 * DAY)] },
    Scenario { name: "back", campaign: "back_in_stock", wanted: true, acts: &[("view", "p-back", 8 * DAY)] },
    Scenario { name: "stayed", campaign: "back_in_stock", wanted: false, acts: &[("view", "p-stayed", 8 * DAY), ("view", "p-gone", 8 * DAY)] },
];

/// Days that a log needs for all of it.
pub(crate) const MIN_DAYS: u32 = 60;

/// What a campaign must find among the planted shoppers.
#[derive(Debug, Serialize)]
struct Truth {
    /// The build's `as_of`: the last second of the log, when a planted shopper looks at something.
    as_of: String,
    /// By campaign: who must be found, and who looks like it.
    campaigns: Vec<CampaignTruth>,
}

#[derive(Debug, Serialize)]
struct CampaignTruth {
    campaign: &'static str,
    scenario: &'static str,
    /// Whether these people belong to the campaign.
    wanted: bool,
    /// What they act on last.
    item_id: &'static str,
    /// When they do, in Unix seconds.
    at: i64,
    users: Vec<String>,
}

fn user(scenario: &Scenario, number: u32) -> String {
    format!("p-{}-{number:04}", scenario.name)
}

struct Line {
    user: String,
    item: &'static str,
    kind: &'static str,
    at: i64,
    price_cents: u32,
}

/// Writes `planted/`: `events.parquet`, `orders.parquet`, `customers.parquet`, `catalog.parquet`, `catalog_before.parquet` and
/// `truth.json`.
pub(crate) fn write(shop: &Shop, out: &Path) -> Result<(), SynthError> {
    let config: &Config = &shop.config;
    let folder = out.join("planted");
    fs::create_dir_all(&folder).map_err(|source| io("create", &folder, source))?;
    let last_day = shop.days.last().expect("a log has a day");
    let end = last_day.start_ms / 1_000 + DAY - 1;
    let mut lines = Vec::new();
    let mut campaigns = Vec::new();
    for scenario in &SCENARIOS {
        let users: Vec<String> = (0..config.planted).map(|number| user(scenario, number)).collect();
        for id in &users {
            lines.extend(scenario.acts.iter().map(|&(kind, item, before)| Line {
                user: id.clone(),
                item,
                kind,
                at: end - before,
                price_cents: price(item),
            }));
        }
        let &(_, item_id, before) = scenario.acts.last().expect("everybody does something");
        let (campaign, name, wanted) = (scenario.campaign, scenario.name, scenario.wanted);
        campaigns.push(CampaignTruth { campaign, scenario: name, wanted, item_id, at: end - before, users });
    }
    lines.push(Line { user: "p-clock".into(), item: "p-stayed", kind: "view", at: end, price_cents: 7_000 });
    lines.sort_by(|a, b| (a.at, &a.user, a.kind).cmp(&(b.at, &b.user, b.kind)));
    table(&folder.join("events.parquet"), events(&lines))?;
    table(&folder.join("orders.parquet"), orders(&lines))?;
    table(&folder.join("customers.parquet"), customers(&lines, end - 300 * DAY))?;
    table(&folder.join("catalog.parquet"), catalog(end, |item| item.now))?;
    table(&folder.join("catalog_before.parquet"), catalog(end, |item| item.before))?;
    let as_of = jiff::Timestamp::from_second(end).expect("the config's years lie within the calendar").to_string();
    let mut text = serde_json::to_string_pretty(&Truth { as_of, campaigns }).expect("numbers and texts become JSON");
    text.push('\n');
    let path = folder.join("truth.json");
    fs::write(&path, text).map_err(|source| io("write", &path, source))
}

fn price(item: &str) -> u32 {
    ITEMS.iter().find(|planted| planted.id == item).map_or(0, |planted| planted.now.0)
}

type Columns = Vec<(&'static str, ArrayRef)>;

fn texts<T: AsRef<str>>(values: impl Iterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn instants(seconds: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from_iter_values(seconds.map(|at| at * 1_000)).with_timezone("UTC"))
}

fn ones(n: usize) -> ArrayRef {
    Arc::new(Int32Array::from(vec![1; n]))
}

fn flags(values: impl Iterator<Item = bool>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<BooleanArray>())
}

fn money(cents: impl Iterator<Item = u32>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(cents.map(|cents| f64::from(cents) / 100.0)))
}

fn events(lines: &[Line]) -> Columns {
    vec![
        ("event_id", texts((0..lines.len()).map(|n| format!("planted{n:07}")))),
        ("user_id", texts(lines.iter().map(|line| &line.user))),
        ("item_id", texts(lines.iter().map(|line| line.item))),
        ("event_type", texts(lines.iter().map(|line| line.kind))),
        ("timestamp", instants(lines.iter().map(|line| line.at))),
        ("session_id", texts(lines.iter().map(|line| format!("{}-{}", line.user, line.at / DAY)))),
        ("quantity", ones(lines.len())),
        ("price", money(lines.iter().map(|line| line.price_cents))),
    ]
}

fn orders(lines: &[Line]) -> Columns {
    let bought: Vec<&Line> = lines.iter().filter(|line| line.kind == "purchase").collect();
    vec![
        ("order_id", texts((0..bought.len()).map(|n| format!("planted{n:07}")))),
        ("user_id", texts(bought.iter().map(|line| &line.user))),
        ("item_id", texts(bought.iter().map(|line| line.item))),
        ("quantity", ones(bought.len())),
        ("price", money(bought.iter().map(|line| line.price_cents))),
        ("ordered_at", instants(bought.iter().map(|line| line.at))),
        ("status", texts(bought.iter().map(|_| "delivered"))),
    ]
}

fn customers(lines: &[Line], created_at: i64) -> Columns {
    let mut users: Vec<&str> = lines.iter().map(|line| line.user.as_str()).collect();
    users.sort_unstable();
    users.dedup();
    vec![
        ("user_id", texts(users.iter())),
        ("email", texts(users.iter().map(|user| format!("{user}@example.invalid")))),
        ("country", texts(users.iter().map(|_| "ZZ"))),
        ("locale", texts(users.iter().map(|_| "en-ZZ"))),
        ("marketing_consent", flags(users.iter().map(|_| true))),
        ("created_at", instants(users.iter().map(|_| created_at))),
    ]
}

fn catalog(end: i64, of: fn(&PlantedItem) -> (u32, bool)) -> Columns {
    vec![
        ("item_id", texts(ITEMS.iter().map(|item| item.id))),
        ("title", texts(ITEMS.iter().map(|item| format!("Planted {}", &item.id[2..])))),
        ("category", texts(ITEMS.iter().map(|_| "planted"))),
        ("brand", texts(ITEMS.iter().map(|_| "Planted"))),
        ("price", money(ITEMS.iter().map(|item| of(item).0))),
        ("available", flags(ITEMS.iter().map(|item| of(item).1))),
        ("created_at", instants(ITEMS.iter().map(|_| end - 300 * DAY))),
    ]
}

fn table(path: &Path, columns: Columns) -> Result<(), SynthError> {
    let encode = || -> Result<RecordBatch, ParquetError> { Ok(RecordBatch::try_from_iter(columns)?) };
    let batch = encode().map_err(|source| failed(path, source))?;
    let hidden = hidden(path);
    let file = File::create(&hidden).map_err(|source| io("create", &hidden, source))?;
    let write = || {
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None)?;
        writer.write(&batch)?;
        writer.close()
    };
    write().map_err(|source| failed(path, source))?;
    fs::rename(&hidden, path).map_err(|source| io("name", path, source))
}

/// A member of a campaign, and whether he was written to.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// The user.
    pub user: &'a str,
    /// False for those held out.
    pub sent: bool,
}

/// Orders after a campaign with a known uplift: each member buys with a probability that depends on his arm alone.
///
/// Returns: who orders, in the order of the members. Expected: `rate + uplift` of those written to, `rate` of the others.
/// Determinism: a member's luck hangs on `seed` and his id, not on the others.
#[must_use]
pub fn planted_orders<'a>(members: &[Written<'a>], rate: f64, uplift: f64, seed: u64) -> Vec<&'a str> {
    const NAME: Name = Name::new("planted uplift");
    members
        .iter()
        .filter(|member| {
            let hash = crate::ids::id_hash(member.user.as_bytes());
            let luck = (Stream::new(seed, NAME, hash, 0).word() >> 11) as f64 / (1u64 << 53) as f64;
            luck < rate + if member.sent { uplift } else { 0.0 }
        })
        .map(|member| member.user)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planted_uplift_is_there() {
        let users: Vec<String> = (0..20_000).map(|n| format!("u{n}")).collect();
        let members: Vec<Written<'_>> =
            users.iter().enumerate().map(|(n, user)| Written { user, sent: n % 2 == 0 }).collect();
        let buyers = planted_orders(&members, 0.05, 0.03, 7);
        let sent = buyers.iter().filter(|user| user[1..].parse::<u32>().unwrap() % 2 == 0).count() as f64 / 1e4;
        let held = buyers.len() as f64 / 1e4 - sent;
        // Four standard deviations.
        assert!((sent - 0.08).abs() < 0.011 && (held - 0.05).abs() < 0.009, "{sent} {held}");
        assert_eq!(
            planted_orders(&members[..10], 0.05, 0.03, 7),
            &buyers[..planted_orders(&members[..10], 0.05, 0.03, 7).len()]
        );
    }
}
