//! Report: one self-contained page that shows what a run did, or how models compare.
//!
//! In: [`ReportData`] or [`ComparisonData`], plain numbers and words that the pipeline counted. Out: the HTML page as one string.
//! Refuses: files, clocks, requests to anywhere, and numbers that are not numbers.

mod campaigns;
mod charts;
mod check;
mod comparison;
mod data;
mod dates;
mod days;
mod error;
mod format;
mod page;
mod stats;
mod svg;

pub use comparison::{ComparedFold, ComparisonData, render_comparison};
pub use data::{
    CampaignFunnel, CampaignSizes, Coverage, DaySeries, EventsByDay, ExampleAction, ExampleUser, FilterStep, Headline,
    Histogram, InputFile, ListSource, ListSources, ListedItem, LongTail, LorenzPoint, LossPoint, RankPoint,
    RejectedReason, ReportData, RunInfo, Scores, SimilarExample, Stage,
};
pub use error::ReportError;
pub use page::render;
