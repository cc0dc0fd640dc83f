//! Axes that charts share: grid, tick labels, names, and the frame of the plot.

use super::{Anchor, Drawing, TEXT_SIZE, scale::Scale, text_width};
/// The plot within a drawing, in its coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::report) struct Plot {
    pub(in crate::report) left: f64,
    pub(in crate::report) right: f64,
    pub(in crate::report) top: f64,
    pub(in crate::report) bottom: f64,
}

impl Plot {
    pub(in crate::report) fn width(&self) -> f64 {
        self.right - self.left
    }
}

/// Room that the tick labels of a vertical axis need, gap included.
pub(in crate::report) fn label_room(scale: &Scale, ticks: &[f64]) -> f64 {
    scale.labels(ticks).iter().map(|label| text_width(label)).fold(0.0, f64::max) + 8.0
}

/// Horizontal grid lines with their labels left of the plot.
pub(in crate::report) fn grid(drawing: &mut Drawing, plot: Plot, scale: &Scale, ticks: &[f64]) {
    for (&tick, label) in ticks.iter().zip(scale.labels(ticks)) {
        let y = scale.at(tick);
        drawing.line("grid", (plot.left, y), (plot.right, y));
        drawing.text("tick", Anchor::End, (plot.left - 6.0, y + 4.0), &label);
    }
}

/// The horizontal axis: its line, and ticks labelled below. Labels that would touch their left neighbour are left out.
pub(in crate::report) fn bottom(drawing: &mut Drawing, plot: Plot, ticks: impl IntoIterator<Item = (f64, String)>) {
    drawing.line("axis", (plot.left, plot.bottom), (plot.right, plot.bottom));
    let mut free_from = f64::NEG_INFINITY;
    for (x, label) in ticks {
        let half = text_width(&label) / 2.0;
        if x - half < free_from {
            continue;
        }
        drawing.line("axis", (x, plot.bottom), (x, plot.bottom + 4.0));
        drawing.text("tick", Anchor::Middle, (x, plot.bottom + 6.0 + TEXT_SIZE), &label);
        free_from = x + half + 8.0;
    }
}

/// What the axes measure: the vertical one's name above the plot, the horizontal one's below its right end.
pub(in crate::report) fn names(drawing: &mut Drawing, plot: Plot, x_name: &str, y_name: &str) {
    if !y_name.is_empty() {
        drawing.text("name", Anchor::Start, (0.0, plot.top - 15.0), y_name);
    }
    if !x_name.is_empty() {
        drawing.text("name", Anchor::End, (plot.right, plot.bottom + 36.0), x_name);
    }
}

/// Moves heights apart until neighbours are `gap` apart, keeping their order and staying within `low..=high` if they fit.
pub(in crate::report) fn spread(heights: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..heights.len()).collect();
    order.sort_by(|&a, &b| heights[a].total_cmp(&heights[b]).then(a.cmp(&b)));
    let mut out = heights.to_vec();
    let mut floor = low;
    for &at in &order {
        out[at] = out[at].max(floor);
        floor = out[at] + gap;
    }
    let mut ceiling = high;
    for &at in order.iter().rev() {
        out[at] = out[at].min(ceiling);
        ceiling = out[at] - gap;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_spread_in_their_order() {
        assert_eq!(spread(&[10.0, 12.0, 50.0], 14.0, 0.0, 100.0), [10.0, 24.0, 50.0]);
        assert_eq!(spread(&[99.0, 98.0], 14.0, 0.0, 100.0), [100.0, 86.0]);
        assert_eq!(spread(&[5.0, 5.0], 14.0, 0.0, 100.0), [5.0, 19.0]);
        assert!(spread(&[], 14.0, 0.0, 100.0).is_empty());
    }

    #[test]
    fn crowded_tick_labels_are_left_out() {
        let mut drawing = Drawing::new(100.0, 50.0, super::super::Caption { id: "c", title: "t", desc: "d" });
        let plot = Plot { left: 0.0, right: 100.0, top: 0.0, bottom: 30.0 };
        bottom(&mut drawing, plot, [(10.0, "aaaa".to_owned()), (12.0, "bbbb".to_owned()), (80.0, "cccc".to_owned())]);
        let svg = drawing.finish();
        assert!(svg.contains("aaaa") && !svg.contains("bbbb") && svg.contains("cccc"), "{svg}");
    }
}
