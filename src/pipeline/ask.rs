//! Questions to a run: what does this user get, what is like this item, and why.

use serde::Serialize;

use crate::{
    artifacts::{ItemTable, Run, UserHistory},
    config::Config,
    ids::ItemIdx,
    interactions::{History, Stamp},
    model::TrainedModel,
    recommendations::{ListKind, Placement, PopularLists, Recommender, Rules},
};

use super::{
    PipelineError,
    model_files::{load_model, scorer},
};

/// An item with what the catalogue says of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamedItem {
    /// Place in the list, from 1.
    pub rank: usize,
    /// Item id.
    pub item_id: String,
    /// Title.
    pub title: Option<String>,
    /// Category.
    pub category: Option<String>,
    /// Score.
    pub score: f32,
}

/// A user's list.
#[derive(Debug, Clone, Serialize)]
pub struct UserList {
    /// The run.
    pub run: String,
    /// The user.
    pub user_id: String,
    /// Where the list comes from.
    pub source: String,
    /// Best first.
    pub items: Vec<NamedItem>,
}

/// Items like an item.
#[derive(Debug, Clone, Serialize)]
pub struct SimilarList {
    /// The run.
    pub run: String,
    /// The item.
    pub item_id: String,
    /// Its title.
    pub title: Option<String>,
    /// Most similar first.
    pub items: Vec<NamedItem>,
}

/// Why an item is, or is not, in a user's list.
#[derive(Debug, Clone, Serialize)]
pub struct Why {
    /// The run.
    pub run: String,
    /// The user.
    pub user_id: String,
    /// The item.
    pub item_id: String,
    /// Its title.
    pub title: Option<String>,
    /// Place in the list, from 1; `None` when it is not there.
    pub place: Option<usize>,
    /// The part of the list it stands in, or what kept it out.
    pub verdict: String,
    /// The model's score.
    pub score: Option<f32>,
    /// The factor that boosts put on it.
    pub boost: f32,
    /// Place among all items that the rules let through.
    pub rank: Option<usize>,
    /// How many those are.
    pub n_ranked: usize,
    /// The part of the score that no action accounts for.
    pub base: f32,
    /// The user's own actions behind the score, largest part first.
    pub because: Vec<Contribution>,
}

/// What one item of the user's history adds to a score.
#[derive(Debug, Clone, Serialize)]
pub struct Contribution {
    /// The item he dealt with.
    pub item_id: String,
    /// Its title.
    pub title: Option<String>,
    /// What he did, e.g. `cart ×2, view`.
    pub actions: String,
    /// When last (RFC 3339).
    pub last_at: Option<String>,
    /// What it adds.
    pub part: f32,
}

/// Asks a run for one user's list.
///
/// # Errors
/// A user whom the run does not know, a damaged run.
pub fn recommend(run: &Run, user: &str, n: usize) -> Result<UserList, PipelineError> {
    let items = run.items()?;
    let found = run.find_list(ListKind::Recommendations, user)?.ok_or_else(|| unknown_user(run, user))?;
    Ok(UserList {
        run: run.name().to_owned(),
        user_id: user.to_owned(),
        source: found.source,
        items: named(&items, &found.entries, n),
    })
}

/// Asks a run for the items that go with one item: `kind` says in what sense (similar items, bought together).
///
/// # Errors
/// An item that the run does not know, a damaged run.
pub fn similar(run: &Run, kind: ListKind, item: &str, n: usize) -> Result<SimilarList, PipelineError> {
    let items = run.items()?;
    let number = items.ids.position(item).ok_or_else(|| unknown_item(run, item))?;
    let entries = run.find_list(kind, item)?.map(|found| found.entries).unwrap_or_default();
    Ok(SimilarList {
        run: run.name().to_owned(),
        item_id: item.to_owned(),
        title: title(&items, number),
        items: named(&items, &entries, n),
    })
}

/// The list of a placement (`overall`, `category:<name>`): popular items, which an unknown user sees, or trending ones.
/// Empty for a placement that has none.
///
/// # Errors
/// A damaged run.
pub fn placement(run: &Run, kind: ListKind, placement: &str, n: usize) -> Result<Vec<NamedItem>, PipelineError> {
    let items = run.items()?;
    let entries = run.find_list(kind, placement)?.map(|found| found.entries).unwrap_or_default();
    Ok(named(&items, &entries, n))
}

