//! Items with products nearly everywhere: sums in blocks of items that stay in the nearest caches, without noting where.
//!
//! Rows of a chunk take turns in each block, so that what all of them read of it is fetched once.

use super::{
    build::Sources,
    largest::Largest,
    measure::Similarities,
    sums::{LANES, Similarity},
};
use crate::{
    linalg::{Isa, Simd, Task},
    model::prefetch::prefetch,
};

/// Items of a block: 64 KB of sums, and as much of each dense row.
const BLOCK_ITEMS: usize = 1 << 14;

/// Users whose cells are asked for ahead of their turn.
const AHEAD: usize = 6;

/// One of an item's users, whose row is walked block by block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    /// Next cell.
    at: usize,
    end: usize,
    /// What the user's cell of the item counts.
    lead: f32,
    dense: Option<u32>,
}

/// Puts the users of `item` at the start of their rows.
pub(super) fn start(sources: &Sources<'_>, item: usize, walks: &mut Vec<Walk>) {
    let Sources { rows, items, lead, .. } = sources;
    let leads = &lead[items.indptr[item]..items.indptr[item + 1]];
    walks.clear();
    walks.extend(items.columns(item).iter().zip(leads).map(|(&user, &lead)| {
        let at = rows.start(user);
        // Nothing times zero must be zero where a dense row is to be the same as the cells.
        let dense = rows.dense_of(user).filter(|_| lead.is_finite());
        Walk { at, end: at + rows.n_cells(user), lead, dense }
    }));
}

/// Offers the similarities of the chunk's rows `which` to their largest; `sums` is all zero before and after.
pub(super) fn run(
    sources: &Sources<'_>,
    first_item: usize,
    which: &[usize],
    walks: &mut [Vec<Walk>],
    sums: &mut [f32],
    largest: &mut [Largest],
) {
    let n_items = sums.len();
    for first in (0..n_items).step_by(BLOCK_ITEMS) {
        let end = n_items.min(first + BLOCK_ITEMS);
        let sums = &mut sums[..end - first];
        for &row in which {
            let item = first_item + row;
            add_block(sources, &mut walks[row], first, end, sums);
            if (first..end).contains(&item) {
                sums[item - first] = 0.0;
            }
            let largest = &mut largest[row];
            match sources.measure.similarities(item) {
                Similarities::Product(of) => Isa::best().run(Offer { of: &of, first, sums, largest }),
                Similarities::Union(of) => Isa::best().run(Offer { of: &of, first, sums, largest }),
            }
        }
    }
}

/// Adds the products with the items from `first` to `end`, user by user; users whose row is at its end are let go.
fn add_block(sources: &Sources<'_>, walks: &mut Vec<Walk>, first: usize, end: usize, sums: &mut [f32]) {
    let cells = sources.rows.cells();
    let mut n_left = 0;
    for at in 0..walks.len() {
        if let Some(later) = walks.get(at + AHEAD) {
            prefetch(&cells[later.at..later.end]);
        }
        let mut walk = walks[at];
        if let Some(dense) = walk.dense {
            let follow = &sources.rows.dense(dense)[first..end];
            Isa::best().run(AddAll { lead: walk.lead, follow, sums });
            walks[n_left] = walk;
            n_left += 1;
            continue;
        }
        let left = &cells[walk.at..walk.end];
        let mut n_taken = 0;
        for cell in left {
            // Beyond the block, since cells ascend.
            let Some(sum) = sums.get_mut(cell.item as usize - first) else { break };
            *sum += walk.lead * cell.follow;
            n_taken += 1;
        }
        walk.at += n_taken;
        walks[n_left] = walk;
        n_left += usize::from(walk.at < walk.end);
    }
    walks.truncate(n_left);
}

/// `sums += lead * follow`, not fused: the bits are those of adding at places.
struct AddAll<'a> {
    lead: f32,
    follow: &'a [f32],
    sums: &'a mut [f32],
}

impl Task for AddAll<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        for (sum, &follow) in self.sums.iter_mut().zip(self.follow) {
            *sum += self.lead * follow;
        }
    }
}

/// Similarities of all sums go to the largest; zeros stay.
struct Offer<'a, S> {
    of: &'a S,
    /// Item of the first sum.
    first: usize,
    sums: &'a mut [f32],
    largest: &'a mut Largest,
}

impl<T: Similarity> Task for Offer<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let Self { of, mut first, sums, largest } = self;
        let (chunks, rest) = sums.as_chunks_mut::<LANES>();
        let mut least = largest.least();
        for chunk in chunks {
            let similarities = of.lanes(first, chunk);
            *chunk = [0.0; LANES];
            let mut n_candidates = 0u32;
            for similarity in similarities {
                n_candidates += u32::from(similarity >= least);
            }
            if n_candidates > 0 {
                for (item, similarity) in (first as u32..).zip(similarities) {
                    largest.offer(item, similarity);
                }
                least = largest.least();
            }
            first += LANES;
        }
        for (at, sum) in (first..).zip(rest) {
            largest.offer(at as u32, of.shrunk(at, std::mem::take(sum), 0));
        }
    }
}
