//! Lists as text, and what they add up to.

use std::{collections::BTreeMap, fmt::Write as _, io::Write as _};

use serde::Serialize;
use xxhash_rust::xxh64::Xxh64;

use crate::recommendations::{ListBatch, ListRow, MemberRow};

use super::{Rows, Section};

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

/// What a store must hold when a publish is complete, by section. A section that is absent has no rows.
pub type Expected = BTreeMap<Section, Tally>;

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

    /// Adds a row that a store has its own hash for.
    pub(super) fn add_hashed(&mut self, n_entries: u64, hash: u64) {
        self.n_lists += 1;
        self.n_entries += n_entries;
        self.checksum = self.checksum.wrapping_add(hash);
    }

    /// What differs first, as here and as there.
    pub(super) fn first_difference(&self, found: &Self) -> Option<(&'static str, String, String)> {
        let numbers = [
            ("lists", self.n_lists, found.n_lists),
            ("entries", self.n_entries, found.n_entries),
            ("checksum", self.checksum, found.checksum),
        ];
        let (what, expected, found) = numbers.into_iter().find(|(_, expected, found)| expected != found)?;
        Some((what, expected.to_string(), found.to_string()))
    }

    /// Adds another tally of the same kind.
    pub fn merge(&mut self, other: &Self) {
        self.n_lists += other.n_lists;
        self.n_entries += other.n_entries;
        self.checksum = self.checksum.wrapping_add(other.checksum);
    }

    /// Adds all rows of a batch: lists by key, source and text; documents by key and text; members by user, campaign and
    /// `encode_member`.
    ///
    /// Cost: that of encoding them.
    pub fn add_rows(&mut self, rows: &Rows<'_>) {
        match rows {
            Rows::Lists(_, lists) => self.add_batch(lists),
            Rows::Profiles(documents) => {
                for (key, document) in documents.keys.iter().zip(&documents.documents) {
                    self.add(key, "", 0, document);
                }
            }
            Rows::Members(members) => {
                let mut text = String::new();
                for member in members.rows() {
                    text.clear();
                    encode_member(&member, &mut text);
                    self.add(member.list.key, members.campaign, member.list.items.len() as u64, &text);
                }
            }
        }
    }

    /// Adds all lists of a batch.
    ///
    /// Cost: that of encoding them.
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
///
/// Cost: 140 ns an entry measured on a busy core.
pub fn encode_list(list: &ListRow<'_, '_>, out: &mut String) {
    let mut bytes = std::mem::take(out).into_bytes();
    bytes.reserve(list.items.iter().map(|item| item.len() + 24).sum::<usize>() + 2);
    bytes.push(b'[');
    for (at, (item, score)) in list.items.iter().zip(list.scores).enumerate() {
        bytes.extend_from_slice(if at == 0 { b"[\"" } else { b",[\"" });
        encode_text(item, &mut bytes);
        bytes.extend_from_slice(b"\",");
        // `serde_json` prints the shortest text straight into the bytes, without the machinery of `{}`.
        serde_json::to_writer(&mut bytes, score).expect("a Vec takes every number");
        bytes.push(b']');
    }
    bytes.push(b']');
    *out = String::from_utf8(bytes).expect("made of text and ASCII");
}

/// Appends what a member's columns hold, one a line: rank, score, arm, reason, variables, items as [`encode_list`] has them.
pub(super) fn encode_member(member: &MemberRow<'_, '_>, out: &mut String) {
    member_head(member.rank, member.score, member.arm.name(), member.reason, member.variables, out);
    encode_list(&member.list, out);
}

/// What [`encode_member`] writes in front of the items.
pub(super) fn member_head(rank: u32, score: f32, arm: &str, reason: &str, variables: &str, out: &mut String) {
    // Lines need no escapes: the text is only ever hashed, and each part has a fixed place or a length of its own.
    write!(out, "{rank}\n{score}\n{arm}\n{}:{reason}\n{}:{variables}\n", reason.len(), variables.len())
        .expect("a String takes every text");
}

/// A member's key in messages.
pub(super) fn member_key(campaign: &str, user: &str) -> String {
    format!("{user} (campaign {campaign})")
}

/// Entries of a list as `encode_list` writes it: each has one string, and strings hold no bare quotes.
pub(super) fn n_entries_of(list: &str) -> u64 {
    let (mut quotes, mut bytes) = (0_u64, list.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => quotes += 1,
            _ => {}
        }
    }
    quotes / 2
}

/// The inside of a JSON string. Ids hardly ever need escapes: without one they are copied whole.
fn encode_text(text: &str, out: &mut Vec<u8>) {
    // Without an early end, so that the compiler looks at many bytes at once.
    let has_escapes = text.bytes().fold(false, |found, byte| found | (byte < 0x20) | (byte == b'"') | (byte == b'\\'));
    if !has_escapes {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => write!(out, "\\u{byte:04x}").expect("a Vec takes every byte"),
            _ => out.push(byte),
        }
    }
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

    #[test]
    fn entries_are_counted_in_the_text() {
        for items in [&[][..], &["a"], &["a\"b", "\\", "],["], &["", "\u{0}", "\\\\\""]] {
            let mut text = String::new();
            let scores = vec![1.0; items.len()];
            encode_list(&ListRow { key: "k", items, scores: &scores, source: "" }, &mut text);
            assert_eq!(n_entries_of(&text), items.len() as u64, "{text}");
        }
    }
}
