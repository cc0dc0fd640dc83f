//! The page that puts models side by side.

mod charts;

use jiff::Timestamp;
use minijinja::{Value, context, value::Serde};
use serde::Serialize;

use super::{error::ReportError, page, svg::finite};
use crate::evaluation::{Comparison, Estimate};

/// What the comparison page shows.
#[derive(Debug, Clone, Serialize)]
pub struct ComparisonData {
    /// The program's version.
    pub version: String,
    /// When it was made; `None` leaves it out.
    pub created_at: Option<Timestamp>,
    /// How the data were split, in words.
    pub split: String,
    /// The event types that make an item relevant.
    pub test_types: Vec<String>,
    /// `rules`, `allow` or `new_only`.
    pub repeats: String,
    /// `miss` or `drop`.
    pub unknown_items: String,
    /// The folds, oldest first.
    pub folds: Vec<ComparedFold>,
    /// The numbers, best model first.
    pub comparison: Comparison,
    /// What the reader should know before trusting them.
    pub warnings: Vec<String>,
    /// The effective config of the first candidate, as TOML.
    pub config: String,
}

/// A fold, in numbers.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ComparedFold {
    /// Its name.
    pub name: String,
    /// The last instant of training.
    pub as_of: Option<String>,
    /// Users that training knows.
    pub train_users: u64,
    /// Items that training knows.
    pub train_items: u64,
    /// Its interactions.
    pub train_interactions: u64,
    /// Test users with a training history.
    pub known_users: u64,
    /// Test users without one.
    pub new_users: u64,
    /// Relevant pairs.
    pub relevant: u64,
    /// Pairs with an item that training does not know.
    pub unknown_item_pairs: u64,
    /// Pairs left out because the user already had the item.
    pub repeated_pairs: u64,
    /// Test users left out as bots.
    pub bots: u64,
}

/// Renders the comparison page: one HTML document that asks for nothing else.
///
/// Determinism: the same data give the same bytes.
///
/// # Errors
/// A number that is not finite, named by its part.
pub fn render_comparison(data: &ComparisonData) -> Result<String, ReportError> {
    check(&data.comparison)?;
    let charts = charts::charts(&data.comparison)?;
    let classes = charts::classes(&data.comparison);
    page::render_template(
        "comparison.html",
        context! {
            data => Value::from(Serde(data)),
            charts => Value::from(Serde(charts)),
            colours => Value::from(Serde(classes)),
            k => data.comparison.ks.first(),
        },
        include_str!("../templates/comparison.css"),
    )
    .map_err(ReportError::Template)
}

fn check(comparison: &Comparison) -> Result<(), ReportError> {
    for model in &comparison.models {
        let part = |what: &str| format!("{}.{what}", model.name);
        let estimates = model.segments.iter().flat_map(|segment| &segment.estimates);
        let numbers = |estimate: &Estimate| {
            let ends = estimate.interval.map_or([estimate.value; 2], |interval| [interval.low, interval.high]);
            let against = estimate.against.as_ref().map_or(0.0, |against| against.difference);
            [estimate.value, ends[0], ends[1], against]
        };
        finite(&part("estimates"), estimates.flat_map(numbers))?;
        let quality = model
            .quality
            .iter()
            .flat_map(|it| [it.coverage, it.gini, it.length, it.novelty.unwrap_or(0.0), it.diversity.unwrap_or(0.0)]);
        finite(&part("quality"), quality)?;
        finite(&part("seconds"), [model.train_seconds, model.score_seconds].into_iter().flatten())?;
    }
    Ok(())
}
