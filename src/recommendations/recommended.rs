//! The lists of a range of users, by numbers.

use std::{ops::Range, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Fallback, ListBatch};
use crate::ids::IdTable;

/// Where the items of a list come from: any of the model and the fallbacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Source(u8);

impl Source {
    /// An empty list comes from nowhere.
    pub const NOWHERE: Self = Self(0);
    /// The model.
    pub const MODEL: Self = Self(1);

    /// The source of a fallback.
    #[must_use]
    pub fn of(fallback: Fallback) -> Self {
        match fallback {
            Fallback::CategoryPopular => Self(2),
            Fallback::Popular => Self(4),
        }
    }

    /// Whether the model gave items.
    #[must_use]
    pub fn has_model(self) -> bool {
        self.0 & Self::MODEL.0 != 0
    }

    /// Whether a fallback gave items.
    #[must_use]
    pub fn has_fallback(self) -> bool {
        self.0 & !Self::MODEL.0 != 0
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The names of all sources under one model and one order of fallbacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceNames([String; 8]);

impl SourceNames {
    /// Formula: the names of the parts in the order of their use, joined by `+`.
    #[must_use]
    pub fn new(model: &str, fallbacks: &[Fallback]) -> Self {
        Self(std::array::from_fn(|bits| {
            let source = Source(bits as u8);
            let parts = std::iter::once((Source::MODEL, model))
                .chain(fallbacks.iter().map(|&fallback| (Source::of(fallback), fallback.name())));
            let used: Vec<&str> = parts.filter(|(part, _)| source.0 & part.0 != 0).map(|(_, name)| name).collect();
            used.join("+")
        }))
    }

    /// The name of a source, e.g. `item_item+category_popular+popular`; empty for an empty list.
    #[must_use]
    pub fn name(&self, source: Source) -> &str {
        &self.0[source.0 as usize]
    }
}

/// How a range of users was served. Every user counts in exactly one of the first four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecommendCounts {
    /// Lists that are the model's alone.
    pub n_model: u64,
    /// Lists that begin with the model's items and end with a fallback's.
    pub n_filled: u64,
    /// Lists that are fallbacks' alone.
    pub n_fallback: u64,
    /// Users without any list.
    pub n_empty: u64,
    /// Lists of fewer than k items, empty ones included.
    pub n_short: u64,
    /// Scores of eligible items that were no numbers; such an item is treated as unknown to the model.
    pub n_nan: u64,
}

impl RecommendCounts {
    /// Users counted.
    #[must_use]
    pub fn n_users(&self) -> u64 {
        self.n_model + self.n_filled + self.n_fallback + self.n_empty
    }

    /// Adds the counts of other users.
    pub fn add(&mut self, other: &Self) {
        self.n_model += other.n_model;
        self.n_filled += other.n_filled;
        self.n_fallback += other.n_fallback;
        self.n_empty += other.n_empty;
        self.n_short += other.n_short;
        self.n_nan += other.n_nan;
    }
}

/// The lists of consecutive users.
///
/// Cost: 8 bytes an entry and 13 a user.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommended {
    /// The users, one list each.
    pub users: Range<usize>,
    /// n_users + 1 ascending offsets into `items` and `scores`.
    pub offsets: Vec<usize>,
    /// `ItemIdx` numbers, best first within a list.
    pub items: Vec<u32>,
    /// Parallel to `items`. Scores of a fallback's items are popularities: comparable within one source only.
    pub scores: Vec<f32>,
    /// One a user.
    pub sources: Vec<Source>,
    /// One a user: how many of his first items the model gave; the others are a fallback's.
    pub n_from_model: Vec<u32>,
    /// How the users were served.
    pub counts: RecommendCounts,
    /// Names of the sources.
    pub source_names: Arc<SourceNames>,
}

