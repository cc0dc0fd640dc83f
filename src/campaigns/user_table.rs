//! The columns of a bucket's users that conditions look at.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::{CampaignError, ColumnType};

/// Users by columns: one row a user, in the order of their ids.
#[derive(Debug, Clone, Default)]
pub struct UserTable {
    n_users: usize,
    as_of: Option<i64>,
    columns: BTreeMap<String, Column>,
}

impl UserTable {
    /// A table without columns. `as_of`: the build's, in Unix seconds; `None` when events carry no times.
    #[must_use]
    pub fn new(n_users: usize, as_of: Option<i64>) -> Self {
        Self { n_users, as_of, columns: BTreeMap::new() }
    }

    /// How many users there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.n_users
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n_users == 0
    }

    pub(super) fn as_of(&self) -> Option<i64> {
        self.as_of
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.get(name)
    }

    /// Adds a column of numbers; one that is not finite is unknown.
    ///
    /// # Errors
    /// When it is not as long as there are users.
    pub fn put_numbers(&mut self, name: &str, values: impl Iterator<Item = Option<f64>>) -> Result<(), CampaignError> {
        let values: Float64Chunked = values.map(|value| value.filter(|value| value.is_finite())).collect();
        self.put(name, values.into_column())
    }

    /// Adds a column of text.
    ///
    /// # Errors
    /// When it is not as long as there are users.
    pub fn put_texts<'a>(
        &mut self,
        name: &str,
        values: impl Iterator<Item = Option<&'a str>>,
    ) -> Result<(), CampaignError> {
        let values: StringChunked = values.collect();
        self.put(name, values.into_column())
    }

    /// Adds a column of truths.
    ///
    /// # Errors
    /// When it is not as long as there are users.
    pub fn put_booleans(
        &mut self,
        name: &str,
        values: impl Iterator<Item = Option<bool>>,
    ) -> Result<(), CampaignError> {
        let values: BooleanChunked = values.collect();
        self.put(name, values.into_column())
    }

    /// Adds a column of instants, in Unix seconds.
    ///
    /// # Errors
    /// When it is not as long as there are users.
    pub fn put_instants(&mut self, name: &str, values: impl Iterator<Item = Option<i64>>) -> Result<(), CampaignError> {
        let values: Int64Chunked = values.collect();
        self.put(name, values.into_column())
    }

    fn put(&mut self, name: &str, column: Column) -> Result<(), CampaignError> {
        if column.len() != self.n_users {
            return Err(CampaignError::Length {
                what: format!("the column `{name}`"),
                is: column.len(),
                n_users: self.n_users,
            });
        }
        self.columns.insert(name.to_owned(), column.with_name(name.into()));
        Ok(())
    }

    /// The numbers of a column; unknown for everybody where there is no such column.
    #[must_use]
    pub fn numbers(&self, name: &str) -> Vec<Option<f64>> {
        let column = self.columns.get(name).and_then(|column| column.f64().ok());
        column.map_or_else(|| vec![None; self.n_users], |column| column.iter().collect())
    }

    /// The instants of a column, in Unix seconds; unknown for everybody where there is no such column.
    #[must_use]
    pub fn instants(&self, name: &str) -> Vec<Option<i64>> {
        let column = self.columns.get(name).and_then(|column| column.i64().ok());
        column.map_or_else(|| vec![None; self.n_users], |column| column.iter().collect())
    }

    /// The texts of a column; unknown for everybody where there is no such column.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<Option<String>> {
        let column = self.columns.get(name).and_then(|column| column.str().ok());
        column.map_or_else(
            || vec![None; self.n_users],
            |column| column.iter().map(|text| text.map(str::to_owned)).collect(),
        )
    }

    /// The cell of a user as people read it; `unknown` for null.
    #[must_use]
    pub fn show(&self, name: &str, user: usize) -> String {
        let unknown = || "unknown".to_owned();
        let Some(column) = self.columns.get(name) else { return unknown() };
        match column.dtype() {
            DataType::Float64 => column.f64().ok().and_then(|c| c.get(user)).map_or_else(unknown, |x| x.to_string()),
            DataType::Int64 => column
                .i64()
                .ok()
                .and_then(|c| c.get(user))
                .and_then(|at| jiff::Timestamp::from_second(at).ok())
                .map_or_else(unknown, |at| at.to_string()),
            DataType::Boolean => column.bool().ok().and_then(|c| c.get(user)).map_or_else(unknown, |x| x.to_string()),
            _ => column.str().ok().and_then(|c| c.get(user)).map_or_else(unknown, |x| format!("'{x}'")),
        }
    }

    /// The types of the columns.
    #[must_use]
    pub fn types(&self) -> BTreeMap<String, ColumnType> {
        let of = |column: &Column| match column.dtype() {
            DataType::Float64 => ColumnType::Number,
            DataType::Int64 => ColumnType::Instant,
            DataType::Boolean => ColumnType::Boolean,
            _ => ColumnType::Text,
        };
        self.columns.iter().map(|(name, column)| (name.clone(), of(column))).collect()
    }
}
