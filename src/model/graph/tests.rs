use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::*;
use crate::model::CellWeight;

fn sample(n_items: usize) -> Csr {
    let mut cells = Csr { indptr: vec![0], n_cols: n_items, ..Csr::default() };
    for u in 0..60usize {
        for i in 0..n_items {
            if (u * 7 + i * i * 3 + u * i) % 11 < 3 && i % 13 != u % 5 {
                cells.indices.push(i as u32);
                cells.values.push(0.5 + (u % 3) as f32);
            }
        }
        cells.indptr.push(cells.indices.len());
    }
    cells
}

fn train(config: GraphConfig, cells: &Csr) -> Graph {
    Graph::train(config, cells, &vec![true; cells.n_rows()], &mut |_| ()).unwrap()
}

fn scores(model: &Graph, history: History<'_>) -> Vec<f32> {
    let mut scores = vec![f32::NAN; model.n_items()];
    model.prepare(&[history]).score(0..model.n_items(), &mut scores);
    scores
}

/// R, dense, and the sums by item.
fn normalised(weights: CellWeight, cells: &Csr) -> (Vec<Vec<f64>>, Vec<f64>) {
    let mut rows = vec![vec![0f64; cells.n_cols]; cells.n_rows()];
    for (user, row) in rows.iter_mut().enumerate() {
        for (&item, &weight) in cells.row(user).items.iter().zip(cells.row(user).weights) {
            row[item as usize] = f64::from(weights.of(weight));
        }
    }
    let totals: Vec<f64> = (0..cells.n_cols).map(|item| rows.iter().map(|row| row[item]).sum()).collect();
    for row in &mut rows {
        let own: f64 = row.iter().sum();
        row.iter_mut().zip(&totals).for_each(|(value, total)| *value /= (own * total).sqrt().max(1e-300));
    }
    (rows, totals)
}

#[test]
fn scores_are_those_of_the_filters() {
    let cells = sample(40);
    for weights in [CellWeight::Binary, CellWeight::Log] {
        let config =
            GraphConfig { n_factors: 5, low_pass_weight: 0.4, weights, iterations: 60, ..GraphConfig::default() };
        let model = train(config, &cells);
        let (rows, totals) = normalised(weights, &cells);
        let gram = |i: usize, j: usize| rows.iter().map(|row| row[i] * row[j]).sum::<f64>();
        // The projection on the leading eigenvectors, by another way: all of them.
        let all: Vec<f64> = (0..40).flat_map(|i| (0..40).map(move |j| (i, j))).map(|(i, j)| gram(i, j)).collect();
        let axes = crate::linalg::eigen(Isa::best(), all, 40).unwrap();
        assert!(axes.values[4] - axes.values[5] > 1e-3, "the test needs a gap: {:?}", &axes.values[..7]);
        let projection = |i: usize, j: usize| -> f64 {
            (0..5).map(|axis| axes.vectors[axis * 40 + i] * axes.vectors[axis * 40 + j]).sum()
        };
        for user in [0, 13, 59] {
            let history = cells.row(user);
            let found = scores(&model, history);
            for j in 0..40 {
                let expected: f64 = history
                    .items
                    .iter()
                    .zip(history.weights)
                    .map(|(&i, &weight)| {
                        let i = i as usize;
                        let low_pass = 0.4 * projection(i, j) * (totals[j] / totals[i]).sqrt();
                        f64::from(weights.of(weight)) * (gram(i, j) + low_pass)
                    })
                    .sum();
                assert!(
                    (f64::from(found[j]) - expected).abs() < 1e-3,
                    "{weights:?} {user} {j}: {}, {expected}",
                    found[j]
                );
            }
        }
    }
}

/// Ridge regression of R on itself, densely; with all directions leading there is no tail to approximate.
#[test]
fn ridge_scores_are_those_of_ridge_regression() {
    // Full rank: a pattern without regularity.
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut cells = Csr { indptr: vec![0], n_cols: 24, ..Csr::default() };
    for _ in 0..60 {
        cells.indices.extend((0..24).filter(|_| random.random::<f32>() < 0.3));
        cells.values.resize(cells.indices.len(), 1.0);
        cells.indptr.push(cells.indices.len());
    }
    let config = GraphConfig {
        filter: GraphFilter::Ridge,
        n_factors: 24,
        regularization: 3.0,
        user_exponent: 0.15,
        item_exponent: 0.3,
        score_exponent: 0.25,
        iterations: 30,
        ..GraphConfig::default()
    };
    let model = train(config, &cells);
    let mut rows = vec![vec![0f64; 24]; 60];
    for (user, row) in rows.iter_mut().enumerate() {
        cells.columns(user).iter().for_each(|&item| row[item as usize] = 1.0);
    }
    let totals: Vec<f64> = (0..24).map(|item| rows.iter().map(|row| row[item]).sum()).collect();
    let plain = rows.clone();
    for row in &mut rows {
        let own: f64 = row.iter().sum();
        row.iter_mut().zip(&totals).for_each(|(value, total)| *value /= own.powf(0.15) * total.powf(0.3));
    }
    let gram: Vec<f64> = (0..24)
        .flat_map(|i| (0..24).map(move |j| (i, j)))
        .map(|(i, j)| rows.iter().map(|row| row[i] * row[j]).sum())
        .collect();
    let axes = crate::linalg::eigen(Isa::best(), gram, 24).unwrap();
    let regularization = 3.0 * axes.values[23];
    for user in [0, 31] {
        let found = scores(&model, cells.row(user));
        for j in 0..24 {
            let expected: f64 = (0..24)
                .filter(|&i| plain[user][i] > 0.0)
                .map(|i| {
                    let kept: f64 = (0..24)
                        .map(|axis| {
                            let share = axes.values[axis] / (axes.values[axis] + regularization);
                            share * axes.vectors[axis * 24 + i] * axes.vectors[axis * 24 + j]
                        })
                        .sum();
                    kept * (totals[j] / totals[i]).powf(0.25)
                })
                .sum();
            assert!((f64::from(found[j]) - expected).abs() < 2e-3, "{user} {j}: {}, {expected}", found[j]);
        }
    }
}

