//! Spaces of settings: which keys may vary, and between what.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SpaceConfig;
use crate::model::{GraphFilter, ModelConfig, ModelKind, SimilarityKind, Weighting};

/// Where a setting may lie: `{ min = 1, max = 9 }`, with `log = true` for even steps of its logarithm, or
/// `{ values = ["a", "b"] }`. Two integers make an integer range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Range {
    /// Whole numbers.
    Integers {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
        /// Even steps of the logarithm.
        #[serde(default)]
        log: bool,
    },
    /// Numbers.
    Numbers {
        /// The least.
        min: f64,
        /// The most.
        max: f64,
        /// Even steps of the logarithm.
        #[serde(default)]
        log: bool,
    },
    /// One of a few values.
    Values {
        /// The values.
        values: Vec<Value>,
    },
}

/// A setting that may vary.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parameter {
    /// Its path below `model`, such as `als.n_factors`.
    pub key: String,
    /// Where it may lie.
    pub range: Range,
}

/// A key or a value that does not fit the model's settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SpaceError(pub String);

impl Range {
    pub(super) fn check(&self, path: &str) -> Result<(), String> {
        let (low, high, log) = match self {
            Self::Values { values } => {
                return if values.is_empty() { Err(format!("{path}.values must not be empty")) } else { Ok(()) };
            }
            Self::Integers { min, max, log } => (*min as f64, *max as f64, *log),
            Self::Numbers { min, max, log } => (*min, *max, *log),
        };
        if !(low < high && low.is_finite() && high.is_finite()) {
            return Err(format!("{path}.min must be below max, are {low} and {high}"));
        }
        if log && low <= 0.0 {
            return Err(format!("{path}.min must be above 0 with log = true, is {low}"));
        }
        Ok(())
    }

    /// The value at a place between 0 and 1.
    #[must_use]
    pub fn at(&self, place: f64) -> Value {
        let between = |min: f64, max: f64, log: bool| {
            if log { (min.ln() + place * (max.ln() - min.ln())).exp() } else { min + place * (max - min) }
        };
        match self {
            Self::Values { values } => values[((place * values.len() as f64) as usize).min(values.len() - 1)].clone(),
            Self::Integers { min, max, log } => {
                (between(*min as f64, *max as f64, *log).round() as i64).clamp(*min, *max).into()
            }
            // Four digits: a config that people read, and no two trials that differ in noise only.
            Self::Numbers { min, max, log } => {
                let value = between(*min, *max, *log).clamp(*min, *max);
                format!("{value:.3e}").parse::<f64>().map_or(Value::Null, Value::from)
            }
        }
    }

    /// The place of a value, clamped to the range; the middle for a value that is not among the values.
    #[must_use]
    pub fn place(&self, value: &Value) -> f64 {
        let within = |min: f64, max: f64, log: bool| {
            let Some(value) = value.as_f64() else { return 0.5 };
            let value = value.clamp(min, max);
            if log { (value.ln() - min.ln()) / (max.ln() - min.ln()) } else { (value - min) / (max - min) }
        };
        match self {
            Self::Values { values } => {
                values.iter().position(|other| other == value).map_or(0.5, |at| (at as f64 + 0.5) / values.len() as f64)
            }
            Self::Integers { min, max, log } => within(*min as f64, *max as f64, *log),
            Self::Numbers { min, max, log } => within(*min, *max, *log),
        }
    }

    /// How many values there are to choose from, where they have no order.
    pub(super) fn n_choices(&self) -> Option<usize> {
        if let Self::Values { values } = self { Some(values.len()) } else { None }
    }
}

fn numbers(key: &str, min: f64, max: f64, log: bool) -> Parameter {
    Parameter { key: key.to_owned(), range: Range::Numbers { min, max, log } }
}

fn integers(key: &str, min: i64, max: i64) -> Parameter {
    Parameter { key: key.to_owned(), range: Range::Integers { min, max, log: true } }
}

fn choice(key: &str, values: &[&str]) -> Parameter {
    let values = values.iter().map(|&value| Value::from(value)).collect();
    Parameter { key: key.to_owned(), range: Range::Values { values } }
}

