//! Damaged Parquet: the right rows or an error that names the file, never a panic or a hang.

use std::{collections::BTreeMap, fs, path::Path, sync::mpsc, time::Duration};

use nightshelf::{
    config::Config,
    events::{EventsError, ScanInput, scan},
    interactions::Stamp,
    storage::Storage,
    synth::{self, generate},
};

use crate::support::{ingest::NOW, program::text, random::Random};

const SEED: u64 = 4_711;
const N: usize = 300;

/// Rows by (user, item, seconds, type), and the counts as text.
type Rows = (BTreeMap<(String, String, u32, u8), usize>, String);

fn read(path: &Path) -> Result<Rows, EventsError> {
    let mut config = Config::default();
    config.events.paths = vec![text(path).to_owned()];
    let kinds = config.kinds().unwrap();
    let storage = Storage::new(config.s3.clone());
    let input = ScanInput {
        storage: &storage,
        events: &config.events,
        orders: &config.orders,
        kinds: &kinds,
        n_buckets: 2,
        now: Stamp::from_unix(NOW).unwrap(),
        bucket: None,
    };
    let scan = scan(&input, &|_| ())?;
    let mut rows = BTreeMap::new();
    for shard in &scan.shards {
        for (users, bucket) in shard.users.iter().zip(&shard.buckets) {
            for row in &bucket.rows {
                let user = users.get(row.user as usize).to_owned();
                let item = shard.items.get(row.item as usize).to_owned();
                *rows.entry((user, item, row.time.0, row.kind)).or_default() += 1;
            }
        }
    }
    Ok((rows, format!("{:?}", scan.counts)))
}

/// What was done to a file.
#[derive(Debug, Clone, Copy)]
enum Mutation {
    Flip { at: usize, bit: u8 },
    Cut { length: usize },
    Swap { a: usize, b: usize, length: usize },
}

impl Mutation {
    fn draw(random: &mut Random, size: usize, data: usize) -> Self {
        let size64 = size as u64;
        match random.below(10) {
            0 => Self::Cut { length: random.below(size64) as usize },
            1 => {
                let length = 1 + random.below(64) as usize;
                let place = |random: &mut Random| random.below(size64 - 64) as usize;
                Self::Swap { a: place(random), b: place(random), length }
            }
            // Half of the flips hit the footer, which is a small part of the file.
            2..=5 => Self::Flip { at: data + random.below((size - data) as u64) as usize, bit: random.below(8) as u8 },
            _ => Self::Flip { at: random.below(size64) as usize, bit: random.below(8) as u8 },
        }
    }

    fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Flip { at, bit } => bytes[at] ^= 1 << bit,
            Self::Cut { length } => bytes.truncate(length),
            Self::Swap { a, b, length } => (0..length).for_each(|at| bytes.swap(a + at, b + at)),
        }
    }

    /// Whether it left the footer (from byte `data` on) alone.
    fn spares_footer(self, data: usize) -> bool {
        match self {
            Self::Flip { at, .. } => at < data,
            Self::Cut { .. } => false,
            Self::Swap { a, b, length } => a.max(b) + length <= data,
        }
    }
}

#[test]
fn a_mutated_file_gives_the_right_rows_or_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    // Its files carry page checksums.
    let shop = synth::Config {
        users: 60,
        items: 40,
        events: 1_500,
        days: 1,
        start: jiff::civil::date(2024, 6, 1),
        rows_per_row_group: 1_000,
        ..synth::Config::default()
    };
    generate(&shop, &directory.path().join("shop"), &|_| {}).unwrap();
    let whole = fs::read(directory.path().join("shop/events/dt=2024-06-01/part-0000.parquet")).unwrap();
    let footer = u32::from_le_bytes(whole[whole.len() - 8..whole.len() - 4].try_into().unwrap()) as usize;
    let data = whole.len() - 8 - footer;
    let path = directory.path().join("mutated.parquet");
    fs::write(&path, &whole).unwrap();
    let expected = read(&path).unwrap();
    assert!(expected.0.values().sum::<usize>() > 1_400);

    let mut random = Random::new(SEED);
    let (mut n_done, mut n_same, mut n_refused) = (0, 0, 0);
    let mut other = Vec::new();
    for number in 0..N {
        let mutation = Mutation::draw(&mut random, whole.len(), data);
        let mut bytes = whole.clone();
        mutation.apply(&mut bytes);
        if bytes == whole {
            n_same += 1;
            n_done += 1;
            continue;
        }
        fs::write(&path, &bytes).unwrap();
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn({
            let path = path.clone();
            move || sender.send(read(&path))
        });
        let result = match receiver.recv_timeout(Duration::from_secs(60)) {
            Ok(result) => result,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("mutation {number} ({mutation:?}) hangs"),
            Err(mpsc::RecvTimeoutError::Disconnected) => panic!("mutation {number} ({mutation:?}) panics"),
        };
        thread.join().unwrap().unwrap();
        match result {
            Ok(rows) if rows == expected => n_same += 1,
            Ok(rows) => other.push((number, mutation, rows.1)),
            Err(error) => {
                assert!(error.to_string().contains("mutated.parquet"), "mutation {number} ({mutation:?}): {error}");
                n_refused += 1;
            }
        }
        n_done += 1;
    }
    println!(
        "seed {SEED}: {n_done} mutations, {n_refused} refused, {n_same} with the right rows, {} with others",
        other.len()
    );
    for case in &other {
        println!("  {case:?}");
    }
    assert_eq!(n_done, N);
    assert!(n_refused > N / 2);
    // Pages have checksums, the footer has none: a flipped bit there may make another valid file.
    let in_pages: Vec<_> = other.iter().filter(|(_, mutation, _)| mutation.spares_footer(data)).collect();
    assert!(in_pages.is_empty(), "other rows although the footer is whole: {in_pages:?}");
}
