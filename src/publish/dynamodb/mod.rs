//! Publishing to DynamoDB.
//!
//! In: rows of a run. Out: items under a sequence of their own, and a pointer that says which sequences count.
//! Refuses: to move the pointer before every row is acknowledged and a sample was read back, or after somebody else has.
//!
//! ```text
//! begin    the ledger: resume what a dead publisher of this run had begun, or draw a sequence
//! write    encode -> writer (batches, retries, pace, checkpoints)
//! verify   all rows acknowledged, counts as expected, a sample read back the way readers read
//! commit   one transaction: the pointer moves if nobody moved it, and the ledger's line is committed if it is still ours
//! ```

mod audit;
mod begin;
mod config;
mod encode;
mod estimate;
mod ledger;
mod link;
mod pace;
mod reader;
mod sample;
mod tables;
mod writer;

use std::sync::atomic::Ordering::Relaxed;

use aws_sdk_dynamodb::Client;
use hashbrown::HashSet;
use tokio::runtime::Runtime;

pub use config::{Attributes, DynamoConfig, Encoding, Layout, Prices};
pub use estimate::{Estimate, EstimateSummary};
pub use reader::{DynamoReader, ServedList};

use super::{Begun, Committed, Expected, PublishError, Rows, RunHeader, RunSequence, Section, Sink, Status, Tally};
use encode::{Encoded, Encoder, key_hash};
use ledger::{Entry, Ledger, Pointer, State};
use link::Link;
use sample::Sample;
use writer::Writer;

/// A DynamoDB table as a sink.
#[derive(Debug)]
pub struct DynamoSink {
    link: Link,
    ledger: Ledger,
    /// Only sizes things up: writes nothing.
    is_dry: bool,
    loading: Option<Loading>,
    /// Dropped last: it runs what the others wait for.
    runtime: Runtime,
}

/// A publish under way.
#[derive(Debug)]
struct Loading {
    entry: Entry,
    /// The pointer when it began.
    before: Pointer,
    encoder: Encoder,
    outlet: Outlet,
    /// Rows of its order that came by so far.
    index: u64,
    /// Hashes of the keys that came by, to notice one that comes twice.
    seen: HashSet<u64>,
    tallies: Expected,
    sample: Sample,
    /// Who came first, once that is known.
    ended: Option<String>,
    /// The sum of what `verify` found right, until something is written again.
    verified: Option<Tally>,
}

/// Where rows go.
#[derive(Debug)]
enum Outlet {
    Table(Writer),
    /// The run is what readers see already.
    Served,
    /// Sizes are added up.
    Estimate(Estimate),
}

impl DynamoSink {
    /// Connects, and looks whether the table is there and as it must be.
    ///
    /// # Errors
    /// [`NotReady`](PublishError::NotReady) with what is missing and what to do.
    pub fn open(config: &DynamoConfig) -> Result<Self, PublishError> {
        let sink = Self::connect(config)?;
        sink.runtime.block_on(tables::check(&sink.link))?;
        Ok(sink)
    }

    /// Makes the table, on demand and with time to live, where it is not there; then opens it.
    ///
    /// # Errors
    /// When AWS refuses, or a table of the name has other keys.
    pub fn create(config: &DynamoConfig, point_in_time_recovery: bool) -> Result<Self, PublishError> {
        let sink = Self::connect(config)?;
        sink.runtime.block_on(tables::create(&sink.link, point_in_time_recovery))?;
        Ok(sink)
    }

    /// A sink that writes nothing and adds up what would be written; see [`estimate`](Self::estimate). A table that is not
    /// there counts as empty.
    ///
    /// # Errors
    /// When AWS cannot be reached.
    pub fn dry(config: &DynamoConfig) -> Result<Self, PublishError> {
        Ok(Self { is_dry: true, ..Self::connect(config)? })
    }

