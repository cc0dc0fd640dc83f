//! `nightshelf synth`.

use anyhow::Context;

use crate::synth::{Config, Progress, Summary, SynthError, generate};

use super::{
    args::{Global, SynthArgs},
    output::{bytes, grouped, json, say, table},
    progress,
};

pub(super) fn run(args: &SynthArgs, global: &Global) -> anyhow::Result<()> {
    let config = config(args)?;
    let observer = progress::observer(global);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads).build().context("starting threads")?;
    let start = std::time::Instant::now();
    observer.begin("make events", Some(config.events), "rows");
    let said = std::sync::atomic::AtomicU64::new(0);
    let listen = |progress: Progress| {
        let before = said.fetch_max(progress.rows, std::sync::atomic::Ordering::Relaxed);
        observer.advance(progress.rows.saturating_sub(before));
    };
    let summary = pool.install(|| generate(&config, &args.out, &listen))?;
    observer.end();
    if args.json {
        return json(&summary);
    }
    say(&text(&summary, &args.out.display().to_string(), start.elapsed().as_secs_f64()))
}

fn config(args: &SynthArgs) -> anyhow::Result<Config> {
    let mut table = toml::Table::new();
    if let Some(path) = &args.config {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let wrong = |error: toml::de::Error| SynthError::Config(format!("in {}: {error}", path.display()));
        toml::from_str::<Config>(&text).map_err(wrong)?;
        table = toml::from_str(&text).map_err(wrong)?;
    }
    for set in &args.sets {
        let wrong = || SynthError::Config(format!("--set {set}: must look like key=value, e.g. --set days=90"));
        let (key, _) = set.split_once('=').ok_or_else(wrong)?;
        let quoted =
            || set.split_once('=').map(|(key, value)| format!("{key}={}", toml::Value::String(value.trim().into())));
        let parsed = toml::from_str::<toml::Table>(set).or_else(|_| toml::from_str(&quoted().unwrap_or_default()));
        let value = parsed.map_err(|_| wrong())?.remove(key.trim()).ok_or_else(wrong)?;
        table.insert(key.trim().to_owned(), value);
    }
    let mut config: Config = serde_path_to_error::deserialize(toml::Value::Table(table))
        .map_err(|error| SynthError::Config(error.to_string().trim().replace('\n', " ")))?;
    config.events = args.events.unwrap_or(config.events);
    config.users = args.users.unwrap_or(config.users);
    config.items = args.items.unwrap_or(config.items);
    config.seed = args.seed.unwrap_or(config.seed);
    config.check("").map_err(SynthError::Config)?;
    Ok(config)
}

fn text(summary: &Summary, out: &str, seconds: f64) -> String {
    let types: Vec<String> = summary.rows_by_type.iter().map(|(name, n)| format!("{name} {}", grouped(*n))).collect();
    let dirty = &summary.dirty;
    let dirty = [
        ("null user", dirty.null_user),
        ("null item", dirty.null_item),
        ("unknown type", dirty.unknown_type),
        ("duplicate", dirty.duplicate),
        ("future", dirty.future),
    ];
    let dirty: Vec<String> = dirty.iter().map(|(name, n)| format!("{name} {}", grouped(*n))).collect();
    let rate = summary.rows as f64 / seconds.max(1e-9);
    let rows = [
        ("events", format!("{}: {}", grouped(summary.rows), types.join(", "))),
        ("  dirty", dirty.join(", ")),
        ("  by bots", grouped(summary.bot_rows)),
        (
            "shop",
            format!(
                "{} users, {} items, {} orders",
                grouped(summary.users.into()),
                grouped(summary.items.into()),
                grouped(summary.orders)
            ),
        ),
        ("files", format!("{}, {} in {out}", grouped(summary.files), bytes(summary.bytes))),
        ("time", format!("{seconds:.1} s, {} events/s", grouped(rate as u64))),
    ];
    let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]);
    table(&["", ""], &[], rows).trim_start_matches('\n').to_owned()
}
