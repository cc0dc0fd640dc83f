//! What can go wrong in training.

use crate::linalg::{NotConverged, NotPositive};

/// Training or loading a model failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// A setting is out of its range.
    #[error("the model cannot be trained with these settings: {0}")]
    Config(String),

    /// Inputs that belong together have different sizes.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// What was counted.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },

    /// A weight that no model can use.
    #[error("the weight of user row {user} for item {item} is {weight}; weights must be finite and above zero")]
    Weight {
        /// `UserIdx` number.
        user: usize,
        /// `ItemIdx` number.
        item: u32,
        /// What was found.
        weight: f32,
    },

    /// A number of a stored model is not finite.
    #[error("{what} of item {item} is not finite")]
    NotFinite {
        /// Which number.
        what: &'static str,
        /// `ItemIdx` number.
        item: usize,
    },

    /// The model is larger than it may be.
    #[error(
        "{what} needs {needed_mib} MiB of memory, and {key} allows {budget_mib}: raise it if the machine has so much, \
         {instead}"
    )]
    Memory {
        /// Which model, of what size.
        what: String,
        /// What it needs.
        needed_mib: u64,
        /// The key that sets the budget.
        key: &'static str,
        /// The budget.
        budget_mib: u64,
        /// What to do instead.
        instead: &'static str,
    },

    /// A setting needs times, and the interactions have none.
    #[error("{key} needs the times of the events, and they carry none: leave it out, or read events with a timestamp")]
    NoTimes {
        /// The key's full path.
        key: String,
    },

    /// A part of a blend could not be trained.
    #[error("model.blend.parts[{at}] ({kind}) could not be trained")]
    Part {
        /// From 0.
        at: usize,
        /// Its kind.
        kind: &'static str,
        /// Why.
        #[source]
        source: Box<ModelError>,
    },

    /// A system of equations was lost to rounding.
    #[error("the regularization is too small for the weights; raise {key}")]
    Rounding {
        /// The key's full path.
        key: &'static str,
        /// Where.
        #[source]
        source: NotPositive,
    },

    /// The factors left the range of f32.
    #[error(
        "training diverged in iteration {iteration}: the loss is no longer finite; \
         lower alpha or the event weights, or raise the regularization"
    )]
    Diverged {
        /// From 1.
        iteration: usize,
    },

    /// The principal axes of the factors were not found.
    #[error("the principal axes of the factors were not found in iteration {iteration} (0 = the finished model)")]
    Axes {
        /// From 1; 0 when preparing a finished model.
        iteration: usize,
        /// Why.
        #[source]
        source: NotConverged,
    },
}
