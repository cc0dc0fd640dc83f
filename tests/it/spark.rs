//! A real Spark cluster (a master and two workers) runs the jobs: the bytes of a build in one process, also when a worker
//! process is killed and when tasks fail.
//!
//! `scripts/spark.sh` fetches Spark and runs these; alone they are ignored.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nightshelf::{
    artifacts::{Run, open_run, verify},
    synth::{self, generate},
};
use serde_json::Value;

use crate::support::{
    emr::EmrServer,
    program::{Ran, nightshelf_in, text},
    s3::{Environment, S3Server},
    spark::SparkCluster,
};

const CONFIG: &str = r#"
[catalog]
path = "PLACE/shop/catalog.parquet"
[build]
runs = "PLACE/runs"
[events]
paths = ["PLACE/shop/events/"]
[orders]
paths = ["PLACE/shop/orders.parquet"]
purchases_from = "orders"
[interactions]
n_buckets = 8
max_events_per_active_day = 60.0
[model.als]
n_factors = 8
iterations = 3
[recommendations]
k = 12
[recommendations.similar]
min_pair_users = 3
[publish]
targets = []
[emr]
work = "s3://shop/nightshelf"
poll_ms = 50
[emr.spark]
worker_threads = 1
worker_memory_mb = 256
executor_cores = 1
executor_memory_mb = 512
shuffle_memory_mb = 512
recommend_buckets_per_task = 3
"#;

/// A shop with what a night may bring: orders, a catalogue, dirty rows, bots, rows of nobody, dated partitions.
fn shop(place: &Path) {
    let config = synth::Config {
        users: 400,
        items: 120,
        events: 15_000,
        days: 9,
        start: jiff::civil::date(2024, 6, 1),
        rows_per_file: 1_000,
        null_user_rate: 0.02,
        null_item_rate: 0.008,
        unknown_type_rate: 0.006,
        duplicate_rate: 0.012,
        future_rate: 0.004,
        bot_user_rate: 0.01,
        bot_event_rate: 0.15,
        unavailable_rate: 0.1,
        ..synth::Config::default()
    };
    generate(&config, &place.join("shop"), &|_| {}).unwrap();
}

fn jobs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs").join(name)
}

/// One distributed build on local files.
struct Night<'a> {
    here: &'a Path,
    spark: &'a SparkCluster,
    work: PathBuf,
    binary: PathBuf,
}

impl<'a> Night<'a> {
    fn new(here: &'a Path, spark: &'a SparkCluster, name: &str, binary: &str) -> Self {
        Self { here, spark, work: here.join("work").join(name), binary: PathBuf::from(binary) }
    }

    fn worker(&self, arguments: &[&str]) -> Ran {
        let config = self.here.join("nightshelf.toml");
        let all = [arguments, &["--config", text(&config), "--work", text(&self.work)]].concat();
        nightshelf_in(self.here, &all, &[])
    }

    fn job(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = self.spark.submit(self.here);
        // An executor a core, so that killing one worker of the cluster loses tasks.
        command.args(["--conf", "spark.executor.cores=1", "--conf", "spark.executor.memory=512m"]);
        if arguments.first() == Some(&"aggregate") {
            // Both workers' executors begin together, so that the one that is killed has a task.
            let together = "spark.scheduler.minRegisteredResourcesRatio=1.0";
            command.args(["--conf", together, "--conf", "spark.cores.max=2"]);
        }
        command.arg(jobs(name)).args(arguments).arg("--work").arg(&self.work);
        if name == "run_partitions.py" {
            command.arg("--binary").arg(&self.binary).arg("--config").arg(self.here.join("nightshelf.toml"));
        }
        command
    }

