//! What is handed to a store at once.

use crate::recommendations::{ListBatch, MemberBatch};

use super::{PublishError, Section};

/// Rows of one section.
#[derive(Debug, Clone, Copy)]
pub enum Rows<'a> {
    /// Lists of the section's kind.
    Lists(Section, &'a ListBatch<'a>),
    /// Profiles.
    Profiles(&'a DocumentBatch<'a>),
    /// Members of one campaign.
    Members(&'a MemberBatch<'a>),
}

/// Keyed JSON objects.
#[derive(Debug, Clone, Default)]
pub struct DocumentBatch<'a> {
    /// One key a document.
    pub keys: Vec<&'a str>,
    /// JSON objects as text, parallel to the keys.
    pub documents: Vec<&'a str>,
}

impl Rows<'_> {
    /// Where the rows belong.
    #[must_use]
    pub fn section(&self) -> Section {
        match self {
            Self::Lists(section, _) => *section,
            Self::Profiles(_) => Section::Profiles,
            Self::Members(_) => Section::Campaigns,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Lists(_, lists) => lists.len(),
            Self::Profiles(documents) => documents.keys.len(),
            Self::Members(members) => members.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Finds the first score that no store can hold.
    pub(super) fn check_scores(&self) -> Result<(), PublishError> {
        match self {
            Self::Lists(section, lists) => check_list_scores(*section, lists),
            Self::Profiles(_) => Ok(()),
            Self::Members(members) => {
                check_list_scores(Section::Campaigns, &members.lists)?;
                let Some(at) = members.scores.iter().position(|score| !score.is_finite()) else { return Ok(()) };
                Err(PublishError::BadMemberScore {
                    campaign: members.campaign.to_owned(),
                    user: members.lists.keys[at].to_owned(),
                    score: members.scores[at],
                })
            }
        }
    }
}

fn check_list_scores(section: Section, lists: &ListBatch<'_>) -> Result<(), PublishError> {
    let Some(at) = lists.scores.iter().position(|score| !score.is_finite()) else { return Ok(()) };
    let row = lists.offsets.partition_point(|&end| end <= at) - 1;
    Err(PublishError::BadScore {
        section,
        key: lists.keys[row].to_owned(),
        item: lists.items[at].to_owned(),
        score: lists.scores[at],
    })
}
