//! Areas over days: one panel a series, each with its own height, all on one calendar.

use jiff::civil::Date;

use super::{
    Anchor, Caption, Drawing,
    axes::{self, Plot},
    finite,
    scale::{self, Scale},
};
use crate::report::{dates, error::ReportError, format};

/// Height of a panel's plot, and of the room above it for its name.
const PANEL: f64 = 62.0;
const HEAD: f64 = 34.0;

/// One series over the calendar.
#[derive(Debug, Clone)]
pub(in crate::report) struct Panel {
    /// Stands above the panel, bold.
    pub(in crate::report) label: String,
    /// Follows the label.
    pub(in crate::report) note: String,
    /// Parallel to [`Panels::days`], zero or more.
    pub(in crate::report) values: Vec<f64>,
}

/// Panels over one calendar.
#[derive(Debug, Clone)]
pub(in crate::report) struct Panels<'a> {
    pub(in crate::report) caption: Caption<'a>,
    pub(in crate::report) width: f64,
    /// First day of each step of the calendar, ascending.
    pub(in crate::report) days: &'a [Date],
    pub(in crate::report) panels: &'a [Panel],
    /// What the pointer shows at each step: parallel to `days`, or empty.
    pub(in crate::report) tips: &'a [String],
}

impl Panels<'_> {
    /// The chart; `None` without days or panels.
    ///
    /// # Errors
    /// A value that is not finite, or a panel with another number of values than days.
    pub(in crate::report) fn draw(&self) -> Result<Option<String>, ReportError> {
        for panel in self.panels {
            finite(&format!("{}.{}", self.caption.id, panel.label), panel.values.iter().copied())?;
            let (expected, found) = (self.days.len(), panel.values.len());
            if expected != found {
                let part = format!("{}.{}", self.caption.id, panel.label);
                return Err(ReportError::Ragged { part, expected, found });
            }
        }
        let (Some(&first), Some(&last)) = (self.days.first(), self.days.last()) else { return Ok(None) };
        if self.panels.is_empty() {
            return Ok(None);
        }
        let day = |date: Date| dates::day_number(date) as f64;
        let scales: Vec<(f64, f64)> = self
            .panels
            .iter()
            .map(|panel| scale::from_zero(panel.values.iter().copied().fold(0.0, f64::max), 4))
            .collect();
        let left = scales
            .iter()
            .map(|&domain| axes::label_room(&Scale::linear(domain, (0.0, 1.0)), &[domain.0, domain.1]))
            .fold(0.0, f64::max);
        let height = self.panels.len() as f64 * (PANEL + HEAD) + 40.0;
        let plot = Plot { left, right: self.width - 16.0, top: HEAD, bottom: height - 40.0 };
        let x = Scale::linear((day(first), day(last)), (plot.left + 4.0, plot.right));

        let mut drawing = Drawing::new(self.width, height, self.caption);
        let xs: Vec<f64> = self.days.iter().map(|&date| x.at(day(date))).collect();
        let ticks = dates::ticks(first, last, (plot.width() / 78.0).max(2.0) as usize);
        for tick in &ticks {
            let at = x.at(day(tick.date));
            drawing.line("grid", (at, plot.top), (at, plot.bottom));
        }
        for (number, (panel, &domain)) in self.panels.iter().zip(&scales).enumerate() {
            let bottom = (number + 1) as f64 * (PANEL + HEAD);
            self.panel(&mut drawing, Plot { top: bottom - PANEL, bottom, ..plot }, panel, domain, &xs);
        }
        for tick in &ticks {
            let at = x.at(day(tick.date));
            drawing.text("tick", Anchor::Middle, (at, plot.bottom + 18.0), &tick.label);
            if let Some(year) = &tick.year {
                drawing.text("tick", Anchor::Middle, (at, plot.bottom + 33.0), year);
            }
        }
        self.hits(&mut drawing, plot, &xs);
        Ok(Some(drawing.finish()))
    }

    fn panel(&self, drawing: &mut Drawing, plot: Plot, panel: &Panel, domain: (f64, f64), xs: &[f64]) {
        let y = Scale::linear(domain, (plot.bottom, plot.top));
        drawing.line("grid", (plot.left, plot.top), (plot.right, plot.top));
        drawing.line("axis", (plot.left, plot.bottom), (plot.right, plot.bottom));
        let labels = format::tick_labels(&[0.0, domain.1]);
        for (value, label) in [0.0, domain.1].into_iter().zip(&labels) {
            drawing.text("tick", Anchor::End, (plot.left - 6.0, y.at(value) + 4.0), label);
        }
        drawing.heading((0.0, plot.top - 13.0), &panel.label, &panel.note);

        let points: Vec<(f64, f64)> = xs.iter().zip(&panel.values).map(|(&x, &value)| (x, y.at(value))).collect();
        if let [only] = points[..] {
            drawing.line("curve c1", (only.0, plot.bottom), only);
            drawing.dot("dot c1", only, 3.5);
            return;
        }
        drawing.area("wash c1", &points, plot.bottom);
        drawing.polyline("curve c1", &points);
        let peak = panel.values.iter().enumerate().fold(None, |best: Option<(usize, f64)>, (at, &value)| match best {
            Some((_, most)) if most >= value => best,
            _ => Some((at, value)),
        });
        if let Some((at, _)) = peak.filter(|(_, most)| *most > 0.0) {
            drawing.dot("dot c1", points[at], 3.0);
        }
    }

    fn hits(&self, drawing: &mut Drawing, plot: Plot, xs: &[f64]) {
        for (at, tip) in self.tips.iter().enumerate().take(xs.len()) {
            let from = if at == 0 { plot.left } else { f64::midpoint(xs[at - 1], xs[at]) };
            let to = xs.get(at + 1).map_or(plot.right, |next| f64::midpoint(xs[at], *next));
            drawing.hit((from, plot.top), (to - from, plot.bottom - plot.top), tip);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn drawn(days: &[Date], values: &[f64]) -> Result<Option<String>, ReportError> {
        let panels = [Panel { label: "view".to_owned(), note: "12 events".to_owned(), values: values.to_vec() }];
        let caption = Caption { id: "days", title: "Days", desc: "Quiet." };
        Panels { caption, width: 520.0, days, panels: &panels, tips: &[] }.draw()
    }

    #[test]
    fn no_days_draw_nothing_and_one_day_draws_a_dot() {
        assert!(drawn(&[], &[]).unwrap().is_none());
        let svg = drawn(&[date(2026, 11, 1)], &[5.0]).unwrap().unwrap();
        assert!(svg.contains("<circle") && !svg.contains("<path") && !svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn a_series_of_zeros_lies_on_the_ground() {
        let svg = drawn(&[date(2026, 11, 1), date(2026, 11, 2)], &[0.0, 0.0]).unwrap().unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("<circle"), "{svg}");
    }

    #[test]
    fn broken_series_are_refused() {
        let days = [date(2026, 11, 1), date(2026, 11, 2)];
        assert!(drawn(&days, &[1.0]).unwrap_err().to_string().contains("expected 2 values, found 1"));
        assert!(drawn(&days, &[1.0, f64::NAN]).unwrap_err().to_string().contains("days.view[1]"));
        assert!(drawn(&days, &[1.0, 1e300]).unwrap().is_some());
    }
}
