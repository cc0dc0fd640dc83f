//! Numbers for ids in the order they are first met.

use super::{IdTable, bucket_of, id_hash};

/// Bytes of an id that an entry holds itself. Most shops' ids are this short, so a look-up touches one cache line.
const INLINE: usize = 16;

/// What a slot knows of an id: its first bytes, its length and its place.
#[derive(Clone, Copy)]
struct Slot {
    head: [u8; INLINE],
    tag: u32,
    len: u32,
    bucket: u32,
    /// Number within the bucket plus one; zero is a free slot.
    number: u32,
}

const FREE: Slot = Slot { head: [0; INLINE], tag: 0, len: 0, bucket: 0, number: 0 };

/// Where an id was put: its bucket and its number within it, by first appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Bucket of the id's XXH64.
    pub bucket: u32,
    /// Number within the bucket.
    pub number: u32,
}

/// An id's hash, length and first bytes.
#[derive(Debug, Clone, Copy)]
pub struct Hashed {
    head: [u8; INLINE],
    hash: u64,
    len: u32,
}

impl Hashed {
    /// The id's length in bytes.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether the id is the empty one.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Turns ids into dense numbers within their buckets, by first appearance.
///
/// Equality is decided on all bytes of an id; hashes only say where to look. An open-addressing table with the first 16
/// bytes inside the slot, so that a look-up of a usual id touches one cache line, where a table of numbers beside an
/// arena of ids touches three.
///
/// Cost: 32 bytes a slot at 50 % load at most, plus the ids in one [`IdTable`] a bucket.
pub struct Interner {
    slots: Vec<Slot>,
    ids: Vec<IdTable>,
    n_ids: usize,
}

/// Mixes the head and length into 64 bits: two folded multiplications (the construction of wyhash and foldhash).
#[inline(always)]
fn mix(head: &[u8; INLINE], len: usize, rest: &[u8]) -> u64 {
    #[inline(always)]
    fn fold(a: u64, b: u64) -> u64 {
        let wide = u128::from(a) * u128::from(b);
        (wide as u64) ^ ((wide >> 64) as u64)
    }
    let low = u64::from_le_bytes(head[..8].try_into().expect("eight bytes"));
    let high = u64::from_le_bytes(head[8..].try_into().expect("eight bytes"));
    let mut hash = fold(low ^ 0x9E37_79B9_7F4A_7C15, high ^ 0xD1B5_4A32_D192_ED03 ^ len as u64);
    if !rest.is_empty() {
        hash ^= id_hash(rest);
    }
    fold(hash, 0xA076_1D64_78BD_642F)
}

#[inline(always)]
fn head_of(id: &[u8]) -> [u8; INLINE] {
    let mut head = [0u8; INLINE];
    if id.len() >= INLINE {
        head.copy_from_slice(&id[..INLINE]);
    } else if id.len() >= 8 {
        // Two overlapping words instead of a copy of unknown length.
        let n = id.len();
        head[..8].copy_from_slice(&id[..8]);
        let tail = u64::from_le_bytes(id[n - 8..].try_into().expect("eight bytes"));
        let shifted = tail.checked_shr(8 * (16 - n as u32)).unwrap_or(0);
        head[8..].copy_from_slice(&shifted.to_le_bytes());
    } else {
        for (place, byte) in head.iter_mut().zip(id) {
            *place = *byte;
        }
    }
    head
}

impl Interner {
    /// An empty interner that deals ids into `n_buckets` (a power of two) buckets.
    #[must_use]
    pub fn new(n_buckets: usize) -> Self {
        Self { slots: vec![FREE; 1024], ids: vec![IdTable::new(); n_buckets], n_ids: 0 }
    }

    /// The place of `id`, a new one if it was never met.
    #[inline]
    pub fn intern(&mut self, id: &str) -> Place {
        let hashed = Self::hash(id);
        self.intern_hashed(hashed, || id)
    }

    /// The part of a look-up that needs no table.
    #[inline]
    #[must_use]
    pub fn hash(id: &str) -> Hashed {
        let bytes = id.as_bytes();
        let head = head_of(bytes);
        let hash = mix(&head, bytes.len(), bytes.get(INLINE..).unwrap_or(&[]));
        Hashed { head, hash, len: bytes.len() as u32 }
    }

    /// [`hash`](Self::hash) of an id of `len` bytes that are all in `head`, zeros behind them; `len` is 16 at most.
    #[inline]
    #[must_use]
    pub fn hash_short(head: [u8; INLINE], len: u32) -> Hashed {
        debug_assert!(len as usize <= INLINE && head[len as usize..].iter().all(|&byte| byte == 0));
        Hashed { head, hash: mix(&head, len as usize, &[]), len }
    }

    /// Brings the slot of a hash into the cache and returns something that depends on it.
    ///
    /// Look-ups of a table larger than the cache wait for memory one after the other; touched some hundred at a time
    /// beforehand, they wait together.
    #[inline]
    #[must_use]
    pub fn touch(&self, hashed: &Hashed) -> u32 {
        self.slots[hashed.hash as usize & (self.slots.len() - 1)].number
    }

