//! `nightshelf config`.

use std::{fs::File, io::Write};

use anyhow::Context;

use crate::config::TEMPLATE;

use super::{
    args::{ConfigArgs, ConfigCommand, Global},
    build::config,
    output::{json, say},
};

pub(super) fn run(args: &ConfigArgs, _: &Global) -> anyhow::Result<()> {
    match &args.command {
        ConfigCommand::Init { path } => {
            let mut file = File::create_new(path)
                .with_context(|| format!("writing {}: config init never overwrites a file", path.display()))?;
            file.write_all(TEMPLATE.as_bytes()).with_context(|| format!("writing {}", path.display()))?;
            say(&format!("wrote {}; try `nightshelf config check --config {0}`", path.display()))
        }
        ConfigCommand::Check { source } => {
            let loaded = config(source, Vec::new())?;
            let kinds = loaded.config.kinds().map_err(crate::config::ConfigError::Value)?;
            let kinds: Vec<String> = kinds
                .iter()
                .map(|kind| {
                    let days = kind.half_life.map(|seconds| f64::from(seconds) / 86_400.0);
                    let decay = days.map_or_else(String::new, |days| format!(", half-life {days} days"));
                    format!("  {} (weight {}{decay})", kind.name, kind.weight)
                })
                .collect();
            let origin = loaded.path.map_or_else(|| "defaults".to_owned(), |path| path.display().to_string());
            say(&format!("{origin}: ok\nevent types:\n{}", kinds.join("\n")))
        }
        ConfigCommand::Show { source, json: as_json } => {
            let config = config(source, Vec::new())?.config;
            if *as_json { json(&config) } else { say(toml::to_string_pretty(&config)?.trim_end()) }
        }
    }
}
