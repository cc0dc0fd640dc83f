//! From a made-up shop to lists, through the program: the numbers it prints, the lists, the questions, the runs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use nightshelf::{
    artifacts::{Run, open_run, verify},
    recommendations::ListKind,
    synth::{self, generate},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    program::{nightshelf, text},
    runs::{Lists, assert_served, interactions, lists, views},
    tables::{NEW_YEAR, canonical, write},
};

const K: usize = 12;

/// What makes builds small; `[events]` is named by flags.
const CONFIG: &str = r#"
[catalog]
path = "shop/catalog.parquet"
[interactions]
n_buckets = 8
[interactions.exclude.purchase]
[interactions.exclude.cart]
within_days = 7
[model.als]
n_factors = 8
iterations = 3
[recommendations]
k = 12
[recommendations.similar]
min_pair_users = 4
k = 5
[events]
paths = ["shop/events/"]
"#;

/// A shop on disk and its builds, shared by the tests that only look.
struct Made {
    directory: TempDir,
    shop: synth::Summary,
    /// What `build --json` printed for the run `als`.
    summary: Value,
}

impl Made {
    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn run(&self) -> Run {
        open_run(&self.path().join("runs"), "als").unwrap()
    }

    /// Asks the program and reads its JSON.
    fn ask(&self, arguments: &[&str]) -> Value {
        nightshelf(self.path(), &[arguments, &["--json"]].concat()).json()
    }
}

fn shop(directory: &Path) -> synth::Summary {
    let config = synth::Config {
        users: 500,
        items: 150,
        events: 20_000,
        categories: 8,
        brands: 20,
        days: 20,
        // Long ago, so that no clock takes the whole log for the future.
        start: jiff::civil::date(2024, 6, 1),
        rows_per_row_group: 1_000,
        rows_per_file: 1_000,
        null_user_rate: 0.01,
        null_item_rate: 0.008,
        unknown_type_rate: 0.006,
        duplicate_rate: 0.012,
        future_rate: 0.004,
        bot_user_rate: 0.0,
        unavailable_rate: 0.1,
        ..synth::Config::default()
    };
    let summary = generate(&config, &directory.join("shop"), &|_| {}).unwrap();
    fs::write(directory.join("nightshelf.toml"), CONFIG).unwrap();
    summary
}

static MADE: LazyLock<Made> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let shop = shop(directory.path());
    let summary = nightshelf(directory.path(), &["build", "--run", "als", "--json"]).json();
    Made { directory, shop, summary }
});

fn sum(counts: &Value) -> u64 {
    counts.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum()
}

#[test]
fn the_printed_numbers_are_those_of_the_shop() {
    let (summary, shop) = (&MADE.summary, &MADE.shop);
    assert_eq!(summary["rows"], shop.rows);
    let rejected = serde_json::json!({
        "null_user": shop.dirty.null_user,
        "null_item": shop.dirty.null_item,
        "unknown_event_type": shop.dirty.unknown_type,
        "timestamp_in_future": shop.dirty.future,
    });
    assert_eq!(summary["rejected"], rejected);
    assert!(rejected.as_object().unwrap().values().all(|n| n.as_u64() > Some(20)), "{rejected}");
    assert_eq!(summary["left_aside"]["duplicate_event"], shop.dirty.duplicate);
    // A repetition is accepted as a row and dropped as an event.
    assert_eq!(sum(&summary["events"]), shop.clean_rows + shop.dirty.duplicate);
    assert_eq!(sum(&summary["events"]) + sum(&rejected), shop.rows);
    assert_eq!(summary["k"], K);

    // Counts of the directory's own files.
    let run = MADE.run();
    let recommended = lists(&run, ListKind::Recommendations);
    assert_eq!(summary["users"], recommended.len());
    assert_eq!(sum(&summary["lists"]), recommended.len() as u64);
    let mut by_source: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, source) in recommended.values() {
        *by_source.entry(source).or_default() += 1;
    }
    assert_eq!(summary["lists"], serde_json::json!(by_source));
    let listed: BTreeSet<&str> = recommended.values().flat_map(|(list, _)| list).map(|(item, _)| &**item).collect();
    let coverage = listed.len() as f64 / summary["eligible_items"].as_f64().unwrap();
    assert!((summary["coverage"].as_f64().unwrap() - coverage).abs() < 1e-12);
    assert_eq!(summary["similar_lists"], lists(&run, ListKind::SimilarItems).len());
    assert_eq!(summary["popular_lists"], lists(&run, ListKind::Popular).len());
    assert_eq!(summary["bought_together_lists"], lists(&run, ListKind::BoughtTogether).len());
    assert_eq!(summary["trending_lists"], lists(&run, ListKind::Trending).len());
    let items = run.items().unwrap();
    assert_eq!(summary["items"], items.ids.len());
    // The cells are the pairs above zero of items that the model kept.
    let kept = |item: &str| items.ids.position(item).is_some();
    let known = interactions(run.path());
    let n_cells = known.iter().filter(|pair| pair.weight > 0.0 && kept(&pair.item)).count();
    assert_eq!(summary["interactions"], n_cells);
    let aside = |name: &str| summary["left_aside"][name].as_u64().unwrap_or(0) as usize;
    assert_eq!(known.len(), n_cells + aside("pair_of_rare_item") + aside("pair_at_or_below_zero"));
    assert_eq!(summary["content_sha256"], run.manifest().content_sha256);
}

