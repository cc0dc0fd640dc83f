//! Database servers: how to reach them, and rows read out of them.
//!
//! In: where a server is, how to log in, the columns of a table or query. Out: a connection, or record batches of one snapshot.
//! Refuses: to send a password before it has checked the server's certificate, to write, to fetch a column that is not asked for.

pub(crate) mod endpoint;
mod login;
mod missing;
mod password;
mod replica;
mod secret;

pub(crate) use login::Login;
pub use login::Tls;
pub use missing::MissingColumn;
pub(crate) use password::Access;
pub use replica::{
    Holds, LagFrom, Outcome, ReplicaConfig, ServerKind, SqlColumn, SqlError, TableRead, WhenLagging, Without,
    read_table,
};
