//! The stages on their own, over partitions: the bytes of a build in one process, whatever happens to their tasks.

mod blocks;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch},
    compute::{cast, concat_batches, filter_record_batch},
    datatypes::DataType,
};
use nightshelf::{
    artifacts::{Run, open_run, verify},
    ids::{bucket_of, id_hash},
    synth::{self, generate},
};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
use serde_json::Value;

use crate::support::{
    program::{Ran, command, nightshelf_in, text},
    s3::S3Server,
    tables::{NEW_YEAR, canonical, integers, numbers, texts, write},
};

/// A shop with everything that a night may bring: orders, a catalogue, event ids, dirty rows, bots, dated partitions.
fn shop(here: &Path) {
    shop_of(here, 300, 120, 12_000);
}

fn shop_of(here: &Path, users: u32, items: u32, events: u64) {
    let config = synth::Config {
        users,
        items,
        events,
        categories: 6,
        brands: 12,
        days: 9,
        start: jiff::civil::date(2024, 6, 1),
        rows_per_row_group: 1_000,
        rows_per_file: 1_000,
        null_user_rate: 0.01,
        null_item_rate: 0.008,
        unknown_type_rate: 0.006,
        duplicate_rate: 0.012,
        future_rate: 0.004,
        bot_user_rate: 0.01,
        bot_event_rate: 0.15,
        unavailable_rate: 0.1,
        ..synth::Config::default()
    };
    generate(&config, &here.join("shop"), &|_| {}).unwrap();
    fs::write(here.join("nightshelf.toml"), CONFIG).unwrap();
}

const CONFIG: &str = r#"
[build]
example_users = 4
[catalog]
path = "shop/catalog.parquet"
[interactions]
n_buckets = 4
max_events_per_active_day = 60.0
[model.als]
n_factors = 8
iterations = 3
[recommendations]
k = 12
[recommendations.similar]
min_pair_users = 3
[recommendations.bought_together]
min_pair_baskets = 1
[recommendations.trending]
days = 2
baseline_days = 5
min_users = 3
[events]
paths = ["shop/events/"]
[publish]
targets = []
"#;

const ORDERS: [&str; 4] = ["--set", "orders.paths=['shop/orders.parquet']", "--set", "orders.purchases_from='orders'"];

/// Runs the program with a config and flags that all commands share.
struct Bench<'a> {
    here: &'a Path,
    work: String,
    sets: Vec<String>,
    environment: Vec<(&'static str, String)>,
    item_parts: &'static str,
}

impl<'a> Bench<'a> {
    fn new(here: &'a Path, sets: &[&str]) -> Self {
        let sets = sets.iter().map(|set| (*set).to_owned()).collect();
        Self { here, work: "work".into(), sets, environment: Vec::new(), item_parts: "0" }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut all: Vec<&str> = arguments.to_vec();
        if arguments[0] == "worker" || arguments[0] == "train" {
            all.extend(["--work", &self.work]);
        }
        all.extend(self.sets.iter().map(String::as_str));
        nightshelf_in(self.here, &all, &self.environment)
    }

    /// Runs a command that should do so many tasks; returns their outcomes.
    #[track_caller]
    fn tasks(&self, arguments: &[&str]) -> Vec<String> {
        let ran = self.run(arguments).ok();
        let lines = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| line["outcome"].as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    fn done(&self, arguments: &[&str]) {
        let outcomes = self.tasks(arguments);
        assert!(outcomes.iter().all(|outcome| outcome == "done"), "{arguments:?}: {outcomes:?}");
    }

    /// The refusal of a command: exit code and what it said.
    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let ran = self.run(arguments);
        assert_ne!(ran.code, Some(0), "{arguments:?}: {}", ran.stdout);
        (ran.code.unwrap(), ran.stderr)
    }

    fn plan(&self, run: &str) {
        self.done(&["worker", "plan", "--run", run, "--item-parts", self.item_parts]);
    }

