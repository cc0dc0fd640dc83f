use super::*;
use crate::{interactions::Stamp, model::CellWeight};

/// 60 users, `n_items` items with likings of their own, some items rare.
fn sample(n_items: usize) -> Csr {
    let mut cells = Csr { indptr: vec![0], n_cols: n_items, ..Csr::default() };
    for u in 0..60usize {
        for i in 0..n_items {
            if (u * 7 + i * i * 3 + u * i) % 11 < 3 && i % 13 != u % 5 {
                cells.indices.push(i as u32);
                cells.values.push(0.5 + (u % 3) as f32);
                cells.times.push(Stamp(((u * 31 + i * 17) % 40) as u32 * 86_400));
            }
        }
        cells.indptr.push(cells.indices.len());
    }
    cells
}

fn config() -> EaseConfig {
    EaseConfig { regularization: 3.0, ..EaseConfig::default() }
}

fn train(config: EaseConfig, cells: &Csr) -> Ease {
    Ease::train(config, cells, &vec![true; cells.n_rows()], &mut |_| ()).unwrap()
}

/// B by Gauss-Jordan on an f64 matrix with exchange of rows.
fn naive(config: &EaseConfig, cells: &Csr) -> Vec<Vec<f64>> {
    let n = cells.n_cols;
    let mut dense = vec![vec![0f64; n]; cells.n_rows()];
    for (user, row) in dense.iter_mut().enumerate() {
        let history = cells.row(user);
        for (&item, &weight) in history.items.iter().zip(history.weights) {
            row[item as usize] = f64::from(config.weights.of(weight));
        }
    }
    let mut matrix = vec![vec![0f64; 2 * n]; n];
    for i in 0..n {
        for j in 0..n {
            matrix[i][j] = dense.iter().map(|row| row[i] * row[j]).sum();
        }
        let n_users = dense.iter().filter(|row| row[i] > 0.0).count().max(1) as f64;
        matrix[i][i] += f64::from(config.regularization) * n_users.powf(f64::from(config.regularization_exponent));
        matrix[i][n + i] = 1.0;
    }
    for k in 0..n {
        let best = (k..n).max_by(|&a, &b| matrix[a][k].abs().total_cmp(&matrix[b][k].abs())).unwrap();
        matrix.swap(k, best);
        let by = matrix[k][k];
        matrix[k].iter_mut().for_each(|value| *value /= by);
        let pivot = matrix[k].clone();
        for (at, row) in matrix.iter_mut().enumerate().filter(|(at, _)| *at != k) {
            let by = row[k];
            assert!(at != k);
            row.iter_mut().zip(&pivot).for_each(|(value, &pivot)| *value -= by * pivot);
        }
    }
    let p = |i: usize, j: usize| matrix[i][n + j];
    (0..n).map(|i| (0..n).map(|j| if i == j { 0.0 } else { -p(i, j) / p(j, j) }).collect()).collect()
}

#[test]
fn the_weights_are_those_of_the_closed_form() {
    let cells = sample(37);
    for weights in [CellWeight::Binary, CellWeight::Weight, CellWeight::Log] {
        for regularization_exponent in [0.0, 0.5] {
            let config = EaseConfig { weights, regularization_exponent, ..config() };
            let (model, expected) = (train(config.clone(), &cells), naive(&config, &cells));
            let mut largest = 0f64;
            for i in 0..37 {
                for j in 0..37 {
                    let (found, expected) = (f64::from(model.weights().at(i, j)), expected[i][j]);
                    assert!((found - expected).abs() < 2e-5, "{weights:?} {i}, {j}: {found}, {expected}");
                    largest = largest.max(expected.abs());
                }
                assert_eq!(model.weights().at(i, i).to_bits(), 0);
            }
            assert!(largest > 0.05);
        }
    }
}

#[test]
fn rows_that_do_not_train_leave_no_trace() {
    let cells = sample(20);
    let trains: Vec<bool> = (0..60).map(|user| user % 3 != 0).collect();
    let mut without = Csr { indptr: vec![0], n_cols: 20, ..Csr::default() };
    for user in (0..60).filter(|&user| trains[user]) {
        without.indices.extend_from_slice(cells.row(user).items);
        without.values.extend_from_slice(cells.row(user).weights);
        without.indptr.push(without.indices.len());
    }
    let some = Ease::train(config(), &cells, &trains, &mut |_| ()).unwrap();
    let all = train(config(), &without);
    assert!((0..20).all(|i| (0..20).all(|j| some.weights().at(i, j) == all.weights().at(i, j))));
}

#[test]
fn a_tile_scores_as_the_whole_and_explanations_add_up_exactly() {
    // More than one block.
    let n = 400;
    let cells = sample(n);
    for recency in [None, Some(3.0)] {
        let model = train(EaseConfig { recency_half_life: recency, weights: CellWeight::Log, ..config() }, &cells);
        let histories = [cells.row(3), History::default(), cells.row(11)];
        let mut block = model.prepare(&histories);
        assert_eq!(block.n_users(), 3);
        let mut whole = vec![f32::NAN; 3 * n];
        block.score(0..n, &mut whole);
        for range in [0..208, 190..215, 399..400, 7..7, 208..400] {
            let mut part = vec![f32::NAN; 3 * range.len()];
            block.score(range.clone(), &mut part);
            for user in 0..3 {
                let expected = &whole[user * n + range.start..user * n + range.end];
                assert_eq!(part[user * range.len()..(user + 1) * range.len()], *expected);
            }
        }
        for user in 0..3 {
            for item in (0..n).step_by(7) {
                let explanation = model.explain(histories[user], ItemIdx(item as u32));
                assert_eq!(explanation.score, whole[user * n + item]);
                let mut parts = explanation.contributions.clone();
                assert!(parts.is_sorted_by(|a, b| a.1 >= b.1));
                parts.sort_by_key(|&(lead, _)| lead);
                assert_eq!(parts.iter().fold(0f32, |sum, &(_, part)| sum + part), explanation.score);
            }
        }
        assert!(whole[n..2 * n].iter().all(|&score| score == 0.0));
        assert!(whole[..n].iter().any(|&score| score > 0.0));
    }
}

