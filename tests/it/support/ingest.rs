//! Ingestion alone, by the library: from files to cells.

use std::collections::{BTreeMap, BTreeSet};

use nightshelf::{
    config::Config,
    events::{EventsError, Scan, ScanInput, scan},
    interactions::{Aggregation, Assembled, Decay, LeftOut, Stamp, assemble},
    pipeline::{aggregate_buckets, number_items},
    storage::Storage,
};

use super::tables::{DAY, NEW_YEAR};

/// The clock of these tests, in Unix seconds: a year after the files' New Year.
pub(crate) const NOW: i64 = NEW_YEAR + 365 * DAY;

/// (user, item).
pub(crate) type Pair = (String, String);

/// What came out.
#[derive(Debug)]
pub(crate) struct Ingested {
    /// Counts, with the shards taken out.
    pub(crate) scan: Scan,
    pub(crate) left_out: LeftOut,
    pub(crate) assembled: Assembled,
    /// The matrix.
    pub(crate) cells: BTreeMap<Pair, f32>,
    /// The pairs that the user's own actions exclude.
    pub(crate) excluded: BTreeSet<Pair>,
    /// Users whose rows train.
    pub(crate) trains: BTreeSet<String>,
    /// Users with a row.
    pub(crate) users: BTreeSet<String>,
}

impl Ingested {
    /// How many rows were rejected for `reason`.
    pub(crate) fn rejected(&self, reason: &str) -> u64 {
        self.scan.counts.rejected.get(reason).copied().unwrap_or(0)
    }

    /// The weight of a pair; zero where there is no cell.
    pub(crate) fn weight(&self, user: &str, item: &str) -> f32 {
        self.cells.get(&(user.to_owned(), item.to_owned())).copied().unwrap_or(0.0)
    }
}

/// A config of TOML text; every item counts, unless the text says otherwise.
pub(crate) fn config(text: &str) -> Config {
    let mut config: Config = toml::from_str(text).unwrap();
    if !text.contains("min_users_per_item") {
        config.interactions.min_users_per_item = 1;
    }
    if !text.contains("n_buckets") {
        config.interactions.n_buckets = 4;
    }
    config.check().unwrap();
    config
}

/// Reads and aggregates on so many threads.
pub(crate) fn ingest_on(config: &Config, n_threads: usize) -> Result<Ingested, EventsError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
    pool.install(|| {
        let kinds = config.kinds().unwrap();
        let storage = Storage::new(config.s3.clone());
        let input = ScanInput {
            storage: &storage,
            events: &config.events,
            orders: &config.orders,
            kinds: &kinds,
            n_buckets: config.interactions.n_buckets,
            now: Stamp::from_unix(NOW).unwrap(),
            bucket: None,
        };
        let (shards, scan) = scan(&input, &|_| ())?.split();
        let (all_items, places) = number_items(&shards);
        let decay = Decay::new();
        let ctx = Aggregation {
            kinds: &kinds,
            config: &config.interactions,
            as_of: scan.as_of,
            since: scan.since,
            decay: &decay,
            trend: None,
            sessions_by_id: false,
        };
        let (cells, left_out) = aggregate_buckets::<EventsError>(shards, &places, &ctx, false, &|_, _| Ok(()))?;
        let (matrix, assembled) = assemble(cells, &all_items, &config.interactions);
        let pair =
            |user: usize, item: u32| (matrix.users.get(user).to_owned(), matrix.items.get(item as usize).to_owned());
        let mut out = Ingested {
            scan,
            left_out,
            assembled,
            cells: BTreeMap::new(),
            excluded: BTreeSet::new(),
            trains: BTreeSet::new(),
            users: matrix.users.iter().map(str::to_owned).collect(),
        };
        for user in 0..matrix.users.len() {
            let row = matrix.weights.row(user);
            out.cells.extend(row.items.iter().zip(row.weights).map(|(&item, &weight)| (pair(user, item), weight)));
            out.excluded.extend(matrix.excluded.columns(user).iter().map(|&item| pair(user, item)));
            if matrix.trains[user] {
                out.trains.insert(matrix.users.get(user).to_owned());
            }
        }
        Ok(out)
    })
}

/// Reads and aggregates on two threads.
pub(crate) fn ingest(config: &Config) -> Ingested {
    ingest_on(config, 2).unwrap()
}
