//! Instants in configs and in text columns.

use jiff::{civil::Date, civil::DateTime, tz::TimeZone};

use crate::interactions::Stamp;

/// Reads a day (`2026-11-21`) or an instant (`2026-11-21T20:15:00Z`, `2026-11-21 20:15:00`), all UTC.
///
/// A day means its first second, or its last one with `end_of_day`.
///
/// # Errors
/// What the text must look like.
pub(crate) fn parse(text: &str, end_of_day: bool) -> Result<Stamp, String> {
    let wrong = || format!("must be a day like 2026-11-21 or an instant like 2026-11-21T20:15:00Z, is `{text}`");
    let seconds = if let Ok(date) = text.parse::<Date>()
        && text.len() == 10
    {
        let start = date.to_datetime(jiff::civil::Time::midnight());
        let unix = start.to_zoned(TimeZone::UTC).map_err(|_| wrong())?.timestamp().as_second();
        if end_of_day { unix + 86_399 } else { unix }
    } else if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        instant.as_second()
    } else if let Ok(civil) = text.parse::<DateTime>() {
        civil.to_zoned(TimeZone::UTC).map_err(|_| wrong())?.timestamp().as_second()
    } else {
        return Err(wrong());
    };
    Stamp::from_unix(seconds).ok_or_else(|| format!("must lie between the years 2000 and 2136, is `{text}`"))
}

/// Unix seconds of a text timestamp: `YYYY-MM-DD`, optionally `HH:MM:SS` after a space or T, fractions cut off, then
/// nothing, `Z`, ` UTC` or an offset like `+01:00`.
///
/// Hand-written because a general parser takes ten times as long a row as all the rest of decoding.
pub(super) fn read_text(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let two = |at: usize| -> Option<i64> {
        let (a, b) = (bytes.get(at)?.wrapping_sub(b'0'), bytes.get(at + 1)?.wrapping_sub(b'0'));
        (a < 10 && b < 10).then(|| i64::from(a) * 10 + i64::from(b))
    };
    let year = two(0)? * 100 + two(2)?;
    let (month, day) = (two(5)?, two(8)?);
    if bytes[4] != b'-' || bytes[7] != b'-' || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    if bytes.len() == 10 {
        return Some(days * 86_400);
    }
    if !matches!(bytes[10], b' ' | b'T') || *bytes.get(13)? != b':' || *bytes.get(16)? != b':' {
        return None;
    }
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = &text[19..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let n = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if n == 0 {
            return None;
        }
        rest = &fraction[n..];
    }
    let offset = match rest.trim_start() {
        "" | "Z" | "UTC" => 0,
        zone => read_offset(zone)?,
    };
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second - offset)
}

/// Seconds east of UTC of `+HH:MM`, `+HHMM` or `+HH`.
fn read_offset(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = zone[1..].chars().filter(|c| *c != ':').collect();
    if !(digits.len() == 2 || digits.len() == 4) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let hours: i64 = digits[..2].parse().ok()?;
    let minutes: i64 = if digits.len() == 4 { digits[2..].parse().ok()? } else { 0 };
    Some(sign * (hours * 3_600 + minutes * 60))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 (Howard Hinnant's `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_timestamps_agree_with_a_calendar_library() {
        for text in
            ["2019-10-01 00:00:00 UTC", "2000-02-29T23:59:59Z", "2026-11-21T20:15:00.123456Z", "2026-12-31 01:02:03"]
        {
            let clean = text.replace(" UTC", "").replace(' ', "T");
            let expected = clean.trim_end_matches('Z').parse::<DateTime>().unwrap().to_zoned(TimeZone::UTC).unwrap();
            assert_eq!(read_text(text), Some(expected.timestamp().as_second()), "{text}");
        }
        assert_eq!(read_text("1970-01-02"), Some(86_400));
        assert_eq!(read_text("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(read_text("1970-01-01T01:00:00-0130"), Some(9_000));
        for bad in [
            "",
            "2019",
            "2019-13-01",
            "2019-02-29",
            "2019-10-01x",
            "2019-10-01 25:00:00",
            "2019-10-01 00:00:00 CET",
            "ü019-10-01",
        ] {
            assert_eq!(read_text(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_day_starts_or_ends() {
        let start = parse("2026-11-21", false).unwrap();
        assert_eq!(parse("2026-11-21", true).unwrap().0, start.0 + 86_399);
        assert_eq!(parse("2026-11-21T00:00:00Z", true).unwrap(), start);
        assert_eq!(parse("2026-11-21 00:00:10", false).unwrap().0, start.0 + 10);
        assert!(parse("yesterday", false).unwrap_err().contains("is `yesterday`"));
        assert!(parse("1999-01-01", false).unwrap_err().contains("2000"));
    }
}
