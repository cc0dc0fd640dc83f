//! Lists to measure, by number.

/// One ranked list a test user, in the order of the test users.
///
/// Shapes: list i is `items[offsets[i]..offsets[i + 1]]`, best first, no item twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RankedLists {
    /// n_lists + 1 ascending offsets.
    pub offsets: Vec<usize>,
    /// Item numbers.
    pub items: Vec<u32>,
    /// By list: how many of its first items the model itself gave, the others come from fallbacks; `None` where nobody
    /// says (lists of another program).
    pub n_from_model: Option<Vec<u32>>,
}

impl RankedLists {
    /// Number of lists.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// List `at`, best first.
    #[inline]
    #[must_use]
    pub fn list(&self, at: usize) -> &[u32] {
        &self.items[self.offsets[at]..self.offsets[at + 1]]
    }
}
