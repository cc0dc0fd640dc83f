//! Caps: at most so many items of one category and of one brand in a list.

use super::rules::{Groups, Rules};

/// The cap that keeps an item out of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cap {
    Category,
    Brand,
}

/// What a list still has room for. One a thread: it counts densely and is cleared by what it counted.
#[derive(Debug)]
pub(super) struct Room<'r> {
    rules: &'r Rules,
    in_category: Vec<u32>,
    in_brand: Vec<u32>,
    taken: Vec<u32>,
}

impl<'r> Room<'r> {
    pub(super) fn new(rules: &'r Rules) -> Self {
        let counters = |groups: &Groups| if groups.cap.is_some() { vec![0; groups.n_groups] } else { Vec::new() };
        Self { rules, in_category: counters(&rules.categories), in_brand: counters(&rules.brands), taken: Vec::new() }
    }

    /// Makes it the room of an empty list.
    pub(super) fn clear(&mut self) {
        for item in self.taken.drain(..) {
            for (groups, counts) in
                [(&self.rules.categories, &mut self.in_category), (&self.rules.brands, &mut self.in_brand)]
            {
                if let (Some(_), Some(group)) = (groups.cap, groups.of_item[item as usize]) {
                    counts[group as usize] = 0;
                }
            }
        }
    }

    /// The cap that has no room for `item`; the category is asked first.
    pub(super) fn closed_by(&self, item: u32) -> Option<Cap> {
        let full = |groups: &Groups, counts: &[u32]| match (groups.cap, groups.of_item[item as usize]) {
            (Some(cap), Some(group)) => counts[group as usize] as usize >= cap,
            _ => false,
        };
        if full(&self.rules.categories, &self.in_category) {
            Some(Cap::Category)
        } else if full(&self.rules.brands, &self.in_brand) {
            Some(Cap::Brand)
        } else {
            None
        }
    }

    /// Whether category `category` can take no more.
    pub(super) fn category_is_full(&self, category: u32) -> bool {
        self.rules.categories.cap.is_some_and(|cap| self.in_category[category as usize] as usize >= cap)
    }

    /// Counts `item` in when both its category and its brand have room; says whether they had.
    pub(super) fn take(&mut self, item: u32) -> bool {
        if !self.rules.has_caps() {
            return true;
        }
        if self.closed_by(item).is_some() {
            return false;
        }
        self.taken.push(item);
        for (groups, counts) in
            [(&self.rules.categories, &mut self.in_category), (&self.rules.brands, &mut self.in_brand)]
        {
            if let (Some(_), Some(group)) = (groups.cap, groups.of_item[item as usize]) {
                counts[group as usize] += 1;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::IdTable,
        recommendations::{Catalog, RecommendConfig},
    };

    #[test]
    fn both_category_and_brand_need_room_and_a_refusal_counts_for_nothing() {
        let items: IdTable = ["a", "b", "c", "d", "e"].into_iter().collect();
        let catalog = Catalog {
            categories: vec![Some(0), Some(0), Some(0), Some(1), None],
            brands: vec![Some(0), Some(0), Some(1), Some(0), None],
            category_names: ["x", "y"].into_iter().collect(),
            brand_names: ["p", "q"].into_iter().collect(),
            ..Catalog::absent(5)
        };
        let config = RecommendConfig { max_per_category: Some(2), max_per_brand: Some(1), ..Default::default() };
        let (rules, _) = Rules::compile(&config, &catalog, &items).unwrap();
        let mut room = Room::new(&rules);
        for _ in 0..2 {
            assert!(room.take(0));
            assert_eq!(room.closed_by(1), Some(Cap::Brand));
            assert!(!room.take(1));
            assert!(room.take(2), "the refused item left the category alone");
            assert!(room.category_is_full(0));
            assert_eq!(room.closed_by(1), Some(Cap::Category));
            assert!(!room.take(3));
            assert!((0..9).all(|_| room.take(4)), "an item without names is never counted");
            room.clear();
        }
    }
}
