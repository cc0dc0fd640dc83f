//! Training on some of the users, where all would take more memory than there is.

use xxhash_rust::xxh64::xxh64;

use super::AlsConfig;
use crate::{interactions::Interactions, linalg::padded, model::ModelError};

/// Bytes of a cell of the training matrix, by users and by items.
const CELL_BYTES: u64 = 16;

/// Bytes of a user besides his cells and factors.
const USER_BYTES: u64 = 16;

/// Copies of the item factors while training and when it is done.
const ITEM_COPIES: u64 = 4;

/// How large the interactions are.
#[derive(Debug, Clone, Copy)]
pub struct MatrixSize {
    /// All users, those who do not train included.
    pub n_users: usize,
    /// Items.
    pub n_items: usize,
    /// Cells of all users.
    pub n_cells: usize,
}

/// What training on all users would take.
struct Memory {
    item_bytes: u64,
    user_bytes: u64,
}

impl Memory {
    fn of(config: &AlsConfig, size: MatrixSize) -> Self {
        let row_bytes = 4 * padded(config.n_factors) as u64;
        Self {
            item_bytes: size.n_items as u64 * (ITEM_COPIES * row_bytes + USER_BYTES),
            user_bytes: size.n_cells as u64 * CELL_BYTES + size.n_users as u64 * (row_bytes + USER_BYTES),
        }
    }
}

/// Which users `als` trains on when training on all of them would take more than `memory_budget_mib`: as many as take
/// about as much.
///
/// Formula: all users take 16 bytes a cell, and 16 bytes and a row of factors a user; items take four rows of factors
/// each. A user is in the sample when `XXH64(id, seed of "als.training_users") < share * 2^64`.
/// Determinism: whether a user is in depends on his id, the seed and the share alone; a smaller share takes some of the
/// users that a larger one takes.
#[derive(Debug, Clone, Copy)]
pub struct TrainingSample {
    seed: u64,
    bound: u64,
}

impl TrainingSample {
    /// The sample of interactions of this size; `None` when all users fit.
    ///
    /// # Errors
    /// When the items' factors alone take more than the budget.
    pub fn of(config: &AlsConfig, size: MatrixSize) -> Result<Option<Self>, ModelError> {
        let Some(budget_mib) = config.memory_budget_mib else { return Ok(None) };
        let Memory { item_bytes, user_bytes } = Memory::of(config, size);
        let budget = budget_mib << 20;
        if item_bytes + user_bytes <= budget {
            return Ok(None);
        }
        if item_bytes >= budget {
            return Err(ModelError::Memory {
                what: format!("als with {} factors of {} items", config.n_factors, size.n_items),
                needed_mib: (item_bytes >> 20) + 1,
                key: "model.als.memory_budget_mib",
                budget_mib,
                instead: "or take fewer factors",
            });
        }
        let share = (budget - item_bytes) as f64 / user_bytes as f64;
        // Below 2^64, since the share is below 1.
        let bound = (share * 2f64.powi(64)) as u64;
        Ok(Some(Self { seed: xxh64(b"als.training_users", config.seed), bound }))
    }

    /// Whether a user is in it, if he trains at all.
    #[must_use]
    pub fn takes(&self, user: &str) -> bool {
        xxh64(user.as_bytes(), self.seed) < self.bound
    }
}

fn size_of(interactions: &Interactions) -> MatrixSize {
    MatrixSize {
        n_users: interactions.trains.len(),
        n_items: interactions.items.len(),
        n_cells: interactions.weights.n_cells(),
    }
}