    fn after_shuffle(&self) {
        self.done(&["worker", "survey", "--bucket", "3", "--bucket", "0-2"]);
        self.done(&["worker", "merge", "survey"]);
        // In another order, and in two processes.
        self.done(&["worker", "aggregate", "--bucket", "2-3"]);
        self.done(&["worker", "aggregate", "--bucket", "0-1"]);
        if self.item_parts == "3" {
            self.done(&["worker", "pairs", "--part", "2"]);
            assert!(self.refused(&["train"]).1.contains("pairs/part-000 is not done"));
            self.done(&["worker", "pairs", "--part", "0-1"]);
        }
        self.done(&["train"]);
        self.done(&["worker", "recommend", "--bucket", "1-3"]);
        self.done(&["worker", "recommend", "--bucket", "0"]);
    }
}

/// Deals the planned rows by user, as Spark does: other files, another order, a bound beside each row.
fn shuffle(plan: &Value, work: &Path) {
    for table in ["events", "orders"] {
        if plan[table].is_object() {
            deal(&plan[table], work, table, plan["n_buckets"].as_u64().unwrap() as usize);
        }
    }
}

fn deal(source: &Value, work: &Path, table: &str, n_buckets: usize) {
    let names: Vec<&str> = source["user_id"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for (group, it) in source["groups"].as_array().unwrap().iter().enumerate().rev() {
        let columns: Vec<&str> = it["columns"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let mut batches = Vec::new();
        for path in it["paths"].as_array().unwrap() {
            assert!(Path::new(path.as_str().unwrap()).is_absolute());
            let file = File::open(path.as_str().unwrap()).unwrap();
            for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
                let batch = batch.unwrap();
                let places: Vec<usize> = columns.iter().map(|name| batch.schema().index_of(name).unwrap()).collect();
                batches.push(batch.project(&places).unwrap());
            }
        }
        let all = concat_batches(&batches[0].schema(), batches.iter().rev()).unwrap();
        let latest: ArrayRef = Arc::new(Int64Array::from(vec![it["latest"].as_i64(); all.num_rows()]));
        let fields = all.schema().fields().iter().cloned().collect::<Vec<_>>();
        let bound = arrow::datatypes::Field::new("nightshelf_latest", DataType::Int64, true);
        let schema = Arc::new(arrow::datatypes::Schema::new([fields, vec![Arc::new(bound)]].concat()));
        let all = RecordBatch::try_new(schema, [all.columns(), &[latest]].concat()).unwrap();
        let mut users = all.column_by_name(names[0]).unwrap().clone();
        for name in &names[1..] {
            users = users.as_struct().column_by_name(name).unwrap().clone();
        }
        let users = cast(&users, &DataType::Utf8).unwrap();
        let users = users.as_string::<i32>();
        for bucket in 0..n_buckets {
            let here = (0..users.len()).map(|row| match users.is_null(row) {
                true => row % n_buckets == bucket,
                false => bucket_of(id_hash(users.value(row).as_bytes()), n_buckets) == bucket,
            });
            let rows = filter_record_batch(&all, &BooleanArray::from(here.collect::<Vec<_>>())).unwrap();
            if rows.num_rows() == 0 {
                continue;
            }
            let path = work.join(format!("{table}/bucket={bucket:03}/part-{group:05}.snappy.parquet"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), None).unwrap();
            writer.write(&rows).unwrap();
            writer.close().unwrap();
        }
    }
}

fn plan_of(work: &Path) -> Value {
    serde_json::from_slice(&fs::read(work.join("plan.json")).unwrap()).unwrap()
}

fn files(run: &Run) -> BTreeMap<String, (String, Option<u64>)> {
    run.manifest().content.files.iter().map(|file| (file.path.clone(), (file.sha256.clone(), file.rows))).collect()
}

/// Two runs with the same content; both are whole.
#[track_caller]
fn assert_same(local: &Run, distributed: &Run) {
    for run in [local, distributed] {
        let problems = verify(run).unwrap().problems;
        assert!(problems.is_empty(), "{}: {problems:?}", run.name());
    }
    let (expected, found) = (&local.manifest().content, &distributed.manifest().content);
    assert_eq!(files(distributed), files(local));
    assert_eq!(found.counts, expected.counts);
    assert_eq!(found.inputs, expected.inputs);
    assert_eq!(found.as_of, expected.as_of);
    assert_eq!(distributed.manifest().content_sha256, local.manifest().content_sha256);
    assert_eq!(distributed.manifest().observed.inputs.len(), local.manifest().observed.inputs.len());
}

/// Builds in one process and stage by stage, and compares.
#[track_caller]
fn compare(here: &Path, sets: &[&str], name: &str) -> (Run, Run) {
    let mut bench = Bench::new(here, sets);
    bench.work = format!("work-{name}");
    if name.ends_with("-parts") {
        bench.item_parts = "3";
    }
    // In a place of its own: campaigns look at the runs beside them.
    bench.run(&["build", "--run", &format!("local-{name}"), "--runs", "local"]).ok();
    bench.plan(&format!("cluster-{name}"));
    let work = here.join(&bench.work);
    shuffle(&plan_of(&work), &work);
    bench.after_shuffle();
    let sealed = bench.run(&["worker", "seal"]).json();
    let local = open_run(&here.join("local"), &format!("local-{name}")).unwrap();
    let cluster = open_run(&here.join("runs"), &format!("cluster-{name}")).unwrap();
    assert_same(&local, &cluster);
    assert_eq!(sealed["sealed"]["content_sha256"], local.manifest().content_sha256.as_str());
    (local, cluster)
}

#[test]
fn stages_on_their_own_give_the_bytes_of_a_build() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    shop(here);
    let (local, cluster) = compare(here, &ORDERS, "orders");
    // The shop has all that could go wrong in it.
    let counts = &local.manifest().content.counts;
    for (table, reason) in [
        ("events.rejected", "null_user"),
        ("events.rejected", "timestamp_in_future"),
        ("left_aside", "duplicate_event"),
        ("left_aside", "counted_in_other_source"),
        ("left_aside", "bot_event"),
        ("interactions", "bots"),
        ("lists", "similar"),
        ("lists", "bought_together"),
        ("lists", "trending"),
    ] {
        assert!(counts[table].get(reason).is_some_and(|n| *n > 0), "no {table} {reason}: {counts:?}");
    }
    let page = |run: &Run| fs::read_to_string(run.path().join("report.html")).unwrap();
    let users = |page: &str| page.matches("u0000").count();
    assert_eq!(users(&page(&cluster)), users(&page(&local)), "the example users are the same");
    assert!(users(&page(&local)) > 0);

    compare(here, &["--set", "model.kind='item_item'", "--set", "events.window_days=6"], "item-item");
    // Pairs of items counted apart, for the model and for similar items.
    let sequence = ["--set", "model.kind='item_item'", "--set", "model.item_item.sequence_weight=0.5"];
    let fewer = ["--set", "model.item_item.neighbours=20", "--set", "interactions.min_items_per_user=3"];
    compare(here, &[&sequence[..], &fewer].concat(), "item-item-parts");
    compare(here, &[], "als-parts");
    // A model that asks for times; weights that come from orders; no catalogue.
    let times = ["--set", "model.kind='popularity'", "--set", "model.popularity.half_life_days=3"];
    compare(here, &[&times[..], &["--set", "events.as_of='2024-06-08'"]].concat(), "popularity");
}

