//! Storage against a real S3 protocol: listing, ranged reads, pinned versions, refusals, faults.

use std::{fs, process::Command, sync::atomic::Ordering::SeqCst};

use nightshelf::{
    catalog::{CatalogConfig, CatalogError, read_catalog},
    ids::IdTable,
    storage::{ObjectInfo, S3Config, Storage, StorageError},
};

use crate::support::s3::{Environment, FORBIDDEN, S3Server};

const PARQUET: &[&str] = &[".parquet"];
const MIB: u64 = 1 << 20;

fn list(storage: &Storage, location: &str) -> Result<Vec<ObjectInfo>, StorageError> {
    storage.list(&[location.to_owned()], PARQUET)
}

fn one(storage: &Storage, location: &str) -> ObjectInfo {
    let mut objects = list(storage, location).unwrap();
    assert_eq!(objects.len(), 1);
    objects.pop().unwrap()
}

/// Bytes that differ wherever they are compared with a shifted copy of themselves.
fn noise(n_bytes: u64) -> Vec<u8> {
    let mut state = 7u64;
    let mut bytes = Vec::with_capacity(n_bytes as usize);
    while bytes.len() < n_bytes as usize {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(n_bytes as usize);
    bytes
}

#[test]
fn a_prefix_of_more_than_one_page_is_listed_whole() {
    let server = S3Server::start();
    for number in 0..2_345 {
        server.put("shop", &format!("events/dt=2026-11-{:02}/{number:05}.parquet", number % 30 + 1), b"x");
    }
    server.put("shop", "events/_SUCCESS", b"");
    server.put("shop", "events/dt=2026-11-01/_temporary/0.parquet", b"x");
    server.put("shop", "events-old/a.parquet", b"x");
    let storage = server.storage();
    let objects = list(&storage, "s3://shop/events/").unwrap();
    assert_eq!(objects.len(), 2_345);
    // A page that a busy machine answers late is asked for again.
    assert!(server.faults.n_lists.load(SeqCst) >= 3);
    assert!(objects.is_sorted_by(|a, b| a.uri < b.uri));
    assert_eq!(objects[0].uri, "s3://shop/events/dt=2026-11-01/00000.parquet");
    assert_eq!(objects[0].hive, [("dt".to_owned(), "2026-11-01".to_owned())]);
    assert!(objects[0].etag.as_ref().is_some_and(|etag| !etag.contains('"')));
    // Without the slash the same prefix, not the neighbour that starts alike.
    assert_eq!(list(&storage, "s3://shop/events").unwrap(), objects);
    // A glob lists below its literal prefix only.
    assert_eq!(list(&storage, "s3://shop/events/dt=2026-11-3*/*.parquet").unwrap().len(), 78);
    assert_eq!(list(&storage, "s3://shop/**/0000[0-3].parquet").unwrap().len(), 4);
    assert_eq!(list(&storage, "s3://shop").unwrap().len(), 2_346);
    // Two locations that overlap.
    let both = ["s3://shop/events/dt=2026-11-3*".to_owned(), "s3://shop/events/".to_owned()];
    assert_eq!(storage.list(&both, PARQUET).unwrap(), objects);
}

#[test]
fn ranges_equal_the_files_bytes() {
    let server = S3Server::start();
    let bytes = noise(21 * MIB + 123);
    let size = bytes.len() as u64;
    server.put("shop", "big.bin", &bytes);
    let storage = server.storage_as(S3Config { max_in_flight: 3, ..server.config() }, "AKIDNIGHTSHELF", "not-a-secret");
    let object = one(&storage, "s3://shop/big.bin");
    assert_eq!(object.size, size);
    let reader = storage.open(&object).unwrap();
    let ranges = [5..10, 20 * MIB..20 * MIB + 7, 0..0, 3..9 * MIB, size - 8..size, MIB..MIB + 1];
    for (range, answer) in ranges.iter().zip(reader.read_ranges(&ranges).unwrap()) {
        assert!(answer == bytes[range.start as usize..range.end as usize], "{range:?}");
    }
    // 3..9 MiB is two parts, 5..10 and the byte at 1 MiB lie in them; 20 MiB and the tail are one part each.
    assert_eq!(server.faults.n_gets.load(SeqCst), 4);
    assert!(reader.read_all().unwrap() == bytes);
    assert_eq!(reader.get_tail(8).unwrap(), bytes[bytes.len() - 8..]);
    let most = server.faults.max_in_flight.load(SeqCst);
    assert!((2..=3).contains(&most), "{most} requests at once, of 3 allowed");
    assert!(matches!(reader.read_range(0..size + 1), Err(StorageError::OutOfRange { .. })));
}

#[test]
fn many_threads_share_one_client() {
    let server = S3Server::start();
    let bytes = noise(2 * MIB);
    server.put("shop", "k", &bytes);
    let storage = server.storage();
    let object = one(&storage, "s3://shop/k");
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let (storage, object, bytes) = (storage.clone(), &object, &bytes);
            scope.spawn(move || {
                let reader = storage.open(object).unwrap();
                for step in 0..5 {
                    let range = thread * 100 + step..thread * 200_000 + 1_000 + step;
                    let wanted = &bytes[range.start as usize..range.end as usize];
                    assert!(reader.read_range(range).unwrap() == wanted);
                }
            });
        }
    });
}

