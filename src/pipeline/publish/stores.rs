//! The stores that a config names.

use crate::publish::{
    DynamoSink, MySqlSink, PostgresSink, PublishConfig, PublishError, Sink, SqliteConfig, SqliteSink, Target,
};
use crate::storage::S3Prefix;

/// A store, opened.
pub struct Store {
    /// How to publish to it.
    pub sink: Box<dyn Sink>,
    /// Where it is, for people.
    pub place: String,
    /// Runs kept in it, the current one included.
    pub keep: usize,
}

/// The DynamoDB table, to be replaced by one that DynamoDB makes of files below `prefix`.
pub(super) fn import_store(config: &PublishConfig, prefix: &S3Prefix) -> Result<Store, PublishError> {
    let table = &config.dynamodb;
    let sink = Box::new(DynamoSink::import(table, prefix.clone())?);
    Ok(Store { sink, place: format!("table {} by import", table.table), keep: table.keep })
}

/// Opens a configured store.
///
/// # Errors
/// When it cannot be reached.
pub fn open_store(target: Target, config: &PublishConfig) -> Result<Store, PublishError> {
    Ok(match target {
        Target::Sqlite => {
            let SqliteConfig { path, keep } = &config.sqlite;
            Store { sink: Box::new(SqliteSink::open(path.as_ref())?), place: path.clone(), keep: *keep }
        }
        Target::DynamoDb => {
            let table = &config.dynamodb;
            Store {
                sink: Box::new(DynamoSink::open(table)?),
                place: format!("table {}", table.table),
                keep: table.keep,
            }
        }
        Target::Postgres => {
            let config = &config.postgres;
            Store { sink: Box::new(PostgresSink::open(config)?), place: config.place(), keep: config.keep }
        }
        Target::Mysql => {
            let config = &config.mysql;
            Store { sink: Box::new(MySqlSink::open(config)?), place: config.place(), keep: config.keep }
        }
    })
}

/// Brings a store's tables up to date, whatever its `create` says.
///
/// Returns: where it is, for people.
///
/// # Errors
/// When it cannot be reached, or refuses.
pub fn migrate_store(target: Target, config: &PublishConfig) -> Result<String, PublishError> {
    match target {
        Target::Postgres => {
            PostgresSink::migrate(&config.postgres)?;
            Ok(config.postgres.place())
        }
        Target::Mysql => {
            MySqlSink::migrate(&config.mysql)?;
            Ok(config.mysql.place())
        }
        // Opening does it.
        Target::Sqlite | Target::DynamoDb => Ok(open_store(target, config)?.place),
    }
}
