//! `nightshelf emr` against a fake of EMR: one run, whatever happens on the way.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::Stdio,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    dynamo::Fault,
    emr::{EmrServer, Script},
    program::{Ran, command, nightshelf_in},
    s3::{Environment, S3Server},
};

/// The first bytes of a program for x86_64: nothing here runs it.
const PROGRAM: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0";

const STEPS: [&str; 8] = ["plan", "shuffle", "survey", "merge", "aggregate", "train", "recommend", "seal"];

/// A machine from which runs are submitted, an S3 and an EMR.
struct Shop {
    directory: TempDir,
    s3: S3Server,
    emr: EmrServer,
}

impl Shop {
    fn new() -> Self {
        let shop = Self { directory: tempfile::tempdir().unwrap(), s3: S3Server::start(), emr: EmrServer::start() };
        fs::write(shop.path("nightshelf-linux"), PROGRAM).unwrap();
        let config = r#"
            [build]
            runs = "s3://shop/runs"
            [events]
            paths = ["s3://shop/events/"]
            [s3]
            max_attempts = 2
            [emr]
            work = "s3://shop/nightshelf"
            binary = "nightshelf-linux"
            timeout_ms = 1000
            settle_ms = 600
            poll_ms = 20
            retry = { max_attempts = 6, base_ms = 5, cap_ms = 50 }
            [emr.create]
            log_uri = "s3://shop/emr-logs"
            subnets = ["subnet-1"]
        "#;
        fs::write(shop.path("nightshelf.toml"), config).unwrap();
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn environment(&self) -> Environment {
        self.emr.environment(self.s3.environment())
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        nightshelf_in(self.directory.path(), &[&["emr"], arguments].concat(), &self.environment())
    }

    /// Submits run `n` to where `to` says.
    fn submit(&self, to: &[&str]) -> Ran {
        self.run(&[&["submit", "--run", "n"], to].concat())
    }

    /// The submissions that EMR took: names of the steps, of all clusters together.
    fn step_names(&self) -> Vec<String> {
        let clusters = self.emr.clusters();
        let names = clusters.all.iter().flat_map(|cluster| cluster.step_names());
        names.map(str::to_owned).collect()
    }

    /// Checks that run `n` was submitted once.
    #[track_caller]
    fn is_there_once(&self) {
        assert_eq!(self.step_names(), names(1));
    }

    /// Puts a step's log where EMR copies it.
    fn put_log(&self, cluster: &str, step: &str, stream: &str, text: &str) {
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(text.as_bytes()).unwrap();
        let key = format!("emr-logs/{cluster}/steps/{step}/{stream}.gz");
        self.s3.put("shop", &key, &packer.finish().unwrap());
    }
}

/// The names of an attempt's steps.
fn names(attempt: u32) -> Vec<String> {
    STEPS.iter().enumerate().map(|(at, step)| format!("nightshelf/n/{attempt}/{:02}-{step}", at + 1)).collect()
}

fn runs() -> Script {
    Script { runs: true, ..Script::default() }
}

#[test]
fn a_run_is_added_to_a_running_cluster_as_printed_and_once() {
    let shop = Shop::new();
    let cluster = shop.emr.shared_cluster(1);
    let to = ["--cluster", &*cluster];
    let printed = shop.submit(&[&to[..], &["--dry-run"]].concat()).json();
    assert_eq!(shop.emr.requests("AddJobFlowSteps").len(), 0, "a dry run sends nothing");
    assert!(!shop.s3.file("shop", "nightshelf").exists(), "and uploads nothing");

    let first = shop.submit(&[&to[..], &["--json"]].concat()).json();
    assert_eq!((&first["cluster"], &first["adopted"]), (&json!(cluster), &json!(false)));
    let sent = shop.emr.requests("AddJobFlowSteps");
    assert_eq!(printed, json!({"operation": "AddJobFlowSteps", "request": sent[0]}));
    shop.is_there_once();

    // What the steps name is there.
    let args = shop.emr.clusters().cluster(&cluster).steps[4].args.clone();
    for uri in args.iter().flat_map(|arg| arg.split(',')).filter(|arg| arg.starts_with("s3://shop/nightshelf/assets/"))
    {
        assert!(shop.s3.file("shop", uri.strip_prefix("s3://shop/").unwrap()).is_file(), "{uri}");
    }

    let second = shop.submit(&[&to[..], &["--json"]].concat()).json();
    assert_eq!(second["adopted"], true);
    assert_eq!(second["steps"], first["steps"]);
    assert_eq!(shop.emr.requests("AddJobFlowSteps").len(), 1);
}

#[test]
fn a_cluster_is_made_as_printed_and_once() {
    let shop = Shop::new();
    let printed = shop.submit(&["--create", "--dry-run"]).json();
    shop.submit(&["--create"]).ok();
    assert_eq!(printed, json!({"operation": "RunJobFlow", "request": shop.emr.requests("RunJobFlow")[0]}));
    let again = shop.submit(&["--create"]).ok();
    assert!(again.stdout.contains("run n is there already"), "{}", again.stdout);
    assert_eq!(shop.emr.requests("RunJobFlow").len(), 1);
    shop.is_there_once();
}

#[test]
fn the_request_of_a_new_cluster() {
    let shop = Shop::new();
    let printed = shop.submit(&["--create", "--dry-run", "--as-of", "2026-11-21"]).ok().stdout;
    insta::with_settings!({filters => vec![(r"assets/[0-9a-f]{16}/", "assets/HASH/")]}, {
        insta::assert_snapshot!("emr_dry_run", printed);
    });
}

#[test]
fn lost_answers_never_submit_twice() {
    let faults = [
        Fault::ResetAfter,
        Fault::FailedAfter,
        Fault::Truncated,
        Fault::Stalled(Duration::from_millis(2_500)),
        Fault::Throttled,
        Fault::FailedBefore,
    ];
    for fault in faults {
        for is_created in [false, true] {
            let shop = Shop::new();
            // EMR's lists may lag behind what it has taken.
            shop.emr.script(Script { lists_lag: 1, ..Script::default() });
            let cluster = if is_created { String::new() } else { shop.emr.shared_cluster(1) };
            let name = fault.name();
            let fault = fault.clone();
            let is_submission = |operation: &str| matches!(operation, "RunJobFlow" | "AddJobFlowSteps");
            shop.emr.go_wrong(move |operation, number| (is_submission(operation) && number < 2).then(|| fault.clone()));
            let to: &[&str] = if is_created { &["--create"] } else { &["--cluster", &cluster] };
            let ran = shop.submit(to);
            assert_eq!(ran.code, Some(0), "{name}, create: {is_created}\n{}", ran.stderr);
            shop.is_there_once();
        }
    }
}

#[test]
fn a_throttled_and_failing_service_is_asked_until_it_answers() {
    let shop = Shop::new();
    let cluster = shop.emr.shared_cluster(1);
    let n = AtomicU64::new(0);
    shop.emr.go_wrong(move |_, _| match n.fetch_add(1, SeqCst) % 3 {
        0 => Some(Fault::Throttled),
        1 => Some(Fault::FailedAfter),
        _ => None,
    });
    shop.submit(&["--cluster", &cluster]).ok();
    shop.is_there_once();
}

#[test]
fn who_gave_up_is_followed_by_one_who_finds_what_is_there() {
    let shop = Shop::new();
    let cluster = shop.emr.shared_cluster(1);
    // Taken, but the answer is lost and so is every list after it.
    let is_taken = std::sync::atomic::AtomicBool::new(false);
    shop.emr.go_wrong(move |operation, _| match operation {
        "AddJobFlowSteps" => {
            is_taken.store(true, SeqCst);
            Some(Fault::ResetAfter)
        }
        _ if is_taken.load(SeqCst) => Some(Fault::Throttled),
        _ => None,
    });
    let ran = shop.submit(&["--cluster", &cluster]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: the same command again looks for what is there first"), "{}", ran.stderr);
    shop.emr.go_wrong(|_, _| None);
    let began = Instant::now();
    let ran = shop.submit(&["--cluster", &cluster]).ok();
    assert!(ran.stdout.contains("is there already"), "{}", ran.stdout);
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "nobody's silence is waited for: the first has said that it gave up"
    );
    shop.is_there_once();
}

#[test]
fn of_shells_that_submit_at_once_one_does() {
    for is_created in [false, true] {
        let shop = Shop::new();
        let cluster = shop.emr.shared_cluster(1);
        let to: &[&str] = if is_created { &["--create"] } else { &["--cluster", &cluster] };
        let arguments = [&["emr", "submit", "--run", "n", "--json"], to].concat();
        let start = || {
            let mut command = command(shop.directory.path(), &arguments, &shop.environment());
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let shells: Vec<_> = (0..4).map(|_| start()).collect();
        let mut answers = Vec::new();
        for shell in shells {
            let output = shell.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            answers.push(serde_json::from_slice::<Value>(&output.stdout).unwrap());
        }
        shop.is_there_once();
        assert!(answers.iter().all(|answer| answer["steps"] == answers[0]["steps"]), "{answers:?}");
        let n_new = answers.iter().filter(|answer| answer["adopted"] == false).count();
        assert_eq!(n_new, 1, "{answers:?}");
    }
}

#[test]
fn a_shell_that_was_killed_in_the_middle_is_followed_by_one_that_adopts() {
    let shop = Shop::new();
    let slow = |operation: &str, _| (operation == "RunJobFlow").then_some(Fault::Stalled(Duration::from_secs(60)));
    shop.emr.go_wrong(slow);
    let arguments = ["emr", "submit", "--run", "n", "--create"];
    let mut child =
        command(shop.directory.path(), &arguments, &shop.environment()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while shop.emr.requests("RunJobFlow").is_empty() {
        assert!(Instant::now() < deadline, "nothing was sent");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    shop.emr.go_wrong(|_, _| None);
    let ran = shop.submit(&["--create"]).ok();
    assert!(ran.stdout.contains("is there already"), "{}", ran.stdout);
    shop.is_there_once();
}

#[test]
fn a_run_that_is_waited_for_tells_of_its_steps() {
    let shop = Shop::new();
    shop.emr.script(runs());
    for bucket in ["000", "001", "002"] {
        shop.s3.put("shop", &format!("nightshelf/work/n/aggregate/bucket-{bucket}/done.json"), b"{}");
    }
    let ran = shop.submit(&["--create", "--wait"]).ok();
    assert!(ran.stderr.contains("step 5 of 8 aggregate RUNNING, 3 of 64 buckets"), "{}", ran.stderr);
    assert!(ran.stderr.contains("step 8 of 8 seal COMPLETED"), "{}", ran.stderr);
    assert!(ran.stdout.contains("(TERMINATING): done"), "{}", ran.stdout);
    // A run that is done stays done.
    assert!(shop.submit(&["--create"]).ok().stdout.contains("is there already"));
    let listed = shop.run(&["status", "--json"]).json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["run"], "n");
}

#[test]
fn a_step_that_fails_is_told_with_its_log_and_the_run_goes_on_as_another_attempt() {
    for is_created in [false, true] {
        let shop = Shop::new();
        let shared = shop.emr.shared_cluster(1);
        let to: &[&str] = if is_created { &["--create"] } else { &["--cluster", &shared] };
        shop.emr.script(Script { fails: vec!["05-aggregate", "06-train", "07-recommend", "08-seal"], ..runs() });
        let ran = shop.submit(&[to, &["--wait"]].concat());
        assert_eq!(ran.code, Some(6), "{}", ran.stderr);
        assert!(ran.stderr.contains("step aggregate of run n failed: exitCode 1"), "{}", ran.stderr);
        assert!(ran.stderr.contains("`nightshelf emr logs --run n` shows why"), "{}", ran.stderr);

        let missing = shop.run(&["logs", "--run", "n"]);
        assert_eq!(missing.code, Some(1));
        assert!(missing.stderr.contains("there is no log of step aggregate"), "{}", missing.stderr);
        let status = shop.run(&["status", "--run", "n", "--json"]);
        assert_eq!(status.code, Some(6));
        let status: Value = serde_json::from_str(&status.stdout).unwrap();
        assert_eq!(status["verdict"], json!({"state": "failed", "step": "aggregate", "reason": "exitCode 1"}));
        // As spark-submit leaves it: its own words on stderr, the driver's on stdout.
        let (cluster, step) = (status["cluster"].as_str().unwrap(), status["steps"][4]["id"].as_str().unwrap());
        let spark = "26/11/22 01:00:00 INFO Client: application_1763773200000_0042\n26/11/22 01:00:09 INFO ShutdownHookManager\n";
        shop.put_log(cluster, step, "stderr", spark);
        let shown = shop.run(&["logs", "--run", "n"]).ok().stdout;
        assert!(shown.contains("ShutdownHookManager"), "the last lines, where nothing is better: {shown}");
        let driver = "nightshelf aggregate: 64 buckets in 64 tasks\n\
                      error: stage aggregate failed: `worker aggregate --bucket 7` ended with exit code 1\n  \
                      error: cannot read x.parquet\n    because: EOF\n";
        shop.put_log(cluster, step, "stdout", driver);
        let shown = shop.run(&["logs", "--run", "n"]).ok().stdout;
        assert!(shown.contains("error: stage aggregate failed: `worker aggregate --bucket 7`"), "{shown}");
        assert!(shown.contains("because: EOF") && !shown.contains("ShutdownHookManager"), "{shown}");
        assert!(shown.contains("containers/ of application_1763773200000_0042"), "{shown}");

        shop.emr.script(runs());
        let ran = shop.submit(&[to, &["--wait"]].concat()).ok();
        assert!(ran.stdout.contains("attempt 2"), "{}", ran.stdout);
        assert_eq!(shop.step_names(), [names(1), names(2)].concat());
    }
}

#[test]
fn a_cluster_that_ends_is_no_failure_of_a_step() {
    let shop = Shop::new();
    shop.emr.script(Script { ends_at: Some("06-train"), ..runs() });
    let ran = shop.submit(&["--create", "--wait"]);
    assert_eq!(ran.code, Some(8), "{}", ran.stderr);
    assert!(ran.stderr.contains("ended before run n was done: The master node was terminated"), "{}", ran.stderr);
    let code = shop.run(&["status", "--run", "n"]).code;
    assert_eq!(code, Some(8));
}

#[test]
fn a_cancelled_run_ends_and_others_steps_do_not() {
    let shop = Shop::new();
    let cluster = shop.emr.shared_cluster(1);
    shop.submit(&["--cluster", &cluster]).ok();
    shop.run(&["submit", "--run", "other", "--cluster", &cluster]).ok();
    shop.emr.go_wrong(|operation, number| (operation == "CancelSteps" && number == 0).then_some(Fault::ResetAfter));
    let ran = shop.run(&["cancel", "--run", "n"]).ok();
    assert!(ran.stdout.contains("run n is cancelled"), "{}", ran.stdout);
    assert_eq!(shop.run(&["status", "--run", "n"]).code, Some(7));
    assert_eq!(shop.run(&["status", "--run", "other"]).code, Some(0));
    assert!(shop.run(&["cancel", "--run", "n"]).ok().stdout.contains("had ended already"));

    let shop = Shop::new();
    shop.submit(&["--create"]).ok();
    let ran = shop.run(&["cancel", "--run", "n"]).ok();
    assert!(ran.stdout.contains("cluster j-0000000000001 ends"), "{}", ran.stdout);
    assert_eq!(shop.emr.clusters().all[0].state, "TERMINATED");
    let ran = shop.run(&["status", "--run", "n", "--wait"]);
    assert_eq!(ran.code, Some(7), "{}", ran.stderr);
}

#[test]
fn a_wait_that_is_too_long_leaves_the_run_alone() {
    let shop = Shop::new();
    let ran = shop.submit(&["--create", "--wait", "--timeout", "1s"]);
    assert_eq!(ran.code, Some(9), "{}", ran.stderr);
    assert!(ran.stderr.contains("`nightshelf emr status --run n --wait` goes on waiting"), "{}", ran.stderr);
    assert!(shop.emr.requests("TerminateJobFlows").is_empty());
    shop.emr.script(runs());
    shop.run(&["status", "--run", "n", "--wait"]).ok();
}

#[test]
fn a_full_cluster_is_told_as_such() {
    let shop = Shop::new();
    let cluster = shop.emr.shared_cluster(1);
    for n in 0..31 {
        shop.run(&["submit", "--run", &format!("r{n}"), "--cluster", &cluster]).ok();
    }
    shop.submit(&["--cluster", &cluster]).ok();
    let ran = shop.run(&["submit", "--run", "one-more", "--cluster", &cluster]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("has no room for 8 more steps"), "{}", ran.stderr);
}

#[test]
fn steps_that_may_overlap_are_one_step() {
    let shop = Shop::new();
    let cluster = shop.emr.shared_cluster(5);
    shop.submit(&["--cluster", &cluster]).ok();
    assert_eq!(shop.step_names(), ["nightshelf/n/1/01-all"]);
    let args = shop.emr.clusters().cluster(&cluster).steps[0].args.clone();
    let script = args[2].split_whitespace().find(|word| word.starts_with("s3://")).unwrap().to_owned();
    let script = fs::read_to_string(shop.s3.file("shop", script.strip_prefix("s3://shop/").unwrap())).unwrap();
    let at = |text: &str| script.find(text).unwrap_or_else(|| panic!("no {text} in\n{script}"));
    assert!(script.contains("set -euo pipefail"));
    assert!(at("worker plan") < at("shuffle_events.py") && at("./nightshelf train") < at("worker seal"));
}

#[test]
fn the_same_name_with_other_settings_is_refused() {
    let shop = Shop::new();
    let cluster = shop.emr.shared_cluster(1);
    shop.submit(&["--cluster", &cluster]).ok();
    let ran = shop.submit(&["--cluster", &cluster, "--set", "recommendations.k=7"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("run n is submitted already, with another config"), "{}", ran.stderr);
    // How it is waited for is no part of a build.
    shop.submit(&["--cluster", &cluster, "--set", "emr.poll_ms=77"]).ok();
    shop.is_there_once();
}

#[test]
fn what_a_cluster_cannot_do_is_refused_before_anything_is_sent() {
    let shop = Shop::new();
    let refused = |arguments: &[&str], code: i32, text: &str| {
        let ran = shop.submit(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}\n{}", ran.stderr);
        assert!(ran.stderr.contains(text), "{arguments:?}\n{}", ran.stderr);
    };
    refused(&["--create", "--set", "build.runs=runs"], 2, "a cluster reads and writes s3:// only, but build.runs = ");
    refused(&[], 2, "name a cluster with --cluster or emr.cluster");
    refused(&["--cluster", "j-NOSUCH"], 1, "cannot describe cluster j-NOSUCH: it is not there");
    let arm = "emr.create={primary={instance_types=['m7g.xlarge'],on_demand=1},core={instance_types=[],on_demand=0}}";
    refused(&["--create", "--set", arm], 1, "it is for x86_64, and m7g.xlarge has other processors");
    refused(&["--create", "--set", "emr.binary=nightshelf.toml"], 1, "it is no program for Linux");
    let password = ["--create", "--set", "publish.targets=['postgres']", "--set", "publish.postgres.password_file=p"];
    refused(&password, 2, "a password in a file or variable of this machine does not reach a cluster");
    let unnameable = shop.run(&["submit", "--run", "a/b", "--create"]);
    assert_eq!(unnameable.code, Some(1));
    assert!(unnameable.stderr.contains("a/b"), "{}", unnameable.stderr);
    assert!(shop.emr.requests("RunJobFlow").is_empty());
    let unknown = shop.run(&["status", "--run", "nobody"]);
    assert_eq!(unknown.code, Some(1));
    assert!(
        unknown.stderr.contains("no run nobody was submitted from s3://shop/nightshelf/submissions"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn own_step_definitions_take_the_place_of_the_programs() {
    let shop = Shop::new();
    fs::create_dir(shop.path("jobs")).unwrap();
    let jobs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("jobs");
    for name in ["shuffle_events.py", "run_partitions.py"] {
        fs::copy(jobs.join(name), shop.path("jobs").join(name)).unwrap();
    }
    let steps = fs::read_to_string(jobs.join("steps.json")).unwrap();
    fs::write(
        shop.path("jobs/steps.json"),
        steps.replace("\"--deploy-mode\", \"client\"", "\"--deploy-mode\", \"cluster\""),
    )
    .unwrap();
    let printed = shop.submit(&["--create", "--dry-run", "--set", "emr.jobs=jobs"]).json();
    assert_eq!(printed["request"]["Steps"][1]["HadoopJarStep"]["Args"][2], "cluster");
    fs::write(shop.path("jobs/steps.json"), "{}").unwrap();
    let ran = shop.submit(&["--create", "--dry-run", "--set", "emr.jobs=jobs"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("cannot use the step definitions of jobs/steps.json"), "{}", ran.stderr);
}

#[test]
fn a_plan_tells_hours_and_dollars() {
    let shop = Shop::new();
    let sizes = ["--plan", "--events", "1000000000", "--users", "50000000", "--items", "2000000"];
    let ran = shop.submit(&sizes).ok();
    assert!(ran.stdout.contains("1,000,000,000 events, 50,000,000 users, 2,000,000 items"), "{}", ran.stdout);
    assert!(ran.stdout.contains("recommend") && ran.stdout.contains("(slowest)"), "{}", ran.stdout);
    let estimate = shop.submit(&[&sizes[..], &["--json"]].concat()).json();
    let dollars = estimate["dollars"].as_f64().unwrap();
    assert!(dollars > 1.0, "{estimate}");
    let halved = [&sizes[..], &["--json", "--set", "emr.create.core.on_demand=8"]].concat();
    let halved = shop.submit(&halved).json();
    assert!(halved["seconds"].as_f64() < estimate["seconds"].as_f64());
}
