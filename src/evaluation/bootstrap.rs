//! Intervals by resampling people.

use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};
use rayon::prelude::*;
use serde::Serialize;
use xxhash_rust::xxh64::xxh64;

/// An interval that holds a share (the confidence) of what resampling gave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The people of a segment with their numbers: what is drawn from.
///
/// A person is one unit even where several folds test him: his rows are drawn together, since they are not independent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sample {
    /// By unit: its number of rows.
    pub n_rows: Vec<u32>,
    /// Numbers a unit.
    pub width: usize,
    /// n_units x `width`, row-major: sums over the unit's rows.
    pub sums: Vec<f64>,
}

impl Sample {
    /// A sample of so many units without rows.
    #[must_use]
    pub fn new(n_units: usize, width: usize) -> Self {
        Self { n_rows: vec![0; n_units], width, sums: vec![0.0; n_units * width] }
    }

    /// Adds a row to a unit.
    pub fn add(&mut self, unit: usize, row: &[f64]) {
        self.n_rows[unit] += 1;
        for (sum, value) in self.sums[unit * self.width..(unit + 1) * self.width].iter_mut().zip(row) {
            *sum += value;
        }
    }

    /// The means over all rows; zeros without rows.
    ///
    /// Determinism: summed in the order of the units.
    #[must_use]
    pub fn means(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.width];
        if self.width > 0 {
            for unit in self.sums.chunks_exact(self.width) {
                sums.iter_mut().zip(unit).for_each(|(sum, value)| *sum += value);
            }
        }
        let n: u64 = self.n_rows.iter().map(|&n| u64::from(n)).sum();
        sums.into_iter().map(|sum| sum / n.max(1) as f64).collect()
    }
}

/// The stream of a name, a seed and a number.
pub(super) fn stream(name: &str, seed: u64, number: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(xxh64(name.as_bytes(), seed));
    random.set_stream(number);
    random
}

/// Means of all models under `resamples` draws of as many units as there are, with replacement.
///
/// Every model sees the same draws, so differences between models can be taken draw by draw (paired).
///
/// Formula: for each draw, mean = sum over units u of c_u * s_u / sum over u of c_u * n_u, where c_u is how often u was
/// drawn, s_u the sum of its rows and n_u their number.
/// Shapes: all samples have the same units; the result is by model, then draw x width, row-major.
/// Returns: nothing for a draw from no units.
/// Determinism: draw i comes from stream i of `evaluation.bootstrap` of the seed and is summed in the order of the units.
/// Cost: resamples x units x (a random number + models x width sums).
/// Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and 13.
///
/// # Panics
/// When the samples have different units.
#[must_use]
pub fn bootstrap(models: &[&Sample], resamples: usize, seed: u64) -> Vec<Vec<f64>> {
    let n_units = models.first().map_or(0, |sample| sample.n_rows.len());
    assert!(models.iter().all(|sample| sample.n_rows == models[0].n_rows), "the models are measured on the same rows");
    if n_units == 0 {
        return vec![Vec::new(); models.len()];
    }
    let draws: Vec<Vec<f64>> = (0..resamples as u64)
        .into_par_iter()
        .map_init(
            || vec![0u32; n_units],
            |drawn, number| {
                drawn.fill(0);
                let mut random = stream("evaluation.bootstrap", seed, number);
                for _ in 0..n_units {
                    // The high half of a product: an unbiased enough number below n_units, the same in every version of
                    // every library.
                    let unit = (u128::from(random.next_u64()) * n_units as u128) >> 64;
                    drawn[unit as usize] += 1;
                }
                draw(models, drawn)
            },
        )
        .collect();
    let mut start = 0;
    models
        .iter()
        .map(|sample| {
            let range = start..start + sample.width;
            start = range.end;
            draws.iter().flat_map(|draw| &draw[range.clone()]).copied().collect()
        })
        .collect()
}

/// The means of all models, one after the other, under one draw.
fn draw(models: &[&Sample], drawn: &[u32]) -> Vec<f64> {
    let n_rows = &models[0].n_rows;
    let n: u64 = drawn.iter().zip(n_rows).map(|(&times, &n)| u64::from(times) * u64::from(n)).sum();
    let mut means = Vec::with_capacity(models.iter().map(|sample| sample.width).sum());
    for sample in models {
        let mut sums = vec![0.0f64; sample.width];
        if sample.width > 0 {
            for (unit, &times) in sample.sums.chunks_exact(sample.width).zip(drawn).filter(|(_, times)| **times > 0) {
                let times = f64::from(times);
                sums.iter_mut().zip(unit).for_each(|(sum, value)| *sum += times * value);
            }
        }
        means.extend(sums.into_iter().map(|sum| sum / n.max(1) as f64));
    }
    means
}

