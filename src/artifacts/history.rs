//! `interactions/`: what each user did, pair by pair, as the model and the rules saw it.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float64Array, RecordBatch, UInt32Array},
    datatypes::{DataType, Field, Float64Type, Schema, TimeUnit, TimestampMillisecondType, UInt32Type},
    error::ArrowError,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::{
    ids::{IdTable, bucket_of, id_hash},
    interactions::{BucketPairs, Stamp, from_fixed},
};

use super::{
    ArtifactError, FileEntry, HashingFile, Run, bucket_path,
    list_writer::strings,
    parquet_io::{RowFile, decode, next_batch},
};

/// Folder of a run directory.
pub const INTERACTIONS: &str = "interactions";

/// Pairs handed to the encoder at once.
const CHUNK_PAIRS: usize = 65_536;

/// Milliseconds since 1970, or null.
pub(super) fn instants(stamps: impl Iterator<Item = Option<Stamp>>) -> ArrayRef {
    let millis = stamps.map(|stamp| stamp.map(|stamp| stamp.unix() * 1_000));
    Arc::new(arrow::array::TimestampMillisecondArray::from_iter(millis).with_timezone("UTC"))
}

pub(super) fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

fn schema(kinds: &[&str]) -> Schema {
    let text = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8));
    let mut fields = vec![
        Field::new("user_id", text.clone(), false),
        Field::new("item_id", text, false),
        Field::new("weight", DataType::Float64, false),
        Field::new("last_at", instant_type(), true),
        Field::new("excluded", DataType::Boolean, false),
    ];
    fields.extend(kinds.iter().map(|kind| Field::new(format!("n_{kind}"), DataType::UInt32, false)));
    fields.push(Field::new("first_purchase_at", instant_type(), true));
    fields.push(Field::new("last_purchase_at", instant_type(), true));
    fields.push(Field::new("purchase_days", DataType::UInt32, false));
    Schema::new(fields)
}

/// Writes the pairs of a bucket: `user_id`, `item_id`, `weight`, `last_at` (null without times), `excluded`, `n_<type>`
/// for each event type, `first_purchase_at`, `last_purchase_at` (null where nothing was bought, or without times) and
/// `purchase_days` (distinct days with a purchase). Pairs at or below zero are written, too: refunds ate them up.
///
/// # Errors
/// When the disk refuses.
pub fn write_history(
    file: HashingFile,
    pairs: &BucketPairs,
    items: &IdTable,
    kinds: &[&str],
    timed: bool,
) -> Result<FileEntry, ArtifactError> {
    let schema = Arc::new(schema(kinds));
    let mut rows = RowFile::create(file, Arc::clone(&schema), "user_id", &[&["user_id"], &["item_id"]])?;
    let users: Vec<&str> = pairs.users.iter().collect();
    let user_values = strings(&users).map_err(|error| encode(rows.path(), error))?;
    let mut user = 0;
    for start in (0..pairs.items.len()).step_by(CHUNK_PAIRS) {
        let range = start..(start + CHUNK_PAIRS).min(pairs.items.len());
        let user_of: Vec<u32> = range
            .clone()
            .map(|at| {
                while pairs.indptr[user + 1] <= at {
                    user += 1;
                }
                user as u32
            })
            .collect();
        let batch = batch(pairs, items, kinds.len(), timed, range, user_of, &user_values, &schema)
            .map_err(|error| encode(rows.path(), error))?;
        rows.write(&batch)?;
    }
    rows.finish()
}

