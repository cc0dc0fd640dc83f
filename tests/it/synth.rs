//! Made-up shops: what the files hold is what was asked for and what the shop says of itself.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use nightshelf::synth::{Config, Progress, Shop, Summary, SynthError, generate};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::{List, Row, RowAccessor},
};

const DAY_MS: i64 = 86_400_000;

/// A shop on disk, shared by the tests that only look at it.
struct Made {
    shop: Shop,
    summary: Summary,
    events: Vec<Event>,
    directory: tempfile::TempDir,
}

static SHOP: LazyLock<Made> = LazyLock::new(|| {
    let config = Config {
        users: 3_000,
        items: 800,
        events: 120_000,
        categories: 20,
        brands: 60,
        styles: 4,
        days: 60,
        rows_per_row_group: 1_500,
        rows_per_file: 3_000,
        null_user_rate: 0.01,
        null_item_rate: 0.008,
        unknown_type_rate: 0.006,
        duplicate_rate: 0.012,
        future_rate: 0.004,
        bot_user_rate: 0.001,
        bot_event_rate: 0.06,
        view_to_cart_rate: 0.1,
        cart_to_purchase_rate: 0.36,
        replenish_rate: 0.03,
        refund_rate: 0.1,
        ..Config::default()
    };
    make(&config)
});

fn make(config: &Config) -> Made {
    let directory = tempfile::tempdir().unwrap();
    let summary = generate(config, directory.path(), &|_| {}).unwrap();
    let events = events(directory.path());
    Made { shop: Shop::new(config).unwrap(), summary, events, directory }
}

/// A row of events as it stands in the file.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    /// The partition, as `2026-06-01`.
    dt: String,
    id: String,
    user: Option<String>,
    item: Option<String>,
    kind: String,
    at_ms: i64,
    session: String,
    quantity: Option<i32>,
    price: Option<f64>,
}

const TYPES: [&str; 5] = ["view", "cart", "remove_from_cart", "purchase", "refund"];

impl Event {
    /// First instant of the partition's day.
    fn dt_ms(&self) -> i64 {
        let date: jiff::civil::Date = self.dt.parse().unwrap();
        date.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_millisecond()
    }

    fn in_its_day(&self) -> bool {
        (0..DAY_MS).contains(&(self.at_ms - self.dt_ms()))
    }

    fn clean(&self) -> bool {
        self.user.is_some() && self.item.is_some() && TYPES.contains(&self.kind.as_str()) && self.in_its_day()
    }
}

fn rows(path: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

fn text(row: &Row, column: usize) -> String {
    row.get_string(column).unwrap().clone()
}

fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.extend([path]) }
    }
    found
}

fn events(directory: &Path) -> Vec<Event> {
    let mut events = Vec::new();
    for path in files(&directory.join("events")) {
        let partition = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let dt = partition.strip_prefix("dt=").unwrap().to_owned();
        events.extend(rows(&path).iter().map(|row| Event {
            dt: dt.clone(),
            id: text(row, 0),
            user: row.get_string(1).ok().cloned(),
            item: row.get_string(2).ok().cloned(),
            kind: text(row, 3),
            at_ms: row.get_timestamp_millis(4).unwrap(),
            session: text(row, 5),
            quantity: row.get_int(6).ok(),
            price: row.get_double(7).ok(),
        }));
    }
    events
}

fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let relative = |path: &PathBuf| path.strip_prefix(directory).unwrap().to_owned();
    files(directory).iter().map(|path| (relative(path), fs::read(path).unwrap())).collect()
}

/// Rows that stand in the file for the first time, by event id.
fn first_rows(events: &[Event]) -> Vec<&Event> {
    let mut seen = BTreeSet::new();
    events.iter().filter(|event| seen.insert(&event.id)).collect()
}

fn clean_people(made: &Made) -> Vec<&Event> {
    let person = |event: &&Event| !made.shop.is_bot(made.shop.user(event.user.as_ref().unwrap()).unwrap());
    first_rows(&made.events).into_iter().filter(|event| event.clean()).filter(person).collect()
}