/// What is worth varying of a model, given which of its variants is configured.
#[must_use]
pub fn default_space(model: &ModelConfig) -> Vec<Parameter> {
    let counted = |key: &str| choice(key, &["binary", "log", "weight"]);
    match model.kind {
        ModelKind::Als => {
            let mut space = vec![integers("als.n_factors", 16, 256), counted("als.weights")];
            space.extend(match model.als.weighting {
                Weighting::Observed => vec![
                    numbers("als.unobserved_weight", 1e-4, 1.0, true),
                    numbers("als.regularization", 1e-4, 0.3, true),
                    numbers("als.regularization_exponent", 0.0, 1.0, false),
                ],
                Weighting::Confidence => {
                    vec![numbers("als.alpha", 0.1, 100.0, true), numbers("als.regularization", 1e-3, 1e3, true)]
                }
            });
            space
        }
        ModelKind::ItemItem => {
            let mut space = vec![
                integers("item_item.neighbours", 20, 1_000),
                counted("item_item.weights"),
                numbers("item_item.shrinkage", 0.1, 300.0, true),
            ];
            space.extend(match model.item_item.kind {
                SimilarityKind::Rp3beta => {
                    vec![numbers("item_item.alpha", 0.2, 1.5, false), numbers("item_item.beta", 0.0, 1.0, false)]
                }
                SimilarityKind::AsymmetricCosine => vec![numbers("item_item.asymmetry", 0.0, 1.0, false)],
                SimilarityKind::Bm25 => {
                    vec![numbers("item_item.k1", 0.05, 20.0, true), numbers("item_item.b", 0.0, 1.0, false)]
                }
                SimilarityKind::Cosine | SimilarityKind::Jaccard | SimilarityKind::Tfidf => Vec::new(),
            });
            space
        }
        ModelKind::Ease => vec![
            numbers("ease.regularization", 1.0, 1e4, true),
            numbers("ease.regularization_exponent", 0.0, 1.0, false),
            counted("ease.weights"),
        ],
        ModelKind::Slim => vec![
            numbers("slim.regularization", 0.1, 1e3, true),
            numbers("slim.l1_regularization", 0.01, 100.0, true),
            counted("slim.weights"),
            integers("slim.candidates", 50, 1_000),
        ],
        ModelKind::Graph => {
            let mut space = vec![
                integers("graph.n_factors", 16, 512),
                counted("graph.weights"),
                numbers("graph.user_exponent", 0.0, 0.7, false),
                numbers("graph.item_exponent", 0.0, 0.7, false),
                numbers("graph.score_exponent", 0.0, 0.7, false),
            ];
            space.push(match model.graph.filter {
                GraphFilter::LowPass => numbers("graph.low_pass_weight", 0.01, 10.0, true),
                GraphFilter::Ridge => numbers("graph.regularization", 0.05, 50.0, true),
            });
            space
        }
        ModelKind::Blend => {
            // The first part's weight stays: only the others' share of it matters.
            (1..model.blend.parts.len())
                .map(|part| numbers(&format!("blend.parts.{part}.weight"), 0.02, 5.0, true))
                .collect()
        }
        ModelKind::Repeat | ModelKind::Popularity => Vec::new(),
    }
}

/// The default space with the ranges of `[tune.space]` put in place of its own, or added.
#[must_use]
pub fn overridden(mut space: Vec<Parameter>, own: &SpaceConfig) -> Vec<Parameter> {
    for (key, range) in own {
        match space.iter_mut().find(|parameter| parameter.key == *key) {
            Some(parameter) => parameter.range = range.clone(),
            None => space.push(Parameter { key: key.clone(), range: range.clone() }),
        }
    }
    space
}

/// The settings with each parameter set to its value.
///
/// # Errors
/// A key that the settings do not have, a value of the wrong type or out of the model's own bounds.
pub fn apply(model: &ModelConfig, space: &[Parameter], values: &[Value]) -> Result<ModelConfig, SpaceError> {
    let mut tree = serde_json::to_value(model).expect("settings are plain data");
    let known = tree.clone();
    for (parameter, value) in space.iter().zip(values) {
        if !put(&mut tree, &parameter.key, value) {
            return Err(SpaceError(no_such_key(&known, &parameter.key)));
        }
    }
    let wrong = |message: String| SpaceError(format!("tune.space: {message}"));
    let model: ModelConfig = serde_json::from_value(tree).map_err(|error| {
        let text = error.to_string();
        let unknown = space.iter().find(|it| {
            let last = it.key.rsplit('.').next().unwrap_or_default();
            text.contains(&format!("unknown field `{last}`"))
        });
        unknown.map_or_else(|| wrong(text), |it| SpaceError(no_such_key(&known, &it.key)))
    })?;
    model.check("model").map_err(wrong)?;
    Ok(model)
}

