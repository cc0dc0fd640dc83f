//! The calendar of a chart: steps that fit its width, and ticks on days people know.

use jiff::{Span, ToSpan, civil::Date};

/// Days since 1970-01-01.
pub(super) fn day_number(date: Date) -> i64 {
    let epoch = jiff::civil::date(1970, 1, 1);
    // Two civil dates are at most 20,000 years apart: no overflow, no time zone.
    i64::from(epoch.until(date).map_or(0, |span| span.get_days()))
}

/// Steps of equal length that cover all days.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Steps {
    /// Days in a step; the last may be shorter.
    pub(super) length: u64,
    /// First day of each step.
    pub(super) starts: Vec<Date>,
    first: i64,
    last: i64,
}

impl Steps {
    /// Days, weeks, four weeks, ... whichever gives at most `limit` steps from the first to the last of `dates`.
    ///
    /// `dates` ascend. Returns `None` without dates.
    pub(super) fn over(dates: &[Date], limit: u64) -> Option<Self> {
        let (&first_date, &last_date) = (dates.first()?, dates.last()?);
        let (first, last) = (day_number(first_date), day_number(last_date));
        let n_days = (last - first).max(0) as u64 + 1;
        let length = [1, 7, 28, 91, 364].into_iter().find(|length| n_days.div_ceil(*length) <= limit);
        let length = length.unwrap_or_else(|| n_days.div_ceil(limit.max(1)));
        let starts = (0..n_days.div_ceil(length))
            .map(|step| first_date.saturating_add(Span::new().days((step * length) as i64)))
            .collect();
        Some(Self { length, starts, first, last })
    }

    /// The sum of `counts` (parallel to `dates`) in each step.
    pub(super) fn sums(&self, dates: &[Date], counts: &[u64]) -> Vec<u64> {
        let mut sums = vec![0_u64; self.starts.len()];
        for (&date, &count) in dates.iter().zip(counts) {
            let step = (day_number(date) - self.first).max(0) as u64 / self.length;
            if let Some(sum) = sums.get_mut(step as usize) {
                *sum = sum.saturating_add(count);
            }
        }
        sums
    }

    /// Days in step `at` that lie between the first and the last date.
    pub(super) fn n_days(&self, at: usize) -> u64 {
        let start = self.first + (at as u64 * self.length) as i64;
        (self.last - start + 1).clamp(1, self.length as i64) as u64
    }
}

/// A labelled day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tick {
    pub(super) date: Date,
    /// `3 Nov`, `Nov` or `2026`.
    pub(super) label: String,
    /// Stands below the first tick of each year.
    pub(super) year: Option<String>,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// At most `limit` ticks: days, Mondays, months or years.
pub(super) fn ticks(first: Date, last: Date, limit: usize) -> Vec<Tick> {
    let n_days = (day_number(last) - day_number(first)).max(0) as usize + 1;
    let limit = limit.max(1);
    for every in [1_usize, 2, 7, 14] {
        if n_days.div_ceil(every) <= limit {
            let start = if every < 7 { first } else { next_monday(first) };
            return labelled(start, last, (every as i64).days(), day_label);
        }
    }
    let n_months = n_days / 28 + 1;
    for every in [1_usize, 2, 3, 6] {
        if n_months.div_ceil(every) <= limit {
            let start = next_month(first, every as i8);
            return labelled(start, last, (every as i64).months(), |date| month_name(date).to_owned());
        }
    }
    let n_years = n_days / 365 + 1;
    let every =
        [1_usize, 2, 5, 10, 20, 50, 100].into_iter().find(|every| n_years.div_ceil(*every) <= limit).unwrap_or(1000);
    let start = next_month(first, 12);
    let mut ticks = labelled(start, last, (every as i64).years(), |date| date.year().to_string());
    for tick in &mut ticks {
        tick.year = None;
    }
    ticks
}

/// `3 Nov`.
pub(super) fn day_label(date: Date) -> String {
    format!("{} {}", date.day(), month_name(date))
}

fn month_name(date: Date) -> &'static str {
    MONTHS[date.month().unsigned_abs() as usize - 1]
}

