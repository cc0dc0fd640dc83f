//! From rows to cells: layouts, ids, times, windows, filters, and a naive reference on random rows.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs::{self, File},
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{
        ArrayRef, BinaryArray, Date32Array, Int32Array, ListArray, StringArray, StructArray, TimestampMicrosecondArray,
        TimestampMillisecondArray, TimestampNanosecondArray,
    },
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::Field,
};
use nightshelf::events::EventsError;
use parquet::{
    data_type::{ByteArray, ByteArrayType, Int96, Int96Type},
    file::writer::SerializedFileWriter,
    schema::parser::parse_message_type,
};

use crate::support::{
    ingest::{Ingested, Pair, config, ingest, ingest_on},
    program::nightshelf,
    random::Random,
    runs::interactions,
    tables::{Columns, DAY, NEW_YEAR, canonical, instants, integers, numbers, texts, write, write_groups},
};

/// TOML that names a directory of events.
fn events(directory: &Path, rest: &str) -> String {
    format!("[events]\npaths = ['{}']\n{rest}", directory.display())
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeSet<Pair> {
    pairs.iter().map(|(user, item)| ((*user).to_owned(), (*item).to_owned())).collect()
}

#[track_caller]
fn assert_close(found: f32, expected: f64) {
    assert!((f64::from(found) - expected).abs() <= 3e-6 * expected.abs() + 2e-7, "is {found}, should be {expected}");
}

// ------------------------------------------------------------------------------------------------ layouts

/// (user, item, words for the type: canonical, RetailRocket; hours after New Year).
const ROWS: [(i64, i64, &str, &str, i64); 6] = [
    (1, 10, "view", "view", 0),
    (1, 10, "purchase", "transaction", 2),
    (1, 11, "cart", "addtocart", 30),
    (2, 10, "view", "view", 700),
    (22, 111, "view", "view", 710),
    (2, 10, "view", "view", 720),
];

#[test]
fn all_presets_read_the_same_rows_alike() {
    let seconds = || ROWS.iter().map(|row| NEW_YEAR + row.4 * 3_600);
    let users = || integers(ROWS.iter().map(|row| row.0));
    let items = || integers(ROWS.iter().map(|row| row.1));
    let types = || texts(ROWS.iter().map(|row| row.2));
    let id_texts = |pick: fn(&(i64, i64, &str, &str, i64)) -> i64| -> ArrayRef {
        Arc::new(ROWS.iter().map(|row| Some(pick(row).to_string())).collect::<StringArray>())
    };
    let small = |pick: fn(&(i64, i64, &str, &str, i64)) -> i64| -> ArrayRef {
        Arc::new(ROWS.iter().map(|row| pick(row) as i32).collect::<Int32Array>())
    };
    let text_times: ArrayRef = Arc::new(
        seconds()
            .map(|at| Some(jiff::Timestamp::from_second(at).unwrap().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()))
            .collect::<StringArray>(),
    );
    let layouts: [(&str, Columns); 4] = [
        (
            "canonical",
            vec![
                ("user_id", id_texts(|row| row.0)),
                ("item_id", id_texts(|row| row.1)),
                ("event_type", types()),
                ("timestamp", instants(seconds())),
                ("event_id", id_texts(|row| row.4)),
            ],
        ),
        (
            "personalize",
            vec![
                ("USER_ID", id_texts(|row| row.0)),
                ("ITEM_ID", id_texts(|row| row.1)),
                ("TIMESTAMP", integers(seconds())),
                ("EVENT_TYPE", types()),
            ],
        ),
        (
            "retailrocket",
            vec![
                ("timestamp", integers(seconds().map(|at| at * 1_000 + 999))),
                ("visitorid", small(|row| row.0)),
                ("event", texts(ROWS.iter().map(|row| row.3))),
                ("itemid", small(|row| row.1)),
                ("transactionid", integers(ROWS.iter().map(|_| None))),
            ],
        ),
        (
            "rees46",
            vec![
                ("event_time", text_times),
                ("event_type", types()),
                ("product_id", items()),
                ("category_id", integers(ROWS.iter().map(|_| 7))),
                ("brand", texts(ROWS.iter().map(|_| None))),
                ("price", numbers(ROWS.iter().map(|_| 9.99))),
                ("user_id", users()),
            ],
        ),
    ];
    let mut first: Option<Ingested> = None;
    for (preset, columns) in layouts {
        let directory = tempfile::tempdir().unwrap();
        write_groups(&directory.path().join("e.parquet"), columns, 4);
        let read = ingest(&config(&events(directory.path(), &format!("preset = '{preset}'\n"))));
        assert_eq!(read.scan.counts.accepted, 6, "{preset}: {:?}", read.scan.counts);
        assert_eq!(read.scan.as_of.map(|at| at.unix()), Some(NEW_YEAR + 720 * 3_600), "{preset}");
        assert_eq!(read.excluded, pairs(&[("1", "10")]), "{preset}");
        let half = |days: f64, hours: i64| (-(720 - hours) as f64 / 24.0 / days).exp2();
        assert_close(read.weight("1", "10"), half(30.0, 0) + 5.0 * half(180.0, 2));
        assert_close(read.weight("2", "10"), half(30.0, 700) + 1.0);
        match &first {
            None => first = Some(read),
            Some(first) => assert_eq!(first.cells, read.cells, "{preset}"),
        }
    }
    // Pairs: no type, no time; each row counts one, and what a user has is excluded.
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("e.parquet"), vec![("user_id", users()), ("item_id", items())]);
    let read = ingest(&config(&events(directory.path(), "preset = 'pairs'\n")));
    let cells = [(("1", "10"), 2.0), (("1", "11"), 1.0), (("2", "10"), 2.0), (("22", "111"), 1.0)];
    let cells: BTreeMap<Pair, f32> =
        cells.iter().map(|((user, item), weight)| (((*user).to_owned(), (*item).to_owned()), *weight)).collect();
    assert_eq!(read.cells, cells);
    assert_eq!(read.excluded.len(), 4);
    assert_eq!((read.scan.as_of, read.scan.timed), (None, false));
}

fn structure(fields: Vec<(&str, ArrayRef)>, nulls: Option<NullBuffer>) -> StructArray {
    let (fields, arrays): (Vec<_>, Vec<_>) =
        fields.into_iter().map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array)).unzip();
    StructArray::new(fields.into(), arrays, nulls)
}

fn list(elements: ArrayRef, lengths: &[usize]) -> ArrayRef {
    let field = Arc::new(Field::new("element", elements.data_type().clone(), true));
    Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(lengths.iter().copied()), elements, None))
}

