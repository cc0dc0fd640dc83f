//! Events a day: the calendar, its panels, its table and its finding.

use minijinja::Value;
use serde::Serialize;

use super::{
    charts::{FULL, Figure, HALF},
    data::EventsByDay,
    dates::{self, Steps},
    error::ReportError,
    format,
    svg::{
        Caption,
        area::{Panel, Panels},
    },
};

/// Steps of the calendar and event types that still can be told apart.
const MOST_STEPS: u64 = 200;
const MOST_TYPES: usize = 8;

/// Events a day, with the table behind.
#[derive(Debug, Serialize)]
pub(super) struct Days {
    pub(super) figure: Figure,
    /// Days in one step of the calendar.
    pub(super) length: u64,
    pub(super) types: Vec<String>,
    pub(super) rows: Vec<DayRow>,
}

/// One step of the calendar.
#[derive(Debug, Serialize)]
pub(super) struct DayRow {
    pub(super) date: String,
    pub(super) counts: Vec<u64>,
}

pub(super) fn days(events: &EventsByDay) -> Result<Option<Days>, ReportError> {
    let Some(steps) = Steps::over(&events.dates, MOST_STEPS) else { return Ok(None) };
    let mut series: Vec<(String, Vec<u64>)> = events
        .series
        .iter()
        .map(|series| (series.event_type.clone(), steps.sums(&events.dates, &series.counts)))
        .collect();
    if series.len() > MOST_TYPES {
        let rest = series.split_off(MOST_TYPES - 1);
        let sums = (0..steps.starts.len()).map(|at| rest.iter().map(|(_, counts)| counts[at]).sum()).collect();
        series.push((format!("{} other types", rest.len()), sums));
    }
    let per_day = |at: usize, count: u64| count as f64 / steps.n_days(at) as f64;
    let panels: Vec<Panel> = series
        .iter()
        .map(|(label, counts)| {
            let values: Vec<f64> = counts.iter().enumerate().map(|(at, &count)| per_day(at, count)).collect();
            let total: u64 = counts.iter().sum();
            let (peak_at, peak) = peak(&values);
            let when = steps.starts.get(peak_at).map_or_else(String::new, |&date| dates::day_label(date));
            let busiest = if steps.length == 1 { "busiest" } else { "busiest from" };
            let note =
                format!("{} in all, {busiest} {when}: {} a day", format::compact(total as f64), format::compact(peak));
            Panel { label: format::clip(label, 32), note, values }
        })
        .collect();
    let rows: Vec<DayRow> = (0..steps.starts.len())
        .map(|at| DayRow {
            date: steps.starts[at].to_string(),
            counts: series.iter().map(|(_, counts)| counts[at]).collect(),
        })
        .collect();
    let tips: Vec<String> = rows
        .iter()
        .map(|row| {
            let counts =
                row.counts.iter().zip(&series).map(|(&n, (label, _))| format!("\n{label}: {}", format::exact(n)));
            format!("{}{}", row.date, counts.collect::<String>())
        })
        .collect();
    let finding = days_finding(events, &steps);
    let caption = Caption { id: "chart-days", title: "Events a day by type", desc: &finding };
    let wide = Panels { caption, width: FULL, days: &steps.starts, panels: &panels, tips: &tips };
    let narrow =
        Panels { caption: Caption { id: "chart-days-narrow", ..caption }, width: HALF, tips: &[], ..wide.clone() };
    let (Some(svg), Some(narrow)) = (wide.draw()?, narrow.draw()?) else { return Ok(None) };
    let figure = Figure {
        svg: Value::from_safe_string(svg),
        narrow: Some(Value::from_safe_string(narrow)),
        finding: finding.clone(),
    };
    let types = series.into_iter().map(|(label, _)| label).collect();
    Ok(Some(Days { figure, length: steps.length, types, rows }))
}

fn days_finding(events: &EventsByDay, steps: &Steps) -> String {
    let total: u64 = events.series.iter().flat_map(|series| &series.counts).sum();
    let (Some(&first), Some(&last)) = (events.dates.first(), events.dates.last()) else { return String::new() };
    let n_days = (dates::day_number(last) - dates::day_number(first)) as u64 + 1;
    let busy =
        (0..events.dates.len()).filter(|&at| events.series.iter().any(|series| series.counts[at] > 0)).count() as u64;
    let quiet = match n_days - busy {
        0 => "every day has some".to_owned(),
        1 => "one day has none".to_owned(),
        n => format!("{} days have none", format::exact(n)),
    };
    let drawn = if steps.length == 1 { String::new() } else { format!(" Drawn as averages of {} days.", steps.length) };
    let span = if n_days == 1 {
        format!("on {first}")
    } else {
        format!("over {} days, {first} to {last}; {quiet}", format::exact(n_days))
    };
    format!("{} events {span}.{drawn}", format::compact(total as f64))
}

/// The first of the largest values.
fn peak(values: &[f64]) -> (usize, f64) {
    values.iter().enumerate().fold((0, 0.0), |best, (at, &value)| if value > best.1 { (at, value) } else { best })
}
