//! `nightshelf emr`.

use std::{
    collections::BTreeMap,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::json as value;

use crate::{
    cluster::{
        self, Cancelled, ClusterError, Emr, Estimate, Note, Report, StepState, Submissions, Verdict, failed_step_log,
    },
    config::Config,
    pipeline::{NightOptions, emr_plan, emr_root, night, sizes},
    storage::{S3Prefix, Storage},
};

use super::{
    args::{CancelArgs, ConfigSource, EmrArgs, EmrCommand, Global, LogsArgs, StatusArgs, SubmitArgs, WaitArgs},
    build,
    output::{grouped, json, say, table},
};

pub(super) fn run(args: &EmrArgs, global: &Global) -> anyhow::Result<()> {
    match &args.command {
        EmrCommand::Submit(args) => submit(args, global),
        EmrCommand::Status(args) => status(args, global),
        EmrCommand::Logs(args) => logs(args),
        EmrCommand::Cancel(args) => cancel(args),
    }
}

/// What all commands need.
struct Context {
    config: Config,
    root: S3Prefix,
    notes: Submissions,
}

fn context(source: &ConfigSource, sets: Vec<String>) -> anyhow::Result<Context> {
    let config = build::config(source, sets)?.config;
    let root = emr_root(&config)?;
    let notes = Submissions::new(&root);
    Ok(Context { config, root, notes })
}

fn submit(args: &SubmitArgs, global: &Global) -> anyhow::Result<()> {
    let sets = build::set("emr.cluster", args.cluster.as_deref()).into_iter().collect();
    if args.plan {
        let config = build::config(&args.source, sets)?.config;
        let estimate = emr_plan(&config, sizes(&config, [args.events, args.users, args.items])?)?;
        return if args.json { json(&estimate) } else { say(&plan_text(&estimate)) };
    }
    let context = context(&args.source, sets)?;
    let options = NightOptions {
        run: args.run.clone(),
        as_of: args.as_of.clone(),
        create: args.create,
        now: jiff::Timestamp::now(),
    };
    let night = night(&context.config, &options, &context.root, || Emr::open(&context.config.emr))?;
    if !night.left_out.is_empty() {
        let stores = night.left_out.join(", ");
        tracing::warn!(stores, "a cluster cannot publish there; `nightshelf publish` does, from where the store is");
    }
    if args.dry_run {
        let request = night.order.request(1)?;
        return json(&value!({"operation": request.operation, "request": request.body}));
    }
    let emr = Emr::open(&context.config.emr)?;
    let outcome = cluster::submit(&emr, &context.config.emr, &night.order, &context.notes, &context.root)?;
    let note = outcome.note;
    let cluster = note.cluster.clone().unwrap_or_default();
    if args.json && !args.wait.wait {
        let steps: Vec<_> = note.steps.iter().map(|step| value!({"name": step.name, "id": step.id})).collect();
        json(&value!({
            "run": note.run, "attempt": note.attempt, "cluster": cluster, "adopted": outcome.adopted, "steps": steps,
            "work": note.work,
        }))?;
    } else if !args.json {
        let how = if outcome.adopted { "is there already" } else { "submitted" };
        say(&format!(
            "run {} {how}: cluster {cluster}, {} steps, attempt {}",
            note.run,
            note.steps.len(),
            note.attempt
        ))?;
    }
    if args.wait.wait {
        let report = wait(&context, &emr, &note, &args.wait, global)?;
        return finish(&report, args.json);
    }
    Ok(())
}

fn status(args: &StatusArgs, global: &Global) -> anyhow::Result<()> {
    let context = context(&args.source, Vec::new())?;
    let Some(run) = &args.run else { return list(&context, args.json) };
    let note = context.notes.find(run)?;
    let emr = Emr::open(&context.config.emr)?;
    if args.wait.wait {
        let report = wait(&context, &emr, &note, &args.wait, global)?;
        return finish(&report, args.json);
    }
    let work = work(&context, &note)?;
    let report = cluster::report(&emr, &note, work.as_ref())?;
    finish(&report, args.json)
}

fn work(context: &Context, note: &Note) -> anyhow::Result<Option<S3Prefix>> {
    Ok(Storage::new(context.config.s3.clone()).s3_prefix(&note.work)?)
}

fn list(context: &Context, as_json: bool) -> anyhow::Result<()> {
    let notes = context.notes.all()?;
    if as_json {
        let rows = notes.iter().map(|note| {
            value!({
                "run": note.run, "attempt": note.attempt, "cluster": note.cluster, "at": note.at,
                "cancelled": note.cancelled, "steps": note.steps.len(),
            })
        });
        return json(&rows.collect::<Vec<_>>());
    }
    if notes.is_empty() {
        return say(&format!("nothing was submitted from {}", context.notes.place()));
    }
    let rows = notes.into_iter().map(|note| {
        let cluster = note.cluster.unwrap_or_else(|| "(being submitted)".into());
        vec![note.run, note.attempt.to_string(), cluster, note.at]
    });
    say(&table(&["run", "attempt", "cluster", "submitted"], &[1], rows))
}

/// Looks at a run until it is over, and tells on stderr of what changes.
fn wait(context: &Context, emr: &Emr, note: &Note, args: &WaitArgs, global: &Global) -> anyhow::Result<Report> {
    let began = Instant::now();
    let limit = match args.timeout {
        Some(time) => Some(Duration::try_from(time).context("--timeout must be above zero")?),
        None => None,
    };
    let poll = Duration::from_millis(context.config.emr.poll_ms);
    let work = work(context, note)?;
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    loop {
        // Read anew: somebody may have cancelled.
        let note = context.notes.find(&note.run)?;
        let report = cluster::report(emr, &note, work.as_ref())?;
        if !global.quiet {
            tell(&report, &mut told);
        }
        if report.verdict.is_final() {
            return Ok(report);
        }
        let left = limit.map(|limit| limit.saturating_sub(began.elapsed()));
        if left == Some(Duration::ZERO) {
            let seconds = began.elapsed().as_secs();
            return Err(ClusterError::TimedOut { run: note.run, seconds }.into());
        }
        sleep(left.map_or(poll, |left| left.min(poll)));
    }
}

/// Prints what is new since the last look.
fn tell(report: &Report, told: &mut BTreeMap<String, String>) {
    let now = jiff::Zoned::now().strftime("%H:%M:%S").to_string();
    let mut changed = |what: &str, text: String| {
        if told.insert(what.to_owned(), text.clone()).as_deref() != Some(&*text) {
            eprintln!("{now} {text}");
        }
    };
    changed("cluster", format!("cluster {} {}", report.cluster, report.cluster_state.name()));
    let n_steps = report.steps.len();
    for (at, step) in report.steps.iter().enumerate().filter(|(_, step)| step.state != StepState::Pending) {
        let buckets = step.buckets.map_or_else(String::new, |(done, all)| format!(", {done} of {all} buckets"));
        let reason = step.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        changed(&step.id, format!("step {} of {n_steps} {} {}{buckets}{reason}", at + 1, step.name, step.state.name()));
    }
}

/// Prints a run's state; what has ended badly is an error.
fn finish(report: &Report, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        json(report)?;
    } else {
        say(&report_text(report))?;
    }
    let run = report.run.clone();
    match &report.verdict {
        Verdict::Running | Verdict::Done => Ok(()),
        Verdict::Failed { step, reason } => {
            Err(ClusterError::StepFailed { run, step: step.clone(), reason: reason.clone() }.into())
        }
        Verdict::Cancelled => Err(ClusterError::Cancelled { run }.into()),
        Verdict::Terminated { reason } => {
            Err(ClusterError::Terminated { run, cluster: report.cluster.clone(), reason: reason.clone() }.into())
        }
    }
}

