//! `campaigns/<name>/`: one row a member.

use std::{path::PathBuf, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Float32Array, ListArray, RecordBatch, StringViewArray, StructArray, UInt32Array,
    },
    buffer::{OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, Field, Float32Type, Schema, SchemaRef, UInt32Type},
    error::ArrowError,
};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::recommendations::{Arm, ListBatch, MemberBatch, MemberRow};

use super::{
    ArtifactError, FileEntry, HashingFile, Run,
    list_format::{entry_field, entry_fields},
    list_writer::{offset_of, strings},
    parquet_io::{RowFile, decode, metadata, next_batch},
};

/// The folder of campaigns: below it one folder a campaign, and in that its files.
pub const CAMPAIGNS: &str = "campaigns";

/// Members handed to the Parquet encoder, or read, at once. Where pages end depends on it, and with the pages the
/// file's bytes.
const CHUNK_MEMBERS: usize = 4_096;

/// Longest name of a campaign: stores keep it in an index.
const MAX_NAME_CHARS: usize = 128;

/// The columns, with text as `text`: user_id, rank, score, items: list<struct<item_id, score>>, arm, reason, variables
/// (a JSON object).
pub(super) fn schema(text: &DataType) -> Schema {
    Schema::new(vec![
        Field::new("user_id", text.clone(), false),
        Field::new("rank", DataType::UInt32, false),
        Field::new("score", DataType::Float32, false),
        Field::new("items", DataType::List(entry_field(text)), false),
        Field::new("arm", text.clone(), false),
        Field::new("reason", text.clone(), false),
        Field::new("variables", text.clone(), false),
    ])
}

/// The path of a campaign's file: `campaigns/<name>/part-000.parquet`.
///
/// # Errors
/// When the name cannot be a folder's.
pub fn campaign_path(name: &str, part: usize) -> Result<String, ArtifactError> {
    let refuse = |reason| Err(ArtifactError::BadFileName { path: format!("{CAMPAIGNS}/{name}"), reason });
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS {
        return refuse("a campaign's name has 1 to 128 characters");
    }
    if name.starts_with('.') || name.contains(|c: char| c.is_control() || c == '/' || c == '\\') {
        return refuse(
            "a campaign's name is that of a folder: without `/`, `\\`, control characters, and no `.` in front",
        );
    }
    Ok(format!("{CAMPAIGNS}/{name}/part-{part:03}.parquet"))
}

/// The campaign that a file is of: the folder below `campaigns/`.
#[must_use]
pub fn campaign_of(path: &str) -> Option<&str> {
    let (name, file) = path.strip_prefix(CAMPAIGNS)?.strip_prefix('/')?.split_once('/')?;
    (!name.is_empty() && !file.is_empty()).then_some(name)
}

/// Writes one file of a campaign's members.
///
/// Determinism: the bytes depend on the members alone, not on how they were dealt into batches.
#[derive(Debug)]
pub struct MemberWriter {
    campaign: String,
    schema: SchemaRef,
    rows: RowFile,
    pending: Vec<Pending>,
}

/// A member on its way to the encoder.
#[derive(Debug)]
pub(super) struct Pending {
    user: String,
    rank: u32,
    score: f32,
    items: Vec<(String, f32)>,
    arm: Arm,
    reason: String,
    variables: String,
}

impl Pending {
    pub(super) fn of(member: &MemberRow<'_, '_>) -> Self {
        let items = member.list.items.iter().map(|&item| item.to_owned()).zip(member.list.scores.iter().copied());
        Self {
            user: member.list.key.to_owned(),
            rank: member.rank,
            score: member.score,
            items: items.collect(),
            arm: member.arm,
            reason: member.reason.to_owned(),
            variables: member.variables.to_owned(),
        }
    }
}

impl MemberWriter {
    /// Starts a file, whose path says the campaign's name (see [`campaign_path`]).
    ///
    /// # Errors
    /// When the path is no campaign's, or the Parquet header cannot be written.
    pub fn create(file: HashingFile) -> Result<Self, ArtifactError> {
        let Some(campaign) = campaign_of(file.path()).map(str::to_owned) else {
            let reason = "it is no file of a campaign, `campaigns/<name>/…`";
            return Err(ArtifactError::BadFileName { path: file.path().to_owned(), reason });
        };
        let schema = Arc::new(schema(&DataType::Utf8));
        let dictionary: &[&[&str]] = &[&["items", "list", "item", "item_id"], &["arm"], &["reason"]];
        let rows = RowFile::create(file, Arc::clone(&schema), "user_id", dictionary)?;
        Ok(Self { campaign, schema, rows, pending: Vec::new() })
    }

