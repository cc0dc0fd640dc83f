//! From counts to the curves of the page.
//!
//! Integer sums, so that the numbers do not depend on the order of the counts.

use super::data::{Coverage, Histogram, LongTail, LorenzPoint, RankPoint, Scores};

/// Points of the popularity curve for each power of ten.
const POINTS_PER_DECADE: u32 = 16;

impl LongTail {
    /// The popularity curve of items with `users` distinct users each, in any order.
    ///
    /// Returns: no points when nobody touched an item.
    /// Cost: sorts `users`.
    #[must_use]
    pub fn from_counts(mut users: Vec<u64>) -> Self {
        users.sort_unstable_by(|a, b| b.cmp(a));
        let total: u128 = users.iter().map(|&n| u128::from(n)).sum();
        let share = |of: usize| {
            let head: u128 = users[..users.len().div_ceil(of)].iter().map(|&n| u128::from(n)).sum();
            if total == 0 { 0.0 } else { head as f64 / total as f64 }
        };
        let touched = users.partition_point(|&n| n > 0);
        let points = log_ranks(touched).map(|rank| RankPoint { rank: rank as u64, users: users[rank - 1] }).collect();
        Self { points, n_items: users.len() as u64, top_1_percent_share: share(100), top_10_percent_share: share(10) }
    }
}

/// Ranks from 1 to `last`, evenly spread on a logarithmic axis, ends included.
fn log_ranks(last: usize) -> impl Iterator<Item = usize> {
    let n_steps = ((last.max(1) as f64).log10() * f64::from(POINTS_PER_DECADE)).ceil() as u32;
    let mut previous = 0;
    (0..=n_steps).filter_map(move |step| {
        let rank = 10_f64.powf(f64::from(step) / f64::from(POINTS_PER_DECADE)).round() as usize;
        let rank = if step == n_steps { last } else { rank.min(last) };
        let higher = rank > previous;
        previous = previous.max(rank);
        higher.then_some(rank)
    })
}

impl Histogram {
    /// Bins that double: 1, 2 to 3, 4 to 7, ... Zeros are left out.
    ///
    /// Returns: no bins without values above zero.
    #[must_use]
    pub fn log2(values: impl IntoIterator<Item = u64>) -> Self {
        let mut values: Vec<u64> = values.into_iter().filter(|&value| value > 0).collect();
        let n_bins = values.iter().max().map_or(0, |most| most.ilog2() as usize + 1);
        let mut counts = vec![0_u64; n_bins];
        for value in &values {
            counts[value.ilog2() as usize] += 1;
        }
        let edges = if n_bins == 0 { Vec::new() } else { (0..=n_bins).map(|power| 2_f64.powi(power as i32)).collect() };
        let middle = values.len() / 2;
        let median = (!values.is_empty()).then(|| *values.select_nth_unstable(middle).1 as f64);
        Self { edges, counts, above: 0, median }
    }

    /// Scores in `n_bins` bins of one width: see [`Scores::from_lists`], which gives two histograms the same bins.
    #[must_use]
    pub fn of_scores(scores: &[f32], n_bins: usize) -> Self {
        Scores::from_lists(scores, &[], n_bins).top
    }

    /// Counts of ascending `values` between `edges`. What lies below the first edge is left out.
    fn between(values: &[f32], edges: &[f64]) -> Self {
        let Some((last, starts)) = edges.split_last() else { return Self::default() };
        let below = |edge: f64| values.partition_point(|&value| f64::from(value) < edge) as u64;
        let inside = values.partition_point(|&value| f64::from(value) <= *last) as u64;
        let starts: Vec<u64> = starts.iter().map(|&edge| below(edge)).chain([inside]).collect();
        let counts = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let median = values.get(values.len() / 2).map(|&value| f64::from(value));
        Self { edges: edges.to_vec(), counts, above: values.len() as u64 - inside, median }
    }
}

