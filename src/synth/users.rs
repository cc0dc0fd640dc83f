//! Shoppers: who is how active, who is a bot, when they came, what the customer database says of them.
//!
//! Nothing is stored by user: everything is computed from the number when it is needed.

use super::{
    arithmetic::power,
    calendar::{Arrivals, DAY_MS, Day},
    config::Config,
    error::SynthError,
    random::{Name, Permutation, Stream},
    words::{COUNTRIES, FIRST_NAMES, LAST_NAMES},
};

const RANKS: Name = Name::new("user ranks");
const CUSTOMER: Name = Name::new("customer");

/// Added to the rank, as a share of all shoppers: it flattens the very top. At the default exponent the most active
/// shopper does 33 times as much as the mean one; without it he would be a bot: 333 times as much, of a million.
const RANK_OFFSET: f64 = 1e-3;

/// All shoppers.
#[derive(Debug)]
pub(crate) struct Users {
    seed: u64,
    n: u32,
    n_bots: u32,
    pub(crate) arrivals: Arrivals,
    /// From rank to user. The first `n_bots` ranks are bots, then come people, the most active first.
    ranks: Permutation,
    activity: Activity,
    /// A person who was there before the log began.
    fallback: u32,
}

/// Draws ranks r in 0..n with density (r + offset)^-exponent, by inversion.
#[derive(Debug, Clone, Copy)]
struct Activity {
    n: u32,
    offset: f64,
    low: f64,
    high: f64,
    inverse: f64,
}

impl Activity {
    fn new(n: u32, exponent: f64) -> Self {
        let rest = 1.0 - exponent;
        let offset = f64::from(n) * RANK_OFFSET + 1.0;
        let (low, high) = (power(offset, rest), power(f64::from(n) + offset, rest));
        Self { n, offset, low, high, inverse: 1.0 / rest }
    }

    #[inline]
    fn draw(&self, stream: &mut Stream) -> u32 {
        let x = self.low + stream.unit() * (self.high - self.low);
        ((power(x, self.inverse) - self.offset).max(0.0) as u32).min(self.n - 1)
    }
}

/// One row of the customer database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Customer {
    pub(crate) email: String,
    pub(crate) country: &'static str,
    pub(crate) locale: &'static str,
    pub(crate) consent: bool,
    pub(crate) created_ms: i64,
}

impl Users {
    pub(crate) fn new(config: &Config, days: &[Day]) -> Result<Self, SynthError> {
        let n_bots = config.n_bots();
        let mut users = Self {
            seed: config.seed,
            n: config.users,
            n_bots,
            arrivals: Arrivals::new(config, days, config.users, config.new_user_rate),
            ranks: Permutation::new(config.seed, RANKS, config.users.into()),
            activity: Activity::new(config.users - n_bots, config.user_activity_exponent),
            fallback: 0,
        };
        let person = (0..users.arrivals.n_old).find(|&user| !users.is_bot(user));
        users.fallback = person.ok_or(SynthError::NobodyThere { users: config.users })?;
        Ok(users)
    }

    pub(crate) fn len(&self) -> u32 {
        self.n
    }

    pub(crate) fn n_bots(&self) -> u32 {
        self.n_bots
    }

    pub(crate) fn is_bot(&self, user: u32) -> bool {
        self.ranks.backward(user.into()) < u64::from(self.n_bots)
    }

    /// Bot number `bot`, below `n_bots`.
    pub(crate) fn bot(&self, bot: u32) -> u32 {
        self.ranks.forward(bot.into()) as u32
    }

    /// Draws a person who had come by `instant_ms`, by activity.
    pub(crate) fn draw(&self, instant_ms: i64, stream: &mut Stream) -> u32 {
        // At least a tenth of the people is there, so that 64 misses in a row hardly ever happen.
        for _ in 0..64 {
            let rank = self.n_bots + self.activity.draw(stream);
            let user = self.ranks.forward(rank.into()) as u32;
            if self.arrivals.at(user) <= instant_ms {
                return user;
            }
        }
        self.fallback
    }

    /// When the user signed up. Bots did before the log began.
    pub(crate) fn created_ms(&self, user: u32) -> i64 {
        let at = self.arrivals.at(user);
        if self.is_bot(user) { at.min(self.arrivals.at(0) + 700 * DAY_MS) } else { at }
    }

