//! Dense kernels with one fixed lane structure, so that every machine and every thread count gives the same bits.
//!
//! In: f32 rows padded with zeros to whole vectors of sixteen. Out: products, Gramians, solutions, inverses, eigenvectors.
//! Refuses: sparse matrices, target-cpu flags, any sum whose order depends on the machine or the number of threads.

#![allow(
    clippy::needless_range_loop,
    reason = "iterators around vectors stay calls in a large task: the score kernel ran at 49 % of the peak with them, at 88 % without"
)]

mod blocks;
mod cholesky;
mod eigen;
mod gramian;
mod isa;
mod lanes;
mod panels;
mod rows;
mod screen;
mod tile;

pub use blocks::{Blocks, NotPositive};
pub use cholesky::{cholesky, cholesky_solve};
pub use eigen::{Eigen, NotConverged, eigen};
pub use gramian::{add_gramian, gramian};
pub use isa::{Isa, Simd, Task, prefetch};
pub(crate) use lanes::room;
pub use lanes::{LANES, Lane, axpy, clear, copy, dot, multiply, padded, scale};
pub(crate) use panels::outer_gramian;
pub use panels::{Groups, Panels, product};
pub use rows::{Coefficient, sweep};
pub use screen::Screen;

#[cfg(test)]
mod tests;
