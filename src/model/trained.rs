//! Which model a configuration asks for.

use serde::{Deserialize, Serialize};

use super::{Als, AlsConfig, ItemItem, ItemItemConfig, Model, ModelError, Popularity, TrainEvent};
use crate::interactions::Interactions;

/// Which model is trained, and the settings of each.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// The model: `als`, `item_item` or `popularity`.
    pub kind: ModelKind,
    /// Settings of `als`.
    pub als: AlsConfig,
    /// Settings of `item_item`.
    pub item_item: ItemItemConfig,
}

/// The models there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// Implicit alternating least squares: factors of users and items.
    #[default]
    Als,
    /// Neighbourhoods of items.
    ItemItem,
    /// The same list for everybody.
    Popularity,
}

impl ModelKind {
    /// The name in configurations, run directories and sources of lists.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Als => "als",
            Self::ItemItem => "item_item",
            Self::Popularity => "popularity",
        }
    }
}

impl ModelConfig {
    /// Checks the ranges of every model's settings, also of those not asked for; `path` is where they stand, such as
    /// `model`.
    ///
    /// # Errors
    /// Names the key with its full path and what it may be.
    pub fn check(&self, path: &str) -> Result<(), String> {
        self.als.check(&format!("{path}.als"))?;
        self.item_item.check(&format!("{path}.item_item"))
    }
}

/// A model that was trained or loaded.
#[derive(Debug, Clone)]
pub enum TrainedModel {
    /// Factors.
    Als(Als),
    /// Neighbours.
    ItemItem(ItemItem),
    /// Sums.
    Popularity(Popularity),
}

impl TrainedModel {
    /// The model behind the trait.
    #[must_use]
    pub fn as_model(&self) -> &dyn Model {
        match self {
            Self::Als(model) => model,
            Self::ItemItem(model) => model,
            Self::Popularity(model) => model,
        }
    }

    /// Which model it is.
    #[must_use]
    pub fn kind(&self) -> ModelKind {
        match self {
            Self::Als(_) => ModelKind::Als,
            Self::ItemItem(_) => ModelKind::ItemItem,
            Self::Popularity(_) => ModelKind::Popularity,
        }
    }

    /// Its name, see [`ModelKind::name`].
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }
}

/// Trains the model that `config` asks for on the interactions' training rows; `on` hears of the progress.
///
/// # Errors
/// When a setting is out of range, a weight is not finite and above zero, or training diverges.
pub fn train(
    config: &ModelConfig,
    interactions: &Interactions,
    on: &mut dyn FnMut(TrainEvent),
) -> Result<TrainedModel, ModelError> {
    let (weights, trains) = (&interactions.weights, &interactions.trains[..]);
    match config.kind {
        ModelKind::Als => Als::train(config.als.clone(), weights, trains, on).map(TrainedModel::Als),
        ModelKind::ItemItem => {
            ItemItem::train(config.item_item.clone(), weights, trains, on).map(TrainedModel::ItemItem)
        }
        ModelKind::Popularity => Popularity::train(weights, trains, on).map(TrainedModel::Popularity),
    }
}
