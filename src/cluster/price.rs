//! What a run takes on a cluster: hours and dollars, before it is submitted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::{CreateConfig, GroupConfig, InstancePrice};

/// `[emr.rates]`: what `--plan` reckons with. Measured on one core; see docs/scale.md.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Until the first step runs, in seconds.
    pub start_s: f64,
    /// Of every Spark step, beside its work, in seconds.
    pub step_s: f64,
    /// Core-seconds of Spark for a million events.
    pub shuffle_core_s: f64,
    /// Core-seconds of the survey for a million events.
    pub survey_core_s: f64,
    /// Core-seconds of aggregation for a million events.
    pub aggregate_core_s: f64,
    /// Core-seconds of training for a million cells and iteration, at 64 factors.
    pub train_core_s: f64,
    /// Core-seconds of similar items among 100,000 items, at 64 factors; four times for twice the items.
    pub similar_core_s: f64,
    /// Cells (distinct pairs of user and item) of an event.
    pub cells_per_event: f64,
    /// Core-seconds for the lists of a million users among 100,000 items, at 64 factors.
    pub recommend_core_s: f64,
    /// Core-seconds of the seal for a million users.
    pub seal_core_s: f64,
    /// What a spot node costs of its price on demand.
    pub spot_share: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            start_s: 420.0,
            step_s: 25.0,
            shuffle_core_s: 6.0,
            survey_core_s: 0.4,
            aggregate_core_s: 1.25,
            train_core_s: 0.29,
            similar_core_s: 6.0,
            cells_per_event: 0.8,
            recommend_core_s: 5.4,
            seal_core_s: 2.0,
            spot_share: 0.4,
        }
    }
}

impl Rates {
    /// Checks the values.
    pub(super) fn check(&self, path: &str) -> Result<(), String> {
        for (key, value) in [
            ("start_s", self.start_s),
            ("step_s", self.step_s),
            ("shuffle_core_s", self.shuffle_core_s),
            ("survey_core_s", self.survey_core_s),
            ("aggregate_core_s", self.aggregate_core_s),
            ("train_core_s", self.train_core_s),
            ("similar_core_s", self.similar_core_s),
            ("cells_per_event", self.cells_per_event),
            ("recommend_core_s", self.recommend_core_s),
            ("seal_core_s", self.seal_core_s),
            ("spot_share", self.spot_share),
        ] {
            if !(0.0..1e9).contains(&value) {
                return Err(format!("{path}.{key} must be a number, 0 or more, is {value}"));
            }
        }
        Ok(())
    }
}

/// How large a build is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sizes {
    /// Events.
    pub events: u64,
    /// Users with a list.
    pub users: u64,
    /// Items.
    pub items: u64,
    /// Factors of the model.
    pub n_factors: u64,
    /// Iterations of its training.
    pub iterations: u64,
}

/// What a run will take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// The build's size.
    pub sizes: Sizes,
    /// Seconds by stage, in order.
    pub stages: Vec<(&'static str, f64)>,
    /// Seconds in all.
    pub seconds: f64,
    /// The stage that takes longest.
    pub slowest: &'static str,
    /// Nodes of all roles.
    pub nodes: u32,
    /// Hours of nodes.
    pub instance_hours: f64,
    /// US dollars: EC2 and EMR.
    pub dollars: f64,
}

