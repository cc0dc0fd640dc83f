//! Settings of `item_item`.

use serde::{Deserialize, Serialize};

use crate::{
    interactions::Csr,
    model::{
        CellWeight, ModelError, cells,
        recency::{Recency, needs_times},
    },
};

/// Settings of the item neighbourhood model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ItemItemConfig {
    /// How two items are compared.
    pub kind: SimilarityKind,
    /// What a cell's weight counts: `binary`, `weight` or `log`.
    pub weights: CellWeight,
    /// Neighbours kept of each item.
    pub neighbours: usize,
    /// After choosing neighbours, scale each item's to sum to one, then keep the largest `neighbours` that lead to any one
    /// item.
    pub normalise: bool,
    /// A similarity is multiplied by n / (n + shrinkage), n being the users who have both items; 0 leaves it as it is.
    pub shrinkage: f32,
    /// Exponent of the transition probabilities. Only for `rp3beta`.
    pub alpha: f32,
    /// Exponent that takes popular items back. Only for `rp3beta`.
    pub beta: f32,
    /// Exponent of the norm of the item that leads; the other's is one minus it. Only for `asymmetric_cosine`.
    pub asymmetry: f32,
    /// Where repeated weight saturates. Only for `bm25`.
    pub k1: f32,
    /// How much an item's total weight counts against it, 0 to 1. Only for `bm25`.
    pub b: f32,
    /// How much more a user's product counts where the second item came after the first; 0 looks at no order. Needs
    /// times; not for `jaccard`.
    pub sequence_weight: f32,
    /// How many of the user's items later at most that is.
    pub sequence_window: u32,
    /// Days before the newest action after which a pair counts half in training, by its last time: neighbours of the season.
    /// Needs times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_half_life_days: Option<f32>,
    /// Half-life in items: at scoring, an item counts half when so many items of the user are newer. Needs times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recency_half_life: Option<f32>,
    /// The same in days before the user's own last action. Needs times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recency_half_life_days: Option<f32>,
}

/// How two items are compared; [`ItemItem`](super::ItemItem) writes the formulas out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SimilarityKind {
    /// Three steps of a random walk, popularity taken back by an exponent.
    #[default]
    Rp3beta,
    /// Cosine of the items' columns.
    Cosine,
    /// Cosine with unequal exponents of the two norms.
    AsymmetricCosine,
    /// Users in common over users of either.
    Jaccard,
    /// Product of columns under BM25 weights.
    Bm25,
    /// Cosine of columns under tf-idf weights.
    Tfidf,
}

impl Default for ItemItemConfig {
    fn default() -> Self {
        Self {
            kind: SimilarityKind::default(),
            weights: CellWeight::default(),
            neighbours: 350,
            normalise: true,
            shrinkage: 0.0,
            alpha: 0.6,
            beta: 0.1,
            asymmetry: 0.5,
            k1: 1.2,
            b: 0.75,
            sequence_weight: 0.0,
            sequence_window: 5,
            training_half_life_days: None,
            recency_half_life: None,
            recency_half_life_days: None,
        }
    }
}

impl ItemItemConfig {
    /// Checks the ranges; `path` is where the settings stand, such as `model.item_item`.
    ///
    /// # Errors
    /// Names the key with its full path and what it may be.
    pub fn check(&self, path: &str) -> Result<(), String> {
        if !(1..=1_000_000).contains(&self.neighbours) {
            return Err(format!("{path}.neighbours must be 1 to 1000000, is {}", self.neighbours));
        }
        for (key, value, most) in [
            ("shrinkage", self.shrinkage, f32::MAX),
            ("alpha", self.alpha, 10.0),
            ("beta", self.beta, 10.0),
            ("asymmetry", self.asymmetry, 1.0),
            ("k1", self.k1, f32::MAX),
            ("b", self.b, 1.0),
            ("sequence_weight", self.sequence_weight, 1000.0),
        ] {
            if !(0.0..=most).contains(&value) {
                let range = if most == f32::MAX { "0 or more".to_owned() } else { format!("0 to {most}") };
                return Err(format!("{path}.{key} must be {range}, is {value}"));
            }
        }
        if self.sequence_window == 0 {
            return Err(format!("{path}.sequence_window must be at least 1, is 0"));
        }
        if self.sequence_weight > 0.0 && self.kind == SimilarityKind::Jaccard {
            return Err(format!(
                "{path}.sequence_weight must be 0 with kind = \"jaccard\": users of both are only counted"
            ));
        }
        cells::check_half_life(&format!("{path}.training_half_life_days"), self.training_half_life_days)?;
        self.recency().check(path)
    }

    pub(in crate::model) fn recency(&self) -> Recency {
        Recency { items: self.recency_half_life, days: self.recency_half_life_days }
    }

    /// Whether the model asks for the last times of the pairs.
    pub(in crate::model) fn needs_times(&self) -> bool {
        self.sequence_weight > 0.0 || self.training_half_life_days.is_some() || self.recency().is_on()
    }

    /// Refuses interactions without times where a setting asks for them.
    pub(super) fn check_times(&self, weights: &Csr) -> Result<(), ModelError> {
        if self.sequence_weight > 0.0 {
            needs_times("model.item_item.sequence_weight", weights)?;
        }
        self.recency().check_times("model.item_item", weights)
    }
}
