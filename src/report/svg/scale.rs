//! Scales: from values to coordinates, with ticks at round values.

use crate::report::format;

/// How many ticks a linear axis may get at most, whatever was asked for.
const MOST_TICKS: usize = 50;

/// Maps a domain of values to a range of coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::report) struct Scale {
    log: bool,
    domain: (f64, f64),
    range: (f64, f64),
}

impl Scale {
    /// A linear scale; a domain without extent is widened, so a single value gets the middle.
    pub(in crate::report) fn linear(domain: (f64, f64), range: (f64, f64)) -> Self {
        Self { log: false, domain: widened(domain), range }
    }

    /// A logarithmic scale. The domain is above zero.
    pub(in crate::report) fn log(domain: (f64, f64), range: (f64, f64)) -> Self {
        debug_assert!(domain.0 > 0.0 && domain.1 > 0.0);
        let domain = if domain.0 < domain.1 { domain } else { (domain.0 / 2.0, domain.1 * 2.0) };
        Self { log: true, domain, range }
    }

    /// The coordinate of `value`.
    pub(in crate::report) fn at(&self, value: f64) -> f64 {
        let (low, high) = self.domain;
        let share = if self.log {
            (value.log10() - low.log10()) / (high.log10() - low.log10())
        } else {
            // Halves first: the difference of two huge numbers of unlike sign would overflow.
            (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)
        };
        self.range.0 + share * (self.range.1 - self.range.0)
    }

    /// What stands at the ticks: one unit on a linear axis, each its own on a logarithmic one.
    pub(in crate::report) fn labels(&self, ticks: &[f64]) -> Vec<String> {
        if self.log { ticks.iter().map(|&tick| format::compact(tick)).collect() } else { format::tick_labels(ticks) }
    }

    /// Round values within the domain, ascending, about so many.
    pub(in crate::report) fn ticks(&self, about: usize) -> Vec<f64> {
        if self.log { log_ticks(self.domain, about) } else { linear_ticks(self.domain, about) }
    }
}

/// The domain from zero (or below) to a round value at or above `most`.
pub(in crate::report) fn from_zero(most: f64, about: usize) -> (f64, f64) {
    let most = if most > 0.0 { most } else { 1.0 };
    let step = nice_step(0.0, most, about);
    let steps = (most / step - 1e-9).ceil().max(1.0);
    // Rounding up may leave the numbers there are.
    let top = steps * step;
    (0.0, if top.is_finite() { top } else { most })
}

/// A step of 1, 2 or 5 times a power of ten that cuts `low..high` into about `about` pieces.
pub(in crate::report) fn nice_step(low: f64, high: f64, about: usize) -> f64 {
    let pieces = about.max(1) as f64;
    // Divided first, so that the span cannot overflow.
    let raw = high / pieces - low / pieces;
    if raw.is_nan() || raw <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(raw.log10().floor());
    // Below the smallest powers the mantissa is lost; the step itself still serves.
    if power == 0.0 || !power.is_finite() {
        return raw;
    }
    let mantissa = raw / power;
    let nice = match mantissa {
        m if m < 2_f64.sqrt() => 1.0,
        m if m < 10_f64.sqrt() => 2.0,
        m if m < 50_f64.sqrt() => 5.0,
        _ => 10.0,
    };
    nice * power
}

fn widened((low, high): (f64, f64)) -> (f64, f64) {
    // Halves, as in `at`: where they coincide there is nothing to divide by.
    if low / 2.0 < high / 2.0 {
        return (low, high);
    }
    let pad = (low.abs() * 0.1).clamp(0.5, f64::MAX / 4.0);
    ((low - pad).max(f64::MIN), (low + pad).min(f64::MAX))
}

fn linear_ticks((low, high): (f64, f64), about: usize) -> Vec<f64> {
    let step = nice_step(low, high, about.min(MOST_TICKS / 2));
    let slack = 1e-9;
    let first = (low / step - slack).ceil();
    let last = (high / step + slack).floor();
    if !(first.is_finite() && last.is_finite()) || last - first > MOST_TICKS as f64 {
        return vec![low, high];
    }
    let mut ticks: Vec<f64> =
        (0..=(last - first).max(-1.0) as i64).map(|at| tidy((first + at as f64) * step, step)).collect();
    // Where the step is finer than the numbers, neighbours coincide.
    ticks.dedup();
    ticks
}

/// Multiples of 0.1 come out as 0.30000000000000004: rounds to the step's own decimals.
fn tidy(value: f64, step: f64) -> f64 {
    let decimals = -step.log10().floor();
    if !(0.0..=15.0).contains(&decimals) || value.abs() > 1e15 {
        return if value == 0.0 { 0.0 } else { value };
    }
    let shift = 10_f64.powi(decimals as i32 + 1);
    let rounded = (value * shift).round() / shift;
    if rounded == 0.0 { 0.0 } else { rounded }
}