#[test]
fn the_committed_sample_is_what_its_config_makes() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data-samples");
    let config: Config = toml::from_str(&fs::read_to_string(sample.join("synth.toml")).unwrap()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    generate(&config, directory.path(), &|_| {}).unwrap();
    let mut committed = contents(&sample);
    for by_hand in ["synth.toml", "nightshelf.toml", "campaigns.toml", "README.md"] {
        assert!(committed.remove(Path::new(by_hand)).is_some(), "data-samples/{by_hand} is there");
    }
    let made = contents(directory.path());
    assert_eq!(made.keys().collect::<Vec<_>>(), committed.keys().collect::<Vec<_>>());
    for (path, bytes) in &made {
        assert!(committed[path] == *bytes, "data-samples/{} differs from what the config makes", path.display());
    }
}

#[test]
fn any_number_of_threads_writes_the_same_bytes() {
    let config = Config {
        users: 800,
        items: 200,
        events: 25_000,
        days: 25,
        rows_per_row_group: 1_000,
        rows_per_file: 1_000,
        ..Config::default()
    };
    let with = |n_threads: usize| {
        let directory = tempfile::tempdir().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| generate(&config, directory.path(), &|_| {})).unwrap();
        contents(directory.path())
    };
    let one = with(1);
    assert!(one.len() > 29, "several files: {}", one.len());
    for n_threads in [2, 5] {
        assert!(with(n_threads) == one, "{n_threads} threads write other bytes than one");
    }
    let other = tempfile::tempdir().unwrap();
    generate(&Config { seed: 2, ..config }, other.path(), &|_| {}).unwrap();
    assert!(contents(other.path()) != one, "another seed writes other bytes");
}

#[test]
fn there_are_exactly_as_many_rows_as_asked() {
    assert_eq!(SHOP.events.len(), 120_000);
    assert_eq!(SHOP.summary.rows, 120_000);
    // Fewer rows than days, one row, one shopper, one item.
    for (events, users, items, days) in [(7, 50, 20, 30), (1, 1, 1, 1), (999, 1, 1, 2), (1_234, 3, 2, 400)] {
        let config =
            Config { events, users, items, days, duplicate_rate: 0.2, null_user_rate: 0.2, ..Config::default() };
        let made = make(&config);
        assert_eq!((made.events.len() as u64, made.summary.rows), (events, events));
    }
}

#[test]
fn every_dirty_row_is_counted() {
    let (summary, events) = (&SHOP.summary, &SHOP.events);
    let count = |wanted: &dyn Fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count() as u64;
    let dirty = summary.dirty;
    assert_eq!(count(&|event| event.user.is_none()), dirty.null_user);
    assert_eq!(count(&|event| event.item.is_none()), dirty.null_item);
    assert_eq!(count(&|event| !TYPES.contains(&event.kind.as_str())), dirty.unknown_type);
    assert_eq!((events.len() - first_rows(events).len()) as u64, dirty.duplicate);
    let end = events.iter().map(Event::dt_ms).max().unwrap() + DAY_MS;
    assert_eq!(count(&|event| event.at_ms >= end), dirty.future);
    assert!(count(&|event| event.at_ms >= end + 366 * DAY_MS) == 0);
    let clean = first_rows(events).iter().filter(|event| event.clean()).count() as u64;
    assert_eq!((clean, clean + dirty.total()), (summary.clean_rows, summary.rows));
    for kind in TYPES {
        assert_eq!(count(&|event| event.kind == kind), summary.rows_by_type[kind], "{kind}");
    }
    assert_eq!(summary.rows_by_type.values().sum::<u64>() + dirty.unknown_type, summary.rows);
    // A repeat repeats all of its row.
    let by_id: HashMap<&str, &Event> = events.iter().map(|event| (event.id.as_str(), event)).collect();
    assert!(events.iter().all(|event| by_id[event.id.as_str()] == event));
    let bots = events.iter().filter_map(|event| SHOP.shop.user(event.user.as_ref()?)).filter(|&u| SHOP.shop.is_bot(u));
    assert!(bots.count() as u64 <= summary.bot_rows + dirty.duplicate);
}

