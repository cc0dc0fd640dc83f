//! A believable night of a believable shop, for looking at the page and for weighing it.

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, date},
};
use nightshelf::report::{
    CampaignFunnel, CampaignSizes, Coverage, DaySeries, EventsByDay, ExampleAction, ExampleUser, FilterStep, Headline,
    Histogram, InputFile, ListSource, ListSources, ListedItem, LongTail, LossPoint, RejectedReason, ReportData,
    RunInfo, Scores, SimilarExample, Stage,
};

const N_ITEMS: u64 = 98_412;
const N_USERS: u64 = 948_207;

pub(super) fn example() -> ReportData {
    ReportData {
        run: RunInfo {
            name: "2026-11-22-full".to_owned(),
            version: "0.1.0".to_owned(),
            as_of: Some(instant("2026-11-21T23:59:58Z")),
            created_at: Some(instant("2026-11-22T02:14:31Z")),
            content_hash: Some("9f2c51d07be0a36c4d1f7be2f0d9a8c35e6b7a90c1d2e3f405162738495a6b7c".to_owned()),
        },
        headline: Headline {
            rows_read: 20_000_000,
            rows_rejected: 382_114,
            n_users: N_USERS,
            n_items: N_ITEMS,
            n_interactions: 14_823_906,
            lists_written: 1_002_318,
            k: 50,
            model: "als".to_owned(),
            seconds: 251.8,
            peak_memory_mb: Some(3_914.0),
        },
        warnings: vec![
            "3 days have no events (2026-10-07 to 2026-10-09): were their files delivered?".to_owned(),
            "1,204 items of the interactions are not in the catalogue and are never recommended.".to_owned(),
        ],
        events_by_day: Some(events()),
        rejected: rejected(),
        filters: filters(),
        long_tail: Some(LongTail::from_counts(popularity())),
        activity: Some(Histogram::log2((0..60_000).map(|user| bell(user).mul_add(1.1, 1.6).exp() as u64 + 1))),
        training: training(),
        coverage: Some(coverage()),
        list_sources: Some(sources()),
        scores: Some(scores()),
        stages: stages(),
        inputs: inputs(),
        example_users: users(),
        popular: listed(0, 12, 1.0),
        similar: similar(),
        trending: listed(20, 9, 3.4),
        bought_together: similar()[..2].to_vec(),
        campaigns: campaigns(),
        campaign_overlap: vec![
            vec![31_207, 4_110, 9_981, 31_004],
            vec![4_110, 12_044, 2, 11_917],
            vec![9_981, 2, 88_120, 80_002],
            vec![31_004, 11_917, 80_002, 611_200],
        ],
        campaign_sizes: (0..10)
            .map(|night| CampaignSizes {
                as_of: Some(instant(&format!("2026-11-{:02}T23:59:58Z", night + 12))),
                send: vec![
                    Some(18_000 + (noise(night) * 4_000.0) as u64),
                    Some(8_200 + (noise(night + 50) * 1_500.0) as u64),
                    (night > 3).then_some(10_000),
                    Some(41_000 + (noise(night + 90) * 2_000.0) as u64),
                ],
            })
            .collect(),
        config: CONFIG.to_owned(),
    }
}

fn campaigns() -> Vec<CampaignFunnel> {
    let campaign = |name: &str, kind: &str, steps: [u64; 7]| {
        let names = [
            "no consent",
            "nothing to write about",
            "capped",
            "in other campaigns",
            "beyond the size",
            "held out",
            "to write to",
        ];
        CampaignFunnel {
            name: name.to_owned(),
            kind: kind.to_owned(),
            matched: steps.iter().sum(),
            steps: names.map(str::to_owned).into_iter().zip(steps).collect(),
        }
    };
    vec![
        campaign("carts", "abandoned_cart", [5_204, 812, 3_110, 0, 0, 2_191, 19_890]),
        campaign("good customers back", "win_back", [1_900, 0, 602, 998, 0, 0, 8_544]),
        campaign("coffee", "item_affinity", [14_800, 0, 4_112, 9_208, 50_000, 0, 10_000]),
        campaign("picks", "top_picks", [98_000, 17, 401_002, 71_002, 0, 0, 41_179]),
    ]
}

const CONFIG: &str = "[events]\npath = \"s3://shop-logs/events/\"\nfrom = \"2026-08-24\"\n\n[model]\nkind = \"als\"\n\n\
    [model.als]\nn_factors = 64\niterations = 10\nregularization = 0.05\nalpha = 10.0\n\n[recommendations]\nk = 50\n";

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A number in 0..1 that looks random and is not.
fn noise(n: u64) -> f64 {
    let mixed = (n ^ 0x9e37_79b9).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 40) as f64 / f64::from(1 << 24)
}

