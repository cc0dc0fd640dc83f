//! Whole files in, aligned catalogue out.

use std::{fs, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int8Array, Int64Array, ListArray,
        RecordBatch, StringArray, UInt16Array,
    },
    datatypes::Int32Type,
};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use tempfile::TempDir;

use super::*;
use crate::storage::StorageError;

fn table(ids: &[&str]) -> IdTable {
    ids.iter().copied().collect()
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)));
    let batch = batch.unwrap();
    let properties =
        WriterProperties::builder().set_max_row_group_row_count(Some(3)).set_write_page_header_statistics(true).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

struct Shop(TempDir);

impl Shop {
    fn with(files: &[(&str, &[u8])]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(root.path().join(name), bytes).unwrap();
        }
        Self(root)
    }

    fn read(
        &self,
        name: &str,
        items: &[&str],
        columns: CatalogColumns,
    ) -> Result<(Catalog, CatalogReport), CatalogError> {
        let path = Some(self.0.path().join(name).display().to_string());
        read_catalog(&CatalogConfig { path, columns }, &Storage::default(), &table(items))
    }
}

fn read_one(bytes: &[u8], items: &[&str]) -> Result<(Catalog, CatalogReport), CatalogError> {
    Shop::with(&[("c.parquet", bytes)]).read("c.parquet", items, CatalogColumns::default())
}

#[test]
fn without_a_catalogue_everything_is_listed() {
    let items = table(&["a", "b"]);
    let (catalog, report) = read_catalog(&CatalogConfig::default(), &Storage::default(), &items).unwrap();
    assert!(!catalog.present);
    assert_eq!((catalog.listed, catalog.available), (vec![true; 2], vec![true; 2]));
    assert_eq!(report, CatalogReport::default());
}

#[test]
fn rows_find_their_items_and_misfits_are_counted() {
    let bytes = parquet(vec![
        ("item_id", texts(&[Some("c"), Some("x"), None, Some("a"), Some("c"), Some(""), Some("x")])),
        ("title", texts(&[Some("Cup"), Some("Axe"), None, None, Some("other cup"), None, None])),
        ("category", texts(&[Some("z"), Some("tools"), None, Some("b"), Some("b"), None, None])),
        ("brand", texts(&[None, None, None, Some(""), None, None, None])),
        ("price", Arc::new(Float64Array::from(vec![2.5, 1.0, 1.0, f64::NAN, 9.0, 1.0, 1.0]))),
        ("available", Arc::new(BooleanArray::from(vec![Some(false), None, None, None, Some(true), None, None]))),
        ("created_at", Arc::new(Int64Array::from(vec![1; 7]))),
    ]);
    let (catalog, report) = read_one(&bytes, &["a", "b", "c"]).unwrap();
    assert!(catalog.present);
    assert_eq!(catalog.listed, [true, false, true]);
    assert_eq!(catalog.available, [true, true, false], "null is available, unlisted is not known to be sold out");
    assert_eq!(catalog.titles, ["", "", "Cup"], "the first row of an item counts");
    assert_eq!(catalog.categories, [Some(0), None, Some(1)]);
    assert_eq!(catalog.category_names, table(&["b", "z"]));
    assert_eq!(catalog.brands, [None; 3], "an empty brand is none");
    assert!(catalog.brand_names.is_empty());
    assert_eq!(catalog.prices, [None, None, Some(2.5)]);
    assert_eq!(
        report,
        CatalogReport {
            rows: 7,
            duplicates: 2,
            null_ids: 2,
            listed_items_without_events: 1,
            items_without_listing: 1,
            unreadable_prices: 1,
            unreadable_available: 0,
        }
    );
}

#[test]
fn integer_ids_are_their_decimal_text_and_numbers_of_all_kinds_are_read() {
    let bytes = parquet(vec![
        ("item_id", Arc::new(Int64Array::from(vec![7, -3, 9_007_199_254_740_993]))),
        ("category", Arc::new(Int64Array::from(vec![20, 3, 3]))),
        ("price", Arc::new(Float32Array::from(vec![0.5, 1.5, -1.0]))),
        ("available", Arc::new(Int64Array::from(vec![1, 0, 2]))),
    ]);
    let (catalog, report) = read_one(&bytes, &["-3", "7", "9007199254740993"]).unwrap();
    assert_eq!(catalog.listed, [true; 3]);
    assert_eq!(catalog.category_names, table(&["20", "3"]));
    assert_eq!(catalog.categories, [Some(1), Some(0), Some(1)]);
    assert_eq!(catalog.available, [false, true, true]);
    assert_eq!(catalog.prices, [Some(1.5), Some(0.5), None]);
    assert_eq!(report.unreadable_prices, 1);
}

