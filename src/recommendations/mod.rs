//! Recommendations: from scores to the lists people see.
//!
//! In: a model, histories, rules. Out: exact top-k lists, each with its source.
//! Refuses: padding. Fewer than k eligible items means a shorter list.

mod bought_together;
mod caps;
mod catalog;
mod config;
mod error;
mod explain;
mod fallback;
mod list_kind;
mod lists;
mod members;
mod pair_counts;
mod popular;
mod recommend;
#[cfg(test)]
mod recommend_tests;
mod recommended;
mod rules;
mod searched;
mod select;
mod similar;
mod sparse;
#[cfg(test)]
mod testing;
mod top_k;
mod trending;

pub use bought_together::BoughtTogether;
pub use catalog::Catalog;
pub use config::{
    Boost, BoughtTogetherConfig, Fallback, PairMeasure, PopularConfig, RecommendConfig, SimilarConfig, TrendingConfig,
};
pub use error::RecommendError;
pub use explain::{ItemVerdict, KeptOut, Placement};
pub use list_kind::ListKind;
pub use lists::{ListBatch, ListRow};
pub use members::{Arm, MemberBatch, MemberRow};
pub use pair_counts::{GrowingPairs, PairCounts};
pub use popular::PopularLists;
pub use recommend::{OneList, Recommender, Scorer};
pub use recommended::{RecommendCounts, Recommended, Source, SourceNames};
pub use rules::{Eligibility, RuleWarning, Rules};
pub use similar::{SimilarCounts, SimilarItems, Similarities};
pub use top_k::{Scored, TopK};
pub use trending::{Activity, Trending};
