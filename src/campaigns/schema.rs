//! The columns that conditions may name.

use std::collections::BTreeMap;

use crate::interactions::WINDOWS;

/// Columns made of a profile's lists: the first favourite, and how many items the cart holds.
pub const FAVOURITE_CATEGORY: &str = "favourite_category";
/// See [`FAVOURITE_CATEGORY`].
pub const FAVOURITE_BRAND: &str = "favourite_brand";
/// See [`FAVOURITE_CATEGORY`].
pub const CART_ITEMS: &str = "cart_items";

/// Columns of profiles that are numbers, besides those of event types and windows.
const PROFILE_NUMBERS: [&str; 14] = [
    "active_days",
    "recency_days",
    "frequency",
    "days_since_last_event",
    "days_since_last_order",
    "average_basket",
    "items_per_order",
    "days_between_orders",
    "rfm_recency",
    "rfm_frequency",
    "rfm_monetary",
    "favourite_category_share",
    "favourite_brand_share",
    CART_ITEMS,
];

/// What a column holds. Any cell may be unknown (null).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// A number.
    Number,
    /// Text.
    Text,
    /// True or false.
    Boolean,
    /// An instant, in Unix seconds.
    Instant,
    /// Known only when the data is there: an attribute of customers, while the config is checked.
    Any,
}

impl ColumnType {
    /// The type in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Text => "text",
            Self::Boolean => "true or false",
            Self::Instant => "an instant",
            Self::Any => "of a type that the data says",
        }
    }
}

/// Columns by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    columns: BTreeMap<String, ColumnType>,
}

impl Schema {
    /// No columns.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The columns of profiles that are plain values, with event types of these names, and those that are made of
    /// their lists: the first favourite category and brand with their shares, and how many items the cart holds.
    #[must_use]
    pub fn of_profiles(kinds: &[&str]) -> Self {
        let mut schema = Self::new();
        let windows = || WINDOWS.iter().map(|days| days.map_or_else(|| "all".to_owned(), |days| format!("{days}d")));
        for kind in kinds {
            for window in windows() {
                schema.put(&format!("n_{kind}_{window}"), ColumnType::Number);
            }
            schema.put(&format!("first_{kind}_at"), ColumnType::Instant);
            schema.put(&format!("last_{kind}_at"), ColumnType::Instant);
        }
        for window in windows() {
            schema.put(&format!("monetary_{window}"), ColumnType::Number);
            schema.put(&format!("orders_{window}"), ColumnType::Number);
            if window != "1d" {
                schema.put(&format!("sessions_{window}"), ColumnType::Number);
            }
        }
        for name in PROFILE_NUMBERS {
            schema.put(name, ColumnType::Number);
        }
        for name in ["first_at", "last_at", "first_order_at", "last_order_at", "next_order_at"] {
            schema.put(name, ColumnType::Instant);
        }
        for name in ["user_id", "rfm_tier", FAVOURITE_CATEGORY, FAVOURITE_BRAND] {
            schema.put(name, ColumnType::Text);
        }
        schema
    }

    /// Adds a column; of two of one name the later one counts.
    pub fn put(&mut self, name: &str, column_type: ColumnType) {
        self.columns.insert(name.to_owned(), column_type);
    }

    /// The type of a column.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<ColumnType> {
        self.columns.get(name).copied()
    }

    /// The columns, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, ColumnType)> + '_ {
        self.columns.iter().map(|(name, &column_type)| (name.as_str(), column_type))
    }

    /// The column that `name` means: of the same letters, or, where just one has them, of other capitals.
    pub(super) fn resolve(&self, name: &str, quoted: bool) -> Option<(&str, ColumnType)> {
        if let Some((known, &column_type)) = self.columns.get_key_value(name) {
            return Some((known, column_type));
        }
        let mut alike = self.columns.iter().filter(|(known, _)| !quoted && known.eq_ignore_ascii_case(name));
        let first = alike.next()?;
        alike.next().is_none().then_some((first.0.as_str(), *first.1))
    }

    /// The known name nearest to an unknown one.
    pub(super) fn nearest(&self, name: &str) -> Option<&str> {
        self.columns
            .keys()
            .map(|known| (strsim::jaro_winkler(known, name), known.as_str()))
            .filter(|(similarity, _)| *similarity > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
            .map(|(_, known)| known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whatever_their_capitals_unless_quoted() {
        let mut schema = Schema::of_profiles(&["view", "purchase"]);
        assert_eq!(schema.get("n_view_7d"), Some(ColumnType::Number));
        assert_eq!(schema.resolve("N_VIEW_7D", false), Some(("n_view_7d", ColumnType::Number)));
        assert_eq!(schema.resolve("N_VIEW_7D", true), None);
        schema.put("Country", ColumnType::Text);
        schema.put("country", ColumnType::Number);
        assert_eq!(schema.resolve("COUNTRY", false), None, "two are meant");
        assert_eq!(schema.resolve("country", false), Some(("country", ColumnType::Number)));
        assert_eq!(schema.nearest("n_veiw_7d"), Some("n_view_7d"));
        assert_eq!(schema.nearest("zzz"), None);
    }
}
