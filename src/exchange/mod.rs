//! Exchange: what goes to other programs and comes back from them, so that all are measured alike.
//!
//! In: lists that another program made (Parquet), splits and metrics by number. Out: lists by id, `train.parquet` and
//! `test.parquet`, metrics of every user as Parquet. Refuses: to measure; to guess the order of a list.

mod error;
mod files;
mod lists;
mod split;
mod users;

pub use error::ExchangeError;
pub use lists::{NamedLists, read_lists};
pub use split::{SplitRows, write_split};
pub use users::{UserRows, UserTable};