#[test]
fn every_user_gets_all_that_he_may_get_and_nothing_else() {
    let run = MADE.run();
    let items = run.items().unwrap();
    let eligible: BTreeSet<&str> = (0..items.ids.len())
        .filter(|&item| items.catalog.available[item] && items.catalog.listed[item])
        .map(|item| items.ids.get(item))
        .collect();
    assert!(eligible.len() < items.ids.len(), "some items of the shop are not available");
    assert_eq!(MADE.summary["eligible_items"], eligible.len());
    let known = interactions(run.path());
    let mut excluded: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    for pair in &known {
        let own = excluded.entry(&pair.user).or_default();
        if pair.excluded {
            own.insert(&pair.item);
        }
    }
    let recommended = lists(&run, ListKind::Recommendations);
    assert_eq!(recommended.len(), excluded.len());
    let mut n_excluded = 0;
    for (user, (list, source)) in &recommended {
        let own = &excluded[user.as_str()];
        n_excluded += own.len();
        let n_allowed = eligible.iter().filter(|item| !own.contains(*item)).count();
        assert_eq!(list.len(), K.min(n_allowed), "{user} ({source})");
        let distinct: BTreeSet<&str> = list.iter().map(|(item, _)| item.as_str()).collect();
        assert_eq!(distinct.len(), list.len(), "{user} gets an item twice");
        assert!(distinct.iter().all(|item| eligible.contains(item) && !own.contains(item)), "{user}: {list:?}");
        assert!(list.iter().all(|(_, score)| score.is_finite()));
        if source == "als" {
            let in_order = |a: &(String, f32), b: &(String, f32)| a.1 > b.1 || (a.1 == b.1 && a.0 < b.0);
            assert!(list.is_sorted_by(in_order), "{user}: {list:?}");
        }
    }
    assert!(n_excluded > 300, "{n_excluded} pairs are excluded: too few to show anything");
    for (item, (list, _)) in lists(&run, ListKind::SimilarItems) {
        assert!(list.len() <= 5 && list.iter().all(|(other, _)| *other != item && eligible.contains(other.as_str())));
    }
}

#[test]
fn sqlite_serves_what_the_directory_holds() {
    let database = MADE.path().join("nightshelf.db");
    assert_served(&database, &MADE.run());
    let entries: usize = views(&database, ListKind::Recommendations).values().map(|(list, _)| list.len()).sum();
    assert!(entries > 4_000, "{entries}");
    let published = &MADE.summary["published"][0];
    assert_eq!((&published["target"], &published["sequence"]), (&"sqlite".into(), &1.into()));
    let status = MADE.ask(&["publish", "status"])["sqlite"].clone();
    assert_eq!(status["current"], 1);
    assert_eq!(status["runs"][0]["run"], "als");
    assert_eq!(status["runs"][0]["content_sha256"], MADE.summary["content_sha256"]);
}

