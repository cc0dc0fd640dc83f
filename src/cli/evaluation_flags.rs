//! What `evaluate` and `tune` share: flags that stand for keys of `[evaluation]`, and the split that a flag implies.

use crate::config::{Config, ConfigError};

use super::build::set;

/// `key = value` for a flag's number.
pub(super) fn number(key: &str, value: &Option<String>) -> Option<String> {
    value.as_ref().map(|value| format!("{key}={value}"))
}

/// `key = value` for a flag's word, whose hyphens are the config's underscores.
pub(super) fn word(key: &str, value: &Option<String>) -> Option<String> {
    set(key, value.as_ref().map(|text| text.replace('-', "_")).as_deref())
}

/// `key = [values]` for a flag's words, if there are any.
pub(super) fn words(key: &str, values: &[String]) -> Option<String> {
    let list = || toml::Value::Array(values.iter().cloned().map(toml::Value::String).collect());
    (!values.is_empty()).then(|| format!("{key}={}", list()))
}

/// A flag that means something under one split only.
pub(super) struct SplitFlag {
    pub(super) name: &'static str,
    pub(super) given: bool,
    pub(super) split: &'static str,
}

/// The split that `--split` names, or that the flags imply; `None` leaves it to the config.
///
/// # Errors
/// When flags of different splits stand side by side: one of them would do nothing.
pub(super) fn split(named: &Option<String>, flags: &[SplitFlag]) -> Result<Option<String>, ConfigError> {
    let hyphens = |split: &str| split.replace('_', "-");
    let mut given = flags.iter().filter(|flag| flag.given);
    let mut wanted = named.as_ref().map(|split| (hyphens(split), format!("with --split {}", hyphens(split))));
    if wanted.is_none() {
        wanted = given.next().map(|flag| (flag.split.to_owned(), format!("with {}", flag.name)));
    }
    let Some((split, why)) = wanted else { return Ok(None) };
    match given.find(|flag| flag.split != split) {
        None => Ok(Some(split)),
        Some(other) => {
            let (name, own) = (other.name, other.split);
            Err(ConfigError::Value(format!("{name} goes with --split {own}, not {why}")))
        }
    }
}

/// Refuses to read no events at all.
pub(super) fn need_events(config: &Config, train: &[String]) -> Result<(), ConfigError> {
    if config.events.paths.is_empty() && train.is_empty() {
        let message = "events.paths is empty: name the events in the config file or with --train".to_owned();
        return Err(ConfigError::Value(message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_implies_its_split_and_contradictions_are_refused() {
        let flags = |ratio: bool, days: bool| {
            [
                SplitFlag { name: "--ratio", given: ratio, split: "ratio" },
                SplitFlag { name: "--test-days", given: days, split: "time" },
            ]
        };
        let of = |named: Option<&str>, ratio, days| {
            split(&named.map(str::to_owned), &flags(ratio, days)).map_err(|error| error.to_string())
        };
        assert_eq!(of(None, false, false), Ok(None));
        assert_eq!(of(None, true, false), Ok(Some("ratio".to_owned())));
        assert_eq!(of(None, false, true), Ok(Some("time".to_owned())));
        assert_eq!(of(Some("ratio"), true, false), Ok(Some("ratio".to_owned())));
        assert_eq!(of(Some("leave_last"), false, false), Ok(Some("leave-last".to_owned())));
        let refused = of(Some("time"), true, true).unwrap_err();
        assert!(refused.ends_with("--ratio goes with --split ratio, not with --split time"), "{refused}");
        let refused = of(None, true, true).unwrap_err();
        assert!(refused.ends_with("--test-days goes with --split time, not with --ratio"), "{refused}");
    }
}
