//! A batch of lists: the currency between recommending, writing, reading back and publishing.

/// Many keyed lists of (item, score), by columns.
///
/// One batch holds recommendations (key = user id), similar items (key = item id) or popular lists (key = placement).
/// Item ids borrow from a table or an Arrow array, so a list of 50 costs 20 bytes an entry and no allocation.
#[derive(Debug, Clone, Default)]
pub struct ListBatch<'a> {
    /// One key a list.
    pub keys: Vec<&'a str>,
    /// n_lists + 1 ascending offsets into `items` and `scores`.
    pub offsets: Vec<usize>,
    /// Item ids, best first within a list.
    pub items: Vec<&'a str>,
    /// Scores, parallel to `items`.
    pub scores: Vec<f32>,
    /// One source a list: `als`, `item_item+popular`, ...; empty for kinds of list that have none.
    pub sources: Vec<&'a str>,
}

/// One list of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ListRow<'b, 'a> {
    /// User id, item id or placement.
    pub key: &'a str,
    /// Item ids, best first.
    pub items: &'b [&'a str],
    /// Parallel to `items`.
    pub scores: &'b [f32],
    /// Where the list comes from; empty where the kind of list has no source.
    pub source: &'a str,
}

impl<'a> ListBatch<'a> {
    /// How many lists there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Appends a list.
    pub fn push(&mut self, key: &'a str, entries: impl IntoIterator<Item = (&'a str, f32)>, source: &'a str) {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        self.keys.push(key);
        for (item, score) in entries {
            self.items.push(item);
            self.scores.push(score);
        }
        self.offsets.push(self.items.len());
        self.sources.push(source);
    }

    /// The same lists, keys ascending.
    #[must_use]
    pub fn sorted_by_key(&self) -> Self {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|&at| self.keys[at]);
        let mut sorted = Self::default();
        for at in order {
            let range = self.offsets[at]..self.offsets[at + 1];
            let entries = self.items[range.clone()].iter().copied().zip(self.scores[range].iter().copied());
            sorted.push(self.keys[at], entries, self.sources.get(at).copied().unwrap_or(""));
        }
        sorted
    }

    /// The lists in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = ListRow<'_, 'a>> + '_ {
        (0..self.len()).map(|at| {
            let range = self.offsets[at]..self.offsets[at + 1];
            ListRow {
                key: self.keys[at],
                items: &self.items[range.clone()],
                scores: &self.scores[range],
                source: self.sources.get(at).copied().unwrap_or(""),
            }
        })
    }
}