#[test]
fn small_integers_and_decimals_as_databases_export_them() {
    let decimals = Decimal128Array::from(vec![1_250, 300]).with_precision_and_scale(10, 2).unwrap();
    let bytes = parquet(vec![
        ("item_id", texts(&[Some("a"), Some("b")])),
        ("price", Arc::new(decimals)),
        ("available", Arc::new(Int8Array::from(vec![1, 0]))),
        ("stock", Arc::new(UInt16Array::from(vec![1, 0]))),
    ]);
    let (catalog, _) = read_one(&bytes, &["a", "b"]).unwrap();
    assert_eq!(catalog.prices, [Some(12.5), Some(3.0)]);
    assert_eq!(catalog.available, [true, false]);
}

#[test]
fn csv_keeps_leading_zeros_and_understands_words() {
    let csv = "sku,Name,price,stock\n007,\"Cup, blue\",\"2.50\",in stock\n7,Axe,cheap,maybe\n,Nobody,1,no\n08,,,\n";
    let shop = Shop::with(&[("c.csv", csv.as_bytes())]);
    let columns = CatalogColumns {
        item_id: "sku".into(),
        title: Some("Name".into()),
        available: Some("stock".into()),
        ..CatalogColumns::default()
    };
    let (catalog, report) = shop.read("c.csv", &["007", "08", "7"], columns).unwrap();
    assert_eq!(catalog.titles, ["Cup, blue", "", "Axe"]);
    assert_eq!(catalog.prices, [Some(2.5), None, None]);
    assert_eq!(catalog.available, [true, true, false]);
    assert_eq!((report.null_ids, report.unreadable_prices, report.unreadable_available), (1, 1, 1));
}

#[test]
fn several_files_count_in_the_order_of_their_names() {
    let shop = Shop::with(&[
        (
            "2.parquet",
            &parquet(vec![("item_id", texts(&[Some("a"), Some("b")])), ("title", texts(&[Some("late"), None]))]),
        ),
        ("1.csv", b"item_id,title\na,early\n"),
        ("notes.txt", b"not a catalogue"),
    ]);
    let (catalog, report) = shop.read("", &["a", "b"], CatalogColumns::default()).unwrap();
    assert_eq!(catalog.titles, ["early", ""]);
    assert_eq!(catalog.listed, [true, true]);
    assert_eq!((report.rows, report.duplicates), (3, 1));
}

#[test]
fn a_missing_column_names_those_that_are_there() {
    let shop = Shop::with(&[("c.csv", b"Item_ID,titel\na,b\n")]);
    let error = shop.read("c.csv", &["a"], CatalogColumns::default()).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "has no column `item_id` (catalog.columns.item_id), did you mean `Item_ID`?; it has Item_ID, titel"
        ),
        "{error}"
    );
    let columns = CatalogColumns { item_id: "Item_ID".into(), title: Some("name".into()), ..CatalogColumns::default() };
    let error = shop.read("c.csv", &["a"], columns.clone()).unwrap_err().to_string();
    assert!(error.ends_with("no column `name` (catalog.columns.title); it has Item_ID, titel"), "{error}");
    // A key left out takes the column of its name if there is one, and an empty name takes none.
    let columns = CatalogColumns { title: None, ..columns };
    assert_eq!(shop.read("c.csv", &["a"], columns.clone()).unwrap().0.titles, [""]);
    let shop = Shop::with(&[("c.csv", b"Item_ID,title\na,b\n")]);
    assert_eq!(shop.read("c.csv", &["a"], columns.clone()).unwrap().0.titles, ["b"]);
    let columns = CatalogColumns { title: Some(String::new()), ..columns };
    assert_eq!(shop.read("c.csv", &["a"], columns).unwrap().0.titles, [""]);
}

