//! Wrong input through the program: the exit code, and a message that names the file, row or key and says what to do.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use nightshelf::synth::{self, generate};

use crate::support::{
    program::{Ran, nightshelf, nightshelf_in, text},
    s3::{FORBIDDEN, S3Server},
    tables::{Columns, NEW_YEAR, canonical, integers, numbers, texts, write},
};

/// A directory with `events/e.parquet`: 8 users, 6 items.
fn shop() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("events/e.parquet"), rows());
    directory
}

fn rows() -> Columns {
    const USERS: [&str; 8] = ["ann", "bob", "cat", "dan", "eve", "fay", "gus", "hal"];
    const ITEMS: [&str; 6] = ["apple", "bread", "cheese", "dates", "eggs", "figs"];
    let rows: Vec<(&str, &str, &str, i64)> =
        (0..24usize).map(|at| (USERS[at % 8], ITEMS[(at * 5 + at / 8) % 6], "view", NEW_YEAR + at as i64)).collect();
    canonical(&rows)
}

/// Builds from `events/`, without SQLite, with these arguments on top.
fn build(directory: &Path, arguments: &[&str]) -> Ran {
    let all = [&["build", "--events", "events", "--run", "r", "--publish", "none"], arguments].concat();
    nightshelf(directory, &all)
}

/// The exit code and what the program said on stderr, with the directory's own name left out.
fn said(ran: &Ran, directory: &Path) -> String {
    let real = directory.canonicalize().unwrap();
    let plain = |said: &str| said.replace(text(&real), "DIR").replace(text(directory), "DIR");
    plain(&format!("exit code {}\n{}", ran.code.unwrap(), ran.stderr))
}

macro_rules! refused {
    ($name:literal, $ran:expr, $directory:expr) => {{
        let ran = $ran;
        assert_ne!(ran.code, Some(0), "{ran:?}");
        assert!(!ran.stderr.contains("panicked at"), "{}", ran.stderr);
        insta::assert_snapshot!($name, said(&ran, $directory.path()));
        // Nothing half-made is left.
        let runs = $directory.path().join("runs");
        let left =
            fs::read_dir(&runs).map(|entries| entries.flatten().map(|entry| entry.file_name()).collect::<Vec<_>>());
        assert!(
            left.unwrap_or_default().iter().all(|name| name == ".locks" || name == "r0"),
            "something is left in runs/"
        );
    }};
}

#[test]
fn missing_file() {
    let here = shop();
    refused!("missing_file", build(here.path(), &["--events", "event/e.parquet"]), here);
}

#[test]
fn empty_directory() {
    let here = shop();
    fs::create_dir(here.path().join("nothing")).unwrap();
    refused!("empty_directory", build(here.path(), &["--events", "nothing"]), here);
    fs::write(here.path().join("nothing/e.csv"), "a,b").unwrap();
    refused!("directory_without_parquet", build(here.path(), &["--events", "nothing"]), here);
    refused!("no_events_named", nightshelf(here.path(), &["build"]), here);
}

#[test]
fn not_parquet() {
    let here = shop();
    fs::write(here.path().join("events/f.parquet"), "user_id,item_id\nann,apple\n").unwrap();
    refused!("not_parquet", build(here.path(), &[]), here);
    fs::write(here.path().join("events/f.parquet"), "").unwrap();
    refused!("file_of_no_bytes", build(here.path(), &[]), here);
}

#[test]
fn truncated_parquet() {
    let here = shop();
    let file = here.path().join("events/e.parquet");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 100]).unwrap();
    refused!("truncated_parquet", build(here.path(), &[]), here);
    // The middle is missing and the footer is there.
    fs::write(&file, [&bytes[..100], &bytes[200..]].concat()).unwrap();
    let ran = build(here.path(), &[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("events/e.parquet"), "{}", ran.stderr);
}

