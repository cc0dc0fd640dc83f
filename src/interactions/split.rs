//! The rows of a bucket, dealt to training and test.
//!
//! Every split leaves the rows as they were read, so that one reading serves any number of splits.

use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};
use xxhash_rust::xxh64::xxh64;

use super::{
    aggregate::{is_bot, merge_users},
    config::InteractionsConfig,
    rows::{BucketRows, Part, Row},
    time::Stamp,
};
use crate::ids::IdTable;

/// What one reader found of one bucket, lent: see [`Part`].
#[derive(Debug, Clone, Copy)]
pub struct PartRef<'a> {
    /// The reader's users of this bucket, by number.
    pub users: &'a IdTable,
    /// From the reader's item numbers to places in the ascending table of all items.
    pub item_places: &'a [u32],
    /// The events.
    pub events: &'a BucketRows,
}

/// What a split depends on besides the rows.
#[derive(Debug, Clone, Copy)]
pub struct SplitContext<'a> {
    /// By kind: whether its events make an item relevant.
    pub test_kinds: &'a [bool],
    /// What makes a bot.
    pub config: &'a InteractionsConfig,
    /// Whether events carry a time.
    pub timed: bool,
    /// Training events before it do not count.
    pub since: Option<Stamp>,
    /// Training events after it do not count.
    pub as_of: Option<Stamp>,
}

impl SplitContext<'_> {
    fn counts(&self, time: Stamp) -> bool {
        self.since.is_none_or(|since| time >= since) && self.as_of.is_none_or(|as_of| time <= as_of)
    }
}

/// Which of a user's pairs are held out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HoldOut {
    /// The `n` whose last event that makes relevant is the latest; ties by item.
    Last(usize),
    /// A seeded share, rounded down.
    Ratio {
        /// Above 0 and below 1.
        ratio: f64,
        /// Seed of the draw; each user has a stream of his own.
        seed: u64,
    },
}

/// The relevant pairs of a bucket: users ascending by id, items ascending within a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestPairs {
    /// Users with at least one pair.
    pub users: IdTable,
    /// n_users + 1 offsets into the arrays below.
    pub indptr: Vec<usize>,
    /// Places in the table of all items.
    pub items: Vec<u32>,
    /// Events behind the pair.
    pub n_events: Vec<u32>,
    /// Time of the last of them.
    pub last: Vec<Stamp>,
    /// By user: how many of his rows are in training and count there.
    pub n_train_rows: Vec<u32>,
    /// Events that make relevant.
    pub n_rows: u64,
    /// Users left out because their test rows alone are a bot's.
    pub n_bots: u64,
}

/// A bucket, dealt.
#[derive(Debug)]
pub struct Dealt<'a> {
    /// What training sees.
    pub train: Vec<Part<'a>>,
    /// What turned out to be relevant.
    pub test: TestPairs,
}

/// Trains on what was before `from`, tests on `from` to `until`, both included.
///
/// Determinism: the test pairs depend on the set of rows alone.
/// Cost: a copy of the training rows, and 24 bytes a test row.
#[must_use]
pub fn split_by_time<'a>(parts: &[PartRef<'a>], from: Stamp, until: Stamp, ctx: &SplitContext<'_>) -> Dealt<'a> {
    let train = parts.iter().map(|part| kept(part, |row| row.time < from)).collect();
    let is_test = |row: &Row| row.time >= from && row.time <= until;
    Dealt { train, test: pairs(parts, parts, &|row| row.time < from, &is_test, ctx) }
}

/// Trains on the rows of `train`, tests on those of `test`.
///
/// Determinism: the test pairs depend on the set of rows alone.
#[must_use]
pub fn split_given<'a>(train: &[PartRef<'a>], test: &[PartRef<'a>], ctx: &SplitContext<'_>) -> Dealt<'a> {
    let parts = train.iter().map(|part| kept(part, |_| true)).collect();
    Dealt { train: parts, test: pairs(train, test, &|_| true, &|_| true, ctx) }
}