#[test]
fn nested_columns_are_found_and_lists_unfold() {
    let directory = tempfile::tempdir().unwrap();
    // Five carts of 2, 0, 1, 3 and 1 items; the fourth visitor has no user at all.
    let users = structure(
        vec![("id", texts(["a", "b", "a", "x", "c"])), ("country", texts(["de", "de", "fr", "de", "de"]))],
        Some(NullBuffer::from(vec![true, true, true, false, true])),
    );
    let items = structure(
        vec![
            ("item_id", texts([Some("i1"), Some("i2"), Some("i1"), Some("i3"), Some("i4"), None, Some("i1")])),
            ("qty", integers([1, 2, 1, 1, 1, 1, 4])),
        ],
        None,
    );
    let tags = list(texts(["t", "t", "t", "t", "t"]), &[1, 1, 1, 1, 1]);
    let columns: Columns = vec![
        ("user", Arc::new(users)),
        ("items", list(Arc::new(items), &[2, 0, 1, 3, 1])),
        ("event_type", texts(["cart", "cart", "purchase", "view", "view"])),
        ("timestamp", instants([NEW_YEAR; 5])),
        ("tags", tags),
    ];
    write_groups(&directory.path().join("e.parquet"), columns, 2);
    let names = "[events.columns]\nuser_id = 'user.id'\nitem_id = 'items.item_id'\nquantity = 'items.qty'\n";
    let read = ingest(&config(&events(directory.path(), names)));
    assert_eq!(read.scan.counts.rows, 7, "one event an element");
    assert_eq!(read.rejected("null_user"), 3);
    assert_eq!(read.scan.counts.accepted, 4);
    assert_eq!(read.weight("a", "i1"), 8.0);
    assert_eq!(read.weight("a", "i2"), 3.0);
    assert_eq!(read.weight("c", "i1"), 1.0);
    assert_eq!(read.cells.len(), 3);

    let two_lists = "[events.columns]\nuser_id = 'tags'\nitem_id = 'items.item_id'\n";
    let error = ingest_on(&config(&events(directory.path(), two_lists)), 1).unwrap_err();
    let mut text = error.to_string();
    text.push_str(&std::error::Error::source(&error).unwrap().to_string());
    assert!(text.contains("e.parquet") && text.contains("`tags` lies in another list than `items.item_id`"), "{text}");
}

/// A file as Hive and old Spark write it: text without its annotation, instants of 96 bits.
fn write_old(path: &Path, rows: &[(&str, &str, &str, i64)]) {
    let schema = "message m { required binary user_id; required binary item_id; required binary event_type; required int96 timestamp; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for column in 0..3 {
        let values: Vec<ByteArray> = rows.iter().map(|row| ByteArray::from([row.0, row.1, row.2][column])).collect();
        let mut writer = group.next_column().unwrap().unwrap();
        writer.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        writer.close().unwrap();
    }
    let times: Vec<Int96> = rows
        .iter()
        .map(|row| {
            let nanos = row.3.rem_euclid(DAY) as u64 * 1_000_000_000;
            let mut time = Int96::new();
            time.set_data(nanos as u32, (nanos >> 32) as u32, (row.3.div_euclid(DAY) + 2_440_588) as u32);
            time
        })
        .collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int96Type>().write_batch(&times, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn files_of_old_writers_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let rows = [("a", "i", "view", NEW_YEAR), ("b", "ü", "view", NEW_YEAR + 5), ("a", "ü", "cart", NEW_YEAR + 86_399)];
    write_old(&directory.path().join("old.parquet"), &rows);
    let read = ingest(&config(&events(directory.path(), "")));
    assert_eq!(read.scan.counts.accepted, 3, "{:?}", read.scan.counts);
    assert_eq!(read.scan.as_of.map(|at| at.unix()), Some(NEW_YEAR + 86_399));
    assert!(read.weight("a", "ü") == 3.0 && read.cells.len() == 3);
    // The like of a dictionary page of nothing but bytes, with some that are no text.
    let names = ["a", "b"];
    let bytes = |at: usize| if at == 7 { b"\xff\xfe".to_vec() } else { names[at % 2].as_bytes().to_vec() };
    let columns: Columns = vec![
        ("user_id", Arc::new(BinaryArray::from_iter_values((0..20).map(bytes)))),
        ("item_id", Arc::new(BinaryArray::from_iter_values((0..20).map(|_| b"i")))),
        ("event_type", Arc::new(BinaryArray::from_iter_values((0..20).map(|_| b"view")))),
        ("timestamp", Arc::new(BinaryArray::from_iter_values((0..20).map(|_| b"2024-01-01 00:00:00")))),
        (
            "event_id",
            Arc::new(BinaryArray::from_iter_values((0..20).map(|at: usize| format!("{}", at / 4 * 4).into_bytes()))),
        ),
    ];
    write_groups(&directory.path().join("bytes/e.parquet"), columns, 8);
    let read = ingest(&config(&events(&directory.path().join("bytes"), "")));
    assert_eq!((read.scan.counts.accepted, read.rejected("null_user")), (19, 1), "{:?}", read.scan.counts);
    assert_eq!(read.left_out.duplicates, 9, "pairs of (user, id) that come twice");
}

#[test]
fn ids_are_any_text_or_integer() {
    let directory = tempfile::tempdir().unwrap();
    let long = "x".repeat(300);
    let longer = format!("{long}y");
    let sixteen = "0123456789abcdef";
    let ids = ["🦊", "👩‍👩‍👧", " ", "a\tb", "ÄÖÜ", &long, &longer, sixteen, "0123456789abcdef0", "0", "00", "a'b\"c;--"];
    let rows: Vec<(&str, &str, &str, i64)> =
        ids.iter().enumerate().map(|(at, id)| (*id, ids[(at + 1) % ids.len()], "view", NEW_YEAR)).collect();
    write(&directory.path().join("a.parquet"), canonical(&rows));
    let numbers = [0, 7, -5, i64::MAX, i64::MIN];
    write(
        &directory.path().join("b.parquet"),
        vec![
            ("user_id", integers(numbers)),
            ("item_id", integers(numbers)),
            ("event_type", texts(["view"; 5])),
            ("timestamp", instants([NEW_YEAR; 5])),
        ],
    );
    let text = events(directory.path(), "");
    let read = ingest(&config(&text));
    assert_eq!(read.scan.counts.accepted, 17);
    let expected: BTreeSet<Pair> = rows
        .iter()
        .map(|row| (row.0.to_owned(), row.1.to_owned()))
        .chain(numbers.iter().map(|id| (id.to_string(), id.to_string())))
        .collect();
    assert_eq!(read.cells.keys().cloned().collect::<BTreeSet<_>>(), expected);
    // The integer 0 and the text "0" are one user.
    assert_eq!(read.users.len(), 16);
    // Shorter ones only: 300 bytes are too many for users and for items.
    let read = ingest(&config(&format!("{text}max_id_bytes = 299\n")));
    assert_eq!((read.rejected("overlong_user"), read.rejected("overlong_item")), (2, 1));
    assert_eq!(read.scan.counts.accepted, 14);
}

