//! `nightshelf tune` through the program: a search, its interruption, its journal, its config, and what it refuses.

use std::{fs, path::Path, sync::LazyLock};

use nightshelf::synth::{self, generate};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::program::nightshelf;

const CONFIG: &str = r#"
[events]
paths = ["shop/events"]
[interactions]
n_buckets = 8
[model]
kind = "item_item"
[recommendations]
k = 10
[evaluation]
ks = [10]
test_days = 14
[tune]
trials = 8
[tune.space]
"item_item.recency_half_life_days" = { min = 5.0, max = 60.0, log = true }
"#;

/// A small shop and its config, made once.
static SHOP: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    let shop = synth::Config { events: 12_000, users: 400, items: 120, ..synth::Config::default() };
    generate(&shop, &folder.path().join("shop"), &|_| {}).unwrap();
    fs::write(folder.path().join("nightshelf.toml"), CONFIG).unwrap();
    folder
});

fn tuned(out: &str, more: &[&str]) -> Value {
    nightshelf(SHOP.path(), &[&["tune", "--out", out, "--json"][..], more].concat()).ok().json()
}

/// All but the seconds and what came from the journal.
fn lasting(mut answer: Value) -> Value {
    for key in ["seconds", "n_measured", "n_remembered"] {
        answer.as_object_mut().unwrap().remove(key);
    }
    answer
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_best_settings_are_at_least_the_configured_ones_and_build_takes_them() {
    let answer = tuned("first.toml", &[]);
    let (score, start) = (answer["score"].as_f64().unwrap(), answer["start_score"].as_f64().unwrap());
    assert!(score >= start && start > 0.0, "{score} {start}");
    let trials = answer["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 8);
    let full: Vec<f64> = trials.iter().filter_map(|trial| trial["scores"][2].as_f64()).collect();
    assert!(full.len() < 8 && full.iter().all(|value| *value <= score) && full.contains(&score), "{full:?}");
    // The test lies before that of `evaluate`, and evaluating the configured model there gives the same number.
    let fold = answer["folds"][0]["name"].as_str().unwrap();
    let starts = fold.split(' ').next().unwrap();
    let flags = ["evaluate", "--test-start", starts, "--json", "--set", "evaluation.permutations=0"];
    let measured = nightshelf(SHOP.path(), &flags).ok().json();
    assert_eq!(measured["folds"][0]["name"], answer["folds"][0]["name"]);
    let models = measured["comparison"]["models"].as_array().unwrap();
    let own = models.iter().find(|model| model["name"] == "item_item").unwrap();
    assert!((own["folds"][0]["value"].as_f64().unwrap() - start).abs() < 1e-12, "{}", own["folds"]);

    let build = ["build", "--config", "first.toml", "--publish", "none", "--runs", "runs", "--json"];
    let built = nightshelf(SHOP.path(), &build).ok().json();
    assert_eq!(built["model"], "item_item");
}

#[test]
fn a_search_that_was_interrupted_goes_on_to_the_same_end() {
    let whole = tuned("whole.toml", &[]);
    let journal = SHOP.path().join("whole.jsonl");
    let all = lines(&journal);
    assert_eq!(all.len() as u64, 1 + whole["n_measured"].as_u64().unwrap());
    // As an interrupt leaves it: some lines, and the beginning of one.
    let half = all.len() / 2;
    fs::write(SHOP.path().join("half.jsonl"), format!("{}\n{}", all[..half].join("\n"), &all[half][..9])).unwrap();
    let resumed = tuned("half.toml", &["--threads", "1"]);
    assert_eq!(resumed["n_remembered"].as_u64().unwrap() as usize, half - 1);
    assert_eq!(lasting(resumed), lasting(whole));
    assert_eq!(
        lines(&SHOP.path().join("half.jsonl")),
        all,
        "one thread or two: the same measurements, to the last bit"
    );
    let configs = ["whole.toml", "half.toml"].map(|name| fs::read_to_string(SHOP.path().join(name)).unwrap());
    assert_eq!(configs[0].replace("threads = 0", ""), configs[1].replace("threads = 1", ""));
}

#[test]
fn a_flag_of_a_split_implies_it_as_evaluate_has_it() {
    let split = |flags: &[&str]| {
        let out = format!("split{}.toml", flags.concat().replace(['-', '.'], "_"));
        let answer = tuned(&out, &[&["--trials", "1", "--force"], flags].concat());
        answer["data"]["split"].as_str().unwrap().to_owned()
    };
    assert!(split(&[]).starts_with("by time"));
    for flags in [&["--ratio", "0.3"][..], &["--leave-last", "2"]] {
        let measured = nightshelf(SHOP.path(), &[&["evaluate", "--json"], flags].concat()).ok().json();
        assert_eq!(split(flags), measured["data"]["split"].as_str().unwrap());
    }
    assert_eq!(split(&["--ratio", "0.3"]), "0.3 of each user's pairs held out, seed 42");
    let by_ratio = ["--set", "evaluation.split=\"ratio\""];
    for flags in [&["--test-days", "7"][..], &["--folds", "2"], &["--newest"]] {
        assert!(split(&[flags, &by_ratio].concat()).starts_with("by time"), "{flags:?}");
    }
    for command in ["evaluate", "tune"] {
        for (flags, words) in [
            (["--ratio", "0.3", "--leave-last", "2"], "--ratio goes with --split ratio, not with --leave-last"),
            (["--split", "time", "--ratio", "0.3"], "--ratio goes with --split ratio, not with --split time"),
            (["--test-days", "7", "--ratio", "0.3"], "--test-days goes with --split time, not with --ratio"),
        ] {
            let ran = nightshelf(SHOP.path(), &[&[command][..], &flags].concat());
            assert!(ran.code == Some(2) && ran.stderr.contains(words), "{:?} {}", ran.code, ran.stderr);
        }
        let elsewhere = TempDir::new().unwrap();
        let ran = nightshelf(elsewhere.path(), &[command]);
        assert!(ran.code == Some(2) && ran.stderr.contains("or with --train"), "{}", ran.stderr);
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_the_search() {
    let refused = |flags: &[&str], code: i32, words: &[&str]| {
        let ran = nightshelf(SHOP.path(), &[&["tune"][..], flags].concat());
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        words.iter().for_each(|word| assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr));
    };
    let space = |inside: &str| format!("tune.space={{ {inside} }}");
    refused(
        &["--out", "a.toml", "--set", &space("\"item_item.alhpa\" = { min = 0.1, max = 1.0 }")],
        2,
        &["item_item.alpha"],
    );
    refused(&["--out", "a.toml", "--set", &space("\"item_item.b\" = { min = 0.1, max = 7.0 }")], 2, &["0 to 1"]);
    refused(&["--out", "a.toml", "--set", "tune.factor=1"], 2, &["tune.factor must be 2 to 100"]);
    refused(&["--out", "nightshelf.toml"], 2, &["is there already"]);
    fs::write(SHOP.path().join("other.jsonl"), "{\"search\":{}}\n").unwrap();
    refused(&["--out", "other.toml"], 1, &["other.jsonl", "other data, settings or ranges"]);
    assert!(!SHOP.path().join("other.toml").exists());
}
