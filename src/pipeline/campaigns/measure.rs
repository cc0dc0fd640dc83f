//! After the fact: what the members bought in the days after their list, those written to against those held out.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use serde::Serialize;
use std::sync::Mutex;

use crate::{
    artifacts::Run,
    campaigns::{ArmTotals, Uplift, uplift},
    config::Config,
    events::{EventsError, ScanInput, scan},
    interactions::{Aggregation, Decay, InteractionsConfig, Stamp},
    recommendations::Arm,
    storage::Storage,
};

use super::ask::{list, members};
use crate::pipeline::{PipelineError, aggregate_buckets, number_items};

/// What a campaign brought.
#[derive(Debug, Clone, Serialize)]
pub struct Measurement {
    /// The campaign.
    pub campaign: String,
    /// Days after the list that were looked at.
    pub days: f64,
    /// Whether the events reach to the end of these days.
    pub is_complete: bool,
    /// Those written to.
    pub send: ArmTotals,
    /// Those held out.
    pub holdout: ArmTotals,
    /// The comparison; `None` where nobody was held out, or nobody written to.
    pub uplift: Option<Uplift>,
}

/// What users bought.
struct Bought {
    by_user: HashMap<String, (u32, f64)>,
    /// The newest event.
    until: Option<Stamp>,
}

/// Measures campaigns of a run (`only` one of them, or all) over `days` after its `as_of`, from the events and orders that
/// the config names now.
///
/// # Errors
/// A run without times, a campaign that it does not have, events that cannot be read.
pub fn measure_campaigns(
    run: &Run,
    config: &Config,
    only: Option<&str>,
    days: f64,
    level: f64,
) -> Result<Vec<Measurement>, PipelineError> {
    let as_of = run.manifest().content.as_of.as_ref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let as_of = as_of.ok_or_else(|| PipelineError::Config(format!("run {} has no as_of to count from", run.name())))?;
    let names: Vec<String> = match only {
        Some(name) => vec![name.to_owned()],
        None => list(run)?.into_iter().map(|line| line.name).collect(),
    };
    let bought = bought_after(config, as_of, days)?;
    let end = as_of.as_second() + (days * 86_400.0) as i64;
    let is_complete = bought.until.is_some_and(|until| until.unix() >= end);
    let mut measured = Vec::new();
    for campaign in names {
        let mut arms: BTreeMap<Arm, ArmTotals> = BTreeMap::new();
        members(run, &campaign, |table| {
            for row in table.batch().rows() {
                let (orders, revenue) = bought.by_user.get(row.list.key).copied().unwrap_or_default();
                arms.entry(row.arm).or_default().add(orders, revenue);
            }
            Ok(true)
        })?;
        let of = |arm| arms.get(&arm).copied().unwrap_or_default();
        let (send, holdout) = (of(Arm::Send), of(Arm::Holdout));
        measured.push(Measurement {
            uplift: uplift(&send, &holdout, level),
            campaign,
            days,
            is_complete,
            send,
            holdout,
        });
    }
    Ok(measured)
}

/// Orders and money of every user after an instant.
fn bought_after(config: &Config, as_of: jiff::Timestamp, days: f64) -> Result<Bought, PipelineError> {
    let kinds = config.kinds().map_err(PipelineError::Config)?;
    let storage = Storage::new(config.s3.clone());
    let at = |seconds: i64| jiff::Timestamp::from_second(seconds).map(|at| at.to_string());
    let wrong = |error: jiff::Error| PipelineError::Config(format!("--days: {error}"));
    let mut events = config.events.clone();
    events.since = Some(at(as_of.as_second() + 1).map_err(wrong)?);
    events.until = Some(at(as_of.as_second() + (days * 86_400.0) as i64).map_err(wrong)?);
    events.window_days = None;
    events.as_of = None;
    let interactions =
        InteractionsConfig { max_events: 0, max_events_per_active_day: 0.0, ..config.interactions.clone() };
    let input = ScanInput {
        storage: &storage,
        events: &events,
        orders: &config.orders,
        kinds: &kinds,
        n_buckets: interactions.n_buckets,
        now: Stamp(u32::MAX),
        bucket: None,
    };
    let scanned = match scan(&input, &|_| {}) {
        // All days lie before the list: there is nothing yet.
        Err(EventsError::AllPruned { .. }) => return Ok(Bought { by_user: HashMap::new(), until: None }),
        scanned => scanned?,
    };
    let (shards, scanned) = scanned.split();
    let (_, places) = number_items(&shards);
    let decay = Decay::new();
    let aggregation = Aggregation {
        kinds: &kinds,
        config: &interactions,
        as_of: scanned.as_of,
        since: scanned.since,
        decay: &decay,
        trend: None,
        sessions_by_id: false,
    };
    let all = Mutex::new(HashMap::new());
    aggregate_buckets(shards, &places, &aggregation, false, &|_, pairs| {
        let profiles = &pairs.profiles;
        let mut own = Vec::new();
        for (user, id) in pairs.users.iter().enumerate() {
            let n_orders = profiles.orders.n_orders(user);
            let money = profiles.money_of_all_time(user) as f64 / 1e4;
            if n_orders > 0 || money != 0.0 {
                own.push((id.to_owned(), (n_orders, money)));
            }
        }
        all.lock().expect("nobody panics while he holds the lock").extend(own);
        Ok::<_, PipelineError>(())
    })?;
    let by_user = all.into_inner().expect("nobody panics while he holds the lock");
    Ok(Bought { by_user, until: scanned.as_of })
}