impl Scores {
    /// Scores of the lists' first and last items in `n_bins` bins of one width, the same for both.
    ///
    /// The bins reach from the lowest score of all to the 99.5th percentile of the first items'; the few above it, which
    /// would squeeze all others into a corner, are counted in `above`. NaN and infinite scores are left out.
    ///
    /// Returns: no bins without scores. Scores that are all alike get one bin around them.
    /// Cost: sorts copies of both.
    #[must_use]
    pub fn from_lists(first: &[f32], last: &[f32], n_bins: usize) -> Self {
        let (first, last) = (sorted(first), sorted(last));
        let reference = if first.is_empty() { &last } else { &first };
        let lowest = first.iter().chain(&last).copied().fold(f32::INFINITY, f32::min);
        let Some(&high) = reference.get((reference.len().saturating_sub(1) as f64 * 0.995).round() as usize) else {
            return Self::default();
        };
        let (low, high) = (f64::from(lowest), f64::from(high));
        let edges: Vec<f64> = if low < high {
            let width = (high - low) / n_bins.max(1) as f64;
            (0..n_bins.max(1)).map(|bin| low + width * bin as f64).chain([high]).collect()
        } else {
            let pad = (low.abs() * 0.05).max(1e-6);
            vec![low - pad, low + pad]
        };
        Self { top: Histogram::between(&first, &edges), kth: Histogram::between(&last, &edges) }
    }
}

/// The finite scores, ascending.
fn sorted(scores: &[f32]) -> Vec<f32> {
    let mut scores: Vec<f32> = scores.iter().copied().filter(|score| score.is_finite()).collect();
    scores.sort_unstable_by(f32::total_cmp);
    scores
}

impl Coverage {
    /// How evenly the lists show the items, beside how evenly the interactions touch them.
    ///
    /// Shapes: `places` = how many lists each item stands on, `interactions` = how many users touched it; both by
    /// `ItemIdx`.
    #[must_use]
    pub fn from_counts(places: &[u64], interactions: &[u64]) -> Self {
        let exposure = Sorted::new(places);
        let popularity = Sorted::new(interactions);
        Self {
            n_items: places.len() as u64,
            recommended_items: places.iter().filter(|&&n| n > 0).count() as u64,
            exposure_gini: exposure.gini(),
            popularity_gini: popularity.gini(),
            exposure: exposure.lorenz(),
            popularity: popularity.lorenz(),
        }
    }
}

/// Counts, ascending, with their sum.
struct Sorted {
    counts: Vec<u64>,
    total: u128,
}

impl Sorted {
    fn new(counts: &[u64]) -> Self {
        let mut counts = counts.to_vec();
        counts.sort_unstable();
        let total = counts.iter().map(|&n| u128::from(n)).sum();
        Self { counts, total }
    }

