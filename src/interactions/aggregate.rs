//! From the events of one bucket to its (user, item) pairs.

use serde::{Deserialize, Serialize};

use super::{
    baskets::Baskets,
    config::{InteractionsConfig, Kind, Role},
    decay::{Decay, to_fixed},
    orders::Purchase,
    profiles::{ProfileBuilder, Profiles},
    rows::{Part, Says},
    sessions,
    time::{DAY, Stamp},
    trend::TrendWindows,
};
use crate::ids::IdTable;

/// What the sums depend on besides the events.
pub struct Aggregation<'a> {
    /// Event types by number.
    pub kinds: &'a [Kind],
    /// Filters and caps.
    pub config: &'a InteractionsConfig,
    /// The instant that ages are counted from; `None` when events carry no time.
    pub as_of: Option<Stamp>,
    /// Events before it do not count.
    pub since: Option<Stamp>,
    /// Decay tables.
    pub decay: &'a Decay,
    /// What recent activity is compared with; `None` when events carry no time.
    pub trend: Option<TrendWindows>,
    /// Whether the clickstream names sessions; otherwise pauses end them.
    pub sessions_by_id: bool,
}

/// The pairs of one bucket: users ascending by id, items ascending within a user.
#[derive(Debug, Clone, Default)]
pub struct BucketPairs {
    /// Users with at least one event that counts, bots left out.
    pub users: IdTable,
    /// n_users + 1 offsets into the arrays below.
    pub indptr: Vec<usize>,
    /// Places in the table of all items.
    pub items: Vec<u32>,
    /// Fixed-point weights; zero or less means that refunds ate the pair up: no interaction.
    pub weights: Vec<i64>,
    /// Time of the pair's last event.
    pub last: Vec<Stamp>,
    /// n_pairs x n_kinds, row-major: events by type.
    pub counts: Vec<u32>,
    /// Whether the user's own actions take the item from his list.
    pub excluded: Vec<bool>,
    /// By pair: in which of the two windows of a trend it has an event; empty when there are none.
    pub activity: Vec<u8>,
    /// By pair: when it was bought; empty when events carry no time.
    pub purchases: Vec<PairPurchases>,
    /// What was bought at one go; empty when events carry no time.
    pub baskets: Baskets,
    /// One row a user.
    pub profiles: Profiles,
    /// What was left out.
    pub left_out: LeftOut,
}

/// When a user bought an item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PairPurchases {
    /// The first time; says nothing where `days` is 0.
    pub first: Stamp,
    /// The last time; says nothing where `days` is 0.
    pub last: Stamp,
    /// Distinct days (UTC) with a purchase; 0 for a pair that was never bought.
    pub days: u32,
}

impl PairPurchases {
    /// Takes in a purchase, not before the ones taken in already.
    fn add(&mut self, time: Stamp) {
        if self.days == 0 {
            self.first = time;
        }
        self.days += u32::from(self.days == 0 || self.last.day() != time.day());
        self.last = time;
    }
}

/// Events and users that an aggregation left out, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Rows that repeat an event id with the same user, item, type and time.
    pub duplicates: u64,
    /// Events after `as_of`.
    pub after_as_of: u64,
    /// Events before the window.
    pub before_window: u64,
    /// Users taken for bots.
    pub bots: u64,
    /// Their events.
    pub bot_events: u64,
}

impl LeftOut {
    /// Adds another bucket's numbers.
    pub fn add(&mut self, other: Self) {
        self.duplicates += other.duplicates;
        self.after_as_of += other.after_as_of;
        self.before_window += other.before_window;
        self.bots += other.bots;
        self.bot_events += other.bot_events;
    }
}

/// An event in the order of sorting: item, time, type, event id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    item_time: u64,
    event_hash: u64,
    kind: u8,
}

impl Event {
    #[inline]
    fn item(self) -> u32 {
        (self.item_time >> 32) as u32
    }

    #[inline]
    fn time(self) -> Stamp {
        Stamp(self.item_time as u32)
    }
}

