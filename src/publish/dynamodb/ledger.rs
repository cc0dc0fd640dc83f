//! Which run readers see, and which ones there are.
//!
//! Three kinds of item beside the rows, each changed under a condition only:
//!
//! ```text
//! !pointer  0         current, floor, previous, epoch, run,   what readers see, and the table that rows lie in
//!                     table
//! !sequence 0         last, owner                             the counter
//! !run      SEQUENCE  run, content, state, owner, done, ...   the ledger
//! ```

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, TransactWriteItem, Update},
};

use super::{
    encode::Item,
    link::{Fault, Link, draw, fault},
};
use crate::{
    publish::{PublishError, PublishedRun, RunSequence},
    retry::Failure,
};

pub(super) const POINTER: &str = "!pointer";
const SEQUENCE: &str = "!sequence";
const RUN: &str = "!run";

/// What readers see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pointer {
    pub(super) current: Option<i64>,
    pub(super) previous: Option<i64>,
    /// Rows below this sequence do not count.
    pub(super) floor: i64,
    /// Moves so far.
    pub(super) epoch: i64,
    /// The table that rows lie in; `None`: the one that the pointer lies in.
    pub(super) table: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Loading,
    Committed,
    Aborted,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Committed => "committed",
            Self::Aborted => "aborted",
        }
    }
}

/// One run's line in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) sequence: i64,
    pub(super) run: String,
    pub(super) content: String,
    /// What rows look like; see [`DynamoConfig::shape`](super::DynamoConfig::shape).
    pub(super) shape: String,
    pub(super) state: State,
    /// Token of the publisher that may write it.
    pub(super) owner: String,
    /// The pointer's epoch when it began.
    pub(super) epoch: i64,
    /// Readers of this run look at rows from this sequence on.
    pub(super) floor: i64,
    /// The last run that wrote every row.
    pub(super) full: i64,
    /// The table that its rows lie in.
    pub(super) table: String,
    /// The run whose rows it builds on.
    pub(super) base: Option<i64>,
    /// When the runs from `floor` to this one began, Unix seconds: the first is the age of the oldest row that counts.
    pub(super) begun_at: Vec<i64>,
    pub(super) committed_at: Option<i64>,
    /// Rows from the start that are surely in the table.
    pub(super) done: u64,
    pub(super) n_lists: u64,
    pub(super) n_entries: u64,
}

/// A publisher's right to write one run.
#[derive(Debug, Clone)]
pub(super) struct Mine {
    pub(super) sequence: i64,
    pub(super) owner: String,
    /// The table that its rows lie in.
    pub(super) table: String,
    /// Rows that were in the table when it began.
    pub(super) done: u64,
}

/// Reads and changes pointer, counter and ledger.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    link: Link,
}

