//! Reading customers, wherever they lie.

use arrow::{array::ArrayRef, datatypes::DataType};

use crate::{
    sql::{Outcome, ReplicaConfig, SqlColumn, TableRead, read_table},
    storage::Storage,
};

use super::{
    CustomerTable, CustomersConfig, CustomersError, CustomersReport, collect::Collector, parquet_files, wanted::Want,
};

/// Endings of files of customers.
pub const CUSTOMER_FILES: [&str; 3] = [".parquet", ".parq", ".pq"];

/// The section of the config.
const PATH: &str = "customers";

/// What to read, and how.
pub struct CustomersInput<'a> {
    /// Where bytes come from.
    pub storage: &'a Storage,
    /// `[customers]`.
    pub config: &'a CustomersConfig,
    /// Buckets that users are dealt into.
    pub n_buckets: usize,
    /// Longer user ids are rejected, as in the events.
    pub max_id_bytes: usize,
}

/// Customers, and where they were read.
#[derive(Debug, Clone, Default)]
pub struct CustomersRead {
    /// The customers; `None` when the replica could not be read and the config lets the build go on: then nobody's consent is
    /// known.
    pub table: Option<CustomerTable>,
    /// Counts.
    pub report: CustomersReport,
    /// The table of a read replica that was read.
    pub replica: Option<TableRead>,
    /// Why they were left out, where they were.
    pub left_out: Option<String>,
}

/// Reads the customers; `None` when the config names none.
///
/// # Errors
/// A file that is damaged, a server that cannot be reached or lags, a column that is missing or of the wrong type, contact addresses among the attributes, too many
/// rows without a user id.
///
/// Determinism: the order of files and rows does not matter; of rows of one user the one of the latest `created_at` counts,
/// then the one whose columns come last; he consents to what all of them consent to, and any block blocks him.
pub fn read_customers(input: &CustomersInput<'_>) -> Result<Option<CustomersRead>, CustomersError> {
    let config = input.config;
    if !config.is_set() {
        return Ok(None);
    }
    if let Some(replica) = &config.replica {
        return from_replica(input, replica).map(Some);
    }
    let mut collector = collector(input);
    for object in input.storage.list(&config.paths, &CUSTOMER_FILES)? {
        parquet_files::read(input.storage, &object, &mut collector)?;
    }
    let (table, report) = collector.finish(config.max_rejected_ratio)?;
    Ok(Some(CustomersRead { table: Some(table), report, ..Default::default() }))
}

fn collector(input: &CustomersInput<'_>) -> Collector {
    Collector::new(input.config.wanted(PATH), input.n_buckets, input.max_id_bytes)
}

fn from_replica(input: &CustomersInput<'_>, replica: &ReplicaConfig) -> Result<CustomersRead, CustomersError> {
    let place = replica.place();
    let wanted = input.config.wanted(PATH);
    let newest = wanted.iter().find(|column| column.want == Want::Time).map(|column| column.column.as_str());
    let columns: Vec<SqlColumn> = wanted
        .iter()
        .map(|column| SqlColumn { key: column.key.clone(), name: column.column.clone(), holds: column.want.holds() })
        .collect();
    let start = |types: &[DataType]| {
        let mut collector = collector(input);
        collector.check_types(&place, types).map(|()| collector)
    };
    let each = |collector: &mut Collector, arrays: &[ArrayRef]| {
        collector.add(&place, arrays).map_err(|source| CustomersError::Values { place: place.clone(), source })?
    };
    match read_table(replica, "customers.replica", &columns, newest, start, each)? {
        Outcome::Read(collector, read) => {
            let (table, report) = collector.finish(input.config.max_rejected_ratio)?;
            Ok(CustomersRead { table: Some(table), report, replica: Some(read), ..Default::default() })
        }
        Outcome::LeftOut(why) => Ok(CustomersRead { left_out: Some(why), ..Default::default() }),
    }
}
