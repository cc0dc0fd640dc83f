//! A shop's runs, a server, and the program between them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nightshelf::{
    artifacts::{Content, ListWriter, Observed, Run, RunWriter, bucket_path, open_run},
    ids::{bucket_of, id_hash},
    recommendations::{ListBatch, ListKind},
};
use tempfile::TempDir;

use crate::support::{
    dynamo::{DynamoServer, TABLE, Visible, expected},
    program::{Ran, command},
    random::Random,
};

const N_BUCKETS: usize = 16;
/// Items a list.
const K: u64 = 12;

/// Whose list is of which edition: another edition, another list.
pub(crate) type Users = BTreeMap<u32, u32>;

/// A key, and items with scores, best first.
pub(crate) type KeyedList = (String, Vec<(String, f32)>);

/// Users 0 to `n - 1`, all of one edition.
pub(crate) fn users(n: usize, edition: u32) -> Users {
    (0..n as u32).map(|user| (user, edition)).collect()
}

/// A directory of runs and a store to publish them to.
pub(crate) struct Bench {
    directory: TempDir,
    pub(crate) server: DynamoServer,
    n_runs: u32,
}

impl Bench {
    /// A server with an empty table; `more` goes into `[publish.dynamodb]`.
    pub(crate) fn new(more: &str) -> Self {
        let bench = Self { directory: tempfile::tempdir().unwrap(), server: DynamoServer::with_table(), n_runs: 0 };
        bench.configure(more);
        bench
    }

    fn configure(&self, more: &str) {
        // The default of 1,000 reads costs an unoptimised build more than all the rows of a small run.
        let sample = super::sized(30, 1_000);
        fs::write(
            self.here().join("nightshelf.toml"),
            format!(
                "[publish]\ntargets = ['dynamodb']\n[publish.dynamodb]\ntable = '{TABLE}'\nverify_sample = {sample}\n{more}\n"
            ),
        )
        .unwrap();
    }

    /// Forgets all that was published: a new server.
    pub(crate) fn new_server(&mut self) {
        self.server = DynamoServer::with_table();
    }

    /// A new server that serves this run, before every eighth case but the first.
    ///
    /// Nothing expires in the emulator: with all cases on one server, reading the whole table after each would take longer and longer.
    pub(crate) fn tidy(&mut self, case: usize, served: Option<&str>) {
        if case == 0 || !case.is_multiple_of(8) {
            return;
        }
        self.new_server();
        if let Some(run) = served {
            self.publish(run).ok();
        }
    }

