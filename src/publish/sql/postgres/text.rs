//! COPY's text format: one row a line, columns between tabs.

use crate::publish::{Section, lists::member_key};

/// Appends a column's text.
pub(super) fn field(text: &str, out: &mut Vec<u8>) {
    let needs_escape = |byte: u8| matches!(byte, b'\\' | b'\n' | b'\r' | b'\t');
    // Without an early end, so that the compiler looks at many bytes at once.
    if !text.bytes().fold(false, |found, byte| found | needs_escape(byte)) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => out.push(byte),
        }
    }
}

/// Appends what a column's text stands for. Without an escape for NULL: no column may be.
pub(super) fn unescape(column: &[u8], out: &mut Vec<u8>) {
    let mut rest = column;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        out.push(match rest.get(at + 1) {
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'v') => 11,
            Some(&other) => other,
            None => b'\\',
        });
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// The key in what the server says of a duplicate: `Key (sequence, user_id)=(3, user-7) already exists.`
pub(super) fn key_of_duplicate(detail: &str, section: Section) -> Option<String> {
    let (_, values) = detail.split_once(")=(")?;
    let (_, key) = values[..values.rfind(')')?].split_once(", ")?;
    Some(match section {
        Section::Campaigns => {
            let (campaign, user) = key.split_once(", ")?;
            member_key(campaign, user)
        }
        _ => key.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_copy_takes_for_marks_is_escaped() {
        let mut out = Vec::new();
        field("plain é 漢", &mut out);
        field("\t\\.\n\r\\N", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "plain é 漢\\t\\\\.\\n\\r\\\\N");
    }

    #[test]
    fn what_copy_gives_is_what_it_took() {
        // The server escapes these three besides: \b, \f, \v.
        for text in ["plain é 漢", "\t\\.\n\r\\N", "", "\\", "\u{8}\u{b}\u{c}"] {
            let (mut escaped, mut back) = (Vec::new(), Vec::new());
            field(text, &mut escaped);
            unescape(&escaped, &mut back);
            assert_eq!(String::from_utf8(back).unwrap(), text);
        }
        let mut out = Vec::new();
        unescape(br"\b\v\f", &mut out);
        assert_eq!(out, [8, 11, 12]);
    }

    #[test]
    fn the_key_of_a_duplicate_is_found_in_any_language() {
        let key = |detail| key_of_duplicate(detail, Section::Popular);
        assert_eq!(key("Key (sequence, placement)=(3, a) b, c) already exists.").as_deref(), Some("a) b, c"));
        assert_eq!(key("Schlüssel »(sequence, placement)=(3, home)« existiert bereits.").as_deref(), Some("home"));
        assert_eq!(key("something else"), None);
    }
}
