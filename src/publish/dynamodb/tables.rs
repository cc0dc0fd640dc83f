//! The table: made, or found fit.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, PointInTimeRecoverySpecification, ScalarAttributeType,
    TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
};

use super::{
    Attributes,
    link::{Link, fault},
};
use crate::{publish::PublishError, retry::Failure};

/// How long a new table may take to become active.
const PATIENCE: Duration = Duration::from_secs(300);

/// Makes the table where there is none (on demand, with time to live), and waits until it can be used.
pub(super) async fn create(link: &Link, point_in_time_recovery: bool) -> Result<(), PublishError> {
    create_data_table(link, &link.config.table).await?;
    if point_in_time_recovery {
        let on = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
        let on = on.expect("the switch is set");
        let set = || {
            let request = link.client.update_continuous_backups().table_name(&link.config.table);
            request.point_in_time_recovery_specification(on.clone()).send()
        };
        link.patiently("turn point-in-time recovery on", set).await?;
    }
    check(link).await
}

/// The keys of every table: a partition key of text and a sort key, a number.
pub(super) fn keys(names: &Attributes) -> (Vec<KeySchemaElement>, Vec<AttributeDefinition>) {
    let columns = [
        (&names.key, KeyType::Hash, ScalarAttributeType::S),
        (&names.sequence, KeyType::Range, ScalarAttributeType::N),
    ];
    let whole = "names and types are set";
    let keys = columns.iter().map(|(name, key_type, _)| {
        KeySchemaElement::builder().attribute_name(*name).key_type(key_type.clone()).build().expect(whole)
    });
    let attributes = columns.iter().map(|(name, _, kind)| {
        AttributeDefinition::builder().attribute_name(*name).attribute_type(kind.clone()).build().expect(whole)
    });
    (keys.collect(), attributes.collect())
}

/// Makes a table of the name, if it is not there, with time to live.
pub(super) async fn create_data_table(link: &Link, table: &str) -> Result<(), PublishError> {
    let (keys, attributes) = keys(&link.config.attributes);
    let outcome = link
        .client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(keys))
        .set_attribute_definitions(Some(attributes))
        .send()
        .await;
    if let Err(error) = outcome {
        let fault = fault(error);
        // It is there already, or a lost answer had made it.
        if fault.code != "ResourceInUseException" && fault.failure != Failure::Unclear {
            return Err(link.failed(format!("create table {table}"), fault));
        }
    }
    let start = tokio::time::Instant::now();
    while status(link, table).await? != TableStatus::Active {
        if start.elapsed() > PATIENCE {
            return Err(not_ready(
                link,
                "it did not become active in five minutes",
                "look at it in the console, and try again",
            ));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    turn_ttl_on(link, table).await
}

/// Turns time to live on, where rows have one.
pub(super) async fn turn_ttl_on(link: &Link, table: &str) -> Result<(), PublishError> {
    if link.config.ttl_days == 0 || has_ttl(link, table).await? {
        return Ok(());
    }
    let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name(&link.config.attributes.ttl).build();
    let ttl = ttl.expect("switch and name are set");
    let set = || {
        let request = link.client.update_time_to_live().table_name(table);
        request.time_to_live_specification(ttl.clone()).send()
    };
    link.patiently("turn time to live on", set).await.map(drop)
}

/// Removes a table that no run needs; one that is not there counts as removed.
pub(super) async fn delete(link: &Link, table: &str) -> Result<(), PublishError> {
    match link.client.delete_table().table_name(table).send().await.map_err(fault) {
        Ok(_) => Ok(()),
        Err(fault) if fault.code == "ResourceNotFoundException" => Ok(()),
        Err(fault) => Err(link.failed(format!("delete table {table}"), fault)),
    }
}

async fn status(link: &Link, table: &str) -> Result<TableStatus, PublishError> {
    let ask = || link.client.describe_table().table_name(table).send();
    let table = link.patiently("describe the table", ask).await?.table;
    Ok(table.and_then(|table| table.table_status).unwrap_or(TableStatus::Creating))
}

async fn has_ttl(link: &Link, table: &str) -> Result<bool, PublishError> {
    let ask = || link.client.describe_time_to_live().table_name(table).send();
    let answer = link.patiently("look at time to live", ask).await?;
    Ok(answer.time_to_live_description().is_some_and(|ttl| {
        let on = [Some(&TimeToLiveStatus::Enabled), Some(&TimeToLiveStatus::Enabling)];
        on.contains(&ttl.time_to_live_status()) && ttl.attribute_name() == Some(&link.config.attributes.ttl)
    }))
}

/// Says what an existing table lacks.
pub(super) async fn check(link: &Link) -> Result<(), PublishError> {
    let names = &link.config.attributes;
    let ask = || link.client.describe_table().table_name(&link.config.table).send();
    let table = link
        .patiently("describe the table", ask)
        .await?
        .table
        .unwrap_or_else(|| aws_sdk_dynamodb::types::TableDescription::builder().build());
    let is = |kind: &ScalarAttributeType, name: &str| {
        let mut attributes = table.attribute_definitions().iter();
        attributes.any(|attribute| attribute.attribute_name() == name && attribute.attribute_type() == kind)
    };
    let key = |kind: &KeyType| {
        let mut keys = table.key_schema().iter();
        keys.find(|key| key.key_type() == kind).map(|key| key.attribute_name().to_owned())
    };
    let (hash, range) = (key(&KeyType::Hash), key(&KeyType::Range));
    let fits = hash.as_deref() == Some(&names.key)
        && range.as_deref() == Some(&names.sequence)
        && is(&ScalarAttributeType::S, &names.key)
        && is(&ScalarAttributeType::N, &names.sequence);
    if !fits {
        let what = format!(
            "its keys are `{}` and `{}`, they must be `{}` (partition key, text) and `{}` (sort key, number)",
            hash.unwrap_or_else(|| "none".into()),
            range.unwrap_or_else(|| "none".into()),
            names.key,
            names.sequence
        );
        return Err(not_ready(
            link,
            &what,
            "name another table with publish.dynamodb.table and make it with `nightshelf publish --create-tables`, or set \
             publish.dynamodb.attributes.key and .sequence",
        ));
    }
    if link.config.ttl_days > 0 && !has_ttl(link, &link.config.table).await? {
        let what = format!("time to live is not on for attribute `{}`, so old rows would stay for ever", names.ttl);
        return Err(not_ready(
            link,
            &what,
            "`nightshelf publish --create-tables` turns it on; publish.dynamodb.ttl_days = 0 does without",
        ));
    }
    Ok(())
}

fn not_ready(link: &Link, what: &str, hint: &str) -> PublishError {
    PublishError::NotReady { store: link.store.clone(), what: what.to_owned(), hint: hint.to_owned(), source: None }
}