/// A draw from about the normal distribution.
fn bell(n: u64) -> f64 {
    (0..12).map(|draw| noise(n * 12 + draw)).sum::<f64>() - 6.0
}

fn popularity() -> Vec<u64> {
    (1..=N_ITEMS)
        .map(|rank| (2.1e6 / (rank as f64 + 18.0).powf(0.86) * (0.8 + 0.4 * noise(rank)) / 14.0) as u64 + 1)
        .collect()
}

fn events() -> EventsByDay {
    let start = date(2026, 8, 24);
    let mut dates: Vec<Date> = Vec::new();
    let mut days: Vec<f64> = Vec::new();
    for day in 0..90_i64 {
        // Three days whose files were never delivered.
        if (44..47).contains(&day) {
            continue;
        }
        let date = start.checked_add(day.days()).unwrap();
        let weekend = if date.weekday().to_monday_zero_offset() >= 5 { 1.28 } else { 1.0 };
        let sale = if (74..78).contains(&day) { 1.9 } else { 1.0 };
        dates.push(date);
        days.push(weekend * sale * (1.0 + day as f64 / 400.0) * (0.94 + 0.12 * noise(day as u64)));
    }
    let of = |event_type: &str, level: f64, salt: u64| DaySeries {
        event_type: event_type.to_owned(),
        counts: days.iter().zip(salt..).map(|(day, n)| (day * level * (0.95 + 0.1 * noise(n))) as u64).collect(),
    };
    let series = vec![
        of("view", 153_800.0, 1),
        of("cart", 21_900.0, 700),
        of("purchase", 8_130.0, 1400),
        of("refund", 366.0, 2100),
    ];
    EventsByDay { dates, series }
}

fn rejected() -> Vec<RejectedReason> {
    let reason = |reason: &str, count: u64, advice: &str| RejectedReason {
        reason: reason.to_owned(),
        count,
        share: count as f64 / 20_000_000.0,
        advice: advice.to_owned(),
    };
    vec![
        reason("null_user", 201_877, "Events before log-in carry no user. Map a session or cookie id if you have one."),
        reason("duplicate_event_id", 121_040, "Exact copies; nothing to do unless the number grows."),
        reason(
            "unknown_event_type",
            51_903,
            "Seen: wishlist_add, share. Give them a weight in [events.types] or ignore them.",
        ),
        reason("timestamp_in_future", 6_120, "Clocks of clients; beyond 24 h after the newest partition."),
        reason("item_id_too_long", 1_174, ""),
    ]
}

fn filters() -> Vec<FilterStep> {
    let step = |name: &str, rule: &str, unit: &str, before: u64, removed: u64| FilterStep {
        name: name.to_owned(),
        rule: rule.to_owned(),
        unit: unit.to_owned(),
        before,
        removed,
    };
    vec![
        step("bots", "more than 500 events an hour", "users", 1_002_902, 584),
        step("minimum items per user", "fewer than 2 items: not in training, still served", "users", 1_002_318, 54_111),
        step("minimum users per item", "fewer than 3 users", "items", 104_880, 6_468),
    ]
}

fn training() -> Vec<LossPoint> {
    (1..=10)
        .map(|iteration| LossPoint { iteration, loss: 1.184e7 + 9.1e6 * (-0.62 * iteration as f64).exp() })
        .collect()
}

fn coverage() -> Coverage {
    let places: Vec<u64> =
        (1..=N_ITEMS)
            .map(|rank| {
                if noise(rank) < 0.27 { 0 } else { (3.2e7 / (rank as f64 + 40.0).powf(1.05) * noise(rank + 7)) as u64 }
            })
            .collect();
    Coverage::from_counts(&places, &popularity())
}

fn sources() -> ListSources {
    let by = |source: &str, users: u64| ListSource { source: source.to_owned(), users };
    ListSources {
        by_source: vec![
            by("als", 941_870),
            by("als+category_popular", 6_337),
            by("category_popular", 31_402),
            by("popular", 22_709),
        ],
        short_lists: 318,
        users_without_list: 0,
    }
}

fn scores() -> Scores {
    let sample = |mean: f64, spread: f64, salt: u64| -> Vec<f32> {
        (0..40_000_u64)
            .map(|n| {
                let sum: f64 = (0..6).map(|draw| noise(n * 6 + draw + salt)).sum();
                (mean * ((sum - 3.0) * spread).exp()) as f32
            })
            .collect()
    };
    Scores::from_lists(&sample(0.62, 0.42, 11), &sample(0.21, 0.5, 900_001), 48)
}

