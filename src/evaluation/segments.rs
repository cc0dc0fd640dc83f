//! Groups of test users: known, new, all, and tenths by activity.

use super::TestSet;

/// A group of test users over all folds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// `known`, `new`, `all`, `decile_1` to `decile_10`.
    pub name: String,
    /// In words.
    pub label: String,
    /// (fold, user) of each row, ascending.
    pub rows: Vec<(u32, u32)>,
}

/// The segments that have users, in the order of tables: known, new, all, then tenths of the known by activity.
///
/// Formula: a known user's decile is 1 + floor(10 * (known users with fewer training items) / (known users)), so equals
/// stay together; a decile may come out empty, and is then left out.
#[must_use]
pub fn segments(folds: &[&TestSet]) -> Vec<Segment> {
    let rows = |keep: &dyn Fn(&TestSet, usize) -> bool| -> Vec<(u32, u32)> {
        let rows = (0u32..).zip(folds).flat_map(|(fold, test)| (0..test.len()).map(move |user| (fold, test, user)));
        rows.filter(|(_, test, user)| keep(test, *user)).map(|(fold, _, user)| (fold, user as u32)).collect()
    };
    let named = |name: &str, label: &str, rows| Segment { name: name.to_owned(), label: label.to_owned(), rows };
    let mut all = vec![
        named("known", "users with a training history", rows(&|test, user| test.known[user])),
        named("new", "users without a training history", rows(&|test, user| !test.known[user])),
        named("all", "all test users", rows(&|_, _| true)),
    ];
    let deciles: Vec<Vec<Option<u32>>> = folds.iter().map(|test| deciles(test)).collect();
    for decile in 1..=10u32 {
        let mut rows = Vec::new();
        let (mut least, mut most) = (u32::MAX, 0);
        for ((fold, test), of_user) in (0u32..).zip(folds).zip(&deciles) {
            for (user, _) in of_user.iter().enumerate().filter(|(_, own)| **own == Some(decile)) {
                rows.push((fold, user as u32));
                least = least.min(test.n_train_items[user]);
                most = most.max(test.n_train_items[user]);
            }
        }
        let items = if most == 1 { "item" } else { "items" };
        let label = if least == most {
            format!("{most} training {items}")
        } else {
            format!("{least} to {most} training items")
        };
        all.push(named(&format!("decile_{decile}"), &label, rows));
    }
    all.retain(|segment| !segment.rows.is_empty());
    all
}

/// By user: the decile, `None` for new users.
fn deciles(test: &TestSet) -> Vec<Option<u32>> {
    let mut activity: Vec<u32> =
        test.n_train_items.iter().zip(&test.known).filter(|(_, known)| **known).map(|(n, _)| *n).collect();
    activity.sort_unstable();
    let of = |n: u32| {
        let n_below = activity.partition_point(|&other| other < n);
        1 + (10 * n_below / activity.len()) as u32
    };
    test.n_train_items.iter().zip(&test.known).map(|(&n, &known)| known.then(|| of(n))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::IdTable, interactions::Csr};

    fn test_set(activity: &[u32]) -> TestSet {
        let n = activity.len();
        let ids: Vec<String> = (0..n).map(|user| format!("u{user:03}")).collect();
        TestSet {
            users: ids.iter().map(String::as_str).collect(),
            known: activity.iter().map(|&n| n > 0).collect(),
            n_train_items: activity.to_vec(),
            relevant: Csr::empty(n, 1),
            unknown_items: IdTable::new(),
        }
    }

    #[test]
    fn twenty_different_users_fall_into_ten_pairs() {
        let activity: Vec<u32> = (1..=20).rev().chain([0, 0]).collect();
        let found = segments(&[&test_set(&activity)]);
        let names: Vec<&str> = found.iter().map(|segment| segment.name.as_str()).collect();
        assert_eq!(names[..3], ["known", "new", "all"]);
        assert_eq!(names.len(), 13);
        assert_eq!(found[0].rows.len() + found[1].rows.len(), found[2].rows.len());
        for (at, decile) in found[3..].iter().enumerate() {
            assert_eq!(decile.rows.len(), 2);
            assert_eq!(decile.label, format!("{} to {} training items", 2 * at + 1, 2 * at + 2));
        }
    }

    #[test]
    fn equals_stay_together_and_empty_segments_are_left_out() {
        let found = segments(&[&test_set(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 5])]);
        let names: Vec<&str> = found.iter().map(|segment| segment.name.as_str()).collect();
        assert_eq!(names, ["known", "all", "decile_1", "decile_10"]);
        assert_eq!(found[2].rows.len(), 9);
        assert_eq!(found[2].label, "1 training item");
        assert!(segments(&[]).is_empty());
    }

    #[test]
    fn folds_are_pooled() {
        let (a, b) = (test_set(&[1, 2]), test_set(&[0, 3]));
        let found = segments(&[&a, &b]);
        assert_eq!(found[0].rows, [(0, 0), (0, 1), (1, 1)]);
        assert_eq!(found[1].rows, [(1, 0)]);
    }
}
