//! What a search has measured, on disk as it goes, so that an interrupt loses one measurement at most.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::ArtifactError;
use crate::ids::id_hash;

/// A file of JSON lines: what is searched, then a line a measurement.
#[derive(Debug)]
pub struct TrialJournal {
    path: PathBuf,
    file: File,
    known: HashMap<String, f64>,
}

impl TrialJournal {
    /// Opens the journal of the search that `fingerprint` describes, or starts one.
    ///
    /// A last line that an interrupt cut off is dropped.
    ///
    /// # Errors
    /// A file that cannot be read or written, is no journal, or belongs to another search.
    pub fn open(path: &Path, fingerprint: &Value) -> Result<Self, ArtifactError> {
        let failed = || ArtifactError::io("open the journal", path);
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(failed())?;
        }
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed())?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed())?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let heading = json!({ "search": fingerprint });
        let heading_line = heading.to_string();
        let mut lines = text[..whole].lines();
        let first = lines.next();
        // Compared as text: numbers that went through JSON may differ in their last bit.
        if let Some(first) = first
            && first != heading_line
        {
            let is_journal = first.starts_with("{\"search\":");
            return Err(ArtifactError::damaged(
                path,
                if is_journal {
                    "it belongs to a search of other data, settings or ranges: name another file with --journal, or \
                     remove it to start anew"
                } else {
                    "it is no journal of a search: name another file with --journal"
                },
            ));
        }
        let mut known = HashMap::new();
        for (number, line) in lines.enumerate() {
            let Some((id, score)) = read_line(line) else {
                return Err(ArtifactError::damaged(path, format!("line {} is no measurement", number + 2)));
            };
            known.insert(id, score);
        }
        file.set_len(whole as u64).map_err(failed())?;
        file.seek(SeekFrom::End(0)).map_err(failed())?;
        let mut journal = Self { path: path.to_owned(), file, known };
        if first.is_none() {
            journal.append(&heading)?;
        }
        Ok(journal)
    }

    /// What was measured before.
    #[must_use]
    pub fn find(&self, key: &Value) -> Option<f64> {
        self.known.get(&id_of(key)).copied()
    }

    /// Notes a measurement; it is on disk when this returns.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn add(&mut self, key: &Value, score: f64) -> Result<(), ArtifactError> {
        let id = id_of(key);
        // The bits say exactly what the search saw; the number is for people.
        self.append(&json!({ "id": id, "bits": format!("{:016x}", score.to_bits()), "score": score, "key": key }))?;
        self.known.insert(id, score);
        Ok(())
    }

    fn append(&mut self, line: &Value) -> Result<(), ArtifactError> {
        let write = |file: &mut File| {
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_data()
        };
        write(&mut self.file).map_err(ArtifactError::io("write the journal", &self.path))
    }
}

fn id_of(key: &Value) -> String {
    format!("{:016x}", id_hash(key.to_string().as_bytes()))
}

fn read_line(line: &str) -> Option<(String, f64)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let bits = u64::from_str_radix(line.get("bits")?.as_str()?, 16).ok()?;
    Some((line.get("id")?.as_str()?.to_owned(), f64::from_bits(bits)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn measurements_are_found_again_and_a_torn_line_is_dropped() {
        let folder = std::env::temp_dir().join(format!("nightshelf-journal-{}", std::process::id()));
        let path = folder.join("tune.jsonl");
        let search = json!({ "seed": 1, "share": 0.1 });
        let (one, two) = (json!({ "level": 0, "x": 0.1 }), json!({ "level": 1, "x": 0.1 }));
        {
            let mut journal = TrialJournal::open(&path, &search).unwrap();
            assert_eq!(journal.find(&one), None);
            journal.add(&one, 0.1 + 0.2).unwrap();
            journal.add(&two, f64::NAN).unwrap();
        }
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"id\":\"le").unwrap();
        let mut journal = TrialJournal::open(&path, &search).unwrap();
        assert_eq!(journal.find(&one), Some(0.1 + 0.2));
        assert!(journal.find(&two).unwrap().is_nan());
        journal.add(&json!(3), 3.0).unwrap();
        assert_eq!(TrialJournal::open(&path, &search).unwrap().find(&json!(3)), Some(3.0));

        let other = TrialJournal::open(&path, &json!({ "seed": 2 })).unwrap_err().to_string();
        assert!(other.contains("other data"), "{other}");
        std::fs::write(&path, "a = 1\n").unwrap();
        assert!(TrialJournal::open(&path, &search).unwrap_err().to_string().contains("no journal"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
