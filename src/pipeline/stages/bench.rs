//! The bench that a task works at: config, plan, work location, and what it says of itself.

use serde::Serialize;

use super::{
    aggregate::aggregate_bucket,
    pairs::Counting,
    plan::{self, Plan, agrees, with_as_of},
    recommend::Recommending,
    seal::{Sealed, seal_run, sealed},
    survey::{merge_surveys, merged, survey_bucket},
    train::train_all,
};
use crate::{
    artifacts::{ArtifactError, Committed, Task, TaskOutput, TaskWriter, Work},
    config::Config,
    events::{Scan, ScanInput, ScanProgress, scan},
    interactions::Kind,
    pipeline::{Observer, PipelineError, build::clock, observer::Stages},
    storage::Storage,
    telemetry::peak_memory_bytes,
};

/// Names of stages: folders of the work location.
pub(super) const SURVEY: &str = "survey";
pub(super) const MERGE: &str = "merge";
pub(super) const AGGREGATE: &str = "aggregate";
pub(super) const PAIRS: &str = "pairs";
pub(super) const TRAIN: &str = "train";
pub(super) const RECOMMEND: &str = "recommend";
pub(super) const SEAL: &str = "seal";

/// Outputs of tasks that are read at once.
pub(super) const READ_AT_ONCE: usize = 64;

/// Where a distributed build works.
#[derive(Debug, Clone)]
pub struct WorkOptions {
    /// The work location: a directory, or `s3://bucket/prefix`.
    pub work: String,
    /// The attempt's name; made up when it is not given.
    pub attempt: Option<String>,
}

/// A stage of a distributed build, and the buckets that are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkStage {
    /// Counts, newest instant and items of buckets.
    Survey(Vec<usize>),
    /// All surveys together.
    MergeSurvey,
    /// Interactions and profiles of buckets.
    Aggregate(Vec<usize>),
    /// Pairs of the items of some ranges, where the plan has them counted apart.
    Pairs(Vec<usize>),
    /// The model and the lists of items.
    Train,
    /// The lists of buckets of users.
    Recommend(Vec<usize>),
    /// The run.
    Seal,
}

/// What became of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskOutcome {
    /// This attempt did it.
    Done,
    /// It was done before.
    AlreadyDone,
    /// Another attempt was done first.
    Lost,
}

/// One task, as its command tells of it.
#[derive(Debug, Clone, Serialize)]
pub struct TaskReport {
    /// The stage.
    pub stage: &'static str,
    /// The bucket (of the stage `pairs` the part), unless the stage is one task.
    pub bucket: Option<usize>,
    /// The attempt that counts, or the one that lost.
    pub attempt: String,
    /// What became of it.
    pub outcome: TaskOutcome,
    /// The run, once it is sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
}

/// Does a stage's tasks one after the other, those that are not done yet; `each` hears of every one.
///
/// # Errors
/// Whatever stops a task; those before it are done. A stage that needs another one says which is missing.
///
/// Determinism: what a task leaves depends on the inputs and the config alone, so attempts may be repeated, in turn or
/// at once.
pub fn work(
    config: &Config,
    options: &WorkOptions,
    stage: &WorkStage,
    on: &dyn Observer,
    each: &mut (dyn FnMut(&TaskReport) + Send),
) -> Result<(), PipelineError> {
    let storage = Storage::new(config.s3.clone());
    let scratch = config.build.scratch.as_deref().map(std::path::Path::new);
    let place = Work::parse(&options.work, &storage)?.with_scratch(scratch);
    let plan = plan::open(&place)?;
    let config = with_as_of(config, plan.as_of.as_deref())?;
    agrees(&plan, &place, &config, &plan.run)?;
    let kinds = config.kinds().map_err(PipelineError::Config)?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(config.build.threads)
        .build()
        .map_err(|error| PipelineError::Config(format!("build.threads: {error}")))?;
    let bench = Bench { config, kinds, storage, work: place, plan, attempt: options.attempt.clone(), on };
    pool.install(|| bench.work(stage, each))
}

/// What every task needs.
pub(super) struct Bench<'a> {
    pub(super) config: Config,
    pub(super) kinds: Vec<Kind>,
    pub(super) storage: Storage,
    pub(super) work: Work,
    pub(super) plan: Plan,
    attempt: Option<String>,
    pub(super) on: &'a dyn Observer,
}