fn stages() -> Vec<Stage> {
    let stage = |name: &str, seconds: f64, rows: Option<u64>, unit: &str| Stage {
        name: name.to_owned(),
        seconds,
        rows,
        unit: unit.to_owned(),
    };
    vec![
        stage("read", 14.2, Some(20_000_000), "rows"),
        stage("interactions", 6.1, Some(14_823_906), "interactions"),
        stage("train", 96.4, Some(148_239_060), "interaction sweeps"),
        stage("recommend", 101.7, Some(1_002_318), "users"),
        stage("similar items", 11.9, Some(N_ITEMS), "items"),
        stage("write", 8.8, Some(1_002_318), "lists"),
        stage("publish sqlite", 11.3, Some(1_002_318), "lists"),
    ]
}

fn inputs() -> Vec<InputFile> {
    let start = date(2026, 8, 24);
    let day = |n: i64| start.checked_add(n.days()).unwrap();
    let events = (0..90_i64).filter(|n| !(44..47).contains(n)).map(|n| InputFile {
        path: format!("s3://shop-logs/events/dt={}/part-00000.parquet", day(n)),
        bytes: 3_900_000 + (noise(n as u64) * 900_000.0) as u64,
        rows: Some(229_885),
    });
    events
        .chain([InputFile { path: "s3://shop-logs/catalog.parquet".to_owned(), bytes: 7_402_113, rows: None }])
        .collect()
}

const TITLES: [(&str, &str); 16] = [
    ("Lumen Trail headlamp 400 lm", "Outdoor / Lighting"),
    ("Birk merino base layer, women", "Outdoor / Clothing"),
    ("Havn enamel mug 350 ml", "Outdoor / Kitchen"),
    ("Kestrel 28 l daypack, moss", "Outdoor / Packs"),
    ("Alder folding saw", "Garden / Tools"),
    ("Cast-iron skillet 26 cm", "Kitchen / Cookware"),
    ("Oak chopping board, end grain", "Kitchen / Cookware"),
    ("Pour-over kettle 0.9 l", "Kitchen / Coffee"),
    ("Burr grinder, manual", "Kitchen / Coffee"),
    ("Linen apron, charcoal", "Kitchen / Textiles"),
    ("Nordlys reading lamp", "Home / Lighting"),
    ("Wool throw 130 × 180 cm", "Home / Textiles"),
    ("Cedar planter box, large", "Garden / Planters"),
    ("Bypass secateurs", "Garden / Tools"),
    ("Titanium spork & case", "Outdoor / Kitchen"),
    ("Ultralight tarp 3 × 3 m", "Outdoor / Shelter"),
];

fn item(at: usize) -> (String, Option<String>, Option<String>) {
    let (title, category) = TITLES[at % TITLES.len()];
    (format!("SKU-{:06}", 10_417 + at * 733), Some(title.to_owned()), Some(category.to_owned()))
}

fn listed(from: usize, n: usize, best: f64) -> Vec<ListedItem> {
    let entry = |at: usize| {
        let (item, title, category) = item(from + at * 3);
        ListedItem { item, title, category, score: best * 0.91_f64.powi(at as i32) }
    };
    (0..n).map(entry).collect()
}

fn users() -> Vec<ExampleUser> {
    let user = |number: usize, source: &str, n_actions: usize| ExampleUser {
        user: format!("u-{:07}", 88_213 + number * 190_417),
        source: source.to_owned(),
        n_interactions: (n_actions * (number + 1) * 2) as u64,
        actions: (0..n_actions)
            .map(|at| {
                let (item, title, category) = item(number * 5 + at * 2);
                let event_type = ["purchase", "cart", "view", "view"][at % 4].to_owned();
                let at = instant("2026-11-21T20:41:09Z").checked_sub(((at * at * 9 + at) as i64).hours()).ok();
                ExampleAction { item, title, category, event_type, at }
            })
            .collect(),
        recommendations: listed(number * 5 + 1, 8, 0.94 - 0.08 * number as f64),
    };
    vec![user(0, "als", 7), user(1, "als", 5), user(2, "als+category_popular", 2), user(3, "popular", 0)]
}

fn similar() -> Vec<SimilarExample> {
    let example = |at: usize| {
        let (item, title, category) = item(at);
        SimilarExample { item, title, category, neighbours: listed(at + 1, 4, 0.83) }
    };
    vec![example(0), example(5), example(12)]
}
