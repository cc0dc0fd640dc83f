//! Training a model on a fold and measuring its lists.

use std::time::Instant;

use crate::{
    evaluation::{FoldScores, ItemFacts, RankedLists, UserValues, list_quality},
    model::{ModelConfig, TrainedModel},
    pipeline::{
        Observer, PipelineError,
        model_files::scorer,
        training::{TrainedParts, train_observed},
    },
    recommendations::{Eligibility, PopularLists, RecommendConfig, Recommender, Rules},
};

use super::fold::Fold;

/// Trains `model` on the fold and measures its lists for the fold's test users at `ks`.
///
/// Lists are those that a build would make with `recommend`: the same rules and fallbacks, over the whole catalogue.
///
/// # Errors
/// Training that fails; rules that do not fit the data.
///
/// Determinism: all but the seconds is the same for any number of threads.
/// Cost: training and scoring; nothing is read.
pub fn score(
    fold: &Fold,
    model: &ModelConfig,
    recommend: &RecommendConfig,
    ks: &[usize],
    on: &dyn Observer,
) -> Result<FoldScores, PipelineError> {
    score_with(fold, model, recommend, ks, None, on)
}

/// [`score`] with trained parts of blends kept in `parts` for the next time, and taken from there.
pub(in crate::pipeline) fn score_with(
    fold: &Fold,
    model: &ModelConfig,
    recommend: &RecommendConfig,
    ks: &[usize],
    parts: Option<&mut TrainedParts>,
    on: &dyn Observer,
) -> Result<FoldScores, PipelineError> {
    let name = model.kind.name();
    on.begin(&format!("train {name}"), None, "interactions");
    let start = Instant::now();
    let trained = train_observed(model, &fold.training.interactions, parts.map(|parts| (parts, &fold.training)), on);
    on.end();
    let (trained, _) = trained?;
    let train_seconds = start.elapsed().as_secs_f64();

    on.begin(&format!("score {name}"), None, "users");
    let start = Instant::now();
    let ranked = rank(fold, &trained, recommend, ks.iter().copied().max().unwrap_or(1));
    on.end();
    let (lists, eligible) = ranked?;
    let score_seconds = start.elapsed().as_secs_f64();
    tracing::info!(model = name, fold = fold.name, train_seconds, score_seconds, "model scored");
    let scores = measure(fold, &lists, &eligible, ks);
    Ok(FoldScores { train_seconds: Some(train_seconds), score_seconds: Some(score_seconds), ..scores })
}

/// The lists of the fold's test users, and which items they may hold.
fn rank(
    fold: &Fold,
    trained: &TrainedModel,
    recommend: &RecommendConfig,
    k: usize,
) -> Result<(RankedLists, Vec<bool>), PipelineError> {
    let (training, items) = (&fold.training, &fold.training.interactions.items);
    let (rules, _) = Rules::compile(recommend, &training.catalog, items)?;
    let weights = &training.interactions.weights;
    let popular = PopularLists::new(weights, &rules, &training.catalog.category_names)?;
    let recommender = Recommender::new(scorer(trained), &rules, &popular, &recommend.fallbacks, k)?;
    let lists = recommender.recommend_rows(&fold.histories, &fold.excluded, 0..fold.test.len())?;
    let lists = RankedLists { offsets: lists.offsets, items: lists.items, n_from_model: Some(lists.n_from_model) };
    Ok((lists, eligible(&rules)))
}

fn eligible(rules: &Rules) -> Vec<bool> {
    (0..rules.n_items() as u32).map(|item| rules.eligibility(item) == Eligibility::Eligible).collect()
}

/// Which items the rules of `recommend` let onto lists at all.
pub(super) fn eligible_items(fold: &Fold, recommend: &RecommendConfig) -> Result<Vec<bool>, PipelineError> {
    let (rules, _) = Rules::compile(recommend, &fold.training.catalog, &fold.training.interactions.items)?;
    Ok(eligible(&rules))
}

/// Measures lists in the order of the fold's test users.
pub(super) fn measure(fold: &Fold, lists: &RankedLists, eligible: &[bool], ks: &[usize]) -> FoldScores {
    let known: Vec<u32> = (0u32..).zip(&fold.test.known).filter(|(_, known)| **known).map(|(user, _)| user).collect();
    let facts = ItemFacts {
        eligible,
        n_users_of: &fold.training.n_users_of,
        n_users: fold.training.n_users,
        categories: &fold.training.catalog.categories,
    };
    FoldScores {
        values: UserValues::measure(lists, &fold.test.relevant, ks),
        quality: list_quality(lists, &known, &facts, ks),
        train_seconds: None,
        score_seconds: None,
    }
}