    /// Appends members.
    ///
    /// # Errors
    /// When they are of another campaign, a score is not a finite number, or variables are no JSON object (the user is
    /// named), or the disk refuses. The file cannot be used after an error.
    pub fn write(&mut self, members: &MemberBatch<'_>) -> Result<(), ArtifactError> {
        if members.campaign != self.campaign {
            return Err(self.refused(format!("it is of campaign `{}`, not `{}`", self.campaign, members.campaign)));
        }
        for member in members.rows() {
            if let Some(fault) = fault_of(&member) {
                return Err(self.refused(format!("user_id `{}`: {fault}", member.list.key)));
            }
            self.pending.push(Pending::of(&member));
            if self.pending.len() == CHUNK_MEMBERS {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes the footer and enters the file into its run.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(mut self) -> Result<FileEntry, ArtifactError> {
        if !self.pending.is_empty() {
            self.flush()?;
        }
        self.rows.finish()
    }

    fn refused(&self, reason: String) -> ArtifactError {
        ArtifactError::BadRows { path: self.rows.path().to_owned(), reason }
    }

    fn flush(&mut self) -> Result<(), ArtifactError> {
        let pending = std::mem::take(&mut self.pending);
        let batch = encode(&self.schema, &pending)
            .map_err(|error| ArtifactError::Encode { path: self.rows.path().to_owned(), source: error.into() })?;
        self.rows.write(&batch)
    }
}

fn fault_of(member: &MemberRow<'_, '_>) -> Option<String> {
    if !member.score.is_finite() {
        return Some(format!("its score is {}", member.score));
    }
    if let Some(at) = member.list.scores.iter().position(|score| !score.is_finite()) {
        return Some(format!("item `{}` has the score {}", member.list.items[at], member.list.scores[at]));
    }
    // Looked through without making values of it: that took half of the time of writing lists.
    let is_object = member.variables.trim_start().starts_with('{')
        && serde_json::from_str::<serde::de::IgnoredAny>(member.variables).is_ok();
    (!is_object).then(|| format!("its variables are no JSON object: {}", member.variables))
}

pub(super) fn encode(schema: &SchemaRef, members: &[Pending]) -> Result<RecordBatch, ArrowError> {
    let text = |of: fn(&Pending) -> &str| strings(&members.iter().map(of).collect::<Vec<_>>());
    let entries = || members.iter().flat_map(|member| &member.items);
    let items = strings(&entries().map(|(item, _)| item.as_str()).collect::<Vec<_>>())?;
    let scores: ArrayRef = Arc::new(Float32Array::from_iter_values(entries().map(|(_, score)| *score)));
    let structs = StructArray::try_new(entry_fields(&DataType::Utf8), vec![items, scores], None)?;
    let mut ends = vec![0];
    for member in members {
        ends.push(offset_of(ends[ends.len() - 1] as usize + member.items.len())?);
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
    let items = ListArray::try_new(entry_field(&DataType::Utf8), offsets, Arc::new(structs), None)?;
    let columns: Vec<ArrayRef> = vec![
        text(|member| &member.user)?,
        Arc::new(UInt32Array::from_iter_values(members.iter().map(|member| member.rank))),
        Arc::new(Float32Array::from_iter_values(members.iter().map(|member| member.score))),
        Arc::new(items),
        text(|member| member.arm.name())?,
        text(|member| &member.reason)?,
        text(|member| &member.variables)?,
    ];
    RecordBatch::try_new(Arc::clone(schema), columns)
}

/// Reads one file of members in batches.
#[derive(Debug)]
pub struct MemberReader {
    path: PathBuf,
    campaign: String,
    reader: ParquetRecordBatchReader,
}

/// A batch of members that owns its text; [`batch`](Self::batch) borrows from it.
#[derive(Debug)]
pub struct MemberTable {
    campaign: String,
    users: StringViewArray,
    ranks: UInt32Array,
    scores: Float32Array,
    offsets: OffsetBuffer<i32>,
    items: StringViewArray,
    item_scores: Float32Array,
    arms: Vec<Arm>,
    reasons: StringViewArray,
    variables: StringViewArray,
}

impl Run {
    /// Opens a file of a campaign's members, checked against the manifest.
    ///
    /// # Errors
    /// When the file is absent, damaged, or holds something else.
    pub fn member_reader(&self, path: &str) -> Result<MemberReader, ArtifactError> {
        let bytes = self.read(path)?;
        let full_path = self.path().join(path);
        let Some(campaign) = campaign_of(path).map(str::to_owned) else {
            return Err(ArtifactError::damaged(full_path, "it lies in no campaign's folder"));
        };
        let footer = metadata(&full_path, &bytes, &schema(&DataType::Utf8View))?;
        let reader = decode(&full_path, || {
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, footer);
            builder.with_batch_size(CHUNK_MEMBERS).build()
        })?;
        Ok(MemberReader { path: full_path, campaign, reader })
    }
}

impl MemberReader {
    /// The next batch, `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged.
    #[expect(clippy::should_implement_trait, reason = "it fails once and must not be asked again")]
    pub fn next(&mut self) -> Result<Option<MemberTable>, ArtifactError> {
        let Some(batch) = next_batch(&self.path, &mut self.reader)? else { return Ok(None) };
        match MemberTable::new(&self.campaign, &batch) {
            Some(table) => Ok(Some(table)),
            None => Err(ArtifactError::damaged(
                &self.path,
                "a column has empty cells or another type than it should, or an arm is neither send nor holdout",
            )),
        }
    }
}

impl MemberTable {
    fn new(campaign: &str, batch: &RecordBatch) -> Option<Self> {
        let column = |name| batch.column_by_name(name).filter(|column| column.null_count() == 0);
        let text = |name| column(name).and_then(|column| column.as_string_view_opt()).cloned();
        let lists = column("items")?.as_list_opt::<i32>()?;
        let entries = lists.values().as_struct_opt().filter(|entries| entries.null_count() == 0)?;
        let items = entries.column_by_name("item_id")?.as_string_view_opt()?.clone();
        let item_scores = entries.column_by_name("score")?.as_primitive_opt::<Float32Type>()?.clone();
        if items.null_count() + item_scores.null_count() > 0 {
            return None;
        }
        let arms = text("arm")?;
        Some(Self {
            campaign: campaign.to_owned(),
            users: text("user_id")?,
            ranks: column("rank")?.as_primitive_opt::<UInt32Type>()?.clone(),
            scores: column("score")?.as_primitive_opt::<Float32Type>()?.clone(),
            offsets: lists.offsets().clone(),
            items,
            item_scores,
            arms: (0..arms.len()).map(|row| Arm::of(arms.value(row))).collect::<Option<_>>()?,
            reasons: text("reason")?,
            variables: text("variables")?,
        })
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The user of row `row`.
    #[must_use]
    pub fn key(&self, row: usize) -> &str {
        self.users.value(row)
    }

    /// The members as the batch that publishing speaks of.
    #[must_use]
    pub fn batch(&self) -> MemberBatch<'_> {
        let n_rows = self.users.len();
        let entries = self.offsets[0] as usize..self.offsets[n_rows] as usize;
        MemberBatch {
            campaign: &self.campaign,
            lists: ListBatch {
                keys: (0..n_rows).map(|row| self.users.value(row)).collect(),
                offsets: self.offsets.iter().map(|&end| end as usize - entries.start).collect(),
                items: entries.clone().map(|at| self.items.value(at)).collect(),
                scores: self.item_scores.values()[entries].to_vec(),
                sources: vec![""; n_rows],
            },
            ranks: self.ranks.values().to_vec(),
            scores: self.scores.values().to_vec(),
            arms: self.arms.clone(),
            reasons: (0..n_rows).map(|row| self.reasons.value(row)).collect(),
            variables: (0..n_rows).map(|row| self.variables.value(row)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn campaigns_are_folders() {
        assert_eq!(campaign_path("spring sale 🌷", 2).unwrap(), "campaigns/spring sale 🌷/part-002.parquet");
        for name in ["", ".", "..", ".hidden", "a/b", "a\\b", "a\nb", &"x".repeat(129)] {
            assert!(matches!(campaign_path(name, 0), Err(ArtifactError::BadFileName { .. })), "{name}");
        }
        assert_eq!(campaign_of("campaigns/spring/part-000.parquet"), Some("spring"));
        assert_eq!(campaign_of("campaigns/spring/deep/part-000.parquet"), Some("spring"));
        for path in ["campaigns/x.parquet", "campaigns//x.parquet", "campaignsx/a/b", "popular/a/b", "campaigns/a/"] {
            assert_eq!(campaign_of(path), None, "{path}");
        }
    }
}
