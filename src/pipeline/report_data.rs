//! The numbers of a build as the report page wants them.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};

use crate::{
    artifacts::ItemTable,
    config::Config,
    events::Reason,
    interactions::{DAY, Stamp},
    report::{
        CampaignFunnel, CampaignSizes, Coverage, DaySeries, EventsByDay, ExampleAction, ExampleUser, FilterStep,
        Headline, Histogram, InputFile, ListSource, ListSources, ListedItem, LongTail, LossPoint, RejectedReason,
        ReportData, RunInfo, Scores, SimilarExample, Stage,
    },
};

use super::{campaigns::CampaignFacts, facts::Facts, history::Example, lists::SimilarList, summary::Summary};

/// Bins of the score histograms.
const SCORE_BINS: usize = 40;

pub(super) fn report_data(config: &Config, facts: &Facts, summary: &Summary, stages: &[Stage]) -> ReportData {
    let item_users: Vec<u64> = facts.items.n_users.iter().map(|&n| u64::from(n)).collect();
    let lists = &facts.lists;
    ReportData {
        run: RunInfo {
            name: summary.run.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            as_of: facts.as_of.and_then(instant),
            created_at: Some(facts.options.now),
            content_hash: None,
        },
        headline: Headline {
            rows_read: summary.rows,
            rows_rejected: summary.rejected.values().sum(),
            n_users: summary.users,
            n_items: summary.items,
            n_interactions: summary.interactions,
            lists_written: lists.counts.n_users(),
            k: summary.k as u64,
            model: summary.model.clone(),
            seconds: summary.seconds,
            peak_memory_mb: Some(summary.peak_memory_bytes as f64 / 1e6).filter(|mb| *mb > 0.0),
        },
        warnings: summary.warnings.clone(),
        events_by_day: facts.as_of.and_then(|as_of| events_by_day(facts, as_of)),
        rejected: rejected(facts),
        filters: filters(config, facts),
        long_tail: Some(LongTail::from_counts(item_users.clone())),
        activity: Some(Histogram::log2(cells_by_user(&facts.learned.users_by_cells))),
        training: facts
            .learned
            .losses
            .iter()
            .map(|&(iteration, loss)| LossPoint { iteration: iteration as u64, loss })
            .collect(),
        coverage: Some(Coverage::from_counts(&lists.places, &item_users)),
        list_sources: Some(ListSources {
            by_source: lists
                .by_source
                .iter()
                .map(|(source, &users)| ListSource { source: source.clone(), users })
                .collect(),
            short_lists: lists.counts.n_short,
            users_without_list: lists.counts.n_empty,
        }),
        scores: Some(Scores::from_lists(&lists.top, &lists.kth, SCORE_BINS)),
        stages: stages.to_vec(),
        inputs: facts
            .inputs
            .observed
            .iter()
            .map(|input| InputFile { path: input.path.clone(), bytes: input.bytes, rows: None })
            .collect(),
        example_users: facts.examples.iter().map(|example| example_user(facts, example)).collect(),
        popular: facts
            .learned
            .lists
            .popular
            .iter()
            .map(|&item| listed(&facts.items, item, facts.items.popularity[item as usize]))
            .collect(),
        similar: beside(&facts.items, &facts.learned.lists.similar_examples),
        trending: facts.learned.lists.trending.iter().map(|&(item, score)| listed(&facts.items, item, score)).collect(),
        bought_together: beside(&facts.items, &facts.learned.lists.bought_together_examples),
        campaigns: facts.campaigns.campaigns.iter().map(campaign_funnel).collect(),
        campaign_overlap: facts
            .campaigns
            .overlap
            .chunks(facts.campaigns.campaigns.len().max(1))
            .map(<[u64]>::to_vec)
            .collect(),
        campaign_sizes: campaign_sizes(facts),
        config: toml::to_string_pretty(config).unwrap_or_default(),
    }
}

fn campaign_funnel(campaign: &CampaignFacts) -> CampaignFunnel {
    let funnel = &campaign.funnel;
    let steps = [
        ("no consent", funnel.n_refused()),
        ("no items", funnel.items),
        ("capped", funnel.cap),
        ("other campaigns", funnel.priority),
        ("beyond size", funnel.size),
        ("held out", funnel.holdout),
        ("to write to", funnel.send),
    ];
    CampaignFunnel {
        name: campaign.name.clone(),
        kind: campaign.kind.clone(),
        matched: funnel.matched,
        steps: steps.into_iter().map(|(step, n)| (step.to_owned(), n)).collect(),
    }
}

fn campaign_sizes(facts: &Facts) -> Vec<CampaignSizes> {
    let (campaigns, earlier) = (&facts.campaigns.campaigns, &facts.campaigns.earlier_sizes);
    if campaigns.is_empty() || earlier.is_empty() {
        return Vec::new();
    }
    let mut sizes: Vec<CampaignSizes> = earlier
        .iter()
        .map(|run| CampaignSizes {
            as_of: run.as_of.parse().ok(),
            send: campaigns.iter().map(|campaign| run.send.get(&campaign.name).copied()).collect(),
        })
        .collect();
    let send = campaigns.iter().map(|campaign| Some(campaign.funnel.send)).collect();
    sizes.push(CampaignSizes { as_of: facts.as_of.and_then(instant), send });
    sizes
}

