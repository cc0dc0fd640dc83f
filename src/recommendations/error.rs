//! What can be wrong before the first list is made.

/// Parts that do not fit together. Every variant is a caller's mistake or a damaged run, never a property of one user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecommendError {
    /// A table that is indexed by item or user has the wrong length.
    #[error("{what} covers {is} {unit}, expected {expected}")]
    Length {
        /// The table, e.g. `the catalogue's categories`.
        what: &'static str,
        /// `items` or `users`.
        unit: &'static str,
        /// Its length.
        is: usize,
        /// What the others have.
        expected: usize,
    },
    /// The model scores items that have no number in this build.
    #[error("model {model} scores {is} items, the item table has only {n_items}")]
    ModelItems {
        /// The model's name.
        model: String,
        /// Items it scores.
        is: usize,
        /// Items of the build.
        n_items: usize,
    },
    /// A range that reaches beyond the rows there are.
    #[error("asked for {unit} {start} to {end}, there are {n}")]
    Range {
        /// `users` or `items`.
        unit: &'static str,
        /// First wanted.
        start: usize,
        /// End of the range.
        end: usize,
        /// How many exist.
        n: usize,
    },
    /// A category number without a name.
    #[error("item {item} has {kind} number {number}, there are {n} names")]
    NamelessGroup {
        /// `category` or `brand`.
        kind: &'static str,
        /// The item's number.
        item: usize,
        /// Its category or brand number.
        number: u32,
        /// How many names there are.
        n: usize,
    },
}

impl RecommendError {
    /// `Ok` when a table has the expected length.
    pub(super) fn length(what: &'static str, unit: &'static str, is: usize, expected: usize) -> Result<(), Self> {
        if is == expected { Ok(()) } else { Err(Self::Length { what, unit, is, expected }) }
    }

    /// `Ok` when `range` lies within `0..n`.
    pub(super) fn range(unit: &'static str, range: &std::ops::Range<usize>, n: usize) -> Result<(), Self> {
        if range.start <= range.end && range.end <= n {
            Ok(())
        } else {
            Err(Self::Range { unit, start: range.start, end: range.end, n })
        }
    }
}
