//! What can go wrong with a replica.

use crate::sql::{MissingColumn, password::PasswordError};

/// Why a table of a replica could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqlError {
    /// There is nothing to log in with.
    #[error("cannot find the password for {place}")]
    Password {
        /// Which table of which server.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No connection, or no login.
    #[error("cannot connect to {place}")]
    Unreachable {
        /// Which table of which server.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection broke, or the server ended the query, and went on doing so.
    #[error("lost {place} while it was asked to {doing}")]
    Lost {
        /// Which table of which server.
        place: String,
        /// What was attempted.
        doing: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server refused.
    #[error("{place} cannot {doing}")]
    Refused {
        /// Which table of which server.
        place: String,
        /// What was attempted.
        doing: &'static str,
        /// Its answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A column that the config names is not there.
    #[error(transparent)]
    MissingColumn(Box<MissingColumn>),
    /// A column holds something else than it should.
    #[error("{place}: column `{column}` ({key}) must be {wanted}, is {is}")]
    WrongType {
        /// Which table of which server.
        place: String,
        /// The config's key.
        key: String,
        /// The column.
        column: String,
        /// What it may be.
        wanted: &'static str,
        /// The server's name of its type.
        is: String,
    },
    /// The replica is too far behind.
    #[error("{place} is {} behind, {key} allows {allowed_minutes} minutes", lag_text(*lag_minutes))]
    Lagging {
        /// Which table of which server.
        place: String,
        /// The config's key.
        key: String,
        /// How far; `None` where it does not replicate at all.
        lag_minutes: Option<f64>,
        /// The most that is allowed.
        allowed_minutes: f64,
    },
}

fn lag_text(minutes: Option<f64>) -> String {
    minutes.map_or_else(|| "not replicating, so it is".to_owned(), |minutes| format!("{minutes:.1} minutes"))
}

impl SqlError {
    /// What the reader of the message can do about it, where there is something; for a line of its own.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::MissingColumn(missing) => Some(missing.hint()),
            Self::Refused { doing: ASK_LAG, .. } => Some(
                "grant REPLICATION CLIENT (MariaDB: REPLICA MONITOR) to the reader, or set lag_from = \"newest_row\", or \
                 max_lag_minutes = 0"
                    .into(),
            ),
            Self::Lagging { .. } => {
                Some("when_lagging = \"go_on_without\" or \"read_anyway\" lets builds go on".into())
            }
            Self::Unreachable { .. } | Self::Lost { .. } => {
                Some("when_unavailable = \"go_on\" lets builds go on without the table".into())
            }
            _ => None,
        }
    }

    /// Whether the table cannot be had now, and perhaps can be later.
    pub(super) fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Lost { .. })
    }
}

/// Asking for the lag, as it stands in messages.
pub(super) const ASK_LAG: &str = "say how far it is behind";

pub(super) fn no_password(place: &str) -> impl FnOnce(PasswordError) -> SqlError + '_ {
    move |source| SqlError::Password { place: place.to_owned(), source: source.into() }
}
