//! What the page shows, as plain data.

use jiff::{Timestamp, civil::Date};
use serde::Serialize;

/// Everything `report.html` shows.
///
/// Any part may be empty or `None`; the page then says in a line why there is nothing to see.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReportData {
    /// Which run this is.
    pub run: RunInfo,
    /// The numbers on top.
    pub headline: Headline,
    /// What the reader should know before trusting the lists, most important first.
    pub warnings: Vec<String>,
    /// Events a day by type; `None` when the input has no timestamps.
    pub events_by_day: Option<EventsByDay>,
    /// Rejected rows by reason.
    pub rejected: Vec<RejectedReason>,
    /// What the filters between rows and interactions took away, in the order they ran.
    pub filters: Vec<FilterStep>,
    /// Item popularity.
    pub long_tail: Option<LongTail>,
    /// Interactions (distinct items) a user, in bins that double: see [`Histogram::log2`].
    pub activity: Option<Histogram>,
    /// The objective after each iteration; empty for models without one.
    pub training: Vec<LossPoint>,
    /// How much of the catalogue the lists show, and how evenly.
    pub coverage: Option<Coverage>,
    /// Which source served how many users.
    pub list_sources: Option<ListSources>,
    /// Scores at the first and at the last place of the lists.
    pub scores: Option<Scores>,
    /// Stages in the order they ran.
    pub stages: Vec<Stage>,
    /// Files read.
    pub inputs: Vec<InputFile>,
    /// A few users with what they did and what they will see.
    pub example_users: Vec<ExampleUser>,
    /// The overall popular list, best first.
    pub popular: Vec<ListedItem>,
    /// A few items with their similar items.
    pub similar: Vec<SimilarExample>,
    /// What draws more users than it did, the steepest first; empty when nothing does, or there are no times.
    pub trending: Vec<ListedItem>,
    /// A few items with what is bought together with them; empty when there are no such lists.
    pub bought_together: Vec<SimilarExample>,
    /// Campaign lists, the highest priority first; empty when the config has none.
    pub campaigns: Vec<CampaignFunnel>,
    /// Row by row: users that two campaigns matched; on the diagonal those that one did.
    pub campaign_overlap: Vec<Vec<u64>>,
    /// People to write to in earlier runs and this one, oldest first; empty without earlier runs.
    pub campaign_sizes: Vec<CampaignSizes>,
    /// The effective config, as TOML.
    pub config: String,
}

/// What became of a campaign's candidates.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CampaignFunnel {
    /// The campaign.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Candidates.
    pub matched: u64,
    /// Where they fell or ended, in the order of the steps: (step, people). They add up to `matched`; the last two are
    /// those held out and those to write to.
    pub steps: Vec<(String, u64)>,
}

/// How many people a run's campaigns were to write to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CampaignSizes {
    /// The run's `as_of`; `None` when it cannot be read.
    pub as_of: Option<Timestamp>,
    /// By campaign, in the order of [`ReportData::campaigns`]; `None` for one that the run did not have.
    pub send: Vec<Option<u64>>,
}

/// Which run a page is about.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RunInfo {
    /// The run's name.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// The instant that ages are counted from; `None` when the input has no timestamps.
    pub as_of: Option<Timestamp>,
    /// When the run was made; `None` leaves it out.
    pub created_at: Option<Timestamp>,
    /// The manifest's content hash.
    pub content_hash: Option<String>,
}

/// The numbers on top of the page.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Headline {
    /// Rows read from the input.
    pub rows_read: u64,
    /// Rows rejected, all reasons together.
    pub rows_rejected: u64,
    /// Users with a row in the interactions.
    pub n_users: u64,
    /// Items in the interactions or the catalogue, whatever the model knows.
    pub n_items: u64,
    /// (user, item) pairs with a weight.
    pub n_interactions: u64,
    /// Recommendation lists written.
    pub lists_written: u64,
    /// The length asked for.
    pub k: u64,
    /// The model's name.
    pub model: String,
    /// Wall time of the whole run.
    pub seconds: f64,
    /// Peak resident memory, in units of 1,000,000 bytes; `None` where the platform does not tell.
    pub peak_memory_mb: Option<f64>,
}

/// Events a day, one series an event type.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EventsByDay {
    /// Days with at least one event, ascending; days that are left out count as zero.
    pub dates: Vec<Date>,
    /// One series an event type, in the order they are drawn.
    pub series: Vec<DaySeries>,
}

/// One event type's counts.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DaySeries {
    /// The event type.
    pub event_type: String,
    /// Parallel to [`EventsByDay::dates`].
    pub counts: Vec<u64>,
}

/// Rows rejected for one reason.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RejectedReason {
    /// The reason, as the manifest names it.
    pub reason: String,
    /// How many rows.
    pub count: u64,
    /// Of all rows read, 0 to 1.
    pub share: f64,
    /// What to do about it; may be empty.
    pub advice: String,
}

