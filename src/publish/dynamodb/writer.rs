//! Sending rows: batches, retries, pace, and how far one has come.
//!
//! One task owns the queue. It keeps a bounded window of rows, fills batches with rows that were turned away and with new
//! ones, sends as many batches at once as the table takes without throttling, and tells the ledger how many rows from the
//! start are surely in the table, so that a killed publish goes on from there.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::{
    operation::batch_write_item::BatchWriteItemOutput,
    types::{AttributeValue, PutRequest, ReturnConsumedCapacity, WriteRequest},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, JoinSet},
};

use super::{
    Layout,
    encode::{Encoded, LATEST_SEQUENCE},
    ledger::{Ledger, Mine},
    link::{Fault, Link, draw, fault},
    pace::Pace,
};
use crate::{
    publish::{PublishError, RunSequence},
    retry::Failure,
};

/// DynamoDB's limit on a batch.
const BATCH_ROWS: usize = 25;
/// Rows that are neither acknowledged nor waiting to be read: with it, and with [`CHECKPOINT_ROWS`], a killed publish sends
/// at most 1,600 rows twice.
const WINDOW_ROWS: u64 = 600;
/// Rows between two checkpoints.
const CHECKPOINT_ROWS: u64 = 1_000;
/// A row may be left unprocessed so many times as often as requests may fail.
const UNLUCKY: u32 = 8;
/// Requests under way at the start; the table shows soon whether it takes more.
const FIRST_IN_FLIGHT: f64 = 8.0;

/// What happened so far; read while it goes on.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Rows acknowledged.
    pub(super) rows: AtomicU64,
    /// Requests sent.
    pub(super) requests: AtomicU64,
    /// Rows sent again.
    pub(super) resent: AtomicU64,
    /// Write units consumed, as DynamoDB says.
    pub(super) units: AtomicU64,
}

/// The handle of the task.
#[derive(Debug)]
pub(super) struct Writer {
    rows: mpsc::Sender<Order>,
    task: JoinHandle<Result<(), PublishError>>,
    pub(super) progress: Arc<Progress>,
}

enum Order {
    Write(Box<Encoded>),
    /// Answer when everything is acknowledged and the checkpoint says so.
    Flush(oneshot::Sender<()>),
}

/// A row on its way.
#[derive(Debug)]
struct Pending {
    /// Its place in the order of all rows.
    index: u64,
    /// How often it was sent.
    attempts: u32,
    /// How often since the table last took some row of a batch with it.
    failures: u32,
    row: Encoded,
}

/// What became of a batch.
struct Sent {
    rows: Vec<Pending>,
    /// Units taken from the pace for it.
    reserved: f64,
    outcome: Result<Taken, Fault>,
}

/// What DynamoDB took of a batch.
struct Taken {
    refused: HashSet<String>,
    units: f64,
}

impl Writer {
    /// Starts the task; rows before `mine.done` are in the table already and must not be handed over.
    pub(super) fn start(link: Link, ledger: Ledger, mine: Mine) -> Self {
        let (rows, orders) = mpsc::channel(WINDOW_ROWS as usize);
        let progress = Arc::new(Progress::default());
        let task = tokio::spawn(Task::new(link, ledger, mine, Arc::clone(&progress)).run(orders));
        Self { rows, task, progress }
    }

    /// Hands a row over; waits while the window is full.
    ///
    /// # Errors
    /// What ended the task.
    pub(super) async fn write(&mut self, row: Encoded) -> Result<(), PublishError> {
        match self.rows.send(Order::Write(Box::new(row))).await {
            Ok(()) => Ok(()),
            Err(_) => self.end().await,
        }
    }

    /// Waits until every row handed over is in the table.
    ///
    /// # Errors
    /// What ended the task.
    pub(super) async fn flush(&mut self) -> Result<(), PublishError> {
        let (done, flushed) = oneshot::channel();
        if self.rows.send(Order::Flush(done)).await.is_ok() && flushed.await.is_ok() {
            return Ok(());
        }
        self.end().await
    }

