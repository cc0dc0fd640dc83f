//! Training as everybody sees it: a model of its own or a blend part by part, and parts that are kept.

use std::sync::Arc;

use crate::{
    interactions::Interactions,
    model::{Blend, ModelConfig, ModelError, ModelKind, TrainEvent, TrainedModel, train},
};

use super::{Observer, Training};

/// Memory of trained parts that are kept.
const KEPT_BYTES: u64 = 2 << 30;

/// Trains `model` and tells `on`: iterations of a model of its own, or the parts of a blend and the iterations within.
///
/// With `kept`, parts of a blend that were trained on the same data before are taken from there.
///
/// Returns: the model, and the loss by iteration where it has one (a blend has none).
pub(super) fn train_observed(
    model: &ModelConfig,
    interactions: &Interactions,
    mut kept: Option<(&mut TrainedParts, &Arc<Training>)>,
    on: &dyn Observer,
) -> Result<(TrainedModel, Vec<(usize, f64)>), ModelError> {
    if model.kind == ModelKind::Blend {
        let n_parts = model.blend.parts.len();
        on.total(n_parts as u64);
        let blend = Blend::train_with(&model.blend, |at, part| {
            let place = format!("part {} of {n_parts}, {}", at + 1, part.kind.name());
            on.note(&place);
            let mut listen = |TrainEvent::Iteration { iteration, iterations, loss }: TrainEvent| {
                let loss = loss.map_or_else(String::new, |loss| format!(", loss {loss:.6e}"));
                on.note(&format!("{place}, iteration {iteration} of {iterations}{loss}"));
            };
            let trained = match &mut kept {
                Some((kept, data)) => kept.part(data, part, &mut listen),
                None => train(part, interactions, &mut listen).map(Arc::new),
            };
            on.advance(1);
            trained
        })?;
        return Ok((TrainedModel::Blend(blend), Vec::new()));
    }
    observed(on, |listen| train(model, interactions, listen))
}

/// Trains a model of its own, and tells `on` of its iterations.
///
/// Returns: the model, and the loss by iteration where it has one.
pub(super) fn observed(
    on: &dyn Observer,
    train: impl FnOnce(&mut dyn FnMut(TrainEvent)) -> Result<TrainedModel, ModelError>,
) -> Result<(TrainedModel, Vec<(usize, f64)>), ModelError> {
    let mut losses = Vec::new();
    let mut total = None;
    let model = train(&mut |TrainEvent::Iteration { iteration, iterations, loss }| {
        if total.is_none() {
            total = Some(iterations);
            on.total(iterations as u64);
        }
        on.advance(1);
        if let Some(loss) = loss {
            losses.push((iteration, loss));
            on.note(&format!("loss {loss:.6e}"));
        }
    })?;
    Ok((model, losses))
}

/// Parts of a blend that were trained before, by data and settings.
///
/// Kept are parts with the settings of the blend that tuning begins with: those are what trials of other weights ask
/// for again, while settings that a trial varies hardly come back. What is kept stays: the first parts up to
/// [`KEPT_BYTES`], so that blends beyond that gain something, too, where throwing out the oldest would gain nothing.
///
/// Determinism: training gives the same bits each time, so results do not depend on what is kept.
#[derive(Debug)]
pub(super) struct TrainedParts {
    /// The settings worth keeping.
    worth: Vec<ModelConfig>,
    budget_bytes: u64,
    kept: Vec<(Arc<Training>, ModelConfig, Arc<TrainedModel>)>,
}

impl TrainedParts {
    /// Nothing yet, with room for the parts of `model`.
    pub(super) fn of(model: &ModelConfig) -> Self {
        let worth = model.blend.parts.iter().map(|part| part.model()).collect();
        Self { worth, budget_bytes: KEPT_BYTES, kept: Vec::new() }
    }