#[test]
fn rates_are_near_what_is_asked() {
    let (summary, config) = (&SHOP.summary, SHOP.shop.config());
    let near = |what: &str, part: u64, of: u64, rate: f64| {
        // Four standard deviations.
        let tolerance = 4.0 * (rate * (1.0 - rate) / of as f64).sqrt();
        let share = part as f64 / of as f64;
        assert!((share - rate).abs() < tolerance, "{what}: {share}, asked for {rate}");
    };
    near("null users", summary.dirty.null_user, summary.rows, config.null_user_rate);
    near("null items", summary.dirty.null_item, summary.rows, config.null_item_rate);
    near("unknown types", summary.dirty.unknown_type, summary.rows, config.unknown_type_rate);
    near("duplicates", summary.dirty.duplicate, summary.rows, config.duplicate_rate);
    near("future", summary.dirty.future, summary.rows, config.future_rate);
    near("bots", summary.bot_rows, summary.rows, config.bot_event_rate);
    // Refunds that would come after the log are not in it: the mean one takes 7.5 of 60 days.
    let refunded = summary.refunded_orders as f64 / summary.orders as f64;
    assert!((0.06..0.11).contains(&refunded), "{refunded}");
    let of_person_views = |kind: &str| summary.rows_by_type[kind] as f64 / summary.truth.person_views as f64;
    assert!((0.1..0.15).contains(&of_person_views("cart")), "{}", of_person_views("cart"));
    assert!((0.035..0.06).contains(&of_person_views("purchase")), "{}", of_person_views("purchase"));
    let views_a_session = summary.truth.person_views as f64 / summary.sessions as f64;
    assert!((views_a_session / config.views_per_session - 1.0).abs() < 0.05, "{views_a_session}");
}

#[test]
fn clean_rows_lie_in_their_partition_and_after_their_user_and_item_came() {
    let directory = SHOP.directory.path();
    let column = |file: &str, at: usize| -> HashMap<String, i64> {
        let rows = rows(&directory.join(file));
        rows.iter().map(|row| (text(row, 0), row.get_timestamp_millis(at).unwrap())).collect()
    };
    let (users, items) = (column("customers.parquet", 5), column("catalog.parquet", 6));
    assert_eq!((users.len(), items.len()), (3_000, 800));
    let first = SHOP.events.iter().map(Event::dt_ms).min().unwrap();
    let arrived = |times: &HashMap<String, i64>| times.values().filter(|&&at| at >= first).count();
    assert!((700..=750).contains(&arrived(&users)), "{}", arrived(&users));
    assert!((80..=96).contains(&arrived(&items)), "{}", arrived(&items));
    let end = SHOP.events.iter().map(Event::dt_ms).max().unwrap() + DAY_MS;
    for event in &SHOP.events {
        assert!(event.in_its_day() || event.at_ms >= end, "{event:?}");
        let user = event.user.as_ref().map_or(i64::MIN, |user| users[user]);
        let item = event.item.as_ref().map_or(i64::MIN, |item| items[item]);
        assert!(user <= event.at_ms && item <= event.at_ms, "{event:?}");
        let view = event.quantity.is_none();
        assert_eq!(view, event.price.is_none());
        assert!(view == (event.kind == "view") || !TYPES.contains(&event.kind.as_str()));
    }
    let newcomers = clean_people(&SHOP).iter().filter(|event| users[event.user.as_ref().unwrap()] >= first).count();
    assert!(newcomers > 5_000, "newcomers shop, too: {newcomers}");
}

#[test]
fn a_log_is_in_the_order_of_time_but_for_retries_and_slices() {
    let neighbours = SHOP.events.windows(2).filter(|pair| pair[0].dt == pair[1].dt);
    let back = neighbours.clone().filter(|pair| pair.iter().all(Event::in_its_day) && pair[0].at_ms > pair[1].at_ms);
    let back = back.count();
    assert!(back < SHOP.events.len() / 20, "{back} steps back");
    // Not by user either: shoppers take turns, so that each comes in many pieces.
    let pieces = neighbours.filter(|pair| pair[0].user != pair[1].user).count();
    let visits = SHOP.events.iter().map(|event| (&event.dt, &event.user)).collect::<BTreeSet<_>>().len();
    assert!(pieces > 2 * visits, "{pieces} pieces of {visits} shoppers a day");
}