    /// Over a client made elsewhere; the table is not looked at.
    ///
    /// # Errors
    /// When threads cannot be started.
    pub fn with_client(config: &DynamoConfig, client: Client) -> Result<Self, PublishError> {
        let link = Link::with_client(config, client);
        let runtime = link::runtime().map_err(|source| Self::no_threads(&link.store, source))?;
        Ok(Self { ledger: Ledger::new(link.clone()), link, is_dry: false, loading: None, runtime })
    }

    fn connect(config: &DynamoConfig) -> Result<Self, PublishError> {
        let store = format!("DynamoDB table {}", config.table);
        let runtime = link::runtime().map_err(|source| Self::no_threads(&store, source))?;
        let link = runtime.block_on(Link::open(config))?;
        Ok(Self { ledger: Ledger::new(link.clone()), link, is_dry: false, loading: None, runtime })
    }

    fn no_threads(store: &str, source: std::io::Error) -> PublishError {
        PublishError::Store { store: store.to_owned(), doing: "start threads".into(), source: Box::new(source) }
    }

    /// What was added up since `begin`; `None` unless the sink is [`dry`](Self::dry) and has begun.
    #[must_use]
    pub fn estimate(&self) -> Option<&Estimate> {
        match &self.loading.as_ref()?.outlet {
            Outlet::Estimate(estimate) => Some(estimate),
            _ => None,
        }
    }

    fn begun(&mut self, doing: &'static str) -> Result<(&Runtime, &Link, &Ledger, &mut Loading), PublishError> {
        match &mut self.loading {
            Some(Loading { ended: Some(by), entry, .. }) => Err(self.ledger.superseded(entry.sequence, by.clone())),
            Some(loading) => Ok((&self.runtime, &self.link, &self.ledger, loading)),
            None => Err(PublishError::OutOfOrder { doing, reason: "no publish has begun" }),
        }
    }

    /// Takes rows in: all of them are counted, those that must be are sent.
    fn take(&mut self, rows: &Rows<'_>, changed: bool) -> Result<Tally, PublishError> {
        let (runtime, link, _, loading) = self.begun("write rows")?;
        rows.check_scores()?;
        loading.verified = None;
        let section = rows.section();
        if !link.config.sections.contains(&section) {
            return Err(PublishError::NotTaken { store: link.store.clone(), section });
        }
        let mut tally = Tally::default();
        let mut each = |row: Encoded, key: &str| -> Result<(), PublishError> {
            if !loading.seen.insert(key_hash(&row.key, 0)) {
                return Err(PublishError::DuplicateKey { section, key: key.to_owned() });
            }
            tally.add_hashed(row.content.n_entries, row.content.hash);
            loading.sample.offer(&row.key, row.content);
            let due =
                || key_hash(&row.key, 1) % u64::from(link.config.refresh_after) == refresh_slice(&loading.entry, link);
            if changed || due() {
                return runtime.block_on(send(loading.entry.done, &mut loading.index, &mut loading.outlet, row));
            }
            if let Outlet::Estimate(estimate) = &mut loading.outlet {
                estimate.n_kept += 1;
            }
            Ok(())
        };
        match rows {
            Rows::Lists(_, lists) => {
                for row in lists.rows() {
                    each(loading.encoder.list(section, &row)?, row.key)?;
                }
            }
            Rows::Profiles(documents) => {
                for (key, document) in documents.keys.iter().zip(&documents.documents) {
                    each(loading.encoder.document(section, key, document)?, key)?;
                }
            }
            Rows::Members(_) => return Err(PublishError::NotTaken { store: link.store.clone(), section }),
        }
        loading.tallies.entry(section).or_default().merge(&tally);
        Ok(tally)
    }
}

/// The part of the unchanged keys whose turn it is.
fn refresh_slice(entry: &Entry, link: &Link) -> u64 {
    entry.sequence.unsigned_abs() % u64::from(link.config.refresh_after)
}

