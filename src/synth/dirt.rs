//! What goes wrong between a shopper and the log.

use super::{
    config::Config,
    random::{Name, Stream},
};

const DIRT: Name = Name::new("dirt");

/// Event types that nobody announced.
pub(crate) const UNKNOWN_TYPES: [&str; 5] = ["hover", "impression", "add_to_wishlist", "PAGE_VIEW", "undefined"];

/// What is wrong with a row; at most one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dirt {
    Clean,
    NullUser,
    NullItem,
    /// Number into [`UNKNOWN_TYPES`].
    UnknownType(u8),
    /// Days after the log's last day.
    Future(u16),
}

/// How often what goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DirtLaws {
    seed: u64,
    /// Chances of the first, of the first two, and so on, as parts of 2^32.
    until: [u64; 4],
}

/// Duplicates are sent again up to so much later.
const RETRY_MS: u64 = 30_000;

impl DirtLaws {
    pub(crate) fn new(config: &Config) -> Self {
        // Rates are of all rows; duplicates are copies of clean ones and have no dirt of their own.
        let rows = 1.0 - config.duplicate_rate;
        let mut sum = 0.0;
        let rates = [config.null_user_rate, config.null_item_rate, config.unknown_type_rate, config.future_rate];
        let until = rates.map(|rate| {
            sum += rate / rows;
            (sum.min(1.0) * 2f64.powi(32)) as u64
        });
        Self { seed: config.seed, until }
    }

    /// The stream of a row group.
    pub(crate) fn stream(&self, day: u32, group: u32) -> Stream {
        Stream::new(self.seed, DIRT, day.into(), group.into())
    }

    /// Draws what is wrong with the next row.
    #[inline]
    pub(crate) fn draw(&self, stream: &mut Stream) -> Dirt {
        let word = stream.word();
        let at = word >> 32;
        if at >= self.until[3] {
            return Dirt::Clean;
        }
        let rest = word & 0xFFFF_FFFF;
        match self.until.partition_point(|&until| until <= at) {
            0 => Dirt::NullUser,
            1 => Dirt::NullItem,
            2 => Dirt::UnknownType((rest % UNKNOWN_TYPES.len() as u64) as u8),
            _ => Dirt::Future(1 + (rest % 365) as u16),
        }
    }
}

/// Chooses `n` clean rows to be written twice, and when; makes one clean if none is.
///
/// Returns: pairs of (delay in ms, row), in the order of the draw; a row may come more than once.
pub(crate) fn duplicates(dirt: &mut [Dirt], n: u32, stream: &mut Stream) -> Vec<(u32, u32)> {
    if n > 0 && dirt.iter().all(|dirt| *dirt != Dirt::Clean) {
        dirt[0] = Dirt::Clean;
    }
    let choose = |_| {
        let mut row = stream.below(dirt.len() as u64) as usize;
        while dirt[row] != Dirt::Clean {
            row = (row + 1) % dirt.len();
        }
        (stream.below(RETRY_MS) as u32, row as u32)
    };
    (0..n).map(choose).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_comes_at_its_rate() {
        let config = Config {
            null_user_rate: 0.1,
            null_item_rate: 0.05,
            unknown_type_rate: 0.02,
            future_rate: 0.01,
            duplicate_rate: 0.0,
            ..Config::default()
        };
        let laws = DirtLaws::new(&config);
        let mut stream = laws.stream(0, 0);
        let mut counts = [0_u32; 5];
        for _ in 0..100_000 {
            match laws.draw(&mut stream) {
                Dirt::Clean => counts[0] += 1,
                Dirt::NullUser => counts[1] += 1,
                Dirt::NullItem => counts[2] += 1,
                Dirt::UnknownType(word) => {
                    assert!(usize::from(word) < UNKNOWN_TYPES.len());
                    counts[3] += 1;
                }
                Dirt::Future(days) => {
                    assert!((1..=365).contains(&days));
                    counts[4] += 1;
                }
            }
        }
        for (count, expected) in counts.iter().zip([82_000_u32, 10_000, 5_000, 2_000, 1_000]) {
            assert!(count.abs_diff(expected) < 500, "{counts:?}");
        }
    }

    #[test]
    fn only_clean_rows_are_repeated() {
        let mut stream = Stream::new(1, DIRT, 0, 0);
        let mut dirt = [Dirt::NullUser, Dirt::Clean, Dirt::NullItem, Dirt::Clean];
        let chosen = duplicates(&mut dirt, 50, &mut stream);
        assert!(chosen.len() == 50 && chosen.iter().all(|&(_, row)| row == 1 || row == 3));
        let mut dirt = [Dirt::NullUser; 3];
        assert_eq!(duplicates(&mut dirt, 1, &mut stream).len(), 1);
        assert_eq!(dirt[0], Dirt::Clean);
        assert!(duplicates(&mut [], 0, &mut stream).is_empty());
    }
}