/// What one filter took away.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FilterStep {
    /// What it looks for, e.g. `bots`.
    pub name: String,
    /// The rule with its number, e.g. `more than 500 events an hour`.
    pub rule: String,
    /// What is counted: `users`, `items`, `events`.
    pub unit: String,
    /// How many there were before.
    pub before: u64,
    /// How many it removed.
    pub removed: u64,
}

/// Item popularity, from the most popular item down.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LongTail {
    /// Some ranks (from 1, ascending) with the number of users of the item at that rank (above zero).
    pub points: Vec<RankPoint>,
    /// How many items there are.
    pub n_items: u64,
    /// Share of the interactions on the most popular 1 % of the items (rounded up to whole items), 0 to 1.
    pub top_1_percent_share: f64,
    /// The same for 10 %.
    pub top_10_percent_share: f64,
}

/// One point of the popularity curve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RankPoint {
    /// From 1.
    pub rank: u64,
    /// Distinct users of the item at this rank.
    pub users: u64,
}

/// Counts of values between edges.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Histogram {
    /// One more than bins, ascending. A bin holds its lower edge and not its upper one; the last holds both.
    pub edges: Vec<f64>,
    /// One a bin.
    pub counts: Vec<u64>,
    /// Values above the last edge, which are not drawn.
    pub above: u64,
    /// The middle value of all, `None` without values.
    pub median: Option<f64>,
}

/// The objective after an iteration.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct LossPoint {
    /// From 1.
    pub iteration: u64,
    /// The objective.
    pub loss: f64,
}

/// How much of the catalogue the lists show, and how evenly.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// Items that could be recommended.
    pub n_items: u64,
    /// Items that stand on at least one list.
    pub recommended_items: u64,
    /// Gini coefficient of the items' places on lists: 0 = all alike, 1 = one item takes all.
    pub exposure_gini: f64,
    /// Gini coefficient of the items' interactions, for comparison.
    pub popularity_gini: f64,
    /// Lorenz curve of the places on lists.
    pub exposure: Vec<LorenzPoint>,
    /// Lorenz curve of the interactions.
    pub popularity: Vec<LorenzPoint>,
}

/// One point of a Lorenz curve: the least popular `items` of all items hold `total` of the sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct LorenzPoint {
    /// Share of the items, least popular first, 0 to 1.
    pub items: f64,
    /// Their share of the sum, 0 to 1.
    pub total: f64,
}

/// Which source served how many users.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ListSources {
    /// Sources with their users, in any order; the page sorts them.
    pub by_source: Vec<ListSource>,
    /// Lists with fewer than k items.
    pub short_lists: u64,
    /// Users who got no list at all.
    pub users_without_list: u64,
}

/// One source of lists.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ListSource {
    /// `als`, `als+popular`, `popular`, ...
    pub source: String,
    /// How many users it served.
    pub users: u64,
}

/// Scores at the first and at the last place of the lists.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Scores {
    /// Of the first item.
    pub top: Histogram,
    /// Of the k-th item (the last one of a short list).
    pub kth: Histogram,
}

/// One stage of the run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Stage {
    /// `read`, `train`, `recommend`, ...
    pub name: String,
    /// Wall time.
    pub seconds: f64,
    /// What it worked through, if that can be counted.
    pub rows: Option<u64>,
    /// What `rows` counts: `rows`, `users`, `interactions`; may be empty.
    pub unit: String,
}

/// One file of the input.
#[derive(Debug, Clone, Default, Serialize)]
pub struct InputFile {
    /// As the manifest names it.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Rows, where known.
    pub rows: Option<u64>,
}

/// A user with what they did and what they will see.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ExampleUser {
    /// The user's id.
    pub user: String,
    /// Where the list comes from.
    pub source: String,
    /// How many interactions the user has in all.
    pub n_interactions: u64,
    /// The latest actions, newest first.
    pub actions: Vec<ExampleAction>,
    /// The list's head, best first.
    pub recommendations: Vec<ListedItem>,
}

/// One thing a user did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ExampleAction {
    /// The item's id.
    pub item: String,
    /// Its title, `None` when unknown.
    pub title: Option<String>,
    /// Its category, `None` when unknown.
    pub category: Option<String>,
    /// The event type; empty when the input has none.
    pub event_type: String,
    /// When; `None` when the input has no timestamps.
    pub at: Option<Timestamp>,
}

/// An item on a list.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ListedItem {
    /// The item's id.
    pub item: String,
    /// Its title, `None` when unknown.
    pub title: Option<String>,
    /// Its category, `None` when unknown.
    pub category: Option<String>,
    /// The score, in the model's own unit.
    pub score: f64,
}

/// An item with its similar items, or with those that are bought together with it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SimilarExample {
    /// The item's id.
    pub item: String,
    /// Its title, `None` when unknown.
    pub title: Option<String>,
    /// Its category, `None` when unknown.
    pub category: Option<String>,
    /// Most similar first, or the strongest.
    pub neighbours: Vec<ListedItem>,
}