/// The middle `confidence` of some values.
///
/// Formula: the quantiles (1 - confidence) / 2 and 1 minus it, linear between neighbours: quantile q of n ascending values
/// stands at place q * (n - 1).
/// Returns: `None` without values.
#[must_use]
pub fn percentile_interval(mut values: Vec<f64>, confidence: f64) -> Option<Interval> {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = |share: f64| {
        let place = share * last as f64;
        let (below, part) = (place.floor() as usize, place.fract());
        let low = values[below.min(last)];
        low + part * (values[(below + 1).min(last)] - low)
    };
    let tail = (1.0 - confidence) / 2.0;
    Some(Interval { low: at(tail), high: at(1.0 - tail) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: &[f64]) -> Sample {
        let mut sample = Sample::new(values.len(), 1);
        values.iter().enumerate().for_each(|(unit, value)| sample.add(unit, &[*value]));
        sample
    }

    #[test]
    fn draws_are_those_of_the_naive_version() {
        let (a, b) = (sample(&[0.0, 1.0, 0.25, 0.5, 1.0]), sample(&[1.0, 0.0, 0.5, 0.5, 0.0]));
        let found = bootstrap(&[&a, &b], 20, 3);
        for number in 0..20u64 {
            let mut random = stream("evaluation.bootstrap", 3, number);
            let picks: Vec<usize> = (0..5).map(|_| ((u128::from(random.next_u64()) * 5) >> 64) as usize).collect();
            for (model, sample) in [&a, &b].into_iter().enumerate() {
                let mean = picks.iter().map(|&unit| sample.sums[unit]).sum::<f64>() / 5.0;
                assert!((found[model][number as usize] - mean).abs() < 1e-12);
            }
        }
        assert_ne!(found, bootstrap(&[&a, &b], 20, 4), "the seed reaches the draws");
    }

    #[test]
    fn a_person_of_two_rows_is_drawn_with_both() {
        let mut people = Sample::new(2, 1);
        people.add(0, &[1.0]);
        people.add(0, &[1.0]);
        people.add(1, &[0.0]);
        assert!((people.means()[0] - 2.0 / 3.0).abs() < 1e-12);
        // Two draws of people: both times the first (1), both times the second (0), or each once (2/3).
        let found = bootstrap(&[&people], 200, 1);
        let known = [0.0, 2.0 / 3.0, 1.0];
        assert!(found[0].iter().all(|mean| known.iter().any(|value| (mean - value).abs() < 1e-12)));
        assert!(known.iter().all(|value| found[0].iter().any(|mean| (mean - value).abs() < 1e-12)));
    }

    #[test]
    fn the_interval_holds_the_mean_and_is_as_wide_as_theory_says() {
        // 0 and 1 in turn: standard error sqrt(0.25 / 400) = 0.025, so the 95 % interval is about 0.5 +- 0.049.
        let values: Vec<f64> = (0..400).map(|user| f64::from(user % 2)).collect();
        let draws = bootstrap(&[&sample(&values)], 1_000, 42);
        let interval = percentile_interval(draws[0].clone(), 0.95).unwrap();
        assert!(interval.low < 0.5 && 0.5 < interval.high);
        assert!((interval.high - interval.low - 0.098).abs() < 0.012, "{interval:?}");
    }

    #[test]
    fn quantiles_are_linear_between_neighbours() {
        let interval = percentile_interval((0..=100).rev().map(f64::from).collect(), 0.95).unwrap();
        assert!((interval.low - 2.5).abs() < 1e-9 && (interval.high - 97.5).abs() < 1e-9);
        let one = percentile_interval(vec![3.0], 0.95).unwrap();
        assert_eq!((one.low, one.high), (3.0, 3.0));
        assert_eq!(percentile_interval(Vec::new(), 0.95), None);
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let values: Vec<f64> = (0..3_000).map(|user| f64::from(user * 7 % 11) / 11.0).collect();
        let sample = sample(&values);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bootstrap(&[&sample, &sample], 50, 9))
        };
        assert_eq!(on(1), on(3));
    }

    #[test]
    fn nobody_gives_nothing() {
        assert_eq!(bootstrap(&[&Sample::new(0, 3)], 10, 1), [Vec::<f64>::new()]);
        assert_eq!(bootstrap(&[], 10, 1), Vec::<Vec<f64>>::new());
        assert_eq!(Sample::new(0, 2).means(), [0.0, 0.0]);
    }
}
