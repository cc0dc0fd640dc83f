//! `profiles/`: one row a user.
//!
//! Fifths of recency, frequency and money need all buyers of the shop, and a bucket's users are forgotten once they are
//! written: so a bucket's file is written without them, and completed when all buckets are. Finished column chunks are
//! taken over as they are; only the new columns are encoded.

use std::{io::Write, sync::Arc};

use arrow::{
    array::{ArrayRef, Float32Array, Float64Array, ListArray, RecordBatch, StructArray, UInt32Array},
    buffer::{OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, Field, FieldRef, Fields, Schema},
    error::ArrowError,
};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
        arrow_writer::compute_leaves,
    },
    column::writer::ColumnCloseResult,
    errors::ParquetError,
    file::{metadata::PageIndexPolicy, reader::ChunkReader},
};

use crate::{
    ids::IdTable,
    interactions::{Buyers, DAY, Favourites, Profiles, RfmScores, RfmThresholds, Stamp, WINDOWS},
};

use super::{
    ArtifactError, FileEntry, HashingFile,
    history::{instant_type, instants},
    list_writer::{offset_of, strings},
    parquet_io::properties,
};

/// What the profiles of a bucket are written from.
pub struct ProfileRows<'a> {
    /// User ids, ascending.
    pub users: &'a IdTable,
    /// Counts, times and money.
    pub profiles: &'a Profiles,
    /// Favourite categories.
    pub favourite_categories: &'a Favourites,
    /// Names of the categories by number.
    pub category_names: &'a IdTable,
    /// Favourite brands.
    pub favourite_brands: &'a Favourites,
    /// Names of the brands by number.
    pub brand_names: &'a IdTable,
    /// All items: what lies in carts.
    pub items: &'a IdTable,
    /// Names of the event types by number.
    pub kinds: &'a [&'a str],
    /// Which of them are purchases.
    pub is_purchase: &'a [bool],
    /// The instant that ages are counted from.
    pub as_of: Option<Stamp>,
}

/// Columns of repeated text.
const DICTIONARY: [&[&str]; 4] = [
    &["favourite_categories", "list", "item", "category"],
    &["favourite_brands", "list", "item", "brand"],
    &["cart", "list", "item", "item_id"],
    &["rfm_tier"],
];

fn window_name(window: Option<u32>) -> String {
    window.map_or_else(|| "all".to_owned(), |days| format!("{days}d"))
}

/// A list of structs without nulls.
fn list_of(fields: &Fields) -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(fields.clone()), false))
}

/// Encodes the profiles of a bucket, all columns but those that [`complete_profiles`] adds.
///
/// # Errors
/// When the disk refuses.
pub fn write_profiles<W: Write + Send>(out: W, name: &str, rows: &ProfileRows<'_>) -> Result<W, ArtifactError> {
    let encode = |error: ParquetError| ArtifactError::encode(name, error);
    let batch = batch(rows).map_err(|error| encode(error.into()))?;
    let write = || {
        let mut writer = ArrowWriter::try_new(out, batch.schema(), Some(properties("user_id", &DICTIONARY)?))?;
        writer.write(&batch)?;
        writer.into_inner()
    };
    write().map_err(encode)
}

/// Writes the profiles of a bucket into the run, from what [`write_profiles`] has encoded and with the columns
/// `rfm_recency`, `rfm_frequency`, `rfm_monetary` and `rfm_tier`.
///
/// # Errors
/// When the disk refuses, or `source` is not what was written.
///
/// Cost: column chunks are copied; a row group of the new columns is in memory.
pub fn complete_profiles<R: ChunkReader + 'static>(
    source: &R,
    file: HashingFile,
    buyers: &Buyers,
    thresholds: Option<&RfmThresholds>,
) -> Result<FileEntry, ArtifactError> {
    let path = file.path().to_owned();
    let (mut file, n_rows) =
        append_columns(source, file, buyers, thresholds).map_err(|error| ArtifactError::encode(&path, error))?;
    file.set_rows(n_rows);
    file.close()
}