/// Hands a row on, unless a publisher that was killed had it acknowledged.
async fn send(done: u64, index: &mut u64, outlet: &mut Outlet, row: Encoded) -> Result<(), PublishError> {
    *index += 1;
    match outlet {
        Outlet::Table(writer) if *index > done => writer.write(row).await,
        Outlet::Table(_) | Outlet::Served => Ok(()),
        Outlet::Estimate(estimate) => {
            estimate.add(&row);
            Ok(())
        }
    }
}

impl Sink for DynamoSink {
    fn sections(&self) -> &[Section] {
        &self.link.config.sections
    }

    fn begin(&mut self, header: &RunHeader) -> Result<Begun, PublishError> {
        if self.loading.is_some() {
            return Err(PublishError::OutOfOrder { doing: "begin a publish", reason: "another one has begun" });
        }
        let plan = self.runtime.block_on(begin::begin(&self.link, &self.ledger, header, self.is_dry))?;
        let ttl_days = i64::from(self.link.config.ttl_days);
        let ttl = (ttl_days > 0).then(|| ledger::now() + ttl_days * 86_400);
        let encoder = Encoder::new(&self.link.config, plan.entry.sequence, ttl);
        let outlet = match plan.mine {
            _ if self.is_dry => Outlet::Estimate(Estimate::default()),
            Some(mine) => {
                let _entered = self.runtime.enter();
                Outlet::Table(Writer::start(self.link.clone(), self.ledger.clone(), mine))
            }
            None => Outlet::Served,
        };
        let begun = Begun { sequence: RunSequence(plan.entry.sequence), base: plan.base };
        self.loading = Some(Loading {
            sample: Sample::new(self.link.config.verify_sample, plan.entry.sequence.unsigned_abs()),
            entry: plan.entry,
            before: plan.before,
            encoder,
            outlet,
            index: 0,
            seen: HashSet::new(),
            tallies: Expected::new(),
            ended: None,
            verified: None,
        });
        Ok(begun)
    }

    fn write(&mut self, rows: &Rows<'_>) -> Result<Tally, PublishError> {
        self.take(rows, true)
    }

    fn keep(&mut self, rows: &Rows<'_>) -> Result<Tally, PublishError> {
        self.take(rows, false)
    }

    fn leave(&mut self, section: Section, keys: &[&str]) -> Result<(), PublishError> {
        let (runtime, _, _, loading) = self.begun("write tombstones")?;
        for key in keys {
            let row = loading.encoder.tombstone(section, key)?;
            if let Outlet::Estimate(estimate) = &mut loading.outlet {
                estimate.n_gone += 1;
            }
            runtime.block_on(send(loading.entry.done, &mut loading.index, &mut loading.outlet, row))?;
        }
        Ok(())
    }

    fn shows_scores(&self) -> bool {
        self.link.config.encoding == Encoding::Map
    }

    fn note(&self) -> Option<String> {
        let Outlet::Table(writer) = &self.loading.as_ref()?.outlet else { return None };
        let units = writer.progress.units.load(Relaxed);
        let dollars = units as f64 * self.link.config.prices.million_write_units / 1e6;
        let resent = writer.progress.resent.load(Relaxed);
        Some(format!("{units} write units, ${dollars:.4}, {resent} rows sent again"))
    }

    fn verify(&mut self, expected: &Expected) -> Result<(), PublishError> {
        let (runtime, link, _, loading) = self.begun("verify")?;
        if let Outlet::Table(writer) = &mut loading.outlet {
            runtime.block_on(writer.flush())?;
        }
        fail::fail_point!("dynamodb-before-verify");
        for section in Section::ALL {
            let of = |side: &Expected| side.get(&section).copied().unwrap_or_default();
            if let Some((what, expected, found)) = of(expected).first_difference(&of(&loading.tallies)) {
                return Err(PublishError::Mismatch { store: link.store.clone(), section, what, expected, found });
            }
        }
        if let Outlet::Table(_) = loading.outlet {
            let range = (loading.entry.floor, loading.entry.sequence);
            runtime.block_on(loading.sample.check(link, range))?;
        }
        let mut total = Tally::default();
        loading.tallies.values().for_each(|tally| total.merge(tally));
        loading.verified = Some(total);
        Ok(())
    }

