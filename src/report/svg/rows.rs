//! One row a thing: a value with its interval, or a bar of parts, on a common axis.

use super::{
    Anchor, Caption, Drawing, TEXT_SIZE,
    axes::{self, Plot},
    finite,
    scale::{self, Scale},
    text_width,
};
use crate::report::error::ReportError;

/// Height of a row.
const ROW: f64 = 30.0;

/// A value with its interval.
#[derive(Debug, Clone)]
pub(in crate::report) struct RangeRow<'a> {
    /// Stands left of the plot.
    pub(in crate::report) label: String,
    /// Colour class.
    pub(in crate::report) class: &'a str,
    pub(in crate::report) value: f64,
    pub(in crate::report) interval: Option<(f64, f64)>,
    /// Stands right of the plot.
    pub(in crate::report) text: String,
    /// What the pointer shows.
    pub(in crate::report) tip: String,
}

/// A bar of parts.
#[derive(Debug, Clone)]
pub(in crate::report) struct BarRow<'a> {
    /// Stands left of the plot.
    pub(in crate::report) label: String,
    /// Colour class and value (zero or more) of each part.
    pub(in crate::report) parts: Vec<(&'a str, f64)>,
    /// Stands right of the plot.
    pub(in crate::report) text: String,
    /// What the pointer shows.
    pub(in crate::report) tip: String,
}

/// Values with their intervals, one row each; `None` without rows.
///
/// # Errors
/// A value that is not finite.
pub(in crate::report) fn ranges(
    caption: Caption<'_>,
    width: f64,
    x_name: &str,
    rows: &[RangeRow<'_>],
) -> Result<Option<String>, ReportError> {
    let ends = rows.iter().flat_map(|row| {
        let (low, high) = row.interval.unwrap_or((row.value, row.value));
        [low, row.value, high]
    });
    finite(caption.id, ends.clone())?;
    let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), end| (low.min(end), high.max(end)));
    if rows.is_empty() {
        return Ok(None);
    }
    let (labels, texts): (Vec<&str>, Vec<&str>) = rows.iter().map(|row| (&row.label[..], &row.text[..])).unzip();
    let (mut drawing, plot, frame) = frame(caption, width, x_name, &labels, &texts, (low, high));
    for (at, row) in rows.iter().enumerate() {
        let y = plot.top + ROW * (at as f64 + 0.5);
        if let Some((low, high)) = row.interval {
            let (low, high) = (frame.at(low), frame.at(high));
            drawing.line(&format!("whisker {}", row.class), (low, y), (high, y));
            for end in [low, high] {
                drawing.line(&format!("whisker {}", row.class), (end, y - 5.0), (end, y + 5.0));
            }
        }
        drawing.dot(&format!("dot {}", row.class), (frame.at(row.value), y), 4.5);
        drawing.hit((0.0, y - ROW / 2.0), (width, ROW), &row.tip);
    }
    Ok(Some(drawing.finish()))
}

