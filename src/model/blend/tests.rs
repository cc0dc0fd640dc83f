use super::*;
use crate::{
    ids::IdTable,
    interactions::{Csr, Stamp},
    model::{AlsConfig, EaseConfig, GraphConfig, ItemItemConfig, ModelConfig, ModelKind, SlimConfig},
};

fn sample(n_items: usize) -> Interactions {
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
    let name = |at: usize| format!("{at:03}");
    Interactions {
        users: (0..60).map(name).collect::<Vec<_>>().iter().map(String::as_str).collect::<IdTable>(),
        items: (0..n_items).map(name).collect::<Vec<_>>().iter().map(String::as_str).collect::<IdTable>(),
        bucket_starts: vec![0, 60],
        excluded: Csr::empty(60, n_items),
        weights: cells,
        trains: vec![true; 60],
    }
}

fn part(kind: ModelKind, weight: f32) -> BlendPart {
    let als = AlsConfig { n_factors: 8, iterations: 3, ..AlsConfig::default() };
    let item_item = ItemItemConfig { neighbours: 6, ..ItemItemConfig::default() };
    let ease = EaseConfig { regularization: 3.0, recency_half_life: Some(2.0), ..EaseConfig::default() };
    let slim = SlimConfig { regularization: 3.0, ..SlimConfig::default() };
    let graph = GraphConfig { n_factors: 4, ..GraphConfig::default() };
    BlendPart { weight, kind, als, item_item, ease, slim, graph, ..BlendPart::default() }
}

const ALL: [ModelKind; 6] =
    [ModelKind::Als, ModelKind::ItemItem, ModelKind::Ease, ModelKind::Slim, ModelKind::Graph, ModelKind::Popularity];

fn blend(kinds: &[ModelKind], interactions: &Interactions) -> Blend {
    let parts = kinds.iter().enumerate().map(|(at, &kind)| part(kind, 1.0 - 0.15 * at as f32)).collect();
    Blend::train(&BlendConfig { parts }, interactions, &mut |_| ()).unwrap()
}

fn scores(model: &dyn Model, history: History<'_>) -> Vec<f32> {
    let mut scores = vec![f32::NAN; model.n_items()];
    model.prepare(&[history]).score(0..model.n_items(), &mut scores);
    scores
}

#[test]
fn scores_are_weighted_sums_of_standard_scores() {
    let interactions = sample(40);
    let model = blend(&ALL, &interactions);
    for user in [0, 7, 31] {
        let history = interactions.weights.row(user);
        let mut expected = [0f64; 40];
        for (weight, part) in model.parts() {
            let scores = scores(part.as_model(), history);
            let mean = scores.iter().map(|&s| f64::from(s)).sum::<f64>() / 40.0;
            let deviation = (scores.iter().map(|&s| (f64::from(s) - mean).powi(2)).sum::<f64>() / 40.0).sqrt();
            assert!(deviation > 0.0);
            for (expected, &score) in expected.iter_mut().zip(&scores) {
                *expected += f64::from(*weight) * (f64::from(score) - mean) / deviation;
            }
        }
        for (found, expected) in scores(&model, history).iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-4, "{found}, {expected}");
        }
    }
}

#[test]
fn a_tile_scores_as_the_whole_and_explanations_add_up() {
    let interactions = sample(400);
    let model = blend(&ALL, &interactions);
    let rows = &interactions.weights;
    let histories = [rows.row(3), History { items: &[5], weights: &[2.0], times: &[] }, rows.row(11)];
    let mut whole = vec![f32::NAN; 3 * 400];
    let mut block = model.prepare(&histories);
    assert_eq!((block.n_users(), model.tile().n_items, model.tile().n_users), (3, usize::MAX, 96));
    let mut first = vec![f32::NAN; 3 * 11];
    block.score(7..18, &mut first);
    block.score(0..400, &mut whole);
    let mut second = vec![f32::NAN; 3 * 40];
    block.score(360..400, &mut second);
    for user in 0..3 {
        assert_eq!(first[user * 11..(user + 1) * 11], whole[user * 400 + 7..user * 400 + 18]);
        assert_eq!(second[user * 40..(user + 1) * 40], whole[user * 400 + 360..(user + 1) * 400]);
        for item in (0..400).step_by(23) {
            let found = model.explain(histories[user], ItemIdx(item));
            // Alone or beside others, a user gets the same bits.
            assert_eq!(found.score, whole[user * 400 + item as usize]);
            let sum = found.contributions.iter().fold(found.base, |sum, (_, part)| sum + part);
            assert!((sum - found.score).abs() < 1e-4 * (1.0 + found.score.abs()), "{sum}, {}", found.score);
            assert!(found.contributions.is_sorted_by(|a, b| a.1 >= b.1) && !found.contributions.is_empty());
        }
    }
}

