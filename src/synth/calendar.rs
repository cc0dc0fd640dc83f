//! The log's days: how busy each is, and when in a day things happen.

use jiff::{ToSpan, civil::Date, tz::TimeZone};

use super::{
    arithmetic::cos_turns,
    config::Config,
    random::{Name, Stream},
};

/// Milliseconds of a day (UTC days have no others).
pub(crate) const DAY_MS: i64 = 86_400_000;

const HOUR_MS: f64 = 3_600_000.0;
const CAMPAIGNS: Name = Name::new("campaigns");

/// Visits by hour, in parts of a thousand. Low at night, a lunch bump, the evening on the sofa.
const WORKDAY: [f64; 24] = [
    14.0, 8.0, 5.0, 4.0, 5.0, 9.0, 20.0, 34.0, 42.0, 47.0, 50.0, 53.0, 62.0, 55.0, 48.0, 47.0, 50.0, 56.0, 64.0, 76.0,
    84.0, 78.0, 56.0, 33.0,
];
/// The same on Saturday and Sunday: later up, flatter.
const WEEKEND: [f64; 24] = [
    20.0, 13.0, 8.0, 5.0, 4.0, 6.0, 11.0, 20.0, 36.0, 52.0, 62.0, 65.0, 62.0, 60.0, 60.0, 61.0, 61.0, 60.0, 61.0, 68.0,
    75.0, 66.0, 42.0, 22.0,
];
/// Visits by weekday, Monday first.
const WEEK: [f64; 7] = [1.02, 0.97, 0.95, 0.96, 0.93, 1.04, 1.16];
/// Height of the year's wave, and the part of the year where it peaks: late November.
const YEAR_WAVE: (f64, f64) = (0.16, 0.9);

/// One day of the log.
#[derive(Debug, Clone)]
pub(crate) struct Day {
    pub(crate) date: Date,
    /// The date as `20260601`.
    pub(crate) digits: u32,
    /// Its first instant, in ms since 1970.
    pub(crate) start_ms: i64,
    /// Visits by comparison with an ordinary day, growth of the shop left out.
    pub(crate) weight: f64,
    pub(crate) campaign: bool,
    /// Share of the day's visits before each hour, 0 first and 1 last.
    hours: [f64; 25],
}

impl Day {
    /// When the visit at `share` (in [0, 1)) of the day's visits begins, in ms after midnight.
    pub(crate) fn time_of(&self, share: f64) -> i64 {
        let hour = self.hours[1..24].partition_point(|&until| until <= share);
        let within = (share - self.hours[hour]) / (self.hours[hour + 1] - self.hours[hour]);
        (((hour as f64 + within) * HOUR_MS) as i64).clamp(0, DAY_MS - 1)
    }
}

/// The days of a config, in order.
pub(crate) fn days(config: &Config) -> Vec<Day> {
    let mut stream = Stream::new(config.seed, CAMPAIGNS, 0, 0);
    let mut campaigns = vec![false; config.days as usize];
    for _ in 0..config.campaign_days.min(config.days) {
        // Open addressing: a day that is taken hands on to the next.
        let mut at = stream.below(config.days.into()) as usize;
        while campaigns[at] {
            at = (at + 1) % campaigns.len();
        }
        campaigns[at] = true;
    }
    let make = |(number, campaign): (usize, bool)| {
        let date = config.start.saturating_add((number as i64).days());
        let start_ms = date.to_zoned(TimeZone::UTC).expect("UTC has every civil date").timestamp().as_millisecond();
        let weekday = usize::from(date.weekday().to_monday_zero_offset().unsigned_abs());
        let year = f64::from(date.day_of_year()) / 365.25;
        let wave = 1.0 + YEAR_WAVE.0 * cos_turns(year - YEAR_WAVE.1);
        let lift = if campaign { config.campaign_lift } else { 1.0 };
        let profile = if weekday < 5 { &WORKDAY } else { &WEEKEND };
        let sum: f64 = profile.iter().sum();
        let mut hours = [0.0; 25];
        for hour in 0..24 {
            hours[hour + 1] = hours[hour] + profile[hour] / sum;
        }
        Day {
            date,
            digits: date.year() as u32 * 10_000 + date.month() as u32 * 100 + date.day() as u32,
            start_ms,
            weight: WEEK[weekday] * wave * lift,
            campaign,
            hours,
        }
    };
    campaigns.into_iter().enumerate().map(make).collect()
}

