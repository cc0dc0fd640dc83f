//! Recency, frequency and money of buyers, in fifths of all buyers, and the tiers made of them.

use serde::{Deserialize, Serialize};

use super::{profiles::Profiles, time::Stamp};

/// The buyers among a bucket's users, by columns: all that the fifths depend on. Buckets' tables put together are the
/// whole shop's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buyers {
    /// Their places among the users of the bucket, ascending.
    pub users: Vec<u32>,
    /// Time of the last order.
    pub last: Vec<Stamp>,
    /// Orders of all time.
    pub orders: Vec<u32>,
    /// Purchases less refunds of all time, in ten-thousandths.
    pub money: Vec<i64>,
}

/// Where the fifths of all buyers end: of each measure the values of rank ceil(n / 5), ceil(2n / 5), … from the lowest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RfmThresholds {
    /// Of the last orders' times.
    pub last: [Stamp; 4],
    /// Of the numbers of orders.
    pub orders: [u32; 4],
    /// Of the money; `None` where all buyers' is the same, as it is without prices.
    pub money: Option<[i64; 4]>,
}

/// A buyer's fifths: 1 is the lowest, 5 the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RfmScores {
    /// 5: bought most lately.
    pub recency: u8,
    /// 5: bought most often.
    pub frequency: u8,
    /// 5: spent most; `None` where money tells nobody apart.
    pub monetary: Option<u8>,
}

/// What a buyer is to the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RfmTier {
    /// Recency 4 or 5, value 4 or 5.
    Champions,
    /// Recency 3 to 5, value 3 to 5, not a champion.
    Loyal,
    /// Recency 4 or 5, value 1 or 2.
    Recent,
    /// Recency 3, value 1 or 2.
    NeedsAttention,
    /// Recency 1 or 2, value 3 to 5.
    AtRisk,
    /// Recency 1 or 2, value 1 or 2.
    Inactive,
}

impl RfmTier {
    /// All tiers.
    pub const ALL: [Self; 6] =
        [Self::Champions, Self::Loyal, Self::Recent, Self::NeedsAttention, Self::AtRisk, Self::Inactive];

    /// As it stands in profiles.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Champions => "Champions",
            Self::Loyal => "Loyal",
            Self::Recent => "Recent",
            Self::NeedsAttention => "Needs attention",
            Self::AtRisk => "At risk",
            Self::Inactive => "Inactive",
        }
    }
}

impl Buyers {
    /// The users of a bucket that have an order.
    #[must_use]
    pub fn of(profiles: &Profiles) -> Self {
        let mut buyers = Self::default();
        for user in 0..profiles.n_users() {
            if let Some(last) = profiles.orders.last[user] {
                buyers.users.push(user as u32);
                buyers.last.push(last);
                buyers.orders.push(profiles.orders.n_orders(user));
                buyers.money.push(profiles.money_of_all_time(user));
            }
        }
        buyers
    }
}

impl RfmThresholds {
    /// The thresholds of all buyers of a shop; `None` when there are none.
    ///
    /// Determinism: the order of buckets and buyers does not matter.
    /// Cost: three selections over the buyers, 8 bytes each while they run.
    #[must_use]
    pub fn of<'a>(buckets: impl Iterator<Item = &'a Buyers> + Clone) -> Option<Self> {
        let last = fifths(buckets.clone().flat_map(|buyers| buyers.last.iter().copied()).collect())?;
        let orders = fifths(buckets.clone().flat_map(|buyers| buyers.orders.iter().copied()).collect())?;
        let money = || buckets.clone().flat_map(|buyers| buyers.money.iter().copied());
        let differs = money().min() != money().max();
        let money = if differs { fifths(money().collect()) } else { None };
        Some(Self { last, orders, money })
    }

    /// A buyer's fifths. Formula: 1 + how many thresholds lie below the value; equal values have equal scores, those of the
    /// lower fifth.
    #[must_use]
    pub fn scores(&self, last: Stamp, orders: u32, money: i64) -> RfmScores {
        RfmScores {
            recency: score(&self.last, last),
            frequency: score(&self.orders, orders),
            monetary: self.money.map(|thresholds| score(&thresholds, money)),
        }
    }
}

impl RfmScores {
    /// The tier. Value is the mean of frequency and money rounded up, or frequency alone.
    #[must_use]
    pub fn tier(self) -> RfmTier {
        let value = self.monetary.map_or(self.frequency, |monetary| (self.frequency + monetary).div_ceil(2));
        match (self.recency, value) {
            (4.., 4..) => RfmTier::Champions,
            (3.., 3..) => RfmTier::Loyal,
            (4.., _) => RfmTier::Recent,
            (3, _) => RfmTier::NeedsAttention,
            (_, 3..) => RfmTier::AtRisk,
            _ => RfmTier::Inactive,
        }
    }
}

