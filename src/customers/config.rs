//! Where customers lie and what their columns are called.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sql::ReplicaConfig;

/// Attributes and channels together; each row keeps a bit for each.
const MAX_COLUMNS: usize = 60;

/// Names of columns that hold contact addresses. They are looked up at the time of sending, by another program.
const ADDRESSES: [&str; 14] = [
    "email",
    "e_mail",
    "mail",
    "email_address",
    "mail_address",
    "phone",
    "phone_number",
    "telephone",
    "mobile",
    "mobile_number",
    "address",
    "street",
    "push_token",
    "device_token",
];

/// `[customers.columns]`: the columns of customers; `""` for none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CustomerColumns {
    /// Who, as in the events: text or integers.
    pub user_id: String,
    /// Whether he wants nothing at all any more: a boolean, 0 or 1, yes or no, or the time since when.
    pub unsubscribed: String,
    /// Whether he must not be written to (bounced, complained, under age): as `unsubscribed`.
    pub suppressed: String,
    /// Language and country, e.g. de-AT.
    pub locale: String,
    /// When he became a customer.
    pub created_at: String,
}

impl Default for CustomerColumns {
    fn default() -> Self {
        Self {
            user_id: "user_id".into(),
            unsubscribed: String::new(),
            suppressed: String::new(),
            locale: String::new(),
            created_at: String::new(),
        }
    }
}

/// `[customers]`: who may be written to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CustomersConfig {
    /// Directories, files, globs and s3:// prefixes of Parquet files.
    pub paths: Vec<String>,
    /// Column names.
    pub columns: CustomerColumns,
    /// Consent by channel: the column that holds it. Conditions see it as `consent_<channel>`.
    pub consent: BTreeMap<String, String>,
    /// What conditions may ask besides: the column of each name. Never a contact address.
    pub attributes: BTreeMap<String, String>,
    /// The build fails when a larger share of the rows has no usable user id.
    pub max_rejected_ratio: f64,
    /// A table or query of a read replica, instead of `paths`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica: Option<ReplicaConfig>,
}

impl Default for CustomersConfig {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            columns: CustomerColumns::default(),
            consent: BTreeMap::new(),
            attributes: BTreeMap::new(),
            max_rejected_ratio: 0.05,
            replica: None,
        }
    }
}

impl CustomersConfig {
    /// Whether there are customers to read.
    #[must_use]
    pub fn is_set(&self) -> bool {
        !self.paths.is_empty() || self.replica.is_some()
    }

    /// The columns of [`CustomerTable`](super::CustomerTable), without their types, in order.
    #[must_use]
    pub fn column_names(&self) -> Vec<String> {
        let mut names = vec!["user_id".to_owned()];
        names.extend(self.consent.keys().map(|channel| format!("consent_{channel}")));
        names.extend(["unsubscribed".to_owned(), "suppressed".to_owned()]);
        for (name, column) in [("locale", &self.columns.locale), ("created_at", &self.columns.created_at)] {
            names.extend(Some(name.to_owned()).filter(|_| !column.is_empty()));
        }
        names.extend(self.attributes.keys().cloned());
        names
    }

    /// Checks the values that need no file.
    ///
    /// # Errors
    /// The key's full path, what it must be and what it is.
    pub fn check(&self, path: &str) -> Result<(), String> {
        if self.columns.user_id.is_empty() {
            return Err(format!("{path}.columns.user_id must name a column"));
        }
        if let Some(replica) = &self.replica {
            replica.check(&format!("{path}.replica"))?;
            if !self.paths.is_empty() {
                return Err(format!("of {path}.paths and {path}.replica only one may say where customers are"));
            }
        }
        if !(0.0..=1.0).contains(&self.max_rejected_ratio) {
            return Err(format!("{path}.max_rejected_ratio must be 0 to 1, is {}", self.max_rejected_ratio));
        }
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        for (key, columns) in [("consent", &self.consent), ("attributes", &self.attributes)] {
            for (name, column) in columns {
                if name.is_empty() || !name.bytes().all(plain) || name.as_bytes()[0].is_ascii_digit() {
                    return Err(format!(
                        "{path}.{key}: names must be lower-case letters, digits and `_`, and not begin with a digit; is `{name}`"
                    ));
                }
                if column.is_empty() {
                    return Err(format!("{path}.{key}.{name} must name a column"));
                }
            }
        }
        for (name, column) in &self.attributes {
            let is_address = |text: &str| ADDRESSES.contains(&text.to_lowercase().replace('-', "_").as_str());
            if is_address(name) || is_address(column) {
                return Err(format!(
                    "{path}.attributes.{name} must not be a contact address: addresses are looked up when a campaign is sent, \
                     and are never read by a build"
                ));
            }
        }
        let names = self.column_names();
        if names.len() > MAX_COLUMNS {
            return Err(format!("{path}: at most {MAX_COLUMNS} columns are kept, there are {}", names.len()));
        }
        if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            return Err(format!("{path}.attributes.{0}: there is a column `{0}` already", twice.1));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_a_fixed_order_and_addresses_are_refused() {
        let mut config = CustomersConfig {
            consent: [("email".to_owned(), "ok_mail".to_owned())].into(),
            attributes: [("country".to_owned(), "land".to_owned())].into(),
            ..Default::default()
        };
        config.columns.locale = "lang".into();
        config.check("customers").unwrap();
        assert_eq!(
            config.column_names(),
            ["user_id", "consent_email", "unsubscribed", "suppressed", "locale", "country"]
        );
        for (name, column, wanted) in [
            ("mail", "x", "customers.attributes.mail must not be a contact address"),
            ("x", "E-Mail", "customers.attributes.x must not be a contact address"),
            ("locale", "x", "customers.attributes.locale: there is a column `locale` already"),
            ("Land", "x", "customers.attributes: names must be lower-case"),
            ("land", "", "customers.attributes.land must name a column"),
        ] {
            let mut wrong = config.clone();
            wrong.attributes.insert(name.into(), column.into());
            let error = wrong.check("customers").unwrap_err();
            assert!(error.starts_with(wanted), "{error}");
        }
    }
}