fn append_columns<R: ChunkReader + 'static>(
    source: &R,
    file: HashingFile,
    buyers: &Buyers,
    thresholds: Option<&RfmThresholds>,
) -> Result<(HashingFile, u64), ParquetError> {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let before = ArrowReaderMetadata::load(source, options)?;
    let metadata = before.metadata();
    let added = rfm_fields();
    let fields: Vec<FieldRef> = before.schema().fields().iter().cloned().chain(added.iter().cloned()).collect();
    let writer = ArrowWriter::try_new(file, Arc::new(Schema::new(fields)), Some(properties("user_id", &DICTIONARY)?))?;
    let (mut writer, columns) = writer.into_serialized_writer()?;
    let mut first = 0;
    let mut next_buyer = 0;
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let n_rows = group.num_rows() as usize;
        let mut out = writer.next_row_group()?;
        let index = metadata.page_index_for_row_group(number);
        for (place, column) in group.columns().iter().enumerate() {
            let taken = ColumnCloseResult {
                bytes_written: column.compressed_size() as u64,
                rows_written: group.num_rows() as u64,
                metadata: column.clone(),
                bloom_filter: None,
                column_index: index.column_index(place).cloned(),
                offset_index: index.offset_index(place).cloned(),
            };
            out.append_column(source, taken)?;
        }
        let scores: Vec<Option<RfmScores>> = (first..first + n_rows)
            .map(|user| {
                let at = next_buyer;
                if buyers.users.get(at).is_none_or(|buyer| *buyer as usize != user) {
                    return None;
                }
                next_buyer += 1;
                Some(thresholds?.scores(buyers.last[at], buyers.orders[at], buyers.money[at]))
            })
            .collect();
        let writers = columns.create_column_writers(number)?;
        let own = writers.into_iter().skip(group.columns().len());
        for ((mut writer, field), array) in own.zip(added.iter()).zip(rfm_columns(&scores)) {
            for leaf in compute_leaves(field, &array)? {
                writer.write(&leaf)?;
            }
            writer.close()?.append_to_row_group(&mut out)?;
        }
        out.close()?;
        first += n_rows;
    }
    Ok((writer.into_inner()?, first as u64))
}

fn rfm_fields() -> Fields {
    let fifth = |name: &str| Field::new(name, DataType::UInt32, true);
    Fields::from(vec![
        fifth("rfm_recency"),
        fifth("rfm_frequency"),
        fifth("rfm_monetary"),
        Field::new("rfm_tier", DataType::Utf8, true),
    ])
}

fn rfm_columns(scores: &[Option<RfmScores>]) -> [ArrayRef; 4] {
    let fifth = |pick: fn(RfmScores) -> Option<u8>| -> ArrayRef {
        Arc::new(UInt32Array::from_iter(scores.iter().map(|scores| scores.and_then(pick).map(u32::from))))
    };
    let tiers = scores.iter().map(|scores| scores.map(|scores| scores.tier().name()));
    [
        fifth(|scores| Some(scores.recency)),
        fifth(|scores| Some(scores.frequency)),
        fifth(|scores| scores.monetary),
        Arc::new(arrow::array::StringArray::from_iter(tiers)),
    ]
}

