//! Line charts: curves over numeric axes, labelled at their ends.

use super::{
    Anchor, Caption, Drawing,
    axes::{self, Plot},
    finite,
    scale::{self, Scale},
    text_width,
};
use crate::report::error::ReportError;

/// What an axis measures and how.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Axis<'a> {
    /// Its name, with the unit.
    pub(in crate::report) name: &'a str,
    /// Logarithmic; every value is then above zero.
    pub(in crate::report) log: bool,
    /// Whether a linear axis starts at zero.
    pub(in crate::report) from_zero: bool,
}

/// One curve.
#[derive(Debug, Clone)]
pub(in crate::report) struct Series<'a> {
    /// Stands at the curve's right end.
    pub(in crate::report) label: String,
    /// Colour class, `c1` to `c8`.
    pub(in crate::report) class: &'a str,
    /// (x, y), x ascending.
    pub(in crate::report) points: Vec<(f64, f64)>,
    /// What the pointer shows at each point: parallel to `points`, or empty.
    pub(in crate::report) tips: Vec<String>,
}

/// A point worth a name.
#[derive(Debug, Clone)]
pub(in crate::report) struct Mark {
    pub(in crate::report) at: (f64, f64),
    pub(in crate::report) label: String,
}

/// Curves over two axes.
#[derive(Debug, Clone)]
pub(in crate::report) struct LineChart<'a> {
    pub(in crate::report) caption: Caption<'a>,
    pub(in crate::report) size: (f64, f64),
    pub(in crate::report) x: Axis<'a>,
    pub(in crate::report) y: Axis<'a>,
    pub(in crate::report) series: Vec<Series<'a>>,
    pub(in crate::report) marks: Vec<Mark>,
}

/// Curves with at most so many points show a dot at each.
const MOST_DOTS: usize = 40;

impl LineChart<'_> {
    /// The chart; `None` when no series has a point.
    ///
    /// # Errors
    /// A value that is not finite, or not above zero on a logarithmic axis.
    pub(in crate::report) fn draw(&self) -> Result<Option<String>, ReportError> {
        let id = self.caption.id;
        for series in &self.series {
            finite(&format!("{id}.x"), series.points.iter().map(|point| point.0))?;
            finite(&format!("{id}.y"), series.points.iter().map(|point| point.1))?;
        }
        let points = || self.series.iter().flat_map(|series| series.points.iter().copied());
        let (Some(x_domain), Some(y_domain)) = (extent(points().map(|p| p.0)), extent(points().map(|p| p.1))) else {
            return Ok(None);
        };
        positive(self.x.log, id, "x", x_domain.0)?;
        positive(self.y.log, id, "y", y_domain.0)?;

        let (width, height) = self.size;
        let end_room = self.series.iter().map(|series| text_width(&series.label)).fold(0.0, f64::max);
        let y_ticks_count = ((height - 70.0) / 56.0).round().max(2.0) as usize;
        let (top, bottom) = (32.0, height - 46.0);
        let y_scale = self.y.scale(y_domain, (bottom, top), y_ticks_count);
        let y_ticks = y_scale.ticks(y_ticks_count);
        let right = width - if end_room > 0.0 { end_room + 12.0 } else { 10.0 };
        let plot = Plot { left: axes::label_room(&y_scale, &y_ticks), right, top, bottom };
        let inset = 6.0;
        let x_scale = self.x.scale(x_domain, (plot.left + inset, plot.right - inset), 6);

        let mut drawing = Drawing::new(width, height, self.caption);
        axes::grid(&mut drawing, plot, &y_scale, &y_ticks);
        let x_ticks = self.x_ticks(&x_scale, plot);
        let labels = x_scale.labels(&x_ticks);
        axes::bottom(&mut drawing, plot, x_ticks.iter().map(|&tick| x_scale.at(tick)).zip(labels));
        axes::names(&mut drawing, plot, self.x.name, self.y.name);
        self.curves(&mut drawing, plot, &x_scale, &y_scale);
        self.hits(&mut drawing, plot, &x_scale);
        Ok(Some(drawing.finish()))
    }

    /// Whole x values (iterations, k) get ticks at whole numbers only.
    fn x_ticks(&self, scale: &Scale, plot: Plot) -> Vec<f64> {
        let ticks = scale.ticks((plot.width() / 70.0).max(2.0) as usize);
        let whole = self.series.iter().flat_map(|series| &series.points).all(|point| point.0.fract() == 0.0);
        if whole && !self.x.log { ticks.into_iter().filter(|tick| tick.fract() == 0.0).collect() } else { ticks }
    }

    fn curves(&self, drawing: &mut Drawing, plot: Plot, x: &Scale, y: &Scale) {
        for series in &self.series {
            let points: Vec<(f64, f64)> = series.points.iter().map(|point| (x.at(point.0), y.at(point.1))).collect();
            if points.len() > 1 {
                drawing.polyline(&format!("curve {}", series.class), &points);
            }
            if points.len() <= MOST_DOTS {
                for &point in &points {
                    drawing.dot(&format!("dot {}", series.class), point, 3.0);
                }
            }
        }
        let labelled: Vec<(&Series<'_>, f64)> =
            self.series.iter().filter_map(|series| Some((series, y.at(series.points.last()?.1)))).collect();
        let heights: Vec<f64> = labelled.iter().map(|(_, height)| *height).collect();
        let heights = axes::spread(&heights, 15.0, plot.top, plot.bottom);
        for ((series, _), height) in labelled.iter().zip(heights) {
            let at = (plot.right + 6.0, height + 4.0);
            drawing.text(&format!("label {}", series.class), Anchor::Start, at, &series.label);
        }
        for mark in &self.marks {
            let (x, y) = (x.at(mark.at.0), y.at(mark.at.1));
            drawing.dot("mark", (x, y), 4.0);
            let left_half = x < plot.left + plot.width() / 2.0;
            let (anchor, shift) = if left_half { (Anchor::Start, 9.0) } else { (Anchor::End, -9.0) };
            drawing.text("label", anchor, (x + shift, y + if left_half { -7.0 } else { 16.0 }), &mark.label);
        }
    }

    fn hits(&self, drawing: &mut Drawing, plot: Plot, x: &Scale) {
        let Some(series) = self.series.iter().find(|series| !series.tips.is_empty()) else { return };
        let at: Vec<f64> = series.points.iter().map(|point| x.at(point.0)).collect();
        for (number, tip) in series.tips.iter().enumerate().take(at.len()) {
            let from = if number == 0 { plot.left } else { f64::midpoint(at[number - 1], at[number]) };
            let to = at.get(number + 1).map_or(plot.right, |next| f64::midpoint(at[number], *next));
            drawing.hit((from, plot.top), (to - from, plot.bottom - plot.top), tip);
        }
    }
}

