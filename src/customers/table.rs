//! Customers by bucket of users.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::cells::{Kept, Rows};

/// What reading customers found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomersReport {
    /// Rows read.
    pub rows: u64,
    /// Customers kept.
    pub customers: u64,
    /// Rows without a usable user id, by reason: `null_user`, `empty_user`, `overlong_user`.
    pub rejected: BTreeMap<String, u64>,
    /// Values and rows that were not taken as they are, by reason: `repeated_user` (merged into one row),
    /// `unreadable_<column>` (a consent that is not understood is none, a block is one, a time is unknown).
    pub noted: BTreeMap<String, u64>,
}

impl CustomersReport {
    /// Rows rejected altogether.
    #[must_use]
    pub fn n_rejected(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// Consent, blocks and attributes of all customers, by bucket of users. Never a contact address.
///
/// Shapes: [`frame`](Self::frame) has the columns of [`CustomersConfig::column_names`](super::CustomersConfig::column_names):
/// `user_id` (ascending, distinct), `consent_<channel>`, `unsubscribed`, `suppressed` (booleans without nulls), then `locale`
/// (text), `created_at` (instants in UTC) and the attributes as they are: text, integers, numbers, booleans or instants,
/// each with nulls.
/// Cost: 8 bytes a value, 16 a customer and his id; distinct texts once.
#[derive(Debug, Clone, Default)]
pub struct CustomerTable {
    pub(super) flag_names: Vec<String>,
    pub(super) kept: Vec<Kept>,
    pub(super) buckets: Vec<Rows>,
}

impl CustomerTable {
    /// Into how many buckets customers are dealt: as many as users are.
    #[must_use]
    pub fn n_buckets(&self) -> usize {
        self.buckets.len()
    }

    /// How many customers there are.
    #[must_use]
    pub fn n_customers(&self) -> usize {
        self.buckets.iter().map(|rows| rows.ids.len()).sum()
    }

    /// The customers of one bucket as a frame, made anew for each call.
    ///
    /// # Errors
    /// None that a table made here can give; they are polars' own.
    pub fn frame(&self, bucket: usize) -> PolarsResult<DataFrame> {
        self.frame_of(&self.buckets[bucket])
    }

    /// A frame without rows: names and types of the columns.
    ///
    /// # Errors
    /// As [`frame`](Self::frame).
    pub fn empty_frame(&self) -> PolarsResult<DataFrame> {
        self.frame_of(&Rows::default())
    }

    fn frame_of(&self, rows: &Rows) -> PolarsResult<DataFrame> {
        let n_rows = rows.ids.len();
        let mut columns = vec![Column::new("user_id".into(), rows.ids.iter().collect::<Vec<&str>>())];
        for (bit, name) in self.flag_names.iter().enumerate() {
            let flags: Vec<bool> = rows.flags.iter().map(|flags| flags >> bit & 1 == 1).collect();
            columns.push(Column::new(name.as_str().into(), flags));
        }
        for (at, kept) in self.kept.iter().enumerate() {
            columns.push(kept.column((0..n_rows).map(|row| rows.cell(row, at, self.kept.len())))?);
        }
        DataFrame::new(n_rows, columns)
    }
}
