//! The right to change what lies under a run's name: an object that one process keeps renewing.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{
    artifacts::ArtifactError,
    storage::{Condition, S3Prefix, StorageError},
};

/// Folder of the claims.
pub(super) const CLAIMS: &str = ".claims";
/// Ending of a claim's name.
pub(super) const SUFFIX: &str = ".json";

/// A claim that was not renewed for so long is dead. Longer than a deletion or a manifest with all repetitions takes, so
/// that none of a former holder is still on its way; a file that is, meets `If-None-Match`.
const SILENCE: Duration = Duration::from_secs(600);
/// How often a claim is renewed.
const BEAT: Duration = Duration::from_secs(60);
/// A holder that could not renew its claim for so long starts no request any more.
const TRUST: Duration = Duration::from_secs(300);

/// What the object says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// The holder, for people.
    holder: String,
    /// The holder's scratch directory, where a lock shows whether it lives (see [`Scratch`](super::Scratch)).
    scratch: Option<String>,
    /// How often the claim was renewed.
    beat: u64,
}

/// A held claim. Dropped, it stays and dies; [`release`](Self::release) removes it.
#[derive(Debug)]
pub(super) struct Claim {
    held: Arc<Held>,
    heart: Option<(Sender<()>, JoinHandle<()>)>,
    /// Whether a dead process had it before.
    taken_over: bool,
}

#[derive(Debug)]
struct Held {
    root: S3Prefix,
    name: String,
    path: String,
    /// Tells this holder's writes from those of others.
    token: String,
    written: Mutex<Written>,
    /// When the last renewal was sent that arrived.
    renewed: Mutex<Moment>,
    lost: AtomicBool,
}

#[derive(Debug)]
struct Written {
    note: Note,
    etag: String,
}

/// An instant on two clocks: one may stand still while the machine sleeps, the other may be set.
#[derive(Debug, Clone, Copy)]
struct Moment(Instant, SystemTime);

impl Moment {
    fn now() -> Self {
        Self(Instant::now(), SystemTime::now())
    }

    fn elapsed(self) -> Duration {
        self.0.elapsed().max(self.1.elapsed().unwrap_or_default())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn path_of(name: &str) -> String {
    format!("{CLAIMS}/{name}{SUFFIX}")
}

/// 128 bits that no other process draws: the keys of the hashers are the system's random numbers.
pub(in crate::artifacts) fn token() -> String {
    let draw = || {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        hasher.finish()
    };
    format!("{:016x}{:016x}", draw(), draw())
}

fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "an unnamed machine" } else { host.trim() };
    format!("process {} on {host}", std::process::id())
}

impl Claim {
    /// Claims a name. `scratch` is this machine's scratch directory, if the caller holds its lock on the name: then a
    /// claim made from the same directory is dead.
    ///
    /// # Errors
    /// [`ArtifactError::RunLocked`] when a process that may live has it; whatever S3 answers.
    pub(super) fn take(root: &S3Prefix, name: &str, scratch: Option<&str>) -> Result<Self, ArtifactError> {
        let note = Note { holder: holder(), scratch: scratch.map(str::to_owned), beat: 0 };
        let path = path_of(name);
        loop {
            let (token, moment) = (token(), Moment::now());
            if let Some(etag) = root.put_if(&path, bytes_of(&note), &token, Condition::New)? {
                return Ok(Self::hold(root, name, token, note, etag, moment, false));
            }
            let Some(there) = root.get(&path)? else { continue };
            let theirs: Option<Note> = serde_json::from_slice(&there.bytes).ok();
            let is_ours =
                scratch.is_some() && theirs.as_ref().is_some_and(|theirs| theirs.scratch.as_deref() == scratch);
            if !is_ours && there.age.is_none_or(|age| age < SILENCE) {
                return Err(ArtifactError::RunLocked { name: name.into(), path: root.uri(&path).into() });
            }
            let moment = Moment::now();
            if let Some(etag) = root.put_if(&path, bytes_of(&note), &token, Condition::Replaces(&there.etag))? {
                let theirs = theirs.map_or_else(String::new, |theirs| theirs.holder);
                tracing::warn!(run = name, holder = theirs, "took over from a process that is dead");
                return Ok(Self::hold(root, name, token, note, etag, moment, true));
            }
        }
    }