/// Estimates a run on a cluster of its own.
///
/// Formula: a distributed stage takes its core-seconds over the cores of core and task nodes, the others over those of the
/// primary node; every node is paid from the start to the end.
///
/// # Errors
/// An instance type without a price.
pub fn estimate(
    sizes: Sizes,
    create: &CreateConfig,
    rates: &Rates,
    prices: &BTreeMap<String, InstancePrice>,
) -> Result<Estimate, String> {
    let priced = |group: &GroupConfig| -> Result<(u32, u32, f64), String> {
        let n_nodes = group.on_demand + group.spot;
        let Some(name) = group.instance_types.first().filter(|_| n_nodes > 0) else { return Ok((0, 0, 0.0)) };
        let price = prices
            .get(name)
            .ok_or_else(|| format!("emr.prices has no {name}: give its ec2, emr (dollars an hour) and vcpus"))?;
        let ec2 = price.ec2 * (f64::from(group.on_demand) + f64::from(group.spot) * rates.spot_share);
        Ok((n_nodes, n_nodes * price.vcpus, ec2 + price.emr * f64::from(n_nodes)))
    };
    let (primary, core, task) = (priced(&create.primary)?, priced(&create.core)?, priced(&create.task)?);
    // Without other nodes Spark runs on the primary one.
    let cores = f64::from(if core.1 + task.1 == 0 { primary.1 } else { core.1 + task.1 });
    let own = f64::from(primary.1);
    let (events, users) = (sizes.events as f64 / 1e6, sizes.users as f64 / 1e6);
    let width = sizes.n_factors as f64 / 64.0;
    let cells = events * rates.cells_per_event;
    let items = sizes.items as f64 / 1e5;
    let training = cells * sizes.iterations as f64 * rates.train_core_s + items * items * rates.similar_core_s;
    let stages = vec![
        ("start", rates.start_s),
        ("shuffle", rates.step_s + events * rates.shuffle_core_s / cores),
        ("survey", rates.step_s + events * rates.survey_core_s / cores),
        ("aggregate", rates.step_s + events * rates.aggregate_core_s / cores),
        ("train", training * width / own),
        ("recommend", rates.step_s + users * rates.recommend_core_s * width * items / cores),
        ("seal", users * rates.seal_core_s / own),
    ];
    let seconds: f64 = stages.iter().map(|stage| stage.1).sum();
    let slowest = stages.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map_or("start", |stage| stage.0);
    let hours = seconds / 3_600.0;
    let nodes = primary.0 + core.0 + task.0;
    Ok(Estimate {
        sizes,
        stages,
        seconds,
        slowest,
        nodes,
        instance_hours: hours * f64::from(nodes),
        dollars: hours * (primary.2 + core.2 + task.2),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes() -> Sizes {
        Sizes { events: 100_000_000, users: 4_000_000, items: 500_000, n_factors: 64, iterations: 10 }
    }

    fn price(ec2: f64, emr: f64, vcpus: u32) -> InstancePrice {
        InstancePrice { ec2, emr, vcpus }
    }

    #[test]
    fn hours_and_dollars_by_hand() {
        let mut create = CreateConfig::default();
        create.primary.instance_types = vec!["big".into()];
        create.core = GroupConfig { instance_types: vec!["small".into()], on_demand: 2, ..GroupConfig::default() };
        create.task = GroupConfig { instance_types: vec!["small".into()], spot: 2, ..GroupConfig::default() };
        let prices =
            BTreeMap::from([("big".to_owned(), price(2.0, 0.5, 10)), ("small".to_owned(), price(1.0, 0.2, 5))]);
        let rates = Rates {
            start_s: 100.0,
            step_s: 10.0,
            shuffle_core_s: 20.0,
            survey_core_s: 2.0,
            aggregate_core_s: 4.0,
            train_core_s: 0.1,
            similar_core_s: 2.0,
            cells_per_event: 0.5,
            recommend_core_s: 10.0,
            seal_core_s: 5.0,
            spot_share: 0.5,
        };
        let estimate = estimate(sizes(), &create, &rates, &prices).unwrap();
        // 20 cores: shuffle 10 + 100, survey 10 + 10, aggregate 10 + 20; 10 own: train 50 * 10 * 0.1 / 10 + 25 * 2 / 10 = 10; lists 10 + 4 * 10 * 5 / 20 = 20.
        let seconds: Vec<f64> = estimate.stages.iter().map(|stage| stage.1).collect();
        assert_eq!(seconds, [100.0, 110.0, 20.0, 30.0, 10.0, 20.0, 2.0]);
        assert_eq!(estimate.slowest, "shuffle");
        assert_eq!(estimate.nodes, 5);
        let hours = 292.0 / 3_600.0;
        assert!((estimate.instance_hours - 5.0 * hours).abs() < 1e-9);
        // Primary 2.5, core 2 * 1.2, task 2 * (0.5 + 0.2).
        assert!((estimate.dollars - hours * (2.5 + 2.4 + 1.4)).abs() < 1e-9);
    }

    #[test]
    fn an_instance_without_a_price_is_named() {
        let mut create = CreateConfig::default();
        create.core.instance_types = vec!["m9z.huge".into()];
        let error = estimate(sizes(), &create, &Rates::default(), &BTreeMap::new()).unwrap_err();
        assert!(error.contains("emr.prices has no r6i.4xlarge"), "{error}");
    }
}
