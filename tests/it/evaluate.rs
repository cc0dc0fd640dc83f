//! `nightshelf evaluate`, through the program: numbers against naive counts, splits, other programs' lists, wrong input.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
    sync::LazyLock,
};

use arrow::{
    array::{Array, AsArray},
    compute::cast,
    datatypes::{DataType, Float64Type, TimestampMillisecondType},
};
use nightshelf::synth::{self, generate};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    program::{Ran, nightshelf, text},
    tables::{DAY, NEW_YEAR, canonical, integers, texts, write},
};

const CONFIG: &str = r#"
[catalog]
path = "shop/catalog.parquet"
[interactions]
n_buckets = 8
[model.als]
n_factors = 8
iterations = 3
[events]
paths = ["shop/events/"]
[evaluation]
ks = [10, 5]
test_days = 4
resamples = 200
permutations = 200
"#;

static SHOP: LazyLock<TempDir> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let config = synth::Config {
        users: 400,
        items: 120,
        events: 16_000,
        categories: 8,
        brands: 20,
        days: 20,
        start: jiff::civil::date(2024, 6, 1),
        rows_per_row_group: 1_000,
        rows_per_file: 4_000,
        ..synth::Config::default()
    };
    generate(&config, &directory.path().join("shop"), &|_| {}).unwrap();
    fs::write(directory.path().join("nightshelf.toml"), CONFIG).unwrap();
    directory
});

fn evaluate(directory: &Path, arguments: &[&str]) -> Ran {
    nightshelf(directory, &[&["evaluate"], arguments].concat())
}

fn evaluated(arguments: &[&str]) -> Value {
    evaluate(SHOP.path(), &[arguments, &["--json"]].concat()).json()
}

/// A model's mean on a segment.
fn value(found: &Value, model: &str, segment: &str, metric: &str, k: u64) -> f64 {
    let of = |list: &Value, key: &str, name: &str| -> Value {
        list.as_array().unwrap().iter().find(|it| it[key] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    let model = of(&found["comparison"]["models"], "name", model);
    let segment = of(&model["segments"], "segment", segment);
    let estimates = segment["estimates"].as_array().unwrap();
    estimates.iter().find(|it| it["metric"] == metric && it["k"] == k).unwrap()["value"].as_f64().unwrap()
}

/// (user, item, time in Unix seconds) of a file of a split, ascending.
fn pairs(path: &Path) -> Vec<(String, String, Option<i64>)> {
    let mut rows = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let ids = |name: &str| cast(batch.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
        let (users, items) = (ids("user_id"), ids("item_id"));
        let (users, items) = (users.as_string::<i32>(), items.as_string::<i32>());
        let last = batch.column_by_name("last_at").unwrap().as_primitive::<TimestampMillisecondType>();
        rows.extend((0..batch.num_rows()).map(|at| {
            let time = last.is_valid(at).then(|| last.value(at) / 1_000);
            (users.value(at).to_owned(), items.value(at).to_owned(), time)
        }));
    }
    rows.sort();
    rows
}

/// Items by user.
fn by_user(rows: &[(String, String, Option<i64>)]) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (user, item, _) in rows {
        users.entry(user).or_default().insert(item);
    }
    users
}

/// A train and a test file of bare pairs: 30 users and 12 items, the first ones popular; `z*` are unknown to training.
fn bare() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for user in 0..30usize {
        for item in 0..12usize {
            match (user * 7 + item * item * 5 + user * item) % (item + 3) {
                0 | 1 => train.push((user, item)),
                2 | 3 => test.push((user, item)),
                _ => {}
            }
        }
    }
    let named = |pairs: &[(usize, usize)]| -> Vec<(String, String)> {
        pairs.iter().map(|(user, item)| (format!("u{user:02}"), format!("i{item:02}"))).collect()
    };
    let (train, mut test) = (named(&train), named(&test));
    test.push(("u03".to_owned(), "z1".to_owned()));
    test.push(("new".to_owned(), "i00".to_owned()));
    for (name, pairs) in [("train", &train), ("test", &test)] {
        let columns = vec![
            ("user_id", texts(pairs.iter().map(|pair| pair.0.as_str()))),
            ("item_id", texts(pairs.iter().map(|pair| pair.1.as_str()))),
        ];
        write(&directory.path().join(format!("{name}.parquet")), columns);
    }
    let config = "[events]\npaths = ['train.parquet']\npreset = 'pairs'\n[interactions]\nmin_users_per_item = 1\n\
                  n_buckets = 4\n[evaluation]\nks = [3, 1]\nresamples = 100\npermutations = 100\n";
    fs::write(directory.path().join("nightshelf.toml"), config).unwrap();
    directory
}

