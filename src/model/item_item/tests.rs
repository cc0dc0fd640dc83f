use proptest::prelude::*;

use super::*;
use crate::{interactions::Stamp, model::CellWeight};

pub(super) const KINDS: [SimilarityKind; 6] = [
    SimilarityKind::Rp3beta,
    SimilarityKind::Cosine,
    SimilarityKind::AsymmetricCosine,
    SimilarityKind::Jaccard,
    SimilarityKind::Bm25,
    SimilarityKind::Tfidf,
];

fn csr(dense: &[Vec<f32>], n_items: usize) -> Csr {
    let mut matrix = Csr { indptr: vec![0], n_cols: n_items, ..Csr::default() };
    for row in dense {
        for (item, &weight) in row.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            matrix.indices.push(item as u32);
            matrix.values.push(weight);
        }
        matrix.indptr.push(matrix.indices.len());
    }
    matrix
}

/// The formulas of [`ItemItem`], pair by pair on a dense matrix.
fn naive(config: &ItemItemConfig, dense: &[Vec<f32>], n_items: usize) -> Vec<Vec<f64>> {
    let w: Vec<Vec<f64>> = dense
        .iter()
        .map(|row| row.iter().map(|&x| if x > 0.0 { f64::from(config.weights.of(x)) } else { 0.0 }).collect())
        .collect();
    let (users, items) = (0..w.len(), 0..n_items);
    let has = |u: usize, i: usize| w[u][i] > 0.0;
    let n = |i: usize| users.clone().filter(|&u| has(u, i)).count() as f64;
    let both = |i: usize, j: usize| users.clone().filter(|&u| has(u, i) && has(u, j)).count() as f64;
    let idf = |u: usize| (w.len() as f64).ln() - (1.0 + items.clone().filter(|&i| has(u, i)).count() as f64).ln();
    let inner = |v: &dyn Fn(usize, usize) -> f64, i: usize, j: usize| -> f64 {
        users.clone().filter(|&u| has(u, i) && has(u, j)).map(|u| v(u, i) * v(u, j)).sum()
    };
    let total = |i: usize| users.clone().map(|u| w[u][i]).sum::<f64>();
    let mean = items.clone().map(total).sum::<f64>() / n_items as f64;
    let (alpha, beta, asymmetry) = (f64::from(config.alpha), f64::from(config.beta), f64::from(config.asymmetry));
    let (k1, b) = (f64::from(config.k1), f64::from(config.b));
    let plain = |u: usize, i: usize| w[u][i];
    let tfidf = |u: usize, i: usize| w[u][i].sqrt() * idf(u);
    let bm25 = |u: usize, i: usize| w[u][i] * (k1 + 1.0) / (k1 * (1.0 - b + b * total(i) / mean) + w[u][i]) * idf(u);
    let similarity = |i: usize, j: usize| -> f64 {
        if i == j || both(i, j) == 0.0 {
            return 0.0;
        }
        let s = match config.kind {
            SimilarityKind::Rp3beta => {
                let step = |u: usize| (w[u][j] / w[u].iter().sum::<f64>()).powf(alpha);
                let walk: f64 =
                    users.clone().filter(|&u| has(u, i) && has(u, j)).map(|u| n(i).powf(-alpha) * step(u)).sum();
                walk / n(j).powf(beta)
            }
            SimilarityKind::Cosine => inner(&plain, i, j) / (inner(&plain, i, i) * inner(&plain, j, j)).sqrt(),
            SimilarityKind::AsymmetricCosine => {
                inner(&plain, i, j) / (inner(&plain, i, i).powf(asymmetry) * inner(&plain, j, j).powf(1.0 - asymmetry))
            }
            SimilarityKind::Jaccard => both(i, j) / (n(i) + n(j) - both(i, j)),
            SimilarityKind::Bm25 => inner(&bm25, i, j),
            SimilarityKind::Tfidf => inner(&tfidf, i, j) / (inner(&tfidf, i, i) * inner(&tfidf, j, j)).sqrt(),
        };
        s * both(i, j) / (both(i, j) + f64::from(config.shrinkage))
    };
    items.clone().map(|i| items.clone().map(|j| similarity(i, j)).collect()).collect()
}

