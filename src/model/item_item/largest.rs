//! The largest of similarities that come in any order.

use super::build::Neighbours;

/// Similarity and item in one integer that ascends from the best: similarities descend, ties by item.
#[inline(always)]
pub(super) fn key(similarity: f32, item: u32) -> u64 {
    let bits = similarity.to_bits();
    // Bits of positive floats ascend with them, those of negative ones descend, so they are flipped below them.
    let ascending = bits ^ (((bits as i32 >> 31) as u32) | 0x8000_0000);
    (u64::from(!ascending) << 32) | u64::from(item)
}

/// The similarity in a key.
#[inline(always)]
fn similarity(key: u64) -> f32 {
    f32::from_bits(!((key >> 32) as u32) ^ 0x8000_0000)
}

/// Keeps the `most` largest similarities above zero, ties by item.
#[derive(Debug, Clone)]
pub(super) struct Largest {
    most: usize,
    keys: Vec<u64>,
    /// Similarities below it can't be kept.
    least: f32,
    /// The same with ties: larger keys can't be kept.
    last: u64,
}

impl Largest {
    pub(super) fn new(most: usize) -> Self {
        Self { most, keys: Vec::new(), least: f32::from_bits(1), last: u64::MAX }
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
        // The least float above zero.
        self.least = f32::from_bits(1);
        self.last = u64::MAX;
    }

    /// Similarities below it will not be kept.
    #[inline(always)]
    pub(super) fn least(&self) -> f32 {
        self.least
    }

    /// Takes in the similarity of `item`, which comes once.
    #[inline(always)]
    pub(super) fn offer(&mut self, item: u32, similarity: f32) {
        if similarity >= self.least {
            self.keep(key(similarity, item));
        }
    }

    fn keep(&mut self, key: u64) {
        if key <= self.last {
            self.keys.push(key);
            if self.keys.len() >= 2 * self.most + 64 {
                self.cut();
            }
        }
    }

    fn cut(&mut self) {
        if self.keys.len() > self.most {
            let (_, &mut last, _) = self.keys.select_nth_unstable(self.most - 1);
            self.keys.truncate(self.most);
            self.last = last;
            self.least = similarity(last);
        }
    }

    /// The keys of the largest, in no order.
    pub(super) fn kept(&mut self) -> &[u64] {
        self.cut();
        &self.keys
    }
}

/// Puts rows in the order of their items by a bit for each item: 1 us where sorting 350 takes 5.
pub(super) struct Order {
    words: Vec<u64>,
    /// A bit for each word.
    summary: Vec<u64>,
}

impl Order {
    pub(super) fn new(n_items: usize) -> Self {
        let n_words = n_items.div_ceil(64);
        Self { words: vec![0; n_words], summary: vec![0; n_words.div_ceil(64)] }
    }

    /// Appends the cells of `keys` as a row, items ascending; `zeros` has one for every item.
    pub(super) fn append(&mut self, keys: &[u64], zeros: &mut [f32], into: &mut Neighbours) {
        for &key in keys {
            let item = key as u32 as usize;
            self.words[item / 64] |= 1 << (item % 64);
            self.summary[item / 4096] |= 1 << (item / 64 % 64);
            zeros[item] = similarity(key);
        }
        for (first, summary) in (0..).step_by(64).zip(&mut self.summary) {
            let mut left = std::mem::take(summary);
            while left != 0 {
                let at = first + left.trailing_zeros() as usize;
                left &= left - 1;
                let mut word = std::mem::take(&mut self.words[at]);
                while word != 0 {
                    let item = at * 64 + word.trailing_zeros() as usize;
                    word &= word - 1;
                    into.items.push(item as u32);
                    into.values.push(std::mem::take(&mut zeros[item]));
                }
            }
        }
        into.ends.push(into.items.len());
    }
}
