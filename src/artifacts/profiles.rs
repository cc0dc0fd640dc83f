//! `profiles/`: one row a user.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float32Array, Float64Array, ListArray, RecordBatch, StructArray, UInt32Array},
    buffer::{OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, Field, FieldRef, Fields, Schema},
    error::ArrowError,
};

use crate::{
    ids::IdTable,
    interactions::{DAY, Favourites, Profiles, Stamp, WINDOWS},
};

use super::{
    ArtifactError, FileEntry, HashingFile,
    history::{instant_type, instants},
    list_writer::{offset_of, strings},
    parquet_io::RowFile,
};

/// What the profiles of a bucket are written from.
pub struct ProfileRows<'a> {
    /// User ids, ascending.
    pub users: &'a IdTable,
    /// Counts, times and money.
    pub profiles: &'a Profiles,
    /// Favourite categories.
    pub favourites: &'a Favourites,
    /// Names of the categories by number.
    pub category_names: &'a IdTable,
    /// Names of the event types by number.
    pub kinds: &'a [&'a str],
    /// Which of them are purchases.
    pub is_purchase: &'a [bool],
    /// The instant that ages are counted from.
    pub as_of: Option<Stamp>,
}

fn window_name(window: Option<u32>) -> String {
    window.map_or_else(|| "all".to_owned(), |days| format!("{days}d"))
}

fn favourite_fields() -> Fields {
    Fields::from(vec![Field::new("category", DataType::Utf8, false), Field::new("share", DataType::Float32, false)])
}

fn favourite_field() -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(favourite_fields()), false))
}

/// Writes the profiles of a bucket: `user_id`, `n_<type>_<window>`, `first_<type>_at`, `last_<type>_at`, `first_at`, `last_at`,
/// `active_days`, `recency_days` (days since the last event), `frequency` (purchase events), `monetary_<window>`
/// (purchases less refunds, in the currency's unit), `favourite_categories` (list<struct<category, share>>).
///
/// # Errors
/// When the disk refuses.
pub fn write_profiles(file: HashingFile, rows: &ProfileRows<'_>) -> Result<FileEntry, ArtifactError> {
    let path = file.path().to_owned();
    let batch = batch(rows).map_err(|error| ArtifactError::Encode { path, source: error.into() })?;
    let mut out =
        RowFile::create(file, batch.schema(), "user_id", &[&["favourite_categories", "list", "item", "category"]])?;
    out.write(&batch)?;
    out.finish()
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
    let favourites = DataType::List(favourite_field());
    column("favourite_categories".into(), favourites, false, favourite_lists(rows)?);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn favourite_lists(rows: &ProfileRows<'_>) -> Result<ArrayRef, ArrowError> {
    let favourites = rows.favourites;
    let offsets = favourites.offsets.iter().map(|&end| offset_of(end)).collect::<Result<Vec<i32>, _>>()?;
    let names: Vec<&str> =
        favourites.categories.iter().map(|&category| rows.category_names.get(category as usize)).collect();
    let shares: ArrayRef = Arc::new(Float32Array::from(favourites.shares.clone()));
    let structs = StructArray::try_new(favourite_fields(), vec![strings(&names)?, shares], None)?;
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(ListArray::try_new(favourite_field(), offsets, Arc::new(structs), None)?))
}
