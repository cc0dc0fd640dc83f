//! Rows as parameters of INSERT.

use std::ops::Range;

use sqlx::{Arguments as _, mysql::MySqlArguments};

use super::schema::{columns, table};
use crate::{
    publish::{
        Rows, RunSequence, Section, Tally,
        lists::{encode_list, member_head},
    },
    recommendations::ListKind,
};

/// Rows of a statement, largest first. Each size is prepared once, and its parameters stay below the protocol's 65,535.
const STATEMENT_ROWS: [usize; 3] = [1_024, 32, 1];

/// A batch with its texts encoded.
#[derive(Debug)]
pub(super) struct Encoded<'r, 'a> {
    rows: &'r Rows<'a>,
    /// Of each row: the list, or head and list, and where the list begins.
    texts: Vec<(String, usize)>,
    pub(super) tally: Tally,
}

impl<'r, 'a> Encoded<'r, 'a> {
    pub(super) fn new(rows: &'r Rows<'a>) -> Self {
        let mut texts = Vec::with_capacity(rows.len());
        let mut tally = Tally::default();
        match rows {
            Rows::Lists(section, lists) => {
                let has_source = has_source(*section);
                for list in lists.rows() {
                    let mut text = String::new();
                    encode_list(&list, &mut text);
                    tally.add(list.key, if has_source { list.source } else { "" }, list.items.len() as u64, &text);
                    texts.push((text, 0));
                }
            }
            Rows::Members(members) => {
                for member in members.rows() {
                    let mut text = String::new();
                    let arm = member.arm.name();
                    member_head(member.rank, member.score, arm, member.reason, member.variables, &mut text);
                    let head = text.len();
                    encode_list(&member.list, &mut text);
                    tally.add(member.list.key, members.campaign, member.list.items.len() as u64, &text);
                    texts.push((text, head));
                }
            }
            Rows::Profiles(_) => {}
        }
        Self { rows, texts, tally }
    }

    /// Row numbers from `at` on that go into the next statement; empty at the end.
    pub(super) fn next_chunk(&self, at: usize, budget_bytes: usize) -> Range<usize> {
        let left = self.texts.len() - at;
        let fits = |n_rows: &usize| *n_rows <= left && self.bytes(at..at + n_rows) <= budget_bytes;
        let n_rows = STATEMENT_ROWS.into_iter().find(fits).unwrap_or(left.min(1));
        at..at + n_rows
    }

    /// About what a chunk takes on its way: texts, and a little for each row's places.
    pub(super) fn bytes(&self, chunk: Range<usize>) -> usize {
        let beside = |at: usize| match self.rows {
            Rows::Lists(_, lists) => lists.keys[at].len() + lists.sources.get(at).map_or(0, |source| source.len()),
            Rows::Members(members) => {
                members.lists.keys[at].len() + members.campaign.len() + members.variables[at].len()
            }
            Rows::Profiles(_) => 0,
        };
        chunk.map(|at| self.texts[at].0.len() + beside(at) + 64).sum()
    }

    /// The values of a chunk, row after row.
    pub(super) fn arguments(
        &self,
        chunk: Range<usize>,
    ) -> Result<MySqlArguments, Box<dyn std::error::Error + Send + Sync>> {
        let mut arguments = MySqlArguments::default();
        arguments.reserve(chunk.len() * columns(self.rows.section()).len(), self.bytes(chunk.clone()));
        for at in chunk {
            let (text, head) = &self.texts[at];
            match self.rows {
                Rows::Lists(section, lists) => {
                    arguments.add(lists.keys[at])?;
                    arguments.add(text.as_str())?;
                    if has_source(*section) {
                        arguments.add(lists.sources.get(at).copied().unwrap_or(""))?;
                    }
                }
                Rows::Members(members) => {
                    arguments.add(members.campaign)?;
                    arguments.add(members.lists.keys[at])?;
                    arguments.add(members.ranks[at])?;
                    arguments.add(f64::from(members.scores[at]))?;
                    arguments.add(members.arms[at].name())?;
                    arguments.add(members.reasons[at])?;
                    arguments.add(&text[*head..])?;
                    arguments.add(members.variables[at])?;
                }
                Rows::Profiles(_) => {}
            }
        }
        Ok(arguments)
    }

    /// The keys of a chunk, and the campaign that they are of.
    pub(super) fn keys(&self, chunk: Range<usize>) -> (Option<&'a str>, &[&'a str]) {
        match self.rows {
            Rows::Lists(_, lists) => (None, &lists.keys[chunk]),
            Rows::Members(members) => (Some(members.campaign), &members.lists.keys[chunk]),
            Rows::Profiles(_) => (None, &[]),
        }
    }
}

/// Whether a section's lists have a source.
pub(super) fn has_source(section: Section) -> bool {
    section.list_kind().is_some_and(ListKind::has_source)
}

/// The statement that inserts so many rows.
pub(super) fn insert(section: Section, sequence: RunSequence, n_rows: usize) -> String {
    let columns = columns(section);
    let row = format!("({sequence}{})", ", ?".repeat(columns.len()));
    let rows = vec![row.as_str(); n_rows].join(",");
    format!("INSERT INTO {} (sequence, {}) VALUES {rows}", table(section), columns.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommendations::ListBatch;

    #[test]
    fn statements_have_few_sizes_and_fit() {
        let keys: Vec<String> = (0..1_100).map(|n| format!("key {n}")).collect();
        let mut lists = ListBatch::default();
        keys.iter().for_each(|key| lists.push(key, [("x", 1.0)], ""));
        let rows = Rows::Lists(Section::Popular, &lists);
        let encoded = Encoded::new(&rows);
        let sizes = |budget: usize| {
            let (mut sizes, mut at) = (Vec::new(), 0);
            loop {
                let chunk = encoded.next_chunk(at, budget);
                if chunk.is_empty() {
                    assert_eq!(at, 1_100);
                    return sizes;
                }
                assert!(chunk.len() == 1 || encoded.bytes(chunk.clone()) <= budget);
                at = chunk.end;
                sizes.push(chunk.len());
            }
        };
        assert_eq!(sizes(1 << 20)[..3], [1_024, 32, 32]);
        assert_eq!(sizes(1 << 20).len(), 3 + 12);
        assert_eq!(sizes(10_000)[..2], [32, 32]);
        assert_eq!(sizes(1).len(), 1_100);
        for section in super::super::schema::SECTIONS {
            assert!(STATEMENT_ROWS[0] * columns(section).len() < 65_535);
            let sql = insert(section, RunSequence(7), 2);
            assert_eq!(sql.matches('?').count(), 2 * columns(section).len(), "{sql}");
        }
    }
}
