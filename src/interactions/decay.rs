//! Half-life decay that gives the same bits on every machine.

use super::time::Stamp;

/// Binary places of a fixed-point weight: 2^-24 is a millionth of the smallest weight anyone configures, and 2^39 units
/// of weight still fit one cell.
pub(super) const WEIGHT_BITS: u32 = 24;

/// A weight in fixed point.
#[inline]
#[must_use]
pub(super) fn to_fixed(weight: f64) -> i64 {
    (weight * f64::from(1u32 << WEIGHT_BITS)).round() as i64
}

/// A fixed-point weight as a float: the value that models train on.
#[inline]
#[must_use]
pub fn from_fixed(weight: i64) -> f32 {
    (weight as f64 / f64::from(1u32 << WEIGHT_BITS)) as f32
}

const STEP_BITS: u32 = 10;
const STEPS: usize = 1 << STEP_BITS;

/// 2^(-age / half_life) from two tables of 1,024 steps.
///
/// The system's `exp2` differs between C libraries, and a build must not depend on the node it ran on. The tables are
/// made of square roots and products, which IEEE 754 rounds in one way only. Relative error below 2^-20.
pub struct Decay {
    coarse: Vec<f64>,
    fine: Vec<f64>,
}

impl Default for Decay {
    fn default() -> Self {
        Self::new()
    }
}

impl Decay {
    /// Makes the tables.
    #[must_use]
    pub fn new() -> Self {
        // roots[i] = 2^-(2^-(i+1))
        let mut roots = Vec::with_capacity(2 * STEP_BITS as usize);
        let mut root = 0.5f64;
        for _ in 0..2 * STEP_BITS {
            root = root.sqrt();
            roots.push(root);
        }
        let table = |first: usize| {
            (0..STEPS)
                .map(|step| {
                    (0..STEP_BITS as usize)
                        .filter(|bit| step >> (STEP_BITS as usize - 1 - bit) & 1 == 1)
                        .fold(1.0, |product, bit| product * roots[first + bit])
                })
                .collect()
        };
        Self { coarse: table(0), fine: table(STEP_BITS as usize) }
    }

    /// The weight of an event of age `as_of - at`, in fixed point: `weight * 2^(-age / half_life)`.
    ///
    /// `half_life` in seconds; `None` keeps the weight as it is.
    #[inline]
    #[must_use]
    pub fn weigh(&self, weight: f64, half_life: Option<u32>, at: Stamp, as_of: Stamp) -> i64 {
        let Some(half_life) = half_life else { return to_fixed(weight) };
        let halves = (u64::from(at.age_at(as_of)) << (2 * STEP_BITS)) / u64::from(half_life);
        let (coarse, fine, power) = self.power(halves);
        to_fixed(weight * coarse * fine * power)
    }

    /// `2^-halves`; 1 for `halves` below zero.
    #[inline]
    #[must_use]
    pub fn factor(&self, halves: f64) -> f64 {
        let (coarse, fine, power) = self.power((halves * f64::from(1u32 << (2 * STEP_BITS))) as u64);
        coarse * fine * power
    }

    /// Three numbers whose product is `2^-halves`, `halves` in units of 2^-20.
    #[inline]
    fn power(&self, halves: u64) -> (f64, f64, f64) {
        let whole = (halves >> (2 * STEP_BITS)).min(1023);
        let coarse = self.coarse[(halves >> STEP_BITS) as usize & (STEPS - 1)];
        let fine = self.fine[halves as usize & (STEPS - 1)];
        // 2^-whole, exactly: the exponent field of a float.
        let power = f64::from_bits((1023 - whole) << 52);
        (coarse, fine, power)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_formula() {
        let decay = Decay::new();
        let as_of = Stamp(400_000_000);
        for half_life in [3_600u32, 86_400, 30 * 86_400, 365 * 86_400] {
            for age in [0u32, 1, 59, 3_600, 86_400, 864_000, 31_536_000, 400_000_000] {
                let exact = 5.0 * (-(f64::from(age)) / f64::from(half_life)).exp2();
                let ours = decay.weigh(5.0, Some(half_life), Stamp(as_of.0 - age), as_of) as f64
                    / f64::from(1u32 << WEIGHT_BITS);
                assert!((ours - exact).abs() <= exact * 2e-6 + 6e-8, "{half_life} {age}: {ours} {exact}");
            }
        }
        assert_eq!(decay.weigh(1.0, Some(86_400), Stamp(0), Stamp(86_400)), 1 << (WEIGHT_BITS - 1));
        assert_eq!(decay.weigh(-2.5, None, Stamp(0), Stamp(u32::MAX)), -5 << (WEIGHT_BITS - 1));
    }

    #[test]
    fn factors_halve() {
        let decay = Decay::new();
        for halves in [0.0, 0.1, 0.5, 1.0, 1.7, 12.34, 300.0] {
            let exact = f64::exp2(-halves);
            assert!((decay.factor(halves) - exact).abs() <= exact * 2e-6, "{halves}");
        }
        assert_eq!((decay.factor(-1.0), decay.factor(3.0)), (1.0, 0.125));
        assert!(decay.factor(f64::INFINITY) < 1e-300);
    }

    #[test]
    fn an_event_after_as_of_counts_in_full() {
        assert_eq!(Decay::new().weigh(1.0, Some(60), Stamp(100), Stamp(10)), to_fixed(1.0));
    }
}
