//! The stores that a config names.

use crate::publish::{DynamoSink, PostgresSink, PublishConfig, PublishError, Sink, SqliteConfig, SqliteSink, Target};

/// A store, opened.
pub struct Store {
    /// How to publish to it.
    pub sink: Box<dyn Sink>,
    /// Where it is, for people.
    pub place: String,
    /// Runs kept in it, the current one included.
    pub keep: usize,
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
        Target::Mysql => unimplemented!(),
    })
}
