//! Orders as a second source of purchases.

use serde::{Deserialize, Serialize};

use super::config::{Need, ResolvedNames, TimestampUnit};
use crate::sql::ReplicaConfig;

/// Which source counts for purchases and refunds, so that nothing counts twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PurchaseSource {
    /// Purchase and refund events of the clickstream; order lines are not read.
    #[default]
    Events,
    /// Order lines; purchase and refund events of the clickstream are left aside (and counted).
    Orders,
}

/// `[orders.columns]`: the columns of order lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrderColumns {
    /// Who bought.
    pub user_id: String,
    /// What.
    pub item_id: String,
    /// When.
    pub ordered_at: String,
    /// The line's own id, for dropping exact repetitions; `""` for none.
    pub line_id: String,
    /// The order: lines of one id are one order; `""` for none.
    pub order_id: String,
    /// Pieces, negative when sent back; `""` for none.
    pub quantity: String,
    /// Price of one piece; `""` for none.
    pub price: String,
    /// State of the order; `""` when every line counts.
    pub status: String,
}

impl Default for OrderColumns {
    fn default() -> Self {
        let name = str::to_owned;
        Self {
            user_id: name("user_id"),
            item_id: name("item_id"),
            ordered_at: name("ordered_at"),
            line_id: String::new(),
            order_id: String::new(),
            quantity: name("quantity"),
            price: name("price"),
            status: name("status"),
        }
    }
}

/// `[orders]`: order lines from Parquet, or from a read replica.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrdersConfig {
    /// Directories, files, globs and s3:// prefixes of order lines.
    pub paths: Vec<String>,
    /// `events` or `orders`: which source counts for purchases and refunds.
    pub purchases_from: PurchaseSource,
    /// Column names.
    pub columns: OrderColumns,
    /// Unit of an integer `ordered_at`: s, ms, us or ns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp_unit: Option<TimestampUnit>,
    /// The entry of `event_types` that an order line counts as; default: the one with role purchase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Lines with one of these states do not count. Default: cancelled, canceled, refunded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excluded_statuses: Option<Vec<String>>,
    /// Lines with one of these states count as the entry of `event_types` with role refund; they are no longer excluded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refund_statuses: Vec<String>,
    /// A table or query of a read replica, instead of `paths`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica: Option<ReplicaConfig>,
}

impl OrdersConfig {
    /// Checks the values that need no file.
    ///
    /// # Errors
    /// The key's full path, what it must be and what it is.
    pub fn check(&self, path: &str) -> Result<(), String> {
        if self.purchases_from == PurchaseSource::Orders && self.paths.is_empty() && self.replica.is_none() {
            return Err(format!(
                "{path}.paths must name order files, or {path}.replica a table, when {path}.purchases_from is \"orders\""
            ));
        }
        if let Some(replica) = &self.replica {
            replica.check(&format!("{path}.replica"))?;
            if !self.paths.is_empty() {
                return Err(format!("of {path}.paths and {path}.replica only one may say where orders are"));
            }
        }
        for (key, name) in [
            ("user_id", &self.columns.user_id),
            ("item_id", &self.columns.item_id),
            ("ordered_at", &self.columns.ordered_at),
        ] {
            if name.is_empty() {
                return Err(format!("{path}.columns.{key} must name a column"));
            }
        }
        Ok(())
    }

    pub(super) fn names(&self) -> ResolvedNames {
        let may = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
        let welcome = |name: &str| may(name).map(|name| (name, Need::Required));
        ResolvedNames {
            user_id: self.columns.user_id.clone(),
            item_id: self.columns.item_id.clone(),
            event_type: may(&self.columns.status),
            timestamp: may(&self.columns.ordered_at),
            event_id: welcome(&self.columns.line_id),
            quantity: welcome(&self.columns.quantity),
            price: welcome(&self.columns.price),
            group: welcome(&self.columns.order_id),
        }
    }

    pub(super) fn excluded_statuses(&self) -> Vec<String> {
        self.excluded_statuses
            .clone()
            .unwrap_or_else(|| ["cancelled", "canceled", "refunded"].map(str::to_owned).to_vec())
    }
}
