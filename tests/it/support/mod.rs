//! What several tests need.

pub(crate) mod certificates;
pub(crate) mod dynamo;
pub(crate) mod emr;
pub(crate) mod ingest;
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod random;
pub(crate) mod runs;
pub(crate) mod s3;
pub(crate) mod s3_writes;
pub(crate) mod servers;
pub(crate) mod spark;
pub(crate) mod sql;
pub(crate) mod tables;
