//! Selection for a block of users: tiles of scores, masks, thresholds, caps.

use super::{
    caps::Room,
    fallback::Marks,
    rules::{Rules, boosted},
    searched, sparse,
    top_k::{Scored, TopK},
};
use crate::{interactions::History, model::Model};

/// A capped list is walked out of a prefix of so many times k; most lists fill from it.
const CAPPED_PREFIX: usize = 4;
/// By how much the prefix grows for the users whose list didn't fill.
const PREFIX_GROWTH: usize = 8;
/// Bound on the buffers of users that are selected again with a long prefix.
const RETRY_BUDGET_BYTES: usize = 64 << 20;

/// One user as selection sees him.
#[derive(Debug, Clone, Copy)]
pub(super) struct UserCase<'a> {
    /// His history, cut to the items the model knows.
    pub(super) history: History<'a>,
    /// Items his own actions take from his list, ascending.
    pub(super) excluded: &'a [u32],
}

/// What selection asks for.
#[derive(Clone, Copy)]
pub(super) struct Selection<'a> {
    pub(super) model: &'a dyn Model,
    pub(super) min_score: Option<f32>,
    pub(super) rules: &'a Rules,
    pub(super) k: usize,
}

/// Buffers of one thread.
pub(super) struct Scratch<'r> {
    scores: Vec<f32>,
    tops: Vec<TopK>,
    cursors: Vec<usize>,
    pub(super) room: Room<'r>,
    pub(super) marks: Marks,
    /// The lists of the block's users after [`Selection::select`].
    pub(super) lists: Vec<Vec<Scored>>,
}

impl<'r> Scratch<'r> {
    pub(super) fn new(rules: &'r Rules) -> Self {
        Self {
            scores: Vec::new(),
            tops: Vec::new(),
            cursors: Vec::new(),
            room: Room::new(rules),
            marks: Marks::new(rules),
            lists: Vec::new(),
        }
    }
}

impl Selection<'_> {
    /// Fills `scratch.lists` with the users' best under all rules; returns how many eligible scores were NaN.
    ///
    /// Caps are a greedy walk down the full order. It is run on a prefix of that order; whoever comes out short of a
    /// truncated prefix is scored again with a longer one, in the end with everything, so the result is the full walk's.
    pub(super) fn select(&self, users: &[UserCase<'_>], scratch: &mut Scratch<'_>) -> u64 {
        let n_items = self.model.n_items();
        scratch.lists.iter_mut().for_each(Vec::clear);
        scratch.lists.resize_with(users.len().max(scratch.lists.len()), Vec::new);
        let mut keep = if self.rules.has_caps() { self.k.saturating_mul(CAPPED_PREFIX) } else { self.k };
        let everyone: Vec<usize> = (0..users.len()).collect();
        let mut n_nan = 0;
        let mut pending = self.pass(users, &everyone, keep, scratch, &mut n_nan);
        while !pending.is_empty() {
            keep = keep.saturating_mul(PREFIX_GROWTH).min(n_items);
            let n_at_once = (RETRY_BUDGET_BYTES / (2 * size_of::<u64>() * keep)).max(1);
            // The long buffers go when the retries are done.
            let usual = std::mem::take(&mut scratch.tops);
            let mut counted = 0;
            let still: Vec<usize> = pending
                .chunks(n_at_once)
                .flat_map(|some| {
                    scratch.tops.clear();
                    self.pass(users, some, keep, scratch, &mut counted)
                })
                .collect();
            scratch.tops = usual;
            pending = still;
        }
        n_nan
    }

    /// Selects `keep` for each of `which` and walks under the caps; returns those whose list needs a longer prefix.
    fn pass(
        &self,
        users: &[UserCase<'_>],
        which: &[usize],
        keep: usize,
        scratch: &mut Scratch<'_>,
        n_nan: &mut u64,
    ) -> Vec<usize> {
        self.scan(users, which, keep, scratch);
        let want = self.k.min(self.rules.reach());
        let mut short = Vec::new();
        for (&user, top) in which.iter().zip(&mut scratch.tops) {
            *n_nan += top.n_nan();
            let list = &mut scratch.lists[user];
            list.clear();
            scratch.room.clear();
            let room = &mut scratch.room;
            list.extend(top.finish().filter(|entry| room.take(entry.item)).take(self.k));
            if list.len() < want && top.truncated() && keep < self.model.n_items() {
                short.push(user);
            }
        }
        short
    }

    /// Runs the users `which` through all tiles; leaves their selections in the first places of `scratch.tops`.
    fn scan(&self, users: &[UserCase<'_>], which: &[usize], keep: usize, scratch: &mut Scratch<'_>) {
        let Scratch { scores, tops, cursors, .. } = scratch;
        if tops.len() < which.len() {
            tops.resize_with(which.len(), TopK::default);
        }
        tops.iter_mut().for_each(|top| top.restart(keep, self.min_score));
        cursors.clear();
        cursors.resize(which.len(), 0);
        let n_items = self.model.n_items();
        if which.is_empty() || n_items == 0 {
            return;
        }

        let histories: Vec<History<'_>> = which.iter().map(|&user| users[user].history).collect();
        let mut block = self.model.prepare(&histories);
        if sparse::scan(self, block.as_mut(), users, which, tops)
            || searched::scan(self, block.as_mut(), users, which, keep, tops)
        {
            return;
        }
        let tile_items = self.model.tile().n_items.clamp(1, n_items);
        scores.resize(which.len() * tile_items, 0.0);
        for start in (0..n_items).step_by(tile_items) {
            let end = (start + tile_items).min(n_items);
            let tile = &mut scores[..which.len() * (end - start)];
            block.score(start..end, tile);
            for (at, row) in tile.chunks_exact_mut(end - start).enumerate() {
                if let Some(boosts) = self.rules.boosts() {
                    for (score, &boost) in row.iter_mut().zip(&boosts[start..end]) {
                        *score = boosted(*score, boost);
                    }
                }
                // What a user has is what scores highest, so it is masked before the scan; ineligible items have no
                // such habit and are asked for only when one of them is a candidate.
                let excluded = users[which[at]].excluded;
                let cursor = &mut cursors[at];
                while let Some(&item) = excluded.get(*cursor).filter(|&&item| (item as usize) < end) {
                    row[item as usize - start] = f32::NEG_INFINITY;
                    *cursor += 1;
                }
                tops[at].scan(start as u32, row, |item| self.rules.is_eligible(item));
            }
        }
    }
}
