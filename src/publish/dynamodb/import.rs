//! A whole run as a new table, by way of S3: for first loads and full loads of many rows, at a quarter of the price or less.
//!
//! Rows are written as DynamoDB JSON, compressed, into a prefix of a bucket; ImportTable makes a table of them; readers are
//! sent to it by the pointer, which names the table that rows lie in.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::PathBuf,
    time::Duration,
};

use aws_sdk_dynamodb::types::{
    AttributeValue, BillingMode, ImportStatus, InputCompressionType, InputFormat, S3BucketSource,
    TableCreationParameters,
};
use sha2::{Digest, Sha256};

use super::{
    encode::{Encoded, Item},
    ledger::Entry,
    link::Link,
    tables,
};
use crate::{
    publish::PublishError,
    storage::{FileUpload, S3Prefix},
};

/// Rows a file: some 100 MB before they are compressed.
const FILE_ROWS: u64 = 100_000;
/// What zstd takes: level 1 keeps up with encoding.
const COMPRESSION_LEVEL: i32 = 1;
/// How often the state of an import is asked for.
const POLL: Duration = Duration::from_secs(2);

/// Rows on their way into files.
pub(super) struct Import {
    prefix: S3Prefix,
    /// Removed with everything in it when the import is over.
    scratch: Scratch,
    files: Vec<FileUpload>,
    open: Option<OpenFile>,
    n_rows: u64,
}

impl std::fmt::Debug for Import {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Import").field("prefix", &self.prefix).field("n_rows", &self.n_rows).finish_non_exhaustive()
    }
}

struct OpenFile {
    path: PathBuf,
    name: String,
    n_rows: u64,
    out: zstd::Encoder<'static, BufWriter<File>>,
}

#[derive(Debug)]
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove the files of an import");
        }
    }
}

/// The table that an import of a sequence makes.
pub(super) fn table_of(base: &str, sequence: i64) -> String {
    format!("{base}-{sequence}")
}

impl Import {
    /// Files go below `prefix`, in a folder of the run's own.
    pub(super) fn start(link: &Link, prefix: &S3Prefix, entry: &Entry) -> Result<Self, PublishError> {
        let name = format!("nightshelf-import-{}", entry.owner);
        let scratch = Scratch(std::env::temp_dir().join(&name));
        fs::create_dir(&scratch.0).map_err(|error| failed(link, "make a directory for the import's files", error))?;
        let folder = format!("{}/{}-{}", link.config.table, entry.sequence, entry.owner);
        Ok(Self { prefix: prefix.join(&folder), scratch, files: Vec::new(), open: None, n_rows: 0 })
    }

