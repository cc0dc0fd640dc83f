//! Bucket by bucket: read the users, select, leave the candidates in scratch files for the merge.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, ErrorKind},
    path::PathBuf,
};

use crate::{
    artifacts::{
        ArtifactError, FileBytes, INTERACTIONS, STEPS, SpillWriter, SpilledRow, UserFiles, UserIndex, Wanted,
        bucket_path, read_users, write_steps,
    },
    campaigns::{Affinity, BucketSelection, BucketUsers, Funnel, Plan, Rule, Selector, Shop},
    interactions::Role,
    recommendations::{Arm, ListKind},
};

use super::{CampaignInputs, crew::in_threads, customers, past::Past};
use crate::pipeline::{Observer, PipelineError};

/// Scratch files lie here while a run is written.
const SCRATCH: &str = "campaign-candidates.tmp";

/// What the buckets left.
pub(super) struct Selected {
    /// By campaign of the plan: counts before the size limit.
    pub(super) funnels: Vec<Funnel>,
    /// By campaign of the plan: (bucket, file of candidates).
    pub(super) spilled: Vec<Vec<(usize, PathBuf)>>,
    pub(super) overlap: Vec<u64>,
    pub(super) scratch: PathBuf,
}

/// Reads files of the run that is being written.
pub(super) struct Reading<'a> {
    inputs: &'a CampaignInputs<'a>,
}

/// Reads users of the run that is being written.
pub(super) struct UserReading<'a> {
    files: Reading<'a>,
    index: UserIndex<'a>,
    wanted: Wanted,
    needs_pairs: bool,
    needs_recommendations: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn new(inputs: &'a CampaignInputs<'a>) -> Self {
        Self { inputs }
    }

    /// A file that is finished; `None` when there is none.
    pub(super) fn file(&self, name: &str) -> Result<Option<FileBytes>, PipelineError> {
        let path = self.inputs.run.partial_dir().join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(FileBytes { path, bytes: bytes.into() })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ArtifactError::io("read", &path)(error).into()),
        }
    }

    fn bucket(&self, folder: &str, bucket: usize) -> Result<FileBytes, PipelineError> {
        let name = bucket_path(folder, bucket);
        let absent = || ArtifactError::NoSuchFile { run: self.inputs.run.partial_dir().to_owned(), path: name.clone() };
        Ok(self.file(&name)?.ok_or_else(absent)?)
    }

    /// With what the plan asks of users.
    pub(super) fn of(self, plan: &Plan, shop: &'a Shop) -> UserReading<'a> {
        let roles: Vec<(String, Role)> = self.inputs.kinds.iter().map(|kind| (kind.name.clone(), kind.role)).collect();
        UserReading {
            index: UserIndex::new(shop, roles),
            wanted: wanted(plan),
            needs_pairs: plan.any(Rule::needs_pairs),
            needs_recommendations: plan.any(Rule::needs_recommendations),
            files: self,
        }
    }
}

impl UserReading<'_> {
    /// A bucket's users with all that the plan asks for.
    pub(super) fn users(&self, bucket: usize) -> Result<BucketUsers, PipelineError> {
        let of = |folder: &str, wanted: bool| {
            if wanted { self.files.bucket(folder, bucket).map(Some) } else { Ok(None) }
        };
        let files = UserFiles {
            profiles: self.files.bucket("profiles", bucket)?,
            interactions: of(INTERACTIONS, self.needs_pairs)?,
            recommendations: of(ListKind::Recommendations.name(), self.needs_recommendations)?,
        };
        Ok(read_users(&files, &self.wanted, &self.index)?)
    }

    /// A bucket's users with their pairs alone.
    pub(super) fn pairs(&self, bucket: usize) -> Result<BucketUsers, PipelineError> {
        let files = UserFiles {
            profiles: self.files.bucket("profiles", bucket)?,
            interactions: Some(self.files.bucket(INTERACTIONS, bucket)?),
            recommendations: None,
        };
        Ok(read_users(&files, &Wanted::default(), &self.index)?)
    }
}

