//! Values of customers packed by bucket: eight bytes each, text as a number into its column's distinct texts.

use std::{cmp::Ordering, collections::HashMap};

use polars::prelude::*;

use crate::ids::IdTable;

use super::values::Kind;

/// A column that is kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Distinct texts by number.
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Kept {
    pub(super) fn new(name: String, kind: Kind) -> Self {
        Self { name, kind, texts: Vec::new(), numbers: HashMap::new() }
    }

    /// A text's number.
    pub(super) fn number(&mut self, text: &str) -> u64 {
        if let Some(&number) = self.numbers.get(text) {
            return number.into();
        }
        let number = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number.into()
    }

    /// Frees what only reading needs.
    pub(super) fn seal(&mut self) {
        self.numbers = HashMap::new();
    }

    fn compare(&self, a: Option<u64>, b: Option<u64>) -> Ordering {
        let (Some(x), Some(y)) = (a, b) else { return a.is_some().cmp(&b.is_some()) };
        match self.kind {
            Kind::Text => self.texts[x as usize].cmp(&self.texts[y as usize]),
            Kind::Float => f64::from_bits(x).total_cmp(&f64::from_bits(y)),
            Kind::Int | Kind::Bool | Kind::Time => (x as i64).cmp(&(y as i64)),
        }
    }

    /// The column of some cells.
    pub(super) fn column(&self, cells: impl Iterator<Item = Option<u64>>) -> PolarsResult<Column> {
        let name = PlSmallStr::from_str(&self.name);
        Ok(match self.kind {
            Kind::Text => {
                let texts: Vec<Option<&str>> =
                    cells.map(|cell| cell.map(|number| self.texts[number as usize].as_str())).collect();
                Column::new(name, texts)
            }
            Kind::Int => Column::new(name, cells.map(|cell| cell.map(|bits| bits as i64)).collect::<Vec<_>>()),
            Kind::Float => Column::new(name, cells.map(|cell| cell.map(f64::from_bits)).collect::<Vec<_>>()),
            Kind::Bool => Column::new(name, cells.map(|cell| cell.map(|bits| bits != 0)).collect::<Vec<_>>()),
            Kind::Time => {
                let millis = cells.map(|cell| cell.map(|bits| bits as i64)).collect::<Vec<_>>();
                Column::new(name, millis).cast(&DataType::Datetime(TimeUnit::Milliseconds, None))?
            }
        })
    }
}

/// The customers of one bucket.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    pub(super) ids: IdTable,
    /// Bits of the flags.
    pub(super) flags: Vec<u64>,
    /// Bits of the columns that have a value.
    pub(super) present: Vec<u64>,
    /// n_rows x n_kept.
    pub(super) cells: Vec<u64>,
}

impl Rows {
    /// A cell; `None` is null.
    pub(super) fn cell(&self, row: usize, column: usize, n_kept: usize) -> Option<u64> {
        (self.present[row] >> column & 1 == 1).then(|| self.cells[row * n_kept + column])
    }

    /// Sorts by id; of rows of one id the greatest remains (the last of `order` first, then column by column), with the
    /// consents that all of them give and the blocks that any of them has.
    ///
    /// Returns: how many rows were merged away.
    pub(super) fn finish(&mut self, kept: &[Kept], order: Option<usize>, blocks: u64) -> u64 {
        let n = kept.len();
        let columns: Vec<usize> = order.into_iter().chain(0..n).collect();
        let compare = |a: usize, b: usize| {
            let cells =
                columns.iter().map(|&column| kept[column].compare(self.cell(a, column, n), self.cell(b, column, n)));
            cells.fold(Ordering::Equal, Ordering::then)
        };
        let mut rows: Vec<usize> = (0..self.ids.len()).collect();
        rows.sort_unstable_by(|&a, &b| self.ids.get(a).cmp(self.ids.get(b)).then_with(|| compare(b, a)));
        let mut out = Self { ids: IdTable::with_capacity(rows.len(), rows.len() * 12), ..Self::default() };
        let mut n_merged = 0;
        for same in rows.chunk_by(|&a, &b| self.ids.get(a) == self.ids.get(b)) {
            let winner = same[0];
            n_merged += same.len() as u64 - 1;
            let all = same.iter().fold(u64::MAX, |bits, &row| bits & self.flags[row]);
            let any = same.iter().fold(0, |bits, &row| bits | self.flags[row]);
            out.ids.push(self.ids.get(winner));
            out.flags.push((all & !blocks) | (any & blocks));
            out.present.push(self.present[winner]);
            out.cells.extend_from_slice(&self.cells[winner * n..(winner + 1) * n]);
        }
        *self = out;
        n_merged
    }
}
