//! `nightshelf worker` and `nightshelf train`: the stages of a build on their own.

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::{
    config::Config,
    pipeline::{PlanOrder, WorkOptions, WorkStage, plan_work, work},
};

use super::{
    args::{ConfigSource, Global},
    build::config,
    output::say,
    progress,
};

#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    #[command(subcommand)]
    pub(super) command: WorkerCommand,
}

/// Where a stage works.
#[derive(Debug, Args)]
pub(super) struct WorkArgs {
    #[command(flatten)]
    source: ConfigSource,
    /// Work location of this build: a directory, or s3://bucket/prefix
    #[arg(long, value_name = "PLACE")]
    work: String,
    /// Threads; 0 takes one a core. The result does not depend on it
    #[arg(long)]
    threads: Option<usize>,
}

/// Where a stage works, and what its attempt is called.
#[derive(Debug, Args)]
pub(super) struct TaskArgs {
    #[command(flatten)]
    work: WorkArgs,
    /// Name of this attempt, of which several may run at once; by default one is made up
    #[arg(long, value_name = "ID")]
    attempt: Option<String>,
}

/// Which buckets.
#[derive(Debug, Args)]
pub(super) struct BucketArgs {
    #[command(flatten)]
    task: TaskArgs,
    /// Bucket, or a range such as 0-15 (repeatable)
    #[arg(long = "bucket", value_name = "N", required = true, value_parser = buckets)]
    buckets: Vec<Buckets>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Buckets {
    first: usize,
    last: usize,
}

fn buckets(text: &str) -> Result<Buckets, String> {
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("`{text}` is no bucket's number"));
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    if first > last || last >= 65_536 {
        return Err("a range goes upwards, and there are at most 65536 buckets".to_owned());
    }
    Ok(Buckets { first, last })
}

#[derive(Debug, Subcommand)]
pub(super) enum WorkerCommand {
    /// List the inputs, take their checksums, and write plan.json, by which all other stages go
    Plan {
        #[command(flatten)]
        work: WorkArgs,
        /// Name of the run to build
        #[arg(long, value_name = "NAME")]
        run: String,
        /// The instant that ages are counted from, e.g. 2026-11-21
        #[arg(long, value_name = "INSTANT")]
        as_of: Option<String>,
        /// Count pairs of items in so many tasks of `worker pairs`, before training; 0: training counts them
        #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16))]
        item_parts: u16,
    },
    /// Count the rows of buckets, and find their newest instant and their items
    Survey(BucketArgs),
    /// Put the outputs of all buckets together
    Merge {
        #[command(subcommand)]
        command: MergeCommand,
    },
    /// Sum up the events of buckets: interactions, profiles, cells
    Aggregate(BucketArgs),
    /// Count the pairs of ranges of items (only where the plan has item parts)
    Pairs {
        #[command(flatten)]
        task: TaskArgs,
        /// Part, or a range such as 0-15 (repeatable)
        #[arg(long = "part", value_name = "N", required = true, value_parser = buckets)]
        parts: Vec<Buckets>,
    },
    /// Make the lists of buckets of users
    Recommend(BucketArgs),
    /// Put the run together and commit it to build.runs
    Seal(TaskArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum MergeCommand {
    /// All surveys: counts, quality gate, the table of all items with the catalogue
    Survey(TaskArgs),
}

pub(super) fn run(args: &WorkerArgs, global: &Global) -> anyhow::Result<()> {
    let some = |task: &TaskArgs, ranges: &[Buckets], stage: fn(Vec<usize>) -> WorkStage| {
        let mut numbers: Vec<usize> = ranges.iter().flat_map(|range| range.first..=range.last).collect();
        numbers.sort_unstable();
        numbers.dedup();
        stage_of(task, &stage(numbers), global)
    };
    let of = |args: &BucketArgs, stage| some(&args.task, &args.buckets, stage);
    match &args.command {
        WorkerCommand::Plan { work, run, as_of, item_parts } => {
            let n_item_parts = usize::from(*item_parts);
            plan(work, &PlanOrder { run: run.clone(), as_of: as_of.clone(), n_item_parts }, global)
        }
        WorkerCommand::Survey(args) => of(args, WorkStage::Survey),
        WorkerCommand::Merge { command: MergeCommand::Survey(args) } => stage_of(args, &WorkStage::MergeSurvey, global),
        WorkerCommand::Aggregate(args) => of(args, WorkStage::Aggregate),
        WorkerCommand::Pairs { task, parts } => some(task, parts, WorkStage::Pairs),
        WorkerCommand::Recommend(args) => of(args, WorkStage::Recommend),
        WorkerCommand::Seal(args) => stage_of(args, &WorkStage::Seal, global),
    }
}

/// `nightshelf train`.
pub(super) fn train(args: &TaskArgs, global: &Global) -> anyhow::Result<()> {
    stage_of(args, &WorkStage::Train, global)
}

fn loaded(args: &WorkArgs) -> anyhow::Result<Config> {
    let threads = args.threads.map(|threads| format!("build.threads={threads}"));
    Ok(config(&args.source, threads.into_iter().collect())?.config)
}

fn plan(args: &WorkArgs, order: &PlanOrder, global: &Global) -> anyhow::Result<()> {
    let config = loaded(args)?;
    if config.events.paths.is_empty() {
        let message = "events.paths is empty: name the events in the config file".to_owned();
        return Err(crate::config::ConfigError::Value(message).into());
    }
    let observer = progress::observer(global);
    let options = WorkOptions { work: args.work.clone(), attempt: None };
    let report = plan_work(&config, &options, order, jiff::Timestamp::now(), observer.as_ref())?;
    drop(observer);
    tell(&report)
}

fn stage_of(args: &TaskArgs, stage: &WorkStage, global: &Global) -> anyhow::Result<()> {
    let config = loaded(&args.work)?;
    let observer = progress::observer(global);
    let options = WorkOptions { work: args.work.work.clone(), attempt: args.attempt.clone() };
    let mut told = Ok(());
    work(&config, &options, stage, observer.as_ref(), &mut |report| {
        if told.is_ok() {
            told = tell(report);
        }
    })?;
    told
}

/// One line of JSON a task: what runs the stages reads it.
fn tell(report: &(impl Serialize + ?Sized)) -> anyhow::Result<()> {
    say(&serde_json::to_string(report)?)
}
