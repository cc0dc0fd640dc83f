//! What a campaign did: those written to against those held out.

use serde::Serialize;

/// What the members of one arm did after the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct ArmTotals {
    /// Members.
    pub members: u64,
    /// Of them, with at least one purchase.
    pub buyers: u64,
    /// Orders of all members.
    pub orders: f64,
    /// Sum of the squares of the members' orders.
    #[serde(skip)]
    pub orders_squared: f64,
    /// Purchases less refunds of all members, in the currency's unit.
    pub revenue: f64,
    /// Sum of the squares of the members' revenues.
    #[serde(skip)]
    pub revenue_squared: f64,
}

impl ArmTotals {
    /// Takes in a member.
    pub fn add(&mut self, orders: u32, revenue: f64) {
        self.members += 1;
        self.buyers += u64::from(orders > 0);
        self.orders += f64::from(orders);
        self.orders_squared += f64::from(orders) * f64::from(orders);
        self.revenue += revenue;
        self.revenue_squared += revenue * revenue;
    }

    /// Share of the members who bought; 0 of none.
    #[must_use]
    pub fn conversion(&self) -> f64 {
        self.buyers as f64 / self.members.max(1) as f64
    }
}

/// A difference, send less holdout, with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// Mean a member of those written to.
    pub send: f64,
    /// Mean a member of those held out.
    pub holdout: f64,
    /// Send less holdout.
    pub difference: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Difference {
    /// The difference as a share of what the holdout does; `None` where that is nothing.
    #[must_use]
    pub fn relative(&self) -> Option<f64> {
        (self.holdout > 0.0).then(|| self.difference / self.holdout)
    }

    /// Whether the interval leaves zero out.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// What a campaign brought.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Uplift {
    /// Share of members who bought.
    pub conversion: Difference,
    /// Orders a member.
    pub orders: Difference,
    /// Revenue a member.
    pub revenue: Difference,
    /// Orders that would not have been, over all who were written to.
    pub extra_orders: f64,
    /// Revenue that would not have been, over all who were written to.
    pub extra_revenue: f64,
}

/// Compares the arms; `None` where either has nobody.
///
/// Formula: conversions by Newcombe's hybrid of Wilson's score intervals, which holds its level for small groups and for
/// shares near zero; means by Welch's t with the degrees of freedom of Welch and Satterthwaite. The arms are a random
/// deal of the list's members (by hash), so the difference estimates what being written to did (intention to treat: who
/// did not open the mail counts as written to).
/// Source: Newcombe, Interval estimation for the difference between independent proportions, Statistics in Medicine 17
/// (1998), method 10; Welch, Biometrika 34 (1947).
#[must_use]
pub fn uplift(send: &ArmTotals, holdout: &ArmTotals, level: f64) -> Option<Uplift> {
    if send.members == 0 || holdout.members == 0 {
        return None;
    }
    let z = normal_quantile(0.5 + level / 2.0);
    let orders = means((send.orders, send.orders_squared), (holdout.orders, holdout.orders_squared), send, holdout, z);
    let revenue =
        means((send.revenue, send.revenue_squared), (holdout.revenue, holdout.revenue_squared), send, holdout, z);
    Some(Uplift {
        conversion: conversions(send, holdout, z),
        orders,
        revenue,
        extra_orders: orders.difference * send.members as f64,
        extra_revenue: revenue.difference * send.members as f64,
    })
}

fn conversions(send: &ArmTotals, holdout: &ArmTotals, z: f64) -> Difference {
    let (a, b) = (send.conversion(), holdout.conversion());
    let (a_low, a_high) = wilson(send.buyers as f64, send.members as f64, z);
    let (b_low, b_high) = wilson(holdout.buyers as f64, holdout.members as f64, z);
    let difference = a - b;
    Difference {
        send: a,
        holdout: b,
        difference,
        low: difference - ((a - a_low).powi(2) + (b_high - b).powi(2)).sqrt(),
        high: difference + ((a_high - a).powi(2) + (b - b_low).powi(2)).sqrt(),
    }
}

