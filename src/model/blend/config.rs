//! Settings of `blend`.

use serde::{Deserialize, Serialize};

use crate::model::{
    AlsConfig, EaseConfig, GraphConfig, ItemItemConfig, ModelConfig, ModelKind, PopularityConfig, RepeatConfig,
    SlimConfig,
};

/// Settings of a sum of models.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlendConfig {
    /// The models and their weights; `[[model.blend.parts]]`.
    pub parts: Vec<BlendPart>,
}

/// One model of a blend, with settings of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlendPart {
    /// What the model's standardised scores are multiplied by.
    pub weight: f32,
    /// The model; not `blend`.
    pub kind: ModelKind,
    /// Settings of `als`.
    pub als: AlsConfig,
    /// Settings of `item_item`.
    pub item_item: ItemItemConfig,
    /// Settings of `ease`.
    pub ease: EaseConfig,
    /// Settings of `slim`.
    pub slim: SlimConfig,
    /// Settings of `graph`.
    pub graph: GraphConfig,
    /// Settings of `repeat`.
    pub repeat: RepeatConfig,
    /// Settings of `popularity`.
    pub popularity: PopularityConfig,
}

impl Default for BlendPart {
    fn default() -> Self {
        Self {
            weight: 1.0,
            kind: ModelKind::default(),
            als: AlsConfig::default(),
            item_item: ItemItemConfig::default(),
            ease: EaseConfig::default(),
            slim: SlimConfig::default(),
            graph: GraphConfig::default(),
            repeat: RepeatConfig::default(),
            popularity: PopularityConfig::default(),
        }
    }
}

impl BlendPart {
    /// The part as a model of its own.
    #[must_use]
    pub fn model(&self) -> ModelConfig {
        ModelConfig {
            kind: self.kind,
            als: self.als.clone(),
            item_item: self.item_item.clone(),
            ease: self.ease.clone(),
            slim: self.slim.clone(),
            graph: self.graph.clone(),
            repeat: self.repeat.clone(),
            popularity: self.popularity.clone(),
            blend: BlendConfig::default(),
        }
    }
}

impl BlendConfig {
    /// Checks every part; `path` is where the settings stand, such as `model.blend`.
    ///
    /// # Errors
    /// Names the key with its full path and what it may be.
    pub fn check(&self, path: &str) -> Result<(), String> {
        for (at, part) in self.parts.iter().enumerate() {
            let path = format!("{path}.parts[{at}]");
            if !part.weight.is_finite() || part.weight == 0.0 {
                return Err(format!("{path}.weight must be a number other than 0, is {}", part.weight));
            }
            if part.kind == ModelKind::Blend {
                return Err(format!("{path}.kind must be a model of its own, is blend"));
            }
            part.model().check(&path)?;
        }
        Ok(())
    }
}
