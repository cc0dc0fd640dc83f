//! One fold: what training sees, and what turned out to be right.

use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use crate::{
    evaluation::{EvaluationConfig, Repeats, TestSet, UnknownItems, select_rows},
    ids::{IdTable, bucket_of, id_hash},
    interactions::{
        Aggregation, BucketCells, Csr, Dealt, HoldOut, Interactions, PartRef, SplitContext, Stamp, TestPairs,
        aggregate, assemble, split_by_time, split_given, split_hold_out,
    },
    pipeline::PipelineError,
    recommendations::Catalog,
};

use super::data::Reading;

/// What training sees. Folds that differ in their test users only share it.
#[derive(Debug)]
pub struct Training {
    /// The matrix that a build would train on.
    pub interactions: Interactions,
    /// The catalogue, by the matrix's items.
    pub catalog: Catalog,
    /// By item: users who have it.
    pub n_users_of: Vec<u32>,
    /// Users with at least one interaction.
    pub n_users: usize,
}

/// One split of the data.
#[derive(Debug, Clone)]
pub struct Fold {
    /// Its name, e.g. the days of its test.
    pub name: String,
    /// The instant that training's ages are counted from: the last one before the test, where the split is by time.
    pub as_of: Option<Stamp>,
    /// What training sees.
    pub training: Arc<Training>,
    /// The test users with their relevant items.
    pub test: TestSet,
    /// By test user: his row of training's weights, empty for those it does not know.
    pub histories: Csr,
    /// By test user: the items that may not stand on his list, ascending.
    pub excluded: Csr,
    /// Parallel to the relevant items: events behind each pair, time of the last one.
    pub test_events: Vec<(u32, Stamp)>,
    /// What went into it.
    pub counts: FoldCounts,
}

/// What went into a fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct FoldCounts {
    /// Users that training knows.
    pub train_users: u64,
    /// Items that training knows.
    pub train_items: u64,
    /// Its interactions.
    pub train_interactions: u64,
    /// Events of the test that make an item relevant.
    pub test_events: u64,
    /// Users with at least one relevant item.
    pub test_users: u64,
    /// Of these, users with a training history.
    pub known_users: u64,
    /// Of these, users without one: they are served by fallbacks.
    pub new_users: u64,
    /// Relevant (user, item) pairs.
    pub relevant: u64,
    /// Items of the test that training does not know.
    pub unknown_items: u64,
    /// Pairs with such an item: missed or dropped, as `unknown_items` says.
    pub unknown_item_pairs: u64,
    /// Pairs left out because the user already dealt with the item in training.
    pub repeated_pairs: u64,
    /// Users whose every pair was left out.
    pub users_without_relevant: u64,
    /// Test users left out because they are taken for bots.
    pub bots: u64,
}

/// Which rows are the test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Deal {
    /// Shards of their own.
    Given,
    /// Those of a time.
    Time { from: Stamp, until: Stamp },
    /// Some pairs of each user.
    HoldOut(HoldOut),
}

/// A fold to be made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) deal: Deal,
    pub(super) as_of: Option<Stamp>,
    pub(super) since: Option<Stamp>,
}

/// The test users of a bucket. Items are places in the table of all items.
#[derive(Default)]
struct BucketTest {
    users: IdTable,
    /// (place, events, last), ascending by place.
    relevant: Vec<Vec<(u32, u32, Stamp)>>,
    /// Places that may not stand on the list, ascending.
    excluded: Vec<Vec<u32>>,
    counts: FoldCounts,
}

struct Bucket {
    cells: BucketCells,
    test: BucketTest,
}