/// Wilson's score interval of a share.
fn wilson(hits: f64, n: f64, z: f64) -> (f64, f64) {
    let share = hits / n;
    let centre = share + z * z / (2.0 * n);
    let half = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    (((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0))
}

fn means(send: (f64, f64), holdout: (f64, f64), a: &ArmTotals, b: &ArmTotals, z: f64) -> Difference {
    let moments = |(sum, squares): (f64, f64), n: u64| {
        let n = n as f64;
        let mean = sum / n;
        let variance = if n > 1.0 { ((squares - n * mean * mean) / (n - 1.0)).max(0.0) } else { 0.0 };
        (mean, variance / n)
    };
    let ((mean_a, error_a), (mean_b, error_b)) = (moments(send, a.members), moments(holdout, b.members));
    let error = error_a + error_b;
    let freedom = |error: f64, n: u64| if n > 1 { error * error / (n - 1) as f64 } else { 0.0 };
    let spread = freedom(error_a, a.members) + freedom(error_b, b.members);
    let t = if spread > 0.0 { t_quantile(z, error * error / spread) } else { z };
    let (difference, half) = (mean_a - mean_b, t * error.sqrt());
    Difference { send: mean_a, holdout: mean_b, difference, low: difference - half, high: difference + half }
}

/// Student's quantile from the normal one, by Cornish and Fisher's expansion; good to 1 % from 3 degrees of freedom on.
fn t_quantile(z: f64, freedom: f64) -> f64 {
    let n = freedom.max(1.0);
    let (z3, z5, z7) = (z.powi(3), z.powi(5), z.powi(7));
    z + (z3 + z) / (4.0 * n)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * n * n)
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * n * n * n)
}

/// The normal distribution's quantile, by bisection of its integral: 15 digits are not needed, and 9 are there.
fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-10.0, 10.0);
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        if normal_below(middle) < p { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// P(Z < x), by the series of the error function.
fn normal_below(x: f64) -> f64 {
    if x.abs() > 7.0 {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        term *= x * x / (2.0 * n + 1.0);
        sum += term;
        n += 1.0;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

    use super::*;

    fn arm(members: u64, buyers: u64) -> ArmTotals {
        let mut totals = ArmTotals::default();
        (0..members).for_each(|n| totals.add(u32::from(n < buyers), if n < buyers { 20.0 } else { 0.0 }));
        totals
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (p, expected) in [(0.975, 1.959_964), (0.95, 1.644_854), (0.995, 2.575_829), (0.5, 0.0)] {
            assert!((normal_quantile(p) - expected).abs() < 1e-6, "{p}");
        }
        for (freedom, expected) in [(5.0, 2.5706), (10.0, 2.2281), (30.0, 2.0423), (1e9, 1.95996)] {
            assert!((t_quantile(1.959_964, freedom) - expected).abs() < 0.012, "{freedom}");
        }
    }

    /// Newcombe 1998, table II: 56/70 against 48/80 and others, method 10.
    #[test]
    fn intervals_of_conversions_are_newcombes() {
        for ((a, m), (b, n), low, high) in
            [((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090), ((10, 10), (0, 10), 0.6075, 1.0)]
        {
            let found = uplift(&arm(m, a), &arm(n, b), 0.95).unwrap().conversion;
            assert!((found.low - low).abs() < 1e-4 && (found.high - high).abs() < 1e-4, "{found:?}");
        }
    }

    #[test]
    fn nobody_held_out_measures_nothing() {
        assert_eq!(uplift(&arm(10, 5), &arm(0, 0), 0.95), None);
        let found = uplift(&arm(1, 1), &arm(1, 0), 0.95).unwrap();
        assert!(found.conversion.low < found.conversion.high && found.revenue.difference == 20.0);
        assert_eq!(found.conversion.relative(), None);
    }

    /// 95 % intervals hold the truth about 95 times in 100, also with a small holdout and few buyers.
    #[test]
    fn the_level_is_held() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let (n_runs, truth) = (600, 0.02);
        let mut held = [0; 2];
        for _ in 0..n_runs {
            let mut draw = |members: usize, share: f64| {
                let mut totals = ArmTotals::default();
                for _ in 0..members {
                    let buys = random.random::<f64>() < share;
                    let spends = if buys { 10.0 + 40.0 * random.random::<f64>() } else { 0.0 };
                    totals.add(u32::from(buys), spends);
                }
                totals
            };
            let found = uplift(&draw(1_800, 0.05 + truth), &draw(200, 0.05), 0.95).unwrap();
            held[0] += u32::from(found.conversion.low <= truth && truth <= found.conversion.high);
            held[1] += u32::from(found.revenue.low <= truth * 30.0 && truth * 30.0 <= found.revenue.high);
        }
        for held in held {
            let share = f64::from(held) / f64::from(n_runs);
            assert!((0.925..=0.98).contains(&share), "{share}");
        }
    }
}
