//! Making and writing all lists of a run, bucket by bucket, and counting what they show.

use std::{collections::BTreeMap, ops::Range, sync::mpsc};

use serde::{Deserialize, Serialize};

use crate::{
    artifacts::{ListWriter, WriteFiles, bucket_path},
    ids::IdTable,
    interactions::Interactions,
    recommendations::{
        ListBatch, ListKind, PopularConfig, PopularLists, RecommendCounts, Recommended, Recommender, SimilarConfig,
        SimilarCounts, Similarities,
    },
};

use super::{Observer, PipelineError};

/// Users whose scores go into the histograms at most.
const SCORE_SAMPLE: usize = 200_000;

/// Items of one file of similar items.
const SIMILAR_CHUNK: usize = 1 << 20;

/// What the lists show, for the summary and the report.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct ListStats {
    pub(super) counts: RecommendCounts,
    pub(super) n_entries: u64,
    /// Lists by the name of their source.
    pub(super) by_source: BTreeMap<String, u64>,
    /// By `ItemIdx`: on how many lists it stands. Of some of the buckets it is kept as a table instead.
    #[serde(skip)]
    pub(super) places: Vec<u64>,
    /// Best scores of a sample of users.
    pub(super) top: Vec<f32>,
    /// Last scores of full lists of the same users.
    pub(super) kth: Vec<f32>,
    /// Lists of the example users, by user: (items, scores, source).
    pub(super) examples: BTreeMap<String, (Vec<u32>, Vec<f32>, String)>,
}

/// Whose lists are looked at more closely.
pub(super) struct Sample<'a> {
    /// Users before those of `interactions`, in buckets that are worked on elsewhere.
    pub(super) first_user: usize,
    /// Every how manieth user's scores are kept.
    pub(super) every: usize,
    /// Users whose lists are kept: (row of `interactions`, id).
    pub(super) examples: &'a [(usize, String)],
}

/// Every how manieth user is in the sample.
pub(super) fn sample_every(n_users: usize) -> usize {
    n_users.div_ceil(SCORE_SAMPLE).max(1)
}

impl ListStats {
    fn add_lists(&mut self, lists: &Recommended, k: usize, sample: &Sample<'_>) {
        self.counts.add(&lists.counts);
        self.n_entries += lists.items.len() as u64;
        for &item in &lists.items {
            self.places[item as usize] += 1;
        }
        for (user, items, scores, source) in lists.rows() {
            match self.by_source.get_mut(source) {
                Some(n) => *n += 1,
                None => drop(self.by_source.insert(source.to_owned(), 1)),
            }
            if (sample.first_user + user).is_multiple_of(sample.every) {
                self.top.extend(scores.first().filter(|score| score.is_finite()));
                self.kth.extend(scores.get(k.saturating_sub(1)).filter(|score| score.is_finite()));
            }
            if let Some((_, id)) = sample.examples.iter().find(|(example, _)| *example == user) {
                self.examples.insert(id.clone(), (items.to_vec(), scores.to_vec(), source.to_owned()));
            }
        }
    }

    /// Adds what later buckets show, but for the places, which are kept apart.
    pub(super) fn add(&mut self, other: Self) {
        self.counts.add(&other.counts);
        self.n_entries += other.n_entries;
        for (source, n) in other.by_source {
            *self.by_source.entry(source).or_default() += n;
        }
        self.top.extend(other.top);
        self.kth.extend(other.kth);
        self.examples.extend(other.examples);
    }
}

/// Writes `recommendations/`: one file for each of `buckets`, given as its number and its rows of `interactions`. A
/// bucket is written while the next one is made.
pub(super) fn write_recommendations(
    files: &dyn WriteFiles,
    recommender: &Recommender<'_>,
    interactions: &Interactions,
    buckets: impl IntoIterator<Item = (usize, Range<usize>)>,
    k: usize,
    sample: &Sample<'_>,
    on: &dyn Observer,
) -> Result<ListStats, PipelineError> {
    let mut stats = ListStats { places: vec![0; interactions.items.len()], ..ListStats::default() };
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel::<(usize, Recommended)>(1);
        let writer = scope.spawn(move || -> Result<(), PipelineError> {
            for (bucket, lists) in receiver {
                let file = files.file(&bucket_path(ListKind::Recommendations.name(), bucket))?;
                let mut out = ListWriter::create(file, ListKind::Recommendations)?;
                out.write(&lists.batch(&interactions.users, &interactions.items))?;
                out.finish()?;
            }
            Ok(())
        });
        for (bucket, users) in buckets {
            let n_users = users.len() as u64;
            let lists = recommender.recommend_users(interactions, users)?;
            stats.add_lists(&lists, k, sample);
            on.advance(n_users);
            if sender.send((bucket, lists)).is_err() {
                break; // The writer has failed; its error comes with the join.
            }
        }
        drop(sender);
        writer.join().expect("the writer does not panic")?;
        Ok(stats)
    })
}

/// Writes `similar_items/`. Returns the counts, and the lists of `examples`.
pub(super) fn write_similar(
    files: &dyn WriteFiles,
    items: &IdTable,
    similarities: &Similarities<'_>,
    config: &SimilarConfig,
    examples: &[u32],
    on: &dyn Observer,
) -> Result<(SimilarCounts, Vec<SimilarList>), PipelineError> {
    let n_items = items.len();
    let mut counts = SimilarCounts::default();
    let mut shown = Vec::new();
    for (chunk, start) in (0..n_items).step_by(SIMILAR_CHUNK).enumerate() {
        let end = (start + SIMILAR_CHUNK).min(n_items);
        let lists = similarities.of(start..end, config)?;
        let file = files.file(&format!("{}/part-{chunk:03}.parquet", ListKind::SimilarItems.name()))?;
        let mut out = ListWriter::create(file, ListKind::SimilarItems)?;
        out.write(&lists.batch(items))?;
        out.finish()?;
        counts.add(&lists.counts);
        for &item in examples.iter().filter(|&&item| (start..end).contains(&(item as usize))) {
            shown.push((item, lists.list(item as usize)));
        }
        on.advance((end - start) as u64);
    }
    Ok((counts, shown))
}

/// An item and its similar items with scores.
pub(super) type SimilarList = (u32, Vec<(u32, f32)>);

/// Writes `popular/`. Returns the number of lists.
pub(super) fn write_popular(
    files: &dyn WriteFiles,
    popular: &PopularLists,
    items: &IdTable,
    config: &PopularConfig,
) -> Result<u64, PipelineError> {
    write_lists(files, ListKind::Popular, &popular.batch(items, config).sorted_by_key())
}

/// Writes the only file of a kind of lists, keys ascending. Returns the number of lists.
pub(super) fn write_lists(files: &dyn WriteFiles, kind: ListKind, lists: &ListBatch<'_>) -> Result<u64, PipelineError> {
    let mut out = ListWriter::create(files.file(&format!("{0}/{0}.parquet", kind.name()))?, kind)?;
    out.write(lists)?;
    out.finish()?;
    Ok(lists.len() as u64)
}
