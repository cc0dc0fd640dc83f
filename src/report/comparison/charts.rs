//! Charts of models side by side.

use minijinja::Value;
use serde::Serialize;

use crate::{
    evaluation::{Comparison, Metric, ModelScores},
    report::{
        charts::{FULL, HALF},
        error::ReportError,
        format,
        svg::{
            Caption,
            line::{Axis, LineChart, Series},
            rows::{BarRow, RangeRow, bars, ranges},
            scatter::{self, Point},
        },
    },
};

/// Everything drawn. What has no data is `None`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Charts {
    pub(super) headline: Option<Figure>,
    pub(super) recall_by_k: Option<Figure>,
    pub(super) metric_by_k: Option<Figure>,
    pub(super) coverage: Option<Figure>,
    pub(super) activity: Option<Figure>,
    pub(super) cost: Option<Figure>,
}

/// A drawing below a sentence.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    pub(super) finding: String,
    pub(super) svg: Value,
    /// The same for a narrow screen.
    pub(super) narrow: Option<Value>,
}

impl Figure {
    fn new(finding: String, svg: Option<String>, narrow: Option<String>) -> Option<Self> {
        Some(Self { finding, svg: Value::from_safe_string(svg?), narrow: narrow.map(Value::from_safe_string) })
    }
}

pub(super) fn charts(found: &Comparison) -> Result<Charts, ReportError> {
    Ok(Charts {
        headline: headline(found)?,
        recall_by_k: by_k(found, Metric::Recall, "chart-recall")?,
        metric_by_k: by_k(
            found,
            if found.metric == Metric::Recall { Metric::Ndcg } else { found.metric },
            "chart-metric",
        )?,
        coverage: coverage(found)?,
        activity: activity(found)?,
        cost: cost(found)?,
    })
}

/// By model: its colour. Popularity is the grey that all others are held against.
pub(super) fn classes(found: &Comparison) -> Vec<&'static str> {
    const COLOURS: [&str; 7] = ["c1", "c2", "c3", "c4", "c5", "c6", "c7"];
    let mut next = COLOURS.iter().cycle();
    let colour = |model: &ModelScores| if model.kind == "popularity" { "c8" } else { next.next().expect("endless") };
    found.models.iter().map(colour).collect()
}

fn value(model: &ModelScores, segment: &str, metric: Metric, k: usize) -> Option<f64> {
    model.segment(segment)?.estimate(metric, k).map(|estimate| estimate.value)
}

fn headline(found: &Comparison) -> Result<Option<Figure>, ReportError> {
    let (metric, Some(&k)) = (found.metric, found.ks.first()) else { return Ok(None) };
    let name = format!("{}@{k}", metric.name());
    let estimates: Vec<_> =
        found.models.iter().filter_map(|model| model.segment("known")?.estimate(metric, k)).collect();
    let finding = match (found.models.first(), estimates.first(), estimates.get(1)) {
        (Some(best), Some(first), Some(second)) => {
            let next = &found.models[1].name;
            let told = match second.against.as_ref().and_then(|against| against.p) {
                Some(p) if p < 0.05 => format!("ahead of {next} by more than chance (p {})", small(p)),
                Some(p) => format!("not told apart from {next} (p {p:.2})"),
                None => format!("ahead of {next}"),
            };
            let told = if second.value == first.value { format!("as good as {next}") } else { told };
            format!("{} has the best {name}, {:.4}, {told}.", best.name, first.value)
        }
        (Some(best), Some(first), None) => format!("{} reaches {name} of {:.4}.", best.name, first.value),
        _ => String::new(),
    };
    let classes = classes(found);
    let rows: Vec<RangeRow<'_>> = found
        .models
        .iter()
        .zip(&estimates)
        .zip(&classes)
        .map(|((model, estimate), class)| {
            let interval = estimate.interval.map(|it| (it.low, it.high));
            let range = interval.map_or(String::new(), |(low, high)| format!("\n{low:.4} to {high:.4}"));
            let against = estimate.against.as_ref().map_or(String::new(), |against| {
                let p = against.p.map_or(String::new(), |p| format!(", p {}", small(p)));
                format!("\n{:+.4} against {}{p}", against.difference, against.best)
            });
            RangeRow {
                label: model.name.clone(),
                class,
                value: estimate.value,
                interval,
                text: format!("{:.4}", estimate.value),
                tip: format!("{}\n{name} {:.4}{range}{against}", model.name, estimate.value),
            }
        })
        .collect();
    let caption = Caption { id: "chart-headline", title: "The headline metric with its interval", desc: &finding };
    let narrow = ranges(Caption { id: "chart-headline-narrow", ..caption }, HALF, &name, &rows)?;
    let svg = ranges(caption, FULL, &name, &rows)?;
    Ok(Figure::new(finding.clone(), svg, narrow))
}