impl Bench<'_> {
    fn work(&self, stage: &WorkStage, each: &mut (dyn FnMut(&TaskReport) + Send)) -> Result<(), PipelineError> {
        match stage {
            WorkStage::Survey(buckets) => {
                self.buckets(SURVEY, buckets, each, |bucket, task, stages| survey_bucket(self, bucket, task, stages))
            }
            WorkStage::MergeSurvey => {
                each(&self.task(Task::whole(MERGE), |task, stages| merge_surveys(self, task, stages))?);
                Ok(())
            }
            WorkStage::Aggregate(buckets) => {
                let mut shared = None;
                self.buckets(AGGREGATE, buckets, each, |bucket, task, stages| {
                    let all = match &mut shared {
                        Some(all) => all,
                        None => shared.insert(merged(self)?),
                    };
                    aggregate_bucket(self, all, bucket, task, stages)
                })
            }
            WorkStage::Pairs(parts) => {
                let mut shared = None;
                let task = |part| Task::of_part(PAIRS, part);
                self.tasks(task, ("--part", self.plan.n_item_parts), parts, each, |part, task, stages| {
                    let counting = match &mut shared {
                        Some(counting) => counting,
                        None => shared.insert(Counting::load(self, stages)?),
                    };
                    counting.part(self, part, task, stages)
                })
            }
            WorkStage::Train => {
                each(&self.task(Task::whole(TRAIN), |task, stages| train_all(self, task, stages))?);
                Ok(())
            }
            WorkStage::Recommend(buckets) => {
                let mut shared = None;
                self.buckets(RECOMMEND, buckets, each, |bucket, task, stages| {
                    let recommending = match &mut shared {
                        Some(recommending) => recommending,
                        None => shared.insert(Recommending::load(self)?),
                    };
                    recommending.bucket(self, bucket, task, stages)
                })
            }
            WorkStage::Seal => {
                let report = self.task(Task::whole(SEAL), |task, stages| seal_run(self, task, stages))?;
                each(&TaskReport { sealed: sealed(self)?, ..report });
                Ok(())
            }
        }
    }

    fn buckets(
        &self,
        stage: &'static str,
        buckets: &[usize],
        each: &mut (dyn FnMut(&TaskReport) + Send),
        work: impl FnMut(usize, &TaskWriter, &mut Stages<'_>) -> Result<(), PipelineError>,
    ) -> Result<(), PipelineError> {
        self.tasks(|bucket| Task::of_bucket(stage, bucket), ("--bucket", self.plan.n_buckets), buckets, each, work)
    }

    /// The tasks of some of the `n` parts of a stage.
    fn tasks(
        &self,
        task: impl Fn(usize) -> Task,
        (flag, n): (&str, usize),
        parts: &[usize],
        each: &mut (dyn FnMut(&TaskReport) + Send),
        mut work: impl FnMut(usize, &TaskWriter, &mut Stages<'_>) -> Result<(), PipelineError>,
    ) -> Result<(), PipelineError> {
        if let Some(part) = parts.iter().find(|part| **part >= n) {
            let message = match n.checked_sub(1) {
                Some(last) => format!("{flag} must be 0 to {last}, is {part}"),
                None => format!("{flag} is {part}, and the plan has no item parts: training counts pairs itself"),
            };
            return Err(PipelineError::Config(message));
        }
        for &part in parts {
            each(&self.task(task(part), |task, stages| work(part, task, stages))?);
        }
        Ok(())
    }

    /// Does a task, unless it is done.
    fn task(
        &self,
        task: Task,
        work: impl FnOnce(&TaskWriter, &mut Stages<'_>) -> Result<(), PipelineError>,
    ) -> Result<TaskReport, PipelineError> {
        let report = |attempt: &str, outcome| TaskReport {
            stage: task.stage,
            bucket: task.number,
            attempt: attempt.to_owned(),
            outcome,
            sealed: None,
        };
        if let Some(output) = self.work.done(task)? {
            return Ok(report(&output.done.attempt, TaskOutcome::AlreadyDone));
        }
        let span = tracing::info_span!("task", stage = task.stage, number = task.number);
        let _entered = span.enter();
        let writer = self.work.begin(task, self.attempt.as_deref())?;
        let attempt = writer.attempt().to_owned();
        work(&writer, &mut Stages::new(self.on))?;
        let outcome = match writer.commit(peak_memory_bytes().unwrap_or(0))? {
            Committed::Done => TaskOutcome::Done,
            Committed::Lost => TaskOutcome::Lost,
        };
        Ok(report(&attempt, outcome))
    }

    /// What a stage left of all buckets.
    pub(super) fn of_all_buckets(&self, stage: &'static str) -> Result<Vec<TaskOutput>, ArtifactError> {
        self.work.outputs((0..self.plan.n_buckets).map(|bucket| Task::of_bucket(stage, bucket)))
    }

    /// What counting pairs left of all parts.
    pub(super) fn of_all_parts(&self) -> Result<Vec<TaskOutput>, ArtifactError> {
        self.work.outputs((0..self.plan.n_item_parts).map(|part| Task::of_part(PAIRS, part)))
    }

    /// Reads the rows that the shuffle dealt to a bucket.
    pub(super) fn scan(&self, bucket: usize, stages: &mut Stages<'_>) -> Result<Scan, PipelineError> {
        let place = |table: &str| {
            let path = self.work.name_of(&format!("{table}/bucket={bucket:03}"));
            vec![path.display().to_string()]
        };
        let (mut events, mut orders) = (self.config.events.clone(), self.config.orders.clone());
        events.paths = place("events");
        orders.paths = place("orders");
        let input = ScanInput {
            storage: &self.storage,
            events: &events,
            orders: &orders,
            kinds: &self.kinds,
            n_buckets: self.plan.n_buckets,
            now: clock(self.plan.now),
            bucket: Some(bucket),
        };
        Ok(stages.run("read events", None, "rows", |on| {
            scan(&input, &|progress| match progress {
                ScanProgress::Found { rows, .. } => on.total(rows),
                ScanProgress::Rows(n) => on.advance(n),
            })
            .map(|scan| {
                let n_rows = scan.counts.rows;
                (scan, n_rows)
            })
        })?)
    }
}
