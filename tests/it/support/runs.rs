//! What a run directory holds and what a store serves, in a form that compares.

use std::{collections::BTreeMap, fs::File, path::Path};

use arrow::{
    array::{Array, AsArray, StringArray},
    compute::cast,
    datatypes::{DataType, Float64Type, TimestampMillisecondType},
};
use nightshelf::{artifacts::Run, recommendations::ListKind};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rusqlite::Connection;

/// Items with scores, best first, and the list's source.
pub(crate) type List = (Vec<(String, f32)>, String);

/// Every list of a kind, by key.
pub(crate) type Lists = BTreeMap<String, List>;

/// What the run directory holds.
pub(crate) fn lists(run: &Run, kind: ListKind) -> Lists {
    let mut lists = Lists::new();
    for file in run.files_in(kind.name()) {
        let mut reader = run.list_reader(kind, &file.path).unwrap();
        while let Some(table) = reader.next().unwrap() {
            for row in table.batch().rows() {
                let entries = row.items.iter().map(|&item| item.to_owned()).zip(row.scores.iter().copied()).collect();
                let before = lists.insert(row.key.to_owned(), (entries, row.source.to_owned()));
                assert!(before.is_none(), "{} has two lists", row.key);
            }
        }
    }
    lists
}

/// What the views of an SQLite file hold. A list without entries has no row there.
pub(crate) fn views(database: &Path, kind: ListKind) -> Lists {
    let connection = Connection::open(database).unwrap();
    let (view, item, source) = match kind {
        ListKind::Recommendations => ("recommendations_current", "item_id", "source"),
        ListKind::SimilarItems => ("similar_items_current", "similar_item_id", "''"),
        ListKind::Popular => ("popular_current", "item_id", "''"),
        ListKind::BoughtTogether => ("bought_together_current", "other_item_id", "''"),
        ListKind::Trending => ("trending_current", "item_id", "''"),
    };
    let key = kind.key_column();
    let sql = format!("SELECT {key}, rank, {item}, score, {source} FROM {view} ORDER BY {key}, rank");
    let mut statement = connection.prepare(&sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut lists = Lists::new();
    while let Some(row) = rows.next().unwrap() {
        let list = lists.entry(row.get(0).unwrap()).or_default();
        list.0.push((row.get(2).unwrap(), row.get::<_, f64>(3).unwrap() as f32));
        assert_eq!(row.get::<_, usize>(1).unwrap(), list.0.len(), "ranks count from 1 without a gap");
        list.1 = row.get(4).unwrap();
    }
    lists
}

/// Checks that an SQLite file serves exactly what a run directory holds.
pub(crate) fn assert_served(database: &Path, run: &Run) {
    for kind in ListKind::ALL {
        let mut held = lists(run, kind);
        held.retain(|_, (entries, _)| !entries.is_empty());
        assert!(held == views(database, kind), "{} of run {} differ from the views", kind.name(), run.name());
    }
}

/// One (user, item) pair of `interactions/`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Known {
    pub(crate) user: String,
    pub(crate) item: String,
    pub(crate) weight: f64,
    /// Unix seconds.
    pub(crate) last: Option<i64>,
    pub(crate) excluded: bool,
}

/// `interactions/` of a run, read with nothing of nightshelf.
pub(crate) fn interactions(run: &Path) -> Vec<Known> {
    let mut files: Vec<_> =
        std::fs::read_dir(run.join("interactions")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap().build().unwrap();
        for batch in reader {
            let batch = batch.unwrap();
            let text = |name: &str| -> StringArray {
                cast(batch.column_by_name(name).unwrap(), &DataType::Utf8).unwrap().as_string::<i32>().clone()
            };
            let (users, items) = (text("user_id"), text("item_id"));
            let weights = batch.column_by_name("weight").unwrap().as_primitive::<Float64Type>();
            let last = batch.column_by_name("last_at").unwrap().as_primitive::<TimestampMillisecondType>();
            let excluded = batch.column_by_name("excluded").unwrap().as_boolean();
            found.extend((0..batch.num_rows()).map(|at| Known {
                user: users.value(at).to_owned(),
                item: items.value(at).to_owned(),
                weight: weights.value(at),
                last: last.is_valid(at).then(|| last.value(at) / 1_000),
                excluded: excluded.value(at),
            }));
        }
    }
    found
}
