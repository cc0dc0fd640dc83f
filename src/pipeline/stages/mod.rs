//! Stages: the pieces of a build, each of which can run on its own.
//!
//! In: events of some buckets, or what other stages left. Out: files of a run directory, and what the next stage needs.
//! Refuses: a second way of computing anything: `build` calls these functions in one process, the tasks of a distributed
//! build call them one by one.
//!
//! | stage | tasks | reads | leaves |
//! |---|---|---|---|
//! | plan | one | inputs' footers | `plan.json` |
//! | (shuffle) | Spark's | inputs | `events/bucket=NNN/`, `orders/bucket=NNN/` |
//! | survey | a bucket each | its rows | counts, newest instant, items |
//! | merge | one | all surveys, the catalogue | counts, `as_of`, the table of all items |
//! | aggregate | a bucket each | its rows | `interactions/`, `profiles/`; cells, baskets, activity |
//! | pairs | a range of items each, if planned | all cells, in blocks | counts of pairs, rows of `item_item` |
//! | train | one | all cells, in blocks where a model can | `model/`, `items/`, lists of items |
//! | recommend | a bucket each | its cells, the model | `recommendations/` |
//! | seal | one | everything | the run |

mod aggregate;
mod bench;
mod blocks;
mod buckets;
mod cells;
mod learn;
mod pairs;
mod pairs_in_blocks;
mod plan;
mod recommend;
mod seal;
mod survey;
mod totals;
mod train;
mod train_in_blocks;

pub(super) use buckets::{Buckets, Instants};
pub(super) use learn::{Assembly, Shelf, assemble_buckets, catalogue, train_and_save, users_of, write_item_lists};

pub use bench::{TaskOutcome, TaskReport, WorkOptions, WorkStage, work};
pub use plan::{Plan, PlanOrder, plan_work};
pub use seal::Sealed;
