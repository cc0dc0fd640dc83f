//! What a location in the config means, and which of the things found there it takes.

use globset::{GlobBuilder, GlobMatcher};

use super::StorageError;

/// A place to read from: `data/events`, `data/**/*.parquet`, `s3://bucket/prefix/`, `s3://bucket/dt=2026-*/`.
///
/// A path or key that names a directory or prefix stands for all the files of the wanted kind below it. A glob takes the
/// files it matches, and of a directory it matches the files of the wanted kind below. `*` and `?` stay within one
/// path component, `**` crosses them, `[...]` and `{a,b}` are understood.
#[derive(Debug, Clone)]
pub struct Location {
    /// As the config has it.
    text: String,
    /// The bucket, for S3.
    bucket: Option<String>,
    /// Local path or key, without redundant slashes; with a glob, its pattern.
    path: String,
    /// Bytes of `path` before the component with the first wildcard; all of it without one.
    base_len: usize,
    /// Bytes of `path` before the first wildcard.
    literal_len: usize,
    glob: Option<GlobMatcher>,
}

/// The characters that make a glob.
const WILDCARDS: [char; 4] = ['*', '?', '[', '{'];

impl Location {
    /// Understands a location.
    ///
    /// # Errors
    /// An empty text, a scheme other than `s3://`, an address without a bucket, a glob that does not parse.
    pub fn parse(text: &str) -> Result<Self, StorageError> {
        let bad = |reason: &str| StorageError::BadLocation { location: text.into(), reason: reason.into() };
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        let (bucket, path) = match text.split_once("://") {
            Some(("s3", rest)) => {
                let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(bad("a bucket's name comes after s3://"));
                }
                if bucket.contains(WILDCARDS) {
                    return Err(bad("the bucket's name cannot hold wildcards"));
                }
                (Some(bucket.to_owned()), key.to_owned())
            }
            Some((scheme, _)) if !scheme.contains('/') => {
                return Err(bad(&format!("only local paths and s3:// are read, not {scheme}://")));
            }
            _ => (None, normalized(text)),
        };
        let Some(first) = path.find(WILDCARDS) else {
            return Ok(Self {
                text: text.into(),
                bucket,
                base_len: path.len(),
                literal_len: path.len(),
                path,
                glob: None,
            });
        };
        let base_len = path[..first].rfind('/').map_or(0, |slash| slash + 1);
        let glob = GlobBuilder::new(path.trim_end_matches('/'))
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|source| StorageError::BadGlob { location: text.into(), source })?
            .compile_matcher();
        Ok(Self { text: text.into(), bucket, base_len, literal_len: first, path, glob: Some(glob) })
    }

    /// The location as the config has it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bucket of an S3 location, `None` for a local one.
    #[must_use]
    pub fn bucket(&self) -> Option<&str> {
        self.bucket.as_deref()
    }

    /// Whether the location holds wildcards.
    #[must_use]
    pub fn is_glob(&self) -> bool {
        self.glob.is_some()
    }

    /// Path or key, as it is.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The part of the path before the component with the first wildcard: the directory to walk.
    pub(super) fn base(&self) -> &str {
        &self.path[..self.base_len]
    }

    /// The part of the path before the first wildcard: the prefix to list.
    pub(super) fn literal_prefix(&self) -> &str {
        &self.path[..self.literal_len]
    }

    /// The same location without its wildcards' meaning, for a file whose name holds such characters.
    pub(super) fn taken_literally(&self) -> Self {
        let len = self.path.len();
        Self { glob: None, base_len: len, literal_len: len, ..self.clone() }
    }

    /// Whether the location takes the file `path` of `size` bytes, found below [`base`](Self::base).
    pub(super) fn takes(&self, path: &str, size: u64, suffixes: &[&str]) -> bool {
        let below = path.strip_prefix(self.base()).unwrap_or(path);
        if below.split('/').any(is_hidden) || is_directory_marker(path, size) {
            return false;
        }
        let wanted = has_suffix(path, suffixes);
        let Some(glob) = &self.glob else {
            return wanted;
        };
        if glob.is_match(path) {
            return true;
        }
        wanted && path.char_indices().any(|(at, letter)| letter == '/' && glob.is_match(&path[..at]))
    }
}

/// The suffixes as a message names them.
pub(super) fn describe(suffixes: &[&str]) -> String {
    if suffixes.is_empty() { "file".to_owned() } else { format!("{} file", suffixes.join(" or ")) }
}

