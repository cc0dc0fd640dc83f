//! Dates in hive partition names: what they prune and what they bound.

use crate::interactions::{DAY, Stamp};

/// Names under which date partitions are known.
const DATE_KEYS: [&str; 5] = ["dt", "date", "day", "ds", "event_date"];

/// The first second of the day that a file's partition names; `None` when it names none.
pub(super) fn day(hive: &[(String, String)]) -> Option<Stamp> {
    let value =
        |key: &str| hive.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str());
    if let Some(text) = DATE_KEYS.iter().find_map(|key| value(key)).filter(|text| text.len() >= 8) {
        let compact = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit());
        let dashed = if compact { format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]) } else { text.to_owned() };
        return super::instants::parse(dashed.get(..10)?, false).ok();
    }
    let (year, month, day) = (value("year")?, value("month")?, value("day")?);
    super::instants::parse(&format!("{year:0>4}-{month:0>2}-{day:0>2}"), false).ok()
}

/// Whether a partition is read for a window: its day lies within, with a day of grace on both sides for time zones and
/// midnight stragglers.
pub(super) fn may_hold(day: Stamp, since: Option<Stamp>, until: Option<Stamp>) -> bool {
    let after_start = since.is_none_or(|since| day.0.saturating_add(2 * DAY) > since.0);
    let before_end = until.is_none_or(|until| day.0 <= until.0.saturating_add(DAY));
    after_start && before_end
}

/// The last instant that an event of the partition can have: a day written down on one day cannot hold a later one. A day of
/// grace is left for time zones.
pub(super) fn last_instant(day: Stamp) -> Stamp {
    Stamp(day.0.saturating_add(2 * DAY - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hive(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn days_are_read_in_their_usual_spellings() {
        let expected = super::super::instants::parse("2026-01-05", false).unwrap();
        for names in [
            hive(&[("dt", "2026-01-05")]),
            hive(&[("region", "eu"), ("DATE", "20260105")]),
            hive(&[("year", "2026"), ("month", "1"), ("day", "5")]),
        ] {
            assert_eq!(day(&names), Some(expected), "{names:?}");
        }
        assert_eq!(day(&hive(&[("dt", "soon")])), None);
        assert_eq!(day(&hive(&[("country", "de")])), None);
    }

    #[test]
    fn a_partition_beside_the_window_is_pruned_one_within_is_not() {
        let at = |text: &str| super::super::instants::parse(text, false).unwrap();
        let window = (Some(at("2026-01-10")), Some(at("2026-01-20")));
        assert!(!may_hold(at("2026-01-08"), window.0, window.1));
        assert!(may_hold(at("2026-01-09"), window.0, window.1));
        assert!(may_hold(at("2026-01-21"), window.0, window.1));
        assert!(!may_hold(at("2026-01-22"), window.0, window.1));
    }
}
