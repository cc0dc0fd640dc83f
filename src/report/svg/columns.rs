//! Column charts: counts in bins.

use super::{
    Anchor, Caption, Drawing,
    axes::{self, Plot},
    finite,
    scale::{self, Scale},
};
use crate::report::error::ReportError;

/// Where the columns stand.
#[derive(Debug, Clone)]
pub(in crate::report) enum Bins {
    /// Side by side, each with its label below.
    Named(Vec<String>),
    /// Between edges on a numeric axis: one more edge than columns, ascending. The axis covers `domain`.
    Edges { edges: Vec<f64>, domain: (f64, f64) },
}

/// Counts in bins, with a line where the middle is.
#[derive(Debug, Clone)]
pub(in crate::report) struct Columns<'a> {
    pub(in crate::report) caption: Caption<'a>,
    pub(in crate::report) size: (f64, f64),
    pub(in crate::report) bins: Bins,
    pub(in crate::report) counts: Vec<u64>,
    /// What the pointer shows at each column: parallel to `counts`, or empty.
    pub(in crate::report) tips: Vec<String>,
    pub(in crate::report) x_name: &'a str,
    pub(in crate::report) y_name: &'a str,
    /// Colour class, `c1` to `c8`.
    pub(in crate::report) class: &'a str,
    /// A value on the numeric axis with its label.
    pub(in crate::report) mark: Option<(f64, String)>,
}

