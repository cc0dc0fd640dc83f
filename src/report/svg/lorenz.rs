//! Lorenz curves: how evenly a sum is spread.

use super::{
    Anchor, Caption, Drawing,
    axes::{self, Plot},
    finite,
    scale::Scale,
};
use crate::report::error::ReportError;

/// One curve below the diagonal.
#[derive(Debug, Clone)]
pub(in crate::report) struct Curve<'a> {
    /// Stands in the upper left, which a Lorenz curve never reaches.
    pub(in crate::report) label: String,
    /// Colour class, `c1` to `c8`.
    pub(in crate::report) class: &'a str,
    /// (share of the members, share of the sum), both 0 to 1, ascending from (0, 0) to (1, 1).
    pub(in crate::report) points: Vec<(f64, f64)>,
}

/// Lorenz curves with the diagonal of equal shares.
///
/// Returns: `None` when no curve has two points.
///
/// # Errors
/// A value that is not finite, or points that do not ascend.
pub(in crate::report) fn draw(
    caption: Caption<'_>,
    size: (f64, f64),
    names: (&str, &str),
    curves: &[Curve<'_>],
) -> Result<Option<String>, ReportError> {
    for curve in curves {
        finite(&format!("{}.x", caption.id), curve.points.iter().map(|point| point.0))?;
        finite(&format!("{}.y", caption.id), curve.points.iter().map(|point| point.1))?;
        if !curve.points.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1) {
            return Err(ReportError::NotAscending { part: caption.id.to_owned() });
        }
    }
    if curves.iter().all(|curve| curve.points.len() < 2) {
        return Ok(None);
    }
    let (width, height) = size;
    let plot = Plot { left: 46.0, right: width - 16.0, top: 32.0, bottom: height - 46.0 };
    let x = Scale::linear((0.0, 1.0), (plot.left, plot.right));
    let y = Scale::linear((0.0, 1.0), (plot.bottom, plot.top));
    let mut drawing = Drawing::new(width, height, caption);
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        drawing.line("grid", (plot.left, y.at(share)), (plot.right, y.at(share)));
        drawing.text("tick", Anchor::End, (plot.left - 6.0, y.at(share) + 4.0), &percent(quarter));
    }
    axes::bottom(&mut drawing, plot, (0..=4).map(|quarter| (x.at(f64::from(quarter) / 4.0), percent(quarter))));
    axes::names(&mut drawing, plot, names.0, names.1);
    drawing.polyline("curve reference", &[(plot.left, plot.bottom), (plot.right, plot.top)]);
    for curve in curves {
        let points: Vec<(f64, f64)> = curve.points.iter().map(|point| (x.at(point.0), y.at(point.1))).collect();
        drawing.area(&format!("wash {}", curve.class), &points, plot.bottom);
        drawing.polyline(&format!("curve {}", curve.class), &points);
    }
    key(&mut drawing, plot, curves);
    Ok(Some(drawing.finish()))
}

/// Names in the corner above the diagonal.
fn key(drawing: &mut Drawing, plot: Plot, curves: &[Curve<'_>]) {
    let entries = curves.iter().map(|curve| (curve.class, curve.label.as_str())).chain([("reference", "equal shares")]);
    for (at, (class, label)) in entries.enumerate() {
        let height = plot.top + 18.0 + 19.0 * at as f64;
        drawing.line(&format!("curve {class}"), (plot.left + 12.0, height), (plot.left + 32.0, height));
        drawing.text(&format!("label {class}"), Anchor::Start, (plot.left + 38.0, height + 4.0), label);
    }
}

fn percent(quarter: i32) -> String {
    format!("{}\u{a0}%", quarter * 25)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTION: Caption<'static> = Caption { id: "lorenz", title: "Evenness", desc: "Uneven." };

    fn curve(points: &[(f64, f64)]) -> Curve<'static> {
        Curve { label: "lists".to_owned(), class: "c1", points: points.to_vec() }
    }

    fn drawn(curves: &[Curve<'_>]) -> Result<Option<String>, ReportError> {
        draw(CAPTION, (520.0, 320.0), ("items", "places"), curves)
    }

    #[test]
    fn no_curve_or_a_single_point_draws_nothing() {
        assert!(drawn(&[]).unwrap().is_none());
        assert!(drawn(&[curve(&[])]).unwrap().is_none());
        assert!(drawn(&[curve(&[(0.0, 0.0)])]).unwrap().is_none());
    }

    #[test]
    fn a_curve_runs_from_corner_to_corner() {
        let svg = drawn(&[curve(&[(0.0, 0.0), (0.5, 0.1), (1.0, 1.0)])]).unwrap().unwrap();
        assert!(svg.contains("class=\"curve c1\" d=\"M46 274L275 249.8L504 32\""), "{svg}");
        assert!(svg.contains("equal shares"));
    }

    #[test]
    fn nan_and_falling_curves_are_refused() {
        assert!(drawn(&[curve(&[(0.0, 0.0), (f64::NAN, 1.0)])]).is_err());
        assert!(drawn(&[curve(&[(0.0, 0.5), (0.5, 0.1)])]).is_err());
    }
}