/// A p as it is said: the smallest that so many draws can give is a bound.
fn small(p: f64) -> String {
    if p < 0.01 { format!("{p:.4}") } else { format!("{p:.2}") }
}

fn by_k(found: &Comparison, metric: Metric, id: &str) -> Result<Option<Figure>, ReportError> {
    let mut ks = found.ks.clone();
    ks.sort_unstable();
    if ks.len() < 2 {
        return Ok(None);
    }
    let classes = classes(found);
    let series: Vec<Series<'_>> = found
        .models
        .iter()
        .zip(&classes)
        .map(|(model, class)| Series {
            label: format::clip(&model.name, 22),
            class,
            points: ks.iter().filter_map(|&k| Some((k as f64, value(model, "known", metric, k)?))).collect(),
            tips: ks.iter().map(|&k| tip(found, &format!("{}@{k}", metric.name()), "known", metric, k)).collect(),
        })
        .collect();
    let name = metric.name();
    let finding = order_by_k(found, metric, &ks);
    let chart = LineChart {
        caption: Caption { id, title: &format!("{name} by k"), desc: &finding },
        size: (HALF, 320.0),
        x: Axis { name: "k", log: false, from_zero: false },
        y: Axis { name, log: false, from_zero: true },
        series,
        marks: Vec::new(),
    };
    let svg = chart.draw()?;
    Ok(Figure::new(finding.clone(), svg, None))
}

/// All models at one place, for the pointer.
fn tip(found: &Comparison, head: &str, segment: &str, metric: Metric, k: usize) -> String {
    found.models.iter().fold(head.to_owned(), |text, model| match value(model, segment, metric, k) {
        Some(value) => format!("{text}\n{} {value:.4}", model.name),
        None => text,
    })
}

fn order_by_k(found: &Comparison, metric: Metric, ks: &[usize]) -> String {
    let leader = |k: usize| {
        let values = found.models.iter().map(|model| value(model, "known", metric, k).unwrap_or(0.0));
        values
            .enumerate()
            .fold((0, f64::NEG_INFINITY), |best, (at, value)| if value > best.1 { (at, value) } else { best })
            .0
    };
    let first = leader(ks[0]);
    let name = |at: usize| found.models.get(at).map_or("", |model| model.name.as_str());
    if ks.iter().all(|&k| leader(k) == first) {
        return format!("{} leads at every k.", name(first));
    }
    let last = leader(ks[ks.len() - 1]);
    if first == last {
        format!("{} leads at both ends, not at every k between.", name(first))
    } else {
        format!("{} leads at {}, {} at {}.", name(first), ks[0], name(last), ks[ks.len() - 1])
    }
}

fn coverage(found: &Comparison) -> Result<Option<Figure>, ReportError> {
    let (metric, Some(&k)) = (found.metric, found.ks.first()) else { return Ok(None) };
    let name = format!("{}@{k}", metric.name());
    let classes = classes(found);
    let points: Vec<Point<'_>> = found
        .models
        .iter()
        .zip(&classes)
        .filter_map(|(model, class)| {
            let quality = model.quality.iter().find(|quality| quality.k == k)?;
            let value = value(model, "known", metric, k)?;
            let shown = format::percent(quality.coverage);
            Some(Point {
                label: model.name.clone(),
                class,
                at: (quality.coverage, value),
                tip: format!("{}\n{name} {value:.4}\ncoverage {shown}, Gini {:.2}", model.name, quality.gini),
            })
        })
        .collect();
    let most = points.iter().fold(None, |best: Option<&Point<'_>>, point| match best {
        Some(best) if best.at.0 >= point.at.0 => Some(best),
        _ => Some(point),
    });
    let finding = most.map_or_else(String::new, |point| {
        format!("{} shows the most of the catalogue: {}.", point.label, format::percent(point.at.0))
    });
    let caption = Caption { id: "chart-coverage", title: "Quality against coverage", desc: &finding };
    let x_name = format!("coverage@{k}: share of the catalogue on some list");
    let svg = scatter::draw(caption, (HALF, 340.0), (&x_name, &name), &points)?;
    Ok(Figure::new(finding.clone(), svg, None))
}