    /// Runs a job to its end; whether it went well, and what it said: Spark's words, then the driver's.
    fn ran(&self, name: &str, arguments: &[&str]) -> (bool, String) {
        let output = self.job(name, arguments).output().unwrap();
        let said = [output.stderr, output.stdout].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    #[track_caller]
    fn ok(&self, name: &str, arguments: &[&str]) -> String {
        let (went_well, said) = self.ran(name, arguments);
        assert!(went_well, "{name} {arguments:?}\n{said}");
        said
    }

    fn n_done(&self, stage: &str) -> usize {
        let buckets = fs::read_dir(self.work.join(stage)).into_iter().flatten();
        buckets.filter(|bucket| bucket.as_ref().unwrap().path().join("done.json").is_file()).count()
    }
}

/// What a run consists of, by its manifest, whose files are read again.
fn contents(runs: &Path, name: &str) -> (String, Value) {
    let run: Run =
        open_run(nightshelf::artifacts::RunsRoot::parse(text(runs), &Default::default()).unwrap(), name).unwrap();
    assert!(verify(&run).unwrap().problems.is_empty());
    let manifest = serde_json::to_value(run.manifest()).unwrap();
    (run.manifest().content_sha256.clone(), manifest["content"]["files"].clone())
}

#[test]
#[ignore = "needs Spark: scripts/spark.sh"]
fn a_cluster_builds_the_same_bytes_whatever_is_killed() {
    let here = tempfile::tempdir().unwrap();
    let here = here.path();
    shop(here);
    fs::write(here.join("nightshelf.toml"), CONFIG.replace("PLACE", text(here))).unwrap();
    nightshelf_in(here, &["build", "--config", "nightshelf.toml", "--run", "here"], &[]).ok();
    let expected = contents(&here.join("runs"), "here");
    let mut spark = SparkCluster::start(&here.join("spark"), &[], &[]);

    // Nothing goes wrong.
    let binary = env!("CARGO_BIN_EXE_nightshelf");
    {
        let night = Night::new(here, &spark, "calm", binary);
        night.worker(&["worker", "plan", "--run", "calm", "--item-parts", "3"]).ok();
        night.ok("shuffle_events.py", &[]);
        let again = night.ok("shuffle_events.py", &[]);
        assert!(again.contains("/events is there already"), "{again}");
        let said = night.ok("run_partitions.py", &["survey"]);
        assert!(said.contains("nightshelf survey: 8 buckets in 8 tasks"), "{said}");
        night.worker(&["worker", "merge", "survey"]).ok();
        night.ok("run_partitions.py", &["aggregate", "--buckets-per-task", "3"]);
        let said = night.ok("run_partitions.py", &["pairs"]);
        assert!(said.contains("nightshelf pairs: 3 parts in 3 tasks"), "{said}");
        night.worker(&["train"]).ok();
        night.ok("run_partitions.py", &["recommend"]);
        night.worker(&["worker", "seal"]).ok();
        assert_eq!(contents(&here.join("runs"), "calm"), expected);
    }
    let groups = spark.job_groups();
    let stages = ["shuffle-events", "shuffle-orders", "survey", "aggregate", "pairs", "recommend"];
    let named: BTreeSet<String> = stages.iter().map(|stage| format!("nightshelf-{stage}")).collect();
    assert!(named.is_subset(&groups), "Spark's UI groups jobs by stage: {groups:?}");

    // A poisoned partition ends the job, with its path and the reason.
    {
        let night = Night::new(here, &spark, "poisoned", binary);
        night.worker(&["worker", "plan", "--run", "poisoned"]).ok();
        night.ok("shuffle_events.py", &[]);
        let folder = night.work.join("events/bucket=003");
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let poisoned = files.into_iter().find(|path| path.extension().is_some_and(|end| end == "parquet")).unwrap();
        fs::write(&poisoned, b"PAR1 is not enough").unwrap();
        let (went_well, said) = night.ran("run_partitions.py", &["survey"]);
        assert!(!went_well);
        let last = said.rsplit("error: stage survey failed: ").next().unwrap();
        assert!(last.starts_with("`worker survey --bucket 3` ended with exit code 1"), "{last}");
        assert!(last.contains(poisoned.file_name().unwrap().to_str().unwrap()), "{last}");
        assert!(last.contains("attempt 3 of the task"), "it was tried four times: {last}");
    }

    // A task that is killed, one that fails, both once; then a worker of the cluster that is killed in the middle of a stage.
    let wrapper = here.join("unlucky.sh");
    let script = format!(
        "#!/bin/sh\n\
         once() {{ mkdir \"{0}/$1\" 2>/dev/null; }}\n\
         case \"$2 $8\" in\n\
         'recommend 2') if once killed; then kill -9 $$; fi;;\n\
         'recommend 5') if once failed; then echo 'error: out of luck' >&2; exit 1; fi;;\n\
         aggregate*) n=0; while [ ! -e {0}/go ] && [ $n -lt 1200 ]; do n=$((n+1)); sleep 0.1; done;;\n\
         esac\n\
         exec {1} \"$@\"\n",
        text(here),
        binary
    );
    fs::write(&wrapper, script).unwrap();
    Command::new("chmod").arg("+x").arg(&wrapper).status().unwrap();
    let worker_of_the_cluster = spark.take_worker();
    {
        let night = Night::new(here, &spark, "unlucky", text(&wrapper));
        night.worker(&["worker", "plan", "--run", "unlucky"]).ok();
        night.ok("shuffle_events.py", &[]);
        night.ok("run_partitions.py", &["survey"]);
        night.worker(&["worker", "merge", "survey"]).ok();
        let log = here.join("aggregate.log");
        let mut job = night.job("run_partitions.py", &["aggregate"]);
        let mut job = job.stderr(fs::File::create(&log).unwrap()).stdout(Stdio::null()).spawn().unwrap();
        // Tasks wait for the file `go`, so both executors are in the middle of one when a worker goes.
        let wait_for = |what: &dyn Fn(&str) -> bool| {
            let deadline = Instant::now() + Duration::from_secs(100);
            loop {
                let said = fs::read_to_string(&log).unwrap();
                if what(&said) {
                    return;
                }
                assert!(Instant::now() < deadline, "not in time\n{said}");
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        wait_for(&|said| (0..2).all(|executor| said.contains(&format!(", executor {executor}, partition "))));
        assert_eq!(night.n_done("aggregate"), 0);
        worker_of_the_cluster.kill();
        wait_for(&|said| said.contains("Lost executor"));
        fs::write(here.join("go"), "").unwrap();
        let went_well = job.wait().unwrap().success();
        let said = fs::read_to_string(&log).unwrap();
        assert!(went_well, "{said}");
        // A worker that is lost is no failure of its tasks: they begin anew without further words.
        let begins_anew = |line: &str| line.contains("Starting task") && line.contains(".1 in stage");
        assert!(said.contains("Lost executor") && said.lines().any(begins_anew), "the worker ran nothing: {said}");
        night.worker(&["train"]).ok();
        let said = night.ok("run_partitions.py", &["recommend"]);
        assert!(said.contains("`worker recommend --bucket 2` was killed by SIGKILL"), "{said}");
        assert!(said.contains("ended with exit code 1") && said.contains("out of luck"), "{said}");
        night.worker(&["worker", "seal"]).ok();
        assert_eq!(contents(&here.join("runs"), "unlucky"), expected);
    }
}

/// Steps as EMR's `command-runner.jar` would run them: their arguments as they were submitted, each in a directory of its own.
struct Executor<'a> {
    here: &'a Path,
    environment: Environment,
}

impl Executor<'_> {
    fn run(&self, number: usize, args: &[String]) -> (bool, String) {
        let directory = self.here.join(format!("step-{number}"));
        fs::create_dir(&directory).unwrap();
        let mut command = Command::new(&args[0]);
        command.args(&args[1..]).current_dir(directory).env_clear().stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (*name, value.as_str())));
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stderr, output.stdout].concat()).into_owned())
    }
}