fn dense(n_users: usize, n_items: usize) -> impl Strategy<Value = Vec<Vec<f32>>> {
    let cell = prop_oneof![2 => Just(0f32), 1 => 0.1f32..5.0];
    prop::collection::vec(prop::collection::vec(cell, n_items), n_users)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn similarities_are_those_of_the_formulas(
        dense in dense(9, 7),
        kind in prop::sample::select(KINDS.to_vec()),
        weights in prop::sample::select(vec![CellWeight::Binary, CellWeight::Weight, CellWeight::Log]),
        shrinkage in prop_oneof![Just(0f32), 0.5f32..20.0],
    ) {
        let config = ItemItemConfig {
            kind, weights, shrinkage, normalise: false, asymmetry: 0.3, alpha: 0.7, beta: 0.4, ..ItemItemConfig::default()
        };
        let model = ItemItem::train(config.clone(), &csr(&dense, 7), &[true; 9], &mut |_| ()).unwrap();
        let expected = naive(&config, &dense, 7);
        for i in 0..7u32 {
            for j in 0..7u32 {
                // Only similarities above zero are kept (idf may be below zero or near it).
                let (found, expected) = (f64::from(model.between(i, j)), expected[i as usize][j as usize].max(0.0));
                prop_assert!((found - expected).abs() <= 1e-5 * (1.0 + expected), "{kind:?} {i} -> {j}: {found}, {expected}");
            }
        }
    }

    #[test]
    fn normalised_neighbours_are_the_largest_of_rows_then_of_columns(dense in dense(12, 9), most in 1usize..6) {
        let all = ItemItemConfig { normalise: false, neighbours: 100, ..ItemItemConfig::default() };
        let few = ItemItemConfig { normalise: true, neighbours: most, ..ItemItemConfig::default() };
        let cells = csr(&dense, 9);
        let all = ItemItem::train(all, &cells, &[true; 12], &mut |_| ()).unwrap();
        let few = ItemItem::train(few, &cells, &[true; 12], &mut |_| ()).unwrap();
        let largest = |mut row: Vec<(f32, u32)>| {
            row.retain(|(value, _)| *value > 0.0);
            row.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            row.truncate(most);
            row
        };
        let mut rows = vec![vec![0f32; 9]; 9];
        for i in 0..9 {
            let kept = largest((0..9).map(|j| (all.between(i, j), j)).collect());
            let total: f64 = { let mut k = kept.clone(); k.sort_by_key(|x| x.1); k.iter().map(|x| f64::from(x.0)).sum() };
            for (value, j) in kept {
                rows[i as usize][j as usize] = (f64::from(value) / total) as f32;
            }
        }
        for j in 0..9u32 {
            let kept = largest((0..9).map(|i| (rows[i as usize][j as usize], i)).collect());
            for i in 0..9u32 {
                let expected = kept.iter().find(|(_, lead)| *lead == i).map_or(0.0, |(value, _)| *value);
                prop_assert_eq!(few.between(i, j), expected);
            }
        }
    }
}

fn sample() -> Csr {
    let dense: Vec<Vec<f32>> = (0..40)
        .map(|u: usize| {
            (0..30)
                .map(|i: usize| if (u * 7 + i * i * 3 + u * i) % 5 < 2 { 1.0 + (u % 3) as f32 } else { 0.0 })
                .collect()
        })
        .collect();
    csr(&dense, 30)
}

fn model(kind: SimilarityKind) -> ItemItem {
    let config = ItemItemConfig { kind, neighbours: 8, ..ItemItemConfig::default() };
    ItemItem::train(config, &sample(), &[true; 40], &mut |_| ()).unwrap()
}

#[test]
fn a_tile_scores_as_the_whole_and_explanations_add_up_exactly() {
    let cells = sample();
    for kind in KINDS {
        let model = model(kind);
        assert_eq!(model.tile().n_items, usize::MAX);
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
        assert!(whole[..30].iter().any(|&score| score > 0.0), "{kind:?}");
    }
}

#[test]
fn rows_are_ascending_without_the_item_itself_and_never_longer_than_asked() {
    for kind in KINDS {
        let model = model(kind);
        let columns = model.neighbours().transpose();
        for item in 0..30 {
            let row = model.neighbours().columns(item);
            assert!(row.is_sorted_by(|a, b| a < b) && !row.contains(&(item as u32)) && row.len() <= 8);
            assert!(columns.columns(item).len() <= 8);
        }
    }
}