// ------------------------------------------------------------------------------------------- windows and times

#[test]
fn partitions_outside_the_window_are_not_read() {
    let directory = tempfile::tempdir().unwrap();
    for day in 1..=10i64 {
        let file = directory.path().join(format!("dt=2024-01-{day:02}/e.parquet"));
        write(&file, canonical(&[("u", &format!("i{day}"), "view", NEW_YEAR + (day - 1) * DAY + 50)]));
    }
    let read = |rest: &str| ingest(&config(&events(directory.path(), rest)));
    let all = read("");
    assert_eq!((all.scan.n_pruned, all.scan.n_rows, all.cells.len()), (0, 10, 10));
    // A day of grace on both sides is read, and its rows are left aside.
    let some = read("since = '2024-01-05'\nuntil = '2024-01-06'\n");
    assert_eq!((some.scan.n_pruned, some.scan.n_rows, some.scan.counts.outside_window), (6, 4, 2));
    assert_eq!(some.cells.into_keys().collect::<BTreeSet<_>>(), pairs(&[("u", "i5"), ("u", "i6")]));
    // To the second.
    let exact = read("since = '2024-01-05T00:00:50Z'\nuntil = '2024-01-06T00:00:49Z'\n");
    assert_eq!(exact.cells.into_keys().collect::<BTreeSet<_>>(), pairs(&[("u", "i5")]));
    let window = read("as_of = '2024-01-08T00:01:00Z'\nwindow_days = 2.0\n");
    assert_eq!(window.cells.into_keys().collect::<BTreeSet<_>>(), pairs(&[("u", "i7"), ("u", "i8")]));
    assert_eq!(window.left_out.after_as_of, 2);
    // A day as `as_of` means its last second.
    let day = read("as_of = '2024-01-03'\n");
    assert_eq!(day.cells.into_keys().collect::<BTreeSet<_>>(), pairs(&[("u", "i1"), ("u", "i2"), ("u", "i3")]));
    assert_eq!(day.scan.as_of.map(|at| at.unix()), Some(NEW_YEAR + 3 * DAY - 1));
    let nothing = ingest_on(&config(&events(directory.path(), "since = '2025-01-01'\n")), 1).unwrap_err();
    assert!(matches!(nothing, EventsError::AllPruned { n_files: 10, .. }), "{nothing}");
}

#[test]
fn instants_come_in_every_unit() {
    let base = [0, 59, 86_399, 5 * DAY];
    let seconds: Vec<i64> = base.iter().map(|at| NEW_YEAR + at).collect();
    let scaled = |factor: i64| seconds.iter().map(move |at| at * factor + factor - 1);
    let arrays: [(&str, ArrayRef); 8] = [
        ("", Arc::new(TimestampNanosecondArray::from_iter_values(scaled(1_000_000_000)))),
        ("", Arc::new(TimestampMicrosecondArray::from_iter_values(scaled(1_000_000)).with_timezone("UTC"))),
        ("", Arc::new(TimestampMillisecondArray::from_iter_values(scaled(1_000)))),
        ("timestamp_unit = 's'", integers(scaled(1))),
        ("timestamp_unit = 'ms'", integers(scaled(1_000))),
        ("timestamp_unit = 'us'", integers(scaled(1_000_000))),
        ("timestamp_unit = 'ns'", integers(scaled(1_000_000_000))),
        // A time zone on the column is how it is shown, not another instant.
        ("", Arc::new(TimestampMicrosecondArray::from_iter_values(scaled(1_000_000)).with_timezone("+05:30"))),
    ];
    let mut cells = BTreeSet::new();
    for (unit, array) in arrays {
        let directory = tempfile::tempdir().unwrap();
        let columns: Columns = vec![
            ("user_id", texts(["a", "b", "c", "d"])),
            ("item_id", texts(["i"; 4])),
            ("event_type", texts(["view"; 4])),
            ("timestamp", array),
        ];
        write(&directory.path().join("e.parquet"), columns);
        let read = ingest(&config(&events(directory.path(), &format!("{unit}\n"))));
        assert_eq!(read.scan.counts.accepted, 4, "{unit}: {:?}", read.scan.counts);
        assert_eq!(read.scan.as_of.map(|at| at.unix()), Some(seconds[3]));
        cells.insert(format!("{:?}", read.cells));
    }
    assert_eq!(cells.len(), 1, "{cells:?}");
    // Whole days.
    let directory = tempfile::tempdir().unwrap();
    let days: ArrayRef = Arc::new(Date32Array::from(vec![Some((NEW_YEAR / DAY) as i32), None]));
    let columns: Columns = vec![
        ("user_id", texts(["a", "b"])),
        ("item_id", texts(["i"; 2])),
        ("event_type", texts(["view"; 2])),
        ("timestamp", days),
    ];
    write(&directory.path().join("e.parquet"), columns);
    let read = ingest(&config(&events(directory.path(), "")));
    assert_eq!((read.scan.as_of.map(|at| at.unix()), read.rejected("null_timestamp")), (Some(NEW_YEAR), 1));
}