fn activity(found: &Comparison) -> Result<Option<Figure>, ReportError> {
    let (metric, Some(&k)) = (found.metric, found.ks.first()) else { return Ok(None) };
    let deciles: Vec<(usize, String, String)> = (1..=10)
        .filter_map(|decile| {
            let name = format!("decile_{decile}");
            let segment = found.models.first()?.segment(&name)?;
            let head = format!("{}, {} users", segment.label, format::exact(segment.n_users));
            Some((decile, name, head))
        })
        .collect();
    if deciles.len() < 2 {
        return Ok(None);
    }
    let classes = classes(found);
    let series: Vec<Series<'_>> = found
        .models
        .iter()
        .zip(&classes)
        .map(|(model, class)| Series {
            label: format::clip(&model.name, 22),
            class,
            points: deciles
                .iter()
                .filter_map(|(decile, name, _)| Some((*decile as f64, value(model, name, metric, k)?)))
                .collect(),
            tips: deciles.iter().map(|(_, name, head)| tip(found, head, name, metric, k)).collect(),
        })
        .collect();
    let (least, most) = (&deciles[0], &deciles[deciles.len() - 1]);
    let finding = found.models.first().map_or_else(String::new, |model| {
        let at = |name: &str| value(model, name, metric, k).unwrap_or(0.0);
        format!(
            "{}: {:.4} for the least active tenth, {:.4} for the most active.",
            model.name,
            at(&least.1),
            at(&most.1)
        )
    });
    let name = format!("{}@{k}", metric.name());
    let chart = LineChart {
        caption: Caption { id: "chart-activity", title: "The headline metric by activity", desc: &finding },
        size: (FULL, 340.0),
        x: Axis { name: "tenth of the users by number of training items", log: false, from_zero: false },
        y: Axis { name: &name, log: false, from_zero: true },
        series,
        marks: Vec::new(),
    };
    let svg = chart.draw()?;
    let narrow = LineChart {
        caption: Caption { id: "chart-activity-narrow", ..chart.caption },
        size: (HALF, 340.0),
        ..chart.clone()
    };
    let narrow = narrow.draw()?;
    Ok(Figure::new(finding.clone(), svg, narrow))
}

fn cost(found: &Comparison) -> Result<Option<Figure>, ReportError> {
    let rows: Vec<BarRow<'_>> = found
        .models
        .iter()
        .filter_map(|model| {
            let (train, score) = (model.train_seconds?, model.score_seconds?);
            let all = format::duration(train + score);
            Some(BarRow {
                label: model.name.clone(),
                parts: vec![("c1", train), ("c2", score)],
                tip: format!(
                    "{}\ntraining {}\nscoring {}",
                    model.name,
                    format::duration(train),
                    format::duration(score)
                ),
                text: all,
            })
        })
        .collect();
    let longest =
        found.models.iter().filter_map(|model| Some((model.train_seconds? + model.score_seconds?, &model.name))).fold(
            None,
            |best: Option<(f64, &String)>, one| if best.is_some_and(|best| best.0 >= one.0) { best } else { Some(one) },
        );
    let finding = longest.map_or_else(String::new, |(seconds, name)| {
        format!("{name} takes the longest: {}.", format::duration(seconds))
    });
    let caption = Caption { id: "chart-cost", title: "Seconds of training and scoring", desc: &finding };
    let narrow = bars(Caption { id: "chart-cost-narrow", ..caption }, HALF, "seconds", &rows)?;
    let svg = bars(caption, FULL, "seconds", &rows)?;
    Ok(Figure::new(finding.clone(), svg, narrow))
}
