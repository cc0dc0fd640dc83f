//! Everything that the stages of a build found out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    artifacts::ItemTable,
    catalog::CatalogReport,
    events::Counts,
    interactions::{Assembled, Kind, LeftOut, Stamp},
    recommendations::SimilarCounts,
};

use super::{
    campaigns::CampaignsDone,
    history::Example,
    inputs::Inputs,
    lists::{ListStats, SimilarList},
    people::People,
};

/// What a build needs besides its config.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// The run's name; by default the time it started.
    pub run: Option<String>,
    /// The build's clock.
    pub now: Timestamp,
}

/// What items bought together were counted from.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Baskets {
    pub(super) n_baskets: u64,
    /// Left out: too large to say what goes together.
    pub(super) n_too_large: u64,
}

/// What the stages that see all buckets at once found out.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Learned {
    pub(super) assembled: Assembled,
    pub(super) n_users: usize,
    pub(super) n_training_users: usize,
    /// How many of them trained, where memory did not allow all.
    pub(super) n_sampled_users: Option<usize>,
    pub(super) n_cells: usize,
    /// Users by their number of cells.
    pub(super) users_by_cells: BTreeMap<u64, u64>,
    pub(super) n_eligible: usize,
    pub(super) warnings: Vec<String>,
    pub(super) losses: Vec<(usize, f64)>,
    pub(super) lists: ItemLists,
}

/// What the lists of items show.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ItemLists {
    pub(super) n_popular: u64,
    pub(super) popular: Vec<u32>,
    pub(super) similar_counts: SimilarCounts,
    pub(super) baskets: Baskets,
    pub(super) bought_together_counts: SimilarCounts,
    pub(super) n_trending: u64,
    /// The head of the overall list: items and scores.
    pub(super) trending: Vec<(u32, f32)>,
    pub(super) similar_examples: Vec<SimilarList>,
    pub(super) bought_together_examples: Vec<SimilarList>,
}

/// Everything that the stages found out, for the manifest, the summary and the report.
pub(super) struct Facts {
    pub(super) options: BuildOptions,
    pub(super) kinds: Vec<Kind>,
    pub(super) counts: Counts,
    pub(super) inputs: Inputs,
    pub(super) as_of: Option<Stamp>,
    pub(super) left_out: LeftOut,
    pub(super) items: ItemTable,
    pub(super) catalog_report: CatalogReport,
    /// Customers, and tables of read replicas.
    pub(super) people: People,
    pub(super) learned: Learned,
    pub(super) lists: ListStats,
    pub(super) campaigns: CampaignsDone,
    pub(super) examples: Vec<Example>,
}
