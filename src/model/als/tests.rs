use std::ops::Range;

use ndarray::Array2;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::{
    half_step::{Method, half_step},
    *,
};
use crate::model::CellWeight;

/// A matrix with an empty user, an untouched item and the given share of cells.
fn matrix(n_users: usize, n_items: usize, share: f64, seed: u64) -> Csr {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut matrix = Csr { indptr: vec![0], n_cols: n_items, ..Csr::default() };
    for user in 0..n_users {
        for item in 0..n_items as u32 {
            if random.random::<f64>() < share && user != 1 && (item != 2 || n_items < 4) {
                matrix.indices.push(item);
                matrix.values.push(0.25 + 4.0 * random.random::<f32>());
            }
        }
        matrix.indptr.push(matrix.indices.len());
    }
    matrix
}

fn config(weighting: Weighting, n_factors: usize) -> AlsConfig {
    AlsConfig {
        n_factors,
        weighting,
        iterations: 4,
        alpha: 3.0,
        unobserved_weight: 0.1,
        regularization: 0.05,
        regularization_exponent: 0.6,
        ..AlsConfig::default()
    }
}

const BOTH: [Weighting; 2] = [Weighting::Observed, Weighting::Confidence];

/// The loss as its definition reads: over every pair, in f64.
fn naive_loss(config: &AlsConfig, cells: &Csr, users: &[Vec<f64>], items: &[Vec<f64>]) -> f64 {
    let by_items = cells.transpose();
    let squares = |row: &[f64]| row.iter().map(|x| x * x).sum::<f64>();
    let mut loss = 0.0;
    for (u, x) in users.iter().enumerate() {
        for (i, y) in items.iter().enumerate() {
            let score: f64 = x.iter().zip(y).map(|(x, y)| x * y).sum();
            let weight = cells.columns(u).binary_search(&(i as u32)).ok().map(|at| f64::from(cells.row(u).weights[at]));
            loss += match (config.weighting, weight) {
                (Weighting::Confidence, Some(w)) => (1.0 + f64::from(config.alpha) * w) * (1.0 - score).powi(2),
                (Weighting::Confidence, None) => score.powi(2),
                (Weighting::Observed, w) => {
                    w.map_or(0.0, |w| w * (1.0 - score).powi(2)) + f64::from(config.unobserved_weight) * score.powi(2)
                }
            };
        }
    }
    let lambda = |n_cells: usize, n_other: usize| match config.weighting {
        Weighting::Confidence => f64::from(config.regularization),
        Weighting::Observed => {
            f64::from(config.regularization)
                * (n_cells as f64 + f64::from(config.unobserved_weight) * n_other as f64)
                    .powf(f64::from(config.regularization_exponent))
        }
    };
    for (u, x) in users.iter().enumerate() {
        loss += lambda(cells.columns(u).len(), items.len()) * squares(x);
    }
    for (i, y) in items.iter().enumerate() {
        loss += lambda(by_items.columns(i).len(), users.len()) * squares(y);
    }
    loss
}

fn rows_of(factors: &[f32], width: usize) -> Vec<Vec<f64>> {
    factors.chunks(width).map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
}

/// Item factors in their principal axes, as a half-step wants them.
fn fixed_items(config: &AlsConfig, n_items: usize, seed: u64) -> (Vec<f32>, Vec<f32>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let width = padded(config.n_factors);
    let mut items = vec![0f32; n_items * width];
    for row in items.chunks_mut(width) {
        for factor in &mut row[..config.n_factors] {
            *factor = random.random::<f32>() - 0.5;
        }
    }
    let axes = Axes::of(Isa::best(), &items, config.n_factors, width, Terms::of(config).all_pairs).unwrap();
    axes.rotate(Isa::best(), &mut items);
    (items, axes.spectrum)
}