#[test]
fn people_and_campaigns_come_out_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    shop(here);
    let campaigns = r#"
[orders]
paths = ["shop/orders.parquet"]
purchases_from = "orders"
[orders.columns]
order_id = "order_id"
[events.columns]
session_id = "session_id"
[customers]
paths = ["shop/customers.parquet"]
[customers.consent]
email = "marketing_consent"
[customers.attributes]
country = "country"
[[campaign]]
name = "carts"
kind = "abandoned_cart"
within_days = 10
holdout = 0.2
[[campaign]]
name = "busy"
kind = "custom"
audience = "n_view_7d >= 5"
order_by = "n_view_7d"
size = 20
[[campaign]]
name = "picks"
kind = "top_picks"
priority = -5
"#;
    fs::write(here.join("nightshelf.toml"), format!("{CONFIG}{campaigns}")).unwrap();
    let (local, _) = compare(here, &[], "people");
    let content = &local.manifest().content;
    assert!(content.rows["profiles"] > 200 && content.rows["campaigns/picks"] > 10, "{:?}", content.rows);
    assert!(content.counts.contains_key("customers"), "{:?}", content.counts.keys());

    // Customers that changed after the plan.
    let mut bench = Bench::new(here, &[]);
    bench.work = "changed".into();
    bench.plan("changed");
    let work = here.join("changed");
    shuffle(&plan_of(&work), &work);
    bench.done(&["worker", "survey", "--bucket", "0-3"]);
    fs::copy(here.join("shop/orders.parquet"), here.join("shop/customers.parquet")).unwrap();
    let (_, said) = bench.refused(&["worker", "merge", "survey"]);
    assert!(said.contains("the files of the customers are not those that were planned with"), "{said}");
}

