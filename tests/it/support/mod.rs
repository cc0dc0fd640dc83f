//! What several tests need.

pub(crate) mod dynamo;
pub(crate) mod ingest;
pub(crate) mod program;
pub(crate) mod random;
pub(crate) mod runs;
pub(crate) mod s3;
pub(crate) mod s3_writes;
pub(crate) mod tables;
