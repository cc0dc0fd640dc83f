//! Putting a config together from its sources.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::{Config, ConfigError};

/// Variables that set a key: `NIGHTSHELF__MODEL__ALS__N_FACTORS=128`.
const PREFIX: &str = "NIGHTSHELF__";

/// What stands above the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Environment variables, all of them; those with the prefix are used.
    pub variables: Vec<(String, String)>,
    /// `key=value` from `--set`, in order.
    pub sets: Vec<String>,
}

/// A config and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The checked config; relative paths of the file are made relative to the working directory.
    pub config: Config,
    /// The file, if there was one.
    pub path: Option<PathBuf>,
}

/// Loads and checks a config.
///
/// # Errors
/// A file that is missing or wrong (with line, column and the nearest known key), a wrong variable or flag, a value out of
/// its range.
pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Loaded, ConfigError> {
    let mut table = Table::new();
    if let Some(path) = path {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let wrong = |message: String| {
            let nearest = nearest_of(&message);
            ConfigError::Parse { path: path.to_owned(), message: message.trim_end().to_owned(), nearest }
        };
        // Read into the config first: only the text knows lines and columns.
        let mut config: Config = toml::from_str(&text).map_err(|error| wrong(plain(&error.to_string())))?;
        table = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            anchor(&mut config, directory);
            write_anchored(&mut table, &config);
        }
    }
    for (name, value) in &overrides.variables {
        if let Some(key) = name.strip_prefix(PREFIX) {
            let key = key.to_lowercase().replace("__", ".");
            set(&mut table, &key, value, name)?;
        }
    }
    for text in &overrides.sets {
        let origin = format!("--set {text}");
        let (key, value) = text.split_once('=').ok_or_else(|| ConfigError::Override {
            origin: origin.clone(),
            message: "must look like key=value, e.g. --set model.als.n_factors=128".into(),
            nearest: None,
        })?;
        set(&mut table, key.trim(), value.trim(), &origin)?;
    }
    let config = read(&table).map_err(|(message, nearest)| {
        ConfigError::Value(match nearest {
            Some(nearest) => format!("{message}; did you mean `{nearest}`?"),
            None => message,
        })
    })?;
    config.check().map_err(ConfigError::Value)?;
    Ok(Loaded { config, path: path.map(Path::to_owned) })
}

fn read(table: &Table) -> Result<Config, (String, Option<String>)> {
    serde_path_to_error::deserialize(Value::Table(table.clone())).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        // TOML's own mention of the key stands behind the message.
        let message = message.trim().split("\nin `").next().unwrap_or_default().replace('\n', " ");
        let nearest = nearest_of(&message);
        let message = plain(&message);
        (if path == "." { message } else { format!("{path}: {message}") }, nearest)
    })
}

fn set(table: &mut Table, key: &str, value: &str, origin: &str) -> Result<(), ConfigError> {
    let wrong = |message: String, nearest| ConfigError::Override { origin: origin.to_owned(), message, nearest };
    let parse = |text: &str| {
        Table::deserialize(toml::Deserializer::parse(&format!("value = {text}")).ok()?).ok()?.remove("value")
    };
    // What is no TOML value is text: --set model.kind=als needs no quotes.
    let value = parse(value).unwrap_or_else(|| Value::String(value.to_owned()));
    let (parents, last) = match key.rsplit_once('.') {
        Some((parents, last)) => (parents.split('.').collect(), last),
        None => (Vec::new(), key),
    };
    let before = table.clone();
    let mut place = &mut *table;
    for name in parents {
        place = place
            .entry(name)
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .ok_or_else(|| wrong(format!("`{name}` of `{key}` is a value, not a table"), None))?;
    }
    place.insert(last.to_owned(), value);
    // Check at once, so that the message names this variable or flag. A file that was wrong already is not its fault.
    if read(&before).is_ok()
        && let Err((message, nearest)) = read(table)
    {
        return Err(wrong(message, nearest));
    }
    Ok(())
}

/// Makes a file's relative paths relative to the working directory, where its own directory is `directory`.
fn anchor(config: &mut Config, directory: &Path) {
    let anchored = |path: &mut String| {
        if !path.is_empty() && !path.contains("://") && Path::new(path.as_str()).is_relative() {
            *path = directory.join(path.as_str()).to_string_lossy().into_owned();
        }
    };
    config.events.paths.iter_mut().for_each(anchored);
    config.orders.paths.iter_mut().for_each(anchored);
    config.customers.paths.iter_mut().for_each(anchored);
    config.catalog.path.iter_mut().for_each(anchored);
    config.campaigns.earlier_catalog.iter_mut().for_each(anchored);
    anchored(&mut config.build.runs);
    config.build.scratch.iter_mut().for_each(anchored);
    anchored(&mut config.publish.sqlite.path);
    config.emr.binary.iter_mut().for_each(anchored);
    config.emr.jobs.iter_mut().for_each(anchored);
    for files in [
        [&mut config.publish.postgres.password_file, &mut config.publish.postgres.ca_file],
        [&mut config.publish.mysql.password_file, &mut config.publish.mysql.ca_file],
    ] {
        files.into_iter().flatten().for_each(anchored);
    }
    for replica in [&mut config.orders.replica, &mut config.customers.replica].into_iter().flatten() {
        [&mut replica.password_file, &mut replica.ca_file].into_iter().flatten().for_each(anchored);
    }
}

