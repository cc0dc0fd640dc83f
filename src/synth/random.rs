//! Named streams of random numbers, and permutations without a table.
//!
//! A stream is SplitMix64 (Steele, Lea, Flood 2014) started at a hash of (seed, name, a, b). It is not ChaCha8 because
//! a shop needs a fresh stream for every session, user and item: starting one costs three multiplications here.

/// Weyl increment of SplitMix64.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The purpose of a stream; streams of different names are independent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name(u64);

impl Name {
    /// Hashes a name at compile time (FNV-1a).
    pub(crate) const fn new(name: &str) -> Self {
        let bytes = name.as_bytes();
        let mut hash = 0xCBF2_9CE4_8422_2325_u64;
        let mut at = 0;
        while at < bytes.len() {
            hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01B3);
            at += 1;
        }
        Self(hash)
    }
}

/// The finaliser of SplitMix64: a bijection of 64-bit words that scatters every bit.
#[inline]
pub(crate) fn scatter(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// One stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Stream(u64);

impl Stream {
    /// The stream `name` of `seed`, for the pair (`a`, `b`).
    #[inline]
    pub(crate) fn new(seed: u64, name: Name, a: u64, b: u64) -> Self {
        let root = scatter(seed ^ name.0);
        Self(scatter(scatter(root ^ a.wrapping_mul(GOLDEN)) ^ b.wrapping_add(GOLDEN)))
    }

    /// The next 64 random bits.
    #[inline]
    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        scatter(self.0)
    }

    /// A number in 0..`n`; `n` is at least 1.
    #[inline]
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(n)) >> 64) as u64
    }

    /// A number in [0, 1), a multiple of 2^-53.
    #[inline]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// True with probability `p`.
    #[inline]
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// `x` rounded up or down so that its mean is `x`.
    pub(crate) fn round(&mut self, x: f64) -> u64 {
        (x + self.unit()).floor() as u64
    }

    /// One of `values`, each as likely; `values` is not empty.
    pub(crate) fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}

/// A seeded permutation of 0..n: a four-round Feistel network over the next even number of bits, walked along its
/// cycle until it lands below n (at most four steps on average).
#[derive(Debug, Clone)]
pub(crate) struct Permutation {
    n: u64,
    half_bits: u32,
    keys: [u64; 4],
}

impl Permutation {
    pub(crate) fn new(seed: u64, name: Name, n: u64) -> Self {
        let mut stream = Stream::new(seed, name, n, 0);
        let bits = 64 - n.saturating_sub(1).leading_zeros();
        Self { n, half_bits: bits.div_ceil(2).max(1), keys: std::array::from_fn(|_| stream.word()) }
    }

    /// Where `x` goes.
    #[inline]
    pub(crate) fn forward(&self, mut x: u64) -> u64 {
        debug_assert!(x < self.n);
        loop {
            let (mut left, mut right) = self.split(x);
            for key in self.keys {
                (left, right) = (right, left ^ self.round(right, key));
            }
            x = (left << self.half_bits) | right;
            if x < self.n {
                return x;
            }
        }
    }

    /// What goes to `x`.
    #[inline]
    pub(crate) fn backward(&self, mut x: u64) -> u64 {
        debug_assert!(x < self.n);
        loop {
            let (mut left, mut right) = self.split(x);
            for key in self.keys.iter().rev() {
                (left, right) = (right ^ self.round(left, *key), left);
            }
            x = (left << self.half_bits) | right;
            if x < self.n {
                return x;
            }
        }
    }

    #[inline]
    fn split(&self, x: u64) -> (u64, u64) {
        (x >> self.half_bits, x & ((1 << self.half_bits) - 1))
    }

    #[inline]
    fn round(&self, half: u64, key: u64) -> u64 {
        (half ^ key).wrapping_mul(GOLDEN).rotate_left(23).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> (64 - self.half_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: Name = Name::new("test");

    #[test]
    fn splitmix_is_the_published_one() {
        // First outputs of the reference splitmix64.c for the state 1234567.
        let mut stream = Stream(1_234_567);
        assert_eq!(stream.word(), 6_457_827_717_110_365_317);
        assert_eq!(stream.word(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn streams_differ_by_each_part_of_their_name() {
        let first = |seed, name, a, b| Stream::new(seed, name, a, b).word();
        let all = [
            first(1, TEST, 2, 3),
            first(2, TEST, 2, 3),
            first(1, Name::new("tset"), 2, 3),
            first(1, TEST, 3, 3),
            first(1, TEST, 2, 4),
            first(1, TEST, 3, 2),
        ];
        for (at, value) in all.iter().enumerate() {
            assert!(!all[..at].contains(value), "stream {at} repeats another");
        }
    }

    #[test]
    fn a_permutation_hits_every_number_once_and_goes_back() {
        for n in [1, 2, 3, 7, 64, 65, 1000] {
            let permutation = Permutation::new(9, TEST, n);
            let mut hit = vec![false; n as usize];
            for x in 0..n {
                let y = permutation.forward(x);
                assert!(!std::mem::replace(&mut hit[y as usize], true), "{y} of {n} is hit twice");
                assert_eq!(permutation.backward(y), x);
            }
        }
    }

    #[test]
    fn units_fill_the_interval_evenly() {
        let mut stream = Stream::new(3, TEST, 0, 0);
        let mut bins = [0_u32; 10];
        for _ in 0..100_000 {
            bins[(stream.unit() * 10.0) as usize] += 1;
        }
        // Five standard deviations of a bin of 10,000.
        assert!(bins.iter().all(|&count| count.abs_diff(10_000) < 475), "{bins:?}");
    }
}
