//! Aggregating buckets: all of them in one process, or some of them in each of many.

use std::sync::Mutex;

use crate::{
    artifacts::WriteFiles,
    config::Config,
    events::Shard,
    ids::IdTable,
    interactions::{Aggregation, BucketCells, Decay, Kind, LeftOut, Stamp, TrendWindows},
    pipeline::{
        PipelineError, aggregate_buckets,
        history::{BucketWriter, Example},
        item_facts::ItemFacts,
        observer::Stages,
    },
    recommendations::Catalog,
};

/// The instants that everything is counted from.
#[derive(Debug, Clone, Copy)]
pub(in crate::pipeline) struct Instants {
    /// What ages are counted from; `None` when events carry no time.
    pub(in crate::pipeline) as_of: Option<Stamp>,
    /// Where the window starts.
    pub(in crate::pipeline) since: Option<Stamp>,
}

/// The stage that sees the events of a bucket: writes `interactions/` and `profiles/`, keeps the cells, and gathers what
/// they tell of items.
pub(in crate::pipeline) struct Buckets<'a> {
    config: &'a Config,
    kinds: &'a [Kind],
    instants: Instants,
    decay: Decay,
    writer: BucketWriter<'a>,
    facts: ItemFacts,
}

impl<'a> Buckets<'a> {
    pub(in crate::pipeline) fn new(
        config: &'a Config,
        kinds: &'a [Kind],
        instants: Instants,
        all_items: &'a IdTable,
        all_catalog: &'a Catalog,
        files: &'a dyn WriteFiles,
    ) -> Self {
        let writer = BucketWriter {
            files,
            items: all_items,
            catalog: all_catalog,
            kinds,
            as_of: instants.as_of,
            n_examples: config.build.example_users,
            examples: Mutex::default(),
            buyers: Mutex::default(),
        };
        Self { config, kinds, instants, decay: Decay::new(), writer, facts: ItemFacts::new(all_items.len()) }
    }

    /// Aggregates all buckets.
    pub(in crate::pipeline) fn aggregate(
        &self,
        shards: Vec<Shard>,
        item_places: &[Vec<u32>],
        n_events: u64,
        stages: &mut Stages<'_>,
    ) -> Result<(Vec<BucketCells>, LeftOut), PipelineError> {
        self.aggregate_only(None, shards, item_places, n_events, stages)
    }

    /// [`aggregate`](Self::aggregate) of rows that all belong to one bucket.
    pub(in crate::pipeline) fn aggregate_only(
        &self,
        only: Option<usize>,
        shards: Vec<Shard>,
        item_places: &[Vec<u32>],
        n_events: u64,
        stages: &mut Stages<'_>,
    ) -> Result<(Vec<BucketCells>, LeftOut), PipelineError> {
        let trending = &self.config.recommendations.trending;
        let Instants { as_of, since } = self.instants;
        let aggregation = Aggregation {
            kinds: self.kinds,
            config: &self.config.interactions,
            as_of,
            since,
            decay: &self.decay,
            trend: as_of.map(|as_of| TrendWindows::new(as_of, trending.days, trending.baseline_days)),
            sessions_by_id: self.config.events.has_session_column(),
        };
        stages.run("aggregate", Some(n_events), "events", |_| {
            let on_bucket = |bucket, pairs: &_| {
                if only.is_some_and(|only| only != bucket) {
                    return Ok(());
                }
                self.facts.add(bucket, pairs);
                self.writer.write(bucket, pairs)
            };
            let keep_times = self.config.model.needs_times();
            let done = aggregate_buckets(shards, item_places, &aggregation, keep_times, &on_bucket)?;
            self.writer.complete_profiles()?;
            Ok::<_, PipelineError>((done, n_events))
        })
    }

    /// The example users, and what is known of items.
    pub(in crate::pipeline) fn finish(self) -> (Vec<Example>, ItemFacts) {
        (self.writer.examples.into_inner().expect("no writer panics while it holds the lock"), self.facts)
    }
}
