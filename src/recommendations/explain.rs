//! Why an item is in a user's list, or what keeps it out.

use std::fmt;

use super::{
    Eligibility, RecommendError, Recommender,
    caps::{Cap, Room},
    rules::boosted,
    top_k::key,
};
use crate::{ids::ItemIdx, interactions::History, model::Explanation};

/// One item as one user's list sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemVerdict {
    /// The model's score before boosts; `None` when it scores this item or this user not at all.
    pub score: Option<f32>,
    /// The factor the rules put on the score.
    pub boost: f32,
    /// From 1: the item's place among all the user may get, in the order of boosted scores before caps. An item that is
    /// kept out is ranked as if it alone were let in. `None` without a score above the model's bound.
    pub rank: Option<usize>,
    /// How many items the user may get from the model, before caps.
    pub n_ranked: usize,
    /// In the list or not.
    pub placement: Placement,
    /// What in the history leads to the score; `None` where `score` is.
    pub explanation: Option<Explanation>,
}

/// Where an item ends up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// In the list.
    Listed {
        /// From 1.
        place: usize,
        /// The part of the list: the model's name or a fallback's.
        part: String,
    },
    /// Not in the list.
    KeptOut(KeptOut),
}

/// What keeps an item out of a list; the first reason that holds, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeptOut {
    /// An exclusion rule took it for what the user did.
    OwnActions,
    /// It can't be sold now.
    Unavailable,
    /// The config blocks it.
    Blocked,
    /// The catalogue doesn't list it.
    Unlisted,
    /// The user has no history that the model knows, and the fallbacks filled his list without it.
    NoHistory,
    /// The model has no such item.
    UnknownToModel,
    /// The model's score is not a number.
    NotANumber,
    /// The score is not above the model's bound.
    NoLink,
    /// Enough of its category stand before it.
    CategoryCap,
    /// Enough of its brand stand before it.
    BrandCap,
    /// Enough items stand before it.
    Rank {
        /// From 1.
        rank: usize,
        /// Of how many.
        of: usize,
        /// Length of a list.
        k: usize,
    },
}

impl fmt::Display for KeptOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnActions => "excluded by the user's own actions",
            Self::Unavailable => "unavailable",
            Self::Blocked => "blocked",
            Self::Unlisted => "not in the catalogue",
            Self::NoHistory => "the user has no history and his fallback list is full",
            Self::UnknownToModel => "unknown to the model",
            Self::NotANumber => "its score is not a number",
            Self::NoLink => "nothing in the user's history leads to it",
            Self::CategoryCap => "category cap",
            Self::BrandCap => "brand cap",
            Self::Rank { rank, of, k } => {
                return write!(f, "rank {} of {}, k is {}", Thousands(*rank), Thousands(*of), Thousands(*k));
            }
        })
    }
}

/// A number with a comma between groups of three digits.
struct Thousands(usize);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1000 {
            return write!(f, "{}", self.0);
        }
        write!(f, "{},{:03}", Thousands(self.0 / 1000), self.0 % 1000)
    }
}

impl Recommender<'_> {
    /// Why `item` is or isn't in the list of a user given by a history and his exclusions, both ascending.
    ///
    /// Cost: one user's scores, and with caps a sort of them.
    ///
    /// # Errors
    /// When there is no item of that number.
    pub fn explain(
        &self,
        history: History<'_>,
        excluded: &[u32],
        item: ItemIdx,
    ) -> Result<ItemVerdict, RecommendError> {
        let rules = self.selection.rules;
        RecommendError::range("items", &(item.at()..item.at() + 1), rules.n_items())?;
        let scores = if self.is_scored(history) { self.all_scores(history) } else { Vec::new() };
        let score = scores.get(item.at()).copied();

        let candidates: Vec<u64> = (0u32..)
            .zip(&scores)
            .filter(|(other, _)| rules.is_eligible(*other) && excluded.binary_search(other).is_err())
            .filter_map(|(other, &score)| self.candidate_key(other, score))
            .collect();
        let own = score.and_then(|score| self.candidate_key(item.0, score));
        let rank = own.map(|own| 1 + candidates.iter().filter(|&&other| other < own).count());
        let n_ranked = candidates.len();

        let list = self.recommend_one(history, excluded);
        let placement = match list.entries.iter().position(|entry| entry.item == item.0) {
            Some(at) => {
                let part = list.parts.iter().find(|(_, end)| at < *end).map(|(name, _)| name.clone());
                Placement::Listed { place: at + 1, part: part.unwrap_or_default() }
            }
            None => Placement::KeptOut(if excluded.binary_search(&item.0).is_ok() {
                KeptOut::OwnActions
            } else {
                match (rules.eligibility(item.0), score, own, rank) {
                    (Eligibility::Unavailable, ..) => KeptOut::Unavailable,
                    (Eligibility::Blocked, ..) => KeptOut::Blocked,
                    (Eligibility::Unlisted, ..) => KeptOut::Unlisted,
                    (Eligibility::Eligible, Some(_), Some(own), Some(rank)) => {
                        let beyond_k = KeptOut::Rank { rank, of: n_ranked, k: self.selection.k };
                        self.cap_before(candidates, own, item.0).unwrap_or(beyond_k)
                    }
                    (Eligibility::Eligible, Some(score), ..) if score.is_nan() => KeptOut::NotANumber,
                    (Eligibility::Eligible, Some(_), ..) => KeptOut::NoLink,
                    (Eligibility::Eligible, None, ..) if !self.is_scored(history) => KeptOut::NoHistory,
                    (Eligibility::Eligible, None, ..) => KeptOut::UnknownToModel,
                }
            }),
        };
        let explanation = score.map(|_| self.scorer.model.explain(self.known(history), item));
        Ok(ItemVerdict { score, boost: rules.boost(item.0), rank, n_ranked, placement, explanation })
    }

    /// The model's scores for one user, before boosts.
    fn all_scores(&self, history: History<'_>) -> Vec<f32> {
        let n_items = self.scorer.model.n_items();
        let mut scores = vec![0f32; n_items];
        let mut block = self.scorer.model.prepare(&[self.known(history)]);
        let n_at_once = self.scorer.model.tile().n_items.clamp(1, n_items.max(1));
        for (at, tile) in scores.chunks_mut(n_at_once).enumerate() {
            let start = at * n_at_once;
            block.score(start..start + tile.len(), tile);
        }
        scores
    }

    /// The item's place in the house order, `None` when selection would not look at such a score.
    fn candidate_key(&self, item: u32, score: f32) -> Option<u64> {
        let score = boosted(score, self.selection.rules.boost(item));
        let bound = self.scorer.min_score.unwrap_or(f32::NEG_INFINITY).max(f32::NEG_INFINITY);
        (score > bound).then(|| key(score, item))
    }

    /// The cap that is full when the walk down the order comes to `item`, if it comes so far.
    fn cap_before(&self, mut candidates: Vec<u64>, own: u64, item: u32) -> Option<KeptOut> {
        if !self.selection.rules.has_caps() {
            return None;
        }
        candidates.sort_unstable();
        let mut room = Room::new(self.selection.rules);
        let before = candidates.iter().take_while(|&&other| other < own);
        let n_taken = before.filter(|&&other| room.take(other as u32)).take(self.selection.k).count();
        let cap = room.closed_by(item).filter(|_| n_taken < self.selection.k)?;
        Some(match cap {
            Cap::Category => KeptOut::CategoryCap,
            Cap::Brand => KeptOut::BrandCap,
        })
    }
}