/// The truth file is a test file as it stands. In a shop whose items are not too unequal, popularity alone says little of
/// what people want, and a model of what they did says a lot.
#[test]
fn planted_tastes_are_found_far_above_popularity() {
    let directory = tempfile::tempdir().unwrap();
    let shop = synth::Config {
        users: 2_000,
        items: 1_500,
        events: 150_000,
        categories: 30,
        days: 30,
        item_popularity_exponent: 0.5,
        ..synth::Config::default()
    };
    generate(&shop, &directory.path().join("shop"), &|_| {}).unwrap();
    fs::write(directory.path().join("nightshelf.toml"), CONFIG).unwrap();
    let flags = ["--test", "shop/truth_items.parquet", "--repeats", "allow", "-k", "20", "--json"];
    let models = ["--model", "item_item", "--set", "evaluation.permutations=0"];
    let found = evaluate(directory.path(), &[&flags[..], &models].concat()).json();
    let [item_item, popularity] = ["item_item", "popularity"].map(|model| value(&found, model, "known", "recall", 20));
    assert!(popularity > 0.0 && item_item > 4.0 * popularity, "item_item {item_item}, popularity {popularity}");
    assert!(item_item > 0.4, "{item_item}");
}

#[test]
fn popularity_is_what_anybody_counts() {
    let here = bare();
    let arguments = ["--test", "test.parquet", "--model", "popularity", "--export-split", "split", "--json"];
    let found = evaluate(here.path(), &arguments).json();
    let train = pairs(&here.path().join("split/train.parquet"));
    let test = pairs(&here.path().join("split/test.parquet"));
    let (seen, relevant) = (by_user(&train), by_user(&test));
    let mut counts: BTreeMap<&str, i32> = BTreeMap::new();
    train.iter().for_each(|(_, item, _)| *counts.entry(item).or_default() += 1);
    let mut popular: Vec<(&str, i32)> = counts.into_iter().collect();
    popular.sort_by_key(|(item, n)| (-n, *item));

    let (mut recall, mut ndcg, mut n) = (0.0, 0.0, 0.0);
    for (user, relevant) in relevant.iter().filter(|(user, _)| seen.contains_key(*user)) {
        let list: Vec<&str> = popular.iter().map(|it| it.0).filter(|item| !seen[user].contains(item)).take(3).collect();
        let gain = |places: usize, hit: &dyn Fn(usize) -> bool| -> f64 {
            (0..places).filter(|&at| hit(at)).map(|at| 1.0 / (at as f64 + 2.0).log2()).sum()
        };
        let hits = list.iter().filter(|item| relevant.contains(*item)).count();
        recall += hits as f64 / relevant.len() as f64;
        ndcg += gain(list.len(), &|at| relevant.contains(list[at])) / gain(relevant.len().min(3), &|_| true);
        n += 1.0;
    }
    assert!(n > 20.0 && recall > 1.0, "the shop says something: {n} users, {recall}");
    assert!((value(&found, "popularity", "known", "recall", 3) - recall / n).abs() < 1e-12);
    assert!((value(&found, "popularity", "known", "ndcg", 3) - ndcg / n).abs() < 1e-12);
    let fold = &found["folds"][0];
    assert_eq!(
        (&fold["new_users"], &fold["unknown_items"], &fold["unknown_item_pairs"]),
        (&1.into(), &1.into(), &1.into())
    );
    assert!(test.iter().any(|pair| pair.1 == "z1"), "an unknown item stays in the denominator");

    let dropped = evaluate(here.path(), &[&arguments[..4], &["--unknown-items", "drop", "--json"]].concat()).json();
    assert!(value(&dropped, "popularity", "known", "recall", 3) > value(&found, "popularity", "known", "recall", 3));
}

