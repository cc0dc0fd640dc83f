//! Rows of customers as they come, dealt to the buckets of their users.

use arrow::{
    array::{Array, ArrayRef, StringArray},
    error::ArrowError,
};

use rayon::prelude::*;

use crate::{
    ids::{bucket_of, id_hash},
    sql::MissingColumn,
};

use super::{
    CustomersError,
    cells::{Kept, Rows},
    table::{CustomerTable, CustomersReport},
    values::{Kind, Values, kind, values},
    wanted::{Want, Wanted},
};

/// What was read so far.
#[derive(Debug)]
pub(super) struct Collector {
    wanted: Vec<Wanted>,
    max_id_bytes: usize,
    flag_names: Vec<String>,
    /// By wanted column: its bit among the flags.
    bits: Vec<Option<usize>>,
    blocks: u64,
    /// Set by the first source: types are the same in all.
    kept: Option<Vec<Kept>>,
    buckets: Vec<Rows>,
    pub(super) report: CustomersReport,
}

impl Collector {
    pub(super) fn new(wanted: Vec<Wanted>, n_buckets: usize, max_id_bytes: usize) -> Self {
        let consents = wanted.iter().filter(|column| column.want == Want::Consent).map(|column| column.name.clone());
        let mut flag_names: Vec<String> = consents.collect();
        let n_consents = flag_names.len();
        // There whether or not the shop has them: what nobody says is no block.
        flag_names.extend(["unsubscribed".to_owned(), "suppressed".to_owned()]);
        let bits = wanted
            .iter()
            .map(|column| match column.want {
                Want::Consent | Want::Block => flag_names.iter().position(|name| *name == column.name),
                _ => None,
            })
            .collect();
        Self {
            wanted,
            max_id_bytes,
            flag_names,
            bits,
            blocks: 0b11 << n_consents,
            kept: None,
            buckets: vec![Rows::default(); n_buckets],
            report: CustomersReport::default(),
        }
    }

    pub(super) fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// Checks the types of a source's columns, in the order of the wanted ones.
    pub(super) fn check_types(
        &mut self,
        place: &str,
        types: &[arrow::datatypes::DataType],
    ) -> Result<(), CustomersError> {
        let mut found = Vec::new();
        for (wanted, data_type) in self.wanted.iter().zip(types) {
            let (place, key, column) = (place.to_owned(), wanted.key.clone(), wanted.column.clone());
            let is = data_type.to_string();
            let Some(kind) = kind(data_type, wanted.want) else {
                return Err(CustomersError::WrongType { place, key, column, wanted: wanted.want.accepts(), is });
            };
            if !matches!(wanted.want, Want::Id | Want::Consent | Want::Block) {
                let before = self.kept.as_ref().map(|kept| kept[found.len()].kind);
                if let Some(before) = before.filter(|before| *before != kind) {
                    return Err(CustomersError::OtherType { place, key, column, is, before: before.name() });
                }
                found.push(Kept::new(wanted.name.clone(), kind));
            }
        }
        self.kept.get_or_insert(found);
        Ok(())
    }

    /// Adds a batch: arrays in the order of the wanted columns.
    pub(super) fn add(&mut self, place: &str, arrays: &[ArrayRef]) -> Result<Result<(), CustomersError>, ArrowError> {
        let n_rows = arrays.first().map_or(0, |array| array.len());
        let columns: Vec<Values> = self
            .wanted
            .iter()
            .zip(arrays)
            .map(|(wanted, array)| values(array, wanted.want))
            .collect::<Result<_, _>>()?;
        for ((wanted, column), array) in self.wanted.iter().zip(&columns).zip(arrays) {
            let n = match column {
                Values::Flag(_, n) => *n,
                // What could not be cast is null afterwards.
                Values::Time(times) => (times.null_count() - array.null_count()) as u64,
                _ => 0,
            };
            if n > 0 {
                *self.report.noted.entry(format!("unreadable_{}", wanted.name)).or_default() += n;
            }
            if let (Values::Text(texts), Want::Any | Want::Text) = (column, wanted.want)
                && texts.iter().flatten().any(is_address)
            {
                let (key, column) = (wanted.key.clone(), wanted.column.clone());
                return Ok(Err(CustomersError::Address { place: place.to_owned(), key, column }));
            }
        }
        let Some(Values::Text(ids)) = columns.first() else { return Ok(Ok(())) };
        let rows = self.buckets_of(ids, n_rows);
        let kept = self.kept.as_mut().expect("types are checked before the first batch");
        for (row, bucket) in rows.into_iter().enumerate().filter_map(|(row, bucket)| Some((row, bucket?))) {
            let rows = &mut self.buckets[bucket];
            rows.ids.push(ids.value(row));
            let (mut flags, mut present, mut at) = (0u64, 0u64, 0);
            for (column, bit) in columns.iter().zip(&self.bits).skip(1) {
                if let (Values::Flag(values, _), Some(bit)) = (column, bit) {
                    flags |= u64::from(values.value(row)) << bit;
                    continue;
                }
                let cell = cell(column, row, &mut kept[at]);
                present |= u64::from(cell.is_some()) << at;
                rows.cells.push(cell.unwrap_or(0));
                at += 1;
            }
            rows.flags.push(flags);
            rows.present.push(present);
        }
        Ok(Ok(()))
    }

