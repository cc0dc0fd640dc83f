//! Fallbacks: what fills a list that the model can't fill.

use super::{Fallback, PopularLists, Rules, Source, caps::Room, select::UserCase, top_k::Scored};

/// Marks of items that a list may not take (again), and sums by category; one a thread, cleared in constant time.
#[derive(Debug)]
pub(super) struct Marks {
    of_item: Vec<u32>,
    round: u32,
    n_items: usize,
    category_weights: Vec<f64>,
    n_categories: usize,
}

impl Marks {
    /// Nothing is allocated until a list falls back.
    pub(super) fn new(rules: &Rules) -> Self {
        Self {
            of_item: Vec::new(),
            round: 0,
            n_items: rules.n_items(),
            category_weights: Vec::new(),
            n_categories: rules.categories.n_groups,
        }
    }

    fn clear(&mut self) {
        self.of_item.resize(self.n_items, 0);
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.of_item.fill(0);
            self.round = 1;
        }
    }

    fn mark(&mut self, item: u32) {
        self.of_item[item as usize] = self.round;
    }

    fn is_marked(&self, item: u32) -> bool {
        self.of_item[item as usize] == self.round
    }

    /// The history's categories by total weight descending, ties by category number, which is the order of names.
    fn favourite_categories(&mut self, user: &UserCase<'_>, rules: &Rules) -> Vec<u32> {
        self.category_weights.resize(self.n_categories, 0.0);
        let mut categories = Vec::new();
        for (&item, &weight) in user.history.items.iter().zip(user.history.weights) {
            if let Some(category) = rules.category(item) {
                let sum = &mut self.category_weights[category as usize];
                // Weights are above zero, so a sum of zero is a category not met before.
                if *sum == 0.0 {
                    categories.push(category);
                }
                *sum += f64::from(weight);
            }
        }
        let sums = &mut self.category_weights;
        categories.sort_unstable_by(|&a, &b| sums[b as usize].total_cmp(&sums[a as usize]).then(a.cmp(&b)));
        categories.dedup();
        categories.iter().for_each(|&category| sums[category as usize] = 0.0);
        categories
    }
}

/// What a list came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filled {
    pub(super) source: Source,
    /// Each part that was asked and where in the list its items end.
    pub(super) ends: Vec<(Source, usize)>,
}

/// The fallbacks of a build.
#[derive(Clone, Copy)]
pub(super) struct Fallbacks<'a> {
    pub(super) order: &'a [Fallback],
    pub(super) popular: &'a PopularLists,
    pub(super) rules: &'a Rules,
    pub(super) k: usize,
}

impl Fallbacks<'_> {
    /// Fills `list`, which holds the model's items, up to `k` from the fallbacks in their order.
    ///
    /// Every rule holds over the whole list; nothing is repeated. A filled item carries its popularity as its score.
    pub(super) fn fill(
        &self,
        list: &mut Vec<Scored>,
        user: &UserCase<'_>,
        room: &mut Room<'_>,
        marks: &mut Marks,
    ) -> Filled {
        let model_part = if list.is_empty() { Source::NOWHERE } else { Source::MODEL };
        let mut filled = Filled { source: model_part, ends: vec![(Source::MODEL, list.len())] };
        let want = self.k.min(self.rules.reach());
        if list.len() >= want || self.order.is_empty() {
            return filled;
        }
        room.clear();
        marks.clear();
        for entry in list.iter() {
            room.take(entry.item);
            marks.mark(entry.item);
        }
        user.excluded.iter().for_each(|&item| marks.mark(item));

        for &fallback in self.order {
            let before = list.len();
            let mut take_from = |ordered: &[u32], marks: &mut Marks, category: Option<u32>| {
                for &item in ordered {
                    if list.len() >= want || category.is_some_and(|category| room.category_is_full(category)) {
                        break;
                    }
                    if !marks.is_marked(item) && room.take(item) {
                        marks.mark(item);
                        list.push(Scored { item, score: self.popular.score(item) });
                    }
                }
            };
            match fallback {
                Fallback::CategoryPopular => {
                    for category in marks.favourite_categories(user, self.rules) {
                        take_from(self.popular.category(category), marks, Some(category));
                    }
                }
                Fallback::Popular => take_from(self.popular.overall(), marks, None),
            }
            if list.len() > before {
                filled.source = filled.source.and(Source::of(fallback));
            }
            filled.ends.push((Source::of(fallback), list.len()));
        }
        filled
    }
}