/// Sums the events of a bucket by (user, item).
///
/// Formula: weight = sum over the pair's events of w(type) * 2^(-age / half_life(type)), in fixed point.
/// Determinism: the result depends on the set of events only, not on their order nor on how readers shared them.
/// Cost: a counting sort by user and a small sort a user; 24 bytes an event while it runs.
#[must_use]
pub fn aggregate(parts: Vec<Part<'_>>, ctx: &Aggregation<'_>) -> BucketPairs {
    let mut left_out = LeftOut::default();
    let (ids, maps) = merge_users(&parts.iter().map(|part| part.users).collect::<Vec<_>>());
    let details = details_by_user(&parts, &maps, ctx);
    let visits = sessions::by_user(&parts, &maps, |time| in_window(time, ctx, &mut LeftOut::default()));
    let (starts, mut events) = events_by_user(parts, &maps, ids.len(), ctx, &mut left_out);

    let n_kinds = ctx.kinds.len();
    let mut out = BucketPairs { indptr: vec![0], ..Default::default() };
    let mut profiles = ProfileBuilder::new(n_kinds, ctx.as_of);
    let mut times = Vec::new();
    let mut purchases = Vec::new();
    let mut bought = Vec::new();
    let mut order_times = Vec::new();
    let seconds = |minutes: f64| (minutes * 60.0) as u32;
    let (basket_gap, pause) = (seconds(ctx.config.basket_gap_minutes), seconds(ctx.config.session_gap_minutes));
    let (mut next_detail, mut next_visit) = (0, 0);
    for (user, id) in ids.iter().enumerate() {
        let own = &mut events[starts[user]..starts[user + 1]];
        own.sort_unstable();
        let n_own = drop_duplicates(own);
        left_out.duplicates += (own.len() - n_own) as u64;
        let own = &own[..n_own];
        let n_details = details[next_detail..].iter().take_while(|detail| detail.0 == user as u32).count();
        let mut details = details[next_detail..next_detail + n_details].iter().peekable();
        next_detail += n_details;
        let n_visits = visits[next_visit..].iter().take_while(|visit| visit.user == user as u32).count();
        let own_visits = &visits[next_visit..next_visit + n_visits];
        next_visit += n_visits;
        if own.is_empty() {
            continue;
        }
        times.clear();
        times.extend(own.iter().map(|event| event.time()));
        times.sort_unstable();
        let n_days = times.chunk_by(|a, b| a.day() == b.day()).count();
        if is_bot(own.len(), n_days, ctx.as_of.is_some(), ctx.config) {
            left_out.bots += 1;
            left_out.bot_events += own.len() as u64;
            continue;
        }
        out.users.push(id);
        profiles.start_user(n_days as u32);
        for pair in own.chunk_by(|a, b| a.item() == b.item()) {
            push_pair(&mut out, pair, ctx);
            for event in pair {
                // Both are in the order of events, and every detail has its event.
                let says = details.next_if(|detail| detail.1 == *event).map(|detail| detail.2);
                let (role, time) = (ctx.kinds[event.kind as usize].role, event.time());
                profiles.event(event.kind, time);
                if let Some(value) = says.and_then(|says| says.value) {
                    profiles.amount(role, time, value);
                }
                profiles.cart.event(role, time, says);
                if role == Role::Purchase {
                    purchases.push((time, event.item()));
                    bought.push(Purchase { time, says });
                }
            }
            profiles.cart.end_item(pair[0].item());
        }
        profiles.cart.end_user();
        profiles.profiles.orders.add_user(&mut bought, basket_gap, ctx.as_of, &mut order_times);
        bought.clear();
        let counts = &mut profiles.profiles.sessions;
        match ctx.sessions_by_id {
            true => sessions::by_ids(own_visits, pause, ctx.as_of, counts),
            false => sessions::by_pauses(&times, pause, ctx.as_of, counts),
        }
        match ctx.as_of {
            Some(_) => out.baskets.add_user(&mut purchases, basket_gap),
            None => purchases.clear(),
        }
        out.indptr.push(out.items.len());
    }
    out.profiles = profiles.finish();
    out.left_out = left_out;
    out
}

