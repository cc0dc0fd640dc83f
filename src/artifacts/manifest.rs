//! The manifest: what went into a build, what came out, and the hash that two equal builds share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ArtifactError, FileEntry, hashing::sha256_of};

/// Version of the run directory's format that this program writes; it reads this one and all before.
pub const FORMAT_VERSION: u32 = 1;

/// `manifest.json` of a run: written last, so a directory without it is no run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// SHA-256 of the canonical JSON of `content`: equal for builds of the same input and config, whatever the thread
    /// count, the machine, the order or the names of the input files.
    pub content_sha256: String,
    /// What the input and the config determine.
    pub content: Content,
    /// What differs from build to build.
    pub observed: Observed,
}

/// The deterministic part of a manifest.
///
/// Stages add their own counts and metrics as plain names and numbers, so that a new stage needs no new format.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Content {
    /// Version of the run directory's format; [`RunWriter::commit`](super::RunWriter::commit) sets it.
    pub format_version: u32,
    /// Version of the program that built the run.
    pub program_version: String,
    /// Root of every random stream.
    pub seed: u64,
    /// The instant that ages are counted from (RFC 3339).
    pub as_of: Option<String>,
    /// Into how many buckets users were dealt; 0 when the run holds no users.
    pub n_buckets: usize,
    /// The effective config, as far as it determines the result (see [`split_config`]).
    pub config: Value,
    /// The inputs without their names; commit sorts them.
    pub inputs: Vec<InputContent>,
    /// Counts by stage and reason: `events.rejected` -> `null user_id` -> 135080.
    pub counts: BTreeMap<String, BTreeMap<String, u64>>,
    /// What models and evaluation say of themselves: `als.loss` -> one number an iteration.
    pub metrics: BTreeMap<String, Value>,
    /// Rows of each top-level folder (campaigns: of each campaign); commit fills it from `files`.
    pub rows: BTreeMap<String, u64>,
    /// The files whose bytes the input determines, by path; commit fills it.
    pub files: Vec<FileEntry>,
}

/// One input, without its name: renaming a file changes nothing in a build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputContent {
    /// What it is read as: `events`, `orders`, `catalog`.
    pub role: String,
    /// Checksum or ETag with its kind in front: `sha256:…`, `etag:…`; empty when none was taken.
    pub checksum: String,
    /// Size.
    pub bytes: u64,
}

/// One input under its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputObserved {
    /// What it is read as.
    pub role: String,
    /// Path or URL as given or found.
    pub path: String,
    /// As in [`InputContent`].
    pub checksum: String,
    /// Size.
    pub bytes: u64,
}

/// The part of a manifest that no two builds share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Observed {
    /// The run's name; commit sets it.
    pub run: String,
    /// When the build started (RFC 3339, UTC). Runs are listed by it.
    pub created_at: String,
    /// Seconds by stage, in the order of the work.
    pub timings_s: Vec<(String, f64)>,
    /// Largest resident memory of the process.
    pub peak_memory_bytes: u64,
    /// Threads that worked.
    pub n_threads: usize,
    /// The config keys that do not determine the result: paths, threads.
    pub config: Value,
    /// The inputs by name.
    pub inputs: Vec<InputObserved>,
    /// Files that carry times or names, such as `report.html`; commit fills it.
    pub files: Vec<FileEntry>,
    /// Anything else worth keeping.
    pub notes: BTreeMap<String, Value>,
}