fn report_text(report: &Report) -> String {
    let verdict = match &report.verdict {
        Verdict::Running => "under way",
        Verdict::Done => "done",
        Verdict::Failed { .. } => "failed",
        Verdict::Cancelled => "cancelled",
        Verdict::Terminated { .. } => "its cluster has ended",
    };
    let rows = report.steps.iter().map(|step| {
        let seconds = step.seconds.map_or_else(String::new, |seconds| format!("{seconds:.0}"));
        let buckets =
            step.buckets.map_or_else(String::new, |(done, all)| format!("{} of {}", grouped(done), grouped(all)));
        vec![step.name.clone(), step.id.clone(), step.state.name().to_owned(), seconds, buckets]
    });
    let rows = table(&["step", "id", "state", "seconds", "buckets"], &[3, 4], rows);
    format!("run {} on cluster {} ({}): {verdict}\n{rows}", report.run, report.cluster, report.cluster_state.name())
}

fn plan_text(estimate: &Estimate) -> String {
    let sizes = estimate.sizes;
    let minutes = |seconds: f64| format!("{:.1} min", seconds / 60.0);
    let mut rows = vec![(
        "size".to_owned(),
        format!("{} events, {} users, {} items", grouped(sizes.events), grouped(sizes.users), grouped(sizes.items)),
    )];
    rows.extend(estimate.stages.iter().map(|(stage, seconds)| {
        let mark = if *stage == estimate.slowest { " (slowest)" } else { "" };
        (format!("  {stage}"), minutes(*seconds) + mark)
    }));
    rows.push(("time".into(), minutes(estimate.seconds)));
    rows.push(("nodes".into(), format!("{}, {:.1} instance hours", estimate.nodes, estimate.instance_hours)));
    rows.push((
        "cost".into(),
        format!("${:.2} (EC2 and EMR, prices of emr.prices; without S3 and EBS)", estimate.dollars),
    ));
    let rows = rows.into_iter().map(|(name, value)| vec![name, value]);
    table(&["", ""], &[], rows).trim_start_matches('\n').to_owned()
}

fn logs(args: &LogsArgs) -> anyhow::Result<()> {
    let context = context(&args.source, Vec::new())?;
    let emr = Emr::open(&context.config.emr)?;
    let report = cluster::report(&emr, &context.notes.find(&args.run)?, None)?;
    let log = failed_step_log(&report, args.step.as_deref(), args.n, &Storage::new(context.config.s3.clone()))?;
    if args.json {
        return json(&log);
    }
    say(&format!("step {} of run {}: {}", log.step, args.run, log.uri))?;
    for line in &log.lines {
        say(&format!("  {line}"))?;
    }
    if let (false, Some(place)) = (log.applications.is_empty(), &report.log_uri) {
        let place = place.trim_end_matches('/');
        let names = log.applications.join(", ");
        say(&format!("executors' logs: {place}/{}/containers/ of {names}", report.cluster))?;
    }
    Ok(())
}

fn cancel(args: &CancelArgs) -> anyhow::Result<()> {
    let context = context(&args.source, Vec::new())?;
    let emr = Emr::open(&context.config.emr)?;
    let run = &args.run;
    say(&match cluster::cancel(&emr, &context.notes, run)? {
        Cancelled::TooLate => format!("run {run} had ended already"),
        Cancelled::Cluster(cluster) => format!("run {run} is cancelled: cluster {cluster} ends"),
        Cancelled::Steps(n) => format!("run {run} is cancelled: {n} steps end"),
    })
}
