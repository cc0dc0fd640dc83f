//! Run directories: what a build leaves behind, whole or not at all.
//!
//! In: lists, factors, neighbours and counts of one build. Out: a run directory with a manifest, and readers of it.
//! Refuses: to show a run before its last byte is on disk, and to hand out a file that is not what the manifest says.
//!
//! ```text
//! runs/<run>.partial/    being written; becomes runs/<run> by one rename
//! runs/<run>/            a whole build: manifest.json names every file with its SHA-256
//! runs/.locks/<run>.lock held by the build that writes <run>
//! runs/.trash/           pruned runs on their way out
//! ```
//!
//! On S3 there is no rename: see `remote/`. What the tasks of a distributed build leave for one another: see `work/`.

mod campaigns;
mod diff;
mod error;
mod files;
mod hashing;
mod history;
mod items;
mod list_format;
mod list_reader;
mod list_writer;
mod manifest;
mod matrices;
mod matrix_reader;
mod members;
mod parquet_io;
mod profile_reader;
mod profiles;
mod prune;
mod remote;
mod run;
mod run_lock;
mod run_name;
mod run_writer;
mod runs_root;
mod trial_journal;
mod verify;
mod work;

pub use campaigns::{
    CONTACTS, ContactRow, ExportFormat, FileBytes, MemberExport, STEPS, SpillReader, SpillWriter, SpilledRow, StepRow,
    UserFiles, UserIndex, Wanted, read_contacts, read_steps, read_user_ids, read_users, write_contacts, write_steps,
};
pub use diff::{CountChange, DiffOptions, ItemMove, ListDiff, RunDiff, UserMove, ValueChange, diff};
pub use error::ArtifactError;
pub use files::{ReadFiles, WriteFiles};
pub use hashing::{FileEntry, HashingFile};
pub use history::{HistoryPair, INTERACTIONS, UserHistory, write_history};
pub use items::{ASSORTMENT, ITEMS, ItemTable, read_items, write_items};
pub use list_format::bucket_path;
pub use list_reader::{FoundList, ListReader, ListTable};
pub use list_writer::ListWriter;
pub use manifest::{
    Content, FORMAT_VERSION, InputContent, InputObserved, Manifest, Observed, canonical_sha256, join_config,
    split_config,
};
pub use matrices::{write_dense, write_ids, write_scores, write_sparse};
pub use matrix_reader::{read_dense, read_ids, read_scores, read_sparse};
pub use members::{CAMPAIGNS, MemberReader, MemberTable, MemberWriter, campaign_of, campaign_path};
pub use profile_reader::{ProfileReader, ProfileTable};
pub use profiles::{ProfileRows, complete_profiles, write_profiles};
pub use prune::{Pruned, prune};
pub use run::{DamagedRun, Run, RunListing, list_runs, open_run};
pub use run_name::check_run_name;
pub use run_writer::RunWriter;
pub use runs_root::RunsRoot;
pub use trial_journal::TrialJournal;
pub use verify::{Problem, Verification, verify};
pub use work::{Committed, Done, Table, Task, TaskOutput, TaskWriter, Values, Work, write_table};