/// Ascending ids of all tables' users, and for each table the way from its numbers to places among them.
pub(super) fn merge_users(tables: &[&IdTable]) -> (IdTable, Vec<Vec<u32>>) {
    let mut all: Vec<(u128, u32, u32)> = Vec::with_capacity(tables.iter().map(|users| users.len()).sum());
    for (number, users) in tables.iter().enumerate() {
        all.extend(users.iter().enumerate().map(|(user, id)| (prefix(id), number as u32, user as u32)));
    }
    let id_of = |&(_, part, user): &(u128, u32, u32)| tables[part as usize].get(user as usize);
    // The first 16 bytes decide nearly always, and comparing them is one instruction or two.
    all.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| id_of(a).cmp(id_of(b))).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut ids = IdTable::with_capacity(all.len(), all.len() * 12);
    let mut maps: Vec<Vec<u32>> = tables.iter().map(|users| vec![0; users.len()]).collect();
    let mut previous: Option<&str> = None;
    for entry in &all {
        let id = id_of(entry);
        if previous != Some(id) {
            ids.push(id);
            previous = Some(id);
        }
        maps[entry.1 as usize][entry.2 as usize] = ids.len() as u32 - 1;
    }
    (ids, maps)
}

/// The first 16 bytes as a number that sorts like them.
fn prefix(id: &str) -> u128 {
    let mut head = [0u8; 16];
    let n = id.len().min(16);
    head[..n].copy_from_slice(&id.as_bytes()[..n]);
    u128::from_be_bytes(head)
}

/// Whether an event lies in the window; counts it if not.
#[inline]
fn in_window(time: Stamp, ctx: &Aggregation<'_>, left_out: &mut LeftOut) -> bool {
    if ctx.as_of.is_some_and(|as_of| time > as_of) {
        left_out.after_as_of += 1;
        return false;
    }
    if ctx.since.is_some_and(|since| time < since) {
        left_out.before_window += 1;
        return false;
    }
    true
}

/// Counting sort by user: `n_users + 1` offsets, and the events.
fn events_by_user(
    parts: Vec<Part<'_>>,
    maps: &[Vec<u32>],
    n_users: usize,
    ctx: &Aggregation<'_>,
    left_out: &mut LeftOut,
) -> (Vec<usize>, Vec<Event>) {
    let mut starts = vec![0usize; n_users + 1];
    for (part, map) in parts.iter().zip(maps) {
        for row in &part.events.rows {
            starts[map[row.user as usize] as usize + 1] += 1;
        }
    }
    for user in 0..n_users {
        starts[user + 1] += starts[user];
    }
    let mut next = starts.clone();
    let nothing = Event { item_time: 0, event_hash: 0, kind: 0 };
    let mut events = vec![nothing; starts[n_users]];
    let mut kept = vec![0u32; n_users];
    for (part, map) in parts.into_iter().zip(maps) {
        for (at, row) in part.events.rows.iter().enumerate() {
            if !in_window(row.time, ctx, left_out) {
                continue;
            }
            let user = map[row.user as usize] as usize;
            events[next[user]] = Event {
                item_time: u64::from(part.item_places[row.item as usize]) << 32 | u64::from(row.time.0),
                event_hash: part.events.event_hashes.get(at).copied().unwrap_or(0),
                kind: row.kind,
            };
            next[user] += 1;
            kept[user] += 1;
        }
    }
    if kept.iter().map(|&n| n as usize).sum::<usize>() < events.len() {
        compact(&mut starts, &mut events, &kept);
    }
    (starts, events)
}

/// Closes the gaps that events outside the window left.
fn compact(starts: &mut [usize], events: &mut Vec<Event>, kept: &[u32]) {
    let mut to = 0;
    for (user, &n) in kept.iter().enumerate() {
        let from = starts[user];
        events.copy_within(from..from + n as usize, to);
        starts[user] = to;
        to += n as usize;
    }
    starts[kept.len()] = to;
    events.truncate(to);
}

