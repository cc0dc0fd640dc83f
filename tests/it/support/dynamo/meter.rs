//! What the server saw, and what a table's write units allow.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use serde_json::Value;

/// Counts since the server's start, or since they were last taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// By operation, failed ones included.
    pub(crate) requests: BTreeMap<String, u64>,
    /// Faults by name.
    pub(crate) injected: BTreeMap<&'static str, u64>,
    /// Items that batches put or deleted, each time that they did.
    pub(crate) items_written: u64,
    /// Write units by the moment at which they were consumed.
    pub(crate) units: Vec<(Instant, u64)>,
    /// By key: in how many requests it came.
    pub(crate) attempts: HashMap<(String, String), u32>,
    /// The largest batch.
    pub(crate) largest_batch: usize,
}

impl Seen {
    /// Requests of one operation.
    pub(crate) fn requests_of(&self, operation: &str) -> u64 {
        self.requests.get(operation).copied().unwrap_or(0)
    }

    /// Faults of one name.
    pub(crate) fn injected_of(&self, name: &str) -> u64 {
        self.injected.get(name).copied().unwrap_or(0)
    }

    /// All faults.
    pub(crate) fn n_injected(&self) -> u64 {
        self.injected.values().sum()
    }

    /// The most requests in which one item came.
    pub(crate) fn most_attempts(&self) -> u32 {
        self.attempts.values().copied().max().unwrap_or(0)
    }

    /// Write units a second: the most in any window of a second, and the mean from the first to the last write.
    pub(crate) fn rate(&self) -> (f64, f64) {
        let window = Duration::from_secs(1);
        let (mut first, mut inside, mut most) = (0, 0, 0);
        for &(at, units) in &self.units {
            inside += units;
            while at - self.units[first].0 >= window {
                inside -= self.units[first].1;
                first += 1;
            }
            most = most.max(inside);
        }
        let (Some(start), Some(end)) = (self.units.first(), self.units.last()) else { return (0.0, 0.0) };
        let total: u64 = self.units.iter().map(|(_, units)| units).sum();
        (most as f64, total as f64 / (end.0 - start.0).as_secs_f64())
    }
}

/// Write units of a table: full at the start, refilled steadily, two seconds' worth at most.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    left: f64,
    filled_at: Instant,
}

impl Bucket {
    pub(super) fn new(per_second: f64) -> Self {
        Self { per_second, left: 2.0 * per_second, filled_at: Instant::now() }
    }

    /// Takes units when there are any.
    pub(super) fn take(&mut self, units: u64) -> bool {
        let now = Instant::now();
        let gained = self.per_second * (now - self.filled_at).as_secs_f64();
        self.left = (self.left + gained).min(2.0 * self.per_second);
        self.filled_at = now;
        if self.left <= 0.0 {
            return false;
        }
        self.left -= units as f64;
        true
    }
}

/// Write units of an item: one for each KB that it starts.
pub(super) fn write_units(item: &Value) -> u64 {
    let size: usize = item.as_object().into_iter().flatten().map(|(name, value)| name.len() + size_of(value)).sum();
    size.div_ceil(1024).max(1) as u64
}

/// Bytes of a value, as DynamoDB counts them.
fn size_of(value: &Value) -> usize {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else { return 0 };
    let text = || inner.as_str().unwrap_or("");
    match kind.as_str() {
        "S" => text().len(),
        // A byte for two digits, zeros at both ends left out.
        "N" => text().trim_start_matches('-').replace('.', "").trim_matches('0').len().div_ceil(2) + 1,
        "B" => text().len() / 4 * 3,
        "L" => 3 + inner.as_array().into_iter().flatten().map(|part| 1 + size_of(part)).sum::<usize>(),
        "M" => {
            let parts = inner.as_object().into_iter().flatten();
            3 + parts.map(|(name, part)| 1 + name.len() + size_of(part)).sum::<usize>()
        }
        "SS" | "NS" | "BS" => {
            inner.as_array().into_iter().flatten().map(|part| part.as_str().unwrap_or("").len()).sum()
        }
        _ => 1,
    }
}
