//! All that readers see, added up.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Layout,
    encode::{Item, content, is_gone},
    ledger::Ledger,
    link::Link,
};
use crate::publish::{Expected, PublishError, Section};

/// Scans the table, and takes of each key the row that a reader would get.
///
/// Cost: half a read unit for each 4 KB of the table, rows of old runs included.
pub(super) async fn audit(link: &Link, ledger: &Ledger) -> Result<Expected, PublishError> {
    let names = &link.config.attributes;
    let mut expected = Expected::new();
    let pointer = ledger.pointer().await?;
    let Some(current) = pointer.current else { return Ok(expected) };
    let range = if link.config.layout == Layout::Latest { 0..=0 } else { pointer.floor..=current };
    // Rows of a key come one after the other, by sequence.
    let mut newest: Option<(String, Item)> = None;
    let mut from = None;
    loop {
        let ask = || {
            let request = link.client.scan().table_name(&link.config.table).consistent_read(true);
            request.set_exclusive_start_key(from.clone()).send()
        };
        let answer = link.patiently("scan the table", ask).await?;
        for item in answer.items.unwrap_or_default() {
            let key = item.get(&names.key).and_then(|key| key.as_s().ok());
            let sequence = item.get(&names.sequence).and_then(|sequence| sequence.as_n().ok()?.parse::<i64>().ok());
            let (Some(key), Some(sequence)) = (key.cloned(), sequence) else { continue };
            if key.starts_with('!') || !range.contains(&sequence) {
                continue;
            }
            if let Some((last, row)) = newest.replace((key.clone(), item))
                && last != key
            {
                add(link, &mut expected, &last, &row);
            }
        }
        from =
            answer.last_evaluated_key.filter(|key: &std::collections::HashMap<String, AttributeValue>| !key.is_empty());
        if from.is_none() {
            break;
        }
    }
    if let Some((key, row)) = newest {
        add(link, &mut expected, &key, &row);
    }
    Ok(expected)
}

fn add(link: &Link, expected: &mut Expected, key: &str, row: &Item) {
    if is_gone(&link.config, row) {
        return;
    }
    let section = Section::ALL
        .into_iter()
        .find(|section| link.config.sections.contains(section) && key.starts_with(link.config.prefix(*section)));
    if let (Some(section), Some(content)) = (section, content(&link.config, key, row)) {
        expected.entry(section).or_default().add_hashed(content.n_entries, content.hash);
    }
}
