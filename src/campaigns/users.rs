//! The users of one bucket, as campaigns look at them.

use std::collections::BTreeMap;

use crate::{
    ids::IdTable,
    interactions::{PairPurchases, Stamp},
};

use super::{CampaignError, UserTable};

/// Why a person must not be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Not among the customers.
    UnknownCustomer,
    /// On the suppression list (bounces, complaints).
    Suppressed,
    /// Unsubscribed from everything.
    Unsubscribed,
    /// No consent for the channel.
    NoConsent,
}

impl Refusal {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::UnknownCustomer, Self::Suppressed, Self::Unsubscribed, Self::NoConsent];

    /// The name in counts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownCustomer => "unknown_customer",
            Self::Suppressed => "suppressed",
            Self::Unsubscribed => "unsubscribed",
            Self::NoConsent => "no_consent",
        }
    }
}

/// A bucket's users by columns, ids ascending. What no campaign asks for may be empty.
#[derive(Debug, Clone, Default)]
pub struct BucketUsers {
    /// Ids, ascending.
    pub ids: IdTable,
    /// What conditions look at.
    pub table: UserTable,
    /// What each user did.
    pub pairs: Pairs,
    /// Items in the cart: added, not bought, not removed; newest first.
    pub carts: Lists<CartItem>,
    /// Favourite categories (numbers of the shop's catalogue) with their shares.
    pub favourite_categories: Lists<(u32, f32)>,
    /// Favourite brands with their shares.
    pub favourite_brands: Lists<(u32, f32)>,
    /// Recommended items of the shop with scores, best first.
    pub recommendations: Lists<(u32, f32)>,
    /// By channel and user: why he must not be written to. `None` where the shop gave no customers.
    pub refusals: Option<BTreeMap<String, Vec<Option<Refusal>>>>,
    /// When each user was in which campaign.
    pub contacts: Lists<Contact>,
}

/// A list a user.
#[derive(Debug, Clone)]
pub struct Lists<T> {
    /// n_users + 1 offsets; empty when there are no lists at all.
    pub offsets: Vec<usize>,
    /// The entries.
    pub entries: Vec<T>,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self { offsets: Vec::new(), entries: Vec::new() }
    }
}

impl<T> Lists<T> {
    /// A user's list; empty where there are no lists at all.
    #[must_use]
    pub fn of(&self, user: usize) -> &[T] {
        match (self.offsets.get(user), self.offsets.get(user + 1)) {
            (Some(&from), Some(&to)) => &self.entries[from..to],
            _ => &[],
        }
    }

    /// Appends the list of the next user.
    pub fn push(&mut self, entries: impl IntoIterator<Item = T>) {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        self.entries.extend(entries);
        self.offsets.push(self.entries.len());
    }
}

/// An item in a cart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CartItem {
    /// Item number of the shop.
    pub item: u32,
    /// When it was last put in.
    pub added: Stamp,
    /// How many pieces.
    pub quantity: f64,
}

/// A night on which a user was in a campaign, held out or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contact {
    /// Day of the run's `as_of`, as [`Stamp::day`] counts.
    pub night: u32,
    /// The campaign's place in the config; `None` for one that is no longer there.
    pub campaign: Option<u16>,
}

/// (user, item) pairs: items of the shop, ascending within a user.
#[derive(Debug, Clone, Default)]
pub struct Pairs {
    /// n_users + 1 offsets; empty when no campaign asks.
    pub indptr: Vec<usize>,
    /// Item numbers of the shop.
    pub items: Vec<u32>,
    /// What happened, parallel to the items.
    pub facts: Vec<PairFacts>,
}

/// What is known of a pair.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PairFacts {
    /// Decayed weight.
    pub weight: f32,
    /// Time of the last action.
    pub last: Option<Stamp>,
    /// How often it was looked at.
    pub views: u32,
    /// How often it was put into the cart.
    pub carts: u32,
    /// How often it was bought.
    pub purchases: u32,
    /// How often it was given back.
    pub refunds: u32,
    /// When it was bought.
    pub bought: PairPurchases,
}

impl PairFacts {
    /// Whether the user has it: bought more often than given back.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        self.purchases > self.refunds
    }
}

impl Pairs {
    /// A user's pairs.
    pub fn of(&self, user: usize) -> impl ExactSizeIterator<Item = (u32, &PairFacts)> + '_ {
        let range = match (self.indptr.get(user), self.indptr.get(user + 1)) {
            (Some(&from), Some(&to)) => from..to,
            _ => 0..0,
        };
        self.items[range.clone()].iter().copied().zip(&self.facts[range])
    }

    /// What a user did with one item.
    #[must_use]
    pub fn get(&self, user: usize, item: u32) -> Option<&PairFacts> {
        let (&from, &to) = (self.indptr.get(user)?, self.indptr.get(user + 1)?);
        let at = self.items[from..to].binary_search(&item).ok()?;
        Some(&self.facts[from + at])
    }
}

impl BucketUsers {
    /// How many users there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Checks that every column is as long as there are users.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), CampaignError> {
        let n_users = self.len();
        let offsets = [
            ("pairs", &self.pairs.indptr),
            ("carts", &self.carts.offsets),
            ("favourite categories", &self.favourite_categories.offsets),
            ("favourite brands", &self.favourite_brands.offsets),
            ("recommendations", &self.recommendations.offsets),
            ("contacts", &self.contacts.offsets),
        ];
        for (what, offsets) in offsets {
            if !offsets.is_empty() && offsets.len() != n_users + 1 {
                return Err(CampaignError::Length { what: what.to_owned(), is: offsets.len() - 1, n_users });
            }
        }
        for (channel, refusals) in self.refusals.iter().flatten() {
            if refusals.len() != n_users {
                let what = format!("consent for {channel}");
                return Err(CampaignError::Length { what, is: refusals.len(), n_users });
            }
        }
        if self.table.len() != n_users {
            return Err(CampaignError::Length { what: "the table of columns".into(), is: self.table.len(), n_users });
        }
        Ok(())
    }
}
