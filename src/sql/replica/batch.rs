//! Rows of a server gathered into arrays, and their digest.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use sha2::{Digest, Sha256};

use super::types::Fetch;

/// One column being gathered.
pub(super) enum Gather {
    Text(StringBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    Time(TimestampMicrosecondBuilder),
}

/// A value as the server sent it.
pub(super) enum Cell {
    Text(Option<String>),
    Int(Option<i64>),
    Float(Option<f64>),
    Bool(Option<bool>),
}

impl Gather {
    pub(super) fn new(fetch: Fetch) -> Self {
        match fetch {
            Fetch::Text => Self::Text(StringBuilder::new()),
            Fetch::Int => Self::Int(Int64Builder::new()),
            Fetch::Float => Self::Float(Float64Builder::new()),
            Fetch::Bool => Self::Bool(BooleanBuilder::new()),
            Fetch::Time => Self::Time(TimestampMicrosecondBuilder::new()),
        }
    }

    pub(super) fn push(&mut self, cell: Cell) {
        match (self, cell) {
            (Self::Text(column), Cell::Text(value)) => column.append_option(value),
            (Self::Int(column), Cell::Int(value)) => column.append_option(value),
            (Self::Float(column), Cell::Float(value)) => column.append_option(value),
            (Self::Bool(column), Cell::Bool(value)) => column.append_option(value),
            (Self::Time(column), Cell::Int(value)) => column.append_option(value),
            _ => unreachable!("a cell is fetched as its column says"),
        }
    }

    pub(super) fn take(&mut self) -> ArrayRef {
        match self {
            Self::Text(column) => Arc::new(column.finish()),
            Self::Int(column) => Arc::new(column.finish()),
            Self::Float(column) => Arc::new(column.finish()),
            Self::Bool(column) => Arc::new(column.finish()),
            Self::Time(column) => Arc::new(column.finish()),
        }
    }
}

/// A digest of rows that does not depend on their order: the sum of their SHA-256s, as four numbers of 64 bits.
#[derive(Debug, Clone, Default)]
pub(super) struct RowsDigest {
    sums: [u64; 4],
    row: Vec<u8>,
    pub(super) n_rows: u64,
    pub(super) n_bytes: u64,
}

impl RowsDigest {
    pub(super) fn cell(&mut self, cell: &Cell) {
        let mut put = |tag: u8, bytes: &[u8]| {
            self.row.push(tag);
            self.row.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            self.row.extend_from_slice(bytes);
        };
        match cell {
            Cell::Text(Some(text)) => put(1, text.as_bytes()),
            Cell::Int(Some(number)) => put(2, &number.to_le_bytes()),
            Cell::Float(Some(number)) => put(3, &number.to_bits().to_le_bytes()),
            Cell::Bool(Some(flag)) => put(4, &[u8::from(*flag)]),
            _ => put(0, &[]),
        }
    }

    pub(super) fn end_row(&mut self) {
        let hash = Sha256::digest(&self.row);
        for (sum, part) in self.sums.iter_mut().zip(hash.chunks_exact(8)) {
            *sum = sum.wrapping_add(u64::from_le_bytes(part.try_into().expect("eight bytes")));
        }
        self.n_rows += 1;
        self.n_bytes += self.row.len() as u64;
        self.row.clear();
    }

    /// As it stands in manifests.
    pub(super) fn text(&self) -> String {
        self.sums.iter().fold(format!("rows:{}:", self.n_rows), |text, sum| format!("{text}{sum:016x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(rows: &[(&str, Option<i64>)]) -> String {
        let mut digest = RowsDigest::default();
        for (text, number) in rows {
            digest.cell(&Cell::Text(Some((*text).to_owned())));
            digest.cell(&Cell::Int(*number));
            digest.end_row();
        }
        digest.text()
    }

    #[test]
    fn the_order_of_rows_does_not_matter_and_all_else_does() {
        let digests = [
            digest(&[("a", Some(1)), ("b", None)]),
            digest(&[("a", Some(1)), ("b", Some(0))]),
            digest(&[("a", None), ("b", Some(1))]),
            digest(&[("a", Some(1))]),
            digest(&[("a", Some(1)), ("b", None), ("b", None)]),
        ];
        for (at, one) in digests.iter().enumerate() {
            assert!(digests[..at].iter().all(|other| other != one), "{one}");
        }
        assert_eq!(digest(&[("b", None), ("a", Some(1))]), digests[0]);
    }
}
