//! What a database cannot hold is refused before anything of a batch is sent, with the row named.

use crate::{
    publish::{PublishError, Rows, Section, lists::member_key},
    recommendations::ListRow,
};

/// What a kind of server can hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Whether text may hold NUL.
    pub(super) holds_nul: bool,
    /// Longest key in bytes: an index holds it.
    pub(super) max_key_bytes: usize,
    /// Longest key in characters: its column's width.
    pub(super) max_key_chars: usize,
    /// Longest name of a campaign in characters.
    pub(super) max_campaign_chars: usize,
}

/// Finds the first row that cannot be held.
pub(super) fn check_storable(store: &str, rows: &Rows<'_>, limits: &Limits) -> Result<(), PublishError> {
    let refuse = |section: Section, key: String, why: String| {
        Err(PublishError::Unstorable { store: store.to_owned(), section, key, why })
    };
    match rows {
        Rows::Lists(section, lists) => {
            for list in lists.rows() {
                if let Some(why) = limits.fault_of_list(&list) {
                    return refuse(*section, list.key.to_owned(), why);
                }
            }
        }
        Rows::Members(members) => {
            let name = members.campaign;
            let campaign = limits.fault_of_text("the campaign's name", name).or_else(|| {
                let n_chars = name.chars().count();
                (n_chars > limits.max_campaign_chars).then(|| {
                    format!("the campaign's name has {n_chars} characters, at most {} fit", limits.max_campaign_chars)
                })
            });
            for member in members.rows() {
                let why = campaign
                    .clone()
                    .or_else(|| limits.fault_of_list(&member.list))
                    .or_else(|| limits.fault_of_text("the reason", member.reason))
                    .or_else(|| limits.fault_of_json("the variables", member.variables));
                if let Some(why) = why {
                    return refuse(Section::Campaigns, member_key(name, member.list.key), why);
                }
            }
        }
        Rows::Profiles(_) => {}
    }
    Ok(())
}

impl Limits {
    fn fault_of_list(&self, list: &ListRow<'_, '_>) -> Option<String> {
        if list.key.len() > self.max_key_bytes {
            return Some(format!("it has {} bytes, at most {} fit", list.key.len(), self.max_key_bytes));
        }
        // Counted only where it might be too long: characters are never more than bytes.
        if list.key.len() > self.max_key_chars {
            let n_chars = list.key.chars().count();
            if n_chars > self.max_key_chars {
                return Some(format!("it has {n_chars} characters, at most {} fit", self.max_key_chars));
            }
        }
        self.fault_of_text("it", list.key)
            .or_else(|| list.items.iter().find_map(|item| self.fault_of_text("an item", item)))
            .or_else(|| self.fault_of_text("its source", list.source))
    }

    fn fault_of_text(&self, what: &str, text: &str) -> Option<String> {
        (!self.holds_nul && text.as_bytes().contains(&0)).then(|| format!("{what} has a NUL character"))
    }

    fn fault_of_json(&self, what: &str, text: &str) -> Option<String> {
        (!self.holds_nul && has_nul_escape(text)).then(|| format!("{what} have a NUL character"))
    }
}

/// Whether JSON text holds `\u0000`; `\\u0000` is a backslash and text.
fn has_nul_escape(json: &str) -> bool {
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let after = &rest[at + 1..];
        if after.starts_with("u0000") {
            return true;
        }
        let mut after = after.chars();
        after.next();
        rest = after.as_str();
    }
    json.as_bytes().contains(&0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::recommendations::{Arm, ListBatch, MemberBatch, MemberRow};

    const NARROW: Limits = Limits { holds_nul: false, max_key_bytes: 8, max_key_chars: 4, max_campaign_chars: 6 };
    const WIDE: Limits = Limits { holds_nul: true, max_key_bytes: 100, max_key_chars: 100, max_campaign_chars: 100 };

    fn of_list(key: &str, item: &str, limits: &Limits) -> Result<(), String> {
        let mut lists = ListBatch::default();
        lists.push("fine", [("x", 1.0)], "");
        lists.push(key, [("x", 1.0), (item, 0.5)], "");
        check_storable("s", &Rows::Lists(Section::Popular, &lists), limits).map_err(|error| error.to_string())
    }

    #[test]
    fn rows_that_do_not_fit_are_named() {
        for (key, item, why) in [
            ("a\0", "x", "`a\\0` of popular: it has a NUL"),
            ("a", "\0", "`a` of popular: an item has a NUL"),
            ("abcde", "x", "5 characters, at most 4"),
            ("漢字漢", "x", "9 bytes, at most 8"),
        ] {
            let error = of_list(key, item, &NARROW).unwrap_err();
            assert!(error.contains(why), "{error}");
            of_list(key, item, &WIDE).unwrap();
        }
        of_list("éèêë", "an item as long as you like", &NARROW).unwrap();
    }

    #[test]
    fn members_that_do_not_fit_are_named() {
        let check = |campaign: &str, reason: &str, variables: &str| {
            let mut members = MemberBatch { campaign, ..Default::default() };
            let list = ListRow { key: "u", items: &[], scores: &[], source: "" };
            members.push(&MemberRow { list, rank: 1, score: 1.0, arm: Arm::Send, reason, variables });
            check_storable("s", &Rows::Members(&members), &NARROW).map_err(|error| error.to_string())
        };
        check("spring", "bought \\u0000 twice", r#"{"a":"\\u0000"}"#).unwrap();
        assert!(check("summer!", "", "{}").unwrap_err().contains("7 characters, at most 6"));
        assert!(check("spring", "\0", "{}").unwrap_err().contains("`u (campaign spring)` of campaigns: the reason"));
        assert!(check("spring", "", r#"{"a":"\\\u0000"}"#).unwrap_err().contains("the variables have a NUL"));
    }
}
