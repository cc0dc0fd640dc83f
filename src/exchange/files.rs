//! Parquet files that appear whole or not at all.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

use super::ExchangeError;

/// Rows handed to the encoder at once.
pub(super) const CHUNK_ROWS: usize = 65_536;

/// A Parquet file being written, under another name until it is finished.
#[derive(Debug)]
pub(super) struct TableFile {
    path: PathBuf,
    partial: PathBuf,
    writer: ArrowWriter<File>,
}

impl TableFile {
    /// Begins a file; its folder is made, a file of that name is replaced in the end.
    pub(super) fn create(path: &Path, schema: SchemaRef) -> Result<Self, ExchangeError> {
        let write = |source| ExchangeError::Write { path: path.to_owned(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(write)?;
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial).map_err(write)?;
        let properties = WriterProperties::builder()
            .set_created_by(concat!("nightshelf version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let writer = ArrowWriter::try_new(file, schema, Some(properties))
            .map_err(|source| ExchangeError::Encode { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), partial, writer })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ExchangeError> {
        self.writer.write(batch).map_err(|source| ExchangeError::Encode { path: self.path.clone(), source })
    }

    pub(super) fn finish(self) -> Result<(), ExchangeError> {
        let Self { path, partial, writer } = self;
        writer.close().map_err(|source| ExchangeError::Encode { path: path.clone(), source })?;
        fs::rename(&partial, &path).map_err(|source| ExchangeError::Write { path, source })
    }
}
