//! Where events lie and what their columns are called.

use serde::{Deserialize, Serialize};

use crate::interactions::{EventType, EventTypes};

/// A known layout of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// nightshelf's own: user_id, item_id, event_type, timestamp, event_id, quantity, price.
    #[default]
    Canonical,
    /// Amazon Personalize interactions: USER_ID, ITEM_ID, TIMESTAMP (Unix seconds), EVENT_TYPE.
    Personalize,
    /// RetailRocket: visitorid, itemid, event (view, addtocart, transaction), timestamp in ms.
    Retailrocket,
    /// REES46: user_id, product_id, event_type (view, cart, remove_from_cart, purchase), event_time, price.
    Rees46,
    /// Bare pairs: user_id, item_id; no event type, no time.
    Pairs,
}

/// Unit of integer timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimestampUnit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

impl TimestampUnit {
    /// How many make a second.
    #[must_use]
    pub fn per_second(self) -> i64 {
        match self {
            Self::S => 1,
            Self::Ms => 1_000,
            Self::Us => 1_000_000,
            Self::Ns => 1_000_000_000,
        }
    }
}

/// `[events.columns]`: names that differ from the preset's. `""` says that the files have no such column; dots lead into
/// nested columns (`user.id`), through lists too (`items.item_id` makes one event of each element).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColumnNames {
    /// Who: text or integers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// On what: text or integers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item_id: Option<String>,
    /// Did what: text. Without it every row is of the only type in `event_types`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// When: a Parquet timestamp, an integer (see `timestamp_unit`), or text like `2026-11-21 20:15:00 UTC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// The event's own id: exact repetitions are dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// Pieces; 1 when absent or null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    /// Price of one piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// The session: sessions are counted by it, not by pauses. No preset names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

/// `[events]`: the clickstream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventsConfig {
    /// Directories, files, globs and s3:// prefixes; relative ones from the config file's directory.
    pub paths: Vec<String>,
    /// canonical, personalize, retailrocket, rees46 or pairs: names of columns and event types to start from.
    pub preset: Preset,
    /// Column names that differ from the preset's.
    pub columns: ColumnNames,
    /// Unit of integer timestamps: s, ms, us or ns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp_unit: Option<TimestampUnit>,
    /// Event types that are known and of no interest; their rows are counted, not rejected.
    pub ignored_types: Vec<String>,
    /// First day or instant that counts (UTC), e.g. 2026-08-01.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Last day (whole) or instant that counts (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Only the last so many days before `as_of`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_days: Option<f64>,
    /// The instant that ages are counted from (UTC); a day means its end. Later events do not count. Default: the newest
    /// accepted event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    /// The build fails when a larger share of the rows is rejected.
    pub max_rejected_ratio: f64,
    /// Longer ids are rejected.
    pub max_id_bytes: usize,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            preset: Preset::default(),
            columns: ColumnNames::default(),
            timestamp_unit: None,
            ignored_types: Vec::new(),
            since: None,
            until: None,
            window_days: None,
            as_of: None,
            max_rejected_ratio: 0.05,
            max_id_bytes: 1_024,
        }
    }
}

/// Column names with the preset filled in; `None` for a column that the files do not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResolvedNames {
    pub user_id: String,
    pub item_id: String,
    pub event_type: Option<String>,
    pub timestamp: Option<String>,
    /// The columns that may be missing from a file when only the preset names them.
    pub event_id: Option<(String, Need)>,
    pub quantity: Option<(String, Need)>,
    pub price: Option<(String, Need)>,
    /// The session of an event, the order of an order line.
    pub group: Option<(String, Need)>,
}

/// Whether a column must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// The config names it.
    Required,
    /// Only the preset names it.
    Welcome,
}

