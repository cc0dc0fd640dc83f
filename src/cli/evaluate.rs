//! `nightshelf evaluate`.

use std::path::Path;

use crate::{
    config::{Config, ConfigError},
    evaluation::{Comparison, Estimate, Interval, ListQuality, Metric, ModelScores},
    pipeline::{Candidate, Evaluation, EvaluationOptions, evaluate},
};

use super::{
    args::{ConfigSource, EvaluateArgs, Global},
    build::{config, set},
    evaluation_flags::{SplitFlag, need_events, number, split, word, words},
    output::{bytes, grouped, json, say, table},
    progress,
};

/// A p below this is called a difference.
const SIGNIFICANT: f64 = 0.05;

pub(super) fn run(args: &EvaluateArgs, global: &Global) -> anyhow::Result<()> {
    let candidates = candidates(args)?;
    let lists = args.lists.iter().map(|text| named(text)).collect::<Result<_, _>>()?;
    let observer = progress::observer(global);
    let options = EvaluationOptions {
        train: args.train.clone(),
        test: args.test.clone(),
        lists,
        export: args.export_split.clone(),
        per_user: args.per_user.clone(),
        report: args.report.clone(),
        now: jiff::Timestamp::now(),
    };
    let done = evaluate(&candidates, &options, observer.as_ref())?;
    drop(observer);
    if args.json { json(&done) } else { say(&text(&done, args)) }
}

/// The flags that stand for keys.
fn sets(args: &EvaluateArgs) -> Result<Vec<String>, ConfigError> {
    let flag = |name, given, split| SplitFlag { name, given, split };
    let flags = [
        flag("--leave-last", args.leave_last.is_some(), "leave-last"),
        flag("--ratio", args.ratio.is_some(), "ratio"),
        flag("--test-days", args.test_days.is_some(), "time"),
        flag("--folds", args.folds.is_some(), "time"),
        flag("--test-start", !args.test_start.is_empty(), "time"),
    ];
    let sets = [
        (!args.k.is_empty()).then(|| format!("evaluation.ks={:?}", args.k)),
        word("evaluation.metric", &args.metric),
        word("evaluation.split", &split(&args.split, &flags)?),
        number("evaluation.test_days", &args.test_days),
        number("evaluation.folds", &args.folds),
        words("evaluation.test_starts", &args.test_start),
        number("evaluation.leave_last", &args.leave_last),
        number("evaluation.ratio", &args.ratio),
        words("evaluation.test_types", &args.test_types),
        word("evaluation.repeats", &args.repeats),
        word("evaluation.unknown_items", &args.unknown_items),
        number("evaluation.users", &args.users),
        number("evaluation.seed", &args.seed),
        args.threads.map(|threads| format!("build.threads={threads}")),
    ];
    Ok(sets.into_iter().flatten().collect())
}

/// Each config with each model, named so that all differ.
fn candidates(args: &EvaluateArgs) -> anyhow::Result<Vec<Candidate>> {
    let sources: Vec<Option<&Path>> = match &args.config[..] {
        [] => vec![None],
        paths => paths.iter().map(|path| Some(path.as_path())).collect(),
    };
    let models: Vec<Option<&str>> = match &args.model[..] {
        [] => vec![None],
        models => models.iter().map(|model| Some(model.as_str())).collect(),
    };
    let flags = sets(args)?;
    let mut candidates: Vec<Candidate> = Vec::new();
    for path in &sources {
        for model in &models {
            let source = ConfigSource { config: path.map(Path::to_owned), sets: args.sets.clone() };
            let sets = flags.iter().cloned().chain(set("model.kind", *model)).collect();
            let config = config(&source, sets)?.config;
            need_events(&config, &args.train)?;
            let name = name(&config, *path, sources.len() > 1, &candidates);
            candidates.push(Candidate { name, config });
        }
    }
    Ok(candidates)
}

/// The model's kind, the file where there are several, and a number where that is not enough.
fn name(config: &Config, path: Option<&Path>, with_file: bool, taken: &[Candidate]) -> String {
    let kind = config.model.kind.name();
    let stem = path.and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
    let base = match stem.filter(|_| with_file) {
        Some(stem) => format!("{stem}: {kind}"),
        None => kind.to_owned(),
    };
    let numbered = (2..).map(|n| format!("{base} #{n}"));
    let free = |name: &String| taken.iter().all(|candidate| candidate.name != *name);
    std::iter::once(base.clone()).chain(numbered).find(free).expect("endless")
}

