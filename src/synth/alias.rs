//! Drawing from fixed weights in constant time.

/// A table that draws `i` with probability `weights[i] / sum`.
///
/// Cost: 8 bytes an entry, one random word and one look-up a draw. Source: Walker's alias method in Vose's form (1991).
#[derive(Debug, Clone)]
pub(crate) struct Alias {
    columns: Vec<Column>,
}

/// Below `keep` the column's own number, from there on `other`.
#[derive(Debug, Clone, Copy)]
struct Column {
    keep: u32,
    other: u32,
}

impl Alias {
    /// A table for `weights`: finite, at least 0; `None` when they sum to 0.
    pub(crate) fn new(weights: &[f64]) -> Option<Self> {
        let total: f64 = weights.iter().sum();
        if total <= 0.0 {
            return None;
        }
        let n = weights.len();
        let mut scaled: Vec<f64> = weights.iter().map(|weight| weight * n as f64 / total).collect();
        let mut columns: Vec<Column> = (0..n).map(|i| Column { keep: u32::MAX, other: i as u32 }).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) = (0..n as u32).partition(|&i| scaled[i as usize] < 1.0);
        while let (Some(&less), Some(&more)) = (small.last(), large.last()) {
            small.pop();
            let (less_at, more_at) = (less as usize, more as usize);
            columns[less_at] = Column { keep: (scaled[less_at] * 2f64.powi(32)) as u32, other: more };
            scaled[more_at] -= 1.0 - scaled[less_at];
            if scaled[more_at] < 1.0 {
                large.pop();
                small.push(more);
            }
        }
        // What rounding leaves over keeps its own number, unless it weighs nothing.
        if let Some(heaviest) = (0..n).max_by(|&a, &b| weights[a].total_cmp(&weights[b])) {
            for i in small {
                if weights[i as usize] == 0.0 {
                    columns[i as usize] = Column { keep: 0, other: heaviest as u32 };
                }
            }
        }
        Some(Self { columns })
    }

    /// The number that the random `word` stands for.
    #[inline]
    pub(crate) fn pick(&self, word: u64) -> usize {
        // The upper half of the word chooses the column, the lower half the side.
        let at = (((word >> 32) * self.columns.len() as u64) >> 32) as usize;
        let column = self.columns[at];
        if (word as u32) < column.keep { at } else { column.other as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::random::{Name, Stream};

    #[test]
    fn draws_in_proportion_and_never_what_weighs_nothing() {
        let weights = [4.0, 0.0, 1.0, 0.5, 2.5, 0.0];
        let table = Alias::new(&weights).unwrap();
        let mut stream = Stream::new(5, Name::new("test"), 0, 0);
        let mut counts = [0_u32; 6];
        for _ in 0..80_000 {
            counts[table.pick(stream.word())] += 1;
        }
        assert_eq!((counts[1], counts[5]), (0, 0));
        for (count, weight) in counts.iter().zip(weights) {
            assert!((f64::from(*count) - weight * 10_000.0).abs() < 600.0, "{counts:?}");
        }
    }

    #[test]
    fn no_weight_no_table() {
        assert!(Alias::new(&[]).is_none());
        assert!(Alias::new(&[0.0, 0.0]).is_none());
        assert_eq!(Alias::new(&[3.0]).unwrap().pick(u64::MAX), 0);
    }
}
