use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::{
    Screen,
    items::norm,
    kernel::{GROUP, PANEL, Pairs, above, above_portable, pair, place},
};
use crate::linalg::Isa;

/// The product as everybody computes it here.
fn chain(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0f32, |sum, (a, b)| a.mul_add(*b, sum))
}

/// The best `k` products of each user by searching, bounds rising as lists fill; and how many items were looked at.
fn searched(isa: Isa, items: &[f32], users: &[f32], width: usize, k: usize) -> (Vec<Vec<(u32, u32)>>, usize) {
    let screen = Screen::pack(items, width);
    let n_users = users.len() / width;
    let mut best: Vec<Vec<(f32, u32)>> = vec![Vec::new(); n_users];
    let mut bounds = vec![f32::NEG_INFINITY; n_users];
    let mut n_told = 0;
    let done = screen.search(isa, items, users, &mut bounds, &mut |user, item, product| {
        n_told += 1;
        let list = &mut best[user];
        assert!(list.iter().all(|&(_, other)| other != item), "item {item} came twice");
        list.push((product, item));
        list.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        list.truncate(k);
        if list.len() == k { list[k - 1].0.next_down() } else { f32::NEG_INFINITY }
    });
    assert!(done);
    (best.iter().map(|list| list.iter().map(|&(product, item)| (item, product.to_bits())).collect()).collect(), n_told)
}

fn naive(items: &[f32], users: &[f32], width: usize, k: usize) -> Vec<Vec<(u32, u32)>> {
    users
        .chunks(width)
        .map(|user| {
            let mut all: Vec<(f32, u32)> =
                (0u32..).zip(items.chunks(width)).map(|(i, y)| (chain(user, y), i)).collect();
            all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            all.truncate(k);
            all.iter().map(|&(product, item)| (item, product.to_bits())).collect()
        })
        .collect()
}

/// Factors of many shapes: even, with a few large items, with equal rows, with tiny and zero rows, one axis alone.
fn factors(shape: u32, n: usize, width: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut rows = vec![0f32; n * width];
    for (number, row) in rows.chunks_mut(width).enumerate() {
        let size = match shape {
            0 => 1.0,
            1 => 1.0 / (1.0 + number as f32),
            2 => [1e-38, 0.0, 1e-20, 1e-3][number % 4],
            3 => 1e12,
            _ => 1.0 + (number / 7) as f32,
        };
        for (k, x) in row.iter_mut().enumerate() {
            let value = random.random::<f32>() * 2.0 - 1.0;
            *x = size
                * match shape {
                    4 => (value * 2.0).round(),
                    5 => value / (1.0 + (k * k) as f32),
                    6 if k > 0 => 0.0,
                    _ => value,
                };
        }
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_search_finds_the_naive_lists(
        of_items in 0u32..7,
        of_users in 0u32..7,
        n_items in 1usize..400,
        n_users in 0usize..14,
        vectors in prop::sample::select(vec![1usize, 2, 4, 9]),
        k in 1usize..12,
        seed in 0u64..1000,
    ) {
        let width = 16 * vectors;
        let items = factors(of_items, n_items, width, seed);
        let users = factors(of_users, n_users, width, seed + 1);
        let expected = naive(&items, &users, width, k);
        for isa in Isa::all() {
            let (found, _) = searched(isa, &items, &users, width, k);
            prop_assert_eq!(&found, &expected);
        }
    }

    #[test]
    fn bounds_hold_for_parallel_vectors(width in prop::sample::select(vec![16usize, 64]), seed in 0u64..500, size in 1e-6f32..1e6) {
        // Items that are multiples of the user, one a rounding below the other: the tightest case of every inequality.
        let user = factors(0, 1, width, seed);
        let items: Vec<f32> = (0..70)
            .flat_map(|n| user.iter().map(move |&x| x * size * (1.0 - n as f32 * f32::EPSILON)))
            .collect();
        let (found, _) = searched(Isa::best(), &items, &user, width, 5);
        prop_assert_eq!(found, naive(&items, &user, width, 5));
    }

    #[test]
    fn the_kernel_is_a_sum_of_products(seed in 0u64..200, n_pairs in 0usize..40) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut panel = vec![Pairs::EMPTY; n_pairs];
        let mut users = vec![[0; GROUP]; n_pairs];
        let mut sums = [[0i32; GROUP]; PANEL];
        let mut start = [0i16; GROUP];
        for (pairs, users) in panel.iter_mut().zip(&mut users) {
            let of_users: [(i8, i8); GROUP] = std::array::from_fn(|_| (random.random_range(-9..=9), random.random_range(-127..=127)));
            for user in 0..GROUP {
                users[user] = pair(of_users[user].0, of_users[user].1);
                start[user] = start[user].wrapping_sub(64 * (i16::from(of_users[user].0) + i16::from(of_users[user].1)));
            }
            for item in 0..PANEL {
                let (a, b): (i32, i32) = (random.random_range(-63..=63), random.random_range(-5..=5));
                pairs.0[place(item)] = (a + 64) as u8;
                pairs.0[place(item) + 1] = (b + 64) as u8;
                for user in 0..GROUP {
                    sums[item][user] += a * i32::from(of_users[user].0) + b * i32::from(of_users[user].1);
                }
            }
        }
        prop_assume!(sums.as_flattened().iter().all(|sum| sum.abs() <= 32_767));
        let limits: [i16; GROUP] = std::array::from_fn(|user| sums[user * 5 % PANEL][user] as i16);
        let expected: [u32; GROUP] = std::array::from_fn(|user| {
            (0..PANEL).filter(|&item| sums[item][user] > i32::from(limits[user])).fold(0, |mask, item| mask | 1 << item)
        });
        prop_assert_eq!(above_portable(&panel, &users, &start, &limits), expected);
        prop_assert_eq!(above(&panel, &users, &start, &limits), expected);
    }
}

#[test]
fn most_items_are_never_computed() {
    let (items, users) = (factors(1, 5000, 64, 1), factors(0, 12, 64, 2));
    let (found, n_told) = searched(Isa::best(), &items, &users, 64, 10);
    assert_eq!(found, naive(&items, &users, 64, 10));
    assert!(n_told < 12 * 500, "{n_told} of {} products", 12 * 5000);
}

#[test]
fn what_is_no_number_or_may_overflow_is_refused() {
    let items = factors(0, 40, 16, 1);
    let screen = Screen::pack(&items, 16);
    for bad in [f32::NAN, f32::INFINITY, 1e36] {
        let mut users = factors(0, 3, 16, 2);
        users[20] = bad;
        let never = &mut |_, _, _| panic!("it said it could not");
        assert!(!screen.search(Isa::best(), &items, &users, &mut [0.0; 3], never));
    }
}

#[test]
fn a_norm_is_never_too_small() {
    for n in [0, 1, 7, 8, 9, 64] {
        let values = factors(0, 1, n.max(1), 3);
        let exact = values[..n].iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
        let found = f64::from(norm(&values[..n]));
        assert!(found >= exact && found <= exact * 1.000_001 + 1e-40, "{found} for {exact}");
    }
}
