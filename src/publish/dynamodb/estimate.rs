//! What a publish would write, before it writes anything.

use serde::Serialize;

use super::{DynamoConfig, encode::Encoded};

/// Write units a second that a new table on demand takes.
const NEW_TABLE_UNITS: f64 = 4_000.0;
/// A GB as AWS bills it.
const GB: f64 = 1_073_741_824.0;

/// Sizes of the rows that would be written.
#[derive(Debug, Clone, Default)]
pub struct Estimate {
    sizes: Vec<u32>,
    write_units: u64,
    /// Rows that stay as they lie.
    pub(super) n_kept: u64,
    /// Rows that mark leavers; they are among those written.
    pub(super) n_gone: u64,
}

/// An estimate in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EstimateSummary {
    /// Rows to write.
    pub rows: u64,
    /// Rows that stay as they lie, because they did not change.
    pub kept: u64,
    /// Rows, among those to write, that mark keys which have no list any more.
    pub gone: u64,
    /// Bytes to write.
    pub bytes: u64,
    /// Half of the rows have at most so many bytes.
    pub bytes_p50: u32,
    /// 99 % of the rows have at most so many bytes.
    pub bytes_p99: u32,
    /// Write units.
    pub write_units: u64,
    /// Minutes at the configured rate, or at what a new table takes.
    pub minutes: f64,
    /// US dollars for writing.
    pub dollars: f64,
    /// US dollars a month for keeping these bytes.
    pub dollars_a_month: f64,
}

impl Estimate {
    pub(super) fn add(&mut self, row: &Encoded) {
        self.sizes.push(u32::try_from(row.n_bytes).unwrap_or(u32::MAX));
        self.write_units += u64::from(row.write_units());
    }

    /// The numbers, at a config's rate and prices.
    #[must_use]
    pub fn summary(&self, config: &DynamoConfig) -> EstimateSummary {
        let mut sizes = self.sizes.clone();
        let mut at = |share: f64| {
            let rank = ((sizes.len() as f64 * share).ceil() as usize).clamp(1, sizes.len().max(1)) - 1;
            if sizes.is_empty() { 0 } else { *sizes.select_nth_unstable(rank).1 }
        };
        let (bytes_p50, bytes_p99) = (at(0.5), at(0.99));
        let bytes = sizes.iter().map(|size| u64::from(*size)).sum::<u64>();
        let rate = if config.max_write_units > 0 { f64::from(config.max_write_units) } else { NEW_TABLE_UNITS };
        EstimateSummary {
            rows: sizes.len() as u64,
            kept: self.n_kept,
            gone: self.n_gone,
            bytes,
            bytes_p50,
            bytes_p99,
            write_units: self.write_units,
            minutes: self.write_units as f64 / rate / 60.0,
            dollars: self.write_units as f64 * config.prices.million_write_units / 1e6,
            dollars_a_month: bytes as f64 / GB * config.prices.gb_month,
        }
    }
}
