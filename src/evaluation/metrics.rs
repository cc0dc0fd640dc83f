//! The metrics of one list, each with its formula.

use serde::{Deserialize, Serialize};

/// A metric of one user's list, cut at k.
///
/// In the formulas R is the set of the user's relevant items, |R| its size, rel(r) is 1 when the item at rank r (from 1)
/// is relevant and 0 otherwise, hits(k) the sum of rel(r) for r up to k. A list shorter than k has no hits after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Formula: recall@k = hits(k) / |R|.
    Recall,
    /// Formula: recall_capped@k = hits(k) / min(k, |R|): 1 for the best list that k places allow.
    RecallCapped,
    /// Formula: precision@k = hits(k) / k, also where the list is shorter.
    Precision,
    /// Formula: ndcg@k = DCG(k) / IDCG(k), DCG(k) = sum over r = 1..k of rel(r) / log2(r + 1), IDCG(k) = sum over
    /// r = 1..min(k, |R|) of 1 / log2(r + 1).
    Ndcg,
    /// Formula: map@k is the mean over users of AP@k = (1 / |R|) * sum over r = 1..k of rel(r) * hits(r) / r.
    Map,
    /// Formula: mrr@k is the mean over users of 1 / (rank of the first hit), 0 without a hit up to k.
    Mrr,
    /// Formula: hit_rate@k is the share of users with hits(k) > 0.
    HitRate,
}

impl Metric {
    /// Every metric, in the order of tables and of [`UserValues`](super::UserValues).
    pub const ALL: [Self; 7] =
        [Self::Recall, Self::RecallCapped, Self::Precision, Self::Ndcg, Self::Map, Self::Mrr, Self::HitRate];

    /// The name in tables, configs and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Recall => "recall",
            Self::RecallCapped => "recall_capped",
            Self::Precision => "precision",
            Self::Ndcg => "ndcg",
            Self::Map => "map",
            Self::Mrr => "mrr",
            Self::HitRate => "hit_rate",
        }
    }
}

/// Discounts by rank, computed once.
#[derive(Debug, Clone)]
pub struct Gains {
    /// By rank - 1: 1 / log2(rank + 1).
    discounts: Vec<f64>,
    /// By number of places: their sum.
    ideal: Vec<f64>,
}

impl Gains {
    /// Discounts of the ranks 1 to `max_k`.
    #[must_use]
    pub fn new(max_k: usize) -> Self {
        let discounts: Vec<f64> = (1..=max_k).map(|rank| 1.0 / (rank as f64 + 1.0).log2()).collect();
        let mut ideal = vec![0.0];
        for discount in &discounts {
            ideal.push(ideal[ideal.len() - 1] + discount);
        }
        Self { discounts, ideal }
    }