/// Tests on some of each user's pairs, trains on the others.
///
/// A pair goes with all of its rows, so it is on one side only. Only pairs with an event that makes relevant can be held
/// out. Somebody who would have nothing left to train on gives nothing to the test.
///
/// Determinism: depends on the set of rows alone; a user's draw does not depend on the users beside him.
#[must_use]
pub fn split_hold_out<'a>(parts: &[PartRef<'a>], how: HoldOut, ctx: &SplitContext<'_>) -> Dealt<'a> {
    let (ids, maps) = merge(parts);
    // (user, item, whether relevant, time) of all rows that count.
    let mut rows: Vec<(u32, u32, bool, Stamp)> = Vec::new();
    for (part, map) in parts.iter().zip(&maps) {
        rows.extend(part.events.rows.iter().filter(|row| ctx.counts(row.time)).map(|row| {
            let relevant = ctx.test_kinds[row.kind as usize];
            (map[row.user as usize], part.item_places[row.item as usize], relevant, row.time)
        }));
    }
    rows.sort_unstable();
    let mut held: Vec<(u32, u32)> = Vec::new();
    for own in rows.chunk_by(|a, b| a.0 == b.0) {
        let n_pairs = own.chunk_by(|a, b| a.1 == b.1).count();
        // Relevant rows sort behind the others of their pair, by time: the last row tells.
        let mut candidates: Vec<(Stamp, u32)> = own
            .chunk_by(|a, b| a.1 == b.1)
            .filter_map(|pair| pair.last())
            .filter(|row| row.2)
            .map(|row| (row.3, row.1))
            .collect();
        let n_held = choose(&mut candidates, how, ids.get(own[0].0 as usize));
        if n_held < n_pairs {
            held.extend(candidates[..n_held].iter().map(|&(_, item)| (own[0].0, item)));
        }
    }
    held.sort_unstable();
    let is_held = |user: u32, item: u32| held.binary_search(&(user, item)).is_ok();
    let train = parts
        .iter()
        .zip(&maps)
        .map(|(part, map)| kept(part, |row| !is_held(map[row.user as usize], part.item_places[row.item as usize])))
        .collect();
    let mut collector = Collector::new(&ids);
    for &(user, item, relevant, time) in &rows {
        if !is_held(user, item) {
            collector.n_train_rows[user as usize] += 1;
        } else if relevant {
            collector.rows.push((user, item, time));
        }
    }
    // What is held out was filtered as a part of the whole, so nobody is a bot by his test rows alone.
    Dealt { train, test: collector.finish(None) }
}

/// Moves the pairs to hold out to the front; returns how many they are.
fn choose(candidates: &mut [(Stamp, u32)], how: HoldOut, user: &str) -> usize {
    match how {
        HoldOut::Last(n) => {
            candidates.sort_unstable_by(|a, b| b.cmp(a));
            n.min(candidates.len())
        }
        HoldOut::Ratio { ratio, seed } => {
            candidates.sort_unstable_by_key(|candidate| candidate.1);
            let n_held = (ratio * candidates.len() as f64).floor() as usize;
            let name = xxh64(b"interactions.hold_out", seed);
            let mut random = ChaCha8Rng::seed_from_u64(xxh64(user.as_bytes(), name));
            // The first steps of a Fisher-Yates shuffle.
            for at in 0..n_held {
                let n_left = candidates.len() - at;
                let step = ((u128::from(random.next_u64()) * n_left as u128) >> 64) as usize;
                candidates.swap(at, at + step);
            }
            n_held
        }
    }
}

fn merge(parts: &[PartRef<'_>]) -> (IdTable, Vec<Vec<u32>>) {
    merge_users(&parts.iter().map(|part| part.users).collect::<Vec<_>>())
}

/// A part with some of its rows. Amounts stay behind: they feed profiles, which no model sees.
fn kept<'a>(part: &PartRef<'a>, keep: impl Fn(&Row) -> bool) -> Part<'a> {
    let (rows, hashes) = (&part.events.rows, &part.events.event_hashes);
    let mut events = BucketRows::default();
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| keep(row)) {
        events.rows.push(*row);
        if !hashes.is_empty() {
            events.event_hashes.push(hashes[at]);
        }
    }
    Part { users: part.users, item_places: part.item_places, events }
}

