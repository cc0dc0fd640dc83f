//! Rows that are read back before readers are sent to a run.

use std::collections::BinaryHeap;

use tokio::task::JoinSet;

use super::{
    encode::{Content, content, key_hash},
    link::Link,
    reader::row,
};
use crate::publish::PublishError;

/// Reads under way at once.
const IN_FLIGHT: usize = 32;

/// The rows whose keys hash lowest: as good as drawn by chance, whatever order they come in.
#[derive(Debug)]
pub(super) struct Sample {
    size: usize,
    seed: u64,
    /// The highest hash on top.
    rows: BinaryHeap<(u64, String, Counted)>,
}

/// A content that sorts, for the heap's sake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Counted(u64, u64);

impl Sample {
    pub(super) fn new(size: usize, seed: u64) -> Self {
        Self { size, seed, rows: BinaryHeap::new() }
    }

    pub(super) fn offer(&mut self, key: &str, content: Content) {
        let hash = key_hash(key, self.seed);
        let is_full = self.rows.len() >= self.size;
        if is_full && self.rows.peek().is_none_or(|(highest, ..)| hash >= *highest) {
            return;
        }
        if is_full {
            self.rows.pop();
        }
        self.rows.push((hash, key.to_owned(), Counted(content.n_entries, content.hash)));
    }

    /// Reads the rows, consistently, as a reader of the run would, and compares.
    ///
    /// # Errors
    /// [`ReadBack`](PublishError::ReadBack) with the key of the first that differs.
    pub(super) async fn check(&self, link: &Link, range: (i64, i64)) -> Result<(), PublishError> {
        let mut reads: JoinSet<Result<(), PublishError>> = JoinSet::new();
        let range = if link.config.layout == super::Layout::Latest { (0, 0) } else { range };
        for (_, key, expected) in &self.rows {
            if reads.len() >= IN_FLIGHT
                && let Some(read) = reads.join_next().await
            {
                read.expect("reads do not panic")?;
            }
            let (link, key, expected) = (link.clone(), key.clone(), *expected);
            reads.spawn(async move {
                let found = row(&link, &key, range, true).await?;
                let found = found.and_then(|item| content(&link.config, &key, &item));
                if found.map(|content| Counted(content.n_entries, content.hash)) == Some(expected) {
                    return Ok(());
                }
                Err(PublishError::ReadBack { store: link.store.clone(), key, found: found.is_some() })
            });
        }
        while let Some(read) = reads.join_next().await {
            read.expect("reads do not panic")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_does_not_depend_on_the_order() {
        let keys: Vec<String> = (0..500).map(|n| format!("u#{n}")).collect();
        let sample = |keys: &mut dyn Iterator<Item = &String>| {
            let mut sample = Sample::new(20, 3);
            keys.for_each(|key| sample.offer(key, Content { n_entries: 1, hash: 2 }));
            let mut rows: Vec<String> = sample.rows.into_iter().map(|(_, key, _)| key).collect();
            rows.sort();
            rows
        };
        let forth = sample(&mut keys.iter());
        assert_eq!(forth.len(), 20);
        assert_eq!(forth, sample(&mut keys.iter().rev()));
    }
}
