//! `[orders.replica]` and `[customers.replica]`.

use serde::{Deserialize, Serialize};

use crate::sql::{Login, Tls};

/// Kinds of server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerKind {
    /// Postgres, 12 or newer.
    #[default]
    Postgres,
    /// MySQL (8.0 or newer) or MariaDB (10.5 or newer).
    Mysql,
}

/// What a build does without a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Without {
    /// The build fails, before anything that takes long.
    #[default]
    Fail,
    /// The build goes on as if the table were not configured, and says so.
    GoOn,
}

/// What a build does with a replica that is behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenLagging {
    /// The build fails, before anything that takes long.
    #[default]
    Fail,
    /// The build goes on as if the table were not configured, and says so.
    GoOnWithout,
    /// The table is read all the same, and the build says so.
    ReadAnyway,
}

/// How it is told how far a replica is behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LagFrom {
    /// The server says it: `pg_last_xact_replay_timestamp()`, `SHOW REPLICA STATUS`. A server that is no replica lags nothing.
    #[default]
    Server,
    /// The newest time in the table (`ordered_at`, `created_at`), against this machine's clock.
    NewestRow,
}

/// A table, or a query, of a read replica.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplicaConfig {
    /// postgres or mysql (MariaDB too).
    pub kind: ServerKind,
    /// Name or address of the server, or the unix socket (Postgres: its directory).
    pub host: String,
    /// Its port; default 5432 or 3306.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The database.
    pub database: String,
    /// Who reads. He needs the right to read the named columns, and no other.
    pub user: String,
    /// The variable that holds the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
    /// The file that holds the password; one newline at its end does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
    /// The secret of AWS Secrets Manager that holds it: the password, or JSON with `password` (and perhaps `username`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_arn: Option<String>,
    /// Logs in with a token of AWS IAM (RDS, Aurora) instead of a password.
    pub iam: bool,
    /// AWS region of the token or secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// How the way to the server is protected: auto, verify-full, disable, disable-anywhere.
    pub tls: Tls,
    /// Certificates (PEM) that are trusted besides the public authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// The table: `orders`, `shop.orders`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// A query instead of a table: one SELECT; the columns are those of its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The furthest that the replica may be behind; 0 does not ask.
    pub max_lag_minutes: f64,
    /// server or newest_row: how it is told how far the replica is behind.
    pub lag_from: LagFrom,
    /// fail or go_on: what becomes of a build when the server cannot be reached or goes away.
    pub when_unavailable: Without,
    /// fail, go_on_without or read_anyway: what becomes of a build when the replica is too far behind.
    pub when_lagging: WhenLagging,
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        Self {
            kind: ServerKind::Postgres,
            host: "127.0.0.1".into(),
            port: None,
            database: "shop".into(),
            user: "nightshelf".into(),
            password_env: None,
            password_file: None,
            secret_arn: None,
            iam: false,
            region: None,
            tls: Tls::Auto,
            ca_file: None,
            table: None,
            query: None,
            max_lag_minutes: 60.0,
            lag_from: LagFrom::Server,
            when_unavailable: Without::Fail,
            when_lagging: WhenLagging::Fail,
        }
    }
}

impl ReplicaConfig {
    /// Checks the values; `path` is the section's name in the config.
    ///
    /// # Errors
    /// The key's full path, what it must be and what it is.
    pub fn check(&self, path: &str) -> Result<(), String> {
        self.login().check(path)?;
        match (&self.table, &self.query) {
            (None, None) => return Err(format!("{path}.table or {path}.query must say what is read")),
            (Some(_), Some(_)) => {
                return Err(format!("of {path}.table and {path}.query only one may say what is read"));
            }
            (Some(table), None) if table.split('.').any(|part| part.is_empty() || part.contains('\0')) => {
                return Err(format!("{path}.table must be a name like orders or shop.orders, is `{table}`"));
            }
            (None, Some(query)) if query.trim().trim_end_matches(';').trim().is_empty() => {
                return Err(format!("{path}.query must be a SELECT, is empty"));
            }
            _ => {}
        }
        if !(self.max_lag_minutes >= 0.0 && self.max_lag_minutes.is_finite()) {
            return Err(format!("{path}.max_lag_minutes must be 0 (not asked) or more, is {}", self.max_lag_minutes));
        }
        Ok(())
    }

    pub(super) fn login(&self) -> Login<'_> {
        Login {
            host: &self.host,
            port: self.port.unwrap_or(match self.kind {
                ServerKind::Postgres => 5432,
                ServerKind::Mysql => 3306,
            }),
            database: &self.database,
            user: &self.user,
            password_env: self.password_env.as_deref(),
            password_file: self.password_file.as_deref(),
            secret_arn: self.secret_arn.as_deref(),
            iam: self.iam,
            region: self.region.as_deref(),
            tls: self.tls,
            ca_file: self.ca_file.as_deref(),
        }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        let kind = match self.kind {
            ServerKind::Postgres => "postgres",
            ServerKind::Mysql => "mysql",
        };
        let login = self.login();
        let what = self.table.as_deref().map_or_else(|| "query".to_owned(), |table| format!("table {table}"));
        if login.is_socket() {
            return format!("{kind} at {}, database {}, {what}", self.host, self.database);
        }
        format!("{kind}://{}:{}/{} {what}", self.host, login.port, self.database)
    }

    /// What is selected from, as it stands behind FROM.
    pub(super) fn source(&self) -> String {
        match (&self.query, &self.table) {
            (Some(query), _) => format!("({}\n) AS nightshelf_source", query.trim().trim_end_matches(';')),
            (None, table) => {
                let parts = table.iter().flat_map(|table| table.split('.'));
                parts.map(|part| self.quoted(part)).collect::<Vec<_>>().join(".")
            }
        }
    }

    /// A name as the server quotes it.
    pub(super) fn quoted(&self, name: &str) -> String {
        match self.kind {
            ServerKind::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
            ServerKind::Mysql => format!("`{}`", name.replace('`', "``")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_queries_wrapped() {
        let mut config = ReplicaConfig { table: Some("shop.or\"ders".into()), ..Default::default() };
        config.check("orders.replica").unwrap();
        assert_eq!(config.source(), "\"shop\".\"or\"\"ders\"");
        assert_eq!(config.place(), "postgres://127.0.0.1:5432/shop table shop.or\"ders");
        config.kind = ServerKind::Mysql;
        assert_eq!(config.source(), "`shop`.`or\"ders`");
        config.query = Some("SELECT 1 -- last;\n;".into());
        assert!(config.check("orders.replica").unwrap_err().starts_with("of orders.replica.table and"));
        config.table = None;
        assert_eq!(config.source(), "(SELECT 1 -- last;\n\n) AS nightshelf_source");
        config.query = None;
        assert!(
            config.check("orders.replica").unwrap_err().starts_with("orders.replica.table or orders.replica.query")
        );
        config.table = Some("a..b".into());
        assert!(config.check("orders.replica").unwrap_err().starts_with("orders.replica.table must be a name"));
    }
}