fn pairs(
    train: &[PartRef<'_>],
    test: &[PartRef<'_>],
    is_train: &dyn Fn(&Row) -> bool,
    is_test: &dyn Fn(&Row) -> bool,
    ctx: &SplitContext<'_>,
) -> TestPairs {
    let both: Vec<PartRef<'_>> = train.iter().chain(test).copied().collect();
    let (ids, maps) = merge(&both);
    let (train_maps, test_maps) = maps.split_at(train.len());
    let mut collector = Collector::new(&ids);
    for (part, map) in train.iter().zip(train_maps) {
        for row in part.events.rows.iter().filter(|row| is_train(row) && ctx.counts(row.time)) {
            collector.n_train_rows[map[row.user as usize] as usize] += 1;
        }
    }
    for (part, map) in test.iter().zip(test_maps) {
        for row in part.events.rows.iter().filter(|row| is_test(row)) {
            let user = map[row.user as usize];
            collector.all.push((user, row.time.day()));
            if ctx.test_kinds[row.kind as usize] {
                collector.rows.push((user, part.item_places[row.item as usize], row.time));
            }
        }
    }
    collector.finish(Some(ctx))
}

/// Rows on their way to test pairs.
struct Collector<'a> {
    ids: &'a IdTable,
    n_train_rows: Vec<u32>,
    /// (user, day) of all test rows, whatever their type.
    all: Vec<(u32, u32)>,
    /// (user, item, time) of the test rows that make relevant.
    rows: Vec<(u32, u32, Stamp)>,
}

impl<'a> Collector<'a> {
    fn new(ids: &'a IdTable) -> Self {
        Self { ids, n_train_rows: vec![0; ids.len()], all: Vec::new(), rows: Vec::new() }
    }

    fn finish(mut self, bots: Option<&SplitContext<'_>>) -> TestPairs {
        let mut is_left_out = vec![false; self.ids.len()];
        if let Some(ctx) = bots {
            self.all.sort_unstable();
            for own in self.all.chunk_by(|a, b| a.0 == b.0) {
                let n_days = own.chunk_by(|a, b| a.1 == b.1).count();
                is_left_out[own[0].0 as usize] = is_bot(own.len(), n_days, ctx.timed, ctx.config);
            }
        }
        self.rows.sort_unstable();
        let n_bots = is_left_out.iter().filter(|left_out| **left_out).count() as u64;
        let mut out = TestPairs { indptr: vec![0], n_bots, ..TestPairs::default() };
        for own in self.rows.chunk_by(|a, b| a.0 == b.0) {
            let user = own[0].0 as usize;
            if is_left_out[user] {
                continue;
            }
            out.users.push(self.ids.get(user));
            out.n_train_rows.push(self.n_train_rows[user]);
            out.n_rows += own.len() as u64;
            for pair in own.chunk_by(|a, b| a.1 == b.1) {
                out.items.push(pair[0].1);
                out.n_events.push(pair.len() as u32);
                out.last.push(pair[pair.len() - 1].2);
            }
            out.indptr.push(out.items.len());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// (user, item, time, kind); kind 1 makes relevant.
    type Event = (u8, u32, u32, u8);

    /// The events dealt to so many readers, each with its own numbering.
    struct Readers {
        users: Vec<IdTable>,
        rows: Vec<BucketRows>,
        places: Vec<u32>,
    }

    impl Readers {
        fn new(events: &[Event], n: usize) -> Self {
            let mut readers = Self {
                users: vec![IdTable::new(); n],
                rows: vec![BucketRows::default(); n],
                places: (0..100).collect(),
            };
            for (at, &(user, item, time, kind)) in events.iter().enumerate() {
                let reader = at % n;
                let id = format!("u{user}");
                let known = readers.users[reader].iter().position(|other| other == id);
                let number = known.unwrap_or_else(|| {
                    readers.users[reader].push(&id);
                    readers.users[reader].len() - 1
                });
                let row = Row { user: number as u32, item, time: Stamp(time), kind };
                readers.rows[reader].rows.push(row);
                readers.rows[reader].event_hashes.push(at as u64 + 1);
            }
            readers
        }

        fn parts(&self) -> Vec<PartRef<'_>> {
            let parts = self.users.iter().zip(&self.rows);
            parts.map(|(users, events)| PartRef { users, item_places: &self.places, events }).collect()
        }
    }

    fn context(config: &InteractionsConfig) -> SplitContext<'_> {
        SplitContext { test_kinds: &[false, true], config, timed: true, since: None, as_of: None }
    }

    /// (user, item, time) of the training rows, ascending.
    fn train_rows(dealt: &Dealt<'_>) -> Vec<(String, u32, u32)> {
        let mut rows: Vec<_> = dealt
            .train
            .iter()
            .flat_map(|part| {
                assert_eq!(part.events.rows.len(), part.events.event_hashes.len());
                part.events.rows.iter().map(|row| {
                    (part.users.get(row.user as usize).to_owned(), part.item_places[row.item as usize], row.time.0)
                })
            })
            .collect();
        rows.sort();
        rows
    }

    fn test_items(test: &TestPairs) -> BTreeMap<String, Vec<u32>> {
        let users = test.users.iter().enumerate();
        users.map(|(at, id)| (id.to_owned(), test.items[test.indptr[at]..test.indptr[at + 1]].to_vec())).collect()
    }

    #[test]
    fn time_divides_and_types_decide() {
        let events =
            [(0, 5, 10, 0), (0, 6, 19, 1), (0, 7, 20, 1), (0, 7, 21, 1), (0, 8, 22, 0), (1, 3, 30, 1), (2, 1, 31, 1)];
        let readers = Readers::new(&events, 2);
        let config = InteractionsConfig::default();
        let dealt = split_by_time(&readers.parts(), Stamp(20), Stamp(30), &context(&config));
        assert_eq!(train_rows(&dealt), [("u0".to_owned(), 5, 10), ("u0".to_owned(), 6, 19)]);
        let test = &dealt.test;
        assert_eq!(test_items(test), [("u0".to_owned(), vec![7]), ("u1".to_owned(), vec![3])].into());
        assert_eq!((&test.n_events[..], &test.last[..]), (&[2, 1][..], &[Stamp(21), Stamp(30)][..]));
        assert_eq!((&test.n_train_rows[..], test.n_rows), (&[2, 0][..], 3));
    }

    #[test]
    fn the_last_pairs_go_with_all_their_rows() {
        // u0: item 1 bought at 50 (seen at 5), item 2 at 40, item 3 only seen. u1 has one pair and keeps it.
        let events = [(0, 1, 5, 0), (0, 1, 50, 1), (0, 2, 40, 1), (0, 3, 60, 0), (1, 9, 70, 1)];
        let readers = Readers::new(&events, 3);
        let config = InteractionsConfig::default();
        let dealt = split_hold_out(&readers.parts(), HoldOut::Last(1), &context(&config));
        assert_eq!(test_items(&dealt.test), [("u0".to_owned(), vec![1])].into());
        let items: BTreeSet<u32> = train_rows(&dealt).iter().map(|row| row.1).collect();
        assert_eq!(items, [2, 3, 9].into());
        assert_eq!(dealt.test.n_train_rows, [2]);
        let dealt = split_hold_out(&readers.parts(), HoldOut::Last(2), &context(&config));
        assert_eq!(test_items(&dealt.test), [("u0".to_owned(), vec![1, 2])].into());
    }

    #[test]
    fn bots_of_the_test_are_left_out_and_counted() {
        let mut events: Vec<Event> = (0..10).map(|at| (0, at, 100, 1)).collect();
        events.push((1, 1, 100, 1));
        let config = InteractionsConfig { max_events: 9, ..InteractionsConfig::default() };
        let readers = Readers::new(&events, 2);
        let dealt = split_by_time(&readers.parts(), Stamp(50), Stamp(200), &context(&config));
        assert_eq!((test_items(&dealt.test), dealt.test.n_bots), ([("u1".to_owned(), vec![1])].into(), 1));
    }

    #[test]
    fn given_sides_stay_what_they_are() {
        let (train, test) =
            (Readers::new(&[(0, 1, 5, 0), (2, 1, 5, 1)], 1), Readers::new(&[(0, 1, 5, 1), (0, 4, 1, 1)], 2));
        let config = InteractionsConfig::default();
        let dealt = split_given(&train.parts(), &test.parts(), &context(&config));
        assert_eq!(train_rows(&dealt).len(), 2);
        assert_eq!(test_items(&dealt.test), [("u0".to_owned(), vec![1, 4])].into());
        assert_eq!(dealt.test.n_train_rows, [1]);
    }

    #[test]
    fn the_seed_reaches_the_draw() {
        let events: Vec<Event> = (0..40).map(|item| (0, item, item, 1)).collect();
        let readers = Readers::new(&events, 2);
        let config = InteractionsConfig::default();
        let draw = |seed| {
            let how = HoldOut::Ratio { ratio: 0.25, seed };
            test_items(&split_hold_out(&readers.parts(), how, &context(&config)).test)["u0"].clone()
        };
        assert_eq!(draw(1).len(), 10);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    proptest! {
        #[test]
        fn no_row_leaks_and_every_pair_is_on_one_side(
            events in prop::collection::vec((0u8..5, 0u32..12, 0u32..40, 0u8..2), 0..120),
            n_readers in 1usize..4,
            from in 0u32..45,
            n in 1usize..4,
            ratio in 0.05f64..0.95,
        ) {
            let readers = Readers::new(&events, n_readers);
            let config = InteractionsConfig::default();
            let ctx = context(&config);
            let dealt = split_by_time(&readers.parts(), Stamp(from), Stamp(u32::MAX), &ctx);
            let train = train_rows(&dealt);
            prop_assert!(train.iter().all(|row| row.2 < from));
            let before = events.iter().filter(|event| event.2 < from).count();
            prop_assert_eq!(train.len(), before);
            prop_assert!(dealt.test.last.iter().all(|time| time.0 >= from));

            for how in [HoldOut::Last(n), HoldOut::Ratio { ratio, seed: 7 }] {
                let dealt = split_hold_out(&readers.parts(), how, &ctx);
                let train: BTreeSet<(String, u32)> = train_rows(&dealt).into_iter().map(|row| (row.0, row.1)).collect();
                let test = test_items(&dealt.test);
                let test: BTreeSet<(String, u32)> =
                    test.iter().flat_map(|(user, items)| items.iter().map(move |&item| (user.clone(), item))).collect();
                let all: BTreeSet<(String, u32)> = events.iter().map(|event| (format!("u{}", event.0), event.1)).collect();
                prop_assert!(train.is_disjoint(&test));
                prop_assert_eq!(train.union(&test).cloned().collect::<BTreeSet<_>>(), all);
                // Whoever is tested has something to train on.
                for (user, _) in &test {
                    prop_assert!(train.iter().any(|(other, _)| other == user));
                }
                // How readers shared the rows does not matter.
                let other = Readers::new(&events, n_readers % 3 + 1);
                let again = split_hold_out(&other.parts(), how, &ctx);
                prop_assert_eq!(&again.test, &dealt.test);
            }
            let dealt = split_hold_out(&readers.parts(), HoldOut::Last(n), &ctx);
            let train: BTreeSet<(String, u32)> = train_rows(&dealt).into_iter().map(|row| (row.0, row.1)).collect();
            for (user, items) in test_items(&dealt.test) {
                let last = |item: u32| {
                    let own = events.iter().filter(|event| format!("u{}", event.0) == user && event.1 == item);
                    own.filter(|event| event.3 == 1).map(|event| event.2).max()
                };
                let first_held = items.iter().filter_map(|&item| last(item)).min();
                let latest_kept = train.iter().filter(|pair| pair.0 == user).filter_map(|pair| last(pair.1)).max();
                prop_assert!(latest_kept <= first_held, "kept {:?}, held {:?}", latest_kept, first_held);
            }
        }
    }
}
