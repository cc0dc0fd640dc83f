//! What must hold before anything is drawn, so that an error names the part and not the chart.

use super::{data::ReportData, error::ReportError, svg::finite};

/// Refuses numbers that are not finite and columns that do not belong together.
pub(super) fn check(data: &ReportData) -> Result<(), ReportError> {
    finite("headline.seconds", [data.headline.seconds])?;
    finite("headline.peak_memory_mb", data.headline.peak_memory_mb)?;
    finite("rejected.share", data.rejected.iter().map(|reason| reason.share))?;
    finite("stages.seconds", data.stages.iter().map(|stage| stage.seconds))?;
    finite("training.loss", data.training.iter().map(|point| point.loss))?;
    if let Some(events) = &data.events_by_day {
        if !events.dates.is_sorted_by(|a, b| a < b) {
            return Err(ReportError::NotAscending { part: "events_by_day.dates".to_owned() });
        }
        for series in &events.series {
            let (expected, found) = (events.dates.len(), series.counts.len());
            if expected != found {
                let part = format!("events_by_day.{}", series.event_type);
                return Err(ReportError::Ragged { part, expected, found });
            }
        }
    }
    if let Some(tail) = &data.long_tail {
        finite("long_tail.share", [tail.top_1_percent_share, tail.top_10_percent_share])?;
        if !tail.points.is_sorted_by(|a, b| a.rank < b.rank) {
            return Err(ReportError::NotAscending { part: "long_tail.rank".to_owned() });
        }
    }
    if let Some(coverage) = &data.coverage {
        finite("coverage.gini", [coverage.exposure_gini, coverage.popularity_gini])?;
    }
    let scores = data.scores.iter().flat_map(|scores| [&scores.top, &scores.kth]);
    finite("histogram.median", data.activity.iter().chain(scores).filter_map(|histogram| histogram.median))?;
    let lists = data.example_users.iter().map(|user| &user.recommendations);
    let examples = data.similar.iter().chain(&data.bought_together).map(|example| &example.neighbours);
    let lists = lists.chain(examples).chain([&data.popular, &data.trending]);
    finite("score", lists.flatten().map(|item| item.score))
}
