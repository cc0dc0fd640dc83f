//! Reading as front ends do.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::{Client, types::AttributeValue};

use super::{
    DynamoConfig, Layout,
    encode::{Item, LATEST_SEQUENCE, is_gone},
    ledger::{POINTER, Pointer, pointer_of},
    link::Link,
};
use crate::publish::{PublishError, Section};

/// How long a pointer is believed. A reader lags behind a publish or a rollback by so much.
const POINTER_AGE: Duration = Duration::from_secs(10);

/// A list as readers get it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServedList {
    /// Item ids, best first, with scores where the encoding has them.
    pub items: Vec<(String, Option<f32>)>,
    /// Where the list comes from; empty for kinds of list that have no source.
    pub source: String,
    /// The run that wrote it.
    pub sequence: i64,
}

/// Reads what is served, by the contract that every reader keeps: the pointer first (remembered for ten seconds), then
/// one query for the newest row of the key between the pointer's `floor` and `current`.
///
/// Clones share the remembered pointer.
#[derive(Debug, Clone)]
pub struct DynamoReader {
    link: Link,
    pointer: Arc<Mutex<Option<(Instant, Pointer)>>>,
}

impl DynamoReader {
    /// A reader with the credentials of the standard AWS environment.
    ///
    /// # Errors
    /// [`NotReady`](PublishError::NotReady) without region or credentials.
    pub async fn open(config: &DynamoConfig) -> Result<Self, PublishError> {
        Ok(Self { link: Link::open(config).await?, pointer: Arc::default() })
    }

    /// A reader over a client made elsewhere.
    #[must_use]
    pub fn with_client(config: &DynamoConfig, client: Client) -> Self {
        Self { link: Link::with_client(config, client), pointer: Arc::default() }
    }

    /// The list of a key: `None` when what is served has none.
    ///
    /// # Errors
    /// When the table cannot be read.
    ///
    /// Cost: half a read unit for a list of up to 4 KB, and as much for the pointer every ten seconds.
    pub async fn list(&self, section: Section, key: &str) -> Result<Option<ServedList>, PublishError> {
        let item = self.item(section, key).await?;
        Ok(item.as_ref().and_then(|item| served(&self.link.config, item)))
    }

    async fn item(&self, section: Section, key: &str) -> Result<Option<Item>, PublishError> {
        let key = format!("{}{key}", self.link.config.prefix(section));
        let Some(range) = self.range().await? else { return Ok(None) };
        let item = row(&self.link, &key, range, false).await?;
        Ok(item.filter(|item| !is_gone(&self.link.config, item)))
    }

    /// The sequences that count.
    async fn range(&self) -> Result<Option<(i64, i64)>, PublishError> {
        if self.link.config.layout == Layout::Latest {
            return Ok(Some((0, 0)));
        }
        let remembered = self.pointer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let pointer = match remembered {
            Some((at, pointer)) if at.elapsed() < POINTER_AGE => pointer,
            _ => {
                let asked_at = Instant::now();
                let names = &self.link.config.attributes;
                let ask = || {
                    let request = self.link.client.get_item().table_name(&self.link.config.table);
                    let request = request.key(&names.key, AttributeValue::S(POINTER.to_owned()));
                    request.key(&names.sequence, AttributeValue::N("0".to_owned())).send()
                };
                let item = self.link.patiently("read the pointer", ask).await?.item;
                let mut pointer = item.as_ref().map(pointer_of).unwrap_or_default();
                let mut shared = self.pointer.lock().unwrap_or_else(PoisonError::into_inner);
                // Reads that are not consistent may answer from before what another reader here has seen.
                if let Some((_, seen)) = shared.as_ref().filter(|(_, seen)| seen.epoch > pointer.epoch) {
                    pointer = seen.clone();
                }
                *shared = Some((asked_at, pointer.clone()));
                pointer
            }
        };
        Ok(pointer.current.map(|current| (pointer.floor, current)))
    }
}

/// The newest row of a key within a range of sequences.
pub(super) async fn row(
    link: &Link,
    key: &str,
    (floor, current): (i64, i64),
    consistent: bool,
) -> Result<Option<Item>, PublishError> {
    let names = &link.config.attributes;
    let number = |value: i64| AttributeValue::N(value.to_string());
    let ask = || {
        link.client
            .query()
            .table_name(&link.config.table)
            .key_condition_expression("#k = :key AND #s BETWEEN :floor AND :current")
            .expression_attribute_names("#k", &names.key)
            .expression_attribute_names("#s", &names.sequence)
            .expression_attribute_values(":key", AttributeValue::S(key.to_owned()))
            .expression_attribute_values(":floor", number(floor))
            .expression_attribute_values(":current", number(current))
            .scan_index_forward(false)
            .limit(1)
            .consistent_read(consistent)
            .send()
    };
    let answer = link.patiently("read a row", ask).await?;
    Ok(answer.items.unwrap_or_default().into_iter().next())
}

fn served(config: &DynamoConfig, item: &Item) -> Option<ServedList> {
    let names = &config.attributes;
    let entries = item.get(&names.list)?.as_l().ok()?;
    let items = entries.iter().filter_map(|entry| match entry {
        AttributeValue::S(id) => Some((id.clone(), None)),
        AttributeValue::M(fields) => {
            let score = fields.get(&names.score).and_then(|score| score.as_n().ok()?.parse().ok());
            Some((fields.get(&names.item)?.as_s().ok()?.clone(), score))
        }
        _ => None,
    });
    let number = |name: &str| item.get(name).and_then(|value| value.as_n().ok()?.parse().ok());
    Some(ServedList {
        items: items.collect(),
        source: item.get(&names.source).and_then(|source| source.as_s().ok()).cloned().unwrap_or_default(),
        sequence: number(LATEST_SEQUENCE).or_else(|| number(&names.sequence)).unwrap_or(0),
    })
}