#[test]
fn integers_without_times_and_buckets_without_rows() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    // Few users: most buckets are empty. Two files of different columns.
    let users = [7i64, 8, 9, 7, 8, 9, 7];
    let items = [1i64, 1, 1, 2, 2, 2, 30];
    write(&here.join("pairs/a.parquet"), vec![("user_id", integers(users)), ("item_id", integers(items))]);
    let more = vec![("user_id", integers([7, 8])), ("item_id", integers([40, 40])), ("price", numbers([1.0, 2.0]))];
    write(&here.join("pairs/b.parquet"), more);
    fs::write(
        here.join("nightshelf.toml"),
        "[events]\npaths = ['pairs']\npreset = 'pairs'\n[interactions]\nn_buckets = 4\n[publish]\ntargets = []\n\
         [recommendations.similar]\nmin_pair_users = 1\n[model.als]\nn_factors = 2\niterations = 2\n",
    )
    .unwrap();
    let (local, _) = compare(here, &[], "pairs");
    assert_eq!(local.manifest().content.as_of, None);
    assert!(local.manifest().content.rows["recommendations"] == 3);
    let work = here.join("work-pairs/events");
    let n_dealt = fs::read_dir(&work).unwrap().count();
    assert!(n_dealt < 4, "a bucket has no rows: {n_dealt}");
}