#[test]
fn ties_go_to_the_lower_item() {
    // Everybody has everything: all similarities are equal.
    let cells = csr(&vec![vec![1.0; 6]; 4], 6);
    let config =
        ItemItemConfig { kind: SimilarityKind::Cosine, neighbours: 2, normalise: false, ..ItemItemConfig::default() };
    let model = ItemItem::train(config, &cells, &[true; 4], &mut |_| ()).unwrap();
    assert_eq!(model.neighbours().columns(0), &[1, 2]);
    assert_eq!(model.neighbours().columns(4), &[0, 1]);
}

#[test]
fn similarities_are_looked_up() {
    let model = model(SimilarityKind::Jaccard);
    let candidates: Vec<u32> = (0..30).filter(|item| item % 4 != 1).collect();
    let mut out = vec![f32::NAN; candidates.len()];
    model.similarity().unwrap().similarities(ItemIdx(6), &candidates, &mut out);
    for (&candidate, &found) in candidates.iter().zip(&out) {
        assert_eq!(found, model.between(6, candidate));
    }
    assert!(out.iter().any(|&value| value > 0.0));
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for kind in KINDS {
        let by = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| model(kind)).similarity
        };
        assert!(by(1) == by(3), "{kind:?}");
    }
}

#[test]
fn odd_shapes_and_progress() {
    for (cells, n_users) in [(Csr::empty(0, 3), 0), (Csr::empty(3, 0), 3), (csr(&[vec![2.0]], 1), 1)] {
        for kind in KINDS {
            let config = ItemItemConfig { kind, ..ItemItemConfig::default() };
            let model = ItemItem::train(config, &cells, &vec![true; n_users], &mut |_| ()).unwrap();
            assert_eq!((model.n_items(), model.neighbours().n_cells()), (cells.n_cols, 0));
        }
    }
    let mut events = Vec::new();
    ItemItem::train(ItemItemConfig::default(), &sample(), &[true; 40], &mut |event| events.push(event)).unwrap();
    let last = TrainEvent::Iteration { iteration: events.len(), iterations: events.len(), loss: None };
    assert_eq!(events.last(), Some(&last));
}

#[test]
fn bad_parts_and_settings_are_named() {
    let wrong = ItemItemConfig { neighbours: 0, ..ItemItemConfig::default() };
    assert_eq!(wrong.check("model.item_item").unwrap_err(), "model.item_item.neighbours must be 1 to 1000000, is 0");
    let wrong = ItemItemConfig { b: f32::NAN, ..ItemItemConfig::default() };
    assert_eq!(wrong.check("m").unwrap_err(), "m.b must be 0 to 1, is NaN");
    let good = ItemItemConfig::default;
    let not_finite =
        Csr { indptr: vec![0, 0, 1], indices: vec![0], values: vec![f32::INFINITY], n_cols: 2, ..Csr::default() };
    let error = ItemItem::from_parts(good(), not_finite).unwrap_err();
    assert_eq!(error, ModelError::NotFinite { what: "a similarity", item: 1 });
    assert!(matches!(ItemItem::from_parts(good(), Csr::empty(2, 3)), Err(ModelError::Shape { .. })));
}

/// Users with times: each has four of nine items, and all have those in the order of some rotation.
fn timed() -> Csr {
    let mut cells = Csr { indptr: vec![0], n_cols: 9, ..Csr::default() };
    for u in 0..20usize {
        for i in (0..9).filter(|i| (i * 5 + u * 3) % 9 < 4) {
            cells.indices.push(i as u32);
            cells.values.push(1.0 + (u % 2) as f32);
            cells.times.push(Stamp(((i * 4 + u) % 6) as u32));
        }
        cells.indptr.push(cells.indices.len());
    }
    cells
}

