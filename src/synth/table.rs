//! Parquet files, a row group at a time: row groups are encoded wherever there is a thread and appended in order.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use parquet::{
    basic::{Compression as Codec, ZstdLevel},
    column::writer::{ColumnCloseResult, ColumnWriterImpl, get_column_writer, get_typed_column_writer},
    data_type::{ByteArray, ByteArrayType, DataType},
    errors::{ParquetError, Result},
    file::{
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr},
        writer::SerializedFileWriter,
    },
    schema::{
        parser::parse_message_type,
        types::{SchemaDescPtr, SchemaDescriptor, TypePtr},
    },
};

use super::{config::Compression, error::SynthError, pages::CheckedPages};

/// Values that are handed to a column writer at once: enough to spread the call, few enough for the cache.
const BATCH: usize = 4_096;

/// The columns of a table and how they are written.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    root: TypePtr,
    columns: SchemaDescPtr,
    props: WriterPropertiesPtr,
}

impl Schema {
    /// A schema in Parquet's message syntax.
    ///
    /// `distinct` are the columns whose values hardly repeat, so that a dictionary would not pay; `ranged` those whose
    /// least and greatest value the footer tells.
    ///
    /// # Panics
    /// When the message is not well-formed.
    pub(crate) fn new(message: &str, distinct: &[&str], ranged: &[&str], compression: Compression) -> Self {
        let root = Arc::new(parse_message_type(message).expect("the schema is well-formed"));
        let columns = Arc::new(SchemaDescriptor::new(root.clone()));
        let codec = match compression {
            Compression::None => Codec::UNCOMPRESSED,
            Compression::Snappy => Codec::SNAPPY,
            Compression::Zstd => Codec::ZSTD(ZstdLevel::try_new(1).expect("1 is a level of zstd")),
        };
        let mut props = WriterProperties::builder()
            .set_compression(codec)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_offset_index_disabled(true);
        for column in columns.columns() {
            let name = column.path().string();
            if distinct.contains(&name.as_str()) {
                props = props.set_column_dictionary_enabled(column.path().clone(), false);
            }
            if ranged.contains(&name.as_str()) {
                props = props.set_column_statistics_enabled(column.path().clone(), EnabledStatistics::Chunk);
            }
        }
        Self { root, columns, props: Arc::new(props.build()) }
    }
}

/// A row group that is encoded.
#[derive(Debug)]
pub(crate) struct Encoded {
    columns: Vec<(Bytes, ColumnCloseResult)>,
}

/// Encodes a row group column by column, in the order of the schema.
#[derive(Debug)]
pub(crate) struct Encoder<'a> {
    schema: &'a Schema,
    n_rows: usize,
    columns: Vec<(Bytes, ColumnCloseResult)>,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(schema: &'a Schema, n_rows: usize) -> Self {
        Self { schema, n_rows, columns: Vec::with_capacity(schema.columns.num_columns()) }
    }

    /// The next column, by whatever `write` does with its writer.
    pub(crate) fn column<T: DataType>(
        &mut self,
        write: impl FnOnce(&mut ColumnWriterImpl<'_, T>) -> Result<()>,
    ) -> Result<()> {
        let column = self.schema.columns.column(self.columns.len());
        let mut bytes = Vec::new();
        let pages = Box::new(CheckedPages { bytes: &mut bytes });
        let mut writer = get_typed_column_writer::<T>(get_column_writer(column, self.schema.props.clone(), pages));
        write(&mut writer)?;
        let close = writer.close()?;
        self.columns.push((Bytes::from(bytes), close));
        Ok(())
    }

    /// The next column, of one value a row; `None` is null.
    pub(crate) fn values<T: DataType>(&mut self, mut value: impl FnMut(usize) -> Option<T::T>) -> Result<()> {
        let (n_rows, nullable) = (self.n_rows, self.next_is_nullable());
        self.column::<T>(|writer| {
            let (mut values, mut levels) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
            for first in (0..n_rows).step_by(BATCH) {
                values.clear();
                levels.clear();
                for row in first..n_rows.min(first + BATCH) {
                    let value = value(row);
                    levels.push(i16::from(value.is_some()));
                    values.extend(value);
                }
                writer.write_batch(&values, nullable.then_some(levels.as_slice()), None)?;
            }
            Ok(())
        })
    }

    /// The next column, of one text a row: `write` appends it and says whether there is one.
    pub(crate) fn texts(&mut self, mut write: impl FnMut(usize, &mut Vec<u8>) -> bool) -> Result<()> {
        let (n_rows, nullable) = (self.n_rows, self.next_is_nullable());
        self.column::<ByteArrayType>(|writer| {
            let (mut ends, mut levels) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
            for first in (0..n_rows).step_by(BATCH) {
                // The values of a batch are slices of one buffer.
                let mut text = Vec::with_capacity(BATCH * 24);
                ends.clear();
                levels.clear();
                for row in first..n_rows.min(first + BATCH) {
                    let start = text.len();
                    let there = write(row, &mut text);
                    levels.push(i16::from(there));
                    if there {
                        ends.push(text.len());
                    } else {
                        text.truncate(start);
                    }
                }
                let text = Bytes::from(text);
                let mut start = 0;
                let slice = |&end: &usize| ByteArray::from(text.slice(std::mem::replace(&mut start, end)..end));
                let values: Vec<ByteArray> = ends.iter().map(slice).collect();
                writer.write_batch(&values, nullable.then_some(levels.as_slice()), None)?;
            }
            Ok(())
        })
    }

    fn next_is_nullable(&self) -> bool {
        self.schema.columns.column(self.columns.len()).max_def_level() > 0
    }

    /// The row group.
    ///
    /// # Panics
    /// When a column is missing.
    pub(crate) fn finish(self) -> Encoded {
        assert_eq!(self.columns.len(), self.schema.columns.num_columns(), "every column is encoded");
        Encoded { columns: self.columns }
    }
}