/// The training users of the [`TrainingSample`]; `None` when all fit.
///
/// # Errors
/// As [`TrainingSample::of`].
pub(in crate::model) fn training_sample(
    config: &AlsConfig,
    interactions: &Interactions,
) -> Result<Option<Vec<bool>>, ModelError> {
    let Some(sample) = TrainingSample::of(config, size_of(interactions))? else { return Ok(None) };
    let users = interactions.users.iter().zip(&interactions.trains);
    Ok(Some(users.map(|(user, &trains)| trains && sample.takes(user)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::IdTable,
        interactions::Csr,
        model::{ModelConfig, train, training_users},
    };

    fn data(n_users: usize) -> Interactions {
        let ids = |n: usize| (0..n).map(|at| format!("u{at:05}")).collect::<Vec<_>>();
        let table = |ids: Vec<String>| ids.iter().map(String::as_str).collect::<IdTable>();
        let mut weights = Csr { indptr: vec![0], n_cols: 16, ..Csr::default() };
        for user in 0..n_users {
            for item in (0..16u32).filter(|item| (user as u32 * 7 + item * item * 3) % 5 < 2) {
                weights.indices.push(item);
                weights.values.push(1.0);
            }
            weights.indptr.push(weights.indices.len());
        }
        Interactions {
            users: table(ids(n_users)),
            items: table(ids(16)),
            bucket_starts: vec![0, n_users as u32],
            excluded: Csr::empty(n_users, 16),
            weights,
            trains: (0..n_users).map(|user| user % 10 != 0).collect(),
        }
    }

    fn config(memory_budget_mib: Option<u64>) -> AlsConfig {
        AlsConfig { n_factors: 8, iterations: 2, memory_budget_mib, ..AlsConfig::default() }
    }

    #[test]
    fn everybody_trains_while_there_is_room() {
        let data = data(2_000);
        assert_eq!(training_sample(&config(None), &data).unwrap(), None);
        assert_eq!(training_sample(&config(Some(64)), &data).unwrap(), None);
        assert_eq!(training_users(&ModelConfig { als: config(Some(64)), ..Default::default() }, &data).unwrap(), None);
    }

    #[test]
    fn a_sample_takes_about_the_budget_and_is_part_of_every_larger_one() {
        let data = data(60_000);
        let all = Memory::of(&config(None), size_of(&data)).user_bytes;
        assert!(all > 6 << 20, "{all}");
        let sample = |mib| training_sample(&config(Some(mib)), &data).unwrap().unwrap();
        let (two, four) = (sample(2), sample(4));
        for (mib, sampled) in [(2u64, &two), (4, &four)] {
            let n_sampled = sampled.iter().filter(|it| **it).count() as f64;
            let n_trains = data.trains.iter().filter(|it| **it).count() as f64;
            let share = (mib << 20) as f64 / all as f64;
            assert!((n_sampled / n_trains / share - 1.0).abs() < 0.05, "{mib}: {n_sampled} of {n_trains}, {share}");
        }
        assert!(two.iter().zip(&four).all(|(two, four)| !two || *four));
        assert!(four.iter().zip(&data.trains).all(|(sampled, trains)| !sampled || *trains));
        let other = AlsConfig { seed: 7, ..config(Some(2)) };
        assert_ne!(training_sample(&other, &data).unwrap().unwrap(), two, "another seed, another sample");
    }

    #[test]
    fn a_sample_trains_and_everybody_is_folded_in() {
        let all = data(60_000);
        let kind = ModelConfig { als: config(Some(2)), ..ModelConfig::default() };
        let sampled = training_sample(&kind.als, &all).unwrap().unwrap();
        let model = train(&kind, &all, &mut |_| ()).unwrap();
        let n = sampled.iter().filter(|it| **it).count();
        assert_eq!(training_users(&kind, &all).unwrap(), Some(n));
        // The same as training with these flags and no budget.
        let flagged = Interactions { trains: sampled, ..all.clone() };
        let same = train(&ModelConfig { als: config(None), ..ModelConfig::default() }, &flagged, &mut |_| ()).unwrap();
        let everybody = train(&ModelConfig { als: config(None), ..ModelConfig::default() }, &all, &mut |_| ()).unwrap();
        let scores = |model: &crate::model::TrainedModel| {
            let mut scores = vec![0f32; 16];
            model.as_model().prepare(&[all.weights.row(1)]).score(0..16, &mut scores);
            scores
        };
        assert_eq!(scores(&model), scores(&same));
        assert_ne!(scores(&model), scores(&everybody));
        assert!(scores(&model).iter().any(|score| *score > 0.0));
        assert_eq!(model.as_model().n_items(), 16);
    }

    #[test]
    fn items_that_do_not_fit_are_refused() {
        let mut data = data(100);
        let ids: Vec<String> = (0..20_000).map(|at| format!("{at:06}")).collect();
        data.items = ids.iter().map(String::as_str).collect();
        let error = training_sample(&config(Some(1)), &data).unwrap_err().to_string();
        assert!(error.contains("model.als.memory_budget_mib allows 1"), "{error}");
    }
}