/// Whether the name ends as wanted, letter case aside; no suffixes want everything.
fn has_suffix(path: &str, suffixes: &[&str]) -> bool {
    suffixes.is_empty()
        || suffixes.iter().any(|suffix| {
            path.len() >= suffix.len()
                && path.as_bytes()[path.len() - suffix.len()..].eq_ignore_ascii_case(suffix.as_bytes())
        })
}

/// Whether a writer's bookkeeping goes by this name: `.crc` files, `_SUCCESS`, `_temporary`; but `_day=3` is a partition.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || (name.starts_with('_') && !name.contains('='))
}

/// Whether an S3 object only stands for a directory.
fn is_directory_marker(key: &str, size: u64) -> bool {
    size == 0 && (key.ends_with('/') || key.ends_with("_$folder$"))
}

/// The partition columns in the directories of a path: `dt=2026-11-21` is (dt, 2026-11-21); `%` escapes are undone.
pub(super) fn hive_columns(path: &str) -> Vec<(String, String)> {
    let directories = path.rsplit_once('/').map_or("", |(directories, _)| directories);
    directories
        .split('/')
        .filter_map(|component| component.split_once('='))
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (unescaped(name), unescaped(value)))
        .collect()
}

/// Undoes `%3A` and the like; what is no escape, or would not be UTF-8, stays as it is.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let digit = |at: usize| tail.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// A local path without empty and `.` components, so that one file has one spelling; the working directory is `.`.
fn normalized(path: &str) -> String {
    let joined = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/");
    match (path.starts_with('/'), joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(location: &str, path: &str) -> bool {
        Location::parse(location).unwrap().takes(path, 10, &[".parquet"])
    }

    #[test]
    fn globs_take_what_they_match_and_what_lies_below_a_matched_directory() {
        assert!(takes("data/**/*.parquet", "data/a/b.parquet"));
        assert!(takes("data/**/*.parquet", "data/b.parquet"));
        assert!(takes("data/*.csv", "data/b.csv"), "a glob says itself which files it wants");
        assert!(!takes("data/*.parquet", "data/a/b.parquet"), "a star stays within its component");
        assert!(takes("data/dt=2026-1*", "data/dt=2026-11-01/x/a.parquet"));
        assert!(takes("data/dt=2026-1*/", "data/dt=2026-11-01/a.parquet"));
        assert!(!takes("data/dt=2026-1*", "data/dt=2026-11-01/a.txt"));
        assert!(!takes("data/dt=2026-1*", "data/dt=2025-11-01/a.parquet"));
        assert!(takes("s3://b/e/{a,b}/?.parquet", "e/b/x.parquet"));
    }

    #[test]
    fn bookkeeping_is_skipped_but_partitions_are_not() {
        for path in ["d/_SUCCESS", "d/.part.parquet.crc", "d/_temporary/0/a.parquet", "d/.tmp/a.parquet"] {
            assert!(!takes("d", path), "{path}");
            assert!(!takes("d/**", path), "{path}");
        }
        assert!(takes("d", "d/_day=3/a.parquet"));
        assert!(takes("_d", "_d/a.parquet"), "what the user names himself is not hidden");
        let all = Location::parse("s3://b/d/").unwrap();
        assert!(!all.takes("d/sub/", 0, &[]));
        assert!(!all.takes("d/sub_$folder$", 0, &[]));
        assert!(all.takes("d/empty.parquet", 0, &[".parquet"]), "an empty Parquet file is damage, not a marker");
    }

    #[test]
    fn locations_are_split_into_bucket_base_and_prefix() {
        let glob = Location::parse("s3://shop/events/dt=2026-1*/x?.parquet").unwrap();
        assert_eq!(glob.bucket(), Some("shop"));
        assert_eq!(glob.base(), "events/");
        assert_eq!(glob.literal_prefix(), "events/dt=2026-1");
        assert_eq!(Location::parse("./data//x/./y/").unwrap().path(), "data/x/y");
        assert_eq!(Location::parse("/").unwrap().path(), "/");
        assert_eq!(Location::parse("./").unwrap().path(), ".");
        assert_eq!(Location::parse("s3://shop").unwrap().path(), "");
        for bad in ["", "s3://", "s3:///key", "gs://b/k", "s3://b*/k", "a/[b"] {
            assert!(Location::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hive_columns_come_from_directories_only() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            hive_columns("e/dt=2026-11-21/hour=a%3Ab/k=v.parquet"),
            [pair("dt", "2026-11-21"), pair("hour", "a:b")]
        );
        assert_eq!(hive_columns("x=1/=2/a%zz=%ff/f"), [pair("x", "1"), pair("a%zz", "%ff")]);
        assert_eq!(hive_columns("plain.parquet"), []);
    }
}
