//! Submitting a run once, whatever happens on the way.
//!
//! The order of things: upload (by content, so twice is once); write the run's note, under a condition that one of several processes
//! meets; look for what an earlier attempt may have left; send, without repetition; look again whenever the answer is not clear; note
//! what came of it.

use std::{
    io::Read as _,
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    ClusterError, EmrConfig, Verdict,
    adopt::{self, Found, cluster_name, step_name},
    config::CreateConfig,
    link::{self, Emr, Taken},
    note::{Note, Phase, StepNote, Submissions},
    request::{Request, add_job_flow_steps, run_job_flow},
    steps::{PlannedStep, script_of},
    watch::report,
};
use crate::{
    retry::Failure,
    storage::{Condition, FileUpload, S3Prefix},
};

/// Clusters older than this are not looked at when one is searched by its name.
const SEARCH_DAYS: i64 = 14;

/// A file that the steps need, named by its content.
#[derive(Debug, Clone)]
pub struct Asset {
    name: String,
    sha256: String,
    contents: Contents,
}

#[derive(Debug, Clone)]
enum Contents {
    Bytes(Bytes),
    File { path: PathBuf, bytes: u64 },
}

impl Asset {
    /// A small file.
    #[must_use]
    pub fn bytes(name: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { name: name.to_owned(), sha256: hex(&Sha256::digest(&bytes)), contents: Contents::Bytes(bytes) }
    }

    /// A file of any size; it is read once for its hash.
    ///
    /// # Errors
    /// The system's.
    pub fn file(name: &str, path: PathBuf) -> std::io::Result<Self> {
        let mut hasher = Sha256::new();
        let mut file = std::fs::File::open(&path)?;
        let (mut bytes, mut chunk) = (0, vec![0; 1 << 20]);
        loop {
            let n_read = file.read(&mut chunk)?;
            if n_read == 0 {
                break;
            }
            hasher.update(&chunk[..n_read]);
            bytes += n_read as u64;
        }
        Ok(Self { name: name.to_owned(), sha256: hex(&hasher.finalize()), contents: Contents::File { path, bytes } })
    }

    /// Its file name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its path below the place of uploads.
    fn path(&self) -> String {
        format!("assets/{}/{}", &self.sha256[..16], self.name)
    }

