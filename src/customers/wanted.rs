//! Which columns are read, and what they may hold.

use super::CustomersConfig;
use crate::sql::Holds;

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// The user's id.
    Id,
    /// A consent: what is not understood is none.
    Consent,
    /// A reason not to write: what is not understood is one.
    Block,
    /// Text.
    Text,
    /// An instant.
    Time,
    /// Whatever it is.
    Any,
}

impl Want {
    /// What a column of a database may hold for it.
    pub(super) fn holds(self) -> Holds {
        match self {
            Self::Id => Holds::Id,
            Self::Consent | Self::Block => Holds::Flag,
            Self::Text => Holds::Text,
            Self::Time => Holds::Time,
            Self::Any => Holds::Any,
        }
    }

    pub(super) fn accepts(self) -> &'static str {
        match self {
            Self::Id => "text or an integer",
            Self::Consent | Self::Block => "a boolean, an integer, text or a time",
            Self::Text => "text",
            Self::Time => "a timestamp, a date or text",
            Self::Any => "text, a number, a boolean or a time",
        }
    }
}

/// One column that is read.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The config's key.
    pub(super) key: String,
    /// The table's name for it.
    pub(super) name: String,
    /// The source's name for it.
    pub(super) column: String,
    pub(super) want: Want,
}

impl CustomersConfig {
    /// The columns to read: the user's id, flags, then the rest, in the order of [`column_names`](Self::column_names).
    pub(super) fn wanted(&self, path: &str) -> Vec<Wanted> {
        let own = |key: &str, column: &str, want: Want| {
            let wanted =
                Wanted { key: format!("{path}.columns.{key}"), name: key.to_owned(), column: column.to_owned(), want };
            Some(wanted).filter(|wanted| !wanted.column.is_empty())
        };
        let named = |table: &str, name: &str, prefix: &str, column: &str, want: Want| Wanted {
            key: format!("{path}.{table}.{name}"),
            name: format!("{prefix}{name}"),
            column: column.to_owned(),
            want,
        };
        let columns = &self.columns;
        let mut wanted: Vec<Wanted> = own("user_id", &columns.user_id, Want::Id).into_iter().collect();
        wanted.extend(
            self.consent.iter().map(|(name, column)| named("consent", name, "consent_", column, Want::Consent)),
        );
        wanted.extend(own("unsubscribed", &columns.unsubscribed, Want::Block));
        wanted.extend(own("suppressed", &columns.suppressed, Want::Block));
        wanted.extend(own("locale", &columns.locale, Want::Text));
        wanted.extend(own("created_at", &columns.created_at, Want::Time));
        wanted.extend(self.attributes.iter().map(|(name, column)| named("attributes", name, "", column, Want::Any)));
        wanted
    }
}
