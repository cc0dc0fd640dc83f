//! Which requests fetch a set of byte ranges: neighbours together, giants in parts.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Ranges nearer than this are fetched by one request: at 100 MB/s a request's round trip costs about as much as
/// reading 1 MiB.
const GAP_BYTES: u64 = 1 << 20;

/// A request fetches at most this much, so that a large range comes over several connections.
pub(super) const PART_BYTES: u64 = 8 << 20;

/// The requests for some ranges, and how the answers make up the ranges.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Ascending, disjoint, none empty, none above [`PART_BYTES`].
    pub(super) parts: Vec<Range<u64>>,
}

impl Plan {
    /// Plans the requests for `ranges`, in any order and overlapping at will.
    pub(super) fn new(ranges: &[Range<u64>]) -> Self {
        Self::with_sizes(ranges, GAP_BYTES, PART_BYTES)
    }

    fn with_sizes(ranges: &[Range<u64>], gap_bytes: u64, part_bytes: u64) -> Self {
        let mut sorted: Vec<&Range<u64>> = ranges.iter().filter(|range| !range.is_empty()).collect();
        sorted.sort_unstable_by_key(|range| (range.start, range.end));
        let mut runs: Vec<Range<u64>> = Vec::new();
        for range in sorted {
            match runs.last_mut() {
                Some(run) if range.start <= run.end.saturating_add(gap_bytes) => run.end = run.end.max(range.end),
                _ => runs.push(range.clone()),
            }
        }
        let mut parts = Vec::new();
        for run in runs {
            let mut start = run.start;
            while start < run.end {
                let end = run.end.min(start.saturating_add(part_bytes));
                parts.push(start..end);
                start = end;
            }
        }
        Self { parts }
    }

    /// The bytes of `range`, one of the planned ranges, out of the parts' answers.
    ///
    /// Cost: nothing when the range lies within one part, else one copy.
    pub(super) fn slice(&self, answers: &[Bytes], range: &Range<u64>) -> Bytes {
        if range.is_empty() {
            return Bytes::new();
        }
        let first = self.parts.partition_point(|part| part.end <= range.start);
        let within = |part: &Range<u64>| {
            let start = range.start.max(part.start) - part.start;
            let end = range.end.min(part.end) - part.start;
            start as usize..end as usize
        };
        if range.end <= self.parts[first].end {
            return answers[first].slice(within(&self.parts[first]));
        }
        let mut whole = BytesMut::with_capacity((range.end - range.start) as usize);
        for (part, answer) in self.parts[first..].iter().zip(&answers[first..]) {
            if part.start >= range.end {
                break;
            }
            whole.extend_from_slice(&answer[within(part)]);
        }
        whole.freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn neighbours_join_and_giants_split() {
        let plan = Plan::new(&[5 * MIB..6 * MIB, 0..100, 100..200, 6 * MIB + 10..6 * MIB + 20, 50..60, 9..9]);
        assert_eq!(plan.parts, [0..200, 5 * MIB..6 * MIB + 20]);
        let plan = Plan::new(std::slice::from_ref(&(MIB..18 * MIB)));
        assert_eq!(plan.parts, [MIB..9 * MIB, 9 * MIB..17 * MIB, 17 * MIB..18 * MIB]);
        assert_eq!(Plan::new(&[]).parts, []);
    }

    #[test]
    fn the_gap_is_where_it_is_said_to_be() {
        assert_eq!(Plan::new(&[0..1, MIB + 1..MIB + 2]).parts.len(), 1);
        assert_eq!(Plan::new(&[0..1, MIB + 2..MIB + 3]).parts.len(), 2);
    }

    proptest! {
        #[test]
        fn every_range_comes_back_as_asked(asked in prop::collection::vec((0u64..300, 0u64..130), 0..6)) {
            let ranges: Vec<_> = asked.iter().map(|&(start, len)| start..start + len).collect();
            let plan = Plan::with_sizes(&ranges, 10, 80);
            let answers: Vec<Bytes> =
                plan.parts.iter().map(|part| part.clone().map(|at| at as u8).collect()).collect();
            prop_assert!(plan.parts.iter().all(|part| !part.is_empty() && part.end - part.start <= 80));
            for (before, after) in plan.parts.iter().zip(plan.parts.iter().skip(1)) {
                prop_assert!(before.end <= after.start);
            }
            for range in &ranges {
                let wanted: Vec<u8> = range.clone().map(|at| at as u8).collect();
                prop_assert_eq!(plan.slice(&answers, range), wanted);
            }
        }
    }
}