/// When shoppers or items came: the lower the number, the earlier.
///
/// `n_old` of them came in the two years before the log, the rest evenly during it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrivals {
    n: u32,
    pub(crate) n_old: u32,
    start_ms: i64,
    length_ms: i64,
}

/// How long the shop has been open when the log begins.
const BEFORE_MS: i64 = 730 * DAY_MS;

impl Arrivals {
    /// At least one of the `n` is old; `new_rate` is the share of the others.
    pub(crate) fn new(config: &Config, days: &[Day], n: u32, new_rate: f64) -> Self {
        let n_new = (f64::from(n) * new_rate).floor() as u32;
        let length_ms = i64::from(config.days) * DAY_MS;
        Self { n, n_old: (n - n_new).max(1), start_ms: days[0].start_ms, length_ms }
    }

    /// The instant at which number `i` came, in ms since 1970; ascends with `i`.
    #[inline]
    pub(crate) fn at(&self, i: u32) -> i64 {
        if i < self.n_old {
            self.start_ms - BEFORE_MS + i64::from(i) * BEFORE_MS / i64::from(self.n_old)
        } else {
            let (i, n) = (i64::from(i - self.n_old), i64::from(self.n - self.n_old));
            self.start_ms + self.length_ms * i / n
        }
    }

    /// Share of all that have come by the middle of day `day`.
    pub(crate) fn share_on(&self, day: usize) -> f64 {
        let passed = (day as f64 + 0.5) * DAY_MS as f64 / self.length_ms as f64;
        (f64::from(self.n_old) + passed * f64::from(self.n - self.n_old)) / f64::from(self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn days_follow_one_another_and_weekends_differ() {
        let days = days(&Config { start: date(2026, 2, 27), days: 4, campaign_days: 0, ..Config::default() });
        assert_eq!(days.iter().map(|day| day.digits).collect::<Vec<_>>(), [20260227, 20260228, 20260301, 20260302]);
        assert!(days.windows(2).all(|pair| pair[0].start_ms + DAY_MS == pair[1].start_ms));
        // Sunday is busier than Friday.
        assert!(days[2].weight > 1.1 * days[0].weight);
        assert_eq!(days[0].start_ms, 1_772_150_400_000);
    }

    #[test]
    fn campaign_days_are_as_many_as_asked() {
        let count = |campaign_days| {
            let config = Config { campaign_days, days: 10, ..Config::default() };
            days(&config).iter().filter(|day| day.campaign).count()
        };
        assert_eq!((count(0), count(4), count(10), count(99)), (0, 4, 10, 10));
    }

    #[test]
    fn times_of_day_follow_the_profile() {
        let day = &days(&Config::default())[0];
        assert_eq!(day.time_of(0.0), 0);
        let times: Vec<i64> = (0..100_000).map(|i| day.time_of(f64::from(i) / 100_000.0)).collect();
        assert!(times.is_sorted() && times[99_999] < DAY_MS);
        let at_hour = |hour: i64| times.iter().filter(|&&time| time / 3_600_000 == hour).count();
        let sum: f64 = WORKDAY.iter().sum();
        assert!(at_hour(20).abs_diff((84.0 / sum * 100_000.0) as usize) < 5);
        assert!(at_hour(3).abs_diff((4.0 / sum * 100_000.0) as usize) < 5);
    }

    #[test]
    fn arrivals_ascend_and_stay_within_the_log() {
        let config = Config { days: 30, ..Config::default() };
        let days = days(&config);
        let arrivals = Arrivals::new(&config, &days, 1_000, 0.25);
        assert_eq!(arrivals.n_old, 750);
        assert!((1..1_000).all(|i| arrivals.at(i - 1) < arrivals.at(i)));
        assert!(arrivals.at(749) < days[0].start_ms && arrivals.at(750) == days[0].start_ms);
        assert!(arrivals.at(999) < days[29].start_ms + DAY_MS);
        assert_eq!(Arrivals::new(&config, &days, 1, 0.9).n_old, 1);
    }
}