fn batch(rows: &ProfileRows<'_>) -> Result<RecordBatch, ArrowError> {
    let p = rows.profiles;
    let n_users = rows.users.len();
    let (n_kinds, all) = (p.n_kinds, WINDOWS.len() - 1);
    let mut fields: Vec<Field> = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    let mut column = |name: String, data_type: DataType, nullable: bool, array: ArrayRef| {
        fields.push(Field::new(name, data_type, nullable));
        columns.push(array);
    };
    column("user_id".into(), DataType::Utf8, false, strings(&rows.users.iter().collect::<Vec<_>>())?);
    for (kind, name) in rows.kinds.iter().enumerate() {
        for (window, days) in WINDOWS.iter().enumerate() {
            let counts = UInt32Array::from_iter_values((0..n_users).map(|user| p.count(user, window, kind)));
            column(format!("n_{name}_{}", window_name(*days)), DataType::UInt32, false, Arc::new(counts));
        }
    }
    let over_kinds = |stamps: &[Option<Stamp>], pick: fn(Stamp, Stamp) -> Stamp| -> Vec<Option<Stamp>> {
        (0..n_users)
            .map(|user| stamps[user * n_kinds..(user + 1) * n_kinds].iter().flatten().copied().reduce(pick))
            .collect()
    };
    let (first, last) = (over_kinds(&p.first, Stamp::min), over_kinds(&p.last, Stamp::max));
    column("first_at".into(), instant_type(), true, instants(first.into_iter()));
    let recency = last.iter().map(|last| Some(f64::from(last.as_ref()?.age_at(rows.as_of?)) / f64::from(DAY)));
    let recency: ArrayRef = Arc::new(Float64Array::from_iter(recency));
    column("last_at".into(), instant_type(), true, instants(last.into_iter()));
    for (kind, name) in rows.kinds.iter().enumerate() {
        let of_kind = |stamps: &[Option<Stamp>]| instants((0..n_users).map(|user| stamps[user * n_kinds + kind]));
        column(format!("first_{name}_at"), instant_type(), true, of_kind(&p.first));
        column(format!("last_{name}_at"), instant_type(), true, of_kind(&p.last));
    }
    let active_days = UInt32Array::from(p.active_days.clone());
    column("active_days".into(), DataType::UInt32, false, Arc::new(active_days));
    column("recency_days".into(), DataType::Float64, true, recency);
    let frequency = (0..n_users)
        .map(|user| (0..n_kinds).filter(|&kind| rows.is_purchase[kind]).map(|kind| p.count(user, all, kind)).sum());
    column("frequency".into(), DataType::UInt32, false, Arc::new(UInt32Array::from_iter_values(frequency)));
    for (window, days) in WINDOWS.iter().enumerate() {
        let money = (0..n_users).map(|user| p.money[user * WINDOWS.len() + window] as f64 / 1e4);
        let name = format!("monetary_{}", window_name(*days));
        column(name, DataType::Float64, false, Arc::new(Float64Array::from_iter_values(money)));
    }
    order_columns(rows, &mut column);
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    for (name, key, favourites, names) in [
        ("favourite_categories", "category", rows.favourite_categories, rows.category_names),
        ("favourite_brands", "brand", rows.favourite_brands, rows.brand_names),
    ] {
        let fields = Fields::from(vec![text(key), Field::new("share", DataType::Float32, false)]);
        let names: Vec<&str> = favourites.groups.iter().map(|&group| names.get(group as usize)).collect();
        let shares: ArrayRef = Arc::new(Float32Array::from(favourites.shares.clone()));
        let lists = lists(&fields, &favourites.offsets, vec![strings(&names)?, shares])?;
        column(name.into(), DataType::List(list_of(&fields)), false, lists);
    }
    let carts = &p.carts;
    let entry_fields = Fields::from(vec![
        text("item_id"),
        Field::new("added_at", instant_type(), true),
        Field::new("quantity", DataType::Float64, false),
    ]);
    let ids: Vec<&str> = carts.entries.iter().map(|entry| rows.items.get(entry.item as usize)).collect();
    let added = instants(carts.entries.iter().map(|entry| rows.as_of.map(|_| entry.added)));
    let pieces = Float64Array::from_iter_values(carts.entries.iter().map(|entry| entry.quantity as f64 / 1e3));
    let lists = lists(&entry_fields, &carts.offsets, vec![strings(&ids)?, added, Arc::new(pieces)])?;
    column("cart".into(), DataType::List(list_of(&entry_fields)), false, lists);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// Orders and sessions.
fn order_columns(rows: &ProfileRows<'_>, column: &mut impl FnMut(String, DataType, bool, ArrayRef)) {
    let p = rows.profiles;
    let orders = &p.orders;
    let n_users = rows.users.len();
    let mut counts = |name: &str, counts: &[u32], skip: usize| {
        for (window, days) in WINDOWS.iter().enumerate().skip(skip) {
            let of_window =
                UInt32Array::from_iter_values((0..n_users).map(|user| counts[user * WINDOWS.len() + window]));
            column(format!("{name}_{}", window_name(*days)), DataType::UInt32, false, Arc::new(of_window));
        }
    };
    counts("orders", &orders.counts, 0);
    counts("sessions", &p.sessions, 1);
    let mut numbers = |name: &str, values: Vec<Option<f64>>| {
        column(name.into(), DataType::Float64, true, Arc::new(Float64Array::from(values)));
    };
    let days_since = |last: Option<Stamp>| Some(f64::from(last?.age_at(rows.as_of?)) / f64::from(DAY));
    let last_event = |user: usize| p.last[user * p.n_kinds..(user + 1) * p.n_kinds].iter().flatten().max().copied();
    numbers("days_since_last_event", (0..n_users).map(|user| days_since(last_event(user))).collect());
    numbers("days_since_last_order", orders.last.iter().map(|last| days_since(*last)).collect());
    let an_order = |user: usize, sum: f64| (orders.n_orders(user) > 0).then(|| sum / f64::from(orders.n_orders(user)));
    let basket = |user: usize| an_order(user, orders.spent[user]? as f64 / 1e4);
    numbers("average_basket", (0..n_users).map(basket).collect());
    let pieces = |user: usize| an_order(user, orders.pieces[user] as f64 / 1e3);
    numbers("items_per_order", (0..n_users).map(pieces).collect());
    let between = orders.seconds_between.iter().map(|seconds| seconds.map(|seconds| seconds / f64::from(DAY)));
    numbers("days_between_orders", between.collect());
    let mut times = |name: &str, times: Vec<Option<Stamp>>| {
        column(name.into(), instant_type(), true, instants(times.into_iter()));
    };
    times("first_order_at", orders.first.clone());
    times("last_order_at", orders.last.clone());
    times("next_order_at", (0..n_users).map(|user| orders.next(user)).collect());
}

fn lists(fields: &Fields, ends: &[usize], columns: Vec<ArrayRef>) -> Result<ArrayRef, ArrowError> {
    let offsets = ends.iter().map(|&end| offset_of(end)).collect::<Result<Vec<i32>, _>>()?;
    let structs = StructArray::try_new(fields.clone(), columns, None)?;
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(ListArray::try_new(list_of(fields), offsets, Arc::new(structs), None)?))
}