impl EventsConfig {
    /// Checks the values that need no file.
    ///
    /// # Errors
    /// The key's full path, what it must be and what it is.
    pub fn check(&self, path: &str) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.max_rejected_ratio) {
            return Err(format!("{path}.max_rejected_ratio must be 0 to 1, is {}", self.max_rejected_ratio));
        }
        if self.max_id_bytes == 0 || self.max_id_bytes > 1 << 20 {
            return Err(format!("{path}.max_id_bytes must be 1 to 1048576, is {}", self.max_id_bytes));
        }
        if let Some(days) = self.window_days
            && !(days > 0.0 && days <= 36_500.0)
        {
            return Err(format!("{path}.window_days must be above 0 and at most 36500, is {days}"));
        }
        for (key, value) in [("since", &self.since), ("until", &self.until), ("as_of", &self.as_of)] {
            if let Some(text) = value {
                super::instants::parse(text, key != "since").map_err(|why| format!("{path}.{key}: {why}"))?;
            }
        }
        for (key, name) in [("user_id", &self.columns.user_id), ("item_id", &self.columns.item_id)] {
            if name.as_deref() == Some("") {
                return Err(format!("{path}.columns.{key} must name a column: there is nothing to learn without it"));
            }
        }
        Ok(())
    }

    /// Whether rows say what kind of event they are.
    #[must_use]
    pub fn has_event_type_column(&self) -> bool {
        self.names().event_type.is_some()
    }

    /// Whether events name their sessions.
    #[must_use]
    pub fn has_session_column(&self) -> bool {
        self.names().group.is_some()
    }

    /// Names of columns, the config's before the preset's.
    pub(super) fn names(&self) -> ResolvedNames {
        let [user, item, event_type, timestamp, event_id, quantity, price] = match self.preset {
            Preset::Canonical => ["user_id", "item_id", "event_type", "timestamp", "event_id", "quantity", "price"],
            Preset::Personalize => ["USER_ID", "ITEM_ID", "EVENT_TYPE", "TIMESTAMP", "", "", ""],
            Preset::Retailrocket => ["visitorid", "itemid", "event", "timestamp", "", "", ""],
            Preset::Rees46 => ["user_id", "product_id", "event_type", "event_time", "", "", "price"],
            Preset::Pairs => ["user_id", "item_id", "", "", "", "", ""],
        };
        let own = &self.columns;
        let must = |name: &Option<String>, preset: &str| name.clone().unwrap_or_else(|| preset.to_owned());
        let may = |name: &Option<String>, preset: &str| Some(must(name, preset)).filter(|name| !name.is_empty());
        let welcome = |name: &Option<String>, preset: &str| {
            let need = if name.is_some() { Need::Required } else { Need::Welcome };
            may(name, preset).map(|name| (name, need))
        };
        ResolvedNames {
            user_id: must(&own.user_id, user),
            item_id: must(&own.item_id, item),
            event_type: may(&own.event_type, event_type),
            timestamp: may(&own.timestamp, timestamp),
            event_id: welcome(&own.event_id, event_id),
            quantity: welcome(&own.quantity, quantity),
            price: welcome(&own.price, price),
            group: welcome(&own.session_id, ""),
        }
    }

    /// Unit of integer timestamps, the config's before the preset's.
    pub(super) fn unit(&self) -> Option<TimestampUnit> {
        self.timestamp_unit.or(match self.preset {
            Preset::Personalize => Some(TimestampUnit::S),
            Preset::Retailrocket => Some(TimestampUnit::Ms),
            Preset::Canonical | Preset::Rees46 | Preset::Pairs => None,
        })
    }
}

impl Preset {
    /// The event types to use when the config has no `[event_types]`.
    #[must_use]
    pub fn event_types(self) -> EventTypes {
        let event_type = |weight, half_life_days, names: &[&str]| EventType {
            weight,
            half_life_days,
            names: names.iter().map(|&name| name.to_owned()).collect(),
            role: None,
        };
        let shop = |view: &[&str], cart: &[&str], purchase: &[&str]| {
            [
                ("view", event_type(1.0, Some(30.0), view)),
                ("cart", event_type(3.0, Some(30.0), cart)),
                ("remove_from_cart", event_type(-1.5, Some(30.0), &[])),
                ("purchase", event_type(5.0, Some(180.0), purchase)),
                ("refund", event_type(-5.0, Some(180.0), &[])),
            ]
        };
        let types = match self {
            Self::Canonical | Self::Rees46 => shop(&[], &[], &[]).to_vec(),
            Self::Personalize => shop(
                &["view", "View", "click", "Click"],
                &["cart", "Cart", "add_to_cart", "AddToCart"],
                &["purchase", "Purchase", "buy", "Buy"],
            )
            .to_vec(),
            Self::Retailrocket => shop(&["view"], &["addtocart"], &["transaction"]).to_vec(),
            Self::Pairs => vec![("interaction", event_type(1.0, None, &[]))],
        };
        types.into_iter().map(|(name, event_type)| (name.to_owned(), event_type)).collect()
    }
}
