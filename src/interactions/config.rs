//! What event types weigh, and who is left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{decay::to_fixed, time::DAY};

/// What an event of a type means to the shop; profiles, orders and default exclusions go by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looked at.
    View,
    /// Put into the cart.
    Cart,
    /// Taken out of the cart.
    RemoveFromCart,
    /// Bought.
    Purchase,
    /// Given back.
    Refund,
    /// A pair without an event type.
    Interaction,
    /// Anything else.
    Other,
}

impl Role {
    /// Whether it counts as money spent (+1), given back (-1) or neither.
    pub(super) fn money_sign(self) -> i64 {
        match self {
            Self::Purchase => 1,
            Self::Refund => -1,
            _ => 0,
        }
    }
}

/// One `[event_types.NAME]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventType {
    /// What one event adds to the pair's weight; negative subtracts (refunds).
    pub weight: f64,
    /// Days after which an event counts half; leave it out for no decay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_life_days: Option<f64>,
    /// The values of the event-type column that mean this type; default: the table's own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// What it means: view, cart, remove_from_cart, purchase, refund, interaction or other. Default: by the table's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// `[event_types]`: by name.
pub type EventTypes = BTreeMap<String, EventType>;

/// One event type, ready for use.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    /// The config's name for it.
    pub name: String,
    /// The column's values that mean it.
    pub names: Vec<String>,
    /// Weight of one event of age zero.
    pub weight: f64,
    /// Half-life in seconds.
    pub half_life: Option<u32>,
    /// What it means.
    pub role: Role,
    /// Whether its events take the item from the user's list, and for how long: `Some(None)` for good.
    pub excludes: Option<Option<u32>>,
}

/// One `[interactions.exclude.TYPE]` table: an event of this type takes the item from the user's list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exclude {
    /// Only events of the last so many days before `as_of`; leave it out for all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_days: Option<f64>,
}

/// `[interactions]`: how events become cells, and who is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InteractionsConfig {
    /// Number of user buckets, a power of two: the unit of work, of the run directory's files and of a Spark task.
    pub n_buckets: usize,
    /// The most that one user, item and day may add to a weight (before decay); leave it out for no cap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_cap: Option<f64>,
    /// Users with more events than this on an average active day are taken for bots and left out; 0 keeps everybody.
    pub max_events_per_active_day: f64,
    /// Users with more events than this altogether are left out; 0 keeps everybody.
    pub max_events: u64,
    /// Items with fewer distinct users than this are left out of the model.
    pub min_users_per_item: u32,
    /// Users with fewer items than this do not train the model; they still get a list.
    pub min_items_per_user: u32,
    /// Purchases of one user belong to one basket while each is at most so many minutes after the one before it.
    pub basket_gap_minutes: f64,
    /// Where events name no session: a session ends when a user does nothing for so many minutes.
    pub session_gap_minutes: f64,
    /// Which event types take an item from the user's list. Leave the table out for: purchase (and bare pairs), for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<BTreeMap<String, Exclude>>,
}

impl Default for InteractionsConfig {
    fn default() -> Self {
        Self {
            n_buckets: 64,
            daily_cap: None,
            max_events_per_active_day: 500.0,
            max_events: 0,
            min_users_per_item: 2,
            min_items_per_user: 1,
            basket_gap_minutes: 60.0,
            session_gap_minutes: 30.0,
            exclude: None,
        }
    }
}

impl InteractionsConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// The key's full path, what it must be and what it is.
    pub fn check(&self, path: &str) -> Result<(), String> {
        if !self.n_buckets.is_power_of_two() || self.n_buckets > 65_536 {
            return Err(format!("{path}.n_buckets must be a power of two up to 65536, is {}", self.n_buckets));
        }
        if let Some(cap) = self.daily_cap
            && !(cap > 0.0 && cap <= 1e6)
        {
            return Err(format!("{path}.daily_cap must be above 0 and at most 1000000, is {cap}"));
        }
        if !(self.basket_gap_minutes >= 0.0 && self.basket_gap_minutes <= 1e6) {
            return Err(format!("{path}.basket_gap_minutes must be 0 to 1000000, is {}", self.basket_gap_minutes));
        }
        if !(self.session_gap_minutes >= 0.0 && self.session_gap_minutes <= 1e6) {
            return Err(format!("{path}.session_gap_minutes must be 0 to 1000000, is {}", self.session_gap_minutes));
        }
        if self.max_events_per_active_day.is_nan() || self.max_events_per_active_day < 0.0 {
            return Err(format!(
                "{path}.max_events_per_active_day must be 0 (no limit) or more, is {}",
                self.max_events_per_active_day
            ));
        }
        for (name, exclude) in self.exclude.iter().flatten() {
            if let Some(days) = exclude.within_days
                && !(days > 0.0 && days <= 36_500.0)
            {
                return Err(format!(
                    "{path}.exclude.{name}.within_days must be above 0 and at most 36500, is {days}; leave it out for all events"
                ));
            }
        }
        Ok(())
    }
}

