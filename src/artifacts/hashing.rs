//! A file that knows its size and SHA-256 when the last byte is written.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{ArtifactError, run_writer::Shared};

/// Bytes collected before they are hashed and written: hashing pays per call, and so does the kernel.
const BUFFER_BYTES: usize = 256 * 1024;

/// One file of a run directory, as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Relative to the run directory, `/` between its parts.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// SHA-256 of the bytes, lower-case hexadecimal.
    pub sha256: String,
    /// Rows, for files that have rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// A file of a run being written: counts and hashes what passes through it.
///
/// A file that is dropped without [`close`](Self::close) stays unfinished, and its run cannot be committed.
#[derive(Debug)]
pub struct HashingFile {
    path: String,
    full_path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    hasher: Sha256,
    bytes: u64,
    rows: Option<u64>,
    shared: Arc<Shared>,
}

impl HashingFile {
    pub(super) fn create(path: String, full_path: PathBuf, shared: Arc<Shared>) -> Result<Self, ArtifactError> {
        let file = File::create_new(&full_path).map_err(ArtifactError::io("create", &full_path))?;
        Ok(Self {
            path,
            full_path,
            file,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            hasher: Sha256::new(),
            bytes: 0,
            rows: None,
            shared,
        })
    }

    /// The file's name, relative to the run directory.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// States how many rows the file holds.
    pub fn set_rows(&mut self, rows: u64) {
        self.rows = Some(rows);
    }

    /// Writes what is buffered and enters the file into its run.
    ///
    /// # Errors
    /// When the last bytes cannot be written (disk full).
    pub fn close(mut self) -> Result<FileEntry, ArtifactError> {
        self.flush_buffer().map_err(ArtifactError::io("write", &self.full_path))?;
        let hasher = std::mem::take(&mut self.hasher);
        let entry = FileEntry {
            path: std::mem::take(&mut self.path),
            bytes: self.bytes,
            sha256: hex(&hasher.finalize()),
            rows: self.rows,
        };
        self.shared.finished(entry.clone());
        Ok(entry)
    }

    fn flush_buffer(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let written = self.pass_on(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
        written
    }

    fn pass_on(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush_buffer()?;
        }
        if bytes.len() >= BUFFER_BYTES {
            self.pass_on(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    /// Does nothing: bytes reach the disk at [`close`](HashingFile::close), durably at the run's commit.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)] as char, DIGITS[usize::from(byte & 15)] as char])
        .collect()
}

/// SHA-256 of some bytes, lower-case hexadecimal.
pub(super) fn sha256_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Size and SHA-256 of a file on disk, read once in constant memory.
pub(super) fn hash_file(path: &Path) -> Result<(u64, String), ArtifactError> {
    use std::io::Read;
    let mut file = File::open(path).map_err(ArtifactError::io("open", path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0u8; BUFFER_BYTES];
    let mut bytes = 0u64;
    loop {
        let n_read = file.read(&mut buffer).map_err(ArtifactError::io("read", path))?;
        if n_read == 0 {
            return Ok((bytes, hex(&hasher.finalize())));
        }
        hasher.update(&buffer[..n_read]);
        bytes += n_read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_standard() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(sha256_of(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
