//! From a server's types to Arrow's.

use arrow::datatypes::{DataType, TimeUnit};

use super::{SqlError, config::ServerKind};

/// A column that is asked for.
#[derive(Debug, Clone)]
pub struct SqlColumn {
    /// The config's key that names it.
    pub key: String,
    /// Its name.
    pub name: String,
    /// What it may hold.
    pub holds: Holds,
}

/// What a column may hold, and the Arrow types that come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Text or integers: Utf8.
    Id,
    /// Anything, as text: Utf8.
    Text,
    /// Numbers: Float64.
    Number,
    /// Times: Timestamp in microseconds; integers (Int64) and text (Utf8) as they are.
    Time,
    /// Booleans, integers (Int64), text (Utf8) or times, each as it is.
    Flag,
    /// Anything as it is; what Arrow has no type for as text.
    Any,
}

/// How a column is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetch {
    Text,
    Int,
    Float,
    Bool,
    Time,
}

impl Fetch {
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, None),
        }
    }

    /// The expression that gives it.
    pub(super) fn expression(self, kind: ServerKind, column: &str) -> String {
        match (kind, self) {
            (ServerKind::Postgres, Self::Text) => format!("{column}::text"),
            (ServerKind::Postgres, Self::Int) => format!("{column}::int8"),
            (ServerKind::Postgres, Self::Float) => format!("{column}::float8"),
            (ServerKind::Postgres, Self::Bool) => column.to_owned(),
            // Without a zone it counts as UTC; an infinite time is none.
            (ServerKind::Postgres, Self::Time) => {
                format!("CASE WHEN isfinite({column}) THEN (extract(epoch FROM {column}) * 1000000)::int8 END")
            }
            (ServerKind::Mysql, Self::Text) => format!("CAST({column} AS CHAR)"),
            (ServerKind::Mysql, Self::Int | Self::Bool) => format!("CAST({column} AS SIGNED)"),
            (ServerKind::Mysql, Self::Float) => format!("({column} + 0e0)"),
            (ServerKind::Mysql, Self::Time) => format!("TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {column})"),
        }
    }
}

/// What a server's type is like; names are sqlx's.
fn class(kind: ServerKind, type_name: &str) -> Option<Fetch> {
    let name = type_name.to_uppercase();
    let name = name.strip_suffix(" UNSIGNED").unwrap_or(&name);
    Some(match (kind, name) {
        (ServerKind::Postgres, "INT2" | "INT4" | "INT8") => Fetch::Int,
        (ServerKind::Postgres, "FLOAT4" | "FLOAT8" | "NUMERIC") => Fetch::Float,
        (ServerKind::Postgres, "BOOL") => Fetch::Bool,
        (ServerKind::Postgres, "TIMESTAMP" | "TIMESTAMPTZ" | "DATE") => Fetch::Time,
        (ServerKind::Postgres, "TEXT" | "VARCHAR" | "CHAR" | "\"CHAR\"" | "BPCHAR" | "NAME" | "UUID") => Fetch::Text,
        (ServerKind::Mysql, "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" | "YEAR" | "BIT") => Fetch::Int,
        (ServerKind::Mysql, "FLOAT" | "DOUBLE" | "DECIMAL" | "NEWDECIMAL") => Fetch::Float,
        (ServerKind::Mysql, "BOOLEAN") => Fetch::Bool,
        (ServerKind::Mysql, "TIMESTAMP" | "DATETIME" | "DATE") => Fetch::Time,
        (
            ServerKind::Mysql,
            "CHAR" | "VARCHAR" | "TINYTEXT" | "TEXT" | "MEDIUMTEXT" | "LONGTEXT" | "ENUM" | "SET" | "BINARY"
            | "VARBINARY",
        ) => Fetch::Text,
        _ => return None,
    })
}

/// How a column of a type is fetched for what it is wanted.
pub(super) fn fetch(kind: ServerKind, place: &str, wanted: &SqlColumn, type_name: &str) -> Result<Fetch, SqlError> {
    let wrong = |accepts: &'static str| SqlError::WrongType {
        place: place.to_owned(),
        key: wanted.key.clone(),
        column: wanted.name.clone(),
        wanted: accepts,
        is: type_name.to_owned(),
    };
    // Types of the shop's own (enumerations, domains) are text.
    let class = class(kind, type_name).unwrap_or(Fetch::Text);
    match (wanted.holds, class) {
        (Holds::Text, _) | (Holds::Id, Fetch::Text | Fetch::Int) => Ok(Fetch::Text),
        (Holds::Id, _) => Err(wrong("text or an integer")),
        (Holds::Number, Fetch::Int | Fetch::Float) => Ok(Fetch::Float),
        (Holds::Number, _) => Err(wrong("a number")),
        (Holds::Time, Fetch::Time | Fetch::Int | Fetch::Text) => Ok(class),
        (Holds::Time, _) => Err(wrong("a time, an integer or text")),
        (Holds::Flag, Fetch::Float) => Err(wrong("a boolean, an integer, text or a time")),
        (Holds::Flag | Holds::Any, class) => Ok(class),
    }
}
