//! Reading back what a model needs: factors, neighbours, scores, id tables.

use std::path::{Path, PathBuf};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Float32Type, Int32Type, Schema},
};
use hashbrown::HashMap;
use ndarray::Array2;
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    },
};

use crate::{ids::IdTable, interactions::Csr};

use super::{
    ArtifactError, ReadFiles,
    matrices::{FACTORS, ID, NEIGHBOURS, SCORE, WEIGHT, dense_schema, ids_schema, scores_schema, sparse_schema},
    parquet_io::{decode, metadata, next_batch},
};

/// Rows decoded at once.
const BATCH_ROWS: usize = 8_192;

/// Reads a table of ids that [`write_ids`](super::write_ids) wrote.
///
/// # Errors
/// When the file is absent or damaged; so for the other readers here.
pub fn read_ids(files: &dyn ReadFiles, path: &str) -> Result<IdTable, ArtifactError> {
    MatrixFile::open(files, path, false, |_| Some(ids_schema(&DataType::Utf8View)))?.ids()
}

/// Reads one number an id, as [`write_scores`](super::write_scores) wrote them.
///
/// # Errors
/// As [`read_ids`].
pub fn read_scores(files: &dyn ReadFiles, path: &str) -> Result<(IdTable, Vec<f32>), ArtifactError> {
    let mut file = MatrixFile::open(files, path, false, |_| Some(scores_schema(&DataType::Utf8View)))?;
    let (mut ids, mut scores) = (IdTable::new(), Vec::new());
    while let Some(batch) = file.next()? {
        file.push_ids(&batch, &mut ids)?;
        scores.extend_from_slice(file.floats(batch.column_by_name(SCORE))?);
    }
    Ok((ids, scores))
}

/// Reads a dense matrix that [`write_dense`](super::write_dense) wrote.
///
/// Returns: ids and an n_ids x n_factors matrix in standard (row-major) layout.
///
/// # Errors
/// As [`read_ids`].
pub fn read_dense(files: &dyn ReadFiles, path: &str) -> Result<(IdTable, Array2<f32>), ArtifactError> {
    let mut width = 0;
    let mut file =
        MatrixFile::open(files, path, false, |found| match found.field_with_name(FACTORS).ok()?.data_type() {
            DataType::FixedSizeList(_, n_columns) => {
                width = usize::try_from(*n_columns).ok()?;
                Some(dense_schema(&DataType::Utf8View, *n_columns))
            }
            _ => None,
        })?;
    let (mut ids, mut numbers) = (IdTable::new(), Vec::new());
    while let Some(batch) = file.next()? {
        file.push_ids(&batch, &mut ids)?;
        let lists = batch.column_by_name(FACTORS).and_then(|column| column.as_fixed_size_list_opt());
        numbers.extend_from_slice(file.floats(lists.filter(|lists| lists.null_count() == 0).map(|l| l.values()))?);
    }
    let matrix = Array2::from_shape_vec((ids.len(), width), numbers)
        .map_err(|error| ArtifactError::damaged(&file.path, error))?;
    Ok((ids, matrix))
}