#[test]
fn lists_of_others_are_measured_by_the_same_code() {
    let here = bare();
    // The lists that a build of the same training makes, in the layout of a run directory.
    let config = ["--config", "nightshelf.toml", "--model", "item_item", "-k", "3", "--publish", "none", "--run", "r"];
    nightshelf(here.path(), &[&["build"], &config[..]].concat()).ok();
    // The same ones flat, worst first, with integers for ranks.
    let (mut users, mut items, mut ranks) = (Vec::new(), Vec::new(), Vec::new());
    let run = nightshelf::artifacts::open_run(&here.path().join("runs"), "r").unwrap();
    for (user, (entries, _)) in
        crate::support::runs::lists(&run, nightshelf::recommendations::ListKind::Recommendations)
    {
        for (rank, (item, _)) in entries.iter().enumerate().rev() {
            users.push(user.clone());
            items.push(item.clone());
            ranks.push(rank as i64 + 1);
        }
    }
    let columns = vec![
        ("user_id", texts(users.iter().map(String::as_str))),
        ("item_id", texts(items.iter().map(String::as_str))),
        ("rank", integers(ranks)),
    ];
    write(&here.path().join("flat.parquet"), columns);
    let found = evaluate(
        here.path(),
        &[
            "--test",
            "test.parquet",
            "--model",
            "item_item",
            "--lists",
            "run=runs/r/recommendations",
            "--lists",
            "flat=flat.parquet",
            "--json",
        ],
    )
    .json();
    for metric in ["recall", "recall_capped", "precision", "ndcg", "map", "mrr", "hit_rate"] {
        for k in [1, 3] {
            let ours = value(&found, "item_item", "known", metric, k);
            assert_eq!(value(&found, "run", "known", metric, k), ours, "{metric}@{k}");
            assert_eq!(value(&found, "flat", "known", metric, k), ours, "{metric}@{k}");
        }
    }
    assert_eq!(found["lists"][0]["users_without_list"], 1, "the new user");
    let quality = |at: usize| found["comparison"]["models"][at]["quality"][0]["gini"].clone();
    assert_eq!(quality(0), quality(1));
}

