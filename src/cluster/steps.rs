//! The step definitions as data, and what they become for one submission.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;
use serde_json::Value;

use super::ClusterError;

/// The step definitions and the jobs of this version of the program, by file name.
pub const JOB_FILES: [(&str, &str); 3] = [
    ("steps.json", include_str!("../../jobs/steps.json")),
    ("shuffle_events.py", include_str!("../../jobs/shuffle_events.py")),
    ("run_partitions.py", include_str!("../../jobs/run_partitions.py")),
];

/// The only format of `steps.json` there is.
const FORMAT_VERSION: u32 = 1;

/// The contents of `steps.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    #[serde(rename = "about")]
    _about: String,
    format_version: u32,
    program: String,
    spark_submit: Vec<String>,
    conf: BTreeMap<String, Vec<Setting>>,
    steps: Vec<Definition>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    key: String,
    value: String,
    #[serde(rename = "why")]
    _why: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    name: String,
    runs: Runs,
    #[serde(default)]
    conf: Vec<String>,
    script: Option<String>,
    /// Stage whose finished buckets tell how far the step is.
    counts: Option<String>,
    /// Of how many; of all buckets without it.
    of: Option<String>,
    /// The step exists only where this value is set.
    #[serde(rename = "if")]
    condition: Option<String>,
    args: Vec<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Runs {
    Program,
    Spark,
}

/// What the names in braces stand for.
pub type Values = BTreeMap<&'static str, String>;

/// A step of one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedStep {
    /// `aggregate`, ...
    pub name: String,
    /// What `command-runner.jar` is to run.
    pub args: Vec<String>,
    /// Stage whose finished buckets tell how far the step is.
    pub counts: Option<String>,
    /// How many of them there are, if they are not the run's buckets.
    pub n_tasks: Option<u64>,
}

impl Catalogue {
    /// Reads step definitions; `origin` names them in messages.
    ///
    /// # Errors
    /// Text that is no JSON of the format.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ClusterError> {
        let wrong = |what: String| ClusterError::Steps { origin: origin.to_owned(), what };
        let catalogue: Self = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if catalogue.format_version != FORMAT_VERSION {
            return Err(wrong(format!("format_version must be {FORMAT_VERSION}, is {}", catalogue.format_version)));
        }
        for step in &catalogue.steps {
            if step.name.is_empty() || !step.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
                return Err(wrong(format!("a step's name must be lower-case letters, is `{}`", step.name)));
            }
            if (step.runs == Runs::Spark) != step.script.is_some() {
                return Err(wrong(format!("step {}: those that run spark have a script, others have none", step.name)));
            }
            if let Some(group) = step.conf.iter().find(|group| !catalogue.conf.contains_key(*group)) {
                return Err(wrong(format!("step {}: there is no group `{group}` in conf", step.name)));
            }
        }
        Ok(catalogue)
    }

    /// The steps of one submission; scripts stand in them by their file names. `extra` settings of Spark stand above those of the definitions.
    ///
    /// # Errors
    /// A name in braces that has no value and is not optional.
    pub fn plan(
        &self,
        values: &Values,
        extra: &BTreeMap<String, String>,
        origin: &str,
    ) -> Result<Vec<PlannedStep>, ClusterError> {
        let wanted = |step: &&Definition| step.condition.as_ref().is_none_or(|name| values.contains_key(name.as_str()));
        let steps = self.steps.iter().filter(wanted).map(|step| {
            self.step(step, values, extra).map_err(|what| ClusterError::Steps {
                origin: origin.to_owned(),
                what: format!("step {}: {what}", step.name),
            })
        });
        steps.collect()
    }

    fn step(
        &self,
        step: &Definition,
        values: &Values,
        extra: &BTreeMap<String, String>,
    ) -> Result<PlannedStep, String> {
        let mut values = values.clone();
        values.insert("step", step.name.clone());
        let own = arguments(&step.args, &values)?;
        let args = match step.runs {
            Runs::Program => {
                let words: Vec<String> = own.iter().map(|word| quoted(word).into_owned()).collect();
                values.insert("args", words.join(" "));
                vec!["bash".to_owned(), "-c".to_owned(), filled(&self.program, &values)?]
            }
            Runs::Spark => {
                values.insert("script", step.script.clone().unwrap_or_default());
                let mut args = Vec::new();
                for word in &self.spark_submit {
                    if word == "{conf}" {
                        args.extend(self.settings(step, &values, extra)?);
                    } else {
                        args.push(filled(word, &values)?);
                    }
                }
                args.extend(own);
                args
            }
        };
        let number = |text: String| text.parse().map_err(|_| format!("`of` must be a number, is `{text}`"));
        let n_tasks = step.of.as_ref().map(|of| filled(of, &values).and_then(number)).transpose()?;
        Ok(PlannedStep { name: step.name.clone(), args, counts: step.counts.clone(), n_tasks })
    }

    fn settings(
        &self,
        step: &Definition,
        values: &Values,
        extra: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, String> {
        let mut settings = BTreeMap::new();
        for setting in step.conf.iter().flat_map(|group| &self.conf[group]) {
            // A setting of a value that is not set is Spark's own.
            if names_in(&setting.value).all(|name| values.contains_key(name)) {
                settings.insert(setting.key.clone(), filled(&setting.value, values)?);
            }
        }
        settings.extend(extra.iter().map(|(key, value)| (key.clone(), value.clone())));
        Ok(settings.into_iter().flat_map(|(key, value)| ["--conf".to_owned(), format!("{key}={value}")]).collect())
    }
}

