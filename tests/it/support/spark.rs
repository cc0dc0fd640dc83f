//! A standalone Spark cluster on this machine: a master and two workers, from the Spark of a Python environment.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::s3::Environment;

/// The variable that names Spark's directory (the package `pyspark` of PyPI).
const SPARK_HOME: &str = "NIGHTSHELF_SPARK_HOME";
/// The variable that names the Python of jobs and workers.
const PYTHON: &str = "NIGHTSHELF_SPARK_PYTHON";

/// A running cluster; dropping it stops it.
pub(crate) struct SparkCluster {
    directory: PathBuf,
    home: PathBuf,
    python: PathBuf,
    processes: Vec<Process>,
}

/// A process of the cluster; dropping it kills it.
pub(crate) struct Process(Child);

impl Process {
    /// Kills it without a word (SIGKILL).
    pub(crate) fn kill(self) {}
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn variable(name: &str) -> PathBuf {
    std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: scripts/spark.sh sets it")).into()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl SparkCluster {
    /// Starts a cluster that keeps its files in `directory`. Executors have the variables of `environment`; addresses s3://BUCKET
    /// of the listed buckets are local directories to Spark.
    pub(crate) fn start(directory: &Path, environment: &[(&'static str, String)], buckets: &[(&str, &Path)]) -> Self {
        let (home, python) = (variable(SPARK_HOME), variable(PYTHON));
        for folder in ["conf", "events", "logs"] {
            fs::create_dir_all(directory.join(folder)).unwrap();
        }
        let url = format!("spark://127.0.0.1:{}", free_port());
        let mut settings = format!(
            "spark.master {url}\nspark.driver.host 127.0.0.1\nspark.driver.bindAddress 127.0.0.1\nspark.ui.enabled false\n\
             spark.eventLog.enabled true\nspark.eventLog.dir file://{0}/events\nspark.local.dir {0}/local\n\
             spark.dynamicAllocation.shuffleTracking.enabled true\n",
            directory.display()
        );
        if !buckets.is_empty() {
            // Hadoop's file system for addresses of one scheme that lie elsewhere: it is made for this, and comes with Spark.
            settings.push_str(
                "spark.hadoop.fs.s3.impl org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme\n\
                 spark.hadoop.fs.viewfs.overload.scheme.target.file.impl org.apache.hadoop.fs.RawLocalFileSystem\n",
            );
        }
        for (bucket, place) in buckets {
            let place = place.display();
            settings.push_str(&format!("spark.hadoop.fs.viewfs.mounttable.{bucket}.linkFallback file://{place}\n"));
        }
        fs::write(directory.join("conf/spark-defaults.conf"), settings).unwrap();
        let mut cluster = Self { directory: directory.to_owned(), home, python, processes: Vec::new() };
        let port = url.rsplit(':').next().unwrap();
        let master =
            ["org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", port, "--webui-port", "0"];
        cluster.class("master", &master, environment);
        for name in ["worker-1", "worker-2"] {
            let work = directory.join(name);
            let worker = ["org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--webui-port", "0"];
            let of = ["--cores", "1", "--memory", "2g", "--work-dir", work.to_str().unwrap(), &url];
            cluster.class(name, &[&worker[..], &of].concat(), environment);
        }
        cluster.wait_for_workers();
        cluster
    }

    fn class(&mut self, name: &str, arguments: &[&str], environment: &[(&'static str, String)]) {
        let log = fs::File::create(self.log(name)).unwrap();
        let mut command = self.command("spark-class");
        command.args(arguments).envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.processes.push(Process(child));
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.join("logs").join(name)
    }

    fn wait_for_workers(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let said = fs::read_to_string(self.log("master")).unwrap();
            if said.matches("Registering worker").count() == 2 {
                return;
            }
            let is_dead = self.processes.iter_mut().any(|process| process.0.try_wait().unwrap().is_some());
            assert!(!is_dead && Instant::now() < deadline, "the cluster did not start\n{said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// One of Spark's programs, with nothing of this process's environment but what finds Java.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.home.join("bin").join(program));
        command.env_clear().stdin(Stdio::null()).current_dir(&self.directory);
        command.envs(["PATH", "JAVA_HOME"].iter().filter_map(|name| Some((*name, std::env::var_os(name)?))));
        command
            .env("SPARK_HOME", &self.home)
            .env("SPARK_CONF_DIR", self.directory.join("conf"))
            .env("SPARK_LOCAL_IP", "127.0.0.1")
            .env("PYSPARK_PYTHON", &self.python);
        command
    }

    /// `spark-submit` in `directory`.
    pub(crate) fn submit(&self, directory: &Path) -> Command {
        let mut command = self.command("spark-submit");
        command.current_dir(directory);
        command
    }

    /// Takes the first worker out, for whoever wants to kill it.
    pub(crate) fn take_worker(&mut self) -> Process {
        self.processes.remove(1)
    }

    /// The variables of a step on the primary node: `spark-submit` is this cluster's, `aws s3 cp` copies from the bucket's
    /// directory.
    pub(crate) fn environment_of_steps(&self, with: &[(&'static str, String)], bucket: &Path) -> Environment {
        let programs = self.directory.join("programs");
        fs::create_dir_all(&programs).unwrap();
        let place = bucket.display();
        let aws = format!(
            "#!/bin/sh\n[ \"$1 $2 $3\" = 's3 cp --only-show-errors' ] || exit 64\nexec cp \"{place}/${{4#s3://shop/}}\" \"$5\"\n"
        );
        let submit = format!("#!/bin/sh\nexec {}/bin/spark-submit \"$@\"\n", self.home.display());
        for (name, script) in [("aws", aws), ("spark-submit", submit)] {
            let path = programs.join(name);
            fs::write(&path, script).unwrap();
            Command::new("chmod").arg("+x").arg(path).status().unwrap();
        }
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let own = self.command("spark-submit");
        let own = own.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?.to_owned())));
        let mut all: Environment = with.to_vec();
        for (name, value) in own {
            for known in ["JAVA_HOME", "SPARK_HOME", "SPARK_CONF_DIR", "SPARK_LOCAL_IP", "PYSPARK_PYTHON"] {
                if name == known {
                    all.push((known, value.clone()));
                }
            }
        }
        all.push(("PATH", path));
        all
    }

    /// The groups of all jobs that have run, as Spark's UI shows them.
    pub(crate) fn job_groups(&self) -> BTreeSet<String> {
        let mut groups = BTreeSet::new();
        let mut folders = vec![self.directory.join("events")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                for line in String::from_utf8_lossy(&fs::read(path).unwrap()).lines() {
                    let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
                    if event["Event"] == "SparkListenerJobStart" {
                        groups.extend(event["Properties"]["spark.jobGroup.id"].as_str().map(str::to_owned));
                    }
                }
            }
        }
        groups
    }
}
