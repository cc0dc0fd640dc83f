//! Sealing a distributed build: the files of all tasks become one run.

use std::{collections::BTreeMap, io::Write};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    bench::{AGGREGATE, Bench, MERGE, PAIRS, RECOMMEND, SEAL, SURVEY, TRAIN},
    cells::OWN,
    plan::PLAN,
    recommend::list_stats,
    survey::{check_beside, merged},
    train::trained,
};
use crate::{
    artifacts::{
        ArtifactError, FileEntry, ITEMS, Run, RunWriter, Task, TaskOutput, TaskWriter, canonical_sha256, open_run,
        read_items,
    },
    pipeline::{
        PipelineError,
        build::runs_root,
        campaigns::{CampaignInputs, CampaignsDone, make_campaigns},
        facts::{BuildOptions, Facts},
        history::collect_profiles,
        model_files::load_model,
        observer::Stages,
        people::{self, People},
        seal::{Circumstances, seal},
    },
    report::Stage,
};

const FACTS: &str = "work/seal.json";

/// The note in a manifest that says by which plan the run was built.
const NOTE: &str = "work_plan_sha256";

/// A run that was put together from the tasks of a distributed build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Its name.
    pub run: String,
    /// Its directory, or its `s3://` address.
    pub path: String,
    /// The manifest hash: that of a local build of the same input.
    pub content_sha256: String,
}

impl Sealed {
    fn of(run: &Run) -> Self {
        Self {
            run: run.name().to_owned(),
            path: run.path().display().to_string(),
            content_sha256: run.manifest().content_sha256.clone(),
        }
    }
}

/// Puts the run together and commits it to `build.runs`.
pub(super) fn seal_run(bench: &Bench<'_>, task: &TaskWriter, stages: &mut Stages<'_>) -> Result<(), PipelineError> {
    let root = runs_root(&bench.config, &bench.storage)?;
    let plan = canonical_sha256(serde_json::to_value(&bench.plan).expect("a plan is plain data"));
    let sealed = match RunWriter::create(&root, &bench.plan.run) {
        Ok(writer) => put_together(bench, writer, &plan, stages)?,
        Err(error @ ArtifactError::RunExists { .. }) => {
            // An attempt before this one may have committed the run and been killed before it could say so.
            let run = open_run(&root, &bench.plan.run)?;
            if run.manifest().observed.notes.get(NOTE).and_then(Value::as_str) != Some(&plan) {
                return Err(error.into());
            }
            Sealed::of(&run)
        }
        Err(error) => return Err(error.into()),
    };
    task.json(FACTS, &sealed)?;
    Ok(())
}

/// The run that was sealed, if it was.
pub(super) fn sealed(bench: &Bench<'_>) -> Result<Option<Sealed>, PipelineError> {
    Ok(bench.work.done(Task::whole(SEAL))?.map(|output| output.json(FACTS)).transpose()?)
}

