//! nightshelf: the batch marketing and recommendation engine of an online shop.
//!
//! Data flows one way:
//!
//! ```text
//! events, orders -> interactions -> model -> recommendations -> run directory -> publish
//! ```
//!
//! Each stage is one folder. Imports go down only; `tests/it/floors.rs` reads the `use` lines and
//! fails on a breach.
//!
//! ```text
//! 7  main.rs, cli                            parse, dispatch, print, exit code
//! 6  pipeline                                the order of the work
//! 5  events, customers, catalog, artifacts,
//!    publish, report, synth, exchange,
//!    cluster                                 formats: every row that enters or leaves
//! 4  storage, sql                            bytes in local files and S3 objects, rows of database servers
//! 3  campaigns                               pure
//! 2  recommendations, evaluation, tuning     pure
//! 1  interactions, model                     pure
//! 0  ids, linalg, retry                      pure
//!    config, telemetry                       beside the stairs
//! ```
//!
//! Floors 0 to 3 know no files, clocks, environment, AWS, SQL, tokio or printing. Folders of one
//! floor do not import one another, except that `model` reads the containers of `interactions`.

pub mod artifacts;
pub mod campaigns;
pub mod catalog;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod customers;
pub mod evaluation;
pub mod events;
pub mod exchange;
pub mod ids;
pub mod interactions;
pub mod linalg;
pub mod model;
pub mod pipeline;
pub mod publish;
pub mod recommendations;
pub mod report;
pub mod retry;
pub mod sql;
pub mod storage;
pub mod synth;
pub mod telemetry;
pub mod tuning;