#[test]
fn answers_agree_with_the_tables() {
    let recommended = views(&MADE.path().join("nightshelf.db"), ListKind::Recommendations);
    let items = MADE.run().items().unwrap();
    for (user, (list, source)) in recommended.iter().step_by(recommended.len() / 4) {
        let answer = MADE.ask(&["recommend", user]);
        assert_eq!((&answer["user_id"], &answer["source"]), (&user.as_str().into(), &source.as_str().into()));
        let said = answer["items"].as_array().unwrap();
        assert_eq!(said.len(), list.len());
        for (at, ((item, score), said)) in list.iter().zip(said).enumerate() {
            assert_eq!(said["rank"], at + 1);
            assert_eq!(said["item_id"], item.as_str());
            assert_eq!(said["score"].as_f64().unwrap() as f32, *score);
            let place = items.ids.position(item).unwrap();
            assert_eq!(said["title"], items.catalog.titles[place].as_str());
        }
        assert_eq!(MADE.ask(&["recommend", user, "-n", "3"])["items"].as_array().unwrap().len(), 3);
    }
    let similar = views(&MADE.path().join("nightshelf.db"), ListKind::SimilarItems);
    let (item, (list, _)) = similar.iter().max_by_key(|(_, (list, _))| list.len()).unwrap();
    let answer = MADE.ask(&["similar", item]);
    let said: Vec<&str> =
        answer["items"].as_array().unwrap().iter().map(|item| item["item_id"].as_str().unwrap()).collect();
    assert_eq!(said, list.iter().map(|(item, _)| item.as_str()).collect::<Vec<_>>());
    let popular = views(&MADE.path().join("nightshelf.db"), ListKind::Popular);
    let answer = MADE.ask(&["recommend", "--popular", "-n", "4"]);
    let said: Vec<&str> = answer.as_array().unwrap().iter().map(|item| item["item_id"].as_str().unwrap()).collect();
    assert_eq!(said, popular["overall"].0[..4].iter().map(|(item, _)| item.as_str()).collect::<Vec<_>>());
    // As text, too.
    let user = recommended.keys().next().unwrap();
    let shown = nightshelf(MADE.path(), &["recommend", user]).ok().stdout;
    assert!(recommended[user].0.iter().all(|(item, _)| shown.contains(item)), "{shown}");
}

/// Asks why for an item at the top, one below the list and an excluded one; checks that the parts add up.
fn check_explanations(made: &Made, run: &str, model: &str, recommended: &Lists) {
    let known = interactions(&made.path().join("runs").join(run));
    let items = made.run().items().unwrap();
    let mut n_explained = 0;
    let mut n_kept_out = 0;
    for (user, (list, _)) in recommended.iter().filter(|(_, (_, source))| source == model).step_by(97) {
        let (item, score) = &list[2];
        let why = made.ask(&["explain", user, item, "--run", run]);
        assert_eq!(why["place"], 3, "{why}");
        assert_eq!(why["verdict"], model);
        assert_eq!(why["rank"], 3);
        let own = why["score"].as_f64().unwrap();
        assert!((own - f64::from(*score)).abs() <= 1e-5 * own.abs().max(1e-3), "the table says {score}: {why}");
        let parts: Vec<f64> =
            why["because"].as_array().unwrap().iter().map(|part| part["part"].as_f64().unwrap()).collect();
        assert!(!parts.is_empty(), "{why}");
        let magnitude: f64 = parts.iter().map(|part| part.abs()).sum::<f64>() + own.abs();
        let total = parts.iter().sum::<f64>() + why["base"].as_f64().unwrap();
        assert!((total - own).abs() <= 1e-3 * magnitude, "parts add up to {total}: {why}");
        // Every part is something that the user did.
        for part in why["because"].as_array().unwrap() {
            assert!(known.iter().any(|pair| pair.user == *user && part["item_id"] == pair.item.as_str()), "{part}");
            assert!(!part["actions"].as_str().unwrap().is_empty(), "{part}");
        }
        n_explained += 1;

        let excluded =
            known.iter().find(|pair| pair.user == *user && pair.excluded && items.ids.position(&pair.item).is_some());
        if let Some(pair) = excluded {
            let why = made.ask(&["explain", user, &pair.item, "--run", run]);
            assert_eq!(why["place"], Value::Null);
            assert_eq!(why["verdict"], "excluded by the user's own actions");
            let shown = nightshelf(made.path(), &["explain", user, &pair.item, "--run", run]).ok().stdout;
            assert!(shown.contains("is not in the list") && shown.contains("own actions"), "{shown}");
            n_kept_out += 1;
        }
    }
    assert!(n_explained >= 3 && n_kept_out >= 1, "{n_explained} explained, {n_kept_out} kept out");
}

