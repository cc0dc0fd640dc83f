//! From the candidates of all buckets to one list: ranks, and the size limit.

use std::{cmp::Ordering, collections::BinaryHeap};

use super::Funnel;
use crate::recommendations::Arm;

/// What the merge looks at of a candidate.
pub trait Ranked {
    /// The user's id.
    fn user(&self) -> &str;
    /// His score.
    fn score(&self) -> f32;
    /// His arm.
    fn arm(&self) -> Arm;
}

/// Candidates of one bucket, score descending, then user id.
pub trait Stream {
    /// What it yields.
    type Row: Ranked;
    /// What can go wrong.
    type Error;

    /// The next one, `None` at the end.
    ///
    /// # Errors
    /// When it cannot be read.
    fn next(&mut self) -> Result<Option<Self::Row>, Self::Error>;
}

struct Head<R> {
    row: R,
    stream: usize,
}

impl<R: Ranked> Head<R> {
    /// Greatest first: score descending, then user id ascending.
    fn order(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.row, &other.row);
        a.score().total_cmp(&b.score()).then_with(|| b.user().cmp(a.user())).then(other.stream.cmp(&self.stream))
    }
}

impl<R: Ranked> PartialEq for Head<R> {
    fn eq(&self, other: &Self) -> bool {
        self.order(other).is_eq()
    }
}

impl<R: Ranked> Eq for Head<R> {}

impl<R: Ranked> PartialOrd for Head<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Ranked> Ord for Head<R> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order(other)
    }
}

/// Merges the buckets' candidates: tells `take` of every member with his rank, from 1, best first, and counts into `funnel`.
///
/// `size` people are written to at most. The cut is one rank for both arms: whoever is held out is a member where he
/// stands above the last one written to, so the arms reach equally deep.
///
/// Determinism: score descending, then user id; the order of the buckets does not matter, since no user is in two.
/// Cost: one row of each bucket at a time.
///
/// # Errors
/// The first that a stream or `take` returns.
pub fn merge<S: Stream>(
    mut streams: Vec<S>,
    size: Option<u64>,
    funnel: &mut Funnel,
    mut take: impl FnMut(u32, S::Row) -> Result<(), S::Error>,
) -> Result<(), S::Error> {
    let mut heads = BinaryHeap::with_capacity(streams.len());
    for (number, stream) in streams.iter_mut().enumerate() {
        heads.extend(stream.next()?.map(|row| Head { row, stream: number }));
    }
    let mut rank = 0u32;
    while let Some(Head { row, stream }) = heads.pop() {
        heads.extend(streams[stream].next()?.map(|row| Head { row, stream }));
        if size.is_some_and(|size| funnel.send >= size) {
            funnel.size += 1;
            continue;
        }
        match row.arm() {
            Arm::Send => funnel.send += 1,
            Arm::Holdout => funnel.holdout += 1,
        }
        rank += 1;
        take(rank, row)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Row(String, f32, Arm);

    impl Ranked for Row {
        fn user(&self) -> &str {
            &self.0
        }
        fn score(&self) -> f32 {
            self.1
        }
        fn arm(&self) -> Arm {
            self.2
        }
    }

    struct Rows(std::vec::IntoIter<Row>);

    impl Stream for Rows {
        type Row = Row;
        type Error = Infallible;
        fn next(&mut self) -> Result<Option<Row>, Infallible> {
            Ok(self.0.next())
        }
    }

    fn naive(mut all: Vec<Row>, size: Option<u64>) -> Vec<Row> {
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut n_send = 0;
        all.retain(|row| {
            if size.is_some_and(|size| n_send >= size) {
                return false;
            }
            n_send += u64::from(row.2 == Arm::Send);
            true
        });
        all
    }

    proptest! {
        #[test]
        fn merging_is_sorting_and_cutting(
            rows in prop::collection::vec((0u8..5, any::<bool>()), 0..60),
            n_buckets in 1usize..6,
            size in prop::option::of(0u64..20),
        ) {
            let arm = |held: bool| if held { Arm::Holdout } else { Arm::Send };
            let all: Vec<Row> = rows.iter().enumerate()
                .map(|(n, &(score, held))| Row(format!("u{n:03}"), f32::from(score), arm(held))).collect();
            let mut buckets = vec![Vec::new(); n_buckets];
            for (n, row) in all.iter().enumerate() {
                buckets[n * 7 % n_buckets].push(row.clone());
            }
            for bucket in &mut buckets {
                bucket.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            }
            let streams = buckets.into_iter().map(|bucket| Rows(bucket.into_iter())).collect();
            let mut funnel = Funnel { matched: all.len() as u64, ..Funnel::default() };
            let mut taken = Vec::new();
            merge(streams, size, &mut funnel, |rank, row| {
                taken.push(row);
                assert_eq!(rank as usize, taken.len());
                Ok(())
            }).unwrap();
            prop_assert_eq!(&taken, &naive(all, size));
            prop_assert_eq!(funnel.matched, funnel.send + funnel.holdout + funnel.size);
            prop_assert_eq!(funnel.send + funnel.holdout, taken.len() as u64);
        }
    }
}