    /// The part with the settings of `config` on `data`: a kept one, or else it is trained, and kept if that pays.
    fn part(
        &mut self,
        data: &Arc<Training>,
        config: &ModelConfig,
        on: &mut dyn FnMut(TrainEvent),
    ) -> Result<Arc<TrainedModel>, ModelError> {
        let mut kept = self.kept.iter();
        if let Some((_, _, model)) = kept.find(|(on, of, _)| Arc::ptr_eq(on, data) && of == config) {
            return Ok(Arc::clone(model));
        }
        let model = Arc::new(train(config, &data.interactions, on)?);
        let bytes = self.kept.iter().map(|(_, _, model)| model.memory_bytes()).sum::<u64>() + model.memory_bytes();
        if self.worth.contains(config) && bytes <= self.budget_bytes {
            self.kept.push((Arc::clone(data), config.clone(), Arc::clone(&model)));
        }
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{
        ids::IdTable,
        interactions::{Csr, History},
        model::{AlsConfig, BlendConfig, BlendPart, ItemItemConfig},
        recommendations::Catalog,
    };

    /// Hears totals, steps and notes.
    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Heard {
        fn push(&self, text: String) {
            self.0.lock().unwrap().push(text);
        }
    }

    impl Observer for Heard {
        fn begin(&self, _: &str, _: Option<u64>, _: &str) {}
        fn total(&self, total: u64) {
            self.push(format!("of {total}"));
        }
        fn advance(&self, n: u64) {
            self.push(format!("+{n}"));
        }
        fn note(&self, text: &str) {
            self.push(text.to_owned());
        }
        fn end(&self) {}
    }

    fn data(seed: usize) -> Arc<Training> {
        let n_items = 20;
        let mut weights = Csr { indptr: vec![0], n_cols: n_items, ..Csr::default() };
        for user in 0..40usize {
            for item in (0..n_items).filter(|item| (user * 7 + item * item * 3 + user * item + seed) % 11 < 3) {
                weights.indices.push(item as u32);
                weights.values.push(1.0 + (user % 3) as f32);
            }
            weights.indptr.push(weights.indices.len());
        }
        let ids = |n: usize| (0..n).map(|at| format!("{at:03}")).collect::<Vec<_>>();
        let table = |ids: Vec<String>| ids.iter().map(String::as_str).collect::<IdTable>();
        let interactions = Interactions {
            users: table(ids(40)),
            items: table(ids(n_items)),
            bucket_starts: vec![0, 40],
            excluded: Csr::empty(40, n_items),
            weights,
            trains: vec![true; 40],
        };
        let catalog = Catalog::absent(n_items);
        Arc::new(Training { interactions, catalog, n_users_of: vec![1; n_items], n_users: 40 })
    }

    fn blend(weights: [f32; 2], n_factors: usize) -> ModelConfig {
        let als = AlsConfig { n_factors, iterations: 2, ..AlsConfig::default() };
        let item_item = ItemItemConfig { neighbours: 6, ..ItemItemConfig::default() };
        let part = |kind, weight| BlendPart {
            kind,
            weight,
            als: als.clone(),
            item_item: item_item.clone(),
            ..BlendPart::default()
        };
        let parts = vec![part(ModelKind::Als, weights[0]), part(ModelKind::ItemItem, weights[1])];
        ModelConfig { kind: ModelKind::Blend, blend: BlendConfig { parts }, ..ModelConfig::default() }
    }

    fn bits(model: &TrainedModel, data: &Training) -> Vec<u32> {
        let histories: Vec<History<'_>> = (0..40).map(|user| data.interactions.weights.row(user)).collect();
        let mut scores = vec![0f32; 40 * 20];
        model.as_model().prepare(&histories).score(0..20, &mut scores);
        scores.into_iter().map(f32::to_bits).collect()
    }

    #[test]
    fn kept_parts_give_the_bits_of_trained_ones_and_are_trained_once() {
        let both = [data(0), data(5)];
        let mut parts = TrainedParts::of(&blend([1.0, 0.5], 4));
        let mut n_iterations = Vec::new();
        // Other weights keep the parts, other settings of a part do not; data do not mix.
        let trials = [([1.0, 0.5], 4), ([0.2, 2.0], 4), ([1.0, 0.5], 6), ([1.0, 0.5], 6), ([0.3, 0.5], 4)];
        for (weights, n_factors) in trials {
            for data in &both {
                let (model, heard) = (blend(weights, n_factors), Heard::default());
                let (kept, losses) =
                    train_observed(&model, &data.interactions, Some((&mut parts, data)), &heard).unwrap();
                let fresh = train(&model, &data.interactions, &mut |_| ()).unwrap();
                assert_eq!(bits(&kept, data), bits(&fresh, data));
                assert!(losses.is_empty());
                n_iterations.push(heard.0.lock().unwrap().iter().filter(|note| note.contains("iteration")).count());
            }
        }
        assert!(n_iterations[0] > 2 && n_iterations[..2] == [n_iterations[0]; 2], "{n_iterations:?}");
        assert_eq!(n_iterations[2..4], [0, 0], "other weights train nothing");
        assert_eq!(n_iterations[4..8], [n_iterations[0]; 4], "settings of a trial are not kept");
        assert_eq!(n_iterations[8..], [0, 0]);
        assert_eq!(parts.kept.len(), 4);
        assert_ne!(bits(&parts.kept[0].2, &both[0]), bits(&parts.kept[2].2, &both[0]), "two data, two models");

        let mut narrow =
            TrainedParts { budget_bytes: parts.kept[0].2.memory_bytes(), ..TrainedParts::of(&blend([1.0, 0.5], 4)) };
        for _ in 0..2 {
            let kept = Some((&mut narrow, &both[0]));
            train_observed(&blend([1.0, 0.5], 4), &both[0].interactions, kept, &Heard::default()).unwrap();
        }
        assert_eq!(narrow.kept.len(), 1, "only the first part fits");
    }

    #[test]
    fn a_blend_tells_parts_and_their_iterations() {
        let data = data(1);
        let heard = Heard::default();
        train_observed(&blend([1.0, 0.5], 4), &data.interactions, None, &heard).unwrap();
        let heard = heard.0.into_inner().unwrap();
        assert_eq!(heard[..2], ["of 2", "part 1 of 2, als"]);
        assert!(heard[2].starts_with("part 1 of 2, als, iteration 1 of 2, loss "), "{heard:?}");
        assert!(heard[4..6] == ["+1", "part 2 of 2, item_item"], "{heard:?}");
        assert!(heard.len() > 7 && heard.last().unwrap() == "+1", "{heard:?}");

        let alone = Heard::default();
        let als = blend([1.0, 0.5], 4).blend.parts[0].model();
        let (_, losses) = train_observed(&als, &data.interactions, None, &alone).unwrap();
        assert_eq!(losses.len(), 2);
        assert_eq!(alone.0.into_inner().unwrap()[..2], ["of 2", "+1"]);
    }
}
