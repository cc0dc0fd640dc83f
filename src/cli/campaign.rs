//! `nightshelf campaign`.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use anyhow::Context;

use crate::{
    artifacts::{ExportFormat, Run},
    campaigns::{Difference, Funnel},
    config::ConfigError,
    pipeline::{self, CampaignLine, Measurement, Member, Overlap, WhyCampaign},
    recommendations::Arm,
};

use super::{
    args::{CampaignArgs, CampaignCommand, CampaignRun, Global},
    ask::open,
    build::config,
    output::{grouped, json, say, score, table},
};

pub(super) fn run(args: &CampaignArgs, _: &Global) -> anyhow::Result<()> {
    match &args.command {
        CampaignCommand::List { source, run, json: as_json } => {
            let run = open(source, run)?;
            let lines = pipeline::list_campaigns(&run)?;
            if *as_json { json(&lines) } else { say(&list_text(&run, &lines)) }
        }
        CampaignCommand::Preview { name, of, user, sample } => {
            let members = pipeline::preview(&opened(of)?, name, user.as_deref(), *sample)?;
            if of.json {
                json(&members)
            } else {
                say(&members.iter().map(member_text).collect::<Vec<_>>().join("\n\n"))
            }
        }
        CampaignCommand::Why { user, of } => {
            let run = opened(of)?;
            let found = pipeline::why(&run, user)?;
            if of.json { json(&found) } else { say(&why_text(&run, user, &found)) }
        }
        CampaignCommand::Export { name, of, format, arm, out } => {
            export(&opened(of)?, name, format, arm, out.as_deref())
        }
        CampaignCommand::Overlap { of, lists } => {
            let overlap = pipeline::overlap(&opened(of)?, *lists)?;
            if of.json { json(&overlap) } else { say(&overlap_text(&overlap)) }
        }
        CampaignCommand::Measure { name, of, days, level } => {
            if !(*days > 0.0 && *days <= 3_650.0) {
                return Err(usage(format!("--days must be above 0 and at most 3650, is {days}")));
            }
            if !(0.5..1.0).contains(level) {
                return Err(usage(format!("--level must be 0.5 or more and below 1, is {level}")));
            }
            let run = opened(of)?;
            let config = config(&of.source.source, Vec::new())?.config;
            let measured = pipeline::measure_campaigns(&run, &config, name.as_deref(), *days, *level)?;
            if of.json { json(&measured) } else { say(&measure_text(&run, &measured, *level)) }
        }
    }
}

fn usage(text: String) -> anyhow::Error {
    ConfigError::Value(text).into()
}

fn opened(of: &CampaignRun) -> anyhow::Result<Run> {
    open(&of.source, &of.run)
}

fn export(run: &Run, name: &str, format: &str, arm: &str, out: Option<&Path>) -> anyhow::Result<()> {
    let kind = match format {
        "csv" => ExportFormat::Csv,
        "jsonl" => ExportFormat::Jsonl,
        "parquet" => ExportFormat::Parquet,
        _ => return Err(usage(format!("--format must be csv, jsonl or parquet, is {format}"))),
    };
    let arm = match arm {
        "all" => None,
        _ => Some(Arm::of(arm).ok_or_else(|| usage(format!("--arm must be send, holdout or all, is {arm}")))?),
    };
    let Some(path) = out else {
        if kind == ExportFormat::Parquet {
            return Err(usage("--format parquet needs a file: --out list.parquet".into()));
        }
        pipeline::export(run, name, kind, arm, Box::new(io::stdout()))?;
        return Ok(());
    };
    // The name is asked for before a file is made.
    pipeline::members(run, name, |_| Ok(false))?;
    let file = File::create_new(path)
        .with_context(|| format!("writing {}: an export never overwrites a file", path.display()))?;
    let done = pipeline::export(run, name, kind, arm, Box::new(BufWriter::new(file)));
    if done.is_err() {
        let _ = std::fs::remove_file(path);
    }
    let done = done?;
    writeln!(io::stdout().lock(), "wrote {} members to {}", grouped(done.rows), path.display())?;
    Ok(())
}

