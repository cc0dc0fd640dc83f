//! Batches of a run's rows, of whatever kind.

use crate::{
    artifacts::{
        ArtifactError, FileEntry, ListReader, ListTable, MemberReader, MemberTable, ProfileReader, ProfileTable, Run,
    },
    publish::{DocumentBatch, Rows, Section},
    recommendations::{ListBatch, MemberBatch},
};

/// Reads one file of a section.
pub(super) enum TableReader {
    Lists(ListReader),
    Profiles(ProfileReader),
    Members(MemberReader),
}

/// Rows in memory; of lists and profiles with keys ascending.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it holds thousands of rows")]
pub(super) enum Table {
    Lists(ListTable),
    Profiles(ProfileTable),
    Members(MemberTable),
}

impl TableReader {
    /// `None` for what has no rows to publish.
    pub(super) fn open(run: &Run, section: Section, file: &FileEntry) -> Result<Option<Self>, ArtifactError> {
        Ok(match (section, section.list_kind()) {
            (_, Some(kind)) => Some(Self::Lists(run.list_reader(kind, &file.path)?)),
            (Section::Profiles, None) => Some(Self::Profiles(run.profile_reader(&file.path)?)),
            (Section::Campaigns, None) => Some(Self::Members(run.member_reader(&file.path)?)),
            _ => None,
        })
    }

    pub(super) fn next(&mut self) -> Result<Option<Table>, ArtifactError> {
        Ok(match self {
            Self::Lists(reader) => reader.next()?.map(Table::Lists),
            Self::Profiles(reader) => reader.next()?.map(Table::Profiles),
            Self::Members(reader) => reader.next()?.map(Table::Members),
        })
    }
}

impl Table {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Lists(table) => table.len(),
            Self::Profiles(table) => table.users.len(),
            Self::Members(table) => table.len(),
        }
    }

    pub(super) fn key(&self, row: usize) -> &str {
        match self {
            Self::Lists(table) => table.key(row),
            Self::Profiles(table) => &table.users[row],
            Self::Members(table) => table.key(row),
        }
    }

    /// Whether readers would see the same in both rows.
    pub(super) fn is_same(&self, row: usize, other: &Self, other_row: usize, with_scores: bool) -> bool {
        match (self, other) {
            (Self::Lists(a), Self::Lists(b)) => {
                a.source(row) == b.source(other_row)
                    && a.items(row).eq(b.items(other_row))
                    && (!with_scores || a.scores(row) == b.scores(other_row))
            }
            (Self::Profiles(a), Self::Profiles(b)) => a.documents[row] == b.documents[other_row],
            _ => false,
        }
    }

    /// Hands chosen rows to `each`; nothing when there are none.
    pub(super) fn with_rows<T: Default>(
        &self,
        section: Section,
        rows: impl ExactSizeIterator<Item = usize>,
        each: impl FnOnce(&Rows<'_>) -> T,
    ) -> T {
        if rows.len() == 0 {
            return T::default();
        }
        match self {
            Self::Lists(table) if rows.len() == table.len() => each(&Rows::Lists(section, &table.batch())),
            Self::Lists(table) => {
                let mut batch = ListBatch::default();
                for row in rows {
                    batch.push(
                        table.key(row),
                        table.items(row).zip(table.scores(row).iter().copied()),
                        table.source(row),
                    );
                }
                each(&Rows::Lists(section, &batch))
            }
            Self::Profiles(table) => {
                let mut batch = DocumentBatch::default();
                for row in rows {
                    batch.keys.push(&table.users[row]);
                    batch.documents.push(&table.documents[row]);
                }
                each(&Rows::Profiles(&batch))
            }
            Self::Members(table) => {
                let all = table.batch();
                if rows.len() == table.len() {
                    return each(&Rows::Members(&all));
                }
                let mut batch = MemberBatch { campaign: all.campaign, ..Default::default() };
                let chosen: std::collections::BTreeSet<usize> = rows.collect();
                all.rows()
                    .enumerate()
                    .filter(|(at, _)| chosen.contains(at))
                    .for_each(|(_, member)| batch.push(&member));
                each(&Rows::Members(&batch))
            }
        }
    }
}
