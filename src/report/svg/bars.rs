//! Bars: parts of a whole in one bar, and small bars for the cells of a table.

use super::{Anchor, Caption, Drawing, escape, finite, text_width};
use crate::report::error::ReportError;

/// Colour classes of the parts, in turn.
pub(in crate::report) const CLASSES: [&str; 8] = ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"];

/// One part of a stacked bar.
#[derive(Debug, Clone)]
pub(in crate::report) struct Part {
    pub(in crate::report) label: String,
    /// Zero or more.
    pub(in crate::report) value: f64,
    /// What the pointer shows.
    pub(in crate::report) tip: String,
}

/// One horizontal bar of parts; the colour of part i is `CLASSES[i % 8]`, so that a table below can show the same.
///
/// Returns: `None` when the parts sum to nothing.
///
/// # Errors
/// A value that is not finite.
pub(in crate::report) fn stacked(
    caption: Caption<'_>,
    width: f64,
    parts: &[Part],
) -> Result<Option<String>, ReportError> {
    finite(caption.id, parts.iter().map(|part| part.value))?;
    // Scaled first, so that the sum cannot overflow.
    let most = parts.iter().map(|part| part.value.max(0.0)).fold(0.0, f64::max);
    if most == 0.0 {
        return Ok(None);
    }
    let shares: Vec<f64> = parts.iter().map(|part| part.value.max(0.0) / most).collect();
    let total: f64 = shares.iter().sum();
    let height = 34.0;
    let mut drawing = Drawing::new(width, height, caption);
    let mut from = 0.0;
    for (at, (part, share)) in parts.iter().zip(shares).enumerate() {
        let extent = share / total * width;
        let class = CLASSES[at % CLASSES.len()];
        // A hairline between neighbours, unless it would eat the part.
        let gap = if extent > 3.0 { 1.5 } else { 0.0 };
        drawing.rect(&format!("fill {class}"), (from, 0.0), (extent - gap, height));
        if text_width(&part.label) + 14.0 < extent {
            let middle = (from + (extent - gap) / 2.0, height / 2.0 + 4.5);
            drawing.text(&format!("within on-{class}"), Anchor::Middle, middle, &part.label);
        }
        drawing.hit((from, 0.0), (extent, height), &part.tip);
        from += extent;
    }
    Ok(Some(drawing.finish()))
}

/// A bar for a table cell that says the same in words, hidden from screen readers: `share` (0 to 1) of its width in
/// `class`, the rest in `rest`.
pub(in crate::report) fn cell(share: f64, class: &str, rest: &str) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    // Something stays visible of what is not zero.
    let percent = if share > 0.0 { (share * 100.0).max(0.7) } else { 0.0 };
    let (class, rest) = (escape(class), escape(rest));
    format!(
        "<svg class=\"cellbar\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"fill {rest}\" width=\"100\" height=\"10\"/><rect class=\"fill {class}\" width=\"{percent:.1}\" height=\"10\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTION: Caption<'static> = Caption { id: "stages", title: "Stages", desc: "Most goes into training." };

    fn parts(values: &[f64]) -> Vec<Part> {
        values.iter().map(|&value| Part { label: "train".to_owned(), value, tip: format!("{value}") }).collect()
    }

    fn widths(svg: &str) -> Vec<f64> {
        svg.split("<rect class=\"hit\"")
            .skip(1)
            .map(|rest| rest.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect()
    }

    #[test]
    fn nothing_draws_nothing() {
        assert!(stacked(CAPTION, 500.0, &[]).unwrap().is_none());
        assert!(stacked(CAPTION, 500.0, &parts(&[0.0, 0.0])).unwrap().is_none());
    }

    #[test]
    fn parts_fill_the_bar_in_proportion() {
        assert_eq!(widths(&stacked(CAPTION, 500.0, &parts(&[1.0, 3.0, 0.0])).unwrap().unwrap()), [125.0, 375.0, 0.0]);
        assert_eq!(widths(&stacked(CAPTION, 500.0, &parts(&[7.0])).unwrap().unwrap()), [500.0]);
        assert_eq!(widths(&stacked(CAPTION, 500.0, &parts(&[f64::MAX, f64::MAX])).unwrap().unwrap()), [250.0, 250.0]);
    }

    #[test]
    fn labels_stand_only_where_they_fit() {
        let svg = stacked(CAPTION, 500.0, &parts(&[1.0, 99.0])).unwrap().unwrap();
        assert_eq!(svg.matches(">train</text>").count(), 1);
    }

    #[test]
    fn nan_is_refused_and_cells_are_total() {
        assert!(stacked(CAPTION, 500.0, &parts(&[1.0, f64::NAN])).is_err());
        assert!(cell(f64::NAN, "c1", "rail").contains("width=\"0.0\""));
        assert!(cell(1e-9, "c1", "rail").contains("width=\"0.7\""));
        assert!(cell(7.0, "c1", "rail").contains("c1\" width=\"100.0\""));
    }
}
