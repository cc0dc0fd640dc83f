//! Numbers as people read them.
//!
//! Units follow a no-break space, so `1.2 M` never breaks over two lines.

/// Between a number and its unit.
const NBSP: char = '\u{a0}';

/// Short scale. Above 999 tn a number is written as a power of ten.
const UNITS: [(f64, &str); 5] = [(1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "bn"), (1e12, "tn")];

/// Three significant digits with a unit: `948`, `1.02 M`, `19.6 M`.
pub(super) fn compact(value: f64) -> String {
    if !value.is_finite() {
        return "n/a".to_owned();
    }
    let magnitude = value.abs();
    if magnitude == 0.0 {
        return "0".to_owned();
    }
    // 999.5 would round up to 1000 of its unit.
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| magnitude / unit < 999.5) else {
        return scientific(value);
    };
    if magnitude < 1e-3 {
        return scientific(value);
    }
    let scaled = magnitude / unit;
    let decimals = (2 - scaled.log10().floor() as i32).clamp(0, 5) as usize;
    let digits = trim_zeros(&format!("{scaled:.decimals$}")).to_owned();
    with_unit(value < 0.0, &digits, name)
}

/// A whole number with thousands separated: `1,234,567`.
pub(super) fn exact(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A share of 0 to 1 in percent. What is not all is never shown as 100 %, what is not nothing never as 0 %.
pub(super) fn percent(share: f64) -> String {
    let value = share * 100.0;
    let text = match value {
        v if !v.is_finite() => return "n/a".to_owned(),
        0.0 => "0".to_owned(),
        v if v > 0.0 && v < 0.01 => format!("<{NBSP}0.01"),
        v if v > 99.9 && v < 100.0 => format!(">{NBSP}99.9"),
        100.0 => "100".to_owned(),
        v if v.abs() < 0.995 => format!("{v:.2}"),
        v => format!("{v:.1}"),
    };
    format!("{text}{NBSP}%")
}

/// A duration: `430 ms`, `12.3 s`, `3 min 12 s`, `2 h 05 min`.
pub(super) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "n/a".to_owned();
    }
    let seconds = seconds.max(0.0);
    if seconds < 0.9995 {
        return format!("{:.0}{NBSP}ms", seconds * 1e3);
    }
    if seconds < 59.95 {
        return format!("{}{NBSP}s", trim_zeros(&format!("{seconds:.1}")));
    }
    let whole = seconds.round() as u64;
    if whole < 3600 {
        return format!("{}{NBSP}min{NBSP}{:02}{NBSP}s", whole / 60, whole % 60);
    }
    let minutes = (seconds / 60.0).round() as u64;
    format!("{}{NBSP}h{NBSP}{:02}{NBSP}min", exact(minutes / 60), minutes % 60)
}

/// A size in decimal units: `512 bytes`, `1.2 MB`.
pub(super) fn bytes(n: f64) -> String {
    const SIZES: [(f64, &str); 4] = [(1e3, "KB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB")];
    if !n.is_finite() {
        return "n/a".to_owned();
    }
    if n < 999.5 {
        return format!("{n:.0}{NBSP}bytes");
    }
    let (unit, name) = SIZES.into_iter().find(|(unit, _)| n / unit < 999.5).unwrap_or(SIZES[3]);
    let scaled = n / unit;
    let decimals = if scaled < 9.95 { 1 } else { 0 };
    with_unit(false, trim_zeros(&format!("{scaled:.decimals$}")), name)
}

/// A score: as many digits as tell neighbours on a list apart.
pub(super) fn score(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() {
        "n/a".to_owned()
    } else if magnitude >= 1000.0 {
        compact(value)
    } else if magnitude == 0.0 || magnitude >= 0.01 {
        let digits = format!("{magnitude:.3}");
        with_unit(value < 0.0, &digits, "")
    } else {
        scientific(value)
    }
}

/// Labels of an axis' ticks: one unit and one number of decimals for all of them.
pub(super) fn tick_labels(ticks: &[f64]) -> Vec<String> {
    let largest = ticks.iter().fold(0.0_f64, |most, tick| most.max(tick.abs()));
    if !(largest == 0.0 || (1e-4..999.5e12).contains(&largest)) {
        return ticks.iter().map(|&tick| if tick == 0.0 { "0".to_owned() } else { scientific(tick) }).collect();
    }
    let (unit, name) = UNITS.into_iter().rev().find(|(unit, _)| largest >= *unit).unwrap_or(UNITS[0]);
    let step = ticks.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(f64::INFINITY, f64::min);
    let tolerance = if step.is_finite() { step / unit / 100.0 } else { 1e-9 };
    let fits = |decimals: usize| {
        let shift = 10_f64.powi(decimals as i32);
        ticks.iter().all(|tick| ((tick / unit * shift).round() / shift - tick / unit).abs() <= tolerance)
    };
    let decimals = (0..9).find(|&decimals| fits(decimals)).unwrap_or(9);
    let label = |&tick: &f64| {
        if tick == 0.0 {
            return "0".to_owned();
        }
        with_unit(tick < 0.0, &format!("{:.decimals$}", tick.abs() / unit), name)
    };
    ticks.iter().map(label).collect()
}