    /// Formula: G = sum_i (2 i - n - 1) x_i / (n sum_i x_i), x ascending, i from 1.
    ///
    /// Returns: 0 when there is nothing to share.
    fn gini(&self) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        let n = self.counts.len() as i128;
        let weighted: i128 = (1..).zip(&self.counts).map(|(i, &x)| (2 * i - n - 1) * i128::from(x)).sum();
        weighted as f64 / (n as f64 * self.total as f64)
    }

    /// The curve at every percent of the items, and finer within the last one, where it is steepest.
    fn lorenz(&self) -> Vec<LorenzPoint> {
        if self.total == 0 {
            return Vec::new();
        }
        let n = self.counts.len();
        let thousandths = (0..=990).step_by(10).chain(991..=1000);
        let mut points: Vec<LorenzPoint> = Vec::with_capacity(112);
        let (mut taken, mut sum) = (0_usize, 0_u128);
        for thousandth in thousandths {
            let upto = n * thousandth / 1000;
            sum += self.counts[taken..upto].iter().map(|&x| u128::from(x)).sum::<u128>();
            taken = upto;
            let point = LorenzPoint { items: upto as f64 / n as f64, total: sum as f64 / self.total as f64 };
            if points.last() != Some(&point) {
                points.push(point);
            }
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_distinct_ascending_and_hold_both_ends() {
        for last in [1, 2, 3, 9, 10, 17, 1_000, 123_457] {
            let ranks: Vec<usize> = log_ranks(last).collect();
            assert_eq!((ranks[0], *ranks.last().unwrap()), (1, last));
            assert!(ranks.windows(2).all(|pair| pair[0] < pair[1]), "{ranks:?}");
            assert!(ranks.len() <= 100);
        }
        assert_eq!(log_ranks(0).count(), 0);
    }

    #[test]
    fn the_long_tail_counts_shares_of_the_head() {
        let tail = LongTail::from_counts(vec![1, 0, 90, 1, 1, 1, 1, 1, 1, 3]);
        assert_eq!(tail.n_items, 10);
        assert_eq!((tail.top_1_percent_share, tail.top_10_percent_share), (0.9, 0.9));
        assert_eq!(tail.points[0], RankPoint { rank: 1, users: 90 });
        assert_eq!(tail.points.last(), Some(&RankPoint { rank: 9, users: 1 }));
        assert!(LongTail::from_counts(vec![0, 0]).points.is_empty());
        assert_eq!(LongTail::from_counts(Vec::new()).n_items, 0);
    }

    #[test]
    fn activity_bins_double() {
        let activity = Histogram::log2([1, 1, 2, 3, 4, 7, 8, 0]);
        assert_eq!(activity.edges, [1.0, 2.0, 4.0, 8.0, 16.0]);
        assert_eq!(activity.counts, [2, 2, 2, 1]);
        assert_eq!(activity.median, Some(3.0));
        assert_eq!(Histogram::log2([0]), Histogram::default());
        assert_eq!(Histogram::log2([u64::MAX]).counts.len(), 64);
    }

    #[test]
    fn score_bins_hold_every_finite_score_once() {
        let first: Vec<f32> = (0..1000).map(|at| at as f32 / 1000.0).chain([50.0, f32::NAN, f32::INFINITY]).collect();
        let last = [-1.0, 0.25, 0.25, 99.0];
        let Scores { top, kth } = Scores::from_lists(&first, &last, 20);
        assert_eq!((top.counts.len(), &top.edges), (20, &kth.edges));
        assert_eq!(top.counts.iter().sum::<u64>() + top.above, 1001);
        assert_eq!(kth.counts.iter().sum::<u64>() + kth.above, 4);
        assert!(top.above >= 1 && top.above < 10, "the outlier is not drawn: {}", top.above);
        assert_eq!((kth.counts[0], kth.above), (1, 1));
        let alone = Histogram::of_scores(&first, 20);
        assert_eq!((alone.edges[0], alone.counts[0]), (0.0, 50));
        assert!((top.median.unwrap() - 0.5).abs() < 1e-6);
    }

    #[test]
    fn scores_all_alike_or_absent() {
        let alike = Scores::from_lists(&[0.5; 7], &[0.5; 7], 10);
        assert_eq!((alike.top.edges.len(), alike.kth.counts.as_slice()), (2, &[7][..]));
        let negative = Scores::from_lists(&[-2.0], &[-2.0], 10).top;
        assert!(negative.edges[0] < -2.0 && negative.edges[1] > -2.0);
        assert_eq!(Scores::from_lists(&[], &[f32::NAN], 10).top, Histogram::default());
        assert_eq!(Scores::from_lists(&[], &[1.0, 2.0], 10).kth.counts.iter().sum::<u64>(), 2);
    }

    /// Half of the mean absolute difference, by definition.
    fn naive_gini(counts: &[u64]) -> f64 {
        let n = counts.len() as f64;
        let mean = counts.iter().sum::<u64>() as f64 / n;
        let differences: f64 = counts.iter().flat_map(|&a| counts.iter().map(move |&b| a.abs_diff(b) as f64)).sum();
        differences / (2.0 * n * n * mean)
    }

    #[test]
    fn gini_agrees_with_its_definition() {
        for counts in [vec![1, 1, 1], vec![0, 0, 0, 9], vec![5, 1, 7, 7, 0, 2], vec![3]] {
            let coverage = Coverage::from_counts(&counts, &counts);
            assert!((coverage.exposure_gini - naive_gini(&counts)).abs() < 1e-12, "{counts:?}");
            assert_eq!(coverage.exposure_gini, coverage.popularity_gini);
        }
        assert_eq!(Coverage::from_counts(&[0, 0], &[]).exposure_gini, 0.0);
    }

    #[test]
    fn lorenz_curves_are_convex_from_corner_to_corner() {
        let counts: Vec<u64> = (1..=5_000).map(|rank| 1_000_000 / rank).collect();
        let curve = Coverage::from_counts(&counts, &counts).exposure;
        assert_eq!(curve[0], LorenzPoint { items: 0.0, total: 0.0 });
        assert_eq!(*curve.last().unwrap(), LorenzPoint { items: 1.0, total: 1.0 });
        let slopes: Vec<f64> =
            curve.windows(2).map(|p| (p[1].total - p[0].total) / (p[1].items - p[0].items)).collect();
        assert!(slopes.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12));
        assert!(Coverage::from_counts(&[0, 0], &[1, 1]).exposure.is_empty());
        assert_eq!(Coverage::from_counts(&[0, 4], &[1, 1]).recommended_items, 1);
    }
}
