//! Scores of one user on one scale: less their mean, by their standard deviation.

/// Lanes of the sums; the order of additions is part of the result.
const LANES: usize = 16;

/// How one user's scores of one model become comparable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Standard {
    /// Mean over all items.
    pub(super) mean: f32,
    /// The part's weight over the standard deviation; zero where all scores are equal.
    pub(super) scale: f32,
}

impl Standard {
    /// The mean and deviation of a whole row of scores.
    ///
    /// Formula: `scale = weight / sqrt(sum of (s - mean)^2 / n)`.
    /// Determinism: sums of sixteen lanes in f64, the lanes added in order.
    pub(super) fn of(scores: &[f32], weight: f32) -> Self {
        let Some(&first) = scores.first() else { return Self { mean: 0.0, scale: 0.0 } };
        if scores.iter().all(|&score| score == first) {
            return Self { mean: first, scale: 0.0 };
        }
        let n = scores.len() as f64;
        let mean = sum(scores, |score| score) / n;
        let variance = sum(scores, |score| (score - mean) * (score - mean)) / n;
        Self { mean: mean as f32, scale: (f64::from(weight) / variance.sqrt()) as f32 }
    }

    /// The weighted standard score.
    #[inline]
    pub(super) fn of_score(self, score: f32) -> f32 {
        if self.scale == 0.0 { 0.0 } else { self.scale * (score - self.mean) }
    }
}

#[inline]
fn sum(scores: &[f32], of: impl Fn(f64) -> f64) -> f64 {
    let (whole, rest) = scores.as_chunks::<LANES>();
    let mut lanes = [0f64; LANES];
    for chunk in whole {
        for l in 0..LANES {
            lanes[l] += of(f64::from(chunk[l]));
        }
    }
    let tail = rest.iter().fold(0f64, |sum, &score| sum + of(f64::from(score)));
    lanes.iter().fold(tail, |sum, lane| sum + lane)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_scores_have_mean_zero_and_deviation_one() {
        let scores: Vec<f32> = (0..101).map(|at| ((at * 37) % 101) as f32 * 0.5 + 3.0).collect();
        let standard = Standard::of(&scores, 2.0);
        let z: Vec<f64> = scores.iter().map(|&score| f64::from(standard.of_score(score)) / 2.0).collect();
        assert!(z.iter().sum::<f64>().abs() < 1e-3);
        assert!((z.iter().map(|z| z * z).sum::<f64>() / 101.0 - 1.0).abs() < 1e-4);
        assert_eq!(standard.mean, 28.0);
    }

    #[test]
    fn equal_scores_count_as_zeros() {
        for scores in [&[][..], &[0.1; 7], &[-3.0]] {
            let standard = Standard::of(scores, 1.0);
            assert!(scores.iter().all(|&score| standard.of_score(score) == 0.0));
        }
        assert!(Standard::of(&[1.0, f32::NAN], 1.0).of_score(1.0).is_nan());
    }
}
