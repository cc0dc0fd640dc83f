//! Campaign lists through the program: who is on them, who is not, and that every night keeps the rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::{Arc, LazyLock},
};

use arrow::array::{ArrayRef, BooleanArray, Float64Array, StringArray, TimestampMillisecondArray};
use nightshelf::{
    artifacts::{Run, open_run, verify},
    publish::{MySqlConfig, PostgresConfig},
    recommendations::Arm,
    synth::{self, generate},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    program::{nightshelf, nightshelf_in},
    servers::{PASSWORD, fresh_mariadb, fresh_postgres, is_skipped},
    sql::{self, Speaks},
    tables::write,
};

const CONFIG: &str = r#"
[events]
paths = ["shop/events/"]
[catalog]
path = "shop/catalog.parquet"
[interactions]
n_buckets = 4
[model]
kind = "item_item"
[recommendations]
k = 10
[publish.sqlite]
path = "shop.db"
"#;

/// Several campaigns that touch one another.
const CAMPAIGNS: &str = r#"
[campaigns]
max_campaigns_per_user = 2
[[campaign]]
name = "carts"
kind = "abandoned_cart"
priority = 10
within_days = 10
holdout = 0.2
[[campaign]]
name = "looked"
kind = "browse_abandonment"
priority = 5
within_days = 10
size = 20
[[campaign]]
name = "busy"
kind = "custom"
audience = "n_view_7d >= 5 AND favourite_category IS NOT NULL"
order_by = "n_view_7d"
holdout = 0.1
[[campaign]]
name = "coffee lovers"
kind = "item_affinity"
categories = ["CATEGORY"]
size = 50
[[campaign]]
name = "picks"
kind = "top_picks"
items = 5
priority = -5
"#;

struct Made {
    directory: TempDir,
    summary: Value,
}

fn shop(directory: &Path, users: u32) {
    let config = synth::Config {
        users,
        items: 120,
        events: 12_000,
        categories: 6,
        brands: 12,
        days: 24,
        start: jiff::civil::date(2024, 6, 1),
        unavailable_rate: 0.1,
        ..synth::Config::default()
    };
    generate(&config, &directory.join("shop"), &|_| {}).unwrap();
}

/// The campaigns, with the name of a category that the shop has.
fn campaigns(directory: &Path) -> String {
    let run = nightshelf(directory, &["build", "--run", "plain", "--publish", "none", "--json"]).ok();
    drop(run);
    let items = open_run(&directory.join("runs"), "plain").unwrap().items().unwrap();
    CAMPAIGNS.replace("CATEGORY", items.catalog.category_names.get(0))
}

static MADE: LazyLock<Made> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    shop(directory.path(), 400);
    fs::write(directory.path().join("nightshelf.toml"), CONFIG).unwrap();
    let campaigns = campaigns(directory.path());
    fs::write(directory.path().join("nightshelf.toml"), format!("{CONFIG}{campaigns}")).unwrap();
    let summary = nightshelf(directory.path(), &["build", "--run", "night", "--json"]).json();
    Made { directory, summary }
});

impl Made {
    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn run(&self) -> Run {
        open_run(&self.path().join("runs"), "night").unwrap()
    }

    fn ask(&self, arguments: &[&str]) -> Value {
        nightshelf(self.path(), &[&["campaign"], arguments, &["--json"]].concat()).json()
    }
}

/// (rank, user, arm) of a campaign, in the order of its file.
fn members(run: &Run, name: &str) -> Vec<(u32, String, Arm)> {
    let mut all = Vec::new();
    for file in run.files_in(&format!("campaigns/{name}")) {
        let mut reader = run.member_reader(&file.path).unwrap();
        while let Some(table) = reader.next().unwrap() {
            all.extend(table.batch().rows().map(|row| (row.rank, row.list.key.to_owned(), row.arm)));
        }
    }
    all
}

const NAMES: [&str; 5] = ["carts", "looked", "busy", "coffee lovers", "picks"];

