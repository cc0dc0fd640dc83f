//! `[publish.postgres]` and `[publish.mysql]`.

use serde::{Deserialize, Serialize};

use crate::publish::Section;

/// How the way to a server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// `verify-full` over the network; none within this machine (loopback address or unix socket).
    #[default]
    Auto,
    /// The server's certificate must lead to a known authority and name the configured host.
    VerifyFull,
    /// None; only within this machine.
    Disable,
    /// None, over the network too: password and rows travel in the clear.
    DisableAnywhere,
}

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

/// How to reach a server and log in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Login<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
    pub(super) password_env: Option<&'a str>,
    pub(super) password_file: Option<&'a str>,
    pub(super) secret_arn: Option<&'a str>,
    pub(super) iam: bool,
    pub(super) region: Option<&'a str>,
    pub(super) tls: Tls,
    pub(super) ca_file: Option<&'a str>,
}

impl Login<'_> {
    /// Whether nothing leaves this machine. Only addresses count: what `localhost` means is for a file to say.
    pub(super) fn is_local(&self) -> bool {
        self.is_socket() || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Whether the host is a path of the file system.
    pub(super) fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// Whether the certificate is checked; otherwise there is none.
    pub(super) fn verifies(&self) -> bool {
        match self.tls {
            Tls::Auto => !self.is_local(),
            Tls::VerifyFull => true,
            Tls::Disable | Tls::DisableAnywhere => false,
        }
    }

    fn check(&self, path: &str) -> Result<(), String> {
        for (key, value) in [("host", self.host), ("database", self.database), ("user", self.user)] {
            if value.is_empty() || value.contains('\0') {
                return Err(format!("{path}.{key} must not be empty"));
            }
        }
        if self.port == 0 {
            return Err(format!("{path}.port must be 1 to 65535, is 0"));
        }
        let sources = [self.password_env.is_some(), self.password_file.is_some(), self.secret_arn.is_some(), self.iam];
        if sources.iter().filter(|there| **there).count() > 1 {
            return Err(format!(
                "of {path}.password_env, password_file, secret_arn and iam only one may say where the password is"
            ));
        }
        if self.tls == Tls::Disable && !self.is_local() {
            return Err(format!(
                "{path}.tls must not be disable for {}, which is no loopback address (127.0.0.1, ::1) and no unix socket; \
                 disable-anywhere sends password and rows in the clear",
                self.host
            ));
        }
        if self.tls == Tls::VerifyFull && self.is_socket() {
            return Err(format!("{path}.tls must not be verify-full for a unix socket, which has no host name"));
        }
        if self.iam && !self.verifies() {
            return Err(format!(
                "{path}.iam needs {path}.tls = \"verify-full\": a token sent in the clear is anybody's"
            ));
        }
        Ok(())
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