#[test]
fn no_training_row_is_at_or_after_the_test() {
    let found = evaluated(&["--folds", "3", "--model", "popularity", "--export-split", "folds"]);
    let folds = found["folds"].as_array().unwrap();
    assert_eq!(folds.len(), 3);
    let mut before = None;
    for (at, fold) in folds.iter().enumerate() {
        let as_of = fold["as_of"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
        let times = |name: &str| -> Vec<i64> {
            let path = SHOP.path().join(format!("folds/fold-{}/{name}.parquet", at + 1));
            pairs(&path).into_iter().map(|pair| pair.2.unwrap()).collect()
        };
        let (train, test) = (times("train"), times("test"));
        assert_eq!((train.len(), test.len()), (n(&fold["train_interactions"]), n(&fold["relevant"])));
        assert!(train.iter().all(|time| *time <= as_of));
        assert!(test.iter().all(|time| *time > as_of && *time <= as_of + 4 * DAY));
        // Each test begins where the one before ends.
        assert!(before.is_none_or(|before| before + 4 * DAY == as_of));
        before = Some(as_of);
    }
    // The whole is the mean over all rows.
    let mean: f64 = found["comparison"]["models"][0]["folds"]
        .as_array()
        .unwrap()
        .iter()
        .zip(folds)
        .map(|(it, fold)| it["value"].as_f64().unwrap() * n(&fold["known_users"]) as f64)
        .sum::<f64>()
        / folds.iter().map(|fold| n(&fold["known_users"]) as f64).sum::<f64>();
    assert!((mean - value(&found, "popularity", "known", "ndcg", 10)).abs() < 1e-12);
}

fn n(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

#[test]
fn training_is_what_a_build_of_that_day_has() {
    let found = evaluated(&["--model", "popularity", "--export-split", "one"]);
    let as_of = found["folds"][0]["as_of"].as_str().unwrap().to_owned();
    let build = ["build", "--as-of", &as_of, "--run", "then", "--publish", "none", "--json"];
    let built = nightshelf(SHOP.path(), &build).json();
    assert_eq!(built["interactions"], found["folds"][0]["train_interactions"]);
    assert_eq!(built["items"], found["folds"][0]["train_items"]);
    let weights = |path: &Path, known: &dyn Fn(&str) -> bool| -> BTreeMap<(String, String), f32> {
        let mut cells = BTreeMap::new();
        for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let column = |name: &str, as_: &DataType| cast(batch.column_by_name(name).unwrap(), as_).unwrap();
            let (users, items) = (column("user_id", &DataType::Utf8), column("item_id", &DataType::Utf8));
            let weights = column("weight", &DataType::Float64);
            for at in 0..batch.num_rows() {
                let item = items.as_string::<i32>().value(at).to_owned();
                let weight = weights.as_primitive::<Float64Type>().value(at) as f32;
                if weight > 0.0 && known(&item) {
                    cells.insert((users.as_string::<i32>().value(at).to_owned(), item), weight);
                }
            }
        }
        cells
    };
    let ours = weights(&SHOP.path().join("one/train.parquet"), &|_| true);
    let items: BTreeSet<&str> = ours.keys().map(|pair| pair.1.as_str()).collect();
    let mut theirs = BTreeMap::new();
    let folder = SHOP.path().join("runs/then/interactions");
    for file in fs::read_dir(folder).unwrap() {
        theirs.extend(weights(&file.unwrap().path(), &|item| items.contains(item)));
    }
    assert!(ours == theirs, "{} and {} cells", ours.len(), theirs.len());
}

#[test]
fn held_out_pairs_are_nowhere_in_training() {
    for (flag, share) in [(["--leave-last", "2"], None), (["--ratio", "0.3"], Some(0.3))] {
        let out = format!("held{}", flag[0]);
        let arguments =
            [&flag[..], &["--test-types", "view,cart,purchase", "--repeats", "allow", "--model", "popularity"]]
                .concat();
        let found = evaluated(
            &[&arguments[..], &["--export-split", &out, "--set", "interactions.min_users_per_item=1"]].concat(),
        );
        let train = pairs(&SHOP.path().join(&out).join("train.parquet"));
        let test = pairs(&SHOP.path().join(&out).join("test.parquet"));
        let (train, test) = (by_user(&train), by_user(&test));
        assert!(test.len() > 300);
        for (user, held) in &test {
            assert!(train[user].is_disjoint(held), "{user}");
            match share {
                None => assert!(held.len() <= 2),
                Some(share) => assert!(held.len() as f64 <= share * (held.len() + train[user].len()) as f64 + 2.0),
            }
        }
        assert_eq!(found["folds"][0]["repeated_pairs"], 0);
    }
}

#[test]
fn threads_and_the_order_of_files_change_no_bit() {
    let arguments = ["--model", "item_item", "--model", "popularity", "--folds", "2"];
    let on = |threads: &str| {
        let mut found = evaluated(&[&arguments[..], &["--threads", threads]].concat());
        for key in ["timings_s", "seconds", "peak_memory_bytes"] {
            found[key] = Value::Null;
        }
        for model in found["comparison"]["models"].as_array_mut().unwrap() {
            model["train_seconds"] = Value::Null;
            model["score_seconds"] = Value::Null;
        }
        found
    };
    assert!(on("1") == on("3"));
}

#[test]
fn new_only_and_allow_differ_from_the_rules() {
    let relevant = |repeats: &str| {
        let found = evaluated(&["--model", "popularity", "--repeats", repeats]);
        (n(&found["folds"][0]["relevant"]), n(&found["folds"][0]["repeated_pairs"]))
    };
    let (rules, allow, new_only) = (relevant("rules"), relevant("allow"), relevant("new-only"));
    assert_eq!(allow.1, 0);
    assert_eq!(allow.0, rules.0 + rules.1);
    assert_eq!(allow.0, new_only.0 + new_only.1);
    assert!(new_only.0 < rules.0 && rules.0 <= allow.0, "{new_only:?} {rules:?} {allow:?}");
}

#[test]
fn a_sample_of_users_is_the_same_for_the_same_seed() {
    let users = |seed: &str| {
        let file = format!("users-{seed}.parquet");
        evaluated(&["--model", "popularity", "--users", "40", "--seed", seed, "--per-user", &file]);
        let path = SHOP.path().join(&file);
        let mut ids = BTreeSet::new();
        for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            assert!(batch.column_by_name("recall_capped").is_some());
            let column = batch.column_by_name("user_id").unwrap().as_string::<i32>();
            ids.extend((0..batch.num_rows()).map(|at| column.value(at).to_owned()));
        }
        ids
    };
    let first = users("1");
    assert_eq!(first.len(), 40);
    assert_eq!(first, users("1"));
    assert_ne!(first, users("2"));
}

