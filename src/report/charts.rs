//! From the data to drawings, each with its finding in words.

use minijinja::Value;
use serde::Serialize;

use super::{
    campaigns,
    data::{Coverage, Histogram, ListSource, ListSources, LongTail, LorenzPoint, LossPoint, ReportData, Scores, Stage},
    days::{Days, days},
    error::ReportError,
    format,
    svg::{
        Caption,
        bars::{self, Part},
        columns::{Bins, Columns},
        line::{Axis, LineChart, Mark, Series},
        lorenz::{self, Curve},
    },
};

/// Width of a chart in one of two columns, and across both.
pub(super) const HALF: f64 = 520.0;
pub(super) const FULL: f64 = 1072.0;

/// Everything drawn. What has no data is `None`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Charts {
    pub(super) days: Option<Days>,
    pub(super) tail: Option<Figure>,
    pub(super) activity: Option<Figure>,
    /// The bins of `activity` in words, for its table.
    pub(super) activity_bins: Vec<String>,
    pub(super) loss: Option<Figure>,
    pub(super) lorenz: Option<Figure>,
    pub(super) scores: Option<Figure>,
    pub(super) sources: Option<Figure>,
    /// The parts of `sources`, in the same order and so of the same colours.
    pub(super) source_rows: Vec<ListSource>,
    pub(super) stages: Option<Figure>,
    pub(super) funnels: Option<Figure>,
    pub(super) campaign_sizes: Option<Figure>,
}

/// One or two drawings below a sentence.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    /// What can be seen.
    pub(super) finding: String,
    /// SVG, safe for the template.
    pub(super) svg: Value,
    /// The same for a narrow screen, where the first would get too small to read.
    pub(super) narrow: Option<Value>,
}

pub(super) fn charts(data: &ReportData) -> Result<Charts, ReportError> {
    let source_rows = data.list_sources.as_ref().map_or_else(Vec::new, sorted_sources);
    Ok(Charts {
        days: optional(data.events_by_day.as_ref(), days)?,
        tail: optional(data.long_tail.as_ref(), tail)?,
        activity: optional(data.activity.as_ref(), activity)?,
        activity_bins: data.activity.as_ref().map_or_else(Vec::new, range_labels),
        loss: loss(&data.training)?,
        lorenz: optional(data.coverage.as_ref(), lorenz)?,
        scores: optional(data.scores.as_ref(), |scores| score_columns(scores, data.headline.k))?,
        sources: sources(&source_rows)?,
        source_rows,
        stages: stages(&data.stages, data.headline.seconds)?,
        funnels: campaigns::funnels(&data.campaigns)?,
        campaign_sizes: campaigns::sizes(&data.campaigns, &data.campaign_sizes)?,
    })
}

fn optional<'a, T, U>(
    part: Option<&'a T>,
    draw: impl FnOnce(&'a T) -> Result<Option<U>, ReportError>,
) -> Result<Option<U>, ReportError> {
    part.map_or(Ok(None), draw)
}

impl Figure {
    pub(super) fn new(finding: String, svg: Option<String>) -> Option<Self> {
        Some(Self { finding, svg: Value::from_safe_string(svg?), narrow: None })
    }
}

fn tail(tail: &LongTail) -> Result<Option<Figure>, ReportError> {
    let finding = format!(
        "The most popular 10 % of the items take {} of all interactions, the top 1 % alone {}.",
        format::percent(tail.top_10_percent_share),
        format::percent(tail.top_1_percent_share)
    );
    let points: Vec<(f64, f64)> = tail.points.iter().map(|point| (point.rank as f64, point.users as f64)).collect();
    let mark = |of: u64, share: f64| {
        let rank = tail.n_items.div_ceil(of);
        let at = tail.points.iter().min_by_key(|point| point.rank.abs_diff(rank))?;
        let label = format!("top {} %: {} of interactions", 100 / of, format::percent(share));
        (tail.n_items >= of).then_some(Mark { at: (at.rank as f64, at.users as f64), label })
    };
    let marks = [mark(100, tail.top_1_percent_share), mark(10, tail.top_10_percent_share)];
    let tips = tail
        .points
        .iter()
        .map(|point| format!("item no. {}\n{} users", format::exact(point.rank), format::exact(point.users)))
        .collect();
    let chart = LineChart {
        caption: Caption { id: "chart-tail", title: "Users of an item by its popularity rank", desc: &finding },
        size: (HALF, 300.0),
        x: Axis { name: "popularity rank of the item, logarithmic", log: true, from_zero: false },
        y: Axis { name: "users of the item, logarithmic", log: true, from_zero: false },
        series: vec![Series { label: String::new(), class: "c1 plain", points, tips }],
        marks: marks.into_iter().flatten().collect(),
    };
    let svg = chart.draw()?;
    Ok(Figure::new(finding, svg))
}

