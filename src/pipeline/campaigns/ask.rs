//! Questions to the campaigns of a run: how many, who, why, and who is in two of them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::{
    artifacts::{
        ArtifactError, FileBytes, MemberTable, Run, STEPS, StepRow, UserFiles, UserIndex, Wanted, bucket_path,
        join_config, read_steps, read_users,
    },
    campaigns::{CampaignConfig, Funnel, Plan, Planned, Shop, Step},
    config::Config,
    ids::{IdTable, bucket_of, id_hash},
    interactions::Stamp,
    recommendations::{Arm, Catalog, RecommendConfig},
};

use crate::pipeline::PipelineError;

/// One campaign of a run.
#[derive(Debug, Clone, Serialize)]
pub struct CampaignLine {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its priority.
    pub priority: i32,
    /// The channel.
    pub channel: String,
    /// Who fell where.
    pub funnel: Funnel,
}

/// A member with the items he is written to about.
#[derive(Debug, Clone, Serialize)]
pub struct Member {
    /// The user.
    pub user_id: String,
    /// Place in the campaign, from 1.
    pub rank: u32,
    /// His score.
    pub score: f32,
    /// Whether he is written to.
    pub arm: Arm,
    /// Why, for people.
    pub reason: String,
    /// Items, best first.
    pub items: Vec<MemberItem>,
    /// Template variables.
    pub variables: Value,
}

/// An item of a member.
#[derive(Debug, Clone, Serialize)]
pub struct MemberItem {
    /// Item id.
    pub item_id: String,
    /// Score.
    pub score: f32,
    /// Title, `None` when unknown.
    pub title: Option<String>,
    /// Category, `None` when unknown.
    pub category: Option<String>,
    /// Price at the time of the run, `None` when unknown.
    pub price: Option<f64>,
}

/// A campaign and one user.
#[derive(Debug, Clone, Serialize)]
pub struct WhyCampaign {
    /// The campaign.
    pub campaign: String,
    /// Its kind.
    pub kind: String,
    /// Whether he is a member.
    pub is_member: bool,
    /// `audience`, `rule`, `no_consent`, …, `items`, `cap`, `priority`, `size`, `holdout` or `send`.
    pub step: String,
    /// In words.
    pub text: String,
    /// His place in the list.
    pub rank: Option<u32>,
}

/// Which campaigns the same people match.
#[derive(Debug, Clone, Serialize)]
pub struct Overlap {
    /// Names, the highest priority first.
    pub campaigns: Vec<String>,
    /// Row by row: people in both; on the diagonal, in the one.
    pub people: Vec<Vec<u64>>,
}

/// The campaigns that a run was built with, the highest priority first.
fn plan(run: &Run) -> Result<(Plan, Config), PipelineError> {
    let manifest = run.manifest();
    // Whether there were customers, whose columns conditions may name, stands among the keys that do not determine the result.
    let whole = join_config(manifest.content.config.clone(), &manifest.observed.config);
    let config: Config = serde_json::from_value(whole)
        .map_err(|error| PipelineError::Config(format!("the config in the manifest of run {}: {error}", run.name())))?;
    let kinds = config.kinds().map_err(PipelineError::Config)?;
    let schema = config.campaign_schema(&kinds);
    let plan = Plan::new(&config.campaigns, &config.campaign, &schema).map_err(PipelineError::Config)?;
    Ok((plan, config))
}

fn funnel(run: &Run, name: &str) -> Funnel {
    let counts = run.manifest().content.counts.get(&format!("campaign.{name}"));
    counts.map(Funnel::from_counts).unwrap_or_default()
}

/// The campaigns of a run with their funnels, the highest priority first.
///
/// # Errors
/// A run of another version's config.
pub fn list(run: &Run) -> Result<Vec<CampaignLine>, PipelineError> {
    let (plan, _) = plan(run)?;
    let line = |campaign: &Planned| CampaignLine {
        name: campaign.config.name.clone(),
        kind: campaign.config.kind.name().to_owned(),
        priority: campaign.config.priority,
        channel: campaign.config.channel.clone(),
        funnel: funnel(run, &campaign.config.name),
    };
    Ok(plan.campaigns.iter().map(line).collect())
}

fn known(run: &Run, name: &str) -> Result<CampaignConfig, PipelineError> {
    let (plan, _) = plan(run)?;
    let names: Vec<&str> = plan.campaigns.iter().map(|campaign| campaign.config.name.as_str()).collect();
    let found = plan.campaigns.iter().find(|campaign| campaign.config.name == name);
    found.map(|campaign| campaign.config.clone()).ok_or_else(|| PipelineError::Unknown {
        what: "campaign",
        id: name.to_owned(),
        run: run.name().to_owned(),
        hint: if names.is_empty() {
            "the run has no campaigns: [[campaign]] tables in the config make them".into()
        } else {
            format!("its campaigns are {}", names.join(", "))
        },
    })
}