fn score<T: PartialOrd>(thresholds: &[T; 4], value: T) -> u8 {
    1 + thresholds.iter().filter(|threshold| value > **threshold).count() as u8
}

/// The values of rank ceil(n / 5) to ceil(4n / 5), from 1, lowest first.
fn fifths<T: Ord + Copy>(mut values: Vec<T>) -> Option<[T; 4]> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    Some([1, 2, 3, 4].map(|fifth| *values.select_nth_unstable((n * fifth).div_ceil(5) - 1).1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buyers(rows: &[(u32, u32, i64)]) -> Buyers {
        Buyers {
            users: (0..rows.len() as u32).collect(),
            last: rows.iter().map(|row| Stamp(row.0)).collect(),
            orders: rows.iter().map(|row| row.1).collect(),
            money: rows.iter().map(|row| row.2).collect(),
        }
    }

    #[test]
    fn scores_are_fifths_however_buyers_are_dealt() {
        let rows: Vec<(u32, u32, i64)> = (0..23).map(|n| ((n * 7 % 23) as u32, 1 + n as u32 % 3, n * n % 11)).collect();
        let whole = RfmThresholds::of([buyers(&rows)].iter()).unwrap();
        let parts = [buyers(&rows[..4]), buyers(&[]), buyers(&rows[4..])];
        assert_eq!(RfmThresholds::of(parts.iter().rev()).unwrap(), whole);
        for &(last, orders, money) in &rows {
            // Naive: how many fifths of the sorted values are full before the first equal one.
            let naive = |values: Vec<i64>, value: i64| {
                let (n, mut sorted) = (values.len(), values);
                sorted.sort_unstable();
                let first_equal = sorted.iter().position(|other| *other == value).unwrap();
                let mut score = 1;
                while score < 5 && first_equal >= (n * score).div_ceil(5) {
                    score += 1;
                }
                score as u8
            };
            let scores = whole.scores(Stamp(last), orders, money);
            assert_eq!(scores.recency, naive(rows.iter().map(|row| i64::from(row.0)).collect(), i64::from(last)));
            assert_eq!(scores.frequency, naive(rows.iter().map(|row| i64::from(row.1)).collect(), i64::from(orders)));
            assert_eq!(scores.monetary, Some(naive(rows.iter().map(|row| row.2).collect(), money)));
        }
    }

    #[test]
    fn distinct_values_fill_the_fifths_evenly() {
        let rows: Vec<(u32, u32, i64)> = (1..=10).map(|n| (n, n, i64::from(n))).collect();
        let thresholds = RfmThresholds::of([buyers(&rows)].iter()).unwrap();
        let scores: Vec<u8> = rows.iter().map(|row| thresholds.scores(Stamp(row.0), 1, 0).recency).collect();
        assert_eq!(scores, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
    }

    #[test]
    fn ties_share_the_lower_score_and_equal_money_says_nothing() {
        let thresholds = RfmThresholds::of([buyers(&[(1, 1, 0), (2, 1, 0), (3, 1, 0), (4, 1, 0), (5, 9, 0)])].iter());
        let thresholds = thresholds.unwrap();
        assert_eq!(thresholds.scores(Stamp(5), 1, 0), RfmScores { recency: 5, frequency: 1, monetary: None });
        assert_eq!(thresholds.scores(Stamp(1), 9, 0), RfmScores { recency: 1, frequency: 5, monetary: None });
        assert_eq!(RfmThresholds::of([Buyers::default()].iter()), None);
    }

    #[test]
    fn every_buyer_has_one_tier() {
        let tier = |recency, frequency, monetary| RfmScores { recency, frequency, monetary }.tier();
        assert_eq!(tier(5, 5, Some(4)), RfmTier::Champions);
        assert_eq!(tier(4, 4, Some(3)), RfmTier::Champions);
        assert_eq!(tier(4, 3, Some(3)), RfmTier::Loyal);
        assert_eq!(tier(3, 5, Some(5)), RfmTier::Loyal);
        assert_eq!(tier(5, 1, Some(2)), RfmTier::Recent);
        assert_eq!(tier(3, 2, Some(2)), RfmTier::NeedsAttention);
        assert_eq!(tier(1, 5, Some(5)), RfmTier::AtRisk);
        assert_eq!(tier(2, 1, Some(1)), RfmTier::Inactive);
        assert_eq!(tier(5, 5, None), RfmTier::Champions);
    }
}
