//! `[publish.postgres]` and `[publish.mysql]`.

use serde::{Deserialize, Serialize};

pub use crate::sql::Tls;
use crate::{publish::Section, sql::Login};

/// `[publish.postgres]`: a Postgres server (14 or newer).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresConfig {
    /// Name or address of the server, or the directory of its unix socket.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// Who publishes.
    pub user: String,
    /// The variable that holds the password.
    pub password_env: Option<String>,
    /// The file that holds the password; one newline at its end does not count.
    pub password_file: Option<String>,
    /// The secret of AWS Secrets Manager that holds it: the password, or JSON with `password` (and perhaps `username`).
    pub secret_arn: Option<String>,
    /// Logs in with a token of AWS IAM (RDS, Aurora) instead of a password.
    pub iam: bool,
    /// AWS region of the token or secret; without it the host name's or the ARN's, then that of the AWS environment.
    pub region: Option<String>,
    /// How the way to the server is protected.
    pub tls: Tls,
    /// Certificates (PEM) that are trusted besides the public authorities.
    pub ca_file: Option<String>,
    /// The schema of tables and views.
    pub schema: String,
    /// The role that tables belong to: taken on (SET ROLE) after the login.
    pub role: Option<String>,
    /// Makes the schema and brings it up to date; without it `nightshelf publish migrate` does.
    pub create: bool,
    /// What is published.
    pub sections: Vec<Section>,
    /// Runs kept, the current one included; older ones are removed after a publish.
    pub keep: usize,
}

/// `[publish.mysql]`: a MariaDB (10.6 or newer) or MySQL (8.0.19 or newer) server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MySqlConfig {
    /// Name or address of the server, or the path of its unix socket.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database of tables and views; it must be there.
    pub database: String,
    /// Who publishes.
    pub user: String,
    /// The variable that holds the password.
    pub password_env: Option<String>,
    /// The file that holds the password; one newline at its end does not count.
    pub password_file: Option<String>,
    /// The secret of AWS Secrets Manager that holds it: the password, or JSON with `password` (and perhaps `username`).
    pub secret_arn: Option<String>,
    /// Logs in with a token of AWS IAM (RDS, Aurora) instead of a password.
    pub iam: bool,
    /// AWS region of the token or secret; without it the host name's or the ARN's, then that of the AWS environment.
    pub region: Option<String>,
    /// How the way to the server is protected.
    pub tls: Tls,
    /// Certificates (PEM) that are trusted besides the public authorities.
    pub ca_file: Option<String>,
    /// Makes tables and views and brings them up to date; without it `nightshelf publish migrate` does.
    pub create: bool,
    /// What is published.
    pub sections: Vec<Section>,
    /// Runs kept, the current one included; older ones are removed after a publish.
    pub keep: usize,
}

/// What SQL servers take unless the config says otherwise: everything but the lists of users, which a key-value store
/// serves for less.
const DEFAULT_SECTIONS: [Section; 5] =
    [Section::SimilarItems, Section::Popular, Section::BoughtTogether, Section::Trending, Section::Campaigns];

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 5432,
            database: "nightshelf".into(),
            user: "nightshelf".into(),
            password_env: None,
            password_file: None,
            secret_arn: None,
            iam: false,
            region: None,
            tls: Tls::Auto,
            ca_file: None,
            schema: "nightshelf".into(),
            role: None,
            create: true,
            sections: DEFAULT_SECTIONS.to_vec(),
            keep: 2,
        }
    }
}

impl Default for MySqlConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 3306,
            database: "nightshelf".into(),
            user: "nightshelf".into(),
            password_env: None,
            password_file: None,
            secret_arn: None,
            iam: false,
            region: None,
            tls: Tls::Auto,
            ca_file: None,
            create: true,
            sections: DEFAULT_SECTIONS.to_vec(),
            keep: 2,
        }
    }
}

impl PostgresConfig {
    /// Checks the values; `path` is the section's name in the config.
    ///
    /// # Errors
    /// The key's full path, what it must be and what it is.
    pub fn check(&self, path: &str) -> Result<(), String> {
        self.login().check(path)?;
        check_name(path, "schema", &self.schema)?;
        if let Some(role) = &self.role {
            check_name(path, "role", role)?;
        }
        check_sections(path, &self.sections, self.keep)
    }

