//! Customers and replicas in a build: read before anything that takes long.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    artifacts::{InputContent, InputObserved},
    config::Config,
    customers::{CustomersInput, CustomersRead, CustomersReport, read_customers},
    events::Scan,
    sql::TableRead,
    storage::{ObjectInfo, Storage},
};

use super::{PipelineError, inputs::Inputs, observer::Stages};

/// Reads the customers, where the config names some.
pub(super) fn read(
    config: &Config,
    storage: &Storage,
    stages: &mut Stages<'_>,
) -> Result<Option<CustomersRead>, PipelineError> {
    if !config.customers.is_set() {
        return Ok(None);
    }
    let input = CustomersInput {
        storage,
        config: &config.customers,
        n_buckets: config.interactions.n_buckets,
        max_id_bytes: config.events.max_id_bytes,
    };
    stages.run("read customers", None, "rows", |_| {
        let read = read_customers(&input)?;
        let n_rows = read.as_ref().map_or(0, |read| read.report.rows);
        Ok((read, n_rows))
    })
}

/// The files of customers, for the manifest.
pub(super) fn objects(read: Option<&CustomersRead>) -> Vec<(&'static str, ObjectInfo)> {
    read.iter().flat_map(|read| &read.objects).map(|object| ("customers", object.clone())).collect()
}

/// Counts for the manifest, by table.
pub(super) fn counts(report: &CustomersReport) -> [(&'static str, Vec<(&str, u64)>); 2] {
    let noted = report.noted.iter().map(|(name, n)| (name.as_str(), *n));
    let all = [("rows", report.rows), ("customers", report.customers)].into_iter().chain(noted);
    let rejected = report.rejected.iter().map(|(name, n)| (name.as_str(), *n));
    [("customers", all.collect()), ("customers.rejected", rejected.collect())]
}

/// What to know about them.
pub(super) fn warnings(report: &CustomersReport) -> Vec<String> {
    let rejected = report.rejected.iter().map(|(reason, n)| format!("{n} rows of customers were left out: {reason}"));
    let noted = report.noted.iter().map(|(reason, n)| match reason.as_str() {
        "repeated_user" => format!("{n} rows of customers repeat a user; they are merged, any block counts"),
        reason => format!("{n} values of customers were not understood: {reason}"),
    });
    rejected.chain(noted).collect()
}

/// The tables of read replicas that a build read.
pub(super) fn tables(scan: &Scan, customers: Option<&CustomersRead>) -> Vec<(&'static str, TableRead)> {
    let orders = scan.order_table.iter().map(|table| ("orders", table.clone()));
    let customers = customers.and_then(|customers| customers.replica.clone()).map(|table| ("customers", table));
    orders.chain(customers).collect()
}

/// Enters tables among the inputs: by a digest of their rows, which the content hash covers.
pub(super) fn add_tables(inputs: &mut Inputs, tables: &[(&'static str, TableRead)]) {
    for (role, table) in tables {
        let (role, checksum, bytes) = ((*role).to_owned(), table.digest.clone(), table.bytes);
        let path = format!("{} (query sha256:{})", table.place, table.query_sha256);
        inputs.observed.push(InputObserved { role: role.clone(), path, checksum: checksum.clone(), bytes });
        inputs.content.push(InputContent { role, checksum, bytes });
    }
}

/// Rows and lag of the tables, for the observed part of the manifest.
pub(super) fn notes(tables: &[(&'static str, TableRead)]) -> BTreeMap<String, Value> {
    let note = |(role, table): &(&'static str, TableRead)| {
        let note = json!({ "place": table.place, "rows": table.rows, "lag_s": table.lag_s });
        (format!("{role}_replica"), note)
    };
    tables.iter().map(note).collect()
}

/// What to know of sources that were read late, or not at all.
pub(super) fn source_warnings(scan: &Scan, read: Option<&CustomersRead>) -> Vec<String> {
    let orders = scan.orders_left_out.iter();
    let orders = orders.map(|why| format!("orders were left out, and purchases of the clickstream count: {why}"));
    let left_out = read.and_then(|customers| customers.left_out.as_ref());
    let customers = left_out.map(|why| format!("customers were left out, so nobody's consent is known: {why}"));
    let lagging = tables(scan, read).into_iter().filter_map(|(_, table)| table.warning);
    orders.chain(customers).chain(lagging).collect()
}
