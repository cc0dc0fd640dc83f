//! Models side by side: means, intervals, differences from the best.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use super::{
    EvaluationConfig, Interval, ListQuality, Metric, Sample, Segment, UserValues, bootstrap, percentile_interval,
    permutation_test,
};

/// What one fold of a split found of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldScores {
    /// The metrics of the fold's test users.
    pub values: UserValues,
    /// Properties of the lists of its known users, one entry a k.
    pub quality: Vec<ListQuality>,
    /// Seconds of training; `None` for lists that came from elsewhere.
    pub train_seconds: Option<f64>,
    /// Seconds of scoring and ranking for all test users.
    pub score_seconds: Option<f64>,
}

/// A model's results on all folds, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRuns {
    /// Its name in tables.
    pub name: String,
    /// Its kind, `lists` for lists that came from elsewhere.
    pub kind: String,
    /// One entry a fold.
    pub folds: Vec<FoldScores>,
}

/// Models side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The cut-offs; the first is the headline's.
    pub ks: Vec<usize>,
    /// The metric that tables are ordered by, at the first k.
    pub metric: Metric,
    /// Draws behind each interval.
    pub resamples: usize,
    /// Draws of signs behind each p.
    pub permutations: usize,
    /// Share of the draws that an interval holds.
    pub confidence: f64,
    /// Best first by the headline metric; ties in the order they were asked for.
    pub models: Vec<ModelScores>,
}

/// One model's numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelScores {
    /// Its name.
    pub name: String,
    /// Its kind, `lists` for lists that came from elsewhere.
    pub kind: String,
    /// `known` first, then `new`, `all` and the deciles, as far as they have users.
    pub segments: Vec<SegmentScores>,
    /// Properties of the lists of known users at each k: means over the folds.
    pub quality: Vec<ListQuality>,
    /// The headline metric of known users, fold by fold.
    pub folds: Vec<FoldValue>,
    /// Seconds of training over all folds; `None` for lists that came from elsewhere.
    pub train_seconds: Option<f64>,
    /// Seconds of scoring over all folds.
    pub score_seconds: Option<f64>,
}

/// The headline metric of one fold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoldValue {
    /// The fold's name.
    pub fold: String,
    /// The mean over its known users.
    pub value: f64,
}

/// A model's metrics on one segment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SegmentScores {
    /// See [`Segment`].
    pub segment: String,
    /// In words.
    pub label: String,
    /// People.
    pub n_users: u64,
    /// Rows: a person counts once a fold that tests him.
    pub n_rows: u64,
    /// By k, then metric.
    pub estimates: Vec<Estimate>,
}

/// A mean and how sure it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// The metric.
    pub metric: Metric,
    /// Its cut-off.
    pub k: usize,
    /// The mean over the segment's rows.
    pub value: f64,
    /// What resampling the people gives; `None` without resamples.
    pub interval: Option<Interval>,
    /// Whether no model is better (only said of known users).
    pub best: Option<bool>,
    /// The difference from the best model, where this is not the best one.
    pub against: Option<Against>,
}

/// How far a model is from the best one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Against {
    /// The best model.
    pub best: String,
    /// This model's mean minus the best one's.
    pub difference: f64,
    /// What resampling the people gives for the difference.
    pub interval: Option<Interval>,
    /// Of the paired randomisation test; not corrected for the number of comparisons.
    pub p: Option<f64>,
}

impl SegmentScores {
    /// The estimate of `metric` at k.
    #[must_use]
    pub fn estimate(&self, metric: Metric, k: usize) -> Option<&Estimate> {
        self.estimates.iter().find(|estimate| estimate.metric == metric && estimate.k == k)
    }
}

impl ModelScores {
    /// The segment of that name.
    #[must_use]
    pub fn segment(&self, name: &str) -> Option<&SegmentScores> {
        self.segments.iter().find(|segment| segment.segment == name)
    }
}