fn list_text(run: &Run, lines: &[CampaignLine]) -> String {
    let head = format!("campaigns of run {}", run.name());
    if lines.is_empty() {
        return format!("{head}\nnone: [[campaign]] tables in the config make them (docs/campaigns.md)");
    }
    let n = |count: u64| if count == 0 { "-".to_owned() } else { grouped(count) };
    let rows = lines.iter().map(|line| {
        let funnel: &Funnel = &line.funnel;
        let mut row = vec![line.name.clone(), line.kind.clone(), line.priority.to_string(), grouped(funnel.matched)];
        let fallen = [funnel.n_refused(), funnel.items, funnel.cap, funnel.priority, funnel.size, funnel.holdout];
        row.extend(fallen.map(n));
        row.push(grouped(funnel.send));
        row
    });
    let names = [
        "campaign",
        "kind",
        "priority",
        "matched",
        "no consent",
        "no items",
        "cap",
        "other",
        "size",
        "holdout",
        "send",
    ];
    format!("{head}\n{}", table(&names, &[2, 3, 4, 5, 6, 7, 8, 9, 10], rows))
}

fn member_text(member: &Member) -> String {
    let arm = match member.arm {
        Arm::Send => String::new(),
        Arm::Holdout => ", held out".to_owned(),
    };
    let head = format!(
        "{} (rank {}, score {}{arm}): {}",
        member.user_id,
        grouped(u64::from(member.rank)),
        score(member.score),
        member.reason
    );
    let rows = member.items.iter().map(|item| {
        vec![
            item.item_id.clone(),
            score(item.score),
            item.price.map_or_else(String::new, |price| format!("{price:.2}")),
            item.title.clone().unwrap_or_default(),
            item.category.clone().unwrap_or_default(),
        ]
    });
    format!("{head}\n{}", table(&["item", "score", "price", "title", "category"], &[1, 2], rows))
}

fn why_text(run: &Run, user: &str, found: &[WhyCampaign]) -> String {
    let head = format!("user {user}, run {}", run.name());
    if found.is_empty() {
        return format!("{head}\nthe run has no campaigns");
    }
    let rows = found.iter().map(|it| {
        let rank = it.rank.map_or_else(String::new, |rank| grouped(u64::from(rank)));
        vec![
            it.campaign.clone(),
            if it.is_member { "in" } else { "out" }.into(),
            it.step.clone(),
            rank,
            it.text.clone(),
        ]
    });
    format!("{head}\n{}", table(&["campaign", "", "step", "rank", ""], &[3], rows))
}

fn overlap_text(overlap: &Overlap) -> String {
    let mut header = vec![""];
    header.extend(overlap.campaigns.iter().map(String::as_str));
    let rows = overlap.campaigns.iter().zip(&overlap.people).map(|(name, people)| {
        let mut row = vec![name.clone()];
        row.extend(people.iter().map(|n| grouped(*n)));
        row
    });
    table(&header, &(1..header.len()).collect::<Vec<_>>(), rows)
}

fn measure_text(run: &Run, measured: &[Measurement], level: f64) -> String {
    let mut parts = vec![format!("run {}, intervals of {:.0} %", run.name(), level * 100.0)];
    for it in measured {
        let mut text = format!(
            "{}: {} written to, {} held out; {} days after the list",
            it.campaign,
            grouped(it.send.members),
            grouped(it.holdout.members),
            it.days
        );
        if !it.is_complete {
            text.push_str("\n  the events do not reach to the end of these days yet");
        }
        match &it.uplift {
            None => text.push_str("\n  nothing to compare: campaign.NAME.holdout keeps a share of the members apart"),
            Some(uplift) => {
                let percent = |x: f64| format!("{:.2} %", x * 100.0);
                let plain = |x: f64| format!("{x:.4}");
                let money = |x: f64| format!("{x:.2}");
                let rows = vec![
                    difference("bought", &uplift.conversion, &percent),
                    difference("orders a member", &uplift.orders, &plain),
                    difference("revenue a member", &uplift.revenue, &money),
                ];
                text.push('\n');
                text.push_str(&table(
                    &["", "send", "holdout", "uplift", "interval", "relative"],
                    &[1, 2, 3, 4, 5],
                    rows,
                ));
                text.push_str(&format!(
                    "\n  all written to: {:.0} orders and {} of revenue more than without the campaign{}",
                    uplift.extra_orders,
                    money(uplift.extra_revenue),
                    if uplift.conversion.is_clear() { "" } else { "; but the interval of the buyers' share holds 0" }
                ));
            }
        }
        parts.push(text);
    }
    parts.join("\n\n")
}

fn difference(name: &str, it: &Difference, show: &dyn Fn(f64) -> String) -> Vec<String> {
    vec![
        name.to_owned(),
        show(it.send),
        show(it.holdout),
        show(it.difference),
        format!("{} to {}", show(it.low), show(it.high)),
        it.relative().map_or_else(|| "-".to_owned(), |share| format!("{:+.0} %", share * 100.0)),
    ]
}
