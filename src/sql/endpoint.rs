//! Connection options: what the drivers would take from their own variables is set here, one way or the other.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions as _,
    mysql::{MySqlConnectOptions, MySqlSslMode},
    postgres::{PgConnectOptions, PgSslMode},
};

use super::{login::Login, password::Access};

/// How long a server may take to answer a connection attempt, TLS and login included.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// What stands in the server's list of connections.
const APPLICATION: &str = concat!("nightshelf ", env!("CARGO_PKG_VERSION"));

/// Options of a Postgres connection.
pub(crate) fn postgres(login: &Login<'_>, access: &Access) -> PgConnectOptions {
    let mode = if login.verifies() { PgSslMode::VerifyFull } else { PgSslMode::Disable };
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(login.host)
        .port(login.port)
        .database(login.database)
        .username(access.user.as_deref().unwrap_or(login.user))
        // Without a source the server must ask for none; PGPASSWORD is not looked at.
        .password(access.password.as_ref().map_or("", |password| password.reveal()))
        .ssl_mode(mode)
        .application_name(APPLICATION)
        // Statements hold ids, and their text is as long as a batch.
        .disable_statement_logging();
    options = match login.ca_file {
        Some(path) => options.ssl_root_cert(path),
        // PGSSLROOTCERT is not looked at either.
        None => options.ssl_root_cert_from_pem(Vec::new()),
    };
    if login.is_socket() { options.socket(login.host) } else { options }
}

/// Options of a MySQL connection.
pub(crate) fn mysql(login: &Login<'_>, access: &Access) -> MySqlConnectOptions {
    let mode = if login.verifies() { MySqlSslMode::VerifyIdentity } else { MySqlSslMode::Disabled };
    let mut options = MySqlConnectOptions::new()
        .host(login.host)
        .port(login.port)
        .database(login.database)
        .username(access.user.as_deref().unwrap_or(login.user))
        .ssl_mode(mode)
        // Tokens are sent as they are, to a server whose certificate was checked (`Login::check` sees to it).
        .enable_cleartext_plugin(login.iam)
        .disable_statement_logging();
    if let Some(password) = &access.password {
        options = options.password(password.reveal());
    }
    if let Some(path) = login.ca_file {
        options = options.ssl_ca(Path::new(path));
    }
    if login.is_socket() { options.socket(login.host) } else { options }
}
