//! Runs on S3: the same as local ones, whole or absent, one winner a name, and nothing left of what failed.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant, SystemTime},
};

use nightshelf::{
    artifacts::{ArtifactError, Content, Observed, Run, RunWriter, RunsRoot, list_runs, open_run, prune, verify},
    storage::{S3Config, StorageError},
    synth::{self, generate},
};
use serde_json::Value;

use crate::support::{
    program::{Ran, command, nightshelf_in},
    random::Random,
    runs::assert_served,
    s3::{FORBIDDEN, S3Server},
};

const KEY: (&str, &str) = ("AKIDNIGHTSHELF", "not-a-secret");

/// A directory with a small shop and a config that keeps its runs on S3.
fn shop() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let config = synth::Config {
        users: 60,
        items: 40,
        events: 1_500,
        days: 3,
        start: jiff::civil::date(2024, 6, 1),
        ..synth::Config::default()
    };
    generate(&config, &directory.path().join("shop"), &|_| {}).unwrap();
    fs::write(
        directory.path().join("nightshelf.toml"),
        "[build]\nruns = 's3://shop/nightly/runs'\nscratch = 'scratch'\n[events]\npaths = ['shop/events']\n\
         [catalog]\npath = 'shop/catalog.parquet'\n[interactions]\nn_buckets = 4\n\
         [model.als]\nn_factors = 8\niterations = 2\n[recommendations]\nk = 10\n[publish]\ntargets = []\n",
    )
    .unwrap();
    directory
}

fn run_in(here: &Path, server: &S3Server, arguments: &[&str]) -> Ran {
    nightshelf_in(here, arguments, &server.environment())
}

