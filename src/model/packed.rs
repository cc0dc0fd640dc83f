//! Items of a factor model, packed for scoring.

use std::ops::Range;

use crate::linalg::{Groups, Isa, Panels, Screen, product};

/// Factors up to which items are screened: users a second on real factors rose by a third or more up to here, and fell
/// with 512.
const SCREENED_WIDTH: usize = 256;

/// Items whose products are computed at once where nothing can be proven of them.
const TILE_ITEMS: usize = 1_024;

/// Factors of items, ready to be multiplied: all items of a model, or some of them by their place.
///
/// Cost: the factors twice, and for up to 256 factors a byte each for screening.
#[derive(Debug, Clone)]
pub struct PackedItems {
    /// Row-major, padded.
    pub(super) rows: Vec<f32>,
    panels: Panels,
    /// For few enough factors that it is worth its while.
    screen: Option<Screen>,
    n_items: usize,
}

impl PackedItems {
    /// Packs row-major `rows` of `width` elements (padded), all finite.
    pub(super) fn pack(rows: Vec<f32>, width: usize) -> Self {
        let panels = Panels::pack(&rows, width);
        let screen = (width <= SCREENED_WIDTH).then(|| Screen::pack(&rows, width));
        Self { panels, screen, n_items: rows.len() / width, rows }
    }

    /// Number of items.
    #[must_use]
    pub fn n_items(&self) -> usize {
        self.n_items
    }

    /// Scores of the items at `places`, row-major, a row a user.
    pub(super) fn score(&self, isa: Isa, users: &Groups, places: Range<usize>, scores: &mut [f32]) {
        product(isa, users, &self.panels, places, scores);
    }

    /// As [`UserBlock::search`](super::UserBlock::search); `users` are their factors, row-major.
    pub(super) fn screen(
        &self,
        isa: Isa,
        users: &[f32],
        bounds: &mut [f32],
        take: &mut dyn FnMut(usize, u32, f32) -> f32,
    ) -> bool {
        self.screen.as_ref().is_some_and(|screen| screen.search(isa, &self.rows, users, bounds, take))
    }

    /// The same with every product computed.
    pub(super) fn compute(
        &self,
        isa: Isa,
        users: &Groups,
        bounds: &mut [f32],
        take: &mut dyn FnMut(usize, u32, f32) -> f32,
    ) {
        let mut scores = vec![0f32; bounds.len() * TILE_ITEMS.min(self.n_items)];
        for start in (0..self.n_items).step_by(TILE_ITEMS) {
            let places = start..self.n_items.min(start + TILE_ITEMS);
            let scores = &mut scores[..bounds.len() * places.len()];
            self.score(isa, users, places.clone(), scores);
            for (user, (bound, scores)) in bounds.iter_mut().zip(scores.chunks_exact(places.len())).enumerate() {
                for (place, &score) in (start as u32..).zip(scores) {
                    if score > *bound {
                        *bound = take(user, place, score);
                    }
                }
            }
        }
    }
}