#[test]
fn an_object_replaced_or_deleted_after_listing_is_refused() {
    let server = S3Server::start();
    server.put("shop", "e/a.parquet", b"the first version");
    let storage = server.storage();
    let object = one(&storage, "s3://shop/e/");
    let reader = storage.open(&object).unwrap();
    assert_eq!(reader.read_range(4..9).unwrap(), "first");
    // Of the same size, so that only the ETag tells.
    server.put("shop", "e/a.parquet", b"the other version");
    let error = reader.read_range(4..9).unwrap_err();
    // In the words for a 412: it was the server that compared, so nothing of the new version was sent.
    assert_eq!(
        error.to_string(),
        "`s3://shop/e/a.parquet` changed while it was being read: it has another ETag than when it was listed"
    );
    assert!(matches!(error, StorageError::ObjectChanged { .. }) && error.hint().is_some());
    server.put("shop", "e/a.parquet", b"x");
    assert!(matches!(reader.read_range(4..9), Err(StorageError::ObjectChanged { .. })));
    fs::remove_file(server.file("shop", "e/a.parquet")).unwrap();
    assert!(matches!(reader.read_range(4..9), Err(StorageError::ObjectGone { .. })));
    assert_eq!(server.faults.n_gets.load(SeqCst), 4, "an answer that cannot change is not asked for again");
}

#[test]
fn refusals_are_told_apart() {
    let server = S3Server::start();
    server.put("shop", "e/a.csv", b"x");
    let storage = server.storage();
    let missing = list(&storage, "s3://nowhere/e/").unwrap_err();
    assert_eq!(missing.to_string(), "cannot list `s3://nowhere/e/`: there is no bucket `nowhere`");
    let denied = list(&storage, &format!("s3://{FORBIDDEN}/e/")).unwrap_err();
    assert_eq!(denied.to_string(), "cannot list `s3://forbidden/e/`: S3 refuses with AccessDenied");
    assert!(denied.hint().unwrap().contains("s3:ListBucket"));
    let empty = list(&storage, "s3://shop/nothing/").unwrap_err();
    assert_eq!(empty.to_string(), "no .parquet file under `s3://shop/nothing/`: it is empty");
    let unsuitable = list(&storage, "s3://shop/e").unwrap_err();
    assert_eq!(unsuitable.to_string(), "no .parquet file under `s3://shop/e`: it holds e/a.csv");

    let wrong_secret = server.storage_as(server.config(), "AKIDNIGHTSHELF", "guessed");
    let error = list(&wrong_secret, "s3://shop/e/").unwrap_err();
    assert!(matches!(&error, StorageError::AccessDenied { code, .. } if code == "SignatureDoesNotMatch"), "{error}");
    let unknown_key = server.storage_as(server.config(), "AKIDSOMEBODY", "guessed");
    let error = list(&unknown_key, "s3://shop/e/").unwrap_err();
    assert!(matches!(error, StorageError::AccessDenied { .. }), "{error}");
    // No secret shows up where an error or a handle is printed.
    assert!(!format!("{error:?} {unknown_key:?}").contains("guessed"));
}

#[test]
fn an_object_of_a_bucket_that_forbids_reading_is_named() {
    let server = S3Server::start();
    server.put("shop", "e/a.parquet", b"x");
    let storage = server.storage();
    let object = one(&storage, "s3://shop/e/");
    fs::remove_dir_all(server.file("shop", "")).unwrap();
    let error = storage.open(&object).unwrap().read_all().unwrap_err();
    assert!(matches!(&error, StorageError::NoSuchBucket { bucket, .. } if bucket == "shop"), "{error}");
}

