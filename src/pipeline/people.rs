//! Customers and replicas in a build: read before anything that takes long.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    artifacts::{InputContent, InputObserved},
    config::Config,
    customers::{CustomersInput, CustomersRead, CustomersReport, read_customers},
    events::Scan,
    sql::TableRead,
    storage::Storage,
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

/// What the manifest and the summary say of customers and of tables of read replicas.
#[derive(Debug, Default)]
pub(super) struct People {
    customers: Option<CustomersReport>,
    /// With what each was read as.
    tables: Vec<(&'static str, TableRead)>,
    left_out: Vec<String>,
}

impl People {
    pub(super) fn new(scan: Option<&Scan>, read: Option<&CustomersRead>) -> Self {
        let orders = scan.and_then(|scan| scan.order_table.clone()).map(|table| ("orders", table));
        let customers = read.and_then(|read| read.replica.clone()).map(|table| ("customers", table));
        let no_orders = scan.and_then(|scan| scan.orders_left_out.as_ref());
        let no_orders =
            no_orders.map(|why| format!("orders were left out, and purchases of the clickstream count: {why}"));
        let nobody = read.and_then(|read| read.left_out.as_ref());
        let nobody = nobody.map(|why| format!("customers were left out, so nobody's consent is known: {why}"));
        Self {
            customers: read.map(|read| read.report.clone()),
            tables: orders.into_iter().chain(customers).collect(),
            left_out: no_orders.into_iter().chain(nobody).collect(),
        }
    }

    /// Enters tables among the inputs: by a digest of their rows, which the content hash covers.
    pub(super) fn add_to(&self, inputs: &mut Inputs) {
        for (role, table) in &self.tables {
            let (role, checksum, bytes) = ((*role).to_owned(), table.digest.clone(), table.bytes);
            let path = format!("{} (query sha256:{})", table.place, table.query_sha256);
            inputs.observed.push(InputObserved { role: role.clone(), path, checksum: checksum.clone(), bytes });
            inputs.content.push(InputContent { role, checksum, bytes });
        }
    }

    /// Rows and lag of the tables, for the observed part of the manifest.
    pub(super) fn notes(&self) -> BTreeMap<String, Value> {
        let note = |(role, table): &(&'static str, TableRead)| {
            let note = json!({ "place": table.place, "rows": table.rows, "lag_s": table.lag_s });
            (format!("{role}_replica"), note)
        };
        self.tables.iter().map(note).collect()
    }

    /// Counts for the manifest, by table.
    pub(super) fn counts(&self) -> Vec<(&'static str, Vec<(&str, u64)>)> {
        self.customers.iter().flat_map(counts).collect()
    }

    /// What to know about them.
    pub(super) fn warnings(&self) -> Vec<String> {
        let lagging = self.tables.iter().filter_map(|(_, table)| table.warning.clone());
        self.left_out.iter().cloned().chain(lagging).chain(self.customers.iter().flat_map(warnings)).collect()
    }
}

/// Counts for the manifest, by table.
fn counts(report: &CustomersReport) -> [(&'static str, Vec<(&str, u64)>); 2] {
    let noted = report.noted.iter().map(|(name, n)| (name.as_str(), *n));
    let all = [("rows", report.rows), ("customers", report.customers)].into_iter().chain(noted);
    let rejected = report.rejected.iter().map(|(name, n)| (name.as_str(), *n));
    [("customers", all.collect()), ("customers.rejected", rejected.collect())]
}

/// What to know about them.
fn warnings(report: &CustomersReport) -> Vec<String> {
    let rejected = report.rejected.iter().map(|(reason, n)| format!("{n} rows of customers were left out: {reason}"));
    let noted = report.noted.iter().map(|(reason, n)| match reason.as_str() {
        "repeated_user" => format!("{n} rows of customers repeat a user; they are merged, any block counts"),
        reason => format!("{n} values of customers were not understood: {reason}"),
    });
    rejected.chain(noted).collect()
}