/// Kills an attempt (SIGKILL) that waits at a failpoint, once `sign` is there.
fn kill_at(here: &Path, arguments: &[&str], failpoint: &str, sign: &Path) {
    let all = [arguments, &["--work", "work", "--attempt", "same-name"]].concat();
    let mut child = command(here, &all, &[("FAILPOINTS", format!("{failpoint}=pause"))]).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !sign.exists() {
        assert!(child.try_wait().unwrap().is_none(), "{arguments:?} ended before {failpoint}");
        assert!(Instant::now() < until, "{arguments:?} did not come to {failpoint}");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(child.try_wait().unwrap().is_none(), "{arguments:?} did not wait at {failpoint}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_sample_trains_where_memory_is_short_and_everybody_gets_a_list() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let pairs = (0..8_000i64).flat_map(|user| (0..10).map(move |at| (user, (user * 3 + at * at + user % 7 * at) % 60)));
    let (users, items): (Vec<i64>, Vec<i64>) = pairs.unzip();
    write(&here.join("pairs/a.parquet"), vec![("user_id", integers(users)), ("item_id", integers(items))]);
    fs::write(
        here.join("nightshelf.toml"),
        "[events]\npaths = ['pairs']\npreset = 'pairs'\n[interactions]\nn_buckets = 4\n[publish]\ntargets = []\n\
         [model.als]\nn_factors = 4\niterations = 1\n[recommendations]\nk = 5\n",
    )
    .unwrap();
    let (local, _) = compare(here, &["--set", "model.als.memory_budget_mib=1"], "sampled");
    let counts = &local.manifest().content.counts;
    let (n_sampled, n_users) = (counts["training_sample"]["users"], counts["interactions"]["training_users"]);
    assert!(n_sampled > n_users / 4 && n_sampled < n_users * 9 / 10, "{n_sampled} of {n_users}");
    assert_eq!((n_users, counts["lists.by_source"]["als"]), (8_000, 8_000));
    let summary = Bench::new(here, &[]).run(&["build", "--run", "whole", "--json"]).json();
    assert!(summary.get("sampled_users").is_none(), "nothing is said where everybody trains");
    let said = Bench::new(here, &["--set", "model.als.memory_budget_mib=1"]).run(&["build", "--run", "said"]).ok();
    assert!(said.stdout.contains(" of 8,000 users"), "{}", said.stdout);
    assert_ne!(summary["content_sha256"], local.manifest().content_sha256.as_str());
}

#[test]
fn a_second_attempt_does_no_harm_whenever_it_comes() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    shop(here);
    let bench = Bench::new(here, &[]);
    bench.run(&["build", "--run", "local"]).ok();
    bench.plan("cluster");
    assert_eq!(bench.tasks(&["worker", "plan", "--run", "cluster"]), ["already_done"]);
    let (_, said) = bench.refused(&["worker", "plan", "--run", "cluster", "--item-parts", "2"]);
    assert!(said.contains("it has 0 item parts"), "{said}");
    let (code, said) = bench.refused(&["worker", "pairs", "--part", "0"]);
    assert!(code == 2 && said.contains("the plan has no item parts"), "{said}");
    let work = here.join("work");
    shuffle(&plan_of(&work), &work);

    // A stage that comes too early names the one it needs.
    let (code, said) = bench.refused(&["worker", "merge", "survey"]);
    assert!(code == 1 && said.contains("survey/bucket-000 is not done"), "{said}");
    assert!(said.lines().last().unwrap().trim().starts_with("hint:"), "{said}");

    // Killed with all files written, and just after its output began to count.
    if cfg!(feature = "failpoints") {
        let done = work.join("survey/bucket-001/done.json");
        let written = work.join("survey/bucket-001/same-name/survey.json");
        kill_at(here, &["worker", "survey", "--bucket", "1"], "task-files-written", &written);
        assert!(!done.exists() && written.exists());
        kill_at(here, &["worker", "survey", "--bucket", "1"], "task-done-written", &done);
        assert!(done.exists() && written.exists());
        assert_eq!(bench.tasks(&["worker", "survey", "--bucket", "0-3"]), ["done", "already_done", "done", "done"]);
        bench.done(&["worker", "merge", "survey"]);
        for bucket in ["0", "1", "2", "3"] {
            let written = work.join(format!("aggregate/bucket-00{bucket}/same-name/work/users.parquet"));
            kill_at(here, &["worker", "aggregate", "--bucket", bucket], "task-files-written", &written);
        }
    } else {
        bench.done(&["worker", "survey", "--bucket", "0-3"]);
        bench.done(&["worker", "merge", "survey"]);
    }
    // What a killed attempt leaves half-written lies beside, and is not looked at.
    fs::create_dir_all(work.join("aggregate/bucket-002/half")).unwrap();
    fs::write(work.join("aggregate/bucket-002/half/cells.parquet"), b"PAR1").unwrap();

    // Two attempts at once: one wins, both are content.
    let start = |attempt: &str| {
        let all = ["worker", "aggregate", "--bucket", "0-3", "--work", "work", "--attempt", attempt];
        command(here, &all, &[]).stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    let both = [start("one"), start("two")].map(|child| child.wait_with_output().unwrap());
    let mut n_done = 0;
    for output in &both {
        assert!(output.status.success());
        n_done += String::from_utf8_lossy(&output.stdout).matches("\"outcome\":\"done\"").count();
    }
    assert_eq!(n_done, 4, "each task is done once");

    bench.done(&["train"]);
    bench.done(&["worker", "recommend", "--bucket", "0-3"]);
    if cfg!(feature = "failpoints") {
        // Killed between the run's commit and the note of it: the next attempt finds its own run.
        kill_at(here, &["worker", "seal"], "run-sealed", &here.join("runs/cluster"));
        assert!(open_run(&here.join("runs"), "cluster").is_ok());
    }
    bench.done(&["worker", "seal"]);
    for stage in [
        &["worker", "survey", "--bucket", "0-3"][..],
        &["worker", "merge", "survey"],
        &["worker", "aggregate", "--bucket", "0-3"],
        &["train"],
        &["worker", "recommend", "--bucket", "2"],
        &["worker", "seal"],
    ] {
        let outcomes = bench.tasks(stage);
        assert!(outcomes.iter().all(|outcome| outcome == "already_done"), "{stage:?}: {outcomes:?}");
    }
    let root = here.join("runs");
    assert_same(&open_run(&root, "local").unwrap(), &open_run(&root, "cluster").unwrap());
}

/// The only file whose path ends so.
fn find(directory: &Path, ending: &str) -> PathBuf {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => left.push(path),
                false if path.ends_with(ending) => found.push(path),
                false => {}
            }
        }
    }
    assert_eq!(found.len(), 1, "{ending}: {found:?}");
    found.remove(0)
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn damage_and_rows_in_the_wrong_place_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    shop(here);
    let bench = Bench::new(here, &[]);
    let (_, said) = bench.refused(&["worker", "survey", "--bucket", "0"]);
    assert!(said.contains("work/plan.json: there is none"), "{said}");
    bench.plan("r");
    // Another run or config does not fit the plan.
    let (_, said) = bench.refused(&["worker", "plan", "--run", "other"]);
    assert!(said.contains("that of run `r`"), "{said}");
    let mut other = Bench::new(here, &["--set", "model.als.n_factors=9"]);
    let (_, said) = other.refused(&["worker", "survey", "--bucket", "0"]);
    assert!(said.contains("plan.json: it was made with another config"), "{said}");
    // What does not determine the result may differ.
    other = Bench::new(here, &["--set", "build.threads=1"]);
    let (code, said) = bench.refused(&["worker", "survey", "--bucket", "4"]);
    assert!(code == 2 && said.contains("--bucket must be 0 to 3, is 4"), "{said}");

    let work = here.join("work");
    shuffle(&plan_of(&work), &work);
    // A file in the directory of another bucket.
    let from = work.join("events/bucket=001/part-00000.snappy.parquet");
    let to = work.join("events/bucket=002/stray.parquet");
    fs::copy(&from, &to).unwrap();
    let (_, said) = bench.refused(&["worker", "survey", "--bucket", "2"]);
    assert!(said.contains("stray.parquet: it holds rows of bucket 1, and belongs to bucket 2"), "{said}");
    fs::remove_file(&to).unwrap();
    // Rows that got lost, and rows that came twice.
    let lost = work.join("lost.parquet");
    fs::rename(&from, &lost).unwrap();
    other.done(&["worker", "survey", "--bucket", "0-3"]);
    let (_, said) = bench.refused(&["worker", "merge", "survey"]);
    assert!(said.contains("the inputs have 12000 rows, the shuffle dealt"), "{said}");
    fs::rename(&lost, &from).unwrap();
    fs::remove_dir_all(work.join("survey")).unwrap();
    bench.done(&["worker", "survey", "--bucket", "0-3"]);
    bench.done(&["worker", "merge", "survey"]);
    // Rows that changed after the survey.
    fs::rename(&from, &lost).unwrap();
    let (_, said) = bench.refused(&["worker", "aggregate", "--bucket", "1"]);
    assert!(said.contains("events/bucket=001 are not those that were surveyed"), "{said}");
    fs::rename(&lost, &from).unwrap();
    bench.done(&["worker", "aggregate", "--bucket", "0-3"]);

    let refused = |stage: &[&str], ending: &str| {
        let path = find(&work, ending);
        let whole = fs::read(&path).unwrap();
        flip(&path);
        let (code, said) = bench.refused(stage);
        let name = path.strip_prefix(here).unwrap();
        assert!(code == 1 && said.contains(text(name)) && said.contains("is damaged"), "{ending}: {said}");
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let (_, said) = bench.refused(stage);
        assert!(said.contains(text(name)), "{ending}: {said}");
        fs::remove_file(&path).unwrap();
        let (_, said) = bench.refused(stage);
        assert!(said.contains(text(name)), "{ending}: {said}");
        fs::write(&path, whole).unwrap();
    };
    let attempt = |stage: &str| {
        let done: Value = serde_json::from_slice(&fs::read(work.join(stage).join("done.json")).unwrap()).unwrap();
        format!("{stage}/{}", done["attempt"].as_str().unwrap())
    };
    refused(&["train"], &format!("{}/work/cells.parquet", attempt("aggregate/bucket-003")));
    refused(&["train"], &format!("{}/items.parquet", attempt("merge")));
    bench.done(&["train"]);
    refused(&["worker", "recommend", "--bucket", "0"], &format!("{}/model/item_factors.parquet", attempt("train")));
    bench.done(&["worker", "recommend", "--bucket", "0-3"]);
    refused(&["worker", "seal"], &format!("{}/work/profiles.parquet", attempt("aggregate/bucket-001")));
    assert!(!here.join("runs/r").exists());
    bench.done(&["worker", "seal"]);
    // A run that somebody else built under this name.
    fs::remove_dir_all(work.join("seal")).unwrap();
    fs::remove_dir_all(here.join("runs/r")).unwrap();
    bench.run(&["build", "--run", "r"]).ok();
    let (_, said) = bench.refused(&["worker", "seal"]);
    assert!(said.contains("run `r` already exists"), "{said}");
}