    /// Its address.
    #[must_use]
    pub fn uri(&self, root: &S3Prefix) -> String {
        root.uri(&self.path())
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Where the steps run.
#[derive(Debug, Clone)]
pub enum Target {
    /// On a running cluster.
    Existing {
        /// Its id.
        cluster: String,
    },
    /// On a cluster made for the run.
    Create(Box<CreateConfig>),
}

/// Everything about one submission.
#[derive(Debug, Clone)]
pub struct Order {
    /// The run.
    pub run: String,
    /// Its work location.
    pub work: String,
    /// Its buckets.
    pub n_buckets: u64,
    /// Where it runs.
    pub target: Target,
    /// What is uploaded.
    pub assets: Vec<Asset>,
    steps: Vec<PlannedStep>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The submission.
    pub note: Note,
    /// Whether it was there already.
    pub adopted: bool,
}

impl Order {
    /// Puts a submission together. On a cluster that runs `concurrency` steps at once, above one, the steps become one.
    #[must_use]
    #[allow(clippy::too_many_arguments, reason = "each is a part of the order, and has a name where it is called")]
    pub fn new(
        run: &str,
        work: &str,
        n_buckets: u64,
        target: Target,
        concurrency: u32,
        steps: Vec<PlannedStep>,
        mut assets: Vec<Asset>,
        root: &S3Prefix,
    ) -> Self {
        let steps = if concurrency > 1 {
            let script = Asset::bytes("steps.sh", script_of(&steps));
            let command =
                format!("set -e; aws s3 cp --only-show-errors {} steps.sh; exec bash steps.sh", script.uri(root));
            assets.push(script);
            let args = ["bash", "-c", &command].map(str::to_owned).to_vec();
            vec![PlannedStep { name: "all".into(), args, counts: None, n_tasks: None }]
        } else {
            steps
        };
        Self { run: run.to_owned(), work: work.to_owned(), n_buckets, target, assets, steps }
    }

    fn named(&self, attempt: u32) -> Vec<(String, PlannedStep)> {
        let named = self.steps.iter().enumerate();
        named.map(|(at, step)| (step_name(&self.run, attempt, at + 1, &step.name), step.clone())).collect()
    }

    /// The request of an attempt, counted from 1.
    ///
    /// # Errors
    /// A step whose arguments are longer than EMR takes.
    pub fn request(&self, attempt: u32) -> Result<Request, ClusterError> {
        let named = self.named(attempt);
        match &self.target {
            Target::Existing { cluster } => add_job_flow_steps(cluster, &named),
            Target::Create(create) => run_job_flow(&cluster_name(&self.run, attempt), &self.run, create, &named),
        }
    }

    /// Hash of everything that is submitted, whichever attempt it is.
    fn fingerprint(&self) -> Result<String, ClusterError> {
        let mut body = self.request(1)?.body;
        // What a finished cluster is called says nothing about the build.
        if let Some(body) = body.as_object_mut() {
            body.insert("Name".into(), Value::Null);
        }
        Ok(hex(&Sha256::digest(body.to_string())))
    }
}

/// The parts that a submission works with.
struct Submitter<'a> {
    emr: &'a Emr,
    order: &'a Order,
    notes: &'a Submissions,
    root: &'a S3Prefix,
    fingerprint: String,
    /// A note that was not renewed for so long has no living holder.
    silence: Duration,
}

/// What to do about a run's note.
enum Turn {
    /// The run is submitted.
    Adopt(Note),
    /// It is ours to submit; `known`: the fingerprint under which an earlier process may have submitted it.
    Ours { held: Held, known: Option<String> },
}

/// A note that this process may write.
struct Held {
    note: Note,
    etag: String,
    since: Instant,
}

/// Submits a run, or finds that it is.
///
/// # Errors
/// What EMR or S3 refuse; a run that is there with other settings; a search that finds what nothing here sends. After
/// [`ClusterError::GaveUp`] the same call finds out what became of the request.
pub fn submit(
    emr: &Emr,
    config: &EmrConfig,
    order: &Order,
    notes: &Submissions,
    root: &S3Prefix,
) -> Result<Outcome, ClusterError> {
    let fingerprint = order.fingerprint()?;
    let patience = emr.timeout + emr.settle + Duration::from_millis(config.retry.cap_ms);
    let submitter = Submitter { emr, order, notes, root, fingerprint, silence: patience * 3 };
    submitter.run()
}

impl Submitter<'_> {
    fn run(&self) -> Result<Outcome, ClusterError> {
        // Before anything is asked for: an upload may take minutes.
        if !self.is_there()? {
            upload(&self.order.assets, self.root)?;
        }
        let (mut held, known) = match self.turn()? {
            Turn::Adopt(note) => return Ok(Outcome { note, adopted: true }),
            Turn::Ours { held, known } => (held, known),
        };
        let sent = self.send(&mut held);
        match sent {
            Ok((cluster, ids, adopted)) => {
                let differs = adopted && known.as_ref().is_some_and(|known| *known != self.fingerprint);
                let steps = self.order.steps.iter().zip(ids);
                let steps = steps.map(|(step, id)| StepNote {
                    name: step.name.clone(),
                    id,
                    counts: step.counts.clone(),
                    n_tasks: step.n_tasks,
                });
                held.note.steps = steps.collect();
                held.note.cluster = Some(cluster.clone());
                held.note.phase = Phase::Sent;
                if let Some(known) = known.filter(|_| differs) {
                    held.note.fingerprint = known;
                }
                if self.notes.replace(&mut held.note, &held.etag)?.is_none() {
                    tracing::warn!(run = self.order.run, "another process has taken over the note of this run");
                }
                if differs {
                    return Err(ClusterError::Differs { run: self.order.run.clone(), cluster });
                }
                Ok(Outcome { note: held.note, adopted })
            }
            Err(error) => {
                held.note.phase = Phase::Released;
                // The next process need not wait for this one's silence.
                if let Err(error) = self.notes.replace(&mut held.note, &held.etag) {
                    tracing::warn!(run = self.order.run, %error, "the note of this run stays as it is");
                }
                Err(error)
            }
        }
    }

    /// Whether the run seems to be submitted: then nothing need be uploaded.
    fn is_there(&self) -> Result<bool, ClusterError> {
        let there = self.notes.read(&self.order.run)?;
        Ok(there.is_some_and(|there| there.note.phase == Phase::Sent && there.note.fingerprint == self.fingerprint))
    }