impl Columns<'_> {
    /// The chart; `None` without columns or when all of them are zero.
    ///
    /// # Errors
    /// Edges that are not finite or do not ascend, or bins and counts that differ in number.
    pub(in crate::report) fn draw(&self) -> Result<Option<String>, ReportError> {
        self.check()?;
        let most = self.counts.iter().copied().max().unwrap_or(0);
        if most == 0 {
            return Ok(None);
        }
        let (width, height) = self.size;
        let (top, bottom) = (if self.y_name.is_empty() { 18.0 } else { 32.0 }, height - 46.0);
        let about = ((bottom - top) / 40.0).round().max(2.0) as usize;
        let y = Scale::linear(scale::from_zero(most as f64, about), (bottom, top));
        let y_ticks = y.ticks(about);
        let plot = Plot { left: axes::label_room(&y, &y_ticks), right: width - 10.0, top, bottom };

        let mut drawing = Drawing::new(width, height, self.caption);
        axes::grid(&mut drawing, plot, &y, &y_ticks);
        let spans = self.spans(plot);
        for (&(from, to), &count) in spans.iter().zip(&self.counts) {
            if count > 0 {
                let up = y.at(count as f64).min(bottom - 1.0);
                drawing.rect(&format!("column {}", self.class), (from, up), (to - from, bottom - up));
            }
        }
        self.bottom(&mut drawing, plot, &spans);
        for (&(from, to), tip) in spans.iter().zip(&self.tips) {
            drawing.hit((from, top), (to - from, bottom - top), tip);
        }
        Ok(Some(drawing.finish()))
    }

    fn check(&self) -> Result<(), ReportError> {
        let id = self.caption.id;
        let n_bins = match &self.bins {
            Bins::Named(labels) => labels.len(),
            Bins::Edges { edges, domain } => {
                finite(&format!("{id}.edges"), edges.iter().copied())?;
                finite(&format!("{id}.domain"), [domain.0, domain.1])?;
                if !edges.is_sorted_by(|a, b| a < b) {
                    return Err(ReportError::NotAscending { part: format!("{id}.edges") });
                }
                edges.len().saturating_sub(1)
            }
        };
        if n_bins != self.counts.len() {
            return Err(ReportError::Ragged {
                part: format!("{id}.counts"),
                expected: n_bins,
                found: self.counts.len(),
            });
        }
        Ok(())
    }

    /// Left and right side of each column.
    fn spans(&self, plot: Plot) -> Vec<(f64, f64)> {
        let n = self.counts.len() as f64;
        match &self.bins {
            Bins::Named(_) => {
                let each = plot.width() / n;
                let gap = (each * 0.12).min(6.0);
                (0..self.counts.len())
                    .map(|at| plot.left + each * at as f64)
                    .map(|left| (left + gap / 2.0, left + each - gap / 2.0))
                    .collect()
            }
            Bins::Edges { edges, domain } => {
                let x = Scale::linear(*domain, (plot.left, plot.right));
                edges.windows(2).map(|pair| (x.at(pair[0]) + 0.5, x.at(pair[1]) - 0.5)).collect()
            }
        }
    }

    fn bottom(&self, drawing: &mut Drawing, plot: Plot, spans: &[(f64, f64)]) {
        match &self.bins {
            Bins::Named(labels) => {
                let middles = spans.iter().map(|(from, to)| f64::midpoint(*from, *to));
                axes::bottom(drawing, plot, middles.zip(labels.iter().cloned()));
            }
            Bins::Edges { domain, .. } => {
                let x = Scale::linear(*domain, (plot.left, plot.right));
                let ticks = x.ticks((plot.width() / 75.0).max(2.0) as usize);
                let labels = x.labels(&ticks);
                axes::bottom(drawing, plot, ticks.iter().map(|&tick| x.at(tick)).zip(labels));
                if let Some((value, label)) = self.mark.as_ref().filter(|(value, _)| value.is_finite()) {
                    let at = x.at(*value).clamp(plot.left, plot.right);
                    drawing.line("median", (at, plot.top - 4.0), (at, plot.bottom));
                    let right = at > plot.left + plot.width() * 0.6;
                    let (anchor, shift) = if right { (Anchor::End, -5.0) } else { (Anchor::Start, 5.0) };
                    drawing.text("label", anchor, (at + shift, plot.top + 4.0), label);
                }
            }
        }
        axes::names(drawing, plot, self.x_name, self.y_name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(bins: Bins, counts: Vec<u64>) -> Columns<'static> {
        Columns {
            caption: Caption { id: "activity", title: "Activity", desc: "Few do much." },
            size: (520.0, 240.0),
            bins,
            counts,
            tips: Vec::new(),
            x_name: "interactions",
            y_name: "users",
            class: "c1",
            mark: None,
        }
    }

    fn named(counts: &[u64]) -> Columns<'static> {
        columns(Bins::Named((0..counts.len()).map(|at| at.to_string()).collect()), counts.to_vec())
    }

    #[test]
    fn nothing_counted_draws_nothing() {
        assert!(named(&[]).draw().unwrap().is_none());
        assert!(named(&[0, 0]).draw().unwrap().is_none());
        assert!(columns(Bins::Edges { edges: Vec::new(), domain: (0.0, 1.0) }, Vec::new()).draw().unwrap().is_none());
    }

    #[test]
    fn one_column_per_count_above_zero_and_none_vanishes() {
        let svg = named(&[1, 0, u64::MAX]).draw().unwrap().unwrap();
        let heights: Vec<f64> = svg
            .split("<rect class=\"column")
            .skip(1)
            .map(|rest| rest.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(heights.len(), 2);
        assert!(heights[0] >= 1.0, "a count of one beside a huge one still shows: {heights:?}");
        assert!(heights[1] > 100.0 && heights[1] <= 240.0, "{heights:?}");
    }

    #[test]
    fn columns_stand_between_their_edges() {
        let edges = vec![0.0, 0.5, 1.0];
        let mut chart = columns(Bins::Edges { edges, domain: (0.0, 2.0) }, vec![3, 1]);
        chart.mark = Some((0.6, "median 0.6".to_owned()));
        let svg = chart.draw().unwrap().unwrap();
        assert!(svg.contains("median 0.6"));
        let last = svg.split("<rect class=\"column").nth(2).unwrap();
        let value = |name: &str| -> f64 {
            last.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
        };
        assert!(value("x") + value("width") < 300.0, "half of the domain stays empty: {last}");
    }

    #[test]
    fn broken_bins_are_refused() {
        let edges = |edges: &[f64], counts: &[u64]| {
            let bins = Bins::Edges { edges: edges.to_vec(), domain: (0.0, 1.0) };
            columns(bins, counts.to_vec()).draw().unwrap_err().to_string()
        };
        assert!(edges(&[0.0, f64::NAN], &[1]).contains("edges[1]"));
        assert!(edges(&[0.0, 0.0], &[1]).contains("ascend"));
        assert!(edges(&[0.0, 1.0], &[1, 2]).contains("expected 1 values, found 2"));
    }
}
