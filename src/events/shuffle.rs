//! What a shuffle by user has to know of the files: which there are, which columns to keep, where the user's id lies.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};

use super::{
    EventsError, PurchaseSource, ScanInput,
    scan::{File, claimed_rows, open_all, sources},
};
use crate::storage::ObjectInfo;

/// The column that a shuffle puts beside each row: Unix seconds of the last instant that the row can have, by the date
/// partition that its file lay in; null without one. What a path says is lost when rows change files.
pub const LATEST: &str = "nightshelf_latest";

/// A source of rows as a shuffle reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShuffleSource {
    /// The names that lead to the user's id.
    pub user_id: Vec<String>,
    /// Rows by the footers.
    pub n_rows: u64,
    /// Bytes of the files.
    pub n_bytes: u64,
    /// The files.
    pub groups: Vec<ShuffleGroup>,
}

/// Files that are read alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShuffleGroup {
    /// What [`LATEST`] is of their rows.
    pub latest: Option<i64>,
    /// The columns to keep, by their names at the root, ascending.
    pub columns: Vec<String>,
    /// Their paths, ascending.
    pub paths: Vec<String>,
}

/// The files of all sources, as `scan` would read them.
#[derive(Debug, Clone)]
pub struct ShuffleInput {
    /// The clickstream.
    pub events: ShuffleSource,
    /// The order lines, where they count.
    pub orders: Option<ShuffleSource>,
    /// Every file with what it is read as.
    pub objects: Vec<(&'static str, ObjectInfo)>,
}

/// Lists the files and reads their footers.
///
/// # Errors
/// As [`scan`](super::scan()); also when user ids lie in a list, or not in the same column of all files of a source.
pub fn shuffle_input(input: &ScanInput<'_>) -> Result<ShuffleInput, EventsError> {
    let sources = sources(input, input.orders.purchases_from == PurchaseSource::Orders);
    let (files, _) = open_all(input, &sources)?;
    let mut planned = (0..sources.len())
        .map(|source| plan(files.iter().filter(|file| file.source == source).collect()))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter();
    let events = planned.next().expect("events are always a source");
    let objects = files.iter().map(|file| (sources[file.source].table, file.reader.object().clone())).collect();
    Ok(ShuffleInput { events, orders: planned.next(), objects })
}

/// What makes files of one group: the bound of their rows, the names and types of the columns.
type GroupKey = (Option<i64>, Vec<(String, String)>);

fn plan(files: Vec<&File>) -> Result<ShuffleSource, EventsError> {
    let mut user_id: Option<Vec<String>> = None;
    let mut groups: BTreeMap<GroupKey, Vec<String>> = BTreeMap::new();
    for file in &files {
        let uri = &file.reader.object().uri;
        let path = &file.columns.user_id.path;
        if file.columns.in_list(&file.columns.user_id) {
            return Err(EventsError::UserInList { uri: uri.clone(), column: path.join(".") });
        }
        let expected = user_id.get_or_insert_with(|| path.clone());
        if expected != path {
            let (found, expected) = (path.join("."), expected.join("."));
            return Err(EventsError::UserElsewhere { uri: uri.clone(), found, expected });
        }
        let columns: BTreeSet<(String, String)> = file
            .columns
            .kept()
            .map(|(name, data_type): (&str, &DataType)| (name.into(), data_type.to_string()))
            .collect();
        groups.entry((file.partition_latest(), columns.into_iter().collect())).or_default().push(uri.clone());
    }
    Ok(ShuffleSource {
        user_id: user_id.unwrap_or_default(),
        n_rows: claimed_rows(files.iter().copied()),
        n_bytes: files.iter().map(|file| file.reader.object().size).sum(),
        groups: groups
            .into_iter()
            .map(|((latest, columns), mut paths)| {
                paths.sort();
                ShuffleGroup { latest, columns: columns.into_iter().map(|(name, _)| name).collect(), paths }
            })
            .collect(),
    })
}