/// All steps as one shell script, for a cluster that may run several steps at once.
#[must_use]
pub(super) fn script_of(steps: &[PlannedStep]) -> String {
    let mut script = String::from(
        "#!/usr/bin/env bash\n# The steps of one run, in order; the first that fails ends it.\nset -euo pipefail\n",
    );
    for step in steps {
        let words: Vec<Cow<'_, str>> = step.args.iter().map(|word| quoted(word)).collect();
        script.push_str(&format!("echo 'nightshelf step {}' >&2\n{}\n", step.name, words.join(" ")));
    }
    script
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@+%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
    }
}

fn arguments(args: &[Value], values: &Values) -> Result<Vec<String>, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| format!("{value} is no text"));
    let mut words = Vec::new();
    for arg in args {
        match arg {
            Value::Array(group) => {
                let group = group.iter().map(text).collect::<Result<Vec<_>, _>>()?;
                if group.iter().flat_map(|word| names_in(word)).all(|name| values.contains_key(name)) {
                    for word in &group {
                        words.push(filled(word, values)?);
                    }
                }
            }
            word => words.push(filled(&text(word)?, values)?),
        }
    }
    Ok(words)
}

/// The names in braces.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}

fn filled(text: &str, values: &Values) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or_else(|| format!("a brace is not closed in `{text}`"))?;
        let value = values.get(name).ok_or_else(|| format!("`{{{name}}}` in `{text}` has no value"))?;
        out.push_str(before);
        out.push_str(value);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::cluster) fn own() -> Catalogue {
        Catalogue::parse(JOB_FILES[0].1, "jobs/steps.json").unwrap()
    }

    pub(in crate::cluster) fn values() -> Values {
        [
            ("run", "night"),
            ("work", "s3://shop/work/night"),
            ("binary", "s3://shop/assets/1/nightshelf"),
            ("config", "s3://shop/assets/2/nightshelf.toml"),
            ("executor_cores", "4"),
            ("worker_threads", "4"),
            ("executor_memory_mb", "1024"),
            ("shuffle_memory_mb", "9216"),
            ("overhead_mb", "10752"),
            ("speculation", "true"),
            ("buckets_per_task", "1"),
            ("recommend_buckets_per_task", "4"),
        ]
        .into_iter()
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
    }

    #[test]
    fn own_definitions_make_the_steps_in_order() {
        let steps = own().plan(&values(), &BTreeMap::new(), "").unwrap();
        let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["plan", "shuffle", "survey", "merge", "aggregate", "train", "recommend", "seal"]);
        assert_eq!(steps[0].args[..2], ["bash", "-c"]);
        assert!(steps[0].args[2].ends_with(
            "exec ./nightshelf worker plan --config nightshelf.toml --work s3://shop/work/night --run night"
        ));
        assert!(!steps[0].args[2].contains("--as-of"), "{}", steps[0].args[2]);
        let shuffle = steps[1].args.join(" ");
        assert!(shuffle.starts_with("spark-submit --deploy-mode client --name nightshelf night shuffle --conf "));
        assert!(shuffle.ends_with(" shuffle_events.py --work s3://shop/work/night"), "{shuffle}");
        assert!(!shuffle.contains("maxExecutors"), "a setting without a value is left out: {shuffle}");
        assert!(steps[4].args.contains(&"spark.executor.memoryOverhead=10752m".to_owned()));
        assert_eq!(steps[4].counts.as_deref(), Some("aggregate"));
    }

    #[test]
    fn optional_values_bring_their_flags_and_steps() {
        let mut values = values();
        values.insert("as_of", "2026-11-22".into());
        values.insert("publish", String::new());
        values.insert("max_executors", "9".into());
        values.insert("item_parts", "16".into());
        let extra = BTreeMap::from([("spark.task.maxFailures".to_owned(), "7".to_owned())]);
        let steps = own().plan(&values, &extra, "").unwrap();
        assert!(steps[0].args[2].ends_with("--run night --as-of 2026-11-22 --item-parts 16"));
        assert_eq!(
            (steps[5].name.as_str(), steps[5].counts.as_deref(), steps[5].n_tasks),
            ("pairs", Some("pairs"), Some(16))
        );
        assert_eq!(steps[4].n_tasks, None);
        assert!(steps[9].args[2].ends_with("./nightshelf publish night --config nightshelf.toml"));
        let shuffle = steps[1].args.join(" ");
        assert!(shuffle.contains("spark.dynamicAllocation.maxExecutors=9"), "{shuffle}");
        assert!(shuffle.contains("spark.task.maxFailures=7") && !shuffle.contains("spark.task.maxFailures=4"));
    }

    #[test]
    fn a_shell_gets_each_word_as_it_is() {
        assert_eq!(quoted("s3://shop/a-b_c.d"), "s3://shop/a-b_c.d");
        assert_eq!(quoted("it's; rm -rf $HOME"), r"'it'\''s; rm -rf $HOME'");
        assert_eq!(quoted(""), "''");
        let mut values = values();
        values.insert("as_of", "$(reboot)".into());
        let steps = own().plan(&values, &BTreeMap::new(), "").unwrap();
        assert!(steps[0].args[2].ends_with("--as-of '$(reboot)'"), "{}", steps[0].args[2]);
        let script = script_of(&steps);
        assert!(script.contains("\nbash -c 'set -e; aws s3 cp"), "{script}");
        assert!(script.contains("--name 'nightshelf night shuffle'"), "{script}");
    }

    #[test]
    fn wrong_definitions_are_refused_with_their_origin() {
        let error = |text: &str| Catalogue::parse(text, "mine.json").unwrap_err().to_string();
        assert!(error("{").starts_with("cannot use the step definitions of mine.json: "));
        let with = |from: &str, to: &str| JOB_FILES[0].1.replacen(from, to, 1);
        assert!(error(&with("\"format_version\": 1", "\"format_version\": 2")).contains("must be 1, is 2"));
        assert!(error(&with("\"any\", \"shuffle\"", "\"any\", \"nothing\"")).contains("no group `nothing`"));
        let catalogue = Catalogue::parse(&with("{work}\", \"--run\"", "{wrk}\", \"--run\""), "mine.json").unwrap();
        let error = catalogue.plan(&values(), &BTreeMap::new(), "mine.json").unwrap_err().to_string();
        assert!(error.contains("step plan: `{wrk}` in `{wrk}` has no value"), "{error}");
    }
}
