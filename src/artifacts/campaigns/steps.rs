//! `campaign_steps/`: who matched which campaign, and the step that he came to: what `campaign why` answers from.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::FileBytes;
use crate::{
    artifacts::{
        ArtifactError, FileEntry, HashingFile,
        list_writer::strings,
        parquet_io::{RowFile, decode, next_batch},
    },
    campaigns::Step,
    ids::IdTable,
};

/// The folder, a file a bucket.
pub const STEPS: &str = "campaign_steps";

/// Rows handed to the encoder at once.
const CHUNK_ROWS: usize = 65_536;

/// What became of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRow {
    /// The campaign's name.
    pub campaign: String,
    /// Where he fell, or [`Step::Candidate`]; then the size limit decided.
    pub step: Step,
}

/// Writes the steps of a bucket: `user_id`, `campaign`, `step`; (user's place, campaign's place, step), users ascending.
///
/// # Errors
/// When the disk refuses.
pub fn write_steps(
    file: HashingFile,
    users: &IdTable,
    campaigns: &[&str],
    steps: &[(u32, u16, Step)],
) -> Result<FileEntry, ArtifactError> {
    let path = file.path().to_owned();
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let schema = Arc::new(Schema::new(vec![text("user_id"), text("campaign"), text("step")]));
    let mut out = RowFile::create(file, Arc::clone(&schema), "user_id", &[&["user_id"], &["campaign"], &["step"]])?;
    for chunk in steps.chunks(CHUNK_ROWS) {
        let batch = (|| {
            let ids: Vec<&str> = chunk.iter().map(|(user, ..)| users.get(*user as usize)).collect();
            let names: Vec<&str> = chunk.iter().map(|(_, campaign, _)| campaigns[*campaign as usize]).collect();
            let steps: Vec<&str> = chunk.iter().map(|(.., step)| step.name()).collect();
            let columns: Vec<ArrayRef> = vec![strings(&ids)?, strings(&names)?, strings(&steps)?];
            RecordBatch::try_new(Arc::clone(&schema), columns)
        })()
        .map_err(|error| ArtifactError::Encode { path: path.clone(), source: error.into() })?;
        out.write(&batch)?;
    }
    out.finish()
}

/// The steps of one user.
///
/// # Errors
/// When the file is damaged.
pub fn read_steps(file: &FileBytes, user: &str) -> Result<Vec<StepRow>, ArtifactError> {
    let mut reader = decode(&file.path, || {
        ParquetRecordBatchReaderBuilder::try_new(file.bytes.clone())?.with_batch_size(16_384).build()
    })?;
    let mut rows = Vec::new();
    while let Some(batch) = next_batch(&file.path, &mut reader)? {
        collect(&batch, user, &mut rows)
            .ok_or_else(|| ArtifactError::damaged(&file.path, "a column is absent or of another type"))?;
    }
    Ok(rows)
}

fn collect(batch: &RecordBatch, user: &str, rows: &mut Vec<StepRow>) -> Option<()> {
    let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
    let (users, campaigns, steps) = (text("user_id")?, text("campaign")?, text("step")?);
    for row in (0..batch.num_rows()).filter(|&row| users.value(row) == user) {
        rows.push(StepRow { campaign: campaigns.value(row).to_owned(), step: Step::of(steps.value(row))? });
    }
    Some(())
}
