//! Building the similarity: for each item, one walk over its users' rows.

use rayon::prelude::*;

use super::{config::ItemItemConfig, measure::Measure, sequence::Sequence};
use crate::{
    interactions::Csr,
    model::{TrainEvent, sparse_items::keep_largest},
};

/// Progress is told so many times.
const REPORTS: usize = 20;

/// Items that a thread takes at once.
const CHUNK_ITEMS: usize = 16;

/// One item's neighbours: items ascending, and their similarities.
type Neighbours = (Vec<u32>, Vec<f32>);

/// Similarities of items to items: row i holds what item i leads to, columns ascending, never i itself.
///
/// Determinism: a similarity sums its users in ascending order, on one thread; the largest are kept, ties by item.
/// Cost: one multiply-add for each pair of cells of each user; a dense row of sums for each thread.
pub(super) fn build(config: &ItemItemConfig, users: &Csr, on: &mut dyn FnMut(TrainEvent)) -> Csr {
    let items = users.transpose();
    let measure = Measure::of(config, users, &items);
    let sequence = Sequence::of(config, users, &items);
    let n_items = items.n_rows();
    let mut similarity = Csr { indptr: vec![0], n_cols: n_items, ..Csr::default() };
    let step = n_items.div_ceil(REPORTS).next_multiple_of(CHUNK_ITEMS).max(CHUNK_ITEMS);
    let iterations = n_items.div_ceil(step);
    for iteration in 1..=iterations {
        let range = (iteration - 1) * step..n_items.min(iteration * step);
        let rows: Vec<Neighbours> = range
            .into_par_iter()
            .with_max_len(CHUNK_ITEMS)
            .map_init(
                || Sums::new(n_items, config.shrinkage > 0.0),
                |sums, item| sums.neighbours(config.neighbours, users, &items, &measure, sequence.as_ref(), item),
            )
            .collect();
        for (columns, values) in rows {
            similarity.indices.extend_from_slice(&columns);
            similarity.values.extend_from_slice(&values);
            similarity.indptr.push(similarity.indices.len());
        }
        on(TrainEvent::Iteration { iteration, iterations, loss: None });
    }
    if config.normalise { normalise(similarity, config.neighbours) } else { similarity }
}

/// A thread's dense row of sums.
struct Sums {
    sums: Vec<f32>,
    /// Users of each sum; empty where nobody asks.
    users: Vec<u32>,
    touched: Vec<u32>,
    found: Vec<(f32, u32)>,
}

impl Sums {
    fn new(n_items: usize, counts: bool) -> Self {
        Self {
            sums: vec![0.0; n_items],
            users: if counts { vec![0; n_items] } else { Vec::new() },
            touched: Vec::new(),
            found: Vec::new(),
        }
    }

    fn neighbours(
        &mut self,
        most: usize,
        users: &Csr,
        items: &Csr,
        measure: &Measure,
        sequence: Option<&Sequence>,
        item: usize,
    ) -> Neighbours {
        let Self { sums, users: counts, touched, found } = self;
        for at in items.indptr[item]..items.indptr[item + 1] {
            let lead = measure.lead[at];
            let user = items.indices[at] as usize;
            let cells = users.indptr[user]..users.indptr[user + 1];
            if let Some(sequence) = sequence {
                for cell in cells {
                    let other = users.indices[cell];
                    let sum = &mut sums[other as usize];
                    if *sum == 0.0 {
                        touched.push(other);
                    }
                    *sum += lead * measure.follow[cell] * sequence.factor(at, cell);
                    if let Some(count) = counts.get_mut(other as usize) {
                        *count += 1;
                    }
                }
                continue;
            }
            for (&other, &follow) in users.indices[cells.clone()].iter().zip(&measure.follow[cells]) {
                let sum = &mut sums[other as usize];
                if *sum == 0.0 {
                    touched.push(other);
                }
                *sum += lead * follow;
                if let Some(count) = counts.get_mut(other as usize) {
                    *count += 1;
                }
            }
        }
        found.clear();
        for &other in touched.iter() {
            let at = other as usize;
            let n_users = counts.get_mut(at).map_or(0, std::mem::take);
            let sum = std::mem::take(&mut sums[at]);
            let similarity = measure.similarity(item, at, sum, n_users);
            if at != item && similarity > 0.0 {
                found.push((similarity, other));
            }
        }
        touched.clear();
        keep_largest(found, most);
        found.sort_unstable_by_key(|&(_, other)| other);
        // A sum that went back to zero was touched twice; it is found once.
        found.dedup_by_key(|&mut (_, other)| other);
        found.iter().map(|&(similarity, other)| (other, similarity)).unzip()
    }
}

/// Scales rows to sum to one, then keeps the `most` largest of each column.
fn normalise(mut similarity: Csr, most: usize) -> Csr {
    for row in 0..similarity.n_rows() {
        let values = &mut similarity.values[similarity.indptr[row]..similarity.indptr[row + 1]];
        let total = values.iter().fold(0f64, |sum, &value| sum + f64::from(value));
        if total > 0.0 {
            for value in values {
                *value = (f64::from(*value) / total) as f32;
            }
        }
    }
    let columns = similarity.transpose();
    drop(similarity);
    let kept: Vec<Neighbours> = (0..columns.n_rows())
        .into_par_iter()
        .map(|column| {
            let cells = columns.row(column);
            let mut found: Vec<(f32, u32)> = cells.weights.iter().copied().zip(cells.items.iter().copied()).collect();
            keep_largest(&mut found, most);
            found.sort_unstable_by_key(|&(_, lead)| lead);
            found.into_iter().map(|(value, lead)| (lead, value)).unzip()
        })
        .collect();
    let mut by_columns = Csr { indptr: vec![0], n_cols: columns.n_cols, ..Csr::default() };
    for (rows, values) in kept {
        by_columns.indices.extend_from_slice(&rows);
        by_columns.values.extend_from_slice(&values);
        by_columns.indptr.push(by_columns.indices.len());
    }
    by_columns.transpose()
}