/// `NAME=PATH`, taken apart.
fn named(text: &str) -> Result<(String, String), ConfigError> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), path.to_owned())),
        _ => {
            Err(ConfigError::Value(format!("--lists {text}: must look like NAME=PATH, e.g. --lists peer=peer.parquet")))
        }
    }
}

fn text(done: &Evaluation, args: &EvaluateArgs) -> String {
    let found = &done.comparison;
    let mut parts = vec![facts(done), means(found), others(found)];
    if done.folds.len() > 1 {
        parts.push(folds(found));
    }
    parts.push(by_segment(found));
    parts.push(legend(found));
    parts
        .extend((!done.warnings.is_empty()).then(|| {
            done.warnings.iter().map(|warning| format!(" warning: {warning}")).collect::<Vec<_>>().join("\n")
        }));
    let written = [("per user", &args.per_user), ("split", &args.export_split), ("report", &args.report)];
    let mut last: Vec<String> =
        written.iter().filter_map(|(what, path)| Some(format!(" {what:<9} {}", path.as_ref()?.display()))).collect();
    let stages = done.timings_s.iter().map(|(stage, seconds)| format!("{stage} {seconds:.1}")).collect::<Vec<_>>();
    let memory = bytes(done.peak_memory_bytes);
    last.push(format!(" time      {:.1} s ({}); peak memory {memory}", done.seconds, stages.join(", ")));
    parts.push(last.join("\n"));
    parts.join("\n\n")
}

/// What was tested on what.
fn facts(done: &Evaluation) -> String {
    let mut rows = vec![vec!["split".to_owned(), done.data.split.clone()]];
    rows.push(vec!["relevant".to_owned(), format!("items of {}", done.data.test_types.join(", "))]);
    let rejected =
        if done.data.rejected > 0 { format!(", {} rejected", grouped(done.data.rejected)) } else { String::new() };
    rows.push(vec!["rows read".to_owned(), format!("{}{rejected}", grouped(done.data.rows))]);
    for fold in &done.folds {
        let counts = &fold.counts;
        let name = if done.folds.len() > 1 { format!("fold {}", fold.name) } else { "training".to_owned() };
        rows.push(vec![
            name,
            format!(
                "{} interactions of {} users and {} items",
                grouped(counts.train_interactions),
                grouped(counts.train_users),
                grouped(counts.train_items)
            ),
        ]);
        rows.push(vec![
            "  test".to_owned(),
            format!(
                "{} users known to training, {} new; {} relevant items",
                grouped(counts.known_users),
                grouped(counts.new_users),
                grouped(counts.relevant)
            ),
        ]);
        let aside = [
            (
                counts.unknown_item_pairs,
                format!("with one of {} items that training does not know", grouped(counts.unknown_items)),
            ),
            (counts.repeated_pairs, "left out, the user already had the item".to_owned()),
        ];
        for (n, what) in aside.iter().filter(|(n, _)| *n > 0) {
            rows.push(vec!["  pairs".to_owned(), format!("{} {what}", grouped(*n))]);
        }
        let aside = [
            (counts.users_without_relevant, "left without a relevant item"),
            (counts.bots, "left out, taken for bots"),
        ];
        for (n, what) in aside.iter().filter(|(n, _)| *n > 0) {
            rows.push(vec!["  users".to_owned(), format!("{} {what}", grouped(*n))]);
        }
    }
    table(&["", ""], &[], rows).trim_start_matches('\n').to_owned()
}

/// A mean with half of its interval, and how it stands to the best.
fn cell(estimate: Option<&Estimate>) -> String {
    let Some(estimate) = estimate else { return String::new() };
    let half = |it: Interval| format!(" ±{}", short((it.high - it.low) / 2.0));
    let mark = match (estimate.best, &estimate.against) {
        (Some(true), _) => " *",
        (_, Some(against)) if against.p.is_some_and(|p| p >= SIGNIFICANT) => " =",
        (Some(_), _) => "  ",
        (None, _) => "",
    };
    format!("{}{}{mark}", short(estimate.value), estimate.interval.map(half).unwrap_or_default())
}

/// `0.1234` as `.1234`.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.strip_prefix('0').map_or(text.clone(), str::to_owned)
}

fn rows<'a>(found: &'a Comparison, columns: impl Fn(&'a ModelScores) -> Vec<String>) -> Vec<Vec<String>> {
    found.models.iter().map(|model| [vec![model.name.clone()], columns(model)].concat()).collect()
}

fn right(n_columns: usize) -> Vec<usize> {
    (1..n_columns).collect()
}

