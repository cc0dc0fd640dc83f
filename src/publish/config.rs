//! Where runs go.

use serde::{Deserialize, Serialize};

use super::{DynamoConfig, MySqlConfig, PostgresConfig};

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// One SQLite file.
    Sqlite,
    /// A DynamoDB table.
    DynamoDb,
    /// A Postgres server.
    Postgres,
    /// A MariaDB or MySQL server.
    Mysql,
}

impl Target {
    /// The name in configs and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::DynamoDb => "dynamodb",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }
}

/// `[publish]`: where a build's run goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PublishConfig {
    /// The stores that a build publishes to: `["sqlite"]`, or `[]` for none.
    pub targets: Vec<Target>,
    /// The SQLite file.
    pub sqlite: SqliteConfig,
    /// The DynamoDB table.
    pub dynamodb: DynamoConfig,
    /// The Postgres server.
    pub postgres: PostgresConfig,
    /// The MariaDB or MySQL server.
    pub mysql: MySqlConfig,
}

/// `[publish.sqlite]`: the embedded store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SqliteConfig {
    /// The database file.
    pub path: String,
    /// Runs kept in it, the current one included; older ones are removed after a publish.
    pub keep: usize,
}

impl Default for PublishConfig {
    fn default() -> Self {
        Self {
            targets: vec![Target::Sqlite],
            sqlite: SqliteConfig::default(),
            dynamodb: DynamoConfig::default(),
            postgres: PostgresConfig::default(),
            mysql: MySqlConfig::default(),
        }
    }
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self { path: "nightshelf.db".into(), keep: 2 }
    }
}

impl PublishConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// The key's full path, what it must be and what it is.
    pub fn check(&self, path: &str) -> Result<(), String> {
        if self.sqlite.path.is_empty() {
            return Err(format!("{path}.sqlite.path must name a file"));
        }
        if self.sqlite.keep == 0 {
            return Err(format!("{path}.sqlite.keep must be at least 1 (the current run), is 0"));
        }
        self.dynamodb.check(&format!("{path}.dynamodb"))?;
        self.postgres.check(&format!("{path}.postgres"))?;
        self.mysql.check(&format!("{path}.mysql"))
    }
}