#[test]
fn explanations_add_up_to_the_score() {
    check_explanations(&MADE, "als", "als", &lists(&MADE.run(), ListKind::Recommendations));
    let (user, list) = lists(&MADE.run(), ListKind::Recommendations).pop_first().unwrap();
    let items = MADE.run().items().unwrap();
    let unavailable = (0..items.ids.len()).find(|&item| items.catalog.listed[item] && !items.catalog.available[item]);
    let known = interactions(MADE.run().path());
    let item = items.ids.get(unavailable.unwrap());
    if !known.iter().any(|pair| pair.user == user && pair.item == item && pair.excluded) {
        assert_eq!(MADE.ask(&["explain", &user, item])["verdict"], "unavailable");
    }
    // An item that the rules let through and that comes after the list.
    let own: BTreeSet<&str> =
        known.iter().filter(|pair| pair.user == user && pair.excluded).map(|pair| pair.item.as_str()).collect();
    let below = (0..items.ids.len())
        .filter(|&item| items.catalog.available[item])
        .map(|item| items.ids.get(item))
        .find(|item| !own.contains(item) && !list.0.iter().any(|(listed, _)| listed == item));
    let why = MADE.ask(&["explain", &user, below.unwrap()]);
    let rank = why["rank"].as_u64().unwrap();
    assert!(rank > K as u64, "{why}");
    assert_eq!(why["verdict"], format!("rank {rank} of {}, k is {K}", why["n_ranked"]));
}

/// Builds the shop with other settings of the model, and asks that run. `times` must be kept for it, and found again.
fn check_model(name: &str, sets: &[&str]) -> Made {
    let runs = MADE.path().join(format!("runs-{name}"));
    let made = Made { directory: tempfile::tempdir().unwrap(), shop: MADE.shop.clone(), summary: Value::Null };
    let mut arguments = vec!["build", "--model", name, "--run", "als", "--publish", "none", "--runs", text(&runs)];
    arguments.extend(sets.iter().flat_map(|set| ["--set", set]));
    nightshelf(MADE.path(), &arguments).ok();
    fs::rename(&runs, made.path().join("runs")).unwrap();
    let recommended = lists(&made.run(), ListKind::Recommendations);
    check_explanations(&made, "als", name, &recommended);
    made
}

#[test]
fn explanations_of_neighbours_add_up_too() {
    check_model("item_item", &["model.item_item.sequence_weight=2", "model.item_item.recency_half_life_days=5"]);
}

#[test]
fn explanations_of_ease_and_slim_add_up_too() {
    check_model("ease", &["model.ease.recency_half_life=3"]);
    check_model("slim", &["model.slim.regularization=5", "model.slim.weights=log"]);
}

#[test]
fn explanations_of_a_blend_add_up_too() {
    let parts = r#"model.blend.parts=[
        { kind = "ease", weight = 1.0, ease = { recency_half_life_days = 4 } },
        { kind = "als", weight = 0.5, als = { n_factors = 8, iterations = 2 } },
        { kind = "popularity", weight = 0.1 }]"#;
    check_model("blend", &[&parts.replace('\n', " ")]);
}

