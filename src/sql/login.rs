//! How to reach a database server and log in, and what a config may say of it.

use serde::{Deserialize, Serialize};

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

/// How to reach a server and log in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Login<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) database: &'a str,
    pub(crate) user: &'a str,
    pub(crate) password_env: Option<&'a str>,
    pub(crate) password_file: Option<&'a str>,
    pub(crate) secret_arn: Option<&'a str>,
    pub(crate) iam: bool,
    pub(crate) region: Option<&'a str>,
    pub(crate) tls: Tls,
    pub(crate) ca_file: Option<&'a str>,
}

impl Login<'_> {
    /// Whether nothing leaves this machine. Only addresses count: what `localhost` means is for a file to say.
    pub(crate) fn is_local(&self) -> bool {
        self.is_socket() || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Whether the host is a path of the file system.
    pub(crate) fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// Whether the certificate is checked; otherwise there is none.
    pub(crate) fn verifies(&self) -> bool {
        match self.tls {
            Tls::Auto => !self.is_local(),
            Tls::VerifyFull => true,
            Tls::Disable | Tls::DisableAnywhere => false,
        }
    }

    /// Checks what the config says; `path` is the section's name in it.
    pub(crate) fn check(&self, path: &str) -> Result<(), String> {
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
