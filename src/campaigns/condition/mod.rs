//! Conditions and expressions in SQL syntax over columns of users.
//!
//! In: text and a [`Schema`]. Out: [`Condition`] (true or not, a user) and [`Expression`] (a number, a user), which polars
//! evaluates on the columns of a bucket. Refuses: unknown columns, types that do not go together, and all of SQL that
//! is no expression on one row; each with its line and column.
//!
//! Three-valued as in SQL: what compares with an unknown value is unknown, and an unknown condition does not hold.

mod evaluate;
mod like;
mod node;
#[cfg(test)]
mod reference;
mod translate;

use std::{collections::BTreeSet, fmt};

use super::{CampaignError, ColumnType, Schema, UserTable};
use node::Node;

/// The longest text of a condition, in bytes.
const MAX_BYTES: usize = 10_000;

/// What is wrong with a condition, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub what: String,
    /// Line, from 1; 0 where it is not known.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.what),
            1 => write!(f, "{} (at column {})", self.what, self.column),
            line => write!(f, "{} (at line {line}, column {})", self.what, self.column),
        }
    }
}

/// Something that holds of a user or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition(Parsed);

/// A number for each user.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression(Parsed);

#[derive(Debug, Clone, PartialEq)]
struct Parsed {
    text: String,
    node: Node,
    columns: BTreeSet<String>,
}

impl Parsed {
    fn new(text: &str, schema: &Schema, wanted: ColumnType) -> Result<Self, Fault> {
        if text.len() > MAX_BYTES {
            let what = format!("it has {} bytes, {MAX_BYTES} are allowed", text.len());
            return Err(Fault { what, line: 0, column: 0 });
        }
        let node = translate::translate(text, schema, wanted)?;
        let mut columns = BTreeSet::new();
        node.columns(&mut columns);
        Ok(Self { text: text.to_owned(), node, columns })
    }
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str, schema: &Schema) -> Result<Self, Fault> {
        Parsed::new(text, schema, ColumnType::Boolean).map(Self)
    }

    /// The columns it looks at.
    #[must_use]
    pub fn columns(&self) -> &BTreeSet<String> {
        &self.0.columns
    }

    /// The text it was read from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// By user: whether it holds. Unknown is not.
    ///
    /// # Errors
    /// A column that the table does not have.
    pub fn holds(&self, users: &UserTable, campaign: &str) -> Result<Vec<bool>, CampaignError> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let values = evaluate::evaluate(&self.0, users, campaign)?;
        let failed = |source| evaluate::failed(&self.0, campaign, source);
        let values = values.bool().map_err(failed)?;
        Ok(values.iter().map(|holds| holds == Some(true)).collect())
    }
}

impl Expression {
    /// Reads an expression that comes to a number.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str, schema: &Schema) -> Result<Self, Fault> {
        Parsed::new(text, schema, ColumnType::Number).map(Self)
    }

    /// The columns it looks at.
    #[must_use]
    pub fn columns(&self) -> &BTreeSet<String> {
        &self.0.columns
    }

    /// By user: the number, `None` where it is unknown.
    ///
    /// # Errors
    /// A column that the table does not have.
    pub fn numbers(&self, users: &UserTable, campaign: &str) -> Result<Vec<Option<f64>>, CampaignError> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let values = evaluate::evaluate(&self.0, users, campaign)?;
        let failed = |source| evaluate::failed(&self.0, campaign, source);
        let values = values.f64().map_err(failed)?;
        Ok(values.iter().map(|number| number.filter(|number| number.is_finite())).collect())
    }
}

#[cfg(test)]
mod tests;
