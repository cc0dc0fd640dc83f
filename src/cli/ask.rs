//! `nightshelf recommend`, `similar`, `explain`.

use crate::{
    artifacts::{Run, RunsRoot, open_run},
    pipeline::{self, NamedItem, PipelineError},
    recommendations::ListKind,
    storage::Storage,
};

use super::{
    args::{ExplainArgs, Global, RecommendArgs, RunSource, SimilarArgs},
    build,
    output::{grouped, json, say, score, table},
};

/// Place of runs that a command looks into.
pub(super) fn runs_root(source: &RunSource) -> anyhow::Result<RunsRoot> {
    let sets = build::set("build.runs", source.runs.as_deref()).into_iter().collect();
    let config = build::config(&source.source, sets)?.config;
    Ok(pipeline::runs_root(&config, &Storage::new(config.s3.clone()))?)
}

pub(super) fn open(source: &RunSource, run: &str) -> anyhow::Result<Run> {
    Ok(open_run(&runs_root(source)?, run).map_err(PipelineError::from)?)
}

fn items_table(items: &[NamedItem]) -> String {
    let rows = items.iter().map(|item| {
        vec![
            item.rank.to_string(),
            item.item_id.clone(),
            score(item.score),
            item.title.clone().unwrap_or_default(),
            item.category.clone().unwrap_or_default(),
        ]
    });
    table(&["rank", "item", "score", "title", "category"], &[0, 2], rows)
}

fn title(id: &str, title: Option<&String>) -> String {
    title.map_or_else(|| id.to_owned(), |title| format!("{id} ({title})"))
}

pub(super) fn recommend(args: &RecommendArgs, _: &Global) -> anyhow::Result<()> {
    let run = open(&args.source, &args.run)?;
    let Some(user) = &args.user else {
        let kind = if args.trending { ListKind::Trending } else { ListKind::Popular };
        let placement = args.category.as_ref().map_or_else(|| "overall".to_owned(), |name| format!("category:{name}"));
        let items = pipeline::placement(&run, kind, &placement, args.n)?;
        if args.json {
            return json(&items);
        }
        let head = format!("{} {placement}, run {}", kind.name(), run.name());
        if items.is_empty() {
            return say(&format!("{head}\nnone: the run has no such list"));
        }
        return say(&format!("{head}\n{}", items_table(&items)));
    };
    let list = pipeline::recommend(&run, user, args.n)?;
    if args.json {
        return json(&list);
    }
    say(&format!("user {}, run {}, source {}\n{}", list.user_id, list.run, list.source, items_table(&list.items)))
}

pub(super) fn similar(args: &SimilarArgs, _: &Global) -> anyhow::Result<()> {
    let (kind, what, none) = if args.bought_together {
        let none = "not enough baskets hold it with another item (recommendations.bought_together.min_pair_baskets)";
        (ListKind::BoughtTogether, "bought together with", none)
    } else {
        let none = "no item shares enough users with it (recommendations.similar.min_pair_users)";
        (ListKind::SimilarItems, "items like", none)
    };
    let list = pipeline::similar(&open(&args.source, &args.run)?, kind, &args.item, args.n)?;
    if args.json {
        return json(&list);
    }
    let head = format!("{what} {}, run {}", title(&list.item_id, list.title.as_ref()), list.run);
    if list.items.is_empty() {
        return say(&format!("{head}\nnone: {none}"));
    }
    say(&format!("{head}\n{}", items_table(&list.items)))
}

pub(super) fn explain(args: &ExplainArgs, _: &Global) -> anyhow::Result<()> {
    let why = pipeline::explain(&open(&args.source, &args.run)?, &args.user, &args.item)?;
    if args.json {
        return json(&why);
    }
    let item = title(&why.item_id, why.title.as_ref());
    let mut text = match why.place {
        Some(place) => format!("{item} is at place {place} of user {}, from {}", why.user_id, why.verdict),
        None => format!("{item} is not in the list of user {}: {}", why.user_id, why.verdict),
    };
    if let Some(value) = why.score {
        text.push_str(&format!("\nscore {}", score(value)));
        if let Some(rank) = why.rank {
            text.push_str(&format!(
                ", rank {} of {} allowed items",
                grouped(rank as u64),
                grouped(why.n_ranked as u64)
            ));
        }
        if (why.boost - 1.0).abs() > f32::EPSILON {
            text.push_str(&format!(", boosted by {}", score(why.boost)));
        }
    }
    if why.base != 0.0 {
        text.push_str(&format!("\n{} of it comes from what everybody does", score(why.base)));
    }
    if !why.because.is_empty() {
        let rows = why.because.iter().take(15).map(|part| {
            vec![
                score(part.part),
                part.item_id.clone(),
                part.title.clone().unwrap_or_default(),
                part.actions.clone(),
                part.last_at.clone().unwrap_or_default(),
            ]
        });
        text.push('\n');
        text.push_str(&table(&["part", "because of", "title", "actions", "last"], &[0], rows));
    }
    say(&text)
}
