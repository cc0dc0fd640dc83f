//! The emulator, called as its own server would call it: operation by name, JSON in, JSON out.

use dynoxide::{Database, DynoxideError};
use serde::{Serialize, de::DeserializeOwned};

/// What DynamoDB answers.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Carries one operation out.
pub(super) fn call(database: &Database, operation: &str, body: &[u8]) -> Answer {
    macro_rules! on {
        ($method:ident) => {
            run(body, |request| database.$method(request))
        };
    }
    let outcome = match operation {
        "CreateTable" => on!(create_table),
        "DeleteTable" => on!(delete_table),
        "DescribeTable" => on!(describe_table),
        "ListTables" => on!(list_tables),
        "UpdateTable" => on!(update_table),
        "UpdateTimeToLive" => on!(update_time_to_live),
        "DescribeTimeToLive" => on!(describe_time_to_live),
        "PutItem" => on!(put_item),
        "GetItem" => on!(get_item),
        "DeleteItem" => on!(delete_item),
        "UpdateItem" => on!(update_item),
        "Query" => on!(query),
        "Scan" => on!(scan),
        "BatchGetItem" => on!(batch_get_item),
        "BatchWriteItem" => on!(batch_write_item),
        "TransactWriteItems" => on!(transact_write_items),
        "TransactGetItems" => on!(transact_get_items),
        _ => return error(400, "UnknownOperationException", &format!("{operation} is not known here")),
    };
    outcome.unwrap_or_else(|error| Answer { status: error.status_code(), body: error.to_json().into_bytes() })
}

/// An error as DynamoDB words it.
pub(super) fn error(status: u16, name: &str, message: &str) -> Answer {
    let body = serde_json::json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{name}"), "message": message });
    Answer { status, body: body.to_string().into_bytes() }
}

fn run<Request: DeserializeOwned, Response: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Request) -> dynoxide::Result<Response>,
) -> Result<Answer, DynoxideError> {
    let refuse = |error: serde_json::Error| DynoxideError::SerializationException(error.to_string());
    let response = operation(serde_json::from_slice(body).map_err(refuse)?)?;
    Ok(Answer { status: 200, body: serde_json::to_vec(&response).map_err(refuse)? })
}