    pub(crate) fn here(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn runs(&self) -> PathBuf {
        self.here().join("runs")
    }

    /// Builds a run of these users, some similar items and popular lists, all of which tell the edition.
    pub(crate) fn build(&mut self, name: &str, users: &Users, edition: u32) -> Run {
        let writer = RunWriter::create(&self.runs(), name).unwrap();
        let mut buckets: Vec<Vec<(String, u32)>> = vec![Vec::new(); N_BUCKETS];
        for (&user, &edition) in users {
            let id = format!("user-{user:06}");
            buckets[bucket_of(id_hash(id.as_bytes()), N_BUCKETS)].push((id, edition));
        }
        for (bucket, own) in buckets.iter().enumerate() {
            write(&writer, ListKind::Recommendations, &bucket_path("recommendations", bucket), &lists_of(own));
        }
        let items: Vec<_> = (0..200).map(|item| (format!("item-{item:05}"), edition)).collect();
        write(&writer, ListKind::SimilarItems, "similar_items/similar_items.parquet", &lists_of(&items));
        let placements: Vec<_> = ["category:books", "overall"].map(|place| (place.to_owned(), edition)).into();
        write(&writer, ListKind::Popular, "popular/popular.parquet", &lists_of(&placements));
        self.commit(writer)
    }

    /// Builds a run of these files, whatever they hold.
    pub(crate) fn build_of(&mut self, name: &str, files: &[(ListKind, &str, Vec<KeyedList>)]) -> Run {
        let writer = RunWriter::create(&self.runs(), name).unwrap();
        for (kind, path, lists) in files {
            write(&writer, *kind, path, lists);
        }
        self.commit(writer)
    }

    fn commit(&mut self, writer: RunWriter) -> Run {
        self.n_runs += 1;
        let content = Content { n_buckets: N_BUCKETS, seed: 1, ..Content::default() };
        let created_at = format!("2026-11-22T{:02}:{:02}:00Z", self.n_runs / 60, self.n_runs % 60);
        writer.commit(content, Observed { created_at, ..Observed::default() }).unwrap()
    }

    /// What readers must see of a run.
    pub(crate) fn expected(&self, run: &str) -> Visible {
        expected(&open_run(&self.runs(), run).unwrap())
    }

    /// The program with these arguments.
    pub(crate) fn command(&self, arguments: &[&str], more: &[(&str, &str)]) -> Command {
        let mut command = command(self.here(), arguments, &self.server.environment());
        command.envs(more.iter().copied());
        command
    }

    /// Publishes a run, to its end.
    pub(crate) fn publish(&self, run: &str) -> Ran {
        self.nightshelf(&["publish", run])
    }

    /// Runs the program to its end.
    pub(crate) fn nightshelf(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments, &[]).output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts publishing a run; what it logs goes to a file.
    pub(crate) fn start(&self, run: &str, more: &[(&str, &str)]) -> Writer {
        let log = self.log_of(run);
        let mut command = self.command(&["publish", run], more);
        command.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        Writer { child: command.spawn().unwrap(), log }
    }

    fn log_of(&self, run: &str) -> PathBuf {
        self.here().join(format!("{run}.log"))
    }

    /// What the last publisher of a run has logged.
    pub(crate) fn log(&self, run: &str) -> String {
        fs::read_to_string(self.log_of(run)).unwrap_or_default()
    }

    /// Checks that readers see exactly this run.
    #[track_caller]
    pub(crate) fn assert_served(&self, expected: &Visible, when: &str) {
        let visible = self.server.table(TABLE).visible();
        assert_same(&visible, expected, when);
    }
}

/// Compares what is seen with what should be, and says how they differ.
#[track_caller]
pub(crate) fn assert_same(visible: &Visible, expected: &Visible, when: &str) {
    if visible == expected {
        return;
    }
    let lost = expected.keys().filter(|key| !visible.contains_key(*key)).count();
    let extra = visible.keys().filter(|key| !expected.contains_key(*key)).count();
    let wrong: Vec<_> = expected
        .iter()
        .filter(|(key, row)| visible.get(*key).is_some_and(|seen| seen != *row))
        .map(|(key, _)| key)
        .collect();
    panic!("{when}: {lost} rows lost, {extra} extra, {} wrong, e.g. {:?}", wrong.len(), wrong.first());
}

/// Keys of one edition, with their lists.
fn lists_of(rows: &[(String, u32)]) -> Vec<KeyedList> {
    rows.iter().map(|(key, edition)| (key.clone(), list(key, *edition))).collect()
}

fn write(writer: &RunWriter, kind: ListKind, path: &str, lists: &[KeyedList]) {
    let mut batch = ListBatch::default();
    for (key, entries) in lists {
        let source = if kind == ListKind::Recommendations { "als" } else { "" };
        batch.push(key, entries.iter().map(|(item, score)| (item.as_str(), *score)), source);
    }
    let mut file = ListWriter::create(writer.file(path).unwrap(), kind).unwrap();
    file.write(&batch).unwrap();
    file.finish().unwrap();
}

/// A list that key and edition determine.
fn list(key: &str, edition: u32) -> Vec<(String, f32)> {
    let mut random = Random::new(id_hash(key.as_bytes()) ^ (u64::from(edition) << 40));
    (0..K).map(|rank| (format!("item-{:05}", random.below(100_000)), 1.0 / (rank + 1) as f32)).collect()
}

/// A publisher that runs.
pub(crate) struct Writer {
    child: Child,
    log: PathBuf,
}

/// SIGSTOP, SIGCONT.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Stop,
    Continue,
}

impl Writer {
    /// Whether it lives.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGKILL. Returns: whether it lived until then.
    pub(crate) fn kill(mut self) -> bool {
        let lived = self.lives();
        if lived {
            self.child.kill().unwrap();
        }
        self.child.wait().unwrap();
        lived
    }

    /// Suspends it or lets it go on.
    pub(crate) fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Stop => "-STOP",
            Signal::Continue => "-CONT",
        };
        let done = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(done.success(), "kill {name}");
    }

    /// Waits for its end. Returns: the exit code, and what it logged.
    #[track_caller]
    pub(crate) fn wait(mut self, at_most: Duration) -> (Option<i32>, String) {
        let start = Instant::now();
        while self.lives() {
            if start.elapsed() > at_most {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!("it did not end within {at_most:?}: {}", self.said());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        (self.child.wait().unwrap().code(), self.said())
    }

    /// Waits for its end, and looks how much memory it takes meanwhile. Returns: the exit code and the peak in bytes.
    pub(crate) fn wait_and_weigh(mut self) -> (Option<i32>, u64) {
        let status = format!("/proc/{}/status", self.child.id());
        let mut peak = 0;
        while self.lives() {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            peak = peak.max(kilobytes.unwrap_or(0) * 1024);
            std::thread::sleep(Duration::from_millis(5));
        }
        (self.child.wait().unwrap().code(), peak)
    }

    /// What it has logged.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A test that failed leaves nobody suspended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
