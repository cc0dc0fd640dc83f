//! The product of integers: thirty-two items by six users, and which sums are above the users' limits.
//!
//! Sums are taken modulo 2^16; packing keeps every whole sum within 16 bits, so what wraps on the way comes back.

/// Items of a panel.
pub(super) const PANEL: usize = 32;
/// Users of a group.
pub(super) const GROUP: usize = 6;

/// Two elements of each item of a panel, plus 64: two vectors of sixteen pairs.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
pub(super) struct Pairs(pub(super) [u8; 2 * PANEL]);

impl Pairs {
    /// Zeros of items that are not there.
    pub(super) const EMPTY: Self = Self([64; 2 * PANEL]);
}

/// Two elements of a user, twice, in the bytes of an integer that goes into all lanes at once.
pub(super) type Pair = i32;

/// A user's pair of elements.
#[inline(always)]
pub(super) fn pair(a: i8, b: i8) -> Pair {
    i32::from_ne_bytes([a as u8, b as u8, a as u8, b as u8])
}

/// Where an item's pair stands: the order that packing two masks of sixteen lanes into one of thirty-two gives.
#[inline(always)]
pub(super) fn place(item: usize) -> usize {
    let vector = item / 8 % 2;
    let lane = item % 8 + item / 16 * 8;
    32 * vector + 2 * lane
}

/// For each user the items (as bits) whose sum is above his limit.
#[inline]
pub(super) fn above(
    panel: &[Pairs],
    users: &[[Pair; GROUP]],
    start: &[i16; GROUP],
    limits: &[i16; GROUP],
) -> [u32; GROUP] {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, as just asked.
        return unsafe { above_avx2(panel, users, start, limits) };
    }
    above_portable(panel, users, start, limits)
}

/// The reference.
pub(super) fn above_portable(
    panel: &[Pairs],
    users: &[[Pair; GROUP]],
    start: &[i16; GROUP],
    limits: &[i16; GROUP],
) -> [u32; GROUP] {
    let mut masks = [0u32; GROUP];
    for (user, mask) in masks.iter_mut().enumerate() {
        let mut sums = [start[user]; PANEL];
        for (pairs, users) in panel.iter().zip(users) {
            let [a, b, ..] = users[user].to_ne_bytes();
            let (a, b) = (i16::from(a as i8), i16::from(b as i8));
            for (lane, sum) in sums.iter_mut().enumerate() {
                let (left, right) = (i16::from(pairs.0[2 * lane]), i16::from(pairs.0[2 * lane + 1]));
                // Both products together stay below 2^15: no saturation to be reproduced.
                *sum = sum.wrapping_add(left * a + right * b);
            }
        }
        for item in 0..PANEL {
            *mask |= u32::from(sums[place(item) / 2] > limits[user]) << item;
        }
    }
    masks
}

/// The same with multiply-adds of bytes: two a cycle, each thirty-two products.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn above_avx2(panel: &[Pairs], users: &[[Pair; GROUP]], start: &[i16; GROUP], limits: &[i16; GROUP]) -> [u32; GROUP] {
    use std::arch::x86_64::{
        _mm256_add_epi16, _mm256_cmpgt_epi16, _mm256_load_si256, _mm256_maddubs_epi16, _mm256_movemask_epi8,
        _mm256_packs_epi16, _mm256_set1_epi16, _mm256_set1_epi32,
    };
    let mut sums = [[_mm256_set1_epi16(0); 2]; GROUP];
    for user in 0..GROUP {
        sums[user] = [_mm256_set1_epi16(start[user]); 2];
    }
    for (pairs, users) in panel.iter().zip(users) {
        // SAFETY: `Pairs` is 64 bytes, aligned to 32.
        let (first, second) = unsafe {
            let at = pairs.0.as_ptr();
            (_mm256_load_si256(at.cast()), _mm256_load_si256(at.add(32).cast()))
        };
        for user in 0..GROUP {
            let pair = _mm256_set1_epi32(users[user]);
            sums[user][0] = _mm256_add_epi16(sums[user][0], _mm256_maddubs_epi16(first, pair));
            sums[user][1] = _mm256_add_epi16(sums[user][1], _mm256_maddubs_epi16(second, pair));
        }
    }
    let mut masks = [0u32; GROUP];
    for user in 0..GROUP {
        let limit = _mm256_set1_epi16(limits[user]);
        let (first, second) = (_mm256_cmpgt_epi16(sums[user][0], limit), _mm256_cmpgt_epi16(sums[user][1], limit));
        masks[user] = _mm256_movemask_epi8(_mm256_packs_epi16(first, second)) as u32;
    }
    masks
}
