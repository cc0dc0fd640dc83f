//! ImportTable, which the emulator has not: files below a prefix of the S3 server into a new table.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use dynoxide::Database;
use serde_json::{Value, json};

use super::emulator::{Answer, call, error};

/// The imports so far.
#[derive(Default)]
pub(super) struct Imports {
    /// The folder of the S3 server's buckets.
    pub(super) buckets: Mutex<Option<PathBuf>>,
    /// By client token, which is the end of the ARN, too.
    done: Mutex<BTreeMap<String, Value>>,
}

impl Imports {
    /// Carries one of the two operations out; `None`: it is another one.
    pub(super) fn call(&self, database: &Database, operation: &str, body: &[u8]) -> Option<Answer> {
        let request: Value = serde_json::from_slice(body).ok()?;
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let description = match operation {
            "ImportTable" => {
                let token = request["ClientToken"].as_str().unwrap().to_owned();
                if !done.contains_key(&token) {
                    let description = self.import(database, &request, &token);
                    done.insert(token.clone(), description);
                }
                // It takes its time.
                json!({"ImportArn": done[&token]["ImportArn"], "ImportStatus": "IN_PROGRESS"})
            }
            "DescribeImport" => {
                let token = request["ImportArn"].as_str().unwrap().rsplit('/').next().unwrap();
                match done.get(token) {
                    Some(description) => description.clone(),
                    None => return Some(error(400, "ImportNotFoundException", "no such import")),
                }
            }
            _ => return None,
        };
        Some(Answer { status: 200, body: json!({"ImportTableDescription": description}).to_string().into_bytes() })
    }

    fn import(&self, database: &Database, request: &Value, token: &str) -> Value {
        assert_eq!(
            (&request["InputFormat"], &request["InputCompressionType"]),
            (&json!("DYNAMODB_JSON"), &json!("ZSTD"))
        );
        let parameters = &request["TableCreationParameters"];
        let created = call(database, "CreateTable", parameters.to_string().as_bytes());
        assert_eq!(created.status, 200, "{}", String::from_utf8_lossy(&created.body));
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap();
        let source = &request["S3BucketSource"];
        let folder = buckets.join(source["S3Bucket"].as_str().unwrap()).join(source["S3KeyPrefix"].as_str().unwrap());
        let (mut taken, mut errors) = (0, 0);
        for file in fs::read_dir(folder).unwrap() {
            let text = zstd::decode_all(fs::File::open(file.unwrap().path()).unwrap()).unwrap();
            for line in String::from_utf8(text).unwrap().lines() {
                let item: Value = serde_json::from_str(line).unwrap();
                let put = json!({"TableName": parameters["TableName"], "Item": item["Item"]});
                match call(database, "PutItem", put.to_string().as_bytes()).status {
                    200 => taken += 1,
                    _ => errors += 1,
                }
            }
        }
        json!({
            "ImportArn": format!("arn:aws:dynamodb:eu-central-1:123456789012:table/x/import/{token}"),
            "ImportStatus": "COMPLETED", "ImportedItemCount": taken, "ProcessedItemCount": taken + errors, "ErrorCount": errors,
        })
    }
}