#[test]
fn orders_are_the_purchases() {
    let rows = rows(&SHOP.directory.path().join("orders.parquet"));
    assert_eq!(rows.len() as u64, SHOP.summary.orders);
    assert_eq!(rows.iter().map(|row| text(row, 0)).collect::<BTreeSet<_>>().len(), rows.len(), "ids are unique");
    type Line = (String, String, i32, u64, i64);
    let mut orders: BTreeMap<Line, Vec<String>> = BTreeMap::new();
    for row in &rows {
        let (quantity, price) = (row.get_int(3).unwrap(), row.get_double(4).unwrap());
        let line = (text(row, 1), text(row, 2), quantity, price.to_bits(), row.get_timestamp_millis(5).unwrap());
        orders.entry(line).or_default().push(text(row, 6));
    }
    let line = |event: &Event| -> Line {
        let (user, item) = (event.user.clone().unwrap(), event.item.clone().unwrap());
        (user, item, event.quantity.unwrap(), event.price.unwrap().to_bits(), event.at_ms)
    };
    let clean: Vec<&Event> = first_rows(&SHOP.events).into_iter().filter(|event| event.clean()).collect();
    let purchases: Vec<&Event> = clean.iter().filter(|event| event.kind == "purchase").copied().collect();
    assert_eq!((rows.len() - purchases.len()) as u64, SHOP.summary.orders_with_dirty_event);
    assert!(purchases.iter().all(|event| orders.contains_key(&line(event))), "each clean purchase has its order");

    // A refund says whose and which purchase it takes back, and comes 1 to 21 days later.
    let refunded = rows.iter().filter(|row| text(row, 6) == "refunded").count() as u64;
    assert_eq!(refunded, SHOP.summary.refunded_orders);
    let refunds: Vec<&Event> = clean.iter().filter(|event| event.kind == "refund").copied().collect();
    assert!(refunds.len() > 300 && refunds.len() as u64 <= refunded);
    type Purchase<'a> = (&'a str, &'a str, &'a str);
    let bought: HashMap<Purchase<'_>, &Event> = purchases
        .iter()
        .map(|event| ((event.session.as_str(), event.user.as_deref().unwrap(), event.item.as_deref().unwrap()), *event))
        .collect();
    let mut found = 0;
    for refund in &refunds {
        let key = (refund.session.as_str(), refund.user.as_deref().unwrap(), refund.item.as_deref().unwrap());
        // The event of the purchase may be dirty.
        let Some(purchase) = bought.get(&key) else { continue };
        assert_eq!((refund.quantity, refund.price), (purchase.quantity, purchase.price));
        let days = (refund.dt_ms() - purchase.dt_ms()) / DAY_MS;
        assert!((1..=21).contains(&days), "{days}");
        assert!(orders[&line(purchase)].iter().any(|status| status == "refunded"));
        found += 1;
    }
    assert!(found * 10 > refunds.len() * 9, "{found} of {}", refunds.len());
}