impl Fold {
    /// The same training with a seeded sample of `n` of the test users.
    #[must_use]
    pub fn sampled(&self, n: usize, seed: u64) -> Self {
        let users = self.test.sample(n, seed);
        let test = self.test.select(&users);
        let known_users = test.known.iter().filter(|known| **known).count() as u64;
        let ranges = users
            .iter()
            .map(|&user| self.test.relevant.indptr[user as usize]..self.test.relevant.indptr[user as usize + 1]);
        Self {
            name: self.name.clone(),
            as_of: self.as_of,
            training: Arc::clone(&self.training),
            histories: select_rows(&self.histories, &users),
            excluded: select_rows(&self.excluded, &users),
            test_events: ranges.flat_map(|range| self.test_events[range].iter().copied()).collect(),
            counts: FoldCounts {
                test_users: test.len() as u64,
                known_users,
                new_users: test.len() as u64 - known_users,
                relevant: test.relevant.n_cells() as u64,
                ..self.counts
            },
            test,
        }
    }

    /// The same test with training on a seeded share of the users: the others keep their rows and train nothing.
    ///
    /// Cost: a copy of the training matrix.
    #[must_use]
    pub fn trained_on(&self, share: f64, seed: u64) -> Self {
        let training = &self.training;
        let mut interactions = training.interactions.clone();
        let below = (share * 2f64.powi(64)) as u64;
        for (trains, user) in interactions.trains.iter_mut().zip(training.interactions.users.iter()) {
            // The hash deals users to buckets, too: mixed with the seed, it deals them anew.
            *trains &= (id_hash(user.as_bytes()) ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32) < below;
        }
        let training = Training {
            interactions,
            catalog: training.catalog.clone(),
            n_users_of: training.n_users_of.clone(),
            n_users: training.n_users,
        };
        Self { training: Arc::new(training), ..self.clone() }
    }

    /// The number of `item`: training's, or one behind for an item that only the test knows.
    #[must_use]
    pub fn item_number(&self, item: &str) -> Option<u32> {
        let known = &self.training.interactions.items;
        let number = known.position(item).or_else(|| Some(known.len() + self.test.unknown_items.position(item)?))?;
        Some(number as u32)
    }
}

impl Reading<'_> {
    /// Deals the rows as `plan` says, and aggregates the training part as a build would.
    pub(super) fn fold(&self, plan: &Plan, keep_times: bool) -> Result<Fold, PipelineError> {
        let config = &self.config.evaluation;
        let buckets: Vec<Bucket> = (0..self.config.interactions.n_buckets)
            .into_par_iter()
            .with_max_len(1)
            .map(|bucket| self.bucket(bucket, plan, keep_times))
            .collect();
        let (cells, tests) = buckets.into_iter().map(|bucket| (bucket.cells, bucket.test)).unzip();
        let (interactions, assembled) = assemble(cells, &self.all_items, &self.config.interactions);
        if interactions.weights.n_cells() == 0 {
            return Err(PipelineError::NoTest(format!(
                "the training part of fold `{}` has no interactions",
                plan.name
            )));
        }
        let mut number_of: Vec<Option<u32>> = vec![None; self.all_items.len()];
        for (number, &place) in (0u32..).zip(&assembled.kept_items) {
            number_of[place as usize] = Some(number);
        }
        let n_users_of = users_of(&interactions.weights);
        let n_users = interactions.weights.indptr.windows(2).filter(|row| row[0] < row[1]).count();
        let catalog = self.catalog.select(&assembled.kept_items);
        let training = Training { interactions, catalog, n_users_of, n_users };
        let fold = number(plan, training, tests, number_of, &self.all_items, config);
        let fold = if config.users > 0 { fold.sampled(config.users, config.seed) } else { fold };
        check(&fold)?;
        Ok(fold)
    }

    fn bucket(&self, bucket: usize, plan: &Plan, keep_times: bool) -> Bucket {
        let (train, test) = self.parts(bucket);
        let ctx = SplitContext {
            test_kinds: &self.test_kinds,
            config: &self.config.interactions,
            timed: self.timed,
            since: plan.since,
            as_of: plan.as_of,
        };
        let Dealt { train, test } = match plan.deal {
            Deal::Given => split_given(&train, &test, &ctx),
            Deal::Time { from, until } => split_by_time(&train, from, until, &ctx),
            Deal::HoldOut(how) => split_hold_out(&train, how, &ctx),
        };
        let aggregation = Aggregation {
            kinds: &self.kinds,
            config: &self.config.interactions,
            as_of: plan.as_of,
            since: plan.since,
            decay: &self.decay,
            trend: None,
            sessions_by_id: false,
        };
        let pairs = aggregate(train, &aggregation);
        let mut out = BucketTest::default();
        out.counts.bots = test.n_bots;
        for (user, id) in test.users.iter().enumerate() {
            let own = pairs.users.position(id).map(|at| pairs.indptr[at]..pairs.indptr[at + 1]);
            // Training had rows of his and made nothing of them: he was taken for a bot.
            if own.is_none() && test.n_train_rows[user] > 0 {
                out.counts.bots += 1;
                continue;
            }
            let own = own.unwrap_or(0..0);
            out.add(id, &test, user, &pairs.items[own.clone()], &pairs.excluded[own], self.config.evaluation.repeats);
        }
        let cells = if keep_times && self.timed { BucketCells::with_times(pairs) } else { BucketCells::from(pairs) };
        Bucket { cells, test: out }
    }
}