#[expect(clippy::too_many_arguments, reason = "the columns of one batch, put together in one place")]
fn batch(
    pairs: &BucketPairs,
    items: &IdTable,
    n_kinds: usize,
    timed: bool,
    range: std::ops::Range<usize>,
    user_of: Vec<u32>,
    user_values: &ArrayRef,
    schema: &Arc<Schema>,
) -> Result<RecordBatch, ArrowError> {
    // The dictionary of a chunk: only the items that occur, ascending.
    let mut distinct = pairs.items[range.clone()].to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let keys: Vec<u32> = pairs.items[range.clone()]
        .iter()
        .map(|item| distinct.binary_search(item).expect("taken from the same items") as u32)
        .collect();
    let names: Vec<&str> = distinct.iter().map(|&item| items.get(item as usize)).collect();
    let dictionary = |keys: Vec<u32>, values: ArrayRef| -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(DictionaryArray::<UInt32Type>::try_new(UInt32Array::from(keys), values)?))
    };
    let mut columns: Vec<ArrayRef> = vec![
        dictionary(user_of, Arc::clone(user_values))?,
        dictionary(keys, strings(&names)?)?,
        Arc::new(Float64Array::from_iter_values(
            pairs.weights[range.clone()].iter().map(|&weight| f64::from(from_fixed(weight))),
        )),
        instants(pairs.last[range.clone()].iter().map(|&last| timed.then_some(last))),
        Arc::new(BooleanArray::from(pairs.excluded[range.clone()].to_vec())),
    ];
    for kind in 0..n_kinds {
        let counts = range.clone().map(|at| pairs.counts[at * n_kinds + kind]);
        columns.push(Arc::new(UInt32Array::from_iter_values(counts)));
    }
    let bought = || range.clone().map(|at| pairs.purchases.get(at).copied().unwrap_or_default());
    columns.push(instants(bought().map(|bought| (bought.days > 0).then_some(bought.first))));
    columns.push(instants(bought().map(|bought| (bought.days > 0).then_some(bought.last))));
    columns.push(Arc::new(UInt32Array::from_iter_values(bought().map(|bought| bought.days))));
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn encode(path: &str, error: ArrowError) -> ArtifactError {
    ArtifactError::Encode { path: path.to_owned(), source: error.into() }
}

/// One user's pairs, items ascending.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserHistory {
    /// The pairs.
    pub pairs: Vec<HistoryPair>,
}

/// One pair of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryPair {
    /// Item id.
    pub item_id: String,
    /// Decayed weight; zero or less: no interaction.
    pub weight: f32,
    /// Time of the last event.
    pub last_at: Option<Stamp>,
    /// Whether the user's own actions take the item from his list.
    pub excluded: bool,
    /// Events by type, in the order of the types' names.
    pub counts: Vec<(String, u32)>,
}

impl Run {
    /// What a user did, or `None` for a user that the run does not know.
    ///
    /// # Errors
    /// When the bucket's file is damaged.
    ///
    /// Cost: hashing and decoding the user's bucket.
    pub fn find_history(&self, user: &str) -> Result<Option<UserHistory>, ArtifactError> {
        let n_buckets = self.manifest().content.n_buckets;
        if !n_buckets.is_power_of_two() {
            return Ok(None);
        }
        let path = bucket_path(INTERACTIONS, bucket_of(id_hash(user.as_bytes()), n_buckets));
        let bytes = self.read(&path)?;
        let full_path = self.path().join(&path);
        let mut reader =
            decode(&full_path, || ParquetRecordBatchReaderBuilder::try_new(bytes)?.with_batch_size(16_384).build())?;
        let mut pairs = Vec::new();
        while let Some(batch) = next_batch(&full_path, &mut reader)? {
            let found = collect(&batch, user, &mut pairs);
            found.ok_or_else(|| ArtifactError::damaged(&full_path, "a column is absent or of another type"))?;
        }
        Ok((!pairs.is_empty()).then_some(UserHistory { pairs }))
    }
}

fn collect(batch: &RecordBatch, user: &str, pairs: &mut Vec<HistoryPair>) -> Option<()> {
    let users = batch.column_by_name("user_id")?.as_dictionary_opt::<UInt32Type>()?;
    let Some(wanted) = users.values().as_string_opt::<i32>()?.iter().position(|id| id == Some(user)) else {
        return Some(());
    };
    let items = batch.column_by_name("item_id")?.as_dictionary_opt::<UInt32Type>()?;
    let item_names = items.values().as_string_opt::<i32>()?;
    let weights = batch.column_by_name("weight")?.as_primitive_opt::<Float64Type>()?;
    let last = batch.column_by_name("last_at")?.as_primitive_opt::<TimestampMillisecondType>()?;
    let excluded = batch.column_by_name("excluded")?.as_boolean_opt()?;
    let schema = batch.schema();
    let counts: Vec<(&str, &UInt32Array)> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .skip(5)
        .filter_map(|(field, column)| Some((field.name().strip_prefix("n_")?, column.as_primitive_opt()?)))
        .collect();
    for at in (0..batch.num_rows()).filter(|&at| users.keys().value(at) as usize == wanted) {
        pairs.push(HistoryPair {
            item_id: item_names.value(items.keys().value(at) as usize).to_owned(),
            weight: weights.value(at) as f32,
            last_at: last.is_valid(at).then(|| Stamp::from_unix(last.value(at).div_euclid(1_000))).flatten(),
            excluded: excluded.value(at),
            counts: counts.iter().map(|(name, counts)| ((*name).to_owned(), counts.value(at))).collect(),
        });
    }
    Some(())
}
