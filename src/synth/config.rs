//! What a shop may be told to be.

use jiff::civil::{Date, date};
use serde::{Deserialize, Serialize};

use super::planted::MIN_DAYS;

/// How pages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// Snappy: quick to write and read, what Spark writes by default.
    Snappy,
    /// Zstandard, level 1: about a third smaller than Snappy, somewhat slower.
    Zstd,
}

/// A shop, its shoppers and its log: everything that `nightshelf synth` can be told.
///
/// Units: a rate or share is a number from 0 to 1.
/// Determinism: the same config gives the same bytes, on any number of threads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Root of every random draw.
    pub seed: u64,
    /// Shoppers, bots among them; each has a row in `customers.parquet`.
    pub users: u32,
    /// Items of the catalogue.
    pub items: u32,
    /// Rows of `events/`, dirty ones and duplicates included; met exactly.
    pub events: u64,
    /// Categories, 1 to 1,000.
    pub categories: u32,
    /// Brands, 1 to 20,000.
    pub brands: u32,
    /// Latent styles, 1 to 64: every item and every shopper has one, and the catalogue does not show it, so that
    /// there is something to learn beyond category and brand.
    pub styles: u32,
    /// First day of the log, UTC, as text: `"2026-06-01"`.
    pub start: Date,
    /// Days of the log, 1 to 3,660.
    pub days: u32,

    /// Share of the shoppers that sign up during the log; the others did in the two years before it.
    pub new_user_rate: f64,
    /// Share of the items that arrive during the log.
    pub new_item_rate: f64,
    /// Share of the items that are not available at the end.
    pub unavailable_rate: f64,

    /// A shopper's activity is (his rank)^-x: 0 makes all alike, 0.95 is the steepest.
    pub user_activity_exponent: f64,
    /// An item's popularity is (its rank)^-x: 0 makes all alike, 0.95 is the steepest.
    pub item_popularity_exponent: f64,
    /// Share of the views that follow the shopper's favourite categories; the rest follow popularity alone.
    pub taste_strength: f64,
    /// Share of the views in a favourite category that are of the shopper's style.
    pub style_strength: f64,
    /// How often a shopper who looks at another brand than his favourite looks at a second item instead.
    pub brand_strength: f64,

    /// Mean views a session, 1 to 16.
    pub views_per_session: f64,
    /// Share of the views that put the item into the cart.
    pub view_to_cart_rate: f64,
    /// Share of the cart's items that are bought.
    pub cart_to_purchase_rate: f64,
    /// Share of the cart's items that are taken out again; the rest are left in it.
    pub cart_to_remove_rate: f64,
    /// Share of the sessions that open with buying again what the shopper buys regularly.
    pub replenish_rate: f64,
    /// Share of the views that go back to an item on the shopper's mind.
    pub return_rate: f64,
    /// Share of the purchases that are refunded 1 to 21 days later, if the log still runs then; at most 0.5.
    pub refund_rate: f64,

    /// Days with a campaign: more visits, more carts, a fifth off all prices.
    pub campaign_days: u32,
    /// Visits on a campaign day, as a multiple of those on an ordinary one; 0.1 to 20.
    pub campaign_lift: f64,

    /// Share of the shoppers that are bots.
    pub bot_user_rate: f64,
    /// Share of the rows that bots make, at most 0.5; nothing without bots.
    pub bot_event_rate: f64,

    /// Share of the rows whose user is null.
    pub null_user_rate: f64,
    /// Share of the rows whose item is null.
    pub null_item_rate: f64,
    /// Share of the rows whose event type is one that nobody announced.
    pub unknown_type_rate: f64,
    /// Share of the rows that repeat another row, event id and all.
    pub duplicate_rate: f64,
    /// Share of the rows dated 1 to 365 days after the log's last day.
    pub future_rate: f64,

    /// Compression of every file: `"none"`, `"snappy"` or `"zstd"`.
    pub compression: Compression,
    /// Rows of a row group, 1,000 to 1,000,000. One thread holds one at a time, so memory follows it.
    pub rows_per_row_group: u32,
    /// Rows of one file of events; a busier day has several. It rounds down to whole row groups, at least one.
    pub rows_per_file: u32,

    /// Planted shoppers of each kind, in files of their own under `planted/`, for testing campaigns: they leave a cart, lapse,
    /// run out of something, or nearly do. 0 plants none, at most 9,999; needs 60 days.
    #[serde(skip_serializing_if = "is_zero")]
    pub planted: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            users: 20_000,
            items: 4_000,
            events: 1_000_000,
            categories: 40,
            brands: 240,
            styles: 8,
            start: date(2026, 6, 1),
            days: 90,
            new_user_rate: 0.25,
            new_item_rate: 0.12,
            unavailable_rate: 0.03,
            user_activity_exponent: 0.667,
            item_popularity_exponent: 0.8,
            taste_strength: 0.8,
            style_strength: 0.5,
            brand_strength: 0.35,
            views_per_session: 4.5,
            view_to_cart_rate: 0.06,
            cart_to_purchase_rate: 0.3,
            cart_to_remove_rate: 0.18,
            replenish_rate: 0.015,
            return_rate: 0.25,
            refund_rate: 0.04,
            campaign_days: 3,
            campaign_lift: 1.8,
            bot_user_rate: 0.0002,
            bot_event_rate: 0.02,
            null_user_rate: 0.002,
            null_item_rate: 0.001,
            unknown_type_rate: 0.001,
            duplicate_rate: 0.002,
            future_rate: 0.0005,
            compression: Compression::Snappy,
            rows_per_row_group: 262_144,
            rows_per_file: 1_048_576,
            planted: 0,
        }
    }
}