    pub(crate) fn customer(&self, user: u32) -> Customer {
        let mut stream = Stream::new(self.seed, CUSTOMER, user.into(), 0);
        let mut percent = stream.below(100) as u32;
        let &(country, locales, _) = COUNTRIES
            .iter()
            .find(|country| {
                let here = percent < country.2;
                percent = percent.wrapping_sub(country.2);
                here
            })
            .expect("shares of countries add up to 100");
        let (first, last) = (stream.one_of(&FIRST_NAMES), stream.one_of(&LAST_NAMES));
        let domain = stream.one_of(&["example.com", "example.org"]);
        Customer {
            email: format!("{first}.{last}{user}@{domain}"),
            country,
            locale: stream.one_of(locales),
            consent: stream.chance(0.62),
            created_ms: self.created_ms(user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::calendar::days;

    fn users(config: &Config) -> Users {
        Users::new(config, &days(config)).unwrap()
    }

    #[test]
    fn nobody_shops_before_he_came_and_no_bot_is_drawn_as_a_person() {
        let config = Config { users: 500, new_user_rate: 0.9, bot_user_rate: 0.1, ..Config::default() };
        let users = users(&config);
        let days = days(&config);
        let mut stream = Stream::new(2, RANKS, 0, 0);
        for day in &days {
            for _ in 0..50 {
                let user = users.draw(day.start_ms, &mut stream);
                assert!(users.created_ms(user) <= day.start_ms && !users.is_bot(user));
            }
        }
        let bots = (0..500).filter(|&user| users.is_bot(user)).count();
        assert_eq!(bots, 50);
        for bot in 0..50 {
            assert!(users.is_bot(users.bot(bot)));
            assert!(users.created_ms(users.bot(bot)) < days[0].start_ms);
        }
    }

    #[test]
    fn activity_is_a_power_law_of_the_rank() {
        let activity = Activity::new(100_000, 0.667);
        let mut stream = Stream::new(2, RANKS, 0, 0);
        let mut top_percent = 0;
        for _ in 0..100_000 {
            top_percent += u32::from(activity.draw(&mut stream) < 1_000);
        }
        // The integral of (r + 101)^-0.667 up to 1,000 over that up to 100,000.
        let share = |r: f64| (r + 101.0).powf(0.333) - 101f64.powf(0.333);
        let expected = share(1_000.0) / share(100_000.0) * 100_000.0;
        assert!((f64::from(top_percent) - expected).abs() < 700.0, "{top_percent}, {expected} expected");
    }

    #[test]
    fn a_shop_of_one_shopper_works_and_one_without_a_person_is_refused() {
        let config = Config { users: 1, bot_user_rate: 0.5, new_user_rate: 0.9, ..Config::default() };
        let shop = users(&config);
        assert_eq!((shop.n_bots(), shop.draw(i64::MAX, &mut Stream::new(0, RANKS, 0, 0))), (0, 0));
        let refused = (0..20).any(|seed| {
            let config = Config { seed, users: 3, bot_user_rate: 0.4, new_user_rate: 0.9, ..Config::default() };
            matches!(Users::new(&config, &days(&config)), Err(SynthError::NobodyThere { users: 3 }))
        });
        assert!(refused, "in one of 20 shops the only old shopper is the bot");
    }

    #[test]
    fn customers_are_believable() {
        let users = users(&Config { users: 2_000, ..Config::default() });
        let customers: Vec<Customer> = (0..2_000).map(|user| users.customer(user)).collect();
        let share = |wanted: fn(&Customer) -> bool| customers.iter().filter(|c| wanted(c)).count() as f64 / 2_000.0;
        assert!((share(|c| c.consent) - 0.62).abs() < 0.05);
        assert!((share(|c| c.country == "DE") - 0.24).abs() < 0.05);
        assert!(customers.iter().all(|c| c.email.ends_with("@example.com") || c.email.ends_with("@example.org")));
        assert!(customers.iter().all(|c| c.locale.ends_with(c.country)));
        assert_eq!(customers.iter().map(|c| &c.email).collect::<std::collections::BTreeSet<_>>().len(), 2_000);
    }
}
