//! From rows to items and back: attributes, sizes as DynamoDB counts them, and what an item adds up to.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use xxhash_rust::xxh64::{Xxh64, xxh64};

use super::{DynamoConfig, Encoding, Layout};
use crate::{
    publish::{PublishError, Section},
    recommendations::ListRow,
};

/// An item as the SDK has it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// DynamoDB's limit on an item.
const MAX_ITEM_BYTES: usize = 400 * 1024;
/// DynamoDB's limit on a partition key.
const MAX_KEY_BYTES: usize = 2_048;
/// The attribute that says which run wrote a row, with `layout = "latest"`, where the sort key is always 0.
pub(super) const LATEST_SEQUENCE: &str = "seq";
/// A write unit pays for so many bytes.
const WRITE_UNIT_BYTES: usize = 1_024;

/// What an item holds besides its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    /// Entries of a list, fields of a profile.
    pub(super) n_entries: u64,
    /// Over key, source and entries; equal exactly when readers get the same.
    pub(super) hash: u64,
}

/// An item to write.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    pub(super) key: String,
    pub(super) item: Item,
    pub(super) content: Content,
    /// As DynamoDB counts.
    pub(super) n_bytes: usize,
}

impl Encoded {
    pub(super) fn write_units(&self) -> u32 {
        self.n_bytes.div_ceil(WRITE_UNIT_BYTES).max(1) as u32
    }
}

/// Makes items of rows. `sequence` and `ttl` go into each.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    config: DynamoConfig,
    /// The sort key's value.
    sequence: i64,
    /// Seconds since 1970.
    ttl: Option<i64>,
}

impl Encoder {
    pub(super) fn new(config: &DynamoConfig, sequence: i64, ttl: Option<i64>) -> Self {
        Self { config: config.clone(), sequence, ttl }
    }

    /// The partition key of a section's key.
    pub(super) fn key(&self, section: Section, key: &str) -> String {
        format!("{}{key}", self.config.prefix(section))
    }

    /// # Errors
    /// [`Unfit`](PublishError::Unfit): the key is empty or too long, or the item is.
    pub(super) fn list(&self, section: Section, row: &ListRow<'_, '_>) -> Result<Encoded, PublishError> {
        let names = &self.config.attributes;
        let entries = row.items.iter().zip(row.scores).map(|(item, score)| {
            let id = AttributeValue::S((*item).to_owned());
            match self.config.encoding {
                Encoding::Compact => id,
                Encoding::Map => AttributeValue::M(
                    [(names.item.clone(), id), (names.score.clone(), number(f64::from(*score), score))].into(),
                ),
            }
        });
        let mut item = self.keyed(section, row.key);
        item.insert(names.list.clone(), AttributeValue::L(entries.collect()));
        if !row.source.is_empty() {
            item.insert(names.source.clone(), AttributeValue::S(row.source.to_owned()));
        }
        self.finish(section, row.key, item)
    }

    /// `document` is a JSON object.
    ///
    /// # Errors
    /// [`Unfit`](PublishError::Unfit): as [`list`](Self::list), or `document` is no JSON object.
    pub(super) fn document(&self, section: Section, key: &str, document: &str) -> Result<Encoded, PublishError> {
        let value: serde_json::Value = serde_json::from_str(document)
            .ok()
            .filter(serde_json::Value::is_object)
            .ok_or_else(|| unfit(section, key, "its profile is no JSON object".into()))?;
        let mut item = self.keyed(section, key);
        item.insert(self.config.attributes.profile.clone(), of_json(&value));
        self.finish(section, key, item)
    }

    /// A row that says that its key has nothing any more.
    pub(super) fn tombstone(&self, section: Section, key: &str) -> Result<Encoded, PublishError> {
        let mut item = self.keyed(section, key);
        item.insert(self.config.attributes.gone.clone(), AttributeValue::Bool(true));
        self.finish(section, key, item)
    }

    fn keyed(&self, section: Section, key: &str) -> Item {
        let names = &self.config.attributes;
        let mut item = Item::with_capacity(5);
        item.insert(names.key.clone(), AttributeValue::S(self.key(section, key)));
        let sequence = AttributeValue::N(self.sequence.to_string());
        match self.config.layout {
            Layout::Versioned => item.insert(names.sequence.clone(), sequence),
            Layout::Latest => {
                item.insert(LATEST_SEQUENCE.to_owned(), sequence);
                item.insert(names.sequence.clone(), AttributeValue::N("0".to_owned()))
            }
        };
        if let Some(ttl) = self.ttl {
            item.insert(names.ttl.clone(), AttributeValue::N(ttl.to_string()));
        }
        item
    }

