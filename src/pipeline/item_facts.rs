//! What the buckets tell about items, gathered while they pass: activity in two windows, and baskets.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{
    interactions::{ACTED_BEFORE, ACTED_NOW, Baskets, BucketPairs, Csr},
    recommendations::Activity,
};

/// Gathers from buckets in any order. Counts are integers and baskets are put back into the order of buckets, so the
/// order does not matter.
pub(super) struct ItemFacts {
    now: Vec<AtomicU32>,
    before: Vec<AtomicU32>,
    baskets: Mutex<BTreeMap<usize, Baskets>>,
}

/// What came out, by `ItemIdx`.
pub(super) struct Gathered {
    /// Users in two windows.
    pub(super) activity: Activity,
    /// n_baskets x n_items, a pattern.
    pub(super) baskets: Csr,
    /// Baskets that were too large to say anything.
    pub(super) n_too_large: u64,
}

/// What one bucket tells.
#[derive(Debug, Default)]
pub(super) struct BucketFacts {
    /// Places in the table of all items, ascending, of those that were acted on in a window.
    pub(super) items: Vec<u32>,
    /// Users who did lately, by item of `items`.
    pub(super) now: Vec<u32>,
    /// Users who did before.
    pub(super) before: Vec<u32>,
    /// What was bought at one go.
    pub(super) baskets: Baskets,
}

impl ItemFacts {
    pub(super) fn new(n_items: usize) -> Self {
        let zeros = || std::iter::repeat_with(AtomicU32::default).take(n_items).collect();
        Self { now: zeros(), before: zeros(), baskets: Mutex::default() }
    }

    pub(super) fn add(&self, bucket: usize, pairs: &BucketPairs) {
        for (&item, &activity) in pairs.items.iter().zip(&pairs.activity) {
            if activity & ACTED_NOW != 0 {
                self.now[item as usize].fetch_add(1, Ordering::Relaxed);
            }
            if activity & ACTED_BEFORE != 0 {
                self.before[item as usize].fetch_add(1, Ordering::Relaxed);
            }
        }
        self.add_baskets(bucket, pairs.baskets.clone());
    }

    fn add_baskets(&self, bucket: usize, baskets: Baskets) {
        let mut all = self.baskets.lock().expect("nobody panics while he holds the lock");
        all.insert(bucket, baskets);
    }

    /// Adds what a bucket's facts came to elsewhere.
    pub(super) fn add_saved(&self, bucket: usize, saved: BucketFacts) {
        for (at, &item) in saved.items.iter().enumerate() {
            self.now[item as usize].fetch_add(saved.now[at], Ordering::Relaxed);
            self.before[item as usize].fetch_add(saved.before[at], Ordering::Relaxed);
        }
        self.add_baskets(bucket, saved.baskets);
    }

    /// What is known when `bucket` alone was added, in the form that is kept between stages.
    pub(super) fn into_saved(self, bucket: usize) -> BucketFacts {
        let mut saved = BucketFacts::default();
        for (item, (now, before)) in self.now.into_iter().zip(self.before).enumerate() {
            let (now, before) = (now.into_inner(), before.into_inner());
            if now + before > 0 {
                saved.items.push(item as u32);
                saved.now.push(now);
                saved.before.push(before);
            }
        }
        let mut baskets = self.baskets.into_inner().expect("nobody panics while he holds the lock");
        saved.baskets = baskets.remove(&bucket).unwrap_or_default();
        saved
    }

    /// Renumbers to the items that were kept: `kept_items` gives each one's place in the table of all items.
    pub(super) fn finish(self, kept_items: &[u32]) -> Gathered {
        let pick = |counts: &[AtomicU32]| {
            kept_items.iter().map(|&place| counts[place as usize].load(Ordering::Relaxed)).collect()
        };
        let activity = Activity { now: pick(&self.now), before: pick(&self.before) };
        let mut renumbered: Vec<Option<u32>> = vec![None; self.now.len()];
        for (item, &place) in (0u32..).zip(kept_items) {
            renumbered[place as usize] = Some(item);
        }
        let mut all = Csr { indptr: vec![0], n_cols: kept_items.len(), ..Csr::default() };
        let mut n_too_large = 0;
        for bucket in self.baskets.into_inner().expect("nobody panics while he holds the lock").into_values() {
            n_too_large += bucket.n_too_large;
            for basket in bucket.iter() {
                all.indices.extend(basket.iter().filter_map(|&place| renumbered[place as usize]));
                if all.indices.len() > all.indptr[all.indptr.len() - 1] {
                    all.indptr.push(all.indices.len());
                }
            }
        }
        Gathered { activity, baskets: all, n_too_large }
    }
}