/// Sets a key below a table that is there. A key that is absent may be a setting without a default, such as a half-life:
/// reading the settings tells.
fn put(tree: &mut Value, key: &str, value: &Value) -> bool {
    let (parent, last) = key
        .rsplit_once('.')
        .map_or((String::new(), key), |(parent, last)| (format!("/{}", parent.replace('.', "/")), last));
    match tree.pointer_mut(&parent) {
        Some(Value::Object(table)) => {
            table.insert(last.to_owned(), value.clone());
            true
        }
        _ => false,
    }
}

fn no_such_key(tree: &Value, key: &str) -> String {
    fn keys(tree: &Value, path: &str, out: &mut Vec<String>) {
        let children: Vec<(String, &Value)> = match tree {
            Value::Object(map) => map.iter().map(|(name, child)| (name.clone(), child)).collect(),
            Value::Array(list) => list.iter().enumerate().map(|(at, child)| (at.to_string(), child)).collect(),
            _ => return out.push(path.to_owned()),
        };
        for (name, child) in children {
            keys(child, &if path.is_empty() { name } else { format!("{path}.{name}") }, out);
        }
    }
    let mut known = Vec::new();
    keys(tree, "", &mut known);
    let nearest = known
        .into_iter()
        .max_by(|a, b| strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)).then_with(|| b.cmp(a)));
    let hint = nearest.map_or(String::new(), |nearest| format!("; did you mean \"{nearest}\"?"));
    format!("tune.space.\"{key}\": the model has no such setting{hint}")
}

/// The values that the settings have now.
pub(super) fn current(model: &ModelConfig, space: &[Parameter]) -> Vec<Value> {
    let tree = serde_json::to_value(model).expect("settings are plain data");
    let value = |parameter: &Parameter| {
        tree.pointer(&format!("/{}", parameter.key.replace('.', "/"))).cloned().unwrap_or(Value::Null)
    };
    space.iter().map(value).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn every_default_space_holds_settings_that_the_model_accepts() {
        let mut models = vec![ModelConfig::default()];
        models[0].als.weighting = Weighting::Confidence;
        for kind in [
            ModelKind::Als,
            ModelKind::ItemItem,
            ModelKind::Ease,
            ModelKind::Slim,
            ModelKind::Graph,
            ModelKind::Repeat,
            ModelKind::Popularity,
        ] {
            models.push(ModelConfig { kind, ..ModelConfig::default() });
        }
        for kind in ["rp3beta", "cosine", "asymmetric_cosine", "jaccard", "bm25", "tfidf"] {
            let mut model = ModelConfig { kind: ModelKind::ItemItem, ..ModelConfig::default() };
            model.item_item.kind = serde_json::from_value(kind.into()).unwrap();
            models.push(model);
        }
        for model in models {
            let space = default_space(&model);
            for place in [0.0, 0.31, 0.5, 1.0] {
                let values: Vec<Value> = space.iter().map(|parameter| parameter.range.at(place)).collect();
                apply(&model, &space, &values).unwrap();
            }
        }
    }

    #[test]
    fn values_and_places_are_each_others_inverse() {
        for range in [
            Range::Numbers { min: 1e-4, max: 10.0, log: true },
            Range::Numbers { min: -3.0, max: 5.0, log: false },
            Range::Integers { min: 10, max: 100_000, log: true },
        ] {
            for place in [0.0, 0.25, 0.8, 1.0] {
                assert!((range.place(&range.at(place)) - place).abs() < 0.02, "{range:?} {place}");
            }
        }
        let range = Range::Values { values: vec!["a".into(), "b".into(), "c".into()] };
        assert_eq!([0.0, 0.4, 0.99, 1.0].map(|place| range.at(place)), ["a", "b", "c", "c"].map(Value::from));
        assert_eq!(range.at(range.place(&"b".into())), Value::from("b"));
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest() {
        let own = SpaceConfig::from([("als.n_factor".to_owned(), Range::Integers { min: 1, max: 9, log: false })]);
        let space = overridden(Vec::new(), &own);
        let error = apply(&ModelConfig::default(), &space, &[3.into()]).unwrap_err();
        assert!(error.0.contains("\"als.n_factor\"") && error.0.contains("\"als.n_factors\""), "{error}");
    }

    #[test]
    fn a_range_says_what_is_wrong_with_it() {
        let range = Range::Numbers { min: 0.0, max: 1.0, log: true };
        assert!(range.check("tune.space.\"a\"").unwrap_err().contains("must be above 0"));
        assert!(Range::Integers { min: 4, max: 4, log: false }.check("x").is_err());
        assert!(Range::Values { values: vec![] }.check("x").is_err());
    }
}
