//! Campaigns: whom to write to, about which items, and why.
//!
//! In: users of one bucket by columns, the shop, campaigns of the config. Out: candidates of each campaign with items and
//! reasons, counts of who fell at which step; merged over all buckets, the lists.
//! Refuses: files, clocks, contact addresses, and to lose a candidate without counting him.

mod arm;
mod condition;
mod config;
mod error;
mod funnel;
mod measure;
mod merge;
mod plan;
mod propose;
mod rule;
mod schema;
mod select;
mod shop;
#[cfg(test)]
mod tests;
mod user_table;
mod users;
mod words;

pub use arm::arm_of;
pub use condition::{Condition, Expression, Fault};
pub use config::{CampaignConfig, CampaignKind, CampaignsConfig, Cap, MAX_CAMPAIGNS};
pub use error::CampaignError;
pub use funnel::{Funnel, Step};
pub use measure::{ArmTotals, Difference, Uplift, uplift};
pub use merge::{Ranked, Stream, merge};
pub use plan::{Plan, Planned};
pub use propose::Affinity;
pub use rule::{ItemFilter, Rule};
pub use schema::{CART_ITEMS, ColumnType, FAVOURITE_BRAND, FAVOURITE_CATEGORY, Schema};
pub use select::{BucketCampaign, BucketSelection, Candidate, Selector};
pub use shop::{Complements, EarlierCatalog, Interval, Repurchases, Shop};
pub use user_table::UserTable;
pub use users::{BucketUsers, CartItem, Contact, Lists, PairFacts, Pairs, Refusal};