/// Both filters come back from the run directory: vectors, linear filter, sums of items and settings.
#[test]
fn explanations_of_a_graph_add_up_and_its_lists_are_those_of_the_build() {
    let filters: [&[&str]; 2] = [
        &["model.graph.n_factors=8", "model.graph.low_pass_weight=0.5", "model.graph.score_exponent=0.3"],
        &["model.graph.filter=ridge", "model.graph.n_factors=12", "model.graph.neighbours=40"],
    ];
    let [low_pass, ridge] = filters.map(|sets| {
        let made = check_model("graph", sets);
        let entries = |answer: &Value| -> Vec<(String, f32)> {
            let entry =
                |item: &Value| (item["item_id"].as_str().unwrap().to_owned(), item["score"].as_f64().unwrap() as f32);
            answer["items"].as_array().unwrap().iter().map(entry).collect()
        };
        let recommended = lists(&made.run(), ListKind::Recommendations);
        for (user, (list, source)) in recommended.iter().step_by(151) {
            let answer = made.ask(&["recommend", user]);
            assert_eq!((entries(&answer), answer["source"].as_str()), (list.clone(), Some(source.as_str())));
        }
        let similar = lists(&made.run(), ListKind::SimilarItems);
        for (item, (list, _)) in similar.iter().step_by(47) {
            assert_eq!(entries(&made.ask(&["similar", item])), *list);
        }
        assert!(similar.len() > 50 && recommended.len() > 400);
        for file in ["item_factors", "neighbours", "scores"] {
            assert!(made.run().path().join(format!("model/{file}.parquet")).is_file(), "{file}");
        }
        recommended
    });
    assert!(low_pass != ridge, "the filters differ");
}

#[test]
fn a_model_that_is_too_large_or_lacks_times_is_refused() {
    let build = |sets: &[&str]| {
        let mut arguments = vec!["build", "--model", "ease", "--run", "refused", "--publish", "none"];
        arguments.extend(sets.iter().flat_map(|set| ["--set", set]));
        let ran = nightshelf(MADE.path(), &arguments);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        ran.stderr
    };
    let said = build(&["model.ease.recency_half_life=3", "events.columns.timestamp=\"\""]);
    assert!(said.contains("model.ease.recency_half_life needs the times of the events"), "{said}");
    assert!(!MADE.path().join("runs/refused").exists());
}

/// A directory with the shop's config and links to its files.
fn beside(files: impl Fn(usize, &Path) -> PathBuf) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let events = directory.path().join("shop/events");
    let mut number = 0;
    let mut found = Vec::new();
    for partition in fs::read_dir(MADE.path().join("shop/events")).unwrap() {
        found.extend(fs::read_dir(partition.unwrap().path()).unwrap().map(|file| file.unwrap().path()));
    }
    found.sort();
    for file in found {
        let relative = file.strip_prefix(MADE.path().join("shop/events")).unwrap();
        let to = events.join(files(number, relative));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&file, to).unwrap();
        number += 1;
    }
    fs::copy(MADE.path().join("shop/catalog.parquet"), directory.path().join("shop/catalog.parquet")).unwrap();
    fs::write(directory.path().join("nightshelf.toml"), CONFIG).unwrap();
    directory
}

/// Content hashes by file of the run directory.
fn hashes(run: &Run) -> BTreeMap<String, String> {
    run.manifest().content.files.iter().map(|file| (file.path.clone(), file.sha256.clone())).collect()
}

#[test]
fn threads_and_the_order_of_files_leave_no_trace() {
    let same = |directory: &Path, run: &str, threads: &str| {
        let arguments = ["build", "--run", run, "--threads", threads, "--publish", "none", "--json"];
        let summary = nightshelf(directory, &arguments).json();
        assert_eq!(summary["content_sha256"], MADE.summary["content_sha256"], "{run}");
    };
    // In another directory: its name, too, leaves no trace.
    let copy = beside(|_, path| path.to_owned());
    same(copy.path(), "one", "1");
    same(copy.path(), "five", "5");
    // Renamed, so that the last file comes first.
    let turned = beside(|number, path| path.with_file_name(format!("{:04}.parquet", 9_999 - number)));
    same(turned.path(), "turned", "2");
    let diff = nightshelf(copy.path(), &["runs", "diff", "one", "five", "--json"]).json();
    assert_eq!(diff["same_content"], true);
}