/// Bars of parts, one row each; `None` when all of them are zero.
///
/// # Errors
/// A value that is not finite.
pub(in crate::report) fn bars(
    caption: Caption<'_>,
    width: f64,
    x_name: &str,
    rows: &[BarRow<'_>],
) -> Result<Option<String>, ReportError> {
    finite(caption.id, rows.iter().flat_map(|row| row.parts.iter().map(|part| part.1)))?;
    let total = |row: &BarRow<'_>| row.parts.iter().map(|part| part.1.max(0.0)).sum::<f64>();
    let most = rows.iter().map(total).fold(0.0, f64::max);
    if most <= 0.0 || !most.is_finite() {
        return Ok(None);
    }
    let (labels, texts): (Vec<&str>, Vec<&str>) = rows.iter().map(|row| (&row.label[..], &row.text[..])).unzip();
    let (mut drawing, plot, frame) = frame(caption, width, x_name, &labels, &texts, scale::from_zero(most, 5));
    for (at, row) in rows.iter().enumerate() {
        let y = plot.top + ROW * (at as f64 + 0.5);
        let mut from = 0.0;
        for (class, value) in &row.parts {
            let (left, right) = (frame.at(from), frame.at(from + value.max(0.0)));
            drawing.rect(&format!("fill {class}"), (left, y - 9.0), (right - left, 18.0));
            from += value.max(0.0);
        }
        drawing.hit((0.0, y - ROW / 2.0), (width, ROW), &row.tip);
    }
    Ok(Some(drawing.finish()))
}

/// Labels, texts, grid and axis; the scale of the plot.
fn frame<'a>(
    caption: Caption<'a>,
    width: f64,
    x_name: &str,
    labels: &[&str],
    texts: &[&str],
    domain: (f64, f64),
) -> (Drawing, Plot, Scale) {
    let room = |texts: &[&str]| texts.iter().map(|text| text_width(text)).fold(0.0, f64::max);
    // Names are as long as they are; the plot keeps a third of the width.
    let left = (room(labels) + 14.0).min(width / 2.0);
    let right = (width - room(texts) - 14.0).max(left + width / 6.0);
    let (top, bottom) = (6.0, 6.0 + ROW * labels.len() as f64);
    let mut drawing = Drawing::new(width, bottom + 46.0, caption);
    let plot = Plot { left, right, top, bottom };
    let x = Scale::linear(domain, (left + 6.0, right - 6.0));
    let ticks = x.ticks(((right - left) / 90.0).max(2.0) as usize);
    for &tick in &ticks {
        drawing.line("grid", (x.at(tick), top), (x.at(tick), bottom));
    }
    for (at, (label, text)) in labels.iter().zip(texts).enumerate() {
        let y = top + ROW * (at as f64 + 0.5) + TEXT_SIZE / 3.0;
        drawing.text("label", Anchor::Start, (0.0, y), label);
        drawing.text("tick", Anchor::End, (width, y), text);
    }
    let names = x.labels(&ticks);
    axes::bottom(&mut drawing, plot, ticks.iter().map(|&tick| x.at(tick)).zip(names));
    axes::names(&mut drawing, plot, x_name, "");
    (drawing, plot, x)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTION: Caption<'static> = Caption { id: "rows", title: "Rows", desc: "Some." };

    fn range(value: f64, interval: Option<(f64, f64)>) -> RangeRow<'static> {
        RangeRow { label: "als".into(), class: "c1", value, interval, text: "0.1".into(), tip: "als".into() }
    }

    #[test]
    fn every_row_has_its_dot_and_its_whisker_if_any() {
        let rows = [range(0.2, Some((0.1, 0.3))), range(0.4, None)];
        let svg = ranges(CAPTION, 500.0, "ndcg", &rows).unwrap().unwrap();
        assert_eq!(svg.matches("<circle").count(), 2);
        assert_eq!(svg.matches("class=\"whisker").count(), 3);
        assert!(!svg.contains("NaN"));
        assert!(ranges(CAPTION, 500.0, "ndcg", &[]).unwrap().is_none());
        assert!(ranges(CAPTION, 500.0, "ndcg", &[range(f64::NAN, None)]).is_err());
    }

    #[test]
    fn bars_stand_in_proportion() {
        let row = |a: f64, b: f64| BarRow {
            label: "als".into(),
            parts: vec![("c1", a), ("c2", b)],
            text: String::new(),
            tip: String::new(),
        };
        let svg = bars(CAPTION, 500.0, "seconds", &[row(1.0, 3.0), row(0.0, 2.0)]).unwrap().unwrap();
        let widths: Vec<f64> = svg
            .split("<rect class=\"fill")
            .skip(1)
            .map(|rest| rest.split(" width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(widths.len(), 4);
        assert!((widths[1] / widths[0] - 3.0).abs() < 0.02 && widths[2] == 0.0, "{widths:?}");
        assert!(bars(CAPTION, 500.0, "seconds", &[row(0.0, 0.0)]).unwrap().is_none());
    }
}
