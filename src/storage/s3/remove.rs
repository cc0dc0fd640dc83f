//! Listing a prefix, deleting from it, and aborting the uploads that were left in it.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::{Running, S3Prefix, error::explained};
use crate::storage::StorageError;

/// The most keys S3 lists or deletes at once.
const PAGE_KEYS: i32 = 1_000;

impl S3Prefix {
    /// The paths and sizes of all objects below this prefix, by path.
    ///
    /// # Errors
    /// A missing bucket, a refusal, a request that fails again and again.
    pub fn objects(&self) -> Result<Vec<(String, u64)>, StorageError> {
        let mut found = Vec::new();
        self.each_page(None, |page| {
            for object in page.contents() {
                let Some(path) = object.key().and_then(|key| self.path_of(key)) else { continue };
                let size = object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
                found.push((path.to_owned(), size));
            }
        })?;
        found.sort();
        Ok(found)
    }

    /// The names of the folders right below this prefix, ascending.
    ///
    /// # Errors
    /// As [`objects`](Self::objects).
    pub fn folders(&self) -> Result<Vec<String>, StorageError> {
        let mut found = Vec::new();
        self.each_page(Some("/"), |page| {
            let names = page.common_prefixes().iter().filter_map(|folder| folder.prefix());
            found.extend(names.filter_map(|key| self.path_of(key)).map(|name| name.trim_end_matches('/').to_owned()));
        })?;
        found.sort();
        Ok(found)
    }

    fn each_page(
        &self,
        delimiter: Option<&str>,
        mut each: impl FnMut(&aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output),
    ) -> Result<(), StorageError> {
        let object = self.object("");
        let running = self.client.running(&object.uri)?;
        running.runtime().block_on(async {
            let mut token = None;
            loop {
                let page = running
                    .client
                    .list_objects_v2()
                    .bucket(&object.bucket)
                    .prefix(&object.key)
                    .set_delimiter(delimiter.map(str::to_owned))
                    .max_keys(PAGE_KEYS)
                    .set_continuation_token(token)
                    .send()
                    .await
                    .map_err(|error| explained(object.request("list"), error))?;
                each(&page);
                token = page.next_continuation_token().map(str::to_owned);
                if page.is_truncated() != Some(true) || token.is_none() {
                    return Ok(());
                }
            }
        })
    }

    /// Deletes objects, a thousand a request; what is not there counts as deleted.
    ///
    /// # Errors
    /// A missing bucket, a refusal of any of them, a request that fails again and again.
    pub fn delete(&self, paths: &[String]) -> Result<(), StorageError> {
        if paths.is_empty() {
            return Ok(());
        }
        let running = self.client.running(&self.uri(""))?;
        running.runtime().block_on(async {
            for batch in paths.chunks(PAGE_KEYS as usize) {
                self.delete_batch(&running, batch).await?;
            }
            Ok(())
        })
    }

    async fn delete_batch(&self, running: &Running, paths: &[String]) -> Result<(), StorageError> {
        let first = self.object(&paths[0]);
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| StorageError::S3 {
            action: "delete",
            uri: first.uri.clone(),
            source,
        };
        let identifiers: Result<Vec<_>, _> =
            paths.iter().map(|path| ObjectIdentifier::builder().key(self.object(path).key).build()).collect();
        let delete = Delete::builder()
            .set_objects(Some(identifiers.map_err(|error| failed(error.into()))?))
            .quiet(true)
            .build()
            .map_err(|error| failed(error.into()))?;
        let answer = running
            .client
            .delete_objects()
            .bucket(&first.bucket)
            .delete(delete)
            .send()
            .await
            .map_err(|error| explained(first.request("delete"), error))?;
        let Some(refused) = answer.errors().iter().find(|error| error.code() != Some("NoSuchKey")) else {
            return Ok(());
        };
        let (code, message) = (refused.code().unwrap_or("an unnamed error"), refused.message().unwrap_or(""));
        let uri =
            refused.key().and_then(|key| self.path_of(key)).map_or_else(|| first.uri.clone(), |path| self.uri(path));
        let source = format!("{code} {message}").trim_end().to_owned().into();
        Err(match code {
            "AccessDenied" => StorageError::AccessDenied { action: "delete", uri, code: code.to_owned(), source },
            _ => StorageError::S3 { action: "delete", uri, source },
        })
    }

    /// Aborts every multipart upload below this prefix, whoever started it. Returns: how many there were.
    ///
    /// # Errors
    /// A missing bucket, a refusal, a request that fails again and again.
    pub fn abort_uploads(&self) -> Result<usize, StorageError> {
        let object = self.object("");
        let running = self.client.running(&object.uri)?;
        running.runtime().block_on(async {
            let (mut key_marker, mut id_marker, mut n_aborted) = (None, None, 0);
            loop {
                let page = running
                    .client
                    .list_multipart_uploads()
                    .bucket(&object.bucket)
                    .prefix(&object.key)
                    .set_key_marker(key_marker)
                    .set_upload_id_marker(id_marker)
                    .send()
                    .await
                    .map_err(|error| explained(object.request("list the uploads of"), error))?;
                for upload in page.uploads() {
                    let (Some(path), Some(id)) = (upload.key().and_then(|key| self.path_of(key)), upload.upload_id())
                    else {
                        continue;
                    };
                    abort(&running, &self.object(path), id).await?;
                    n_aborted += 1;
                }
                key_marker = page.next_key_marker().map(str::to_owned);
                id_marker = page.next_upload_id_marker().map(str::to_owned);
                if page.is_truncated() != Some(true) || key_marker.is_none() {
                    return Ok(n_aborted);
                }
            }
        })
    }
}

/// Deletes one object.
pub(super) async fn delete(running: &Running, object: &super::prefix::Object) -> Result<(), StorageError> {
    let sent = running.client.delete_object().bucket(&object.bucket).key(&object.key).send().await;
    sent.map(drop).map_err(|error| explained(object.request("delete"), error))
}

/// Aborts a multipart upload; one that is no longer there counts as aborted.
pub(super) async fn abort(
    running: &Running,
    object: &super::prefix::Object,
    upload_id: &str,
) -> Result<(), StorageError> {
    let request = running.client.abort_multipart_upload().bucket(&object.bucket).key(&object.key);
    match request.upload_id(upload_id).send().await.map_err(|error| explained(object.request("abort"), error)) {
        Ok(_) | Err(StorageError::ObjectGone { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