impl Recommended {
    /// No lists yet; the first will be that of user `first`.
    pub(super) fn starting_at(first: usize, source_names: Arc<SourceNames>) -> Self {
        Self {
            users: first..first,
            offsets: vec![0],
            items: Vec::new(),
            scores: Vec::new(),
            sources: Vec::new(),
            n_from_model: Vec::new(),
            counts: RecommendCounts::default(),
            source_names,
        }
    }

    /// Appends the lists of the users that follow.
    pub(super) fn append(&mut self, next: &Self) {
        debug_assert_eq!(self.users.end, next.users.start);
        let base = self.items.len();
        self.users.end = next.users.end;
        self.offsets.extend(next.offsets[1..].iter().map(|offset| base + offset));
        self.items.extend_from_slice(&next.items);
        self.scores.extend_from_slice(&next.scores);
        self.sources.extend_from_slice(&next.sources);
        self.n_from_model.extend_from_slice(&next.n_from_model);
        self.counts.add(&next.counts);
    }

    /// The lists as (user number, items, scores, source name).
    pub fn rows(&self) -> impl ExactSizeIterator<Item = (usize, &[u32], &[f32], &str)> + '_ {
        (0..self.sources.len()).map(|at| {
            let range = self.offsets[at]..self.offsets[at + 1];
            let source = self.source_names.name(self.sources[at]);
            (self.users.start + at, &self.items[range.clone()], &self.scores[range], source)
        })
    }

    /// The lists under their ids, an empty list included.
    ///
    /// # Panics
    /// When a user or item has no id in the tables.
    #[must_use]
    pub fn batch<'a>(&'a self, users: &'a IdTable, items: &'a IdTable) -> ListBatch<'a> {
        ListBatch {
            keys: self.users.clone().map(|user| users.get(user)).collect(),
            offsets: self.offsets.clone(),
            items: self.items.iter().map(|&item| items.get(item as usize)).collect(),
            scores: self.scores.clone(),
            sources: self.sources.iter().map(|&source| self.source_names.name(source)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_names_its_parts_in_the_order_of_use() {
        let all = Source::MODEL.and(Source::of(Fallback::Popular)).and(Source::of(Fallback::CategoryPopular));
        let names = SourceNames::new("als", &[Fallback::CategoryPopular, Fallback::Popular]);
        assert_eq!(names.name(all), "als+category_popular+popular");
        assert_eq!(names.name(Source::of(Fallback::Popular)), "popular");
        assert_eq!(names.name(Source::MODEL), "als");
        assert_eq!(names.name(Source::NOWHERE), "");
        let names = SourceNames::new("als", &[Fallback::Popular, Fallback::CategoryPopular]);
        assert_eq!(names.name(all), "als+popular+category_popular");
    }

    #[test]
    fn a_batch_borrows_the_ids() {
        let names = Arc::new(SourceNames::new("als", &[]));
        let mut all = Recommended::starting_at(1, Arc::clone(&names));
        for (first, items) in [(1, vec![2u32, 0]), (2, vec![]), (3, vec![1])] {
            let mut one = Recommended::starting_at(first, Arc::clone(&names));
            one.users.end += 1;
            one.offsets.push(items.len());
            one.scores = items.iter().map(|&item| item as f32).collect();
            one.sources.push(if items.is_empty() { Source::NOWHERE } else { Source::MODEL });
            one.items = items;
            all.append(&one);
        }
        let users: IdTable = ["u0", "u1", "u2", "u3"].into_iter().collect();
        let items: IdTable = ["a", "b", "c"].into_iter().collect();
        let batch = all.batch(&users, &items);
        let rows: Vec<_> = batch.rows().map(|row| (row.key, row.items.to_vec(), row.source)).collect();
        assert_eq!(rows, [("u1", vec!["c", "a"], "als"), ("u2", vec![], ""), ("u3", vec!["b"], "als")]);
        assert_eq!(all.rows().last(), Some((3, &[1u32][..], &[1.0f32][..], "als")));
    }
}
