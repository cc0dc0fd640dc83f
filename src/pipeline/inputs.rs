//! What went into a build: input files with checksums.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    artifacts::{InputContent, InputObserved},
    config::Config,
    customers::CUSTOMER_FILES,
    storage::{ObjectInfo, Storage, StorageError},
};

use super::PipelineError;

/// Bytes hashed at a time.
const CHUNK: u64 = 8 << 20;

/// The inputs of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub(super) content: Vec<InputContent>,
    pub(super) observed: Vec<InputObserved>,
}

/// Takes the checksum of every input: SHA-256 of local files, the ETag of S3 objects (which pins the version that was read).
pub(super) fn checksums(
    config: &Config,
    storage: &Storage,
    rows: &[(&'static str, ObjectInfo)],
) -> Result<(Inputs, u64), PipelineError> {
    let mut objects = rows.to_vec();
    if let Some(path) = &config.catalog.path {
        let catalog = storage.list(std::slice::from_ref(path), &[".parquet", ".csv"])?;
        objects.extend(catalog.into_iter().map(|object| ("catalog", object)));
    }
    if let Some(path) = config.campaigns.earlier_catalog.as_ref().filter(|_| !config.campaign.is_empty()) {
        let catalog = storage.list(std::slice::from_ref(path), &[".parquet", ".csv"])?;
        objects.extend(catalog.into_iter().map(|object| ("earlier_catalog", object)));
    }
    if !config.customers.paths.is_empty() {
        let customers = storage.list(&config.customers.paths, &CUSTOMER_FILES)?;
        objects.extend(customers.into_iter().map(|object| ("customers", object)));
    }
    let observed: Vec<InputObserved> = objects
        .par_iter()
        .map(|(role, object)| {
            Ok(InputObserved {
                role: (*role).to_owned(),
                path: object.uri.clone(),
                checksum: checksum(storage, object)?,
                bytes: object.size,
            })
        })
        .collect::<Result<_, StorageError>>()?;
    let content = observed
        .iter()
        .map(|input| InputContent { role: input.role.clone(), checksum: input.checksum.clone(), bytes: input.bytes })
        .collect();
    let bytes = observed.iter().map(|input| input.bytes).sum();
    Ok((Inputs { content, observed }, bytes))
}

fn checksum(storage: &Storage, object: &ObjectInfo) -> Result<String, StorageError> {
    if let Some(etag) = &object.etag {
        return Ok(format!("etag:{}", etag.trim_matches('"')));
    }
    let reader = storage.open(object)?;
    let mut hasher = Sha256::new();
    for start in (0..object.size).step_by(CHUNK as usize) {
        hasher.update(reader.read_range(start..(start + CHUNK).min(object.size))?);
    }
    let digest = hasher.finalize();
    Ok(digest.iter().fold(String::from("sha256:"), |text, byte| format!("{text}{byte:02x}")))
}
