//! From record batches to accepted rows, each rejected one counted by its reason.

use std::collections::HashMap;

use arrow::{
    array::{Array, ArrayRef, AsArray, PrimitiveArray},
    compute::cast,
    datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimeUnit},
    error::ArrowError,
};

use super::{
    arrays::EventArrays,
    config::TimestampUnit,
    ids::{Found, ITEM, IdColumn, USER},
    instants,
    reasons::{Counts, Reason},
};
use crate::{
    ids::{IdTable, Interner, id_hash},
    interactions::{BucketRows, DAY, Detail, Role, Row, Says, SessionEvent, Stamp},
};

/// What becomes of rows of an event type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// They count as the kind of this number.
    Kind(u8),
    /// The config ignores the type.
    Ignored,
    /// Another source counts them.
    Elsewhere,
    /// The order's state says that they do not count.
    Cancelled,
}

/// How a source's rows are read.
pub(super) struct RowRules {
    /// Fates by the event-type column's value.
    pub fates: HashMap<String, Fate>,
    /// The fate of values that are not among them; `None` rejects them.
    pub other: Option<Fate>,
    /// By kind: what it means, which decides the details that are kept.
    pub roles: Vec<Role>,
    /// What a row's group is: an order's id, or else a session's.
    pub groups_are_orders: bool,
    /// For order lines: the kind that a line with a negative quantity counts as.
    pub returns: Option<u8>,
    /// Rows before or after do not count.
    pub since: Option<Stamp>,
    pub until: Option<Stamp>,
    pub max_id_bytes: usize,
}

/// Amounts above this are taken for damage: 10^10 in the currency's unit.
const MAX_AMOUNT: f64 = 1e10;

/// 2000-01-01T00:00:00Z in Unix seconds.
const YEAR_2000: i64 = 946_684_800;

/// Unknown event types that are remembered by name.
const MAX_NAMES: usize = 100;

/// One reader's harvest.
pub(super) struct Harvest {
    users: Interner,
    items: Interner,
    buckets: Vec<BucketRows>,
    counts: Counts,
    rejected: [u64; Reason::ALL.len()],
    /// Accepted rows by day * n_kinds + kind.
    by_day: Vec<u64>,
    n_kinds: usize,
    newest: Option<Stamp>,
}

/// What is left of a reader when it is done.
#[derive(Debug)]
pub struct Shard {
    /// Users by bucket and number.
    pub users: Vec<IdTable>,
    /// Items by number.
    pub items: IdTable,
    /// Rows by bucket.
    pub buckets: Vec<BucketRows>,
    /// Rows by fate.
    pub counts: Counts,
    /// The newest accepted instant.
    pub newest: Option<Stamp>,
}

/// Columns of a batch after decoding, reused from batch to batch.
#[derive(Default)]
struct Decoded {
    users: Vec<Found>,
    items: Vec<Found>,
    fates: Vec<Result<Fate, Reason>>,
    times: Vec<Result<Stamp, Reason>>,
    /// By row, the last instant that it can have, where the file says so.
    latest: Vec<Stamp>,
}

/// Reads the row groups of one file: keeps what is tied to its dictionaries.
pub(super) struct FileReader<'a> {
    rules: &'a RowRules,
    unit: Option<TimestampUnit>,
    latest: Stamp,
    users: IdColumn,
    items: IdColumn,
    decoded: Decoded,
}

impl Harvest {
    /// A harvest of about `n_rows` rows. Room for them is set aside at once (and touched only as it fills): growing by
    /// doubling would write every row twice, into memory that the kernel has to clear first.
    /// `only`: all of them are of one bucket.
    pub(super) fn new(n_buckets: usize, n_kinds: usize, n_rows: u64, only: Option<usize>) -> Self {
        let room = |bucket: usize| match only {
            None => (n_rows as usize / n_buckets).saturating_mul(9) / 8,
            Some(only) => {
                if bucket == only {
                    n_rows as usize
                } else {
                    0
                }
            }
        };
        let bucket = |bucket| BucketRows { rows: Vec::with_capacity(room(bucket)), ..BucketRows::default() };
        Self {
            users: Interner::new(n_buckets),
            items: Interner::new(1),
            buckets: (0..n_buckets).map(bucket).collect(),
            counts: Counts::default(),
            rejected: [0; Reason::ALL.len()],
            by_day: Vec::new(),
            n_kinds,
            newest: None,
        }
    }

    /// A bucket other than `bucket` that has a row, if there is one.
    pub(super) fn stray(&self, bucket: usize) -> Option<usize> {
        (0..self.buckets.len()).find(|&other| other != bucket && !self.buckets[other].rows.is_empty())
    }