#[test]
fn recency_changes_scores_and_nothing_else() {
    let cells = sample(30);
    let (plain, recent) =
        (train(config(), &cells), train(EaseConfig { recency_half_life: Some(2.0), ..config() }, &cells));
    assert!((0..30).all(|i| (0..30).all(|j| plain.weights().at(i, j) == recent.weights().at(i, j))));
    let score = |model: &Ease| {
        let mut scores = vec![0f32; 30];
        model.prepare(&[cells.row(2)]).score(0..30, &mut scores);
        scores
    };
    assert_ne!(score(&plain), score(&recent));
    let bare = Csr { times: Vec::new(), ..cells };
    let config = EaseConfig { recency_half_life_days: Some(2.0), ..config() };
    let error = Ease::train(config, &bare, &[true; 60], &mut |_| ()).unwrap_err();
    assert_eq!(error, ModelError::NoTimes { key: "model.ease.recency_half_life_days".into() });
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let cells = sample(400);
    let by = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        let model = pool.install(|| train(config(), &cells));
        let mut bits = Vec::new();
        let mut row = vec![0f32; 400];
        for item in 0..400 {
            model.weights().read_row(item, &mut row);
            bits.extend(row.iter().map(|value| value.to_bits()));
        }
        bits
    };
    assert!(by(1) == by(3));
}

#[test]
fn memory_is_said_and_bounded() {
    // Gowalla's 40,981 items: 6.7 GB, the panels a few percent.
    let bytes = memory_bytes(40_981);
    assert!((6_700_000_000..7_100_000_000).contains(&bytes), "{bytes}");
    let cells = Csr { n_cols: 40_000, ..Csr::empty(1, 0) };
    let config = EaseConfig { memory_budget_mib: 1000, ..config() };
    let error = Ease::train(config, &cells, &[true], &mut |_| ()).unwrap_err().to_string();
    for part in ["ease for 40000 items", "model.ease.memory_budget_mib", "allows 1000", "slim"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_regularization_lost_to_rounding_is_an_error() {
    // Two items that the same users have, with weights beside which the regularization is nothing.
    let cells =
        Csr { indptr: vec![0, 2, 4], indices: vec![0, 1, 0, 1], values: vec![1e5; 4], n_cols: 2, ..Csr::default() };
    let config = EaseConfig { regularization: 0.01, weights: CellWeight::Weight, ..config() };
    let error = Ease::train(config, &cells, &[true; 2], &mut |_| ()).unwrap_err();
    assert!(matches!(error, ModelError::Rounding { key: "model.ease.regularization", source } if source.row == 1));
}

#[test]
fn odd_shapes_progress_and_bad_settings() {
    for (cells, n_users) in [(Csr::empty(0, 3), 0), (Csr::empty(3, 0), 3)] {
        let model = Ease::train(config(), &cells, &vec![true; n_users], &mut |_| ()).unwrap();
        assert_eq!(model.n_items(), cells.n_cols);
        assert!((0..cells.n_cols).all(|i| (0..cells.n_cols).all(|j| model.weights().at(i, j) == 0.0)));
    }
    let mut iterations = Vec::new();
    let on = &mut |event| {
        let TrainEvent::Iteration { iteration, iterations: 3, .. } = event else { panic!("{event:?}") };
        iterations.push(iteration);
    };
    Ease::train(config(), &sample(5), &[true; 60], on).unwrap();
    assert_eq!(iterations, [1, 2, 3]);
    let wrong = EaseConfig { regularization: 0.0, ..config() };
    assert_eq!(wrong.check("model.ease").unwrap_err(), "model.ease.regularization must be above 0, is 0");
    let wrong = EaseConfig { regularization_exponent: -1.0, ..config() };
    assert_eq!(wrong.check("m").unwrap_err(), "m.regularization_exponent must be 0 to 2, is -1");
    let wrong = EaseConfig { memory_budget_mib: 0, ..config() };
    assert_eq!(wrong.check("m").unwrap_err(), "m.memory_budget_mib must be at least 1, is 0");
    let mut weights = Blocks::zeros(3);
    weights.write_row(2, &[0.0, f32::NAN, 0.0]);
    let error = Ease::from_parts(config(), weights).unwrap_err();
    assert_eq!(error, ModelError::NotFinite { what: "a weight", item: 2 });
}

#[test]
fn similarities_are_the_weights_of_the_item() {
    let model = train(config(), &sample(30));
    let candidates = [0u32, 4, 5, 29];
    let mut out = [f32::NAN; 4];
    model.similarity().unwrap().similarities(ItemIdx(4), &candidates, &mut out);
    assert_eq!(out, [model.weights().at(4, 0), 0.0, model.weights().at(4, 5), model.weights().at(4, 29)]);
}