    fn commit(&mut self) -> Result<Committed, PublishError> {
        let (runtime, _, ledger, loading) = self.begun("commit")?;
        let Some(total) = loading.verified else {
            return Err(PublishError::OutOfOrder { doing: "commit", reason: "what was written has not been verified" });
        };
        let sequence = RunSequence(loading.entry.sequence);
        let previous = match loading.outlet {
            Outlet::Served => loading.before.previous,
            Outlet::Table(_) => {
                (loading.entry.n_lists, loading.entry.n_entries) = (total.n_lists, total.n_entries);
                let outcome = runtime.block_on(ledger.commit(&loading.entry, &loading.before));
                if let Err(PublishError::Superseded { by, .. }) = &outcome {
                    loading.ended = Some(by.clone());
                }
                outcome?;
                loading.before.current
            }
            Outlet::Estimate(_) => {
                return Err(PublishError::OutOfOrder { doing: "commit", reason: "nothing was written, only added up" });
            }
        };
        self.loading = None;
        Ok(Committed {
            sequence,
            previous: previous.map(RunSequence),
            n_lists: total.n_lists,
            n_entries: total.n_entries,
        })
    }

    fn abort(&mut self) -> Result<(), PublishError> {
        let Some(loading) = self.loading.take() else { return Ok(()) };
        if let Outlet::Table(_) = loading.outlet {
            // Its rows stay: no reader looks at them, and they go when their time comes.
            self.runtime.block_on(self.ledger.abort(loading.entry.sequence))?;
        }
        Ok(())
    }

    fn tally(&self, rows: &Rows<'_>) -> Tally {
        let encoder = Encoder::new(&self.link.config, 0, None);
        let mut tally = Tally::default();
        let mut add = |row: Result<Encoded, PublishError>| {
            // What cannot be encoded cannot have been published either, so it shows as a difference.
            if let Ok(row) = row {
                tally.add_hashed(row.content.n_entries, row.content.hash);
            }
        };
        let section = rows.section();
        match rows {
            Rows::Lists(_, lists) => lists.rows().for_each(|row| add(encoder.list(section, &row))),
            Rows::Profiles(documents) => {
                let documents = documents.keys.iter().zip(&documents.documents);
                documents.for_each(|(key, document)| add(encoder.document(section, key, document)));
            }
            Rows::Members(_) => {}
        }
        tally
    }

    fn audit(&mut self) -> Result<Expected, PublishError> {
        self.runtime.block_on(audit::audit(&self.link, &self.ledger))
    }

    fn status(&mut self) -> Result<Status, PublishError> {
        let (pointer, entries) =
            self.runtime.block_on(async { Ok((self.ledger.pointer().await?, self.ledger.entries().await?)) })?;
        let in_state = |state: State| entries.iter().filter(move |entry| entry.state == state);
        let is_kept = |sequence: &i64| in_state(State::Committed).any(|entry| entry.sequence == *sequence);
        Ok(Status {
            current: pointer.current.map(RunSequence),
            previous: pointer.previous.filter(is_kept).map(RunSequence),
            epoch: pointer.epoch,
            runs: in_state(State::Committed).rev().map(Entry::published).collect(),
            unfinished: in_state(State::Loading).map(|entry| RunSequence(entry.sequence)).collect(),
        })
    }

    fn rollback(&mut self, to: Option<RunSequence>) -> Result<Status, PublishError> {
        self.runtime.block_on(begin::rollback(&self.link, &self.ledger, to.map(|to| to.0)))?;
        self.status()
    }

    fn drop_old(&mut self, keep: usize) -> Result<Vec<RunSequence>, PublishError> {
        self.runtime.block_on(begin::drop_old(&self.ledger, keep))
    }
}