/// Reads sparse rows that [`write_sparse`](super::write_sparse) wrote. `columns` numbers the neighbours; `None` takes
/// the ids of the rows themselves (a square matrix).
///
/// Returns: row ids and the matrix, columns in the order of the file.
///
/// # Errors
/// As [`read_ids`]; also when a neighbour is not among the columns.
pub fn read_sparse(
    files: &dyn ReadFiles,
    path: &str,
    columns: Option<&IdTable>,
) -> Result<(IdTable, Csr), ArtifactError> {
    // Neighbours as a dictionary: each id is looked up once a row group, not once a cell.
    let neighbour = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let schema = sparse_schema(&DataType::Utf8View, &neighbour);
    let row_ids = match columns {
        Some(_) => None,
        None => Some(MatrixFile::open(files, path, true, |_| Some(schema.clone()))?.ids()?),
    };
    let numbering = columns.or(row_ids.as_ref()).map_or_else(HashMap::new, |ids| {
        let mut numbering: HashMap<&str, u32> = HashMap::with_capacity(ids.len());
        numbering.extend(ids.iter().zip(0u32..));
        numbering
    });
    let mut file = MatrixFile::open(files, path, false, |_| Some(schema))?;
    let mut ids = IdTable::new();
    let mut matrix = Csr::empty(0, numbering.len());
    let mut known: Option<(ArrayRef, Vec<u32>)> = None;
    while let Some(batch) = file.next()? {
        file.push_ids(&batch, &mut ids)?;
        let shape = || file.damaged("a column has empty cells or another type than it should");
        let lists =
            batch.column_by_name(NEIGHBOURS).and_then(|column| column.as_list_opt::<i32>()).ok_or_else(shape)?;
        let cells = lists.values().as_struct_opt().ok_or_else(shape)?;
        let texts = cells.column_by_name(ID).and_then(|ids| ids.as_dictionary_opt::<Int32Type>()).ok_or_else(shape)?;
        if lists.null_count() + cells.null_count() + texts.null_count() > 0 {
            return Err(shape());
        }
        if !known.as_ref().is_some_and(|(values, _)| values.to_data().ptr_eq(&texts.values().to_data())) {
            let values = texts.values().as_string_opt::<i32>().ok_or_else(shape)?;
            let numbers = values
                .iter()
                .map(|id| {
                    let number = id.and_then(|id| numbering.get(id).copied());
                    number.ok_or_else(|| file.damaged(format!("neighbour `{}` is unknown", id.unwrap_or_default())))
                })
                .collect::<Result<_, _>>()?;
            known = Some((texts.values().clone(), numbers));
        }
        let (_, numbers) = known.as_ref().ok_or_else(shape)?;
        let offsets = lists.offsets();
        let (base, first, last) = (matrix.indices.len(), offsets[0] as usize, offsets[lists.len()] as usize);
        matrix.indices.extend(texts.keys().values()[first..last].iter().map(|&key| numbers[key as usize]));
        matrix.values.extend_from_slice(&file.floats(cells.column_by_name(WEIGHT))?[first..last]);
        matrix.indptr.extend(offsets.iter().skip(1).map(|&end| base + end as usize - first));
    }
    Ok((ids, matrix))
}

/// A file of a model being read.
struct MatrixFile {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
}

impl MatrixFile {
    /// Opens a file with the columns that `schema` chooses, given those that are there; `only_ids` leaves out all but
    /// the first.
    fn open(
        files: &dyn ReadFiles,
        path: &str,
        only_ids: bool,
        schema: impl FnOnce(&Schema) -> Option<Schema>,
    ) -> Result<Self, ArtifactError> {
        let bytes = files.read(path)?;
        let path = files.name_of(path);
        let found = decode(&path, || ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new()))?;
        let wanted = schema(found.schema())
            .ok_or_else(|| ArtifactError::damaged(&path, "it does not hold a matrix of the expected kind"))?;
        let footer = metadata(&path, &bytes, &wanted)?;
        let reader = decode(&path, || {
            let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, footer);
            if only_ids {
                let first = ProjectionMask::leaves(builder.parquet_schema(), [0]);
                builder = builder.with_projection(first);
            }
            builder.with_batch_size(BATCH_ROWS).build()
        })?;
        Ok(Self { path, reader })
    }

    /// Reads all the ids that are left.
    fn ids(mut self) -> Result<IdTable, ArtifactError> {
        let mut ids = IdTable::new();
        while let Some(batch) = self.next()? {
            self.push_ids(&batch, &mut ids)?;
        }
        Ok(ids)
    }

    fn next(&mut self) -> Result<Option<RecordBatch>, ArtifactError> {
        next_batch(&self.path, &mut self.reader)
    }

    fn damaged(&self, reason: impl std::fmt::Display) -> ArtifactError {
        ArtifactError::damaged(Path::new(&self.path), reason)
    }

    fn push_ids(&self, batch: &RecordBatch, ids: &mut IdTable) -> Result<(), ArtifactError> {
        let column = batch.column_by_name(ID).and_then(|column| column.as_string_view_opt());
        let column =
            column.filter(|column| column.null_count() == 0).ok_or_else(|| self.damaged("it has no item_id"))?;
        (0..column.len()).for_each(|row| ids.push(column.value(row)));
        Ok(())
    }

    /// The numbers of a column without empty cells.
    fn floats<'a>(&self, column: Option<&'a ArrayRef>) -> Result<&'a [f32], ArtifactError> {
        let column = column.and_then(|column| column.as_primitive_opt::<Float32Type>());
        let column = column.filter(|column| column.null_count() == 0);
        column.map(|column| &column.values()[..]).ok_or_else(|| self.damaged("a column of numbers has empty cells"))
    }
}
