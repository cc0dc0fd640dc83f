//! Blocks of users give the bits of the whole matrix.

use std::ops::Range;

use proptest::prelude::*;

use super::{
    tests::{KINDS, wide},
    *,
};
use crate::{
    interactions::{DAY, Stamp},
    model::CellWeight,
};

/// Some of the rows.
fn part(cells: &Csr, rows: Range<usize>) -> Csr {
    let range = cells.indptr[rows.start]..cells.indptr[rows.end];
    Csr {
        indptr: cells.indptr[rows.start..=rows.end].iter().map(|at| at - range.start).collect(),
        indices: cells.indices[range.clone()].to_vec(),
        values: cells.values[range.clone()].to_vec(),
        times: cells.times.get(range).unwrap_or_default().to_vec(),
        n_cols: cells.n_cols,
    }
}

/// The rows of `items` from blocks that end before the users `cuts`.
fn in_blocks(config: &ItemItemConfig, cells: &Csr, trains: &[bool], cuts: &[usize], items: Range<usize>) -> Csr {
    let ends: Vec<usize> = cuts.iter().copied().chain([cells.n_rows()]).collect();
    let starts = [0].into_iter().chain(cuts.iter().copied());
    let blocks: Vec<(Csr, &[bool])> =
        starts.zip(&ends).map(|(start, &end)| (part(cells, start..end), &trains[start..end])).collect();
    let mut facts = ItemItemFacts::new(config, cells.n_cols).unwrap();
    blocks.iter().for_each(|(weights, trains)| facts.count(weights, trains).unwrap());
    if facts.wants_sums() {
        blocks.iter().for_each(|(weights, trains)| facts.sum(weights, trains).unwrap());
    }
    let measure = facts.measure();
    let mut rows = GrowingRows::new(&measure, items);
    blocks.iter().for_each(|(weights, trains)| rows.add(weights, trains).unwrap());
    rows.finish()
}

fn bits(rows: &Csr) -> (&[usize], &[u32], Vec<u32>, usize) {
    (&rows.indptr, &rows.indices, rows.values.iter().map(|value| value.to_bits()).collect(), rows.n_cols)
}

type Row = Vec<Option<(f32, u32)>>;

fn matrix(dense: &[Row], n_items: usize) -> Csr {
    let mut cells = Csr { indptr: vec![0], n_cols: n_items, ..Csr::default() };
    for row in dense {
        for (item, &(value, time)) in (0u32..).zip(row).filter_map(|(item, cell)| Some((item, cell.as_ref()?))) {
            cells.indices.push(item);
            cells.values.push(value);
            cells.times.push(Stamp(time));
        }
        cells.indptr.push(cells.indices.len());
    }
    cells
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let cell = prop_oneof![2 => Just(None), 1 => (0.1f32..9.0, 0u32..30 * DAY).prop_map(Some)];
    prop::collection::vec(prop::collection::vec(cell, 21), 0..40)
}

fn configs() -> impl Strategy<Value = ItemItemConfig> {
    (
        prop::sample::select(KINDS.to_vec()),
        prop::sample::select(vec![CellWeight::Binary, CellWeight::Weight, CellWeight::Log]),
        prop_oneof![Just(0f32), 0.5f32..20.0],
        prop_oneof![Just(0f32), 0.5f32..3.0],
        prop_oneof![Just(None), (0.5f32..40.0).prop_map(Some)],
        any::<bool>(),
        1usize..25,
    )
        .prop_map(|(kind, weights, shrinkage, sequence, training_half_life_days, normalise, neighbours)| {
            let sequence_weight = if kind == SimilarityKind::Jaccard { 0.0 } else { sequence };
            ItemItemConfig {
                kind,
                weights,
                shrinkage,
                sequence_weight,
                training_half_life_days,
                normalise,
                neighbours,
                asymmetry: 0.3,
                ..ItemItemConfig::default()
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn blocks_of_users_give_the_bits_of_the_whole(
        dense in rows(),
        flags in prop::collection::vec(prop::bool::weighted(0.8), 40),
        config in configs(),
        cuts in prop::collection::vec(0usize..=40, 0..6),
        range in (0usize..=21, 0usize..=21),
    ) {
        let cells = matrix(&dense, 21);
        let trains = &flags[..dense.len()];
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(dense.len())).collect();
        cuts.sort_unstable();
        let items = range.0.min(range.1)..range.0.max(range.1);
        let whole = ItemItem::train_rows(&config, &cells, trains, items.clone(), &mut |_| ()).unwrap();
        let blocks = in_blocks(&config, &cells, trains, &cuts, items);
        prop_assert_eq!(bits(&blocks), bits(&whole), "{:?} cut at {:?}", config, cuts);
    }
}

/// Rows that the whole matrix sums nearly everywhere, without noting where.
#[test]
fn sums_of_blocks_are_those_of_dense_walks() {
    let cells = wide(17_000);
    let trains = [true; 60];
    for (kind, shrinkage) in
        [(SimilarityKind::Rp3beta, 0.0), (SimilarityKind::Jaccard, 0.0), (SimilarityKind::Tfidf, 3.0)]
    {
        let config = ItemItemConfig { kind, shrinkage, neighbours: 30, ..ItemItemConfig::default() };
        for items in [0..500, 16_990..17_000] {
            let whole = ItemItem::train_rows(&config, &cells, &trains, items.clone(), &mut |_| ()).unwrap();
            for cuts in [&[8, 31][..], &[1, 1, 59], &[]] {
                let blocks = in_blocks(&config, &cells, &trains, cuts, items.clone());
                assert_eq!(bits(&blocks), bits(&whole), "{kind:?} cut at {cuts:?}");
            }
        }
    }
}

#[test]
fn what_the_whole_refuses_blocks_refuse() {
    let cells = Csr { indptr: vec![0, 1], indices: vec![0], values: vec![1.0], n_cols: 2, ..Csr::default() };
    for config in [
        ItemItemConfig { sequence_weight: 1.0, ..ItemItemConfig::default() },
        ItemItemConfig { training_half_life_days: Some(3.0), ..ItemItemConfig::default() },
    ] {
        let whole = ItemItem::train_rows(&config, &cells, &[true], 0..2, &mut |_| ()).unwrap_err();
        let measure = ItemItemFacts::new(&config, 2).unwrap().measure();
        assert_eq!(GrowingRows::new(&measure, 0..2).add(&cells, &[true]).unwrap_err(), whole);
    }
    assert!(ItemItemFacts::new(&ItemItemConfig { neighbours: 0, ..ItemItemConfig::default() }, 2).is_err());
}
