//! Candidates on their way from a bucket to the merge: rows in a file, read back in order.
//!
//! Not Parquet: a row is written once and read once, and the merge wants one row of each of many files.

use std::io::{self, Read, Write};

use crate::{
    campaigns::{Ranked, Stream},
    recommendations::Arm,
};

/// A candidate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SpilledRow {
    /// His place in the bucket.
    pub place: u32,
    /// His id.
    pub user: String,
    /// His score.
    pub score: f32,
    /// Whether he is held out.
    pub held_out: bool,
    /// Items with scores, best first.
    pub items: Vec<(String, f32)>,
    /// Why, for people.
    pub reason: String,
    /// Template variables, a JSON object.
    pub variables: String,
}

impl Ranked for SpilledRow {
    fn user(&self) -> &str {
        &self.user
    }

    fn score(&self) -> f32 {
        self.score
    }

    fn arm(&self) -> Arm {
        if self.held_out { Arm::Holdout } else { Arm::Send }
    }
}

/// Writes rows.
#[derive(Debug)]
pub struct SpillWriter<W> {
    out: W,
    buffer: Vec<u8>,
}

impl<W: Write> SpillWriter<W> {
    /// Starts a file.
    pub fn new(out: W) -> Self {
        Self { out, buffer: Vec::new() }
    }

    /// Appends a row.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&mut self, row: &SpilledRow) -> io::Result<()> {
        fn text(buffer: &mut Vec<u8>, text: &str) {
            buffer.extend((text.len() as u32).to_le_bytes());
            buffer.extend(text.as_bytes());
        }
        let buffer = &mut self.buffer;
        buffer.clear();
        buffer.extend(row.place.to_le_bytes());
        buffer.extend(row.score.to_le_bytes());
        buffer.push(u8::from(row.held_out));
        text(buffer, &row.user);
        text(buffer, &row.reason);
        text(buffer, &row.variables);
        buffer.extend((row.items.len() as u32).to_le_bytes());
        for (item, score) in &row.items {
            text(buffer, item);
            buffer.extend(score.to_le_bytes());
        }
        self.out.write_all(&(self.buffer.len() as u32).to_le_bytes())?;
        self.out.write_all(&self.buffer)
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Reads rows in the order in which they were written.
#[derive(Debug)]
pub struct SpillReader<R> {
    input: R,
    buffer: Vec<u8>,
}

impl<R: Read> SpillReader<R> {
    /// Opens a file.
    pub fn new(input: R) -> Self {
        Self { input, buffer: Vec::new() }
    }

    fn read(&mut self) -> io::Result<Option<SpilledRow>> {
        let mut length = [0; 4];
        if self.input.read(&mut length[..1])? == 0 {
            return Ok(None);
        }
        self.input.read_exact(&mut length[1..])?;
        self.buffer.resize(u32::from_le_bytes(length) as usize, 0);
        self.input.read_exact(&mut self.buffer)?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a row of candidates is damaged");
        row(&self.buffer).map(Some).ok_or_else(damaged)
    }
}

fn row(bytes: &[u8]) -> Option<SpilledRow> {
    struct Rest<'a>(&'a [u8]);
    impl Rest<'_> {
        fn word(&mut self) -> Option<[u8; 4]> {
            let (word, rest) = self.0.split_first_chunk::<4>()?;
            self.0 = rest;
            Some(*word)
        }
        fn text(&mut self) -> Option<String> {
            let length = u32::from_le_bytes(self.word()?) as usize;
            let (text, rest) = self.0.split_at_checked(length)?;
            self.0 = rest;
            String::from_utf8(text.to_vec()).ok()
        }
    }
    let mut rest = Rest(bytes);
    let place = u32::from_le_bytes(rest.word()?);
    let score = f32::from_le_bytes(rest.word()?);
    let (&held_out, after) = rest.0.split_first()?;
    rest.0 = after;
    let (user, reason, variables) = (rest.text()?, rest.text()?, rest.text()?);
    let n_items = u32::from_le_bytes(rest.word()?);
    let mut items = Vec::new();
    for _ in 0..n_items {
        items.push((rest.text()?, f32::from_le_bytes(rest.word()?)));
    }
    rest.0.is_empty().then_some(SpilledRow { place, user, score, held_out: held_out != 0, items, reason, variables })
}

impl<R: Read> Stream for SpillReader<R> {
    type Row = SpilledRow;
    type Error = io::Error;

    fn next(&mut self) -> io::Result<Option<SpilledRow>> {
        self.read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_damage_is_seen() {
        let rows = [
            SpilledRow { user: "ü\n".into(), score: -1.5, held_out: true, ..SpilledRow::default() },
            SpilledRow {
                place: 7,
                items: vec![("a".into(), 0.5), (String::new(), 2.0)],
                reason: "x".repeat(300),
                variables: "{}".into(),
                ..SpilledRow::default()
            },
        ];
        let mut writer = SpillWriter::new(Vec::new());
        rows.iter().for_each(|row| writer.write(row).unwrap());
        let bytes = writer.finish().unwrap();
        let mut reader = SpillReader::new(&bytes[..]);
        for row in &rows {
            assert_eq!(reader.next().unwrap().as_ref(), Some(row));
        }
        assert_eq!(reader.next().unwrap(), None);
        for end in 1..bytes.len() {
            let mut reader = SpillReader::new(&bytes[..end]);
            let n_whole = std::iter::from_fn(|| reader.next().ok().flatten()).count();
            assert!(n_whole < 2 || end == bytes.len());
        }
    }
}