    fn fresh(&self, attempt: u32) -> Note {
        let order = self.order;
        let own = matches!(order.target, Target::Create(_));
        Note::begin(&order.run, attempt, &self.fingerprint, &order.work, order.n_buckets, own)
    }

    /// Finds out whose turn it is.
    fn turn(&self) -> Result<Turn, ClusterError> {
        let began = Instant::now();
        loop {
            let since = Instant::now();
            let Some(there) = self.notes.read(&self.order.run)? else {
                let note = self.fresh(1);
                match self.notes.create(&note)? {
                    Some(etag) => return Ok(Turn::Ours { held: Held { note, etag, since }, known: None }),
                    None => continue,
                }
            };
            let (mut note, known) = match there.note.phase {
                Phase::Sent => {
                    let now = report(self.emr, &there.note, None)?;
                    let has_ended_badly = now.verdict.is_final() && now.verdict != Verdict::Done;
                    if !has_ended_badly {
                        if there.note.fingerprint != self.fingerprint {
                            let cluster = there.note.cluster.unwrap_or_default();
                            return Err(ClusterError::Differs { run: self.order.run.clone(), cluster });
                        }
                        return Ok(Turn::Adopt(there.note));
                    }
                    tracing::info!(run = self.order.run, verdict = ?now.verdict, "the attempt before has ended; this is a new one");
                    // Its outputs are kept by the work location, and what is done is not done again.
                    upload(&self.order.assets, self.root)?;
                    (self.fresh(there.note.attempt + 1), None)
                }
                Phase::Sending if there.age.is_none_or(|age| age < self.silence) => {
                    if began.elapsed() > self.silence * 2 {
                        let (run, holder) = (self.order.run.clone(), there.note.holder);
                        return Err(ClusterError::Busy { run, holder });
                    }
                    sleep(Duration::from_millis(250));
                    continue;
                }
                Phase::Sending | Phase::Released => {
                    (self.fresh(there.note.attempt), Some(there.note.fingerprint.clone()))
                }
            };
            // Somebody else was faster where there is no answer.
            if let Some(etag) = self.notes.replace(&mut note, &there.etag)? {
                return Ok(Turn::Ours { held: Held { note, etag, since }, known });
            }
        }
    }

    /// Sends the request until it is known to have been taken once.
    ///
    /// Returns: the cluster, the steps' ids, whether they were found instead of sent.
    fn send(&self, held: &mut Held) -> Result<(String, Vec<String>, bool), ClusterError> {
        let request = self.order.request(held.note.attempt)?;
        let doing = match &self.order.target {
            Target::Existing { cluster } => format!("add the steps of run {} to cluster {cluster}", self.order.run),
            Target::Create(_) => format!("make a cluster for run {}", self.order.run),
        };
        if let Some((cluster, ids)) = self.look(held.note.attempt)? {
            return Ok((cluster, ids, true));
        }
        let mut attempt = 1;
        loop {
            self.renew(held)?;
            let fault = match self.emr.submit(&request) {
                Ok(Taken::Steps(ids)) if ids.len() == self.order.steps.len() => {
                    let Target::Existing { cluster } = &self.order.target else {
                        return Err(self.muddle("steps were added where a cluster was asked for"));
                    };
                    return Ok((cluster.clone(), ids, false));
                }
                Ok(Taken::Steps(_)) => return Err(self.muddle("EMR answered with another number of steps")),
                Ok(Taken::Cluster(id)) => {
                    let ids = self.steps_of(&id, held.note.attempt)?;
                    return Ok((id, ids, false));
                }
                Err(fault) if fault.is_full() => {
                    let cluster = match &self.order.target {
                        Target::Existing { cluster } => cluster.clone(),
                        Target::Create(_) => String::new(),
                    };
                    let (wanted, source) = (self.order.steps.len(), fault.into_source());
                    return Err(ClusterError::Full { cluster, wanted, source });
                }
                Err(fault) => fault,
            };
            if fault.failure == Failure::Unclear {
                tracing::warn!(run = self.order.run, "EMR's answer was lost; looking whether it took the request");
                if let Some((cluster, ids)) = self.settle(held.note.attempt)? {
                    return Ok((cluster, ids, true));
                }
            }
            match self.emr.pause(fault.failure, attempt) {
                Some(wait) => sleep(wait),
                None => return Err(link::failed(&doing, fault)),
            }
            attempt += 1;
        }
    }