#[test]
fn flipped_byte_in_a_page_with_a_checksum() {
    let here = tempfile::tempdir().unwrap();
    let config = synth::Config {
        users: 50,
        items: 30,
        events: 1_000,
        days: 1,
        start: jiff::civil::date(2024, 6, 1),
        ..synth::Config::default()
    };
    generate(&config, here.path(), &|_| {}).unwrap();
    let file = here.path().join("events/dt=2024-06-01/part-0000.parquet");
    let mut bytes = fs::read(&file).unwrap();
    let reader = parquet::file::serialized_reader::SerializedFileReader::new(fs::File::open(&file).unwrap()).unwrap();
    let column = parquet::file::reader::FileReader::metadata(&reader).row_group(0).column(1).clone();
    assert_eq!(column.column_path().string(), "user_id");
    let last = column.data_page_offset() + column.compressed_size() - 20;
    bytes[last as usize] ^= 0x10;
    fs::write(&file, bytes).unwrap();
    refused!("flipped_byte", build(here.path(), &[]), here);
}

#[test]
fn wrong_column_types() {
    let here = shop();
    let mut columns = rows();
    columns[1].1 = numbers((0..24).map(f64::from));
    write(&here.path().join("events/e.parquet"), columns);
    refused!("item_id_of_floats", build(here.path(), &[]), here);
    let mut columns = rows();
    columns[2].1 = integers(0..24);
    write(&here.path().join("events/e.parquet"), columns);
    refused!("event_type_of_integers", build(here.path(), &[]), here);
    let mut columns = rows();
    columns[3].1 = numbers((0..24).map(f64::from));
    write(&here.path().join("events/e.parquet"), columns);
    refused!("timestamp_of_floats", build(here.path(), &[]), here);
}

#[test]
fn missing_columns() {
    let here = shop();
    let mut columns = rows();
    columns[0].0 = "userid";
    write(&here.path().join("events/e.parquet"), columns);
    refused!("missing_column", build(here.path(), &[]), here);
    let mut columns = rows();
    columns.remove(2);
    write(&here.path().join("events/e.parquet"), columns);
    refused!("missing_event_type", build(here.path(), &[]), here);
    // The config names a column that the preset would do without.
    write(&here.path().join("events/e.parquet"), rows());
    refused!("missing_named_column", build(here.path(), &["--set", "events.columns.event_id=eid"]), here);
}

#[test]
fn integer_timestamp_without_a_unit() {
    let here = shop();
    let mut columns = rows();
    columns[3].1 = integers((0..24).map(|at| NEW_YEAR + at));
    write(&here.path().join("events/e.parquet"), columns);
    refused!("timestamp_without_unit", build(here.path(), &[]), here);
    refused!("timestamp_of_wrong_unit", build(here.path(), &["--set", "events.timestamp_unit=ms"]), here);
}

#[test]
fn all_rows_rejected() {
    let here = shop();
    let mut columns = rows();
    columns[0].1 = texts((0..24).map(|at| if at < 10 { None } else { Some("") }));
    write(&here.path().join("events/e.parquet"), columns);
    let ran = build(here.path(), &[]);
    assert_eq!(ran.code, Some(3), "a quality gate has its own exit code");
    refused!("all_rows_rejected", ran, here);
    let mut columns = rows();
    columns[2].1 = texts((0..24).map(|at| ["View", "Product Viewed", "scroll"][at % 3]));
    write(&here.path().join("events/e.parquet"), columns);
    refused!("unknown_event_types", build(here.path(), &[]), here);
}

#[test]
fn nothing_left_to_learn_from() {
    let here = shop();
    write(&here.path().join("events/e.parquet"), canonical(&[]));
    refused!("no_rows", build(here.path(), &[]), here);
    write(&here.path().join("events/e.parquet"), rows());
    refused!("all_items_rare", build(here.path(), &["--set", "interactions.min_users_per_item=20"]), here);
    refused!("all_pruned_or_outside", build(here.path(), &["--set", "events.since=2025-01-01"]), here);
}