#[test]
fn funnels_add_up_and_are_the_lists() {
    let run = MADE.run();
    assert!(verify(&run).unwrap().problems.is_empty());
    let listed = MADE.ask(&["list", "night"]);
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(names, NAMES, "the highest priority first");
    let mut in_lists: BTreeMap<String, usize> = BTreeMap::new();
    for line in listed.as_array().unwrap() {
        let funnel = &line["funnel"];
        let n = |key: &str| funnel[key].as_u64().unwrap();
        assert_eq!(n("users"), MADE.summary["users"].as_u64().unwrap());
        assert_eq!(n("users"), n("outside_audience") + n("outside_rule") + n("matched"), "{line}");
        let fallen = n("items") + n("cap") + n("priority") + n("size");
        assert_eq!(n("matched"), fallen + n("holdout") + n("send"), "{line}");
        assert!(n("send") > 0, "{line}");
        let members = members(&run, line["name"].as_str().unwrap());
        let of = |arm| members.iter().filter(|member| member.2 == arm).count() as u64;
        assert_eq!((of(Arm::Send), of(Arm::Holdout)), (n("send"), n("holdout")));
        assert!(members.iter().enumerate().all(|(at, member)| member.0 as usize == at + 1), "ranks count from 1");
        let users: BTreeSet<&str> = members.iter().map(|member| member.1.as_str()).collect();
        assert_eq!(users.len(), members.len(), "nobody twice");
        members.iter().for_each(|member| *in_lists.entry(member.1.clone()).or_default() += 1);
    }
    assert_eq!(in_lists.values().max(), Some(&2), "max_campaigns_per_user");
    let looked = &listed[1]["funnel"];
    assert_eq!((looked["send"].as_u64(), looked["size"].as_u64() > Some(0)), (Some(20), true), "{looked}");
    let summary = &MADE.summary["campaigns"];
    assert_eq!(summary[0]["matched"], listed[0]["funnel"]["matched"]);
}