impl Manifest {
    /// Every file of the run except the manifest itself: content files, then observed ones.
    pub fn files(&self) -> impl Iterator<Item = &FileEntry> + '_ {
        self.content.files.iter().chain(&self.observed.files)
    }

    /// The entry of the file at `path`.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        self.files().find(|entry| entry.path == path)
    }

    /// Joins the two parts: sorts inputs and files, counts rows, rounds numbers and takes the hash.
    pub(super) fn seal(mut content: Content, mut observed: Observed) -> Result<Self, serde_json::Error> {
        content.format_version = FORMAT_VERSION;
        content.inputs.sort();
        content.files.sort_by(|a, b| a.path.cmp(&b.path));
        observed.inputs.sort();
        observed.files.sort_by(|a, b| a.path.cmp(&b.path));
        content.rows.clear();
        for entry in &content.files {
            let (Some(rows), Some((folder, _))) = (entry.rows, entry.path.rsplit_once('/')) else { continue };
            *content.rows.entry(folder.to_owned()).or_default() += rows;
        }
        round_numbers(&mut content.config);
        content.metrics.values_mut().for_each(round_numbers);
        let content_sha256 = canonical_sha256(serde_json::to_value(&content)?);
        Ok(Self { content_sha256, content, observed })
    }

    /// Parses and checks a manifest.
    ///
    /// # Errors
    /// When it is not JSON of the known form, of a newer format, or its content is not what its hash says.
    pub(super) fn parse(bytes: &[u8], path: &std::path::Path) -> Result<Self, ArtifactError> {
        let damaged = |error: serde_json::Error| ArtifactError::damaged(path, error);
        let whole: Value = serde_json::from_slice(bytes).map_err(damaged)?;
        let found = whole["content"]["format_version"].as_u64().unwrap_or(0);
        if found == 0 || found > u64::from(FORMAT_VERSION) {
            return Err(ArtifactError::UnknownFormat { path: path.into(), found, known: FORMAT_VERSION });
        }
        // Hashed as it stands in the file, so that fields added by later versions do not change old hashes.
        let hash = canonical_sha256(whole["content"].clone());
        let manifest: Self = serde_json::from_value(whole).map_err(damaged)?;
        if hash != manifest.content_sha256 {
            let stated = &manifest.content_sha256;
            return Err(ArtifactError::damaged(
                path,
                format!("content has SHA-256 {hash}, content_sha256 says {stated}"),
            ));
        }
        Ok(manifest)
    }
}

/// SHA-256 of a value's canonical JSON: keys sorted, no spaces, numbers to 12 significant digits.
#[must_use]
pub fn canonical_sha256(mut value: Value) -> String {
    round_numbers(&mut value);
    let mut text = String::new();
    write_canonical(&value, &mut text);
    sha256_of(text.as_bytes())
}

/// Rounds every non-integer number to 12 significant digits.
///
/// A JSON parser may miss the last bit of a double; a rounded number comes back as the same number from any of them, so
/// the hash of a manifest that was read equals that of the manifest that was written.
fn round_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let rounded = number.as_f64().and_then(|exact| format!("{exact:.11e}").parse::<f64>().ok());
            if let Some(rounded) = rounded.and_then(serde_json::Number::from_f64) {
                *number = rounded;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(round_numbers),
        Value::Object(entries) => entries.values_mut().for_each(round_numbers),
        _ => {}
    }
}