    pub(super) fn finish(mut self) -> Shard {
        for (reason, &n) in Reason::ALL.iter().zip(&self.rejected) {
            if n > 0 {
                self.counts.rejected.insert(reason.name(), n);
            }
        }
        for (at, &n) in self.by_day.iter().enumerate().filter(|(_, n)| **n > 0) {
            let (day, kind) = ((at / self.n_kinds) as u32, (at % self.n_kinds) as u8);
            self.counts.by_day.insert((day, kind), n);
            *self.counts.by_kind.entry(kind).or_default() += n;
        }
        self.counts.accepted = self.counts.by_kind.values().sum();
        Shard {
            users: self.users.into_ids(),
            items: self.items.into_ids().swap_remove(0),
            buckets: self.buckets,
            counts: self.counts,
            newest: self.newest,
        }
    }
}

impl<'a> FileReader<'a> {
    /// A reader of a file whose events cannot be later than `latest`.
    pub(super) fn new(rules: &'a RowRules, unit: Option<TimestampUnit>, latest: Stamp) -> Self {
        Self {
            rules,
            unit,
            latest,
            users: IdColumn::new(USER, rules.max_id_bytes),
            items: IdColumn::new(ITEM, rules.max_id_bytes),
            decoded: Decoded::default(),
        }
    }

    /// Reads a batch into the harvest.
    ///
    /// # Errors
    /// A column that cannot be cast to what it should be.
    pub(super) fn read(&mut self, arrays: &EventArrays, harvest: &mut Harvest) -> Result<(), ArrowError> {
        let n_rows = arrays.user_id.len();
        self.users.intern(&arrays.user_id, &mut harvest.users, &mut self.decoded.users);
        self.items.intern(&arrays.item_id, &mut harvest.items, &mut self.decoded.items);
        self.read_fates(arrays.event_type.as_ref(), n_rows, &mut harvest.counts);
        self.read_times(arrays.timestamp.as_ref(), n_rows)?;
        self.read_latest(arrays.latest.as_ref());
        let hashes = arrays.event_id.as_ref().map(hash_event_ids).transpose()?;
        let float = |array: &Option<ArrayRef>| -> Result<Option<PrimitiveArray<Float64Type>>, ArrowError> {
            array.as_ref().map(|array| Ok(cast(array, &DataType::Float64)?.as_primitive().clone())).transpose()
        };
        let (prices, quantities) = (float(&arrays.price)?, float(&arrays.quantity)?);
        let groups = arrays.group.as_ref().map(hash_event_ids).transpose()?;
        let number = |array: &Option<PrimitiveArray<Float64Type>>, at: usize| {
            array.as_ref().filter(|array| array.is_valid(at)).map(|array| array.value(at))
        };

        harvest.counts.rows += n_rows as u64;
        let timed = arrays.timestamp.is_some();
        for at in 0..n_rows {
            let (user, item, kind, time) = match self.judge(at) {
                Ok(Some(row)) => row,
                Ok(None) => {
                    self.count_aside(at, &mut harvest.counts);
                    continue;
                }
                Err(reason) => {
                    harvest.rejected[reason as usize] += 1;
                    continue;
                }
            };
            if timed
                && (self.rules.since.is_some_and(|since| time < since)
                    || self.rules.until.is_some_and(|until| time > until))
            {
                harvest.counts.outside_window += 1;
                continue;
            }
            let mut quantity = number(&quantities, at);
            let mut kind = kind;
            // What a customer sends back is a line of its own in many shops.
            if let (Some(returns), Some(pieces)) = (self.rules.returns, quantity)
                && pieces < 0.0
            {
                (kind, quantity) = (returns, Some(-pieces));
            }
            let row = Row { user: user.number, item: item.number, time, kind };
            let bucket = &mut harvest.buckets[user.bucket as usize];
            bucket.rows.push(row);
            let event_hash = hashes.as_ref().map_or(0, |hashes| hashes[at]);
            if hashes.is_some() {
                // Files without event ids may have come before: their rows have none.
                bucket.event_hashes.resize(bucket.rows.len() - 1, 0);
                bucket.event_hashes.push(event_hash);
            } else if !bucket.event_hashes.is_empty() {
                bucket.event_hashes.push(0);
            }
            let group = groups.as_ref().map_or(0, |groups| groups[at]);
            if groups.is_some() && !self.rules.groups_are_orders {
                bucket.sessions.push(SessionEvent { user: row.user, time, session: group });
            }
            let said = Said {
                price: number(&prices, at),
                quantity,
                order: if self.rules.groups_are_orders { group } else { 0 },
            };
            if let Some(says) = said.by(self.rules.roles[kind as usize], &mut harvest.counts.bad_amounts) {
                bucket.details.push(Detail { row, event_hash, says });
            }
            if timed {
                harvest.newest = harvest.newest.max(Some(time));
            }
            let day = time.day() as usize * harvest.n_kinds + kind as usize;
            if day >= harvest.by_day.len() {
                harvest.by_day.resize(day + 1, 0);
            }
            harvest.by_day[day] += 1;
        }
        Ok(())
    }