fn put_together(
    bench: &Bench<'_>,
    writer: RunWriter,
    plan: &str,
    stages: &mut Stages<'_>,
) -> Result<Sealed, PipelineError> {
    check_beside(bench)?;
    let all = merged(bench)?;
    let (training, record) = trained(bench)?;
    let items = read_items(&training, ITEMS)?;
    let (surveyed, aggregated) = (bench.of_all_buckets(SURVEY)?, bench.of_all_buckets(AGGREGATE)?);
    let (paired, recommended) = (bench.of_all_parts()?, bench.of_all_buckets(RECOMMEND)?);
    let merging = [bench.work.output(Task::whole(MERGE))?];
    let training = [training];
    stages.run("collect files", None, "bytes", |on| {
        let files: Vec<(&TaskOutput, &FileEntry)> = aggregated
            .iter()
            .chain(&training)
            .chain(&recommended)
            .flat_map(|output| output.done.files.iter().map(move |entry| (output, entry)))
            .filter(|(_, entry)| !entry.path.starts_with(OWN))
            .collect();
        let n_bytes = files.iter().map(|(_, entry)| entry.bytes).sum();
        on.total(n_bytes);
        files.into_par_iter().with_max_len(1).try_for_each(|(output, entry)| {
            copy(output, entry, &writer)?;
            on.advance(entry.bytes);
            Ok::<_, ArtifactError>(())
        })?;
        collect_profiles(&aggregated, &writer)?;
        Ok::<_, PipelineError>(((), n_bytes))
    })?;
    let lists = list_stats(&recommended, items.ids.len())?;
    let customers = people::read(&bench.config, &bench.storage, stages)?;
    let people = People::new(None, customers.as_ref());
    let mut inputs = bench.plan.inputs.clone();
    people.add_to(&mut inputs);
    let campaigns = if bench.config.campaign.iter().any(|campaign| campaign.enabled) {
        // All files of users and items lie in the run by now: the lists come out as in a build on one machine.
        let model = load_model(&training[0], &bench.config, &items.ids)?;
        let root = runs_root(&bench.config, &bench.storage)?;
        let campaigns = CampaignInputs {
            config: &bench.config,
            storage: &bench.storage,
            root: &root,
            run: &writer,
            kinds: &bench.kinds,
            as_of: all.instants.as_of,
            items: &items,
            model: &model,
            customers: customers.as_ref(),
        };
        make_campaigns(&campaigns, stages)?
    } else {
        CampaignsDone::default()
    };
    let facts = Facts {
        options: BuildOptions { run: Some(bench.plan.run.clone()), now: bench.plan.now },
        kinds: bench.kinds.clone(),
        counts: all.counts,
        inputs,
        as_of: all.instants.as_of,
        left_out: record.left_out,
        items,
        catalog_report: all.catalog_report,
        people,
        learned: record.learned,
        lists,
        campaigns,
        examples: record.examples,
    };
    let own = std::mem::take(&mut stages.done);
    let mut peak_memory_bytes = 0;
    for (name, outputs) in [
        (SURVEY, &surveyed[..]),
        (MERGE, &merging[..]),
        (AGGREGATE, &aggregated[..]),
        (PAIRS, &paired[..]),
        (TRAIN, &training[..]),
        (RECOMMEND, &recommended[..]),
    ] {
        if outputs.is_empty() {
            continue;
        }
        let seconds = outputs.iter().map(|output| output.done.seconds).sum();
        let name = format!("{name} (all tasks)");
        stages.done.push(Stage { name, seconds, rows: Some(outputs.len() as u64), unit: "tasks".to_owned() });
        let largest = outputs.iter().map(|output| output.done.peak_memory_bytes).max();
        peak_memory_bytes = peak_memory_bytes.max(largest.unwrap_or(0));
    }
    stages.done.extend(own);
    let notes = BTreeMap::from([
        (NOTE.to_owned(), Value::from(plan)),
        ("work".to_owned(), Value::from(bench.work.name_of(PLAN).display().to_string())),
    ]);
    let stages = Stages { on: bench.on, done: std::mem::take(&mut stages.done) };
    let built = seal(&bench.config, writer, &facts, stages, Circumstances { notes, peak_memory_bytes })?;
    fail::fail_point!("run-sealed");
    Ok(Sealed::of(&built.run))
}

/// Copies a file into the run; its bytes are checked on the way.
fn copy(output: &TaskOutput, entry: &FileEntry, writer: &RunWriter) -> Result<(), ArtifactError> {
    let bytes = output.read(&entry.path)?;
    let mut file = writer.file(&entry.path)?;
    file.write_all(&bytes).map_err(|source| ArtifactError::Io {
        doing: "write",
        path: writer.partial_dir().join(&entry.path),
        source,
    })?;
    if let Some(rows) = entry.rows {
        file.set_rows(rows);
    }
    file.close()?;
    Ok(())
}
