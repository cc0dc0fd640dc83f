//! Tuning: which settings to try next, and on how much data.
//!
//! In: a space of settings and the values that trials came to. Out: the next trial, and in the end the best.
//! Refuses: to train or measure anything itself, and to look at a clock.

mod config;
mod sampler;
mod search;
mod space;

pub use config::{SpaceConfig, TuneConfig};
pub use search::{Ledger, Request, Trial, search};
pub use space::{Parameter, Range, SpaceError, apply, default_space, overridden};