#[test]
fn the_gate_stands_before_the_work() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let rows: Vec<(&str, &str, &str, i64)> =
        (0..10).map(|at| ("u", "i", if at < 5 { "view" } else { "unheard" }, NEW_YEAR + at)).collect();
    write(&here.join("events/e.parquet"), canonical(&rows));
    let text = "[events]\npaths = ['events']\n[interactions]\nn_buckets = 2\n";
    fs::write(here.join("nightshelf.toml"), text).unwrap();
    let bench = Bench::new(here, &[]);
    bench.plan("r");
    shuffle(&plan_of(&here.join("work")), &here.join("work"));
    bench.done(&["worker", "survey", "--bucket", "0-1"]);
    let (code, said) = bench.refused(&["worker", "merge", "survey"]);
    assert!(code == 3 && said.contains("unknown_event_type") && said.contains("`unheard` (5)"), "{code} {said}");
    assert!(!here.join("work/merge/done.json").exists());
}

#[test]
fn a_plan_groups_files_by_day_and_columns() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let row = |at: i64| canonical(&[("u", "i", "view", NEW_YEAR + at)]);
    write(&here.join("events/dt=2024-01-01/a.parquet"), row(0));
    write(&here.join("events/dt=2024-01-01/b.parquet"), row(1));
    let with_id = [row(2), vec![("event_id", texts(["e"]))]].concat();
    write(&here.join("events/dt=2024-01-01/c.parquet"), with_id);
    write(&here.join("events/dt=2024-01-02/a.parquet"), row(3));
    write(&here.join("events/other/a.parquet"), [row(4), vec![("unused", texts(["x"]))]].concat());
    fs::write(here.join("nightshelf.toml"), "[events]\npaths = ['events']\n").unwrap();
    Bench::new(here, &[]).plan("r");
    let plan = plan_of(&here.join("work"));
    assert_eq!((&plan["events"]["n_rows"], &plan["orders"]), (&5.into(), &Value::Null));
    assert_eq!(plan["events"]["user_id"], serde_json::json!(["user_id"]));
    let groups: Vec<(Option<i64>, usize, usize)> = plan["events"]["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| {
            let n = |key: &str| group[key].as_array().unwrap().len();
            (group["latest"].as_i64(), n("columns"), n("paths"))
        })
        .collect();
    // Two days of grace after the partition's own day begins, less a second.
    let bound = |day: i64| Some(NEW_YEAR + (day + 2) * 86_400 - 1);
    assert_eq!(groups, [(None, 4, 1), (bound(0), 5, 1), (bound(0), 4, 2), (bound(1), 4, 1)]);
}