    /// [`intern`](Self::intern) of an id whose hash is known; the id itself is asked for when it is new or long.
    #[inline]
    pub fn intern_hashed<'i>(&mut self, hashed: Hashed, id: impl Fn() -> &'i str) -> Place {
        match self.probe(&hashed, &id) {
            Ok(place) => place,
            Err(at) => self.insert(at, hashed.head, (hashed.hash >> 32) as u32, id()),
        }
    }

    /// The place of an id that was met before; the id itself is asked for when it is long.
    #[inline]
    #[must_use]
    pub fn find_hashed<'i>(&self, hashed: &Hashed, id: impl Fn() -> &'i str) -> Option<Place> {
        self.probe(hashed, &id).ok()
    }

    /// Where the id is, or the free slot where it would be.
    #[inline(always)]
    fn probe<'i>(&self, hashed: &Hashed, id: &impl Fn() -> &'i str) -> Result<Place, usize> {
        let Hashed { head, hash, len } = *hashed;
        let tag = (hash >> 32) as u32;
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = &self.slots[at];
            if slot.number == 0 {
                return Err(at);
            }
            if slot.tag == tag && slot.head == head && slot.len == len {
                let place = Place { bucket: slot.bucket, number: slot.number - 1 };
                if len as usize <= INLINE || self.id(place) == id() {
                    return Ok(place);
                }
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn insert(&mut self, at: usize, head: [u8; INLINE], tag: u32, id: &str) -> Place {
        let bucket = bucket_of(id_hash(id.as_bytes()), self.ids.len());
        let number = self.ids[bucket].len() as u32;
        self.ids[bucket].push(id);
        self.n_ids += 1;
        self.slots[at] = Slot { head, tag, len: id.len() as u32, bucket: bucket as u32, number: number + 1 };
        if self.n_ids * 2 > self.slots.len() {
            self.grow();
        }
        Place { bucket: bucket as u32, number }
    }

    fn grow(&mut self) {
        let mut slots = vec![FREE; self.slots.len() * 2];
        let mask = slots.len() - 1;
        for slot in self.slots.iter().filter(|slot| slot.number != 0) {
            let len = slot.len as usize;
            // The rest of a long id stands in its table; short ones need no look there, which would miss the cache.
            let rest = if len <= INLINE {
                &[][..]
            } else {
                &self.id(Place { bucket: slot.bucket, number: slot.number - 1 }).as_bytes()[INLINE..]
            };
            let hash = mix(&slot.head, len, rest);
            let mut at = hash as usize & mask;
            while slots[at].number != 0 {
                at = (at + 1) & mask;
            }
            slots[at] = *slot;
        }
        self.slots = slots;
    }

    /// The id at a place that [`intern`](Self::intern) gave.
    #[must_use]
    pub fn id(&self, place: Place) -> &str {
        self.ids[place.bucket as usize].get(place.number as usize)
    }

    /// Gives up the look-up table and keeps the ids by bucket and number.
    #[must_use]
    pub fn into_ids(self) -> Vec<IdTable> {
        self.ids
    }

    /// How many ids were met.
    #[must_use]
    pub fn len(&self) -> usize {
        self.n_ids
    }

    /// Whether none was met.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n_ids == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::ids::IdNumbers;

    proptest! {
        #[test]
        fn agrees_with_a_hash_map(ids in proptest::collection::vec("[ab\\x00ü]{0,40}", 0..3000), buckets in 0u32..7) {
            let n_buckets = 1usize << buckets;
            let mut interner = Interner::new(n_buckets);
            let mut reference: HashMap<String, Place> = HashMap::new();
            let mut sizes = vec![0u32; n_buckets];
            for id in &ids {
                let expected = *reference.entry(id.clone()).or_insert_with(|| {
                    let bucket = bucket_of(id_hash(id.as_bytes()), n_buckets);
                    sizes[bucket] += 1;
                    Place { bucket: bucket as u32, number: sizes[bucket] - 1 }
                });
                prop_assert_eq!(interner.intern(id), expected);
            }
            prop_assert_eq!(interner.len(), reference.len());
            for (id, place) in &reference {
                prop_assert_eq!(interner.id(*place), id.as_str());
            }
            let table = interner.into_ids().swap_remove(0);
            let numbers = IdNumbers::of(&table);
            let asked: Vec<&str> = ids.iter().map(String::as_str).chain(["never met"]).collect();
            let mut found = Vec::new();
            numbers.find_all(&asked, &mut found);
            for (id, found) in asked.iter().zip(found) {
                let place = reference.get(*id).filter(|place| place.bucket == 0);
                prop_assert_eq!(found, place.map(|place| place.number));
                prop_assert_eq!(numbers.find(id), found);
            }
        }
    }

    #[test]
    fn ids_that_differ_late_or_by_a_nul_stay_apart() {
        let mut interner = Interner::new(1);
        let long = "x".repeat(300);
        let ids = ["", "\0", "\0\0", "1234567", "12345678", "12345678\0", "123456789012345", "1234567890123456"];
        for (number, id) in ids.iter().enumerate() {
            assert_eq!(interner.intern(id).number, number as u32, "{id:?}");
        }
        let first = interner.intern(&format!("{long}a"));
        assert_ne!(first, interner.intern(&format!("{long}b")));
        assert_eq!(first, interner.intern(&format!("{long}a")));
    }
}