    /// A row's fields, `None` when its type says that it does not count, or why it is rejected.
    #[inline(always)]
    #[allow(clippy::type_complexity, reason = "four fields of one row, taken apart at once")]
    fn judge(&self, at: usize) -> Result<Option<(crate::ids::Place, crate::ids::Place, u8, Stamp)>, Reason> {
        let fate = self.decoded.fates[at];
        // A row of no interest is none of our dirt, whatever else is wrong with it.
        if matches!(fate, Ok(Fate::Ignored | Fate::Elsewhere | Fate::Cancelled)) {
            return Ok(None);
        }
        let user = self.decoded.users[at]?;
        let item = self.decoded.items[at]?;
        let fate = fate?;
        let time = self.decoded.times[at]?;
        if time > self.latest || self.decoded.latest.get(at).is_some_and(|&latest| time > latest) {
            return Err(Reason::TimestampInFuture);
        }
        Ok(match fate {
            Fate::Kind(kind) => Some((user, item, kind, time)),
            _ => None,
        })
    }

    #[cold]
    fn count_aside(&self, at: usize, counts: &mut Counts) {
        match self.decoded.fates[at] {
            Ok(Fate::Ignored) => counts.ignored += 1,
            Ok(Fate::Elsewhere) => counts.counted_elsewhere += 1,
            Ok(Fate::Cancelled) => counts.cancelled += 1,
            Ok(Fate::Kind(_)) | Err(_) => {}
        }
    }

    fn fate(&self, name: Option<&str>, counts: &mut Counts) -> Result<Fate, Reason> {
        let Some(name) = name else { return Err(Reason::NullEventType) };
        match self.rules.fates.get(name).copied().or(self.rules.other) {
            Some(fate) => Ok(fate),
            None => {
                if let Some(n) = counts.unknown_types.get_mut(name) {
                    *n += 1;
                } else if counts.unknown_types.len() < MAX_NAMES {
                    counts.unknown_types.insert(name.chars().take(100).collect(), 1);
                }
                Err(Reason::UnknownEventType)
            }
        }
    }

    fn read_fates(&mut self, array: Option<&ArrayRef>, n_rows: usize, counts: &mut Counts) {
        let mut out = std::mem::take(&mut self.decoded.fates);
        out.clear();
        match array.map(|array| (array, array.data_type())) {
            None => out.resize(n_rows, self.rules.other.ok_or(Reason::NullEventType)),
            Some((array, DataType::Dictionary(_, _))) => {
                let array = array.as_dictionary::<Int32Type>();
                let names = array.values().as_string::<i32>();
                let mut used = vec![0u64; names.len()];
                for key in array.keys().iter().flatten() {
                    used[key as usize] += 1;
                }
                let fates: Vec<Result<Fate, Reason>> = names
                    .iter()
                    .zip(&used)
                    .map(|(name, &n)| {
                        // Unknown names are counted by their rows; `fate` counts one.
                        let fate = if n == 0 { Err(Reason::UnknownEventType) } else { self.fate(name, counts) };
                        if fate == Err(Reason::UnknownEventType)
                            && let Some(seen) = name.and_then(|name| counts.unknown_types.get_mut(name))
                        {
                            *seen += n.saturating_sub(1);
                        }
                        fate
                    })
                    .collect();
                out.extend(
                    array.keys().iter().map(|key| key.map_or(Err(Reason::NullEventType), |key| fates[key as usize])),
                );
            }
            Some((array, DataType::Utf8View)) => {
                out.extend(array.as_string_view().iter().map(|name| self.fate(name, counts)));
            }
            Some((array, DataType::LargeUtf8)) => {
                out.extend(array.as_string::<i64>().iter().map(|name| self.fate(name, counts)));
            }
            Some((array, DataType::Binary)) => out.extend(
                array
                    .as_binary::<i32>()
                    .iter()
                    .map(|name| self.fate(name.and_then(|name| std::str::from_utf8(name).ok()), counts)),
            ),
            Some((array, _)) => out.extend(array.as_string::<i32>().iter().map(|name| self.fate(name, counts))),
        }
        self.decoded.fates = out;
    }

    /// Bounds that lie outside the range of instants bound nothing: the reader's own one stands.
    fn read_latest(&mut self, array: Option<&ArrayRef>) {
        let out = &mut self.decoded.latest;
        out.clear();
        let bounds = array.into_iter().flat_map(|array| array.as_primitive::<Int64Type>().iter());
        out.extend(bounds.map(|bound| bound.and_then(Stamp::from_unix).unwrap_or(Stamp(u32::MAX))));
    }

