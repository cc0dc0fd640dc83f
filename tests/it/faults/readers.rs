//! Readers that follow docs/readers.md while things go wrong, and the judge of what they saw.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use xxhash_rust::xxh64::Xxh64;

use crate::support::{
    dynamo::{Asker, TABLE, Visible},
    random::Random,
};

/// Hash of a list and its source; `None`: the key has no list.
type Print = Option<u64>;

/// What one reader put on one page with one pointer.
struct Page {
    at: Instant,
    current: i64,
    rows: Vec<(usize, Print)>,
}

/// Readers at work.
pub(super) struct Readers {
    keys: Arc<Vec<String>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Page>>>,
}

/// What the judge says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) n_pages: u64,
    pub(super) n_reads: u64,
    /// Reads of a run that was never committed.
    pub(super) uncommitted: u64,
    /// Keys that the run has and the reader did not find.
    pub(super) missing: u64,
    /// Reads of another list than the page's run has.
    pub(super) mixed: u64,
    /// Pages of an older run than the page before.
    pub(super) backwards: u64,
}

impl Readers {
    /// Starts so many, who read random keys of these.
    pub(super) fn start(asker: &Asker, n: u64, keys: Vec<String>, seed: u64) -> Self {
        let (keys, stop) = (Arc::new(keys), Arc::new(AtomicBool::new(false)));
        let threads = (0..n).map(|reader| {
            let (asker, keys, stop) = (asker.clone(), Arc::clone(&keys), Arc::clone(&stop));
            std::thread::spawn(move || read(&asker, &keys, &stop, Random::new(seed ^ (reader << 32))))
        });
        let threads = threads.collect();
        Self { keys, stop, threads }
    }

    /// Stops them and judges. `committed`: what readers must see, by sequence.
    pub(super) fn judge(self, committed: &BTreeMap<i64, &Visible>, rolled_back: &[Instant]) -> Verdict {
        self.stop.store(true, SeqCst);
        let mut prints: HashMap<i64, Vec<Print>> = HashMap::new();
        for (&sequence, visible) in committed {
            let all = self.keys.iter().map(|key| visible.get(key).map(|(items, source)| print_of(items, source)));
            prints.insert(sequence, all.collect());
        }
        let mut verdict = Verdict::default();
        for thread in self.threads {
            let mut before: Option<(Instant, i64)> = None;
            for page in thread.join().unwrap() {
                verdict.n_pages += 1;
                verdict.n_reads += page.rows.len() as u64;
                if let Some((at, current)) = before
                    && page.current < current
                    && !rolled_back.iter().any(|moment| at <= *moment && *moment <= page.at)
                {
                    verdict.backwards += 1;
                }
                before = Some((page.at, page.current));
                let Some(prints) = prints.get(&page.current) else {
                    verdict.uncommitted += page.rows.len() as u64;
                    continue;
                };
                for (key, print) in page.rows {
                    match (prints[key], print) {
                        (Some(_), None) => verdict.missing += 1,
                        (should, is) if should != is => verdict.mixed += 1,
                        _ => {}
                    }
                }
            }
        }
        verdict
    }
}

impl Verdict {
    /// Whether nobody saw anything wrong.
    pub(super) fn is_clean(&self) -> bool {
        self.uncommitted + self.missing + self.mixed + self.backwards == 0
    }

    /// Adds another one.
    pub(super) fn add(&mut self, other: &Self) {
        self.n_pages += other.n_pages;
        self.n_reads += other.n_reads;
        self.uncommitted += other.uncommitted;
        self.missing += other.missing;
        self.mixed += other.mixed;
        self.backwards += other.backwards;
    }
}

fn print_of(items: &[String], source: &str) -> u64 {
    let mut hasher = Xxh64::new(0);
    for text in items.iter().map(String::as_str).chain([source]) {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.digest()
}

fn read(asker: &Asker, keys: &[String], stop: &AtomicBool, mut random: Random) -> Vec<Page> {
    let mut pages = Vec::new();
    let mut pointer = None;
    let mut fresh_until = Instant::now();
    while !stop.load(SeqCst) {
        let at = Instant::now();
        if pointer.is_none() || at >= fresh_until {
            pointer = asker.pointer(TABLE);
            // The contract allows ten seconds; short ones see more.
            fresh_until = at + Duration::from_millis(random.below(400));
        }
        if let Some(pointer) = &pointer {
            let rows = (0..4).map(|_| {
                let key = random.below(keys.len() as u64) as usize;
                let found = asker.read(TABLE, &keys[key], pointer);
                let list = found.and_then(|(_, row)| row.items.map(|items| print_of(&items, &row.source)));
                (key, list)
            });
            pages.push(Page { at, current: pointer.current, rows: rows.collect() });
        }
        std::thread::sleep(Duration::from_millis(30 + random.below(100)));
    }
    pages
}
