//! Reading rows back, to compare them with what was to be written.

use std::future::poll_fn;

use futures_core::stream::BoxStream;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{
    load::run,
    schema::{Names, columns},
    text::unescape,
};
use crate::{
    publish::{
        Expected, Section, Tally,
        lists::{member_head, n_entries_of},
    },
    recommendations::ListKind,
};

/// What readers see adds up to, in one snapshot.
pub(super) async fn audit(
    connection: &mut PgConnection,
    names: &Names,
    sections: &[Section],
) -> sqlx::Result<Expected> {
    run(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".into()).await?;
    let outcome: sqlx::Result<_> = async {
        let sql = format!("SELECT h.sequence FROM {} AS h ORDER BY h.epoch DESC LIMIT 1", names.heads());
        let current: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_optional(&mut *connection).await?;
        let mut expected = Expected::new();
        for &section in sections.iter().filter(|_| current.is_some()) {
            let from = format!("{} WHERE sequence = {}", names.parent(section), current.unwrap_or_default());
            expected.insert(section, tally(&mut *connection, section, &from).await?);
        }
        Ok(expected)
    }
    .await;
    let end = run(connection, "ROLLBACK".into()).await;
    let expected = outcome?;
    end.map(|()| expected)
}

/// What rows add up to: of a partition, or of a table under a condition.
///
/// Cost: the server sends them by COPY; at most one row is in memory.
pub(super) async fn tally(connection: &mut PgConnection, section: Section, from: &str) -> sqlx::Result<Tally> {
    // As text: what was sent is compared, not what a type makes of it.
    let sql = format!("COPY (SELECT {} FROM {from}) TO STDOUT", columns(section));
    let mut rows = connection.copy_out_raw(&sql).await?;
    let mut reader = Reader::new(section);
    while let Some(bytes) = next(&mut rows).await {
        reader.add(&bytes?)?;
    }
    reader.finish()
}

async fn next<T>(stream: &mut BoxStream<'_, T>) -> Option<T> {
    poll_fn(|context| stream.as_mut().poll_next(context)).await
}

/// Adds up COPY's text, a row a line, however it is cut.
struct Reader {
    section: Section,
    n_columns: usize,
    /// What came of a line whose end is still to come.
    rest: Vec<u8>,
    /// The columns of one line, unescaped, and where each ends.
    line: Vec<u8>,
    ends: Vec<usize>,
    text: String,
    tally: Tally,
}

impl Reader {
    fn new(section: Section) -> Self {
        Self {
            section,
            n_columns: columns(section).split(", ").count(),
            rest: Vec::new(),
            line: Vec::new(),
            ends: Vec::new(),
            text: String::new(),
            tally: Tally::default(),
        }
    }

    fn add(&mut self, mut bytes: &[u8]) -> sqlx::Result<()> {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            if self.rest.is_empty() {
                self.row(&bytes[..end])?;
            } else {
                let mut line = std::mem::take(&mut self.rest);
                line.extend_from_slice(&bytes[..end]);
                self.row(&line)?;
            }
            bytes = &bytes[end + 1..];
        }
        self.rest.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self) -> sqlx::Result<Tally> {
        if self.rest.is_empty() { Ok(self.tally) } else { Err(self.broken("ends within a row")) }
    }

    fn row(&mut self, row: &[u8]) -> sqlx::Result<()> {
        self.line.clear();
        self.ends.clear();
        for column in row.split(|&byte| byte == b'\t') {
            unescape(column, &mut self.line);
            self.ends.push(self.line.len());
        }
        if self.ends.len() != self.n_columns {
            return Err(self.broken("has another number of columns than was asked for"));
        }
        let line = std::str::from_utf8(&self.line).map_err(|error| sqlx::Error::Decode(error.into()))?;
        let column = |at: usize| match at {
            0 => &line[..self.ends[0]],
            _ => &line[self.ends[at - 1]..self.ends[at]],
        };
        if self.section != Section::Campaigns {
            let source = if self.section.list_kind().is_some_and(ListKind::has_source) { column(2) } else { "" };
            self.tally.add(column(0), source, n_entries_of(column(1)), column(1));
            return Ok(());
        }
        let number = |at: usize| self.broken(&format!("has no number in column {at}"));
        let rank = column(2).parse().map_err(|_| number(2))?;
        let score = column(3).parse().map_err(|_| number(3))?;
        let items = column(6);
        self.text.clear();
        member_head(rank, score, column(4), column(5), column(7), &mut self.text);
        self.text.push_str(items);
        self.tally.add(column(1), column(0), n_entries_of(items), &self.text);
        Ok(())
    }

    fn broken(&self, what: &str) -> sqlx::Error {
        sqlx::Error::Protocol(format!("COPY of {} {what}", self.section.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(section: Section, chunks: &[&str]) -> sqlx::Result<Tally> {
        let mut reader = Reader::new(section);
        chunks.iter().try_for_each(|chunk| reader.add(chunk.as_bytes()))?;
        reader.finish()
    }

    #[test]
    fn rows_add_up_however_they_are_cut() {
        let mut expected = Tally::default();
        expected.add("a\tb", "", 1, "[[\"x\\n\",0.5]]");
        expected.add("é", "", 0, "[]");
        let text = "a\\tb\t[[\"x\\\\n\",0.5]]\né\t[]\n";
        for at in (0..=text.len()).filter(|&at| text.is_char_boundary(at)) {
            assert_eq!(read(Section::SimilarItems, &[&text[..at], &text[at..]]).unwrap(), expected, "cut at {at}");
        }
    }

    #[test]
    fn what_is_no_row_is_refused() {
        let message = |chunks: &[&str]| read(Section::SimilarItems, chunks).unwrap_err().to_string();
        assert!(message(&["a\t[]\n", "b"]).contains("ends within a row"));
        assert!(message(&["a\n"]).contains("number of columns"));
        let row = "c\tu\tfirst\t0.5\tsend\twhy\t[]\t{}\n";
        assert!(read(Section::Campaigns, &[row]).unwrap_err().to_string().contains("no number in column 2"));
    }
}