#[test]
fn why_says_of_every_user_what_the_lists_and_counts_say() {
    let run = MADE.run();
    let members: Vec<BTreeSet<String>> =
        NAMES.map(|name| members(&run, name).into_iter().map(|member| member.1).collect()).to_vec();
    let mut steps: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut n_users = 0;
    for file in run.files_in("profiles") {
        let mut reader = run.profile_reader(&file.path).unwrap();
        while let Some(table) = reader.next().unwrap() {
            for user in table.users.iter().step_by(7) {
                n_users += 1;
                for (at, why) in nightshelf::pipeline::why(&run, user).unwrap().into_iter().enumerate() {
                    assert_eq!(why.campaign, NAMES[at]);
                    assert_eq!(why.is_member, members[at].contains(user), "{user}: {why:?}");
                    *steps.entry((why.campaign, why.step)).or_default() += 1;
                }
            }
        }
    }
    assert!(n_users > 30);
    for step in ["audience", "rule", "priority", "send", "holdout"] {
        assert!(steps.keys().any(|(_, found)| found == step), "{step} is not among {steps:?}");
    }
    let user = members[0].first().unwrap();
    let told = nightshelf(MADE.path(), &["campaign", "why", user, "--run", "night"]).ok().stdout;
    assert!(told.contains("carts") && told.contains("added "), "{told}");
    let unknown = nightshelf(MADE.path(), &["campaign", "why", "nobody", "--run", "night"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("user `nobody` is unknown to run night"), "{}", unknown.stderr);
}

#[test]
fn previews_and_exports_show_the_members() {
    let run = MADE.run();
    let carts = members(&run, "carts");
    let preview = MADE.ask(&["preview", "carts", "--run", "night", "--user", &carts[0].1]);
    assert_eq!(preview[0]["rank"], 1);
    let item = &preview[0]["items"][0];
    assert!(item["title"].as_str().is_some_and(|title| !title.is_empty()) && item["price"].is_number(), "{item}");
    assert!(preview[0]["reason"].as_str().unwrap().starts_with("added "));
    let sample = MADE.ask(&["preview", "carts", "--run", "night", "--sample", "4"]);
    assert_eq!(sample.as_array().unwrap().len(), 4);
    assert_eq!(sample, MADE.ask(&["preview", "carts", "--run", "night", "--sample", "4"]));

    let export = |arguments: &[&str]| {
        nightshelf(MADE.path(), &[&["campaign", "export", "carts", "--run", "night"], arguments].concat()).ok().stdout
    };
    let lines = export(&[]);
    let mut csv = lines.lines();
    assert!(csv.next().unwrap().starts_with("user_id,rank,score,arm,reason,item_1_id,item_1_title,item_1_price"));
    let n_send = carts.iter().filter(|member| member.2 == Arm::Send).count();
    assert_eq!(csv.count(), n_send, "whoever is held out is not exported by default");
    assert!(!lines.contains("holdout"));
    let held: Vec<Value> = export(&["--format", "jsonl", "--arm", "holdout"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(held.len(), carts.len() - n_send);
    assert!(held.iter().all(|member| member["arm"] == "holdout" && member["variables"]["items"].is_array()));
    let out = MADE.path().join("carts.parquet");
    export(&["--format", "parquet", "--arm", "all", "--out", out.to_str().unwrap()]);
    let file = fs::File::open(&out).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows() as usize, carts.len());
    for (arguments, expected, code) in [
        (vec!["campaign", "export", "cart"], "campaign `cart` is unknown to run night", 1),
        (vec!["campaign", "export", "carts", "--format", "xls"], "--format must be csv, jsonl or parquet, is xls", 2),
        (vec!["campaign", "export", "carts", "--format", "parquet"], "--format parquet needs a file", 2),
        (vec!["campaign", "preview", "carts", "--user", "nobody"], "member `nobody` is unknown", 1),
    ] {
        let ran = nightshelf(MADE.path(), &[arguments, vec!["--run", "night"]].concat());
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
    }
}

#[test]
fn overlap_is_symmetric_and_its_diagonal_is_the_funnels() {
    let overlap = MADE.ask(&["overlap", "--run", "night"]);
    let people = |a: usize, b: usize| overlap["people"][a][b].as_u64().unwrap();
    let listed = MADE.ask(&["list", "night"]);
    for a in 0..NAMES.len() {
        assert_eq!(Some(people(a, a)), listed[a]["funnel"]["matched"].as_u64());
        for b in 0..NAMES.len() {
            assert_eq!(people(a, b), people(b, a));
            assert!(people(a, b) <= people(a, a));
        }
    }
    let lists = MADE.ask(&["overlap", "--run", "night", "--lists"]);
    let run = MADE.run();
    let of = |name: &str| members(&run, name).into_iter().map(|member| member.1).collect::<BTreeSet<_>>();
    let (carts, picks) = (of("carts"), of("picks"));
    assert_eq!(lists["people"][0][0], carts.len());
    assert_eq!(lists["people"][0][4], carts.intersection(&picks).count());
}

#[test]
fn lists_are_served_and_the_report_shows_them() {
    let database = rusqlite::Connection::open(MADE.path().join("shop.db")).unwrap();
    let n: usize = database
        .query_row("SELECT count(*) FROM campaign_members_current WHERE campaign = 'carts'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(n, members(&MADE.run(), "carts").len());
    let report = fs::read_to_string(MADE.path().join("runs/night/report.html")).unwrap();
    assert!(report.contains("id=\"campaigns\"") && report.contains("coffee lovers"), "the report has no campaigns");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let hash = |threads: &str| {
        let directory = MADE.path();
        let name = format!("threads-{threads}");
        let runs = format!("runs-{threads}");
        let arguments = ["build", "--run", &name, "--publish", "none", "--runs", &runs, "--json", "--threads", threads];
        nightshelf(directory, &arguments).json()["content_sha256"].as_str().unwrap().to_owned()
    };
    assert_eq!(hash("1"), hash("3"));
}

#[test]
fn a_condition_that_matches_nobody_warns_with_the_funnel() {
    let directory = tempfile::tempdir().unwrap();
    shop(directory.path(), 60);
    let campaign = "[[campaign]]\nname = 'none'\nkind = 'custom'\naudience = 'n_view_7d > 1000000'\n";
    fs::write(directory.path().join("nightshelf.toml"), format!("{CONFIG}{campaign}")).unwrap();
    let summary = nightshelf(directory.path(), &["build", "--json", "--publish", "none"]).json();
    let warnings: Vec<&str> = summary["warnings"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let users = summary["users"].as_u64().unwrap();
    let expected = format!(
        "campaign none matches nobody: {users} users, {users} outside the audience, 0 to whom the rule does not apply, 0 matched"
    );
    assert!(warnings.contains(&expected.as_str()), "{warnings:?}");
    let measured = nightshelf(directory.path(), &["campaign", "measure", "--json"]).json();
    assert_eq!((&measured[0]["send"]["members"], &measured[0]["uplift"]), (&Value::from(0), &Value::Null));
}

#[test]
fn config_check_names_the_campaign_and_the_nearest_column() {
    let directory = tempfile::tempdir().unwrap();
    let check = |campaigns: &str| {
        fs::write(directory.path().join("nightshelf.toml"), format!("{CONFIG}{campaigns}")).unwrap();
        let ran = nightshelf(directory.path(), &["config", "check"]);
        assert_eq!(ran.code, Some(2), "{}", ran.stdout);
        ran.stderr
    };
    let two = "[[campaign]]\nname = 'spring'\nkind = 'top_picks'\n".repeat(2);
    assert!(check(&two).contains("two [[campaign]] tables have the name `spring`"));
    let typo =
        "[[campaign]]\nname = 'spring'\nkind = 'custom'\naudience = \"recency_days > 30\\nAND n_puchase_all >= 2\"\n";
    let told = check(typo);
    let expected = "campaign.spring.audience: there is no column `n_puchase_all`; the nearest is `n_purchase_all` (at line 2, \
                    column 5)";
    assert!(told.contains(expected), "{told}");
    assert!(check("[[campaign]]\nname = 'x'\nkind = 'abandoned_card'\n").contains("abandoned_cart"));
}

/// Fourteen nights, each as the shop was at its end: nobody is in a campaign more than twice in 7 days, and arms stay.
#[test]
fn caps_hold_over_fourteen_nights_and_arms_stay() {
    let directory = tempfile::tempdir().unwrap();
    shop(directory.path(), 80);
    let campaigns = r#"
[campaigns]
max_campaigns_per_user = 2
max_contacts = 3
contact_days = 7
[[campaign]]
name = "daily"
kind = "custom"
audience = "n_view_all >= 0"
holdout = 0.3
cap = { contacts = 2, days = 7 }
[[campaign]]
name = "second"
kind = "top_picks"
priority = -1
"#;
    fs::write(directory.path().join("nightshelf.toml"), format!("{CONFIG}{campaigns}")).unwrap();
    // (night, user, campaign, arm).
    let mut contacts: Vec<(i64, String, &str, Arm)> = Vec::new();
    for night in 0..14i64 {
        let (day, name) = (format!("2024-06-{:02}", 9 + night), format!("night-{night:02}"));
        let build = ["build", "--run", &name, "--as-of", &day, "--publish", "none", "--quiet"];
        nightshelf(directory.path(), &build).ok();
        if night == 5 {
            // A night that is built again is not held back by its own first attempt.
            let again = ["build", "--run", "again", "--as-of", &day, "--publish", "none", "--quiet"];
            nightshelf(directory.path(), &again).ok();
            let open = |name: &str| open_run(&directory.path().join("runs"), name).unwrap();
            assert_eq!(open("again").manifest().content_sha256, open(&name).manifest().content_sha256);
        }
        let run = open_run(&directory.path().join("runs"), &name).unwrap();
        for campaign in ["daily", "second"] {
            contacts.extend(members(&run, campaign).into_iter().map(|(_, user, arm)| (night, user, campaign, arm)));
        }
        if night == 8 {
            // Caps hold however few runs are kept.
            nightshelf(directory.path(), &["runs", "prune", "--keep", "1"]).ok();
        }
    }
    let mut of_user: BTreeMap<&str, Vec<&(i64, String, &str, Arm)>> = BTreeMap::new();
    contacts.iter().for_each(|contact| of_user.entry(&contact.1).or_default().push(contact));
    let (mut most_daily, mut most) = (0, 0);
    for own in of_user.values() {
        for first in 0..14 {
            let week = own.iter().filter(|contact| (first..first + 7).contains(&contact.0));
            let (daily, all) = week.fold((0, 0), |(daily, all), it| (daily + usize::from(it.2 == "daily"), all + 1));
            most_daily = most_daily.max(daily);
            most = most.max(all);
        }
        let arms: BTreeSet<Arm> = own.iter().filter(|it| it.2 == "daily").map(|it| it.3).collect();
        assert!(arms.len() <= 1, "{own:?}");
    }
    assert_eq!((most_daily, most), (2, 3), "the caps are met, and not overdone");
    let daily: BTreeMap<&str, Arm> =
        contacts.iter().filter(|it| it.2 == "daily").map(|it| (it.1.as_str(), it.3)).collect();
    let held = daily.values().filter(|arm| **arm == Arm::Holdout).count() as f64;
    let n = daily.len() as f64;
    assert!((held - 0.3 * n).abs() < 4.0 * (n * 0.21).sqrt(), "{held} of {n}");
    let last = open_run(&directory.path().join("runs"), "night-13").unwrap();
    let counts = &last.manifest().content.counts["campaign.daily"];
    assert!(counts["cap"] > 0, "{counts:?}");
}

/// Prices that fell and items that are there again, against the catalogue of the run before.
#[test]
fn catalogues_of_two_nights_are_compared() {
    let directory = tempfile::tempdir().unwrap();
    shop(directory.path(), 200);
    let campaigns = r#"
[campaigns]
max_campaigns_per_user = 3
[[campaign]]
name = "cheaper"
kind = "price_drop"
items = 20
[[campaign]]
name = "back"
kind = "back_in_stock"
items = 20
[[campaign]]
name = "new"
kind = "new_arrivals"
min_share = 0.0
"#;
    let config = format!("{CONFIG}{campaigns}").replace("shop/catalog.parquet", "catalog.csv");
    fs::write(directory.path().join("nightshelf.toml"), config).unwrap();
    let catalog = |prices: &dyn Fn(usize) -> Option<(f64, bool)>| {
        let mut text = "item_id,title,category,price,available\n".to_owned();
        for item in 0..120 {
            if let Some((price, available)) = prices(item) {
                text.push_str(&format!("i{item:06},\"Thing, no. {item}\",c{},{price},{available}\n", item % 3));
            }
        }
        fs::write(directory.path().join("catalog.csv"), text).unwrap();
    };
    let build = |name: &str, day: &str| {
        nightshelf(directory.path(), &["build", "--run", name, "--as-of", day, "--publish", "none", "--json"]).json()
    };
    catalog(&|item| (item % 10 != 9).then_some((20.0, item % 4 != 0)));
    let first = build("first", "2024-06-20");
    let warned = first["warnings"].to_string();
    assert!(warned.contains("compare with an earlier catalogue, and there is none yet"), "{warned}");
    catalog(&|item| Some((if item.is_multiple_of(5) { 15.0 } else { 19.9 }, !item.is_multiple_of(8))));
    build("second", "2024-06-21");
    let run = open_run(&directory.path().join("runs"), "second").unwrap();
    let items_of = |name: &str| -> BTreeSet<usize> {
        let mut items = BTreeSet::new();
        for member in nightshelf::pipeline::preview(&run, name, None, 1_000).unwrap() {
            items.extend(member.items.iter().map(|item| item.item_id[1..].parse::<usize>().unwrap()));
        }
        items
    };
    let cheaper = items_of("cheaper");
    assert!(
        !cheaper.is_empty()
            && cheaper.iter().all(|item| item.is_multiple_of(5) && !item.is_multiple_of(8) && item % 10 != 9)
    );
    let back = items_of("back");
    assert!(
        !back.is_empty() && back.iter().all(|item| item % 4 == 0 && !item.is_multiple_of(8) && item % 10 != 9),
        "{back:?}"
    );
    let new = items_of("new");
    assert!(!new.is_empty() && new.iter().all(|item| item % 10 == 9 && !item.is_multiple_of(8)), "{new:?}");

    // Everybody who wants a cheaper item and has not got it is found, and nobody else.
    let mut expected = BTreeSet::new();
    for file in run.files_in("profiles") {
        let mut reader = run.profile_reader(&file.path).unwrap();
        while let Some(table) = reader.next().unwrap() {
            for user in &table.users {
                let history = run.find_history(user).unwrap().unwrap();
                let n = |pair: &nightshelf::artifacts::HistoryPair, name: &str| {
                    pair.counts.iter().find(|(kind, _)| kind == name).map_or(0, |(_, n)| *n)
                };
                let wants = history.pairs.iter().any(|pair| {
                    let item: usize = pair.item_id[1..].parse().unwrap();
                    item.is_multiple_of(5)
                        && !item.is_multiple_of(8)
                        && item % 10 != 9
                        && item < 120
                        && n(pair, "view") + n(pair, "cart") > 0
                        && n(pair, "purchase") <= n(pair, "refund")
                });
                if wants {
                    expected.insert(user.clone());
                }
            }
        }
    }
    let found: BTreeSet<String> = members(&run, "cheaper").into_iter().map(|member| member.1).collect();
    assert_eq!(found, expected);

    // A named catalogue goes before that of a run.
    fs::copy(directory.path().join("catalog.csv"), directory.path().join("old.csv")).unwrap();
    let set = ["build", "--run", "third", "--as-of", "2024-06-22", "--publish", "none", "--quiet", "--set"];
    let ran = nightshelf_in(directory.path(), &[&set[..], &["campaigns.earlier_catalog=old.csv"]].concat(), &[]).ok();
    drop(ran);
    let run = open_run(&directory.path().join("runs"), "third").unwrap();
    assert!(members(&run, "cheaper").is_empty());
}

/// People who do exactly what a campaign looks for, and decoys who nearly do: the first are found, all of them, the others
/// not.
#[test]
fn planted_people_are_found_and_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let config = synth::Config {
        users: 150,
        items: 60,
        events: 4_000,
        categories: 4,
        brands: 6,
        days: 62,
        planted: 12,
        start: jiff::civil::date(2024, 3, 1),
        ..synth::Config::default()
    };
    generate(&config, &directory.path().join("shop"), &|_| {}).unwrap();
    let campaigns = r#"
[customers]
paths = ["shop/customers.parquet", "shop/planted/customers.parquet"]
[customers.consent]
email = "marketing_consent"
[customers.attributes]
country = "country"
[campaigns]
max_campaigns_per_user = 9
earlier_catalog = "shop/planted/catalog_before.parquet"
"#;
    let mut config = CONFIG
        .replace("[\"shop/events/\"]", "[\"shop/events/\", \"shop/planted/events.parquet\"]")
        .replace("shop/catalog.parquet", "shop/**/catalog.parquet");
    config.push_str(campaigns);
    for (kind, more) in [
        ("abandoned_cart", ""),
        ("browse_abandonment", ""),
        ("win_back", "min_days = 30\nmin_orders = 2"),
        ("replenishment", ""),
        ("price_drop", ""),
        ("back_in_stock", ""),
    ] {
        let table = format!("[[campaign]]\nname = '{kind}'\nkind = '{kind}'\naudience = \"country = 'ZZ'\"\n{more}\n");
        config.push_str(&table);
    }
    fs::write(directory.path().join("nightshelf.toml"), config).unwrap();
    nightshelf(directory.path(), &["build", "--run", "planted", "--publish", "none", "--quiet"]).ok();
    let run = open_run(&directory.path().join("runs"), "planted").unwrap();
    let truth: Value =
        serde_json::from_str(&fs::read_to_string(directory.path().join("shop/planted/truth.json")).unwrap()).unwrap();
    assert_eq!(run.manifest().content.as_of.as_deref(), truth["as_of"].as_str());
    let mut wanted: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for scenario in truth["campaigns"].as_array().unwrap().iter().filter(|scenario| scenario["wanted"] == true) {
        let users = scenario["users"].as_array().unwrap().iter().map(|user| user.as_str().unwrap().to_owned());
        wanted.entry(scenario["campaign"].as_str().unwrap()).or_default().extend(users);
    }
    assert_eq!(wanted.len(), 6);
    for (campaign, wanted) in wanted {
        let found: BTreeSet<String> = members(&run, campaign).into_iter().map(|member| member.1).collect();
        assert_eq!(found, wanted, "{campaign}");
    }
    let cart = nightshelf::pipeline::preview(&run, "abandoned_cart", Some("p-cart-0003"), 1).unwrap().remove(0);
    assert_eq!((cart.items[0].title.as_deref(), cart.items[0].price), (Some("Planted cart"), Some(20.0)));
    assert!(cart.reason.starts_with("added 1 item on 30 Apr"), "{}", cart.reason);
    let drop = nightshelf::pipeline::preview(&run, "price_drop", Some("p-drop-0000"), 1).unwrap().remove(0);
    assert_eq!(drop.reason, "looked at Planted cheaper, now 40.00 instead of 50.00");
}

/// Customers as the test says: (user, consent, unsubscribed, suppressed).
fn customers(path: &Path, rows: &[(String, bool, bool, bool)]) {
    let flags = |of: fn(&(String, bool, bool, bool)) -> bool| -> ArrayRef {
        Arc::new(BooleanArray::from(rows.iter().map(of).collect::<Vec<_>>()))
    };
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.0)));
    let columns = [
        ("user_id", ids),
        ("mail_ok", flags(|row| row.1)),
        ("gone", flags(|row| row.2)),
        ("blocked", flags(|row| row.3)),
    ];
    write(path, columns.to_vec());
}

