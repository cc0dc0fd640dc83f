//! Drawings of the campaigns: what became of the candidates, and how many people were written to run after run.

use super::{
    charts::{FULL, Figure},
    data::{CampaignFunnel, CampaignSizes},
    error::ReportError,
    format,
    svg::{
        Caption,
        bars::CLASSES,
        line::{Axis, LineChart, Series},
        rows::{BarRow, bars},
    },
};

/// Colours of the steps, in their order: those who are written to stand out.
pub(super) const STEP_CLASSES: [&str; 7] = ["c8", "c7", "c6", "c5", "c4", "c2", "c1"];

/// Campaigns with a curve of their own.
const N_CURVES: usize = 6;

/// One bar a campaign, of shares of those who matched; whoever is written to comes first.
pub(super) fn funnels(campaigns: &[CampaignFunnel]) -> Result<Option<Figure>, ReportError> {
    let send = |campaign: &CampaignFunnel| campaign.steps.last().map_or(0, |(_, n)| *n);
    let total: u64 = campaigns.iter().map(send).sum();
    let rows: Vec<BarRow<'_>> = campaigns
        .iter()
        .map(|campaign| {
            let share = |n: u64| 100.0 * n as f64 / campaign.matched.max(1) as f64;
            let parts = campaign.steps.iter().zip(STEP_CLASSES).rev();
            let told = campaign.steps.iter().rev().filter(|(_, n)| *n > 0);
            let told: Vec<String> = told.map(|(step, n)| format!("{step}: {}", format::exact(*n))).collect();
            BarRow {
                label: format::clip(&campaign.name, 30),
                parts: parts.map(|((_, n), class)| (class, share(*n))).collect(),
                text: format!("{} of {}", format::exact(send(campaign)), format::exact(campaign.matched)),
                tip: format!("{}\n{} matched\n{}", campaign.name, format::exact(campaign.matched), told.join("\n")),
            }
        })
        .collect();
    let largest = campaigns.iter().max_by_key(|campaign| send(campaign)).filter(|campaign| send(campaign) > 0);
    let finding = match largest {
        Some(largest) => format!(
            "{} to write to in {} {}; the largest is {} with {}.",
            format::exact(total),
            campaigns.len(),
            if campaigns.len() == 1 { "campaign" } else { "campaigns" },
            largest.name,
            format::exact(send(largest))
        ),
        None => "Nobody is to be written to.".to_owned(),
    };
    let caption = Caption { id: "chart-funnels", title: "What became of each campaign's candidates", desc: &finding };
    let svg = bars(caption, FULL, "share of those who matched, %", &rows)?;
    Ok(Figure::new(finding, svg))
}

/// People to write to, run after run; the campaigns that are largest now.
pub(super) fn sizes(campaigns: &[CampaignFunnel], sizes: &[CampaignSizes]) -> Result<Option<Figure>, ReportError> {
    let (Some(last), true) = (sizes.last(), sizes.len() > 1) else { return Ok(None) };
    let mut order: Vec<usize> = (0..campaigns.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(last.send.get(at).copied().flatten()));
    let n_before = sizes.len() - 1;
    let series: Vec<Series<'_>> = order
        .into_iter()
        .take(N_CURVES)
        .zip(CLASSES)
        .map(|(at, class)| {
            let runs = sizes.iter().enumerate();
            let known: Vec<(usize, u64)> =
                runs.filter_map(|(run, sizes)| Some((run, sizes.send.get(at).copied().flatten()?))).collect();
            let day = |run: usize| {
                sizes[run].as_of.map_or_else(String::new, |at| at.to_string().chars().take(10).collect::<String>())
            };
            Series {
                label: format::clip(&campaigns[at].name, 24),
                class,
                points: known.iter().map(|&(run, n)| (run as f64 - n_before as f64, n as f64)).collect(),
                tips: known
                    .iter()
                    .map(|&(run, n)| format!("{}\n{}\n{} to write to", campaigns[at].name, day(run), format::exact(n)))
                    .collect(),
            }
        })
        .collect();
    let finding = format!("People to write to in this run and the {n_before} before it.");
    let chart = LineChart {
        caption: Caption { id: "chart-campaign-sizes", title: "People to write to by run", desc: &finding },
        size: (FULL, 300.0),
        x: Axis { name: "runs before this one (nights with campaigns)", log: false, from_zero: false },
        y: Axis { name: "people to write to", log: false, from_zero: true },
        series,
        marks: Vec::new(),
    };
    let svg = chart.draw()?;
    Ok(Figure::new(finding, svg))
}