fn activity(activity: &Histogram) -> Result<Option<Figure>, ReportError> {
    let total: u64 = activity.counts.iter().sum();
    let share = |n: u64| format::percent(n as f64 / total.max(1) as f64);
    let ones = activity.counts.first().map_or(0, |&first| first);
    let single = format!("{} of the users have a single item", share(ones));
    let finding = match activity.median {
        Some(median) if median > 1.0 => format!("{single}, half have {} or fewer.", format::compact(median)),
        _ => format!("{single}."),
    };
    let labels = range_labels(activity);
    let tips = labels
        .iter()
        .zip(&activity.counts)
        .map(|(label, &n)| format!("{label} items\n{} users ({})", format::exact(n), share(n)))
        .collect();
    let chart = Columns {
        caption: Caption {
            id: "chart-activity",
            title: "Users by number of items they interacted with",
            desc: &finding,
        },
        size: (HALF, 300.0),
        bins: Bins::Named(labels),
        counts: activity.counts.clone(),
        tips,
        x_name: "items a user interacted with, bins that double",
        y_name: "users",
        class: "c1",
        mark: None,
    };
    let svg = chart.draw()?;
    Ok(Figure::new(finding, svg))
}

/// Bins of whole numbers in words: `1`, `2–3`, `1,024–2,047`.
fn range_labels(histogram: &Histogram) -> Vec<String> {
    let label = |pair: &[f64]| {
        let (low, high) = (pair[0] as u64, (pair[1] - 1.0) as u64);
        if low >= high { format::exact(low) } else { format!("{}–{}", format::exact(low), format::exact(high)) }
    };
    histogram.edges.windows(2).map(label).collect()
}

fn loss(training: &[LossPoint]) -> Result<Option<Figure>, ReportError> {
    let points: Vec<(f64, f64)> = training.iter().map(|point| (point.iteration as f64, point.loss)).collect();
    let tips = training
        .iter()
        .map(|point| format!("iteration {}\nloss {}", point.iteration, format::compact(point.loss)))
        .collect();
    let finding = loss_finding(training);
    let chart = LineChart {
        caption: Caption { id: "chart-loss", title: "Training loss by iteration", desc: &finding },
        size: (HALF, 380.0),
        x: Axis { name: "iteration", log: false, from_zero: false },
        y: Axis { name: "loss", log: false, from_zero: false },
        series: vec![Series { label: String::new(), class: "c1", points, tips }],
        marks: Vec::new(),
    };
    let svg = chart.draw()?;
    Ok(Figure::new(finding, svg))
}

fn loss_finding(training: &[LossPoint]) -> String {
    let (Some(first), Some(last)) = (training.first(), training.last()) else { return String::new() };
    if let Some(rise) = training.windows(2).find(|pair| pair[1].loss > pair[0].loss) {
        return format!(
            "The loss rises in iteration {}: that should not happen, look at the settings.",
            rise[1].iteration
        );
    }
    let [.., before, _] = training else {
        return format!("{} after one iteration.", format::compact(first.loss));
    };
    let gain = if before.loss == 0.0 { 0.0 } else { (before.loss - last.loss) / before.loss.abs() };
    format!(
        "From {} to {} in {} iterations; the last one still gains {}.",
        format::compact(first.loss),
        format::compact(last.loss),
        last.iteration,
        format::percent(gain)
    )
}

fn lorenz(coverage: &Coverage) -> Result<Option<Figure>, ReportError> {
    let finding = match coverage.exposure_gini - coverage.popularity_gini {
        gap if gap > 0.02 => "The lists concentrate on fewer items than the shoppers' own interactions do.",
        gap if gap < -0.02 => "The lists spread over more items than the shoppers' own interactions do.",
        _ => "The lists are about as even as the shoppers' own interactions.",
    };
    let points = |curve: &[LorenzPoint]| curve.iter().map(|point| (point.items, point.total)).collect();
    let curves = [
        Curve {
            label: format!("interactions, Gini {:.2}", coverage.popularity_gini),
            class: "c2",
            points: points(&coverage.popularity),
        },
        Curve {
            label: format!("places on lists, Gini {:.2}", coverage.exposure_gini),
            class: "c1",
            points: points(&coverage.exposure),
        },
    ];
    let caption = Caption { id: "chart-lorenz", title: "Lorenz curves of list places and interactions", desc: finding };
    let names = ("share of the items, least popular first", "share of all places or interactions");
    let svg = lorenz::draw(caption, (HALF, 440.0), names, &curves)?;
    Ok(Figure::new(finding.to_owned(), svg))
}