#[test]
fn tastes_show_in_the_events() {
    let made = &*SHOP;
    let mut favourites: HashMap<u32, Vec<String>> = HashMap::new();
    let (mut views, mut of_taste, mut in_favourite, mut of_style) = (0_u64, 0_u64, 0_u64, 0_u64);
    let (mut affinity, mut expected) = (0.0, 0.0);
    for event in clean_people(made).iter().filter(|event| event.kind == "view") {
        let user = made.shop.user(event.user.as_ref().unwrap()).unwrap();
        let item = made.shop.item(event.item.as_ref().unwrap()).unwrap();
        let liked = favourites.entry(user).or_insert_with(|| {
            made.shop.favourite_categories(user).iter().map(|favourite| favourite.category.to_owned()).collect()
        });
        views += 1;
        if liked.iter().any(|category| category == made.shop.category_of_item(item)) {
            of_taste += 1;
            in_favourite += 1;
            of_style += u64::from(made.shop.style_of_user(user) == made.shop.style_of_item(item));
        }
        affinity += made.shop.affinity(user, item);
        // The same view by the next user: what chance gives.
        expected += made.shop.affinity((user + 1) % 3_000, item);
    }
    let share = of_taste as f64 / views as f64;
    let by_chance = made.summary.truth.favourite_share_by_chance;
    assert!(share > 0.75 && by_chance < 0.35, "{share} of the views are of favourites, {by_chance} by chance");
    // All of people's views, dirty ones too, and counted while they were made.
    let counted = made.summary.truth.favourite_views as f64 / made.summary.truth.person_views as f64;
    assert!((share - counted).abs() < 0.005, "{share}, counted {counted}");
    let style = of_style as f64 / in_favourite as f64;
    assert!(style > 0.45, "{style} are of the user's style, a quarter by chance");
    assert!(
        affinity > 3.0 * expected,
        "mean affinity {}, of others {}",
        affinity / views as f64,
        expected / views as f64
    );
}

#[test]
fn the_truth_file_says_what_the_shop_says() {
    let rows = rows(&SHOP.directory.path().join("truth.parquet"));
    assert_eq!(rows.len(), 3_000);
    for (user, row) in rows.iter().enumerate() {
        let user = user as u32;
        assert_eq!(text(row, 0), SHOP.shop.user_id(user));
        assert_eq!(row.get_bool(1).unwrap(), SHOP.shop.is_bot(user));
        assert_eq!(row.get_int(2).unwrap() as u32, SHOP.shop.style_of_user(user));
        let list: &List = row.get_list(3).unwrap();
        let told = SHOP.shop.favourite_categories(user);
        assert_eq!(list.len(), told.len());
        for (at, favourite) in told.iter().enumerate() {
            let parquet::record::Field::Group(entry) = &list.elements()[at] else { panic!("a struct") };
            assert_eq!((text(entry, 0).as_str(), text(entry, 1).as_str()), (favourite.category, favourite.brand));
            assert_eq!(entry.get_double(2).unwrap(), favourite.weight);
        }
        assert_eq!(told.is_empty(), SHOP.shop.is_bot(user));
    }
}

#[test]
fn the_lists_of_a_perfect_model_are_those_of_the_planted_affinities() {
    let catalogue = rows(&SHOP.directory.path().join("catalog.parquet"));
    let available: Vec<u32> = (0..800).filter(|&item| catalogue[item as usize].get_bool(5).unwrap()).collect();
    assert!(available.len() < 800);
    let rows = rows(&SHOP.directory.path().join("truth_items.parquet"));
    let mut lists: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for row in &rows {
        assert_eq!(text(row, 2), "purchase");
        let list = lists.entry(SHOP.shop.user(&text(row, 0)).unwrap()).or_default();
        list.push(SHOP.shop.item(&text(row, 1)).unwrap());
    }
    assert!(lists.len() == 2_997 && lists.keys().all(|&user| !SHOP.shop.is_bot(user)), "all people, no bot");
    for (&user, list) in lists.iter().step_by(101) {
        let rate = |item: u32| SHOP.shop.popularity(item) * SHOP.shop.affinity(user, item);
        let mut best = available.clone();
        best.sort_by(|&a, &b| rate(b).total_cmp(&rate(a)).then(a.cmp(&b)));
        assert_eq!(list[..], best[..20]);
    }
}

