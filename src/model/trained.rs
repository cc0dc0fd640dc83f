//! Which model a configuration asks for.

use serde::{Deserialize, Serialize};

use super::{
    Als, AlsConfig, Blend, BlendConfig, Ease, EaseConfig, Graph, GraphConfig, ItemItem, ItemItemConfig, Model,
    ModelError, Popularity, PopularityConfig, Repeat, RepeatConfig, Slim, SlimConfig, TrainEvent, als,
};
use crate::interactions::{Csr, Interactions};

/// Which model is trained, and the settings of each.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// The model: `als`, `item_item`, `ease`, `slim`, `graph`, `repeat`, `blend` or `popularity`.
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
    /// Settings of `blend`.
    pub blend: BlendConfig,
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
    /// A dense item by item matrix in closed form.
    Ease,
    /// Sparse linear weights of items for items.
    Slim,
    /// Filters on the graph of users and items.
    Graph,
    /// What the user has, he wants again.
    Repeat,
    /// A weighted sum of other models.
    Blend,
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
            Self::Ease => "ease",
            Self::Slim => "slim",
            Self::Graph => "graph",
            Self::Repeat => "repeat",
            Self::Blend => "blend",
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
        self.item_item.check(&format!("{path}.item_item"))?;
        self.ease.check(&format!("{path}.ease"))?;
        self.slim.check(&format!("{path}.slim"))?;
        self.graph.check(&format!("{path}.graph"))?;
        self.repeat.check(&format!("{path}.repeat"))?;
        self.popularity.check(&format!("{path}.popularity"))?;
        if self.kind == ModelKind::Blend && self.blend.parts.is_empty() {
            return Err(format!("{path}.blend.parts must have at least one part with kind = \"blend\""));
        }
        self.blend.check(&format!("{path}.blend"))
    }

    /// Whether the model asks for the last times of the pairs.
    #[must_use]
    pub fn needs_times(&self) -> bool {
        match self.kind {
            ModelKind::Als | ModelKind::Graph => false,
            ModelKind::Repeat => self.repeat.recency().is_on(),
            ModelKind::Popularity => self.popularity.half_life_days.is_some(),
            ModelKind::ItemItem => self.item_item.needs_times(),
            ModelKind::Ease => self.ease.recency().is_on(),
            ModelKind::Slim => self.slim.recency().is_on(),
            ModelKind::Blend => self.blend.parts.iter().any(|part| part.model().needs_times()),
        }
    }
}

/// A model that was trained or loaded.
#[derive(Debug, Clone)]
pub enum TrainedModel {
    /// Factors.
    Als(Als),
    /// Neighbours.
    ItemItem(ItemItem),
    /// Weights of all items for all items.
    Ease(Ease),
    /// Weights of items for items.
    Slim(Slim),
    /// Filters.
    Graph(Graph),
    /// Nothing but the histories.
    Repeat(Repeat),
    /// Weights and models.
    Blend(Blend),
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
            Self::Ease(model) => model,
            Self::Slim(model) => model,
            Self::Graph(model) => model,
            Self::Repeat(model) => model,
            Self::Blend(model) => model,
            Self::Popularity(model) => model,
        }
    }

    /// Which model it is.
    #[must_use]
    pub fn kind(&self) -> ModelKind {
        match self {
            Self::Als(_) => ModelKind::Als,
            Self::ItemItem(_) => ModelKind::ItemItem,
            Self::Ease(_) => ModelKind::Ease,
            Self::Slim(_) => ModelKind::Slim,
            Self::Graph(_) => ModelKind::Graph,
            Self::Repeat(_) => ModelKind::Repeat,
            Self::Blend(_) => ModelKind::Blend,
            Self::Popularity(_) => ModelKind::Popularity,
        }
    }

    /// The score that an item must be above to be a recommendation; `None` where every score means something.
    ///
    /// An item model says 0 of items that nothing in the history leads to, and less of those that the history speaks
    /// against; popularity says 0 of what nobody touched.
    #[must_use]
    pub fn min_score(&self) -> Option<f32> {
        match self {
            Self::Als(_) | Self::Blend(_) => None,
            Self::ItemItem(_)
            | Self::Ease(_)
            | Self::Slim(_)
            | Self::Graph(_)
            | Self::Repeat(_)
            | Self::Popularity(_) => Some(0.0),
        }
    }

    /// About how much memory its matrices take.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let sparse = |matrix: &Csr| 8 * (matrix.n_cells() + matrix.indptr.len());
        let bytes = match self {
            Self::Als(model) => 4 * model.item_factors().len(),
            Self::ItemItem(model) => sparse(model.neighbours()),
            Self::Ease(model) => 4 * model.weights().n() * model.weights().n(),
            Self::Slim(model) => sparse(model.neighbours()),
            Self::Graph(model) => sparse(model.linear()) + 4 * (model.vectors().len() + model.totals().len()),
            Self::Repeat(_) => 0,
            Self::Blend(model) => return model.parts().iter().map(|(_, part)| part.memory_bytes()).sum(),
            Self::Popularity(model) => 4 * model.scores().len(),
        };
        bytes as u64
    }

    /// Its name, see [`ModelKind::name`].
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }
}

/// How many users [`train`] takes, where a budget of memory allows fewer than there are; of a blend the fewest of a part.
///
/// # Errors
/// When not even the items fit.
pub fn training_users(config: &ModelConfig, interactions: &Interactions) -> Result<Option<usize>, ModelError> {
    match config.kind {
        ModelKind::Als => {
            let sample = als::training_sample(&config.als, interactions)?;
            Ok(sample.map(|sample| sample.iter().filter(|trains| **trains).count()))
        }
        ModelKind::Blend => {
            let parts = config.blend.parts.iter().map(|part| training_users(&part.model(), interactions));
            Ok(parts.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().min())
        }
        _ => Ok(None),
    }
}

/// Trains the model that `config` asks for on the interactions' training rows; `on` hears of the progress.
///
/// # Errors
/// When a setting is out of range, a weight is not finite and above zero, a model needs times that are not there or more
/// memory than it may take, or training diverges.
pub fn train(
    config: &ModelConfig,
    interactions: &Interactions,
    on: &mut dyn FnMut(TrainEvent),
) -> Result<TrainedModel, ModelError> {
    let (weights, trains) = (&interactions.weights, &interactions.trains[..]);
    match config.kind {
        ModelKind::Als => {
            let sample = als::training_sample(&config.als, interactions)?;
            let trains = sample.as_deref().unwrap_or(trains);
            Als::train(config.als.clone(), weights, trains, on).map(TrainedModel::Als)
        }
        ModelKind::ItemItem => {
            ItemItem::train(config.item_item.clone(), weights, trains, on).map(TrainedModel::ItemItem)
        }
        ModelKind::Ease => Ease::train(config.ease.clone(), weights, trains, on).map(TrainedModel::Ease),
        ModelKind::Slim => Slim::train(config.slim.clone(), weights, trains, on).map(TrainedModel::Slim),
        ModelKind::Graph => Graph::train(config.graph.clone(), weights, trains, on).map(TrainedModel::Graph),
        ModelKind::Repeat => Repeat::train(config.repeat.clone(), weights, trains, on).map(TrainedModel::Repeat),
        ModelKind::Blend => Blend::train(&config.blend, interactions, on).map(TrainedModel::Blend),
        ModelKind::Popularity => {
            Popularity::train(&config.popularity, weights, trains, on).map(TrainedModel::Popularity)
        }
    }
}
