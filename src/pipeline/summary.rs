//! The numbers that the build command prints.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{config::Config, report::Stage, telemetry::peak_memory_bytes};

use super::{campaigns::CampaignFacts, facts::Facts};

/// What a build did, in numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The run's name.
    pub run: String,
    /// Its directory, or its `s3://` address.
    pub path: String,
    /// The manifest hash: equal for equal builds.
    pub content_sha256: String,
    /// The instant that ages are counted from.
    pub as_of: Option<String>,
    /// Rows read.
    pub rows: u64,
    /// Rows rejected, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Rows left aside for other reasons, by reason.
    pub left_aside: BTreeMap<String, u64>,
    /// Accepted rows, by type; some of them are left aside later.
    pub events: BTreeMap<String, u64>,
    /// Users with a list.
    pub users: u64,
    /// Users that trained the model.
    pub training_users: u64,
    /// How many of them trained, where the budget of memory did not allow all; everybody is folded in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampled_users: Option<u64>,
    /// Items in the model.
    pub items: u64,
    /// Items that may be recommended.
    pub eligible_items: u64,
    /// (user, item) cells.
    pub interactions: u64,
    /// The model.
    pub model: String,
    /// The objective after the last iteration.
    pub loss: Option<f64>,
    /// Length of a list.
    pub k: usize,
    /// Lists by source.
    pub lists: BTreeMap<String, u64>,
    /// Users with fewer than k items.
    pub short_lists: u64,
    /// Share of the eligible items that stand on some list.
    pub coverage: f64,
    /// Items with similar items.
    pub similar_lists: u64,
    /// Popular lists.
    pub popular_lists: u64,
    /// Baskets that items bought together were counted in.
    pub baskets: u64,
    /// Baskets left out, too large to say what goes together.
    pub baskets_too_large: u64,
    /// Items with a list of items bought together.
    pub bought_together_lists: u64,
    /// Trending lists.
    pub trending_lists: u64,
    /// Campaigns, the highest priority first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub campaigns: Vec<CampaignFacts>,
    /// What to know before trusting the lists.
    pub warnings: Vec<String>,
    /// Seconds by stage.
    pub timings_s: Vec<(String, f64)>,
    /// Seconds altogether.
    pub seconds: f64,
    /// Largest resident memory.
    pub peak_memory_bytes: u64,
}

/// Counts of rows left aside: neither rejected nor used.
pub(super) fn left_aside(facts: &Facts) -> BTreeMap<String, u64> {
    let (counts, left, assembled) = (&facts.counts, &facts.left_out, &facts.learned.assembled);
    [
        ("ignored_type", counts.ignored),
        ("counted_in_other_source", counts.counted_elsewhere),
        ("cancelled_order", counts.cancelled),
        ("outside_window", counts.outside_window + left.before_window),
        ("after_as_of", left.after_as_of),
        ("duplicate_event", left.duplicates),
        ("bot_event", left.bot_events),
        ("pair_of_rare_item", assembled.cells_of_rare_items),
        ("pair_at_or_below_zero", assembled.pairs_eaten_up),
    ]
    .into_iter()
    .filter(|(_, n)| *n > 0)
    .map(|(name, n)| (name.to_owned(), n))
    .collect()
}

/// Puts the numbers together; `run`, `path` and the hash come with the commit.
pub(super) fn summary(config: &Config, facts: &Facts, stages: &[Stage]) -> Summary {
    let counts = &facts.counts;
    let used = facts.lists.places.iter().filter(|&&n| n > 0).count();
    Summary {
        run: String::new(),
        path: String::new(),
        content_sha256: String::new(),
        as_of: facts.as_of.and_then(|at| jiff::Timestamp::from_second(at.unix()).ok()).map(|at| at.to_string()),
        rows: counts.rows,
        rejected: counts.rejected.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect(),
        left_aside: left_aside(facts),
        events: counts.by_kind.iter().map(|(kind, n)| (facts.kinds[*kind as usize].name.clone(), *n)).collect(),
        users: facts.learned.n_users as u64,
        training_users: facts.learned.n_training_users as u64,
        sampled_users: facts.learned.n_sampled_users.map(|n| n as u64),
        items: facts.items.ids.len() as u64,
        eligible_items: facts.learned.n_eligible as u64,
        interactions: facts.learned.n_cells as u64,
        model: config.model.kind.name().to_owned(),
        loss: facts.learned.losses.last().map(|(_, loss)| *loss),
        k: config.recommendations.k,
        lists: facts.lists.by_source.clone(),
        short_lists: facts.lists.counts.n_short,
        coverage: used as f64 / facts.learned.n_eligible.max(1) as f64,
        similar_lists: facts.learned.lists.similar_counts.n_lists,
        popular_lists: facts.learned.lists.n_popular,
        baskets: facts.learned.lists.baskets.n_baskets,
        baskets_too_large: facts.learned.lists.baskets.n_too_large,
        bought_together_lists: facts.learned.lists.bought_together_counts.n_lists,
        trending_lists: facts.learned.lists.n_trending,
        campaigns: facts.campaigns.campaigns.clone(),
        warnings: warnings(config, facts),
        timings_s: Vec::new(),
        seconds: stages.iter().map(|stage| stage.seconds).sum(),
        peak_memory_bytes: peak_memory_bytes().unwrap_or(0),
    }
}

fn warnings(config: &Config, facts: &Facts) -> Vec<String> {
    let mut warnings: Vec<String> = facts.learned.warnings.clone();
    warnings.extend(facts.campaigns.warnings.iter().cloned());
    let catalog = &facts.catalog_report;
    let mut say = |n: u64, text: String| {
        if n > 0 {
            warnings.push(text);
        }
    };
    if config.catalog.path.is_some() {
        let n = catalog.items_without_listing;
        say(n, format!("{n} items of the events are not in the catalogue"));
        let n = catalog.duplicates;
        say(n, format!("{n} rows of the catalogue repeat an item; the first one counts"));
        let n = catalog.null_ids;
        say(n, format!("{n} rows of the catalogue have no item id"));
        let n = catalog.unreadable_prices;
        say(n, format!("{n} prices of the catalogue are no numbers and count as unknown"));
        let n = catalog.unreadable_available;
        say(n, format!("{n} availabilities of the catalogue are not understood; those items count as not available"));
    }
    warnings.extend(facts.people.warnings());
    let mut say = |n: u64, text: String| {
        if n > 0 {
            warnings.push(text);
        }
    };
    let n = facts.lists.counts.n_nan;
    say(n, format!("{n} scores were not numbers and were left out"));
    let n = facts.counts.bad_amounts;
    say(n, format!("{n} amounts were negative, not numbers or too large, and count as none"));
    let n = facts.lists.counts.n_short;
    let k = config.recommendations.k;
    say(n, format!("{n} users have fewer than {k} eligible items, so their lists are shorter"));
    if facts.left_out.bots > 0 {
        let bots = facts.left_out.bots;
        let share = bots as f64 / (bots + facts.learned.n_users as u64) as f64;
        say(u64::from(share > 0.01), format!("{bots} users ({:.1} %) were taken for bots", share * 100.0));
    }
    warnings
}
