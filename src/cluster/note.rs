//! Submissions as S3 remembers them: an object for each run, which one process at a time may write.
//!
//! EMR takes no client token, and its lists may lag behind. Whoever wants to submit a run therefore writes its note first, under
//! the condition that there is none, or that it is still the one he has read: of two shells one succeeds.

use std::time::Duration;

use rand::Rng as _;
use serde::{Deserialize, Serialize};

use super::ClusterError;
use crate::storage::{Condition, S3Prefix};

/// Folder of the notes.
const FOLDER: &str = "submissions";

/// How far a submission is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// A process is about to submit, or has, and does not know yet.
    Sending,
    /// Submitted: cluster and steps are known.
    Sent,
    /// The process gave up, and says so; whether EMR has taken the request is for the next one to find out.
    Released,
}

/// A step of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepNote {
    /// `aggregate`, ...
    pub name: String,
    /// EMR's id.
    pub id: String,
    /// Stage whose finished buckets tell how far the step is.
    pub counts: Option<String>,
    /// How many of them there are, if they are not the run's buckets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_tasks: Option<u64>,
}

/// A submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The run.
    pub run: String,
    /// Counts from 1; grows when a run that has ended badly is submitted again.
    pub attempt: u32,
    /// Hash of everything that is submitted.
    pub fingerprint: String,
    /// Who submits, for people.
    pub holder: String,
    /// When, for people.
    pub at: String,
    /// The run's work location.
    pub work: String,
    /// Buckets of the run.
    pub n_buckets: u64,
    /// Whether the cluster was made for the run, and ends with it.
    pub own_cluster: bool,
    /// The cluster's id, once it is known.
    pub cluster: Option<String>,
    /// The steps in order, once their ids are known.
    pub steps: Vec<StepNote>,
    /// Whether somebody asked for its end.
    pub cancelled: bool,
    pub(super) phase: Phase,
    /// How often the note was renewed while a submission was under way.
    beat: u64,
}

/// A note as it was read.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub(super) note: Note,
    pub(super) etag: String,
    pub(super) age: Option<Duration>,
}

/// The notes below a place on S3.
#[derive(Debug, Clone)]
pub struct Submissions {
    root: S3Prefix,
    /// Tells this process's writes from those of others.
    token: String,
}

impl Note {
    /// A submission that begins now.
    pub(super) fn begin(
        run: &str,
        attempt: u32,
        fingerprint: &str,
        work: &str,
        n_buckets: u64,
        own_cluster: bool,
    ) -> Self {
        Self {
            run: run.to_owned(),
            attempt,
            fingerprint: fingerprint.to_owned(),
            holder: holder(),
            at: jiff::Timestamp::now().to_string(),
            work: work.to_owned(),
            n_buckets,
            own_cluster,
            cluster: None,
            steps: Vec::new(),
            cancelled: false,
            phase: Phase::Sending,
            beat: 0,
        }
    }
}

impl Submissions {
    /// The notes below `root`.
    #[must_use]
    pub fn new(root: &S3Prefix) -> Self {
        let mut random = rand::rng();
        let token = format!("{:016x}{:016x}", random.next_u64(), random.next_u64());
        Self { root: root.join(FOLDER), token }
    }

    /// Where the notes are, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        self.root.uri("")
    }

    /// Writes a note where there is none; `None` when there is one.
    pub(super) fn create(&self, note: &Note) -> Result<Option<String>, ClusterError> {
        Ok(self.root.put_if(&path_of(&note.run), bytes_of(note), &self.token, Condition::New)?)
    }

    /// Writes a note over the one with this ETag; `None` when somebody else has written since.
    pub(super) fn replace(&self, note: &mut Note, etag: &str) -> Result<Option<String>, ClusterError> {
        note.beat += 1;
        Ok(self.root.put_if(&path_of(&note.run), bytes_of(note), &self.token, Condition::Replaces(etag))?)
    }

    /// Reads the note of a run.
    pub(super) fn read(&self, run: &str) -> Result<Option<Read>, ClusterError> {
        let Some(there) = self.root.get(&path_of(run))? else { return Ok(None) };
        let note = serde_json::from_slice(&there.bytes).map_err(|error| ClusterError::Muddle {
            run: run.to_owned(),
            what: format!("{} is not what nightshelf wrote: {error}", self.root.uri(&path_of(run))),
        })?;
        Ok(Some(Read { note, etag: there.etag, age: there.age }))
    }

    /// The note of a run that was submitted.
    ///
    /// # Errors
    /// None of that name; S3.
    pub fn find(&self, run: &str) -> Result<Note, ClusterError> {
        let read = self.read(run)?;
        let read = read.filter(|read| read.note.cluster.is_some());
        read.map(|read| read.note).ok_or_else(|| ClusterError::Unknown { run: run.to_owned(), place: self.place() })
    }

    /// All submissions, the newest first.
    ///
    /// # Errors
    /// S3.
    pub fn all(&self) -> Result<Vec<Note>, ClusterError> {
        let paths: Vec<String> = self.root.objects()?.into_iter().map(|(path, _)| path).collect();
        let notes = self.root.get_all(&paths)?;
        let mut notes: Vec<Note> =
            notes.into_iter().flatten().filter_map(|bytes| serde_json::from_slice(&bytes).ok()).collect();
        notes.sort_by(|a, b| (&b.at, &b.run).cmp(&(&a.at, &a.run)));
        Ok(notes)
    }
}

fn path_of(run: &str) -> String {
    format!("{run}.json")
}

fn bytes_of(note: &Note) -> bytes::Bytes {
    serde_json::to_vec_pretty(note).expect("a note is plain data").into()
}

fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "an unnamed machine" } else { host.trim() };
    format!("process {} on {host}", std::process::id())
}