    fn read_times(&mut self, array: Option<&ArrayRef>, n_rows: usize) -> Result<(), ArrowError> {
        let out = &mut self.decoded.times;
        out.clear();
        let Some(array) = array else {
            out.resize(n_rows, Ok(Stamp::default()));
            return Ok(());
        };
        let stamp = |seconds: i64| {
            Stamp::from_unix(seconds).ok_or(if seconds < YEAR_2000 {
                Reason::TimestampBefore2000
            } else {
                Reason::TimestampInFuture
            })
        };
        let per_second =
            match array.data_type() {
                DataType::Timestamp(TimeUnit::Second, _) => 1,
                DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => 1_000,
                DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000_000,
                DataType::Timestamp(TimeUnit::Nanosecond, _) => 1_000_000_000,
                DataType::Date32 => {
                    let days = cast(array, &DataType::Int32)?;
                    let days = days.as_primitive::<Int32Type>();
                    out.extend(days.iter().map(|day| {
                        day.map_or(Err(Reason::NullTimestamp), |day| stamp(i64::from(day) * i64::from(DAY)))
                    }));
                    return Ok(());
                }
                data_type if data_type.is_integer() => {
                    self.unit.expect("integer timestamps without a unit are refused with the schema").per_second()
                }
                _ => {
                    let text = cast(array, &DataType::Utf8View)?;
                    out.extend(text.as_string_view().iter().map(|text| match text {
                        None => Err(Reason::NullTimestamp),
                        Some(text) => instants::read_text(text).ok_or(Reason::UnreadableTimestamp).and_then(stamp),
                    }));
                    return Ok(());
                }
            };
        let numbers = cast(array, &DataType::Int64)?;
        let numbers = numbers.as_primitive::<Int64Type>();
        // Spelled out so that each arm divides by a constant, which compiles to a multiplication.
        match per_second {
            1 => read_numbers(numbers, out, stamp),
            1_000 => read_numbers(numbers, out, |n| stamp(n.div_euclid(1_000))),
            1_000_000 => read_numbers(numbers, out, |n| stamp(n.div_euclid(1_000_000))),
            _ => read_numbers(numbers, out, |n| stamp(n.div_euclid(1_000_000_000))),
        }
        Ok(())
    }
}

fn read_numbers(
    numbers: &PrimitiveArray<Int64Type>,
    out: &mut Vec<Result<Stamp, Reason>>,
    stamp: impl Fn(i64) -> Result<Stamp, Reason>,
) {
    if numbers.null_count() == 0 {
        out.extend(numbers.values().iter().map(|&n| stamp(n)));
    } else {
        out.extend(numbers.iter().map(|n| n.map_or(Err(Reason::NullTimestamp), &stamp)));
    }
}

/// What a row says of money, pieces and order.
struct Said {
    price: Option<f64>,
    quantity: Option<f64>,
    order: u64,
}

impl Said {
    /// What is kept of it for an event of `role`; `None` when it says no more than the event itself does.
    #[inline]
    fn by(&self, role: Role, bad_amounts: &mut u64) -> Option<Says> {
        match role {
            Role::Purchase | Role::Refund => {
                let amount = self.price.map(|price| price * self.quantity.unwrap_or(1.0));
                let value = amount.filter(|amount| (0.0..=MAX_AMOUNT).contains(amount));
                *bad_amounts += u64::from(amount.is_some() && value.is_none());
                let value = value.map(|amount| (amount * 1e4).round() as i64);
                let says = Says { value, quantity: thousandths(self.quantity), order: self.order };
                (says != Says { value: None, quantity: 1_000, order: 0 }).then_some(says)
            }
            Role::Cart => {
                let quantity = thousandths(self.quantity);
                (quantity != 1_000).then_some(Says { value: None, quantity, order: 0 })
            }
            // Without a number everything is taken out.
            Role::RemoveFromCart => {
                self.quantity.map(|_| Says { value: None, quantity: thousandths(self.quantity), order: 0 })
            }
            Role::View | Role::Interaction | Role::Other => None,
        }
    }
}

/// Pieces in thousandths; one where the number makes no sense.
fn thousandths(quantity: Option<f64>) -> u32 {
    let sound = quantity.filter(|pieces| (0.0..=4e6).contains(pieces));
    sound.map_or(1_000, |pieces| (pieces * 1e3).round() as u32)
}

/// XXH64 of each event's id; zero for null, which is never a duplicate.
fn hash_event_ids(array: &ArrayRef) -> Result<Vec<u64>, ArrowError> {
    let text;
    let array = if array.data_type() == &DataType::Utf8View {
        array.as_string_view()
    } else {
        text = cast(array, &DataType::Utf8View)?;
        text.as_string_view()
    };
    Ok(array.iter().map(|id| id.map_or(0, |id| id_hash(id.as_bytes()).max(1))).collect())
}