/// Details as (user, event, what it says), ascending; exact repetitions dropped as their events are.
fn details_by_user(parts: &[Part<'_>], maps: &[Vec<u32>], ctx: &Aggregation<'_>) -> Vec<(u32, Event, Says)> {
    let mut uncounted = LeftOut::default();
    let mut all: Vec<(u32, Event, Says)> = Vec::new();
    for (part, map) in parts.iter().zip(maps) {
        for detail in &part.events.details {
            if !in_window(detail.row.time, ctx, &mut uncounted) {
                continue;
            }
            let item = part.item_places[detail.row.item as usize];
            let event = Event {
                item_time: u64::from(item) << 32 | u64::from(detail.row.time.0),
                event_hash: detail.event_hash,
                kind: detail.row.kind,
            };
            all.push((map[detail.row.user as usize], event, detail.says));
        }
    }
    all.sort_unstable();
    all.dedup_by(|b, a| a.0 == b.0 && a.1 == b.1 && a.1.event_hash != 0);
    all
}

/// Moves exact repetitions (same event id, and all else) behind the rest; returns how many remain.
fn drop_duplicates(events: &mut [Event]) -> usize {
    let mut kept = 0;
    for at in 0..events.len() {
        let event = events[at];
        if kept > 0 && event.event_hash != 0 && events[kept - 1] == event {
            continue;
        }
        events[kept] = event;
        kept += 1;
    }
    kept
}

/// Whether so many events on so many days are taken for a bot's.
pub(super) fn is_bot(n_events: usize, n_days: usize, timed: bool, config: &InteractionsConfig) -> bool {
    let too_many = config.max_events > 0 && n_events as u64 > config.max_events;
    // Without times there are no days to speak of a rate.
    let too_fast = timed
        && config.max_events_per_active_day > 0.0
        && n_events as f64 > config.max_events_per_active_day * n_days as f64;
    too_many || too_fast
}

/// Adds the pair of some events (one user, one item, ascending in time).
fn push_pair(out: &mut BucketPairs, events: &[Event], ctx: &Aggregation<'_>) {
    let n_kinds = ctx.kinds.len();
    let as_of = ctx.as_of.unwrap_or_default();
    let counts_from = out.counts.len();
    out.counts.resize(counts_from + n_kinds, 0);
    let mut weight = 0i64;
    let mut excluded = false;
    let mut day = u32::MAX;
    let mut room = f64::INFINITY;
    let mut purchases = PairPurchases::default();
    for event in events {
        let kind = &ctx.kinds[event.kind as usize];
        if kind.role == Role::Purchase {
            purchases.add(event.time());
        }
        out.counts[counts_from + event.kind as usize] += 1;
        let mut raw = kind.weight;
        if let Some(cap) = ctx.config.daily_cap
            && raw > 0.0
        {
            if event.time().day() != day {
                day = event.time().day();
                room = cap;
            }
            raw = raw.min(room);
            room -= raw;
        }
        weight += match kind.half_life {
            None => to_fixed(raw),
            half_life => ctx.decay.weigh(raw, half_life, event.time(), as_of),
        };
        excluded |= match kind.excludes {
            None => false,
            Some(None) => true,
            Some(Some(within)) => event.time().age_at(as_of) <= within,
        };
    }
    out.items.push(events[0].item());
    out.weights.push(weight);
    out.last.push(events[events.len() - 1].time());
    if ctx.as_of.is_some() {
        out.purchases.push(purchases);
    }
    if let Some(trend) = ctx.trend {
        out.activity.push(events.iter().fold(0, |seen, event| seen | trend.of(event.time())));
    }
    out.excluded.push(excluded);
}

/// Days of `seconds`, for windows in configs.
#[must_use]
pub fn window_start(as_of: Stamp, days: f64) -> Stamp {
    Stamp(as_of.0.saturating_sub((days * f64::from(DAY)).round() as u32))
}
