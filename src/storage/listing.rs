//! The files and objects that a list of locations stands for.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
};

use super::{Storage, StorageError, local, location::Location};

/// A file or object as it was when it was listed; readers refuse any other version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Local path as the location spells it, or `s3://bucket/key`.
    pub uri: String,
    /// Bytes.
    pub size: u64,
    /// S3's ETag without its quotes; `None` for local files.
    pub etag: Option<String>,
    /// Partition columns in the path, outermost first: `dt=2026-11-21/` is (dt, 2026-11-21).
    pub hive: Vec<(String, String)>,
    /// Where the bytes are.
    pub(super) place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Local { path: PathBuf, stamp: local::Stamp },
    S3 { bucket: String, key: String },
}

/// What a location gave: the files it takes and, for the message when there are none, what it passed over.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) taken: Vec<ObjectInfo>,
    pub(super) passed: Passed,
}

/// How many names a message shows of what lies where nothing suitable does.
const N_SHOWN: usize = 5;

/// Names that were passed over: all counted, a few kept.
#[derive(Debug, Default)]
pub(super) struct Passed {
    n: usize,
    first: Vec<String>,
}

impl Passed {
    pub(super) fn add(&mut self, name: &str) {
        self.n += 1;
        if self.first.len() < N_SHOWN {
            self.first.push(name.to_owned());
        }
    }

    pub(super) fn describe(&self) -> String {
        match self.n {
            0 => "it is empty".to_owned(),
            n => {
                let more =
                    if n > self.first.len() { format!(" and {} more", n - self.first.len()) } else { String::new() };
                format!("it holds {}{more}", self.first.join(", "))
            }
        }
    }
}

impl Storage {
    /// Lists the files and objects that `locations` stand for.
    ///
    /// A named file or object is taken whatever its name; of directories, prefixes and directories that a glob matches, the
    /// files whose names end in one of `suffixes` (no suffixes: all). Names starting with `.` or `_` are a writer's
    /// bookkeeping and are passed over, as are S3's directory markers.
    ///
    /// Returns: ascending by uri; a file that several locations match comes once.
    ///
    /// # Errors
    /// A location that does not exist, that cannot be read, or that holds nothing suitable.
    pub fn list(&self, locations: &[String], suffixes: &[&str]) -> Result<Vec<ObjectInfo>, StorageError> {
        let mut by_uri = BTreeMap::new();
        for text in locations {
            let location = Location::parse(text)?;
            let found = match location.bucket() {
                Some(bucket) => self.s3.list(bucket, &location, suffixes)?,
                None => local::list(&location, suffixes)?,
            };
            if found.taken.is_empty() {
                return Err(StorageError::Empty {
                    location: text.clone(),
                    wanted: super::location::describe(suffixes),
                    found: found.passed.describe(),
                });
            }
            tracing::debug!(location = text, n_objects = found.taken.len(), "listed");
            by_uri.extend(found.taken.into_iter().map(|object| (object.uri.clone(), object)));
        }
        // One local file may have two spellings (`a/../b`, a link): what counts is where they lead.
        let mut seen = HashSet::new();
        Ok(by_uri
            .into_values()
            .filter(|object| match &object.place {
                Place::Local { stamp, .. } => seen.insert(stamp.real_path.clone()),
                Place::S3 { .. } => true,
            })
            .collect())
    }
}
