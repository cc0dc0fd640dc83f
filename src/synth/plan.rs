//! What is written where: rows a day and row group, decided before the first row is made.
//!
//! The plan is what makes days independent. It walks through the shapes of all sessions once (a few nanoseconds an
//! event) and keeps some numbers a row group.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    calendar::Day,
    config::Config,
    random::{Name, Stream},
    sessions::{MAX_REFUND_DAYS, Place, Sessions},
    users::Users,
};

const ROUNDING: Name = Name::new("rounding");

/// What goes into one row group of events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupPlan {
    /// Day of the log and row group of the day; `session` is 0.
    pub(crate) place: Place,
    /// Row groups of the day.
    pub(crate) n_groups: u32,
    /// All rows.
    pub(crate) n_rows: u32,
    /// Of these, repeats of others.
    pub(crate) n_duplicates: u32,
    /// Of these, made by bots.
    pub(crate) n_bot_rows: u32,
    /// Of these, made in sessions of people; the last session is cut off when it would exceed it.
    pub(crate) n_session_rows: u32,
    /// Sessions, the one that is cut off included.
    pub(crate) n_sessions: u32,
    /// Sessions that are not cut off.
    pub(crate) n_whole: u32,
    /// Refunds come in the order of their purchases: the group's first one, and the one after its last.
    pub(crate) refunds: (u32, u32),
}

/// A purchase that is refunded: its session and line.
pub(crate) type Refund = (Place, u8);

/// What goes into every row group.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) groups: Vec<GroupPlan>,
    /// By day: its row groups.
    days: Vec<Range<usize>>,
    /// By day: the first purchase whose refund finds the day full and is dropped.
    closed: Vec<Option<Refund>>,
}

impl Plan {
    pub(crate) fn new(config: &Config, days: &[Day], users: &Users, sessions: &Sessions) -> Self {
        let weights: Vec<f64> =
            days.iter().enumerate().map(|(number, day)| day.weight * users.arrivals.share_on(number)).collect();
        let quotas = split(config.events, &weights);
        let mut plan = Self { groups: Vec::new(), days: Vec::new(), closed: vec![None; days.len()] };
        let mut refunds_on = vec![0_u64; days.len()];
        for (number, (day, &quota)) in days.iter().zip(&quotas).enumerate() {
            let n_groups = quota.div_ceil(config.rows_per_row_group.into()) as u32;
            let cut = |total: u64, group: u32| total * u64::from(group) / u64::from(n_groups);
            let planned: Vec<(GroupPlan, Vec<(Refund, u32)>)> = (0..n_groups)
                .into_par_iter()
                .map(|group| {
                    let place = Place { day: number as u32, group, session: 0 };
                    let n_rows = (cut(quota, group + 1) - cut(quota, group)) as u32;
                    let refunds = (cut(refunds_on[number], group) as u32, cut(refunds_on[number], group + 1) as u32);
                    let blank = GroupPlan {
                        place,
                        n_groups,
                        n_rows,
                        n_duplicates: 0,
                        n_bot_rows: 0,
                        n_session_rows: 0,
                        n_sessions: 0,
                        n_whole: 0,
                        refunds,
                    };
                    let group = fill(config, users.n_bots(), sessions, day.campaign, blank);
                    let refunds = refunds_of(sessions, &group, day.campaign);
                    (group, refunds)
                })
                .collect();
            let first = plan.groups.len();
            for (group, refunds) in planned {
                plan.groups.push(group);
                for (refund, day) in refunds {
                    let Some(count) = refunds_on.get_mut(day as usize) else { continue };
                    // A quarter of a day's rows at most, so that a tiny log keeps room for sessions.
                    if plan.closed[day as usize].is_none() && *count < quotas[day as usize] / 4 {
                        *count += 1;
                    } else {
                        plan.closed[day as usize].get_or_insert(refund);
                    }
                }
            }
            plan.days.push(first..plan.groups.len());
        }
        plan
    }

    /// The row groups of day `day`.
    pub(crate) fn of_day(&self, day: u32) -> Range<usize> {
        self.days[day as usize].clone()
    }

    /// Whether the log holds the refund of what was bought as `line` in the whole session at `place`.
    pub(crate) fn refunded(&self, sessions: &Sessions, place: Place, line: u8) -> bool {
        let Some(after) = sessions.refund_after(place, line) else { return false };
        match self.closed.get((place.day + after) as usize) {
            None => false,
            Some(closed) => closed.is_none_or(|first| (place, line) < first),
        }
    }

    /// The purchases whose refunds are in `group`, in the order of the purchases.
    pub(crate) fn refunds_in(&self, days: &[Day], sessions: &Sessions, group: &GroupPlan) -> Vec<Refund> {
        let (first, end) = group.refunds;
        if first == end {
            return Vec::new();
        }
        let today = group.place.day;
        let earlier = (today.saturating_sub(MAX_REFUND_DAYS)..today).flat_map(|day| self.of_day(day));
        earlier
            .flat_map(|at| {
                let group = &self.groups[at];
                refunds_of(sessions, group, days[group.place.day as usize].campaign)
            })
            .filter(|&(refund, day)| day == today && self.closed[today as usize].is_none_or(|first| refund < first))
            .map(|(refund, _)| refund)
            .skip(first as usize)
            .take((end - first) as usize)
            .collect()
    }
}

