//! What campaigns read and leave in a run, besides their members: a bucket's users, candidates on their way to the merge,
//! the step that each candidate came to, and who was contacted when.

mod contacts;
mod export;
mod spill;
mod steps;
mod users;

pub use contacts::{CONTACTS, ContactRow, read_contacts, write_contacts};
pub use export::{ExportFormat, MemberExport};
pub use spill::{SpillReader, SpillWriter, SpilledRow};
pub use steps::{STEPS, StepRow, read_steps, write_steps};
pub use users::{FileBytes, UserFiles, UserIndex, Wanted, read_user_ids, read_users};
