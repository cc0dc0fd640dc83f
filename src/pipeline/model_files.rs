//! `model/`: saving a trained model and bringing it back.

use std::sync::Arc;

use crate::{
    artifacts::{ReadFiles, WriteFiles, read_dense, read_scores, read_sparse, write_dense, write_scores, write_sparse},
    config::Config,
    ids::IdTable,
    linalg::Blocks,
    model::{
        Als, Blend, Ease, Graph, ItemItem, ModelConfig, ModelError, ModelKind, Popularity, Repeat, Slim, TrainedModel,
    },
    recommendations::Scorer,
};

use super::PipelineError;

const FOLDER: &str = "model";

/// Numbers of a file of `weights/`: 256 MiB, so that neither side holds the matrix twice.
const PART_NUMBERS: usize = 64 << 20;

fn factors(folder: &str) -> String {
    format!("{folder}/item_factors.parquet")
}

fn neighbours(folder: &str) -> String {
    format!("{folder}/neighbours.parquet")
}

fn scores(folder: &str) -> String {
    format!("{folder}/scores.parquet")
}

fn weights(folder: &str, part: usize) -> String {
    format!("{folder}/weights/part-{part:03}.parquet")
}

/// Where a blend keeps its parts, from 1.
fn part_folder(folder: &str, at: usize) -> String {
    format!("{folder}/part-{:02}", at + 1)
}

/// Writes what [`load_model`] needs. Users are folded in from their histories, so no user factors are kept.
pub(super) fn save_model(files: &dyn WriteFiles, model: &TrainedModel, items: &IdTable) -> Result<(), PipelineError> {
    save(files, FOLDER, model, items)
}

fn save(files: &dyn WriteFiles, folder: &str, model: &TrainedModel, items: &IdTable) -> Result<(), PipelineError> {
    match model {
        TrainedModel::Als(als) => {
            write_dense(files.file(&factors(folder))?, items, als.item_factors().view())?;
        }
        TrainedModel::ItemItem(model) => {
            write_sparse(files.file(&neighbours(folder))?, items, items, model.neighbours())?;
        }
        TrainedModel::Slim(model) => {
            write_sparse(files.file(&neighbours(folder))?, items, items, model.neighbours())?;
        }
        TrainedModel::Graph(model) => {
            write_sparse(files.file(&neighbours(folder))?, items, items, model.linear())?;
            write_dense(files.file(&factors(folder))?, items, model.vectors().view())?;
            write_scores(files.file(&scores(folder))?, items, model.totals())?;
        }
        TrainedModel::Blend(model) => {
            for (at, (_, part)) in model.parts().iter().enumerate() {
                save(files, &part_folder(folder, at), part, items)?;
            }
        }
        // Its settings stand in the config, and it has nothing else.
        TrainedModel::Repeat(_) => {}
        TrainedModel::Ease(model) => save_blocks(files, folder, model.weights(), items)?,
        TrainedModel::Popularity(model) => {
            write_scores(files.file(&scores(folder))?, items, model.scores())?;
        }
    }
    Ok(())
}

/// Brings back the model of a run, whose config says which it is.
pub(super) fn load_model(
    files: &dyn ReadFiles,
    config: &Config,
    items: &IdTable,
) -> Result<TrainedModel, PipelineError> {
    load(files, FOLDER, &config.model, items)
}

fn load(
    files: &dyn ReadFiles,
    folder: &str,
    config: &ModelConfig,
    items: &IdTable,
) -> Result<TrainedModel, PipelineError> {
    Ok(match config.kind {
        ModelKind::Als => {
            TrainedModel::Als(Als::from_parts(config.als.clone(), read_dense(files, &factors(folder))?.1)?)
        }
        ModelKind::ItemItem => {
            let (_, neighbours) = read_sparse(files, &neighbours(folder), Some(items))?;
            TrainedModel::ItemItem(ItemItem::from_parts(config.item_item.clone(), neighbours)?)
        }
        ModelKind::Ease => {
            TrainedModel::Ease(Ease::from_parts(config.ease.clone(), load_blocks(files, folder, items.len())?)?)
        }
        ModelKind::Slim => {
            let (_, neighbours) = read_sparse(files, &neighbours(folder), Some(items))?;
            TrainedModel::Slim(Slim::from_parts(config.slim.clone(), neighbours)?)
        }
        ModelKind::Graph => {
            let (_, linear) = read_sparse(files, &neighbours(folder), Some(items))?;
            let ((_, vectors), (_, totals)) =
                (read_dense(files, &factors(folder))?, read_scores(files, &scores(folder))?);
            TrainedModel::Graph(Graph::from_parts(config.graph.clone(), linear, vectors, totals)?)
        }
        ModelKind::Repeat => TrainedModel::Repeat(Repeat::from_parts(config.repeat.clone(), items.len())?),
        ModelKind::Blend => {
            let parts = config.blend.parts.iter().enumerate().map(|(at, part)| {
                load(files, &part_folder(folder, at), &part.model(), items).map(|model| (part.weight, Arc::new(model)))
            });
            TrainedModel::Blend(Blend::from_parts(parts.collect::<Result<_, _>>()?)?)
        }
        ModelKind::Popularity => {
            TrainedModel::Popularity(Popularity::from_parts(read_scores(files, &scores(folder))?.1)?)
        }
    })
}

/// Rows of a file of `weights/`.
fn part_rows(n: usize) -> usize {
    (PART_NUMBERS / n.max(1)).max(1)
}

/// Writes a square matrix as dense rows, so many a file.
fn save_blocks(files: &dyn WriteFiles, folder: &str, matrix: &Blocks, items: &IdTable) -> Result<(), PipelineError> {
    let n = matrix.n();
    for (part, start) in (0..n).step_by(part_rows(n)).enumerate() {
        let end = n.min(start + part_rows(n));
        let mut rows = ndarray::Array2::<f32>::zeros((end - start, n));
        for (row, mut out) in (start..end).zip(rows.rows_mut()) {
            matrix.read_row(row, out.as_slice_mut().expect("the array was made row-major"));
        }
        let ids: IdTable = (start..end).map(|item| items.get(item)).collect();
        write_dense(files.file(&weights(folder, part))?, &ids, rows.view())?;
    }
    Ok(())
}

fn load_blocks(files: &dyn ReadFiles, folder: &str, n: usize) -> Result<Blocks, PipelineError> {
    let mut matrix = Blocks::zeros(n);
    for (part, start) in (0..n).step_by(part_rows(n)).enumerate() {
        let end = n.min(start + part_rows(n));
        let (_, rows) = read_dense(files, &weights(folder, part))?;
        for (what, expected, found) in
            [("rows of a part of the weights", end - start, rows.nrows()), ("columns of the weights", n, rows.ncols())]
        {
            if expected != found {
                return Err(ModelError::Shape { what, expected, found }.into());
            }
        }
        for (row, values) in (start..end).zip(rows.rows()) {
            matrix.write_row(row, values.as_slice().expect("read_dense gives rows in standard layout"));
        }
    }
    Ok(matrix)
}

/// How the scores of a model are to be read.
pub(super) fn scorer(model: &TrainedModel) -> Scorer<'_> {
    let serves_empty_histories = matches!(model, TrainedModel::Popularity(_));
    Scorer { model: model.as_model(), name: model.name(), min_score: model.min_score(), serves_empty_histories }
}
