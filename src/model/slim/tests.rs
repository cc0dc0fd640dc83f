use super::*;
use crate::{interactions::Stamp, model::CellWeight};

fn sample(n_items: usize) -> Csr {
    likings(n_items, 3)
}

/// 60 users who have about `share` of eleven items each.
fn likings(n_items: usize, share: usize) -> Csr {
    let mut cells = Csr { indptr: vec![0], n_cols: n_items, ..Csr::default() };
    for u in 0..60usize {
        for i in 0..n_items {
            if (u * 7 + i * i * 3 + u * i) % 11 < share && i % 13 != u % 5 {
                cells.indices.push(i as u32);
                cells.values.push(0.5 + (u % 3) as f32);
                cells.times.push(Stamp(((u * 31 + i * 17) % 40) as u32 * 86_400));
            }
        }
        cells.indptr.push(cells.indices.len());
    }
    cells
}

/// Everything may lead to everything, and the descent goes to the end.
fn config() -> SlimConfig {
    SlimConfig {
        regularization: 3.0,
        l1_regularization: 0.7,
        candidates: 1000,
        neighbours: 1000,
        iterations: 2000,
        tolerance: 1e-7,
        ..SlimConfig::default()
    }
}

fn train(config: SlimConfig, cells: &Csr) -> Slim {
    Slim::train(config, cells, &vec![true; cells.n_rows()], &mut |_| ()).unwrap()
}

fn dense(config: &SlimConfig, cells: &Csr) -> Vec<Vec<f64>> {
    let mut gram = vec![vec![0f64; cells.n_cols]; cells.n_cols];
    for user in 0..cells.n_rows() {
        let row = cells.row(user);
        for (&i, &a) in row.items.iter().zip(row.weights) {
            for (&j, &b) in row.items.iter().zip(row.weights) {
                gram[i as usize][j as usize] += f64::from(config.weights.of(a)) * f64::from(config.weights.of(b));
            }
        }
    }
    gram
}

#[test]
fn at_the_minimum_no_weight_wants_to_move() {
    // The conditions of Karush, Kuhn and Tucker, on a dense f64 Gramian.
    let cells = likings(30, 6);
    for non_negative in [true, false] {
        for weights in [CellWeight::Binary, CellWeight::Weight] {
            let config = SlimConfig { non_negative, weights, ..config() };
            let (model, gram) = (train(config.clone(), &cells), dense(&config, &cells));
            let w = |i: usize, j: usize| f64::from(sparse_items::between(&model.weights, i as u32, j as u32));
            let (mut n_zero, mut n_positive, mut n_negative) = (0, 0, 0);
            for j in 0..30 {
                assert_eq!(w(j, j), 0.0);
                // Items without a user in common are no candidates.
                for i in (0..30).filter(|&i| i != j) {
                    if gram[i][j] == 0.0 {
                        assert_eq!(w(i, j), 0.0);
                        continue;
                    }
                    let pull = gram[i][j]
                        - (0..30).map(|k| gram[i][k] * w(k, j)).sum::<f64>()
                        - f64::from(config.regularization) * w(i, j);
                    let l1 = f64::from(config.l1_regularization);
                    // Thousands of f32 updates of sums this large.
                    let close = 1e-4 * gram[i][i].max(gram[j][j]);
                    if w(i, j) > 0.0 {
                        n_positive += 1;
                        assert!((pull - l1).abs() < close, "{i} -> {j}: {pull}");
                    } else if w(i, j) < 0.0 {
                        n_negative += 1;
                        assert!((pull + l1).abs() < close, "{i} -> {j}: {pull}");
                    } else {
                        n_zero += 1;
                        assert!(pull < l1 + close && (non_negative || pull > -l1 - close), "{i} -> {j}: {pull}");
                    }
                }
            }
            assert!(n_zero > 50 && n_positive > 50, "{n_zero} {n_positive}");
            assert_eq!(n_negative > 0, !non_negative);
        }
    }
}

#[test]
fn without_the_sum_of_sizes_it_is_ease() {
    let cells = likings(25, 6);
    let config = SlimConfig { l1_regularization: 0.0, non_negative: false, ..config() };
    assert!(dense(&config, &cells).iter().flatten().all(|&product| product > 0.0), "every item is a candidate");
    let slim = train(config, &cells);
    let ease = crate::model::EaseConfig { regularization: 3.0, ..Default::default() };
    let ease = crate::model::Ease::train(ease, &cells, &[true; 60], &mut |_| ()).unwrap();
    for i in 0..25 {
        for j in 0..25 {
            let (found, expected) =
                (sparse_items::between(&slim.weights, i, j), ease.weights().at(i as usize, j as usize));
            assert!((found - expected).abs() < 1e-3, "{i} -> {j}: {found}, {expected}");
        }
    }
}