#[test]
fn whoever_unsubscribes_between_two_builds_is_in_no_list() {
    let directory = tempfile::tempdir().unwrap();
    shop(directory.path(), 80);
    let more = r#"
[customers]
paths = ["people.parquet"]
[customers.columns]
unsubscribed = "gone"
suppressed = "blocked"
[customers.consent]
email = "mail_ok"
[campaigns]
max_campaigns_per_user = 5
[[campaign]]
name = "all"
kind = "custom"
audience = "n_view_all >= 0 AND NOT coalesce(unsubscribed, FALSE)"
[[campaign]]
name = "picks"
kind = "top_picks"
"#;
    fs::write(directory.path().join("nightshelf.toml"), format!("{CONFIG}{more}")).unwrap();
    let mut people: Vec<(String, bool, bool, bool)> =
        (0..80).map(|n| (format!("u{n:07}"), n % 10 != 3, false, n % 10 == 4)).collect();
    let build = |name: &str, people: &[(String, bool, bool, bool)]| {
        customers(&directory.path().join("people.parquet"), people);
        nightshelf(directory.path(), &["build", "--run", name, "--publish", "none", "--quiet"]).ok();
        let run = open_run(&directory.path().join("runs"), name).unwrap();
        let all: BTreeSet<String> =
            ["all", "picks"].iter().flat_map(|name| members(&run, name)).map(|member| member.1).collect();
        (run, all)
    };
    let (run, before) = build("before", &people);
    assert!(before.len() > 30);
    for (user, consents, _, blocked) in &people {
        assert!(!before.contains(user) || *consents && !blocked, "{user}");
    }
    let counts = &run.manifest().content.counts["campaign.picks"];
    assert!(counts["consent.no_consent"] > 0 && counts["consent.suppressed"] > 0, "{counts:?}");
    let leaver = before.iter().next().unwrap().clone();
    people.iter_mut().filter(|row| row.0 == leaver).for_each(|row| row.2 = true);
    // Another one is no customer any more at all.
    let stranger = before.iter().nth(1).unwrap().clone();
    people.retain(|row| row.0 != stranger);
    let (run, after) = build("after", &people);
    let expected: BTreeSet<String> =
        before.iter().filter(|user| **user != leaver && **user != stranger).cloned().collect();
    assert_eq!(after, expected);
    let step = |user: &str| -> Vec<String> {
        nightshelf::pipeline::why(&run, user).unwrap().into_iter().map(|why| why.step).collect()
    };
    assert_eq!(step(&leaver), ["audience", "unsubscribed"]);
    assert_eq!(step(&stranger), ["unknown_customer", "unknown_customer"]);
    for path in run.manifest().files() {
        assert!(!path.path.contains("customers"), "customers stay out of the run directory");
    }
    // A channel that nobody can have agreed to is refused before anything is read.
    let sms = format!("{CONFIG}{more}").replace("kind = \"top_picks\"", "kind = \"top_picks\"\nchannel = \"sms\"");
    fs::write(directory.path().join("nightshelf.toml"), sms).unwrap();
    let refused = nightshelf(directory.path(), &["config", "check"]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("campaign.picks.channel is sms, and customers.consent has email"),
        "{}",
        refused.stderr
    );
}