/// Hands every batch of a campaign's members to `each`, best first; `each` says whether to go on.
///
/// # Errors
/// A campaign that the run does not have, a damaged file.
pub fn members(
    run: &Run,
    name: &str,
    mut each: impl FnMut(&MemberTable) -> Result<bool, PipelineError>,
) -> Result<(), PipelineError> {
    known(run, name)?;
    let folder = format!("campaigns/{name}");
    for file in run.files_in(&folder) {
        let mut reader = run.member_reader(&file.path)?;
        while let Some(table) = reader.next()? {
            if !each(&table)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn member(row: &crate::recommendations::MemberRow<'_, '_>) -> Member {
    let variables: Value = serde_json::from_str(row.variables).unwrap_or(Value::Null);
    let listed = variables["items"].as_array().cloned().unwrap_or_default();
    let items = row.list.items.iter().zip(row.list.scores).enumerate().map(|(at, (id, score))| {
        let of = listed.get(at).filter(|entry| entry["item_id"] == **id);
        let text = |key: &str| of.and_then(|entry| entry[key].as_str()).map(str::to_owned);
        MemberItem {
            item_id: (*id).to_owned(),
            score: *score,
            title: text("title"),
            category: text("category"),
            price: of.and_then(|entry| entry["price"].as_f64()),
        }
    });
    Member {
        user_id: row.list.key.to_owned(),
        rank: row.rank,
        score: row.score,
        arm: row.arm,
        reason: row.reason.to_owned(),
        items: items.collect(),
        variables,
    }
}

/// Some members of a campaign: one user, or `n` picked by the hash of their ids, the same ones every time. By rank.
///
/// # Errors
/// A campaign or a member that the run does not have, a damaged file.
pub fn preview(run: &Run, name: &str, user: Option<&str>, n: usize) -> Result<Vec<Member>, PipelineError> {
    let mut picked: Vec<(u64, Member)> = Vec::new();
    members(run, name, |table| {
        for row in table.batch().rows() {
            match user {
                Some(user) if row.list.key == user => {
                    picked.push((0, member(&row)));
                    return Ok(false);
                }
                Some(_) => {}
                None => {
                    let hash = id_hash(row.list.key.as_bytes());
                    if picked.len() < n || picked.iter().any(|(other, _)| hash < *other) {
                        picked.push((hash, member(&row)));
                        picked.sort_by_key(|(hash, _)| *hash);
                        picked.truncate(n);
                    }
                }
            }
        }
        Ok(true)
    })?;
    if let (Some(user), true) = (user, picked.is_empty()) {
        return Err(PipelineError::Unknown {
            what: "member",
            id: user.to_owned(),
            run: format!("{}, campaign {name}", run.name()),
            hint: format!("`nightshelf campaign why {user}` says at which step he fell"),
        });
    }
    let mut found: Vec<Member> = picked.into_iter().map(|(_, member)| member).collect();
    found.sort_by_key(|member| member.rank);
    Ok(found)
}

fn file(run: &Run, folder: &str, bucket: usize) -> Result<FileBytes, PipelineError> {
    let path = bucket_path(folder, bucket);
    Ok(FileBytes { bytes: run.read(&path)?, path: run.path().join(path) })
}

/// Of each campaign: whether a user is in it, and if not, at which step he fell.
///
/// # Errors
/// A user that the run does not know, a damaged file.
pub fn why(run: &Run, user: &str) -> Result<Vec<WhyCampaign>, PipelineError> {
    let (plan, _) = plan(run)?;
    if plan.is_empty() {
        return Ok(Vec::new());
    }
    let content = &run.manifest().content;
    let bucket = bucket_of(id_hash(user.as_bytes()), content.n_buckets);
    let as_of = content.as_of.as_ref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let as_of = as_of.and_then(|at| Stamp::from_unix(at.as_second()));
    let mut wanted = Wanted::default();
    for campaign in &plan.campaigns {
        wanted.columns.extend(campaign.audience.iter().flat_map(|it| it.columns().iter().cloned()));
    }
    let nothing = IdTable::new();
    let shop = Shop::new(nothing.clone(), Catalog::absent(0), &nothing, &RecommendConfig::default(), as_of)?;
    let files = UserFiles { profiles: file(run, "profiles", bucket)?, interactions: None, recommendations: None };
    let users = read_users(&files, &wanted, &UserIndex::new(&shop, Vec::new()))?;
    let at = users.ids.position(user).ok_or_else(|| PipelineError::Unknown {
        what: "user",
        id: user.to_owned(),
        run: run.name().to_owned(),
        hint: "users without an accepted event, and bots, are in no campaign".into(),
    })?;
    let steps = read_steps(&file(run, STEPS, bucket)?, user)?;
    let mut found = Vec::new();
    for campaign in &plan.campaigns {
        let step = steps.iter().find(|step| step.campaign == campaign.config.name);
        found.push(match step {
            None => outside(campaign, &users, at),
            Some(step) => inside(run, campaign, step, user)?,
        });
    }
    Ok(found)
}

fn line(campaign: &Planned, step: &str, text: String) -> WhyCampaign {
    WhyCampaign {
        campaign: campaign.config.name.clone(),
        kind: campaign.config.kind.name().to_owned(),
        is_member: false,
        step: step.to_owned(),
        text,
        rank: None,
    }
}

/// He did not match: because of the audience, or of the rule.
fn outside(campaign: &Planned, users: &crate::campaigns::BucketUsers, user: usize) -> WhyCampaign {
    let rule =
        || line(campaign, "rule", format!("what {} asks for does not apply to him", campaign.config.kind.name()));
    let Some(audience) = &campaign.audience else { return rule() };
    let shown = || {
        let columns = audience.columns().iter().map(|name| format!("{name} is {}", users.table.show(name, user)));
        columns.collect::<Vec<_>>().join(", ")
    };
    match audience.holds(&users.table, "audience") {
        Ok(holds) if holds[user] => rule(),
        Ok(_) => line(campaign, "audience", format!("outside the audience `{}`: {}", audience.text(), shown())),
        // Columns of customers are not kept in a run.
        Err(_) => line(
            campaign,
            "audience",
            format!("outside the audience `{}`, which looks at customers, or the rule does not apply", audience.text()),
        ),
    }
}

fn inside(run: &Run, campaign: &Planned, step: &StepRow, user: &str) -> Result<WhyCampaign, PipelineError> {
    let own = &campaign.config;
    let text = match step.step {
        Step::Consent(refusal) => match refusal {
            crate::campaigns::Refusal::UnknownCustomer => "he is not among the customers".to_owned(),
            crate::campaigns::Refusal::Suppressed => "he is on the suppression list".to_owned(),
            crate::campaigns::Refusal::Unsubscribed => "he has unsubscribed".to_owned(),
            crate::campaigns::Refusal::NoConsent => format!("he has not agreed to {}", own.channel),
        },
        Step::Items => "nothing is left to write about: bought, sold out or blocked".to_owned(),
        Step::Cap => "he was written to often enough lately".to_owned(),
        Step::Priority => "he is in other campaigns tonight, of higher priority".to_owned(),
        Step::Candidate => {
            let mut found = None;
            members(run, &own.name, |table| {
                let place = (0..table.len()).find(|&row| table.key(row) == user);
                if let Some(place) = place {
                    found = table.batch().rows().nth(place).map(|row| member(&row));
                }
                Ok(found.is_none())
            })?;
            return Ok(match found {
                None => line(
                    campaign,
                    "size",
                    format!("beyond the {} of campaign.{}.size", own.size.unwrap_or(0), own.name),
                ),
                Some(member) => WhyCampaign {
                    is_member: true,
                    rank: Some(member.rank),
                    text: match member.arm {
                        Arm::Send => member.reason,
                        Arm::Holdout => format!("held out; {}", member.reason),
                    },
                    ..line(campaign, member.arm.name(), String::new())
                },
            });
        }
    };
    Ok(line(campaign, step.step.name(), text))
}

/// Who matches which two campaigns, before caps and priority; or, with `lists`, who is a member of both.
///
/// # Errors
/// A damaged file.
///
/// Cost: with `lists` every member's id in memory.
pub fn overlap(run: &Run, lists: bool) -> Result<Overlap, PipelineError> {
    let (plan, _) = plan(run)?;
    let campaigns: Vec<String> = plan.campaigns.iter().map(|campaign| campaign.config.name.clone()).collect();
    let n = campaigns.len();
    if lists {
        let mut of_user: BTreeMap<String, u64> = BTreeMap::new();
        for (at, name) in campaigns.iter().enumerate() {
            members(run, name, |table| {
                (0..table.len()).for_each(|row| *of_user.entry(table.key(row).to_owned()).or_default() |= 1 << at);
                Ok(true)
            })?;
        }
        let both = |a: usize, b: usize| of_user.values().filter(|bits| *bits >> a & *bits >> b & 1 == 1).count() as u64;
        let people = (0..n).map(|a| (0..n).map(|b| both(a, b)).collect()).collect();
        return Ok(Overlap { campaigns, people });
    }
    let metric = &run.manifest().content.metrics.get("campaigns.overlap").cloned().unwrap_or(Value::Null);
    let number = |a: usize, b: usize| metric[a][b].as_u64().unwrap_or(0);
    let people = (0..n).map(|a| (0..n).map(|b| number(a, b)).collect()).collect();
    Ok(Overlap { campaigns, people })
}

/// A written export.
#[derive(Debug, Clone, Serialize)]
pub struct Exported {
    /// Rows written.
    pub rows: u64,
}

/// Writes a campaign's members to `out`: of one arm, or of both.
///
/// # Errors
/// A campaign that the run does not have, a damaged file, an output that refuses.
pub fn export(
    run: &Run,
    name: &str,
    format: crate::artifacts::ExportFormat,
    arm: Option<Arm>,
    out: Box<dyn std::io::Write + Send>,
) -> Result<Exported, PipelineError> {
    let config = known(run, name)?;
    let mut writer = crate::artifacts::MemberExport::new(out, format, config.items)?;
    members(run, name, |table| {
        writer.write(&table.batch(), arm)?;
        Ok(true)
    })?;
    let rows = writer.finish().map_err(|error| match error {
        ArtifactError::Encode { source, .. } => ArtifactError::Encode { path: format!("the export of {name}"), source },
        other => other,
    })?;
    Ok(Exported { rows })
}
