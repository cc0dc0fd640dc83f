//! A made-up shop of any size: clickstream, catalogue, customers, orders, and what the shoppers really like.
//!
//! In: a [`Config`]. Out: Parquet files in a directory, and a [`Shop`] that answers for its own truth.
//! Refuses: clocks, other sources of chance than the seed, memory that grows with the events, names of real people.
//!
//! How it goes: [`Shop`] fixes items, shoppers and tastes; the plan fixes how many rows each row group of each day
//! has; then any row group can be made from its place alone, because every session has a stream of its own, named by
//! (day, row group, session). Refunds, weeks after their purchase, make the session of the purchase again.
//!
//! ```text
//! write      files, threads                     columns, table, pages   rows to Parquet
//! shop       one row group                      summary                 counts
//! plan       rows by day and row group          sessions, dirt          what happens, what goes wrong
//! taste      who likes what                     items, users, calendar  what, who, when
//! wanted     what a perfect model would say    planted                 people whom campaigns must find
//! alias, random, arithmetic, words              tools
//! ```

mod alias;
mod arithmetic;
mod calendar;
mod columns;
mod config;
mod dirt;
mod error;
mod items;
mod pages;
mod plan;
mod planted;
mod random;
mod sessions;
mod shop;
mod summary;
mod table;
mod taste;
mod users;
mod wanted;
mod words;
mod write;

pub use self::{
    config::{Compression, Config},
    error::SynthError,
    planted::{Written, planted_orders},
    shop::{FavouriteCategory, Shop},
    summary::{DirtyRows, Summary, TruthSummary},
    write::{Progress, generate},
};