fn log_ticks((low, high): (f64, f64), about: usize) -> Vec<f64> {
    let within = |tick: &f64| (low * (1.0 - 1e-9)..=high * (1.0 + 1e-9)).contains(tick);
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let powers: Vec<f64> = (first..=last).map(|power| 10_f64.powi(power)).filter(within).collect();
    if powers.len() >= 3 {
        let every = powers.len().div_ceil(about.max(2));
        return powers.into_iter().step_by(every).collect();
    }
    // Few decades: 1, 2 and 5 of each. A domain within one such gap falls back to its ends.
    let mut ticks: Vec<f64> =
        (first..=last).flat_map(|power| [1.0, 2.0, 5.0].map(|m| m * 10_f64.powi(power))).filter(within).collect();
    if ticks.len() < 2 {
        ticks = vec![low, high];
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_one_two_or_five() {
        assert_eq!(nice_step(0.0, 10.0, 5), 2.0);
        assert_eq!(nice_step(0.0, 1.0, 5), 0.2);
        assert_eq!(nice_step(0.0, 97.0, 4), 20.0);
        assert_eq!(nice_step(0.0, 4_800.0, 4), 1_000.0);
        assert_eq!(nice_step(5.0, 5.0, 4), 1.0);
        assert_eq!(nice_step(0.0, f64::NAN, 4), 1.0);
    }

    #[test]
    fn linear_ticks_are_round_and_within() {
        assert_eq!(Scale::linear((0.0, 1.0), (0.0, 1.0)).ticks(5), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        assert_eq!(Scale::linear((0.0, 0.3), (0.0, 1.0)).ticks(3), [0.0, 0.1, 0.2, 0.3]);
        assert_eq!(Scale::linear((-3.0, 7.0), (0.0, 1.0)).ticks(5), [-2.0, 0.0, 2.0, 4.0, 6.0]);
        assert_eq!(Scale::linear((11.6e6, 12.3e6), (0.0, 1.0)).ticks(4), [11.6e6, 11.8e6, 12e6, 12.2e6]);
    }

    #[test]
    fn a_single_value_stands_in_the_middle() {
        for value in [0.0, 3.0, -7.5, 1e300, f64::MAX, f64::MIN] {
            let scale = Scale::linear((value, value), (0.0, 100.0));
            let at = scale.at(value);
            assert!((0.0..=100.0).contains(&at), "{value} at {at}");
            assert!(scale.ticks(4).iter().all(|tick| tick.is_finite()), "{value}");
        }
        assert!((Scale::linear((3.0, 3.0), (0.0, 100.0)).at(3.0) - 50.0).abs() < 1e-9);
        assert!((Scale::log((8.0, 8.0), (0.0, 100.0)).at(8.0) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn huge_and_tiny_domains_give_few_finite_ticks() {
        for domain in
            [(0.0, f64::MAX), (f64::MIN, f64::MAX), (0.0, 5e-324), (1e18, 1e18 + 256.0), (0.0, u64::MAX as f64)]
        {
            let scale = Scale::linear(domain, (0.0, 500.0));
            let ticks = scale.ticks(5);
            assert!(
                ticks.len() <= MOST_TICKS + 1 && ticks.iter().all(|tick| tick.is_finite()),
                "{domain:?}: {ticks:?}"
            );
            assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]), "{domain:?}: {ticks:?}");
            for value in [domain.0, domain.1] {
                let at = scale.at(value);
                assert!((-1e-6..=500.0 + 1e-6).contains(&at), "{domain:?}: {value} at {at}");
            }
        }
    }

    #[test]
    fn from_zero_ends_on_a_tick() {
        assert_eq!(from_zero(97.0, 4), (0.0, 100.0));
        assert_eq!(from_zero(100.0, 4), (0.0, 100.0));
        assert_eq!(from_zero(0.0, 4), (0.0, 1.0));
        assert_eq!(from_zero(-5.0, 4), (0.0, 1.0));
        assert!(from_zero(f64::MAX, 4).1.is_finite());
    }

    #[test]
    fn logarithmic_ticks_have_units_of_their_own() {
        let scale = Scale::log((1.0, 1e6), (0.0, 1.0));
        assert_eq!(scale.labels(&[1.0, 1e3, 1e6]), ["1", "1\u{a0}k", "1\u{a0}M"]);
        let scale = Scale::linear((0.0, 1e6), (0.0, 1.0));
        assert_eq!(scale.labels(&[0.0, 5e5, 1e6]), ["0", "0.5\u{a0}M", "1.0\u{a0}M"]);
    }

    #[test]
    fn log_ticks_are_powers_or_their_parts() {
        let ticks = |low, high, about| Scale::log((low, high), (0.0, 1.0)).ticks(about);
        assert_eq!(ticks(1.0, 100_000.0, 6), [1.0, 10.0, 100.0, 1e3, 1e4, 1e5]);
        assert_eq!(ticks(1.0, 1e12, 5), [1.0, 1e3, 1e6, 1e9, 1e12]);
        assert_eq!(ticks(1.0, 40.0, 5), [1.0, 2.0, 5.0, 10.0, 20.0]);
        assert_eq!(ticks(6.0, 9.0, 5), [6.0, 9.0]);
        let scale = Scale::log((1.0, 10_000.0), (0.0, 100.0));
        assert!((scale.at(100.0) - 50.0).abs() < 1e-9);
    }
}
