//! What readers must see, and what they do see: the whole table, read as the contract for readers says.

use std::collections::BTreeMap;

use nightshelf::{artifacts::Run, recommendations::ListKind};
use serde_json::{Value, json};

use super::Asker;
use crate::support::runs;

/// By partition key: item ids, best first, and the source.
pub(crate) type Visible = BTreeMap<String, (Vec<String>, String)>;

/// The pointer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pointer {
    pub(crate) current: i64,
    pub(crate) floor: i64,
    pub(crate) previous: Option<i64>,
    pub(crate) epoch: i64,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// `None`: gone.
    pub(crate) items: Option<Vec<String>>,
    pub(crate) source: String,
    /// Unix seconds.
    pub(crate) ttl: Option<i64>,
}

/// A whole table at one moment.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// `None` before the first publish.
    pub(crate) pointer: Option<Pointer>,
    /// By partition key, by sequence.
    pub(crate) rows: BTreeMap<String, BTreeMap<i64, Row>>,
    /// The items that begin with `!`, by partition key and sort key.
    pub(crate) control: BTreeMap<(String, i64), Value>,
}

impl Table {
    /// What a reader sees who asks for every key there is.
    pub(crate) fn visible(&self) -> Visible {
        let Some(pointer) = &self.pointer else { return Visible::new() };
        let newest = |rows: &BTreeMap<i64, Row>| {
            let (_, row) = rows.range(pointer.floor..=pointer.current).next_back()?;
            Some((row.items.clone()?, row.source.clone()))
        };
        self.rows.iter().filter_map(|(key, rows)| Some((key.clone(), newest(rows)?))).collect()
    }

    /// Rows of all sequences.
    pub(crate) fn n_rows(&self) -> usize {
        self.rows.values().map(BTreeMap::len).sum()
    }

    /// Rows of one sequence.
    pub(crate) fn n_rows_of(&self, sequence: i64) -> usize {
        self.rows.values().filter(|rows| rows.contains_key(&sequence)).count()
    }
}

impl Asker {
    /// Reads a whole table.
    pub(crate) fn table(&self, name: &str) -> Table {
        let mut table = Table::default();
        let mut start = Value::Null;
        loop {
            let mut request = json!({"TableName": name, "ConsistentRead": true});
            if !start.is_null() {
                request["ExclusiveStartKey"] = start;
            }
            let mut answer = self.ask("Scan", &request);
            for item in answer["Items"].as_array_mut().unwrap() {
                let (key, sequence) = (text(item, "pk"), number(item, "sk").unwrap());
                if key.starts_with('!') {
                    table.control.insert((key, sequence), item.take());
                } else {
                    table.rows.entry(key).or_default().insert(sequence, row(item));
                }
            }
            start = answer["LastEvaluatedKey"].take();
            if start.is_null() {
                break;
            }
        }
        table.pointer = table.control.get(&("!pointer".to_owned(), 0)).map(pointer);
        table
    }

    /// The pointer, by a consistent read.
    pub(crate) fn pointer(&self, table: &str) -> Option<Pointer> {
        let key = json!({"pk": {"S": "!pointer"}, "sk": {"N": "0"}});
        let answer = self.ask("GetItem", &json!({"TableName": table, "Key": key, "ConsistentRead": true}));
        answer.get("Item").map(pointer)
    }

    /// The newest sequence that a publisher has drawn.
    pub(crate) fn last_sequence(&self, table: &str) -> i64 {
        let key = json!({"pk": {"S": "!sequence"}, "sk": {"N": "0"}});
        let answer = self.ask("GetItem", &json!({"TableName": table, "Key": key, "ConsistentRead": true}));
        answer.get("Item").and_then(|item| number(item, "last")).unwrap_or(0)
    }

    /// One key as a reader with this pointer sees it: the sequence of the row and what it says.
    pub(crate) fn read(&self, table: &str, key: &str, pointer: &Pointer) -> Option<(i64, Row)> {
        let answer = self.ask(
            "Query",
            &json!({
                "TableName": table,
                "KeyConditionExpression": "pk = :key AND sk BETWEEN :floor AND :current",
                "ExpressionAttributeValues": {
                    ":key": {"S": key},
                    ":floor": {"N": pointer.floor.to_string()},
                    ":current": {"N": pointer.current.to_string()},
                },
                "ScanIndexForward": false,
                "Limit": 1,
            }),
        );
        let item = answer["Items"].as_array()?.first()?;
        Some((number(item, "sk")?, row(item)))
    }
}

fn text(item: &Value, name: &str) -> String {
    item[name]["S"].as_str().unwrap_or("").to_owned()
}

fn number(item: &Value, name: &str) -> Option<i64> {
    item[name]["N"].as_str()?.parse().ok()
}

fn pointer(item: &Value) -> Pointer {
    Pointer {
        current: number(item, "current").unwrap(),
        floor: number(item, "floor").unwrap(),
        previous: number(item, "previous"),
        epoch: number(item, "epoch").unwrap(),
    }
}

fn row(item: &Value) -> Row {
    // Entries are plain ids, or maps of id and score.
    let id = |entry: &Value| entry["S"].as_str().or_else(|| entry["M"]["i"]["S"].as_str()).map(str::to_owned).unwrap();
    let entries = item["l"]["L"].as_array().map(|entries| entries.iter().map(id).collect());
    let gone = item["gone"]["BOOL"] == true;
    assert_eq!(entries.is_none(), gone, "a row has either a list or `gone`: {item}");
    Row { items: entries, source: text(item, "s"), ttl: number(item, "ttl") }
}

/// What readers must see of a run.
pub(crate) fn expected(run: &Run) -> Visible {
    let prefixes = [
        (ListKind::Recommendations, "u#"),
        (ListKind::SimilarItems, "i#"),
        (ListKind::Popular, "p#"),
        (ListKind::BoughtTogether, "b#"),
        (ListKind::Trending, "t#"),
    ];
    let mut all = Visible::new();
    for (kind, prefix) in prefixes {
        for (key, (entries, source)) in runs::lists(run, kind) {
            let items = entries.into_iter().map(|(item, _)| item).collect();
            all.insert(format!("{prefix}{key}"), (items, source));
        }
    }
    all
}