/// The columns that conditions and rules look at.
pub(super) fn wanted(plan: &Plan) -> Wanted {
    let mut wanted = Wanted::default();
    for campaign in &plan.campaigns {
        wanted.columns.extend(campaign.audience.iter().flat_map(|it| it.columns().iter().cloned()));
        wanted.columns.extend(campaign.order_by.iter().flat_map(|it| it.columns().iter().cloned()));
        let own: &[&str] = match &campaign.rule {
            Rule::WinBack { .. } => &["last_order_at", "orders_all", "monetary_all"],
            Rule::Rfm { .. } => &["rfm_tier", "monetary_all"],
            _ => &[],
        };
        wanted.columns.extend(own.iter().map(|name| (*name).to_owned()));
        wanted.carts |= matches!(campaign.rule, Rule::AbandonedCart { .. });
        wanted.favourites |= matches!(campaign.rule, Rule::NewArrivals { .. });
        if campaign.rule.needs_recommendations() {
            wanted.n_recommended = wanted.n_recommended.max(campaign.config.items);
        }
    }
    wanted
}

/// What one bucket left.
struct OfBucket {
    funnels: Vec<Funnel>,
    /// By campaign of the plan: its file of candidates.
    spilled: Vec<Option<PathBuf>>,
    overlap: Vec<u64>,
}

/// Selects in every bucket.
///
/// Memory: a bucket a thread.
pub(super) fn select_all(
    inputs: &CampaignInputs<'_>,
    plan: &Plan,
    shop: &Shop,
    past: &Past,
    affinity: Option<&Affinity<'_>>,
    on: &dyn Observer,
) -> Result<Selected, PipelineError> {
    let scratch = inputs.run.partial_dir().join(SCRATCH);
    fs::create_dir(&scratch).map_err(ArtifactError::io("create directory", &scratch))?;
    let reading = Reading::new(inputs).of(plan, shop);
    let wanted = wanted(plan);
    let selector = Selector::new(plan, shop, affinity);
    let places: BTreeMap<&str, u16> =
        plan.campaigns.iter().map(|campaign| (campaign.config.name.as_str(), campaign.place)).collect();
    let names: Vec<&str> = plan.campaigns.iter().map(|campaign| campaign.config.name.as_str()).collect();
    let done = in_threads(inputs.config.interactions.n_buckets, |bucket| {
        let mut users = reading.users(bucket)?;
        customers::join(inputs, plan, bucket, &wanted, &mut users)?;
        users.contacts = past.contacts(bucket, &users.ids, &places)?;
        let selection = selector.select(&users)?;
        write_steps(inputs.run.file(&bucket_path(STEPS, bucket))?, &users.ids, &names, &selection.steps)?;
        let spilled = spill(&selection, &users, shop, &scratch, bucket)?;
        on.advance(1);
        let funnels = selection.campaigns.into_iter().map(|campaign| campaign.funnel).collect();
        Ok::<_, PipelineError>(OfBucket { funnels, spilled, overlap: selection.overlap })
    })?;
    let n = plan.campaigns.len();
    let mut all = Selected {
        funnels: vec![Funnel::default(); n],
        spilled: vec![Vec::new(); n],
        overlap: vec![0; n * n],
        scratch,
    };
    for (bucket, OfBucket { funnels, spilled, overlap }) in done.into_iter().enumerate() {
        all.funnels.iter_mut().zip(&funnels).for_each(|(sum, funnel)| sum.add(funnel));
        all.overlap.iter_mut().zip(&overlap).for_each(|(sum, n)| *sum += n);
        for (of, path) in all.spilled.iter_mut().zip(spilled) {
            of.extend(path.map(|path| (bucket, path)));
        }
    }
    Ok(all)
}

/// Writes a bucket's candidates, a file a campaign that has any.
fn spill(
    selection: &BucketSelection,
    users: &BucketUsers,
    shop: &Shop,
    scratch: &std::path::Path,
    bucket: usize,
) -> Result<Vec<Option<PathBuf>>, PipelineError> {
    let mut paths = Vec::new();
    for (at, campaign) in selection.campaigns.iter().enumerate() {
        if campaign.candidates.is_empty() {
            paths.push(None);
            continue;
        }
        let path = scratch.join(format!("{at:02}-{bucket:05}"));
        let failed = ArtifactError::io("write", &path);
        let write = || {
            let mut out = SpillWriter::new(BufWriter::new(File::create_new(&path)?));
            for candidate in &campaign.candidates {
                let item = |&(item, score): &(u32, f32)| (shop.items.get(item as usize).to_owned(), score);
                out.write(&SpilledRow {
                    place: candidate.user,
                    user: users.ids.get(candidate.user as usize).to_owned(),
                    score: candidate.score,
                    held_out: candidate.arm == Arm::Holdout,
                    items: candidate.items.iter().map(item).collect(),
                    reason: candidate.reason.clone(),
                    variables: candidate.variables.clone(),
                })?;
            }
            out.finish().map(drop)
        };
        write().map_err(failed)?;
        paths.push(Some(path));
    }
    Ok(paths)
}