#[test]
fn rows_dealt_to_other_files_give_the_same_lists() {
    // The same rows in one file a partition, in reverse order and other row groups.
    let directory = beside(|_, path| path.to_owned());
    let events = directory.path().join("shop/events");
    for partition in fs::read_dir(&events).unwrap() {
        let partition = partition.unwrap().path();
        let mut batches = Vec::new();
        for file in fs::read_dir(&partition).unwrap() {
            let file = file.unwrap().path();
            let reader =
                parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(fs::File::open(&file).unwrap());
            batches.extend(reader.unwrap().build().unwrap().map(Result::unwrap));
            fs::remove_file(file).unwrap();
        }
        let all = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
        let reversed = arrow::array::UInt32Array::from_iter_values((0..all.num_rows() as u32).rev());
        let all = arrow::compute::take_record_batch(&all, &reversed).unwrap();
        let properties =
            parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(333)).build();
        let file = fs::File::create(partition.join("all.parquet")).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, all.schema(), Some(properties)).unwrap();
        writer.write(&all).unwrap();
        writer.close().unwrap();
    }
    nightshelf(directory.path(), &["build", "--run", "dealt", "--threads", "3", "--publish", "none"]).ok();
    let dealt = open_run(&directory.path().join("runs"), "dealt").unwrap();
    assert_eq!(hashes(&dealt), hashes(&MADE.run()));
    // The manifest also names the inputs by checksum, and those are others.
    assert_ne!(dealt.manifest().content.inputs, MADE.run().manifest().content.inputs);
    assert_eq!(dealt.manifest().content.counts, MADE.run().manifest().content.counts);
}

#[test]
fn events_on_s3_give_the_same_files() {
    let server = crate::support::s3::S3Server::start();
    for partition in fs::read_dir(MADE.path().join("shop/events")).unwrap() {
        let partition = partition.unwrap().path();
        for file in fs::read_dir(&partition).unwrap() {
            let file = file.unwrap().path();
            let key = file.strip_prefix(MADE.path().join("shop")).unwrap();
            server.put("shop", text(key), &fs::read(&file).unwrap());
        }
    }
    let runs = MADE.path().join("runs-s3");
    let arguments =
        ["build", "--run", "s3", "--publish", "none", "--events", "s3://shop/events/", "--runs", text(&runs)];
    let ran = crate::support::program::nightshelf_in(MADE.path(), &arguments, &server.environment());
    ran.ok();
    let run = open_run(&runs, "s3").unwrap();
    assert_eq!(hashes(&run), hashes(&MADE.run()));
    assert!(run.manifest().content.inputs.iter().any(|input| input.checksum.starts_with("etag:")));
}