#[test]
fn impossible_times_are_rejected_by_reason() {
    let directory = tempfile::tempdir().unwrap();
    let day = NEW_YEAR + 4 * DAY;
    let times = [
        None,
        Some(946_684_799), // a second before 2000
        Some(-1),
        Some(946_684_800), // the first that counts
        Some(day + 30),
        Some(day + 2 * DAY - 1), // the last second of the day of grace
        Some(day + 2 * DAY),
        Some(crate::support::ingest::NOW + 10 * DAY),
        Some(9_000_000_000), // the year 2255
    ];
    let n = times.len();
    let columns: Columns = vec![
        ("user_id", texts(vec!["u"; n])),
        ("item_id", texts(["0", "1", "2", "3", "4", "5", "6", "7", "8"])),
        ("event_type", texts(vec!["view"; n])),
        ("timestamp", instants(times)),
    ];
    write(&directory.path().join("dt=2024-01-05/e.parquet"), columns.clone());
    // Without a half-life: the view of the year 2000 would have decayed to nothing.
    let read = ingest(&config(&events(directory.path(), "[event_types.view]\nweight = 1.0\n")));
    let rejected: Vec<(&str, u64)> = read.scan.counts.rejected.iter().map(|(reason, n)| (*reason, *n)).collect();
    assert_eq!(rejected, [("null_timestamp", 1), ("timestamp_before_2000", 2), ("timestamp_in_future", 3)]);
    assert_eq!(read.cells.into_keys().map(|(_, item)| item).collect::<Vec<_>>(), ["3", "4", "5"]);
    // Without a partition the clock alone bounds them.
    write(&directory.path().join("flat/e.parquet"), columns);
    let read = ingest(&config(&events(&directory.path().join("flat"), "")));
    assert_eq!(read.rejected("timestamp_in_future"), 2);
    // Text.
    let columns: Columns = vec![
        ("user_id", texts(["u"; 5])),
        ("item_id", texts(["0", "1", "2", "3", "4"])),
        ("event_type", texts(["view"; 5])),
        (
            "timestamp",
            texts([Some("2024-01-05 00:00:30"), Some("05.01.2024"), Some(""), None, Some("1999-12-31T23:59:59Z")]),
        ),
    ];
    write(&directory.path().join("text/e.parquet"), columns);
    let read = ingest(&config(&events(&directory.path().join("text"), "")));
    let rejected: Vec<(&str, u64)> = read.scan.counts.rejected.iter().map(|(reason, n)| (*reason, *n)).collect();
    assert_eq!(rejected, [("null_timestamp", 1), ("timestamp_before_2000", 1), ("unreadable_timestamp", 2)]);
}

#[test]
fn weights_in_the_run_directory_follow_the_half_lives() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = Random::new(5);
    let types =
        [("view", 1.0, Some(30.0)), ("cart", 3.0, Some(20.0)), ("purchase", 5.0, None), ("refund", -2.0, Some(180.0))];
    let mut expected: BTreeMap<Pair, (f64, i64)> = BTreeMap::new();
    let mut rows = Vec::new();
    let names: Vec<String> = (0..30).map(|number| format!("n{number}")).collect();
    for _ in 0..1_500 {
        let (user, item) = (&names[random.below(30) as usize], &names[random.below(20) as usize]);
        let (name, weight, half_life) = types[random.below(4) as usize];
        let at = NEW_YEAR + random.below(200 * DAY as u64) as i64;
        rows.push((user.as_str(), item.as_str(), name, at));
        let age = (NEW_YEAR + 210 * DAY - at) as f64 / DAY as f64;
        let pair = expected.entry((user.clone(), item.clone())).or_default();
        pair.0 += weight * half_life.map_or(1.0, |days: f64| (-age / days).exp2());
        pair.1 = pair.1.max(at);
    }
    write_groups(&directory.path().join("events/e.parquet"), canonical(&rows), 400);
    let mut settings =
        "[events]\npaths = ['events']\nas_of = '2024-07-29T00:00:00Z'\n[model]\nkind = 'popularity'\n".to_owned();
    for (name, weight, half_life) in types {
        settings.push_str(&format!("[event_types.{name}]\nweight = {weight:?}\n"));
        settings.push_str(&half_life.map_or_else(String::new, |days: f64| format!("half_life_days = {days:?}\n")));
    }
    assert_eq!(NEW_YEAR + 210 * DAY, "2024-07-29T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second());
    fs::write(directory.path().join("nightshelf.toml"), settings).unwrap();
    let summary = nightshelf(directory.path(), &["build", "--run", "r", "--publish", "none", "--json"]).json();
    let known = interactions(&directory.path().join("runs/r"));
    assert_eq!(known.len(), expected.len());
    let mut n_eaten_up = 0;
    for pair in known {
        let (weight, last) = expected[&(pair.user.clone(), pair.item.clone())];
        assert!((pair.weight - weight).abs() <= 2e-5, "{pair:?} should weigh {weight}");
        assert_eq!(pair.last, Some(last));
        n_eaten_up += u64::from(weight <= 0.0);
    }
    assert!(n_eaten_up > 10);
    assert_eq!(summary["left_aside"]["pair_at_or_below_zero"], n_eaten_up);
}

// ------------------------------------------------------------------------------------------- what counts how often

#[test]
fn refunds_take_back_what_purchases_added() {
    let directory = tempfile::tempdir().unwrap();
    let rows = [
        ("a", "i", "purchase", NEW_YEAR),
        ("a", "i", "refund", NEW_YEAR + 9),
        ("b", "i", "purchase", NEW_YEAR),
        ("b", "i", "purchase", NEW_YEAR + 5),
        ("b", "i", "refund", NEW_YEAR + 9),
        ("c", "i", "refund", NEW_YEAR + 9),
    ];
    write(&directory.path().join("e.parquet"), canonical(&rows));
    let types = "[event_types.purchase]\nweight = 5.0\n[event_types.refund]\nweight = -5.0\n";
    let read = ingest(&config(&events(directory.path(), types)));
    assert_eq!(read.cells.into_iter().collect::<Vec<_>>(), [(("b".to_owned(), "i".to_owned()), 5.0)]);
    assert_eq!(read.assembled.pairs_eaten_up, 2);
    // He had it once: a refund is no reason to offer it again.
    assert_eq!(read.excluded, pairs(&[("a", "i"), ("b", "i")]));
    assert_eq!(read.users.len(), 3, "they all get a list");
}

fn with_ids(rows: &[(&str, &str, &str, i64)], ids: &[Option<&str>]) -> Columns {
    let mut columns = canonical(rows);
    columns.push(("event_id", texts(ids.iter().copied())));
    columns
}

