//! Reading profiles back, one JSON object a user.

use std::path::PathBuf;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Float32Type, Float64Type, TimestampMillisecondType, UInt32Type},
};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde_json::{Map, Value};

use super::{
    ArtifactError, Run,
    parquet_io::{decode, next_batch},
};

/// Profiles a batch holds.
const BATCH_PROFILES: usize = 4_096;
/// Change every night for every user, and follow from `last_at` and `last_order_at`: readers who want them subtract.
const LEFT_OUT: [&str; 3] = ["recency_days", "days_since_last_event", "days_since_last_order"];
/// Entries of a list that a document holds: of a cart the last that were added.
const MAX_ENTRIES: usize = 20;

/// Reads one file of profiles in batches.
#[derive(Debug)]
pub struct ProfileReader {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
}

/// A batch of profiles.
#[derive(Debug, Default)]
pub struct ProfileTable {
    /// User ids, ascending.
    pub users: Vec<String>,
    /// JSON objects, parallel to the users: counts and money that are not zero, instants in Unix seconds, favourites.
    pub documents: Vec<String>,
}

impl Run {
    /// Opens a file of profiles, checked against the manifest.
    ///
    /// # Errors
    /// When the file is absent or damaged.
    pub fn profile_reader(&self, path: &str) -> Result<ProfileReader, ArtifactError> {
        let bytes = self.read(path)?;
        let path = self.path().join(path);
        let reader =
            decode(&path, || ParquetRecordBatchReaderBuilder::try_new(bytes)?.with_batch_size(BATCH_PROFILES).build())?;
        Ok(ProfileReader { path, reader })
    }
}

impl ProfileReader {
    /// The next batch, `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged.
    #[expect(clippy::should_implement_trait, reason = "it fails once and must not be asked again")]
    pub fn next(&mut self) -> Result<Option<ProfileTable>, ArtifactError> {
        let Some(batch) = next_batch(&self.path, &mut self.reader)? else { return Ok(None) };
        match table(&batch) {
            Some(table) => Ok(Some(table)),
            None => Err(ArtifactError::damaged(&self.path, "a column has another type than it should")),
        }
    }
}

fn table(batch: &RecordBatch) -> Option<ProfileTable> {
    let users = batch.column_by_name("user_id")?.as_string_opt::<i32>()?;
    let mut documents = vec![Map::new(); batch.num_rows()];
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let name = field.name();
        if name == "user_id" || LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        for (row, document) in documents.iter_mut().enumerate().filter(|(row, _)| column.is_valid(*row)) {
            if let Some(value) = value(column.as_ref(), row)? {
                document.insert(name.clone(), value);
            }
        }
    }
    Some(ProfileTable {
        users: users.iter().map(|user| user.map(str::to_owned)).collect::<Option<_>>()?,
        documents: documents.into_iter().map(|document| Value::Object(document).to_string()).collect(),
    })
}

/// `Some(None)` for what says nothing: zero, or no favourites.
fn value(column: &dyn Array, row: usize) -> Option<Option<Value>> {
    Some(match column.data_type() {
        DataType::UInt32 => {
            Some(column.as_primitive_opt::<UInt32Type>()?.value(row)).filter(|n| *n != 0).map(Value::from)
        }
        DataType::Float64 => {
            Some(rounded(column.as_primitive_opt::<Float64Type>()?.value(row))).filter(|x| *x != 0.0).map(Value::from)
        }
        DataType::Timestamp(..) => {
            Some(Value::from(column.as_primitive_opt::<TimestampMillisecondType>()?.value(row).div_euclid(1_000)))
        }
        DataType::Utf8 => Some(Value::from(column.as_string_opt::<i32>()?.value(row))).filter(|text| *text != ""),
        DataType::Float32 => Some(Value::from(rounded(column.as_primitive_opt::<Float32Type>()?.value(row).into()))),
        DataType::List(_) => {
            let entries = column.as_list_opt::<i32>()?.value(row);
            let entries = entries.as_struct_opt()?;
            let entry = |at: usize| {
                let fields = entries.fields().iter().zip(entries.columns()).filter(|(_, column)| column.is_valid(at));
                let values = fields.map(|(field, column)| Some((field.name().clone(), value(column.as_ref(), at)?)));
                let values: Vec<_> = values.collect::<Option<_>>()?;
                let values = values.into_iter().filter_map(|(name, value)| Some((name, value?)));
                Some(Value::Object(values.collect::<Map<_, _>>()))
            };
            let entries: Vec<Value> = (0..entries.len().min(MAX_ENTRIES)).map(entry).collect::<Option<_>>()?;
            (!entries.is_empty()).then_some(Value::Array(entries))
        }
        _ => return None,
    })
}

/// Four decimals: more say nothing to a reader, and take room and writes.
fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{ArrayRef, Float64Array, ListBuilder, StringArray, StringBuilder, StructBuilder, UInt32Array},
        datatypes::{Field, Fields, Schema},
    };

    use super::*;

    #[test]
    fn documents_leave_out_what_says_nothing_and_long_carts() {
        let fields = Fields::from(vec![Field::new("item_id", DataType::Utf8, false)]);
        let mut carts = ListBuilder::new(StructBuilder::from_fields(fields, 0)).with_field(Field::new(
            "item",
            DataType::Struct(Fields::from(vec![Field::new("item_id", DataType::Utf8, false)])),
            false,
        ));
        for n in [25, 0] {
            for at in 0..n {
                carts.values().field_builder::<StringBuilder>(0).unwrap().append_value(format!("i{at:02}"));
                carts.values().append(true);
            }
            carts.append(true);
        }
        let carts = carts.finish();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("user_id", Arc::new(StringArray::from(vec!["ann", "bob"]))),
            ("orders_all", Arc::new(UInt32Array::from(vec![3, 0]))),
            ("average_basket", Arc::new(Float64Array::from(vec![Some(10.0 / 3.0), None]))),
            ("days_since_last_order", Arc::new(Float64Array::from(vec![Some(1.5), None]))),
            ("rfm_tier", Arc::new(StringArray::from(vec![Some("Loyal"), None]))),
        ];
        let mut fields: Vec<Field> =
            columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
        fields.push(Field::new("cart", carts.data_type().clone(), false));
        let mut columns: Vec<ArrayRef> = columns.into_iter().map(|(_, column)| column).collect();
        columns.push(Arc::new(carts));
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let table = table(&batch).unwrap();
        assert_eq!(table.users, ["ann", "bob"]);
        let document: Value = serde_json::from_str(&table.documents[0]).unwrap();
        assert_eq!(document["cart"].as_array().unwrap().len(), MAX_ENTRIES);
        assert_eq!(document["cart"][0]["item_id"], "i00");
        assert_eq!((&document["average_basket"], &document["rfm_tier"]), (&Value::from(3.3333), &Value::from("Loyal")));
        assert_eq!(document["orders_all"], 3);
        assert!(document.get("days_since_last_order").is_none());
        assert_eq!(table.documents[1], "{}");
    }
}