#[test]
fn an_exact_half_step_leaves_no_gradient_and_its_loss_is_the_definitions() {
    for weighting in BOTH {
        // 5 factors: rows with more cells than factors; 40: rows with fewer.
        for n_factors in [5, 40] {
            let config = config(weighting, n_factors);
            let cells = matrix(30, 25, 0.4, 3);
            let (items, spectrum) = fixed_items(&config, 25, 4);
            let width = spectrum.len();
            let terms = Terms::of(&config);
            let fixed = Fixed { rows: &items, spectrum: &spectrum, terms };
            let mut users = vec![0f32; 30 * width];
            let loss = half_step(Isa::best(), &fixed, &cells, Method::Exact, &mut users);

            let (mut x, y) = (rows_of(&users, width), rows_of(&items, width));
            let expected = naive_loss(&config, &cells, &x, &y);
            let of_items = train::regularization(&items, width, &cells.transpose(), &terms);
            assert!((loss + of_items - expected).abs() < 1e-5 * expected, "{loss} + {of_items} is not {expected}");
            assert!(x[1].iter().all(|&x| x == 0.0), "a user without cells has no factors");

            // Central differences of the definition. Away from the solution they are large.
            let gradient = |x: &mut Vec<Vec<f64>>, user: usize, k: usize| {
                let (h, at) = (1e-4, x[user][k]);
                x[user][k] = at + h;
                let above = naive_loss(&config, &cells, x, &y);
                x[user][k] = at - h;
                let below = naive_loss(&config, &cells, x, &y);
                x[user][k] = at;
                (above - below) / (2.0 * h)
            };
            for user in [0, 7, 29] {
                for k in 0..n_factors {
                    let slope = gradient(&mut x, user, k);
                    assert!(
                        slope.abs() < 2e-3,
                        "{weighting:?}, {n_factors} factors: slope {slope} of user {user} at {k}"
                    );
                }
            }
            x[0][0] += 0.5;
            assert!(gradient(&mut x, 0, 0).abs() > 0.1);
        }
    }
}

fn losses(config: &AlsConfig, cells: &Csr) -> Vec<f64> {
    let mut losses = Vec::new();
    Als::train(config.clone(), cells, &vec![true; cells.n_rows()], &mut |TrainEvent::Iteration { loss, .. }| {
        losses.push(loss.unwrap());
    })
    .unwrap();
    losses
}

#[test]
fn exact_half_steps_never_raise_the_loss_and_conjugate_gradients_come_near() {
    let cells = matrix(80, 50, 0.2, 5);
    for weighting in BOTH {
        let mut config = AlsConfig { iterations: 12, solver: Solver::Cholesky, ..config(weighting, 6) };
        let exact = losses(&config, &cells);
        assert!(exact.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-6)), "{exact:?}");
        assert!(exact[11] < exact[0]);
        config.solver = Solver::Cg;
        let steps = losses(&config, &cells);
        assert!((steps[11] / exact[11] - 1.0).abs() < 0.01, "{steps:?} against {exact:?}");
        // As many steps as factors solve a row as well as the exact method.
        config.cg_steps = 12;
        let many = losses(&config, &cells);
        for (many, exact) in many.iter().zip(&exact) {
            assert!((many / exact - 1.0).abs() < 1e-3, "{many} against {exact}");
        }
    }
}

/// Both sides' factors after training, for the definition of the loss.
fn trained_sides(config: &AlsConfig, cells: &Csr) -> (Array2<f32>, Als) {
    let als = Als::train(config.clone(), cells, &vec![true; cells.n_rows()], &mut |_| ()).unwrap();
    let histories: Vec<History<'_>> = (0..cells.n_rows()).map(|user| cells.row(user)).collect();
    let width = als.spectrum.len();
    let folded = block::fold_in(als.isa, &als.fixed(), config.weights, &histories);
    (Array2::from_shape_vec((cells.n_rows(), width), folded).unwrap(), als)
}

#[test]
fn the_objective_is_the_definitions_for_any_factors() {
    let cells = matrix(40, 30, 0.2, 6);
    for weighting in BOTH {
        let config = config(weighting, 7);
        let (users, als) = trained_sides(&config, &cells);
        let items = Array2::from_shape_vec((30, als.spectrum.len()), als.packed.rows.clone()).unwrap();
        let found = objective(&config, &cells, &[true; 40], users.view(), items.view());
        let rows = |factors: &Array2<f32>| rows_of(factors.as_slice().unwrap(), factors.ncols());
        let expected = naive_loss(&config, &cells, &rows(&users), &rows(&items));
        assert!((found / expected - 1.0).abs() < 1e-6, "{found} is not {expected}");
        // Fold-in is the exact half-step of users, so it cannot be worse than what training ended with.
        assert!(found <= losses(&config, &cells)[3] * (1.0 + 1e-6));
    }
}