#[test]
fn what_follows_in_time_counts_more() {
    let cells = timed();
    let plain = ItemItemConfig { kind: SimilarityKind::Cosine, normalise: false, ..ItemItemConfig::default() };
    for window in [1, 2, 100] {
        let config = ItemItemConfig { sequence_weight: 3.0, sequence_window: window, ..plain.clone() };
        let train = |config| ItemItem::train(config, &cells, &[true; 20], &mut |_| ()).unwrap();
        let (base, ordered) = (train(plain.clone()), train(config));
        let norm = |i: u32| -> f64 {
            let squares = (0..20).flat_map(|u| {
                let row = cells.row(u);
                row.items
                    .iter()
                    .zip(row.weights)
                    .filter(|(item, _)| **item == i)
                    .map(|(_, w)| f64::from(w * w))
                    .collect::<Vec<_>>()
            });
            squares.sum::<f64>().sqrt()
        };
        let mut n_directed = 0;
        for i in 0..9u32 {
            for j in (0..9u32).filter(|&j| j != i) {
                let mut sum = 0f64;
                for u in 0..20 {
                    let row = cells.row(u);
                    let (Ok(a), Ok(b)) = (row.items.binary_search(&i), row.items.binary_search(&j)) else { continue };
                    let place = |at: usize| row.times.iter().filter(|time| **time < row.times[at]).count() as i64;
                    let later = place(b) - place(a);
                    let factor = if later >= 1 && later <= i64::from(window) { 4.0 } else { 1.0 };
                    sum += factor * f64::from(row.weights[a] * row.weights[b]);
                }
                let expected = sum / (norm(i) * norm(j));
                assert!((f64::from(ordered.between(i, j)) - expected).abs() < 1e-5, "{i} -> {j}");
                assert!(ordered.between(i, j) >= base.between(i, j));
                n_directed += usize::from(ordered.between(i, j) != ordered.between(j, i));
            }
        }
        assert!(n_directed > 10);
    }
}

#[test]
fn recency_counts_at_scoring_and_times_are_asked_for() {
    let cells = timed();
    let config = ItemItemConfig { recency_half_life: Some(1.0), ..ItemItemConfig::default() };
    let train = |config, cells: &Csr| ItemItem::train(config, cells, &[true; 20], &mut |_| ());
    let (plain, recent) = (train(ItemItemConfig::default(), &cells).unwrap(), train(config.clone(), &cells).unwrap());
    assert_eq!(plain.similarity, recent.similarity);
    let score = |model: &ItemItem, history| {
        let mut scores = vec![0f32; 9];
        model.prepare(&[history]).score(0..9, &mut scores);
        for item in 0..9 {
            assert_eq!(model.explain(history, ItemIdx(item)).score, scores[item as usize]);
        }
        scores
    };
    let history = cells.row(1);
    let bare = History { times: &[], ..history };
    assert_ne!(score(&plain, history), score(&recent, history));
    assert_eq!(score(&plain, history), score(&recent, bare));

    let without = Csr { times: Vec::new(), ..cells };
    let error = train(config, &without).unwrap_err();
    assert_eq!(error, ModelError::NoTimes { key: "model.item_item.recency_half_life".into() });
    let ordered = ItemItemConfig { sequence_weight: 1.0, ..ItemItemConfig::default() };
    assert!(ordered.needs_times() && !ItemItemConfig::default().needs_times());
    let error = train(ordered.clone(), &without).unwrap_err();
    assert_eq!(error, ModelError::NoTimes { key: "model.item_item.sequence_weight".into() });
    let wrong = ItemItemConfig { kind: SimilarityKind::Jaccard, ..ordered.clone() };
    assert!(wrong.check("m").unwrap_err().starts_with("m.sequence_weight must be 0 with kind = \"jaccard\""));
    let wrong = ItemItemConfig { sequence_window: 0, ..ordered };
    assert_eq!(wrong.check("m").unwrap_err(), "m.sequence_window must be at least 1, is 0");
}

/// Users of every size over so many items that the walks go by blocks: few have much, most have little.
pub(super) fn wide(n_items: usize) -> Csr {
    let mut cells = Csr { indptr: vec![0], n_cols: n_items, ..Csr::default() };
    for user in 0..60usize {
        let (n, step) = match user {
            7 => (n_items / 5, 5),
            30 => (n_items / 9, 9),
            50 => (n_items / 30, 29),
            _ => (4 + user % 9, n_items / 17 + user * 11),
        };
        let mut items: Vec<u32> = (0..n).map(|at| ((at * step + user * user) % n_items) as u32).collect();
        items.sort_unstable();
        items.dedup();
        cells.values.extend(items.iter().map(|item| 1.0 + ((*item as usize + user) % 4) as f32));
        cells.indices.extend(items);
        cells.indptr.push(cells.indices.len());
    }
    cells
}