    /// The bucket of each row's user; `None` for rows without a usable id, which are counted.
    fn buckets_of(&mut self, ids: &StringArray, n_rows: usize) -> Vec<Option<usize>> {
        self.report.rows += n_rows as u64;
        let mut reject = |reason: &str| {
            *self.report.rejected.entry(reason.to_owned()).or_default() += 1;
            None
        };
        let n_buckets = self.buckets.len();
        ids.iter()
            .map(|id| match id {
                None => reject("null_user"),
                Some("") => reject("empty_user"),
                Some(id) if id.len() > self.max_id_bytes => reject("overlong_user"),
                Some(id) => Some(bucket_of(id_hash(id.as_bytes()), n_buckets)),
            })
            .collect()
    }

    /// Sorts and merges; fails when too many rows were rejected.
    pub(super) fn finish(mut self, allowed: f64) -> Result<(CustomerTable, CustomersReport), CustomersError> {
        let mut kept = self.kept.unwrap_or_default();
        kept.iter_mut().for_each(Kept::seal);
        let newest = kept.iter().position(|column| column.name == "created_at" && column.kind == Kind::Time);
        let n_merged = self.buckets.par_iter_mut().map(|rows| rows.finish(&kept, newest, self.blocks)).sum::<u64>();
        if n_merged > 0 {
            self.report.noted.insert("repeated_user".into(), n_merged);
        }
        let table = CustomerTable { flag_names: self.flag_names, kept, buckets: self.buckets };
        self.report.customers = table.n_customers() as u64;
        let rejected = self.report.n_rejected();
        if rejected as f64 > allowed * self.report.rows as f64 {
            let reasons: Vec<String> = self.report.rejected.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
            let (rows, reasons) = (self.report.rows, reasons.join(", "));
            return Err(CustomersError::Rejected { rejected, rows, allowed, reasons });
        }
        Ok((table, self.report))
    }
}

/// Whether a text looks like an e-mail address.
fn is_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && host.contains('.') && !host.contains('@') && !text.contains(char::is_whitespace)
    })
}

fn cell(column: &Values, row: usize, kept: &mut Kept) -> Option<u64> {
    match column {
        Values::Text(texts) => texts.is_valid(row).then(|| kept.number(texts.value(row))),
        Values::Int(numbers) => numbers.is_valid(row).then(|| numbers.value(row) as u64),
        Values::Float(numbers) => numbers.is_valid(row).then(|| numbers.value(row).to_bits()),
        Values::Bool(flags) => flags.is_valid(row).then(|| flags.value(row).into()),
        Values::Time(times) => times.is_valid(row).then(|| times.value(row) as u64),
        Values::Flag(..) => None,
    }
}

/// Finds the wanted columns among those of a source; the places are in the order of the wanted ones.
pub(super) fn places(place: &str, wanted: &[Wanted], present: &[String]) -> Result<Vec<usize>, CustomersError> {
    let find = |wanted: &Wanted| {
        let at = present.iter().position(|name| *name == wanted.column);
        let missing = || MissingColumn::new(place, &wanted.key, &wanted.column, present);
        at.ok_or_else(|| CustomersError::MissingColumn(Box::new(missing())))
    };
    wanted.iter().map(find).collect()
}