    /// Why the task is over.
    async fn end(&mut self) -> Result<(), PublishError> {
        (&mut self.task).await.expect("the writing task does not panic")
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task {
    link: Link,
    ledger: Ledger,
    mine: Mine,
    progress: Arc<Progress>,
    start: Instant,
    pace: Option<Pace>,
    /// Rows to send, those sent before first.
    ready: VecDeque<Pending>,
    /// Rows that wait for their next attempt, by the time of it.
    delayed: BTreeMap<(Duration, u64), Pending>,
    sending: JoinSet<Sent>,
    /// Requests that may be under way at once.
    limit: f64,
    next_index: u64,
    /// All rows below are acknowledged.
    acknowledged: u64,
    /// Acknowledged rows above.
    beyond: BTreeSet<u64>,
    /// Where the ledger's checkpoint is.
    checkpoint: u64,
    /// When the pace has units again; `None` unless it held a batch back just now.
    paused_until: Option<Duration>,
}

impl Task {
    fn new(link: Link, ledger: Ledger, mine: Mine, progress: Arc<Progress>) -> Self {
        let pace = Pace::new(link.config.max_write_units, 0.0);
        let limit = FIRST_IN_FLIGHT.min(link.config.max_in_flight as f64);
        let done = mine.done;
        Self {
            link,
            ledger,
            mine,
            progress,
            start: Instant::now(),
            pace,
            ready: VecDeque::new(),
            delayed: BTreeMap::new(),
            sending: JoinSet::new(),
            limit,
            next_index: done,
            acknowledged: done,
            beyond: BTreeSet::new(),
            checkpoint: done,
            paused_until: None,
        }
    }

    async fn run(mut self, mut orders: mpsc::Receiver<Order>) -> Result<(), PublishError> {
        let mut flush: Option<oneshot::Sender<()>> = None;
        loop {
            self.wake();
            // A full window with nothing under way gets no further rows to fill the batch with.
            let is_stuck = !self.has_room() && self.sending.is_empty() && self.delayed.is_empty();
            self.send_batches(flush.is_some() || orders.is_empty() || is_stuck);
            if self.acknowledged - self.checkpoint >= CHECKPOINT_ROWS {
                self.save().await?;
            }
            if self.acknowledged == self.next_index
                && let Some(done) = flush.take()
            {
                self.save().await?;
                // Nobody waits for the answer of an abandoned publish.
                let _ = done.send(());
            }
            let room = flush.is_none() && self.has_room();
            let wake_at = self.next_wake();
            tokio::select! {
                Some(sent) = self.sending.join_next() => {
                    self.settle(sent.expect("requests do not panic")).await?;
                }
                order = orders.recv(), if room => match order {
                    Some(Order::Write(row)) => {
                        self.ready.push_back(Pending { index: self.next_index, attempts: 0, failures: 0, row: *row });
                        self.next_index += 1;
                    }
                    Some(Order::Flush(done)) => flush = Some(done),
                    None => return Ok(()),
                },
                () = tokio::time::sleep(wake_at.unwrap_or_default().saturating_sub(self.start.elapsed())), if wake_at.is_some() => {}
            }
        }
    }

    /// Whether another row may be taken in.
    fn has_room(&self) -> bool {
        self.next_index - self.acknowledged < WINDOW_ROWS
    }

    /// Brings rows whose wait is over to the front.
    fn wake(&mut self) {
        let now = self.start.elapsed();
        while let Some(entry) = self.delayed.first_entry()
            && entry.key().0 <= now
        {
            self.ready.push_front(entry.remove());
        }
    }

    /// When something becomes possible without an answer or a new row.
    fn next_wake(&self) -> Option<Duration> {
        let delayed = self.delayed.keys().next().map(|(due, _)| *due);
        // Not compared with the clock: a wait that is over by now is still what the loop must wake up for.
        delayed.into_iter().chain(self.paused_until).min()
    }

    /// Sends what fills batches; with `all`, what does not, too.
    fn send_batches(&mut self, all: bool) {
        self.paused_until = None;
        while self.sending.len() < self.limit as usize {
            let n_rows = self.batch_rows();
            if n_rows == 0 || (n_rows == self.ready.len() && n_rows < self.max_rows() && !all) {
                return;
            }
            let reserved: f64 =
                self.ready.iter().take(n_rows).map(|pending| f64::from(pending.row.write_units())).sum();
            let now = self.start.elapsed();
            if let Some(pace) = &mut self.pace
                && let Err(wait) = pace.take(reserved, now.as_secs_f64())
            {
                self.paused_until = Some(now + Duration::from_secs_f64(wait));
                return;
            }
            let mut rows: Vec<Pending> = self.ready.drain(..n_rows).collect();
            for pending in &mut rows {
                pending.attempts += 1;
            }
            let resent = rows.iter().filter(|pending| pending.attempts > 1).count();
            self.progress.resent.fetch_add(resent as u64, Relaxed);
            self.progress.requests.fetch_add(1, Relaxed);
            let link = self.link.clone();
            let mine = self.mine.clone();
            self.sending.spawn(async move {
                let outcome = match link.config.layout {
                    Layout::Versioned => put_batch(&link, &mine.table, &rows).await,
                    Layout::Latest => put_newer(&link, &mine, &rows[0]).await,
                };
                Sent { rows, reserved, outcome }
            });
        }
    }

    fn max_rows(&self) -> usize {
        if self.link.config.layout == Layout::Latest { 1 } else { BATCH_ROWS }
    }

    /// How many of the rows in front go into the next batch: no more units than the pace lets through at once.
    fn batch_rows(&self) -> usize {
        let most = self.max_rows().min(self.ready.len());
        let Some(pace) = &self.pace else { return most };
        let mut units = 0.0;
        let fitting = self.ready.iter().take(most).take_while(|pending| {
            units += f64::from(pending.row.write_units());
            units <= pace.burst()
        });
        fitting.count().max(usize::from(most > 0))
    }

    /// Takes an answer in.
    async fn settle(&mut self, sent: Sent) -> Result<(), PublishError> {
        let (failure, source) = match sent.outcome {
            Ok(taken) => {
                self.progress.units.fetch_add(taken.units.ceil() as u64, Relaxed);
                if let Some(pace) = &mut self.pace {
                    pace.correct(taken.units - sent.reserved);
                }
                let (mut refused, acknowledged): (Vec<Pending>, Vec<Pending>) =
                    sent.rows.into_iter().partition(|pending| taken.refused.contains(&pending.row.key));
                self.acknowledge(&acknowledged);
                if refused.is_empty() {
                    // One more at a time for each window of answers without throttling.
                    self.limit = (self.limit + 1.0 / self.limit).min(self.link.config.max_in_flight as f64);
                    return Ok(());
                }
                if !acknowledged.is_empty() {
                    refused.iter_mut().for_each(|pending| pending.failures = 0);
                }
                return self.again(refused, Failure::Throttled, "some rows were left unprocessed".into());
            }
            Err(fault) if fault.failure == Failure::Condition => {
                let by = "a newer run has overwritten some of its rows".to_owned();
                return Err(PublishError::Superseded { store: self.link.store.clone(), sequence: self.sequence(), by });
            }
            Err(fault) if fault.failure == Failure::Refused => {
                let key = &sent.rows[0].row.key;
                return Err(self.link.failed(format!("write {} rows from key {key:?} on", sent.rows.len()), fault));
            }
            Err(fault) => (fault.failure, fault.source),
        };
        self.again(sent.rows, failure, source)
    }

    /// Puts rows back for another attempt, or ends the publish where there were enough.
    fn again(
        &mut self,
        mut rows: Vec<Pending>,
        failure: Failure,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Result<(), PublishError> {
        if failure == Failure::Throttled {
            self.limit = (self.limit * 0.7).max(1.0);
        }
        let now = self.start.elapsed();
        // Rows that were turned away together wait together, so that they fill a batch again.
        rows.iter_mut().for_each(|pending| pending.failures += 1);
        let most = |count: fn(&Pending) -> u32| rows.iter().map(count).max().unwrap_or(1);
        let retry = &self.link.config.retry;
        // A busy table that takes some rows of each batch is no reason to wait long, or to give up: of enough rows, some are
        // always unlucky, and the whole window waits for them. So failures without progress are what counts.
        let is_unlucky = most(|pending| pending.attempts) >= retry.max_attempts.saturating_mul(UNLUCKY);
        let wait = if is_unlucky { None } else { retry.wait(failure, most(|pending| pending.failures), draw()) };
        let Some(wait) = wait else {
            return Err(PublishError::PartlyPublished {
                store: self.link.store.clone(),
                sequence: self.sequence(),
                written: self.acknowledged + self.beyond.len() as u64,
                failed: self.next_index - self.acknowledged - self.beyond.len() as u64,
                source,
            });
        };
        for pending in rows {
            self.delayed.insert((now + wait, pending.index), pending);
        }
        Ok(())
    }

    fn acknowledge(&mut self, rows: &[Pending]) {
        self.progress.rows.fetch_add(rows.len() as u64, Relaxed);
        self.beyond.extend(rows.iter().map(|pending| pending.index));
        while self.beyond.remove(&self.acknowledged) {
            self.acknowledged += 1;
        }
    }

    async fn save(&mut self) -> Result<(), PublishError> {
        fail::fail_point!("dynamodb-before-checkpoint");
        if self.checkpoint != self.acknowledged {
            self.ledger.checkpoint(&self.mine, self.acknowledged).await?;
            self.checkpoint = self.acknowledged;
        }
        fail::fail_point!("dynamodb-after-checkpoint");
        Ok(())
    }

    fn sequence(&self) -> RunSequence {
        RunSequence(self.mine.sequence)
    }
}

/// Writes up to 25 rows.
async fn put_batch(link: &Link, table: &str, rows: &[Pending]) -> Result<Taken, Fault> {
    let requests = rows.iter().map(|pending| {
        let put = PutRequest::builder().set_item(Some(pending.row.item.clone())).build().expect("the item is set");
        WriteRequest::builder().put_request(put).build()
    });
    let answer: BatchWriteItemOutput = link
        .client
        .batch_write_item()
        .request_items(table, requests.collect())
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .send()
        .await
        .map_err(fault)?;
    let key = &link.config.attributes.key;
    let refused: HashSet<String> = answer
        .unprocessed_items()
        .into_iter()
        .flat_map(|tables| tables.values().flatten())
        .filter_map(|request| request.put_request()?.item().get(key)?.as_s().ok().cloned())
        .collect();
    let said = answer.consumed_capacity().iter().filter_map(|consumed| consumed.capacity_units()).sum::<f64>();
    let estimated = || {
        let taken = rows.iter().filter(|pending| !refused.contains(&pending.row.key));
        taken.map(|pending| f64::from(pending.row.write_units())).sum()
    };
    let units = if answer.consumed_capacity().is_empty() { estimated() } else { said };
    Ok(Taken { refused, units })
}

/// Writes a row unless a newer run has written it; a tombstone removes it.
async fn put_newer(link: &Link, mine: &Mine, pending: &Pending) -> Result<Taken, Fault> {
    let names = &link.config.attributes;
    let condition = "attribute_not_exists(#k) OR #v <= :mine";
    let sequence = AttributeValue::N(mine.sequence.to_string());
    let units = if pending.row.item.contains_key(&names.gone) {
        let keys = [&names.key, &names.sequence].map(|name| (name.clone(), pending.row.item[name].clone()));
        link.client
            .delete_item()
            .table_name(&mine.table)
            .set_key(Some(keys.into()))
            .condition_expression(condition)
            .expression_attribute_names("#k", &names.key)
            .expression_attribute_names("#v", LATEST_SEQUENCE)
            .expression_attribute_values(":mine", sequence)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(fault)?
            .consumed_capacity()
            .and_then(|consumed| consumed.capacity_units())
    } else {
        link.client
            .put_item()
            .table_name(&mine.table)
            .set_item(Some(pending.row.item.clone()))
            .condition_expression(condition)
            .expression_attribute_names("#k", &names.key)
            .expression_attribute_names("#v", LATEST_SEQUENCE)
            .expression_attribute_values(":mine", sequence)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(fault)?
            .consumed_capacity()
            .and_then(|consumed| consumed.capacity_units())
    };
    Ok(Taken { refused: HashSet::new(), units: units.unwrap_or_else(|| f64::from(pending.row.write_units())) })
}
