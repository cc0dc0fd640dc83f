//! Ids: text outside, numbers inside.
//!
//! In: user and item ids as they stand in the input (integers as their decimal text).
//! Out: [`UserIdx`] and [`ItemIdx`], numbered in an order that depends on the ids alone.
//! Refuses: to shorten, fold or re-encode an id; its bytes stay what they were.

mod interner;
mod numbers;

pub use interner::{Hashed, Interner, Place};
pub use numbers::IdNumbers;

use xxhash_rust::xxh64::xxh64;

/// A user's number: users are ordered by (bucket, id), so a bucket is a contiguous range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserIdx(pub u32);

/// An item's number: items are ordered by id (bytewise).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemIdx(pub u32);

impl UserIdx {
    /// The number as an index into arrays.
    #[inline]
    #[must_use]
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

impl ItemIdx {
    /// The number as an index into arrays.
    #[inline]
    #[must_use]
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// Seed of the bucket hash. Spark SQL's `xxhash64` uses the same one.
const BUCKET_SEED: u64 = 42;

/// XXH64 of the id's UTF-8 bytes, seed 42: the number Spark SQL's `xxhash64(id)` gives.
#[inline]
#[must_use]
pub fn id_hash(id: &[u8]) -> u64 {
    xxh64(id, BUCKET_SEED)
}

/// The bucket a hash falls into. `n_buckets` is a power of two.
#[inline]
#[must_use]
pub fn bucket_of(hash: u64, n_buckets: usize) -> usize {
    debug_assert!(n_buckets.is_power_of_two());
    (hash as usize) & (n_buckets - 1)
}

/// Ids of one kind in the order of their numbers, all bytes in one arena.
///
/// Cost: the bytes plus 8 bytes an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdTable {
    text: String,
    ends: Vec<u64>,
}

impl Default for IdTable {
    fn default() -> Self {
        Self::new()
    }
}

impl IdTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self { text: String::new(), ends: Vec::new() }
    }

    /// An empty table with room for `n_ids` ids of `n_bytes` bytes together.
    #[must_use]
    pub fn with_capacity(n_ids: usize, n_bytes: usize) -> Self {
        Self { text: String::with_capacity(n_bytes), ends: Vec::with_capacity(n_ids) }
    }

    /// Appends an id; its number is the length before the call.
    pub fn push(&mut self, id: &str) {
        self.text.push_str(id);
        self.ends.push(self.text.len() as u64);
    }

    /// How many ids there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The id with number `index`.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.text[start..self.ends[index] as usize]
    }

    /// The number of `id` in a table whose ids ascend, by binary search.
    #[must_use]
    pub fn position(&self, id: &str) -> Option<usize> {
        self.position_in(0..self.len(), id)
    }

    /// The number of `id` within `range`, whose ids ascend, by binary search.
    #[must_use]
    pub fn position_in(&self, range: std::ops::Range<usize>, id: &str) -> Option<usize> {
        let (mut low, mut high) = (range.start, range.end);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle).cmp(id) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    /// The ids in the order of their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }
}

impl<'a> FromIterator<&'a str> for IdTable {
    fn from_iter<T: IntoIterator<Item = &'a str>>(ids: T) -> Self {
        let mut table = Self::new();
        for id in ids {
            table.push(id);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_hash_is_sparks() {
        assert_eq!(id_hash(b"Spark") as i64, -4_294_468_057_691_064_905);
    }

    #[test]
    fn positions_are_found_and_absent_ids_are_not() {
        let table: IdTable = ["", "a", "ab", "b", "ü"].into_iter().collect();
        for (number, id) in ["", "a", "ab", "b", "ü"].iter().enumerate() {
            assert_eq!(table.get(number), *id);
            assert_eq!(table.position(id), Some(number));
        }
        assert_eq!(table.position("aa"), None);
        assert_eq!(table.position_in(2..4, "a"), None);
        assert_eq!(table.position_in(1..4, "b"), Some(3));
    }
}
