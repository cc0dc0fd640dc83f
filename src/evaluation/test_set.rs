//! What turned out to be right, by number.

use xxhash_rust::xxh64::xxh64;

use crate::{ids::IdTable, interactions::Csr};

/// The test users and the items that are relevant to them.
///
/// Items are numbered as in training; those that training does not know follow, ascending by id.
#[derive(Debug, Clone, Default)]
pub struct TestSet {
    /// Ids of the users, by (bucket, id). Each has at least one relevant item.
    pub users: IdTable,
    /// By user: whether training has an interaction of his.
    pub known: Vec<bool>,
    /// By user: in how many items he has interactions in training.
    pub n_train_items: Vec<u32>,
    /// One ascending row a user; as many columns as there are items, those unknown to training included.
    pub relevant: Csr,
    /// Ids of the items that training does not know, ascending; the first has the number that follows training's last.
    pub unknown_items: IdTable,
}

impl TestSet {
    /// Number of users.
    #[must_use]
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// A sample of `n` users: their numbers, ascending; all of them when there are no more.
    ///
    /// Determinism: those with the smallest hashes of (seed, id), so the same people are drawn from every test set that
    /// has them, in whatever order.
    #[must_use]
    pub fn sample(&self, n: usize, seed: u64) -> Vec<u32> {
        let name = xxh64(b"evaluation.users", seed);
        let mut drawn: Vec<(u64, u32)> =
            (0u32..).zip(self.users.iter()).map(|(user, id)| (xxh64(id.as_bytes(), name), user)).collect();
        drawn.sort_unstable();
        drawn.truncate(n);
        let mut users: Vec<u32> = drawn.into_iter().map(|(_, user)| user).collect();
        users.sort_unstable();
        users
    }

    /// The test set of some of the users: `users` are their numbers, ascending.
    #[must_use]
    pub fn select(&self, users: &[u32]) -> Self {
        Self {
            users: users.iter().map(|&user| self.users.get(user as usize)).collect(),
            known: users.iter().map(|&user| self.known[user as usize]).collect(),
            n_train_items: users.iter().map(|&user| self.n_train_items[user as usize]).collect(),
            relevant: select_rows(&self.relevant, users),
            unknown_items: self.unknown_items.clone(),
        }
    }
}

/// Some rows of a matrix, in the order named.
#[must_use]
pub fn select_rows(matrix: &Csr, rows: &[u32]) -> Csr {
    let mut out = Csr { indptr: vec![0], n_cols: matrix.n_cols, ..Csr::default() };
    for &row in rows {
        let range = matrix.indptr[row as usize]..matrix.indptr[row as usize + 1];
        out.indices.extend_from_slice(&matrix.indices[range.clone()]);
        if !matrix.values.is_empty() {
            out.values.extend_from_slice(&matrix.values[range.clone()]);
        }
        if !matrix.times.is_empty() {
            out.times.extend_from_slice(&matrix.times[range]);
        }
        out.indptr.push(out.indices.len());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test_set(ids: &[&str]) -> TestSet {
        let n = ids.len();
        TestSet {
            users: ids.iter().copied().collect(),
            known: (0..n).map(|user| user % 2 == 0).collect(),
            n_train_items: (0..n as u32).collect(),
            relevant: Csr { indptr: (0..=n).collect(), indices: (0..n as u32).collect(), n_cols: n, ..Csr::default() },
            unknown_items: IdTable::new(),
        }
    }

    #[test]
    fn a_sample_is_of_people_not_of_places() {
        let ids = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let all = test_set(&ids);
        let drawn = all.sample(3, 7);
        assert_eq!(drawn.len(), 3);
        assert!(drawn.is_sorted());
        let names = |set: &TestSet, users: &[u32]| {
            let mut names: Vec<String> = users.iter().map(|&user| set.users.get(user as usize).to_owned()).collect();
            names.sort();
            names
        };
        let backwards: Vec<&str> = ids.iter().rev().copied().collect();
        let other = test_set(&backwards);
        assert_eq!(names(&all, &drawn), names(&other, &other.sample(3, 7)));
        assert!((0..50).any(|seed| all.sample(3, seed) != drawn), "the seed reaches the draw");
        assert_eq!(all.sample(100, 7).len(), 8);

        let some = all.select(&drawn);
        assert_eq!(some.len(), 3);
        for (at, &user) in drawn.iter().enumerate() {
            assert_eq!(some.users.get(at), ids[user as usize]);
            assert_eq!(some.relevant.columns(at), [user]);
            assert_eq!((some.known[at], some.n_train_items[at]), (user % 2 == 0, user));
        }
    }

    #[test]
    fn rows_are_selected_with_their_values() {
        let matrix = Csr {
            indptr: vec![0, 2, 2, 3],
            indices: vec![0, 3, 1],
            values: vec![1.0, 2.0, 3.0],
            n_cols: 4,
            ..Csr::default()
        };
        let some = select_rows(&matrix, &[2, 1]);
        assert_eq!((some.indptr, some.indices, some.values), (vec![0, 1, 1], vec![1], vec![3.0]));
    }
}
