//! What changed from one run to another.

use std::{cmp::Ordering, collections::BTreeMap};

use hashbrown::HashMap;
use serde::Serialize;
use serde_json::Value;

use super::{ArtifactError, ListReader, ListTable, Run};
use crate::recommendations::ListKind;

/// How much of a diff to show.
#[derive(Debug, Clone, Copy)]
pub struct DiffOptions {
    /// How many users and items to name in each list of movers.
    pub n_movers: usize,
}

impl Default for DiffOptions {
    fn default() -> Self {
        Self { n_movers: 10 }
    }
}

/// The differences from run `a` to run `b`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunDiff {
    /// Name of the run compared from.
    pub a: String,
    /// Name of the run compared to.
    pub b: String,
    /// Whether both have the same content hash: then everything below is empty.
    pub same_content: bool,
    /// Config keys (dotted) whose values differ.
    pub config: Vec<ValueChange>,
    /// Counts and row numbers that differ, as `stage.reason` and `rows.folder`.
    pub counts: Vec<CountChange>,
    /// Metrics that differ.
    pub metrics: Vec<ValueChange>,
    /// Content files only in `b`.
    pub files_added: Vec<String>,
    /// Content files only in `a`.
    pub files_removed: Vec<String>,
    /// Content files in both whose bytes differ.
    pub files_changed: Vec<String>,
    /// The users' lists.
    pub recommendations: ListDiff,
}

/// One value that differs; `None` where a run does not have it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ValueChange {
    /// Its name.
    pub key: String,
    /// In the first run.
    pub a: Option<Value>,
    /// In the second run.
    pub b: Option<Value>,
}

/// One count that differs; `None` where a run does not have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CountChange {
    /// Its name.
    pub key: String,
    /// In the first run.
    pub a: Option<u64>,
    /// In the second run.
    pub b: Option<u64>,
}

/// How the lists of two runs differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ListDiff {
    /// Users only in `b`.
    pub users_added: u64,
    /// Users only in `a`.
    pub users_removed: u64,
    /// Users of both whose items or their order differ.
    pub users_changed: u64,
    /// Users of both with the same items in the same order, but other scores.
    pub users_rescored: u64,
    /// Users of both with the very same list.
    pub users_same: u64,
    /// Mean over the users of both: the share of items that both lists have, of the longer list's length (two empty
    /// lists overlap fully). `None` without such users.
    pub mean_overlap_at_k: Option<f64>,
    /// Users of both whose lists overlap least, ascending by overlap, then by user.
    pub user_movers: Vec<UserMove>,
    /// Items whose number of lists changed most, then by item.
    pub item_movers: Vec<ItemMove>,
}

/// A user whose list changed much.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UserMove {
    /// The user.
    pub user_id: String,
    /// Share of common items, from 0 to below 1.
    pub overlap_at_k: f64,
}

/// An item that came to or went from many lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ItemMove {
    /// The item.
    pub item_id: String,
    /// Lists of `a` that hold it.
    pub a: u64,
    /// Lists of `b` that hold it.
    pub b: u64,
}

/// Compares two runs.
///
/// # Errors
/// When a file of recommendations is damaged.
///
/// Cost: both runs' recommendations decoded once, bucket by bucket; memory for the files of one bucket of each and a
/// count an item.
pub fn diff(a: &Run, b: &Run, options: DiffOptions) -> Result<RunDiff, ArtifactError> {
    let (from, to) = (&a.manifest().content, &b.manifest().content);
    let same_content = a.manifest().content_sha256 == b.manifest().content_sha256;
    let (mut config_a, mut config_b) = (BTreeMap::new(), BTreeMap::new());
    flatten("", &from.config, &mut config_a);
    flatten("", &to.config, &mut config_b);
    let counts = |run: &Run| {
        let content = &run.manifest().content;
        let by_reason = content.counts.iter();
        let mut all: BTreeMap<String, u64> = by_reason
            .flat_map(|(stage, reasons)| reasons.iter().map(move |(reason, &n)| (format!("{stage}.{reason}"), n)))
            .collect();
        all.extend(content.rows.iter().map(|(folder, &n)| (format!("rows.{folder}"), n)));
        all
    };
    let value_change = |(key, a, b)| ValueChange { key, a, b };
    let hashes = |run: &Run| -> BTreeMap<String, String> {
        run.manifest().content.files.iter().map(|entry| (entry.path.clone(), entry.sha256.clone())).collect()
    };
    let files = changes(&hashes(a), &hashes(b));
    let names = |in_a: bool, in_b: bool| {
        let such = files.iter().filter(|(_, a, b)| (a.is_some(), b.is_some()) == (in_a, in_b));
        such.map(|(path, ..)| path.clone()).collect()
    };
    Ok(RunDiff {
        a: a.name().to_owned(),
        b: b.name().to_owned(),
        same_content,
        config: changes(&config_a, &config_b).into_iter().map(value_change).collect(),
        counts: changes(&counts(a), &counts(b)).into_iter().map(|(key, a, b)| CountChange { key, a, b }).collect(),
        metrics: changes(&from.metrics, &to.metrics).into_iter().map(value_change).collect(),
        files_added: names(false, true),
        files_removed: names(true, false),
        files_changed: names(true, true),
        recommendations: diff_lists(a, b, options)?,
    })
}