/// The refunds of what is bought in a group, in order, with the days they come on.
fn refunds_of(sessions: &Sessions, group: &GroupPlan, campaign: bool) -> Vec<(Refund, u32)> {
    let mut refunds = Vec::new();
    for session in sessions.refundable(group.n_whole) {
        let place = Place { session, ..group.place };
        for line in sessions.skeleton(place, campaign).0.bought() {
            if let Some(after) = sessions.refund_after(place, line) {
                refunds.push(((place, line), place.day + after));
            }
        }
    }
    refunds
}

/// Divides a group's rows among duplicates, bots and sessions, and counts the sessions.
fn fill(config: &Config, n_bots: u32, sessions: &Sessions, campaign: bool, mut group: GroupPlan) -> GroupPlan {
    let (day, number) = (group.place.day.into(), group.place.group.into());
    let mut stream = Stream::new(config.seed, ROUNDING, day, number);
    let mut share = |rate: f64, at_most: u32| {
        let rows = stream.round(rate * f64::from(group.n_rows)) as u32;
        rows.min(at_most)
    };
    let mut rest = group.n_rows - (group.refunds.1 - group.refunds.0);
    // A repeat needs a row that it repeats.
    group.n_duplicates = share(config.duplicate_rate, rest.saturating_sub(1));
    rest -= group.n_duplicates;
    group.n_bot_rows = if n_bots > 0 { share(config.bot_event_rate, rest) } else { 0 };
    group.n_session_rows = rest - group.n_bot_rows;
    let mut rows = 0;
    while rows < group.n_session_rows {
        let place = Place { session: group.n_sessions, ..group.place };
        rows += sessions.skeleton(place, campaign).0.n_rows();
        group.n_sessions += 1;
    }
    group.n_whole = group.n_sessions - u32::from(rows > group.n_session_rows);
    group
}

/// Splits `total` in proportion to `weights`, to the last one: the largest remainders are rounded up.
fn split(total: u64, weights: &[f64]) -> Vec<u64> {
    let sum: f64 = weights.iter().sum();
    let exact: Vec<f64> = weights.iter().map(|weight| total as f64 * weight / sum).collect();
    let mut parts: Vec<u64> = exact.iter().map(|part| part.floor() as u64).collect();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|&a, &b| (exact[b] - exact[b].floor()).total_cmp(&(exact[a] - exact[a].floor())).then(a.cmp(&b)));
    let missing = total.saturating_sub(parts.iter().sum());
    for at in 0..missing as usize {
        parts[order[at % order.len()]] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::calendar::days;

    fn plan(config: &Config) -> (Plan, Vec<Day>, Sessions) {
        let days = days(config);
        let sessions = Sessions::new(config);
        let users = Users::new(config, &days).unwrap();
        (Plan::new(config, &days, &users, &sessions), days, sessions)
    }

    #[test]
    fn parts_add_up() {
        assert_eq!(split(10, &[1.0, 1.0, 1.0]), [4, 3, 3]);
        assert_eq!(split(0, &[1.0, 2.0]), [0, 0]);
        assert_eq!(split(1, &[1.0, 3.0]), [0, 1]);
        assert_eq!(split(999_999_999_999, &[0.1; 77]).iter().sum::<u64>(), 999_999_999_999);
    }

    #[test]
    fn the_plan_has_every_row_and_every_refund_once() {
        for config in [
            Config { events: 200_000, rows_per_row_group: 1_000, refund_rate: 0.3, ..Config::default() },
            // Fewer events than days, and so many refunds that days fill up.
            Config { events: 40, days: 60, refund_rate: 0.5, view_to_cart_rate: 1.0, ..Config::default() },
            Config { events: 3_000, days: 30, refund_rate: 0.5, view_to_cart_rate: 1.0, ..Config::default() },
        ] {
            let (plan, days, sessions) = plan(&config);
            assert_eq!(plan.groups.iter().map(|group| u64::from(group.n_rows)).sum::<u64>(), config.events);
            let mut listed = Vec::new();
            for group in &plan.groups {
                let n_refunds = group.refunds.1 - group.refunds.0;
                // Memory is that of a row group: however many events, none is larger.
                assert!(group.n_rows <= config.rows_per_row_group);
                assert_eq!(
                    group.n_rows,
                    group.n_duplicates + group.n_bot_rows + group.n_session_rows + n_refunds,
                    "{group:?}"
                );
                let refunds = plan.refunds_in(&days, &sessions, group);
                assert_eq!(refunds.len() as u32, n_refunds);
                listed.extend(refunds);
            }
            let mut expected = Vec::new();
            for group in &plan.groups {
                let all = refunds_of(&sessions, group, days[group.place.day as usize].campaign);
                let refunds = all.into_iter().map(|(refund, _)| refund);
                expected.extend(refunds.filter(|&(place, line)| plan.refunded(&sessions, place, line)));
            }
            listed.sort();
            assert_eq!(listed, expected);
            assert!(config.events < 100 || !listed.is_empty());
        }
    }

    #[test]
    fn a_full_day_turns_refunds_away() {
        // The days after a campaign with 20 times the visits, everything bought and half of it sent back.
        let (plan, ..) = plan(&Config {
            events: 30_000,
            view_to_cart_rate: 1.0,
            cart_to_purchase_rate: 1.0,
            cart_to_remove_rate: 0.0,
            refund_rate: 0.5,
            campaign_days: 1,
            campaign_lift: 20.0,
            ..Config::default()
        });
        assert!(plan.closed.iter().any(Option::is_some));
    }
}