#[test]
fn blocks_and_dense_rows_give_the_bits_of_plain_sums() {
    let users = wide(17_000);
    let items = users.transpose();
    for (kind, neighbours) in
        [(SimilarityKind::Rp3beta, 40), (SimilarityKind::Jaccard, 20_000), (SimilarityKind::Tfidf, 7)]
    {
        let config = ItemItemConfig { kind, neighbours, normalise: false, ..ItemItemConfig::default() };
        let measure = measure::Measure::new(&config, facts::Facts::of(&config, &users, &items));
        let weighed = measure.weigh(&users, &items);
        let model = ItemItem::train(config, &users, &[true; 60], &mut |_| ()).unwrap();
        let mut n_spread = 0;
        for item in (0..17_000).step_by(13) {
            let mut sums = vec![0f32; 17_000];
            for at in items.indptr[item]..items.indptr[item + 1] {
                let user = items.indices[at] as usize;
                for cell in users.indptr[user]..users.indptr[user + 1] {
                    sums[users.indices[cell] as usize] += weighed.lead[at] * weighed.follow[cell];
                }
            }
            let mut expected: Vec<(f32, u32)> = (0u32..)
                .zip(sums)
                .filter(|&(other, _)| other as usize != item)
                .map(|(other, sum)| (measure.similarity(item, other as usize, sum), other))
                .filter(|&(similarity, _)| similarity > 0.0)
                .collect();
            n_spread += usize::from(expected.len() > 17_000 / 8);
            expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            expected.truncate(neighbours);
            expected.sort_by_key(|&(_, other)| other);
            let row = model.neighbours().row(item);
            assert!(row.items.iter().copied().eq(expected.iter().map(|&(_, other)| other)), "{kind:?} {item}");
            assert!(row.weights.iter().copied().eq(expected.iter().map(|&(value, _)| value)), "{kind:?} {item}");
        }
        assert!((100..1_000).contains(&n_spread), "{n_spread}");
    }
}

#[test]
fn rows_made_apart_are_the_rows_of_the_whole() {
    let mut weights = Csr { indptr: vec![0], n_cols: 90, ..Csr::default() };
    for user in 0..150u32 {
        for item in (0..90u32).filter(|item| (user * 7 + item * item * 3 + user * item) % 11 < 2 || user % 40 == 0) {
            weights.indices.push(item);
            weights.values.push(0.3 + (user % 7) as f32 * 0.7);
            weights.times.push(crate::interactions::Stamp(user * 31 + item * 17 % 23));
        }
        weights.indptr.push(weights.indices.len());
    }
    let trains: Vec<bool> = (0..150).map(|user| user % 9 != 0).collect();
    for (kind, sequence_weight, normalise) in [
        (SimilarityKind::Rp3beta, 0.0, true),
        (SimilarityKind::Cosine, 0.0, false),
        (SimilarityKind::Bm25, 0.5, true),
        (SimilarityKind::Jaccard, 0.0, true),
    ] {
        let config =
            ItemItemConfig { kind, sequence_weight, normalise, neighbours: 12, shrinkage: 2.0, ..Default::default() };
        let whole = ItemItem::train(config.clone(), &weights, &trains, &mut |_| ()).unwrap();
        let mut joined = Csr { indptr: vec![0], n_cols: 90, ..Csr::default() };
        for range in [0..1, 1..33, 33..33, 33..90] {
            let rows = ItemItem::train_rows(&config, &weights, &trains, range, &mut |_| ()).unwrap();
            let base = joined.indices.len();
            joined.indices.extend(rows.indices);
            joined.values.extend(rows.values);
            joined.indptr.extend(rows.indptr[1..].iter().map(|end| base + end));
        }
        let apart = ItemItem::from_rows(config, joined).unwrap();
        assert_eq!(apart.neighbours(), whole.neighbours(), "{kind:?}");
        assert!(whole.neighbours().n_cells() > 300);
    }
}