/// A Parquet file that appears under its name once it is whole.
pub(crate) struct TableFile {
    path: PathBuf,
    hidden: PathBuf,
    writer: SerializedFileWriter<File>,
}

impl TableFile {
    /// Begins the file `path`; its directory must exist.
    pub(crate) fn create(path: &Path, schema: &Schema) -> std::result::Result<Self, SynthError> {
        let hidden = hidden(path);
        let file = File::create(&hidden).map_err(|source| io("create", &hidden, source))?;
        let writer = SerializedFileWriter::new(file, schema.root.clone(), schema.props.clone())
            .map_err(|source| failed(path, source))?;
        Ok(Self { path: path.to_owned(), hidden, writer })
    }

    /// Appends a row group.
    pub(crate) fn append(&mut self, group: Encoded) -> std::result::Result<(), SynthError> {
        let append = || {
            let mut writer = self.writer.next_row_group()?;
            for (bytes, close) in group.columns {
                writer.append_column(&bytes, close)?;
            }
            writer.close()
        };
        append().map(|_| ()).map_err(|source| failed(&self.path, source))
    }

    /// Ends the file and gives it its name.
    ///
    /// Returns: its size in bytes.
    pub(crate) fn finish(mut self) -> std::result::Result<u64, SynthError> {
        self.writer.finish().map_err(|source| failed(&self.path, source))?;
        let size = self.writer.bytes_written() as u64;
        fs::rename(&self.hidden, &self.path).map_err(|source| io("name", &self.path, source))?;
        Ok(size)
    }
}

/// The name that a file has while it is written.
pub(crate) fn hidden(path: &Path) -> PathBuf {
    let name = path.file_name().expect("a file has a name").to_string_lossy();
    path.with_file_name(format!(".{name}.partial"))
}

pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> SynthError {
    SynthError::Io { action, path: path.to_owned(), source }
}

/// Writing goes through the `parquet` crate: a full disk comes back as its error.
pub(crate) fn failed(path: &Path, source: ParquetError) -> SynthError {
    let path = path.to_owned();
    match source {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => SynthError::Io { action: "write", path, source: *source },
            Err(source) => SynthError::Parquet { path, source: ParquetError::External(source) },
        },
        source => SynthError::Parquet { path, source },
    }
}

/// Appends `number` in decimal, with zeros in front up to `width` digits.
pub(crate) fn digits(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut text = [b'0'; 20];
    let mut at = text.len();
    while number > 0 {
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&text[at.min(text.len() - width)..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::{
        data_type::{DoubleType, Int64Type},
        file::reader::{FileReader, SerializedFileReader},
        record::RowAccessor,
    };

    #[test]
    fn digits_are_filled_up_but_never_cut() {
        let text = |number, width| {
            let mut out = Vec::new();
            digits(&mut out, number, width);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            [text(0, 1), text(7, 3), text(12345, 3), text(u64::MAX, 4)].join(" "),
            "0 007 12345 18446744073709551615"
        );
    }

    #[test]
    fn what_is_written_is_read_again_and_a_flipped_bit_is_noticed() {
        let message = "message t { required binary id (STRING); optional binary word (STRING); optional double price;
            required int64 at (TIMESTAMP(MILLIS, true)); }";
        for compression in [Compression::None, Compression::Snappy, Compression::Zstd] {
            let schema = Schema::new(message, &["id"], &["at"], compression);
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("t.parquet");
            let mut file = TableFile::create(&path, &schema).unwrap();
            // Two row groups, the first longer than a batch.
            for (first, n_rows) in [(0, 10_000), (10_000, 3)] {
                let mut encoder = Encoder::new(&schema, n_rows);
                encoder
                    .texts(|row, out| {
                        digits(out, (first + row) as u64, 6);
                        true
                    })
                    .unwrap();
                encoder
                    .texts(|row, out| {
                        out.extend(b"word");
                        digits(out, row as u64 % 7, 1);
                        row % 3 != 0
                    })
                    .unwrap();
                encoder.values::<DoubleType>(|row| (row % 5 == 0).then_some(row as f64)).unwrap();
                encoder.values::<Int64Type>(|row| Some(row as i64)).unwrap();
                file.append(encoder.finish()).unwrap();
            }
            assert!(!path.exists(), "an unfinished file has no name");
            let size = file.finish().unwrap();
            let bytes = fs::read(&path).unwrap();
            assert_eq!(size, bytes.len() as u64);
            let read = |bytes: Vec<u8>| -> Result<usize> {
                let reader = SerializedFileReader::new(Bytes::from(bytes))?;
                let mut n_rows = 0;
                for (number, row) in reader.get_row_iter(None)?.enumerate() {
                    let (row, local) = (row?, if number < 10_000 { number } else { number - 10_000 });
                    assert_eq!(row.get_string(0)?, &format!("{number:06}"));
                    assert_eq!(row.get_string(1).ok().cloned(), (local % 3 != 0).then(|| format!("word{}", local % 7)));
                    assert_eq!(row.get_double(2).ok(), (local % 5 == 0).then_some(local as f64));
                    n_rows += 1;
                }
                Ok(n_rows)
            };
            assert_eq!(read(bytes.clone()).unwrap(), 10_003);
            let chunk = SerializedFileReader::new(Bytes::from(bytes.clone())).unwrap();
            let chunk = chunk.metadata().row_group(0).column(0).byte_range();
            let mut broken = bytes;
            broken[(chunk.0 + chunk.1 - 9) as usize] ^= 4;
            let error = read(broken).unwrap_err().to_string();
            assert!(error.contains("CRC"), "{error}");
        }
    }
}
