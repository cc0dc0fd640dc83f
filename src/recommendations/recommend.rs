//! Lists for users: the model's selection, then the fallbacks, bucket by bucket.

use std::{ops::Range, sync::Arc};

use rayon::prelude::*;

use super::{
    Fallback, PopularLists, RecommendError, Recommended, Rules, Scored, SourceNames,
    fallback::{Fallbacks, Filled},
    select::{Scratch, Selection, UserCase},
};
use crate::{
    interactions::{Csr, History, Interactions},
    model::Model,
};

/// Users of a block at most, counting those without history, whom the model never sees.
const MAX_BLOCK_USERS: usize = 4096;

/// A model and how its scores are to be read.
#[derive(Clone, Copy)]
pub struct Scorer<'a> {
    /// The model.
    pub model: &'a dyn Model,
    /// Its name in a list's source.
    pub name: &'a str,
    /// Only scores above this one are recommendations (compared after boosts; `None` for no bound).
    ///
    /// A neighbour model says 0 of an item that nothing in the history leads to, so its kind sets `Some(0.0)`; a factor
    /// model means every score, also a negative one, so its kind sets `None`.
    pub min_score: Option<f32>,
    /// Whether the model serves users without history. `popularity` does; factor and neighbour models give them zeros,
    /// so those users go to the fallbacks.
    pub serves_empty_histories: bool,
}

/// Makes lists: a model, the rules and what to fall back to.
///
/// Determinism: a user's list depends on his row, the model, the rules and the popular lists alone, not on the users
/// beside him, the model's tile or the number of threads.
#[derive(Clone)]
pub struct Recommender<'a> {
    pub(super) scorer: Scorer<'a>,
    pub(super) selection: Selection<'a>,
    fallbacks: Fallbacks<'a>,
    source_names: Arc<SourceNames>,
}

/// The list of one user.
#[derive(Debug, Clone, PartialEq)]
pub struct OneList {
    /// Best first.
    pub entries: Vec<Scored>,
    /// Name of the list's source.
    pub source: String,
    /// Each part in the order of use, by name, with the place where its items end.
    pub parts: Vec<(String, usize)>,
}

impl<'a> Recommender<'a> {
    /// Puts the parts together for lists of `k`.
    ///
    /// The model may know fewer items than the rules (the first ones): the others reach lists through fallbacks only.
    ///
    /// # Errors
    /// When the model scores items that the rules don't have, or `popular` was made for another number of items.
    pub fn new(
        scorer: Scorer<'a>,
        rules: &'a Rules,
        popular: &'a PopularLists,
        fallbacks: &'a [Fallback],
        k: usize,
    ) -> Result<Self, RecommendError> {
        let (is, n_items) = (scorer.model.n_items(), rules.n_items());
        if is > n_items {
            return Err(RecommendError::ModelItems { model: scorer.name.to_owned(), is, n_items });
        }
        RecommendError::length("the popular list", "items", popular.n_items(), n_items)?;
        let source_names = Arc::new(SourceNames::new(scorer.name, fallbacks));
        Ok(Self {
            scorer,
            selection: Selection { model: scorer.model, min_score: scorer.min_score, rules, k },
            fallbacks: Fallbacks { order: fallbacks, popular, rules, k },
            source_names,
        })
    }

    /// The lists of `users`, in their order; histories are their rows of `interactions.weights`.
    ///
    /// Returns one list a user, an empty one where nothing is eligible.
    /// Cost: blocks of users run in parallel on rayon's current pool; memory for the result and, a thread, one tile of
    /// scores and the candidates of one block.
    ///
    /// # Errors
    /// When the matrices don't have the items of the rules, or not all of `users`.
    pub fn recommend_users(
        &self,
        interactions: &Interactions,
        users: Range<usize>,
    ) -> Result<Recommended, RecommendError> {
        self.recommend_rows(&interactions.weights, &interactions.excluded, users)
    }

    /// [`recommend_users`](Self::recommend_users) on the two matrices alone.
    ///
    /// # Errors
    /// As there.
    pub fn recommend_rows(
        &self,
        weights: &Csr,
        excluded: &Csr,
        users: Range<usize>,
    ) -> Result<Recommended, RecommendError> {
        RecommendError::length("the weights matrix", "items", weights.n_cols, self.selection.rules.n_items())?;
        RecommendError::length("the exclusions", "items", excluded.n_cols, self.selection.rules.n_items())?;
        RecommendError::length("the exclusions", "users", excluded.n_rows(), weights.n_rows())?;
        RecommendError::range("users", &users, weights.n_rows())?;
        let blocks = self.blocks(weights, users.clone());
        let lists: Vec<Recommended> = blocks
            .into_par_iter()
            .map_init(
                || Scratch::new(self.selection.rules),
                |scratch, block| self.block(weights, excluded, block, scratch),
            )
            .collect();
        let mut all = Recommended::starting_at(users.start, Arc::clone(&self.source_names));
        all.items.reserve_exact(lists.iter().map(|lists| lists.items.len()).sum());
        all.scores.reserve_exact(lists.iter().map(|lists| lists.items.len()).sum());
        lists.iter().for_each(|lists| all.append(lists));
        Ok(all)
    }

