//! One merge a campaign: from the candidates of all buckets to the list, and to the log of contacts.

use std::{
    fs::{self, File},
    io::{BufReader, BufWriter},
    panic::resume_unwind,
    path::PathBuf,
    sync::mpsc,
    thread,
};

use crate::{
    artifacts::{
        ArtifactError, CONTACTS, ContactRow, MemberWriter, SpillReader, SpillWriter, SpilledRow, bucket_path,
        campaign_path, read_user_ids, write_contacts,
    },
    campaigns::{CampaignConfig, Funnel, Plan, Ranked, Stream, merge},
    recommendations::{Arm, ListBatch, MemberBatch},
};

use super::{
    CampaignInputs,
    buckets::{Reading, Selected},
    crew::in_threads,
    past::Past,
};
use crate::pipeline::PipelineError;

/// Files that are merged at once.
const MAX_OPEN: usize = 256;

/// Members handed to the writer at once.
const CHUNK: usize = 1_024;

/// Chunks that wait for the encoder.
const CHUNKS_AHEAD: usize = 8;

/// A bucket's candidates, which know their bucket.
struct BucketStream {
    bucket: usize,
    path: PathBuf,
    reader: SpillReader<BufReader<File>>,
}

/// A candidate with his bucket.
struct Placed {
    bucket: usize,
    row: SpilledRow,
}

impl Ranked for Placed {
    fn user(&self) -> &str {
        self.row.user()
    }

    fn score(&self) -> f32 {
        self.row.score()
    }

    fn arm(&self) -> Arm {
        self.row.arm()
    }
}

impl Stream for BucketStream {
    type Row = Placed;
    type Error = PipelineError;

    fn next(&mut self) -> Result<Option<Placed>, PipelineError> {
        let row = self.reader.next().map_err(ArtifactError::io("read", &self.path))?;
        Ok(row.map(|row| Placed { bucket: self.bucket, row }))
    }
}

fn open(files: &[(usize, PathBuf)]) -> Result<Vec<BucketStream>, PipelineError> {
    let stream = |(bucket, path): &(usize, PathBuf)| {
        let file = File::open(path).map_err(ArtifactError::io("open", path))?;
        Ok(BucketStream { bucket: *bucket, path: path.clone(), reader: SpillReader::new(BufReader::new(file)) })
    };
    files.iter().map(stream).collect()
}

/// Writes the list of every campaign, best first, and the log of contacts. Returns the whole funnels.
pub(super) fn write_all(
    inputs: &CampaignInputs<'_>,
    plan: &Plan,
    past: &Past,
    selected: Selected,
) -> Result<Vec<Funnel>, PipelineError> {
    // The largest first, so that no thread begins it when the others are through.
    let mut order: Vec<usize> = (0..plan.campaigns.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(selected.funnels[at].n_candidates()));
    let mut written = in_threads(order.len(), |place| {
        let at = order[place];
        let funnel = selected.funnels[at].clone();
        write_list(inputs, &plan.campaigns[at].config, &selected.spilled[at], funnel).map(|list| (at, list))
    })?;
    written.sort_unstable_by_key(|(at, _)| *at);
    let mut contacted = vec![Vec::new(); inputs.config.interactions.n_buckets];
    let mut funnels = Vec::with_capacity(written.len());
    for (at, list) in written {
        funnels.push(list.funnel);
        for (bucket, user, arm) in list.members {
            contacted[bucket].push((user, at as u16, arm));
        }
    }
    write_log(inputs, plan, past, &contacted)?;
    fs::remove_dir_all(&selected.scratch).map_err(ArtifactError::io("remove", &selected.scratch))?;
    Ok(funnels)
}

/// What a list that is written leaves.
struct Written {
    /// The whole funnel.
    funnel: Funnel,
    /// (bucket, place in it, arm).
    members: Vec<(usize, u32, Arm)>,
}

