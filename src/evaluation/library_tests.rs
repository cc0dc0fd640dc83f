//! Metrics against numbers that other libraries made.
//!
//! ranx 0.3.21: `evaluate(Qrels(qrels), Run(run), ["recall@3", "precision@3", "ndcg@3", "map@3", "mrr@3", "hit_rate@3", ...],
//! return_mean=False)`, relevant items with 1, the item at place p with score 100 - p. pytrec_eval-terrier 0.5.11 gives the
//! same 15 digits for `recall`, `P`, `ndcg_cut`, `map_cut` and `success` (all but mrr, which it does not cut).

use super::{Metric, RankedLists, UserValues};
use crate::interactions::Csr;

const LISTS: [&[u32]; 9] = [
    &[14, 17, 24, 22, 16, 18, 6, 5, 20, 15],
    &[3, 14, 9, 4, 2, 17, 1, 12, 23, 5],
    &[0, 16, 2, 1, 21, 6, 7, 24, 14, 10],
    &[21, 2, 14, 20, 8, 13, 17],
    &[7, 16, 9, 0, 2, 18, 3, 12, 19, 22],
    &[13, 2, 18],
    &[24, 21, 8, 10, 2, 9, 23, 0, 13, 3],
    &[0, 1, 14, 15, 5, 17, 6, 22, 16, 18],
    &[12, 13, 6, 0, 8, 18, 9, 21, 22, 5],
];

const RELEVANT: [&[u32]; 9] = [
    &[5, 19, 20],
    &[19],
    &[0, 6, 7, 9, 14, 15, 16, 18],
    &[2, 8, 10, 22, 24],
    &[0, 1, 2, 6, 11, 12, 15, 18, 19, 21, 22, 24],
    &[6, 20],
    &[3, 4, 7, 22],
    &[3, 4, 12, 13, 20, 23],
    &[12],
];

type Row = (Metric, usize, [f64; 9]);

#[rustfmt::skip]
const EXPECTED: [Row; 18] = [
    (Metric::Recall, 3, [0.0, 0.0, 0.25, 0.2, 0.0, 0.0, 0.0, 0.0, 1.0]),
    (Metric::Precision, 3, [0.0, 0.0, 0.666666666666667, 0.333333333333333, 0.0, 0.0, 0.0, 0.0, 0.333333333333333]),
    (Metric::Ndcg, 3, [0.0, 0.0, 0.765360636988622, 0.296081910965865, 0.0, 0.0, 0.0, 0.0, 1.0]),
    (Metric::Map, 3, [0.0, 0.0, 0.25, 0.1, 0.0, 0.0, 0.0, 0.0, 1.0]),
    (Metric::Mrr, 3, [0.0, 0.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 1.0]),
    (Metric::HitRate, 3, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]),
    (Metric::Recall, 5, [0.0, 0.0, 0.25, 0.4, 0.166666666666667, 0.0, 0.0, 0.0, 1.0]),
    (Metric::Precision, 5, [0.0, 0.0, 0.4, 0.4, 0.4, 0.0, 0.0, 0.0, 0.2]),
    (Metric::Ndcg, 5, [0.0, 0.0, 0.553146470008144, 0.345191342246869, 0.277273427355048, 0.0, 0.0, 0.0, 1.0]),
    (Metric::Map, 5, [0.0, 0.0, 0.25, 0.18, 0.054166666666667, 0.0, 0.0, 0.0, 1.0]),
    (Metric::Mrr, 5, [0.0, 0.0, 1.0, 0.5, 0.25, 0.0, 0.0, 0.0, 1.0]),
    (Metric::HitRate, 5, [0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0]),
    (Metric::Recall, 10, [0.666666666666667, 0.0, 0.625, 0.4, 0.5, 0.0, 0.25, 0.0, 1.0]),
    (Metric::Precision, 10, [0.2, 0.0, 0.5, 0.2, 0.6, 0.0, 0.1, 0.0, 0.1]),
    (Metric::Ndcg, 10, [0.289307928342762, 0.0, 0.66308936351819, 0.345191342246869, 0.457635984579965, 0.0, 0.112845141348935, 0.0, 1.0]),
    (Metric::Map, 10, [0.115740740740741, 0.0, 0.453373015873016, 0.18, 0.233796296296296, 0.0, 0.025, 0.0, 1.0]),
    (Metric::Mrr, 10, [0.125, 0.0, 1.0, 0.5, 0.25, 0.0, 0.1, 0.0, 1.0]),
    (Metric::HitRate, 10, [1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0]),
];

#[test]
fn metrics_are_those_of_ranx_and_trec_eval() {
    let mut lists = RankedLists { offsets: vec![0], ..RankedLists::default() };
    let mut relevant = Csr { indptr: vec![0], n_cols: 25, ..Csr::default() };
    for (list, own) in LISTS.iter().zip(RELEVANT) {
        lists.items.extend_from_slice(list);
        lists.offsets.push(lists.items.len());
        relevant.indices.extend_from_slice(own);
        relevant.indptr.push(relevant.indices.len());
    }
    let ks = [10, 3, 5];
    let found = UserValues::measure(&lists, &relevant, &ks);
    for (metric, k, expected) in EXPECTED {
        let k_at = ks.iter().position(|other| *other == k).unwrap();
        for (user, expected) in expected.into_iter().enumerate() {
            let value = found.get(user, k_at, metric);
            assert!((value - expected).abs() < 1e-14, "{metric:?}@{k} of user {user}: {value} instead of {expected}");
        }
        let mean = expected.iter().sum::<f64>() / 9.0;
        assert!((found.mean(0..9, k_at, metric) - mean).abs() < 1e-14);
    }
}