#[test]
fn candidates_and_neighbours_are_the_best() {
    let cells = sample(30);
    let few = train(SlimConfig { neighbours: 4, ..config() }, &cells);
    let all = train(config(), &cells).weights.transpose();
    let columns = few.neighbours().transpose();
    for item in 0..30 {
        let mut expected: Vec<(f32, u32)> =
            all.row(item).weights.iter().map(|weight| weight.abs()).zip(all.row(item).items.iter().copied()).collect();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        expected.truncate(4);
        expected.sort_unstable_by_key(|x| x.1);
        assert_eq!(columns.columns(item), expected.iter().map(|x| x.1).collect::<Vec<_>>());
    }
    let config = SlimConfig { candidates: 3, ..config() };
    let (gram, narrow) = (dense(&config, &cells), train(config.clone(), &cells).weights.transpose());
    for item in 0..30usize {
        let mut gains: Vec<(f64, usize)> = (0..30)
            .filter(|&other| other != item)
            .map(|other| (gram[other][item].powi(2) / (gram[other][other] + 3.0), other))
            .collect();
        gains.sort_by(|a, b| b.0.total_cmp(&a.0));
        let bound = gains[2].0;
        assert!(narrow.columns(item).len() <= 3);
        for &lead in narrow.columns(item) {
            assert!(gains.iter().any(|&(gain, other)| other == lead as usize && gain >= bound * 0.99999));
        }
    }
    assert!(narrow.n_cells() > 45);
}

#[test]
fn rare_pairs_can_be_left_out() {
    // Items 0 and 1 have one user in common, 0 and 2 two.
    let cells = Csr {
        indptr: vec![0, 3, 5, 6],
        indices: vec![0, 1, 2, 0, 2, 1],
        values: vec![1.0; 6],
        n_cols: 3,
        ..Csr::default()
    };
    let config = SlimConfig { regularization: 0.5, l1_regularization: 0.0, ..config() };
    let model = train(SlimConfig { min_pair_users: 2, ..config.clone() }, &cells);
    assert_eq!((model.neighbours().columns(0), model.neighbours().columns(1)), (&[2][..], &[][..]));
    assert_eq!(train(config, &cells).neighbours().columns(1), &[0, 2]);
}

#[test]
fn a_tile_scores_as_the_whole_and_explanations_add_up_exactly() {
    let cells = sample(30);
    for recency in [None, Some(2.0)] {
        let model = train(SlimConfig { recency_half_life_days: recency, ..config() }, &cells);
        let histories = [cells.row(3), History::default(), cells.row(11)];
        let mut whole = vec![f32::NAN; 3 * 30];
        let mut block = model.prepare(&histories);
        block.score(0..30, &mut whole);
        let mut part = vec![f32::NAN; 3 * 11];
        block.score(7..18, &mut part);
        for user in 0..3 {
            assert_eq!(part[user * 11..(user + 1) * 11], whole[user * 30 + 7..user * 30 + 18]);
            for item in 0..30 {
                let explanation = model.explain(histories[user], ItemIdx(item));
                assert_eq!(explanation.score, whole[user * 30 + item as usize]);
                let mut parts = explanation.contributions.clone();
                parts.sort_by_key(|&(lead, _)| lead);
                assert_eq!(parts.iter().fold(0f32, |sum, &(_, part)| sum + part), explanation.score);
            }
        }
        assert!(whole[30..60].iter().all(|&score| score == 0.0));
        assert!(whole[..30].iter().any(|&score| score > 0.0));
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let cells = sample(60);
    let by = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| train(SlimConfig { iterations: 5, ..config() }, &cells)).weights
    };
    assert!(by(1) == by(3));
}

#[test]
fn odd_shapes_memory_and_bad_settings() {
    for (cells, n_users) in [(Csr::empty(0, 3), 0), (Csr::empty(3, 0), 3)] {
        let model = Slim::train(config(), &cells, &vec![true; n_users], &mut |_| ()).unwrap();
        assert_eq!((model.n_items(), model.neighbours().n_cells()), (cells.n_cols, 0));
    }
    // One user who had everything: every pair.
    let n = 1200;
    let cells =
        Csr { indptr: vec![0, n], indices: (0..n as u32).collect(), values: vec![1.0; n], n_cols: n, ..Csr::default() };
    let small = SlimConfig { memory_budget_mib: 1, ..config() };
    let error = Slim::train(small, &cells, &[true], &mut |_| ()).unwrap_err().to_string();
    for part in ["slim for 1200 items", "needs 11 MiB", "model.slim.memory_budget_mib allows 1", "min_pair_users"] {
        assert!(error.contains(part), "{error}");
    }
    let wrong = SlimConfig { regularization: -1.0, ..config() };
    assert_eq!(wrong.check("model.slim").unwrap_err(), "model.slim.regularization must be above 0, is -1");
    let wrong = SlimConfig { candidates: 0, ..config() };
    assert_eq!(wrong.check("m").unwrap_err(), "m.candidates must be 1 to 100000, is 0");
    let wrong = SlimConfig { tolerance: f32::NAN, ..config() };
    assert_eq!(wrong.check("m").unwrap_err(), "m.tolerance must be 0 or more, is NaN");
    let bare = Csr { times: Vec::new(), ..sample(9) };
    let config = SlimConfig { recency_half_life: Some(1.0), ..config() };
    let error = Slim::train(config, &bare, &[true; 60], &mut |_| ()).unwrap_err();
    assert_eq!(error, ModelError::NoTimes { key: "model.slim.recency_half_life".into() });
}