/// Writes one campaign's list.
fn write_list(
    inputs: &CampaignInputs<'_>,
    campaign: &CampaignConfig,
    files: &[(usize, PathBuf)],
    mut funnel: Funnel,
) -> Result<Written, PipelineError> {
    let name = campaign.name.as_str();
    let mut out = MemberWriter::create(inputs.run.file(&campaign_path(name, 0)?)?)?;
    let mut members = Vec::new();
    // One thread merges, the other encodes: one list is often as long as all others together.
    let (sender, receiver) = mpsc::sync_channel::<Vec<(u32, SpilledRow)>>(CHUNKS_AHEAD);
    thread::scope(|scope| {
        let encoder = scope.spawn(move || -> Result<(), PipelineError> {
            for rows in receiver {
                out.write(&batch(name, &rows))?;
            }
            out.finish()?;
            Ok(())
        });
        let mut rows = Vec::with_capacity(CHUNK);
        let merged = merge_files(files, campaign.size, &mut funnel, &mut |rank, placed| {
            members.push((placed.bucket, placed.row.place, placed.row.arm()));
            rows.push((rank, placed.row));
            if rows.len() == CHUNK {
                // Refused when the encoder gave up; it says why in the end.
                sender.send(std::mem::replace(&mut rows, Vec::with_capacity(CHUNK))).ok();
            }
            Ok(())
        });
        sender.send(rows).ok();
        drop(sender);
        let encoded = encoder.join().unwrap_or_else(|panic| resume_unwind(panic));
        merged.and(encoded)
    })?;
    Ok(Written { funnel, members })
}

/// Rows as the writer takes them.
fn batch<'a>(campaign: &'a str, rows: &'a [(u32, SpilledRow)]) -> MemberBatch<'a> {
    let mut batch = MemberBatch { campaign, lists: ListBatch::default(), ..MemberBatch::default() };
    for (rank, row) in rows {
        batch.lists.push(&row.user, row.items.iter().map(|(item, score)| (item.as_str(), *score)), "");
        batch.ranks.push(*rank);
        batch.scores.push(row.score);
        batch.arms.push(row.arm());
        batch.reasons.push(&row.reason);
        batch.variables.push(&row.variables);
    }
    batch
}

/// Merges however many files there are, so many at once.
fn merge_files(
    files: &[(usize, PathBuf)],
    size: Option<u64>,
    funnel: &mut Funnel,
    take: &mut dyn FnMut(u32, Placed) -> Result<(), PipelineError>,
) -> Result<(), PipelineError> {
    if files.len() <= MAX_OPEN {
        return merge(open(files)?, size, funnel, take);
    }
    let mut groups = Vec::new();
    for (number, group) in files.chunks(MAX_OPEN).enumerate() {
        let path = group[0].1.with_extension(format!("merged{number}"));
        let failed = |error| PipelineError::from(ArtifactError::io("write", &path)(error));
        let mut out = SpillWriter::new(BufWriter::new(File::create_new(&path).map_err(failed)?));
        merge(open(group)?, None, &mut Funnel::default(), |_, placed| {
            // The bucket travels in front of the reason, which comes back without it.
            let mut row = placed.row;
            row.reason = format!("{}\0{}", placed.bucket, row.reason);
            out.write(&row).map_err(failed)
        })?;
        out.finish().map_err(failed)?;
        groups.push((0, path));
    }
    merge_files(&groups, size, funnel, &mut |rank, mut placed| {
        if let Some((bucket, reason)) = placed.row.reason.split_once('\0') {
            placed.bucket = bucket.parse().unwrap_or(placed.bucket);
            placed.row.reason = reason.to_owned();
        }
        take(rank, placed)
    })
}

/// Writes who was contacted, tonight and on the nights before that are still remembered.
///
/// `contacted`: by bucket (place of the user, place in the plan, arm).
fn write_log(
    inputs: &CampaignInputs<'_>,
    plan: &Plan,
    past: &Past,
    contacted: &[Vec<(u32, u16, Arm)>],
) -> Result<(), PipelineError> {
    let Some(tonight) = past.tonight else { return Ok(()) };
    let reading = Reading::new(inputs);
    in_threads(contacted.len(), |bucket| {
        let mut rows = past.rows(bucket)?;
        // By places, which ascend with the ids: putting numbers in order is cheaper than texts.
        let mut own = contacted[bucket].clone();
        own.sort_unstable_by_key(|&(user, campaign, _)| (user, plan.campaigns[campaign as usize].config.name.as_str()));
        if !own.is_empty() {
            let name = bucket_path("profiles", bucket);
            let absent = || ArtifactError::NoSuchFile { run: inputs.run.partial_dir().to_owned(), path: name.clone() };
            let ids = read_user_ids(&reading.file(&name)?.ok_or_else(absent)?)?;
            rows.extend(own.into_iter().map(|(user, campaign, arm)| ContactRow {
                user: ids.get(user as usize).to_owned(),
                night: tonight,
                campaign: plan.campaigns[campaign as usize].config.name.clone(),
                arm,
            }));
        }
        if !rows.is_sorted() {
            rows.sort_unstable();
        }
        write_contacts(inputs.run.file(&bucket_path(CONTACTS, bucket))?, &rows)?;
        Ok::<_, PipelineError>(())
    })?;
    Ok(())
}
