//! Runs on S3: claimed, uploaded, cleared away.
//!
//! In: a run written to a local directory. Out: its objects, the manifest last; nothing at all of a run that failed.
//! Refuses: to overwrite another run, and to delete anything of which a living process may say that it is its own.
//!
//! ```text
//! <root>/<run>/…              files of a run; a run once manifest.json is there
//! <root>/.claims/<run>.json   held by the process that uploads or removes <run>, renewed every minute
//! ```
//!
//! A claim that was not renewed for ten minutes, by S3's own clock, is dead: the next build or prune takes it over and
//! removes what lies under the run's name, unless there is a manifest. What no claim speaks of is never touched.

mod claim;
mod clear;
mod scratch;
mod upload;

pub(super) use claim::token;
pub(super) use clear::{clear_dead, remove_runs};
pub(super) use scratch::Scratch;
pub(super) use upload::RunUpload;
