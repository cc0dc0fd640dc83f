//! A batch of campaign members: the currency between choosing whom to write to, writing, reading back and publishing.
//!
//! Contact addresses are never part of it: they are looked up when a mail is sent.

use serde::{Deserialize, Serialize};

use super::{ListBatch, ListRow};

/// What happens to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// Is written to.
    Send,
    /// Is left alone, so that the effect can be measured.
    Holdout,
}

impl Arm {
    /// The name in files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Holdout => "holdout",
        }
    }

    /// The arm of a name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::Send, Self::Holdout].into_iter().find(|arm| arm.name() == name)
    }
}

/// Many members of one campaign, by columns.
#[derive(Debug, Clone, Default)]
pub struct MemberBatch<'a> {
    /// The campaign's name.
    pub campaign: &'a str,
    /// One list a member: user id, and the items to write about with their scores, best first. Without sources.
    pub lists: ListBatch<'a>,
    /// Place in the campaign, from 1; parallel to the lists.
    pub ranks: Vec<u32>,
    /// Score of the member, parallel to the lists.
    pub scores: Vec<f32>,
    /// Arm, parallel to the lists.
    pub arms: Vec<Arm>,
    /// Why he is a member, for people; parallel to the lists.
    pub reasons: Vec<&'a str>,
    /// Template variables, a JSON object; parallel to the lists.
    pub variables: Vec<&'a str>,
}

/// One member of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemberRow<'b, 'a> {
    /// User id and items.
    pub list: ListRow<'b, 'a>,
    /// Place in the campaign, from 1.
    pub rank: u32,
    /// Score of the member.
    pub score: f32,
    /// Whether he is written to.
    pub arm: Arm,
    /// Why he is a member, for people.
    pub reason: &'a str,
    /// Template variables, a JSON object.
    pub variables: &'a str,
}

impl<'a> MemberBatch<'a> {
    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Appends a member.
    pub fn push(&mut self, row: &MemberRow<'_, 'a>) {
        let entries = row.list.items.iter().copied().zip(row.list.scores.iter().copied());
        self.lists.push(row.list.key, entries, "");
        self.ranks.push(row.rank);
        self.scores.push(row.score);
        self.arms.push(row.arm);
        self.reasons.push(row.reason);
        self.variables.push(row.variables);
    }

    /// The members in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = MemberRow<'_, 'a>> + '_ {
        self.lists.rows().enumerate().map(|(at, list)| MemberRow {
            list,
            rank: self.ranks[at],
            score: self.scores[at],
            arm: self.arms[at],
            reason: self.reasons[at],
            variables: self.variables[at],
        })
    }
}