/// At most `limit` characters; what is cut is shown by an ellipsis.
pub(super) fn clip(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(limit.saturating_sub(1)).collect();
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

fn scientific(value: f64) -> String {
    let text = format!("{value:.1e}");
    text.replace(".0e", "e").replace('-', "\u{2212}")
}

fn with_unit(negative: bool, digits: &str, unit: &str) -> String {
    let mut out = String::with_capacity(digits.len() + 6);
    if negative {
        out.push('\u{2212}');
    }
    out.push_str(digits);
    if !unit.is_empty() {
        out.push(NBSP);
        out.push_str(unit);
    }
    out
}

fn trim_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ordinary spaces and minus signs are easier to read in a test.
    fn plain(text: &str) -> String {
        text.replace(NBSP, " ").replace('\u{2212}', "-")
    }

    #[test]
    fn compact_keeps_three_digits_and_steps_up_before_a_thousand() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (7.0, "7"),
            (12.5, "12.5"),
            (999.0, "999"),
            (999.4, "999"),
            (999.6, "1 k"),
            (1_234.0, "1.23 k"),
            (948_211.0, "948 k"),
            (999_499.0, "999 k"),
            (999_500.0, "1 M"),
            (1_200_000.0, "1.2 M"),
            (19_600_000.0, "19.6 M"),
            (2.5e9, "2.5 bn"),
            (7e13, "70 tn"),
            (1.84e19, "1.8e19"),
            (1e300, "1e300"),
            (0.1234, "0.123"),
            (0.00123, "0.00123"),
            (0.000_012, "1.2e-5"),
            (-1500.0, "-1.5 k"),
        ];
        for (value, expected) in cases {
            assert_eq!(plain(&compact(value)), expected, "{value}");
        }
        assert_eq!(compact(f64::NAN), "n/a");
    }

    #[test]
    fn exact_separates_thousands() {
        assert_eq!(exact(0), "0");
        assert_eq!(exact(999), "999");
        assert_eq!(exact(1_000), "1,000");
        assert_eq!(exact(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn percent_never_rounds_to_all_or_to_nothing() {
        let cases = [
            (0.0, "0 %"),
            (1e-9, "< 0.01 %"),
            (0.000_1, "0.01 %"),
            (0.0061, "0.61 %"),
            (0.01, "1.0 %"),
            (0.6, "60.0 %"),
            (0.1234, "12.3 %"),
            (0.999_9, "> 99.9 %"),
            (1.0, "100 %"),
            (2.5, "250.0 %"),
        ];
        for (share, expected) in cases {
            assert_eq!(plain(&percent(share)), expected, "{share}");
        }
    }

    #[test]
    fn durations_choose_their_unit() {
        let cases = [
            (0.0, "0 ms"),
            (0.43, "430 ms"),
            (0.9999, "1 s"),
            (12.34, "12.3 s"),
            (59.96, "1 min 00 s"),
            (192.4, "3 min 12 s"),
            (3599.7, "1 h 00 min"),
            (7_500.0, "2 h 05 min"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(plain(&duration(seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn sizes_choose_their_unit() {
        let cases =
            [(0.0, "0 bytes"), (999.0, "999 bytes"), (1_000.0, "1 KB"), (1_234_567.0, "1.2 MB"), (3.1e9, "3.1 GB")];
        for (n, expected) in cases {
            assert_eq!(plain(&bytes(n)), expected, "{n}");
        }
        assert_eq!(plain(&bytes(5e15)), "5000 TB");
    }

    #[test]
    fn scores_tell_neighbours_apart() {
        assert_eq!(score(0.98765), "0.988");
        assert_eq!(plain(&score(-0.5)), "-0.500");
        assert_eq!(plain(&score(0.000_32)), "3.2e-4");
        assert_eq!(plain(&score(12_345.0)), "12.3 k");
        assert_eq!(score(0.0), "0.000");
    }

    #[test]
    fn ticks_share_unit_and_decimals() {
        let labels = |ticks: &[f64]| tick_labels(ticks).iter().map(|label| plain(label)).collect::<Vec<_>>();
        assert_eq!(labels(&[0.0, 500_000.0, 1_000_000.0]), ["0", "0.5 M", "1.0 M"]);
        assert_eq!(labels(&[0.0, 100.0, 200.0]), ["0", "100", "200"]);
        assert_eq!(labels(&[0.0, 0.25, 0.5]), ["0", "0.25", "0.50"]);
        assert_eq!(labels(&[-20.0, 0.0, 20.0]), ["-20", "0", "20"]);
        assert_eq!(labels(&[0.0, 1e18, 2e18]), ["0", "1e18", "2e18"]);
        assert_eq!(labels(&[1e-6, 2e-6]), ["1e-6", "2e-6"]);
        assert_eq!(labels(&[0.0]), ["0"]);
        assert!(labels(&[]).is_empty());
    }

    #[test]
    fn clip_counts_characters_not_bytes() {
        assert_eq!(clip("äöü", 3), "äöü");
        assert_eq!(clip("äöüß", 3), "äö…");
        assert_eq!(clip("ab cd", 4), "ab…");
        assert_eq!(clip("", 3), "");
    }
}