#[test]
fn runs_are_listed_compared_checked_and_pruned() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let rows: Vec<(String, String)> =
        (0..240).map(|at| (format!("u{}", at % 20), format!("i{}", (at * 7 + at / 20) % 24))).collect();
    let rows: Vec<(&str, &str, &str, i64)> = rows
        .iter()
        .enumerate()
        .map(|(at, (user, item))| (&**user, &**item, "view", NEW_YEAR + at as i64 * 60))
        .collect();
    write(&here.join("events/a.parquet"), canonical(&rows));
    let build = |run: &str, k: &str| {
        nightshelf(
            here,
            &[
                "build",
                "--events",
                "events",
                "--model",
                "popularity",
                "-k",
                k,
                "--run",
                run,
                "--json",
                "--set",
                "interactions.n_buckets=2",
            ],
        )
        .json()
    };
    let first = build("first", "5");
    let second = build("second", "6");
    let third = build("third", "5");
    assert_eq!(first["content_sha256"], third["content_sha256"]);
    assert_ne!(first["content_sha256"], second["content_sha256"]);
    let database = here.join("nightshelf.db");
    let run = |name: &str| open_run(&here.join("runs"), name).unwrap();

    let listed = nightshelf(here, &["runs", "list", "--json"]).json();
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap()).collect();
    assert_eq!(names, ["third", "second", "first"]);
    assert_eq!(listed[0]["users"], 20);
    let shown = nightshelf(here, &["runs", "list"]).ok().stdout;
    assert!(shown.contains("third") && shown.contains("popularity"), "{shown}");

    let manifest = nightshelf(here, &["runs", "show", "first", "--json"]).json();
    assert_eq!(manifest["content_sha256"], first["content_sha256"]);
    let shown = nightshelf(here, &["runs", "show"]).ok().stdout;
    assert!(shown.contains("third") && shown.contains("interactions.users"), "{shown}");

    let diff = nightshelf(here, &["runs", "diff", "first", "second", "--json"]).json();
    assert_eq!(diff["same_content"], false);
    assert_eq!(diff["config"][0]["key"], "recommendations.k");
    assert_eq!(diff["recommendations"]["users_changed"], 20);
    let shown = nightshelf(here, &["runs", "diff", "first", "second"]).ok().stdout;
    assert!(shown.contains("config recommendations.k"), "{shown}");
    assert!(nightshelf(here, &["runs", "diff", "first", "third"]).ok().stdout.contains("byte for byte"));

    // Two runs are kept, the last one is served; back to the one before and forth again.
    assert_served(&database, &run("third"));
    let status = nightshelf(here, &["publish", "status", "--json"]).json()["sqlite"].clone();
    assert_eq!((&status["current"], status["runs"].as_array().unwrap().len()), (&3.into(), 2));
    nightshelf(here, &["publish", "rollback"]).ok();
    assert_served(&database, &run("second"));
    nightshelf(here, &["publish", "rollback", "--to", "3"]).ok();
    assert_served(&database, &run("third"));
    let refused = nightshelf(here, &["publish", "rollback", "--to", "1"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    nightshelf(here, &["publish", "first"]).ok();
    assert_served(&database, &run("first"));
    assert!(nightshelf(here, &["publish", "status"]).ok().stdout.contains("current"));

    assert!(nightshelf(here, &["runs", "verify", "second"]).ok().stdout.contains("all as the manifest says"));
    let damaged = run("second").path().join("recommendations/bucket-001.parquet");
    let mut bytes = fs::read(&damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let refused = nightshelf(here, &["runs", "verify", "second"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stdout.contains("bucket-001.parquet") && refused.stderr.contains("is damaged"), "{refused:?}");
    // A damaged run is not published, and what is served stays.
    let refused = nightshelf(here, &["publish", "second"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("bucket-001.parquet"), "{refused:?}");
    assert_served(&database, &run("first"));

    let shown = nightshelf(here, &["runs", "prune", "--keep", "1", "--dry-run"]).ok().stdout;
    assert!(shown.contains("would remove first") && run("first").path().exists(), "{shown}");
    nightshelf(here, &["runs", "prune", "--keep", "1"]).ok();
    let listed = nightshelf(here, &["runs", "list", "--json"]).json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["run"], "third");
    assert!(verify(&run("third")).unwrap().problems.is_empty());
}

#[test]
fn the_programs_shop_is_the_librarys() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = [
        "synth",
        "--out",
        "shop",
        "--events",
        "3000",
        "--users",
        "100",
        "--items",
        "50",
        "--set",
        "start=2024-06-01",
        "--set",
        "days=3",
        "--json",
    ];
    let said = nightshelf(directory.path(), &arguments).json();
    let config = synth::Config {
        events: 3_000,
        users: 100,
        items: 50,
        days: 3,
        start: jiff::civil::date(2024, 6, 1),
        ..synth::Config::default()
    };
    let other = tempfile::tempdir().unwrap();
    let made = generate(&config, other.path(), &|_| {}).unwrap();
    assert_eq!(said, serde_json::to_value(&made).unwrap());
    let file = "events/dt=2024-06-02/part-0000.parquet";
    assert!(fs::read(directory.path().join("shop").join(file)).unwrap() == fs::read(other.path().join(file)).unwrap());
}