    fn finish(&self, section: Section, key: &str, item: Item) -> Result<Encoded, PublishError> {
        let full_key = self.key(section, key);
        if full_key.is_empty() {
            return Err(unfit(section, key, "DynamoDB takes no empty key; give the section a prefix".into()));
        }
        if full_key.len() > MAX_KEY_BYTES {
            let reason = format!("its key has {} bytes, DynamoDB takes {MAX_KEY_BYTES}", full_key.len());
            return Err(unfit(section, key, reason));
        }
        let n_bytes = item.iter().map(|(name, value)| name.len() + size(value)).sum();
        if n_bytes > MAX_ITEM_BYTES {
            let reason = format!("it would have {n_bytes} bytes, DynamoDB takes {MAX_ITEM_BYTES}; make lists shorter");
            return Err(unfit(section, key, reason));
        }
        let content = content(&self.config, &full_key, &item).expect("an item made here is whole");
        Ok(Encoded { key: full_key, item, content, n_bytes })
    }
}

fn unfit(section: Section, key: &str, reason: String) -> PublishError {
    PublishError::Unfit { section, key: key.to_owned(), reason }
}

/// A number as the shortest text that reads back as the same value; zero has no sign in DynamoDB.
fn number(value: f64, text: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(if value == 0.0 { "0".to_owned() } else { text.to_string() })
}

fn of_json(value: &serde_json::Value) -> AttributeValue {
    use serde_json::Value;
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(value) => AttributeValue::Bool(*value),
        Value::Number(value) => number(value.as_f64().unwrap_or(1.0), value),
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Array(values) => AttributeValue::L(values.iter().map(of_json).collect()),
        Value::Object(fields) => {
            AttributeValue::M(fields.iter().map(|(name, value)| (name.clone(), of_json(value))).collect())
        }
    }
}

/// Bytes of a value.
///
/// Source: Amazon DynamoDB Developer Guide, "DynamoDB item sizes and formats".
fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(text) => text.bytes().filter(u8::is_ascii_digit).count().div_ceil(2) + 1,
        AttributeValue::L(values) => 3 + values.iter().map(|value| 1 + size(value)).sum::<usize>(),
        AttributeValue::M(fields) => 3 + fields.iter().map(|(name, value)| 1 + name.len() + size(value)).sum::<usize>(),
        _ => 1,
    }
}

/// What an item holds, or `None` for a tombstone and for what is no row of ours.
pub(super) fn content(config: &DynamoConfig, key: &str, item: &Item) -> Option<Content> {
    let names = &config.attributes;
    let (value, n_entries) = match (item.get(&names.list), item.get(&names.profile)) {
        (Some(AttributeValue::L(entries)), _) => (item.get(&names.list)?, entries.len()),
        (_, Some(AttributeValue::M(fields))) => (item.get(&names.profile)?, fields.len()),
        _ if item.contains_key(&names.gone) => return Some(Content { n_entries: 0, hash: 0 }),
        _ => return None,
    };
    let mut hasher = Xxh64::new(0);
    hash_text(&mut hasher, b'k', key);
    hash_text(
        &mut hasher,
        b's',
        item.get(&names.source).and_then(|source| source.as_s().ok()).map_or("", String::as_str),
    );
    hash_value(&mut hasher, value);
    Some(Content { n_entries: n_entries as u64, hash: hasher.digest() })
}

/// Whether an item is a tombstone.
pub(super) fn is_gone(config: &DynamoConfig, item: &Item) -> bool {
    item.contains_key(&config.attributes.gone)
}