/// Orders after the list, with a known uplift: the interval holds it.
#[test]
fn a_planted_uplift_is_measured() {
    let directory = tempfile::tempdir().unwrap();
    shop(directory.path(), 1_500);
    let campaign = "[[campaign]]\nname = 'all'\nkind = 'custom'\naudience = 'n_view_all >= 0'\nholdout = 0.4\n";
    let config = |events: &str| format!("{CONFIG}{campaign}").replace("[\"shop/events/\"]", events);
    fs::write(directory.path().join("nightshelf.toml"), config("[\"shop/events/\"]")).unwrap();
    nightshelf(directory.path(), &["build", "--run", "sent", "--publish", "none", "--quiet"]).ok();
    let run = open_run(&directory.path().join("runs"), "sent").unwrap();
    let list = members(&run, "all");
    let written: Vec<synth::Written<'_>> =
        list.iter().map(|(_, user, arm)| synth::Written { user, sent: *arm == Arm::Send }).collect();
    let buyers = synth::planted_orders(&written, 0.10, 0.15, 7);
    let as_of: jiff::Timestamp = run.manifest().content.as_of.as_ref().unwrap().parse().unwrap();
    let after = |hours: i64| (as_of.as_second() + 3_600 * hours) * 1_000;
    // Each buys once after a day, for 20; one of another week does not count.
    let mut rows: Vec<(&str, &str, i64)> = buyers.iter().map(|user| (*user, "purchase", after(24))).collect();
    rows.push((&list[0].1, "purchase", after(24 * 20)));
    rows.push((&list[1].1, "view", after(24 * 7)));
    let columns: Vec<(&'static str, ArrayRef)> = vec![
        ("user_id", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)))),
        ("item_id", Arc::new(StringArray::from_iter_values(rows.iter().map(|_| "i000001")))),
        ("event_type", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1)))),
        (
            "timestamp",
            Arc::new(TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| row.2)).with_timezone("UTC")),
        ),
        ("price", Arc::new(Float64Array::from_iter_values(rows.iter().map(|_| 20.0)))),
    ];
    write(&directory.path().join("later.parquet"), columns);
    fs::write(directory.path().join("nightshelf.toml"), config("[\"shop/events/\", \"later.parquet\"]")).unwrap();
    let measure = ["campaign", "measure", "all", "--run", "sent", "--days", "7"];
    let measured = nightshelf(directory.path(), &[&measure[..], &["--json"]].concat()).json();
    let it = &measured[0];
    assert_eq!(it["is_complete"], true);
    let n = |arm: &str, key: &str| it[arm][key].as_u64().unwrap() as usize;
    assert_eq!(n("send", "members") + n("holdout", "members"), list.len());
    assert_eq!(n("send", "buyers") + n("holdout", "buyers"), buyers.len());
    let conversion = &it["uplift"]["conversion"];
    let (low, high) = (conversion["low"].as_f64().unwrap(), conversion["high"].as_f64().unwrap());
    assert!(low <= 0.15 && 0.15 <= high && low > 0.0, "{conversion}");
    let revenue = it["uplift"]["revenue"]["difference"].as_f64().unwrap();
    assert!((revenue - 20.0 * conversion["difference"].as_f64().unwrap()).abs() < 1e-9, "{it}");
    let told = nightshelf(directory.path(), &measure).ok().stdout;
    assert!(told.contains("bought") && told.contains("more than without the campaign"), "{told}");
}