#[test]
fn wrong_config() {
    let here = shop();
    let file = here.path().join("shop.toml");
    let with = |text: &str| {
        fs::write(&file, text).unwrap();
        let ran = build(here.path(), &["--config", "shop.toml"]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        ran
    };
    refused!("unknown_key", with("[events]\nmax_reject_ratio = 0.1\n"), here);
    refused!("unknown_section", with("[recommendation]\nk = 5\n"), here);
    refused!("wrong_value_type", with("[recommendations]\nk = 'ten'\n"), here);
    refused!("unknown_variant", with("[model]\nkind = 'alz'\n"), here);
    refused!("not_toml", with("[events\n"), here);
    refused!("value_out_of_range", with("[model.als]\nn_factors = 0\n"), here);
    refused!("config_file_missing", build(here.path(), &["--config", "nowhere.toml"]), here);
    refused!("unknown_set", build(here.path(), &["--set", "model.als.n_factor=8"]), here);
    refused!("set_without_value", build(here.path(), &["--set", "model.als.n_factors"]), here);
    refused!("set_of_wrong_type", build(here.path(), &["--set", "model.als.n_factors=many"]), here);
    refused!("unknown_preset", build(here.path(), &["--preset", "retailrockt"]), here);
    refused!("unknown_model", build(here.path(), &["--model", "als2"]), here);
    refused!("unknown_target", nightshelf(here.path(), &["build", "--events", "events", "--publish", "sqlit"]), here);
    refused!("as_of_of_no_date", build(here.path(), &["--as-of", "yesterday"]), here);
    let variable = [("NIGHTSHELF__MODEL__ALS__FACTORS", "8".to_owned())];
    refused!("unknown_variable", nightshelf_in(here.path(), &["build", "--events", "events"], &variable), here);
}

#[test]
fn lists_longer_than_the_catalogue_are_shorter() {
    let here = shop();
    let summary = build(here.path(), &["-k", "40", "--model", "popularity", "--json"]).json();
    assert_eq!(summary["short_lists"], 8);
    assert_eq!(summary["warnings"][0], "8 users have fewer than 40 eligible items, so their lists are shorter");
    let list = nightshelf(here.path(), &["recommend", "ann", "--json", "-n", "100"]).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 6);
    let shown = nightshelf(here.path(), &["runs", "show"]).ok().stdout;
    assert!(shown.contains("lists.short"), "{shown}");
}

#[test]
fn questions_about_nobody_and_nothing() {
    let here = shop();
    let run = ["build", "--events", "events", "--run", "r0", "--publish", "none", "--model", "popularity"];
    nightshelf(here.path(), &run).ok();
    for (name, arguments) in [
        ("unknown_user", &["recommend", "zoe"][..]),
        ("unknown_user_explained", &["explain", "zoe", "apple"]),
        ("unknown_item", &["similar", "zucchini"]),
        ("unknown_item_explained", &["explain", "ann", "zucchini"]),
        ("unknown_run", &["recommend", "ann", "--run", "r1"]),
        ("unknown_run_shown", &["runs", "show", "r1"]),
        ("unknown_run_compared", &["runs", "diff", "r1", "r0"]),
        ("unknown_run_verified", &["runs", "verify", "r1"]),
        ("unknown_run_published", &["publish", "r1"]),
        ("no_runs_at_all", &["recommend", "ann", "--runs", "nowhere"]),
        ("status_of_no_store", &["publish", "status"]),
        ("rollback_of_no_store", &["publish", "rollback"]),
    ] {
        let ran = nightshelf(here.path(), arguments);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        insta::assert_snapshot!(name, said(&ran, here.path()));
    }
    assert!(!here.path().join("nightshelf.db").exists(), "a question makes no store");
}

#[test]
fn run_names() {
    let here = shop();
    let name = |name: &str| {
        let run = ["build", "--events", "events", "--publish", "none", "--model", "popularity", "--run", name];
        nightshelf(here.path(), &run)
    };
    name("r0").ok();
    refused!("run_name_taken", name("r0"), here);
    refused!("run_name_impossible", name("a/b"), here);
}