#[test]
fn popularity_and_activity_have_long_tails() {
    let made = make(&Config {
        users: 5_000,
        items: 2_000,
        events: 100_000,
        new_item_rate: 0.0,
        bot_event_rate: 0.0,
        categories: 10,
        ..Config::default()
    });
    let mut by_item: HashMap<&str, u32> = HashMap::new();
    let mut by_user: HashMap<&str, u32> = HashMap::new();
    for event in clean_people(&made) {
        *by_item.entry(event.item.as_deref().unwrap()).or_default() += u32::from(event.kind == "view");
        *by_user.entry(event.user.as_deref().unwrap()).or_default() += 1;
    }
    let descending = |counts: HashMap<&str, u32>| {
        let mut counts: Vec<f64> = counts.into_values().map(f64::from).collect();
        counts.sort_by(|a, b| b.total_cmp(a));
        counts
    };
    let items = descending(by_item);
    // The slope of ln(views) over ln(rank), between ranks 3 and 300, by least squares.
    let points: Vec<(f64, f64)> = (3..300).map(|rank| (f64::from(rank).ln(), items[rank as usize - 1].ln())).collect();
    let n = points.len() as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(&|p| p.0), mean(&|p| p.1));
    let slope = mean(&|p| (p.0 - mean_x) * (p.1 - mean_y)) / mean(&|p| (p.0 - mean_x).powi(2));
    assert!((-0.95..-0.6).contains(&slope), "{slope}");
    let users = descending(by_user);
    let (top, all): (f64, f64) = (users[..50].iter().sum(), users.iter().sum());
    // (r + 6)^-0.667 summed to 50 over the sum to 5,000 is 0.13.
    assert!((0.09..0.18).contains(&(top / all)), "{}", top / all);
}

#[test]
fn bots_view_absurdly_much_and_do_nothing_else() {
    let mut counts: HashMap<u32, (u32, BTreeSet<&str>)> = HashMap::new();
    for event in first_rows(&SHOP.events).into_iter().filter(|event| event.clean()) {
        let entry = counts.entry(SHOP.shop.user(event.user.as_ref().unwrap()).unwrap()).or_default();
        entry.0 += 1;
        entry.1.insert(&event.kind);
    }
    let bots: Vec<u32> = (0..3_000).filter(|&user| SHOP.shop.is_bot(user)).collect();
    assert_eq!((bots.len(), SHOP.summary.truth.bots), (3, 3));
    for bot in &bots {
        assert_eq!(counts[bot].1.iter().collect::<Vec<_>>(), [&"view"]);
        assert!(counts[bot].0 > 1_000, "{}", counts[bot].0);
    }
    let mean = SHOP.summary.rows / 3_000;
    assert!(counts.values().filter(|count| u64::from(count.0) > 20 * mean).count() <= bots.len() + 10);
}

#[test]
fn people_buy_again_what_they_use_up() {
    let mut days: HashMap<(&str, &str), BTreeSet<&str>> = HashMap::new();
    for event in clean_people(&SHOP).into_iter().filter(|event| event.kind == "purchase") {
        days.entry((event.user.as_deref().unwrap(), event.item.as_deref().unwrap())).or_default().insert(&event.dt);
    }
    let again = days.values().filter(|days| days.len() > 1).count();
    assert!(again * 20 > days.len(), "{again} of {} pairs are bought on two days or more", days.len());
}

#[test]
fn visits_follow_hours_weekdays_and_campaigns() {
    let config = SHOP.shop.config();
    let mut by_hour = [0_u32; 24];
    let mut by_day: BTreeMap<&str, f64> = BTreeMap::new();
    let mut by_weekday = [(0.0, 0_u32); 7];
    for event in clean_people(&SHOP).into_iter().filter(|event| event.kind == "view") {
        by_hour[((event.at_ms - event.dt_ms()) / 3_600_000) as usize] += 1;
        *by_day.entry(&event.dt).or_default() += 1.0;
    }
    assert!(by_hour[20] > 5 * by_hour[3], "{by_hour:?}");
    assert_eq!(by_day.len(), config.days as usize);
    let mut busy: Vec<f64> = by_day.values().copied().collect();
    busy.sort_by(f64::total_cmp);
    let median = busy[busy.len() / 2];
    let campaigns: Vec<f64> = busy.iter().copied().filter(|&views| views > 1.45 * median).collect();
    assert_eq!(campaigns.len(), config.campaign_days as usize, "{busy:?}");
    for (day, views) in by_day.iter().filter(|(_, views)| **views <= 1.45 * median) {
        let date: jiff::civil::Date = day.parse().unwrap();
        let entry = &mut by_weekday[date.weekday().to_monday_zero_offset() as usize];
        *entry = (entry.0 + views, entry.1 + 1);
    }
    let mean = |weekday: usize| by_weekday[weekday].0 / f64::from(by_weekday[weekday].1);
    assert!(mean(6) > 1.1 * mean(4), "Sundays {}, Fridays {}", mean(6), mean(4));
}

