//! Selection from models that know which few of their scores are not zero.

use super::{
    rules::boosted,
    select::{Selection, UserCase},
    top_k::TopK,
};
use crate::model::UserBlock;

/// Takes in the scores of the users `which`, one of `block` and of `tops` each, where zero is no recommendation and the
/// model visits the others.
///
/// Returns whether it did; if not, `tops` are as they were.
pub(super) fn scan(
    selection: &Selection<'_>,
    block: &mut dyn UserBlock,
    users: &[UserCase<'_>],
    which: &[usize],
    tops: &mut [TopK],
) -> bool {
    // Boosts leave a zero at zero.
    if !selection.min_score.is_some_and(|bound| bound >= 0.0) {
        return false;
    }
    let rules = selection.rules;
    for (at, (&user, top)) in which.iter().zip(tops).enumerate() {
        let excluded = users[user].excluded;
        let can = match rules.boosts() {
            None => block.visit(at, top.bound(), excluded, &mut |item, score| {
                top.offer(item, score, |item| rules.is_eligible(item));
                top.bound()
            }),
            // What a boost makes of a score below the bound may be above it.
            Some(boosts) => block.visit(at, f32::NEG_INFINITY, excluded, &mut |item, score| {
                top.offer(item, boosted(score, boosts[item as usize]), |item| rules.is_eligible(item));
                f32::NEG_INFINITY
            }),
        };
        if !can {
            return false;
        }
    }
    true
}