/// Asks a run why an item is, or is not, in a user's list. Scores again with the run's model.
///
/// # Errors
/// A user or an item that the run does not know, a damaged run.
pub fn explain(run: &Run, user: &str, item: &str) -> Result<Why, PipelineError> {
    let history = run.find_history(user)?.ok_or_else(|| unknown_user(run, user))?;
    let items = run.items()?;
    let number = items.ids.position(item).ok_or_else(|| unknown_item(run, item))?;
    let config = config_of(run)?;
    let model = load_model(run, &config, &items.ids)?;
    let (rules, _) = Rules::compile(&config.recommendations, &items.catalog, &items.ids)?;
    let popular = PopularLists::from_scores(items.popularity.clone(), &rules, &items.catalog.category_names)?;
    let known = known_pairs(&history, &items);
    let verdict = ask(&config, &model, &rules, &popular, &known, number)?;
    let explanation = verdict.explanation.unwrap_or_default();
    let because =
        explanation.contributions.iter().map(|&(item, part)| contribution(&history, &items, item, part)).collect();
    let (place, text) = match verdict.placement {
        Placement::Listed { place, part } => (Some(place), part),
        Placement::KeptOut(reason) => (None, reason.to_string()),
    };
    Ok(Why {
        run: run.name().to_owned(),
        user_id: user.to_owned(),
        item_id: item.to_owned(),
        title: title(&items, number),
        place,
        verdict: text,
        score: verdict.score,
        boost: verdict.boost,
        rank: verdict.rank,
        n_ranked: verdict.n_ranked,
        base: explanation.base,
        because,
    })
}

/// A user's row as the build had it: (items, weights) above zero, and the excluded items.
struct KnownPairs {
    items: Vec<u32>,
    weights: Vec<f32>,
    /// Last times; empty for a run whose events carry none.
    times: Vec<Stamp>,
    excluded: Vec<u32>,
}

fn known_pairs(history: &UserHistory, items: &ItemTable) -> KnownPairs {
    let mut known = KnownPairs { items: Vec::new(), weights: Vec::new(), times: Vec::new(), excluded: Vec::new() };
    for pair in &history.pairs {
        // Items that the filters took have no number any more.
        let Some(item) = items.ids.position(&pair.item_id) else { continue };
        if pair.weight > 0.0 {
            known.items.push(item as u32);
            known.weights.push(pair.weight);
            known.times.extend(pair.last_at);
        }
        if pair.excluded {
            known.excluded.push(item as u32);
        }
    }
    known
}

fn ask(
    config: &Config,
    model: &TrainedModel,
    rules: &Rules,
    popular: &PopularLists,
    known: &KnownPairs,
    item: usize,
) -> Result<crate::recommendations::ItemVerdict, PipelineError> {
    let recommend = &config.recommendations;
    let recommender = Recommender::new(scorer(model), rules, popular, &recommend.fallbacks, recommend.k)?;
    let history = History { items: &known.items, weights: &known.weights, times: &known.times };
    Ok(recommender.explain(history, &known.excluded, ItemIdx(item as u32))?)
}

/// The config that a run was built with, as far as it determines the result.
pub(super) fn config_of(run: &Run) -> Result<Config, PipelineError> {
    serde_json::from_value(run.manifest().content.config.clone())
        .map_err(|error| PipelineError::Config(format!("the config in the manifest of run {}: {error}", run.name())))
}

fn contribution(history: &UserHistory, items: &ItemTable, item: ItemIdx, part: f32) -> Contribution {
    let id = items.ids.get(item.at());
    let pair = history.pairs.iter().find(|pair| pair.item_id == id);
    let actions = pair.map(|pair| {
        let types = pair.counts.iter().filter(|(_, n)| *n > 0);
        let types = types.map(|(name, n)| if *n == 1 { name.clone() } else { format!("{name} ×{n}") });
        types.collect::<Vec<_>>().join(", ")
    });
    let last_at = pair.and_then(|pair| pair.last_at).and_then(|at| jiff::Timestamp::from_second(at.unix()).ok());
    Contribution {
        item_id: id.to_owned(),
        title: title(items, item.at()),
        actions: actions.unwrap_or_default(),
        last_at: last_at.map(|at| at.to_string()),
        part,
    }
}

fn title(items: &ItemTable, item: usize) -> Option<String> {
    Some(items.catalog.titles[item].clone()).filter(|title| !title.is_empty())
}

fn named(items: &ItemTable, entries: &[(String, f32)], n: usize) -> Vec<NamedItem> {
    let name = |(at, (id, score)): (usize, &(String, f32))| {
        let item = items.ids.position(id);
        let category = item.and_then(|item| items.catalog.categories[item]);
        NamedItem {
            rank: at + 1,
            item_id: id.clone(),
            title: item.and_then(|item| title(items, item)),
            category: category.map(|number| items.catalog.category_names.get(number as usize).to_owned()),
            score: *score,
        }
    };
    entries.iter().take(n).enumerate().map(name).collect()
}

fn unknown_user(run: &Run, user: &str) -> PipelineError {
    PipelineError::Unknown {
        what: "user",
        id: user.to_owned(),
        run: run.name().to_owned(),
        hint: "users without an accepted event, and bots, have no list: show them the popular one \
               (`nightshelf recommend --popular`)"
            .into(),
    }
}

fn unknown_item(run: &Run, item: &str) -> PipelineError {
    PipelineError::Unknown {
        what: "item",
        id: item.to_owned(),
        run: run.name().to_owned(),
        hint: "items below interactions.min_users_per_item, and items without an accepted event, are not in the model"
            .into(),
    }
}
