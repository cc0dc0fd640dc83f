//! `model/`: saving a trained model and bringing it back.

use crate::{
    artifacts::{Run, RunWriter, read_dense, read_scores, read_sparse, write_dense, write_scores, write_sparse},
    config::Config,
    ids::IdTable,
    model::{Als, ItemItem, Popularity, TrainedModel},
    recommendations::Scorer,
};

use super::PipelineError;

const FACTORS: &str = "model/item_factors.parquet";
const NEIGHBOURS: &str = "model/neighbours.parquet";
const SCORES: &str = "model/scores.parquet";

/// Writes what [`load_model`] needs. Users are folded in from their histories, so no user factors are kept.
pub(super) fn save_model(run: &RunWriter, model: &TrainedModel, items: &IdTable) -> Result<(), PipelineError> {
    match model {
        TrainedModel::Als(als) => write_dense(run.file(FACTORS)?, items, als.item_factors().view())?,
        TrainedModel::ItemItem(model) => write_sparse(run.file(NEIGHBOURS)?, items, items, model.neighbours())?,
        TrainedModel::Popularity(model) => write_scores(run.file(SCORES)?, items, model.scores())?,
    };
    Ok(())
}

/// Brings back the model of a run, whose config says which it is.
pub(super) fn load_model(run: &Run, config: &Config, items: &IdTable) -> Result<TrainedModel, PipelineError> {
    use crate::model::ModelKind;
    Ok(match config.model.kind {
        ModelKind::Als => TrainedModel::Als(Als::from_parts(config.model.als.clone(), read_dense(run, FACTORS)?.1)?),
        ModelKind::ItemItem => {
            let (_, neighbours) = read_sparse(run, NEIGHBOURS, Some(items))?;
            TrainedModel::ItemItem(ItemItem::from_parts(config.model.item_item.clone(), neighbours)?)
        }
        ModelKind::Popularity => TrainedModel::Popularity(Popularity::from_parts(read_scores(run, SCORES)?.1)?),
    })
}

/// How the scores of a model are to be read.
pub(super) fn scorer(model: &TrainedModel) -> Scorer<'_> {
    let (min_score, serves_empty_histories) = match model {
        TrainedModel::Als(_) => (None, false),
        // A neighbour model says 0 of items that nothing in the history leads to.
        TrainedModel::ItemItem(_) => (Some(0.0), false),
        TrainedModel::Popularity(_) => (Some(0.0), true),
    };
    Scorer { model: model.as_model(), name: model.name(), min_score, serves_empty_histories }
}