#[test]
fn columns_of_the_wrong_type_are_named() {
    let floats = parquet(vec![("item_id", Arc::new(Float64Array::from(vec![1.0])) as ArrayRef)]);
    let error = read_one(&floats, &["1"]).unwrap_err();
    assert!(
        error.to_string().contains("column `item_id` (catalog.columns.item_id) must be text or integer, is f64"),
        "{error}"
    );
    assert!(error.hint().is_some());
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)])]);
    let nested = parquet(vec![("item_id", texts(&[Some("a")])), ("category", Arc::new(lists))]);
    let error = read_one(&nested, &["a"]).unwrap_err();
    assert!(matches!(error, CatalogError::WrongType { key: "category", .. }), "{error}");
}

#[test]
fn a_column_that_is_about_something_else_does_not_empty_the_shop() {
    let shop = Shop::with(&[("c.csv", b"item_id,available\na,\nb,monday\nc,tuesday\n")]);
    let error = shop.read("c.csv", &["a"], CatalogColumns::default()).unwrap_err();
    assert!(error.to_string().ends_with("is understood, e.g. `monday`"), "{error}");
}

#[test]
fn damage_is_an_error_and_never_a_panic() {
    let n_rows = 200;
    let ids: Vec<String> = (0..n_rows).map(|row| format!("item-{row:04}")).collect();
    let titles: Vec<String> = (0..n_rows).map(|row| format!("A readable title, number {row}")).collect();
    let bytes = parquet(vec![
        ("item_id", Arc::new(StringArray::from(ids.clone()))),
        ("title", Arc::new(StringArray::from(titles))),
        ("price", Arc::new(Float64Array::from_iter_values((0..n_rows).map(f64::from)))),
    ]);
    let items: Vec<&str> = ids.iter().map(String::as_str).collect();
    let sound = read_one(&bytes, &items).unwrap().0;
    assert_eq!(sound.titles[7], "A readable title, number 7");

    for length in [0, 1, 4, 11, bytes.len() / 2, bytes.len() - 1] {
        let error = read_one(&bytes[..length], &items).map(drop).unwrap_err();
        assert!(error.to_string().contains("c.parquet"), "{error}");
    }
    let error = read_one(b"this is no Parquet file at all", &items).map(drop).unwrap_err();
    assert!(matches!(error, CatalogError::Parquet { .. }), "{error}");

    // Bytes changed all over the file: a panic that escapes fails the test.
    // (Without checksums, as here, a changed title may go unnoticed.)
    let (mut n_refused, mut n_read) = (0, 0);
    for at in (4..bytes.len()).step_by(409) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        match read_one(&damaged, &items) {
            Err(_) => n_refused += 1,
            Ok(_) => n_read += 1,
        }
    }
    assert!(n_refused > 10, "{n_refused} refused, {n_read} read");
}

/// Written by pyarrow 26 with `write_page_checksum=True, use_dictionary=False, compression="none"`, because the
/// `parquet` crate writes no checksums: columns item_id, title, unused; two rows.
const WITH_CHECKSUMS: &[u8] = include_bytes!("testdata/page_checksums.parquet");

#[test]
fn a_flipped_byte_in_a_page_with_a_checksum_is_found() {
    let flipped = |word: &str| {
        let at = WITH_CHECKSUMS.windows(word.len()).position(|window| window == word.as_bytes()).unwrap();
        let mut damaged = WITH_CHECKSUMS.to_vec();
        damaged[at + 3] ^= 1;
        read_one(&damaged, &["a"])
    };
    assert_eq!(read_one(WITH_CHECKSUMS, &["a"]).unwrap().0.titles, ["EXACTLYTHISTITLE"]);
    let error = flipped("EXACTLYTHISTITLE").unwrap_err();
    assert!(matches!(&error, CatalogError::Parquet { source, .. } if source.to_string().contains("CRC")), "{error:?}");
    // Columns that nobody reads may rot.
    assert!(flipped("EXACTLYTHATTEXT").is_ok());
}

#[test]
fn a_missing_file_is_told_with_its_cause() {
    let error = Shop::with(&[]).read("nowhere.parquet", &["a"], CatalogColumns::default()).unwrap_err();
    assert!(matches!(error, CatalogError::Storage(StorageError::NotFound { .. })));
}