/// The keys whose values differ, ascending.
fn changes<V: Clone + PartialEq>(
    a: &BTreeMap<String, V>,
    b: &BTreeMap<String, V>,
) -> Vec<(String, Option<V>, Option<V>)> {
    let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let differing = keys.into_iter().filter(|key| a.get(*key) != b.get(*key));
    differing.map(|key| (key.clone(), a.get(key).cloned(), b.get(key).cloned())).collect()
}

/// Tables as dotted keys; anything else is a value.
fn flatten(prefix: &str, value: &Value, out: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, value, out);
            }
        }
        _ if prefix.is_empty() => {}
        _ => {
            out.insert(prefix.to_owned(), value.clone());
        }
    }
}

fn diff_lists(a: &Run, b: &Run, options: DiffOptions) -> Result<ListDiff, ArtifactError> {
    let mut comparison = Comparison { n_movers: options.n_movers, ..Comparison::default() };
    let (groups_a, groups_b) = (buckets(a), buckets(b));
    // Bucket counts are powers of two, so bucket i of the smaller number holds the users of buckets i, i + n, ... of
    // the larger one.
    let n_groups = a.manifest().content.n_buckets.min(b.manifest().content.n_buckets).max(1);
    for group in 0..n_groups {
        let files = |all: &[(usize, String)]| -> Vec<String> {
            all.iter().filter(|(bucket, _)| bucket % n_groups == group).map(|(_, path)| path.clone()).collect()
        };
        let mut from = Merge::open(a, files(&groups_a))?;
        let mut to = Merge::open(b, files(&groups_b))?;
        loop {
            let order = match (from.key(), to.key()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => a.cmp(b),
            };
            comparison.compare(from.list().filter(|_| order.is_le()), to.list().filter(|_| order.is_ge()));
            if order.is_le() {
                from.advance()?;
            }
            if order.is_ge() {
                to.advance()?;
            }
        }
    }
    Ok(comparison.finish())
}

/// The recommendation files with their bucket numbers.
fn buckets(run: &Run) -> Vec<(usize, String)> {
    run.files_in(ListKind::Recommendations.name())
        .map(|entry| {
            let digits: String = entry.path.chars().filter(char::is_ascii_digit).collect();
            (digits.parse().unwrap_or(0), entry.path.clone())
        })
        .collect()
}

/// The lists of several files as one ascending stream.
struct Merge {
    cursors: Vec<Cursor>,
    /// The cursor with the lowest key.
    lowest: Option<usize>,
}

struct Cursor {
    reader: ListReader,
    table: ListTable,
    row: usize,
}

impl Merge {
    fn open(run: &Run, paths: Vec<String>) -> Result<Self, ArtifactError> {
        let mut cursors = Vec::new();
        for path in paths {
            let mut reader = run.list_reader(ListKind::Recommendations, &path)?;
            if let Some(table) = next_table(&mut reader)? {
                cursors.push(Cursor { reader, table, row: 0 });
            }
        }
        let mut merge = Self { cursors, lowest: None };
        merge.settle();
        Ok(merge)
    }

    fn settle(&mut self) {
        let cursors = self.cursors.iter().enumerate();
        self.lowest = cursors.min_by(|(_, a), (_, b)| a.table.key(a.row).cmp(b.table.key(b.row))).map(|(at, _)| at);
    }