    pub(super) fn add(&mut self, link: &Link, row: &Encoded) -> Result<(), PublishError> {
        if self.open.as_ref().is_some_and(|open| open.n_rows >= FILE_ROWS) {
            self.close(link)?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let name = format!("part-{:05}.json.zst", self.files.len());
                let path = self.scratch.0.join(&name);
                let out = File::create_new(&path)
                    .and_then(|file| zstd::Encoder::new(BufWriter::new(file), COMPRESSION_LEVEL))
                    .map_err(|error| failed(link, "make a file for the import", error))?;
                self.open.insert(OpenFile { path, name, n_rows: 0, out })
            }
        };
        let mut line = Vec::with_capacity(2 * row.n_bytes + 64);
        line.extend_from_slice(b"{\"Item\":");
        item_json(&row.item, &mut line);
        line.extend_from_slice(b"}\n");
        open.out.write_all(&line).map_err(|error| failed(link, "write a file for the import", error))?;
        open.n_rows += 1;
        self.n_rows += 1;
        Ok(())
    }

    fn close(&mut self, link: &Link) -> Result<(), PublishError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let failed = |error| failed(link, "write a file for the import", error);
        let mut file = open.out.finish().map_err(failed)?;
        file.flush().map_err(failed)?;
        drop(file);
        let bytes = fs::read(&open.path).map_err(failed)?;
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        self.files.push(FileUpload { from: open.path, path: open.name, bytes: bytes.len() as u64, sha256 });
        Ok(())
    }

    /// Uploads the files. Not from within an async runtime.
    pub(super) fn upload(&mut self, link: &Link) -> Result<(), PublishError> {
        self.close(link)?;
        let always: crate::storage::Permission = std::sync::Arc::new(|| true);
        self.prefix.upload(&self.files, &always).map_err(|source| PublishError::Store {
            store: link.store.clone(),
            doing: format!("upload the import's files to {}", self.prefix.uri("")),
            source: Box::new(source),
        })
    }

    /// Removes the uploaded files; what cannot be removed costs a few cents a month and is told.
    pub(super) fn clean_up(&self) {
        let paths: Vec<String> = self.files.iter().map(|file| file.path.clone()).collect();
        if let Err(error) = self.prefix.delete(&paths) {
            tracing::warn!(prefix = self.prefix.uri(""), %error, "files of a finished import could not be removed");
        }
    }

    /// Has DynamoDB make the table, and waits for it.
    ///
    /// # Errors
    /// When the import fails, or DynamoDB took another number of rows than were written.
    pub(super) async fn run(&self, link: &Link, entry: &Entry) -> Result<(), PublishError> {
        let table = &entry.table;
        if self.n_rows == 0 {
            // ImportTable refuses an empty prefix.
            return tables::create_data_table(link, table).await;
        }
        let (bucket, key_prefix) = self.prefix.bucket_and_key();
        let source =
            S3BucketSource::builder().s3_bucket(bucket).s3_key_prefix(key_prefix).build().expect("the bucket is set");
        let (keys, attributes) = tables::keys(&link.config.attributes);
        let parameters = TableCreationParameters::builder()
            .table_name(table)
            .billing_mode(BillingMode::PayPerRequest)
            .set_key_schema(Some(keys))
            .set_attribute_definitions(Some(attributes))
            .build()
            .expect("name and keys are set");
        let begin = || {
            let request =
                link.client.import_table().s3_bucket_source(source.clone()).input_format(InputFormat::DynamodbJson);
            let request = request.input_compression_type(InputCompressionType::Zstd);
            // The same token is the same import, so an answer that is lost does no harm.
            request.table_creation_parameters(parameters.clone()).client_token(&entry.owner).send()
        };
        let begun = link.patiently("begin an import", begin).await?;
        let arn =
            begun.import_table_description().and_then(|import| import.import_arn()).unwrap_or_default().to_owned();
        loop {
            let ask = || link.client.describe_import().import_arn(&arn).send();
            let answer = link.patiently("ask how the import goes", ask).await?;
            let Some(import) = answer.import_table_description() else { continue };
            let (taken, errors) = (import.imported_item_count(), import.error_count());
            match import.import_status() {
                Some(ImportStatus::InProgress) | None => {}
                Some(ImportStatus::Completed) if errors == 0 && taken == self.n_rows as i64 => break,
                Some(status) => {
                    let why = import.failure_message().unwrap_or("no reason was given");
                    let what = format!(
                        "the import into table {table} ended as {status} with {taken} of {} rows and {errors} errors: {why}",
                        self.n_rows
                    );
                    let hint =
                        "CloudWatch's /aws-dynamodb/imports says which rows; the next publish may try again".to_owned();
                    return Err(PublishError::NotReady { store: link.store.clone(), what, hint, source: None });
                }
            }
            tokio::time::sleep(POLL).await;
        }
        tables::turn_ttl_on(link, table).await
    }
}

fn failed(link: &Link, doing: &str, error: std::io::Error) -> PublishError {
    PublishError::Store { store: link.store.clone(), doing: doing.to_owned(), source: Box::new(error) }
}

/// An item in DynamoDB's own JSON.
fn item_json(item: &Item, out: &mut Vec<u8>) {
    let mut names: Vec<&String> = item.keys().collect();
    // In one order, so that equal rows give equal files.
    names.sort_unstable();
    out.push(b'{');
    for (at, name) in names.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        text_json(name, out);
        out.push(b':');
        value_json(&item[name], out);
    }
    out.push(b'}');
}

fn value_json(value: &AttributeValue, out: &mut Vec<u8>) {
    match value {
        AttributeValue::S(text) => {
            out.extend_from_slice(b"{\"S\":");
            text_json(text, out);
        }
        AttributeValue::N(text) => {
            out.extend_from_slice(b"{\"N\":");
            text_json(text, out);
        }
        AttributeValue::Bool(value) => {
            out.extend_from_slice(if *value { b"{\"BOOL\":true" } else { b"{\"BOOL\":false" });
        }
        AttributeValue::L(values) => {
            out.extend_from_slice(b"{\"L\":[");
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                value_json(value, out);
            }
            out.push(b']');
        }
        AttributeValue::M(fields) => {
            out.extend_from_slice(b"{\"M\":");
            item_json(fields, out);
        }
        // Rows hold nothing else.
        _ => out.extend_from_slice(b"{\"NULL\":true"),
    }
    out.push(b'}');
}

fn text_json(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a Vec takes every text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_dynamodb_json() {
        let mut item = Item::new();
        item.insert("pk".into(), AttributeValue::S("u#\"é\"\n".into()));
        item.insert("sk".into(), AttributeValue::N("7".into()));
        item.insert("gone".into(), AttributeValue::Bool(true));
        let fields =
            [("i".to_owned(), AttributeValue::S("a".into())), ("s".to_owned(), AttributeValue::N("0.5".into()))];
        item.insert(
            "l".into(),
            AttributeValue::L(vec![AttributeValue::S("b".into()), AttributeValue::M(fields.into())]),
        );
        let mut out = Vec::new();
        item_json(&item, &mut out);
        let expected = r#"{"gone":{"BOOL":true},"l":{"L":[{"S":"b"},{"M":{"i":{"S":"a"},"s":{"N":"0.5"}}}]},"pk":{"S":"u#\"é\"\n"},"sk":{"N":"7"}}"#;
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