impl BucketTest {
    /// Adds a user with what is relevant to him; `seen` are the items of his training, `excluded` those that rules keep off.
    fn add(&mut self, id: &str, test: &TestPairs, user: usize, seen: &[u32], excluded: &[bool], repeats: Repeats) {
        let range = test.indptr[user]..test.indptr[user + 1];
        self.counts.test_events += range.clone().map(|at| u64::from(test.n_events[at])).sum::<u64>();
        let kept_off: Vec<u32> = match repeats {
            Repeats::Rules => {
                seen.iter().zip(excluded).filter(|(_, excluded)| **excluded).map(|(item, _)| *item).collect()
            }
            Repeats::Allow => Vec::new(),
            Repeats::NewOnly => seen.to_vec(),
        };
        let n_pairs = range.len();
        let relevant: Vec<(u32, u32, Stamp)> = range
            .filter(|&at| kept_off.binary_search(&test.items[at]).is_err())
            .map(|at| (test.items[at], test.n_events[at], test.last[at]))
            .collect();
        self.counts.repeated_pairs += (n_pairs - relevant.len()) as u64;
        if relevant.is_empty() {
            self.counts.users_without_relevant += 1;
            return;
        }
        self.users.push(id);
        self.relevant.push(relevant);
        self.excluded.push(kept_off);
    }
}

/// By column: how many rows have it.
fn users_of(weights: &Csr) -> Vec<u32> {
    let mut n = vec![0; weights.n_cols];
    weights.indices.iter().for_each(|&item| n[item as usize] += 1);
    n
}

