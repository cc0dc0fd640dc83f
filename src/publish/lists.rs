//! Lists as text, and what they add up to.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;
use xxhash_rust::xxh64::Xxh64;

use crate::recommendations::{ListBatch, ListRow};

use super::{Kind, PublishError};

/// Lists of one kind, counted and summed up. The sum does not depend on their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Lists.
    pub n_lists: u64,
    /// Their entries.
    pub n_entries: u64,
    /// Sum (modulo 2^64) over the lists of XXH64 of key, source and text, each with its length in front.
    pub checksum: u64,
}

/// What a store must hold when a publish is complete, by kind. A kind that is absent has no lists.
pub type Expected = BTreeMap<Kind, Tally>;

impl Tally {
    /// Adds one list, given the text that [`encode_list`] makes of it.
    pub(super) fn add(&mut self, key: &str, source: &str, n_entries: u64, text: &str) {
        let mut hasher = Xxh64::new(0);
        for part in [key, source, text] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        self.n_lists += 1;
        self.n_entries += n_entries;
        self.checksum = self.checksum.wrapping_add(hasher.digest());
    }

    /// Adds another tally of the same kind.
    pub fn merge(&mut self, other: &Self) {
        self.n_lists += other.n_lists;
        self.n_entries += other.n_entries;
        self.checksum = self.checksum.wrapping_add(other.checksum);
    }

    /// Adds all lists of a batch.
    ///
    /// Cost: that of encoding them, some 30 ns an entry.
    pub fn add_batch(&mut self, lists: &ListBatch<'_>) {
        let mut text = String::new();
        for list in lists.rows() {
            text.clear();
            encode_list(&list, &mut text);
            self.add(list.key, list.source, list.items.len() as u64, &text);
        }
    }
}

/// Appends a list as JSON: `[["item",score],…]`, best first, scores as the shortest text that reads back as the same f32.
///
/// The scores must be finite.
pub fn encode_list(list: &ListRow<'_, '_>, out: &mut String) {
    out.push('[');
    for (at, (item, score)) in list.items.iter().zip(list.scores).enumerate() {
        out.push_str(if at == 0 { "[" } else { ",[" });
        encode_text(item, out);
        out.push(',');
        encode_score(*score, out);
        out.push(']');
    }
    out.push(']');
}

/// A JSON string. Ids hardly ever need escapes, so they are looked for in one pass and copied whole without.
fn encode_text(text: &str, out: &mut String) {
    out.push('"');
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push_str(text);
    } else {
        for letter in text.chars() {
            match letter {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                control if control < ' ' => {
                    write!(out, "\\u{:04x}", u32::from(control)).expect("writing to a String does not fail");
                }
                other => out.push(other),
            }
        }
    }
    out.push('"');
}

/// A JSON number. `serde_json` carries a fast shortest-text printer; the one behind `{}` takes three times as long.
fn encode_score(score: f32, out: &mut String) {
    let mut digits = [0u8; 32];
    let mut room = &mut digits[..];
    serde_json::to_writer(&mut room, &score).expect("a f32 takes at most 16 bytes");
    let n_left = room.len();
    let text = std::str::from_utf8(&digits[..digits.len() - n_left]).expect("digits are ASCII");
    out.push_str(text);
}

/// Finds the first score that no store can hold.
pub(super) fn check_scores(kind: Kind, lists: &ListBatch<'_>) -> Result<(), PublishError> {
    let Some(at) = lists.scores.iter().position(|score| !score.is_finite()) else { return Ok(()) };
    let row = lists.offsets.partition_point(|&end| end <= at) - 1;
    Err(PublishError::BadScore {
        kind,
        key: lists.keys[row].to_owned(),
        item: lists.items[at].to_owned(),
        score: lists.scores[at],
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(items: &[&str], scores: &[f32]) -> String {
        let mut text = String::new();
        encode_list(&ListRow { key: "u", items, scores, source: "" }, &mut text);
        text
    }

    #[test]
    fn lists_are_json_with_short_scores() {
        assert_eq!(encoded(&[], &[]), "[]");
        assert_eq!(encoded(&["i1", "é\"\\\0\n"], &[0.1, -1.0]), "[[\"i1\",0.1],[\"é\\\"\\\\\\u0000\\u000a\",-1.0]]");
    }

    proptest! {
        #[test]
        fn any_list_reads_back_as_it_was(entries in proptest::collection::vec((any::<String>(), proptest::num::f32::NORMAL | proptest::num::f32::SUBNORMAL | proptest::num::f32::ZERO), 0..8)) {
            let items: Vec<&str> = entries.iter().map(|(item, _)| item.as_str()).collect();
            let scores: Vec<f32> = entries.iter().map(|(_, score)| *score).collect();
            let back: Vec<(String, f32)> = serde_json::from_str(&encoded(&items, &scores)).unwrap();
            prop_assert_eq!(back.len(), entries.len());
            for ((item, score), (item_back, score_back)) in entries.iter().zip(&back) {
                prop_assert_eq!(item, item_back);
                prop_assert_eq!(score.to_bits(), score_back.to_bits());
            }
        }
    }

    #[test]
    fn tallies_ignore_the_order_of_lists_and_notice_a_swap_of_parts() {
        let mut one = ListBatch::default();
        one.push("a", [("x", 1.0)], "als");
        one.push("b", [("y", 2.0), ("z", 1.0)], "als");
        let mut other = ListBatch::default();
        other.push("b", [("y", 2.0), ("z", 1.0)], "als");
        other.push("a", [("x", 1.0)], "als");
        let tally = |lists: &ListBatch<'_>| {
            let mut tally = Tally::default();
            tally.add_batch(lists);
            tally
        };
        assert_eq!(tally(&one), tally(&other));
        assert_eq!((tally(&one).n_lists, tally(&one).n_entries), (2, 3));
        let mut moved = Tally::default();
        moved.add("ab", "c", 0, "[]");
        let mut kept = Tally::default();
        kept.add("a", "bc", 0, "[]");
        assert_ne!(moved.checksum, kept.checksum);
    }
}
