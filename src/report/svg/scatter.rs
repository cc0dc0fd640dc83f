//! Scatter plots: named points over two axes.

use super::{
    Anchor, Caption, Drawing,
    axes::{self, Plot},
    finite,
    scale::{self, Scale},
};
use crate::report::error::ReportError;

/// A named point.
#[derive(Debug, Clone)]
pub(in crate::report) struct Point<'a> {
    pub(in crate::report) label: String,
    /// Colour class.
    pub(in crate::report) class: &'a str,
    pub(in crate::report) at: (f64, f64),
    /// What the pointer shows.
    pub(in crate::report) tip: String,
}

/// Points with their names beside them, both axes from zero; `None` without points.
///
/// # Errors
/// A coordinate that is not finite.
pub(in crate::report) fn draw(
    caption: Caption<'_>,
    (width, height): (f64, f64),
    (x_name, y_name): (&str, &str),
    points: &[Point<'_>],
) -> Result<Option<String>, ReportError> {
    finite(caption.id, points.iter().flat_map(|point| [point.at.0, point.at.1]))?;
    if points.is_empty() {
        return Ok(None);
    }
    let most = |of: &dyn Fn(&Point<'_>) -> f64| points.iter().map(of).fold(0.0, f64::max);
    let (top, bottom) = (32.0, height - 46.0);
    let about = ((bottom - top) / 56.0).round().max(2.0) as usize;
    let y = Scale::linear(scale::from_zero(most(&|point| point.at.1), about), (bottom, top));
    let y_ticks = y.ticks(about);
    let plot = Plot { left: axes::label_room(&y, &y_ticks), right: width - 10.0, top, bottom };
    let x = Scale::linear(scale::from_zero(most(&|point| point.at.0), 5), (plot.left + 6.0, plot.right - 6.0));
    let mut drawing = Drawing::new(width, height, caption);
    axes::grid(&mut drawing, plot, &y, &y_ticks);
    let x_ticks = x.ticks(5);
    let labels = x.labels(&x_ticks);
    axes::bottom(&mut drawing, plot, x_ticks.iter().map(|&tick| x.at(tick)).zip(labels));
    axes::names(&mut drawing, plot, x_name, y_name);

    let middle = f64::midpoint(plot.left, plot.right);
    for left_half in [true, false] {
        let own: Vec<&Point<'_>> = points.iter().filter(|point| (x.at(point.at.0) < middle) == left_half).collect();
        let heights: Vec<f64> = own.iter().map(|point| y.at(point.at.1)).collect();
        let heights = axes::spread(&heights, 15.0, plot.top, plot.bottom);
        for (point, height) in own.iter().zip(heights) {
            let (anchor, shift) = if left_half { (Anchor::Start, 9.0) } else { (Anchor::End, -9.0) };
            let at = (x.at(point.at.0) + shift, height + 4.0);
            drawing.text(&format!("label {}", point.class), anchor, at, &point.label);
        }
    }
    for point in points {
        let at = (x.at(point.at.0), y.at(point.at.1));
        drawing.dot(&format!("dot {}", point.class), at, 5.0);
        drawing.hit((at.0 - 10.0, at.1 - 10.0), (20.0, 20.0), &point.tip);
    }
    Ok(Some(drawing.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTION: Caption<'static> = Caption { id: "scatter", title: "Points", desc: "Some." };

    fn point(at: (f64, f64)) -> Point<'static> {
        Point { label: "als".into(), class: "c1", at, tip: "als".into() }
    }

    #[test]
    fn points_stay_inside() {
        let points = [point((0.0, 0.0)), point((1.0, 0.3)), point((0.5, 0.3))];
        let svg = draw(CAPTION, (500.0, 300.0), ("x", "y"), &points).unwrap().unwrap();
        let centres: Vec<f64> =
            svg.split(" cx=\"").skip(1).map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect();
        assert_eq!(centres.len(), 3);
        assert!(centres.iter().all(|x| (0.0..=500.0).contains(x)));
        assert!(centres[0] < centres[2] && centres[2] < centres[1]);
    }

    #[test]
    fn nothing_draws_nothing_and_nan_is_refused() {
        assert!(draw(CAPTION, (500.0, 300.0), ("x", "y"), &[]).unwrap().is_none());
        assert!(draw(CAPTION, (500.0, 300.0), ("x", "y"), &[point((f64::NAN, 0.0))]).is_err());
    }
}
