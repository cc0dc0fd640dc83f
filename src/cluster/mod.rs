//! Cluster: a build as steps of an EMR cluster.
//!
//! In: the name of a run, what is to be uploaded, how a cluster is made. Out: one submission, however often it is asked for and whatever
//! answers are lost; its state, its logs. Refuses: to compute anything of a build, to submit before it has looked, to guess when two
//! things are found where one should be.

mod adopt;
mod config;
mod error;
mod link;
mod log_lines;
mod logs;
mod machine;
mod note;
mod price;
mod request;
mod state;
mod steps;
mod submit;
mod watch;

pub use config::{Capacity, CreateConfig, EmrConfig, GroupConfig, InstancePrice, ScalingConfig, SparkConfig};
pub use error::ClusterError;
pub use link::Emr;
pub use logs::{StepLog, failed_step_log};
pub use machine::{Machine, is_arm};
pub use note::{Note, StepNote, Submissions};
pub use price::{Estimate, Rates, Sizes, estimate};
pub use request::{Request, Tags, add_job_flow_steps, run_job_flow};
pub use state::{ClusterState, Report, StepReport, StepState, Verdict};
pub use steps::{Catalogue, JOB_FILES, PlannedStep, Values};
pub use submit::{Asset, Order, Outcome, Target, submit};
pub use watch::{Cancelled, cancel, report};