#[test]
fn the_work_location_may_be_on_s3() {
    let server = S3Server::start();
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    shop(here);
    let mut bench = Bench::new(here, &["--set", "build.runs='s3://shop/runs'", "--set", "build.scratch='scratch'"]);
    bench.environment = server.environment();
    bench.work = "s3://shop/nightly/work".into();
    bench.plan("cluster");
    let plan: Value =
        serde_json::from_slice(&fs::read(server.file("shop", "nightly/work/plan.json")).unwrap()).unwrap();
    shuffle(&plan, &server.file("shop", "nightly/work"));
    bench.after_shuffle();
    bench.done(&["worker", "seal"]);
    assert_eq!(bench.tasks(&["worker", "recommend", "--bucket", "0-3"]), ["already_done"; 4]);
    let left = fs::read_dir(here.join("scratch")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_str().unwrap().contains("task")).collect();
    assert!(left.is_empty(), "{left:?}");

    let local = Bench::new(here, &[]);
    local.run(&["build", "--run", "local"]).ok();
    let sealed = bench.run(&["runs", "show", "cluster", "--json"]).json();
    let expected = open_run(&here.join("runs"), "local").unwrap();
    assert_eq!(sealed["content_sha256"], expected.manifest().content_sha256.as_str());

    // A damaged object is named by its address.
    let object = find(&server.file("shop", "nightly/work/train"), "items/items.parquet");
    flip(&object);
    fs::remove_dir_all(server.file("shop", "nightly/work/recommend/bucket-000")).unwrap();
    let (_, said) = bench.refused(&["worker", "recommend", "--bucket", "0"]);
    assert!(
        said.contains("s3://shop/nightly/work/train/") && said.contains("items/items.parquet is damaged"),
        "{said}"
    );
}
