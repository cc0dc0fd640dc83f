//! Selection from models that prove most items to be below a bound.

use super::{
    select::{Selection, UserCase},
    top_k::TopK,
};
use crate::model::UserBlock;

/// A list is searched for in a catalogue of at least so many times its length; of fewer items too many are candidates.
const SEARCHED_SHARE: usize = 16;

/// Takes in the best scores of the users `which`, one of `block` and of `tops` each.
///
/// Returns whether it did; if not, `tops` are as they were.
pub(super) fn scan(
    selection: &Selection<'_>,
    block: &mut dyn UserBlock,
    users: &[UserCase<'_>],
    which: &[usize],
    keep: usize,
    tops: &mut [TopK],
) -> bool {
    let rules = selection.rules;
    // What a boost makes of a score below the bound may be above it.
    if rules.boosts().is_some() || keep.saturating_mul(SEARCHED_SHARE) > selection.model.n_items() {
        return false;
    }
    let mut bounds: Vec<f32> = tops[..which.len()].iter().map(TopK::bound).collect();
    block.search(&mut bounds, &mut |at, item, score| {
        let top = &mut tops[at];
        top.offer(item, score, |item| {
            rules.is_eligible(item) && users[which[at]].excluded.binary_search(&item).is_err()
        });
        top.bound()
    })
}