/// Recall and the headline metric at every k.
fn means(found: &Comparison) -> String {
    let metrics = if found.metric == Metric::Recall {
        vec![Metric::Recall, Metric::Ndcg]
    } else {
        vec![Metric::Recall, found.metric]
    };
    let columns: Vec<(Metric, usize)> =
        metrics.iter().flat_map(|&metric| found.ks.iter().map(move |&k| (metric, k))).collect();
    let header: Vec<String> = std::iter::once("model".to_owned())
        .chain(columns.iter().map(|(metric, k)| format!("{}@{k}", metric.name())))
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let rows = rows(found, |model| {
        let known = model.segment("known");
        columns.iter().map(|&(metric, k)| cell(known.and_then(|known| known.estimate(metric, k)))).collect()
    });
    table(&header, &right(header.len()), rows)
}

/// All else at the headline's k.
fn others(found: &Comparison) -> String {
    let k = found.ks[0];
    let shown = [Metric::Recall, found.metric];
    let metrics: Vec<Metric> = Metric::ALL.into_iter().filter(|metric| !shown.contains(metric)).collect();
    let mut header: Vec<String> = vec![format!("at {k}")];
    header.extend(metrics.iter().map(|metric| metric.name().to_owned()));
    header.extend(["coverage", "gini", "novelty", "diversity", "fallback", "train s", "score s"].map(str::to_owned));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let rows = rows(found, |model| {
        let known = model.segment("known");
        let mut row: Vec<String> = metrics
            .iter()
            .map(|&metric| {
                known.and_then(|known| known.estimate(metric, k)).map_or(String::new(), |it| short(it.value))
            })
            .collect();
        let quality = model.quality.iter().find(|quality| quality.k == k);
        let of = |of: &dyn Fn(&ListQuality) -> Option<String>| quality.and_then(of).unwrap_or_else(|| "-".to_owned());
        row.push(of(&|it| Some(short(it.coverage))));
        row.push(of(&|it| Some(short(it.gini))));
        row.push(of(&|it| it.novelty.map(|bits| format!("{bits:.2}"))));
        row.push(of(&|it| it.diversity.map(short)));
        row.push(of(&|it| it.fallback_lists.map(|share| format!("{:.1} %", 100.0 * share))));
        let seconds = |it: Option<f64>| it.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}"));
        row.extend([seconds(model.train_seconds), seconds(model.score_seconds)]);
        row
    });
    table(&header, &right(header.len()), rows)
}

/// The headline metric fold by fold.
fn folds(found: &Comparison) -> String {
    let names: Vec<&str> =
        found.models.first().map_or_else(Vec::new, |model| model.folds.iter().map(|fold| fold.fold.as_str()).collect());
    let title = format!("{}@{}", found.metric.name(), found.ks[0]);
    let header: Vec<&str> = std::iter::once(title.as_str()).chain(names).collect();
    let rows = rows(found, |model| model.folds.iter().map(|fold| short(fold.value)).collect());
    table(&header, &right(header.len()), rows)
}

/// The headline metric segment by segment.
fn by_segment(found: &Comparison) -> String {
    let title = format!("{}@{}", found.metric.name(), found.ks[0]);
    let mut header = vec![title.as_str(), "users"];
    header.extend(found.models.iter().map(|model| model.name.as_str()));
    let segments = found.models.first().map_or(&[][..], |model| &model.segments[..]);
    let rows = segments.iter().enumerate().map(|(at, segment)| {
        let name = match segment.segment.as_str() {
            "known" | "new" | "all" => segment.segment.clone(),
            _ => segment.label.clone(),
        };
        let mut row = vec![name, grouped(segment.n_users)];
        row.extend(found.models.iter().map(|model| {
            let estimate = model.segments[at].estimate(found.metric, found.ks[0]);
            // Marks stand for known users only, whose row the first table shows.
            cell(estimate.map(|it| Estimate { best: None, against: None, ..it.clone() }).as_ref())
        }));
        row
    });
    table(&header, &right(header.len()), rows)
}

fn legend(found: &Comparison) -> String {
    let mut text = String::from(" Means over users known to training.");
    if found.resamples > 0 {
        let share = 100.0 * found.confidence;
        text += &format!(" ± half of the {share} % interval ({} draws of users).", grouped(found.resamples as u64));
    }
    text += " * best";
    if found.permutations > 0 {
        text += &format!(
            ", = not told apart from it (p >= {SIGNIFICANT}, paired randomisation, {} draws); all others are worse.",
            grouped(found.permutations as u64)
        );
    } else {
        text += ".";
    }
    text
}
