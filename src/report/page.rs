//! The page: templates, style and script put together.

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context, syntax::SyntaxConfig, value::Serde};
use sha2::{Digest, Sha256};

use super::{
    campaigns,
    charts::{self, Charts},
    check,
    data::ReportData,
    error::ReportError,
    format,
    svg::bars,
};

/// Templates by name. All of them end in `.html`, so all of them escape what they print.
const TEMPLATES: [(&str, &str); 11] = [
    ("page.html", include_str!("templates/page.html")),
    ("macros.html", include_str!("templates/macros.html")),
    ("report.html", include_str!("templates/report.html")),
    ("comparison.html", include_str!("templates/comparison.html")),
    ("parts/input.html", include_str!("templates/parts/input.html")),
    ("parts/shop.html", include_str!("templates/parts/shop.html")),
    ("parts/model.html", include_str!("templates/parts/model.html")),
    ("parts/lists.html", include_str!("templates/parts/lists.html")),
    ("parts/campaigns.html", include_str!("templates/parts/campaigns.html")),
    ("parts/examples.html", include_str!("templates/parts/examples.html")),
    ("parts/run.html", include_str!("templates/parts/run.html")),
];
const STYLE: &str = include_str!("templates/style.css");
const SCRIPT: &str = include_str!("templates/page.js");

/// Renders the page of a run: one HTML document that asks for nothing else.
///
/// Returns: UTF-8 text, some 100 to 300 KB.
/// Errors: a number that is not finite, or columns of unlike length, named by their part.
/// Determinism: the same data give the same bytes.
///
/// # Errors
/// See [`ReportError`].
pub fn render(data: &ReportData) -> Result<String, ReportError> {
    check::check(data)?;
    let charts = charts::charts(data)?;
    environment().and_then(|environment| page(&environment, data, &charts)).map_err(ReportError::Template)
}

fn page(environment: &Environment<'_>, data: &ReportData, charts: &Charts) -> Result<String, minijinja::Error> {
    environment.get_template("report.html")?.render(context! {
        data => Value::from(Serde(data)),
        charts => Value::from(Serde(charts)),
        classes => bars::CLASSES,
        step_classes => campaigns::STEP_CLASSES,
        ..frame("")
    })
}

/// Renders another page of the same frame, with rules of style of its own.
pub(super) fn render_template(name: &str, values: Value, style: &str) -> Result<String, minijinja::Error> {
    environment()?.get_template(name)?.render(context! { ..values, ..frame(style) })
}

/// What every page needs.
fn frame(more_style: &str) -> Value {
    context! {
        style => Value::from_safe_string(format!("{STYLE}{more_style}")),
        script => Value::from_safe_string(SCRIPT.to_owned()),
        script_hash => base64(&Sha256::digest(SCRIPT.as_bytes())),
    }
}

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_filter("compact", |value: f64| format::compact(value));
    environment.add_filter("exact", |value: u64| format::exact(value));
    environment.add_filter("percent", |share: f64| format::percent(share));
    environment.add_filter("duration", |seconds: f64| format::duration(seconds));
    environment.add_filter("bytes", |n: f64| format::bytes(n));
    environment.add_filter("score", |value: f64| format::score(value));
    environment.add_filter("clip", |text: &str, limit: usize| format::clip(text, limit));
    environment.add_filter("fixed", |value: f64| format!("{value:.4}"));
    environment.add_filter("instant", instant);
    environment.add_function("cellbar", |share: f64, class: &str, rest: Option<&str>| {
        Value::from_safe_string(bars::cell(share, class, rest.unwrap_or("rail")))
    });
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    Ok(environment)
}

/// `2026-11-22T02:00:00Z` as `2026-11-22 02:00 UTC`.
fn instant(text: &str) -> String {
    let to_the_minute: String = text.chars().take(16).collect();
    format!("{} UTC", to_the_minute.replace('T', " "))
}

/// RFC 4648, with padding: how a content security policy writes a script's hash.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let sextet = (word >> (18 - 6 * digit)) as usize & 63;
            out.push(if digit <= chunk.len() { char::from(DIGITS[sextet]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_rfc_4648s() {
        for (bytes, expected) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), expected);
        }
    }

    #[test]
    fn instants_are_cut_to_the_minute() {
        assert_eq!(instant("2026-11-22T02:00:41.5Z"), "2026-11-22 02:00 UTC");
        assert_eq!(instant(""), " UTC");
    }

    #[test]
    fn a_page_without_anything_still_renders() {
        let page = render(&ReportData::default()).unwrap();
        assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
        assert!(!page.contains("<svg class=\"chart\""));
    }
}