#[test]
fn a_tile_scores_as_the_whole_and_explanations_add_up() {
    let cells = sample(70);
    let model = train(GraphConfig { n_factors: 9, neighbours: 20, ..GraphConfig::default() }, &cells);
    assert!((0..70).all(|item| model.linear().columns(item).len() <= 20));
    let histories = [cells.row(3), History::default(), cells.row(11)];
    let mut block = model.prepare(&histories);
    let mut whole = vec![f32::NAN; 3 * 70];
    block.score(0..70, &mut whole);
    let mut part = vec![f32::NAN; 3 * 21];
    block.score(7..28, &mut part);
    for user in 0..3 {
        assert_eq!(part[user * 21..(user + 1) * 21], whole[user * 70 + 7..user * 70 + 28]);
        for item in 0..70 {
            let explanation = model.explain(histories[user], ItemIdx(item));
            assert_eq!(explanation.score, whole[user * 70 + item as usize]);
            let sum = explanation.contributions.iter().fold(0f32, |sum, &(_, part)| sum + part);
            assert!((sum - explanation.score).abs() < 1e-4, "{sum}, {}", explanation.score);
        }
    }
    assert!(whole[70..140].iter().all(|&score| score == 0.0));
    let candidates = [0u32, 5, 69];
    let mut out = [f32::NAN; 3];
    model.similarity().unwrap().similarities(ItemIdx(5), &candidates, &mut out);
    let alone = scores(&model, History { items: &[5], weights: &[1.0], times: &[] });
    for (&candidate, found) in candidates.iter().zip(out) {
        assert!((found - alone[candidate as usize]).abs() < 1e-5);
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let cells = sample(50);
    let by = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        let model = pool.install(|| train(GraphConfig { n_factors: 8, ..GraphConfig::default() }, &cells));
        (model.linear, model.vectors, model.totals)
    };
    assert!(by(1) == by(3));
}

#[test]
fn odd_shapes_and_bad_parts() {
    for (cells, n_users) in [(Csr::empty(0, 3), 0), (Csr::empty(3, 0), 3), (sample(2), 60)] {
        let model = Graph::train(GraphConfig::default(), &cells, &vec![true; n_users], &mut |_| ()).unwrap();
        assert_eq!(model.n_items(), cells.n_cols);
        assert!(model.vectors().iter().all(|value| value.is_finite()));
    }
    let mut told = Vec::new();
    let config = GraphConfig { low_pass_weight: 0.0, ..GraphConfig::default() };
    let model = Graph::train(config.clone(), &sample(20), &[true; 60], &mut |event| told.push(event)).unwrap();
    assert_eq!(told, [TrainEvent::Iteration { iteration: 1, iterations: 1, loss: None }]);
    assert!(scores(&model, sample(20).row(2)).iter().any(|&score| score > 0.0));
    let wrong = GraphConfig { n_factors: 0, ..GraphConfig::default() };
    assert_eq!(wrong.check("model.graph").unwrap_err(), "model.graph.n_factors must be 1 to 4096, is 0");
    let wrong = GraphConfig { low_pass_weight: f32::NAN, ..GraphConfig::default() };
    assert_eq!(wrong.check("m").unwrap_err(), "m.low_pass_weight must be 0 to 1000, is NaN");
    let parts = (Csr::empty(2, 2), Array2::from_elem((2, 3), 0f32));
    let error = Graph::from_parts(config.clone(), parts.0.clone(), parts.1.clone(), vec![1.0]).unwrap_err();
    assert_eq!(error, ModelError::Shape { what: "totals of items", expected: 2, found: 1 });
    let error = Graph::from_parts(config, parts.0, parts.1, vec![1.0, -1.0]).unwrap_err();
    assert_eq!(error, ModelError::NotFinite { what: "the total", item: 1 });
}