/// One number a user.
fn cells_by_user(users_by_cells: &BTreeMap<u64, u64>) -> impl Iterator<Item = u64> + '_ {
    users_by_cells.iter().flat_map(|(&n_cells, &n_users)| std::iter::repeat_n(n_cells, n_users as usize))
}

fn instant(stamp: Stamp) -> Option<Timestamp> {
    Timestamp::from_second(stamp.unix()).ok()
}

fn date(day: u32) -> Option<Date> {
    Some(instant(Stamp(day * DAY))?.to_zoned(jiff::tz::TimeZone::UTC).date())
}

fn events_by_day(facts: &Facts, as_of: Stamp) -> Option<EventsByDay> {
    let by_day: BTreeMap<(u32, u8), u64> =
        facts.counts.by_day.iter().filter(|((day, _), _)| *day <= as_of.day()).map(|(key, n)| (*key, *n)).collect();
    let first = by_day.keys().next()?.0;
    let last = by_day.keys().next_back()?.0;
    let series = (0u8..)
        .zip(&facts.kinds)
        .map(|(number, kind)| DaySeries {
            event_type: kind.name.clone(),
            counts: (first..=last).map(|day| by_day.get(&(day, number)).copied().unwrap_or(0)).collect(),
        })
        .filter(|series| series.counts.iter().any(|&n| n > 0))
        .collect();
    Some(EventsByDay { dates: (first..=last).filter_map(date).collect(), series })
}

fn rejected(facts: &Facts) -> Vec<RejectedReason> {
    Reason::ALL
        .iter()
        .filter_map(|reason| {
            let count = *facts.counts.rejected.get(reason.name())?;
            Some(RejectedReason {
                reason: reason.name().replace('_', " "),
                count,
                share: count as f64 / facts.counts.rows.max(1) as f64,
                advice: reason.advice().to_owned(),
            })
        })
        .collect()
}

fn filters(config: &Config, facts: &Facts) -> Vec<FilterStep> {
    let (left, done) = (&facts.left_out, &facts.learned.assembled);
    let step = |name: &str, rule: String, unit: &str, before: u64, removed: u64| FilterStep {
        name: name.to_owned(),
        rule,
        unit: unit.to_owned(),
        before,
        removed,
    };
    let n_users = facts.learned.n_users as u64;
    let n_items = facts.items.ids.len() as u64;
    vec![
        step("repeated events", "same event id and all else".into(), "events", facts.counts.accepted, left.duplicates),
        step(
            "bots",
            format!("more than {} events an active day", config.interactions.max_events_per_active_day),
            "users",
            n_users + left.bots,
            left.bots,
        ),
        step(
            "rare items",
            format!("fewer than {} users", config.interactions.min_users_per_item),
            "items",
            n_items + done.items_below_minimum,
            done.items_below_minimum,
        ),
        step(
            "users who do not train",
            format!("fewer than {} items", config.interactions.min_items_per_user.max(1)),
            "users",
            n_users,
            done.users_below_minimum,
        ),
    ]
}

fn listed(items: &ItemTable, item: u32, score: f32) -> ListedItem {
    let (title, category) = words(items, item as usize);
    ListedItem { item: items.ids.get(item as usize).to_owned(), title, category, score: f64::from(score) }
}

/// Items with the heads of their lists.
fn beside(items: &ItemTable, lists: &[SimilarList]) -> Vec<SimilarExample> {
    let example = |(item, entries): &SimilarList| {
        let ListedItem { item, title, category, .. } = listed(items, *item, 0.0);
        let neighbours = entries.iter().take(8).map(|&(other, score)| listed(items, other, score)).collect();
        SimilarExample { item, title, category, neighbours }
    };
    lists.iter().map(example).collect()
}

/// Title and category of an item, where the catalogue has them.
fn words(items: &ItemTable, item: usize) -> (Option<String>, Option<String>) {
    let title = Some(items.catalog.titles[item].clone()).filter(|title| !title.is_empty());
    let category =
        items.catalog.categories[item].map(|number| items.catalog.category_names.get(number as usize).to_owned());
    (title, category)
}

fn example_user(facts: &Facts, example: &Example) -> ExampleUser {
    let items = &facts.items;
    let list = facts.lists.examples.get(&example.user);
    ExampleUser {
        user: example.user.clone(),
        source: list.map(|(_, _, source)| source.clone()).unwrap_or_default(),
        n_interactions: example.n_pairs as u64,
        actions: example
            .actions
            .iter()
            .map(|(item, event_type, at)| {
                let (title, category) =
                    items.ids.position(item).map_or((None, None), |position| words(items, position));
                let at = at.and_then(instant);
                ExampleAction { item: item.clone(), title, category, event_type: event_type.clone(), at }
            })
            .collect(),
        recommendations: list
            .map(|(entries, scores, _)| {
                entries.iter().zip(scores).take(12).map(|(&item, &score)| listed(items, item, score)).collect()
            })
            .unwrap_or_default(),
    }
}
