//! How many fell at which step.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Refusal;

/// The step at which a candidate fell, or none: he came to the merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Must not be written to.
    Consent(Refusal),
    /// Nothing to write about: all of it bought, sold out or blocked.
    Items,
    /// Written to often enough lately.
    Cap,
    /// In other campaigns tonight, of higher priority.
    Priority,
    /// A candidate; the size limit decides.
    Candidate,
}

impl Step {
    /// The name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Consent(refusal) => refusal.name(),
            Self::Items => "items",
            Self::Cap => "cap",
            Self::Priority => "priority",
            Self::Candidate => "candidate",
        }
    }

    /// The step of a name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let plain = [Self::Items, Self::Cap, Self::Priority, Self::Candidate];
        let refused = Refusal::ALL.into_iter().map(Self::Consent);
        plain.into_iter().chain(refused).find(|step| step.name() == name)
    }
}

/// What became of a campaign's users and candidates.
///
/// It adds up: `users` are those outside the audience, those outside the rule and `matched`; and of `matched` everybody fell at
/// one step, is held out, or is written to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Funnel {
    /// Users of the run.
    pub users: u64,
    /// Outside the audience: the condition does not hold, or is unknown.
    pub outside_audience: u64,
    /// In the audience, but the kind's rule does not fit.
    pub outside_rule: u64,
    /// Candidates.
    pub matched: u64,
    /// Must not be written to, by reason.
    pub consent: BTreeMap<String, u64>,
    /// Nothing to write about.
    pub items: u64,
    /// Written to often enough lately.
    pub cap: u64,
    /// In other campaigns tonight.
    pub priority: u64,
    /// Beyond the size limit, of both arms.
    pub size: u64,
    /// Members that are left alone.
    pub holdout: u64,
    /// Members that are written to.
    pub send: u64,
}

impl Funnel {
    /// Counts a candidate's step.
    pub fn count(&mut self, step: Step) {
        match step {
            Step::Consent(refusal) => match self.consent.get_mut(refusal.name()) {
                Some(n) => *n += 1,
                None => drop(self.consent.insert(refusal.name().to_owned(), 1)),
            },
            Step::Items => self.items += 1,
            Step::Cap => self.cap += 1,
            Step::Priority => self.priority += 1,
            Step::Candidate => {}
        }
    }

    /// Adds another bucket's counts.
    pub fn add(&mut self, other: &Self) {
        self.users += other.users;
        self.outside_audience += other.outside_audience;
        self.outside_rule += other.outside_rule;
        self.matched += other.matched;
        for (reason, n) in &other.consent {
            *self.consent.entry(reason.clone()).or_default() += n;
        }
        self.items += other.items;
        self.cap += other.cap;
        self.priority += other.priority;
        self.size += other.size;
        self.holdout += other.holdout;
        self.send += other.send;
    }

    /// Candidates without consent, all reasons together.
    #[must_use]
    pub fn n_refused(&self) -> u64 {
        self.consent.values().sum()
    }

    /// Candidates that came to the merge, before the size limit.
    #[must_use]
    pub fn n_candidates(&self) -> u64 {
        self.matched - (self.n_refused() + self.items + self.cap + self.priority).min(self.matched)
    }

    /// As counts by name, for the manifest.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts: BTreeMap<String, u64> = [
            ("users", self.users),
            ("outside_audience", self.outside_audience),
            ("outside_rule", self.outside_rule),
            ("matched", self.matched),
            ("items", self.items),
            ("cap", self.cap),
            ("priority", self.priority),
            ("size", self.size),
            ("holdout", self.holdout),
            ("send", self.send),
        ]
        .into_iter()
        .map(|(name, n)| (name.to_owned(), n))
        .collect();
        counts.extend(self.consent.iter().map(|(reason, n)| (format!("consent.{reason}"), *n)));
        counts
    }

    /// The funnel of counts by name.
    #[must_use]
    pub fn from_counts(counts: &BTreeMap<String, u64>) -> Self {
        let n = |name: &str| counts.get(name).copied().unwrap_or(0);
        Self {
            users: n("users"),
            outside_audience: n("outside_audience"),
            outside_rule: n("outside_rule"),
            matched: n("matched"),
            consent: counts
                .iter()
                .filter_map(|(name, n)| Some((name.strip_prefix("consent.")?.to_owned(), *n)))
                .collect(),
            items: n("items"),
            cap: n("cap"),
            priority: n("priority"),
            size: n("size"),
            holdout: n("holdout"),
            send: n("send"),
        }
    }

    /// In one line: `900 of 2,000 users matched; 100 consent, ...`.
    #[must_use]
    pub fn words(&self) -> String {
        let steps = [
            ("without consent", self.n_refused()),
            ("nothing to write about", self.items),
            ("capped", self.cap),
            ("in other campaigns", self.priority),
            ("beyond the size", self.size),
            ("held out", self.holdout),
            ("to send", self.send),
        ];
        let steps: Vec<String> = steps.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{n} {name}")).collect();
        let matched = format!(
            "{} users, {} outside the audience, {} to whom the rule does not apply, {} matched",
            self.users, self.outside_audience, self.outside_rule, self.matched
        );
        if steps.is_empty() { matched } else { format!("{matched}: {}", steps.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back() {
        let mut funnel = Funnel { users: 9, outside_audience: 1, outside_rule: 2, matched: 6, ..Funnel::default() };
        for step in [Step::Consent(Refusal::Suppressed), Step::Items, Step::Cap, Step::Priority, Step::Candidate] {
            funnel.count(step);
            assert_eq!(Step::of(step.name()), Some(step));
        }
        assert_eq!(funnel.n_candidates(), 2);
        assert_eq!(Funnel::from_counts(&funnel.counts()), funnel);
        let mut twice = funnel.clone();
        twice.add(&funnel);
        assert_eq!((twice.users, twice.consent["suppressed"], twice.cap), (18, 2, 2));
        assert_eq!(Step::of("size"), None);
    }
}