#[test]
fn only_exact_repetitions_of_an_event_are_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let first = ("a", "i", "view", NEW_YEAR);
    let rows = [
        first,
        first,                            // the same id, all the same: dropped
        first,                            // another id
        ("a", "j", "view", NEW_YEAR),     // the same id, another item
        ("a", "i", "cart", NEW_YEAR),     // another type
        ("a", "i", "view", NEW_YEAR + 1), // another time
        ("b", "i", "view", NEW_YEAR),     // another user
        first,                            // no id
        first,                            // no id again
    ];
    let ids = [Some("1"), Some("1"), Some("2"), Some("1"), Some("1"), Some("1"), Some("1"), None, None];
    write(&directory.path().join("e.parquet"), with_ids(&rows, &ids));
    // Sent again the next day, in another file.
    write(&directory.path().join("f.parquet"), with_ids(&rows[..3], &ids[..3]));
    let types = "[event_types.view]\nweight = 1.0\n[event_types.cart]\nweight = 3.0\n";
    for n_threads in [1, 2] {
        let read = ingest_on(&config(&events(directory.path(), types)), n_threads).unwrap();
        assert_eq!(read.left_out.duplicates, 4);
        assert_eq!(read.weight("a", "i"), 1.0 + 1.0 + 3.0 + 1.0 + 2.0);
        assert_eq!((read.weight("a", "j"), read.weight("b", "i")), (1.0, 1.0));
    }
    // Without the column every row counts.
    let columns = format!("[events.columns]\nevent_id = ''\n{types}");
    let read = ingest(&config(&events(directory.path(), &columns)));
    assert_eq!((read.left_out.duplicates, read.weight("a", "i")), (0, 12.0));
}

#[test]
fn files_with_and_without_event_ids_mix() {
    let directory = tempfile::tempdir().unwrap();
    let rows = [("a", "i", "view", NEW_YEAR), ("a", "i", "view", NEW_YEAR), ("a", "j", "view", NEW_YEAR)];
    // Read first: rows without ids must not take the ids of those that follow.
    let others = [("a", "j", "view", NEW_YEAR), ("a", "k", "view", NEW_YEAR), ("a", "i", "view", NEW_YEAR)];
    write(&directory.path().join("1.parquet"), canonical(&others));
    write(&directory.path().join("2.parquet"), with_ids(&rows, &[Some("x"), Some("x"), Some("x")]));
    write(&directory.path().join("3.parquet"), canonical(&rows[2..]));
    let types = "[event_types.view]\nweight = 1.0\n";
    for n_threads in [1, 3] {
        let read = ingest_on(&config(&events(directory.path(), types)), n_threads).unwrap();
        assert_eq!(read.left_out.duplicates, 1, "on {n_threads} threads");
        assert_eq!((read.weight("a", "i"), read.weight("a", "j")), (2.0, 3.0), "on {n_threads} threads");
    }
}

#[test]
fn a_day_adds_no_more_than_its_cap() {
    let directory = tempfile::tempdir().unwrap();
    let mut rows: Vec<(&str, &str, &str, i64)> = (0..8).map(|at| ("a", "i", "view", NEW_YEAR + at * 60)).collect();
    rows.extend([("a", "i", "cart", NEW_YEAR + 900), ("a", "i", "refund", NEW_YEAR + 901)]);
    rows.extend([("a", "i", "view", NEW_YEAR + DAY), ("a", "j", "cart", NEW_YEAR), ("b", "i", "cart", NEW_YEAR)]);
    write(&directory.path().join("e.parquet"), canonical(&rows));
    let types =
        "[event_types.view]\nweight = 0.5\n[event_types.cart]\nweight = 3.0\n[event_types.refund]\nweight = -0.25\n";
    let read = ingest(&config(&format!("{}\n[interactions]\ndaily_cap = 2.5\n", events(directory.path(), types))));
    // 8 x 0.5 + 3, cut off at 2.5; what is taken away is not capped; the next day counts anew.
    assert_eq!(read.weight("a", "i"), 2.5 - 0.25 + 0.5);
    assert_eq!((read.weight("a", "j"), read.weight("b", "i")), (2.5, 2.5));
}

#[test]
fn bots_are_told_by_their_rate() {
    let directory = tempfile::tempdir().unwrap();
    let items: Vec<String> = (0..200).map(|item| format!("i{item}")).collect();
    let mut rows = Vec::new();
    for item in 0..61usize {
        rows.push(("bot", &*items[item], "view", NEW_YEAR + item as i64));
        // As many events, but over three days; the limit itself is allowed.
        rows.push(("eager", &*items[item.min(59)], "view", NEW_YEAR + (item.min(59) % 3) as i64 * DAY + item as i64));
        rows.push(("half", &*items[item], "view", NEW_YEAR + (item % 2) as i64 * DAY));
    }
    // A repetition does not make anybody faster.
    let ids: Vec<String> = rows
        .iter()
        .enumerate()
        .map(|(at, row)| if row.0 == "eager" && row.1 == "i59" { "same".into() } else { at.to_string() })
        .collect();
    rows.iter_mut().filter(|row| row.0 == "eager" && row.1 == "i59").for_each(|row| row.3 = NEW_YEAR + 2 * DAY + 59);
    let ids: Vec<Option<&str>> = ids.iter().map(|id| Some(id.as_str())).collect();
    write(&directory.path().join("e.parquet"), with_ids(&rows, &ids));
    let text = |rest: &str| format!("{}[interactions]\n{rest}", events(directory.path(), ""));
    let read = ingest(&config(&text("max_events_per_active_day = 20.0\n")));
    assert_eq!(read.left_out.duplicates, 1);
    assert_eq!((read.left_out.bots, read.left_out.bot_events), (2, 122));
    assert_eq!(read.users.into_iter().collect::<Vec<_>>(), ["eager"]);
    let read = ingest(&config(&text("max_events_per_active_day = 30.5\n")));
    assert_eq!(read.users.into_iter().collect::<Vec<_>>(), ["eager", "half"]);
    let read = ingest(&config(&text("max_events_per_active_day = 0\n")));
    assert_eq!((read.left_out.bots, read.users.len()), (0, 3));
    let read = ingest(&config(&text("max_events_per_active_day = 0\nmax_events = 60\n")));
    assert_eq!(read.users.into_iter().collect::<Vec<_>>(), ["eager"]);
}