#[test]
fn what_no_part_leads_to_is_no_recommendation() {
    // Items 0 and 1 go together, 2 and 3 too; nothing leads from one pair to the other.
    let mut interactions = sample(4);
    interactions.weights = Csr {
        indptr: (0..=60).map(|user| 2 * user).collect(),
        indices: (0..60).flat_map(|user| if user < 30 { [0, 1] } else { [2, 3] }).collect(),
        values: vec![1.0; 120],
        n_cols: 4,
        ..Csr::default()
    };
    let parts = vec![part(ModelKind::ItemItem, 1.0), part(ModelKind::Slim, 2.0)];
    let model = Blend::train(&BlendConfig { parts: parts.clone() }, &interactions, &mut |_| ()).unwrap();
    let history = History { items: &[0], weights: &[1.0], times: &[] };
    let found = scores(&model, history);
    assert!(found[1].is_finite() && [0, 2, 3].iter().all(|&item| found[item] == f32::NEG_INFINITY), "{found:?}");
    let why = model.explain(history, ItemIdx(2));
    assert_eq!((why.score, why.base, why.contributions.len()), (f32::NEG_INFINITY, f32::NEG_INFINITY, 0));
    assert!(scores(&model, History::default()).iter().all(|&score| score == f32::NEG_INFINITY));
    // With popularity beside them everything that anybody touched may be recommended.
    let parts = [parts, vec![part(ModelKind::Popularity, 0.1)]].concat();
    let model = Blend::train(&BlendConfig { parts }, &interactions, &mut |_| ()).unwrap();
    let found = scores(&model, history);
    assert!(found.iter().all(|score| score.is_finite()) && found[1] > found[2]);
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let interactions = sample(50);
    let by = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        let found = pool.install(|| scores(&blend(&ALL, &interactions), interactions.weights.row(5)));
        found.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    assert_eq!(by(1), by(3));
}

#[test]
fn similarities_come_from_the_heaviest_part_that_has_some() {
    let interactions = sample(30);
    let similarity = |kinds: &[ModelKind]| {
        let model = blend(kinds, &interactions);
        let mut out = [0f32; 3];
        model.similarity().map(|similarity| similarity.similarities(ItemIdx(4), &[1, 2, 3], &mut out)).map(|()| out)
    };
    assert_eq!(similarity(&[ModelKind::Popularity]), None);
    let ease = similarity(&[ModelKind::Ease]);
    assert!(ease.is_some());
    assert_eq!(similarity(&[ModelKind::Popularity, ModelKind::Ease, ModelKind::Als]), ease);
}

#[test]
fn bad_parts_are_named() {
    let check =
        |part: BlendPart| BlendConfig { parts: vec![BlendPart::default(), part] }.check("model.blend").unwrap_err();
    let wrong = BlendPart { weight: 0.0, ..BlendPart::default() };
    assert_eq!(check(wrong), "model.blend.parts[1].weight must be a number other than 0, is 0");
    let wrong = BlendPart { kind: ModelKind::Blend, ..BlendPart::default() };
    assert_eq!(check(wrong), "model.blend.parts[1].kind must be a model of its own, is blend");
    let mut wrong = BlendPart::default();
    wrong.als.n_factors = 0;
    assert_eq!(check(wrong), "model.blend.parts[1].als.n_factors must be 1 to 4096, is 0");
    let none = ModelConfig { kind: ModelKind::Blend, ..ModelConfig::default() };
    assert_eq!(none.check("model").unwrap_err(), "model.blend.parts must have at least one part with kind = \"blend\"");
    assert!(ModelConfig::default().check("model").is_ok());

    let mut interactions = sample(9);
    let mut parts = vec![part(ModelKind::Popularity, 1.0), part(ModelKind::Slim, 1.0)];
    parts[1].slim.recency_half_life = Some(3.0);
    let config = ModelConfig { kind: ModelKind::Blend, blend: BlendConfig { parts }, ..ModelConfig::default() };
    assert!(config.needs_times());
    let model = train(&config, &interactions, &mut |_| ()).unwrap();
    assert_eq!((model.name(), model.min_score(), model.as_model().n_items()), ("blend", None, 9));
    interactions.weights.times.clear();
    let error = train(&config, &interactions, &mut |_| ()).unwrap_err();
    assert!(
        matches!(&error, ModelError::Part { at: 1, kind: "slim", source } if matches!(**source, ModelError::NoTimes { .. }))
    );
    let (small, large) = (train(&part(ModelKind::Popularity, 1.0).model(), &sample(3), &mut |_| ()), model);
    let error = Blend::from_parts(vec![(1.0, Arc::new(large)), (1.0, Arc::new(small.unwrap()))]).unwrap_err();
    assert_eq!(error, ModelError::Shape { what: "items of the parts of a blend", expected: 9, found: 3 });
}