#[test]
fn places_that_cannot_be_written() {
    let here = shop();
    fs::write(here.path().join("file"), "").unwrap();
    refused!("runs_below_a_file", build(here.path(), &["--runs", "file/runs"]), here);
    let sqlite = ["build", "--events", "events", "--run", "r0", "--sqlite", "file/n.db", "--model", "popularity"];
    let ran = nightshelf(here.path(), &sqlite);
    assert_eq!(ran.code, Some(1));
    // The summary of the hours of work is printed all the same.
    assert!(ran.stdout.contains("content hash") && ran.stdout.contains("runs/r0"), "{}", ran.stdout);
    refused!("sqlite_below_a_file", ran, here);
    // The run is there all the same, and can be published elsewhere.
    nightshelf(here.path(), &["publish", "r0", "--sqlite", "n.db"]).ok();
    fs::write(here.path().join("text.db"), "this is no database, and long enough to be looked at as one".repeat(20))
        .unwrap();
    refused!("sqlite_no_database", nightshelf(here.path(), &["publish", "r0", "--sqlite", "text.db"]), here);
    let status = nightshelf(here.path(), &["publish", "status", "--sqlite", "file/n.db"]);
    assert_eq!(status.code, Some(1));
}

/// A tiny file system; unmounted when dropped.
struct Tiny(PathBuf);

impl Tiny {
    fn mount(at: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs", text(&at)]).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn full_disk() {
    let here = shop();
    let Some(_tiny) = Tiny::mount(here.path().join("tiny"), "size=64k") else {
        println!("SKIPPED: full_disk needs to mount a tmpfs, and may not");
        return;
    };
    let few = ["--set", "interactions.n_buckets=1", "--model", "popularity", "--runs"];
    refused!("full_disk", build(here.path(), &[&few[..], &["tiny/runs"]].concat()), here);
    assert_eq!(
        fs::read_dir(here.path().join("tiny/runs"))
            .unwrap()
            .flatten()
            .filter(|entry| entry.file_name() != ".locks")
            .count(),
        0
    );
    let listed = nightshelf(here.path(), &["runs", "list", "--runs", "tiny/runs", "--json"]).json();
    assert_eq!(listed.as_array().unwrap().len(), 0);
    // The store's disk is full: the run is there, and what was served before would still be.
    let sqlite = ["build", "--events", "events", "--run", "r0", "--sqlite", "tiny/n.db", "--model", "popularity"];
    let ran = nightshelf(here.path(), &sqlite);
    assert_eq!(ran.code, Some(1));
    refused!("full_disk_for_sqlite", ran, here);
}

#[test]
fn bucket_without_permission() {
    let here = shop();
    let server = S3Server::start();
    server.put(FORBIDDEN, "events/e.parquet", b"x");
    let run = |location: &str, environment: &[(&str, String)]| {
        nightshelf_in(here.path(), &["build", "--run", "r", "--publish", "none", "--events", location], environment)
    };
    refused!("forbidden_bucket", run(&format!("s3://{FORBIDDEN}/events/"), &server.environment()), here);
    refused!("no_such_bucket", run("s3://nowhere/events/", &server.environment()), here);
    refused!("empty_prefix", run("s3://shop/events/", &server.environment()), here);
    let mut wrong = server.environment();
    wrong
        .iter_mut()
        .filter(|(name, _)| *name == "AWS_SECRET_ACCESS_KEY")
        .for_each(|(_, value)| *value = "wrong".into());
    let ran = run("s3://shop/events/", &wrong);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("s3://shop/events/") && ran.stderr.contains("refuses"), "{}", ran.stderr);
    let bare = [("AWS_EC2_METADATA_DISABLED", "true".to_owned()), ("HOME", text(here.path()).to_owned())];
    refused!("no_region", run("s3://shop/events/", &bare), here);
}

#[test]
fn catalogue_in_bad_order() {
    let here = shop();
    refused!("missing_catalogue", build(here.path(), &["--catalog", "catalog.parquet"]), here);
    fs::write(here.path().join("catalog.csv"), "sku,title\napple,Apple\n").unwrap();
    refused!("catalogue_without_item_id", build(here.path(), &["--catalog", "catalog.csv"]), here);
    fs::write(here.path().join("catalog.parquet"), "sku,title\napple,Apple\n").unwrap();
    refused!("catalogue_not_parquet", build(here.path(), &["--catalog", "catalog.parquet"]), here);
}