    /// Takes over a claim if it is dead.
    pub(super) fn take_dead(root: &S3Prefix, name: &str) -> Result<Option<Self>, StorageError> {
        let path = path_of(name);
        let Some(there) = root.get(&path)? else { return Ok(None) };
        if there.age.is_none_or(|age| age < SILENCE) {
            return Ok(None);
        }
        let note = Note { holder: holder(), scratch: None, beat: 0 };
        let (token, moment) = (token(), Moment::now());
        let etag = root.put_if(&path, bytes_of(&note), &token, Condition::Replaces(&there.etag))?;
        Ok(etag.map(|etag| Self::hold(root, name, token, note, etag, moment, true)))
    }

    fn hold(
        root: &S3Prefix,
        name: &str,
        token: String,
        note: Note,
        etag: String,
        moment: Moment,
        taken_over: bool,
    ) -> Self {
        let held = Arc::new(Held {
            root: root.clone(),
            name: name.to_owned(),
            path: path_of(name),
            token,
            written: Mutex::new(Written { note, etag }),
            renewed: Mutex::new(moment),
            lost: AtomicBool::new(false),
        });
        let (stop, stopped) = channel();
        let beating = Arc::clone(&held);
        let heart = std::thread::spawn(move || {
            while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = beating.renew() {
                    tracing::warn!(run = beating.name, %error, "the claim on the run's name could not be renewed");
                }
            }
        });
        Self { held, heart: Some((stop, heart)), taken_over }
    }

    /// Renews the claim now: when this succeeds, nobody else has it.
    ///
    /// # Errors
    /// [`ArtifactError::RunLocked`] when another process has taken it over.
    pub(super) fn confirm(&self) -> Result<(), ArtifactError> {
        self.held.renew()
    }

    /// Whether it was renewed so recently that nobody can have taken it over. Asks nobody.
    pub(super) fn permission(&self) -> crate::storage::Permission {
        let held = Arc::clone(&self.held);
        Arc::new(move || !held.lost.load(SeqCst) && locked(&held.renewed).elapsed() < TRUST)
    }

    pub(super) fn token(&self) -> &str {
        &self.held.token
    }

    pub(super) fn taken_over(&self) -> bool {
        self.taken_over
    }

    pub(super) fn is_lost(&self) -> bool {
        self.held.lost.load(SeqCst)
    }

    /// That another process has the name now.
    pub(super) fn locked_out(&self) -> ArtifactError {
        self.held.locked_out()
    }

    /// Gives the name free.
    pub(super) fn release(mut self) {
        self.stop();
        if self.is_lost() {
            return;
        }
        if !(self.permission())() && self.confirm().is_err() {
            return;
        }
        if let Err(error) = self.held.root.delete(std::slice::from_ref(&self.held.path)) {
            tracing::warn!(run = self.held.name, %error, "the claim on the run's name stays; it is void in ten minutes");
        }
    }

    fn stop(&mut self) {
        if let Some((stop, heart)) = self.heart.take() {
            drop(stop);
            if heart.join().is_err() {
                tracing::warn!("the thread that renews a claim has panicked");
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Held {
    fn renew(&self) -> Result<(), ArtifactError> {
        let mut written = locked(&self.written);
        if self.lost.load(SeqCst) {
            return Err(self.locked_out());
        }
        written.note.beat += 1;
        // Twice: an earlier renewal whose answer was lost has given the object another ETag.
        for _ in 0..2 {
            let moment = Moment::now();
            let condition = Condition::Replaces(&written.etag);
            if let Some(etag) = self.root.put_if(&self.path, bytes_of(&written.note), &self.token, condition)? {
                written.etag = etag;
                *locked(&self.renewed) = moment;
                return Ok(());
            }
            match self.root.get(&self.path)? {
                Some(there) if there.tag.as_deref() == Some(&*self.token) => written.etag = there.etag,
                _ => break,
            }
        }
        self.lost.store(true, SeqCst);
        Err(self.locked_out())
    }

    fn locked_out(&self) -> ArtifactError {
        ArtifactError::RunLocked { name: self.name.clone(), path: self.root.uri(&self.path).into() }
    }
}

fn bytes_of(note: &Note) -> bytes::Bytes {
    serde_json::to_vec(note).expect("a note is plain data").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ() {
        let tokens: std::collections::BTreeSet<String> = (0..1_000).map(|_| token()).collect();
        assert_eq!(tokens.len(), 1_000);
        assert!(tokens.iter().all(|token| token.len() == 32));
    }
}