#[test]
fn throttling_stalls_and_resets_are_survived() {
    let server = S3Server::start();
    let bytes = noise(3 * MIB);
    server.put("shop", "k", &bytes);
    let storage = server.storage();
    let reader = storage.open(&one(&storage, "s3://shop/k")).unwrap();

    server.faults.slow_downs.store(2, SeqCst);
    assert!(reader.read_all().unwrap() == bytes);
    assert_eq!(server.faults.n_gets.load(SeqCst), 3);

    // The answer's head and half of its body arrive, then the connection breaks.
    server.faults.reset_after_bytes.store(MIB as i64, SeqCst);
    assert!(reader.read_all().unwrap() == bytes);
    assert_eq!(server.faults.reset_after_bytes.load(SeqCst), -1, "the fault was met");
    assert_eq!(server.faults.n_gets.load(SeqCst), 5);

    server.faults.stalls.store(1, SeqCst);
    assert!(reader.read_all().unwrap() == bytes);
    assert_eq!(server.faults.n_gets.load(SeqCst), 7);
}

#[test]
fn a_request_that_never_succeeds_ends() {
    let server = S3Server::start();
    server.put("shop", "k", b"x");
    let config = S3Config { max_attempts: 2, ..server.config() };
    let storage = server.storage_as(config, "AKIDNIGHTSHELF", "not-a-secret");
    let reader = storage.open(&one(&storage, "s3://shop/k")).unwrap();
    server.faults.slow_downs.store(usize::MAX, SeqCst);
    let error = reader.read_all().unwrap_err();
    assert_eq!(error.to_string(), "cannot read `s3://shop/k`");
    assert_eq!(server.faults.n_gets.load(SeqCst), 2);
    let url = server.url();
    drop(server);
    let gone = S3Config { endpoint_url: Some(url), max_attempts: 1, ..S3Config::default() };
    let gone = S3Config { region: Some("eu-central-1".into()), ..gone };
    let storage = S3Server::start().storage_as(gone, "AKIDNIGHTSHELF", "not-a-secret");
    assert!(matches!(list(&storage, "s3://shop/k"), Err(StorageError::S3 { action: "list", .. })));
}

#[test]
fn a_catalogue_is_read_from_a_bucket() {
    let server = S3Server::start();
    server.put("shop", "catalog/items.csv", b"item_id,title\n007,Cup\n8,Axe\n");
    let items: IdTable = ["007", "9"].into_iter().collect();
    let config = |path: &str| CatalogConfig { path: Some(path.to_owned()), ..CatalogConfig::default() };
    for path in ["s3://shop/catalog/", "s3://shop/catalog/items.csv", "s3://shop/cat*/*.csv"] {
        let (catalog, report) = read_catalog(&config(path), &server.storage(), &items).unwrap();
        assert_eq!(catalog.titles, ["Cup", ""]);
        assert_eq!((report.listed_items_without_events, report.items_without_listing), (1, 1));
    }
    let denied = read_catalog(&config(&format!("s3://{FORBIDDEN}/c.csv")), &server.storage(), &items).unwrap_err();
    assert!(matches!(denied, CatalogError::Storage(StorageError::AccessDenied { .. })) && denied.hint().is_some());
}

/// Lists `s3://shop/e/` with nothing but the environment given to this process. Run by the test below in a process of its own.
#[test]
#[ignore = "a child process of `the_standard_environment_is_obeyed`"]
fn child_lists_by_its_environment() {
    let told = match list(&Storage::default(), "s3://shop/e/") {
        Ok(objects) => format!("{} objects", objects.len()),
        Err(error) => error.to_string(),
    };
    fs::write(std::env::var("NIGHTSHELF_TEST_ANSWER").unwrap(), told).unwrap();
}

#[test]
fn the_standard_environment_is_obeyed() {
    let server = S3Server::start();
    server.put("shop", "e/a.parquet", b"x");
    let answer = tempfile::NamedTempFile::new().unwrap();
    let ask = |change: &dyn Fn(&mut Environment)| {
        let mut environment = server.environment();
        change(&mut environment);
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "s3::child_lists_by_its_environment", "--ignored"])
            .env_clear()
            .envs(environment)
            .env("HOME", "/nonexistent")
            .env("NIGHTSHELF_TEST_ANSWER", answer.path())
            .output()
            .unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
        fs::read_to_string(answer.path()).unwrap()
    };
    assert_eq!(ask(&|_| {}), "1 objects");
    let without = |name: &'static str| move |all: &mut Environment| all.retain(|(key, _)| *key != name);
    assert_eq!(ask(&without("AWS_REGION")), "no AWS region is set for `s3://shop/e/`");
    assert_eq!(ask(&without("AWS_ACCESS_KEY_ID")), "no AWS credentials were found for `s3://shop/e/`");
    assert_eq!(ask(&|all| all[0].0 = "AWS_ENDPOINT_URL_S3"), "1 objects");
}
