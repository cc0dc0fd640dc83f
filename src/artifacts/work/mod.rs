//! The work location of a distributed build: what its tasks leave for one another.
//!
//! In: files of one attempt at one task. Out: the output of whichever attempt was done first, each file checked as it is read.
//! Refuses: to show what an attempt wrote before all of it is there, to replace what is there, to hand out damaged bytes.
//!
//! ```text
//! W/plan.json                             what is built, from what
//! W/<stage>/bucket-NNN/<attempt>/...      files of one attempt
//! W/<stage>/bucket-NNN/done.json          which attempt counts, its files with SHA-256; made once, never replaced
//! W/<stage>/part-NNN/...                  the same for parts of something else than users
//! W/<stage>/<attempt>/..., done.json      and for a stage that is one task
//! ```

mod output;
mod place;
mod table;
mod task;

pub use output::{Done, TaskOutput};
pub use place::{Task, Work};
pub use table::{Table, Values, write_table};
pub use task::{Committed, TaskWriter};
