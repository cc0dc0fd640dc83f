//! What a bucket leaves in the run directory before all but its cells is dropped, and the example users.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::{
    artifacts::{INTERACTIONS, ProfileRows, WriteFiles, bucket_path, write_history, write_profiles},
    ids::{IdTable, id_hash},
    interactions::{BucketPairs, Kind, Role, Stamp, favourite_categories},
    recommendations::Catalog,
};

use super::PipelineError;

/// Favourite categories kept in a profile.
const N_FAVOURITES: usize = 5;

/// Fewest and most pairs of a user that makes a good example.
const EXAMPLE_PAIRS: std::ops::RangeInclusive<usize> = 4..=30;

/// A user picked for the report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Example {
    hash: u64,
    pub(super) user: String,
    pub(super) n_pairs: usize,
    /// (item id, types with counts, last time), newest first.
    pub(super) actions: Vec<(String, String, Option<Stamp>)>,
}

/// Adds other examples; keeps the `n` with the smallest hashes.
pub(super) fn merge_examples(into: &mut Vec<Example>, others: impl IntoIterator<Item = Example>, n: usize) {
    into.extend(others);
    into.sort_by_key(|example| example.hash);
    into.truncate(n);
}

/// Writes `interactions/` and `profiles/` bucket by bucket, and picks the example users.
pub(super) struct BucketWriter<'a> {
    pub(super) files: &'a dyn WriteFiles,
    pub(super) items: &'a IdTable,
    pub(super) catalog: &'a Catalog,
    pub(super) kinds: &'a [Kind],
    pub(super) as_of: Option<Stamp>,
    pub(super) n_examples: usize,
    pub(super) examples: Mutex<Vec<Example>>,
}

impl BucketWriter<'_> {
    pub(super) fn write(&self, bucket: usize, pairs: &BucketPairs) -> Result<(), PipelineError> {
        let names: Vec<&str> = self.kinds.iter().map(|kind| kind.name.as_str()).collect();
        let is_purchase: Vec<bool> = self.kinds.iter().map(|kind| kind.role == Role::Purchase).collect();
        let file = self.files.file(&bucket_path(INTERACTIONS, bucket))?;
        write_history(file, pairs, self.items, &names, self.as_of.is_some())?;
        let favourites = favourite_categories(pairs, &self.catalog.categories, N_FAVOURITES);
        write_profiles(
            self.files.file(&bucket_path("profiles", bucket))?,
            &ProfileRows {
                users: &pairs.users,
                profiles: &pairs.profiles,
                favourites: &favourites,
                category_names: &self.catalog.category_names,
                kinds: &names,
                is_purchase: &is_purchase,
                as_of: self.as_of,
            },
        )?;
        self.pick_examples(pairs);
        Ok(())
    }

    /// Keeps the users with the smallest hashes: the same ones for any order of buckets.
    fn pick_examples(&self, pairs: &BucketPairs) {
        let mut picked: Vec<(u64, usize)> = (0..pairs.users.len())
            .filter(|&user| EXAMPLE_PAIRS.contains(&(pairs.indptr[user + 1] - pairs.indptr[user])))
            .map(|user| (id_hash(pairs.users.get(user).as_bytes()), user))
            .collect();
        picked.sort_unstable();
        picked.truncate(self.n_examples);
        let own = picked.into_iter().map(|(hash, user)| self.example(pairs, user, hash));
        let mut examples = self.examples.lock().expect("no writer panics while it holds the lock");
        merge_examples(&mut examples, own, self.n_examples);
    }

    fn example(&self, pairs: &BucketPairs, user: usize, hash: u64) -> Example {
        let range = pairs.indptr[user]..pairs.indptr[user + 1];
        let n_kinds = self.kinds.len();
        let mut order: Vec<usize> = range.clone().collect();
        order.sort_by_key(|&at| (std::cmp::Reverse(pairs.last[at]), pairs.items[at]));
        let actions = order
            .into_iter()
            .take(12)
            .map(|at| {
                let counts = &pairs.counts[at * n_kinds..(at + 1) * n_kinds];
                let types: Vec<String> = self
                    .kinds
                    .iter()
                    .zip(counts)
                    .filter(|(_, n)| **n > 0)
                    .map(|(kind, &n)| if n == 1 { kind.name.clone() } else { format!("{} ×{n}", kind.name) })
                    .collect();
                let id = self.items.get(pairs.items[at] as usize).to_owned();
                (id, types.join(", "), self.as_of.map(|_| pairs.last[at]))
            })
            .collect();
        Example { hash, user: pairs.users.get(user).to_owned(), n_pairs: range.len(), actions }
    }
}
