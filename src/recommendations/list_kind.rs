//! The kinds of list there are.

use serde::Serialize;

/// What the lists of a folder, a batch or a table are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListKind {
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
}

impl ListKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Recommendations, Self::SimilarItems, Self::Popular, Self::BoughtTogether, Self::Trending];

    /// The name of the run directory's folder and of the tables in stores.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Recommendations => "recommendations",
            Self::SimilarItems => "similar_items",
            Self::Popular => "popular",
            Self::BoughtTogether => "bought_together",
            Self::Trending => "trending",
        }
    }

    /// The name of what keys the lists.
    #[must_use]
    pub fn key_column(self) -> &'static str {
        match self {
            Self::Recommendations => "user_id",
            Self::SimilarItems | Self::BoughtTogether => "item_id",
            Self::Popular | Self::Trending => "placement",
        }
    }

    /// The name of a listed item in views for readers; where the key is an item, too, it needs another one.
    #[must_use]
    pub fn entry_column(self) -> &'static str {
        match self {
            Self::Recommendations | Self::Popular | Self::Trending => "item_id",
            Self::SimilarItems => "similar_item_id",
            Self::BoughtTogether => "other_item_id",
        }
    }

    /// Whether each list says where it comes from.
    #[must_use]
    pub fn has_source(self) -> bool {
        self == Self::Recommendations
    }
}