fn role_of(name: &str) -> Role {
    match name {
        "view" => Role::View,
        "cart" => Role::Cart,
        "remove_from_cart" => Role::RemoveFromCart,
        "purchase" => Role::Purchase,
        "refund" => Role::Refund,
        "interaction" => Role::Interaction,
        _ => Role::Other,
    }
}

fn seconds(days: f64) -> u32 {
    (days * f64::from(DAY)).round().clamp(1.0, f64::from(u32::MAX)) as u32
}

/// Event types and exclusions, checked and in the order of their names: a type's number is its place.
///
/// # Errors
/// The key's full path, what it must be and what it is.
pub fn kinds(types: &EventTypes, config: &InteractionsConfig) -> Result<Vec<Kind>, String> {
    if types.is_empty() || types.len() > 32 {
        return Err(format!("event_types must have 1 to 32 entries, has {}", types.len()));
    }
    if let Some(unknown) = config.exclude.iter().flatten().map(|(name, _)| name).find(|name| !types.contains_key(*name))
    {
        return Err(format!(
            "interactions.exclude.{unknown} is not one of event_types: {}",
            types.keys().cloned().collect::<Vec<_>>().join(", ")
        ));
    }
    let kinds = types
        .iter()
        .map(|(name, event_type)| {
            let path = format!("event_types.{name}");
            if !event_type.weight.is_finite() || event_type.weight.abs() > 1e6 {
                return Err(format!("{path}.weight must be within -1000000 to 1000000, is {}", event_type.weight));
            }
            if event_type.weight != 0.0 && to_fixed(event_type.weight) == 0 {
                return Err(format!("{path}.weight must be 0 or at least 0.0000001, is {}", event_type.weight));
            }
            if let Some(days) = event_type.half_life_days
                && !(days > 0.0 && days <= 36_500.0)
            {
                return Err(format!("{path}.half_life_days must be above 0 and at most 36500, is {days}"));
            }
            let names = if event_type.names.is_empty() { vec![name.clone()] } else { event_type.names.clone() };
            let role = event_type.role.unwrap_or_else(|| role_of(name));
            let excludes = match &config.exclude {
                Some(table) => table.get(name).map(|exclude| exclude.within_days.map(seconds)),
                None => matches!(role, Role::Purchase | Role::Interaction).then_some(None),
            };
            Ok(Kind {
                name: name.clone(),
                names,
                weight: event_type.weight,
                half_life: event_type.half_life_days.map(seconds),
                role,
                excludes,
            })
        })
        .collect::<Result<Vec<Kind>, String>>()?;
    let mut claimed: BTreeMap<&str, &str> = BTreeMap::new();
    for kind in &kinds {
        for value in &kind.names {
            if let Some(other) = claimed.insert(value, &kind.name) {
                return Err(format!(
                    "event_types.{other} and event_types.{} both claim the event name `{value}`",
                    kind.name
                ));
            }
        }
    }
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(text: &str) -> EventTypes {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn purchases_and_pairs_exclude_by_default() {
        let kinds = kinds(
            &types("purchase = { weight = 5 }\nview = { weight = 1, half_life_days = 1 }"),
            &InteractionsConfig::default(),
        )
        .unwrap();
        assert_eq!(kinds[0].excludes, Some(None));
        assert_eq!(kinds[1].excludes, None);
        assert_eq!(kinds[1].half_life, Some(86_400));
    }

    #[test]
    fn a_name_claimed_twice_is_named() {
        let error = kinds(
            &types("buy = { weight = 5, names = ['view'] }\nview = { weight = 1 }"),
            &InteractionsConfig::default(),
        )
        .unwrap_err();
        assert_eq!(error, "event_types.buy and event_types.view both claim the event name `view`");
    }

    #[test]
    fn messages_carry_the_keys_path() {
        let config = InteractionsConfig { n_buckets: 48, ..Default::default() };
        assert_eq!(
            config.check("interactions").unwrap_err(),
            "interactions.n_buckets must be a power of two up to 65536, is 48"
        );
        let error = kinds(&types("view = { weight = nan }"), &InteractionsConfig::default()).unwrap_err();
        assert!(error.starts_with("event_types.view.weight must be"), "{error}");
    }
}
