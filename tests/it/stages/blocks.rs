//! Tasks that hold a few buckets at a time, since all cells would take more memory than they may: the bytes of a build.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nightshelf::artifacts::open_run;
use serde_json::Value;

use super::{compare, shop_of};

/// What a task says in a file of its own.
#[track_caller]
fn said_by(work: &Path, task: &str, file: &str) -> Value {
    let read = |path: PathBuf| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
    let folder = work.join(task);
    let attempt = read(folder.join("done.json"))["attempt"].as_str().unwrap().to_owned();
    read(folder.join(attempt).join("work").join(file))
}

#[test]
fn blocks_of_buckets_within_a_budget_give_the_bytes_of_a_build() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    shop_of(here, 3_000, 300, 60_000);
    let common =
        ["build.memory_budget_mib=1", "interactions.min_users_per_item=3", "interactions.min_items_per_user=2"];
    let compare = |sets: &[&str], name: &str| {
        let sets: Vec<&str> = common.iter().chain(sets).flat_map(|set| ["--set", set]).collect();
        let (local, _) = compare(here, &sets, name);
        let work = here.join(format!("work-{name}"));
        let pairs = said_by(&work, "pairs/part-002", "pairs.json");
        let n_cells = local.manifest().content.counts["interactions"]["cells"];
        let number = |value: &Value| value.as_u64().unwrap();
        assert!(number(&pairs["n_blocks"]) >= 4, "{pairs}");
        assert!(number(&pairs["most_cells"]) < n_cells / 3, "{pairs}, of {n_cells} cells");
        (number(&said_by(&work, "train", "train.json")["most_cells"]), n_cells, pairs)
    };
    let item_item = "model.kind='item_item'";
    let (in_training, n_cells, pairs) = compare(
        &[
            item_item,
            "model.item_item.sequence_weight=0.5",
            "model.item_item.training_half_life_days=4",
            "model.item_item.shrinkage=5",
            "model.item_item.neighbours=20",
        ],
        "rp3beta-parts",
    );
    assert!(in_training < n_cells / 3, "{in_training} of {n_cells}");
    assert!(pairs["n_turns"].as_u64().unwrap() > 1, "sums keep within the budget, too: {pairs}");
    compare(&[item_item, "model.item_item.kind='tfidf'", "model.item_item.weights='log'"], "tfidf-parts");
    // A sample that fits, everybody where all fit, and a model that wants the whole matrix.
    let factors = "model.als.n_factors=64";
    let (in_training, ..) = compare(&[factors, "model.als.memory_budget_mib=1"], "sampled-parts");
    assert!(in_training < n_cells / 3, "{in_training} of {n_cells}");
    let counts = &open_run(&here.join("local"), "local-sampled-parts").unwrap().manifest().content.counts.clone();
    assert!(counts["training_sample"]["users"] < counts["interactions"]["training_users"]);
    let (in_training, ..) = compare(&["model.als.memory_budget_mib=64"], "everybody-parts");
    assert!(in_training < n_cells / 3, "{in_training} of {n_cells}");
    let (in_training, ..) = compare(&["model.kind='popularity'"], "popularity-parts");
    assert_eq!(in_training, n_cells);
}