/// Puts models side by side.
///
/// Shapes: all models have the same folds and, in each, the same users; `people` numbers the people of each fold's rows
/// (someone whom two folds test has one number).
/// Determinism: for any number of threads.
/// Cost: that of [`bootstrap()`] over three times the users, and of [`permutation_test`] for each model but the best.
#[must_use]
pub fn compare(
    models: &[ModelRuns],
    folds: &[String],
    people: &[Vec<u32>],
    segments: &[Segment],
    config: &EvaluationConfig,
) -> Comparison {
    let mut scores: Vec<ModelScores> = models.iter().map(|model| frame(model, folds)).collect();
    for (at, segment) in segments.iter().enumerate() {
        // Where nobody is new, all are the known ones.
        if let Some(same) = segments[..at].iter().position(|other| other.rows == segment.rows) {
            scores.iter_mut().for_each(|model| repeat(model, same, segment));
            continue;
        }
        let units = units(segment, people);
        let n_units = units.iter().max().map_or(0, |most| *most as usize + 1);
        let samples: Vec<Sample> =
            models.par_iter().map(|model| gather(model, segment, &units, n_units, config)).collect();
        let draws = bootstrap(&samples.iter().collect::<Vec<_>>(), config.resamples, config.seed);
        let known = segment.name == "known";
        let means: Vec<Vec<f64>> = samples.iter().map(Sample::means).collect();
        let bests = bests(&means);
        let tests: Vec<Vec<f64>> = if known && config.permutations > 0 {
            samples.par_iter().map(|sample| test(sample, &samples, &bests, config)).collect()
        } else {
            Vec::new()
        };
        for (number, model) in scores.iter_mut().enumerate() {
            let width = means[number].len();
            let estimates = (0..width).map(|at| {
                let column = |model: usize| draws[model].iter().skip(at).step_by(width).copied();
                let best = bests[at];
                let against = (known && best != number && means[number][at] != means[best][at]).then(|| Against {
                    best: models[best].name.clone(),
                    difference: means[number][at] - means[best][at],
                    interval: percentile_interval(
                        column(number).zip(column(best)).map(|(own, best)| own - best).collect(),
                        config.confidence,
                    ),
                    p: tests.get(number).map(|p| p[at]),
                });
                Estimate {
                    metric: Metric::ALL[at % Metric::ALL.len()],
                    k: config.ks[at / Metric::ALL.len()],
                    value: means[number][at],
                    interval: percentile_interval(column(number).collect(), config.confidence),
                    best: known.then(|| means[number][at] == means[best][at]),
                    against,
                }
            });
            let scores = SegmentScores {
                segment: segment.name.clone(),
                label: segment.label.clone(),
                n_users: n_units as u64,
                n_rows: segment.rows.len() as u64,
                estimates: estimates.collect(),
            };
            model.segments.push(scores);
        }
    }
    for (scores, model) in scores.iter_mut().zip(models) {
        for (at, (fold, value)) in model.folds.iter().zip(&mut scores.folds).enumerate() {
            let rows = segments.iter().filter(|segment| segment.name == "known").flat_map(|segment| &segment.rows);
            let users = rows.filter(|row| row.0 as usize == at).map(|row| row.1 as usize);
            value.value = fold.values.mean(users, 0, config.metric);
        }
    }
    let headline = |model: &ModelScores| {
        let segment = model.segment("known").or(model.segments.first());
        segment.and_then(|segment| segment.estimate(config.metric, config.ks[0])).map_or(0.0, |found| found.value)
    };
    scores.sort_by(|a, b| headline(b).total_cmp(&headline(a)));
    Comparison {
        ks: config.ks.clone(),
        metric: config.metric,
        resamples: config.resamples,
        permutations: config.permutations,
        confidence: config.confidence,
        models: scores,
    }
}

/// The numbers of segment `same` again, under another name and without what is only said of known users.
fn repeat(model: &mut ModelScores, same: usize, segment: &Segment) {
    let mut again = model.segments[same].clone();
    again.segment.clone_from(&segment.name);
    again.label.clone_from(&segment.label);
    again.estimates.iter_mut().for_each(|estimate| (estimate.best, estimate.against) = (None, None));
    model.segments.push(again);
}

fn frame(model: &ModelRuns, folds: &[String]) -> ModelScores {
    let sum = |seconds: &dyn Fn(&FoldScores) -> Option<f64>| model.folds.iter().map(seconds).sum::<Option<f64>>();
    ModelScores {
        name: model.name.clone(),
        kind: model.kind.clone(),
        segments: Vec::new(),
        quality: mean_quality(&model.folds),
        folds: folds.iter().map(|fold| FoldValue { fold: fold.clone(), value: 0.0 }).collect(),
        train_seconds: sum(&|fold| fold.train_seconds),
        score_seconds: sum(&|fold| fold.score_seconds),
    }
}