fn score_columns(scores: &Scores, k: u64) -> Result<Option<Figure>, ReportError> {
    let edges = || scores.top.edges.iter().chain(&scores.kth.edges).copied();
    let domain = (edges().fold(f64::INFINITY, f64::min), edges().fold(f64::NEG_INFINITY, f64::max));
    if edges().next().is_none() {
        return Ok(None);
    }
    let draw = |id: &str, title: &str, class: &str, histogram: &Histogram, x_name: &str| {
        let tips = histogram
            .edges
            .windows(2)
            .zip(&histogram.counts)
            .map(|(pair, &n)| {
                format!("{} to {}\n{} lists", format::score(pair[0]), format::score(pair[1]), format::exact(n))
            })
            .collect();
        Columns {
            caption: Caption { id, title, desc: "Lists by score; the line marks the median." },
            size: (HALF, 190.0),
            bins: Bins::Edges { edges: histogram.edges.clone(), domain },
            counts: histogram.counts.clone(),
            tips,
            x_name,
            y_name: title,
            class,
            mark: histogram.median.map(|median| (median, format!("median {}", format::score(median)))),
        }
        .draw()
    };
    let kth_title = format!("lists by the score of item no. {k} (or of a short list's last)");
    let top = draw("chart-score-top", "lists by the score of their first item", "c1", &scores.top, "")?;
    let kth = draw("chart-score-kth", &kth_title, "c2", &scores.kth, "score, in the model's own unit")?;
    let finding = match (scores.top.median, scores.kth.median) {
        (Some(top), Some(kth)) => {
            format!("Half of the lists open above {} and end above {}.", format::score(top), format::score(kth))
        }
        _ => String::new(),
    };
    let svg = [top, kth].into_iter().flatten().collect::<String>();
    Ok(Figure::new(finding, (!svg.is_empty()).then_some(svg)))
}

/// Most users first; ties by name.
fn sorted_sources(sources: &ListSources) -> Vec<ListSource> {
    let mut sorted = sources.by_source.clone();
    sorted.sort_by(|a, b| b.users.cmp(&a.users).then_with(|| a.source.cmp(&b.source)));
    sorted
}

fn sources(sources: &[ListSource]) -> Result<Option<Figure>, ReportError> {
    let total: u64 = sources.iter().map(|source| source.users).sum();
    let share = |n: u64| format::percent(n as f64 / total.max(1) as f64);
    let parts: Vec<Part> = sources
        .iter()
        .map(|source| Part {
            label: format!("{} {}", source.source, share(source.users)),
            value: source.users as f64,
            tip: format!("{}\n{} users ({})", source.source, format::exact(source.users), share(source.users)),
        })
        .collect();
    let finding = sources
        .first()
        .map_or_else(String::new, |first| format!("{} of the lists come from {}.", share(first.users), first.source));
    let caption = Caption { id: "chart-sources", title: "Users by the source of their list", desc: &finding };
    let svg = bars::stacked(caption, HALF, &parts)?;
    Ok(Figure::new(finding, svg))
}

fn stages(stages: &[Stage], seconds: f64) -> Result<Option<Figure>, ReportError> {
    let known: f64 = stages.iter().map(|stage| stage.seconds.max(0.0)).sum();
    let total = seconds.max(known);
    let mut parts: Vec<Part> = stages.iter().map(|stage| part(&stage.name, stage.seconds, total)).collect();
    if !parts.is_empty() && total - known > total * 0.005 {
        parts.push(part("between stages", total - known, total));
    }
    let longest = stages.iter().fold(None, |best: Option<&Stage>, stage| match best {
        Some(best) if best.seconds >= stage.seconds => Some(best),
        _ => Some(stage),
    });
    let finding = longest.map_or_else(String::new, |stage| {
        let share = format::percent(if total > 0.0 { stage.seconds / total } else { 0.0 });
        format!("{} in all; {} takes the most, {share}.", format::duration(total), stage.name)
    });
    let caption = Caption { id: "chart-stages", title: "Time by stage", desc: &finding };
    let narrow = bars::stacked(Caption { id: "chart-stages-narrow", ..caption }, HALF, &parts)?;
    let figure = Figure::new(finding.clone(), bars::stacked(caption, FULL, &parts)?);
    Ok(figure.map(|figure| Figure { narrow: narrow.map(Value::from_safe_string), ..figure }))
}

fn part(name: &str, seconds: f64, total: f64) -> Part {
    let share = format::percent(if total > 0.0 { seconds / total } else { 0.0 });
    Part { label: name.to_owned(), value: seconds, tip: format!("{name}\n{} ({share})", format::duration(seconds)) }
}
