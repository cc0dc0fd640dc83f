//! How interactions enter a model: which rows take part, and what a weight counts.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{ModelError, recency};
use crate::interactions::{Csr, Stamp};

/// What a cell's weight counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellWeight {
    /// Every cell counts 1.
    Binary,
    /// A cell counts its weight.
    #[default]
    Weight,
    /// A cell counts ln(1 + weight): ten views are not ten times one view.
    Log,
}

impl CellWeight {
    /// What a cell of weight `weight` counts.
    #[inline(always)]
    #[must_use]
    pub fn of(self, weight: f32) -> f32 {
        match self {
            Self::Binary => 1.0,
            Self::Weight => weight,
            Self::Log => f64::from(weight).ln_1p() as f32,
        }
    }
}

/// Refuses weights that are not finite and above zero, and flags that do not fit the rows.
pub(super) fn check(weights: &Csr, trains: &[bool]) -> Result<(), ModelError> {
    if trains.len() != weights.n_rows() {
        let (expected, found) = (weights.n_rows(), trains.len());
        return Err(ModelError::Shape { what: "flags of training users", expected, found });
    }
    if weights.values.len() != weights.n_cells() {
        let (expected, found) = (weights.n_cells(), weights.values.len());
        return Err(ModelError::Shape { what: "weights of the interactions", expected, found });
    }
    if !weights.times.is_empty() && weights.times.len() != weights.n_cells() {
        let (expected, found) = (weights.n_cells(), weights.times.len());
        return Err(ModelError::Shape { what: "times of the interactions", expected, found });
    }
    if let Some(at) = weights.values.iter().position(|&weight| !(weight.is_finite() && weight > 0.0)) {
        let user = weights.indptr.partition_point(|&start| start <= at) - 1;
        return Err(ModelError::Weight { user, item: weights.indices[at], weight: weights.values[at] });
    }
    Ok(())
}

/// The rows that train, others left out (rows are renumbered), with what their cells count.
///
/// Cost: nothing when every row trains and weights count as they are.
pub(super) fn training_rows<'a>(weights: &'a Csr, trains: &[bool], count: CellWeight) -> Cow<'a, Csr> {
    let all = trains.iter().all(|&trains| trains);
    if all && count == CellWeight::Weight {
        return Cow::Borrowed(weights);
    }
    let n_cells = if all { weights.n_cells() } else { 0 };
    let mut rows = Csr {
        indptr: vec![0],
        indices: Vec::with_capacity(n_cells),
        values: Vec::with_capacity(n_cells),
        n_cols: weights.n_cols,
        ..Csr::default()
    };
    for row in (0..weights.n_rows()).filter(|&row| trains[row]) {
        let history = weights.row(row);
        rows.indices.extend_from_slice(history.items);
        rows.values.extend(history.weights.iter().map(|&weight| count.of(weight)));
        rows.times.extend_from_slice(history.times);
        rows.indptr.push(rows.indices.len());
    }
    Cow::Owned(rows)
}

/// The same rows, each cell halved for every `half_life_days` that its last time lies before the newest of all.
///
/// # Errors
/// Rows without times; `key` is the setting that asks for them.
pub(super) fn decayed<'a>(
    rows: Cow<'a, Csr>,
    half_life_days: Option<f32>,
    key: &str,
) -> Result<Cow<'a, Csr>, ModelError> {
    let newest = half_life_days.and_then(|_| rows.times.iter().copied().max()).unwrap_or_default();
    decayed_from(newest, rows, half_life_days, key)
}

/// [`decayed`] where the newest of all times is known, and the rows may be some of all.
///
/// # Errors
/// As [`decayed`].
pub(super) fn decayed_from<'a>(
    newest: Stamp,
    rows: Cow<'a, Csr>,
    half_life_days: Option<f32>,
    key: &str,
) -> Result<Cow<'a, Csr>, ModelError> {
    let Some(days) = half_life_days else { return Ok(rows) };
    recency::needs_times(key, &rows)?;
    let mut rows = rows.into_owned();
    for (value, time) in rows.values.iter_mut().zip(&rows.times) {
        *value = halved(*value, *time, newest, days);
    }
    Ok(Cow::Owned(rows))
}

/// A cell's weight after the time from its last action to the newest of all.
#[inline]
pub(super) fn halved(weight: f32, time: Stamp, newest: Stamp, half_life_days: f32) -> f32 {
    let decayed = f64::from(weight) * recency::by_age(time, newest, half_life_days);
    // Never down to zero: a cell that is there counts something.
    (decayed as f32).max(f32::MIN_POSITIVE)
}

/// Checks a half-life; `path` is its full key.
pub(super) fn check_half_life(path: &str, half_life_days: Option<f32>) -> Result<(), String> {
    match half_life_days {
        Some(days) if !(days > 0.0 && days <= 36_500.0) => {
            Err(format!("{path} must be above 0, up to 36500, is {days}"))
        }
        _ => Ok(()),
    }
}