    /// Renews the note where it is no longer young: a holder who sends has a note that nobody takes for dead.
    fn renew(&self, held: &mut Held) -> Result<(), ClusterError> {
        if held.since.elapsed() < self.silence / 6 {
            return Ok(());
        }
        let since = Instant::now();
        match self.notes.replace(&mut held.note, &held.etag)? {
            Some(etag) => {
                (held.etag, held.since) = (etag, since);
                Ok(())
            }
            None => Err(ClusterError::Busy {
                run: self.order.run.clone(),
                holder: "another process, which took over".into(),
            }),
        }
    }

    /// Looks for what was submitted for as long as EMR's lists may lag behind.
    fn settle(&self, attempt: u32) -> Result<Option<(String, Vec<String>)>, ClusterError> {
        let began = Instant::now();
        loop {
            if let Some(found) = self.look(attempt)? {
                return Ok(Some(found));
            }
            if began.elapsed() >= self.emr.settle {
                return Ok(None);
            }
            sleep((self.emr.settle / 5).min(Duration::from_secs(3)));
        }
    }

    /// Looks once for what was submitted under this attempt's names.
    fn look(&self, attempt: u32) -> Result<Option<(String, Vec<String>)>, ClusterError> {
        match &self.order.target {
            Target::Existing { cluster } => Ok(self.find_steps(cluster, attempt)?.map(|ids| (cluster.clone(), ids))),
            Target::Create(_) => {
                let name = cluster_name(&self.order.run, attempt);
                let clusters = self.emr.clusters(SEARCH_DAYS)?;
                let mut ids = clusters.into_iter().filter(|(found, _)| *found == name).map(|(_, id)| id);
                let Some(id) = ids.next() else { return Ok(None) };
                if let Some(other) = ids.next() {
                    return Err(self.muddle(&format!("clusters {id} and {other} are both called {name}")));
                }
                let ids = self.steps_of(&id, attempt)?;
                Ok(Some((id, ids)))
            }
        }
    }

    fn names(&self, attempt: u32) -> Vec<String> {
        self.order.named(attempt).into_iter().map(|(name, _)| name).collect()
    }

    fn find_steps(&self, cluster: &str, attempt: u32) -> Result<Option<Vec<String>>, ClusterError> {
        let existing: Vec<(String, String)> =
            self.emr.steps(cluster)?.into_iter().map(|step| (step.name, step.id)).collect();
        match adopt::find(&self.names(attempt), &existing) {
            Found::Nothing => Ok(None),
            Found::All(ids) => Ok(Some(ids)),
            // One request brings all steps or none.
            Found::First(ids) => Err(self.muddle(&format!("cluster {cluster} has only {} of its steps", ids.len()))),
            Found::Muddle(what) => Err(self.muddle(&format!("cluster {cluster}: {what}"))),
        }
    }

    /// The steps' ids of a cluster that was made with them.
    fn steps_of(&self, cluster: &str, attempt: u32) -> Result<Vec<String>, ClusterError> {
        let began = Instant::now();
        loop {
            if let Some(ids) = self.find_steps(cluster, attempt)? {
                return Ok(ids);
            }
            if began.elapsed() > self.emr.settle + Duration::from_secs(1) {
                return Err(self.muddle(&format!("cluster {cluster} was made without its steps")));
            }
            sleep(Duration::from_millis(200));
        }
    }

    fn muddle(&self, what: &str) -> ClusterError {
        ClusterError::Muddle { run: self.order.run.clone(), what: what.to_owned() }
    }
}

/// Uploads what is not there. Paths are by content, so whoever was first has uploaded the same.
fn upload(assets: &[Asset], root: &S3Prefix) -> Result<(), ClusterError> {
    for asset in assets {
        match &asset.contents {
            Contents::Bytes(bytes) => {
                root.put_if(&asset.path(), bytes.clone(), &asset.sha256, Condition::New)?;
            }
            Contents::File { path, bytes } => {
                let file =
                    FileUpload { from: path.clone(), path: asset.path(), bytes: *bytes, sha256: asset.sha256.clone() };
                root.upload(&[file], &(std::sync::Arc::new(|| true) as _))?;
            }
        }
        tracing::debug!(uri = asset.uri(root), "uploaded");
    }
    Ok(())
}
