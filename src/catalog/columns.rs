//! Which of a file's columns are wanted, and what they may hold.

use polars::prelude::*;

use super::{CatalogColumns, CatalogError};

/// What a column may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, or integers written as decimal text.
    Text,
    /// A number, or text that may be one.
    Number,
    /// A boolean, an integer, or text that may mean one.
    Flag,
}

/// One wanted column.
#[derive(Debug)]
pub(super) struct Pick {
    /// The config's key, and the column's name from here on.
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    /// The column's name in the file.
    pub(super) column: String,
    /// The column's place among the file's.
    pub(super) at: usize,
}

impl Pick {
    /// The error for a column that holds something else.
    pub(super) fn wrong_type(&self, uri: &str, is: &impl ToString) -> CatalogError {
        let wanted = match self.kind {
            Kind::Text => "text or integer",
            Kind::Number => "a number or text",
            Kind::Flag => "boolean, integer or text",
        };
        let (uri, column, is) = (uri.to_owned(), self.column.clone(), is.to_string());
        CatalogError::WrongType { uri, key: self.key, column, wanted, is }
    }

    /// The expression that brings the column, of type `dtype`, into the form the aligner reads; `None` for the wrong type.
    pub(super) fn expression(&self, dtype: &DataType) -> Option<Expr> {
        let column = col(self.column.as_str());
        let read = match self.kind {
            _ if dtype.is_string() => column,
            Kind::Text if dtype.is_integer() => column.strict_cast(DataType::String),
            Kind::Number if dtype.is_primitive_numeric() => column.strict_cast(DataType::Float64),
            Kind::Flag if dtype.is_bool() => column,
            Kind::Flag if dtype.is_integer() => column.neq(lit(0)),
            _ => return None,
        };
        Some(read.alias(self.key))
    }
}

/// Finds the wanted columns among those `present`.
pub(super) fn pick(uri: &str, present: &[&str], columns: &CatalogColumns) -> Result<Vec<Pick>, CatalogError> {
    let named = [
        ("item_id", Some(&columns.item_id), Kind::Text),
        ("title", columns.title.as_ref(), Kind::Text),
        ("category", columns.category.as_ref(), Kind::Text),
        ("brand", columns.brand.as_ref(), Kind::Text),
        ("price", columns.price.as_ref(), Kind::Number),
        ("available", columns.available.as_ref(), Kind::Flag),
    ];
    let mut picks = Vec::with_capacity(named.len());
    for (key, name, kind) in named {
        let column = match name {
            Some(name) if name.is_empty() => continue,
            Some(name) => name.as_str(),
            None => key,
        };
        match present.iter().position(|name| *name == column) {
            Some(at) => picks.push(Pick { key, kind, column: column.to_owned(), at }),
            None if name.is_none() => {}
            None => return Err(missing(uri, key, column, present)),
        }
    }
    Ok(picks)
}

/// Names less alike than this are no help.
const LIKENESS: f64 = 0.6;

fn missing(uri: &str, key: &'static str, column: &str, present: &[&str]) -> CatalogError {
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(&name.to_lowercase(), &column.to_lowercase());
    let nearest = present
        .iter()
        .filter(|name| likeness(name) >= LIKENESS)
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .map(ToString::to_string);
    let present = present.iter().map(ToString::to_string).collect();
    CatalogError::MissingColumn { uri: uri.to_owned(), key, column: column.to_owned(), present, nearest }
}
