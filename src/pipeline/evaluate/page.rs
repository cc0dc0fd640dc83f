//! The comparison page: facts for it, and the file.

use std::{fs, path::Path};

use jiff::Timestamp;

use crate::{
    config::Config,
    pipeline::PipelineError,
    report::{ComparedFold, ComparisonData, render_comparison},
};

use super::Evaluation;

/// Writes the page, under another name until it is whole.
pub(super) fn write(path: &Path, done: &Evaluation, config: &Config, now: Timestamp) -> Result<(), PipelineError> {
    let data = ComparisonData {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: Some(now),
        split: done.data.split.clone(),
        test_types: done.data.test_types.clone(),
        repeats: word(&config.evaluation.repeats),
        unknown_items: word(&config.evaluation.unknown_items),
        folds: done
            .folds
            .iter()
            .map(|fold| ComparedFold {
                name: fold.name.clone(),
                as_of: fold.as_of.clone(),
                train_users: fold.counts.train_users,
                train_items: fold.counts.train_items,
                train_interactions: fold.counts.train_interactions,
                known_users: fold.counts.known_users,
                new_users: fold.counts.new_users,
                relevant: fold.counts.relevant,
                unknown_item_pairs: fold.counts.unknown_item_pairs,
                repeated_pairs: fold.counts.repeated_pairs,
                bots: fold.counts.bots,
            })
            .collect(),
        comparison: done.comparison.clone(),
        warnings: done.warnings.clone(),
        config: toml::to_string_pretty(config).unwrap_or_default(),
    };
    let page = render_comparison(&data)?;
    let failed = |source| PipelineError::Write { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    fs::write(&partial, page).map_err(failed)?;
    fs::rename(&partial, path).map_err(failed)
}

/// A setting as the config writes it.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