fn mean_quality(folds: &[FoldScores]) -> Vec<ListQuality> {
    let n_ks = folds.first().map_or(0, |fold| fold.quality.len());
    let mean = |of: &dyn Fn(&ListQuality) -> Option<f64>, at: usize| {
        let values: Vec<f64> = folds.iter().filter_map(|fold| of(&fold.quality[at])).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let always = |of: &dyn Fn(&ListQuality) -> f64, at: usize| mean(&|quality| Some(of(quality)), at).unwrap_or(0.0);
    (0..n_ks)
        .map(|at| ListQuality {
            k: folds[0].quality[at].k,
            coverage: always(&|quality| quality.coverage, at),
            gini: always(&|quality| quality.gini, at),
            novelty: mean(&|quality| quality.novelty, at),
            diversity: mean(&|quality| quality.diversity, at),
            fallback_lists: mean(&|quality| quality.fallback_lists, at),
            fallback_entries: mean(&|quality| quality.fallback_entries, at),
            length: always(&|quality| quality.length, at),
        })
        .collect()
}

/// By row of the segment: the place of its person among the segment's people.
fn units(segment: &Segment, people: &[Vec<u32>]) -> Vec<u32> {
    let person = |row: &(u32, u32)| people[row.0 as usize][row.1 as usize];
    let mut of: BTreeMap<u32, u32> = segment.rows.iter().map(|row| (person(row), 0)).collect();
    of.values_mut().zip(0..).for_each(|(unit, number)| *unit = number);
    segment.rows.iter().map(|row| of[&person(row)]).collect()
}

fn gather(model: &ModelRuns, segment: &Segment, units: &[u32], n_units: usize, config: &EvaluationConfig) -> Sample {
    let mut sample = Sample::new(n_units, config.ks.len() * Metric::ALL.len());
    for (&(fold, user), &unit) in segment.rows.iter().zip(units) {
        sample.add(unit as usize, model.folds[fold as usize].values.row(user as usize));
    }
    sample
}

/// By column: the model with the largest mean, the first of equals.
fn bests(means: &[Vec<f64>]) -> Vec<usize> {
    let width = means.first().map_or(0, Vec::len);
    (0..width)
        .map(|at| (1..means.len()).fold(0, |best, model| if means[model][at] > means[best][at] { model } else { best }))
        .collect()
}

/// p of each column of `sample` against the best model of that column.
fn test(sample: &Sample, samples: &[Sample], bests: &[usize], config: &EvaluationConfig) -> Vec<f64> {
    let width = sample.width;
    let mut differences = sample.sums.clone();
    for (at, difference) in differences.iter_mut().enumerate() {
        *difference -= samples[bests[at % width]].sums[at];
    }
    permutation_test(&differences, width, config.permutations, config.seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evaluation::{RankedLists, TestSet, segments},
        ids::IdTable,
        interactions::Csr,
    };

    /// 60 users with the relevant items u % 7 and 9; the last ten are new.
    fn test_set() -> TestSet {
        let ids: Vec<String> = (0..60).map(|user| format!("u{user:02}")).collect();
        TestSet {
            users: ids.iter().map(String::as_str).collect(),
            known: (0..60).map(|user| user < 50).collect(),
            n_train_items: (0..60).map(|user| if user < 50 { 1 + user } else { 0 }).collect(),
            relevant: Csr {
                indptr: (0..=60).map(|user| 2 * user).collect(),
                indices: (0..60).flat_map(|user| [user % 7, 9]).collect(),
                values: Vec::new(),
                times: Vec::new(),
                n_cols: 10,
            },
            unknown_items: IdTable::new(),
        }
    }

    fn runs(name: &str, test: &TestSet, ks: &[usize], list: impl Fn(u32) -> Vec<u32>) -> ModelRuns {
        let mut lists = RankedLists { offsets: vec![0], ..RankedLists::default() };
        for user in 0..test.len() as u32 {
            lists.items.extend(list(user));
            lists.offsets.push(lists.items.len());
        }
        let values = UserValues::measure(&lists, &test.relevant, ks);
        let fold = FoldScores { values, quality: Vec::new(), train_seconds: Some(1.0), score_seconds: None };
        ModelRuns { name: name.to_owned(), kind: name.to_owned(), folds: vec![fold] }
    }

    fn compared(threads: usize) -> Comparison {
        let test = test_set();
        let config = EvaluationConfig { ks: vec![3, 1], resamples: 200, permutations: 199, ..Default::default() };
        let models = [
            runs("poor", &test, &config.ks, |user| vec![8, (user + 3) % 7, 9]),
            runs("good", &test, &config.ks, |user| if user % 5 == 0 { vec![8] } else { vec![9, user % 7] }),
            runs("twin", &test, &config.ks, |user| if user % 5 == 0 { vec![8] } else { vec![9, user % 7] }),
        ];
        let people = [(0..60).collect::<Vec<u32>>()];
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| compare(&models, &["test".to_owned()], &people, &segments(&[&test]), &config))
    }

    #[test]
    fn the_best_comes_first_and_the_others_know_by_how_much() {
        let found = compared(2);
        let names: Vec<&str> = found.models.iter().map(|model| model.name.as_str()).collect();
        assert_eq!(names, ["good", "twin", "poor"]);
        let known = found.models[0].segment("known").unwrap();
        assert_eq!((known.n_users, known.n_rows), (50, 50));
        let recall = known.estimate(Metric::Recall, 3).unwrap();
        assert!((recall.value - 0.8).abs() < 1e-12);
        assert_eq!((recall.best, &recall.against), (Some(true), &None));
        let interval = recall.interval.unwrap();
        assert!(interval.low < 0.8 && 0.8 < interval.high);
        // The same numbers: as good, and no difference to tell.
        let twin = found.models[1].segment("known").unwrap().estimate(Metric::Recall, 3).unwrap();
        assert_eq!((twin.best, &twin.against), (Some(true), &None));
        let poor = found.models[2].segment("known").unwrap().estimate(Metric::Recall, 3).unwrap();
        let against = poor.against.as_ref().unwrap();
        assert_eq!((poor.best, against.best.as_str()), (Some(false), "good"));
        assert!((against.difference - (poor.value - 0.8)).abs() < 1e-12);
        assert_eq!(against.p, Some(1.0 / 200.0));
        let interval = against.interval.unwrap();
        assert!(interval.low < against.difference && against.difference < interval.high && interval.high < 0.0);
        assert_eq!(found.models[2].folds[0].value, poor_ndcg(&found));
        assert_eq!((found.models[2].train_seconds, found.models[2].score_seconds), (Some(1.0), None));
    }

    fn poor_ndcg(found: &Comparison) -> f64 {
        found.models[2].segment("known").unwrap().estimate(Metric::Ndcg, 3).unwrap().value
    }

    #[test]
    fn segments_add_up_and_only_the_headline_row_is_tested() {
        let found = compared(1);
        let model = &found.models[2];
        let rows = |name: &str| model.segment(name).unwrap().n_rows;
        assert_eq!((rows("known"), rows("new"), rows("all")), (50, 10, 60));
        assert_eq!((1..=10).map(|decile| rows(&format!("decile_{decile}"))).sum::<u64>(), 50);
        let value = |name: &str| model.segment(name).unwrap().estimate(Metric::HitRate, 3).unwrap().value;
        assert!((50.0 * value("known") + 10.0 * value("new") - 60.0 * value("all")).abs() < 1e-9);
        assert!(model.segment("new").unwrap().estimates.iter().all(|it| it.best.is_none() && it.against.is_none()));
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        assert_eq!(compared(1), compared(4));
    }

    #[test]
    fn a_person_in_two_folds_is_one_unit() {
        let test = test_set();
        let config = EvaluationConfig { ks: vec![3], resamples: 100, permutations: 0, ..Default::default() };
        let one = runs("m", &test, &config.ks, |user| vec![user % 3]);
        let twice = ModelRuns { folds: vec![one.folds[0].clone(), one.folds[0].clone()], ..one.clone() };
        let people: Vec<u32> = (0..60).collect();
        let names = ["a".to_owned(), "b".to_owned()];
        let single = compare(&[one], &names[..1], std::slice::from_ref(&people), &segments(&[&test]), &config);
        let double = compare(&[twice], &names, &[people.clone(), people], &segments(&[&test, &test]), &config);
        let of = |found: &Comparison| found.models[0].segment("known").unwrap().clone();
        let (single, double) = (of(&single), of(&double));
        assert_eq!((double.n_users, double.n_rows), (50, 100));
        for (a, b) in single.estimates.iter().zip(&double.estimates) {
            // Doubled rows know nothing new: a wider claim would be false.
            assert!((a.value - b.value).abs() < 1e-12);
            let (a, b) = (a.interval.unwrap(), b.interval.unwrap());
            assert!((a.low - b.low).abs() < 1e-12 && (a.high - b.high).abs() < 1e-12);
        }
    }
}
