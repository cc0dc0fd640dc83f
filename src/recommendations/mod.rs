//! Recommendations: from scores to the lists people see.
//!
//! In: a model, histories, rules. Out: exact top-k lists, each with its source.
//! Refuses: padding. Fewer than k eligible items means a shorter list.

mod catalog;
mod lists;

pub use catalog::Catalog;
pub use lists::{ListBatch, ListRow};
