//! Local listing and reading; S3 has its tests in `tests/it/s3.rs`.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, SystemTime},
};

use super::*;

const PARQUET: &[&str] = &[".parquet"];

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The uris below `root` that `patterns` (relative to it) list.
fn list(root: &Path, patterns: &[&str]) -> Result<Vec<String>, StorageError> {
    let base = format!("{}/", root.display());
    let locations: Vec<String> = patterns.iter().map(|pattern| format!("{base}{pattern}")).collect();
    let objects = Storage::default().list(&locations, PARQUET)?;
    Ok(objects.into_iter().map(|object| object.uri.strip_prefix(&base).unwrap().to_owned()).collect())
}

fn shop() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for path in ["e/dt=2026-11-02/b.parquet", "e/dt=2026-11-01/a.parquet", "e/dt=2026-10-31/z.PARQUET"] {
        put(root.path(), path, path.as_bytes());
    }
    for path in ["e/_SUCCESS", "e/.hidden.parquet", "e/_temporary/0/x.parquet", "e/notes.txt"] {
        put(root.path(), path, b"x");
    }
    root
}

#[test]
fn a_directory_gives_its_files_in_order_with_their_partitions() {
    let root = shop();
    let objects = Storage::default().list(&[format!("{}/e/", root.path().display())], PARQUET).unwrap();
    let names: Vec<_> = objects.iter().map(|object| object.uri.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["z.PARQUET", "a.parquet", "b.parquet"]);
    assert_eq!(objects[1].hive.last().unwrap(), &("dt".to_owned(), "2026-11-01".to_owned()));
    assert_eq!(objects[1].size, "e/dt=2026-11-01/a.parquet".len() as u64);
}

#[test]
fn a_file_that_several_locations_match_comes_once() {
    let root = shop();
    symlink(root.path().join("e/dt=2026-11-01"), root.path().join("link")).unwrap();
    let listed =
        list(root.path(), &["e/dt=2026-11-*/", "e/**/a.parquet", "e/dt=2026-11-01/a.parquet", "link", "./e/../e"]);
    // Of several spellings of one file the first in order stands.
    assert_eq!(
        listed.unwrap(),
        ["e/../e/dt=2026-10-31/z.PARQUET", "e/../e/dt=2026-11-01/a.parquet", "e/../e/dt=2026-11-02/b.parquet"]
    );
}

#[test]
fn a_named_file_is_taken_whatever_its_name() {
    let root = shop();
    put(root.path(), "odd[1].data", b"x");
    assert_eq!(
        list(root.path(), &["e/notes.txt", "e/_SUCCESS", "odd[1].data"]).unwrap(),
        ["e/_SUCCESS", "e/notes.txt", "odd[1].data"]
    );
}

#[test]
fn a_link_to_a_parent_ends() {
    let root = shop();
    symlink(root.path().join("e"), root.path().join("e/dt=2026-11-01/back")).unwrap();
    assert_eq!(list(root.path(), &["e"]).unwrap().len(), 3);
}

#[test]
fn nothing_found_says_what_was_looked_for_and_what_lies_there() {
    let root = shop();
    put(root.path(), "texts/a.csv", b"x");
    fs::create_dir(root.path().join("void")).unwrap();
    assert!(matches!(list(root.path(), &["nowhere"]), Err(StorageError::NotFound { .. })));
    assert!(matches!(list(root.path(), &["nowhere/*.parquet"]), Err(StorageError::NotFound { .. })));
    let message = |pattern: &str| list(root.path(), &[pattern]).unwrap_err().to_string();
    assert!(message("void").starts_with("no .parquet file under"), "{}", message("void"));
    assert!(message("void").ends_with("it is empty"));
    assert!(message("texts").ends_with("it holds a.csv"), "{}", message("texts"));
    let message = message("e/dt=2025-*");
    assert!(message.contains("it holds ") && message.ends_with(" and 2 more"), "{message}");
    // One empty location of several is an error too: a missing day must not go unnoticed.
    assert!(list(root.path(), &["e", "texts"]).is_err());
}

fn open(root: &Path, path: &str) -> (ObjectInfo, Result<ObjectReader, StorageError>, Storage) {
    let storage = Storage::default();
    let object = storage.list(&[root.join(path).display().to_string()], &[]).unwrap().pop().unwrap();
    let reader = storage.open(&object);
    (object, reader, storage)
}

#[test]
fn ranges_come_back_as_asked() {
    let root = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
    put(root.path(), "f", &bytes);
    let reader = open(root.path(), "f").1.unwrap();
    let answers = reader.read_ranges(&[5..10, 0..0, 99_000..100_000, 3..7]).unwrap();
    assert_eq!(answers, [&bytes[5..10], &[], &bytes[99_000..], &bytes[3..7]]);
    assert_eq!(reader.read_all().unwrap(), bytes);
    assert_eq!(reader.get_tail(8).unwrap(), bytes[99_992..]);
    assert_eq!(reader.get_tail(1 << 40).unwrap(), bytes);
    #[expect(clippy::reversed_empty_ranges, reason = "damaged footers ask for such")]
    for bad in [0..100_001, u64::MAX - 1..u64::MAX, 10..5] {
        assert!(matches!(reader.read_range(bad), Err(StorageError::OutOfRange { .. })));
    }
}

#[test]
fn a_file_changed_or_deleted_after_listing_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("f");
    let changed = |result: Result<(), StorageError>, words: &str| {
        let message = result.unwrap_err().to_string();
        assert!(message.contains("changed while it was being read") && message.contains(words), "{message}");
    };

    put(root.path(), "f", b"first version");
    let (object, reader, storage) = open(root.path(), "f");
    let reader = reader.unwrap();
    fs::write(&path, b"longer than the first version").unwrap();
    changed(reader.read_all().map(drop), "bytes");
    changed(storage.open(&object).map(drop), "bytes");

    put(root.path(), "f", b"first version");
    let (object, reader, storage) = open(root.path(), "f");
    let reader = reader.unwrap();
    fs::write(&path, b"other version").unwrap();
    let later = SystemTime::now() + Duration::from_secs(10);
    fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    changed(reader.read_range(0..5).map(drop), "written to");
    changed(storage.open(&object).map(drop), "written to");

    // A truncated file, with the bytes asked for beyond its new end.
    put(root.path(), "f", b"first version");
    let reader = open(root.path(), "f").1.unwrap();
    fs::write(&path, b"x").unwrap();
    changed(reader.read_range(5..9).map(drop), "bytes");

    put(root.path(), "f", b"first version");
    let (object, _, storage) = open(root.path(), "f");
    put(root.path(), "g", b"other version");
    fs::rename(root.path().join("g"), &path).unwrap();
    changed(storage.open(&object).map(drop), "another file");
    fs::remove_file(&path).unwrap();
    assert!(matches!(storage.open(&object), Err(StorageError::ObjectGone { .. })));
}

#[test]
fn many_threads_read_one_file() {
    let root = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..50_000u32).map(|at| (at % 241) as u8).collect();
    put(root.path(), "f", &bytes);
    let reader = open(root.path(), "f").1.unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8usize {
            let (reader, bytes) = (&reader, &bytes);
            scope.spawn(move || {
                let range = thread * 1_000..thread * 6_000 + 1;
                assert_eq!(reader.read_range(range.start as u64..range.end as u64).unwrap(), bytes[range]);
            });
        }
    });
}
