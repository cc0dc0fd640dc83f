//! `nightshelf tune`.

use std::{io::IsTerminal, path::Path};

use anyhow::Context;

use crate::{
    config::{Config, ConfigError},
    pipeline::{Measured, TuneOptions, Tuned, tune},
};

use super::{
    args::{Global, TuneArgs},
    build::{config, set},
    evaluation_flags::{SplitFlag, need_events, number, split, word},
    output::{grouped, json, say, table},
    progress,
};

/// Trials shown.
const SHOWN: usize = 10;

pub(super) fn run(args: &TuneArgs, global: &Global) -> anyhow::Result<()> {
    let loaded = config(&args.source, sets(args)?)?.config;
    need_events(&loaded, &args.train)?;
    if args.out.exists() && !args.force {
        let message = format!("{} is there already: name another file with --out, or add --force", args.out.display());
        return Err(ConfigError::Value(message).into());
    }
    let journal = args.journal.clone().unwrap_or_else(|| args.out.with_extension("jsonl"));
    let options = TuneOptions { train: args.train.clone(), journal, now: jiff::Timestamp::now() };
    let observer = progress::observer(global);
    let loud = !global.quiet && (std::io::stderr().is_terminal() || global.verbose > 0);
    let metric = format!("{}@{}", loaded.evaluation.metric.name(), loaded.evaluation.ks[0]);
    let done = tune(&loaded, &options, observer.as_ref(), &mut |it| {
        if loud {
            heard(it, &loaded, &metric);
        }
    })?;
    drop(observer);
    write(&args.out, &loaded, &done)?;
    if args.json { json(&done) } else { say(&text(&done, args, &options)) }
}

/// The flags that stand for keys.
fn sets(args: &TuneArgs) -> Result<Vec<String>, ConfigError> {
    let flag = |name, given, split| SplitFlag { name, given, split };
    let flags = [
        flag("--leave-last", args.leave_last.is_some(), "leave-last"),
        flag("--ratio", args.ratio.is_some(), "ratio"),
        flag("--test-days", args.test_days.is_some(), "time"),
        flag("--folds", args.folds.is_some(), "time"),
        flag("--newest", args.newest, "time"),
    ];
    let sets = [
        set("model.kind", args.model.as_deref()),
        (!args.k.is_empty()).then(|| format!("evaluation.ks={:?}", args.k)),
        word("evaluation.metric", &args.metric),
        word("evaluation.split", &split(&args.split, &flags)?),
        number("evaluation.leave_last", &args.leave_last),
        number("evaluation.ratio", &args.ratio),
        number("evaluation.test_days", &args.test_days),
        word("evaluation.repeats", &args.repeats),
        number("tune.trials", &args.trials),
        number("tune.folds", &args.folds),
        number("tune.seed", &args.seed),
        args.newest.then(|| "tune.before_evaluation=false".to_owned()),
        args.threads.map(|threads| format!("build.threads={threads}")),
    ];
    Ok(sets.into_iter().flatten().collect())
}

/// A line a measurement.
fn heard(it: &Measured, config: &Config, metric: &str) {
    let share = 100.0 * config.tune.share(it.level);
    let took = it.seconds.map_or_else(|| "from the journal".to_owned(), |seconds| format!("{seconds:.1} s"));
    let best = it.best.map_or_else(String::new, |best| format!(", best so far {best:.4}"));
    eprintln!(
        "trial {:>3} of {}  {share:>5.1} % of users  {metric} {:.4}  {took}{best}",
        it.trial + 1,
        config.tune.trials,
        it.score
    );
}

/// Writes the whole config with the best settings. Paths are made absolute, so that it works wherever it lies.
fn write(path: &Path, config: &Config, done: &Tuned) -> anyhow::Result<()> {
    let mut best =
        config.clone().with_absolute_paths(&std::env::current_dir().context("finding the working directory")?);
    best.model = done.model.clone();
    let head = format!(
        "# Written by `nightshelf tune`: {} {:.4}, {:.4} with the settings it began with, on {}.\n\n",
        done.metric, done.score, done.start_score, done.data.split
    );
    let text = head + &toml::to_string_pretty(&best).context("writing the config as TOML")?;
    // Whole or not at all: the old file stays until the new one is there.
    let half = path.with_extension("toml.partial");
    std::fs::write(&half, text).with_context(|| format!("writing {}", half.display()))?;
    std::fs::rename(&half, path).with_context(|| format!("writing {}", path.display()))
}

fn text(done: &Tuned, args: &TuneArgs, options: &TuneOptions) -> String {
    let last = done.ledger.trials.iter().map(|trial| trial.scores.len()).max().unwrap_or(1) - 1;
    let mut order: Vec<usize> = (0..done.ledger.trials.len()).collect();
    let reached = |at: usize| {
        let scores = &done.ledger.trials[at].scores;
        (scores.len(), scores.last().copied().unwrap_or(f64::NEG_INFINITY))
    };
    order.sort_by(|&a, &b| {
        let (a_reached, b_reached) = (reached(a), reached(b));
        b_reached.0.cmp(&a_reached.0).then(b_reached.1.total_cmp(&a_reached.1)).then(a.cmp(&b))
    });
    let mut header = vec!["trial".to_owned(), done.metric.clone(), "on".to_owned()];
    header.extend(done.space.iter().map(|parameter| parameter.key.clone()));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let rows = order.iter().take(SHOWN).map(|&at| {
        let trial = &done.ledger.trials[at];
        let name = if at == 0 { "1 (config)".to_owned() } else { (at + 1).to_string() };
        let on =
            if trial.scores.len() == last + 1 { "all".to_owned() } else { format!("level {}", trial.scores.len()) };
        let score = trial.scores.last().map_or_else(String::new, |score| format!("{score:.4}"));
        let values = trial.values.iter().map(spelled);
        [name, score, on].into_iter().chain(values).collect()
    });
    let tests: u64 = done.folds.iter().map(|fold| fold.counts.known_users).sum();
    let head = format!(
        " split     {}\n tested    {} users known to training\n trials    {}, {} measurements{}",
        done.data.split,
        grouped(tests),
        done.ledger.trials.len(),
        done.n_measured + done.n_remembered,
        if done.n_remembered > 0 { format!(" ({} from the journal)", done.n_remembered) } else { String::new() },
    );
    let tail = format!(
        " best      {:.4}, {:.4} with the settings it began with\n config    {}\n journal   {}\n time      {:.1} s",
        done.score,
        done.start_score,
        args.out.display(),
        options.journal.display(),
        done.seconds
    );
    format!("{head}\n\n{}\n\n{tail}", table(&header, &[1], rows))
}

/// A setting as people write it: models keep f32, which JSON spells with all the digits of its f64.
fn spelled(value: &serde_json::Value) -> String {
    match (value.as_str(), value.as_f64()) {
        (Some(text), _) => text.to_owned(),
        (None, Some(number)) if value.is_f64() => (number as f32).to_string(),
        _ => value.to_string(),
    }
}
