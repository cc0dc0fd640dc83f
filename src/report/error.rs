//! What can go wrong when a page is made.

/// Why a report could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A number is NaN or infinite, so there is no place for it on a page.
    #[error("cannot show {part} in the report: {value} is not a finite number")]
    NotFinite {
        /// Which number, e.g. `training[3].loss`.
        part: String,
        /// What it is.
        value: f64,
    },
    /// A number is zero or negative on a logarithmic axis.
    #[error("cannot draw {part} in the report: {value} has no place on a logarithmic axis")]
    NotPositive {
        /// Which number.
        part: String,
        /// What it is.
        value: f64,
    },
    /// Two columns that belong together have different lengths.
    #[error("cannot draw {part} in the report: expected {expected} values, found {found}")]
    Ragged {
        /// Which column.
        part: String,
        /// Its length by the column it belongs to.
        expected: usize,
        /// Its length.
        found: usize,
    },
    /// Values that must ascend do not.
    #[error("cannot draw {part} in the report: its values do not ascend")]
    NotAscending {
        /// Which column.
        part: String,
    },
    /// The page's template failed: a defect of this program, not of the data.
    #[error("cannot render the template of the report page")]
    Template(#[source] minijinja::Error),
}
