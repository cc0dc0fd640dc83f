//! ListObjectsV2 with paging.

use aws_sdk_s3::types::Object;

use super::{
    Running, S3Client,
    error::{Request, explained},
};
use crate::storage::{
    StorageError,
    listing::{Found, ObjectInfo, Place},
    location::{Location, hive_columns},
};

impl S3Client {
    /// Lists what an S3 location takes.
    pub(in crate::storage) fn list(
        &self,
        bucket: &str,
        location: &Location,
        suffixes: &[&str],
    ) -> Result<Found, StorageError> {
        let running = self.running(location.text())?;
        running.runtime().block_on(running.list(bucket, location, suffixes))
    }
}

impl Running {
    async fn list(&self, bucket: &str, location: &Location, suffixes: &[&str]) -> Result<Found, StorageError> {
        let mut found = Found::default();
        let key = location.path();
        if !location.is_glob() && !key.is_empty() && !key.ends_with('/') {
            // The object itself sorts before everything else that starts with its key.
            let page = self.page(bucket, location, key, None, 1).await?;
            if let Some(object) = page.objects.into_iter().find(|object| object.key() == Some(key)) {
                found.taken.extend(info(bucket, &object));
                return Ok(found);
            }
        }
        let prefix = match location.is_glob() {
            true => location.literal_prefix().to_owned(),
            false if key.is_empty() || key.ends_with('/') => key.to_owned(),
            false => format!("{key}/"),
        };
        let mut next = None;
        loop {
            let page = self.page(bucket, location, &prefix, next, PAGE_KEYS).await?;
            for object in &page.objects {
                match info(bucket, object) {
                    Some(info) if location.takes(object.key().unwrap_or(""), info.size, suffixes) => {
                        found.taken.push(info);
                    }
                    _ => found.passed.add(object.key().unwrap_or("")),
                }
            }
            match page.next {
                Some(token) => next = Some(token),
                None => return Ok(found),
            }
        }
    }

    async fn page(
        &self,
        bucket: &str,
        location: &Location,
        prefix: &str,
        token: Option<String>,
        max_keys: i32,
    ) -> Result<Page, StorageError> {
        let answer = self
            .client
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .max_keys(max_keys)
            .set_continuation_token(token)
            .send()
            .await
            .map_err(|error| explained(Request { action: "list", uri: location.text(), bucket }, error))?;
        let next = answer.next_continuation_token.filter(|_| answer.is_truncated == Some(true));
        Ok(Page { objects: answer.contents.unwrap_or_default(), next })
    }
}

/// The most keys S3 gives in one answer.
const PAGE_KEYS: i32 = 1_000;

struct Page {
    objects: Vec<Object>,
    next: Option<String>,
}

fn info(bucket: &str, object: &Object) -> Option<ObjectInfo> {
    let key = object.key()?;
    Some(ObjectInfo {
        uri: format!("s3://{bucket}/{key}"),
        size: u64::try_from(object.size()?).ok()?,
        etag: object.e_tag().map(|etag| etag.trim_matches('"').to_owned()),
        hive: hive_columns(key),
        place: Place::S3 { bucket: bucket.to_owned(), key: key.to_owned() },
    })
}
