//! Earlier runs: who was contacted when, what the catalogue said, how long the lists were.
//!
//! A run counts when it is committed and of an earlier night (UTC day of its `as_of`) than this one: a build that is
//! repeated is not held back by its own first attempt. Of several runs of one night the last one made counts.

use std::collections::BTreeMap;

use crate::{
    artifacts::{
        CONTACTS, ContactRow, FileBytes, InputContent, InputObserved, ItemTable, Run, bucket_path, list_runs,
        read_contacts,
    },
    campaigns::{Contact, Lists, Plan, Rule},
    ids::{IdTable, bucket_of, id_hash},
    interactions::Stamp,
};

use super::{CampaignInputs, CampaignsDone, EarlierSizes};
use crate::pipeline::PipelineError;

/// Days that contacts are remembered for, whatever the caps say today.
const LOG_DAYS: u32 = 90;

/// Earlier runs whose sizes the report shows.
const N_EARLIER: usize = 13;

/// What earlier runs tell.
pub(super) struct Past {
    /// The night of this run.
    pub(super) tonight: Option<u32>,
    contacts: Option<ContactLog>,
    /// The assortment of the run to compare with.
    pub(super) assortment: Option<ItemTable>,
    log_days: u32,
}

/// The log of the night before.
enum ContactLog {
    /// Of as many buckets as this run's.
    Same(Box<Run>),
    /// Dealt anew.
    Dealt(Vec<Vec<ContactRow>>),
}

/// The night of a run, as [`Stamp::day`] counts.
fn night_of(run: &Run) -> Option<u32> {
    let as_of: jiff::Timestamp = run.manifest().content.as_of.as_ref()?.parse().ok()?;
    Some(Stamp::from_unix(as_of.as_second())?.day())
}

/// Looks through the runs of the same place.
pub(super) fn find(inputs: &CampaignInputs<'_>, plan: &Plan, done: &mut CampaignsDone) -> Result<Past, PipelineError> {
    let config = inputs.config;
    let log_days = LOG_DAYS.max(config.campaigns.longest_cap_days(&config.campaign));
    let mut past = Past { tonight: inputs.as_of.map(Stamp::day), contacts: None, assortment: None, log_days };
    let Some(tonight) = past.tonight else { return Ok(past) };
    let listing = list_runs(inputs.root)?;
    // Newest first within a night, nights ascending: the last of each night is the first made of it here.
    let mut nights: BTreeMap<u32, Run> = BTreeMap::new();
    for run in listing.runs {
        if let Some(night) = night_of(&run).filter(|night| *night < tonight) {
            nights.entry(night).or_insert(run);
        }
    }
    for run in nights.values().rev().take(N_EARLIER).rev() {
        let content = &run.manifest().content;
        let send = content.counts.iter().filter_map(|(table, counts)| {
            Some((table.strip_prefix("campaign.")?.to_owned(), counts.get("send").copied().unwrap_or(0)))
        });
        let send: BTreeMap<String, u64> = send.collect();
        if !send.is_empty() {
            done.earlier_sizes.push(EarlierSizes { as_of: content.as_of.clone().unwrap_or_default(), send });
        }
    }
    let has = |run: &&Run, folder: &str| run.files_in(folder).next().is_some();
    if let Some(run) = nights.values().rev().find(|run| has(run, CONTACTS)) {
        remember(run, "campaign_contacts", done);
        past.contacts = Some(ContactLog::open(run, config.interactions.n_buckets)?);
    }
    if plan.any(Rule::compares_catalogs) && config.campaigns.earlier_catalog.is_none() {
        let latest = tonight.saturating_sub(config.campaigns.compare_days);
        if let Some((_, run)) = nights.range(..=latest).rev().find(|(_, run)| has(run, "assortment")) {
            remember(run, "earlier_catalog", done);
            past.assortment = run.assortment()?;
        }
    }
    Ok(past)
}

/// Enters a run among the inputs.
fn remember(run: &Run, role: &str, done: &mut CampaignsDone) {
    let checksum = format!("run:{}", run.manifest().content_sha256);
    done.inputs.push(InputContent { role: role.to_owned(), checksum: checksum.clone(), bytes: 0 });
    let path = run.path().display().to_string();
    done.inputs_observed.push(InputObserved { role: role.to_owned(), path, checksum, bytes: 0 });
}

impl ContactLog {
    fn open(run: &Run, n_buckets: usize) -> Result<Self, PipelineError> {
        if run.manifest().content.n_buckets == n_buckets {
            return Ok(Self::Same(Box::new(run.clone())));
        }
        let mut dealt = vec![Vec::new(); n_buckets];
        for file in run.files_in(CONTACTS) {
            for row in rows_of(run, &file.path)? {
                dealt[bucket_of(id_hash(row.user.as_bytes()), n_buckets)].push(row);
            }
        }
        Ok(Self::Dealt(dealt))
    }
}

fn rows_of(run: &Run, path: &str) -> Result<Vec<ContactRow>, PipelineError> {
    let file = FileBytes { path: run.path().join(path), bytes: run.read(path)? };
    Ok(read_contacts(&file)?)
}

impl Past {
    /// The contacts of a bucket, of earlier nights that are still remembered.
    pub(super) fn rows(&self, bucket: usize) -> Result<Vec<ContactRow>, PipelineError> {
        let Some(tonight) = self.tonight else { return Ok(Vec::new()) };
        let mut rows = match &self.contacts {
            None => Vec::new(),
            Some(ContactLog::Dealt(dealt)) => dealt[bucket].clone(),
            Some(ContactLog::Same(run)) => {
                let path = bucket_path(CONTACTS, bucket);
                match run.manifest().file(&path) {
                    Some(_) => rows_of(run, &path)?,
                    None => Vec::new(),
                }
            }
        };
        rows.retain(|row| row.night < tonight && row.night + self.log_days > tonight);
        Ok(rows)
    }

    /// The contacts of a bucket's users; `places` are the campaigns' places in the config by name.
    pub(super) fn contacts(
        &self,
        bucket: usize,
        users: &IdTable,
        places: &BTreeMap<&str, u16>,
    ) -> Result<Lists<Contact>, PipelineError> {
        let rows = self.rows(bucket)?;
        let mut found: Vec<(usize, Contact)> = rows
            .iter()
            .filter_map(|row| {
                let campaign = places.get(row.campaign.as_str()).copied();
                Some((users.position(&row.user)?, Contact { night: row.night, campaign }))
            })
            .collect();
        found.sort_unstable();
        let mut contacts = Lists::default();
        let mut next = found.into_iter().peekable();
        for user in 0..users.len() {
            let mut own = Vec::new();
            while let Some((_, contact)) = next.next_if(|(of, _)| *of == user) {
                own.push(contact);
            }
            contacts.push(own);
        }
        Ok(contacts)
    }
}
