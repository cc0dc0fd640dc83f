//! Flat tables between stages: Parquet like the files of a run, so that a notebook can look into them.

use std::{path::PathBuf, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Float32Array, Int64Array, RecordBatch, UInt32Array,
    },
    datatypes::{DataType, Field, Float32Type, Int64Type, Schema, UInt32Type},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::{
    artifacts::{
        ArtifactError, FileEntry, HashingFile, ReadFiles,
        list_writer::strings,
        parquet_io::{RowFile, decode, next_batch},
    },
    ids::IdTable,
};

/// Rows handed to the encoder at once.
const CHUNK_ROWS: usize = 65_536;

/// A column to write.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// Numbers.
    U32(&'a [u32]),
    /// Numbers.
    I64(&'a [i64]),
    /// Numbers.
    F32(&'a [f32]),
    /// Flags.
    Bool(&'a [bool]),
    /// Ids.
    Text(&'a IdTable),
}

impl Values<'_> {
    fn len(self) -> usize {
        match self {
            Self::U32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::U32(_) => DataType::UInt32,
            Self::I64(_) => DataType::Int64,
            Self::F32(_) => DataType::Float32,
            Self::Bool(_) => DataType::Boolean,
            Self::Text(_) => DataType::Utf8,
        }
    }

    fn rows(self, rows: std::ops::Range<usize>) -> Result<ArrayRef, arrow::error::ArrowError> {
        Ok(match self {
            Self::U32(values) => Arc::new(UInt32Array::from(values[rows].to_vec())),
            Self::I64(values) => Arc::new(Int64Array::from(values[rows].to_vec())),
            Self::F32(values) => Arc::new(Float32Array::from(values[rows].to_vec())),
            Self::Bool(values) => Arc::new(BooleanArray::from(values[rows].to_vec())),
            Self::Text(values) => strings(&rows.map(|row| values.get(row)).collect::<Vec<_>>())?,
        })
    }
}

/// Writes a table of equally long columns.
///
/// # Errors
/// When they are of different lengths, or the disk refuses.
pub fn write_table(file: HashingFile, columns: &[(&str, Values<'_>)]) -> Result<FileEntry, ArtifactError> {
    let path = file.path().to_owned();
    let n_rows = columns.first().map_or(0, |(_, values)| values.len());
    if let Some((name, values)) = columns.iter().find(|(_, values)| values.len() != n_rows) {
        let reason = format!("column {name} has {} rows, the first one {n_rows}", values.len());
        return Err(ArtifactError::BadRows { path, reason });
    }
    let fields: Vec<Field> =
        columns.iter().map(|(name, values)| Field::new(*name, values.data_type(), false)).collect();
    let schema = Arc::new(Schema::new(fields));
    let mut out = RowFile::create(file, Arc::clone(&schema), columns.first().map_or("", |(name, _)| name), &[])?;
    for start in (0..n_rows).step_by(CHUNK_ROWS) {
        let rows = start..(start + CHUNK_ROWS).min(n_rows);
        let batch = columns
            .iter()
            .map(|(_, values)| values.rows(rows.clone()))
            .collect::<Result<Vec<_>, _>>()
            .and_then(|columns| RecordBatch::try_new(Arc::clone(&schema), columns))
            .map_err(|error| ArtifactError::Encode { path: path.clone(), source: error.into() })?;
        out.write(&batch)?;
    }
    out.finish()
}

/// A table that was read.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    batches: Vec<RecordBatch>,
}

impl Table {
    /// Reads a table that [`write_table`] wrote.
    ///
    /// # Errors
    /// When it is absent or damaged.
    pub fn read(files: &dyn ReadFiles, path: &str) -> Result<Self, ArtifactError> {
        let bytes = files.read(path)?;
        let path = files.name_of(path);
        let mut reader =
            decode(&path, || ParquetRecordBatchReaderBuilder::try_new(bytes)?.with_batch_size(CHUNK_ROWS).build())?;
        let mut batches = Vec::new();
        while let Some(batch) = next_batch(&path, &mut reader)? {
            batches.push(batch);
        }
        Ok(Self { path, batches })
    }

    fn column<'a, A: ?Sized + 'a>(
        &'a self,
        name: &str,
        cast: impl Fn(&'a ArrayRef) -> Option<&'a A>,
        mut each: impl FnMut(&'a A),
    ) -> Result<(), ArtifactError> {
        for batch in &self.batches {
            let column = batch.column_by_name(name).filter(|column| column.null_count() == 0).and_then(&cast);
            let wrong = || ArtifactError::damaged(&self.path, format!("column `{name}` is absent or of another type"));
            each(column.ok_or_else(wrong)?);
        }
        Ok(())
    }

    fn numbers<T: ArrowPrimitiveType>(&self, name: &str) -> Result<Vec<T::Native>, ArtifactError> {
        let mut all = Vec::with_capacity(self.n_rows());
        self.column(name, |column| column.as_primitive_opt::<T>(), |column| all.extend_from_slice(column.values()))?;
        Ok(all)
    }

    /// How many rows it has.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// A column of numbers.
    ///
    /// # Errors
    /// When it is absent or of another type; so for the other columns.
    pub fn u32(&self, name: &str) -> Result<Vec<u32>, ArtifactError> {
        self.numbers::<UInt32Type>(name)
    }

    /// A column of numbers.
    ///
    /// # Errors
    /// As [`u32`](Self::u32).
    pub fn i64(&self, name: &str) -> Result<Vec<i64>, ArtifactError> {
        self.numbers::<Int64Type>(name)
    }

    /// A column of numbers.
    ///
    /// # Errors
    /// As [`u32`](Self::u32).
    pub fn f32(&self, name: &str) -> Result<Vec<f32>, ArtifactError> {
        self.numbers::<Float32Type>(name)
    }

    /// A column of flags.
    ///
    /// # Errors
    /// As [`u32`](Self::u32).
    pub fn bool(&self, name: &str) -> Result<Vec<bool>, ArtifactError> {
        let mut all = Vec::with_capacity(self.n_rows());
        self.column(name, |column| column.as_boolean_opt(), |column| all.extend(column.values().iter()))?;
        Ok(all)
    }

    /// A column of ids.
    ///
    /// # Errors
    /// As [`u32`](Self::u32).
    pub fn text(&self, name: &str) -> Result<IdTable, ArtifactError> {
        let mut all = IdTable::new();
        self.column(
            name,
            |column| column.as_string_opt::<i32>(),
            |column| column.iter().flatten().for_each(|id| all.push(id)),
        )?;
        Ok(all)
    }
}
