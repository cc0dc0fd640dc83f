//! Charts as SVG text.
//!
//! In: numbers, labels and a caption. Out: one `<svg>`, coloured by CSS classes, so that one drawing serves light, dark
//! and paper. Refuses: numbers that are not finite, and labels that were not escaped by [`Drawing`].

pub(super) mod area;
pub(super) mod axes;
pub(super) mod bars;
pub(super) mod columns;
pub(super) mod line;
pub(super) mod lorenz;
pub(super) mod rows;
pub(super) mod scale;
pub(super) mod scatter;

use std::fmt::Write;

use super::error::ReportError;

/// Size of the text of ticks and labels, in the units of the view box.
pub(super) const TEXT_SIZE: f64 = 12.0;

/// What a chart says to those who cannot see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caption<'a> {
    /// Unique on the page; also names the chart in errors.
    pub(super) id: &'a str,
    /// What is drawn.
    pub(super) title: &'a str,
    /// What can be seen: the finding, in a sentence.
    pub(super) desc: &'a str,
}

/// Which end of a text stands at its x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// An SVG being written.
#[derive(Debug)]
pub(super) struct Drawing {
    out: String,
}

impl Drawing {
    pub(super) fn new(width: f64, height: f64, caption: Caption<'_>) -> Self {
        let Caption { id, title, desc } = caption;
        let mut out = format!(
            "<svg class=\"chart\" role=\"img\" viewBox=\"0 0 {} {}\" aria-labelledby=\"{id}-t\" aria-describedby=\"{id}-d\">",
            number(width),
            number(height),
            id = escape(id),
        );
        let (id, title, desc) = (escape(id), escape(title), escape(desc));
        let _ = write!(out, "<title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{desc}</desc>");
        Self { out }
    }

    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let (x1, y1, x2, y2) = (number(from.0), number(from.1), number(to.0), number(to.1));
        let _ = write!(self.out, "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>");
    }

    pub(super) fn rect(&mut self, class: &str, corner: (f64, f64), size: (f64, f64)) {
        let (x, y) = (number(corner.0), number(corner.1));
        let (width, height) = (number(size.0.max(0.0)), number(size.1.max(0.0)));
        let _ = write!(self.out, "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>");
    }

    /// An invisible area that shows `tip` under the pointer.
    pub(super) fn hit(&mut self, corner: (f64, f64), size: (f64, f64), tip: &str) {
        let (x, y) = (number(corner.0), number(corner.1));
        let (width, height) = (number(size.0.max(0.0)), number(size.1.max(0.0)));
        let _ = write!(
            self.out,
            "<rect class=\"hit\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"><title>{}</title></rect>",
            escape(tip)
        );
    }

    pub(super) fn dot(&mut self, class: &str, at: (f64, f64), radius: f64) {
        let (x, y, radius) = (number(at.0), number(at.1), number(radius));
        let _ = write!(self.out, "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>");
    }

    pub(super) fn text(&mut self, class: &str, anchor: Anchor, at: (f64, f64), text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (x, y) = (number(at.0), number(at.1));
        let _ = write!(self.out, "<text class=\"{class}\"{anchor} x=\"{x}\" y=\"{y}\">{}</text>", escape(text));
    }

    /// A bold text with a plain one after it, whatever the font's widths are.
    pub(super) fn heading(&mut self, at: (f64, f64), strong: &str, note: &str) {
        let (x, y) = (number(at.0), number(at.1));
        let (strong, note) = (escape(strong), escape(note));
        let _ = write!(
            self.out,
            "<text x=\"{x}\" y=\"{y}\"><tspan class=\"strong\">{strong}</tspan><tspan class=\"note\" dx=\"9\">{note}</tspan></text>"
        );
    }

    /// A line through `points`.
    pub(super) fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        let _ = write!(self.out, "<path class=\"{class}\" d=\"{}\"/>", path(points));
    }

    /// The area between the line through `points` and the height `base`.
    pub(super) fn area(&mut self, class: &str, points: &[(f64, f64)], base: f64) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        let (left, right, base) = (number(first.0), number(last.0), number(base));
        let _ = write!(self.out, "<path class=\"{class}\" d=\"{}L{right} {base}L{left} {base}Z\"/>", path(points));
    }

    pub(super) fn finish(mut self) -> String {
        self.out.push_str("</svg>");
        self.out
    }
}

fn path(points: &[(f64, f64)]) -> String {
    let mut d = String::with_capacity(points.len() * 12);
    for (at, point) in points.iter().enumerate() {
        let _ = write!(d, "{}{} {}", if at == 0 { 'M' } else { 'L' }, number(point.0), number(point.1));
    }
    d
}

/// A coordinate with one decimal, without what says nothing.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Text for element content and quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Control characters have no place in a document; the tab and line ends do.
            c if c.is_control() && !matches!(c, '\t' | '\n') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// About how wide a text gets at [`TEXT_SIZE`]: enough to reserve room, not to align by.
pub(super) fn text_width(text: &str) -> f64 {
    let ems = |character: char| match character {
        'i' | 'l' | 'j' | 't' | 'f' | 'r' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | ' ' | '\u{a0}' => 0.34,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.88,
        c if (c as u32) >= 0x1100 => 1.0,
        c if c.is_uppercase() => 0.68,
        _ => 0.57,
    };
    text.chars().map(ems).sum::<f64>() * TEXT_SIZE
}

/// Refuses the first number that is NaN or infinite.
pub(super) fn finite(part: &str, values: impl IntoIterator<Item = f64>) -> Result<(), ReportError> {
    match values.into_iter().enumerate().find(|(_, value)| !value.is_finite()) {
        Some((at, value)) => Err(ReportError::NotFinite { part: format!("{part}[{at}]"), value }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_leave_their_element() {
        let mut drawing = Drawing::new(10.0, 10.0, Caption { id: "x\"y", title: "<b>", desc: "a & b" });
        drawing.text("label", Anchor::Start, (0.0, 0.0), "</text><script>alert('1')</script>\u{0}");
        drawing.hit((0.0, 0.0), (1.0, 1.0), "\"><img src=x>");
        let svg = drawing.finish();
        assert!(
            !svg.contains("<script") && !svg.contains("<img") && !svg.contains("<b>") && !svg.contains('\0'),
            "{svg}"
        );
        assert!(svg.contains("id=\"x&quot;y-t\">&lt;b&gt;</title>"), "{svg}");
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!(number(3.0), "3");
        assert_eq!(number(-0.04), "0");
        assert_eq!(number(12.345), "12.3");
        assert_eq!(path(&[(0.0, 1.0), (2.25, 3.0)]), "M0 1L2.2 3");
        assert_eq!(path(&[]), "");
    }

    #[test]
    fn nan_and_infinity_are_refused_by_place() {
        assert!(finite("loss", [1.0, -2.0, 1e300]).is_ok());
        let error = finite("loss", [1.0, f64::NAN]).unwrap_err();
        assert!(error.to_string().contains("loss[1]"), "{error}");
        assert!(finite("loss", [f64::INFINITY]).is_err());
    }
}