/// The table without what a clock or the machine decides.
#[test]
fn the_table() {
    let ran = evaluate(SHOP.path(), &["--model", "item_item", "--model", "popularity", "--report", "page.html"]).ok();
    let lines = ran.stdout.lines().filter(|line| !line.starts_with(" time "));
    // Seconds stand in the last two columns of the second table.
    let lines = lines.map(|line| {
        match line.split_whitespace().rev().take(2).all(|word| word.contains('.') && word.len() <= 4) {
            true if line.contains('%') => line.split('%').next().unwrap().to_owned() + "% [seconds]",
            _ => line.to_owned(),
        }
    });
    insta::assert_snapshot!("table", lines.collect::<Vec<_>>().join("\n"));
    let page = fs::read_to_string(SHOP.path().join("page.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    assert_eq!(page.matches("<svg class=\"chart\"").count(), 9, "six charts, three of them twice");
    assert!(!page.contains("NaN") && !page.contains("http://") && !page.contains("https://"));
}

fn said(ran: &Ran, directory: &Path) -> String {
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stderr.contains("panicked at"), "{}", ran.stderr);
    let real = directory.canonicalize().unwrap();
    let plain = ran.stderr.replace(text(&real), "DIR").replace(text(directory), "DIR");
    format!("exit code {}\n{plain}", ran.code.unwrap())
}

#[test]
fn wrong_input_is_refused_in_words() {
    let here = bare();
    let path: &Path = here.path();
    let test = path.join("strangers.parquet");
    write(&test, vec![("user_id", texts(["x", "y"])), ("item_id", texts(["i00", "i01"]))]);
    let two = path.join("two.parquet");
    let columns =
        vec![("user_id", texts(["u01", "u01"])), ("item_id", texts(["i00", "i01"])), ("rank", integers([1, 1]))];
    write(&two, columns);
    let cases: [(&str, &[&str]); 11] = [
        ("missing_test", &["--test", "nothing.parquet"]),
        ("strangers", &["--test", "strangers.parquet"]),
        ("malformed_k", &["--test", "test.parquet", "-k", "10,abc"]),
        ("zero_k", &["--test", "test.parquet", "-k", "10,0"]),
        ("time_split_without_times", &["--split", "time"]),
        ("leave_last_without_times", &["--leave-last", "1"]),
        ("unknown_model", &["--test", "test.parquet", "--model", "alx"]),
        ("unknown_split", &["--split", "random"]),
        ("unknown_test_type", &["--test", "test.parquet", "--test-types", "purchase"]),
        ("lists_without_name", &["--test", "test.parquet", "--lists", "two.parquet"]),
        ("two_items_at_one_rank", &["--test", "test.parquet", "--model", "popularity", "--lists", "peer=two.parquet"]),
    ];
    let all: Vec<String> = cases
        .iter()
        .map(|(name, arguments)| format!("-- {name}\n{}", said(&evaluate(path, arguments), path).trim_end()))
        .collect();
    insta::assert_snapshot!("wrong_input", all.join("\n\n"));
    let left: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| !path.to_string_lossy().contains("partial")), "{left:?}");
}

#[test]
fn two_configs_are_two_candidates() {
    let here = tempfile::tempdir().unwrap();
    let rows: Vec<(String, String, i64)> = (0..600i64)
        .map(|at| (format!("u{}", at * 7 % 23), format!("i{}", at * at % 17), NEW_YEAR + at * DAY / 20))
        .collect();
    let rows: Vec<(&str, &str, &str, i64)> =
        rows.iter().map(|(user, item, at)| (user.as_str(), item.as_str(), "view", *at)).collect();
    write(&here.path().join("events/e.parquet"), canonical(&rows));
    let config = |half_life: &str, kind: &str| {
        format!(
            "[events]\npaths = ['events']\n[event_types.view]\nweight = 1\n{half_life}\n[model]\nkind = '{kind}'\n\
             [evaluation]\nks = [5]\ntest_days = 7\nresamples = 50\npermutations = 50\n"
        )
    };
    fs::write(here.path().join("slow.toml"), config("", "item_item")).unwrap();
    fs::write(here.path().join("fast.toml"), config("half_life_days = 2", "item_item")).unwrap();
    let found = evaluate(here.path(), &["--config", "slow.toml", "--config", "fast.toml", "--json"]).json();
    let models = found["comparison"]["models"].as_array().unwrap();
    let names: BTreeSet<&str> = models.iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["fast: item_item", "popularity", "slow: item_item"].into());
    // Other data than the first one's cannot be compared when it leads to other tests.
    fs::write(
        here.path().join("other.toml"),
        config("", "item_item") + "[interactions.exclude.view]\nwithin_days = 3\n",
    )
    .unwrap();
    let ran = evaluate(here.path(), &["--config", "slow.toml", "--config", "other.toml"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("are not tested on the same"), "{}", ran.stderr);
}
