//! D9: rows that a table cannot hold are refused by name; odd ones are written right.

use nightshelf::recommendations::ListKind;

use super::{
    alone,
    bench::{Bench, KeyedList},
    results::Results,
};
use crate::support::dynamo::TABLE;

fn row(key: &str, items: &[&str]) -> KeyedList {
    let scores = (1..).map(|rank| 1.0 / rank as f32);
    (key.to_owned(), items.iter().map(|item| (*item).to_owned()).zip(scores).collect())
}

fn sorted(mut rows: Vec<KeyedList>) -> Vec<KeyedList> {
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows
}

const USERS: ListKind = ListKind::Recommendations;
const ITEMS: ListKind = ListKind::SimilarItems;
const FIRST: &str = "recommendations/bucket-000.parquet";
const SECOND: &str = "recommendations/bucket-001.parquet";
const SIMILAR: &str = "similar_items/similar_items.parquet";

/// Ids that some program somewhere has stumbled over.
const ODD: [&str; 16] = [
    "",
    " ",
    "\u{0}",
    "a\u{0}b",
    "a",
    "b",
    "i#a",
    "u#a",
    "!pointer",
    "\"\\/",
    "漢字🛒",
    "👩\u{200d}👩\u{200d}👧",
    "e\u{301}",
    "\u{feff}",
    "\n\t\r",
    "null",
];

#[test]
fn d9_rows_are_refused_by_name_or_written_right() {
    let _turn = alone();
    let mut bench = Bench::new("");
    let mut results = Results::of("D9");

    // Keys that could be taken for one another, odd ids on both sides, an empty list, and one that just fits.
    let long = "x".repeat(8_000);
    let fits: Vec<&str> = vec![&long; 50];
    let mut users: Vec<_> = ODD.iter().map(|id| row(id, &["b", id, "a"])).collect();
    users.extend([row("nobody", &[]), row("much", &fits), row(&"k".repeat(2_000), &["a"])]);
    let items = ODD.iter().map(|id| row(id, &[id, "z"])).collect();
    bench.build_of("odd", &[(USERS, FIRST, sorted(users)), (ITEMS, SIMILAR, sorted(items))]);
    bench.publish("odd").ok();
    let expected = bench.expected("odd");
    assert_eq!(expected.len(), 2 * ODD.len() + 3);
    bench.assert_served(&expected, "odd ids");
    let pointer = bench.server.pointer(TABLE).unwrap();
    let (_, empty) = bench.server.asker().read(TABLE, "u#nobody", &pointer).unwrap();
    assert_eq!(empty.items, Some(Vec::new()), "an empty list is a list");
    bench.nightshelf(&["publish", "verify", "odd"]).ok();
    results.figure("odd rows written right", expected.len());
    results.ran();

    // What cannot be held is refused with its name, and nothing changes for readers.
    let longer = "x".repeat(9_000);
    let too_large: Vec<&str> = vec![&longer; 50];
    let plain = || sorted(vec![row("plain-1", &["a"]), row("plain-2", &["b"])]);
    let wrong: [(&str, &str, Vec<KeyedList>); 3] = [
        ("twice", "plain-2", vec![row("plain-2", &["c"])]),
        ("large", "glutton", vec![row("glutton", &too_large)]),
        ("long", "kkkkkkkk", vec![row(&"k".repeat(2_050), &["a"])]),
    ];
    for (name, key, rows) in wrong {
        bench.build_of(name, &[(USERS, FIRST, plain()), (USERS, SECOND, rows)]);
        let refused = bench.publish(name);
        assert_eq!(refused.code, Some(1), "{name}: {}", refused.stderr);
        assert!(refused.stderr.contains(key), "{name}: {key} is not named in {}", refused.stderr);
        assert_eq!(bench.server.pointer(TABLE).unwrap(), pointer, "{name}");
        bench.assert_served(&expected, name);
        results.add("rows refused by name", 1);
        results.ran();
    }
    bench.build_of("plain", &[(USERS, FIRST, plain())]);
    bench.publish("plain").ok();
    bench.assert_served(&bench.expected("plain"), "after the refusals");
    results.finish(4);
}