impl Config {
    /// The same config with paths that hold in any directory, given the one that they are relative to.
    #[must_use]
    pub fn with_absolute_paths(mut self, directory: &Path) -> Self {
        anchor(&mut self, directory);
        self
    }
}

/// Writes the anchored paths back over those that the file has.
fn write_anchored(table: &mut Table, config: &Config) {
    let list = |paths: &[String]| Value::Array(paths.iter().cloned().map(Value::String).collect());
    let mut put = |path: &[&str], value: Value| {
        let mut place = &mut *table;
        for name in &path[..path.len() - 1] {
            let entry = place.entry(*name).or_insert_with(|| Value::Table(Table::new()));
            let Some(inner) = entry.as_table_mut() else { return };
            place = inner;
        }
        place.insert(path[path.len() - 1].to_owned(), value);
    };
    put(&["events", "paths"], list(&config.events.paths));
    put(&["orders", "paths"], list(&config.orders.paths));
    put(&["customers", "paths"], list(&config.customers.paths));
    if let Some(path) = &config.catalog.path {
        put(&["catalog", "path"], Value::String(path.clone()));
    }
    if let Some(path) = &config.campaigns.earlier_catalog {
        put(&["campaigns", "earlier_catalog"], Value::String(path.clone()));
    }
    put(&["build", "runs"], Value::String(config.build.runs.clone()));
    if let Some(path) = &config.build.scratch {
        put(&["build", "scratch"], Value::String(path.clone()));
    }
    put(&["publish", "sqlite", "path"], Value::String(config.publish.sqlite.path.clone()));
    for (key, path) in [("binary", &config.emr.binary), ("jobs", &config.emr.jobs)] {
        if let Some(path) = path {
            put(&["emr", key], Value::String(path.clone()));
        }
    }
    let (postgres, mysql) = (&config.publish.postgres, &config.publish.mysql);
    for (store, key, file) in [
        ("postgres", "password_file", &postgres.password_file),
        ("postgres", "ca_file", &postgres.ca_file),
        ("mysql", "password_file", &mysql.password_file),
        ("mysql", "ca_file", &mysql.ca_file),
    ] {
        if let Some(file) = file {
            put(&["publish", store, key], Value::String(file.clone()));
        }
    }
    for (table, replica) in [("orders", &config.orders.replica), ("customers", &config.customers.replica)] {
        let files = replica.iter().flat_map(|it| [("password_file", &it.password_file), ("ca_file", &it.ca_file)]);
        for (key, file) in files.filter_map(|(key, file)| Some((key, file.as_ref()?))) {
            put(&[table, "replica", key], Value::String(file.clone()));
        }
    }
}

/// A deserializer's message without the names of Rust's types.
fn plain(message: &str) -> String {
    let words = [
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected u32", "expected a whole number, 0 or more"),
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("expected f32", "expected a number"),
    ];
    words.iter().fold(message.to_owned(), |message, (from, to)| message.replace(from, to))
}

/// The known name nearest to the unknown one that a message complains of.
fn nearest_of(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("unknown field `").or_else(|| message.split_once("unknown variant `"))?;
    let mut names = rest.split('`').step_by(2);
    let unknown = names.next()?.to_owned();
    let known = rest.split_once("expected")?.1;
    known
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|name| (strsim::jaro_winkler(name, &unknown), name))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_found() {
        let message = "unknown field `n_factor`, expected one of `n_factors`, `iterations`";
        assert_eq!(nearest_of(message).as_deref(), Some("n_factors"));
        assert_eq!(nearest_of("unknown field `zzz`, expected `path`"), None);
        assert_eq!(nearest_of("invalid type"), None);
    }

    #[test]
    fn flags_stand_above_variables_above_defaults() {
        let overrides = Overrides {
            variables: vec![
                ("NIGHTSHELF__RECOMMENDATIONS__K".into(), "7".into()),
                ("NIGHTSHELF__EVENTS__MAX_REJECTED_RATIO".into(), "0.5".into()),
                ("NIGHTSHELF_SKIP".into(), "x".into()),
            ],
            sets: vec!["recommendations.k=9".into(), "model.kind=item_item".into()],
        };
        let config = load(None, &overrides).unwrap().config;
        assert_eq!(config.recommendations.k, 9);
        assert_eq!(config.events.max_rejected_ratio, 0.5);
    }

    #[test]
    fn a_wrong_flag_is_named_with_the_nearest_key() {
        let overrides = Overrides { sets: vec!["model.als.n_factor=9".into()], ..Default::default() };
        let error = load(None, &overrides).unwrap_err();
        assert!(error.to_string().starts_with("--set model.als.n_factor=9: "), "{error}");
        assert_eq!(error.hint().as_deref(), Some("did you mean `n_factors`?"));
        let overrides =
            Overrides { variables: vec![("NIGHTSHELF__MODEL__KIND".into(), "alx".into())], ..Default::default() };
        let error = load(None, &overrides).unwrap_err();
        assert!(error.to_string().starts_with("NIGHTSHELF__MODEL__KIND: "), "{error}");
    }
}
