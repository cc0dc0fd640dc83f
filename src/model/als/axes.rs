//! Principal axes of a factor matrix.

use crate::linalg::{Isa, NotConverged, Panels, eigen, gramian};

/// The rotation that makes a factor matrix's Gramian diagonal, and that diagonal.
#[derive(Debug, Clone)]
pub(super) struct Axes {
    rotation: Panels,
    /// `all_pairs` times the eigenvalues of the Gramian, largest first, zeros as padding.
    pub(super) spectrum: Vec<f32>,
}

impl Axes {
    /// The axes of row-major `rows`, padded from `n_factors` to `width` elements.
    pub(super) fn of(
        isa: Isa,
        rows: &[f32],
        n_factors: usize,
        width: usize,
        all_pairs: f32,
    ) -> Result<Self, NotConverged> {
        let padded = gramian(isa, rows, width);
        let mut square = Vec::with_capacity(n_factors * n_factors);
        for row in padded.chunks_exact(width).take(n_factors) {
            square.extend_from_slice(&row[..n_factors]);
        }
        drop(padded);
        let axes = eigen(isa, square, n_factors)?;
        let mut rotation = vec![0f32; width * width];
        for (row, vector) in rotation.chunks_exact_mut(width).zip(axes.vectors.chunks_exact(n_factors)) {
            for (element, &value) in row.iter_mut().zip(vector) {
                *element = value as f32;
            }
        }
        let mut spectrum = vec![0f32; width];
        for (element, &value) in spectrum.iter_mut().zip(&axes.values) {
            // Rounding may leave an eigenvalue of a Gramian just below zero.
            *element = (f64::from(all_pairs) * value.max(0.0)) as f32;
        }
        Ok(Self { rotation: Panels::pack(&rotation, width), spectrum })
    }

    /// Rotates row-major factors, in place.
    pub(super) fn rotate(&self, isa: Isa, rows: &mut [f32]) {
        self.rotation.rotate(isa, rows);
    }
}
