//! Whether two models differ, or only the draw of people.

use rand::Rng;
use rayon::prelude::*;

use super::bootstrap::stream;

/// Sums closer than this share count as equal: the same mathematical sum in another order of adding.
const TOLERANCE: f64 = 1e-12;

/// The two-sided paired randomisation test: how often chance alone gives a difference as large as the one found.
///
/// If the models were alike, each person's difference might as well have the other sign. Signs are drawn `permutations`
/// times.
///
/// Formula: p = (1 + number of draws with |sum of s_u * d_u| >= |sum of d_u|) / (1 + permutations), s_u = 1 or -1.
/// Shapes: `differences` is n_units x `width`, row-major; one p a column.
/// Returns: 1 for every column without a difference.
/// Determinism: draw i comes from stream i of `evaluation.permutations` of the seed; sums run in the order of the units.
/// Cost: permutations x units x width additions.
/// Source: Fisher, The Design of Experiments, 1935, section 21; for retrieval, Smucker, Allan and Carterette, CIKM 2007.
#[must_use]
pub fn permutation_test(differences: &[f64], width: usize, permutations: usize, seed: u64) -> Vec<f64> {
    if width == 0 {
        return Vec::new();
    }
    // A person without any difference adds nothing under either sign.
    let rows: Vec<&[f64]> = differences.chunks_exact(width).filter(|row| row.iter().any(|d| *d != 0.0)).collect();
    let mut found = vec![0.0f64; width];
    for row in &rows {
        found.iter_mut().zip(*row).for_each(|(sum, d)| *sum += d);
    }
    let as_large = |sums: &[f64]| -> Vec<u64> {
        sums.iter().zip(&found).map(|(sum, found)| u64::from(sum.abs() >= found.abs() * (1.0 - TOLERANCE))).collect()
    };
    let counts = (0..permutations as u64)
        .into_par_iter()
        .map(|number| {
            let mut random = stream("evaluation.permutations", seed, number);
            let mut sums = vec![0.0f64; width];
            for block in rows.chunks(64) {
                let mut signs = random.next_u64();
                for row in block {
                    let sign = if signs & 1 == 0 { 1.0 } else { -1.0 };
                    signs >>= 1;
                    sums.iter_mut().zip(*row).for_each(|(sum, d)| *sum += sign * d);
                }
            }
            as_large(&sums)
        })
        .reduce(
            || vec![0; width],
            |mut a, b| {
                a.iter_mut().zip(b).for_each(|(sum, more)| *sum += more);
                a
            },
        );
    counts.into_iter().map(|n| (1 + n) as f64 / (1 + permutations) as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All sign patterns.
    fn exact(differences: &[f64]) -> f64 {
        let found: f64 = differences.iter().sum();
        let n = differences.len();
        let n_large = (0..1u32 << n)
            .filter(|signs| {
                let sum: f64 =
                    differences.iter().enumerate().map(|(at, d)| if signs >> at & 1 == 0 { *d } else { -d }).sum();
                sum.abs() >= found.abs() - 1e-9
            })
            .count();
        n_large as f64 / f64::from(1u32 << n)
    }

    #[test]
    fn p_is_near_that_of_all_sign_patterns() {
        for differences in [
            vec![0.1, 0.2, 0.3, -0.1, 0.25, 0.4, 0.05, -0.2, 0.3, 0.1],
            vec![0.1, -0.2, 0.3, -0.1, -0.25, 0.4, -0.05, -0.2, 0.3, -0.1],
            vec![0.5; 8],
            vec![0.1; 6],
        ] {
            let p = permutation_test(&differences, 1, 20_000, 1)[0];
            assert!((p - exact(&differences)).abs() < 0.012, "{p} for {differences:?}: {}", exact(&differences));
        }
    }

    #[test]
    fn the_same_model_twice_does_not_differ() {
        assert_eq!(permutation_test(&[0.0; 300], 3, 100, 1), [1.0; 3]);
        assert_eq!(permutation_test(&[], 2, 100, 1), [1.0; 2]);
        assert!(permutation_test(&[0.0], 0, 100, 1).is_empty());
    }

    #[test]
    fn columns_are_tested_alone_and_a_clear_difference_is_found() {
        let mut differences = Vec::new();
        for user in 0..200 {
            let noise = f64::from(user % 7 - 3) / 10.0;
            differences.extend([noise + 0.3, noise, 0.0]);
        }
        let p = permutation_test(&differences, 3, 999, 5);
        assert_eq!(p[0], 0.001, "not one of 999 draws comes near");
        assert!(p[1] > 0.05, "{p:?}");
        assert_eq!(p[2], 1.0);
        let column: Vec<f64> = differences.chunks_exact(3).map(|row| row[1]).collect();
        // The other columns decide which people count, and with them which signs are whose; the answer is the same law.
        assert!((permutation_test(&column, 1, 999, 5)[0] - p[1]).abs() < 0.06);
    }

    #[test]
    fn signs_and_threads_do_not_matter() {
        let differences: Vec<f64> = (0..500).map(|user| f64::from(user * 13 % 29 - 13) / 29.0).collect();
        let turned: Vec<f64> = differences.iter().map(|d| -d).collect();
        let on = |threads, differences: &[f64]| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| permutation_test(differences, 1, 500, 2))
        };
        assert_eq!(on(1, &differences), on(4, &differences));
        assert_eq!(on(1, &differences), on(1, &turned));
    }
}
