//! Everything that the stages of a build found out.

use jiff::Timestamp;

use crate::{
    artifacts::ItemTable,
    catalog::CatalogReport,
    customers::CustomersReport,
    events::Counts,
    interactions::{Assembled, Kind, LeftOut, Stamp},
    recommendations::{RuleWarning, SimilarCounts},
    sql::TableRead,
};

use super::{
    history::Example,
    inputs::Inputs,
    lists::{ListStats, SimilarList},
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
pub(super) struct Baskets {
    pub(super) n_baskets: u64,
    /// Left out: too large to say what goes together.
    pub(super) n_too_large: u64,
}

/// Everything that the stages found out, for the manifest, the summary and the report.
pub(super) struct Facts {
    pub(super) options: BuildOptions,
    pub(super) kinds: Vec<Kind>,
    pub(super) counts: Counts,
    pub(super) inputs: Inputs,
    pub(super) as_of: Option<Stamp>,
    pub(super) left_out: LeftOut,
    pub(super) assembled: Assembled,
    pub(super) n_users: usize,
    pub(super) n_training_users: usize,
    pub(super) n_cells: usize,
    pub(super) cells_by_user: Vec<u64>,
    pub(super) items: ItemTable,
    pub(super) catalog_report: CatalogReport,
    pub(super) customers: Option<CustomersReport>,
    /// Tables of read replicas, with what each was read as.
    pub(super) tables: Vec<(&'static str, TableRead)>,
    /// What to know of sources that were read late, or not at all.
    pub(super) source_warnings: Vec<String>,
    pub(super) n_eligible: usize,
    pub(super) warnings: Vec<RuleWarning>,
    pub(super) losses: Vec<(usize, f64)>,
    pub(super) lists: ListStats,
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
    pub(super) examples: Vec<(Example, Option<usize>)>,
}