fn labelled(start: Date, last: Date, step: Span, label: impl Fn(Date) -> String) -> Vec<Tick> {
    let mut ticks = Vec::new();
    let mut date = start;
    let mut year = None;
    while date <= last {
        let new_year = year != Some(date.year());
        year = Some(date.year());
        ticks.push(Tick { date, label: label(date), year: new_year.then(|| date.year().to_string()) });
        match date.checked_add(step) {
            Ok(next) => date = next,
            Err(_) => break,
        }
    }
    ticks
}

fn next_monday(date: Date) -> Date {
    let ahead = (7 - date.weekday().to_monday_zero_offset()) % 7;
    date.saturating_add(i64::from(ahead).days())
}

/// The first of the next month whose number is 1 more than a multiple of `every`; `date` itself if it is one.
fn next_month(date: Date, every: i8) -> Date {
    let mut start = date.first_of_month();
    while start < date || (start.month() - 1) % every != 0 {
        let Ok(next) = start.checked_add(1.month()) else { return start };
        start = next;
    }
    start
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn labels(first: Date, last: Date, limit: usize) -> Vec<String> {
        ticks(first, last, limit).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn days_are_counted_from_the_epoch() {
        assert_eq!(day_number(date(1970, 1, 1)), 0);
        assert_eq!(day_number(date(2026, 11, 22)), 20_779);
        assert_eq!(day_number(date(1969, 12, 31)), -1);
    }

    #[test]
    fn ticks_fall_on_days_people_know() {
        assert_eq!(labels(date(2026, 11, 1), date(2026, 11, 3), 5), ["1 Nov", "2 Nov", "3 Nov"]);
        assert_eq!(labels(date(2026, 11, 1), date(2026, 11, 30), 6), ["2 Nov", "9 Nov", "16 Nov", "23 Nov", "30 Nov"]);
        assert_eq!(labels(date(2026, 8, 15), date(2026, 11, 22), 6), ["Sep", "Oct", "Nov"]);
        assert_eq!(labels(date(2022, 3, 1), date(2026, 11, 22), 6), ["2023", "2024", "2025", "2026"]);
    }

    #[test]
    fn the_year_stands_where_it_changes() {
        let years: Vec<Option<String>> =
            ticks(date(2025, 11, 20), date(2026, 2, 10), 4).into_iter().map(|tick| tick.year).collect();
        assert_eq!(years, [Some("2025".to_owned()), Some("2026".to_owned()), None]);
    }

    #[test]
    fn ticks_keep_to_the_limit_for_any_span() {
        let first = date(2020, 1, 31);
        for n_days in [0, 1, 5, 13, 29, 60, 100, 200, 400, 1_000, 3_000, 20_000] {
            for limit in [1, 2, 5, 12] {
                let last = first.saturating_add(i64::from(n_days).days());
                let ticks = ticks(first, last, limit);
                assert!(ticks.len() <= limit + 1, "{n_days} days, limit {limit}: {}", ticks.len());
                assert!(ticks.iter().all(|tick| tick.date >= first && tick.date <= last));
            }
        }
    }

    #[test]
    fn steps_cover_gaps_and_keep_every_count() {
        let dates = [date(2026, 1, 1), date(2026, 1, 3), date(2026, 1, 10)];
        let steps = Steps::over(&dates, 100).unwrap();
        assert_eq!((steps.length, steps.starts.len()), (1, 10));
        assert_eq!(steps.sums(&dates, &[5, 6, 7]), [5, 0, 6, 0, 0, 0, 0, 0, 0, 7]);
        let weeks = Steps::over(&dates, 5).unwrap();
        assert_eq!((weeks.length, weeks.sums(&dates, &[5, 6, 7])), (7, vec![11, 7]));
        assert_eq!((weeks.n_days(0), weeks.n_days(1)), (7, 3));
        assert!(Steps::over(&[], 5).is_none());
        let centuries = [date(1970, 1, 1), date(2926, 1, 1)];
        assert!(Steps::over(&centuries, 200).unwrap().starts.len() <= 200);
    }
}