fn hash_text(hasher: &mut Xxh64, tag: u8, text: &str) {
    hasher.update(&[tag]);
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

/// Numbers by value: DynamoDB writes them its own way.
fn hash_value(hasher: &mut Xxh64, value: &AttributeValue) {
    match value {
        AttributeValue::S(text) => hash_text(hasher, b'S', text),
        AttributeValue::N(text) => {
            hasher.update(b"N");
            hasher.update(&text.parse::<f64>().unwrap_or(f64::NAN).to_bits().to_le_bytes());
        }
        AttributeValue::Bool(value) => hasher.update(&[b'B', u8::from(*value)]),
        AttributeValue::L(values) => {
            hasher.update(b"L");
            hasher.update(&(values.len() as u64).to_le_bytes());
            values.iter().for_each(|value| hash_value(hasher, value));
        }
        AttributeValue::M(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            hasher.update(b"M");
            hasher.update(&(fields.len() as u64).to_le_bytes());
            for (name, value) in fields {
                hash_text(hasher, b'n', name);
                hash_value(hasher, value);
            }
        }
        _ => hasher.update(b"0"),
    }
}

/// Deals keys evenly: for samples and for the nights on which unchanged rows are written again.
pub(super) fn key_hash(key: &str, seed: u64) -> u64 {
    xxh64(key.as_bytes(), seed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn row<'a>(key: &'a str, items: &'a [&'a str], scores: &'a [f32]) -> ListRow<'a, 'a> {
        ListRow { key, items, scores, source: "als" }
    }

    fn encoder(encoding: Encoding) -> Encoder {
        Encoder::new(&DynamoConfig { encoding, ..DynamoConfig::default() }, 7, Some(1_800_000_000))
    }

    #[test]
    fn fifty_ids_of_fifteen_characters_take_one_write_unit() {
        let ids: Vec<String> = (0..50).map(|n| format!("item-{n:010}")).collect();
        let items: Vec<&str> = ids.iter().map(String::as_str).collect();
        let scores = vec![0.123_456_7; 50];
        let encoded =
            encoder(Encoding::Compact).list(Section::Recommendations, &row("user-1234567890", &items, &scores));
        let encoded = encoded.unwrap();
        assert_eq!((encoded.write_units(), encoded.content.n_entries), (1, 50));
        let with_scores =
            encoder(Encoding::Map).list(Section::Recommendations, &row("user-1234567890", &items, &scores));
        assert_eq!(with_scores.unwrap().write_units(), 2);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_key() {
        let long = "x".repeat(10_000);
        let items = vec![long.as_str(); 50];
        let error =
            encoder(Encoding::Compact).list(Section::SimilarItems, &row("cup", &items, &[0.0; 50])).unwrap_err();
        assert!(matches!(&error, PublishError::Unfit { key, .. } if key == "cup"), "{error}");
        let key = "k".repeat(2_047);
        assert!(encoder(Encoding::Compact).list(Section::Popular, &row(&key, &["a"], &[0.0])).is_err());
        assert!(encoder(Encoding::Compact).list(Section::Popular, &row(&key[..2_046], &["a"], &[0.0])).is_ok());
    }

    #[test]
    fn content_ignores_how_numbers_are_written_and_notices_what_readers_would() {
        let config = DynamoConfig { encoding: Encoding::Map, ..DynamoConfig::default() };
        let encoder = Encoder::new(&config, 1, None);
        let list =
            |items: &[&str], scores: &[f32]| encoder.list(Section::Recommendations, &row("u", items, scores)).unwrap();
        let one = list(&["a", "b"], &[3.4e38, -0.0]);
        let mut stored = one.item.clone();
        let AttributeValue::L(entries) = stored.get_mut("l").unwrap() else { panic!() };
        let AttributeValue::M(entry) = &mut entries[0] else { panic!() };
        entry.insert("s".into(), AttributeValue::N(format!("34{}", "0".repeat(37))));
        assert_eq!(content(&config, "u#u", &stored), Some(one.content));
        assert_ne!(list(&["b", "a"], &[3.4e38, -0.0]).content, one.content);
        assert_ne!(list(&["a", "b"], &[3.3e38, 0.0]).content, one.content);
        assert_eq!(list(&["a", "b"], &[3.4e38, 0.0]).content, one.content);
        assert_ne!(content(&config, "u#v", &stored), Some(one.content));
    }

    #[test]
    fn compact_lists_do_not_change_with_scores() {
        let encoder = encoder(Encoding::Compact);
        let list = |scores: &[f32]| encoder.list(Section::Recommendations, &row("u", &["a"], scores)).unwrap().content;
        assert_eq!(list(&[1.0]), list(&[2.0]));
    }

    #[test]
    fn profiles_keep_their_fields() {
        let text = r#"{"n_view_7d": 3, "monetary_all": 12.5, "favourites": ["a", {"b": null}], "ok": true}"#;
        let encoded = encoder(Encoding::Compact).document(Section::Profiles, "u", text).unwrap();
        assert_eq!(encoded.content.n_entries, 4);
        let AttributeValue::M(fields) = &encoded.item["p"] else { panic!() };
        assert_eq!(fields["monetary_all"], AttributeValue::N("12.5".into()));
        assert!(encoder(Encoding::Compact).document(Section::Profiles, "u", "[1]").is_err());
    }
}