    fn list(&self) -> Option<(&ListTable, usize)> {
        self.lowest.map(|at| (&self.cursors[at].table, self.cursors[at].row))
    }

    fn key(&self) -> Option<&str> {
        self.list().map(|(table, row)| table.key(row))
    }

    fn advance(&mut self) -> Result<(), ArtifactError> {
        let Some(at) = self.lowest else { return Ok(()) };
        let cursor = &mut self.cursors[at];
        cursor.row += 1;
        if cursor.row == cursor.table.len() {
            match next_table(&mut cursor.reader)? {
                Some(table) => (cursor.table, cursor.row) = (table, 0),
                None => drop(self.cursors.swap_remove(at)),
            }
        }
        self.settle();
        Ok(())
    }
}

/// The next table that holds any list.
fn next_table(reader: &mut ListReader) -> Result<Option<ListTable>, ArtifactError> {
    loop {
        match reader.next()? {
            Some(table) if table.is_empty() => {}
            table => return Ok(table),
        }
    }
}

#[derive(Default)]
struct Comparison {
    n_movers: usize,
    diff: ListDiff,
    overlap_sum: f64,
    /// Lists with an item, in `a` and in `b`.
    n_lists: HashMap<String, [u64; 2]>,
}

impl Comparison {
    fn compare(&mut self, a: Option<(&ListTable, usize)>, b: Option<(&ListTable, usize)>) {
        for (side, list) in [a, b].into_iter().enumerate() {
            for item in list.into_iter().flat_map(|(table, row)| table.items(row)) {
                match self.n_lists.get_mut(item) {
                    Some(counts) => counts[side] += 1,
                    None => {
                        self.n_lists.insert(item.to_owned(), if side == 0 { [1, 0] } else { [0, 1] });
                    }
                }
            }
        }
        match (a, b) {
            (Some(a), Some(b)) => self.compare_lists(a, b),
            (Some(_), None) => self.diff.users_removed += 1,
            (None, Some(_)) => self.diff.users_added += 1,
            (None, None) => {}
        }
    }

    fn compare_lists(&mut self, (a, row_a): (&ListTable, usize), (b, row_b): (&ListTable, usize)) {
        if a.items(row_a).eq(b.items(row_b)) {
            let same = a.scores(row_a) == b.scores(row_b);
            *(if same { &mut self.diff.users_same } else { &mut self.diff.users_rescored }) += 1;
            self.overlap_sum += 1.0;
            return;
        }
        self.diff.users_changed += 1;
        let (mut items_a, mut items_b): (Vec<&str>, Vec<&str>) = (a.items(row_a).collect(), b.items(row_b).collect());
        items_a.sort_unstable();
        items_b.sort_unstable();
        let n_common = items_a.iter().filter(|item| items_b.binary_search(item).is_ok()).count();
        let overlap_at_k = n_common as f64 / items_a.len().max(items_b.len()) as f64;
        self.overlap_sum += overlap_at_k;
        let worst_kept = self.diff.user_movers.last().map_or(1.0, |mover| mover.overlap_at_k);
        if overlap_at_k < 1.0 && (self.diff.user_movers.len() < self.n_movers || overlap_at_k <= worst_kept) {
            self.diff.user_movers.push(UserMove { user_id: a.key(row_a).to_owned(), overlap_at_k });
            let by_overlap = |a: &UserMove, b: &UserMove| {
                a.overlap_at_k.total_cmp(&b.overlap_at_k).then_with(|| a.user_id.cmp(&b.user_id))
            };
            self.diff.user_movers.sort_by(by_overlap);
            self.diff.user_movers.truncate(self.n_movers);
        }
    }

    fn finish(mut self) -> ListDiff {
        let n_both = self.diff.users_changed + self.diff.users_rescored + self.diff.users_same;
        self.diff.mean_overlap_at_k = (n_both > 0).then(|| self.overlap_sum / n_both as f64);
        let mut items: Vec<ItemMove> = self
            .n_lists
            .into_iter()
            .filter(|(_, [a, b])| a != b)
            .map(|(item_id, [a, b])| ItemMove { item_id, a, b })
            .collect();
        items.sort_by(|x, y| y.a.abs_diff(y.b).cmp(&x.a.abs_diff(x.b)).then_with(|| x.item_id.cmp(&y.item_id)));
        items.truncate(self.n_movers);
        self.diff.item_movers = items;
        self.diff
    }
}
