//! Pipeline: the order of the work.
//!
//! In: a checked config. Out: a run directory, a published run, answers to questions, models side by side.
//! Refuses: arithmetic and formats; a stage does its own.

mod ask;
mod build;
mod campaigns;
mod emr;
mod error;
mod evaluate;
mod facts;
mod history;
mod ingest;
mod inputs;
mod item_facts;
mod lists;
mod model_files;
mod observer;
mod people;
mod publish;
mod report_data;
mod seal;
mod stages;
mod summary;
mod training;
mod tune;

pub use ask::{Contribution, NamedItem, SimilarList, UserList, Why, explain, placement, recommend, similar};
pub use build::{build, runs_root};
pub use campaigns::{
    CampaignFacts, CampaignLine, Exported, Measurement, Member, MemberItem, Overlap, WhyCampaign, export,
    list as list_campaigns, measure_campaigns, members, overlap, preview, why,
};
pub use emr::{Night, NightOptions, emr_plan, emr_root, night, sizes};
pub use error::PipelineError;
pub use evaluate::{
    Candidate, DataFacts, Evaluation, EvaluationData, EvaluationInputs, EvaluationOptions, Fold, FoldCounts, FoldFacts,
    ForeignFacts, Training, evaluate, score,
};
pub use facts::BuildOptions;
pub use ingest::{aggregate_buckets, number_items};
pub use observer::{Observer, Silent};
pub use publish::{
    Audit, Published, Store, audit, create_tables, migrate_store, open_store, plan, publish, publish_into,
};
pub use seal::Built;
pub use stages::{Plan, PlanOrder, Sealed, TaskOutcome, TaskReport, WorkOptions, WorkStage, plan_work, work};
pub use summary::Summary;
pub use tune::{Measured, TuneOptions, Tuned, tune};