impl Axis<'_> {
    fn scale(&self, domain: (f64, f64), range: (f64, f64), about: usize) -> Scale {
        if self.log {
            Scale::log(domain, range)
        } else if self.from_zero && domain.0 >= 0.0 {
            Scale::linear(scale::from_zero(domain.1, about), range)
        } else {
            Scale::linear(domain, range)
        }
    }
}

fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |so_far, value| {
        let (low, high) = so_far.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

fn positive(log: bool, id: &str, axis: &str, least: f64) -> Result<(), ReportError> {
    if log && least <= 0.0 {
        return Err(ReportError::NotPositive { part: format!("{id}.{axis}"), value: least });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>, log: bool) -> LineChart<'static> {
        let axis = Axis { name: "axis", log, from_zero: false };
        LineChart {
            caption: Caption { id: "loss", title: "Loss", desc: "It falls." },
            size: (520.0, 260.0),
            x: axis,
            y: axis,
            series: vec![Series { label: "als".to_owned(), class: "c1", points, tips: Vec::new() }],
            marks: Vec::new(),
        }
    }

    #[test]
    fn empty_series_draw_nothing() {
        assert!(chart(Vec::new(), false).draw().unwrap().is_none());
        assert!(LineChart { series: Vec::new(), ..chart(Vec::new(), false) }.draw().unwrap().is_none());
    }

    #[test]
    fn a_single_point_is_a_dot_without_a_line() {
        let svg = chart(vec![(1.0, 5.0)], false).draw().unwrap().unwrap();
        assert!(svg.contains("<circle") && !svg.contains("<path"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn curves_stay_inside_the_drawing() {
        for points in [vec![(1.0, 1.0), (1e15, 1e300)], vec![(1.0, 3.0), (2.0, 3.0)], vec![(1.0, f64::MAX), (2.0, 1.0)]]
        {
            for log in [false, true] {
                let svg = chart(points.clone(), log).draw().unwrap().unwrap();
                let path = svg.split(" d=\"M").nth(1).unwrap().split('"').next().unwrap();
                for number in path.split(['L', ' ']) {
                    let number: f64 = number.parse().unwrap();
                    assert!((0.0..=520.0).contains(&number), "{number} in {path}");
                }
            }
        }
    }

    #[test]
    fn what_has_no_place_is_refused() {
        let error = chart(vec![(1.0, f64::NAN)], false).draw().unwrap_err();
        assert!(error.to_string().contains("loss.y[0]"), "{error}");
        let error = chart(vec![(1.0, 0.0)], true).draw().unwrap_err();
        assert!(error.to_string().contains("logarithmic"), "{error}");
        assert!(chart(vec![(1.0, 0.0)], false).draw().is_ok());
    }

    #[test]
    fn whole_numbers_get_whole_ticks() {
        let svg = chart(vec![(1.0, 5.0), (2.0, 4.0), (3.0, 3.5)], false).draw().unwrap().unwrap();
        let below: Vec<&str> = svg.split("text-anchor=\"middle\"").skip(1).collect();
        assert_eq!(below.len(), 3, "{svg}");
        assert!(below[0].contains(">1<") && below[2].contains(">3<"), "{svg}");
    }

    #[test]
    fn every_tip_gets_its_band() {
        let mut chart = chart(vec![(1.0, 5.0), (2.0, 4.0)], false);
        chart.series[0].tips = vec!["one".to_owned(), "two".to_owned()];
        let svg = chart.draw().unwrap().unwrap();
        assert_eq!(svg.matches("class=\"hit\"").count(), 2);
        assert!(svg.contains("<title>two</title>"));
    }
}
