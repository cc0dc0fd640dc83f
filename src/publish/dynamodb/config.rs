//! `[publish.dynamodb]`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{publish::Section, retry::RetryPolicy};

/// What DynamoDB takes, and what stands in front of its keys.
const PREFIXES: [(Section, &str); 6] = [
    (Section::Recommendations, "u#"),
    (Section::SimilarItems, "i#"),
    (Section::Popular, "p#"),
    (Section::BoughtTogether, "b#"),
    (Section::Trending, "t#"),
    (Section::Profiles, "f#"),
];

/// How rows lie in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Every run has rows of its own; a pointer says which run counts. Readers see one whole run, and it can be taken back.
    Versioned,
    /// One row a key, overwritten where it is older: for front ends that do a plain GetItem. Readers see runs mixed while
    /// one is being published, and nothing can be taken back.
    Latest,
}

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Item ids alone, best first: 50 ids of 15 characters take one write unit.
    Compact,
    /// Item ids and scores.
    Map,
}

/// `[publish.dynamodb]`: the tables that front ends read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DynamoConfig {
    /// The table.
    pub table: String,
    /// Region; without it AWS_REGION, AWS_DEFAULT_REGION or the profile's.
    pub region: Option<String>,
    /// Address of an emulator; without it AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL or AWS itself.
    pub endpoint_url: Option<String>,
    /// What of a run is published.
    pub sections: Vec<Section>,
    /// How rows lie in the table.
    pub layout: Layout,
    /// How a list is written.
    pub encoding: Encoding,
    /// What stands in front of keys, by section.
    pub prefixes: BTreeMap<Section, String>,
    /// The attributes' names.
    pub attributes: Attributes,
    /// Days after which DynamoDB may remove a row; 0: never.
    pub ttl_days: u32,
    /// Writes only what differs from the run before, when that run's directory is at hand.
    pub delta: bool,
    /// A row is written again after at most so many publishes, changed or not.
    pub refresh_after: u32,
    /// Write units a second at most; 0: as fast as the table takes them.
    pub max_write_units: u32,
    /// Requests under way at most; fewer while the table throttles.
    pub max_in_flight: usize,
    /// Longest wait for an answer, in milliseconds.
    pub timeout_ms: u64,
    /// Rows read back, chosen by chance, before readers are sent to the new run.
    pub verify_sample: usize,
    /// Runs that can be gone back to, the current one included.
    pub keep: usize,
    /// Where `publish --via import` puts the files of an import: `s3://bucket/prefix`, in the table's region.
    pub import: Option<String>,
    /// When to ask again.
    pub retry: RetryPolicy,
    /// What AWS charges.
    pub prices: Prices,
}

/// `[publish.dynamodb.attributes]`: names of attributes. Short ones leave room for ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Attributes {
    /// The partition key, text.
    pub key: String,
    /// The sort key, a number: the run's sequence.
    pub sequence: String,
    /// The list.
    pub list: String,
    /// An entry's item id, with `encoding = "map"`.
    pub item: String,
    /// An entry's score, with `encoding = "map"`.
    pub score: String,
    /// Where a list comes from.
    pub source: String,
    /// A profile.
    pub profile: String,
    /// Marks a key that has no list any more.
    pub gone: String,
    /// When the row may be removed, in Unix seconds.
    pub ttl: String,
}

/// `[publish.dynamodb.prices]`: US dollars; on demand, us-east-1, November 2026.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prices {
    /// A million write units.
    pub million_write_units: f64,
    /// A GB kept for a month.
    pub gb_month: f64,
    /// A GB of ImportTable's source.
    pub gb_import: f64,
}

impl Default for Prices {
    fn default() -> Self {
        Self { million_write_units: 0.625, gb_month: 0.25, gb_import: 0.15 }
    }
}

impl Default for Attributes {
    fn default() -> Self {
        let name = |name: &str| name.to_owned();
        Self {
            key: name("pk"),
            sequence: name("sk"),
            list: name("l"),
            item: name("i"),
            score: name("s"),
            source: name("s"),
            profile: name("p"),
            gone: name("gone"),
            ttl: name("ttl"),
        }
    }
}

impl Default for DynamoConfig {
    fn default() -> Self {
        Self {
            table: "nightshelf".into(),
            region: None,
            endpoint_url: None,
            sections: PREFIXES.iter().map(|(section, _)| *section).collect(),
            layout: Layout::Versioned,
            encoding: Encoding::Compact,
            prefixes: PREFIXES.iter().map(|(section, prefix)| (*section, (*prefix).to_owned())).collect(),
            attributes: Attributes::default(),
            ttl_days: 30,
            delta: true,
            refresh_after: 7,
            max_write_units: 0,
            max_in_flight: 32,
            timeout_ms: 10_000,
            verify_sample: 1_000,
            keep: 3,
            import: None,
            retry: RetryPolicy::default(),
            prices: Prices::default(),
        }
    }
}