fn start_in(here: &Path, server: &S3Server, arguments: &[&str]) -> Child {
    command(here, arguments, &server.environment()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The keys of all objects below a prefix of the bucket `shop`.
fn keys(server: &S3Server, prefix: &str) -> Vec<String> {
    fn walk(directory: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(&server.file("shop", prefix), &server.file("shop", ""), &mut found);
    found.sort();
    found
}

/// Makes an object look as if it had not been written for a quarter of an hour.
fn age(server: &S3Server, key: &str) {
    let then = SystemTime::now() - Duration::from_secs(900);
    fs::File::options().append(true).open(server.file("shop", key)).unwrap().set_modified(then).unwrap();
}

/// Runs of the bucket's prefix `runs`, seen from a machine whose scratch directory is `scratch`.
fn root_with(server: &S3Server, scratch: &Path, change: impl FnOnce(&mut S3Config)) -> RunsRoot {
    // Patient, for machines with other work; but for the test of that very wait.
    let mut config = S3Config { read_timeout_ms: 20_000, ..server.config() };
    change(&mut config);
    let storage = server.storage_as(config, KEY.0, KEY.1);
    RunsRoot::parse("s3://shop/runs", &storage).unwrap().with_scratch(Some(scratch))
}

fn root(server: &S3Server, scratch: &Path) -> RunsRoot {
    root_with(server, scratch, |_| {})
}

fn noise(n_bytes: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes: Vec<u8> = (0..n_bytes.div_ceil(8)).flat_map(|_| random.word().to_le_bytes()).collect();
    bytes.truncate(n_bytes);
    bytes
}

/// A run being written, with these files.
fn writer(root: &RunsRoot, name: &str, files: &[(&str, &[u8])]) -> Result<RunWriter, ArtifactError> {
    let writer = RunWriter::create(root, name)?;
    for (path, bytes) in files {
        let mut file = writer.file(path)?;
        file.write_all(bytes).unwrap();
        file.close()?;
    }
    Ok(writer)
}

fn commit(writer: RunWriter, created_at: &str) -> Result<Run, ArtifactError> {
    let content = Content { n_buckets: 1, seed: 1, ..Content::default() };
    writer.commit(content, Observed { created_at: created_at.into(), ..Observed::default() })
}

fn names(root: &RunsRoot) -> Vec<String> {
    let listing = list_runs(root).unwrap();
    assert!(listing.damaged.is_empty(), "{:?}", listing.damaged);
    listing.runs.iter().map(|run| run.name().to_owned()).collect()
}

#[track_caller]
fn assert_whole(run: &Run) {
    let checked = verify(run).unwrap();
    assert!(checked.problems.is_empty(), "{}: {:?}", run.name(), checked.problems);
}

const NOON: &str = "2026-11-22T12:00:00Z";

#[test]
fn every_command_gives_the_same_from_s3_as_from_a_directory() {
    let (server, here) = (S3Server::start(), shop());
    let here = here.path();
    let run = |arguments: &[&str]| run_in(here, &server, arguments);
    let local = run(&["build", "--run", "first", "--runs", "runs", "--json"]).json();
    let remote = run(&["build", "--run", "first", "--json"]).json();
    assert_eq!(remote["content_sha256"], local["content_sha256"]);
    assert_eq!(remote["path"], "s3://shop/nightly/runs/first");
    let stages = remote["timings_s"].as_array().unwrap();
    assert_eq!(stages.last().unwrap()[0], "upload run");
    let text = run(&["build", "--run", "second", "--set", "recommendations.k=7"]).ok().stdout;
    assert!(text.contains("s3://shop/nightly/runs/second/report.html"), "{text}");
    run(&["build", "--run", "second", "--runs", "runs", "--set", "recommendations.k=7"]).ok();

    // Object for object what the directory holds.
    let below = |file: &str| file.strip_prefix("nightly/runs/first/").unwrap().to_owned();
    let uploaded: Vec<String> = keys(&server, "nightly/runs/first").iter().map(|key| below(key)).collect();
    for path in uploaded.iter().filter(|path| !["manifest.json", "report.html"].contains(&path.as_str())) {
        let object = fs::read(server.file("shop", "nightly/runs/first").join(path)).unwrap();
        assert!(object == fs::read(here.join("runs/first").join(path)).unwrap(), "{path}");
    }
    let shown = |runs: &str| run(&["runs", "show", "first", "--json", "--runs", runs]).json();
    let (there, own) = (shown("s3://shop/nightly/runs"), shown("runs"));
    assert_eq!(there["content"], own["content"]);
    assert_eq!(uploaded.len(), 1 + list_files(&own).len());
    assert_eq!(list_files(&there), list_files(&own));

    // The same words, but for the place.
    let both = |arguments: &[&str]| {
        let from = |runs: &str| run(&[arguments, &["--runs", runs]].concat());
        let (remote, local) = (from("s3://shop/nightly/runs/"), from("runs"));
        assert_eq!((remote.code, &remote.stdout), (local.code, &local.stdout), "{arguments:?}\n{}", remote.stderr);
        assert_eq!(remote.code, Some(0), "{}", remote.stderr);
        remote.stdout
    };
    let user = own_user(here);
    let item = both(&["recommend", &user, "--json"]);
    let item: Value = serde_json::from_str(&item).unwrap();
    let item = item["items"][0]["item_id"].as_str().unwrap();
    both(&["recommend", "--popular", "--run", "first"]);
    both(&["similar", item]);
    both(&["similar", item, "--bought-together"]);
    both(&["explain", &user, item]);
    both(&["runs", "diff", "first", "second"]);
    for runs in ["s3://shop/nightly/runs", "runs"] {
        // The report's times make it a little longer or shorter, so the sizes differ.
        let text = run(&["runs", "verify", "latest", "--runs", runs]).ok().stdout;
        assert!(text.starts_with("second: ") && text.ends_with("all as the manifest says\n"), "{text}");
    }
    let listed = run(&["runs", "list", "--json"]).json();
    assert_eq!(listed[0]["path"], "s3://shop/nightly/runs/second");
    assert_eq!(listed[1]["run"], "first");
    let text = run(&["runs", "show", "first"]).ok().stdout;
    assert!(text.contains("s3://shop/nightly/runs/first"), "{text}");

    // A run by its own address, from a place of runs that is elsewhere.
    let address = "s3://shop/nightly/runs/first";
    assert!(run(&["runs", "verify", address, "--runs", "runs"]).ok().stdout.starts_with("first: "));
    run(&["runs", "diff", address, "first", "--runs", "runs"]).ok();

    run(&["publish", "first", "--target", "sqlite", "--sqlite", "shop.db"]).ok();
    assert_served(&here.join("shop.db"), &open_run(&here.join("runs"), "first").unwrap());
    run(&["publish", "verify", "first", "--target", "sqlite", "--sqlite", "shop.db"]).ok();
    // Built and published at once, named by the time.
    run(&["build", "--publish", "sqlite", "--sqlite", "shop.db"]).ok();
    assert_eq!(run(&["runs", "list", "--json"]).json().as_array().unwrap().len(), 3);

    // Nothing of it stays on this machine but the scratch directory's own files.
    let scratch = fs::read_dir(here.join("scratch")).unwrap().next().unwrap().unwrap().path();
    let mut left: Vec<_> = fs::read_dir(scratch).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".id", ".locks"]);
    assert_eq!(keys(&server, "nightly/runs/.claims"), [""; 0]);
}

/// Paths and hashes of a manifest's content files, paths alone of the others.
fn list_files(manifest: &Value) -> Vec<String> {
    let files = |part: &str| manifest[part]["files"].as_array().unwrap().clone();
    let content = files("content").into_iter().map(|file| format!("{} {}", file["path"], file["sha256"]));
    content.chain(files("observed").into_iter().map(|file| file["path"].to_string())).collect()
}

/// A user of the local run `first`.
fn own_user(here: &Path) -> String {
    let run = open_run(&here.join("runs"), "first").unwrap();
    let lists = crate::support::runs::lists(&run, nightshelf::recommendations::ListKind::Recommendations);
    lists.into_keys().next().unwrap()
}

#[test]
fn of_two_builders_with_one_name_exactly_one_wins() {
    let (server, here) = (S3Server::start(), shop());
    let here = here.path();
    let (mut n_locked, mut n_exists) = (0, 0);
    for round in 0..4 {
        let name = format!("same-{round}");
        // Two machines have two scratch directories; two processes of one machine share theirs.
        let scratch =
            |builder: usize| format!("build.scratch=\"scratch-{}\"", if round % 2 == 0 { builder } else { 9 });
        let builders: Vec<_> = (0..2)
            .map(|builder| {
                let set = scratch(builder);
                let mut build = command(here, &["build", "--run", &name, "--set", &set], &server.environment());
                build.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let ends: Vec<_> = builders.into_iter().map(|builder| builder.wait_with_output().unwrap()).collect();
        let losers: Vec<_> = ends.iter().filter(|end| !end.status.success()).collect();
        let said: Vec<_> = ends.iter().map(|end| String::from_utf8_lossy(&end.stderr)).collect();
        assert_eq!(losers.len(), 1, "{name}: {said:?}");
        let said = String::from_utf8_lossy(&losers[0].stderr).into_owned();
        let (locked, exists) = (said.contains("is being written by another process"), said.contains("already exists"));
        assert!(losers[0].status.code() == Some(1) && locked != exists, "{name}: {said}");
        n_locked += usize::from(locked);
        n_exists += usize::from(exists);
        let run = open_run(at(&server, "nightly/runs"), &name).unwrap();
        assert_whole(&run);
    }
    println!("{n_locked} losers found the name claimed, {n_exists} found the run");
    assert_eq!(names(&at(&server, "nightly/runs")).len(), 4);
    assert_eq!(keys(&server, "nightly/runs/.claims"), [""; 0]);
}

/// The runs of a prefix, without a scratch directory: for reading.
fn at(server: &S3Server, prefix: &str) -> RunsRoot {
    RunsRoot::parse(&format!("s3://shop/{prefix}"), &server.storage()).unwrap()
}

/// Starts a build that will never end, and kills it once so many objects are there and the next ones are under way.
fn killed_upload(here: &Path, server: &S3Server, name: &str, n_objects: usize) {
    let writes = &server.faults.writes;
    writes.let_through(n_objects);
    let mut build = start_in(here, server, &["build", "--run", name]);
    let until = Instant::now() + Duration::from_secs(60);
    let there = || keys(server, &format!("nightly/runs/{name}")).len();
    while there() < n_objects || writes.n_stalled.load(SeqCst) == 0 {
        assert!(build.try_wait().unwrap().is_none() && Instant::now() < until, "the build ended by itself");
        std::thread::sleep(Duration::from_millis(2));
    }
    build.kill().unwrap();
    build.wait().unwrap();
    writes.let_through(usize::MAX);
}

#[test]
fn a_killed_upload_is_never_listed_and_leaves_when_it_is_dead_for_sure() {
    let (server, here) = (S3Server::start(), shop());
    let here = here.path();
    let run = |arguments: &[&str]| run_in(here, &server, arguments).ok().stdout;
    run(&["build", "--run", "good"]);
    let listed = || names(&at(&server, "nightly/runs"));
    let left = |name: &str| keys(&server, &format!("nightly/runs/{name}")).len();
    let claim = |name: &str| format!("nightly/runs/.claims/{name}.json");

    killed_upload(here, &server, "dead", 5);
    assert_eq!(listed(), ["good"]);
    assert_eq!(left("dead"), 5);
    let ran = run_in(here, &server, &["runs", "verify", "dead"]);
    assert!(ran.stderr.contains("no run `dead` in s3://shop/nightly/runs"), "{}", ran.stderr);
    // On the same machine it is known at once that the builder is dead, and its name is free.
    run(&["build", "--run", "dead"]);
    assert_whole(&open_run(at(&server, "nightly/runs"), "dead").unwrap());

    // What another name's builder has left may, as far as the next build knows, still be on its way up.
    killed_upload(here, &server, "gone", 4);
    server.faults.writes.leave_upload("shop", "nightly/runs/gone/model/item_factors.parquet");
    server.faults.writes.leave_upload("shop", "nightly/runs/elsewhere/a");
    run(&["build", "--run", "next"]);
    assert!(left("gone") == 4 && server.file("shop", &claim("gone")).exists());
    // From another machine, not even its name is free.
    let elsewhere = ["build", "--run", "gone", "--set", "build.scratch=\"other-machine\""];
    let ran = run_in(here, &server, &elsewhere);
    assert!(ran.stderr.contains("run `gone` is being written by another process (lock s3://shop/"), "{}", ran.stderr);
    assert!(ran.stderr.contains("less than ten minutes ago"), "{}", ran.stderr);
    // After ten silent minutes it is dead for everybody.
    age(&server, &claim("gone"));
    run(&["build", "--run", "after"]);
    assert_eq!(left("gone"), 0);
    assert_eq!(server.faults.writes.open_uploads(), ["nightly/runs/elsewhere/a"], "only its own uploads are aborted");
    assert_eq!(keys(&server, "nightly/runs/.claims"), [""; 0]);

    // Prune does the same, a dry one nothing.
    killed_upload(here, &server, "pruned", 3);
    age(&server, &claim("pruned"));
    server.put("shop", "nightly/runs/notes/by-hand.txt", b"mine");
    run(&["runs", "prune", "--keep", "10", "--dry-run"]);
    assert_eq!(left("pruned"), 3);
    run(&["runs", "prune", "--keep", "10"]);
    assert_eq!((left("pruned"), left("notes")), (0, 1), "what no claim speaks of is not touched");
    assert_eq!(listed(), ["after", "next", "dead", "good"]);
    for name in listed() {
        assert_whole(&open_run(at(&server, "nightly/runs"), &name).unwrap());
    }
    // A dead claim on a whole run: its builder died between the manifest and the claim.
    let copied = fs::read(server.file("shop", "nightly/runs/good/manifest.json")).unwrap();
    server.put("shop", &claim("good"), b"{}");
    age(&server, &claim("good"));
    run(&["runs", "prune", "--keep", "10"]);
    assert_eq!(fs::read(server.file("shop", "nightly/runs/good/manifest.json")).unwrap(), copied);
    assert!(!server.file("shop", &claim("good")).exists());
}

#[test]
fn a_builder_that_lost_its_name_changes_nothing() {
    let (server, scratch) = (S3Server::start(), [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()]);
    let (slow, fast) = (root(&server, scratch[0].path()), root(&server, scratch[1].path()));
    // Suspended before its upload; its successor is done when it wakes up.
    let suspended = writer(&slow, "r", &[("a/x.bin", b"slow"), ("a/y.bin", b"slow too")]).unwrap();
    assert!(matches!(RunWriter::create(&fast, "r"), Err(ArtifactError::RunLocked { .. })));
    age(&server, "runs/.claims/r.json");
    let run = commit(writer(&fast, "r", &[("a/x.bin", b"fast")]).unwrap(), NOON).unwrap();
    let error = commit(suspended, NOON).unwrap_err();
    assert!(matches!(error, ArtifactError::RunLocked { .. }), "{error}");
    assert_whole(&run);
    assert_eq!(run.read("a/x.bin").unwrap(), "fast");
    // Its successor is still at work when it wakes up.
    let suspended = writer(&slow, "s", &[("a/x.bin", b"slow")]).unwrap();
    age(&server, "runs/.claims/s.json");
    let successor = writer(&fast, "s", &[("a/x.bin", b"fast")]).unwrap();
    server.put("shop", "runs/s/a/x.bin", b"left by the first");
    assert!(matches!(commit(suspended, NOON), Err(ArtifactError::RunLocked { .. })));
    assert!(server.file("shop", "runs/.claims/s.json").exists());
    assert_whole(&commit(successor, NOON).unwrap());
    // A manifest that somebody else has put there is never overwritten, and his files stay.
    let third = writer(&fast, "t", &[("a/x.bin", b"fast")]).unwrap();
    server.put("shop", "runs/t/manifest.json", b"{}");
    assert!(matches!(commit(third, NOON), Err(ArtifactError::RunExists { .. })));
    assert_eq!(keys(&server, "runs/t"), ["runs/t/manifest.json"]);
    assert!(matches!(RunWriter::create(&fast, "r"), Err(ArtifactError::RunExists { .. })));
    assert_eq!(keys(&server, "runs/.claims"), [""; 0]);
}

#[test]
fn a_flipped_byte_is_noticed_and_named() {
    let (server, here) = (S3Server::start(), shop());
    let here = here.path();
    run_in(here, &server, &["build", "--run", "r"]).ok();
    let key = "nightly/runs/r/items/items.parquet";
    let good = fs::read(server.file("shop", key)).unwrap();
    let mut bytes = good.clone();
    bytes[good.len() / 2] ^= 1;
    server.put("shop", key, &bytes);
    let ran = run_in(here, &server, &["runs", "verify", "r"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("items/items.parquet: has SHA-256 "), "{}", ran.stdout);
    let ran = run_in(here, &server, &["recommend", "--popular", "--run", "r"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains(&format!("s3://shop/{key} is damaged: its SHA-256 is ")), "{}", ran.stderr);

    for (bytes, words) in
        [(&good[1..], "bytes, the manifest says"), (&[&good[..], b"x"].concat(), "bytes, the manifest")]
    {
        server.put("shop", key, bytes);
        let ran = run_in(here, &server, &["recommend", "--popular", "--run", "r"]);
        assert!(ran.stderr.contains(&format!("it has {} {words}", bytes.len())), "{}", ran.stderr);
        let ran = run_in(here, &server, &["runs", "verify", "r"]);
        assert!(ran.stdout.contains(&format!("has {} bytes instead of {}", bytes.len(), good.len())), "{}", ran.stdout);
    }
    fs::remove_file(server.file("shop", key)).unwrap();
    server.put("shop", "nightly/runs/r/extra.bin", b"x");
    let ran = run_in(here, &server, &["runs", "verify", "r"]);
    assert!(ran.stdout.contains("extra.bin: is not in the manifest"), "{}", ran.stdout);
    assert!(ran.stdout.contains("items/items.parquet: is not there"), "{}", ran.stdout);
    let ran = run_in(here, &server, &["recommend", "--popular", "--run", "r"]);
    assert!(ran.stderr.contains(&format!("s3://shop/{key} is damaged: it is not there")), "{}", ran.stderr);
    // A manifest that cannot be used is shown and never opened.
    server.put("shop", "nightly/runs/r/manifest.json", b"{");
    let ran = run_in(here, &server, &["runs", "list"]).ok();
    assert!(ran.stderr.contains("a directory with an unusable manifest"), "{}", ran.stderr);
}

#[test]
fn large_files_go_up_in_parts_and_come_back() {
    let (server, scratch) = (S3Server::start(), tempfile::tempdir().unwrap());
    let root = root_with(&server, scratch.path(), |config| config.part_bytes = 64 << 10);
    let (large, exact) = (noise((1 << 20) + 123, 1), noise(128 << 10, 2));
    let files: [(&str, &[u8]); 4] =
        [("m/large.bin", &large), ("m/exact.bin", &exact), ("m/part.bin", &exact[..64 << 10]), ("m/empty.bin", b"")];
    let writes = &server.faults.writes;
    writes.slow_downs.store(2, SeqCst);
    let run = commit(writer(&root, "r", &files).unwrap(), NOON).unwrap();
    assert_eq!(writes.slow_downs.load(SeqCst), 0, "the faults were met");
    assert!((17 + 2..=17 + 2 + 2).contains(&writes.n_parts.load(SeqCst)), "{:?}", writes.n_parts);
    let most = writes.max_in_flight.load(SeqCst);
    assert!((2..=8).contains(&most), "{most} parts under way at once");
    assert_eq!(writes.open_uploads(), [""; 0]);
    let again = open_run(&root, "r").unwrap();
    assert_eq!(again.manifest(), run.manifest());
    for (path, bytes) in files {
        assert!(again.read(path).unwrap() == bytes, "{path}");
    }
    assert_whole(&again);
    assert_eq!(again.path(), Path::new("s3://shop/runs/r"));
    assert_eq!(again.local_path(), None);
    assert!(matches!(again.read("m/none.bin"), Err(ArtifactError::NoSuchFile { .. })));

    // Objects of more than 8 MiB come back in parts as well.
    let huge = noise((17 << 20) + 1, 3);
    let root = root_with(&server, scratch.path(), |config| config.part_bytes = 5 << 20);
    let run = commit(writer(&root, "huge", &[("m/huge.bin", &huge)]).unwrap(), NOON).unwrap();
    let n_gets = server.faults.n_gets.load(SeqCst);
    assert!(run.read("m/huge.bin").unwrap() == huge);
    assert_eq!(server.faults.n_gets.load(SeqCst) - n_gets, 3);
    assert_whole(&run);
}

#[test]
fn an_upload_that_fails_leaves_nothing() {
    let (server, scratch) = (S3Server::start(), tempfile::tempdir().unwrap());
    let root = root_with(&server, scratch.path(), |config| config.part_bytes = 64 << 10);
    let large = noise(1 << 20, 1);
    let files: [(&str, &[u8]); 3] = [("m/large.bin", &large), ("m/other.bin", &large), ("a/small.bin", b"small")];
    let writes = &server.faults.writes;
    writes.refused_part.store(3, SeqCst);
    let error = commit(writer(&root, "r", &files).unwrap(), NOON).unwrap_err();
    let ArtifactError::Storage(error @ StorageError::AccessDenied { action: "write", .. }) = &error else {
        panic!("{error:?}");
    };
    assert!(error.to_string().starts_with("cannot write `s3://shop/runs/r/m/"), "{error}");
    assert!(error.hint().unwrap().contains("s3:AbortMultipartUpload"));
    assert_eq!(writes.open_uploads(), [""; 0]);
    assert_eq!(keys(&server, "runs"), [""; 0]);
    writes.refused_part.store(0, SeqCst);

    // Dropped without a commit: not even the claim stays.
    let dropped = writer(&root, "r", &files).unwrap();
    assert_eq!(keys(&server, "runs"), ["runs/.claims/r.json"]);
    drop(dropped);
    assert_eq!(keys(&server, "runs"), [""; 0]);

    // A file that changed between its writing and its upload never becomes a run.
    for path in ["m/large.bin", "a/small.bin"] {
        let changed = writer(&root, "r", &files).unwrap();
        let file = changed.partial_dir().join(path);
        let mut bytes = fs::read(&file).unwrap();
        bytes[3] ^= 1;
        fs::write(&file, bytes).unwrap();
        let error = commit(changed, NOON).unwrap_err();
        assert!(matches!(error, ArtifactError::Storage(_)), "{error:?}");
        assert_eq!((keys(&server, "runs"), writes.open_uploads()), (Vec::new(), Vec::new()), "{path}");
    }
    assert_whole(&commit(writer(&root, "r", &files).unwrap(), NOON).unwrap());
}

#[test]
fn a_write_whose_answer_is_lost_is_settled_by_looking() {
    let (server, scratch) = (S3Server::start(), tempfile::tempdir().unwrap());
    let large = noise(200 << 10, 1);
    let files: [(&str, &[u8]); 2] = [("m/large.bin", &large), ("a/small.bin", b"small")];
    // With repetitions (which meet the writer's own object) and without.
    for (at, max_attempts) in [2, 1].into_iter().enumerate() {
        let root = root_with(&server, scratch.path(), |config| {
            config.part_bytes = 64 << 10;
            config.max_attempts = max_attempts;
        });
        for (number, key) in ["manifest.json", "large.bin", "small.bin", ".claims/r02.json"].into_iter().enumerate() {
            let name = format!("r{at}{number}");
            let key = if key.starts_with('.') { format!(".claims/{name}.json") } else { key.to_owned() };
            *server.faults.writes.fail_written.lock().unwrap() = (key.clone(), 1);
            let run = commit(writer(&root, &name, &files).unwrap(), NOON).unwrap();
            assert_eq!(server.faults.writes.fail_written.lock().unwrap().1, 0, "{key}: the fault was met");
            assert_whole(&run);
        }
    }
    assert_eq!(keys(&server, "runs/.claims"), [""; 0]);
    assert_eq!(server.faults.writes.open_uploads(), [""; 0]);
    // The two keys that were written under the same name by another are told from one's own.
    let root = root_with(&server, scratch.path(), |config| config.max_attempts = 1);
    let refused = writer(&root, "mine", &files).unwrap();
    server.put("shop", "runs/mine/manifest.json", b"{}");
    assert!(matches!(commit(refused, NOON), Err(ArtifactError::RunExists { .. })));
}

#[test]
fn pruning_takes_the_manifest_first() {
    let (server, scratch) = (S3Server::start(), tempfile::tempdir().unwrap());
    let root = root(&server, scratch.path());
    for (day, name) in ["a", "b", "c"].into_iter().enumerate() {
        let created = format!("2026-11-2{day}T00:00:00Z");
        commit(writer(&root, name, &[("x/1.bin", b"1"), ("x/2.bin", b"2")]).unwrap(), &created).unwrap();
    }
    assert_eq!(names(&root), ["c", "b", "a"]);
    assert_eq!(open_run(&root, "latest").unwrap().name(), "c");
    let plan = prune(&root, 1, true).unwrap();
    assert_eq!((plan.kept.as_slice(), plan.removed.as_slice()), (&["c".to_owned()][..], &["b".into(), "a".into()][..]));
    assert_eq!(names(&root), ["c", "b", "a"]);
    let before = server.faults.writes.deleted().len();
    assert_eq!(prune(&root, 1, false).unwrap(), plan);
    let files = |run: &str| ["manifest.json", "x/1.bin", "x/2.bin"].map(|path| format!("runs/{run}/{path}"));
    let gone = server.faults.writes.deleted();
    let gone: Vec<_> = gone[before..].iter().filter(|key| !key.contains(".claims")).cloned().collect();
    assert_eq!(gone, [files("a"), files("b")].concat());
    assert_eq!(names(&root), ["c"]);
    assert_eq!(keys(&server, "runs"), files("c"));
    assert!(matches!(open_run(&root, "a"), Err(ArtifactError::NoSuchRun { .. })));
    // Runs may lie in the bucket itself, and beside what is none.
    server.put("shop", "readme.txt", b"x");
    let bucket = RunsRoot::parse("s3://shop", &server.storage()).unwrap().with_scratch(Some(scratch.path()));
    assert_eq!(names(&bucket), [""; 0]);
    assert_whole(&commit(writer(&bucket, "top", &[("x/1.bin", b"1")]).unwrap(), NOON).unwrap());
    assert_eq!(names(&bucket), ["top"]);
    // A name that another process holds is left alone.
    let _held = writer(&root, "c2", &[]).unwrap();
    server.put("shop", "runs/.claims/c.json", b"{}");
    commit(writer(&root, "d", &[]).unwrap(), NOON).unwrap();
    assert!(matches!(prune(&root, 1, false), Err(ArtifactError::RunLocked { .. })));
    assert_eq!(names(&root), ["d", "c"]);
}

#[test]
fn a_slow_line_is_no_reason_to_give_up() {
    let (server, scratch) = (S3Server::start(), tempfile::tempdir().unwrap());
    let root = root_with(&server, scratch.path(), |config| {
        config.read_timeout_ms = 1_000;
        config.max_attempts = 2;
    });
    let large = noise((8 << 20) + 1, 1);
    let run = writer(&root, "r", &[("m/large.bin", &large), ("a/small.bin", b"small")]).unwrap();
    // Longer than the wait for an answer to a request that sends nothing; shorter than a part may take.
    server.faults.writes.slow_ms.store(1_300, SeqCst);
    assert_whole(&commit(run, NOON).unwrap());
}

/// The exit code and what the program said on stderr.
fn said(ran: &Ran) -> String {
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stderr.contains("panicked at"), "{}", ran.stderr);
    format!("exit code {}\n{}", ran.code.unwrap(), ran.stderr)
}

#[test]
fn wrong_places_are_refused_before_the_work() {
    let (server, here) = (S3Server::start(), shop());
    let here: PathBuf = here.path().to_owned();
    let run = |arguments: &[&str]| said(&run_in(&here, &server, arguments));
    let forbidden = format!("s3://{FORBIDDEN}/runs");
    insta::assert_snapshot!("forbidden_build", run(&["build", "--run", "r", "--runs", &forbidden]));
    insta::assert_snapshot!("forbidden_list", run(&["runs", "list", "--runs", &forbidden]));
    insta::assert_snapshot!("no_bucket_build", run(&["build", "--run", "r", "--runs", "s3://nowhere/runs"]));
    insta::assert_snapshot!("no_bucket_list", run(&["runs", "list", "--runs", "s3://nowhere/runs"]));
    insta::assert_snapshot!("no_run", run(&["runs", "show", "r"]));
    insta::assert_snapshot!("no_runs", run(&["recommend", "--popular"]));
    insta::assert_snapshot!("other_scheme", run(&["runs", "list", "--runs", "gs://shop/runs"]));
    insta::assert_snapshot!("wildcard", run(&["build", "--runs", "s3://shop/runs-*"]));
    server.put("shop", "nightly/runs/r/manifest.json", b"{}");
    insta::assert_snapshot!("name_taken", run(&["build", "--run", "r"]));
    let empty = run_in(&here, &server, &["runs", "list", "--runs", "s3://shop/none"]).ok();
    assert_eq!(empty.stdout, "no runs in s3://shop/none\n");
    assert_eq!(keys(&server, "nightly"), ["nightly/runs/r/manifest.json"]);
}
