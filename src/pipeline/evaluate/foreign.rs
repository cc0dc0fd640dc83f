//! Lists of another program, in the order and numbering of a fold.

use std::collections::HashMap;

use serde::Serialize;

use crate::{evaluation::RankedLists, exchange::NamedLists};

use super::fold::Fold;

/// How the lists of another program fit the test users.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ForeignFacts {
    /// Their name.
    pub name: String,
    /// Test users without a list: they count as missed.
    pub users_without_list: u64,
    /// Lists of users who are not tested.
    pub lists_of_others: u64,
    /// Items that neither training nor the test knows; they keep their places.
    pub unknown_items: u64,
    /// Entries that repeat an item of the same list; the first one counts.
    pub repeated_entries: u64,
}

/// Puts lists into the order of the fold's test users.
pub(super) fn align(name: &str, lists: &NamedLists, fold: &Fold) -> (RankedLists, ForeignFacts) {
    let mut facts = ForeignFacts { name: name.to_owned(), ..ForeignFacts::default() };
    // Items that nobody knows get numbers behind all others, so that no two of them are one.
    let mut next = fold.test.relevant.n_cols as u32;
    let numbers: Vec<u32> = lists
        .items
        .iter()
        .map(|item| {
            fold.item_number(item).unwrap_or_else(|| {
                next += 1;
                next - 1
            })
        })
        .collect();
    facts.unknown_items = u64::from(next) - fold.test.relevant.n_cols as u64;
    let of_user: HashMap<&str, usize> = lists.users.iter().enumerate().map(|(at, id)| (id, at)).collect();
    let mut out = RankedLists { offsets: vec![0], ..RankedLists::default() };
    let mut n_found = 0;
    let mut seen: Vec<u32> = Vec::new();
    for id in fold.test.users.iter() {
        if let Some(&at) = of_user.get(id) {
            n_found += 1;
            seen.clear();
            for &entry in &lists.entries[lists.offsets[at]..lists.offsets[at + 1]] {
                let item = numbers[entry as usize];
                match seen.binary_search(&item) {
                    Ok(_) => facts.repeated_entries += 1,
                    Err(place) => {
                        seen.insert(place, item);
                        out.items.push(item);
                    }
                }
            }
        } else {
            facts.users_without_list += 1;
        }
        out.offsets.push(out.items.len());
    }
    facts.lists_of_others = lists.users.len() as u64 - n_found;
    (out, facts)
}
