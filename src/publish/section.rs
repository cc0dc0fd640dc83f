//! What a store can hold of a run.

use serde::{Deserialize, Serialize};

use crate::recommendations::ListKind;

/// One part of a run, as stores take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// By user: what he would want next.
    Recommendations,
    /// By item: what the same users choose.
    SimilarItems,
    /// By placement: what sells.
    Popular,
    /// By item: what is in the same baskets.
    BoughtTogether,
    /// By placement: what draws more users than it did.
    Trending,
    /// By user: counts, times, money, favourites.
    Profiles,
    /// By campaign and user: whom marketing writes to.
    Campaigns,
}

impl Section {
    /// Every section, in the order in which they are published.
    pub const ALL: [Self; 7] = [
        Self::Recommendations,
        Self::SimilarItems,
        Self::Popular,
        Self::BoughtTogether,
        Self::Trending,
        Self::Profiles,
        Self::Campaigns,
    ];

    /// The name in configs, and of the run directory's folder.
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.list_kind(), self) {
            (Some(kind), _) => kind.name(),
            (None, Self::Campaigns) => "campaigns",
            (None, _) => "profiles",
        }
    }

    /// The name of what keys its rows.
    #[must_use]
    pub fn key_column(self) -> &'static str {
        self.list_kind().map_or("user_id", ListKind::key_column)
    }

    /// The kind of its lists; `None` for what does not consist of lists.
    #[must_use]
    pub fn list_kind(self) -> Option<ListKind> {
        Some(match self {
            Self::Recommendations => ListKind::Recommendations,
            Self::SimilarItems => ListKind::SimilarItems,
            Self::Popular => ListKind::Popular,
            Self::BoughtTogether => ListKind::BoughtTogether,
            Self::Trending => ListKind::Trending,
            Self::Profiles | Self::Campaigns => return None,
        })
    }
}

impl From<ListKind> for Section {
    fn from(kind: ListKind) -> Self {
        match kind {
            ListKind::Recommendations => Self::Recommendations,
            ListKind::SimilarItems => Self::SimilarItems,
            ListKind::Popular => Self::Popular,
            ListKind::BoughtTogether => Self::BoughtTogether,
            ListKind::Trending => Self::Trending,
        }
    }
}