#[test]
#[ignore = "needs Spark: scripts/spark.sh"]
fn the_steps_that_are_submitted_build_the_same_bytes() {
    let here = tempfile::tempdir().unwrap();
    let here = here.path();
    let (s3, emr) = (S3Server::start(), EmrServer::start());
    let bucket = s3.file("shop", "");
    shop(&bucket);
    fs::write(here.join("nightshelf.toml"), CONFIG.replace("PLACE", "s3://shop")).unwrap();
    let environment = emr.environment(s3.environment());
    nightshelf_in(here, &["build", "--run", "here"], &environment).ok();
    let expected = contents(&bucket.join("runs"), "here");
    // On the cluster pairs of items are counted apart, in blocks of buckets: another way to the same bytes.
    let apart = ["emr.spark.item_parts=2", "build.memory_budget_mib=1"];

    let cluster = emr.shared_cluster(1);
    let submit = ["emr", "submit", "--run", "night", "--cluster", &cluster, "--set", apart[0], "--set", apart[1]];
    nightshelf_in(here, &submit, &environment).ok();
    let steps = emr.clusters().cluster(&cluster).steps.clone();
    let spark = SparkCluster::start(&here.join("spark"), &environment, &[("shop", &bucket)]);
    let executor = Executor { here, environment: spark.environment_of_steps(&environment, &bucket) };
    assert!(steps.iter().any(|step| step.args.join(" ").contains("run_partitions.py pairs")), "{steps:?}");
    for (number, step) in steps.iter().enumerate() {
        let (went_well, said) = executor.run(number, &step.args);
        assert!(went_well, "{}: {:?}\n{said}", step.name, step.args);
    }
    assert_eq!(contents(&bucket.join("runs"), "night"), expected);
}