fn n(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn integer(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn text(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

impl Entry {
    fn read(item: &Item, sort_key: &str) -> Option<Self> {
        let state = [State::Loading, State::Committed, State::Aborted];
        let name = text(item, "state")?;
        let times = item.get("begun_at")?.as_l().ok()?;
        Some(Self {
            sequence: integer(item, sort_key)?,
            run: text(item, "run")?,
            content: text(item, "content")?,
            shape: text(item, "shape")?,
            state: state.into_iter().find(|state| state.name() == name)?,
            owner: text(item, "owner")?,
            epoch: integer(item, "epoch")?,
            floor: integer(item, "floor")?,
            full: integer(item, "full")?,
            table: text(item, "table")?,
            base: integer(item, "base"),
            begun_at: times.iter().filter_map(|at| at.as_n().ok()?.parse().ok()).collect(),
            committed_at: integer(item, "committed_at"),
            done: integer(item, "done")?.unsigned_abs(),
            n_lists: integer(item, "n_lists").unwrap_or(0).unsigned_abs(),
            n_entries: integer(item, "n_entries").unwrap_or(0).unsigned_abs(),
        })
    }

    fn item(&self) -> Vec<(&'static str, AttributeValue)> {
        let mut fields = vec![
            ("run", s(&self.run)),
            ("content", s(&self.content)),
            ("shape", s(&self.shape)),
            ("state", s(self.state.name())),
            ("owner", s(&self.owner)),
            ("epoch", n(self.epoch)),
            ("floor", n(self.floor)),
            ("full", n(self.full)),
            ("table", s(&self.table)),
            ("begun_at", AttributeValue::L(self.begun_at.iter().map(|at| n(*at)).collect())),
            ("done", n(self.done as i64)),
        ];
        fields.extend(self.base.map(|base| ("base", n(base))));
        fields
    }

    /// As the store's status shows it.
    pub(super) fn published(&self) -> PublishedRun {
        let at = self.committed_at.and_then(|at| jiff::Timestamp::from_second(at).ok());
        PublishedRun {
            sequence: RunSequence(self.sequence),
            run: self.run.clone(),
            content_sha256: self.content.clone(),
            committed_at: at.map_or_else(String::new, |at| at.to_string()),
            n_lists: self.n_lists,
            n_entries: self.n_entries,
        }
    }
}

impl Ledger {
    pub(super) fn new(link: Link) -> Self {
        Self { link }
    }

    fn key(&self, partition: &str, sequence: i64) -> HashMap<String, AttributeValue> {
        let names = &self.link.config.attributes;
        [(names.key.clone(), s(partition)), (names.sequence.clone(), n(sequence))].into()
    }

    async fn get(&self, doing: &str, partition: &str) -> Result<Option<Item>, PublishError> {
        let table = &self.link.config.table;
        let ask = || {
            self.link
                .client
                .get_item()
                .table_name(table)
                .set_key(Some(self.key(partition, 0)))
                .consistent_read(true)
                .send()
        };
        Ok(self.link.patiently(doing, ask).await?.item)
    }

    /// What readers see, read consistently.
    pub(super) async fn pointer(&self) -> Result<Pointer, PublishError> {
        Ok(self.get("read the pointer", POINTER).await?.map(|item| pointer_of(&item)).unwrap_or_default())
    }

    /// All runs of the ledger, ascending, read consistently.
    pub(super) async fn entries(&self) -> Result<Vec<Entry>, PublishError> {
        let names = &self.link.config.attributes;
        let mut entries = Vec::new();
        let mut from = None;
        loop {
            let ask = || {
                self.link
                    .client
                    .query()
                    .table_name(&self.link.config.table)
                    .key_condition_expression("#k = :run")
                    .expression_attribute_names("#k", &names.key)
                    .expression_attribute_values(":run", s(RUN))
                    .consistent_read(true)
                    .set_exclusive_start_key(from.clone())
                    .send()
            };
            let answer = self.link.patiently("read the ledger of runs", ask).await?;
            entries.extend(answer.items().iter().filter_map(|item| Entry::read(item, &names.sequence)));
            match answer.last_evaluated_key {
                Some(key) => from = Some(key),
                None => return Ok(entries),
            }
        }
    }

    /// Draws the next sequence: never one twice, whoever else draws.
    pub(super) async fn draw_sequence(&self, owner: &str) -> Result<i64, PublishError> {
        let doing = "draw a sequence";
        let mut attempt = 1;
        loop {
            let item = self.get(doing, SEQUENCE).await?.unwrap_or_default();
            let last = integer(&item, "last").unwrap_or(0);
            // An update whose answer was lost is found here.
            if text(&item, "owner").as_deref() == Some(owner) {
                return Ok(last);
            }
            let outcome = self
                .link
                .client
                .update_item()
                .table_name(&self.link.config.table)
                .set_key(Some(self.key(SEQUENCE, 0)))
                .update_expression("SET #l = :next, #o = :me")
                .condition_expression("attribute_not_exists(#l) OR #l = :last")
                .expression_attribute_names("#l", "last")
                .expression_attribute_names("#o", "owner")
                .expression_attribute_values(":next", n(last + 1))
                .expression_attribute_values(":last", n(last))
                .expression_attribute_values(":me", s(owner))
                .send()
                .await;
            let fault = match outcome {
                Ok(_) => return Ok(last + 1),
                Err(error) => fault(error),
            };
            // Somebody else drew in between: theirs is gone, the next one may be ours.
            let failure = if fault.failure == Failure::Condition { Failure::Throttled } else { fault.failure };
            match self.link.config.retry.wait(failure, attempt, draw()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(self.link.failed(doing, fault)),
            }
            attempt += 1;
        }
    }

    /// Writes a new run into the ledger.
    pub(super) async fn begin(&self, entry: &Entry) -> Result<(), PublishError> {
        let item = || -> Item {
            let fields = entry.item().into_iter().map(|(name, value)| (name.to_owned(), value));
            self.key(RUN, entry.sequence).into_iter().chain(fields).collect()
        };
        let ask = || {
            self.link
                .client
                .put_item()
                .table_name(&self.link.config.table)
                .set_item(Some(item()))
                // True again for one that was applied without our hearing of it.
                .condition_expression("attribute_not_exists(#o) OR #o = :me")
                .expression_attribute_names("#o", "owner")
                .expression_attribute_values(":me", s(&entry.owner))
                .send()
        };
        self.link.patiently(&format!("enter run {} into the ledger", entry.sequence), ask).await.map(drop)
    }

    /// Takes a broken-off publish over; `false` when somebody else did, or its publisher ended it.
    pub(super) async fn take_over(&self, entry: &Entry, me: &str) -> Result<bool, PublishError> {
        let change = Change {
            set: vec![("owner", s(me))],
            condition: "(#o = :old OR #o = :me) AND #s = :loading",
            values: vec![(":old", s(&entry.owner)), (":me", s(me)), (":loading", s(State::Loading.name()))],
        };
        self.change(entry.sequence, "take a broken-off publish over", change).await
    }

    /// Says how far a publish has come.
    ///
    /// # Errors
    /// [`Superseded`](PublishError::Superseded) when it is not ours any more.
    pub(super) async fn checkpoint(&self, mine: &Mine, done: u64) -> Result<(), PublishError> {
        let change = Change {
            set: vec![("done", n(done as i64))],
            condition: "#o = :me AND #s = :loading",
            values: vec![(":me", s(&mine.owner)), (":loading", s(State::Loading.name()))],
        };
        if self.change(mine.sequence, "save a checkpoint", change).await? {
            return Ok(());
        }
        Err(self.superseded(mine.sequence, "another publish has ended it or taken it over".into()))
    }

    /// Ends a publish for good; nothing happens to one that is over.
    pub(super) async fn abort(&self, sequence: i64) -> Result<bool, PublishError> {
        let change = Change {
            set: vec![("state", s(State::Aborted.name()))],
            condition: "attribute_exists(#o) AND (#s = :loading OR #s = :aborted)",
            values: vec![(":loading", s(State::Loading.name())), (":aborted", s(State::Aborted.name()))],
        };
        self.change(sequence, "end a publish", change).await
    }

    /// Changes a run's line; `false` when the condition does not hold.
    async fn change(&self, sequence: i64, doing: &str, change: Change) -> Result<bool, PublishError> {
        let update = change.update(&self.link.config.table, self.key(RUN, sequence));
        let mut attempt = 1;
        loop {
            let Err(fault) = self.send(&update).await else { return Ok(true) };
            if fault.failure == Failure::Condition {
                return Ok(false);
            }
            match self.link.config.retry.wait(fault.failure, attempt, draw()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(self.link.failed(doing, fault)),
            }
            attempt += 1;
        }
    }

    /// Sends readers to a run that was loaded, once, if nobody has moved the pointer since it began and the run is still
    /// ours: pointer and ledger change together or not at all.
    ///
    /// # Errors
    /// [`Superseded`](PublishError::Superseded) when somebody has; then nothing changed.
    pub(super) async fn commit(&self, entry: &Entry, before: &Pointer) -> Result<(), PublishError> {
        fail::fail_point!("dynamodb-before-commit");
        let doing = format!("commit run {}", entry.sequence);
        let run = Change {
            set: vec![
                ("state", s(State::Committed.name())),
                ("committed_at", n(now())),
                ("n_lists", n(entry.n_lists as i64)),
                ("n_entries", n(entry.n_entries as i64)),
            ],
            condition: "#o = :me AND #s = :loading",
            values: vec![(":me", s(&entry.owner)), (":loading", s(State::Loading.name()))],
        };
        let moved = move_of(entry, before);
        let table = &self.link.config.table;
        let mut attempt = 1;
        loop {
            let outcome = self
                .link
                .client
                .transact_write_items()
                .transact_items(TransactWriteItem::builder().update(moved.update(table, self.key(POINTER, 0))).build())
                .transact_items(
                    TransactWriteItem::builder().update(run.update(table, self.key(RUN, entry.sequence))).build(),
                )
                .send()
                .await;
            let fault = match outcome {
                Ok(_) => {
                    fail::fail_point!("dynamodb-after-commit");
                    return Ok(());
                }
                Err(error) => transaction_fault(error),
            };
            // Whether an unclear attempt was applied, a consistent read tells.
            if fault.failure != Failure::Throttled {
                let pointer = self.pointer().await?;
                let mine = self.entries().await?.into_iter().find(|other| other.sequence == entry.sequence);
                match mine {
                    Some(mine) if mine.owner == entry.owner && mine.state == State::Committed => return Ok(()),
                    Some(mine)
                        if mine.owner == entry.owner
                            && mine.state == State::Loading
                            && pointer.epoch == before.epoch => {}
                    _ => return Err(self.superseded(entry.sequence, how_it_moved(&pointer, before))),
                }
            }
            let failure = if fault.failure == Failure::Condition { Failure::Throttled } else { fault.failure };
            match self.link.config.retry.wait(failure, attempt, draw()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(self.link.failed(doing, fault)),
            }
            attempt += 1;
        }
    }

    /// Sends readers to a committed run.
    ///
    /// # Errors
    /// When others move the pointer again and again.
    pub(super) async fn rollback(&self, to: &Entry, before: &Pointer) -> Result<bool, PublishError> {
        let moved = move_of(to, before);
        let update = moved.update(&self.link.config.table, self.key(POINTER, 0));
        let mut attempt = 1;
        loop {
            let Err(fault) = self.send(&update).await else { return Ok(true) };
            if fault.failure != Failure::Throttled {
                let pointer = self.pointer().await?;
                if pointer.epoch == before.epoch + 1 && pointer.current == Some(to.sequence) {
                    return Ok(true);
                }
                if pointer.epoch != before.epoch {
                    return Ok(false);
                }
            }
            match self.link.config.retry.wait(fault.failure, attempt, draw()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(self.link.failed("roll back", fault)),
            }
            attempt += 1;
        }
    }

    async fn send(&self, update: &Update) -> Result<(), Fault> {
        let request = self
            .link
            .client
            .update_item()
            .table_name(update.table_name())
            .set_key(Some(update.key().clone()))
            .update_expression(update.update_expression())
            .set_condition_expression(update.condition_expression().map(str::to_owned))
            .set_expression_attribute_names(update.expression_attribute_names().cloned())
            .set_expression_attribute_values(update.expression_attribute_values().cloned());
        request.send().await.map(drop).map_err(fault)
    }

    /// Takes a run out of the ledger: it cannot be gone back to any more. Its rows go when their time comes.
    pub(super) async fn forget(&self, sequence: i64) -> Result<(), PublishError> {
        let table = &self.link.config.table;
        let ask = || self.link.client.delete_item().table_name(table).set_key(Some(self.key(RUN, sequence))).send();
        self.link.patiently(&format!("forget run {sequence}"), ask).await.map(drop)
    }

    pub(super) fn superseded(&self, sequence: i64, by: String) -> PublishError {
        PublishError::Superseded { store: self.link.store.clone(), sequence: RunSequence(sequence), by }
    }
}

pub(super) fn pointer_of(item: &Item) -> Pointer {
    Pointer {
        current: integer(item, "current"),
        previous: integer(item, "previous"),
        floor: integer(item, "floor").unwrap_or(0),
        epoch: integer(item, "epoch").unwrap_or(0),
        table: text(item, "table"),
    }
}

/// How the pointer came to be where it is.
pub(super) fn how_it_moved(now: &Pointer, before: &Pointer) -> String {
    let current = now.current.map_or_else(|| "nothing".to_owned(), |current| format!("run {current}"));
    match now.epoch - before.epoch {
        0 => "another publish has ended it or taken it over".to_owned(),
        moves => format!("the pointer moved {moves} time(s) since it began and shows {current}"),
    }
}

/// What a failed transaction means: its parts tell whether a condition failed or two transactions met.
fn transaction_fault(error: SdkError<TransactWriteItemsError>) -> Fault {
    let codes: Vec<String> = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    let mut fault = fault(error);
    if fault.failure == Failure::Condition && !codes.iter().any(|code| code == "ConditionalCheckFailed") {
        let busy = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
        let is_busy = codes.iter().any(|code| busy.contains(&code.as_str()));
        fault.failure = if is_busy { Failure::Throttled } else { Failure::Refused };
    }
    fault
}

/// What must be set where, if a condition holds. Names are `#` and their first letter, so each change uses one a letter.
struct Change {
    set: Vec<(&'static str, AttributeValue)>,
    /// May speak of `#o` (owner) and `#s` (state).
    condition: &'static str,
    values: Vec<(&'static str, AttributeValue)>,
}

impl Change {
    fn expression(&self) -> String {
        let sets: Vec<String> = (0..self.set.len()).map(|at| format!("#set{at} = :set{at}")).collect();
        format!("SET {}", sets.join(", "))
    }

    fn names(&self) -> HashMap<String, String> {
        let mut names: HashMap<String, String> =
            self.set.iter().enumerate().map(|(at, (name, _))| (format!("#set{at}"), (*name).to_owned())).collect();
        for (short, name) in [("#o", "owner"), ("#s", "state"), ("#e", "epoch")] {
            if self.condition.contains(short) {
                names.insert(short.to_owned(), name.to_owned());
            }
        }
        names
    }

    fn values(&self) -> HashMap<String, AttributeValue> {
        let set = self.set.iter().enumerate().map(|(at, (_, value))| (format!(":set{at}"), value.clone()));
        set.chain(self.values.iter().map(|(name, value)| ((*name).to_owned(), value.clone()))).collect()
    }

    fn update(&self, table: &str, key: HashMap<String, AttributeValue>) -> Update {
        Update::builder()
            .table_name(table)
            .set_key(Some(key))
            .update_expression(self.expression())
            .condition_expression(self.condition)
            .set_expression_attribute_names(Some(self.names()))
            .set_expression_attribute_values(Some(self.values()))
            .build()
            .expect("table, key and expression are set")
    }
}

/// The pointer's move to a run.
fn move_of(to: &Entry, before: &Pointer) -> Change {
    let mut set = vec![
        ("current", n(to.sequence)),
        ("floor", n(to.floor)),
        ("epoch", n(before.epoch + 1)),
        ("run", s(&to.run)),
        ("table", s(&to.table)),
    ];
    set.extend(before.current.map(|current| ("previous", n(current))));
    // Before the first commit there is no pointer.
    let (condition, values) = match before.epoch {
        0 => ("attribute_not_exists(#e)", vec![]),
        epoch => ("#e = :epoch", vec![(":epoch", n(epoch))]),
    };
    Change { set, condition, values }
}