/// Writes JSON with sorted keys and no spaces. `serde_json::Map` may keep insertion order, depending on a feature that
/// any dependency can switch on, so the order is made here.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Array(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_canonical(value, out);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            let mut keys: Vec<_> = entries.keys().collect();
            keys.sort();
            out.push('{');
            for (at, key) in keys.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_canonical(&entries[key], out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// Splits an effective config in two: what determines the result, and what does not.
///
/// `observed_keys` are dotted paths (`threads`, `events.path`), each naming a value or a whole table.
///
/// Returns: (for [`Content::config`], for [`Observed::config`]). A key that is absent is skipped.
#[must_use]
pub fn split_config(mut config: Value, observed_keys: &[&str]) -> (Value, Value) {
    let mut observed = serde_json::Map::new();
    for key in observed_keys {
        let (parents, last) = match key.rsplit_once('.') {
            Some((parents, last)) => (parents.split('.').collect(), last),
            None => (Vec::new(), *key),
        };
        let table = parents.iter().try_fold(&mut config, |table, part| table.get_mut(part));
        if let Some(value) = table.and_then(Value::as_object_mut).and_then(|table| table.remove(last)) {
            observed.insert((*key).to_owned(), value);
        }
    }
    (config, Value::Object(observed))
}

/// Puts what [`split_config`] took out back where it was.
#[must_use]
pub fn join_config(mut config: Value, observed: &Value) -> Value {
    for (key, value) in observed.as_object().into_iter().flatten() {
        let (parents, last) = match key.rsplit_once('.') {
            Some((parents, last)) => (parents.split('.').collect(), last),
            None => (Vec::new(), key.as_str()),
        };
        let table = parents.iter().try_fold(&mut config, |table, part| table.get_mut(part));
        if let Some(table) = table.and_then(Value::as_object_mut) {
            table.insert(last.to_owned(), value.clone());
        }
    }
    config
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(path: &str, rows: u64) -> FileEntry {
        FileEntry { path: path.into(), bytes: 3, sha256: "00".into(), rows: Some(rows) }
    }

    fn content() -> Content {
        Content {
            program_version: "0.1.0".into(),
            seed: 7,
            config: json!({"model": {"als": {"alpha": 0.1, "n_factors": 64}}}),
            inputs: vec![
                InputContent { role: "events".into(), checksum: "sha256:bb".into(), bytes: 2 },
                InputContent { role: "events".into(), checksum: "sha256:aa".into(), bytes: 5 },
            ],
            metrics: [("als.loss".to_owned(), json!([1.0 / 3.0, 2.0f64.sqrt() * 1e17, 1e-300, 0.1f32]))].into(),
            files: vec![entry("recommendations/bucket-001.parquet", 4), entry("recommendations/bucket-000.parquet", 3)],
            ..Content::default()
        }
    }

    #[test]
    fn canonical_json_sorts_keys_and_escapes() {
        let mut text = String::new();
        write_canonical(&json!({"b": [1, 2.5, null, true], "a": {"z": "\"\n", "ä": 1e21}}), &mut text);
        assert_eq!(text, r#"{"a":{"z":"\"\n","ä":1e+21},"b":[1,2.5,null,true]}"#);
    }

    #[test]
    fn order_of_inputs_and_files_does_not_change_the_hash_and_a_number_does() {
        let sealed = Manifest::seal(content(), Observed::default()).unwrap();
        let mut other = content();
        other.inputs.reverse();
        other.files.reverse();
        let observed = Observed { n_threads: 2, created_at: "2026-11-22T00:00:00Z".into(), ..Observed::default() };
        assert_eq!(Manifest::seal(other, observed).unwrap().content_sha256, sealed.content_sha256);
        let mut other = content();
        other.seed = 8;
        assert_ne!(Manifest::seal(other, Observed::default()).unwrap().content_sha256, sealed.content_sha256);
        assert_eq!(sealed.content.rows["recommendations"], 7);
    }

    #[test]
    fn a_manifest_survives_its_own_json_and_a_changed_one_does_not() {
        let path = std::path::Path::new("manifest.json");
        let sealed = Manifest::seal(content(), Observed::default()).unwrap();
        let text = serde_json::to_string_pretty(&sealed).unwrap();
        assert_eq!(Manifest::parse(text.as_bytes(), path).unwrap(), sealed);
        let tampered = text.replace("\"seed\": 7", "\"seed\": 9");
        assert_ne!(tampered, text);
        let error = Manifest::parse(tampered.as_bytes(), path).unwrap_err();
        assert!(error.to_string().contains("content_sha256"), "{error}");
        let newer = text.replace("\"format_version\": 1", "\"format_version\": 99");
        assert!(matches!(Manifest::parse(newer.as_bytes(), path), Err(ArtifactError::UnknownFormat { found: 99, .. })));
        assert!(matches!(Manifest::parse(b"{", path), Err(ArtifactError::Damaged { .. })));
    }

    proptest::proptest! {
        #[test]
        fn rounded_numbers_survive_any_json_parser_that_is_one_bit_off(bits in proptest::num::f64::NORMAL) {
            let mut once = json!(bits);
            round_numbers(&mut once);
            let exact = once.as_f64().unwrap();
            for near in [exact.next_up(), exact.next_down()] {
                let mut again = json!(near);
                round_numbers(&mut again);
                proptest::prop_assert_eq!(again.as_f64().unwrap().to_bits(), exact.to_bits());
            }
        }
    }

    #[test]
    fn paths_and_threads_leave_the_content() {
        let config = json!({"threads": 2, "events": {"path": "logs", "preset": "canonical"}});
        let whole = config.clone();
        let (content, observed) = split_config(config, &["threads", "events.path", "runs", "events.none.deeper"]);
        assert_eq!(join_config(content.clone(), &observed), whole);
        assert_eq!(content, json!({"events": {"preset": "canonical"}}));
        assert_eq!(observed, json!({"threads": 2, "events.path": "logs"}));
    }
}
