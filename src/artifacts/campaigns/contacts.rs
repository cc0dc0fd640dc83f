//! `campaign_contacts/`: who was in which campaign on which night, tonight and before: what caps go by.
//!
//! Each run takes the log of the run before over, so that caps hold however few runs are kept.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, Date32Array, RecordBatch},
    datatypes::{DataType, Date32Type, Field, Schema},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::FileBytes;
use crate::{
    artifacts::{
        ArtifactError, FileEntry, HashingFile,
        list_writer::strings,
        parquet_io::{RowFile, decode, next_batch},
    },
    recommendations::Arm,
};

/// The folder, a file a bucket.
pub const CONTACTS: &str = "campaign_contacts";

/// Days from 1970 to 2000, where [`crate::interactions::Stamp`] counts from.
const DAYS_TO_2000: i32 = 10_957;

/// A night on which a user was in a campaign.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContactRow {
    /// The user.
    pub user: String,
    /// Day of the run's `as_of`, in days since 2000.
    pub night: u32,
    /// The campaign's name.
    pub campaign: String,
    /// Whether he was written to or held out.
    pub arm: Arm,
}

/// Writes the contacts of a bucket, in the order given: `user_id`, `night: date`, `campaign`, `arm`.
///
/// # Errors
/// When the disk refuses.
pub fn write_contacts(file: HashingFile, rows: &[ContactRow]) -> Result<FileEntry, ArtifactError> {
    let path = file.path().to_owned();
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let schema = Arc::new(Schema::new(vec![
        text("user_id"),
        Field::new("night", DataType::Date32, false),
        text("campaign"),
        text("arm"),
    ]));
    let mut out = RowFile::create(file, Arc::clone(&schema), "user_id", &[&["user_id"], &["campaign"], &["arm"]])?;
    let texts = |of: fn(&ContactRow) -> &str| strings(&rows.iter().map(of).collect::<Vec<_>>());
    let batch = (|| {
        let nights = Date32Array::from_iter_values(rows.iter().map(|row| row.night as i32 + DAYS_TO_2000));
        let columns: Vec<ArrayRef> =
            vec![texts(|row| &row.user)?, Arc::new(nights), texts(|row| &row.campaign)?, texts(|row| row.arm.name())?];
        RecordBatch::try_new(schema, columns)
    })()
    .map_err(|error| ArtifactError::Encode { path, source: error.into() })?;
    out.write(&batch)?;
    out.finish()
}

/// Reads the contacts of a bucket.
///
/// # Errors
/// When the file is damaged.
pub fn read_contacts(file: &FileBytes) -> Result<Vec<ContactRow>, ArtifactError> {
    let mut reader = decode(&file.path, || {
        ParquetRecordBatchReaderBuilder::try_new(file.bytes.clone())?.with_batch_size(16_384).build()
    })?;
    let mut rows = Vec::new();
    while let Some(batch) = next_batch(&file.path, &mut reader)? {
        collect(&batch, &mut rows)
            .ok_or_else(|| ArtifactError::damaged(&file.path, "a column is absent or of another type"))?;
    }
    Ok(rows)
}

fn collect(batch: &RecordBatch, rows: &mut Vec<ContactRow>) -> Option<()> {
    let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
    let (users, campaigns, arms) = (text("user_id")?, text("campaign")?, text("arm")?);
    let nights = batch.column_by_name("night")?.as_primitive_opt::<Date32Type>()?;
    for row in 0..batch.num_rows() {
        rows.push(ContactRow {
            user: users.value(row).to_owned(),
            night: u32::try_from(nights.value(row) - DAYS_TO_2000).ok()?,
            campaign: campaigns.value(row).to_owned(),
            arm: Arm::of(arms.value(row))?,
        });
    }
    Some(())
}