    /// Writes the metrics of one list at each of `ks`.
    ///
    /// Shapes: `list` best first; `relevant` ascending; `out` is `ks.len()` x [`Metric::ALL`], row-major. `ks` are at
    /// most the number of ranks there are discounts for.
    /// Returns: zeros where nothing is relevant.
    pub fn measure(&self, list: &[u32], relevant: &[u32], ks: &[usize], out: &mut [f64]) {
        out.fill(0.0);
        if relevant.is_empty() {
            return;
        }
        let longest = ks.iter().copied().max().unwrap_or(0).min(list.len());
        let (mut hits, mut dcg, mut precisions, mut first) = (0usize, 0.0f64, 0.0f64, 0usize);
        let n_relevant = relevant.len() as f64;
        // Between two hits nothing changes, so the values at k are those after the last hit up to k.
        let mut write = |from: usize, to: usize, hits: usize, dcg: f64, precisions: f64, first: usize| {
            for (&k, out) in ks.iter().zip(out.chunks_exact_mut(Metric::ALL.len())) {
                if k < from || k >= to || hits == 0 {
                    continue;
                }
                let places = k.min(relevant.len());
                out[Metric::Recall as usize] = hits as f64 / n_relevant;
                out[Metric::RecallCapped as usize] = hits as f64 / places as f64;
                out[Metric::Precision as usize] = hits as f64 / k as f64;
                out[Metric::Ndcg as usize] = dcg / self.ideal[places];
                out[Metric::Map as usize] = precisions / n_relevant;
                out[Metric::Mrr as usize] = 1.0 / first as f64;
                out[Metric::HitRate as usize] = 1.0;
            }
        };
        let mut since = 1;
        for (at, item) in list[..longest].iter().enumerate() {
            if relevant.binary_search(item).is_err() {
                continue;
            }
            let rank = at + 1;
            write(since, rank, hits, dcg, precisions, first);
            since = rank;
            hits += 1;
            first = if first == 0 { rank } else { first };
            dcg += self.discounts[at];
            precisions += hits as f64 / rank as f64;
        }
        write(since, usize::MAX, hits, dcg, precisions, first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(list: &[u32], relevant: &[u32], k: usize) -> [f64; 7] {
        let mut out = [9.0; 7];
        Gains::new(k).measure(list, relevant, &[k], &mut out);
        out
    }

    fn close(found: [f64; 7], expected: [f64; 7]) {
        for ((metric, found), expected) in Metric::ALL.iter().zip(found).zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{metric:?}: {found} instead of {expected}");
        }
    }

    #[test]
    fn hand_worked_lists() {
        // Relevant 1, 3, 8; the list hits at ranks 2 and 3. 1/log2(3) = 0.6309297535714575, 1/log2(4) = 0.5.
        let d2 = 0.630_929_753_571_457_5;
        let (list, relevant) = ([7, 3, 1, 5], [1, 3, 8]);
        close(at(&list, &relevant, 1), [0.0; 7]);
        // k = 2: one hit of three; the ideal has two places: 1 + d2. AP = (1/2) / 3.
        close(at(&list, &relevant, 2), [1.0 / 3.0, 0.5, 0.5, d2 / (1.0 + d2), 0.5 / 3.0, 0.5, 1.0]);
        // k = 3: two hits; AP = (1/2 + 2/3) / 3.
        let ideal = 1.0 + d2 + 0.5;
        let k3 = [2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, (d2 + 0.5) / ideal, (0.5 + 2.0 / 3.0) / 3.0, 0.5, 1.0];
        close(at(&list, &relevant, 3), k3);
        // k beyond the list: precision still divides by k, the rest stays.
        close(at(&list, &relevant, 10), [k3[0], k3[1], 0.2, k3[3], k3[4], 0.5, 1.0]);
    }

    #[test]
    fn the_best_list_has_one_everywhere_and_the_empty_one_nothing() {
        close(at(&[1, 2], &[1, 2], 2), [1.0; 7]);
        close(at(&[2, 1], &[1, 2], 2), [1.0; 7]);
        close(at(&[], &[1, 2], 2), [0.0; 7]);
        close(at(&[4, 5], &[1, 2], 2), [0.0; 7]);
        close(at(&[4, 5], &[], 2), [0.0; 7]);
        // More relevant items than places: capped recall and ndcg are one, recall and map are not.
        close(at(&[2, 1], &[1, 2, 3, 4], 2), [0.5, 1.0, 1.0, 1.0, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn many_k_at_once_in_any_order_are_the_same_as_one_by_one() {
        let (list, relevant) = ([9, 2, 8, 4, 6, 1, 3], [1, 2, 3, 4, 11]);
        let ks = [7, 1, 3, 20, 2];
        let mut together = vec![0.0; ks.len() * 7];
        Gains::new(20).measure(&list, &relevant, &ks, &mut together);
        for (k, found) in ks.iter().zip(together.chunks_exact(7)) {
            assert_eq!(found, at(&list, &relevant, *k), "k = {k}");
        }
    }
}