#[test]
fn rare_items_leave_and_users_with_little_stay_out_of_training() {
    let directory = tempfile::tempdir().unwrap();
    let rows = [
        ("a", "i", "view", NEW_YEAR),
        ("a", "j", "view", NEW_YEAR),
        ("a", "rare", "view", NEW_YEAR),
        ("a", "rare", "view", NEW_YEAR + 1),
        ("b", "i", "view", NEW_YEAR),
        ("b", "j", "view", NEW_YEAR),
        ("c", "i", "view", NEW_YEAR),
        ("d", "rare2", "view", NEW_YEAR),
        // Eaten up by the refund: no second user of this item.
        ("b", "rare", "purchase", NEW_YEAR),
        ("b", "rare", "refund", NEW_YEAR),
    ];
    write(&directory.path().join("e.parquet"), canonical(&rows));
    let rest = "[interactions]\nmin_users_per_item = 2\nmin_items_per_user = 2\n";
    let read = ingest(&config(&events(directory.path(), rest)));
    let cells: BTreeSet<Pair> = read.cells.into_keys().collect();
    assert_eq!(cells, pairs(&[("a", "i"), ("a", "j"), ("b", "i"), ("b", "j"), ("c", "i")]));
    assert_eq!((read.assembled.items_below_minimum, read.assembled.cells_of_rare_items), (2, 2));
    assert_eq!(read.assembled.users_below_minimum, 2);
    assert_eq!(read.trains.into_iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(read.users.into_iter().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
}

#[test]
fn exclusions_have_windows() {
    let directory = tempfile::tempdir().unwrap();
    let now = NEW_YEAR + 100 * DAY;
    let rows = [
        ("a", "bought long ago", "purchase", NEW_YEAR),
        ("a", "seen today", "view", now - 5),
        ("a", "seen just within", "view", now - 7 * DAY),
        ("a", "seen before", "view", now - 7 * DAY - 1),
        ("a", "in the cart", "cart", now),
    ];
    write(&directory.path().join("e.parquet"), canonical(&rows));
    let read = |rest: &str| ingest(&config(&events(directory.path(), rest))).excluded;
    let exclude = "[interactions.exclude.purchase]\n[interactions.exclude.view]\nwithin_days = 7\n";
    assert_eq!(read(exclude), pairs(&[("a", "bought long ago"), ("a", "seen today"), ("a", "seen just within")]));
    assert_eq!(read(""), pairs(&[("a", "bought long ago")]));
    assert_eq!(read("[interactions.exclude]\n"), pairs(&[]));
}

#[test]
fn a_purchase_counts_once_whatever_the_source() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let rows = [
        ("a", "i", "view", NEW_YEAR),
        ("a", "i", "purchase", NEW_YEAR + 10),
        ("a", "j", "purchase", NEW_YEAR + 11),
        ("b", "i", "purchase", NEW_YEAR + 12),
        ("b", "i", "refund", NEW_YEAR + 13),
        ("c", "i", "view", NEW_YEAR + 14),
    ];
    write(
        &here.join("events/e.parquet"),
        with_ids(&rows, &[Some("1"), Some("2"), Some("3"), Some("4"), Some("5"), Some("6")]),
    );
    write(
        &here.join("orders/o.parquet"),
        vec![
            ("user_id", texts([Some("a"), Some("a"), Some("b"), Some("c"), Some("c"), None, Some("d")])),
            ("item_id", texts(["i", "j", "i", "k", "k", "i", "i"])),
            ("ordered_at", instants([10, 11, 12, 20, 20, 21, 22].map(|at| NEW_YEAR + at))),
            ("quantity", integers([1; 7])),
            ("price", numbers([2.5; 7])),
            (
                "status",
                texts([
                    Some("paid"),
                    Some("cancelled"),
                    Some("refunded"),
                    Some("paid"),
                    Some("paid"),
                    Some("paid"),
                    Some("paid"),
                ]),
            ),
            ("line", texts(["1", "2", "3", "4", "4", "5", "6"])),
        ],
    );
    let types =
        "[event_types.view]\nweight = 1.0\n[event_types.purchase]\nweight = 5.0\n[event_types.refund]\nweight = -5.0\n";
    let text = |from: &str, rest: &str| {
        format!(
            "{}[orders]\npaths = ['{}']\npurchases_from = '{from}'\n{rest}",
            events(&here.join("events"), types),
            here.join("orders").display()
        )
    };
    let by_events = ingest(&config(&text("events", "")));
    assert_eq!(by_events.scan.counts.rows, 6, "orders are not even read");
    assert_eq!((by_events.weight("a", "i"), by_events.weight("a", "j"), by_events.weight("b", "i")), (6.0, 5.0, 0.0));

    let by_orders = ingest(&config(&text("orders", "")));
    let counts = &by_orders.scan.counts;
    assert_eq!((counts.rows, counts.counted_elsewhere, counts.cancelled), (13, 4, 2));
    assert_eq!((counts.accepted, by_orders.rejected("null_user")), (6, 1));
    assert_eq!((by_orders.weight("a", "i"), by_orders.weight("a", "j"), by_orders.weight("b", "i")), (6.0, 0.0, 0.0));
    assert_eq!((by_orders.weight("c", "k"), by_orders.weight("d", "i")), (10.0, 5.0));
    assert_eq!(by_orders.excluded, pairs(&[("a", "i"), ("c", "k"), ("d", "i")]));
    // A line that is there twice, by its id.
    let by_lines = ingest(&config(&text("orders", "[orders.columns]\nline_id = 'line'\n")));
    assert_eq!((by_lines.weight("c", "k"), by_lines.left_out.duplicates), (5.0, 1));
    // Every line counts when there is no status.
    let all = ingest(&config(&text("orders", "[orders.columns]\nstatus = ''\n")));
    assert_eq!((all.scan.counts.cancelled, all.weight("a", "j"), all.weight("b", "i")), (0, 5.0, 5.0));

    // The manifest says which file was what.
    fs::write(here.join("nightshelf.toml"), text("orders", "")).unwrap();
    let sets = ["--set", "events.max_rejected_ratio=0.2", "--set", "interactions.min_users_per_item=1"];
    let build = ["build", "--run", "r", "--publish", "none", "--model", "popularity"];
    nightshelf(here, &[&build[..], &sets].concat()).ok();
    let manifest = nightshelf(here, &["runs", "show", "r", "--json"]).json();
    let roles: Vec<(&str, &str)> = manifest["observed"]["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|input| (input["role"].as_str().unwrap(), input["path"].as_str().unwrap().rsplit('/').next().unwrap()))
        .collect();
    assert_eq!(roles, [("events", "e.parquet"), ("orders", "o.parquet")]);
}

// ------------------------------------------------------------------------------------------- the naive reference

/// A row as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Raw {
    user: Option<String>,
    item: Option<String>,
    kind: Option<String>,
    /// Milliseconds since 1970.
    at: Option<i64>,
    id: Option<String>,
}

/// What the reference varies.
#[derive(Debug, Clone, Default)]
struct Settings {
    as_of: Option<i64>,
    since: Option<i64>,
    until: Option<i64>,
    window_days: Option<i64>,
    daily_cap: Option<f64>,
    max_per_day: f64,
    min_users: usize,
    min_items: usize,
    exclude_views_within: Option<i64>,
}

/// Name, weight, days of half-life.
const TYPES: [(&str, f64, Option<f64>); 5] = [
    ("cart", 3.0, Some(7.0)),
    ("purchase", 5.0, None),
    ("refund", -5.0, None),
    ("remove_from_cart", -1.5, Some(7.0)),
    ("view", 1.0, Some(30.0)),
];

#[derive(Debug, Default, PartialEq)]
struct Outcome {
    rejected: BTreeMap<String, u64>,
    ignored: u64,
    outside: u64,
    after_as_of: u64,
    duplicates: u64,
    bots: u64,
    bot_events: u64,
    items_below: u64,
    eaten_up: u64,
    users: BTreeSet<String>,
    trains: BTreeSet<String>,
    excluded: BTreeSet<Pair>,
}

/// Everything again, row by row, with maps and floats.
fn reference(rows: &[Raw], settings: &Settings) -> (Outcome, BTreeMap<Pair, f64>) {
    let mut out = Outcome::default();
    let mut good: Vec<(Pair, &str, i64, Option<&str>)> = Vec::new();
    let since = settings.since.max(settings.as_of.zip(settings.window_days).map(|(as_of, days)| as_of - days * DAY));
    for row in rows {
        let known = |kind: &str| TYPES.iter().find(|known| known.0 == kind).map(|known| known.0);
        // A row of no interest is not looked at any further.
        if row.kind.as_deref() == Some("scroll") {
            out.ignored += 1;
            continue;
        }
        let reason = match (&row.user, &row.item, row.kind.as_deref(), row.at.map(|at| at.div_euclid(1_000))) {
            (None, ..) => Some("null_user"),
            (Some(user), ..) if user.is_empty() => Some("empty_user"),
            (_, None, ..) => Some("null_item"),
            (_, Some(item), ..) if item.is_empty() => Some("empty_item"),
            (_, _, None, _) => Some("null_event_type"),
            (_, _, Some(kind), _) if known(kind).is_none() => Some("unknown_event_type"),
            (.., None) => Some("null_timestamp"),
            (.., Some(at)) if at < 946_684_800 => Some("timestamp_before_2000"),
            (.., Some(at)) if at > crate::support::ingest::NOW + DAY => Some("timestamp_in_future"),
            _ => None,
        };
        if let Some(reason) = reason {
            *out.rejected.entry(reason.to_owned()).or_default() += 1;
            continue;
        }
        let at = row.at.unwrap().div_euclid(1_000);
        let kind = known(row.kind.as_deref().unwrap()).unwrap();
        if since.is_some_and(|since| at < since) || settings.until.is_some_and(|until| at > until) {
            out.outside += 1;
            continue;
        }
        good.push(((row.user.clone().unwrap(), row.item.clone().unwrap()), kind, at, row.id.as_deref()));
    }
    let as_of = settings.as_of.or(good.iter().map(|row| row.2).max()).unwrap_or(0);
    good.retain(|row| {
        let after = row.2 > as_of;
        let before = settings.window_days.is_some_and(|days| row.2 < as_of - days * DAY);
        out.after_as_of += u64::from(after);
        out.outside += u64::from(before && !after);
        !after && !before
    });
    let mut seen = HashSet::new();
    good.retain(|row| {
        let new = row.3.is_none() || seen.insert(row.clone());
        out.duplicates += u64::from(!new);
        new
    });
    let mut days: HashMap<String, (u64, HashSet<i64>)> = HashMap::new();
    for row in &good {
        let user = days.entry(row.0.0.clone()).or_default();
        user.0 += 1;
        user.1.insert(row.2.div_euclid(DAY));
    }
    let is_bot = |user: &str| days[user].0 as f64 > settings.max_per_day * days[user].1.len() as f64;
    for (user, (n, _)) in &days {
        if is_bot(user) {
            out.bots += 1;
            out.bot_events += n;
        } else {
            out.users.insert(user.clone());
        }
    }
    good.retain(|row| !is_bot(&row.0.0));
    good.sort_by_key(|row| row.2);
    let mut weights: BTreeMap<Pair, f64> = BTreeMap::new();
    let mut room: HashMap<(Pair, i64), f64> = HashMap::new();
    let mut excluded = BTreeSet::new();
    for (pair, kind, at, _) in &good {
        let (_, mut weight, half_life) = *TYPES.iter().find(|known| known.0 == *kind).unwrap();
        if let Some(cap) = settings.daily_cap
            && weight > 0.0
        {
            let room = room.entry((pair.clone(), at.div_euclid(DAY))).or_insert(cap);
            weight = weight.min(*room);
            *room -= weight;
        }
        let age = (as_of - at) as f64 / DAY as f64;
        *weights.entry(pair.clone()).or_default() += weight * half_life.map_or(1.0, |days| (-age / days).exp2());
        let recently = settings.exclude_views_within.is_some_and(|days| *kind == "view" && as_of - at <= days * DAY);
        if *kind == "purchase" || recently {
            excluded.insert(pair.clone());
        }
    }
    assert!(weights.values().all(|weight| *weight == 0.0 || weight.abs() > 1e-5), "take another seed");
    let mut support: HashMap<String, usize> = HashMap::new();
    for ((_, item), weight) in &weights {
        *support.entry(item.clone()).or_default() += usize::from(*weight > 0.0);
    }
    out.items_below = support.values().filter(|&&n| n > 0 && n < settings.min_users).count() as u64;
    out.eaten_up = weights.values().filter(|weight| **weight <= 0.0).count() as u64;
    weights.retain(|(_, item), weight| *weight > 0.0 && support[item] >= settings.min_users);
    excluded.retain(|(_, item)| support[item] >= settings.min_users);
    out.excluded = excluded;
    for user in &out.users {
        if weights.keys().filter(|pair| pair.0 == *user).count() >= settings.min_items {
            out.trains.insert(user.clone());
        }
    }
    (out, weights)
}

fn random_rows(random: &mut Random) -> Vec<Raw> {
    let mut rows: Vec<Raw> = Vec::new();
    let mut taken = HashSet::new();
    while rows.len() < 2_500 {
        if !rows.is_empty() && random.one_in(25) {
            // Sent again; sometimes only nearly the same.
            let mut again = rows[random.below(rows.len() as u64) as usize].clone();
            if again.id.is_some() && random.one_in(3) {
                again.item = Some(format!("i{}", random.below(40)));
            } else if again.id.is_none() {
                continue;
            }
            // The order of different events in one second is the program's own affair.
            if rows
                .iter()
                .any(|row| (&row.user, &row.item, row.at) == (&again.user, &again.item, again.at) && *row != again)
            {
                continue;
            }
            rows.push(again);
            continue;
        }
        let bot = random.one_in(12);
        let user = if bot { "bot".to_owned() } else { format!("u{}", random.below(30)) };
        // Squares make some items rare.
        let item = format!("i{}", random.below(40) * random.below(40) / 40);
        let second = NEW_YEAR + if bot { random.below(DAY as u64) } else { random.below(60 * DAY as u64) } as i64;
        if !taken.insert((user.clone(), item.clone(), second)) {
            continue;
        }
        let kind = match random.below(20) {
            0..=9 => "view",
            10..=12 => "cart",
            13..=14 => "remove_from_cart",
            15..=17 => "purchase",
            18 => "refund",
            _ => ["scroll", "hover", "VIEW"][random.below(3) as usize],
        };
        let mut row = Raw {
            user: Some(user),
            item: Some(item),
            kind: Some(kind.to_owned()),
            at: Some(second * 1_000 + random.below(1_000) as i64),
            id: Some(format!("e{}", rows.len())).filter(|_| !random.one_in(10)),
        };
        match random.below(60) {
            0 => row.user = None,
            1 => row.user = Some(String::new()),
            2 => row.item = None,
            3 => row.item = Some(String::new()),
            4 => row.kind = None,
            5 => row.at = None,
            6 => row.at = Some(900_000_000_000),
            7 => row.at = Some((crate::support::ingest::NOW + 2 * DAY) * 1_000),
            // Two things at once count under the first.
            8 => (row.user, row.at) = (None, None),
            9 => (row.kind, row.at) = (Some("scroll".into()), None),
            _ => {}
        }
        rows.push(row);
    }
    rows
}

fn columns(rows: &[&Raw]) -> Columns {
    let millis = TimestampMillisecondArray::from_iter(rows.iter().map(|row| row.at));
    vec![
        ("event_id", texts(rows.iter().map(|row| row.id.as_deref()))),
        ("user_id", texts(rows.iter().map(|row| row.user.as_deref()))),
        ("item_id", texts(rows.iter().map(|row| row.item.as_deref()))),
        ("event_type", texts(rows.iter().map(|row| row.kind.as_deref()))),
        ("timestamp", Arc::new(millis)),
    ]
}

fn toml_of(directory: &Path, settings: &Settings) -> String {
    let instant = |at: i64| jiff::Timestamp::from_second(at).unwrap().to_string();
    let mut text = events(directory, "ignored_types = ['scroll']\n");
    for (key, at) in [("as_of", settings.as_of), ("since", settings.since), ("until", settings.until)] {
        text.push_str(&at.map_or_else(String::new, |at| format!("{key} = '{}'\n", instant(at))));
    }
    text.push_str(&settings.window_days.map_or_else(String::new, |days| format!("window_days = {days}.0\n")));
    for (name, weight, half_life) in TYPES {
        text.push_str(&format!("[event_types.{name}]\nweight = {weight:?}\n"));
        text.push_str(&half_life.map_or_else(String::new, |days: f64| format!("half_life_days = {days:?}\n")));
    }
    text.push_str(&format!(
        "[interactions]\nmax_events_per_active_day = {:?}\nmin_users_per_item = {}\nmin_items_per_user = {}\n",
        settings.max_per_day, settings.min_users, settings.min_items
    ));
    text.push_str(&settings.daily_cap.map_or_else(String::new, |cap| format!("daily_cap = {cap:?}\n")));
    text.push_str("[interactions.exclude.purchase]\n");
    if let Some(days) = settings.exclude_views_within {
        text.push_str(&format!("[interactions.exclude.view]\nwithin_days = {days}.0\n"));
    }
    text
}

#[test]
fn a_naive_reference_makes_the_same_cells_of_random_rows() {
    let mut n_bots = 0;
    for seed in 1..=6u64 {
        let mut random = Random::new(seed);
        let rows = random_rows(&mut random);
        let plain = Settings { max_per_day: 40.0, min_users: 1, min_items: 1, ..Settings::default() };
        let settings = match seed {
            1 => plain,
            2 => Settings { daily_cap: Some(4.0), min_users: 12, min_items: 8, ..plain },
            3 => Settings { as_of: Some(NEW_YEAR + 40 * DAY + 7), exclude_views_within: Some(10), ..plain },
            4 => Settings { since: Some(NEW_YEAR + 9 * DAY + 1), until: Some(NEW_YEAR + 50 * DAY), ..plain },
            5 => Settings { window_days: Some(20), max_per_day: 3.0, min_users: 3, ..plain },
            _ => Settings {
                as_of: Some(NEW_YEAR + 70 * DAY),
                window_days: Some(30),
                since: Some(NEW_YEAR + 20 * DAY),
                daily_cap: Some(1.25),
                exclude_views_within: Some(45),
                min_items: 4,
                ..plain
            },
        };
        let (expected, weights) = reference(&rows, &settings);
        assert!(weights.len() > 300 && expected.duplicates > 10, "seed {seed}: {expected:?}");

        n_bots += expected.bots;

        let directory = tempfile::tempdir().unwrap();
        let mut dealt: [Vec<&Raw>; 3] = Default::default();
        rows.iter().for_each(|row| dealt[random.below(3) as usize].push(row));
        for (file, rows) in dealt.iter().enumerate() {
            write_groups(
                &directory.path().join(format!("{file}.parquet")),
                columns(rows),
                1 + random.below(900) as usize,
            );
        }
        let text = toml_of(directory.path(), &settings);
        for n_threads in [1, 3] {
            let read = ingest_on(&config(&text), n_threads).unwrap();
            let counts = &read.scan.counts;
            let found = Outcome {
                rejected: counts.rejected.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect(),
                ignored: counts.ignored,
                outside: counts.outside_window + read.left_out.before_window,
                after_as_of: read.left_out.after_as_of,
                duplicates: read.left_out.duplicates,
                bots: read.left_out.bots,
                bot_events: read.left_out.bot_events,
                items_below: read.assembled.items_below_minimum,
                eaten_up: read.assembled.pairs_eaten_up,
                users: read.users.clone(),
                trains: read.trains.clone(),
                excluded: read.excluded.clone(),
            };
            assert_eq!(found, expected, "seed {seed}");
            assert_eq!(counts.rows, rows.len() as u64);
            assert!(read.cells.keys().eq(weights.keys()), "seed {seed}");
            for (pair, weight) in &weights {
                let found = f64::from(read.cells[pair]);
                assert!((found - weight).abs() <= 3e-5, "seed {seed}: {pair:?} is {found}, should be {weight}");
            }
        }
    }
    assert!(n_bots >= 3, "{n_bots} bots");
}