#[test]
fn fold_in_is_the_exact_half_step_bit_by_bit() {
    let cells = matrix(50, 40, 0.3, 7);
    for n_factors in [4, 20] {
        let (folded, als) = trained_sides(&config(Weighting::Observed, n_factors), &cells);
        let mut users = vec![0f32; folded.len()];
        half_step(als.isa, &als.fixed(), &cells, Method::Exact, &mut users);
        assert_eq!(folded.as_slice().unwrap(), &users[..]);
    }
}

#[test]
fn some_items_are_searched_as_if_there_were_no_others() {
    let cells = matrix(60, 300, 0.1, 8);
    // The last is too wide to be screened.
    for n_factors in [4, 20, 264] {
        let als = Als::train(config(Weighting::Observed, n_factors), &cells, &[true; 60], &mut |_| ()).unwrap();
        let histories: Vec<History<'_>> = (0..60).map(|user| cells.row(user)).collect();
        let mut block = als.prepare(&histories);
        let mut scores = vec![0f32; 60 * 300];
        block.score(0..300, &mut scores);
        for some in [vec![], vec![299], (0..300).filter(|item| item % 7 != 3).collect::<Vec<u32>>()] {
            let packed = als.pack(&some).unwrap();
            assert_eq!(packed.n_items(), some.len());
            // Everything, what is above some score, and nothing.
            let first = |user: usize| [f32::NEG_INFINITY, scores[user * 300 + 5], f32::MAX][user % 3];
            let mut bounds: Vec<f32> = (0..60).map(first).collect();
            let mut found = vec![Vec::new(); 60];
            assert!(block.search_among(&packed, &mut bounds, &mut |user, place, score| {
                if score > first(user) {
                    found[user].push((some[place as usize], score.to_bits()));
                }
                first(user)
            }));
            for (user, mut found) in found.into_iter().enumerate() {
                found.sort_unstable();
                let of = |&item: &u32| (item, scores[user * 300 + item as usize]);
                let expected: Vec<(u32, u32)> = some
                    .iter()
                    .map(of)
                    .filter(|(_, score)| *score > first(user))
                    .map(|(item, score)| (item, score.to_bits()))
                    .collect();
                assert_eq!(found, expected, "{n_factors} factors, user {user}");
            }
        }
    }
}