    /// The list of one user given by a history and his exclusions, both ascending; the same list as in a build.
    #[must_use]
    pub fn recommend_one(&self, history: History<'_>, excluded: &[u32]) -> OneList {
        let mut scratch = Scratch::new(self.selection.rules);
        let user = UserCase { history, excluded };
        let mut entries = Vec::new();
        if self.is_scored(history) {
            self.selection.select(&[UserCase { history: self.known(history), excluded }], &mut scratch);
            entries = std::mem::take(&mut scratch.lists[0]);
        }
        let filled = self.fill(&mut entries, &user, &mut scratch);
        OneList {
            entries,
            source: self.source_names.name(filled.source).to_owned(),
            parts: filled.ends.iter().map(|&(part, end)| (self.source_names.name(part).to_owned(), end)).collect(),
        }
    }

    /// Consecutive blocks, each with as many users for the model as its tile takes.
    fn blocks(&self, weights: &Csr, users: Range<usize>) -> Vec<Range<usize>> {
        let n_scored_at_once = self.scorer.model.tile().n_users.max(1);
        let mut blocks = Vec::new();
        let (mut start, mut n_scored) = (users.start, 0);
        for user in users.clone() {
            n_scored += usize::from(self.is_scored(weights.row(user)));
            if n_scored == n_scored_at_once || user + 1 - start == MAX_BLOCK_USERS || user + 1 == users.end {
                blocks.push(start..user + 1);
                (start, n_scored) = (user + 1, 0);
            }
        }
        blocks
    }

    fn block(&self, weights: &Csr, excluded: &Csr, users: Range<usize>, scratch: &mut Scratch<'_>) -> Recommended {
        let case = |user: usize| UserCase { history: weights.row(user), excluded: excluded.columns(user) };
        let scored: Vec<UserCase<'_>> = users
            .clone()
            .map(case)
            .filter(|user| self.is_scored(user.history))
            .map(|user| UserCase { history: self.known(user.history), ..user })
            .collect();
        let mut lists = Recommended::starting_at(users.start, Arc::clone(&self.source_names));
        lists.counts.n_nan = self.selection.select(&scored, scratch);

        let mut next_scored = 0;
        for user in users.clone().map(case) {
            let mut list = Vec::new();
            if self.is_scored(user.history) {
                list = std::mem::take(&mut scratch.lists[next_scored]);
            }
            let filled = self.fill(&mut list, &user, scratch);
            let counts = &mut lists.counts;
            *match (filled.source.has_model(), filled.source.has_fallback()) {
                (true, false) => &mut counts.n_model,
                (true, true) => &mut counts.n_filled,
                (false, true) => &mut counts.n_fallback,
                (false, false) => &mut counts.n_empty,
            } += 1;
            counts.n_short += u64::from(list.len() < self.selection.k);
            lists.items.extend(list.iter().map(|entry| entry.item));
            lists.scores.extend(list.iter().map(|entry| entry.score));
            lists.offsets.push(lists.items.len());
            lists.sources.push(filled.source);
            lists.n_from_model.push(filled.ends.first().map_or(0, |&(_, end)| end) as u32);
            if self.is_scored(user.history) {
                // Back for the next block.
                scratch.lists[next_scored] = list;
                next_scored += 1;
            }
        }
        lists.users.end = users.end;
        lists
    }

    fn fill(&self, list: &mut Vec<Scored>, user: &UserCase<'_>, scratch: &mut Scratch<'_>) -> Filled {
        self.fallbacks.fill(list, user, &mut scratch.room, &mut scratch.marks)
    }

    /// Whether the model is asked for this user.
    pub(super) fn is_scored(&self, history: History<'_>) -> bool {
        self.scorer.serves_empty_histories || !self.known(history).items.is_empty()
    }

    /// The part of a history that the model knows.
    pub(super) fn known<'h>(&self, history: History<'h>) -> History<'h> {
        let n_known = history.items.partition_point(|&item| (item as usize) < self.scorer.model.n_items());
        History {
            items: &history.items[..n_known],
            weights: &history.weights[..n_known],
            times: history.times.get(..n_known).unwrap_or_default(),
        }
    }
}
