//! What can go wrong in campaigns.

use thiserror::Error;

use crate::recommendations::RecommendError;

/// Why there are no campaign lists.
#[derive(Debug, Error)]
pub enum CampaignError {
    /// A condition cannot be evaluated on the columns of a bucket.
    #[error("{campaign}: evaluating `{text}`")]
    Evaluate {
        /// `campaign.NAME.audience` or `.order_by`.
        campaign: String,
        /// The condition.
        text: String,
        /// Why.
        #[source]
        source: polars::error::PolarsError,
    },
    /// A column that a condition names is not among those of the users.
    #[error("{campaign}: the column `{column}` is not among those of this run's users")]
    NoColumn {
        /// `campaign.NAME.audience` or `.order_by`.
        campaign: String,
        /// The column.
        column: String,
    },
    /// Columns of unlike length.
    #[error("{what} has {is} rows for {n_users} users")]
    Length {
        /// Which column.
        what: String,
        /// Its length.
        is: usize,
        /// How long it must be.
        n_users: usize,
    },
    /// The rules of lists do not fit the shop's items.
    #[error(transparent)]
    Rules(#[from] RecommendError),
    /// A campaign that looks at times, in a shop whose events carry none.
    #[error("campaign.{name}: {what} goes by times, and the events carry none")]
    NoTimes {
        /// The campaign.
        name: String,
        /// What needs times.
        what: &'static str,
    },
}
