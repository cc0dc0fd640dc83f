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
    fn the_key_of_a_duplicate_is_found_in_any_language() {
        let key = |detail| key_of_duplicate(detail, Section::Popular);
        assert_eq!(key("Key (sequence, placement)=(3, a) b, c) already exists.").as_deref(), Some("a) b, c"));
        assert_eq!(key("Schlüssel »(sequence, placement)=(3, home)« existiert bereits.").as_deref(), Some("home"));
        assert_eq!(key("something else"), None);
    }
}