impl Config {
    /// Says what is wrong, if anything is; `path` is the config's own place, for example `synth`.
    ///
    /// # Errors
    /// One sentence that names the key's full path, what it may be and what it is.
    pub fn check(&self, path: &str) -> Result<(), String> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
        let whole = |key: &str, value: u64, low: u64, high: u64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(format!("{prefix}{key} must be {low} to {high}, is {value}"))
            }
        };
        let real = |key: &str, value: f64, low: f64, high: f64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(format!("{prefix}{key} must be {low} to {high}, is {value}"))
            }
        };
        whole("users", self.users.into(), 1, 1_000_000_000)?;
        whole("items", self.items.into(), 1, 100_000_000)?;
        whole("events", self.events, 1, 1_000_000_000_000)?;
        whole("categories", self.categories.into(), 1, 1_000)?;
        whole("brands", self.brands.into(), 1, 20_000)?;
        whole("styles", self.styles.into(), 1, 64)?;
        whole("days", self.days.into(), 1, 3_660)?;
        if !(1980..=2200).contains(&self.start.year()) {
            return Err(format!("{prefix}start must be in the years 1980 to 2200, is {}", self.start));
        }
        // At least a tenth of the shoppers and items is there on the first day.
        real("new_user_rate", self.new_user_rate, 0.0, 0.9)?;
        real("new_item_rate", self.new_item_rate, 0.0, 0.9)?;
        real("unavailable_rate", self.unavailable_rate, 0.0, 1.0)?;
        real("user_activity_exponent", self.user_activity_exponent, 0.0, 0.95)?;
        real("item_popularity_exponent", self.item_popularity_exponent, 0.0, 0.95)?;
        real("taste_strength", self.taste_strength, 0.0, 1.0)?;
        real("style_strength", self.style_strength, 0.0, 1.0)?;
        real("brand_strength", self.brand_strength, 0.0, 1.0)?;
        real("views_per_session", self.views_per_session, 1.0, 16.0)?;
        real("view_to_cart_rate", self.view_to_cart_rate, 0.0, 1.0)?;
        real("cart_to_purchase_rate", self.cart_to_purchase_rate, 0.0, 1.0)?;
        real("cart_to_remove_rate", self.cart_to_remove_rate, 0.0, 1.0)?;
        let from_cart = self.cart_to_purchase_rate + self.cart_to_remove_rate;
        if from_cart > 1.0 {
            return Err(format!(
                "{prefix}cart_to_purchase_rate and {prefix}cart_to_remove_rate must be 1 together at most, are {from_cart}"
            ));
        }
        real("replenish_rate", self.replenish_rate, 0.0, 1.0)?;
        real("return_rate", self.return_rate, 0.0, 1.0)?;
        real("refund_rate", self.refund_rate, 0.0, 0.5)?;
        real("campaign_lift", self.campaign_lift, 0.1, 20.0)?;
        real("bot_user_rate", self.bot_user_rate, 0.0, 0.5)?;
        real("bot_event_rate", self.bot_event_rate, 0.0, 0.5)?;
        real("null_user_rate", self.null_user_rate, 0.0, 0.2)?;
        real("null_item_rate", self.null_item_rate, 0.0, 0.2)?;
        real("unknown_type_rate", self.unknown_type_rate, 0.0, 0.2)?;
        real("duplicate_rate", self.duplicate_rate, 0.0, 0.2)?;
        real("future_rate", self.future_rate, 0.0, 0.2)?;
        whole("rows_per_row_group", self.rows_per_row_group.into(), 1_000, 1_000_000)?;
        whole("rows_per_file", self.rows_per_file.into(), 1_000, u32::MAX.into())?;
        whole("planted", self.planted.into(), 0, 9_999)?;
        if self.planted > 0 && self.days < MIN_DAYS {
            return Err(format!("{prefix}planted needs {prefix}days of {MIN_DAYS} or more, is {}", self.days));
        }
        Ok(())
    }

    /// Bots among the shoppers; at least one shopper is human.
    pub(crate) fn n_bots(&self) -> u32 {
        ((f64::from(self.users) * self.bot_user_rate).round() as u32).min(self.users - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_order() {
        Config::default().check("synth").unwrap();
        assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
    }

    #[test]
    fn a_wrong_value_is_named_by_its_full_path() {
        let refused = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check("synth").unwrap_err()
        };
        assert_eq!(refused(|c| c.items = 0), "synth.items must be 1 to 100000000, is 0");
        assert_eq!(refused(|c| c.future_rate = f64::NAN), "synth.future_rate must be 0 to 0.2, is NaN");
        assert_eq!(
            refused(|c| (c.cart_to_purchase_rate, c.cart_to_remove_rate) = (0.75, 0.5)),
            "synth.cart_to_purchase_rate and synth.cart_to_remove_rate must be 1 together at most, are 1.25"
        );
        assert!(Config { users: 0, ..Config::default() }.check("").unwrap_err().starts_with("users must be"));
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(toml::from_str::<Config>("evnets = 5").unwrap_err().to_string().contains("evnets"));
    }

    #[test]
    fn the_config_survives_toml_and_json() {
        let config = Config { seed: 99, compression: Compression::Zstd, ..Config::default() };
        assert_eq!(toml::from_str::<Config>(&toml::to_string(&config).unwrap()).unwrap(), config);
        assert_eq!(serde_json::from_str::<Config>(&serde_json::to_string(&config).unwrap()).unwrap(), config);
    }
}