#[test]
fn titles_can_be_read_and_are_unique() {
    let rows = rows(&SHOP.directory.path().join("catalog.parquet"));
    let titles: BTreeSet<String> = rows.iter().map(|row| text(row, 1)).collect();
    assert_eq!(titles.len(), 800);
    for row in &rows {
        let (title, brand) = (text(row, 1), text(row, 3));
        assert!(title.starts_with(&brand) && title.contains(", "), "{title}");
        assert!(row.get_double(4).unwrap() > 0.0);
    }
    let available = rows.iter().filter(|row| row.get_bool(5).unwrap()).count();
    assert!((750..800).contains(&available), "{available}");
}

#[test]
fn synth_json_records_config_and_summary() {
    let text = fs::read_to_string(SHOP.directory.path().join("synth.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    let config: Config = serde_json::from_value(record["config"].clone()).unwrap();
    let summary: Summary = serde_json::from_value(record["summary"].clone()).unwrap();
    assert_eq!((&config, &summary), (SHOP.shop.config(), &SHOP.summary));
    let parquet = files(SHOP.directory.path());
    let parquet: Vec<_> = parquet.iter().filter(|path| path.extension().unwrap() == "parquet").collect();
    assert_eq!(parquet.len() as u64, summary.files);
    assert_eq!(parquet.iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>(), summary.bytes);
    assert!(parquet.iter().any(|path| path.ends_with("part-0001.parquet")), "a busy day has several files");
}

#[test]
fn progress_ends_at_the_total() {
    let (most, calls) = (AtomicU64::new(0), AtomicU64::new(0));
    let listen = |progress: Progress| {
        assert_eq!(progress.total_rows, 5_000);
        most.fetch_max(progress.rows, Ordering::Relaxed);
        calls.fetch_add(1, Ordering::Relaxed);
    };
    let config = Config { users: 100, items: 50, events: 5_000, days: 4, ..Config::default() };
    generate(&config, tempfile::tempdir().unwrap().path(), &listen).unwrap();
    assert_eq!((most.into_inner(), calls.into_inner()), (5_000, 4));
}

#[test]
fn another_shops_events_are_not_mixed_with() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { users: 100, items: 50, events: 500, days: 4, ..Config::default() };
    generate(&config, directory.path(), &|_| {}).unwrap();
    let before = contents(directory.path());
    let shorter = Config { days: 3, ..config.clone() };
    let error = generate(&shorter, directory.path(), &|_| {}).unwrap_err();
    assert!(
        matches!(&error, SynthError::Foreign { path } if path.ends_with("dt=2026-06-04/part-0000.parquet")),
        "{error}"
    );
    assert!(error.to_string().contains("belongs to another shop"), "{error}");
    assert!(contents(directory.path()) == before, "a refusal changes nothing");
    generate(&config, directory.path(), &|_| {}).unwrap();
    assert!(contents(directory.path()) == before, "the same shop may be made again");
}

#[test]
fn what_cannot_be_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let error = generate(&Config { items: 0, ..Config::default() }, directory.path(), &|_| {}).unwrap_err();
    assert_eq!(error.to_string(), "synth.items must be 1 to 100000000, is 0");
    assert!(contents(directory.path()).is_empty());
    let file = directory.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let config = Config { users: 10, items: 5, events: 10, days: 1, ..Config::default() };
    let error = generate(&config, &file, &|_| {}).unwrap_err();
    assert!(matches!(error, SynthError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("file"), "{error}");
}