/// From places in the table of all items to training's numbers.
fn number(
    plan: &Plan,
    training: Training,
    buckets: Vec<BucketTest>,
    mut number_of: Vec<Option<u32>>,
    all_items: &IdTable,
    config: &EvaluationConfig,
) -> Fold {
    let n_known = training.interactions.items.len();
    let mut counts = FoldCounts {
        train_users: training.n_users as u64,
        train_items: n_known as u64,
        train_interactions: training.interactions.weights.n_cells() as u64,
        ..FoldCounts::default()
    };
    let mut unknown: Vec<u32> = Vec::new();
    for bucket in &buckets {
        counts.test_events += bucket.counts.test_events;
        counts.repeated_pairs += bucket.counts.repeated_pairs;
        counts.users_without_relevant += bucket.counts.users_without_relevant;
        counts.bots += bucket.counts.bots;
        let places = bucket.relevant.iter().flatten().map(|pair| pair.0);
        unknown.extend(places.filter(|&place| number_of[place as usize].is_none()));
    }
    counts.unknown_item_pairs = unknown.len() as u64;
    unknown.sort_unstable();
    unknown.dedup();
    counts.unknown_items = unknown.len() as u64;
    let mut test = TestSet::default();
    if config.unknown_items == UnknownItems::Miss {
        for (number, &place) in (n_known as u32..).zip(&unknown) {
            number_of[place as usize] = Some(number);
            test.unknown_items.push(all_items.get(place as usize));
        }
    }
    let n_cols = n_known + test.unknown_items.len();
    let with_columns = |n_cols| Csr { indptr: vec![0], n_cols, ..Csr::default() };
    test.relevant = with_columns(n_cols);
    let (mut histories, mut excluded) = (with_columns(n_known), with_columns(n_known));
    let mut test_events = Vec::new();
    let interactions = &training.interactions;
    for bucket in buckets {
        for ((id, relevant), kept_off) in bucket.users.iter().zip(bucket.relevant).zip(bucket.excluded) {
            let mut numbered: Vec<(u32, u32, Stamp)> = relevant
                .into_iter()
                .filter_map(|(place, n, last)| Some((number_of[place as usize]?, n, last)))
                .collect();
            if numbered.is_empty() {
                counts.users_without_relevant += 1;
                continue;
            }
            // Unknown items have the highest numbers, wherever their ids stand.
            numbered.sort_unstable();
            test.users.push(id);
            test.relevant.indices.extend(numbered.iter().map(|pair| pair.0));
            test.relevant.indptr.push(test.relevant.indices.len());
            test_events.extend(numbered.iter().map(|pair| (pair.1, pair.2)));
            if let Some(row) = find_user(interactions, id) {
                let history = interactions.weights.row(row);
                histories.indices.extend_from_slice(history.items);
                histories.values.extend_from_slice(history.weights);
                histories.times.extend_from_slice(history.times);
            }
            histories.indptr.push(histories.indices.len());
            let known = kept_off.iter().filter_map(|&place| number_of[place as usize]);
            excluded.indices.extend(known.filter(|&number| (number as usize) < n_known));
            excluded.indptr.push(excluded.indices.len());
        }
    }
    test.n_train_items = histories.indptr.windows(2).map(|row| (row[1] - row[0]) as u32).collect();
    test.known = test.n_train_items.iter().map(|&n| n > 0).collect();
    counts.test_users = test.len() as u64;
    counts.known_users = test.known.iter().filter(|known| **known).count() as u64;
    counts.new_users = counts.test_users - counts.known_users;
    counts.relevant = test.relevant.n_cells() as u64;
    let training = Arc::new(training);
    Fold { name: plan.name.clone(), as_of: plan.as_of, training, test, histories, excluded, test_events, counts }
}

fn find_user(interactions: &Interactions, id: &str) -> Option<usize> {
    let bucket = bucket_of(id_hash(id.as_bytes()), interactions.bucket_starts.len() - 1);
    let range = interactions.bucket_starts[bucket] as usize..interactions.bucket_starts[bucket + 1] as usize;
    interactions.users.position_in(range, id)
}

/// Refuses a fold that tells nothing.
fn check(fold: &Fold) -> Result<(), PipelineError> {
    let counts = &fold.counts;
    if counts.known_users > 0 {
        return Ok(());
    }
    let reasons = [
        (counts.test_events, "events that make an item relevant"),
        (counts.new_users, "users without a training history"),
        (counts.users_without_relevant, "users whose relevant items were all left out"),
        (counts.repeated_pairs, "pairs that the user already had in training"),
        (counts.unknown_item_pairs, "pairs with an item that training does not know"),
        (counts.bots, "users taken for bots"),
    ];
    let reasons: Vec<String> = reasons.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let found = if reasons.is_empty() { "no test events at all".to_owned() } else { reasons.join(", ") };
    let name = &fold.name;
    Err(PipelineError::NoTest(format!("fold `{name}` has no test user whom training knows; it has {found}")))
}

impl<'a> Reading<'a> {
    /// The parts of a bucket: those of training, and those of a test given apart.
    fn parts(&self, bucket: usize) -> (Vec<PartRef<'_>>, Vec<PartRef<'_>>) {
        let part = |shard: usize| PartRef {
            users: &self.shards[shard].users[bucket],
            item_places: &self.item_places[shard],
            events: &self.shards[shard].buckets[bucket],
        };
        let train = (0..self.n_train_shards).map(part).collect();
        (train, (self.n_train_shards..self.shards.len()).map(part).collect())
    }
}