#[test]
fn rows_of_several_blocks_are_the_same_in_training_and_fold_in() {
    // At 8 factors a block is 4,096 cells; the first user has 5,000.
    let n_items = 5000;
    let mut cells = Csr { indptr: vec![0], n_cols: n_items, ..Csr::default() };
    for user in 0..4u32 {
        let step = if user == 0 { 1 } else { 50 + user as usize };
        cells.indices.extend((0..n_items as u32).step_by(step));
        cells.indptr.push(cells.indices.len());
    }
    cells.values = vec![1.0; cells.indices.len()];
    let config = AlsConfig { iterations: 2, ..config(Weighting::Observed, 8) };
    let (items, spectrum) = fixed_items(&config, n_items, 8);
    let fixed = Fixed { rows: &items, spectrum: &spectrum, terms: Terms::of(&config) };
    assert!(cells.columns(0).len() > fixed.block_cells());
    let histories: Vec<History<'_>> = (0..4).map(|user| cells.row(user)).collect();
    for isa in Isa::all() {
        let mut users = vec![0f32; 4 * spectrum.len()];
        let exact = half_step(isa, &fixed, &cells, Method::Exact, &mut users);
        assert_eq!(users, block::fold_in(Isa::best(), &fixed, config.weights, &histories));
        let mut steps = vec![0f32; users.len()];
        let near = half_step(isa, &fixed, &cells, Method::Steps(12), &mut steps);
        assert!((near / exact - 1.0).abs() < 1e-4, "{near} against {exact}");
        for (a, b) in users.iter().zip(&steps) {
            assert!((a - b).abs() < 1e-2, "{a} against {b}");
        }
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads_and_any_instructions() {
    let cells = matrix(300, 200, 0.1, 9);
    for solver in [Solver::Cg, Solver::Cholesky] {
        let config = AlsConfig { solver, iterations: 2, ..config(Weighting::Observed, 24) };
        let by = |n_threads, isa| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            let mut losses = Vec::new();
            let als = pool.install(|| {
                let on = &mut |TrainEvent::Iteration { loss, .. }: TrainEvent| losses.push(loss.unwrap().to_bits());
                train::train(isa, config.clone(), &cells, &[true; 300], on).unwrap()
            });
            (als.item_factors, als.packed.rows, losses)
        };
        let expected = by(1, Isa::all()[0]);
        for isa in Isa::all() {
            for n_threads in [1, 3] {
                assert!(by(n_threads, isa) == expected, "{n_threads} threads, {isa:?}");
            }
        }
    }
}

fn scores(model: &Als, histories: &[History<'_>], items: Range<usize>) -> Vec<f32> {
    let mut scores = vec![f32::NAN; histories.len() * items.len()];
    let mut block = model.prepare(histories);
    assert_eq!(block.n_users(), histories.len());
    block.score(items, &mut scores);
    scores
}

#[test]
fn a_block_scores_as_its_users_one_by_one_and_as_a_chain_over_the_factors() {
    let cells = matrix(20, 70, 0.15, 10);
    let (folded, als) = trained_sides(&config(Weighting::Confidence, 10), &cells);
    let histories: Vec<History<'_>> = (0..20).map(|user| cells.row(user)).collect();
    let together = scores(&als, &histories, 0..70);
    for user in 0..20 {
        let alone = scores(&als, &histories[user..=user], 13..61);
        assert_eq!(alone, together[user * 70 + 13..user * 70 + 61]);
        for item in 0..70 {
            let chain = folded.row(user).iter().zip(als.axes_of(item)).fold(0f32, |sum, (x, y)| x.mul_add(*y, sum));
            assert_eq!(chain, together[user * 70 + item]);
        }
    }
    assert!(together[70..140].iter().all(|&score| score == 0.0), "an empty history scores zero");
    assert!((0..20).all(|user| together[user * 70 + 2] == 0.0), "an item nobody touched scores zero");
    assert!(together.iter().any(|&score| score > 0.3));
}

#[test]
fn a_model_from_its_parts_is_the_same_model() {
    let cells = matrix(30, 20, 0.2, 11);
    let als = Als::train(config(Weighting::Observed, 9), &cells, &[true; 30], &mut |_| ()).unwrap();
    let again = Als::from_parts(als.config().clone(), als.item_factors().clone()).unwrap();
    assert_eq!((&als.packed.rows, &als.spectrum), (&again.packed.rows, &again.spectrum));
    let histories = [cells.row(0), cells.row(5)];
    assert_eq!(scores(&als, &histories, 0..20), scores(&again, &histories, 0..20));
}

#[test]
fn contributions_add_up_to_the_score() {
    let cells = matrix(30, 60, 0.3, 12);
    for weighting in BOTH {
        for n_factors in [4, 32] {
            let config = AlsConfig { weights: CellWeight::Log, ..config(weighting, n_factors) };
            let als = Als::train(config, &cells, &[true; 30], &mut |_| ()).unwrap();
            for user in [0, 3, 8] {
                let explanation = als.explain(cells.row(user), ItemIdx(7));
                assert_eq!(explanation.score, scores(&als, &[cells.row(user)], 7..8)[0]);
                assert_eq!(explanation.contributions.len(), cells.columns(user).len());
                assert!(explanation.contributions.is_sorted_by(|a, b| a.1 >= b.1));
                let sum: f32 = explanation.contributions.iter().map(|&(_, part)| part).sum();
                assert!((sum - explanation.score).abs() < 1e-4, "{sum} is not {}", explanation.score);
                assert!(explanation.contributions.iter().any(|&(_, part)| part.abs() > 1e-4));
            }
        }
    }
    let als = Als::train(config(Weighting::Observed, 4), &cells, &[true; 30], &mut |_| ()).unwrap();
    assert_eq!(als.explain(cells.row(1), ItemIdx(0)), Explanation::default());
}

#[test]
fn similarity_is_the_cosine_of_item_factors() {
    let cells = matrix(40, 30, 0.3, 13);
    let als = Als::train(config(Weighting::Observed, 6), &cells, &[true; 40], &mut |_| ()).unwrap();
    let candidates = [0, 2, 5, 29];
    let mut out = [9.0; 4];
    als.similarity().unwrap().similarities(ItemIdx(5), &candidates, &mut out);
    let factors = als.item_factors();
    for (&candidate, &found) in candidates.iter().zip(&out) {
        let (a, b) = (factors.row(5), factors.row(candidate as usize));
        let norms = (a.dot(&a) * b.dot(&b)).sqrt();
        let expected = if norms > 0.0 { a.dot(&b) / norms } else { 0.0 };
        assert!((found - expected).abs() < 1e-5, "{candidate}: {found} is not {expected}");
    }
    assert_eq!(out[1], 0.0, "an item nobody touched");
}

#[test]
fn rows_that_do_not_train_count_as_absent() {
    let cells = matrix(40, 30, 0.3, 14);
    let trains: Vec<bool> = (0..40).map(|user| user % 3 != 0).collect();
    let mut without = Csr { indptr: vec![0], n_cols: 30, ..Csr::default() };
    for user in (0..40).filter(|user| user % 3 != 0) {
        without.indices.extend(cells.columns(user));
        without.values.extend(cells.row(user).weights);
        without.indptr.push(without.indices.len());
    }
    let some = Als::train(config(Weighting::Observed, 6), &cells, &trains, &mut |_| ()).unwrap();
    let fewer = Als::train(config(Weighting::Observed, 6), &without, &[true; 26], &mut |_| ()).unwrap();
    assert_eq!(some.item_factors(), fewer.item_factors());
}

#[test]
fn odd_shapes_train() {
    for (n_users, n_items, n_factors, share) in
        [(5, 1, 3, 0.9), (6, 4, 20, 0.5), (3, 3, 1, 0.0), (0, 4, 2, 0.5), (4, 0, 2, 0.5)]
    {
        let cells = matrix(n_users, n_items, share, 15);
        for solver in [Solver::Cg, Solver::Cholesky] {
            let config = AlsConfig { solver, ..config(Weighting::Observed, n_factors) };
            let als = Als::train(config, &cells, &vec![true; n_users], &mut |_| ()).unwrap();
            assert_eq!(als.item_factors().dim(), (n_items, n_factors));
            assert!(als.item_factors().iter().all(|factor| factor.is_finite()));
        }
    }
}

#[test]
fn bad_input_is_named() {
    let good = matrix(6, 5, 0.9, 16);
    let train =
        |config: AlsConfig, cells: &Csr, trains: &[bool]| Als::train(config, cells, trains, &mut |_| ()).unwrap_err();
    let plain = config(Weighting::Confidence, 4);
    for weight in [f32::NAN, f32::INFINITY, 0.0, -1.0] {
        let mut bad = good.clone();
        let at = bad.indptr[3];
        bad.values[at] = weight;
        match train(plain.clone(), &bad, &[true; 6]) {
            ModelError::Weight { user: 3, item, .. } => assert_eq!(item, bad.indices[at]),
            other => panic!("{other}"),
        }
    }
    assert!(matches!(train(plain.clone(), &good, &[true; 5]), ModelError::Shape { expected: 6, found: 5, .. }));
    let error = train(AlsConfig { n_factors: 0, ..plain.clone() }, &good, &[true; 6]);
    assert!(error.to_string().contains("als.n_factors must be 1 to 4096, is 0"), "{error}");
    let mut huge = good.clone();
    huge.values.fill(f32::MAX);
    assert_eq!(
        train(AlsConfig { alpha: 100.0, ..plain.clone() }, &huge, &[true; 6]),
        ModelError::Diverged { iteration: 1 }
    );

    let mut factors = Array2::zeros((3, 4));
    factors[(2, 1)] = f32::NAN;
    let error = Als::from_parts(plain.clone(), factors).unwrap_err();
    assert_eq!(error, ModelError::NotFinite { what: "a factor", item: 2 });
    assert!(matches!(Als::from_parts(plain, Array2::zeros((3, 5))), Err(ModelError::Shape { .. })));
}

#[test]
fn first_factors_are_those_of_the_seed() {
    let cells = matrix(20, 15, 0.4, 17);
    let by = |seed| {
        Als::train(AlsConfig { seed, ..config(Weighting::Observed, 4) }, &cells, &[true; 20], &mut |_| ()).unwrap()
    };
    assert_eq!(by(1).item_factors(), by(1).item_factors());
    assert_ne!(by(1).item_factors(), by(2).item_factors());
}

#[test]
fn more_steps_than_a_row_needs_do_no_harm() {
    // One cell: the first step is exact and leaves a residual of rounding, or none at all.
    let mut cells = Csr { indptr: vec![0], n_cols: 6, ..Csr::default() };
    for user in 0..6u32 {
        cells.indices.push(user);
        cells.values.push(1.0 + user as f32);
        cells.indptr.push(cells.indices.len());
    }
    let config = AlsConfig { cg_steps: 40, iterations: 30, ..config(Weighting::Observed, 2) };
    assert!(losses(&config, &cells).iter().all(|loss| loss.is_finite()));
}