    /// The part that both kinds of server share.
    pub(super) fn login(&self) -> Login<'_> {
        Login {
            host: &self.host,
            port: self.port,
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
        format!("{}:{}/{} schema {}", self.host, self.port, self.database, self.schema)
    }
}

impl MySqlConfig {
    /// Checks the values; `path` is the section's name in the config.
    ///
    /// # Errors
    /// The key's full path, what it must be and what it is.
    pub fn check(&self, path: &str) -> Result<(), String> {
        self.login().check(path)?;
        check_sections(path, &self.sections, self.keep)
    }

    /// The part that both kinds of server share.
    pub(super) fn login(&self) -> Login<'_> {
        Login {
            host: &self.host,
            port: self.port,
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
        if self.host.starts_with('/') {
            return format!("{} database {}", self.host, self.database);
        }
        format!("{}:{}/{}", self.host, self.port, self.database)
    }
}

/// A name that stands in SQL as it is.
fn check_name(path: &str, key: &str, name: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || name.len() > 48 || !name.bytes().all(plain) || name.as_bytes()[0].is_ascii_digit() {
        return Err(format!(
            "{path}.{key} must be 1 to 48 lower-case letters, digits and `_`, and not begin with a digit; is `{name}`"
        ));
    }
    Ok(())
}

fn check_sections(path: &str, sections: &[Section], keep: usize) -> Result<(), String> {
    if sections.contains(&Section::Profiles) {
        return Err(format!("{path}.sections must not name profiles: SQL stores do not take them"));
    }
    if sections.is_empty() {
        return Err(format!("{path}.sections must name at least one section"));
    }
    if let Some(twice) = sections.iter().enumerate().find(|(at, section)| sections[..*at].contains(section)) {
        return Err(format!("{path}.sections names {} twice", twice.1.name()));
    }
    if keep == 0 {
        return Err(format!("{path}.keep must be at least 1 (the current run), is 0"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_checked_unless_nothing_leaves_the_machine() {
        let verifies = |host: &str, tls| {
            let config = PostgresConfig { host: host.into(), tls, ..Default::default() };
            config.check("p").map(|()| config.login().verifies())
        };
        for host in ["127.0.0.1", "127.8.9.1", "::1", "/var/run/postgresql"] {
            assert_eq!(verifies(host, Tls::Auto), Ok(false), "{host}");
            assert_eq!(verifies(host, Tls::Disable), Ok(false), "{host}");
        }
        for host in ["db.example.com", "localhost", "127.0.0.1.example.com", "10.0.0.1", "0.0.0.0"] {
            assert_eq!(verifies(host, Tls::Auto), Ok(true), "{host}");
            assert!(verifies(host, Tls::Disable).unwrap_err().starts_with("p.tls must not be disable"), "{host}");
            assert_eq!(verifies(host, Tls::DisableAnywhere), Ok(false), "{host}");
        }
        assert_eq!(verifies("127.0.0.1", Tls::VerifyFull), Ok(true));
        assert!(verifies("/tmp", Tls::VerifyFull).is_err());
    }

    #[test]
    fn wrong_values_are_named() {
        let check = |change: fn(&mut PostgresConfig)| {
            let mut config = PostgresConfig::default();
            change(&mut config);
            config.check("publish.postgres").unwrap_err()
        };
        for (key, error) in [
            ("host", check(|config| config.host.clear())),
            ("port", check(|config| config.port = 0)),
            ("schema", check(|config| config.schema = "a\"; DROP TABLE x; --".into())),
            ("schema", check(|config| config.schema = "1a".into())),
            ("role", check(|config| config.role = Some(String::new()))),
            ("keep", check(|config| config.keep = 0)),
            ("sections", check(|config| config.sections.push(Section::Profiles))),
            ("sections", check(|config| config.sections.push(Section::Popular))),
            ("iam", check(|config| config.iam = true)),
            (
                "password_env",
                check(|config| {
                    config.password_env = Some("A".into());
                    config.password_file = Some("b".into());
                }),
            ),
        ] {
            assert!(error.contains(&format!("publish.postgres.{key}")), "{error}");
        }
        PostgresConfig::default().check("p").unwrap();
        MySqlConfig::default().check("m").unwrap();
    }
}
