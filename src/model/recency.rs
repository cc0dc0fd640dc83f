//! What was done last counts more: weights of a history by place or by age.

use std::{borrow::Cow, sync::OnceLock};

use super::{CellWeight, ModelError};
use crate::interactions::{Csr, DAY, Decay, History, Stamp};

/// How fast the items of a history lose weight; each half-life is off where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Recency {
    /// In items, counted back from the newest.
    pub(super) items: Option<f32>,
    /// In days, counted back from the user's own last action.
    pub(super) days: Option<f32>,
}

fn decay() -> &'static Decay {
    static DECAY: OnceLock<Decay> = OnceLock::new();
    DECAY.get_or_init(Decay::new)
}

impl Recency {
    /// Whether anything is asked for.
    pub(super) fn is_on(self) -> bool {
        self.items.is_some() || self.days.is_some()
    }

    /// Checks the ranges.
    pub(super) fn check(self, path: &str) -> Result<(), String> {
        for (key, value, most) in
            [("recency_half_life", self.items, 1e6), ("recency_half_life_days", self.days, 36_500.0)]
        {
            if let Some(value) = value
                && !(value > 0.0 && value <= most)
            {
                return Err(format!("{path}.{key} must be above 0, up to {most}, is {value}"));
            }
        }
        Ok(())
    }

    /// Refuses interactions without times where a half-life asks for them.
    pub(super) fn check_times(self, path: &str, weights: &Csr) -> Result<(), ModelError> {
        let key = match self {
            Self { items: Some(_), .. } => "recency_half_life",
            Self { days: Some(_), .. } => "recency_half_life_days",
            _ => return Ok(()),
        };
        needs_times(&format!("{path}.{key}"), weights)
    }

    /// What the cells of a history count: `count(weight) * 2^(-place / items) * 2^(-age / days)`.
    ///
    /// The place of an item is the number of the history's items with a later time, so items of one instant share one;
    /// its age is counted from the history's newest time. A history without times is not decayed.
    ///
    /// Determinism: the decay comes from the tables that events decay by, not from the system's `exp2`.
    pub(super) fn counts<'a>(self, count: CellWeight, history: History<'a>) -> Cow<'a, [f32]> {
        if !self.is_on() || history.times.is_empty() {
            return match count {
                CellWeight::Weight => Cow::Borrowed(history.weights),
                _ => history.weights.iter().map(|&weight| count.of(weight)).collect(),
            };
        }
        let mut newest_first: Vec<Stamp> = history.times.to_vec();
        newest_first.sort_unstable_by(|a, b| b.cmp(a));
        let newest = newest_first[0];
        let counts = history.weights.iter().zip(history.times).map(|(&weight, &time)| {
            let mut factor = 1.0f64;
            if let Some(half_life) = self.items {
                let place = newest_first.partition_point(|&other| other > time);
                factor *= decay().factor(place as f64 / f64::from(half_life));
            }
            if let Some(days) = self.days {
                factor *= by_age(time, newest, days);
            }
            (f64::from(count.of(weight)) * factor) as f32
        });
        Cow::Owned(counts.collect())
    }
}

/// What is left after the time between two instants.
pub(super) fn by_age(time: Stamp, newest: Stamp, half_life_days: f32) -> f64 {
    decay().factor(f64::from(time.age_at(newest)) / (f64::from(half_life_days) * f64::from(DAY)))
}

/// Refuses interactions without times; `key` is the setting that asks for them.
pub(super) fn needs_times(key: &str, weights: &Csr) -> Result<(), ModelError> {
    if weights.times.is_empty() && weights.n_cells() > 0 {
        return Err(ModelError::NoTimes { key: key.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: [Stamp; 4] = [Stamp(5 * DAY), Stamp(9 * DAY), Stamp(5 * DAY), Stamp(7 * DAY)];

    fn history() -> History<'static> {
        History { items: &[1, 4, 6, 9], weights: &[8.0, 8.0, 4.0, 2.0], times: &TIMES }
    }

    #[test]
    fn places_and_ages_halve_the_weight() {
        let by = |items, days| Recency { items, days }.counts(CellWeight::Weight, history()).to_vec();
        // Two items are newer than those of day 5, one is newer than that of day 7.
        assert_eq!(by(Some(1.0), None), [2.0, 8.0, 1.0, 1.0]);
        assert_eq!(by(None, Some(2.0)), [2.0, 8.0, 1.0, 1.0]);
        assert_eq!(by(Some(2.0), Some(4.0)), [2.0, 8.0, 1.0, 1.0]);
        assert_eq!(by(None, None), [8.0, 8.0, 4.0, 2.0]);
        let binary = Recency { items: Some(1.0), days: None }.counts(CellWeight::Binary, history());
        assert_eq!(*binary, [0.25, 1.0, 0.25, 0.5]);
        // Long gone is small, and finite.
        assert_eq!(by(None, Some(1e-3))[0], 0.0);
    }

    #[test]
    fn without_times_nothing_decays_and_training_refuses() {
        let recency = Recency { items: Some(1.0), days: None };
        let bare = History { times: &[], ..history() };
        assert_eq!(*recency.counts(CellWeight::Weight, bare), [8.0, 8.0, 4.0, 2.0]);
        let cells = Csr { indptr: vec![0, 1], indices: vec![0], values: vec![1.0], n_cols: 1, ..Csr::default() };
        let error = recency.check_times("model.ease", &cells).unwrap_err();
        assert_eq!(error, ModelError::NoTimes { key: "model.ease.recency_half_life".into() });
        let error = Recency { items: None, days: Some(2.0) }.check_times("m", &cells).unwrap_err();
        assert_eq!(error, ModelError::NoTimes { key: "m.recency_half_life_days".into() });
        assert_eq!(Recency::default().check_times("m", &cells), Ok(()));
        assert_eq!(recency.check_times("m", &Csr { times: vec![Stamp(1)], ..cells }), Ok(()));
    }

    #[test]
    fn ranges_are_checked() {
        let wrong = Recency { items: Some(0.0), days: None }.check("model.slim").unwrap_err();
        assert_eq!(wrong, "model.slim.recency_half_life must be above 0, up to 1000000, is 0");
        assert!(Recency { items: None, days: Some(f32::NAN) }.check("m").is_err());
        assert!(Recency { items: Some(3.0), days: Some(30.0) }.check("m").is_ok());
    }
}
