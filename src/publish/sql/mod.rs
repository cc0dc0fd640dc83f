//! Publishing to a database server.
//!
//! In: rows of one run. Out: tables keyed by run sequence, and views `…_current` that show one committed run.
//! Refuses: to send a password before it has checked the server's certificate; to make a reader wait; to count a
//! publish as done before the server's own ledger says so.
//!
//! The protocol is that of the SQLite store. A publisher shows that it lives by a lock of its session, which the server
//! lets go of when the session ends, however it ends.

mod config;
mod mysql;
mod outcome;
mod postgres;
mod session;
mod storable;

pub use config::{MySqlConfig, PostgresConfig, Tls};
pub use mysql::MySqlSink;
pub use postgres::PostgresSink;
