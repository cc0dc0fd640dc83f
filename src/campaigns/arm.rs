//! Who is held out.

use xxhash_rust::xxh64::xxh64;

use crate::recommendations::Arm;

/// The arm of a user in a campaign.
///
/// Formula: XXH64 of the user's id, seeded by XXH64 of `salt NUL campaign`, as a fraction of 2^64; below the share is the
/// holdout arm.
/// Determinism: the same every night, on every machine; independent between campaigns; a larger share keeps everybody
/// who was held out by a smaller one.
#[must_use]
pub fn arm_of(user: &str, campaign: &str, salt: &str, holdout: f64) -> Arm {
    let seed = xxh64(format!("{salt}\0{campaign}").as_bytes(), 0);
    // 53 bits: exact as a double.
    let fraction = (xxh64(user.as_bytes(), seed) >> 11) as f64 / (1u64 << 53) as f64;
    if fraction < holdout { Arm::Holdout } else { Arm::Send }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 20_000;

    fn held_out(campaign: &str, salt: &str, share: f64) -> Vec<bool> {
        (0..N).map(|n| arm_of(&format!("u{n}"), campaign, salt, share) == Arm::Holdout).collect()
    }

    fn count(held: &[bool]) -> f64 {
        held.iter().filter(|held| **held).count() as f64
    }

    #[test]
    fn the_share_is_met_and_the_arms_are_nested() {
        for share in [0.0, 0.01, 0.1, 0.5] {
            let n = count(&held_out("cart", "s", share));
            let deviation = (N as f64 * share * (1.0 - share)).sqrt();
            assert!((n - N as f64 * share).abs() <= 4.0 * deviation, "{n} of {share}");
        }
        let (small, large) = (held_out("cart", "s", 0.1), held_out("cart", "s", 0.2));
        assert!(small.iter().zip(&large).all(|(small, large)| !small || *large));
    }

    #[test]
    fn campaigns_and_salts_deal_independently() {
        let a = held_out("cart", "s", 0.2);
        for b in [held_out("carts", "s", 0.2), held_out("cart", "t", 0.2), held_out("win back", "s", 0.2)] {
            let both: Vec<bool> = a.iter().zip(&b).map(|(a, b)| *a && *b).collect();
            let deviation = (N as f64 * 0.04 * 0.96).sqrt();
            assert!((count(&both) - N as f64 * 0.04).abs() < 4.0 * deviation, "{}", count(&both));
        }
        // A name that runs into the salt is another campaign.
        assert_ne!(held_out("b", "a\0", 0.5), held_out("b", "a", 0.5));
    }

    #[test]
    fn a_known_user_keeps_his_arm() {
        let arms: Vec<Arm> = (0..8).map(|n| arm_of(&format!("u{n}"), "cart", "nightshelf", 0.5)).collect();
        let again: Vec<Arm> = (0..8).map(|n| arm_of(&format!("u{n}"), "cart", "nightshelf", 0.5)).collect();
        assert_eq!(arms, again);
    }
}
