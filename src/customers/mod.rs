//! Customers: who may be written to, and what the shop knows of them.
//!
//! In: Parquet files or a table of a read replica, and the config's names for their columns. Out: [`CustomerTable`], by bucket of
//! users, and a count of every row and value that was not understood, by reason.
//! Refuses: to read a column that the config does not name, to take a contact address for an attribute, to guess at consent.

mod cells;
mod collect;
mod config;
mod error;
mod parquet_files;
mod read;
mod table;
mod values;
mod wanted;

pub use config::{CustomerColumns, CustomersConfig};
pub use error::CustomersError;
pub use read::{CUSTOMER_FILES, CustomersInput, CustomersRead, read_customers};
pub use table::{CustomerTable, CustomersReport};
