//! Tables and JSON on stdout.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets::NOTHING};
use serde::Serialize;

/// Prints text and a line end.
pub(super) fn say(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(())
}

/// Prints a value as JSON.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    say(&serde_json::to_string_pretty(value)?)
}

/// A table without borders. `right` names the columns of numbers.
pub(super) fn table(header: &[&str], right: &[usize], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for &column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A score, short: four significant digits.
pub(super) fn score(score: f32) -> String {
    if score == 0.0 || (0.001..1e6).contains(&score.abs()) {
        let digits = (3 - score.abs().max(1e-9).log10().floor() as i32).clamp(0, 6) as usize;
        format!("{score:.digits$}")
    } else {
        format!("{score:.3e}")
    }
}

/// Bytes in the unit that suits them.
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..10_000 => format!("{n} B"),
        10_000..10_000_000 => format!("{:.0} KB", n as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.0} MB", n as f64 / 1e6),
        _ => format!("{:.1} GB", n as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(score(0.123_456), "0.1235");
        assert_eq!(score(-12.345_6), "-12.35");
        assert_eq!(score(1_234.5), "1234");
        assert_eq!(score(0.0), "0.000000");
        assert_eq!(score(1e-7), "1.000e-7");
        assert_eq!(bytes(9_999), "9999 B");
        assert_eq!(bytes(12_345), "12 KB");
    }
}