/// Publishes the run through the program and reads a list back by SQL: (user, arm, reason), in order.
fn served(store: &str, keys: &[(&str, String)], rows: &mut dyn FnMut(&str) -> Vec<Vec<Option<String>>>) {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect::<String>();
    let text = format!(
        "[publish]\ntargets = [\"{store}\"]\n[publish.{store}]\n{keys}password_env = \"SHOP_DB_PASSWORD\"\n\
         sections = [\"campaigns\"]\n"
    );
    let path = folder.path().join("store.toml");
    fs::write(&path, text).unwrap();
    let runs = MADE.path().join("runs");
    let publish = ["publish", "night", "--config", path.to_str().unwrap(), "--runs", runs.to_str().unwrap(), "--quiet"];
    nightshelf_in(folder.path(), &publish, &[("SHOP_DB_PASSWORD", PASSWORD.to_owned())]).ok();
    let rank = if store == "mysql" { "`rank`" } else { "rank" };
    for name in ["carts", "coffee lovers"] {
        let query = format!(
            "SELECT user_id, arm, reason FROM campaign_members_current WHERE campaign = '{name}' ORDER BY {rank}"
        );
        let found: Vec<Vec<String>> = rows(&query).into_iter().map(|row| row.into_iter().flatten().collect()).collect();
        let expected: Vec<(String, Arm)> =
            members(&MADE.run(), name).into_iter().map(|(_, user, arm)| (user, arm)).collect();
        assert!(!expected.is_empty());
        let shown: Vec<(String, Arm)> = found.iter().map(|row| (row[0].clone(), Arm::of(&row[1]).unwrap())).collect();
        assert_eq!(shown, expected, "{name}");
        assert!(found.iter().all(|row| !row[2].is_empty()), "{name}");
    }
}

#[test]
fn lists_go_to_postgres() {
    if is_skipped("postgres") {
        return;
    }
    let PostgresConfig { host, port, database, user, schema, .. } = fresh_postgres();
    let quoted = |text: &str| format!("\"{text}\"");
    let keys = [
        ("host", quoted(&host)),
        ("port", port.to_string()),
        ("database", quoted(&database)),
        ("user", quoted(&user)),
        ("schema", quoted(&schema)),
    ];
    let config = PostgresConfig { host, port, database, user, schema, ..Default::default() };
    served("postgres", &keys, &mut |query| sql::postgres(&config).rows(query));
}

#[test]
fn lists_go_to_mariadb() {
    if is_skipped("mariadb") {
        return;
    }
    let MySqlConfig { host, port, database, user, .. } = fresh_mariadb();
    let quoted = |text: &str| format!("\"{text}\"");
    let keys =
        [("host", quoted(&host)), ("port", port.to_string()), ("database", quoted(&database)), ("user", quoted(&user))];
    let config = MySqlConfig { host, port, database, user, ..Default::default() };
    served("mysql", &keys, &mut |query| sql::mysql(&config).rows(query));
}
