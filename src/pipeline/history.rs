//! What a bucket leaves in the run directory before all but its cells is dropped, and the example users.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Mutex,
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    artifacts::{
        INTERACTIONS, ProfileRows, RunWriter, TaskOutput, WriteFiles, bucket_path, complete_profiles, write_history,
        write_profiles,
    },
    ids::{IdTable, id_hash},
    interactions::{BucketPairs, Buyers, Kind, RfmThresholds, Role, Stamp, favourites},
    recommendations::Catalog,
};

use super::PipelineError;

/// Favourite categories, and brands, kept in a profile.
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
    /// The buyers of the buckets that are written, by bucket.
    pub(super) buyers: Mutex<Vec<(usize, Buyers)>>,
}

/// What a task leaves of its bucket's profiles: fifths need all buckets.
const OWN_PROFILES: &str = "work/profiles.parquet";
const OWN_BUYERS: &str = "work/buyers.json";

/// Where a bucket's profiles wait for the fifths of all buyers, in one process.
fn scratch_path(folder: &Path, bucket: usize) -> PathBuf {
    folder.join(".profiles").join(format!("bucket-{bucket:03}.parquet"))
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> PipelineError + '_ {
    move |source| PipelineError::Write { path: path.to_owned(), source }
}

/// Completes the profiles of all buckets, which tasks of their own have written.
pub(super) fn collect_profiles(outputs: &[TaskOutput], run: &RunWriter) -> Result<(), PipelineError> {
    let buyers = outputs.iter().map(|output| output.json(OWN_BUYERS)).collect::<Result<Vec<Buyers>, _>>()?;
    let thresholds = RfmThresholds::of(buyers.iter());
    let buckets: Vec<_> = outputs.iter().zip(&buyers).enumerate().collect();
    buckets.into_par_iter().with_max_len(1).try_for_each(|(bucket, (output, buyers))| {
        let file = run.file(&bucket_path("profiles", bucket))?;
        complete_profiles(&output.read(OWN_PROFILES)?, file, buyers, thresholds.as_ref())?;
        Ok(())
    })
}

impl BucketWriter<'_> {
    pub(super) fn write(&self, bucket: usize, pairs: &BucketPairs) -> Result<(), PipelineError> {
        let names: Vec<&str> = self.kinds.iter().map(|kind| kind.name.as_str()).collect();
        let file = self.files.file(&bucket_path(INTERACTIONS, bucket))?;
        write_history(file, pairs, self.items, &names, self.as_of.is_some())?;
        self.write_profiles(bucket, pairs, &names)?;
        self.pick_examples(pairs);
        Ok(())
    }

    /// Writes the profiles of a bucket as far as the bucket alone tells them.
    fn write_profiles(&self, bucket: usize, pairs: &BucketPairs, names: &[&str]) -> Result<(), PipelineError> {
        let is_purchase: Vec<bool> = self.kinds.iter().map(|kind| kind.role == Role::Purchase).collect();
        let rows = ProfileRows {
            users: &pairs.users,
            profiles: &pairs.profiles,
            favourite_categories: &favourites(pairs, &self.catalog.categories, N_FAVOURITES),
            category_names: &self.catalog.category_names,
            favourite_brands: &favourites(pairs, &self.catalog.brands, N_FAVOURITES),
            brand_names: &self.catalog.brand_names,
            items: self.items,
            kinds: names,
            is_purchase: &is_purchase,
            as_of: self.as_of,
        };
        let buyers = Buyers::of(&pairs.profiles);
        match self.files.scratch() {
            Some(folder) => {
                let path = scratch_path(folder, bucket);
                let folder = path.parent().expect("it lies in a folder");
                fs::create_dir_all(folder).map_err(failed(folder))?;
                let file = File::create_new(&path).map_err(failed(&path))?;
                write_profiles(file, &path.display().to_string(), &rows)?;
                self.buyers.lock().expect("no writer panics while it holds the lock").push((bucket, buyers));
            }
            None => {
                write_profiles(self.files.file(OWN_PROFILES)?, OWN_PROFILES, &rows)?.close()?;
                let mut file = self.files.file(OWN_BUYERS)?;
                let text = serde_json::to_vec(&buyers).expect("numbers become JSON");
                file.write_all(&text).map_err(failed(Path::new(OWN_BUYERS)))?;
                file.close()?;
            }
        }
        Ok(())
    }

    /// Completes the profiles of all buckets, once all are written; nothing where tasks of their own write them.
    pub(super) fn complete_profiles(&self) -> Result<(), PipelineError> {
        let Some(folder) = self.files.scratch() else { return Ok(()) };
        let buyers = self.buyers.lock().expect("no writer panics while it holds the lock");
        let thresholds = RfmThresholds::of(buyers.iter().map(|(_, buyers)| buyers));
        buyers.par_iter().with_max_len(1).try_for_each(|(bucket, buyers)| {
            let path = scratch_path(folder, *bucket);
            let source = File::open(&path).map_err(failed(&path))?;
            let file = self.files.file(&bucket_path("profiles", *bucket))?;
            complete_profiles(&source, file, buyers, thresholds.as_ref())?;
            fs::remove_file(&path).map_err(failed(&path))
        })?;
        let folder = folder.join(".profiles");
        fs::remove_dir(&folder).map_err(failed(&folder))
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