impl DynamoConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// The key's full path, what it must be and what it is.
    pub fn check(&self, path: &str) -> Result<(), String> {
        if self.table.is_empty() {
            return Err(format!("{path}.table must name a table"));
        }
        if let Some(section) = self.sections.iter().find(|section| **section == Section::Campaigns) {
            return Err(format!("{path}.sections: {} go to SQL stores, not to DynamoDB", section.name()));
        }
        self.check_prefixes(path)?;
        self.attributes.check(&format!("{path}.attributes"))?;
        for (key, value, low, high) in [
            ("refresh_after", u64::from(self.refresh_after), 1, 1_000),
            ("ttl_days", u64::from(self.ttl_days), 0, 3_650),
            ("max_in_flight", self.max_in_flight as u64, 1, 1_024),
            ("timeout_ms", self.timeout_ms, 10, 600_000),
            // Readers may go by the pointer of the run before for ten seconds more; after an import that is another table.
            ("keep", self.keep as u64, 2, 1_000),
            ("verify_sample", self.verify_sample as u64, 0, 1_000_000),
        ] {
            if !(low..=high).contains(&value) {
                return Err(format!("{path}.{key} must be {low} to {high}, is {value}"));
            }
        }
        let prices = self.prices;
        if [prices.million_write_units, prices.gb_month, prices.gb_import]
            .iter()
            .any(|price| !(0.0..1e6).contains(price))
        {
            return Err(format!("{path}.prices must be dollars, 0 or more"));
        }
        self.retry.check(&format!("{path}.retry"))
    }

    /// With one prefix in front of another, two keys could be one.
    fn check_prefixes(&self, path: &str) -> Result<(), String> {
        for (at, section) in self.sections.iter().enumerate() {
            let prefix = self.prefix(*section);
            if prefix.starts_with('!') {
                return Err(format!("{path}.prefixes.{}: `!` is kept for pointer and ledger", section.name()));
            }
            let clash = self.sections[..at].iter().find(|other| {
                let other = self.prefix(**other);
                other.starts_with(prefix) || prefix.starts_with(other)
            });
            if let Some(other) = clash {
                return Err(format!(
                    "{path}.prefixes: `{prefix}` of {} and `{}` of {} must not begin with one another",
                    section.name(),
                    self.prefix(*other),
                    other.name()
                ));
            }
        }
        Ok(())
    }

    /// What stands in front of a section's keys: the default where the config names those of other sections only.
    #[must_use]
    pub fn prefix(&self, section: Section) -> &str {
        let default = || PREFIXES.iter().find(|(of, _)| *of == section).map_or("", |(_, prefix)| prefix);
        self.prefixes.get(&section).map_or_else(default, String::as_str)
    }

    /// What makes rows of one config unlike those of another: a change of it ends a chain of deltas.
    pub(super) fn shape(&self) -> String {
        let mut sections: Vec<&str> = self.sections.iter().map(|section| section.name()).collect();
        sections.sort_unstable();
        format!("{:?} {:?} {sections:?} {:?} {:?}", self.layout, self.encoding, self.prefixes, self.attributes)
    }
}

impl Attributes {
    fn check(&self, path: &str) -> Result<(), String> {
        let in_a_row = [
            ("key", &self.key),
            ("sequence", &self.sequence),
            ("list", &self.list),
            ("source", &self.source),
            ("profile", &self.profile),
            ("gone", &self.gone),
            ("ttl", &self.ttl),
        ];
        for (at, (key, name)) in in_a_row.iter().enumerate() {
            if name.is_empty() || name.len() > 64 {
                return Err(format!("{path}.{key} must have 1 to 64 characters, is `{name}`"));
            }
            if let Some((other, _)) = in_a_row[..at].iter().find(|(_, other)| other == name) {
                return Err(format!("{path}.{key} and {path}.{other} are both `{name}`"));
            }
        }
        if self.item == self.score || self.item.is_empty() || self.score.is_empty() {
            return Err(format!("{path}.item and {path}.score must be two names"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_two_sections_can_never_be_one() {
        assert_eq!(DynamoConfig::default().check("publish.dynamodb"), Ok(()));
        let mut config = DynamoConfig::default();
        config.prefixes.insert(Section::Recommendations, String::new());
        let error = config.check("publish.dynamodb").unwrap_err();
        assert!(error.contains("must not begin with one another"), "{error}");
        config.sections = vec![Section::Recommendations];
        assert_eq!(config.check("publish.dynamodb"), Ok(()));
        config.prefixes.insert(Section::Recommendations, "!u".into());
        assert!(config.check("publish.dynamodb").unwrap_err().contains("kept for pointer"));
    }

    #[test]
    fn the_run_before_is_always_kept() {
        let error = DynamoConfig { keep: 1, ..DynamoConfig::default() }.check("d").unwrap_err();
        assert_eq!(error, "d.keep must be 2 to 1000, is 1");
    }

    #[test]
    fn attributes_of_a_row_have_names_of_their_own() {
        let attributes = Attributes { ttl: "l".into(), ..Attributes::default() };
        let error = DynamoConfig { attributes, ..DynamoConfig::default() }.check("d").unwrap_err();
        assert_eq!(error, "d.attributes.ttl and d.attributes.list are both `l`");
    }
}
